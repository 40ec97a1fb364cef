//! Who may ask: the admin answers to whoever reaches its address, but not to a web page that makes a browser do so.
//!
//! A page can let a name of its own resolve to our address (DNS rebinding): then `Host` is that name, and refused. It can
//! send a form to us (cross-site request): then `Origin` or `Sec-Fetch-Site` tells.

use axum::http::header::{HOST, ORIGIN};
use axum::http::request::Parts;
use axum::http::{Method, StatusCode, Version};

use super::answer::Refusal;

/// # Errors
/// The answer for a request that must not be looked at.
pub(super) fn check(request: &Parts, is_own_host: impl Fn(&str) -> bool) -> Result<(), Refusal> {
    let host = named_host(request)?;
    if let Some(host) = &host
        && !is_own_host(host_of(host))
    {
        let text = format!(
            "the admin is not called {:?}: use its address, localhost, or a name in [admin] hosts",
            host_of(host)
        );
        return Err(Refusal::new(StatusCode::FORBIDDEN, text));
    }
    let reads = matches!(request.method, Method::GET | Method::HEAD | Method::OPTIONS);
    if reads { Ok(()) } else { same_site(request, host.as_deref()) }
}

/// A host without its port; an IPv6 address keeps its brackets.
pub(super) fn host_of(authority: &str) -> &str {
    match authority.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) && !is_bare_ipv6(authority) => host,
        _ => authority,
    }
}

/// `::1` as it may stand in `[admin] hosts`: no part of it is a port.
fn is_bare_ipv6(authority: &str) -> bool {
    authority.parse::<std::net::Ipv6Addr>().is_ok()
}

/// `None`: an HTTP/1.0 request without `Host`, as simple probes send; no browser does.
fn named_host(request: &Parts) -> Result<Option<String>, Refusal> {
    let mut hosts = request.headers.get_all(HOST).iter();
    let (first, second) = (hosts.next(), hosts.next());
    if second.is_some() {
        return Err(Refusal::bad("there is more than one Host"));
    }
    let named = first.map(|host| host.to_str().map_err(|_| Refusal::bad("Host is no text"))).transpose()?;
    match (request.uri.authority(), named) {
        (Some(target), Some(named)) if !target.as_str().eq_ignore_ascii_case(named) => {
            Err(Refusal::bad("Host and the request's target name two hosts"))
        }
        (Some(host), _) => Ok(Some(host.as_str().to_owned())),
        (None, Some(host)) => Ok(Some(host.to_owned())),
        (None, None) if request.version == Version::HTTP_10 => Ok(None),
        (None, None) => Err(Refusal::bad("HTTP/1.1 needs a Host")),
    }
}

/// Tools send neither header; browsers send at least one of them with every POST.
fn same_site(request: &Parts, host: Option<&str>) -> Result<(), Refusal> {
    let header = |name: &str| request.headers.get(name).map(|value| value.to_str().unwrap_or("?"));
    let from_elsewhere = |what: &str| {
        Err(Refusal::new(StatusCode::FORBIDDEN, format!("a change must not come from another site's page ({what})")))
    };
    if let Some(site) = header("sec-fetch-site")
        && !matches!(site, "same-origin" | "none")
    {
        return from_elsewhere(&format!("Sec-Fetch-Site: {site}"));
    }
    if let Some(origin) = header(ORIGIN.as_str()) {
        let of_origin = origin.strip_prefix("http://").or_else(|| origin.strip_prefix("https://"));
        let same = of_origin.zip(host).is_some_and(|(origin, host)| origin.eq_ignore_ascii_case(host));
        if !same {
            return from_elsewhere(&format!("Origin: {origin}"));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use axum::http::Request;

    use super::*;

    fn status(method: &str, headers: &[(&str, &str)]) -> u16 {
        let mut request = Request::builder().method(method).uri("/");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let parts = request.body(()).unwrap().into_parts().0;
        check(&parts, |host| host == "127.0.0.1" || host == "[::1]")
            .map_or_else(|refusal| refusal.status.as_u16(), |()| 200)
    }

    #[test]
    fn only_own_hosts_are_answered() {
        for (host, wanted) in [
            ("127.0.0.1", 200),
            ("127.0.0.1:9990", 200),
            ("[::1]:9990", 200),
            ("[::1]", 200),
            ("evil.example.com", 403),
            ("evil.example.com:9990", 403),
            ("127.0.0.1.evil.example.com", 403),
            ("127.0.0.1:9990@evil.example.com", 403),
            ("", 403),
        ] {
            assert_eq!(status("GET", &[("host", host)]), wanted, "{host:?}");
        }
    }

    #[test]
    fn a_host_is_needed_and_only_one() {
        assert_eq!(status("GET", &[]), 400);
        assert_eq!(status("GET", &[("host", "127.0.0.1"), ("host", "127.0.0.1")]), 400);
    }

    #[test]
    fn changes_come_from_the_same_origin_or_from_no_browser() {
        for (headers, wanted) in [
            (vec![], 200),
            (vec![("origin", "http://127.0.0.1:9990")], 200),
            (vec![("origin", "http://127.0.0.1:9990"), ("sec-fetch-site", "same-origin")], 200),
            (vec![("origin", "http://127.0.0.1:8080")], 403),
            (vec![("origin", "http://evil.example.com")], 403),
            (vec![("origin", "null")], 403),
            (vec![("sec-fetch-site", "cross-site")], 403),
            (vec![("sec-fetch-site", "same-site")], 403),
            (vec![("sec-fetch-site", "none")], 200),
        ] {
            let all: Vec<_> = [("host", "127.0.0.1:9990")].into_iter().chain(headers.iter().copied()).collect();
            assert_eq!(status("POST", &all), wanted, "{headers:?}");
        }
    }
}
