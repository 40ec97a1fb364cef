//! `Forwarded`, `X-Forwarded-*` and `X-Real-IP`: what endpoints are told of the client, and by whom.
//!
//! Behind the hop-by-hop fields: a `Connection: x-forwarded-for` takes off what a client said, and not what we say.

use std::fmt::Write as _;
use std::net::IpAddr;

use http::header::{FORWARDED, HOST};
use http::{HeaderMap, HeaderName, HeaderValue};

use crate::config::{Fields, Forwarding};

/// Does with the fields as the server is configured. `client` is whom the connection is from, as far as that is known.
pub fn forward(forwarding: Forwarding, headers: &mut HeaderMap, client: IpAddr, tls: bool) {
    match forwarding {
        Forwarding::Pass => {}
        Forwarding::Drop => remove(headers),
        Forwarding::Append(fields) => tell(headers, client.to_canonical(), tls, fields),
        Forwarding::Set(fields) => {
            remove(headers);
            tell(headers, client.to_canonical(), tls, fields);
        }
    }
}

fn remove(headers: &mut HeaderMap) {
    let ours = |name: &HeaderName| name.as_str().starts_with("x-forwarded-") || name == FORWARDED || name == X_REAL_IP;
    let names: Vec<HeaderName> = headers.keys().filter(|name| ours(name)).cloned().collect();
    for name in names {
        headers.remove(name);
    }
}

fn tell(headers: &mut HeaderMap, client: IpAddr, tls: bool, fields: Fields) {
    let scheme = if tls { "https" } else { "http" };
    let host = headers.get(HOST).cloned();
    if fields.forwarded {
        let mut element = match client {
            IpAddr::V4(client) => format!("for={client}"),
            IpAddr::V6(client) => format!("for=\"[{client}]\""),
        };
        if let Some(host) = host.as_ref().and_then(|host| host.to_str().ok()) {
            // A valid Host needs no escapes, but quotes around its colons (RFC 7239 section 4).
            let quote =
                if host.contains(|c: char| !c.is_ascii_alphanumeric() && !"-.".contains(c)) { "\"" } else { "" };
            let _ = write!(element, ";host={quote}{host}{quote}");
        }
        let _ = write!(element, ";proto={scheme}");
        append(headers, &FORWARDED, &element);
    }
    if fields.x_forwarded {
        append(headers, &X_FORWARDED_FOR, &client.to_string());
        // The first proxy knew better.
        headers.entry(X_FORWARDED_PROTO).or_insert(HeaderValue::from_static(scheme));
        if let Some(host) = host {
            headers.entry(X_FORWARDED_HOST).or_insert(host);
        }
    }
}

/// Adds an element to a list; all of it in one line, since many readers look at the first alone.
fn append(headers: &mut HeaderMap, name: &HeaderName, element: &str) {
    let mut list = Vec::new();
    for value in headers.get_all(name) {
        list.extend_from_slice(value.as_bytes());
        list.extend_from_slice(b", ");
    }
    list.extend_from_slice(element.as_bytes());
    if let Ok(list) = HeaderValue::try_from(list) {
        headers.insert(name, list);
    }
}

static X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
static X_REAL_IP: HeaderName = HeaderName::from_static("x-real-ip");

#[cfg(test)]
mod tests {
    use super::*;

    const X: Fields = Fields { x_forwarded: true, forwarded: false };
    const BOTH: Fields = Fields { x_forwarded: true, forwarded: true };

    fn after(forwarding: Forwarding, came: &[(&'static str, &'static str)], client: &str, tls: bool) -> Vec<String> {
        let mut headers = HeaderMap::new();
        for (name, value) in came {
            headers.append(*name, HeaderValue::from_static(value));
        }
        forward(forwarding, &mut headers, client.parse().expect("an address"), tls);
        let mut lines: Vec<String> =
            headers.iter().map(|(name, value)| format!("{name}: {}", value.to_str().expect("text"))).collect();
        lines.sort();
        lines
    }

    const CAME: [(&str, &str); 6] = [
        ("host", "users"),
        ("x-forwarded-for", "192.0.2.1"),
        ("x-forwarded-for", "198.51.100.2"),
        ("x-forwarded-proto", "https"),
        ("forwarded", "for=192.0.2.1"),
        ("x-real-ip", "192.0.2.1"),
    ];

    #[test]
    fn what_came_passes_or_does_not() {
        assert_eq!(after(Forwarding::Pass, &CAME, "10.0.0.1", false).len(), CAME.len());
        assert_eq!(after(Forwarding::Drop, &CAME, "10.0.0.1", false), ["host: users"]);
    }

    #[test]
    fn a_hop_is_added_behind_those_before_it() {
        assert_eq!(
            after(Forwarding::Append(BOTH), &CAME, "10.0.0.1", false),
            [
                "forwarded: for=192.0.2.1, for=10.0.0.1;host=users;proto=http",
                "host: users",
                "x-forwarded-for: 192.0.2.1, 198.51.100.2, 10.0.0.1",
                "x-forwarded-host: users",
                "x-forwarded-proto: https",
                "x-real-ip: 192.0.2.1",
            ]
        );
    }

    #[test]
    fn a_hop_alone_is_told() {
        assert_eq!(
            after(Forwarding::Set(X), &CAME, "::ffff:10.0.0.1", true),
            ["host: users", "x-forwarded-for: 10.0.0.1", "x-forwarded-host: users", "x-forwarded-proto: https"]
        );
        let came = [("host", "users:8080")];
        let set = Forwarding::Set(Fields { x_forwarded: false, forwarded: true });
        assert_eq!(
            after(set, &came, "2001:db8::1", true),
            ["forwarded: for=\"[2001:db8::1]\";host=\"users:8080\";proto=https", "host: users:8080"]
        );
    }
}
