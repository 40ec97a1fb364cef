//! Drawing by weight.

use rand::{Rng, RngExt};

/// The weights of a set, prepared so that a draw is a binary search.
///
/// If no weight is positive, all count as equal; otherwise those without weight are never drawn.
#[derive(Default, Debug)]
pub(super) struct Weights {
    /// Scaled so that the greatest is 1: sums stay finite.
    weights: Vec<f64>,
    /// Running sums of `weights`.
    sums: Vec<f64>,
}

impl Weights {
    pub(super) fn prepare(&mut self, weights: impl Iterator<Item = f64>) {
        self.weights.clear();
        // What is no weight (NaN, infinite, negative) gets no traffic; configuration and namers refuse it anyway.
        self.weights.extend(weights.map(|weight| if weight.is_finite() { weight.max(0.0) } else { 0.0 }));
        let greatest = self.weights.iter().copied().fold(0.0, f64::max);
        for weight in &mut self.weights {
            *weight = if greatest > 0.0 { *weight / greatest } else { 1.0 };
        }
        self.sums.clear();
        self.sums.extend(self.weights.iter().scan(0.0, |sum, weight| {
            *sum += weight;
            Some(*sum)
        }));
    }

    pub(super) const fn len(&self) -> usize {
        self.weights.len()
    }

    /// The eligible ones that can be drawn, with their weights.
    pub(super) fn eligible(&self, eligible: impl Fn(usize) -> bool) -> impl Iterator<Item = (usize, f64)> {
        let drawable = self.weights.iter().copied().enumerate().filter(|(_, weight)| *weight > 0.0);
        drawable.filter(move |(index, _)| eligible(*index))
    }

    /// Draws one of the eligible, each with its weight's part of all their weights.
    pub(super) fn draw(&self, rng: &mut impl Rng, eligible: impl Fn(usize) -> bool) -> Option<usize> {
        let total = *self.sums.last()?;
        // Drawing again until one is eligible keeps the proportions exact. It nearly always takes one draw; where few
        // are eligible, looking at each of them once is quicker.
        for _ in 0..BLIND_DRAWS {
            let point = rng.random::<f64>() * total;
            let index = self.sums.partition_point(|sum| *sum <= point);
            if index < self.len() && eligible(index) {
                return Some(index);
            }
        }
        let total: f64 = self.eligible(&eligible).map(|(_, weight)| weight).sum();
        let point = rng.random::<f64>() * total;
        let mut sum = 0.0;
        let mut last = None;
        for (index, weight) in self.eligible(&eligible) {
            sum += weight;
            last = Some(index);
            if point < sum {
                break;
            }
        }
        last
    }
}

const BLIND_DRAWS: usize = 3;
