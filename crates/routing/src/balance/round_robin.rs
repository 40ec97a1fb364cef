//! In turn by weight, spread evenly: `a a b a` rather than `a a a b` (nginx's smooth weighted round robin).

use rand::{Rng, RngExt};

use super::draw::Weights;

/// Who has waited for how long.
#[derive(Default, Debug)]
pub(super) struct Turns {
    credits: Vec<f64>,
}

impl Turns {
    /// The endpoints are others now.
    pub(super) fn forget(&mut self) {
        self.credits.clear();
    }

    pub(super) fn next(
        &mut self,
        weights: &Weights,
        rng: &mut impl Rng,
        eligible: impl Fn(usize) -> bool,
    ) -> Option<usize> {
        if self.credits.len() != weights.len() {
            // Each worker starts elsewhere: else the first endpoint gets the first request of each of them.
            self.credits.clear();
            self.credits.extend(std::iter::repeat_with(|| rng.random::<f64>()).take(weights.len()));
        }
        let mut total = 0.0;
        let mut best: Option<(usize, f64)> = None;
        for (index, weight) in weights.eligible(eligible) {
            let credit = self.credits.get_mut(index)?;
            *credit += weight;
            total += weight;
            if best.is_none_or(|(_, greatest)| *credit > greatest) {
                best = Some((index, *credit));
            }
        }
        let (picked, _) = best?;
        *self.credits.get_mut(picked)? -= total;
        Some(picked)
    }
}
