//! `[routers.service]`: what holds for a logical path.

use std::num::NonZeroU32;
use std::time::Duration;

use waypost_naming::{Path, Pattern};

use super::{Set, defaults};

/// The policy of one logical path, with the place of each value.
#[derive(Clone, PartialEq, Debug)]
pub struct ServicePolicy {
    /// From the request's head to the end of the response's head, all attempts together. Default: none.
    pub total_timeout: Set<Option<Duration>>,
    /// What counts as a failure, and what may be tried again.
    pub classifier: Set<Classifier>,
    /// How often, how soon, and how much of the traffic is tried again.
    pub retries: Set<Retries>,
}

/// Says of a response whether it is a failure, and whether its request may be tried again.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Classifier {
    /// 5xx are failures, none is tried again. The default.
    NonRetryable5xx,
    /// 5xx are failures; those of GET, HEAD, OPTIONS and TRACE are tried again.
    RetryableRead5xx,
    /// 5xx are failures; those of reads, PUT and DELETE are tried again.
    RetryableIdempotent5xx,
    /// Every response is a success.
    AllSuccessful,
}

/// How requests are tried again.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Retries {
    /// What part of the traffic may be retries.
    pub budget: Budget,
    /// Attempts in all, the first one included. Default 3.
    pub max_attempts: NonZeroU32,
    /// The shortest wait before an attempt. Default 10 ms.
    pub backoff_min: Duration,
    /// The longest wait before an attempt. Default 1 s.
    pub backoff_max: Duration,
}

/// A bucket of retries that every request fills a little. It starts full: `min_per_second` x `ttl`.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Budget {
    /// Retries per request. Default 0.2.
    pub ratio: f64,
    /// Retries a second that are allowed whatever the traffic. Default 10.
    pub min_per_second: f64,
    /// How long a request counts. Default 10 s.
    pub ttl: Duration,
}

impl Default for ServicePolicy {
    fn default() -> Self {
        Self {
            total_timeout: Set::default_of(None),
            classifier: Set::default_of(Classifier::NonRetryable5xx),
            retries: Set::default_of(Retries::default()),
        }
    }
}

impl Default for Retries {
    fn default() -> Self {
        Self {
            budget: Budget::default(),
            max_attempts: defaults::MAX_ATTEMPTS.default,
            backoff_min: defaults::RETRY_BACKOFF_MIN.default,
            backoff_max: defaults::RETRY_BACKOFF_MAX.default,
        }
    }
}

impl Default for Budget {
    fn default() -> Self {
        Self {
            ratio: defaults::BUDGET_RATIO.default,
            min_per_second: defaults::BUDGET_MIN_PER_SECOND.default,
            ttl: defaults::BUDGET_TTL.default,
        }
    }
}

/// The service policies of a router.
#[derive(Clone, Debug)]
pub struct ServicePolicies {
    /// `[routers.service]` itself first, then its `configs` in the order of the file.
    entries: Vec<Entry>,
}

#[derive(Clone, Debug)]
struct Entry {
    prefix: Pattern,
    total_timeout: Option<Set<Option<Duration>>>,
    classifier: Option<Set<Classifier>>,
    retries: Option<Set<Retries>>,
}

impl ServicePolicies {
    /// All entries whose prefix matches, in order, later ones over earlier ones, key by key.
    pub fn for_path(&self, logical: &Path) -> ServicePolicy {
        let mut policy = ServicePolicy::default();
        for entry in self.entries.iter().filter(|entry| entry.prefix.matches(logical).is_some()) {
            entry.total_timeout.iter().for_each(|value| policy.total_timeout.clone_from(value));
            entry.classifier.iter().for_each(|value| policy.classifier.clone_from(value));
            entry.retries.iter().for_each(|value| policy.retries.clone_from(value));
        }
        policy
    }
}
