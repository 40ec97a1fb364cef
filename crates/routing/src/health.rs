//! One [`Health`] for each (router, bound path, endpoint) of the process, whichever worker asks.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use waypost_naming::Path;

use crate::accrual::Health;

/// Finds the shared [`Health`] of an endpoint.
///
/// A mutex guards the table, so this is only for the moments when a worker builds its list of endpoints or people
/// ask; requests use the `Arc` that they were given. Entries that nobody holds are swept out as the table grows: it
/// never holds more than twice the endpoints in use (or 1,024).
#[derive(Debug, Default)]
pub struct HealthRegistry {
    table: Mutex<Table>,
}

#[derive(Debug, Default)]
struct Table {
    routers: HashMap<Box<str>, Endpoints>,
    entries: usize,
    /// The number of entries at which the dead ones are looked for.
    sweep_at: usize,
}

impl HealthRegistry {
    /// An empty registry.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The health of `addr` as an endpoint of `bound` in `router`; the same one for all who ask while anybody holds it.
    pub fn health(&self, router: &str, bound: &Path, addr: SocketAddr) -> Arc<Health> {
        let mut table = self.lock();
        let key = (bound.clone(), addr);
        if let Some(known) = table.routers.get(router).and_then(|entries| entries.get(&key)).and_then(Weak::upgrade) {
            return known;
        }
        if table.entries >= table.sweep_at.max(SMALLEST) {
            table.sweep();
        }
        let health = Arc::new(Health::new());
        let entries = table.routers.entry(Box::from(router)).or_default();
        if entries.insert(key, Arc::downgrade(&health)).is_none() {
            table.entries += 1;
        }
        health
    }

    /// The health of an endpoint that some worker uses; `None`: nobody has sent it anything.
    #[must_use]
    pub fn known(&self, router: &str, bound: &Path, addr: SocketAddr) -> Option<Arc<Health>> {
        self.lock().routers.get(router)?.get(&(bound.clone(), addr))?.upgrade()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Table> {
        // Nothing in here panics halfway through a change: a poisoned table is as good as any.
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Table {
    fn sweep(&mut self) {
        for entries in self.routers.values_mut() {
            entries.retain(|_, health| health.strong_count() > 0);
        }
        self.routers.retain(|_, entries| !entries.is_empty());
        self.entries = self.routers.values().map(HashMap::len).sum();
        self.sweep_at = self.entries * 2;
    }
}

type Endpoints = HashMap<(Path, SocketAddr), Weak<Health>>;

/// Below this many entries nothing is swept.
const SMALLEST: usize = 1024;

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    fn addr(port: u16) -> SocketAddr {
        SocketAddr::from((Ipv4Addr::LOCALHOST, port))
    }

    #[test]
    fn health_belongs_to_router_bound_path_and_address() {
        let registry = HealthRegistry::new();
        let (users, billing) = ("/#/fs/users".parse::<Path>().unwrap(), "/#/fs/billing".parse::<Path>().unwrap());
        let health = registry.health("out", &users, addr(1));
        assert!(Arc::ptr_eq(&health, &registry.health("out", &users, addr(1))));
        for (router, bound, port) in [("in", &users, 1), ("out", &billing, 1), ("out", &users, 2)] {
            assert!(!Arc::ptr_eq(&health, &registry.health(router, bound, addr(port))));
        }
        assert!(registry.known("out", &users, addr(1)).is_some());
        assert!(registry.known("out", &users, addr(2)).is_none(), "nobody holds it any more");
    }

    #[test]
    fn entries_that_nobody_holds_are_swept() {
        let registry = HealthRegistry::new();
        let users = "/#/fs/users".parse::<Path>().unwrap();
        let kept = registry.health("out", &users, addr(1));
        for port in 2..10_000 {
            drop(registry.health("out", &users, addr(port)));
        }
        assert!(registry.lock().entries <= SMALLEST + 1);
        assert!(Arc::ptr_eq(&kept, &registry.health("out", &users, addr(1))));
    }
}
