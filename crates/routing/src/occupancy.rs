//! Whether anybody is there, for routers that fall back not only on names that do not exist (as linkerd) but also on
//! names where nobody can be asked: no endpoints, or all of them ejected.
//!
//! Such a name is told to delegation as vacant, which counts as negative. What was judged is kept: endpoints come, are
//! ejected, and after a backoff may be probed, and then the same path is bound anew.

use std::cell::RefCell;
use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::time::Instant;

use waypost_naming::{Answer, Bound, Dtab, NameTree, Namer, Path, Resolved, Target};

use crate::accrual::Health;
use crate::address::AddressSet;
use crate::health::HealthRegistry;
use crate::transform::{Transformer, transform};

/// Who knows which endpoints of a router are ejected.
#[derive(Clone, Copy, Debug)]
pub struct Occupants<'a> {
    /// For the whole process.
    pub health: &'a HealthRegistry,
    /// The router's label.
    pub router: &'a str,
}

/// What was judged for one binding, each set once; nothing where a router does not look at it.
#[derive(Clone, Default)]
pub struct Occupancy {
    seen: Vec<Judged>,
}

#[derive(Clone)]
struct Judged {
    set: Arc<AddressSet>,
    version: u64,
    endpoints: Arc<[Arc<Health>]>,
    occupied: bool,
}

impl Occupancy {
    /// Whether somebody is where nobody was, or the other way round. A few atomic loads for each name while its first
    /// endpoint is alive, and nothing where nothing was judged.
    #[must_use]
    pub fn changed(&self) -> bool {
        !self.seen.is_empty() && self.changed_at(Instant::now())
    }

    fn changed_at(&self, now: Instant) -> bool {
        self.seen
            .iter()
            .any(|judged| judged.set.version() != judged.version || judged.is_occupied(now) != judged.occupied)
    }
}

impl fmt::Debug for Occupancy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let vacant = self.seen.iter().filter(|judged| !judged.occupied).count();
        f.debug_struct("Occupancy").field("judged", &self.seen.len()).field("vacant", &vacant).finish()
    }
}

impl Judged {
    fn is_occupied(&self, now: Instant) -> bool {
        self.endpoints.iter().any(|health| health.available(now))
    }
}

/// A namer whose bound names are vacant where nobody can be asked.
pub(crate) struct Judge<'a, N> {
    namer: &'a N,
    occupants: Occupants<'a>,
    /// What becomes of a bound name, and so who is to be asked for it.
    transformers: &'a [Transformer],
    now: Instant,
    seen: RefCell<Vec<Judged>>,
    /// What was found, by bound path and set: rules of a request may name the same one thousands of times.
    known: RefCell<HashMap<(Path, *const AddressSet), bool>>,
}

impl<'a, N: Namer<Addr = Arc<AddressSet>>> Judge<'a, N> {
    pub(crate) fn new(namer: &'a N, occupants: Occupants<'a>, transformers: &'a [Transformer]) -> Self {
        Self {
            namer,
            occupants,
            transformers,
            now: Instant::now(),
            seen: RefCell::default(),
            known: RefCell::default(),
        }
    }

    pub(crate) fn found_vacant(&self) -> bool {
        self.seen.borrow().iter().any(|judged| !judged.occupied)
    }

    pub(crate) fn into_occupancy(self) -> Occupancy {
        Occupancy { seen: self.seen.into_inner() }
    }

    fn is_occupied(&self, bound: &Bound<Arc<AddressSet>>) -> bool {
        if self.transformers.is_empty() {
            return self.has_somebody(bound);
        }
        let resolve = |path: &Path| waypost_naming::bind(&Dtab::default(), path, self.namer);
        match transform(NameTree::Leaf(bound.clone()), self.transformers, &resolve) {
            // All of them are looked at, so that a change of any is noticed.
            Ok(Resolved::Tree(tree)) => tree.leaves().into_iter().filter(|leaf| self.has_somebody(leaf)).count() > 0,
            // Binding comes to the same, and tells.
            Ok(Resolved::Pending) | Err(_) => true,
        }
    }

    /// Names that discovery has not answered for are waited for.
    fn has_somebody(&self, bound: &Bound<Arc<AddressSet>>) -> bool {
        let key = (bound.id.clone(), Arc::as_ptr(&bound.addr));
        if let Some(known) = self.known.borrow().get(&key) {
            return *known;
        }
        let version = bound.addr.version();
        let addresses = bound.addr.snapshot();
        if addresses.is_pending() {
            return true;
        }
        let Occupants { health, router } = self.occupants;
        let endpoints = addresses.endpoints().iter().map(|endpoint| health.health(router, &bound.id, endpoint.addr));
        let judged = Judged { set: Arc::clone(&bound.addr), version, endpoints: endpoints.collect(), occupied: false };
        let occupied = judged.is_occupied(self.now);
        self.seen.borrow_mut().push(Judged { occupied, ..judged });
        self.known.borrow_mut().insert(key, occupied);
        occupied
    }
}

impl<N: Namer<Addr = Arc<AddressSet>>> Namer for Judge<'_, N> {
    type Addr = Arc<AddressSet>;

    fn lookup(&self, path: &Path) -> Answer<Self::Addr> {
        match self.namer.lookup(path) {
            Answer::Tree(tree) => Answer::Tree(tree.map(|target| match target {
                Target::Bound(bound) if !self.is_occupied(&bound) => Target::Vacant(bound),
                other @ (Target::Bound(_) | Target::Path(_) | Target::Vacant(_)) => other,
            })),
            other @ (Answer::Pending | Answer::Error(_)) => other,
        }
    }
}
