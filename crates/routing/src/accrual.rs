//! Which endpoints are out, and until when: shared by all workers, atomics only.
//!
//! An endpoint that fails often enough in a row is ejected. After a backoff one real request is let through as a
//! probe: if it succeeds the endpoint is back, if not it stays out for twice as long.

use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// When an endpoint is taken out.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum AccrualPolicy {
    /// Never.
    None,
    /// After so many failures without a success between them.
    ConsecutiveFailures {
        /// Default 5; at least 1.
        failures: u32,
        /// How long it is out the first time. Default 1 s.
        backoff_min: Duration,
        /// It doubles up to this. Default 30 s.
        backoff_max: Duration,
    },
}

impl Default for AccrualPolicy {
    fn default() -> Self {
        Self::ConsecutiveFailures {
            failures: 5,
            backoff_min: Duration::from_secs(1),
            backoff_max: Duration::from_secs(30),
        }
    }
}

/// How one endpoint of one bound path is doing, for the whole process.
#[derive(Debug)]
pub struct Health {
    /// What [`Standing`] packs; 0 while nothing is wrong.
    standing: AtomicU64,
    /// Failures since the last success, while it is alive.
    failures: AtomicU32,
    /// Varies the backoffs of endpoints that failed together.
    seed: AtomicU64,
    /// Times are kept as microseconds since then.
    epoch: Instant,
}

impl Default for Health {
    fn default() -> Self {
        Self::new()
    }
}

impl Health {
    /// An endpoint about which nothing is known is alive.
    #[must_use]
    pub fn new() -> Self {
        Self::seeded(RandomState::new().hash_one(()), Instant::now())
    }

    fn seeded(seed: u64, epoch: Instant) -> Self {
        Self { standing: AtomicU64::new(0), failures: AtomicU32::new(0), seed: AtomicU64::new(seed), epoch }
    }

    /// A response came that counts as a success. While all is well this only reads.
    pub fn success(&self) {
        if self.failures.load(Ordering::Relaxed) != 0 {
            self.failures.store(0, Ordering::Relaxed);
        }
        if self.standing.load(Ordering::Relaxed) != 0 {
            self.standing.store(0, Ordering::Release);
        }
    }

    /// A connection could not be made, or a response counts as a failure.
    pub fn failure(&self, policy: &AccrualPolicy, now: Instant) {
        let AccrualPolicy::ConsecutiveFailures { failures, backoff_min, backoff_max } = *policy else { return };
        let seen = self.standing.load(Ordering::Acquire);
        let rounds = match Standing::unpack(seen) {
            Standing::Alive if self.failures.fetch_add(1, Ordering::Relaxed).saturating_add(1) < failures => return,
            Standing::Alive => 0,
            // A late answer to a request from before, or the use of an endpoint although all are out.
            Standing::Out { .. } => return,
            Standing::Probing { rounds, .. } => rounds,
        };
        let until = self.micros(now + self.backoff(rounds, backoff_min, backoff_max));
        let ejected = Standing::Out { rounds: rounds.saturating_add(1), until }.pack();
        // Whoever was faster has said the same, or that the endpoint is back.
        if self.standing.compare_exchange(seen, ejected, Ordering::AcqRel, Ordering::Relaxed).is_ok() {
            self.failures.store(0, Ordering::Relaxed);
        }
    }

    /// Whether a request may be sent there: it is alive, or its backoff is over and nobody probes it yet.
    #[must_use]
    pub fn available(&self, now: Instant) -> bool {
        match Standing::unpack(self.standing.load(Ordering::Acquire)) {
            Standing::Alive => true,
            Standing::Out { until, .. } | Standing::Probing { until, .. } => self.micros(now) >= until,
        }
    }

    /// Takes the endpoint for one request: always true while it is alive; of all threads that ask after a backoff
    /// exactly one gets true. Its request is the probe; a probe that ends without a verdict is given up after 10 s.
    pub fn claim(&self, now: Instant) -> bool {
        let seen = self.standing.load(Ordering::Acquire);
        let rounds = match Standing::unpack(seen) {
            Standing::Alive => return true,
            Standing::Out { until, rounds } | Standing::Probing { until, rounds } => {
                if self.micros(now) < until {
                    return false;
                }
                rounds
            }
        };
        let probing = Standing::Probing { rounds, until: self.micros(now + PROBE_PATIENCE) }.pack();
        self.standing.compare_exchange(seen, probing, Ordering::AcqRel, Ordering::Relaxed).is_ok()
    }

    /// `alive` or `ejected`; one that is being probed is still ejected.
    #[must_use]
    pub fn state(&self) -> &'static str {
        match Standing::unpack(self.standing.load(Ordering::Acquire)) {
            Standing::Alive => "alive",
            Standing::Out { .. } | Standing::Probing { .. } => "ejected",
        }
    }

    /// `min` doubled `rounds` times, varied by a fifth up or down, within `min` and `max`.
    fn backoff(&self, rounds: u8, min: Duration, max: Duration) -> Duration {
        let doubled = min.saturating_mul(1 << u32::from(rounds).min(30)).min(max);
        let drawn = split_mix(self.seed.fetch_add(0x9E37_79B9_7F4A_7C15, Ordering::Relaxed));
        let part = f64::from((drawn >> 32) as u32) / f64::from(u32::MAX);
        doubled.mul_f64(0.8 + 0.4 * part).max(min).min(max)
    }

    /// Never 0, and no more than the 56 bits that [`Standing`] has room for (2,000 years).
    fn micros(&self, at: Instant) -> u64 {
        let micros = at.saturating_duration_since(self.epoch).as_micros();
        u64::try_from(micros).unwrap_or(u64::MAX).clamp(1, MICROS)
    }
}

/// What `Health::standing` says: 56 bits of time, one bit for probing, seven for the rounds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Standing {
    Alive,
    /// Ejected `rounds` times in a row (at least once), and out until then.
    Out {
        rounds: u8,
        until: u64,
    },
    /// One request is on its way to see; others may have a try from `until` on.
    Probing {
        rounds: u8,
        until: u64,
    },
}

impl Standing {
    fn pack(self) -> u64 {
        let (probing, rounds, until) = match self {
            Self::Alive => return 0,
            Self::Out { rounds, until } => (0, rounds, until),
            Self::Probing { rounds, until } => (1, rounds, until),
        };
        (until & MICROS) | (probing << 56) | (u64::from(rounds.min(MOST_ROUNDS)) << 57)
    }

    fn unpack(packed: u64) -> Self {
        let until = packed & MICROS;
        let rounds = u8::try_from(packed >> 57).unwrap_or(MOST_ROUNDS);
        match (packed, (packed >> 56) & 1) {
            (0, _) => Self::Alive,
            (_, 0) => Self::Out { rounds, until },
            (_, _) => Self::Probing { rounds, until },
        }
    }
}

const MICROS: u64 = (1 << 56) - 1;
const MOST_ROUNDS: u8 = 127;
/// The time after which a probe without a verdict, for example because its client went away, counts as never sent.
const PROBE_PATIENCE: Duration = Duration::from_secs(10);

/// Mixes the bits of a counter so that they look random (SplitMix64).
const fn split_mix(mut bits: u64) -> u64 {
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    bits ^ (bits >> 31)
}

#[cfg(test)]
mod tests {
    use std::sync::Barrier;
    use std::sync::atomic::AtomicUsize;

    use super::*;

    const POLICY: AccrualPolicy = AccrualPolicy::ConsecutiveFailures {
        failures: 5,
        backoff_min: Duration::from_secs(1),
        backoff_max: Duration::from_secs(30),
    };

    fn fail(health: &Health, times: usize, now: Instant) {
        for _ in 0..times {
            health.failure(&POLICY, now);
        }
    }

    fn ejected(now: Instant) -> Health {
        let health = Health::seeded(7, now);
        fail(&health, 5, now);
        assert_eq!(health.state(), "ejected");
        health
    }

    #[test]
    fn five_failures_in_a_row_eject() {
        let now = Instant::now();
        let health = Health::seeded(7, now);
        fail(&health, 4, now);
        health.success();
        fail(&health, 4, now);
        assert_eq!(health.state(), "alive");
        assert!(health.available(now) && health.claim(now));
        fail(&health, 1, now);
        assert_eq!(health.state(), "ejected");
        assert!(!health.available(now) && !health.claim(now));
    }

    #[test]
    fn policy_none_ejects_nobody() {
        let now = Instant::now();
        let health = Health::seeded(7, now);
        for _ in 0..100 {
            health.failure(&AccrualPolicy::None, now);
        }
        assert_eq!(health.state(), "alive");
    }

    #[test]
    fn a_probe_that_succeeds_brings_it_back() {
        let start = Instant::now();
        let health = ejected(start);
        let later = start + Duration::from_millis(1_200);
        assert!(health.available(later) && health.claim(later));
        assert!(!health.available(later) && !health.claim(later), "one probe is under way");
        assert_eq!(health.state(), "ejected");
        health.success();
        assert_eq!(health.state(), "alive");
        fail(&health, 4, later);
        assert_eq!(health.state(), "alive", "it starts anew");
    }

    #[test]
    fn each_failed_probe_doubles_the_backoff_within_its_bounds() {
        let mut now = Instant::now();
        let health = ejected(now);
        for expected in [1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0, 30.0] {
            let (least, most) = ((expected * 0.8_f64).max(1.0), (expected * 1.2).min(30.0));
            assert!(!health.available(now + Duration::from_secs_f64(least - 0.001)), "{expected}");
            now += Duration::from_secs_f64(most + 0.001);
            assert!(health.claim(now), "{expected}");
            health.failure(&POLICY, now);
        }
    }

    #[test]
    fn late_failures_do_not_prolong_the_backoff() {
        let start = Instant::now();
        let health = ejected(start);
        fail(&health, 50, start + Duration::from_millis(900));
        assert!(health.claim(start + Duration::from_millis(1_201)));
    }

    #[test]
    fn a_probe_without_a_verdict_is_given_up() {
        let start = Instant::now();
        let health = ejected(start);
        let probed = start + Duration::from_secs(2);
        assert!(health.claim(probed));
        assert!(!health.claim(probed + Duration::from_millis(9_999)));
        assert!(health.claim(probed + Duration::from_secs(10)));
    }

    #[test]
    fn exactly_one_of_many_threads_probes() {
        for round in 0..50 {
            let start = Instant::now();
            let health = Health::seeded(round, start);
            fail(&health, 5, start);
            let (now, probes, together) = (start + Duration::from_secs(2), AtomicUsize::new(0), Barrier::new(8));
            let ask_often = || {
                together.wait();
                let won = (0..100).filter(|_| health.available(now) && health.claim(now)).count();
                probes.fetch_add(won, Ordering::Relaxed);
            };
            std::thread::scope(|threads| {
                for _ in 0..8 {
                    threads.spawn(ask_often);
                }
            });
            assert_eq!(probes.load(Ordering::Relaxed), 1, "round {round}");
        }
    }

    #[test]
    fn standing_survives_packing() {
        for standing in [
            Standing::Alive,
            Standing::Out { rounds: 1, until: 1 },
            Standing::Out { rounds: 127, until: MICROS },
            Standing::Probing { rounds: 3, until: 123_456_789 },
        ] {
            assert_eq!(Standing::unpack(standing.pack()), standing);
        }
    }
}
