//! `[[routers.servers]]`: one listening address and what it takes from its callers.

use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use waypost_naming::Place;
use waypost_routing::TlsVersion;

use super::caller::Caller;
use super::defaults;
use super::forwarded::{self, Forwarding};
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
    /// TLS handshakes under way, over all workers; further connections wait to be accepted. Default 1,024.
    pub max_pending_handshakes: NonZeroU32,
    /// Time for a request's head, and for the TLS handshake. Default 10 s.
    pub head_timeout: Duration,
    /// Time without a request after which a connection is closed. Default 60 s.
    pub idle_timeout: Duration,
    /// Time in which too little of a request's body comes, before its response begins. Default 30 s.
    pub body_timeout: Option<Duration>,
    /// Time in which a client takes nothing of what is sent to it. Default 60 s.
    pub write_timeout: Option<Duration>,
    /// Bytes of a request's head. Default 64 KiB.
    pub max_head_bytes: u32,
    /// Header fields of a request. Default 100.
    pub max_headers: u32,
    /// Remove every context and user header that comes in. Default false.
    pub clear_context: bool,
    /// Whose `l5d-dtab` is followed. Default: anybody's on a loopback address, nobody's elsewhere.
    pub overrides: Overrides,
    /// Whose requests are served, by verified names. Default: everybody's.
    pub authorize: Option<Vec<Caller>>,
    /// Whose context headers are taken. Default: trusted peers'.
    pub context: ContextFrom,
    /// HTTP/2 streams of a connection at one time. Default 100.
    pub max_concurrent_streams: u32,
    /// Proxies in `Via` above which a request is taken to go round in circles. Default 100.
    pub max_call_depth: u32,
    /// Bytes of a request's body. Default: no limit.
    pub max_body_bytes: Option<u64>,
    /// Protocols that a request may ask for in place of HTTP, lower case. Default: websocket.
    pub upgrades: Vec<String>,
    /// Connections and streams that speak one of these, over all workers. Default 10,000.
    pub max_tunnels: Option<NonZeroU32>,
    /// Time in which nothing moves in a tunnel, after which it is closed. Default 1 h.
    pub tunnel_idle_timeout: Option<Duration>,
    /// The peers that tell by the PROXY protocol whom they speak for. Default: nobody.
    pub proxy_protocol: Vec<Caller>,
    /// What becomes of `Forwarded` and its like. Default: they pass.
    pub forwarded: Forwarding,
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
        let verified = match &tls {
            None => false,
            Some(Some((tls, _))) => tls.client_ca.is_some(),
            Some(None) => true, // what is wrong with it was said
        };
        let max_requests = section.take("max_concurrent_requests");
        let max_connections = section.take("max_connections");
        let max_body_bytes = section.take("max_body_bytes");
        let context = section.take("context");
        let upgrades = section.take("upgrades");
        let max_tunnels = section.take("max_tunnels");
        let proxy_protocol = forwarded::proxy_protocol(&mut section, reader);
        let read = Self {
            forwarded: Forwarding::read(&mut section, reader),
            ip,
            port: port.unwrap_or_default(),
            max_concurrent_requests: max_requests.and_then(|item| item.limit(defaults::MAX_REQUESTS, reader)).flatten(),
            max_connections: max_connections
                .and_then(|item| item.limit(defaults::MAX_CONNECTIONS.bounds, reader))
                .unwrap_or(Some(defaults::MAX_CONNECTIONS.default)),
            head_timeout: section.duration("head_timeout", defaults::HEAD_TIMEOUT, reader),
            idle_timeout: section.duration("idle_timeout", defaults::IDLE_TIMEOUT, reader),
            body_timeout: section.time_out("body_timeout", defaults::BODY_TIMEOUT, reader),
            write_timeout: section.time_out("write_timeout", defaults::WRITE_TIMEOUT, reader),
            max_head_bytes: section.size("max_head_bytes", defaults::MAX_HEAD_BYTES, reader),
            max_headers: section.integer("max_headers", defaults::MAX_HEADERS, reader),
            clear_context: section.flag("clear_context", false, reader),
            overrides: overrides(&mut section, ip.is_loopback() && proxy_protocol.is_empty(), verified, reader),
            proxy_protocol,
            context: context.and_then(|item| CONTEXT.named_by(&item, reader)).unwrap_or(ContextFrom::Trusted),
            max_concurrent_streams: http2_streams(&mut section, reader),
            max_call_depth: section.integer("max_call_depth", defaults::MAX_CALL_DEPTH, reader),
            max_pending_handshakes: section.count("max_pending_handshakes", defaults::PENDING_HANDSHAKES, reader),
            authorize: authorize(&mut section, verified, reader),
            max_body_bytes: max_body_bytes
                .filter(|item| !item.is_off())
                .and_then(|item| item.size(defaults::MAX_BODY_BYTES, reader)),
            upgrades: upgrades
                .and_then(|item| protocols(&item, reader))
                .unwrap_or_else(|| vec![defaults::UPGRADES.to_owned()]),
            max_tunnels: max_tunnels
                .and_then(|item| item.limit(defaults::MAX_TUNNELS.bounds, reader))
                .unwrap_or(Some(defaults::MAX_TUNNELS.default)),
            tunnel_idle_timeout: section.time_out("tunnel_idle_timeout", defaults::TUNNEL_IDLE_TIMEOUT, reader),
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

    /// Whether a caller's requests are served: everybody's, or those of the callers that `authorize` names.
    pub fn authorizes(&self, peer: IpAddr, identity: Option<&PeerIdentity>) -> bool {
        self.authorize.as_ref().is_none_or(|callers| callers.iter().any(|caller| caller.is(peer, identity)))
    }

    /// Whether a peer at `peer` begins with a header of the PROXY protocol.
    pub fn is_introduced_by(&self, peer: IpAddr) -> bool {
        self.proxy_protocol.iter().any(|balancer| balancer.is(peer, None))
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
    /// Certificates and their keys for callers who ask for one of their names by SNI.
    pub certificates: Vec<(PathBuf, PathBuf)>,
    /// Present: client certificates are verified.
    pub client_ca: Option<PathBuf>,
    /// Revocation lists for client certificates.
    pub crls: Vec<PathBuf>,
    /// The allowed versions, never empty.
    pub protocols: Vec<TlsVersion>,
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
    List(Vec<Caller>),
}

impl Overrides {
    /// Whether a caller at `peer`, with this verified identity if any, may override the dtab.
    pub fn allows(&self, peer: IpAddr, identity: Option<&PeerIdentity>) -> bool {
        match self {
            Self::Any => true,
            Self::None => false,
            Self::List(callers) => callers.iter().any(|caller| caller.is(peer, identity)),
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

/// `upgrades`: tokens, in lower case.
fn protocols(item: &Item<'_>, reader: &mut Reader<'_>) -> Option<Vec<String>> {
    let mut protocols = Vec::new();
    for item in item.list(reader)? {
        let protocol = item.text(reader)?.to_ascii_lowercase();
        let token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~/".contains(&byte);
        if protocol.is_empty() || protocol.len() > 64 || !protocol.bytes().all(token) {
            reader.error("bad-value", item.value, "a protocol is a word, such as websocket");
        } else if protocol == "h2c" || protocol.starts_with("http") {
            let hint = "HTTP/2 in clear text is spoken with prior knowledge, on the same port";
            reader.error_hint("bad-value", item.value, "requests in a tunnel would be judged by nobody", hint);
        } else {
            protocols.push(protocol);
        }
    }
    Some(protocols)
}

/// `authorize`; `verified`: the server knows who its callers are.
fn authorize(section: &mut Section<'_>, verified: bool, reader: &mut Reader<'_>) -> Option<Vec<Caller>> {
    let item = section.take("authorize")?;
    if !verified {
        let hint = "name the CA of the clients: tls.client_ca = \"ca.pem\"";
        reader.error_hint("missing-key", item.key, "`authorize` without `tls.client_ca`: nobody proves a name", hint);
    }
    let items = item.list(reader)?;
    if items.is_empty() {
        let hint = "name who may: [\"spiffe://prod/*\", \"*.ops.example.com\"]; leave it out for everybody";
        reader.error_hint("bad-value", item.value, "an empty `authorize` lets nobody in", hint);
    }
    Some(items.iter().filter_map(|item| Caller::authorized(item, reader)).collect())
}

/// `overrides.allow`; `local`: only callers of this machine come; `verified`: the server knows who its callers are.
fn overrides(section: &mut Section<'_>, local: bool, verified: bool, reader: &mut Reader<'_>) -> Overrides {
    let default = if local { Overrides::Any } else { Overrides::None };
    let Some(mut table) = section.take("overrides").and_then(|item| item.section(reader)) else { return default };
    let allow = table.take("allow");
    table.finish(reader);
    let Some(item) = allow else { return default };
    if item.is_list() {
        let items = item.list(reader).unwrap_or_default();
        let callers = items.iter().filter_map(|item| Caller::read(item, verified, reader)).collect();
        return Overrides::List(callers);
    }
    match item.as_text() {
        Some("any") => {
            if !local {
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

const CONTEXT: Kinds<ContextFrom> = Kinds {
    of: "source of context",
    known: &[Kind::new("trusted", &[], ContextFrom::Trusted), Kind::new("any", &[], ContextFrom::Any)],
    not_yet: &[],
};
