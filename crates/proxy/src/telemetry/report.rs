//! What workers and control tell when they are asked: plain data that crosses threads.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use super::labels::Label;
use super::metrics::{CacheCounts, ClientCounts, Counts, RouterCounts, ServerCounts, ServiceCounts};
use crate::tls::CertificateSummary;

/// The label value of all that found no room.
pub(super) const OTHER: &str = "other";

/// The counts of one worker, or of several after [`MetricsReport::merge`].
#[derive(Clone, Debug, Default)]
pub struct MetricsReport {
    /// By logical path.
    pub services: Family<ServiceCounts>,
    /// By bound path.
    pub clients: Family<ClientCounts>,
    /// By the address listened on.
    pub servers: Family<ServerCounts>,
    /// By router; the name is empty.
    pub routers: Family<RouterCounts>,
    /// By the table's name.
    pub caches: Family<CacheCounts>,
    /// Connections that read much at a time.
    pub large_reads: usize,
    /// Connections of HTTP/2 whose windows have grown.
    pub wide_windows: usize,
}

impl MetricsReport {
    /// Adds what another worker counted.
    pub fn merge(&mut self, other: Self) {
        self.services.merge(other.services);
        self.clients.merge(other.clients);
        self.servers.merge(other.servers);
        self.routers.merge(other.routers);
        self.caches.merge(other.caches);
        self.large_reads += other.large_reads;
        self.wide_windows += other.wide_windows;
    }
}

/// Router and label value.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct SeriesKey {
    /// The router's label.
    pub router: Arc<str>,
    /// The value of the label that the family is about.
    pub name: Arc<str>,
}

/// Counts under one key.
#[derive(Clone, Debug, Default)]
pub struct Series<C> {
    /// `None`: `other`, which is never given up.
    label: Option<Arc<Label>>,
    counts: C,
}

impl<C> Series<C> {
    fn is_live(&self) -> bool {
        self.label.as_ref().is_none_or(|label| !label.is_retired())
    }
}

/// All counts of one kind, sorted by key.
#[derive(Clone, Debug)]
pub struct Family<C> {
    series: BTreeMap<SeriesKey, Series<C>>,
}

impl<C> Default for Family<C> {
    fn default() -> Self {
        Self { series: BTreeMap::new() }
    }
}

impl<C> Family<C> {
    /// What is still in use, sorted by router and name.
    pub fn iter(&self) -> impl Iterator<Item = (&SeriesKey, &C)> {
        self.series.iter().filter(|(_, series)| series.is_live()).map(|(key, series)| (key, &series.counts))
    }

    /// The counts under one key.
    pub fn get(&self, router: &str, name: &str) -> Option<&C> {
        let key = SeriesKey { router: Arc::from(router), name: Arc::from(name) };
        self.series.get(&key).filter(|series| series.is_live()).map(|series| &series.counts)
    }
}

impl<C: Counts> Family<C> {
    pub(super) fn add(&mut self, router: &Arc<str>, name: &str, label: Option<&Arc<Label>>, counts: &C) {
        let key = SeriesKey { router: Arc::clone(router), name: Arc::from(name) };
        let series = self.series.entry(key).or_insert_with(|| Series { label: label.cloned(), counts: C::default() });
        series.counts.merge(counts);
    }

    fn merge(&mut self, other: Self) {
        for (key, series) in other.series {
            match self.series.get_mut(&key) {
                // One that was given up and then used again: the new one counts from zero on.
                Some(mine) if !mine.is_live() => *mine = series,
                Some(mine) if series.is_live() => mine.counts.merge(&series.counts),
                Some(_) => {}
                None => {
                    self.series.insert(key, series);
                }
            }
        }
    }
}

/// How often something was tried to be loaded again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reloads {
    /// It is in use now.
    pub success: u64,
    /// It was refused, what was there goes on.
    pub failure: u64,
}

/// What was found on disk and is not in use, because it is wrong; what was there before goes on.
#[derive(Clone, Debug, Default)]
pub struct Refused {
    /// The configuration.
    pub config: Option<Refusal>,
    /// Certificates, keys, trust and CRLs, with the configuration in use.
    pub tls: Option<Refusal>,
}

/// Why it was refused.
#[derive(Clone, Debug)]
pub struct Refusal {
    /// When.
    pub time: SystemTime,
    /// What is wrong: `file:line:col: message`.
    pub findings: Vec<String>,
}

/// What is counted beside the workers.
#[derive(Clone, Debug, Default)]
pub struct ControlMetrics {
    /// The whole configuration.
    pub config_reloads: Reloads,
    /// Certificates, keys, trust and CRLs whose files changed.
    pub tls_reloads: Reloads,
    /// What of it is refused at the moment.
    pub refused: Arc<Refused>,
    /// Each certificate in use: its file and when it ends.
    pub certificates: Vec<(PathBuf, SystemTime)>,
    /// The generation of the snapshot in use.
    pub generation: u64,
    /// Threads that serve.
    pub workers: usize,
}

/// One bound path as its clients see it, for `/clients.json`.
#[derive(Clone, Debug)]
pub struct ClientReport {
    /// The router's label.
    pub router: String,
    /// The bound path.
    pub bound: String,
    /// The TLS identity, as `explain` shows it; `None`: clear text.
    pub tls: Option<serde_json::Value>,
    /// Its endpoints.
    pub endpoints: Vec<EndpointReport>,
}

/// One endpoint of a bound path.
#[derive(Clone, Debug)]
pub struct EndpointReport {
    /// Where it listens.
    pub addr: SocketAddr,
    /// Its weight in the address set.
    pub weight: f64,
    /// `alive`, `ejected` or `draining`.
    pub state: &'static str,
    /// Requests that it has now.
    pub in_flight: u64,
    /// Smoothed time to the response's head; `None`: never measured.
    pub latency_ms: Option<f64>,
    /// Open connections.
    pub connections: u64,
    /// Attempts since it is known.
    pub requests: u64,
    /// Of these, classified as failure.
    pub failures: u64,
    /// The certificate that it showed last.
    pub certificate: Option<CertificateSummary>,
}

/// One finished request, for `/requests.json`.
#[derive(Clone, Debug)]
pub struct RequestReport {
    /// When its head had come.
    pub time: SystemTime,
    /// The router's label.
    pub router: String,
    /// Its method.
    pub method: String,
    /// Its target, without the query: that may hold secrets.
    pub target: String,
    /// Its logical path; empty: it could not be identified.
    pub logical: String,
    /// The bound path that it was sent to.
    pub bound: Option<String>,
    /// The endpoint of the last attempt.
    pub endpoint: Option<SocketAddr>,
    /// The status that the client got.
    pub status: u16,
    /// Why waypost itself answered.
    pub error: Option<String>,
    /// Attempts made; 0: none.
    pub attempts: u32,
    /// From its head to the end of the response.
    pub duration: Duration,
    /// The generation in which it was decided where the request goes; `None`: it was not.
    pub generation: Option<u64>,
}
