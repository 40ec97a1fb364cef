//! Who calls a server: by a name that a verified client certificate proves, or by a network. The words of
//! `overrides.allow` and of `authorize`.

use std::fmt;
use std::net::IpAddr;

use super::lint::Lint;
use super::raw::{Item, Reader};
use crate::tls::PeerIdentity;

/// Some callers of a server.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Caller {
    /// A URI name of the verified client certificate, byte for byte.
    Uri(String),
    /// Any URI name below this one, which ends in `/`.
    UriBelow(String),
    /// A DNS name of the verified client certificate, lower case; `*.` stands for exactly one label.
    DnsPattern(String),
    /// A network that the caller's address is in: its address and the length of its prefix.
    Net(IpAddr, u8),
}

impl Caller {
    /// One of those who may override the dtab; `verified`: the server knows who its callers are.
    pub(super) fn read(item: &Item<'_>, verified: bool, reader: &mut Reader<'_>) -> Option<Self> {
        let text = item.text(reader)?;
        let caller = Self::parse(text);
        match &caller {
            None => {
                let hint =
                    "a URI (spiffe://... or spiffe://.../*), a DNS name (*.ops.example.com) or a network (10.0.0.0/8)";
                reader.error_hint("bad-value", item.value, format!("`{text}` names no caller"), hint);
            }
            Some(Self::Uri(_) | Self::UriBelow(_) | Self::DnsPattern(_)) if !verified => {
                let hint = "a name is taken from a verified client certificate: set `tls.client_ca`";
                reader.warning(
                    Lint::UnverifiableName,
                    item.value,
                    format!("no caller of this server is ever `{text}`"),
                    hint,
                );
            }
            Some(Self::Uri(_) | Self::UriBelow(_) | Self::DnsPattern(_) | Self::Net(..)) => {}
        }
        caller
    }

    /// One of those that `authorize` lets in: an address proves nothing, so networks are none.
    pub(super) fn authorized(item: &Item<'_>, reader: &mut Reader<'_>) -> Option<Self> {
        let text = item.text(reader)?;
        let hint = "a URI (spiffe://prod/web or spiffe://prod/*) or a DNS name (*.ops.example.com)";
        match Self::parse(text) {
            Some(Self::Net(..)) => {
                let message =
                    format!("`{text}` is a network, and `authorize` is about names that a certificate proves");
                reader.error_hint("bad-value", item.value, message, hint);
                None
            }
            None => {
                reader.error_hint("bad-value", item.value, format!("`{text}` names no caller"), hint);
                None
            }
            caller => caller,
        }
    }

    /// A network, or one address.
    pub(super) fn network(item: &Item<'_>, hint: &str, reader: &mut Reader<'_>) -> Option<Self> {
        let text = item.text(reader)?;
        let caller = Self::parse(text).filter(|caller| matches!(caller, Self::Net(..)));
        if caller.is_none() {
            reader.error_hint("bad-value", item.value, format!("`{text}` is no address and no network"), hint);
        }
        caller
    }

    fn parse(text: &str) -> Option<Self> {
        if text.contains("://") {
            return match text.strip_suffix('*') {
                None => (!text.contains('*')).then(|| Self::Uri(text.to_owned())),
                Some(below) => (below.ends_with('/') && !below.contains('*')).then(|| Self::UriBelow(below.to_owned())),
            };
        }
        if let Ok(ip) = text.parse::<IpAddr>() {
            return Some(Self::Net(ip, if ip.is_ipv4() { 32 } else { 128 }));
        }
        if let Some((ip, length)) = text.split_once('/') {
            let (ip, length) = (ip.parse::<IpAddr>().ok()?, length.parse::<u8>().ok()?);
            let longest = if ip.is_ipv4() { 32 } else { 128 };
            return (length <= longest).then_some(Self::Net(ip, length));
        }
        let labels = text.strip_prefix("*.").unwrap_or(text);
        let fine = |label: &str| {
            !label.is_empty() && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
        };
        labels.split('.').all(fine).then(|| Self::DnsPattern(text.to_ascii_lowercase()))
    }

    /// Whether a caller at `peer`, with this verified identity if any, is one of these.
    pub fn is(&self, peer: IpAddr, identity: Option<&PeerIdentity>) -> bool {
        let has_uri = |fits: &dyn Fn(&str) -> bool| identity.is_some_and(|own| own.uris.iter().any(|uri| fits(uri)));
        match self {
            Self::Uri(wanted) => has_uri(&|uri| uri == wanted),
            Self::UriBelow(parent) => has_uri(&|uri| is_below(parent, uri)),
            Self::DnsPattern(pattern) => {
                identity.is_some_and(|own| own.dns.iter().any(|name| dns_matches(pattern, name)))
            }
            Self::Net(network, length) => in_network(peer, *network, *length),
        }
    }
}

impl fmt::Display for Caller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Uri(name) | Self::DnsPattern(name) => f.write_str(name),
            Self::UriBelow(parent) => write!(f, "{parent}*"),
            Self::Net(ip, length) => write!(f, "{ip}/{length}"),
        }
    }
}

/// Whether `uri` is `parent`, which ends in `/`, and something after it. A path with `..` in it, or with nothing
/// between two slashes, is below nobody: a service could take it for another one (a SPIFFE ID never has these).
fn is_below(parent: &str, uri: &str) -> bool {
    let rest = uri.strip_prefix(parent);
    rest.is_some_and(|rest| rest.split('/').all(|segment| !matches!(segment, "" | "." | "..")))
}

/// Whether a pattern of DNS names, `*.` for exactly one label, is for `name`.
pub(super) fn dns_matches(pattern: &str, name: &str) -> bool {
    match pattern.strip_prefix("*.") {
        None => pattern.eq_ignore_ascii_case(name),
        Some(parent) => {
            name.split_once('.').is_some_and(|(label, rest)| !label.is_empty() && rest.eq_ignore_ascii_case(parent))
        }
    }
}

/// A caller on a `::` listener shows an IPv4 address as `::ffff:a.b.c.d`: both spellings are one address here.
fn in_network(peer: IpAddr, network: IpAddr, length: u8) -> bool {
    let (peer, network, width) = match (peer.to_canonical(), network) {
        (IpAddr::V4(peer), IpAddr::V4(network)) => (u32::from(peer).into(), u32::from(network).into(), 32),
        (IpAddr::V6(peer), IpAddr::V6(network)) => (u128::from(peer), u128::from(network), 128_u32),
        (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => return false,
    };
    let host_bits = width.saturating_sub(u32::from(length));
    (peer ^ network).checked_shr(host_bits).unwrap_or(0) == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_hold_addresses_in_either_spelling() {
        for (caller, peer, expected) in [
            ("10.0.0.0/8", "10.255.0.1", true),
            ("10.0.0.0/8", "11.0.0.1", false),
            ("10.0.0.0/8", "::ffff:10.0.0.1", true),
            ("10.0.0.1", "10.0.0.1", true),
            ("10.0.0.1", "10.0.0.2", false),
            ("0.0.0.0/0", "192.0.2.1", true),
            ("0.0.0.0/0", "2001:db8::1", false),
            ("::/0", "2001:db8::1", true),
            ("2001:db8::/32", "2001:db8:1::1", true),
            ("2001:db8::/32", "2001:db9::1", false),
        ] {
            assert_eq!(Caller::parse(caller).unwrap().is(peer.parse().unwrap(), None), expected, "{peer} in {caller}");
        }
    }

    #[test]
    fn names_come_from_the_verified_certificate_only() {
        let peer: IpAddr = "192.0.2.1".parse().unwrap();
        let identity = PeerIdentity {
            uris: vec!["spiffe://example.com/ops".to_owned()],
            dns: vec!["Web.ops.example.com".to_owned()],
            common_name: Some("root.ops.example.com".to_owned()),
            ..PeerIdentity::default()
        };
        for (caller, expected) in [
            ("spiffe://example.com/ops", true),
            ("spiffe://example.com/op", false),
            ("spiffe://example.com/*", true),
            ("spiffe://example.com/ops/*", false),
            ("spiffe://example/*", false),
            ("*.ops.example.com", true),
            ("web.ops.example.com", true),
            ("*.example.com", false),
            ("root.ops.example.com", false),
        ] {
            let found = Caller::parse(caller).unwrap();
            assert_eq!(found.is(peer, Some(&identity)), expected, "{caller}");
            assert!(!found.is(peer, None), "{caller} without a certificate");
            assert_eq!(found.to_string(), caller);
        }
    }

    #[test]
    fn below_a_uri_is_what_has_plain_segments_after_it() {
        for (uri, expected) in [
            ("spiffe://prod/web", true),
            ("spiffe://prod/ns/web", true),
            ("spiffe://prod/", false),
            ("spiffe://prod", false),
            ("spiffe://production/web", false),
            ("spiffe://prod/../test/web", false),
            ("spiffe://prod//web", false),
        ] {
            assert_eq!(is_below("spiffe://prod/", uri), expected, "{uri}");
        }
    }

    #[test]
    fn what_names_nobody_is_no_caller() {
        let wrong = ["", "*", "*.", "a..b", "10.0.0.0/33", "10.0.0/8", "::/129", "ops@example.com"];
        for text in wrong.into_iter().chain(["spiffe://prod*", "spiffe://*/web", "spiffe://prod/w*b", "spiffe://*/*"]) {
            assert_eq!(Caller::parse(text), None, "{text}");
        }
    }
}
