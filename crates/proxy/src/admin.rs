//! The admin interface: what runs, what it decided and why, and the few things that may be changed while it runs.
//!
//! It stands on the control runtime, never on a worker, and sees the rest of waypost only through [`Control`].

use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::SystemTime;

use waypost_naming::Finding;

use crate::plan::Snapshot;
use crate::telemetry::{ClientReport, ControlMetrics, MetricsReport, RequestReport};

/// A future that owns all it needs.
pub type BoxFuture<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// What the admin may ask of, and tell to, the running waypost.
pub trait Control: Send + Sync + 'static {
    /// The configuration in use, with its routers.
    fn snapshot(&self) -> Arc<Snapshot>;
    /// # Errors
    /// Why this waypost should get no traffic (yet, or any more): one sentence each.
    fn readiness(&self) -> Result<(), Vec<String>>;
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
