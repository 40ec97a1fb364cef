//! The admin interface: what runs, what it decided and why, and the few things that may be changed while it runs.
//!
//! It stands on the control runtime, never on a worker, and sees the rest of waypost only through [`Control`].
//! [`serve`] accepts connections (`admin/connection.rs`), `admin/guard.rs` says who may ask, `ENDPOINTS` is what there
//! is to ask. Answers to people who asked for something that does not exist are text that says what does.

use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::time::SystemTime;

use axum::Router;
use axum::routing::{get, post};
use tokio::sync::Semaphore;
use waypost_naming::Finding;

use crate::plan::Snapshot;
use crate::telemetry::{ClientReport, ControlMetrics, MetricsReport, RequestReport};

mod answer;
mod config;
mod connection;
mod decide;
mod delegator;
mod explain;
mod guard;
mod index;
mod lifecycle;
mod logging;
mod metrics;
mod query;
mod tables;

pub use self::connection::serve;

/// A future that owns all it needs.
pub type BoxFuture<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// What the admin may ask of, and tell to, the running waypost.
pub trait Control: Send + Sync + 'static {
    /// The configuration in use, with its routers.
    fn snapshot(&self) -> Arc<Snapshot>;
    /// # Errors
    /// Why this waypost should get no traffic (yet, or any more): one sentence each.
    fn readiness(&self) -> Result<(), Vec<String>>;
    /// How often anything that decisions depend on has changed: grows after the change can be seen.
    fn generation(&self) -> u64;
    /// Where the routers listen.
    fn listeners(&self) -> Vec<Listener>;
    /// The counts of all workers, merged.
    fn metrics(&self) -> BoxFuture<MetricsReport>;
    /// The clients of all workers, merged.
    fn clients(&self) -> BoxFuture<Vec<ClientReport>>;
    /// The last requests of all workers, newest first, at most `limit`.
    fn requests(&self, limit: usize) -> BoxFuture<Vec<RequestReport>>;
    /// What is counted beside the workers.
    fn control_metrics(&self) -> ControlMetrics;
    /// Reads the configuration again and takes it over whole, or not at all.
    fn reload(&self) -> BoxFuture<Result<(), Vec<Finding>>>;
    /// Begins to drain and then ends the process; returns at once.
    fn shutdown(&self);
    /// When the process started to serve.
    fn started(&self) -> SystemTime;
    /// The log filter in use, as `tracing-subscriber`'s `EnvFilter` writes it (`info,waypost::client=debug`).
    fn log_filter(&self) -> String;
    /// Replaces the log filter.
    ///
    /// # Errors
    /// What is wrong with it, for people.
    fn set_log_filter(&self, filter: &str) -> Result<(), String>;
}

/// A router's listener.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listener {
    /// The router's label.
    pub router: String,
    /// The address as it was configured, e.g. with port 0.
    pub server: String,
    /// The address that is listened on.
    pub addr: SocketAddr,
}

/// What handlers share.
#[derive(Clone)]
struct Admin {
    control: Arc<dyn Control>,
    addr: SocketAddr,
    /// Decisions take a moment of CPU time each: as many at a time as this has permits.
    deciding: Arc<Semaphore>,
}

impl Admin {
    fn new(control: Arc<dyn Control>, addr: SocketAddr) -> Self {
        Self { control, addr, deciding: Arc::new(Semaphore::new(DECISIONS_AT_A_TIME)) }
    }

    /// May a request be meant for us that names this `Host`, without its port?
    fn is_own_host(&self, host: &str, local: IpAddr) -> bool {
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        let is_local = |ip: IpAddr| ip.to_canonical() == local.to_canonical();
        host.eq_ignore_ascii_case("localhost")
            || bare.parse().is_ok_and(is_local)
            || self
                .control
                .snapshot()
                .config
                .admin
                .hosts
                .iter()
                .any(|known| guard::host_of(known).eq_ignore_ascii_case(host))
    }
}

/// Method, path and what it is for: what `/` and the answer to an unknown path list.
const ENDPOINTS: [(&str, &str, &str); 15] = [
    ("GET", "/", "this page"),
    ("GET", "/admin/ping", "`pong` while the process lives"),
    ("GET", "/admin/ready", "200 once every router serves, 503 with the reasons before that and while draining"),
    ("GET", "/config.json", "the configuration in use, every default filled in, and the addresses listened on"),
    ("GET", "/explain.json", "why a request goes where it goes: ?url=&method=&header=Name:value&router="),
    ("GET", "/delegator.json", "the delegation tree of a path: ?path=&dtab=&router= (also POST)"),
    ("GET", "/bound-names.json", "the names that namers know"),
    ("GET", "/clients.json", "bound paths in use: endpoints, load, health, TLS identity"),
    ("GET", "/requests.json", "recent requests, newest first: ?limit="),
    ("GET", "/admin/metrics/prometheus", "metrics, as Prometheus or OpenMetrics text"),
    ("GET", "/logging.json", "the log levels"),
    ("POST", "/logging.json", "sets one: {\"level\": \"debug\"}, for one target with \"target\""),
    ("POST", "/delegator.json", "as GET, from a JSON body: {\"router\", \"path\", \"dtab\"}"),
    ("POST", "/admin/reload", "reads the configuration again: 200, or 422 with the findings"),
    ("POST", "/admin/shutdown", "drains, then ends the process"),
];

fn endpoints(admin: Admin) -> Router {
    Router::new()
        .route("/", get(index::page))
        .route("/admin/ping", get(lifecycle::ping))
        .route("/admin/ready", get(lifecycle::ready))
        .route("/admin/reload", post(lifecycle::reload))
        .route("/admin/shutdown", post(lifecycle::shutdown))
        .route("/admin/metrics/prometheus", get(metrics::prometheus))
        .route("/config.json", get(config::config))
        .route("/explain.json", get(explain::explain))
        .route("/delegator.json", get(delegator::query).post(delegator::body))
        .route("/bound-names.json", get(tables::bound_names))
        .route("/clients.json", get(tables::clients))
        .route("/requests.json", get(tables::requests))
        .route("/logging.json", get(logging::levels).post(logging::set))
        .method_not_allowed_fallback(answer::wrong_method)
        .fallback(answer::unknown_path)
        .with_state(admin)
}

const DECISIONS_AT_A_TIME: usize = 4;
