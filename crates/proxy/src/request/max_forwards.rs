//! OPTIONS and TRACE that may go only so far (RFC 9110 section 7.6.2): the last proxy answers, the others count down.

use http::header::{ALLOW, AUTHORIZATION, CONTENT_LENGTH, CONTENT_TYPE, COOKIE, MAX_FORWARDS, PROXY_AUTHORIZATION};
use http::request::Parts;
use http::{HeaderName, HeaderValue, Method, Response, Version};

use super::answer::{ALLOWED, Failure, Word};
use crate::body::ResponseBody;

/// The answer, where the request goes no further; otherwise its `Max-Forwards` is one less. Other methods keep theirs.
///
/// # Errors
/// [`Word::BadRequest`] for a value that is no number, and for a TRACE with content (RFC 9110 section 9.3.8).
pub fn last_hop(parts: &mut Parts, has_body: bool) -> Result<Option<Response<ResponseBody>>, Failure> {
    if parts.method != Method::OPTIONS && parts.method != Method::TRACE {
        return Ok(None);
    }
    if parts.method == Method::TRACE && has_body {
        return Err(Failure::new(Word::BadRequest, "a TRACE has no content").closing());
    }
    let Some(value) = parts.headers.get(MAX_FORWARDS) else { return Ok(None) };
    let digits = value.to_str().ok().filter(|text| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()));
    let Some(digits) = digits else {
        return Err(Failure::new(Word::BadRequest, "Max-Forwards must be a number"));
    };
    // More than fits is as good as without end.
    match digits.parse::<u64>().unwrap_or(u64::MAX).checked_sub(1) {
        Some(left) => {
            parts.headers.insert(MAX_FORWARDS, HeaderValue::from(left));
            Ok(None)
        }
        None => Ok(Some(if parts.method == Method::TRACE { trace(parts) } else { options() })),
    }
}

fn options() -> Response<ResponseBody> {
    let mut response = Response::new(ResponseBody::own(""));
    response.headers_mut().insert(ALLOW, HeaderValue::from_static(ALLOWED));
    response.headers_mut().insert(CONTENT_LENGTH, HeaderValue::from_static("0"));
    response
}

/// The request as it came, without what is nobody's business (RFC 9110 section 9.3.8).
fn trace(parts: &Parts) -> Response<ResponseBody> {
    let version = if parts.version == Version::HTTP_2 { "2" } else { "1.1" };
    let mut message = format!("TRACE {} HTTP/{version}\r\n", parts.uri).into_bytes();
    for (name, value) in parts.headers.iter().filter(|(name, _)| !is_secret(name)) {
        message.extend_from_slice(name.as_str().as_bytes());
        message.extend_from_slice(b": ");
        message.extend_from_slice(value.as_bytes());
        message.extend_from_slice(b"\r\n");
    }
    message.extend_from_slice(b"\r\n");
    let length = HeaderValue::from(message.len());
    let mut response = Response::new(ResponseBody::own(message));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("message/http"));
    response.headers_mut().insert(CONTENT_LENGTH, length);
    response
}

fn is_secret(name: &HeaderName) -> bool {
    [AUTHORIZATION, PROXY_AUTHORIZATION, COOKIE].contains(name)
        || name.as_str().starts_with("l5d-")
        || name == "x-forwarded-client-cert"
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;

    fn parts(method: &str, hops: &str) -> Parts {
        let request = Request::builder().method(method).uri("/").header("max-forwards", hops);
        request.body(()).unwrap().into_parts().0
    }

    #[test]
    fn only_options_and_trace_count_down() {
        for (method, hops, left) in [
            ("OPTIONS", "1", Some("0")),
            ("TRACE", "10", Some("9")),
            ("OPTIONS", "99999999999999999999", Some("18446744073709551614")),
            ("GET", "0", Some("0")),
            ("GET", "x", Some("x")),
            ("OPTIONS", "0", None),
            ("TRACE", "00", None),
        ] {
            let mut parts = parts(method, hops);
            let answered = last_hop(&mut parts, false).unwrap().is_some();
            assert_eq!(answered, left.is_none(), "{method} {hops}");
            assert!(
                answered || parts.headers.get(MAX_FORWARDS).is_some_and(|value| Some(value.to_str().unwrap()) == left)
            );
        }
        for hops in ["", "-1", "1, 2", "x"] {
            assert_eq!(last_hop(&mut parts("TRACE", hops), false).unwrap_err().word, Word::BadRequest, "{hops:?}");
        }
        assert_eq!(last_hop(&mut parts("TRACE", "5"), true).unwrap_err().word, Word::BadRequest);
    }
}
