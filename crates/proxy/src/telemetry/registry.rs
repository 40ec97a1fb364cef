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
            ..MetricsReport::default()
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

    /// An entry goes with its label; one whose handle was given out just as the label ended gets another label.
    fn keep(&self, table: &LabelTable, router: &Arc<str>, name: &Arc<str>, entry: &mut Entry<M>, now: Instant) -> bool {
        if !entry.label.is_retired() {
            return true;
        }
        let readmitted =
            (Rc::strong_count(&entry.metrics) > 1).then(|| table.admit(self.kind, router, name, now)).flatten();
        readmitted.map(|label| entry.label = label).is_some()
    }

    fn report(&self, table: &LabelTable, now: Instant) -> Family<M::Counts> {
        let mut family = Family::default();
        let mut routers = self.routers.borrow_mut();
        for (router, of_router) in routers.iter_mut() {
            of_router.named.retain(|name, entry| self.keep(table, router, name, entry, now));
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

#[cfg(test)]
mod tests {
    use std::num::NonZeroUsize;
    use std::time::Duration;

    use super::*;
    use crate::telemetry::Class;

    const IDLE: Duration = Duration::from_secs(600);

    fn table(limit: usize, now: Instant) -> Arc<LabelTable> {
        Arc::new(LabelTable::new(NonZeroUsize::new(limit).unwrap(), IDLE, now))
    }

    fn path(text: &str) -> Path {
        text.parse().unwrap()
    }

    /// As `service`, at some other time than now.
    fn service_at(worker: &WorkerMetrics, name: &str, now: Instant) -> Rc<ServiceMetrics> {
        worker.services.find(&worker.table, &Arc::from("out"), name, now)
    }

    fn once(metrics: &ServiceMetrics) {
        metrics.finished(Class::Success, Duration::from_millis(1));
    }

    /// What a scrape sees: all workers' reports, merged.
    fn scrape(workers: &[&WorkerMetrics], now: Instant) -> MetricsReport {
        let mut all = MetricsReport::default();
        workers.iter().for_each(|worker| all.merge(worker.report_at(now)));
        all
    }

    fn successes(report: &MetricsReport, name: &str) -> Option<u64> {
        report.services.get("out", name).map(|counts| counts.success)
    }

    #[test]
    fn the_bound_on_labels_holds_for_all_workers_together_and_per_router() {
        let now = Instant::now();
        let table = table(2, now);
        let (one, two) = (WorkerMetrics::new(Arc::clone(&table)), WorkerMetrics::new(table));
        let (out, inner) = (Arc::from("out"), Arc::from("in"));

        once(&one.service(&out, &path("/svc/a")));
        once(&two.service(&out, &path("/svc/b")));
        once(&one.service(&out, &path("/svc/c")));
        once(&two.service(&out, &path("/svc/d")));
        once(&two.service(&out, &path("/svc/a")));
        once(&two.service(&inner, &path("/svc/c")));

        let report = scrape(&[&one, &two], now);
        assert_eq!(successes(&report, "/svc/a"), Some(2));
        assert_eq!(successes(&report, "/svc/b"), Some(1));
        assert_eq!(successes(&report, "other"), Some(2));
        assert_eq!(report.services.iter().count(), 4);
        assert_eq!(report.services.get("in", "/svc/c").map(|counts| counts.success), Some(1));
    }

    #[test]
    fn an_idle_label_ends_on_all_workers_at_once() {
        let start = Instant::now();
        let table = table(10, start);
        let (one, two) = (WorkerMetrics::new(Arc::clone(&table)), WorkerMetrics::new(table));
        let out = Arc::from("out");
        once(&one.service(&out, &path("/svc/idle")));
        once(&two.service(&out, &path("/svc/idle")));
        let held = one.service(&out, &path("/svc/held"));
        scrape(&[&one, &two], start);

        // Only worker two goes on using it: it stays whole.
        let later = start + IDLE;
        once(&two.service(&out, &path("/svc/idle")));
        assert_eq!(successes(&scrape(&[&one, &two], later), "/svc/idle"), Some(3));

        let times = [later + IDLE, later + IDLE * 2, later + IDLE * 3, later + IDLE * 4];
        let seen = times.map(|now| successes(&scrape(&[&one, &two], now), "/svc/idle"));
        let ended = seen.iter().position(Option::is_none).expect("it ends");
        assert!(seen.iter().take(ended).all(|count| *count == Some(3)), "never a part of it: {seen:?}");
        assert!(seen.iter().skip(ended).all(Option::is_none));
        assert_eq!(successes(&scrape(&[&one, &two], later + IDLE * 9), "/svc/held"), Some(0), "a handle is held");
        drop(held);
    }

    #[test]
    fn a_label_that_comes_back_counts_from_zero() {
        let start = Instant::now();
        let worker = WorkerMetrics::new(table(10, start));
        once(&service_at(&worker, "/svc/a", start));
        for times in 0..4 {
            worker.report_at(start + IDLE * times);
        }

        once(&service_at(&worker, "/svc/a", start + IDLE * 3));

        assert_eq!(successes(&worker.report_at(start + IDLE * 4), "/svc/a"), Some(1));
    }

    #[test]
    fn a_handle_given_out_just_as_its_label_ends_goes_on_counting() {
        let start = Instant::now();
        let worker = WorkerMetrics::new(table(10, start));
        let held = service_at(&worker, "/svc/a", start);
        let entry = |worker: &WorkerMetrics| {
            let routers = worker.services.routers.borrow();
            Arc::clone(&routers.get("out").unwrap().named.get("/svc/a").unwrap().label)
        };
        worker.table.reported(worker.worker, start + IDLE * 2);
        worker.table.sweep();
        assert!(entry(&worker).is_retired());

        once(&held);

        assert_eq!(successes(&worker.report_at(start + IDLE * 2), "/svc/a"), Some(1));
        assert!(!entry(&worker).is_retired());
    }

    #[test]
    fn idle_labels_make_room_for_new_ones() {
        let start = Instant::now();
        let worker = WorkerMetrics::new(table(1, start));
        once(&service_at(&worker, "/svc/a", start));
        for times in 0..3 {
            worker.report_at(start + IDLE * times);
        }
        once(&service_at(&worker, "/svc/b", start + IDLE * 2));
        let report = worker.report_at(start + IDLE * 3);
        assert_eq!((successes(&report, "/svc/a"), successes(&report, "/svc/b")), (None, Some(1)));
    }

    #[test]
    fn a_worker_that_ended_does_not_keep_labels() {
        let start = Instant::now();
        let table = table(10, start);
        let gone = WorkerMetrics::new(Arc::clone(&table));
        let worker = WorkerMetrics::new(table);
        drop(gone);
        once(&worker.service(&Arc::from("out"), &path("/svc/a")));
        for times in 0..3 {
            worker.report_at(start + IDLE * times);
        }
        assert_eq!(successes(&worker.report_at(start + IDLE * 3), "/svc/a"), None);
    }
}
