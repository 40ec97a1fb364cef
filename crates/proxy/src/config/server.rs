//! `[[routers.servers]]`: one listening address and what it takes from its callers.

use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use waypost_naming::Place;

use super::defaults;
use super::kinds::{Kind, Kinds};
use super::lint::{Certificate, Lint, Listener, Open};
use super::raw::{Item, Reader, Section};
use super::tls;
use super::values::OFF;
use crate::tls::{Materials, PeerIdentity, ServerMaterial};

/// One server of a router.
#[derive(Clone, Debug)]
pub struct ServerConfig {
    /// Default 127.0.0.1; `::` takes both families.
    pub ip: IpAddr,
    /// 0 lets the system choose.
    pub port: u16,
    /// Absent: clear text.
    pub tls: Option<ServerTls>,
    /// Requests in flight, over all workers. Default: no limit.
    pub max_concurrent_requests: Option<NonZeroU32>,
    /// Open connections, over all workers. Default 10,000.
    pub max_connections: Option<NonZeroU32>,
    /// Time for a request's head, and for the TLS handshake. Default 10 s.
    pub head_timeout: Duration,
    /// Time without a request after which a connection is closed. Default 60 s.
    pub idle_timeout: Duration,
    /// Bytes of a request's head. Default 64 KiB.
    pub max_head_bytes: u32,
    /// Header fields of a request. Default 100.
    pub max_headers: u32,
    /// Remove every context and user header that comes in. Default false.
    pub clear_context: bool,
    /// Whose `l5d-dtab` is followed. Default: anybody's on a loopback address, nobody's elsewhere.
    pub overrides: Overrides,
    /// Whose context headers are taken. Default: trusted peers'.
    pub context: ContextFrom,
    /// HTTP/2 streams of a connection at one time. Default 100.
    pub max_concurrent_streams: u32,
    /// Proxies in `Via` above which a request is taken to go round in circles. Default 100.
    pub max_call_depth: u32,
    /// Bytes of a request's body. Default: no limit.
    pub max_body_bytes: Option<u64>,
    /// The section's place, for errors of the listener.
    pub from: Place,
}

impl ServerConfig {
    /// One `[[routers.servers]]`, with what others may know of it; nothing where it has no port or no usable TLS.
    pub(super) fn read(
        mut section: Section<'_>,
        materials: &mut Materials,
        reader: &mut Reader<'_>,
    ) -> Option<(Self, Listener)> {
        let span = section.span();
        let from = reader.place(span.start);
        let ip = section.ip("ip", defaults::LOOPBACK, reader);
        let port = section.require("port", reader).and_then(|item| item.port(reader));
        let tls = section.take("tls").map(|item| tls::server(&item, materials, reader));
        let verified = matches!(&tls, Some(Some((tls, _))) if tls.client_ca.is_some());
        let max_requests = section.take("max_concurrent_requests");
        let max_connections = section.take("max_connections");
        let max_body_bytes = section.take("max_body_bytes");
        let context = section.take("context");
        let read = Self {
            ip,
            port: port.unwrap_or_default(),
            max_concurrent_requests: max_requests.and_then(|item| item.limit(defaults::MAX_REQUESTS, reader)).flatten(),
            max_connections: max_connections
                .and_then(|item| item.limit(defaults::MAX_CONNECTIONS.bounds, reader))
                .unwrap_or(Some(defaults::MAX_CONNECTIONS.default)),
            head_timeout: section.duration("head_timeout", defaults::HEAD_TIMEOUT, reader),
            idle_timeout: section.duration("idle_timeout", defaults::IDLE_TIMEOUT, reader),
            max_head_bytes: section.size("max_head_bytes", defaults::MAX_HEAD_BYTES, reader),
            max_headers: section.integer("max_headers", defaults::MAX_HEADERS, reader),
            clear_context: section.flag("clear_context", false, reader),
            overrides: overrides(&mut section, ip, verified, reader),
            context: context.and_then(|item| CONTEXT.named_by(&item, reader)).unwrap_or(ContextFrom::Trusted),
            max_concurrent_streams: http2_streams(&mut section, reader),
            max_call_depth: section.integer("max_call_depth", defaults::MAX_CALL_DEPTH, reader),
            max_body_bytes: max_body_bytes
                .filter(|item| !item.is_off())
                .and_then(|item| item.size(defaults::MAX_BODY_BYTES, reader)),
            tls: None,
            from,
        };
        section.finish(reader);
        port?;
        let (tls, certificate) = match tls {
            None => (None, None),
            Some(tls) => tls.map(|(tls, span)| {
                let certificate = Certificate { span, file: tls.cert.clone(), material: Arc::clone(&tls.material) };
                (Some(tls), Some(certificate))
            })?,
        };
        let listener = Listener { address: read.address(), span, certificate };
        Some((Self { tls, ..read }, listener))
    }

    /// Whether some caller's rules (`l5d-dtab`, or `l5d-ctx-dtab` of another waypost) are followed.
    pub(super) fn is_open(&self) -> Open {
        let context = match self.context {
            ContextFrom::Any => true,
            ContextFrom::Trusted => {
                let verified = self.tls.as_ref().is_some_and(|tls| tls.client_ca.is_some());
                self.ip.is_loopback() || self.ip.is_unspecified() || verified
            }
        };
        let open = !self.clear_context && (self.overrides != Overrides::None || context);
        if open { Open::Yes } else { Open::No }
    }

    /// The address to listen on.
    pub const fn address(&self) -> SocketAddr {
        SocketAddr::new(self.ip, self.port)
    }
}

/// What a server shows to its callers, and what it wants from them.
#[derive(Clone, Debug)]
pub struct ServerTls {
    /// PEM, leaf first.
    pub cert: PathBuf,
    /// PKCS#8, PKCS#1 or SEC1.
    pub key: PathBuf,
    /// Present: client certificates are verified.
    pub client_ca: Option<PathBuf>,
    /// Default: true when `client_ca` is present.
    pub require_client_cert: bool,
    /// The content of these files.
    pub material: Arc<ServerMaterial>,
}

/// Whose context headers (`l5d-ctx-*`, `l5d-sample`, tracing) a server takes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ContextFrom {
    /// From loopback addresses and from peers whose client certificate was verified.
    Trusted,
    /// From anybody.
    Any,
}

/// Whose `l5d-dtab` a server follows.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Overrides {
    /// Anybody's.
    Any,
    /// Nobody's.
    None,
    /// That of callers one of these names.
    List(Vec<OverrideSource>),
}

/// One of those who may override the dtab.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum OverrideSource {
    /// A URI name of the verified client certificate, byte for byte.
    Uri(String),
    /// A DNS name of the verified client certificate, lower case; `*.` stands for exactly one label.
    DnsPattern(String),
    /// A network that the caller's address is in: its address and the length of its prefix.
    Net(IpAddr, u8),
}

impl Overrides {
    /// Whether a caller at `peer`, with this verified identity if any, may override the dtab.
    pub fn allows(&self, peer: IpAddr, identity: Option<&PeerIdentity>) -> bool {
        match self {
            Self::Any => true,
            Self::None => false,
            Self::List(sources) => sources.iter().any(|source| source.names(peer, identity)),
        }
    }
}

impl OverrideSource {
    fn read(item: &Item<'_>, verified: bool, reader: &mut Reader<'_>) -> Option<Self> {
        let text = item.text(reader)?;
        let source = Self::parse(text);
        match &source {
            None => {
                let hint = "a URI (spiffe://...), a DNS name (*.ops.example.com) or a network (10.0.0.0/8)";
                reader.error_hint("bad-value", item.value, format!("`{text}` names no caller"), hint);
            }
            Some(Self::Uri(_) | Self::DnsPattern(_)) if !verified => {
                let hint = "a name is taken from a verified client certificate: set `tls.client_ca`";
                reader.warning(
                    Lint::UnverifiableName,
                    item.value,
                    format!("no caller of this server is ever `{text}`"),
                    hint,
                );
            }
            Some(Self::Uri(_) | Self::DnsPattern(_) | Self::Net(..)) => {}
        }
        source
    }

    fn parse(text: &str) -> Option<Self> {
        if text.contains("://") {
            return Some(Self::Uri(text.to_owned()));
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

    fn names(&self, peer: IpAddr, identity: Option<&PeerIdentity>) -> bool {
        match self {
            Self::Uri(wanted) => identity.is_some_and(|identity| identity.uris.contains(wanted)),
            Self::DnsPattern(pattern) => {
                identity.is_some_and(|identity| identity.dns.iter().any(|name| dns_matches(pattern, name)))
            }
            Self::Net(network, length) => in_network(peer, *network, *length),
        }
    }
}

fn http2_streams(section: &mut Section<'_>, reader: &mut Reader<'_>) -> u32 {
    let http2 = section.take("http2").and_then(|item| item.section(reader));
    let Some(mut http2) = http2 else { return defaults::SERVER_STREAMS.default };
    let streams = http2.integer("max_concurrent_streams", defaults::SERVER_STREAMS, reader);
    http2.finish(reader);
    streams
}

/// `overrides.allow`; `verified`: the server knows who its callers are.
fn overrides(section: &mut Section<'_>, ip: IpAddr, verified: bool, reader: &mut Reader<'_>) -> Overrides {
    let default = if ip.is_loopback() { Overrides::Any } else { Overrides::None };
    let Some(mut table) = section.take("overrides").and_then(|item| item.section(reader)) else { return default };
    let allow = table.take("allow");
    table.finish(reader);
    let Some(item) = allow else { return default };
    if item.is_list() {
        let items = item.list(reader).unwrap_or_default();
        let sources = items.iter().filter_map(|item| OverrideSource::read(item, verified, reader)).collect();
        return Overrides::List(sources);
    }
    match item.as_text() {
        Some("any") => {
            if !ip.is_loopback() {
                let message = "anybody who can reach this server can send requests to any name of the dtab";
                let hint = "name who may: allow = [\"spiffe://...\", \"*.ops.example.com\", \"10.0.0.0/8\"]";
                reader.warning(Lint::OpenOverrides, item.value, message, hint);
            }
            Overrides::Any
        }
        Some(OFF) => Overrides::None,
        Some(_) | None => {
            let wanted = "\"any\", \"none\" or a list of names and networks";
            reader.error("bad-value", item.value, format!("`{}` must be {wanted}", item.name));
            default
        }
    }
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

const CONTEXT: Kinds<ContextFrom> = Kinds {
    of: "source of context",
    known: &[Kind::new("trusted", &[], ContextFrom::Trusted), Kind::new("any", &[], ContextFrom::Any)],
    not_yet: &[],
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_hold_addresses_in_either_spelling() {
        for (source, peer, expected) in [
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
            let overrides = Overrides::List(vec![OverrideSource::parse(source).unwrap()]);
            assert_eq!(overrides.allows(peer.parse().unwrap(), None), expected, "{peer} in {source}");
        }
    }

    #[test]
    fn names_come_from_the_verified_certificate_only() {
        let peer: IpAddr = "192.0.2.1".parse().unwrap();
        let identity = PeerIdentity {
            uris: vec!["spiffe://example.com/ops".to_owned()],
            dns: vec!["Web.ops.example.com".to_owned()],
            common_name: Some("root.ops.example.com".to_owned()),
        };
        for (source, expected) in [
            ("spiffe://example.com/ops", true),
            ("spiffe://example.com/op", false),
            ("*.ops.example.com", true),
            ("web.ops.example.com", true),
            ("*.example.com", false),
            ("root.ops.example.com", false),
        ] {
            let overrides = Overrides::List(vec![OverrideSource::parse(source).unwrap()]);
            assert_eq!(overrides.allows(peer, Some(&identity)), expected, "{source}");
            assert!(!overrides.allows(peer, None), "{source} without a certificate");
        }
    }

    #[test]
    fn what_names_nobody_is_no_source() {
        for text in ["", "*", "*.", "a..b", "10.0.0.0/33", "10.0.0/8", "::/129", "ops@example.com"] {
            assert_eq!(OverrideSource::parse(text), None, "{text}");
        }
    }
}
