//! `[routers.client]`: what holds for a bound path.

use std::num::NonZeroU32;
use std::time::Duration;

use waypost_naming::{Path, Pattern, Template};
use waypost_routing::{AccrualPolicy, BalancerKind, ClientTls, NoIdentity, TlsRule};

use super::{Set, defaults};

/// The policy of one bound path, with the place of each value.
#[derive(Clone, PartialEq, Debug)]
pub struct ClientPolicy {
    /// Time to have a usable connection, TLS included. Default 1 s.
    pub connect_timeout: Set<Option<Duration>>,
    /// From an attempt's start to its response's head. Default: none.
    pub attempt_timeout: Set<Option<Duration>>,
    /// What is spoken to endpoints.
    pub protocol: Set<Protocol>,
    /// How connections are protected; an error where the policy has no name for this bound path.
    pub tls: Set<Result<ClientTls, NoIdentity>>,
    /// How an endpoint is picked.
    pub balancer: Set<BalancerKind>,
    /// When an endpoint is left out, and for how long.
    pub accrual: Set<AccrualPolicy>,
    /// Connections to an endpoint.
    pub pool: Set<Pool>,
    /// HTTP/2 streams of a connection at one time. Default 100.
    pub max_concurrent_streams: Set<u32>,
    /// Replaces `Host`. Default: it goes on as it came.
    pub host: Set<Option<String>>,
    /// Send no context headers: for endpoints outside the mesh. Default false.
    pub strip_context: Set<bool>,
}

/// What is spoken to endpoints.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Protocol {
    /// Over TLS the endpoint chooses between HTTP/2 and HTTP/1.1; in clear text as the request came. The default.
    Auto,
    /// As the request came.
    Match,
    /// HTTP/1.1.
    Http1,
    /// HTTP/2.
    Http2,
}

/// Connections to an endpoint; the limits hold for the process.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Pool {
    /// Connections per endpoint. Default 1,024.
    pub max_connections: NonZeroU32,
    /// Requests that may wait for a connection. Default 1,024.
    pub max_waiters: u32,
    /// Time without a request after which a connection is closed. Default 60 s.
    pub idle_timeout: Duration,
}

impl Default for ClientPolicy {
    fn default() -> Self {
        Self {
            connect_timeout: Set::default_of(Some(defaults::CONNECT_TIMEOUT.default)),
            attempt_timeout: Set::default_of(None),
            protocol: Set::default_of(Protocol::Auto),
            tls: Set::default_of(Ok(ClientTls::Clear)),
            balancer: Set::default_of(BalancerKind::Ewma),
            accrual: Set::default_of(defaults::ACCRUAL),
            pool: Set::default_of(Pool::default()),
            max_concurrent_streams: Set::default_of(defaults::CLIENT_STREAMS.default),
            host: Set::default_of(None),
            strip_context: Set::default_of(false),
        }
    }
}

impl Default for Pool {
    fn default() -> Self {
        Self {
            max_connections: defaults::POOL_CONNECTIONS.default,
            max_waiters: defaults::POOL_WAITERS.default,
            idle_timeout: defaults::POOL_IDLE_TIMEOUT.default,
        }
    }
}

/// The client policies of a router.
#[derive(Clone, Debug)]
pub struct ClientPolicies {
    /// `[routers.client]` itself first, then its `configs` in the order of the file.
    entries: Vec<Entry>,
}

#[derive(Clone, Debug)]
struct Entry {
    prefix: Pattern,
    connect_timeout: Option<Set<Option<Duration>>>,
    attempt_timeout: Option<Set<Option<Duration>>>,
    protocol: Option<Set<Protocol>>,
    tls: Option<Set<TlsRule>>,
    balancer: Option<Set<BalancerKind>>,
    accrual: Option<Set<AccrualPolicy>>,
    pool: Option<Set<Pool>>,
    max_concurrent_streams: Option<Set<u32>>,
    host: Option<Set<Option<Template>>>,
    strip_context: Option<Set<bool>>,
}

impl ClientPolicies {
    /// All entries whose prefix matches, in order, later ones over earlier ones, key by key; templates are filled with
    /// the captures of their own entry.
    pub fn for_bound(&self, bound: &Path) -> ClientPolicy {
        let mut policy = ClientPolicy::default();
        for entry in &self.entries {
            let Some(captures) = entry.prefix.matches(bound) else { continue };
            entry.connect_timeout.iter().for_each(|value| policy.connect_timeout.clone_from(value));
            entry.attempt_timeout.iter().for_each(|value| policy.attempt_timeout.clone_from(value));
            entry.protocol.iter().for_each(|value| policy.protocol.clone_from(value));
            entry.balancer.iter().for_each(|value| policy.balancer.clone_from(value));
            entry.accrual.iter().for_each(|value| policy.accrual.clone_from(value));
            entry.pool.iter().for_each(|value| policy.pool.clone_from(value));
            entry.max_concurrent_streams.iter().for_each(|value| policy.max_concurrent_streams.clone_from(value));
            entry.strip_context.iter().for_each(|value| policy.strip_context.clone_from(value));
            if let Some(rule) = &entry.tls {
                policy.tls = Set { value: rule.value.client_tls(bound, &captures), from: rule.from.clone() };
            }
            if let Some(host) = &entry.host {
                let filled = host.value.as_ref().map(|template| template.fill(&captures));
                policy.host = Set { value: filled, from: host.from.clone() };
            }
        }
        policy
    }
}
