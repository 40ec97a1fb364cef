//! The door of the running process: what the admin asks and tells.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::SystemTime;

use arc_swap::ArcSwap;
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::reload::Handle;
use waypost_naming::{Finding, Path};

use crate::admin::{self, BoxFuture};
use crate::explanation::tls_json;
use crate::plan::Snapshot;
use crate::telemetry::{ClientReport, ControlMetrics, EndpointReport, MetricsReport, Refused, Reloads, RequestReport};
use crate::worker::{ASK_TIMEOUT, Ask, Serving, Shared};

/// What is logged, replaceable while it runs.
pub type LogFilter = Handle<EnvFilter, tracing_subscriber::Registry>;

/// Who asks for a reload waits for its answer.
pub type ReloadRequest = oneshot::Sender<Result<(), Vec<Finding>>>;

/// The parts of the process that others may talk to.
#[derive(Debug)]
pub struct Control {
    /// The configuration's file.
    pub path: PathBuf,
    /// What control and workers share.
    pub shared: Arc<Shared>,
    /// Asks a worker, by its index.
    pub asks: Vec<mpsc::Sender<Ask>>,
    /// Asks for a reload.
    pub reload: mpsc::Sender<ReloadRequest>,
    /// Where the admin listens.
    pub admin: SocketAddr,
    /// Cancelled: drain and end.
    pub shutdown: CancellationToken,
    /// When all this began.
    pub started: SystemTime,
    /// What is logged.
    pub log: LogFilter,
    /// Reloads of the configuration: taken on, refused.
    pub config_reloads: (AtomicU64, AtomicU64),
    /// Reloads of the files that it names: taken on, refused.
    pub tls_reloads: (AtomicU64, AtomicU64),
    /// What of it is refused at the moment; the app's own task writes it.
    pub refused: ArcSwap<Refused>,
}

impl Control {
    /// The label of a listener's router.
    pub fn label_of(&self, serving: &Serving) -> Option<Arc<str>> {
        let published = self.shared.published.load();
        Some(Arc::clone(&published.snapshot.routers.get(serving.router)?.config.label))
    }

    /// Asks every worker, and gives the answers that come in time.
    fn ask_all<T: Send + 'static>(&self, ask: impl Fn(oneshot::Sender<T>) -> Ask) -> BoxFuture<Vec<T>> {
        let asked: Vec<_> = self
            .asks
            .iter()
            .filter_map(|worker| {
                let (to, answer) = oneshot::channel();
                worker.try_send(ask(to)).ok().map(|()| answer)
            })
            .collect();
        Box::pin(async move {
            let mut answers = Vec::new();
            for answer in asked {
                if let Ok(Ok(answer)) = tokio::time::timeout(ASK_TIMEOUT, answer).await {
                    answers.push(answer);
                }
            }
            answers
        })
    }
}

impl admin::Control for Control {
    fn snapshot(&self) -> Arc<Snapshot> {
        Arc::clone(&self.shared.published.load().snapshot)
    }

    fn generation(&self) -> u64 {
        self.shared.generation.current()
    }

    fn readiness(&self) -> Result<(), Vec<String>> {
        let published = self.shared.published.load();
        let mut reasons = Vec::new();
        if published.draining {
            reasons.push("draining: no new requests are wanted".to_owned());
        }
        if let Some(Err(waiting)) = published.snapshot.routers.first().map(|router| router.namers.ready()) {
            reasons.extend(waiting);
        }
        if reasons.is_empty() { Ok(()) } else { Err(reasons) }
    }

    fn listeners(&self) -> Vec<admin::Listener> {
        let published = self.shared.published.load();
        let listener = |serving: &Serving| {
            let router = published.snapshot.routers.get(serving.router)?;
            Some(admin::Listener {
                router: router.config.label.to_string(),
                server: serving.listener.configured.to_string(),
                addr: serving.listener.addr,
            })
        };
        published.servers.iter().filter_map(listener).collect()
    }

    fn metrics(&self) -> BoxFuture<MetricsReport> {
        let reports = self.ask_all(Ask::Metrics);
        Box::pin(async move {
            let mut all = MetricsReport::default();
            reports.await.into_iter().for_each(|report| all.merge(report));
            all
        })
    }

    fn clients(&self) -> BoxFuture<Vec<ClientReport>> {
        let reports = self.ask_all(Ask::Clients);
        let snapshot = admin::Control::snapshot(self);
        Box::pin(async move {
            let mut all: Vec<ClientReport> = Vec::new();
            for client in reports.await.into_iter().flatten() {
                match all.iter_mut().find(|known| known.router == client.router && known.bound == client.bound) {
                    Some(known) => merge(known, client),
                    None => all.push(client),
                }
            }
            for client in &mut all {
                client.tls = tls_of(&snapshot, client);
            }
            all.sort_by(|a, b| (&a.router, &a.bound).cmp(&(&b.router, &b.bound)));
            all
        })
    }

    fn requests(&self, limit: usize) -> BoxFuture<Vec<RequestReport>> {
        let reports = self.ask_all(|to| Ask::Requests(limit, to));
        Box::pin(async move {
            let mut all: Vec<RequestReport> = reports.await.into_iter().flatten().collect();
            all.sort_by_key(|request| std::cmp::Reverse(request.time));
            all.truncate(limit);
            all
        })
    }

    fn control_metrics(&self) -> ControlMetrics {
        let snapshot = admin::Control::snapshot(self);
        let reloads = |(success, failure): &(AtomicU64, AtomicU64)| Reloads {
            success: success.load(Ordering::Relaxed),
            failure: failure.load(Ordering::Relaxed),
        };
        ControlMetrics {
            config_reloads: reloads(&self.config_reloads),
            tls_reloads: reloads(&self.tls_reloads),
            refused: self.refused.load_full(),
            certificates: snapshot.config.materials.certificates(),
            generation: snapshot.generation,
            workers: self.shared.workers,
        }
    }

    fn reload(&self) -> BoxFuture<Result<(), Vec<Finding>>> {
        let (to, answer) = oneshot::channel();
        let sent = self.reload.try_send(to);
        Box::pin(async move {
            let busy = || vec![Finding::error("reload", "another reload is under way, or waypost is ending")];
            sent.map_err(|_| busy())?;
            answer.await.map_err(|_| busy())?
        })
    }

    fn shutdown(&self) {
        self.shutdown.cancel();
    }

    fn started(&self) -> SystemTime {
        self.started
    }

    fn log_filter(&self) -> String {
        self.log.with_current(ToString::to_string).unwrap_or_default()
    }

    fn set_log_filter(&self, filter: &str) -> Result<(), String> {
        let filter = EnvFilter::builder().parse(filter).map_err(|error| error.to_string())?;
        self.log.reload(filter).map_err(|error| error.to_string())
    }
}

/// The TLS identity of a client, as `explain` shows it.
fn tls_of(snapshot: &Snapshot, client: &ClientReport) -> Option<serde_json::Value> {
    let router = snapshot.routers.iter().find(|router| *router.config.label == *client.router)?;
    let bound = Path::parse(&client.bound).ok()?;
    let shown = tls_json(&router.config.client.for_bound(&bound));
    (!shown.is_null()).then_some(shown)
}

/// What two workers know of one client.
fn merge(into: &mut ClientReport, from: ClientReport) {
    for endpoint in from.endpoints {
        match into.endpoints.iter_mut().find(|known| known.addr == endpoint.addr) {
            Some(known) => merge_endpoint(known, endpoint),
            None => into.endpoints.push(endpoint),
        }
    }
}

fn merge_endpoint(into: &mut EndpointReport, from: EndpointReport) {
    into.in_flight += from.in_flight;
    into.connections += from.connections;
    into.requests += from.requests;
    into.failures += from.failures;
    into.latency_ms = match (into.latency_ms, from.latency_ms) {
        (Some(a), Some(b)) => Some(f64::midpoint(a, b)),
        (a, b) => a.or(b),
    };
    if into.certificate.is_none() {
        into.certificate = from.certificate;
    }
}
