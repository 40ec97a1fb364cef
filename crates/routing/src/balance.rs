//! Picks one endpoint of a set: weight decides who is drawn, load and latency decide between the drawn.
//!
//! Everything here belongs to one worker and does no I/O; time and randomness are arguments. What an endpoint is doing
//! is told by its [`Load`]; whether it is out, by [`crate::Health`] behind [`Load::available`].

mod draw;
mod ewma;
mod p2c;
mod round_robin;

use std::cell::RefCell;
use std::rc::Rc;
use std::time::{Duration, Instant};

use rand::Rng;

pub use self::ewma::Ewma;

use self::draw::Weights;
use self::round_robin::Turns;

/// How one of the drawn endpoints is chosen.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub enum BalancerKind {
    /// Two are drawn by weight; the one with fewer requests in flight is used.
    P2c,
    /// Two are drawn by weight; the one with the smaller latency x (in flight + 1) is used. See [`Ewma`].
    #[default]
    Ewma,
    /// In turn, each as often as its weight says, spread evenly.
    RoundRobin,
}

impl BalancerKind {
    /// As it is written in a configuration.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::P2c => "p2c",
            Self::Ewma => "ewma",
            Self::RoundRobin => "round_robin",
        }
    }
}

/// What a balancer asks of an endpoint.
pub trait Load {
    /// Part of the traffic relative to the others: finite, not negative.
    fn weight(&self) -> f64;
    /// Requests that are under way there, from this worker.
    fn in_flight(&self) -> u32;
    /// Smoothed seconds to the response head; `None`: never measured. A time to connect is no sample.
    fn latency(&self) -> Option<f64>;
    /// Time since the endpoint was last picked; [`Duration::MAX`] if never.
    fn idle_for(&self, now: Instant) -> Duration;
    /// Whether the endpoint may be picked. Changes nothing, however often it is asked.
    fn available(&self, now: Instant) -> bool;
    /// Called once for the one that was picked, see [`crate::Health::claim`]; `false`: somebody else took the one
    /// probe that it is allowed, another endpoint is picked.
    fn claim(&self, now: Instant) -> bool;
}

impl<L: Load + ?Sized> Load for Rc<L> {
    fn weight(&self) -> f64 {
        (**self).weight()
    }
    fn in_flight(&self) -> u32 {
        (**self).in_flight()
    }
    fn latency(&self) -> Option<f64> {
        (**self).latency()
    }
    fn idle_for(&self, now: Instant) -> Duration {
        (**self).idle_for(now)
    }
    fn available(&self, now: Instant) -> bool {
        (**self).available(now)
    }
    fn claim(&self, now: Instant) -> bool {
        (**self).claim(now)
    }
}

/// Chooses among the endpoints of one set for one worker.
///
/// Who may be picked, in this order: the available ones that are not in `avoid`; the available ones; when all are
/// out, those not in `avoid`; when nothing else is left, anyone. With weight 0 only where all of those have it.
#[derive(Debug)]
pub struct Balancer {
    kind: BalancerKind,
    weights: RefCell<Weights>,
    turns: RefCell<Turns>,
}

impl Balancer {
    /// A balancer for endpoints that are not known yet: the first pick prepares it.
    #[must_use]
    pub fn new(kind: BalancerKind) -> Self {
        Self { kind, weights: RefCell::default(), turns: RefCell::default() }
    }

    /// How it chooses.
    #[must_use]
    pub const fn kind(&self) -> BalancerKind {
        self.kind
    }

    /// Takes note of the endpoints' weights, in their order. Call it whenever the endpoints change; a pick notices by
    /// itself only that their number has changed.
    pub fn prepare(&self, weights: &[f64]) {
        self.weights.borrow_mut().prepare(weights.iter().copied());
        self.turns.borrow_mut().forget();
    }

    /// Picks one of `endpoints`, which are those of the last [`Balancer::prepare`]; `None` only if there are none.
    ///
    /// `avoid` has the indices that this request has tried already. Takes O(log n) for the drawing kinds and O(n) for
    /// round robin or where most endpoints are out; allocates nothing once it is prepared.
    pub fn pick<L: Load>(&self, endpoints: &[L], now: Instant, avoid: &[usize], rng: &mut impl Rng) -> Option<usize> {
        if endpoints.len() != self.weights.borrow().len() {
            self.weights.borrow_mut().prepare(endpoints.iter().map(Load::weight));
            self.turns.borrow_mut().forget();
        }
        let available = |index: usize| endpoints.get(index).is_some_and(|endpoint| endpoint.available(now));
        let untried = |index: usize| !avoid.contains(&index);
        self.claimed(endpoints, now, rng, |index| untried(index) && available(index))
            .or_else(|| self.claimed(endpoints, now, rng, available))
            .or_else(|| self.among(endpoints, now, rng, untried))
            .or_else(|| self.among(endpoints, now, rng, |_| true))
    }

    /// Picks among the eligible until a pick can be claimed. What another thread has claimed meanwhile is no longer
    /// available, so a second round is rare and a third one almost impossible.
    fn claimed<L: Load>(
        &self,
        endpoints: &[L],
        now: Instant,
        rng: &mut impl Rng,
        eligible: impl Fn(usize) -> bool,
    ) -> Option<usize> {
        for _ in 0..CLAIM_ROUNDS {
            let picked = self.among(endpoints, now, rng, &eligible)?;
            if endpoints.get(picked)?.claim(now) {
                return Some(picked);
            }
        }
        None
    }

    fn among<L: Load>(
        &self,
        endpoints: &[L],
        now: Instant,
        rng: &mut impl Rng,
        eligible: impl Fn(usize) -> bool,
    ) -> Option<usize> {
        let weights = self.weights.borrow();
        let second_is_better = match self.kind {
            BalancerKind::RoundRobin => return self.turns.borrow_mut().next(&weights, rng, eligible),
            BalancerKind::P2c => |first: &L, second: &L, _| p2c::second_is_better(first, second),
            BalancerKind::Ewma => |first: &L, second: &L, now| ewma::second_is_better(first, second, now),
        };
        let first = weights.draw(rng, &eligible)?;
        if weights.len() == 1 {
            return Some(first);
        }
        let Some(second) = weights.draw(rng, |index| index != first && eligible(index)) else { return Some(first) };
        if second_is_better(endpoints.get(first)?, endpoints.get(second)?, now) { Some(second) } else { Some(first) }
    }
}

/// How many failed claims a pick puts up with before it takes an endpoint that is out.
const CLAIM_ROUNDS: usize = 4;

#[cfg(test)]
mod tests;
