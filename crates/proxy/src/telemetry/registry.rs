//! A worker's own metrics: finds or makes the counters of a label, and reports them.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::fmt;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

use waypost_naming::Path;

use super::labels::{Kind, Label, LabelTable};
use super::metrics::{CacheMetrics, ClientMetrics, Metrics, RouterMetrics, ServerMetrics, ServiceMetrics};
use super::report::{Family, MetricsReport, OTHER};

/// The metrics of one worker. Lives as long as the worker: a reload of the configuration resets nothing.
///
/// The look-ups allocate; the data path makes them when a route is made and keeps the handle.
pub struct WorkerMetrics {
    table: Arc<LabelTable>,
    worker: u64,
    services: Register<ServiceMetrics>,
    clients: Register<ClientMetrics>,
    servers: Register<ServerMetrics>,
    routers: Register<RouterMetrics>,
    caches: Register<CacheMetrics>,
}

impl fmt::Debug for WorkerMetrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WorkerMetrics").field("worker", &self.worker).finish_non_exhaustive()
    }
}

impl Drop for WorkerMetrics {
    fn drop(&mut self) {
        self.table.leave(self.worker);
    }
}

impl WorkerMetrics {
    /// Empty metrics of one more worker; the table is the one of the process.
    pub fn new(table: Arc<LabelTable>) -> Self {
        let worker = table.join(Instant::now());
        Self {
            table,
            worker,
            services: Register::new(Kind::Service),
            clients: Register::new(Kind::Client),
            servers: Register::new(Kind::Server),
            routers: Register::new(Kind::Router),
            caches: Register::new(Kind::Cache),
        }
    }

    /// The counters of a logical path. To be asked for only once the path has bound: what a client sends makes no label.
    pub fn service(&self, router: &Arc<str>, logical: &Path) -> Rc<ServiceMetrics> {
        self.services.find(&self.table, router, &logical.to_string(), Instant::now())
    }

    /// The counters of all logical paths that have not bound: anybody can make such names up, so they share `other`.
    pub fn unbound(&self, router: &Arc<str>) -> Rc<ServiceMetrics> {
        self.services.other(router)
    }

    /// The counters of a bound path.
    pub fn client(&self, router: &Arc<str>, bound: &Path) -> Rc<ClientMetrics> {
        self.clients.find(&self.table, router, &bound.to_string(), Instant::now())
    }

    /// The counters of a listener.
    pub fn server(&self, router: &Arc<str>, addr: SocketAddr) -> Rc<ServerMetrics> {
        self.servers.find(&self.table, router, &addr.to_string(), Instant::now())
    }

    /// The counters of a router as a whole.
    pub fn router(&self, router: &Arc<str>) -> Rc<RouterMetrics> {
        self.routers.find(&self.table, router, "", Instant::now())
    }

    /// The counters of a bounded table of a router, e.g. `routes`.
    pub fn cache(&self, router: &Arc<str>, cache: &str) -> Rc<CacheMetrics> {
        self.caches.find(&self.table, router, cache, Instant::now())
    }

    /// All counts, as data that may leave the thread. What was given up meanwhile is dropped on the way.
    pub fn report(&self) -> MetricsReport {
        self.report_at(Instant::now())
    }

    fn report_at(&self, now: Instant) -> MetricsReport {
        self.table.sweep();
        let report = MetricsReport {
            services: self.services.report(&self.table, now),
            clients: self.clients.report(&self.table, now),
            servers: self.servers.report(&self.table, now),
            routers: self.routers.report(&self.table, now),
            caches: self.caches.report(&self.table, now),
        };
        self.table.reported(self.worker, now);
        report
    }
}

/// The counters of one kind, by router and label value.
struct Register<M> {
    kind: Kind,
    routers: RefCell<HashMap<Arc<str>, OfRouter<M>>>,
}

struct OfRouter<M> {
    named: HashMap<Arc<str>, Entry<M>>,
    /// Shared by all that found no room.
    other: Option<Rc<M>>,
}

impl<M> Default for OfRouter<M> {
    fn default() -> Self {
        Self { named: HashMap::new(), other: None }
    }
}

struct Entry<M> {
    label: Arc<Label>,
    metrics: Rc<M>,
    /// What `activity` was at the last report.
    seen: Cell<u64>,
}

impl<M: Metrics> Register<M> {
    fn new(kind: Kind) -> Self {
        Self { kind, routers: RefCell::default() }
    }

    fn other(&self, router: &Arc<str>) -> Rc<M> {
        let mut routers = self.routers.borrow_mut();
        Rc::clone(routers.entry(Arc::clone(router)).or_default().other.get_or_insert_default())
    }

    fn find(&self, table: &LabelTable, router: &Arc<str>, name: &str, now: Instant) -> Rc<M> {
        let mut routers = self.routers.borrow_mut();
        let of_router = routers.entry(Arc::clone(router)).or_default();
        let known = of_router.named.get(name).filter(|entry| !entry.label.is_retired());
        if let Some(entry) = known {
            table.touch(&entry.label, now);
            return Rc::clone(&entry.metrics);
        }
        let name: Arc<str> = Arc::from(name);
        let Some(label) = table.admit(self.kind, router, &name, now) else {
            return Rc::clone(of_router.other.get_or_insert_default());
        };
        let metrics = Rc::new(M::default());
        of_router.named.insert(name, Entry { label, metrics: Rc::clone(&metrics), seen: Cell::new(0) });
        metrics
    }

    fn report(&self, table: &LabelTable, now: Instant) -> Family<M::Counts> {
        let mut family = Family::default();
        let mut routers = self.routers.borrow_mut();
        for (router, of_router) in routers.iter_mut() {
            of_router.named.retain(|_, entry| !entry.label.is_retired());
            for (name, entry) in &of_router.named {
                let activity = entry.metrics.activity();
                if Rc::strong_count(&entry.metrics) > 1 || activity != entry.seen.replace(activity) {
                    table.touch(&entry.label, now);
                }
                family.add(router, name, Some(&entry.label), &entry.metrics.counts());
            }
            if let Some(other) = &of_router.other {
                family.add(router, OTHER, None, &other.counts());
            }
        }
        routers.retain(|_, of_router| !of_router.named.is_empty() || of_router.other.is_some());
        family
    }
}
