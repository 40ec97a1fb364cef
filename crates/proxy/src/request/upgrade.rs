//! Requests that ask for another protocol on their connection, such as WebSocket: `Upgrade` in HTTP/1.1 (RFC 9110
//! section 7.8), extended CONNECT in HTTP/2 (RFC 8441).
//!
//! To the endpoint it is always an `Upgrade` on an HTTP/1.1 connection, written anew. Only protocols that the server
//! allows go on; all others are taken off the request, which goes on without. `h2c` is never one of them.

use aws_lc_rs::digest;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use h2::ext::Protocol;
use http::header::{
    CONNECTION, CONTENT_LENGTH, HeaderValue, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_VERSION,
    TRANSFER_ENCODING, UPGRADE,
};
use http::request::Parts;
use http::{HeaderMap, Method, Response, StatusCode, Version};
use rand::{Rng, RngExt};

use super::answer::{Failure, Word};
use super::headers::tokens;

/// What a request asks its connection to become.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Upgrade {
    /// As the server's configuration writes it.
    protocol: HeaderValue,
    /// What a WebSocket endpoint must answer to the key that we made; the client has checked none.
    accept: Option<HeaderValue>,
}

impl Upgrade {
    /// An extended CONNECT becomes the GET that asks an HTTP/1.1 endpoint for the same (RFC 8441 section 5).
    ///
    /// # Errors
    /// [`Word::NotImplemented`] for a protocol that is not in `allowed`.
    pub fn extended(parts: &mut Parts, allowed: &[String], rng: &mut impl Rng) -> Result<Option<Self>, Failure> {
        if parts.method != Method::CONNECT || parts.version != Version::HTTP_2 {
            return Ok(None);
        }
        let Some(asked) = parts.extensions.remove::<Protocol>() else { return Ok(None) };
        let Some(protocol) = allowed_of(asked.as_str(), allowed) else {
            return Err(
                Failure::new(Word::NotImplemented, "this :protocol is not among the server's `upgrades`").retryable()
            );
        };
        parts.method = Method::GET;
        let accept = (protocol == WEBSOCKET).then(|| {
            let key = STANDARD.encode(rng.random::<[u8; 16]>());
            let accept = accept(&key);
            parts.headers.insert(SEC_WEBSOCKET_KEY, text(key));
            parts.headers.entry(SEC_WEBSOCKET_VERSION).or_insert(HeaderValue::from_static("13"));
            text(accept)
        });
        Ok(Some(Self { protocol, accept }))
    }

    /// What the `Upgrade` of an HTTP/1.1 request asked for, if the server allows it. `asked` was on it, and `Connection`
    /// named it. A request with a body stays what it is: nobody could tell where the body ends and the protocol begins.
    pub fn http1(asked: Option<&HeaderValue>, has_body: bool, version: Version, allowed: &[String]) -> Option<Self> {
        let asked = asked.filter(|_| !has_body && version == Version::HTTP_11)?;
        let protocol = tokens(asked).find_map(|token| allowed_of(token, allowed))?;
        Some(Self { protocol, accept: None })
    }

    /// Writes the wish for the endpoint.
    pub fn write(&self, headers: &mut HeaderMap) {
        headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
        headers.insert(UPGRADE, self.protocol.clone());
    }

    /// Why a 101 is not the answer to this (RFC 9110 section 15.2.2, RFC 6455 section 4.1).
    pub fn refuses<B>(&self, response: &Response<B>) -> Option<&'static str> {
        let headers = response.headers();
        let mut chosen = headers.get_all(UPGRADE).iter();
        if !matches!((chosen.next(), chosen.next()), (Some(one), None) if same(one, &self.protocol)) {
            return Some("it switched to a protocol that was not asked for");
        }
        if headers.contains_key(TRANSFER_ENCODING) || headers.get(CONTENT_LENGTH).is_some_and(|length| length != "0") {
            return Some("it switched protocols with a body");
        }
        if self.accept.is_some() && headers.get(SEC_WEBSOCKET_ACCEPT) != self.accept.as_ref() {
            return Some("its Sec-WebSocket-Accept does not answer our key");
        }
        None
    }
}

/// The head for the client of an endpoint's 101, which has been cleaned of all that is for one hop.
pub fn answer(parts: &mut http::response::Parts, chosen: Option<HeaderValue>, version: Version) {
    if version == Version::HTTP_2 {
        parts.status = StatusCode::OK;
        parts.headers.remove(SEC_WEBSOCKET_ACCEPT);
    } else {
        parts.headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
        parts.headers.extend(chosen.map(|chosen| (UPGRADE, chosen)));
    }
    parts.headers.remove(CONTENT_LENGTH);
}

fn allowed_of(asked: &str, allowed: &[String]) -> Option<HeaderValue> {
    let found = allowed.iter().find(|allowed| allowed.eq_ignore_ascii_case(asked))?;
    HeaderValue::from_str(found).ok()
}

fn same(one: &HeaderValue, other: &HeaderValue) -> bool {
    one.as_bytes().eq_ignore_ascii_case(other.as_bytes())
}

/// RFC 6455 section 4.2.2.
fn accept(key: &str) -> String {
    let joined = format!("{key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11");
    STANDARD.encode(digest::digest(&digest::SHA1_FOR_LEGACY_USE_ONLY, joined.as_bytes()))
}

/// Base64 is always a header value.
fn text(base64: String) -> HeaderValue {
    HeaderValue::try_from(base64).unwrap_or_else(|_| HeaderValue::from_static(""))
}

const WEBSOCKET: &str = "websocket";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_of_the_rfc_is_accepted_as_there() {
        // RFC 6455 section 1.3.
        assert_eq!(accept("dGhlIHNhbXBsZSBub25jZQ=="), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    }

    #[test]
    fn only_what_is_allowed_is_asked_for() {
        let allowed = ["websocket".to_owned(), "tls/1.0".to_owned()];
        let asked = |value: &str, has_body, version| {
            let value = HeaderValue::from_str(value).unwrap();
            let upgrade = Upgrade::http1(Some(&value), has_body, version, &allowed)?;
            Some(upgrade.protocol.to_str().unwrap().to_owned())
        };
        for (value, expected) in [
            ("websocket", Some("websocket")),
            ("WebSocket", Some("websocket")),
            ("h2c, websocket", Some("websocket")),
            ("TLS/1.0, websocket", Some("tls/1.0")),
            ("h2c", None),
            ("websocket/13", None),
            ("", None),
        ] {
            assert_eq!(asked(value, false, Version::HTTP_11).as_deref(), expected, "{value}");
        }
        assert_eq!(asked("websocket", true, Version::HTTP_11), None, "with a body");
        assert_eq!(asked("websocket", false, Version::HTTP_10), None, "RFC 9110 section 7.8");
        assert_eq!(asked("websocket", false, Version::HTTP_2), None, "RFC 9113 section 8.6");
    }

    #[test]
    fn a_101_must_answer_what_was_asked() {
        let plain = Upgrade { protocol: HeaderValue::from_static("websocket"), accept: None };
        let keyed = Upgrade { accept: Some(HeaderValue::from_static("right")), ..plain.clone() };
        for (upgrade, fields, accepted) in [
            (&plain, &[("upgrade", "WebSocket")][..], true),
            (&plain, &[], false),
            (&plain, &[("upgrade", "h2c")], false),
            (&plain, &[("upgrade", "websocket"), ("upgrade", "websocket")], false),
            (&plain, &[("upgrade", "websocket"), ("content-length", "3")], false),
            (&keyed, &[("upgrade", "websocket"), ("sec-websocket-accept", "right")], true),
            (&keyed, &[("upgrade", "websocket"), ("sec-websocket-accept", "wrong")], false),
            (&keyed, &[("upgrade", "websocket")], false),
        ] {
            let response =
                fields.iter().fold(Response::builder(), |response, (name, value)| response.header(*name, *value));
            assert_eq!(upgrade.refuses(&response.body(()).unwrap()).is_none(), accepted, "{fields:?}");
        }
    }
}
