//! Latencies, counted in fixed buckets so that counts of several workers add up.

use std::array;
use std::cell::Cell;
use std::time::Duration;

/// Upper bounds of the buckets in microseconds: 1, 2, 3, 5 and 7 times each power of ten, from 100 µs to 60 s. What takes
/// longer is counted in one more bucket without a bound.
pub(super) const BOUNDS_MICROS: [u64; 29] = [
    100, 200, 300, 500, 700, //
    1_000, 2_000, 3_000, 5_000, 7_000, //
    10_000, 20_000, 30_000, 50_000, 70_000, //
    100_000, 200_000, 300_000, 500_000, 700_000, //
    1_000_000, 2_000_000, 3_000_000, 5_000_000, 7_000_000, //
    10_000_000, 20_000_000, 30_000_000, 60_000_000,
];

const BUCKETS: usize = BOUNDS_MICROS.len() + 1;

/// A latency histogram of one worker.
#[derive(Debug)]
pub struct Histogram {
    /// Not cumulative; the last one has no upper bound.
    buckets: [Cell<u64>; BUCKETS],
    sum_nanos: Cell<u64>,
}

impl Default for Histogram {
    fn default() -> Self {
        Self { buckets: array::from_fn(|_| Cell::new(0)), sum_nanos: Cell::new(0) }
    }
}

impl Histogram {
    /// Counts one duration. A duration that equals a bound belongs below it.
    pub fn record(&self, duration: Duration) {
        let nanos = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        let index = BOUNDS_MICROS.partition_point(|bound| bound.saturating_mul(1_000) < nanos);
        if let Some(bucket) = self.buckets.get(index) {
            bucket.set(bucket.get() + 1);
        }
        self.sum_nanos.set(self.sum_nanos.get().saturating_add(nanos));
    }

    /// What was counted so far.
    pub fn counts(&self) -> HistogramCounts {
        HistogramCounts {
            buckets: array::from_fn(|i| self.buckets.get(i).map_or(0, Cell::get)),
            sum_nanos: self.sum_nanos.get(),
        }
    }
}

/// A histogram's counts: plain data that adds up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HistogramCounts {
    buckets: [u64; BUCKETS],
    sum_nanos: u64,
}

impl Default for HistogramCounts {
    fn default() -> Self {
        Self { buckets: [0; BUCKETS], sum_nanos: 0 }
    }
}

impl HistogramCounts {
    /// Adds what another worker counted.
    pub fn merge(&mut self, other: &Self) {
        for (mine, theirs) in self.buckets.iter_mut().zip(&other.buckets) {
            *mine = mine.saturating_add(*theirs);
        }
        self.sum_nanos = self.sum_nanos.saturating_add(other.sum_nanos);
    }

    /// How many durations were counted.
    pub fn count(&self) -> u64 {
        self.buckets.iter().sum()
    }

    /// All durations together, in seconds.
    pub fn sum_seconds(&self) -> f64 {
        Duration::from_nanos(self.sum_nanos).as_secs_f64()
    }

    /// Upper bound in microseconds (`None`: without a bound) and how many durations were at most that long.
    pub fn cumulative(&self) -> impl Iterator<Item = (Option<u64>, u64)> {
        let bounds = BOUNDS_MICROS.iter().copied().map(Some).chain([None]);
        bounds.zip(&self.buckets).scan(0_u64, |total, (bound, count)| {
            *total = total.saturating_add(*count);
            Some((bound, *total))
        })
    }

    /// The duration that `part` (0 to 1) of all counted ones do not exceed, as well as the buckets can tell: a straight
    /// line between the bounds of its bucket. `None` when nothing was counted.
    pub fn quantile(&self, part: f64) -> Option<Duration> {
        let total = self.count();
        if total == 0 {
            return None;
        }
        let wanted = part.clamp(0.0, 1.0) * as_f64(total);
        let (mut lower_micros, mut below) = (0_u64, 0_u64);
        for (bound, at_most) in self.cumulative() {
            let Some(upper_micros) = bound else { break };
            if as_f64(at_most) >= wanted && at_most > below {
                let within = ((wanted - as_f64(below)) / as_f64(at_most - below)).max(0.0);
                let micros = as_f64(lower_micros) + within * as_f64(upper_micros - lower_micros);
                return Some(Duration::from_secs_f64(micros / 1e6));
            }
            (lower_micros, below) = (upper_micros, at_most);
        }
        Some(Duration::from_micros(lower_micros))
    }
}

#[expect(clippy::cast_precision_loss, reason = "an estimate between two bounds; counts above 2^53 stay near enough")]
fn as_f64(count: u64) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_belongs_to_the_first_bound_that_it_does_not_exceed() {
        for (nanos, bound) in [
            (0, Some(100)),
            (100_000, Some(100)),
            (100_001, Some(200)),
            (1_000_000, Some(1_000)),
            (60_000_000_000, Some(60_000_000)),
            (60_000_000_001, None),
        ] {
            let histogram = Histogram::default();
            histogram.record(Duration::from_nanos(nanos));
            let first = histogram.counts().cumulative().find(|(_, count)| *count == 1).map(|(bound, _)| bound);
            assert_eq!(first, Some(bound), "{nanos} ns");
        }
    }

    #[test]
    fn bounds_ascend() {
        assert!(BOUNDS_MICROS.is_sorted_by(|left, right| left < right));
    }

    #[test]
    fn counts_of_workers_add_up() {
        let (one, two) = (Histogram::default(), Histogram::default());
        one.record(Duration::from_millis(2));
        two.record(Duration::from_millis(2));
        two.record(Duration::from_secs(90));
        let mut all = one.counts();
        all.merge(&two.counts());
        assert_eq!(all.count(), 3);
        assert!((all.sum_seconds() - 90.004).abs() < 1e-9);
        assert_eq!(all.cumulative().last(), Some((None, 3)));
    }

    #[test]
    fn a_quantile_lies_between_the_bounds_of_its_bucket() {
        let histogram = Histogram::default();
        assert_eq!(histogram.counts().quantile(0.5), None);
        for _ in 0..99 {
            histogram.record(Duration::from_millis(4));
        }
        histogram.record(Duration::from_millis(400));
        let counts = histogram.counts();
        let millis = |part| counts.quantile(part).unwrap().as_secs_f64() * 1e3;
        assert!((3.0..=5.0).contains(&millis(0.5)), "{}", millis(0.5));
        assert!((3.0..=5.0).contains(&millis(0.99)), "{}", millis(0.99));
        assert!((300.0..=500.0).contains(&millis(1.0)), "{}", millis(1.0));
    }
}
