//! One thread, one runtime: what it owns is never shared, so a request's way has no lock.
//!
//! Control tells all workers the same by one published [`Published`] value; a worker tells control by answering an
//! [`Ask`], when asked. There is no third way.

pub mod local_router;
pub mod recent;

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use rand::SeedableRng;
use rand::rngs::SmallRng;
use tokio::sync::{mpsc, oneshot};
use tokio::task::{JoinHandle, LocalSet};
use tokio_util::task::TaskTracker;
use waypost_naming::PathBuffer;
use waypost_routing::{Generation, HealthRegistry};

use self::local_router::{LocalRouter, SWEEP_INTERVAL};
use self::recent::Recent;
use crate::bulk::{self, Places};
use crate::client::pool::AllPermits;
use crate::plan::Snapshot;
use crate::policy::budget::Budgets;
use crate::server::accept::accept;
use crate::server::listener::Listener;
use crate::server::port::Port;
use crate::telemetry::{ClientReport, LabelTable, MetricsReport, RequestReport, WorkerMetrics};
use crate::window;

/// What all workers share. Each part says itself why that costs a request nothing.
#[derive(Debug)]
pub struct Shared {
    /// Moves whenever anything changed that a decision may depend on.
    pub generation: Arc<Generation>,
    /// Which endpoints are out.
    pub health: Arc<HealthRegistry>,
    /// Permits to open connections.
    pub permits: AllPermits,
    /// What may be tried again.
    pub budgets: Budgets,
    /// Which label values exist.
    pub labels: Arc<LabelTable>,
    /// Threads that serve.
    pub workers: usize,
    /// What control says now.
    pub published: ArcSwap<Published>,
}

impl Shared {
    /// For so many workers, with nothing counted yet.
    #[must_use]
    pub fn new(generation: Arc<Generation>, health: Arc<HealthRegistry>, workers: usize, published: Published) -> Self {
        Self {
            generation,
            health,
            permits: AllPermits::default(),
            budgets: Budgets::default(),
            labels: Arc::new(LabelTable::default()),
            workers,
            published: ArcSwap::from_pointee(published),
        }
    }
}

/// All that control tells workers, replaced whole.
#[derive(Debug)]
pub struct Published {
    /// The routers.
    pub snapshot: Arc<Snapshot>,
    /// What to listen on, and for whom.
    pub servers: Vec<Serving>,
    /// The process ends: accept nothing more, finish what is there.
    pub draining: bool,
}

/// A listener and the section of the configuration that it serves.
#[derive(Clone, Debug)]
pub struct Serving {
    /// The sockets.
    pub listener: Arc<Listener>,
    /// Index of the router in the snapshot.
    pub router: usize,
    /// Index of the server in the router's section.
    pub server: usize,
}

/// What control may ask of a worker.
#[derive(Debug)]
pub enum Ask {
    /// All counts.
    Metrics(oneshot::Sender<MetricsReport>),
    /// All clients.
    Clients(oneshot::Sender<Vec<ClientReport>>),
    /// So many of the last requests.
    Requests(usize, oneshot::Sender<Vec<RequestReport>>),
}

/// A worker from inside.
#[derive(Debug)]
pub struct Worker {
    /// Which one of the workers.
    pub index: usize,
    /// What all workers share.
    pub shared: Arc<Shared>,
    /// What this worker counts.
    pub metrics: WorkerMetrics,
    /// Its last requests.
    pub recent: RefCell<Recent>,
    /// For choices among equals; not for secrets.
    pub rng: RefCell<SmallRng>,
    /// Connections that may read a lot at a time.
    pub large_reads: Rc<Places>,
    /// For connections of HTTP/2 whose windows have grown.
    pub wide_windows: Rc<Places>,
    /// Where a request's path is built; taken while in use.
    pub scratch: RefCell<PathBuffer>,
    /// Connections of clients.
    serving: TaskTracker,
    /// Connections to endpoints.
    tasks: TaskTracker,
    routers: RefCell<Vec<Rc<LocalRouter>>>,
    ports: RefCell<Vec<Rc<Port>>>,
    /// What was applied last.
    applied: RefCell<Option<Arc<Published>>>,
}

/// Runs a worker on the calling thread until it has drained.
///
/// # Errors
/// Should the system give no runtime.
pub fn run(index: usize, shared: Arc<Shared>, asks: mpsc::Receiver<Ask>) -> std::io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let local = LocalSet::new();
    local.block_on(&runtime, async move {
        Worker::new(index, shared).run(asks).await;
    });
    Ok(())
}

impl Worker {
    /// One that serves nothing until it is told what.
    #[must_use]
    pub fn new(index: usize, shared: Arc<Shared>) -> Rc<Self> {
        Rc::new(Self {
            index,
            metrics: WorkerMetrics::new(Arc::clone(&shared.labels)),
            shared,
            recent: RefCell::default(),
            rng: RefCell::new(SmallRng::from_rng(&mut rand::rng())),
            large_reads: Places::new(bulk::PLACES),
            wide_windows: Places::new(window::PLACES),
            scratch: RefCell::default(),
            serving: TaskTracker::new(),
            tasks: TaskTracker::new(),
            routers: RefCell::default(),
            ports: RefCell::default(),
            applied: RefCell::default(),
        })
    }

    async fn run(self: &Rc<Self>, mut asks: mpsc::Receiver<Ask>) {
        let mut sweep = tokio::time::interval(SWEEP_INTERVAL);
        loop {
            let seen = self.shared.generation.current();
            self.apply();
            if self.applied.borrow().as_ref().is_some_and(|applied| applied.draining) {
                break;
            }
            tokio::select! {
                () = self.shared.generation.moved(seen) => {}
                Some(ask) = asks.recv() => self.answer(ask),
                _ = sweep.tick() => self.sweep(),
            }
        }
        self.drain(asks).await;
    }

    /// Finishes what is there; control ends the process when that takes longer than the grace.
    async fn drain(&self, mut asks: mpsc::Receiver<Ask>) {
        self.serving.close();
        let mut sweep = tokio::time::interval(SWEEP_INTERVAL);
        loop {
            tokio::select! {
                () = self.serving.wait() => break,
                Some(ask) = asks.recv() => self.answer(ask),
                _ = sweep.tick() => self.sweep(),
            }
        }
    }

    /// Serves a client's connection.
    pub fn serve(&self, connection: impl Future<Output = ()> + 'static) {
        // Its end is awaited by `drain`; a panic in it is reported by the panic hook and ends nothing else.
        drop(self.serving.spawn_local(connection));
    }

    /// Runs a task beside requests: a connection to an endpoint, or a body on its way. It ends with the worker.
    pub fn spawn(&self, task: impl Future<Output = ()> + 'static) -> JoinHandle<()> {
        self.tasks.spawn_local(task)
    }

    /// Takes on what control published, if that is new.
    fn apply(self: &Rc<Self>) {
        let published = self.shared.published.load_full();
        if self.applied.borrow().as_ref().is_some_and(|applied| Arc::ptr_eq(applied, &published)) {
            return;
        }
        let is_new =
            self.applied.borrow().as_ref().is_none_or(|applied| !Arc::ptr_eq(&applied.snapshot, &published.snapshot));
        if is_new {
            self.take_routers(&published.snapshot);
        }
        self.take_servers(&published);
        *self.applied.borrow_mut() = Some(published);
    }

    fn take_routers(self: &Rc<Self>, snapshot: &Snapshot) {
        let before = self.routers.take();
        let routers = snapshot.routers.iter().map(|router| {
            let same = before.iter().find(|known| known.shared.config.label == router.config.label);
            LocalRouter::new(self, router, snapshot.config.materials.clone(), same.map(|known| &**known))
        });
        *self.routers.borrow_mut() = routers.collect();
    }

    fn take_servers(self: &Rc<Self>, published: &Published) {
        let mut before = self.ports.take();
        let mut now = Vec::new();
        let wanted: &[Serving] = if published.draining { &[] } else { &published.servers };
        for serving in wanted {
            let Some(router) = self.routers.borrow().get(serving.router).cloned() else { continue };
            let Some(config) = router.shared.config.servers.get(serving.server).cloned() else { continue };
            let known = before.iter().position(|port| Arc::ptr_eq(&port.listener, &serving.listener));
            now.push(match known {
                Some(index) => {
                    let port = before.swap_remove(index);
                    port.replace(router, &config);
                    port
                }
                None => self.open(serving, router, &config),
            });
        }
        before.iter().for_each(|port| port.close());
        *self.ports.borrow_mut() = now;
    }

    fn open(
        self: &Rc<Self>,
        serving: &Serving,
        router: Rc<LocalRouter>,
        config: &crate::config::ServerConfig,
    ) -> Rc<Port> {
        let port = Port::new(&serving.listener, router, config);
        let socket = serving.listener.take(self.index).map(tokio::net::TcpListener::from_std);
        match socket {
            Some(Ok(socket)) => self.serve(accept(Rc::clone(self), Rc::clone(&port), socket)),
            Some(Err(error)) => tracing::error!(addr = %serving.listener.addr, %error, "cannot accept on a listener"),
            None => tracing::error!(addr = %serving.listener.addr, "a listener's socket was taken before"),
        }
        port
    }

    fn answer(&self, ask: Ask) {
        // Whoever asked may have given up: then there is nobody to tell.
        let _ = match ask {
            Ask::Metrics(to) => {
                let now = Instant::now();
                self.routers.borrow().iter().for_each(|router| router.tell(now));
                let (large_reads, wide_windows) = (self.large_reads.taken(), self.wide_windows.taken());
                to.send(MetricsReport { large_reads, wide_windows, ..self.metrics.report() }).is_ok()
            }
            Ask::Clients(to) => {
                to.send(self.routers.borrow().iter().flat_map(|router| router.report()).collect()).is_ok()
            }
            Ask::Requests(limit, to) => to.send(self.recent.borrow().report(limit)).is_ok(),
        };
    }

    fn sweep(&self) {
        let now = Instant::now();
        self.routers.borrow().iter().for_each(|router| router.sweep(now));
    }
}

/// Questions that may wait for a worker.
pub const ASKS: usize = 16;
/// How long an answer is waited for.
pub const ASK_TIMEOUT: Duration = Duration::from_secs(2);
