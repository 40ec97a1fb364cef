//! `[routers.service]`: what holds for a logical path.

use std::iter;
use std::num::NonZeroU32;
use std::time::Duration;

use serde_json::Value;
use waypost_naming::{Path, Pattern};

use super::kinds::{Kind, Kinds};
use super::lint::{Overridden, Shape, logical_pattern};
use super::raw::{Item, Reader, Section};
use super::values::check_order;
use super::{Set, defaults, json};

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
    /// `[routers.service]` with its `configs`; `logical` is what requests are called.
    pub(super) fn read(item: Option<&Item<'_>>, logical: &[Shape], reader: &mut Reader<'_>) -> Self {
        let Some(mut section) = item.and_then(|item| item.section(reader)) else {
            return Self { entries: Vec::new() };
        };
        let configs = section.take("configs").map(|item| item.sections(reader)).unwrap_or_default();
        let mut overridden = Overridden::default();
        overridden.add(&Pattern::default(), section.keys());
        let mut entries = vec![Entry::read(Pattern::default(), section, reader)];
        for mut section in configs {
            let prefix = section.require("prefix", reader);
            let prefix = prefix.and_then(|item| logical_pattern(&item, logical, reader)).unwrap_or_default();
            overridden.add(&prefix, section.keys());
            entries.push(Entry::read(prefix, section, reader));
        }
        overridden.report(reader);
        Self { entries }
    }

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

    /// What holds without any entry, then each entry with what it sets.
    pub(super) fn to_json(&self) -> Value {
        iter::once(Entry::defaults()).chain(self.entries.iter().cloned()).map(|entry| entry.to_json()).collect()
    }
}

impl Entry {
    fn defaults() -> Self {
        let ServicePolicy { total_timeout, classifier, retries } = ServicePolicy::default();
        let (total_timeout, classifier, retries) = (Some(total_timeout), Some(classifier), Some(retries));
        Self { prefix: Pattern::default(), total_timeout, classifier, retries }
    }

    fn to_json(&self) -> Value {
        json::entry(
            &self.prefix,
            [
                ("total_timeout", self.total_timeout.as_ref().map(|set| json::time_out(set.value))),
                ("classifier", self.classifier.as_ref().map(|set| set.value.kind().into())),
                ("retries", self.retries.as_ref().map(|set| json::retries(&set.value))),
            ],
        )
    }

    fn read(prefix: Pattern, mut section: Section<'_>, reader: &mut Reader<'_>) -> Self {
        let total_timeout = section.take("total_timeout");
        let classifier = section.take("classifier");
        let retries = section.take("retries");
        section.finish(reader);
        Self {
            prefix,
            total_timeout: total_timeout
                .and_then(|item| item.time_out(defaults::TOTAL_TIMEOUT, reader).map(|value| reader.set(&item, value))),
            classifier: classifier
                .and_then(|item| Classifier::read(&item, reader).map(|value| reader.set(&item, value))),
            retries: retries.and_then(|item| Retries::read(&item, reader).map(|value| reader.set(&item, value))),
        }
    }
}

impl Classifier {
    /// As it is written in the file.
    pub const fn kind(self) -> &'static str {
        match self {
            Self::NonRetryable5xx => "http.non_retryable_5xx",
            Self::RetryableRead5xx => "http.retryable_read_5xx",
            Self::RetryableIdempotent5xx => "http.retryable_idempotent_5xx",
            Self::AllSuccessful => "http.all_successful",
        }
    }

    fn read(item: &Item<'_>, reader: &mut Reader<'_>) -> Option<Self> {
        let chosen = CLASSIFIERS.choose(item, reader)?;
        chosen.section.finish(reader);
        Some(chosen.is)
    }
}

impl Retries {
    fn read(item: &Item<'_>, reader: &mut Reader<'_>) -> Option<Self> {
        let mut section = item.section(reader)?;
        let budget = section.take("budget").and_then(|item| Budget::read(&item, reader)).unwrap_or_default();
        let max_attempts = section.count("max_attempts", defaults::MAX_ATTEMPTS, reader);
        let backoff = section.take("backoff");
        section.finish(reader);
        let own = Self { budget, max_attempts, ..Self::default() };
        let Some((item, mut backoff)) = backoff.and_then(|item| item.section(reader).map(|section| (item, section)))
        else {
            return Some(own);
        };
        let backoff_min = backoff.duration("min", defaults::RETRY_BACKOFF_MIN, reader);
        let backoff_max = backoff.duration("max", defaults::RETRY_BACKOFF_MAX, reader);
        backoff.finish(reader);
        check_order(&item, backoff_min, backoff_max, reader);
        Some(Self { backoff_min, backoff_max, ..own })
    }
}

impl Budget {
    fn read(item: &Item<'_>, reader: &mut Reader<'_>) -> Option<Self> {
        let mut section = item.section(reader)?;
        let ratio = section.fraction("ratio", defaults::BUDGET_RATIO, reader);
        let min_per_second = section.fraction("min_per_second", defaults::BUDGET_MIN_PER_SECOND, reader);
        let ttl = section.duration("ttl", defaults::BUDGET_TTL, reader);
        section.finish(reader);
        Some(Self { ratio, min_per_second, ttl })
    }
}

const CLASSIFIERS: Kinds<Classifier> = Kinds {
    of: "classifier",
    known: &[
        classifier(Classifier::NonRetryable5xx, &["io.l5d.http.nonRetryable5XX"]),
        classifier(Classifier::RetryableRead5xx, &["io.l5d.http.retryableRead5XX"]),
        classifier(Classifier::RetryableIdempotent5xx, &["io.l5d.http.retryableIdempotent5XX"]),
        classifier(Classifier::AllSuccessful, &["io.l5d.http.allSuccessful"]),
    ],
    not_yet: &[
        "grpc.always_retryable",
        "grpc.compliant",
        "grpc.default",
        "grpc.never_retryable",
        "grpc.retryable_status_codes",
        "io.l5d.h2.allSuccessful",
        "io.l5d.h2.grpc.alwaysRetryable",
        "io.l5d.h2.grpc.compliant",
        "io.l5d.h2.grpc.default",
        "io.l5d.h2.grpc.neverRetryable",
        "io.l5d.h2.grpc.retryableStatusCodes",
        "io.l5d.h2.nonRetryable5XX",
        "io.l5d.h2.retryableIdempotent5XX",
        "io.l5d.h2.retryableRead5XX",
    ],
};

const fn classifier(is: Classifier, theirs: &'static [&'static str]) -> Kind<Classifier> {
    Kind::new(is.kind(), theirs, is)
}
