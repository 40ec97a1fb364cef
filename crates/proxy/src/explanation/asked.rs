//! A request as people write it: a method, a URL, headers.

use std::sync::Arc;

use http::header::HOST;
use http::request::Parts;
use http::{HeaderName, HeaderValue, Method, Request, Uri, Version};
use waypost_naming::{Finding, Source, Span};

/// What a command line or a query says of the request that is to be explained.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'a> {
    /// Default GET.
    pub method: Option<&'a str>,
    /// Absolute (`http://users/x`), or a path when a `Host` header is given too.
    pub url: &'a str,
    /// `Name: value` each. A `Host` among them takes the place of the URL's, as with curl.
    pub headers: &'a [String],
}

impl Asked<'_> {
    /// The request, as a worker would see it.
    ///
    /// # Errors
    /// What can't be read, with its place.
    pub fn request(&self) -> Result<Parts, Box<Finding>> {
        let (uri, authority) = split(self.url)?;
        let mut parts = Request::new(()).into_parts().0;
        parts.version = Version::HTTP_11;
        parts.uri = uri;
        parts.method = method(self.method.unwrap_or("GET"))?;
        for text in self.headers {
            let (name, value) = header(text)?;
            parts.headers.append(name, value);
        }
        if parts.headers.contains_key(HOST) {
            return Ok(parts);
        }
        let Some(authority) = authority else {
            return Err(unreadable("url", self.url, 0, "a path alone names no host")
                .hint("give an absolute URL (http://users/x), or add a header `Host: users`")
                .into());
        };
        let host = HeaderValue::from_str(&authority).map_err(|_| url_error(self.url))?;
        parts.headers.insert(HOST, host);
        Ok(parts)
    }
}

/// Target in origin form, and the authority of an absolute URL.
fn split(url: &str) -> Result<(Uri, Option<String>), Box<Finding>> {
    let uri: Uri = url.parse().map_err(|_| url_error(url))?;
    if url.starts_with('/') {
        return Ok((uri, None));
    }
    let scheme = uri.scheme_str().filter(|scheme| matches!(*scheme, "http" | "https"));
    let (Some(_), Some(authority)) = (scheme, uri.authority()) else {
        return Err(url_error(url));
    };
    if authority.as_str().contains('@') {
        let place = url.find('@').unwrap_or_default();
        return Err(unreadable("url", url, place, "a URL of a request has no user in it").into());
    }
    let authority = authority.to_string();
    let target = uri.path_and_query().map_or("/", http::uri::PathAndQuery::as_str);
    Ok((target.parse().map_err(|_| url_error(url))?, Some(authority)))
}

fn method(text: &str) -> Result<Method, Box<Finding>> {
    let place = |byte: u8| !byte.is_ascii_alphanumeric() && !b"!#$%&'*+-.^_`|~".contains(&byte);
    let bad = text.bytes().position(place).unwrap_or(text.len());
    Method::from_bytes(text.as_bytes()).map_err(|_| unreadable("method", text, bad, "this is no HTTP method").into())
}

fn header(text: &str) -> Result<(HeaderName, HeaderValue), Box<Finding>> {
    let bad = |place: usize, what: &str| {
        Box::new(unreadable("header", text, place, what).hint("a header is written `Name: value`"))
    };
    let (name, value) = text.split_once(':').ok_or_else(|| bad(text.len(), "there is no colon"))?;
    let name = HeaderName::try_from(name.trim()).map_err(|_| bad(0, "this is no header name"))?;
    let value =
        HeaderValue::from_str(value.trim()).map_err(|_| bad(text.len() - value.len(), "this is no header value"))?;
    Ok((name, value))
}

/// Points at the first character that no URL has, or at its beginning.
fn url_error(url: &str) -> Box<Finding> {
    let fits = |char: char| char.is_ascii_graphic() && !"\"<>\\^`{|}".contains(char);
    let (place, what) = match url.char_indices().find(|(_, char)| !fits(*char)) {
        Some((place, _)) => (place, "this character can't stand in a URL"),
        None => (0, "this is no URL of an HTTP request"),
    };
    Box::new(unreadable("url", url, place, what).hint("a URL is absolute (http://users/x) or a path (/x)"))
}

fn unreadable(what: &'static str, text: &str, place: usize, message: &str) -> Finding {
    let width = text.get(place..).and_then(|rest| rest.chars().next()).map_or(0, char::len_utf8);
    let source = Source { name: what.to_owned(), text: text.to_owned() };
    let code = match what {
        "url" => "bad-url",
        "method" => "bad-method",
        _ => "bad-header",
    };
    Finding::error(code, message).at(Arc::new(source), Span::new(place, place + width))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(url: &str, headers: &[&str]) -> Result<(String, String), String> {
        let headers: Vec<String> = headers.iter().map(|header| (*header).to_owned()).collect();
        let parts = Asked { method: None, url, headers: &headers }.request().map_err(|finding| finding.message)?;
        let host = parts.headers.get(HOST).unwrap().to_str().unwrap().to_owned();
        Ok((host, parts.uri.to_string()))
    }

    #[test]
    fn the_host_is_the_urls_unless_one_is_given() {
        for (url, headers, wanted) in [
            ("http://users/x?y=1", vec![], ("users", "/x?y=1")),
            ("http://users", vec![], ("users", "/")),
            ("http://127.0.0.1:4140/x", vec!["Host: users"], ("users", "/x")),
            ("/x", vec!["host:users"], ("users", "/x")),
            ("https://users:8443/", vec!["X-Other: 1"], ("users:8443", "/")),
        ] {
            let (host, target) = asked(url, &headers).unwrap();
            assert_eq!((host.as_str(), target.as_str()), wanted, "{url} {headers:?}");
        }
    }

    #[test]
    fn what_can_not_be_read_is_refused() {
        for (url, headers) in [
            ("/x", vec![]),
            ("users/x", vec![]),
            ("ftp://users/x", vec![]),
            ("http://", vec![]),
            ("http://a b/", vec![]),
            ("http://me@users/", vec![]),
            ("http://users/", vec!["no colon"]),
            ("http://users/", vec!["bad name: 1"]),
            ("", vec![]),
        ] {
            assert!(asked(url, &headers).is_err(), "{url:?} {headers:?}");
        }
    }

    #[test]
    fn a_bad_url_is_shown_with_its_place() {
        let finding = Asked { method: None, url: "http://a b/", headers: &[] }.request().unwrap_err();
        assert_eq!(finding.place(), Some(("url".to_owned(), 1, 9)));
    }
}
