//! How much of the traffic may be tried again: a bucket that every request fills a little, for the whole process.
//!
//! Each worker writes its own slot and nobody else's, so a request costs no shared line; a retry, which is rare, reads
//! all slots. Two workers that withdraw the last retry at the same moment may both have it: the overdraft is at most
//! one retry per worker.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use waypost_naming::Path;

use crate::config::Budget;
use crate::process_wide::ProcessWide;

/// All budgets of the process: one per router and logical path.
pub type Budgets = ProcessWide<(Arc<str>, Path, [u64; 3]), RetryBudget>;

/// The budget of one logical path.
#[derive(Debug)]
pub struct RetryBudget {
    policy: Budget,
    started: Instant,
    slots: Box<[Slot]>,
}

/// What one worker put in and took out; a cache line of its own.
#[derive(Debug, Default)]
#[repr(align(64))]
struct Slot {
    buckets: [Bucket; BUCKETS],
}

#[derive(Debug, Default)]
struct Bucket {
    /// Which tick the counts are of, plus one: zero is a bucket never used.
    tick: AtomicU64,
    deposits: AtomicU64,
    withdrawals: AtomicU64,
}

impl RetryBudget {
    /// A full budget, for that many workers.
    pub fn new(policy: Budget, workers: usize, now: Instant) -> Self {
        Self { policy, started: now, slots: (0..workers).map(|_| Slot::default()).collect() }
    }

    /// The budget of `path`, shared with the other workers; one with another policy is another budget.
    pub fn of(budgets: &Budgets, router: &Arc<str>, path: &Path, policy: Budget, workers: usize) -> Arc<Self> {
        let policy_key = [
            policy.ratio.to_bits(),
            policy.min_per_second.to_bits(),
            u64::try_from(policy.ttl.as_nanos()).unwrap_or(u64::MAX),
        ];
        let key = (Arc::clone(router), path.clone(), policy_key);
        budgets.share(key, || Self::new(policy, workers, Instant::now()))
    }

    /// A request came.
    pub fn deposit(&self, worker: usize, now: Instant) {
        if let Some(bucket) = self.bucket(worker, now) {
            add_one(&bucket.deposits);
        }
    }

    /// A retry is wanted: true when the budget has one.
    pub fn withdraw(&self, worker: usize, now: Instant) -> bool {
        if self.balance(now) < 1.0 {
            return false;
        }
        if let Some(bucket) = self.bucket(worker, now) {
            add_one(&bucket.withdrawals);
        }
        true
    }

    /// Retries that may be made at once.
    pub fn balance(&self, now: Instant) -> f64 {
        let newest = self.tick(now);
        let oldest = newest.saturating_sub(WINDOW - 1);
        let (mut deposits, mut withdrawals) = (0, 0);
        for bucket in self.slots.iter().flat_map(|slot| &slot.buckets) {
            if (oldest..=newest).contains(&bucket.tick.load(Ordering::Relaxed)) {
                deposits += bucket.deposits.load(Ordering::Relaxed);
                withdrawals += bucket.withdrawals.load(Ordering::Relaxed);
            }
        }
        let reserve = self.policy.min_per_second * self.policy.ttl.as_secs_f64();
        #[expect(clippy::cast_precision_loss, reason = "counts of ten seconds are far below 2^52")]
        let (deposits, withdrawals) = (deposits as f64, withdrawals as f64);
        reserve + self.policy.ratio * deposits - withdrawals
    }

    /// The bucket of this moment in the worker's own slot; only that worker writes to it.
    fn bucket(&self, worker: usize, now: Instant) -> Option<&Bucket> {
        let tick = self.tick(now);
        let bucket = self.slots.get(worker)?.buckets.get(usize::try_from(tick).ok()? % BUCKETS)?;
        if bucket.tick.load(Ordering::Relaxed) != tick {
            bucket.deposits.store(0, Ordering::Relaxed);
            bucket.withdrawals.store(0, Ordering::Relaxed);
            bucket.tick.store(tick, Ordering::Relaxed);
        }
        Some(bucket)
    }

    fn tick(&self, now: Instant) -> u64 {
        let width = (self.policy.ttl.as_nanos() / u128::from(WINDOW)).max(1);
        let since = now.saturating_duration_since(self.started).as_nanos();
        u64::try_from(since / width).unwrap_or(u64::MAX - 1) + 1
    }
}

/// One writer: no read-modify-write is needed.
fn add_one(counter: &AtomicU64) {
    counter.store(counter.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
}

/// Ticks that count; a tick is a tenth of the time to live.
const WINDOW: u64 = 10;
/// A power of two above [`WINDOW`].
const BUCKETS: usize = 16;

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn budget(ratio: f64, min_per_second: f64) -> (RetryBudget, Instant) {
        let now = Instant::now();
        (RetryBudget::new(Budget { ratio, min_per_second, ttl: Duration::from_secs(10) }, 2, now), now)
    }

    #[test]
    fn it_starts_full_and_runs_dry() {
        let (budget, now) = budget(0.0, 1.0);
        let granted = (0..20).filter(|_| budget.withdraw(0, now)).count();
        assert_eq!(granted, 10, "min_per_second x ttl");
        assert!(!budget.withdraw(1, now), "another worker has no budget of its own");
        assert!(budget.withdraw(1, now + Duration::from_secs(11)), "what was taken is forgotten after the ttl");
    }

    #[test]
    fn requests_of_all_workers_fill_it() {
        let (budget, now) = budget(0.2, 0.0);
        assert!(!budget.withdraw(0, now));
        for worker in [0, 1, 0, 1, 1] {
            budget.deposit(worker, now);
        }
        assert!(budget.withdraw(0, now));
        assert!(!budget.withdraw(1, now));
        budget.deposit(0, now + Duration::from_secs(30));
        assert!(budget.balance(now + Duration::from_secs(30)) < 1.0, "old requests no longer count");
    }
}
