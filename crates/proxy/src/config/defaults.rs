//! Every default and every bound of a configuration, once: the checks use these constants, and docs/configuration.md is
//! compared with [`defaults`] by a test, in both directions.

use std::net::{IpAddr, Ipv4Addr};
use std::num::NonZeroU32;
use std::time::Duration;

use waypost_routing::AccrualPolicy;

/// A value when no key sets it, and the least and the greatest one that a key may set.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bounded<T> {
    pub(super) default: T,
    pub(super) least: T,
    pub(super) greatest: T,
}

impl<T> Bounded<T> {
    const fn new(default: T, least: T, greatest: T) -> Self {
        Self { default, least, greatest }
    }
}

/// The bounds of a key without a default.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bounds<T> {
    pub(super) least: T,
    pub(super) greatest: T,
}

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
pub(super) const WORKERS: Bounds<NonZeroU32> = Bounds { least: count(1), greatest: count(1_024) };
pub(super) const SHUTDOWN_GRACE: Bounded<Duration> = Bounded::new(secs(10), Duration::ZERO, DAY);

pub(super) const LABEL: &str = "http";
pub(super) const DST_PREFIX: &str = "/svc";
pub(super) const BINDING_TIMEOUT: Bounded<Duration> = Bounded::new(secs(10), MILLISECOND, HOUR);

pub(super) const MAX_REQUESTS: Bounds<NonZeroU32> = Bounds { least: count(1), greatest: count(10_000_000) };
pub(super) const MAX_CONNECTIONS: Bounded<NonZeroU32> = Bounded::new(count(10_000), count(1), count(10_000_000));
pub(super) const HEAD_TIMEOUT: Bounded<Duration> = Bounded::new(secs(10), MILLISECOND, HOUR);
pub(super) const IDLE_TIMEOUT: Bounded<Duration> = Bounded::new(secs(60), MILLISECOND, DAY);
pub(super) const MAX_HEAD_BYTES: Bounded<u64> = Bounded::new(64 * KIB, KIB, MIB);
pub(super) const MAX_HEADERS: Bounded<u32> = Bounded::new(100, 1, 10_000);
pub(super) const MAX_BODY_BYTES: Bounds<u64> = Bounds { least: 1, greatest: TIB };
pub(super) const MAX_CALL_DEPTH: Bounded<u32> = Bounded::new(100, 1, 10_000);
pub(super) const SERVER_STREAMS: Bounded<u32> = Bounded::new(100, 1, 100_000);

pub(super) const TOTAL_TIMEOUT: Bounds<Duration> = Bounds { least: MILLISECOND, greatest: DAY };
pub(super) const BUDGET_RATIO: Bounded<f64> = Bounded::new(0.2, 0.0, 10.0);
pub(super) const BUDGET_MIN_PER_SECOND: Bounded<f64> = Bounded::new(10.0, 0.0, 1_000_000.0);
pub(super) const BUDGET_TTL: Bounded<Duration> = Bounded::new(secs(10), SECOND, secs(60));
pub(super) const MAX_ATTEMPTS: Bounded<NonZeroU32> = Bounded::new(count(3), count(1), count(100));
pub(super) const RETRY_BACKOFF_MIN: Bounded<Duration> = Bounded::new(Duration::from_millis(10), Duration::ZERO, HOUR);
pub(super) const RETRY_BACKOFF_MAX: Bounded<Duration> = Bounded::new(SECOND, Duration::ZERO, HOUR);

pub(super) const CONNECT_TIMEOUT: Bounded<Duration> = Bounded::new(SECOND, MILLISECOND, HOUR);
pub(super) const ATTEMPT_TIMEOUT: Bounds<Duration> = Bounds { least: MILLISECOND, greatest: DAY };
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
