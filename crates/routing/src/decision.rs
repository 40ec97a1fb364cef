//! The whole answer to "where does this path go" as a value: traffic, `explain` and logs use this one.

use std::sync::Arc;

use rand::{Rng, RngExt};
use waypost_naming::{DelegateError, Path};

use crate::address::AddressSet;

/// Where requests for one logical path go.
#[derive(Clone, PartialEq, Debug)]
pub struct Decision {
    /// The path that was bound.
    pub logical: Path,
    /// What binding came to.
    pub outcome: Outcome,
    /// How a request chooses among `leaves`.
    pub choice: Choice,
    /// Every bound path that can be chosen, in the order of the rules, each (path, residual) once. Also filled while
    /// the outcome is [`Outcome::Pending`] because of addresses.
    pub leaves: Vec<Leaf>,
}

/// What binding a path came to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Outcome {
    /// There is at least one leaf.
    Bound,
    /// No rule and no namer knows the path.
    Negative,
    /// A rule says `!`.
    Failed,
    /// A rule says `$`, and there is nothing beside it.
    Empty,
    /// Discovery has not yet given its first answer for something that the path leads to. Wait for the generation
    /// to move, then bind again.
    Pending,
    /// Delegation went round in circles, grew too large, or a namer failed.
    Error(DelegateError),
}

impl Outcome {
    /// The machine's word, as in `explain --json`.
    #[must_use]
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Bound => "bound",
            Self::Negative => "negative",
            Self::Failed => "failed",
            Self::Empty => "empty",
            Self::Pending => "pending",
            Self::Error(_) => "error",
        }
    }

    /// What to tell people about a request for `logical`; `None` where there is nothing wrong.
    #[must_use]
    pub fn message(&self, logical: &Path) -> Option<String> {
        match self {
            Self::Bound => None,
            Self::Negative => Some(format!("{logical} leads nowhere: no dentry and no namer knows it")),
            Self::Failed => Some(format!("{logical} leads to `!`: a dentry says that it must fail")),
            Self::Empty => Some(format!("{logical} leads to `$`: a dentry says that nothing serves it")),
            Self::Pending => Some(format!("{logical} leads to names that discovery has not answered for yet")),
            Self::Error(error) => Some(format!("{logical} can't be bound: {error}")),
        }
    }
}

/// One bound path and its part of the traffic.
#[derive(Clone, PartialEq, Debug)]
pub struct Leaf {
    /// The concrete name, for example `/#/fs/users`. TLS names are derived from this one only.
    pub bound: Path,
    /// What of the logical path remains.
    pub residual: Path,
    /// The part of the requests that this leaf gets, 0 to 1: the product of the normalised weights above it.
    pub share: f64,
    /// Its live endpoints.
    pub addresses: Arc<AddressSet>,
}

/// How one request is drawn.
#[derive(Clone, PartialEq, Debug)]
pub enum Choice {
    /// The empty member (`$`): the request is answered with an error.
    Nothing,
    /// An index into [`Decision::leaves`].
    Leaf(usize),
    /// Weights that sum to 1, none of them negative.
    Union(Vec<(f64, Self)>),
}

impl Decision {
    /// Draws the leaf for one request; `None`: the empty member was drawn, or there is none at all.
    #[must_use]
    pub fn pick(&self, rng: &mut impl Rng) -> Option<usize> {
        let mut choice = &self.choice;
        loop {
            match choice {
                Choice::Nothing => return None,
                Choice::Leaf(index) => return Some(*index),
                Choice::Union(members) => choice = draw(members, rng)?,
            }
        }
    }
}

fn draw<'a>(members: &'a [(f64, Choice)], rng: &mut impl Rng) -> Option<&'a Choice> {
    let mut left: f64 = rng.random();
    let mut last = None;
    for (weight, member) in members.iter().filter(|(weight, _)| *weight > 0.0) {
        if left < *weight {
            return Some(member);
        }
        left -= weight;
        last = Some(member);
    }
    // Weights that sum to a little less than 1 leave the last member what is missing.
    last
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use rand::rngs::StdRng;

    use super::*;

    #[test]
    fn picks_follow_weights_at_each_level_and_nothing_keeps_its_share() {
        let inner = Choice::Union(vec![(0.5, Choice::Leaf(1)), (0.5, Choice::Nothing)]);
        let choice = Choice::Union(vec![(0.0, Choice::Leaf(2)), (0.4, Choice::Leaf(0)), (0.6, inner)]);
        let decision = Decision { logical: Path::empty(), outcome: Outcome::Bound, choice, leaves: Vec::new() };
        let mut rng = StdRng::seed_from_u64(11);
        let mut counts = [0_u32; 4];
        for _ in 0..10_000 {
            counts[decision.pick(&mut rng).unwrap_or(3)] += 1;
        }
        for (count, expected) in counts.into_iter().zip([4_000, 3_000, 0, 3_000]) {
            assert!(count.abs_diff(expected) < 200, "{counts:?}");
        }
        assert_eq!(counts[2], 0);
    }
}
