//! Is this one request, and does everybody who reads it see the same one? Asked once, before anything is decided.
//!
//! A request that two readers could take for two is refused, never repaired by guess (RFC 9112 sections 3.2, 6.1 and
//! 6.3; RFC 9113 section 8.3.1). What passes leaves with exactly one `Host` and a target in origin form.

use http::header::{CONTENT_LENGTH, COOKIE, EXPECT, HOST, TRANSFER_ENCODING};
use http::request::Parts;
use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderValue, Method, Uri, Version};

use super::answer::{Failure, Word};
use crate::server::heads::Fault;

/// Checks `parts` and brings them to one form: target in origin form, authority in `Host`.
///
/// # Errors
/// A [`Failure`] with status 400, 405 or 414; those after which the connection cannot go on say so.
pub fn check(parts: &mut Parts) -> Result<(), Failure> {
    if let Some(fault) = parts.extensions.get::<Fault>() {
        return Err(bad(fault.as_str()));
    }
    if parts.method == Method::CONNECT {
        return Err(Failure::new(Word::MethodNotAllowed, "CONNECT is not offered here").closing());
    }
    if parts.method.as_str().len() > MAX_METHOD_BYTES {
        return Err(bad("the method is longer than 32 bytes"));
    }
    target(&parts.uri, &parts.method)?;
    if parts.version == Version::HTTP_2 {
        if parts.uri.scheme_str().is_some_and(str::is_empty) {
            return Err(bad("`:scheme` is empty"));
        }
        http2_authority(parts)?;
        join_cookies(&mut parts.headers);
    } else {
        framing(parts)?;
        http1_host(parts)?;
    }
    to_origin_form(&mut parts.uri);
    Ok(())
}

/// Whether the client waits for a 100 before it sends its body (RFC 9110 section 10.1.1).
///
/// # Errors
/// [`Word::ExpectationFailed`] for any other expectation: there is none.
pub fn expectation(parts: &mut Parts, has_body: bool) -> Result<bool, Failure> {
    let mut expectations = parts.headers.get_all(EXPECT).iter();
    let Some(only) = expectations.next() else { return Ok(false) };
    if expectations.next().is_some() || !only.as_bytes().eq_ignore_ascii_case(b"100-continue") {
        let failure = Failure::new(Word::ExpectationFailed, "Expect can only be 100-continue").retryable();
        return Err(if has_body { failure.closing() } else { failure });
    }
    // In HTTP/1.0 it means nothing, and without a body there is nothing to wait for.
    let expects = has_body && parts.version != Version::HTTP_10;
    if !expects {
        parts.headers.remove(EXPECT);
    }
    Ok(expects)
}

/// Not more fields than the server takes. HTTP/1.1 is counted while it is read; this is for HTTP/2.
///
/// # Errors
/// [`Word::HeadTooLong`].
pub fn number_of_fields(headers: &HeaderMap, max_headers: u32) -> Result<(), Failure> {
    if headers.len() > usize::try_from(max_headers).unwrap_or(usize::MAX) {
        let message = format!("the request has more than {max_headers} header fields (max_headers)");
        return Err(Failure::new(Word::HeadTooLong, message).retryable());
    }
    Ok(())
}

/// `*` goes with OPTIONS alone; everything else starts with a slash (RFC 9112 section 3.2).
fn target(uri: &Uri, method: &Method) -> Result<(), Failure> {
    let path = uri.path_and_query().map_or("/", PathAndQuery::as_str);
    if path.len() > MAX_TARGET_BYTES {
        return Err(Failure::new(Word::TargetTooLong, "the request's target is longer than 16 KiB").closing());
    }
    match path.as_bytes().first() {
        Some(b'*') if path == "*" && method == Method::OPTIONS => Ok(()),
        Some(b'/') if uri.path_and_query().is_some() => Ok(()),
        // An absolute target without a path is `/` (RFC 9110 section 4.2.3); authority-form goes with CONNECT only.
        None | Some(b'/' | b'?') if uri.scheme().is_some() => Ok(()),
        _ => Err(bad("the request's target is neither a path, nor an absolute URI")),
    }
}

/// Transfer-Encoding is `chunked`, once, and never beside a Content-Length (RFC 9112 sections 6.1 and 6.3).
fn framing(parts: &Parts) -> Result<(), Failure> {
    let mut encodings = parts.headers.get_all(TRANSFER_ENCODING).iter();
    if let Some(encoding) = encodings.next() {
        if encodings.next().is_some() || !encoding.as_bytes().eq_ignore_ascii_case(b"chunked") {
            return Err(bad("Transfer-Encoding must be exactly one `chunked`"));
        }
        if parts.headers.contains_key(CONTENT_LENGTH) {
            return Err(bad("a request has either a Content-Length or a Transfer-Encoding"));
        }
        if parts.version == Version::HTTP_10 {
            return Err(bad("HTTP/1.0 has no Transfer-Encoding"));
        }
    }
    let mut lengths = parts.headers.get_all(CONTENT_LENGTH).iter();
    if let Some(length) = lengths.next() {
        let digits = length.as_bytes();
        if lengths.next().is_some() || digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
            return Err(bad("Content-Length must be one decimal number"));
        }
    }
    Ok(())
}

/// Exactly one valid Host in HTTP/1.1 (RFC 9112 section 3.2); an absolute target's authority replaces it.
fn http1_host(parts: &mut Parts) -> Result<(), Failure> {
    let mut hosts = parts.headers.get_all(HOST).iter();
    match (hosts.next(), hosts.next()) {
        (Some(_), Some(_)) => return Err(bad("there is more than one Host")),
        (Some(host), None) if !valid_host(host.as_bytes()) => return Err(bad("Host is no host with an optional port")),
        (None, _) if parts.version == Version::HTTP_11 => return Err(bad("HTTP/1.1 needs a Host")),
        _ => {}
    }
    if parts.uri.authority().is_some() {
        set_host_from_target(parts)?;
    }
    Ok(())
}

/// `:authority`, or Host in its place, and never two that differ (RFC 9113 section 8.3.1).
fn http2_authority(parts: &mut Parts) -> Result<(), Failure> {
    let mut hosts = parts.headers.get_all(HOST).iter();
    let (host, second) = (hosts.next(), hosts.next());
    if second.is_some() {
        return Err(bad("there is more than one Host"));
    }
    match (parts.uri.authority(), host) {
        (None, None) => Err(bad("there is neither an :authority nor a Host")),
        (None, Some(host)) if valid_host(host.as_bytes()) => Ok(()),
        (None, Some(_)) => Err(bad("Host is no host with an optional port")),
        (Some(authority), Some(host)) if !authority.as_str().as_bytes().eq_ignore_ascii_case(host.as_bytes()) => {
            Err(bad("Host and :authority differ"))
        }
        (Some(_), _) => set_host_from_target(parts),
    }
}

fn set_host_from_target(parts: &mut Parts) -> Result<(), Failure> {
    let authority = parts.uri.authority().map_or("", |authority| authority.as_str());
    if !valid_host(authority.as_bytes()) {
        return Err(bad("the target's authority is no host with an optional port"));
    }
    let host = HeaderValue::from_str(authority).map_err(|_| bad("the target's authority is no header value"))?;
    // What is still to be written finds its room made.
    parts.headers.reserve(OWN_FIELDS);
    parts.headers.insert(HOST, host);
    Ok(())
}

/// Host, and what waypost writes on a request: `via`, the destination, the context.
const OWN_FIELDS: usize = 8;

/// `host [":" digits]`: no userinfo, no white space, nothing of a path; an IPv6 address in whole brackets. An empty
/// Host is valid (RFC 9110 section 7.2): it names nothing, which is for identification to say.
fn valid_host(host: &[u8]) -> bool {
    let (name, rest) = match host.strip_prefix(b"[") {
        Some(inner) => {
            let Some(end) = inner.iter().position(|byte| *byte == b']') else { return false };
            let (address, rest) = inner.split_at(end);
            if address.is_empty() || !address.iter().all(|byte| byte.is_ascii_hexdigit() || matches!(byte, b':' | b'.'))
            {
                return false;
            }
            (&b""[..], rest.get(1..).unwrap_or_default())
        }
        None => host.split_at(host.iter().position(|byte| *byte == b':').unwrap_or(host.len())),
    };
    let port = match rest.split_first() {
        None => &b""[..],
        Some((b':', port)) => port,
        Some(_) => return false,
    };
    port.len() <= 5
        && port.iter().all(u8::is_ascii_digit)
        && name.iter().all(|byte| {
            byte.is_ascii_alphanumeric()
                || matches!(
                    byte,
                    b'-' | b'.'
                        | b'_'
                        | b'~'
                        | b'!'
                        | b'$'
                        | b'&'
                        | b'\''
                        | b'('
                        | b')'
                        | b'*'
                        | b'+'
                        | b','
                        | b';'
                        | b'='
                        | b'%'
                )
        })
}

/// Scheme and authority go; path and query stay as they are, byte for byte (RFC 9110 section 7.7).
fn to_origin_form(uri: &mut Uri) {
    if uri.scheme().is_none() && uri.authority().is_none() {
        return;
    }
    *uri = match uri.path_and_query() {
        Some(path) if path.as_str().starts_with('?') => {
            PathAndQuery::try_from(format!("/{}", path.as_str())).map_or_else(|_| Uri::from_static("/"), Uri::from)
        }
        Some(path) => Uri::from(path.clone()),
        None => Uri::from_static("/"),
    };
}

/// HTTP/2 may split Cookie into crumbs; HTTP/1.1 may not (RFC 9113 section 8.2.3).
fn join_cookies(headers: &mut HeaderMap) {
    let mut crumbs = headers.get_all(COOKIE).iter();
    let (Some(first), Some(second)) = (crumbs.next(), crumbs.next()) else { return };
    let mut joined = first.as_bytes().to_vec();
    for crumb in std::iter::once(second).chain(crumbs) {
        joined.extend_from_slice(b"; ");
        joined.extend_from_slice(crumb.as_bytes());
    }
    if let Ok(joined) = HeaderValue::from_bytes(&joined) {
        headers.insert(COOKIE, joined);
    }
}

fn bad(message: &'static str) -> Failure {
    Failure::new(Word::BadRequest, message).closing()
}

/// Longest method: the registered ones have at most 17 bytes.
const MAX_METHOD_BYTES: usize = 32;
/// Longest target. RFC 9112 section 3 wants at least 8,000 bytes.
const MAX_TARGET_BYTES: usize = 16 * 1024;

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;

    fn parts(version: Version, method: &str, target: &str, headers: &[(&str, &str)]) -> Parts {
        let mut request = Request::builder().method(method).uri(target).version(version);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.body(()).expect("a request").into_parts().0
    }

    #[test]
    fn ambiguous_requests_are_refused_and_the_connection_ends() {
        for (why, version, method, target, headers) in [
            ("RFC 9112 3.2: no Host", Version::HTTP_11, "GET", "/", &[][..]),
            ("RFC 9112 3.2: two Hosts, though equal", Version::HTTP_11, "GET", "/", &[("host", "a"), ("host", "a")]),
            ("RFC 9112 3.2: userinfo", Version::HTTP_11, "GET", "/", &[("host", "a@b")]),
            ("RFC 9112 3.2: half a bracket", Version::HTTP_11, "GET", "/", &[("host", "[::1")]),
            ("RFC 9112 3.2: no port", Version::HTTP_11, "GET", "/", &[("host", "a:b")]),
            ("RFC 9112 3.2.4: * with GET", Version::HTTP_11, "GET", "*", &[("host", "a")]),
            ("RFC 9112 3.2.3: authority form", Version::HTTP_11, "GET", "a:80", &[("host", "a")]),
            (
                "RFC 9112 6.1: chunked twice",
                Version::HTTP_11,
                "POST",
                "/",
                &[("host", "a"), ("transfer-encoding", "chunked, chunked")],
            ),
            (
                "RFC 9112 6.1: two lines",
                Version::HTTP_11,
                "POST",
                "/",
                &[("host", "a"), ("transfer-encoding", "chunked"), ("transfer-encoding", "chunked")],
            ),
            (
                "RFC 9112 6.3: both",
                Version::HTTP_11,
                "POST",
                "/",
                &[("host", "a"), ("transfer-encoding", "chunked"), ("content-length", "3")],
            ),
            ("RFC 9112 6.1: HTTP/1.0", Version::HTTP_10, "POST", "/", &[("transfer-encoding", "chunked")]),
            ("RFC 9110 8.6: signed", Version::HTTP_11, "POST", "/", &[("host", "a"), ("content-length", "+3")]),
            ("RFC 9113 8.3.1: Host differs", Version::HTTP_2, "GET", "http://a/", &[("host", "b")]),
            ("RFC 9113 8.3.1: nobody", Version::HTTP_2, "GET", "/", &[]),
        ] {
            let failure = check(&mut parts(version, method, target, headers)).expect_err(why);
            assert_eq!((failure.word, failure.close), (Word::BadRequest, true), "{why}");
        }
    }

    #[test]
    fn what_passes_has_one_host_and_a_target_in_origin_form() {
        for (version, target, headers, host, left) in [
            (Version::HTTP_11, "/a?b", &[("host", "web")][..], Some("web"), "/a?b"),
            (Version::HTTP_11, "/", &[("host", "[::1]:80")], Some("[::1]:80"), "/"),
            (Version::HTTP_11, "/", &[("host", "")], Some(""), "/"),
            (Version::HTTP_11, "http://users:80/a?b", &[("host", "other")], Some("users:80"), "/a?b"),
            (Version::HTTP_11, "http://users?b", &[("host", "other")], Some("users"), "/?b"),
            (Version::HTTP_10, "/", &[], None, "/"),
            (Version::HTTP_2, "https://users/a", &[], Some("users"), "/a"),
            (Version::HTTP_2, "/a", &[("host", "users")], Some("users"), "/a"),
        ] {
            let mut parts = parts(version, "GET", target, headers);
            check(&mut parts).expect(target);
            assert_eq!(parts.headers.get(HOST).map(HeaderValue::as_bytes), host.map(str::as_bytes), "{target}");
            assert_eq!(parts.uri.to_string(), left, "{target}");
        }
    }

    #[test]
    fn cookie_crumbs_are_joined() {
        let mut parts = parts(Version::HTTP_2, "GET", "http://a/", &[("cookie", "a=1"), ("cookie", "b=2")]);
        check(&mut parts).expect("a request");
        assert_eq!(parts.headers.get_all(COOKIE).iter().collect::<Vec<_>>(), ["a=1; b=2"]);
    }
}
