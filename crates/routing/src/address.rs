//! Where a bound path leads: sets of endpoints, published whole and read without waiting.

mod mapping;

use std::fmt;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};

use arc_swap::{ArcSwap, ArcSwapOption};

use crate::dependencies::Version;
use crate::generation::Generation;

pub(crate) use self::mapping::Mapping;

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
    /// Discovery failed and never had a good answer.
    Failed(Cause),
    /// There was no answer yet.
    Pending,
}

/// Why discovery failed, for people.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Cause {
    /// What is wrong. Callers are told this; it names no files.
    pub reason: Arc<str>,
    /// The file, with line and column if it could be read so far. Only for those who may see the configuration.
    pub place: Option<Arc<str>>,
}

impl From<&str> for Cause {
    fn from(reason: &str) -> Self {
        Self { reason: Arc::from(reason), place: None }
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.place {
            Some(place) => write!(f, "{place}: {}", self.reason),
            None => f.write_str(&self.reason),
        }
    }
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
///
/// A set is published to, or it is derived: what a transformer makes of another one, computed by whoever reads it after a
/// change. So derived sets are as current as their base, without a task of their own.
#[derive(Debug)]
pub struct AddressSet {
    source: Source,
    /// The sets derived from this one that somebody holds: one for each mapping.
    followers: ArcSwapOption<Vec<Weak<Self>>>,
}

#[derive(Debug)]
enum Source {
    Published {
        current: ArcSwap<Addresses>,
        version: AtomicU64,
        /// Moves when a route bound to this set has to be bound again: the first answer came, or the namer gave the
        /// set up. `None`: the set is fixed.
        standing: Option<Version>,
    },
    Derived {
        base: Arc<AddressSet>,
        mapping: Mapping,
        last: ArcSwapOption<Mapped>,
    },
}

/// What a mapping made of one snapshot of the base.
#[derive(Debug)]
struct Mapped {
    from: Arc<Addresses>,
    to: Arc<Addresses>,
}

impl AddressSet {
    /// A set that starts as `addresses`.
    #[must_use]
    pub fn new(addresses: Addresses) -> Self {
        Self::published(addresses, Some(Version::default()))
    }

    /// A set that nobody will publish to.
    #[must_use]
    pub fn fixed(endpoints: impl Into<Arc<[Endpoint]>>) -> Self {
        Self::published(Addresses::Bound(endpoints.into()), None)
    }

    fn published(addresses: Addresses, standing: Option<Version>) -> Self {
        let current = ArcSwap::from_pointee(addresses);
        Self::of(Source::Published { current, version: AtomicU64::new(0), standing })
    }

    fn of(source: Source) -> Self {
        Self { source, followers: ArcSwapOption::empty() }
    }

    /// What discovery last said; never waits for a writer.
    #[must_use]
    pub fn snapshot(&self) -> Arc<Addresses> {
        match &self.source {
            Source::Published { current, .. } => current.load_full(),
            Source::Derived { base, mapping, last } => {
                let from = base.snapshot();
                if let Some(mapped) = &*last.load()
                    && Arc::ptr_eq(&mapped.from, &from)
                {
                    return Arc::clone(&mapped.to);
                }
                let to = mapping.apply(&from);
                last.store(Some(Arc::new(Mapped { from, to: Arc::clone(&to) })));
                to
            }
        }
    }

    /// Grows whenever the addresses change. Take it before the snapshot that it is to describe.
    #[must_use]
    pub fn version(&self) -> u64 {
        match &self.source {
            Source::Published { version, .. } => version.load(Ordering::Acquire),
            Source::Derived { base, .. } => base.version(),
        }
    }

    /// Replaces the set whole: a reader sees the old one or the new one. Says whether anything changed.
    ///
    /// What was known stays known: `Pending` replaces nothing, and `Failed` never replaces `Bound`. A derived set takes
    /// nothing but what its base has.
    pub fn publish(&self, addresses: Addresses, generation: &Generation) -> bool {
        let Source::Published { current, version, .. } = &self.source else { return false };
        let before = current.load_full();
        let keeps = match &addresses {
            Addresses::Pending => true,
            Addresses::Failed(_) => matches!(*before, Addresses::Bound(_)),
            Addresses::Bound(_) | Addresses::Neg => false,
        };
        if keeps || *before == addresses {
            return false;
        }
        current.store(Arc::new(addresses));
        version.fetch_add(1, Ordering::AcqRel);
        if before.is_pending() {
            self.retire();
        }
        generation.bump();
        true
    }

    /// What `mapping` makes of this set, now and after each change. As long as somebody holds it, it is the same one
    /// for everybody who asks for the same mapping.
    pub(crate) fn derive(self: &Arc<Self>, mapping: &Mapping) -> Arc<Self> {
        if let Some(known) = find(&self.followers.load(), mapping) {
            return known;
        }
        let source = Source::Derived { base: Arc::clone(self), mapping: mapping.clone(), last: ArcSwapOption::empty() };
        let mut derived = Arc::new(Self::of(source));
        let fresh = Arc::downgrade(&derived);
        self.followers.rcu(|followers| {
            if let Some(known) = find(followers, mapping) {
                derived = known;
                return followers.clone();
            }
            let held = followers.iter().flat_map(|known| known.iter()).filter(|follower| follower.strong_count() > 0);
            Some(Arc::new(held.chain([&fresh]).cloned().collect()))
        });
        derived
    }

    /// Routes that hold this set have to bind again: it has its first answer, or its namer no longer keeps it up to
    /// date. The caller bumps the generation.
    pub(crate) fn retire(&self) {
        if let Some(standing) = self.standing() {
            standing.bump();
        }
    }

    pub(crate) fn standing(&self) -> Option<&Version> {
        match &self.source {
            Source::Published { standing, .. } => standing.as_ref(),
            Source::Derived { base, .. } => base.standing(),
        }
    }
}

fn find(followers: &Option<Arc<Vec<Weak<AddressSet>>>>, wanted: &Mapping) -> Option<Arc<AddressSet>> {
    let is_wanted = |set: &Arc<AddressSet>| match &set.source {
        Source::Derived { mapping, .. } => mapping == wanted,
        Source::Published { .. } => false,
    };
    followers.as_ref()?.iter().filter_map(Weak::upgrade).find(is_wanted)
}

impl PartialEq for AddressSet {
    /// A set is itself, whatever it holds; fixed sets are equal if they hold the same, derived ones if they are derived
    /// alike from equal ones.
    fn eq(&self, other: &Self) -> bool {
        if std::ptr::eq(self, other) {
            return true;
        }
        match (&self.source, &other.source) {
            (
                Source::Published { current, standing: None, .. },
                Source::Published { current: other, standing: None, .. },
            ) => *current.load_full() == *other.load_full(),
            (Source::Derived { base, mapping, .. }, Source::Derived { base: other, mapping: others, .. }) => {
                mapping == others && base == other
            }
            (Source::Published { .. } | Source::Derived { .. }, _) => false,
        }
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
        let failed = || Addresses::Failed("away".into());
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
