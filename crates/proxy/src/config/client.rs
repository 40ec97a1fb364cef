//! `[routers.client]`: what holds for a bound path.

use std::iter;
use std::num::NonZeroU32;
use std::time::Duration;

use serde_json::Value;
use waypost_naming::{Path, Pattern, Place, Template};
use waypost_routing::{AccrualPolicy, BalancerKind, ClientTls, NoIdentity, TlsRule};

use super::kinds::{Chosen, Kind, Kinds};
use super::lint::{Bounds, Overridden};
use super::raw::{Item, Reader, Section};
use super::tls::{self, Around};
use super::values::check_order;
use super::{Set, defaults, json};
use crate::tls::Materials;

/// The policy of one bound path, with the place of each value.
#[derive(Clone, PartialEq, Debug)]
pub struct ClientPolicy {
    /// Time to have a usable connection, TLS included. Default 1 s.
    pub connect_timeout: Set<Option<Duration>>,
    /// From an attempt's start to its response's head. Default: none.
    pub attempt_timeout: Set<Option<Duration>>,
    /// An endpoint that takes nothing of what is sent to it for so long is given up. Default 60 s.
    pub write_timeout: Set<Option<Duration>>,
    /// What is spoken to endpoints.
    pub protocol: Set<Protocol>,
    /// How connections are protected; an error where the policy has no name for this bound path.
    pub tls: Set<Result<ClientTls, NoIdentity>>,
    /// The entry of `names` that the TLS name is from, where it is from one.
    pub name_from: Option<Place>,
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
    /// Tell endpoints the caller's verified certificate, in `x-forwarded-client-cert`. Default false.
    pub forward_client_cert: Set<bool>,
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
            write_timeout: Set::default_of(Some(defaults::WRITE_TIMEOUT.default)),
            protocol: Set::default_of(Protocol::Auto),
            tls: Set::default_of(Ok(ClientTls::Clear)),
            name_from: None,
            balancer: Set::default_of(BalancerKind::Ewma),
            accrual: Set::default_of(defaults::ACCRUAL),
            pool: Set::default_of(Pool::default()),
            max_concurrent_streams: Set::default_of(defaults::CLIENT_STREAMS.default),
            host: Set::default_of(None),
            strip_context: Set::default_of(false),
            forward_client_cert: Set::default_of(false),
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

impl ClientPolicy {
    /// Where the file asks for the TLS identity: the entry of `names`, else `tls`.
    pub fn tls_from(&self) -> &Place {
        self.name_from.as_ref().unwrap_or(&self.tls.from)
    }

    /// Whether `other` asks for the same, wherever in the file that is written.
    pub fn same_values(&self, other: &Self) -> bool {
        self.connect_timeout.value == other.connect_timeout.value
            && self.attempt_timeout.value == other.attempt_timeout.value
            && self.write_timeout.value == other.write_timeout.value
            && self.protocol.value == other.protocol.value
            && self.tls.value == other.tls.value
            && self.balancer.value == other.balancer.value
            && self.accrual.value == other.accrual.value
            && self.pool.value == other.pool.value
            && self.max_concurrent_streams.value == other.max_concurrent_streams.value
            && self.host.value == other.host.value
            && self.strip_context.value == other.strip_context.value
            && self.forward_client_cert.value == other.forward_client_cert.value
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
    write_timeout: Option<Set<Option<Duration>>>,
    protocol: Option<Set<Protocol>>,
    tls: Option<Set<TlsRule>>,
    balancer: Option<Set<BalancerKind>>,
    accrual: Option<Set<AccrualPolicy>>,
    pool: Option<Set<Pool>>,
    max_concurrent_streams: Option<Set<u32>>,
    host: Option<Set<Template>>,
    strip_context: Option<Set<bool>>,
    forward_client_cert: Option<Set<bool>>,
}

impl ClientPolicies {
    /// `[routers.client]` with its `configs`.
    pub(super) fn read(
        item: Option<&Item<'_>>,
        bounds: &Bounds<'_>,
        materials: &mut Materials,
        reader: &mut Reader<'_>,
    ) -> Self {
        let Some(mut section) = item.and_then(|item| item.section(reader)) else {
            return Self { entries: Vec::new() };
        };
        let configs = section.take("configs").map(|item| item.sections(reader)).unwrap_or_default();
        let everywhere = Pattern::default();
        let mut overridden = Overridden::default();
        overridden.add(&everywhere, section.keys());
        let around = Around { prefix: &everywhere, bounds, materials };
        let mut entries = vec![Entry::read(section, around, reader)];
        for mut section in configs {
            let so_that = if section.has("tls") { ": its `tls` protects nothing" } else { "" };
            let prefix = section.require("prefix", reader);
            let prefix = prefix.and_then(|item| bounds.pattern_of(&item, so_that, reader));
            let prefix = prefix.unwrap_or_default();
            overridden.add(&prefix, section.keys());
            let around = Around { prefix: &prefix, bounds, materials };
            entries.push(Entry::read(section, around, reader));
        }
        overridden.report(reader);
        Self { entries }
    }

    /// All entries whose prefix matches, in order, later ones over earlier ones, key by key; templates are filled with
    /// the captures of their own entry.
    pub fn for_bound(&self, bound: &Path) -> ClientPolicy {
        let mut policy = ClientPolicy::default();
        for entry in &self.entries {
            let Some(captures) = entry.prefix.matches(bound) else { continue };
            entry.connect_timeout.iter().for_each(|value| policy.connect_timeout.clone_from(value));
            entry.attempt_timeout.iter().for_each(|value| policy.attempt_timeout.clone_from(value));
            entry.write_timeout.iter().for_each(|value| policy.write_timeout.clone_from(value));
            entry.protocol.iter().for_each(|value| policy.protocol.clone_from(value));
            entry.balancer.iter().for_each(|value| policy.balancer.clone_from(value));
            entry.accrual.iter().for_each(|value| policy.accrual.clone_from(value));
            entry.pool.iter().for_each(|value| policy.pool.clone_from(value));
            entry.max_concurrent_streams.iter().for_each(|value| policy.max_concurrent_streams.clone_from(value));
            entry.strip_context.iter().for_each(|value| policy.strip_context.clone_from(value));
            entry.forward_client_cert.iter().for_each(|value| policy.forward_client_cert.clone_from(value));
            if let Some(rule) = &entry.tls {
                policy.name_from = rule.value.name_from(bound).cloned();
                policy.tls = Set { value: rule.value.client_tls(bound, &captures), from: rule.from.clone() };
            }
            if let Some(host) = &entry.host {
                policy.host = Set { value: Some(host.value.fill(&captures)), from: host.from.clone() };
            }
        }
        policy
    }

    /// All names that endpoints are asked for: the prefix of their bound paths, the name, and the rule that has both.
    pub fn tls_names(&self) -> impl Iterator<Item = (&Pattern, &Template, &TlsRule)> {
        let rules = self.entries.iter().filter_map(|entry| Some((&entry.prefix, &entry.tls.as_ref()?.value)));
        rules.flat_map(|(prefix, rule)| rule.names(prefix).into_iter().map(move |(prefix, name)| (prefix, name, rule)))
    }

    /// What holds without any entry, then each entry with what it sets.
    pub(super) fn to_json(&self) -> Value {
        iter::once(Entry::defaults()).chain(self.entries.iter().cloned()).map(|entry| entry.to_json()).collect()
    }
}

impl Entry {
    fn defaults() -> Self {
        let policy = ClientPolicy::default();
        Self {
            prefix: Pattern::default(),
            connect_timeout: Some(policy.connect_timeout),
            attempt_timeout: Some(policy.attempt_timeout),
            write_timeout: Some(policy.write_timeout),
            protocol: Some(policy.protocol),
            tls: Some(Set::default_of(TlsRule::None)),
            balancer: Some(policy.balancer),
            accrual: Some(policy.accrual),
            pool: Some(policy.pool),
            max_concurrent_streams: Some(policy.max_concurrent_streams),
            host: None,
            strip_context: Some(policy.strip_context),
            forward_client_cert: Some(policy.forward_client_cert),
        }
    }

    fn to_json(&self) -> Value {
        json::entry(
            &self.prefix,
            [
                ("connect_timeout", self.connect_timeout.as_ref().map(|set| json::time_out(set.value))),
                ("attempt_timeout", self.attempt_timeout.as_ref().map(|set| json::time_out(set.value))),
                ("write_timeout", self.write_timeout.as_ref().map(|set| json::time_out(set.value))),
                ("protocol", self.protocol.as_ref().map(|set| set.value.kind().into())),
                ("tls", self.tls.as_ref().map(|set| json::tls(&set.value))),
                ("balancer", self.balancer.as_ref().map(|set| json::balancer(set.value).into())),
                ("accrual", self.accrual.as_ref().map(|set| json::accrual(&set.value))),
                ("pool", self.pool.as_ref().map(|set| json::pool(&set.value))),
                ("max_concurrent_streams", self.max_concurrent_streams.as_ref().map(|set| set.value.into())),
                ("host", self.host.as_ref().map(|set| set.value.to_string().into())),
                ("strip_context", self.strip_context.as_ref().map(|set| set.value.into())),
                ("forward_client_cert", self.forward_client_cert.as_ref().map(|set| set.value.into())),
            ],
        )
    }

    fn read(mut section: Section<'_>, mut around: Around<'_>, reader: &mut Reader<'_>) -> Self {
        let connect_timeout = section.take("connect_timeout");
        let attempt_timeout = section.take("attempt_timeout");
        let write_timeout = section.take("write_timeout");
        let protocol = section.take("protocol");
        let tls = section.take("tls");
        let balancer = section.take("balancer");
        let accrual = section.take("accrual");
        let pool = section.take("pool");
        let streams = section.take("max_concurrent_streams");
        let host = section.take("host");
        let strip_context = section.take("strip_context");
        let forward_client_cert = section.take("forward_client_cert");
        section.finish(reader);
        Self {
            prefix: around.prefix.clone(),
            connect_timeout: set(connect_timeout, reader, |item, reader| {
                item.time_out(defaults::CONNECT_TIMEOUT.bounds, reader)
            }),
            attempt_timeout: set(attempt_timeout, reader, |item, reader| {
                item.time_out(defaults::ATTEMPT_TIMEOUT, reader)
            }),
            write_timeout: set(write_timeout, reader, |item, reader| {
                item.time_out(defaults::WRITE_TIMEOUT.bounds, reader)
            }),
            protocol: set(protocol, reader, |item, reader| PROTOCOLS.named_by(item, reader)),
            tls: set(tls, reader, |item, reader| tls::client(item, &mut around, reader)),
            balancer: set(balancer, reader, balancer_kind),
            accrual: set(accrual, reader, accrual_policy),
            pool: set(pool, reader, Pool::read),
            max_concurrent_streams: set(streams, reader, |item, reader| {
                item.bounded_integer(defaults::CLIENT_STREAMS.bounds, reader)
            }),
            host: set(host, reader, |item, reader| item.host(around.prefix, reader)),
            strip_context: set(strip_context, reader, Item::boolean),
            forward_client_cert: set(forward_client_cert, reader, Item::boolean),
        }
    }
}

/// What `read` makes of the item, with the place of its key.
fn set<'t, 'd, T>(
    item: Option<Item<'d>>,
    reader: &mut Reader<'t>,
    read: impl FnOnce(&Item<'d>, &mut Reader<'t>) -> Option<T>,
) -> Option<Set<T>> {
    let item = item?;
    let value = read(&item, reader)?;
    Some(reader.set(&item, value))
}

impl Pool {
    fn read(item: &Item<'_>, reader: &mut Reader<'_>) -> Option<Self> {
        let mut section = item.section(reader)?;
        let pool = Self {
            max_connections: section.count("max_connections", defaults::POOL_CONNECTIONS, reader),
            max_waiters: section.integer("max_waiters", defaults::POOL_WAITERS, reader),
            idle_timeout: section.duration("idle_timeout", defaults::POOL_IDLE_TIMEOUT, reader),
        };
        section.finish(reader);
        Some(pool)
    }
}

fn balancer_kind(item: &Item<'_>, reader: &mut Reader<'_>) -> Option<BalancerKind> {
    let chosen = BALANCERS.choose(item, reader)?;
    chosen.section.finish(reader);
    Some(chosen.is)
}

fn accrual_policy(item: &Item<'_>, reader: &mut Reader<'_>) -> Option<AccrualPolicy> {
    let Chosen { is, mut section, .. } = ACCRUALS.choose(item, reader)?;
    let policy = match is {
        Accrual::None => AccrualPolicy::None,
        Accrual::ConsecutiveFailures => {
            let failures = section.integer("failures", defaults::FAILURES, reader);
            let (backoff_min, backoff_max) = accrual_backoff(section.take("backoff"), reader);
            AccrualPolicy::ConsecutiveFailures { failures, backoff_min, backoff_max }
        }
    };
    section.finish(reader);
    Some(policy)
}

fn accrual_backoff(item: Option<Item<'_>>, reader: &mut Reader<'_>) -> (Duration, Duration) {
    let default = (defaults::ACCRUAL_BACKOFF_MIN.default, defaults::ACCRUAL_BACKOFF_MAX.default);
    let Some(item) = item else { return default };
    let Some(mut section) = item.section(reader) else { return default };
    let min = section.duration("min", defaults::ACCRUAL_BACKOFF_MIN, reader);
    let max = section.duration("max", defaults::ACCRUAL_BACKOFF_MAX, reader);
    section.finish(reader);
    check_order(&item, min, max, reader);
    (min, max)
}

impl Protocol {
    /// As it is written in the file.
    pub const fn kind(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Match => "match",
            Self::Http1 => "http1",
            Self::Http2 => "http2",
        }
    }
}

#[derive(Clone, Copy, Debug)]
enum Accrual {
    None,
    ConsecutiveFailures,
}

const PROTOCOLS: Kinds<Protocol> = Kinds {
    of: "protocol",
    known: &[
        Kind::new(Protocol::Auto.kind(), &[], Protocol::Auto),
        Kind::new(Protocol::Match.kind(), &[], Protocol::Match),
        Kind::new(Protocol::Http1.kind(), &["http"], Protocol::Http1),
        Kind::new(Protocol::Http2.kind(), &["h2"], Protocol::Http2),
    ],
    not_yet: &[],
};

const BALANCERS: Kinds<BalancerKind> = Kinds {
    of: "balancer",
    known: &[
        Kind::new("p2c", &[], BalancerKind::P2c),
        Kind::new("ewma", &[], BalancerKind::Ewma),
        Kind::new("round_robin", &["roundRobin"], BalancerKind::RoundRobin),
    ],
    not_yet: &["aperture", "heap", "least_loaded", "ring_hash"],
};

const ACCRUALS: Kinds<Accrual> = Kinds {
    of: "accrual",
    known: &[
        Kind::new("none", &[], Accrual::None),
        Kind::new("consecutive_failures", &["io.l5d.consecutiveFailures"], Accrual::ConsecutiveFailures),
    ],
    not_yet: &["success_rate", "success_rate_windowed", "io.l5d.successRate", "io.l5d.successRateWindowed"],
};
