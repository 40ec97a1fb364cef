//! Host texts: an IP address, or a name for DNS.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

/// Where an address comes from.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Host {
    /// It is one.
    Ip(IpAddr),
    /// DNS knows. Lower case.
    Name(Arc<str>),
}

/// Why a text is no host.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub(super) enum BadHost {
    /// Resolvers read `443` as the address 0.0.1.187, and it mostly is a port at the wrong place.
    #[error("a number is no host; are host and port in the right order?")]
    Number,
    #[error("it ends in a number and is no IPv4 address")]
    NotIpv4,
    #[error("a host name has letters, digits, `-`, `_` and dots only")]
    Character,
    #[error("a host name has labels of 1 to 63 characters, 253 in all")]
    Length,
}

impl Host {
    /// Reads an IP address (IPv6 also in brackets, IPv4 also as `127.1`) or a host name.
    pub(super) fn parse(text: &str) -> Result<Self, BadHost> {
        let unbracketed = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
        if let Ok(ip) = unbracketed.parse() {
            return Ok(Self::Ip(ip));
        }
        let name = text.strip_suffix('.').unwrap_or(text);
        if !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.')) {
            return Err(BadHost::Character);
        }
        if name.len() > 253 || name.split('.').any(|label| label.is_empty() || label.len() > 63) {
            return Err(BadHost::Length);
        }
        if !name.contains('.') && is_number(name) {
            return Err(BadHost::Number);
        }
        if name.rsplit('.').next().is_some_and(is_number) {
            return short_ipv4(name).map(|ip| Self::Ip(ip.into())).ok_or(BadHost::NotIpv4);
        }
        Ok(Self::Name(text.to_ascii_lowercase().into()))
    }
}

/// What resolvers take for a part of an IPv4 address, and so never ask DNS about.
fn is_number(label: &str) -> bool {
    let hex = label.strip_prefix("0x").or_else(|| label.strip_prefix("0X"));
    label.bytes().all(|byte| byte.is_ascii_digit())
        || hex.is_some_and(|digits| digits.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

/// `127.1` and `10.1.515`: linkerd's resolver takes them, and its documentation uses them. The last part fills what
/// is left. Decimal only: `0177.1` is 127.0.0.1 for some readers and 177.0.0.1 for others.
fn short_ipv4(text: &str) -> Option<Ipv4Addr> {
    let parts: Vec<&str> = text.split('.').collect();
    let (last, heads) = parts.split_last()?;
    if heads.is_empty() || heads.len() > 2 || parts.iter().any(|part| part.len() > 1 && part.starts_with('0')) {
        return None;
    }
    let mut bits: u32 = 0;
    for (head, shift) in heads.iter().zip([24, 16]) {
        bits |= u32::from(head.parse::<u8>().ok()?) << shift;
    }
    let last: u32 = last.parse().ok()?;
    let room = 8 * (4 - u32::try_from(heads.len()).ok()?);
    (last >> room == 0).then(|| Ipv4Addr::from(bits | last))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_addresses_or_names() {
        let ip = |text: &str| Ok(Host::Ip(text.parse().unwrap()));
        let name = |text: &str| Ok(Host::Name(text.into()));
        for (text, host) in [
            ("127.0.0.1", ip("127.0.0.1")),
            ("127.1", ip("127.0.0.1")),
            ("10.1.515", ip("10.1.2.3")),
            ("::1", ip("::1")),
            ("[::1]", ip("::1")),
            ("users", name("users")),
            ("Users.Example.COM", name("users.example.com")),
            ("users.example.com.", name("users.example.com.")),
            ("1.users", name("1.users")),
            ("8080", Err(BadHost::Number)),
            ("0x7f000001", Err(BadHost::Number)),
            ("1.2.3.4.5", Err(BadHost::NotIpv4)),
            ("1.2.3.256", Err(BadHost::NotIpv4)),
            ("127.0x1", Err(BadHost::NotIpv4)),
            ("0177.1", Err(BadHost::NotIpv4)),
            ("256.1", Err(BadHost::NotIpv4)),
            ("127.16777216", Err(BadHost::NotIpv4)),
            ("a..b", Err(BadHost::Length)),
            ("", Err(BadHost::Length)),
            (".", Err(BadHost::Length)),
            ("a b", Err(BadHost::Character)),
            ("bücher", Err(BadHost::Character)),
        ] {
            assert_eq!(Host::parse(text), host, "{text}");
        }
    }
}
