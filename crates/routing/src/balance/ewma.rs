//! Power of two choices by latency x (in flight + 1), where latency is a moving average that rises fast.

use std::cell::Cell;
use std::time::{Duration, Instant};

use super::Load;

/// With no clear difference the first drawn stays, so that shares follow the weights.
///
/// Latencies differ clearly if one is more than twice the other after [`NOISE`] was added to both: what a scheduler
/// or a scratched cache adds to some requests must not undo the weights. One that was never measured counts as the
/// other's equal. The loser wins all the same once it was not picked for [`RETRY_AFTER`] (and for longer than the
/// other): its latency is an old story.
pub(super) fn second_is_better<L: Load>(first: &L, second: &L, now: Instant) -> bool {
    let (first_latency, second_latency) = comparable(first.latency(), second.latency());
    let first_cost = first_latency * (f64::from(first.in_flight()) + 1.0);
    let second_cost = second_latency * (f64::from(second.in_flight()) + 1.0);
    if first_cost < second_cost {
        is_due(second, first, now)
    } else if second_cost < first_cost {
        !is_due(first, second, now)
    } else {
        false
    }
}

fn comparable(first: Option<f64>, second: Option<f64>) -> (f64, f64) {
    let (Some(first), Some(second)) = (first, second) else { return (1.0, 1.0) };
    let (first, second) = (first + NOISE.as_secs_f64(), second + NOISE.as_secs_f64());
    if first.max(second) > CLEARLY * first.min(second) { (first, second) } else { (1.0, 1.0) }
}

fn is_due<L: Load>(loser: &L, winner: &L, now: Instant) -> bool {
    let idle = loser.idle_for(now);
    idle >= RETRY_AFTER && idle > winner.idle_for(now)
}

/// Latency that says nothing about an endpoint.
const NOISE: Duration = Duration::from_millis(5);
/// From this ratio on latencies differ.
const CLEARLY: f64 = 2.0;
/// An endpoint that was not picked for so long is tried again, however slow it was.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// A moving average of latencies with a time constant of 10 s that is sensitive to peaks.
///
/// A greater sample moves it at least half of the way at once; a smaller one only by the time that has passed since
/// the last sample. With no samples it decays: what was slow once is not slow for ever.
#[derive(Default, Debug)]
pub struct Ewma {
    last: Cell<Option<(f64, Instant)>>,
}

impl Ewma {
    /// An average of nothing.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes in one time from sending a request on an open connection to the head of its response.
    pub fn record(&self, sample: Duration, now: Instant) {
        let sample = sample.as_secs_f64();
        let average = match self.last.get() {
            None => sample,
            Some((average, at)) => {
                let kept = keeps(at, now);
                let kept = if sample > average { kept.min(0.5) } else { kept };
                average * kept + sample * (1.0 - kept)
            }
        };
        self.last.set(Some((average, now)));
    }

    /// Seconds, as of the last sample; `None` before the first one.
    #[must_use]
    pub fn last(&self) -> Option<f64> {
        self.last.get().map(|(average, _)| average)
    }

    /// Seconds; `None` before the first sample. It decays: a latency from long ago says little.
    #[must_use]
    pub fn value(&self, now: Instant) -> Option<f64> {
        self.last.get().map(|(average, at)| average * keeps(at, now))
    }
}

/// The part of an average of `at` that is left at `now`.
fn keeps(at: Instant, now: Instant) -> f64 {
    (-now.saturating_duration_since(at).as_secs_f64() / TIME_CONSTANT.as_secs_f64()).exp()
}

const TIME_CONSTANT: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests {
    use super::*;

    fn millis(value: Option<f64>) -> f64 {
        value.unwrap() * 1000.0
    }

    #[test]
    fn peaks_are_felt_at_once_and_forgotten_slowly() {
        let (ewma, start) = (Ewma::new(), Instant::now());
        assert_eq!(ewma.value(start), None);
        ewma.record(Duration::from_millis(1), start);
        ewma.record(Duration::from_millis(101), start);
        assert!((millis(ewma.value(start)) - 51.0).abs() < 0.01, "half of the way up");
        ewma.record(Duration::from_millis(1), start);
        assert!(millis(ewma.value(start)) > 50.0, "one quick answer does not make up for a peak");
        let later = start + Duration::from_secs(10);
        ewma.record(Duration::from_millis(1), later);
        let left = millis(ewma.value(later));
        assert!((19.0..20.0).contains(&left), "1/e of 50 and the sample: {left}");
    }

    #[test]
    fn without_samples_it_decays() {
        let (ewma, start) = (Ewma::new(), Instant::now());
        ewma.record(Duration::from_millis(100), start);
        assert!((millis(ewma.value(start + Duration::from_secs(10))) - 36.8).abs() < 0.1);
        assert!((millis(ewma.last()) - 100.0).abs() < 0.01, "what people are shown is what was measured");
    }
}
