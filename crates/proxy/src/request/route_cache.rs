//! Routes that were made, by what they were made for. Each table is bounded; the one used longest ago goes.
//!
//! Names that lead nowhere, and requests with rules of their own, have tables of their own: whoever makes up names or
//! rules cannot push out the routes of the others.

use std::num::NonZeroUsize;
use std::rc::Rc;

use hashlink::LruCache;

use super::route::Route;
use crate::telemetry::CacheMetrics;

/// The routes of one router on one worker.
#[derive(Debug)]
pub struct RouteCache {
    bound: Table,
    unbound: Table,
    overridden: Table,
}

/// Which tables a request may find its route in.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Rules {
    /// The router's rules alone.
    Own,
    /// Rules that came with the request.
    Brought,
}

#[derive(Debug)]
struct Table {
    routes: LruCache<Box<[u8]>, Rc<Route>, foldhash::quality::RandomState>,
    metrics: Rc<CacheMetrics>,
}

impl RouteCache {
    /// Empty tables; `metrics` gives the counters of a table by its name.
    pub fn new(metrics: impl Fn(&str) -> Rc<CacheMetrics>) -> Self {
        let table = |name, bound: NonZeroUsize| Table::new(bound, metrics(name));
        Self {
            bound: table("routes", ROUTES),
            unbound: table("unbound", UNBOUND),
            overridden: table("overrides", OVERRIDDEN),
        }
    }

    /// The route kept under `key`, whether or not it still holds.
    pub fn get(&mut self, rules: Rules, key: &[u8]) -> Option<&Rc<Route>> {
        match rules {
            Rules::Brought => self.overridden.get(key),
            Rules::Own => match self.bound.get(key) {
                Some(route) => Some(route),
                None => self.unbound.get(key),
            },
        }
    }

    /// Every route that leads somewhere.
    pub fn bound(&self) -> impl Iterator<Item = &Rc<Route>> {
        self.bound.routes.iter().map(|(_, route)| route)
    }

    /// Keeps a route in place of what was under `key`.
    pub fn put(&mut self, rules: Rules, key: &[u8], route: &Rc<Route>) {
        if rules == Rules::Own {
            // It may have changed sides.
            self.bound.routes.remove(key);
            self.unbound.routes.remove(key);
        }
        let leads_somewhere = !route.plan.decision.leaves.is_empty();
        let table = match rules {
            Rules::Brought => &mut self.overridden,
            Rules::Own if leads_somewhere => &mut self.bound,
            Rules::Own => &mut self.unbound,
        };
        table.put(key, route);
        self.bound.tell();
        self.unbound.tell();
    }
}

impl Table {
    fn new(bound: NonZeroUsize, metrics: Rc<CacheMetrics>) -> Self {
        let mut routes = LruCache::with_hasher(bound.get(), foldhash::quality::RandomState::default());
        routes.set_capacity(bound.get());
        Self { routes, metrics }
    }

    /// What was used longest ago matters when something has to go. As long as there is room enough, a look changes no
    /// order: that would touch three more entries of the list.
    fn get(&mut self, key: &[u8]) -> Option<&Rc<Route>> {
        let roomy = self.routes.len() < self.routes.capacity() / 4 * 3;
        if roomy { self.routes.peek(key) } else { self.routes.get(key) }
    }

    fn put(&mut self, key: &[u8], route: &Rc<Route>) {
        let full = self.routes.len() == self.routes.capacity();
        if full && !self.routes.contains_key(key) {
            self.metrics.evicted();
        }
        self.routes.insert(key.into(), Rc::clone(route));
        self.tell();
    }

    fn tell(&self) {
        self.metrics.entries(self.routes.len());
    }
}

/// Bound routes of a router on a worker; one takes about 2 KiB.
const ROUTES: NonZeroUsize = NonZeroUsize::new(16_384).expect("not zero");
/// Names that lead nowhere.
const UNBOUND: NonZeroUsize = NonZeroUsize::new(1024).expect("not zero");
/// Requests with rules of their own.
const OVERRIDDEN: NonZeroUsize = NonZeroUsize::new(512).expect("not zero");
