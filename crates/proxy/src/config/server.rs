//! `[[routers.servers]]`: one listening address and what it takes from its callers.

use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use waypost_naming::Place;

use crate::tls::{PeerIdentity, ServerMaterial};

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

fn dns_matches(pattern: &str, name: &str) -> bool {
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
