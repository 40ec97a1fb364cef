//! Where a bound path leads: sets of endpoints, published whole and read without waiting.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arc_swap::ArcSwap;

use crate::dependencies::Version;
use crate::generation::Generation;

/// One socket address and how much of the traffic it should get, relative to the others of its set.
#[derive(Clone, PartialEq, Debug)]
pub struct Endpoint {
    /// Where to connect to.
    pub addr: SocketAddr,
    /// Finite and not negative; 0 gets no traffic unless all are 0. Default 1.
    pub weight: f64,
}

/// What discovery knows of one bound path.
#[derive(Clone, PartialEq, Debug)]
pub enum Addresses {
    /// These endpoints, which may be none at all.
    Bound(Arc<[Endpoint]>),
    /// There is no such thing, for example an unknown host name.
    Neg,
    /// Discovery failed and never had a good answer; the reason is for people.
    Failed(Arc<str>),
    /// There was no answer yet.
    Pending,
}

impl Addresses {
    /// Whether discovery has yet to give its first answer.
    #[must_use]
    pub const fn is_pending(&self) -> bool {
        matches!(self, Self::Pending)
    }

    /// The endpoints; none unless bound.
    #[must_use]
    pub fn endpoints(&self) -> &[Endpoint] {
        match self {
            Self::Bound(endpoints) => endpoints,
            Self::Neg | Self::Failed(_) | Self::Pending => &[],
        }
    }
}

/// The endpoints of one bound path: one writer, many readers.
#[derive(Debug)]
pub struct AddressSet {
    current: ArcSwap<Addresses>,
    version: AtomicU64,
    /// Moves when a route bound to this set has to be bound again: the first answer came, or the namer gave the set up.
    /// `None`: the set is fixed.
    standing: Option<Version>,
}

impl AddressSet {
    /// A set that starts as `addresses`.
    #[must_use]
    pub fn new(addresses: Addresses) -> Self {
        Self {
            current: ArcSwap::from_pointee(addresses),
            version: AtomicU64::new(0),
            standing: Some(Version::default()),
        }
    }

    /// A set that nobody will publish to.
    #[must_use]
    pub fn fixed(endpoints: impl Into<Arc<[Endpoint]>>) -> Self {
        let addresses = Addresses::Bound(endpoints.into());
        Self { current: ArcSwap::from_pointee(addresses), version: AtomicU64::new(0), standing: None }
    }

    /// What discovery last said; never waits for a writer.
    #[must_use]
    pub fn snapshot(&self) -> Arc<Addresses> {
        self.current.load_full()
    }

    /// Grows whenever the addresses change. Take it before the snapshot that it is to describe.
    #[must_use]
    pub fn version(&self) -> u64 {
        self.version.load(Ordering::Acquire)
    }

    /// Replaces the set whole: a reader sees the old one or the new one. Says whether anything changed.
    ///
    /// What was known stays known: `Pending` replaces nothing, and `Failed` never replaces `Bound`.
    pub fn publish(&self, addresses: Addresses, generation: &Generation) -> bool {
        let before = self.current.load_full();
        let keeps = match &addresses {
            Addresses::Pending => true,
            Addresses::Failed(_) => matches!(*before, Addresses::Bound(_)),
            Addresses::Bound(_) | Addresses::Neg => false,
        };
        if keeps || *before == addresses {
            return false;
        }
        self.current.store(Arc::new(addresses));
        self.version.fetch_add(1, Ordering::AcqRel);
        if before.is_pending() {
            self.retire();
        }
        generation.bump();
        true
    }

    /// Routes that hold this set have to bind again: it has its first answer, or its namer no longer keeps it up to
    /// date. The caller bumps the generation.
    pub(crate) fn retire(&self) {
        if let Some(standing) = &self.standing {
            standing.bump();
        }
    }

    pub(crate) const fn standing(&self) -> Option<&Version> {
        self.standing.as_ref()
    }
}

impl PartialEq for AddressSet {
    /// A set is itself, whatever it holds; fixed sets are equal if they hold the same.
    fn eq(&self, other: &Self) -> bool {
        let both_fixed = self.standing.is_none() && other.standing.is_none();
        std::ptr::eq(self, other) || (both_fixed && *self.current.load_full() == *other.current.load_full())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bound(port: u16) -> Addresses {
        Addresses::Bound(Arc::from([Endpoint { addr: SocketAddr::from(([127, 0, 0, 1], port)), weight: 1.0 }]))
    }

    #[test]
    fn publish_keeps_what_was_known() {
        let failed = || Addresses::Failed(Arc::from("away"));
        for (before, new, after) in [
            (Addresses::Pending, bound(1), bound(1)),
            (Addresses::Pending, failed(), failed()),
            (bound(1), failed(), bound(1)),
            (bound(1), Addresses::Pending, bound(1)),
            (bound(1), Addresses::Neg, Addresses::Neg),
            (bound(1), bound(2), bound(2)),
            (failed(), Addresses::Pending, failed()),
            (Addresses::Neg, bound(2), bound(2)),
        ] {
            let (generation, set) = (Generation::new(), AddressSet::new(before.clone()));
            let changed = set.publish(new.clone(), &generation);
            assert_eq!(*set.snapshot(), after, "{before:?} then {new:?}");
            assert_eq!(changed, before != after);
            assert_eq!(set.version(), u64::from(changed));
            assert_eq!(generation.current(), u64::from(changed));
        }
    }

    #[test]
    fn equal_addresses_change_no_version() {
        let (generation, set) = (Generation::new(), AddressSet::new(bound(1)));
        assert!(!set.publish(bound(1), &generation));
        assert_eq!((set.version(), generation.current()), (0, 0));
    }

    #[test]
    fn only_the_first_answer_moves_the_standing() {
        let (generation, set) = (Generation::new(), AddressSet::new(Addresses::Pending));
        let standing = set.standing().unwrap().current();
        set.publish(bound(1), &generation);
        let known = set.standing().unwrap().current();
        assert_ne!(standing, known);
        set.publish(bound(2), &generation);
        assert_eq!(set.standing().unwrap().current(), known);
    }
}
