//! Every default and every bound of a configuration, once: the checks use these constants, and docs/configuration.md is
//! compared with [`documented`] by a test, in both directions.

use std::fmt::Display;
use std::net::{IpAddr, Ipv4Addr};
use std::num::NonZeroU32;
use std::time::Duration;

use waypost_routing::AccrualPolicy;

use super::values::{OFF, Quantity};

/// The least and the greatest value that a key may set.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bounds<T> {
    pub(super) least: T,
    pub(super) greatest: T,
}

/// Bounds, and the value when no key sets it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bounded<T> {
    pub(super) default: T,
    pub(super) bounds: Bounds<T>,
}

impl<T> Bounds<T> {
    const fn new(least: T, greatest: T) -> Self {
        Self { least, greatest }
    }
}

impl<T> Bounded<T> {
    const fn new(default: T, least: T, greatest: T) -> Self {
        Self { default, bounds: Bounds::new(least, greatest) }
    }
}

/// A number of bytes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) struct Bytes(pub(super) u64);

const MILLISECOND: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(3_600);
const DAY: Duration = Duration::from_secs(86_400);
const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;
const TIB: u64 = 1 << 40;

const fn count(n: u32) -> NonZeroU32 {
    match NonZeroU32::new(n) {
        Some(n) => n,
        None => NonZeroU32::MIN,
    }
}

pub(super) const LOOPBACK: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
pub(super) const ADMIN_PORT: u16 = 9990;
pub(super) const WORKERS: Bounds<NonZeroU32> = Bounds::new(count(1), count(1_024));
pub(super) const SHUTDOWN_GRACE: Bounded<Duration> = Bounded::new(secs(10), Duration::ZERO, DAY);

pub(super) const LABEL: &str = "http";
pub(super) const DST_PREFIX: &str = "/svc";
pub(super) const NAME_HEADER: &str = "l5d-name";
pub(super) const PATH_SEGMENTS: Bounded<u32> = Bounded::new(1, 1, 100);
pub(super) const WEIGHT: Bounded<f64> = Bounded::new(1.0, 0.0, 1_000_000.0);
pub(super) const BINDING_TIMEOUT: Bounded<Duration> = Bounded::new(secs(10), MILLISECOND, HOUR);

pub(super) const MAX_REQUESTS: Bounds<NonZeroU32> = Bounds::new(count(1), count(10_000_000));
pub(super) const MAX_CONNECTIONS: Bounded<NonZeroU32> = Bounded::new(count(10_000), count(1), count(10_000_000));
pub(super) const PENDING_HANDSHAKES: Bounded<NonZeroU32> = Bounded::new(count(1_024), count(1), count(1_000_000));
pub(super) const UPGRADES: &str = "websocket";
pub(super) const MAX_TUNNELS: Bounded<NonZeroU32> = Bounded::new(count(10_000), count(1), count(10_000_000));
pub(super) const TUNNEL_IDLE_TIMEOUT: Bounded<Duration> = Bounded::new(HOUR, MILLISECOND, DAY);
pub(super) const HEAD_TIMEOUT: Bounded<Duration> = Bounded::new(secs(10), MILLISECOND, HOUR);
pub(super) const IDLE_TIMEOUT: Bounded<Duration> = Bounded::new(secs(60), MILLISECOND, DAY);
pub(super) const BODY_TIMEOUT: Bounded<Duration> = Bounded::new(secs(30), MILLISECOND, DAY);
pub(super) const WRITE_TIMEOUT: Bounded<Duration> = Bounded::new(secs(60), MILLISECOND, DAY);
pub(super) const MAX_HEAD_BYTES: Bounded<Bytes> = Bounded::new(Bytes(64 * KIB), Bytes(KIB), Bytes(MIB));
pub(super) const MAX_HEADERS: Bounded<u32> = Bounded::new(100, 1, 10_000);
pub(super) const MAX_BODY_BYTES: Bounds<Bytes> = Bounds::new(Bytes(1), Bytes(TIB));
pub(super) const MAX_CALL_DEPTH: Bounded<u32> = Bounded::new(100, 1, 10_000);
pub(super) const SERVER_STREAMS: Bounded<u32> = Bounded::new(100, 1, 100_000);

pub(super) const TOTAL_TIMEOUT: Bounds<Duration> = Bounds::new(MILLISECOND, DAY);
pub(super) const BUDGET_RATIO: Bounded<f64> = Bounded::new(0.2, 0.0, 10.0);
pub(super) const BUDGET_MIN_PER_SECOND: Bounded<f64> = Bounded::new(10.0, 0.0, 1_000_000.0);
pub(super) const BUDGET_TTL: Bounded<Duration> = Bounded::new(secs(10), SECOND, secs(60));
pub(super) const MAX_ATTEMPTS: Bounded<NonZeroU32> = Bounded::new(count(3), count(1), count(100));
pub(super) const RETRY_BACKOFF_MIN: Bounded<Duration> = Bounded::new(Duration::from_millis(10), Duration::ZERO, HOUR);
pub(super) const RETRY_BACKOFF_MAX: Bounded<Duration> = Bounded::new(SECOND, Duration::ZERO, HOUR);

pub(super) const CONNECT_TIMEOUT: Bounded<Duration> = Bounded::new(SECOND, MILLISECOND, HOUR);
pub(super) const ATTEMPT_TIMEOUT: Bounds<Duration> = Bounds::new(MILLISECOND, DAY);
pub(super) const FAILURES: Bounded<u32> = Bounded::new(5, 1, 1_000_000);
pub(super) const ACCRUAL_BACKOFF_MIN: Bounded<Duration> = Bounded::new(SECOND, MILLISECOND, DAY);
pub(super) const ACCRUAL_BACKOFF_MAX: Bounded<Duration> = Bounded::new(secs(30), MILLISECOND, DAY);
pub(super) const POOL_CONNECTIONS: Bounded<NonZeroU32> = Bounded::new(count(1_024), count(1), count(1_000_000));
pub(super) const POOL_WAITERS: Bounded<u32> = Bounded::new(1_024, 0, 1_000_000);
pub(super) const POOL_IDLE_TIMEOUT: Bounded<Duration> = Bounded::new(secs(60), MILLISECOND, DAY);
pub(super) const CLIENT_STREAMS: Bounded<u32> = Bounded::new(100, 1, 100_000);

pub(super) const ACCRUAL: AccrualPolicy = AccrualPolicy::ConsecutiveFailures {
    failures: FAILURES.default,
    backoff_min: ACCRUAL_BACKOFF_MIN.default,
    backoff_max: ACCRUAL_BACKOFF_MAX.default,
};

const fn secs(n: u64) -> Duration {
    Duration::from_secs(n)
}

/// A key of the file, for the tables of docs/configuration.md.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Documented {
    /// With the names of its tables: `routers.servers.port`.
    pub key: String,
    /// As it would be written; or `required`, or `none` for nothing.
    pub default: String,
    /// `1ms to 1h`; empty where there are none.
    pub bounds: String,
}

/// Every key that the file may hold, with its default and its bounds.
pub fn documented() -> Vec<Documented> {
    let tables: [(&str, Vec<(&str, Column)>); 9] = [
        ("", top_level()),
        ("namers.", namers()),
        ("routers.", routers()),
        ("routers.identifier.", identifiers()),
        ("routers.servers.", servers()),
        ("routers.service.", service()),
        ("routers.client.", client()),
        ("routers.client.tls.", client_tls()),
        ("routers.client.", client_tables()),
    ];
    let keys =
        tables.into_iter().flat_map(|(table, keys)| keys.into_iter().map(move |(key, column)| (table, key, column)));
    keys.map(|(table, key, (default, bounds))| Documented { key: format!("{table}{key}"), default, bounds }).collect()
}

/// Default and bounds.
type Column = (String, String);

fn top_level() -> Vec<(&'static str, Column)> {
    vec![
        ("workers", within("cores", WORKERS)),
        ("watch", plain("false")),
        ("shutdown.grace", bounded(SHUTDOWN_GRACE)),
        ("admin.ip", text(LOOPBACK)),
        ("admin.port", (ADMIN_PORT.to_string(), ports())),
        ("admin.hosts", plain("[]")),
    ]
}

fn namers() -> Vec<(&'static str, Column)> {
    vec![
        ("kind", plain(REQUIRED)),
        ("prefix", plain("kind")),
        ("root_dir", plain(REQUIRED)),
        ("services", plain(REQUIRED)),
        ("services.<name>.addr", plain(REQUIRED)),
        ("services.<name>.weight", bounded(WEIGHT)),
        ("pattern", plain(REQUIRED)),
        ("name", plain(REQUIRED)),
        ("transformers", plain("[]")),
    ]
}

fn routers() -> Vec<(&'static str, Column)> {
    vec![
        ("label", text(LABEL)),
        ("dst_prefix", text(DST_PREFIX)),
        ("identifier", text("header.token")),
        ("dtab", text("")),
        ("dtab_file", plain(OFF)),
        ("transformers", plain("[]")),
        ("transformers.prefix", plain("kind")),
        ("transformers.port", (REQUIRED.to_owned(), "1 to 65535".to_owned())),
        ("transformers.path", plain(REQUIRED)),
        ("transformers.host", plain(REQUIRED)),
        ("transformers.network", plain(REQUIRED)),
        ("fallback", text("name")),
        ("binding_timeout", bounded(BINDING_TIMEOUT)),
        ("servers", plain(REQUIRED)),
        ("service", plain("{}")),
        ("client", plain("{}")),
    ]
}

fn identifiers() -> Vec<(&'static str, Column)> {
    vec![
        ("kind", plain(REQUIRED)),
        ("header", plain("by kind")),
        ("uri_in_dst", plain("false")),
        ("segments", ("by kind".to_owned(), span(PATH_SEGMENTS.bounds))),
        ("consume", plain("false")),
        ("path", plain(REQUIRED)),
    ]
}

fn servers() -> Vec<(&'static str, Column)> {
    vec![
        ("ip", text(LOOPBACK)),
        ("port", (REQUIRED.to_owned(), ports())),
        ("tls.cert", plain(REQUIRED)),
        ("tls.key", plain(REQUIRED)),
        ("tls.certificates", plain("[]")),
        ("tls.certificates.cert", plain(REQUIRED)),
        ("tls.certificates.key", plain(REQUIRED)),
        ("tls.client_ca", plain(OFF)),
        ("tls.require_client_cert", plain("with client_ca")),
        ("tls.crls", plain("[]")),
        ("tls.protocols", plain("[\"1.3\", \"1.2\"]")),
        ("authorize", plain("everybody")),
        ("max_concurrent_requests", within(OFF, MAX_REQUESTS)),
        ("max_connections", bounded(MAX_CONNECTIONS)),
        ("max_pending_handshakes", bounded(PENDING_HANDSHAKES)),
        ("head_timeout", bounded(HEAD_TIMEOUT)),
        ("idle_timeout", bounded(IDLE_TIMEOUT)),
        ("body_timeout", bounded(BODY_TIMEOUT)),
        ("write_timeout", bounded(WRITE_TIMEOUT)),
        ("max_head_bytes", bounded(MAX_HEAD_BYTES)),
        ("max_headers", bounded(MAX_HEADERS)),
        ("max_body_bytes", within(OFF, MAX_BODY_BYTES)),
        ("upgrades", plain("[\"websocket\"]")),
        ("max_tunnels", bounded(MAX_TUNNELS)),
        ("tunnel_idle_timeout", bounded(TUNNEL_IDLE_TIMEOUT)),
        ("max_call_depth", bounded(MAX_CALL_DEPTH)),
        ("proxy_protocol", plain("false")),
        ("forwarded.kind", text("pass")),
        ("forwarded.fields", plain("[\"x-forwarded\"]")),
        ("clear_context", plain("false")),
        ("context", text("trusted")),
        ("overrides.allow", plain("by ip")),
        ("http2.max_concurrent_streams", bounded(SERVER_STREAMS)),
    ]
}

fn service() -> Vec<(&'static str, Column)> {
    vec![
        ("configs", plain("[]")),
        ("configs.prefix", plain(REQUIRED)),
        ("total_timeout", within(OFF, TOTAL_TIMEOUT)),
        ("classifier", text("http.non_retryable_5xx")),
        ("retries.max_attempts", bounded(MAX_ATTEMPTS)),
        ("retries.budget.ratio", bounded(BUDGET_RATIO)),
        ("retries.budget.min_per_second", bounded(BUDGET_MIN_PER_SECOND)),
        ("retries.budget.ttl", bounded(BUDGET_TTL)),
        ("retries.backoff.min", bounded(RETRY_BACKOFF_MIN)),
        ("retries.backoff.max", bounded(RETRY_BACKOFF_MAX)),
    ]
}

fn client() -> Vec<(&'static str, Column)> {
    vec![
        ("configs", plain("[]")),
        ("configs.prefix", plain(REQUIRED)),
        ("connect_timeout", bounded(CONNECT_TIMEOUT)),
        ("attempt_timeout", within(OFF, ATTEMPT_TIMEOUT)),
        ("write_timeout", bounded(WRITE_TIMEOUT)),
        ("protocol", text("auto")),
        ("max_concurrent_streams", bounded(CLIENT_STREAMS)),
        ("host", plain(OFF)),
        ("strip_context", plain("false")),
        ("forward_client_cert", plain("false")),
    ]
}

fn client_tls() -> Vec<(&'static str, Column)> {
    vec![
        ("kind", text("none")),
        ("common_name", plain(REQUIRED)),
        ("names", plain(REQUIRED)),
        ("names.prefix", plain(REQUIRED)),
        ("names.common_name", plain(REQUIRED)),
        ("strict", plain("true")),
        ("trust", plain("system")),
        ("crls", plain("[]")),
        ("client_auth.cert", plain(REQUIRED)),
        ("client_auth.key", plain(REQUIRED)),
        ("protocols", plain("[\"1.3\", \"1.2\"]")),
        ("alpn", plain("by protocol")),
        ("allow_common_name", plain("false")),
    ]
}

fn client_tables() -> Vec<(&'static str, Column)> {
    vec![
        ("balancer.kind", text("ewma")),
        ("accrual.kind", text("consecutive_failures")),
        ("accrual.failures", bounded(FAILURES)),
        ("accrual.backoff.min", bounded(ACCRUAL_BACKOFF_MIN)),
        ("accrual.backoff.max", bounded(ACCRUAL_BACKOFF_MAX)),
        ("pool.max_connections", bounded(POOL_CONNECTIONS)),
        ("pool.max_waiters", bounded(POOL_WAITERS)),
        ("pool.idle_timeout", bounded(POOL_IDLE_TIMEOUT)),
    ]
}

fn bounded<T: Quantity>(of: Bounded<T>) -> Column {
    (of.default.show(), span(of.bounds))
}

fn within<T: Quantity>(default: &str, bounds: Bounds<T>) -> Column {
    (default.to_owned(), span(bounds))
}

fn text(default: impl Display) -> Column {
    (format!("\"{default}\""), String::new())
}

fn plain(default: &str) -> Column {
    (default.to_owned(), String::new())
}

fn span<T: Quantity>(bounds: Bounds<T>) -> String {
    format!("{} to {}", bounds.least.show_bound(), bounds.greatest.show_bound())
}

fn ports() -> String {
    "0 to 65535".to_owned()
}

const REQUIRED: &str = "required";
