//! From a configuration to running parts, and back: who owns which task, how a new configuration is taken on, how the
//! process ends.
//!
//! [`App`] lives on the control runtime. It publishes; workers follow. A reload makes a whole new snapshot beside the
//! one in use and publishes it only when every part of it stands.

pub mod control;
pub mod files;

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime};

use arc_swap::ArcSwap;
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use waypost_naming::{Finding, Place, Severity};
use waypost_routing::{DtabCell, Generation, HealthRegistry, NamerSet};

use self::control::Control;
use self::files::Watched;
use crate::cause::chain;
use crate::config::{Config, Loaded};
use crate::plan::{Router, Snapshot};
use crate::server::listener::Listener;
use crate::telemetry::{Refusal, Refused};
use crate::tls::Expiry;
use crate::worker::{self, ASKS, Published, Serving, Shared};

/// Why waypost does not run.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The configuration can't be loaded.
    #[error("the configuration has {} error(s)", .0.iter().filter(|finding| finding.severity == Severity::Error).count())]
    Config(Vec<Finding>),
    /// The admin's address can't be listened on.
    #[error("the admin can't listen on {addr}; another address is `[admin] ip` and `port`")]
    Admin {
        /// The address.
        addr: SocketAddr,
        /// What the system says.
        #[source]
        source: io::Error,
    },
    /// An address can't be listened on.
    #[error("{addr} ({from}) can't be listened on")]
    Listen {
        /// The address.
        addr: SocketAddr,
        /// The section that asks for it.
        from: Place,
        /// What the system says.
        #[source]
        source: io::Error,
    },
    /// A thread, a runtime or a signal handler is not to be had.
    #[error("the system refuses what is needed to run")]
    System(#[source] io::Error),
}

/// Everything that runs beside the workers.
#[derive(Debug)]
pub struct App {
    control: Arc<Control>,
    reloads: mpsc::Receiver<oneshot::Sender<Result<(), Vec<Finding>>>>,
    workers: Vec<oneshot::Receiver<()>>,
    /// Discovery and admin.
    tasks: TaskTracker,
    stop: CancellationToken,
    /// Ends the discovery that only the snapshot in use needs.
    discovery: CancellationToken,
    watched: Watched,
    /// When a configuration was read last.
    tried: Instant,
    expiry: Expiry,
}

/// Where the text of a reload comes from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Text {
    /// The file, as it is now.
    File,
    /// The configuration in use; only the files that it names are read again.
    InUse,
}

impl Text {
    /// For the log.
    const fn words(self) -> &'static str {
        match self {
            Self::File => "configuration",
            Self::InUse => "certificates and other files",
        }
    }
}

impl App {
    /// Starts everything; when this returns, every address is listened on.
    ///
    /// # Errors
    /// Nothing runs then.
    pub async fn start(path: PathBuf, loaded: Loaded, log: control::LogFilter) -> Result<Self, RunError> {
        let config = Arc::new(loaded.config);
        let workers = config.workers.map_or_else(available_cores, usize::from);
        let admin_addr = SocketAddr::new(config.admin.ip, config.admin.port);
        let admin = tokio::net::TcpListener::bind(admin_addr)
            .await
            .map_err(|source| RunError::Admin { addr: admin_addr, source })?;
        let (tasks, stop) = (TaskTracker::new(), CancellationToken::new());
        let generation = Arc::new(Generation::new());
        let health = Arc::new(HealthRegistry::new());
        let discovery = stop.child_token();
        let namers = Arc::new(NamerSet::live(&config.namers, Arc::clone(&generation), &tasks, discovery.clone()));
        let snapshot = Arc::new(snapshot(1, &config, &namers, &health));
        let servers = listen(&config, &[], workers)?;
        let watched = Watched::new(&config, None);
        let published = Published { snapshot, servers, draining: false };
        let shared = Arc::new(Shared::new(generation, health, workers, published));
        let (asks, ended) = start_workers(&shared).map_err(RunError::System)?;
        let (reload, reloads) = mpsc::channel(RELOADS);
        let admin_addr = admin.local_addr().map_err(RunError::System)?;
        let control = Arc::new(Control {
            path,
            shared,
            asks,
            reload,
            admin: admin_addr,
            shutdown: CancellationToken::new(),
            started: SystemTime::now(),
            log,
            config_reloads: (AtomicU64::new(0), AtomicU64::new(0)),
            tls_reloads: (AtomicU64::new(0), AtomicU64::new(0)),
            refused: ArcSwap::default(),
        });
        let serving = crate::admin::serve(admin, Arc::clone(&control) as Arc<dyn crate::admin::Control>, stop.clone());
        drop(tasks.spawn(serving));
        tracing::info!(addr = %admin_addr, "admin listens");
        for server in &control.shared.published.load().servers {
            let label = control.label_of(server);
            tracing::info!(router = label.as_deref().unwrap_or_default(), addr = %server.listener.addr, "serving");
        }
        let (tried, expiry) = (Instant::now(), Expiry::default());
        let mut app = Self { control, reloads, workers: ended, tasks, stop, discovery, watched, tried, expiry };
        app.look_at_certificates();
        Ok(app)
    }

    /// What the admin and the demo ask.
    pub fn control(&self) -> &Arc<Control> {
        &self.control
    }

    /// Runs until a signal, or the admin, says that it is enough; then drains.
    ///
    /// # Errors
    /// Should the system give no signals; nothing was served then.
    pub async fn run(mut self) -> Result<(), RunError> {
        use tokio::signal::unix::{SignalKind, signal};
        let mut terminate = signal(SignalKind::terminate()).map_err(RunError::System)?;
        let mut interrupt = signal(SignalKind::interrupt()).map_err(RunError::System)?;
        let mut hang_up = signal(SignalKind::hangup()).map_err(RunError::System)?;
        let mut look = tokio::time::interval(files::LOOK_INTERVAL);
        look.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let shutdown = self.control.shutdown.clone();
        loop {
            tokio::select! {
                _ = terminate.recv() => break,
                _ = interrupt.recv() => break,
                () = shutdown.cancelled() => break,
                _ = hang_up.recv() => { let _logged = self.reload(Text::File).await; }
                Some(answer) = self.reloads.recv() => {
                    let result = self.reload(Text::File).await;
                    // Whoever asked may be gone; it is logged in any case.
                    drop(answer.send(result));
                }
                _ = look.tick() => {
                    self.look_at_files().await;
                    self.look_at_certificates();
                }
            }
        }
        self.drain().await;
        Ok(())
    }

    /// Whatever files changed are taken on.
    async fn look_at_files(&mut self) {
        let changes = self.watched.look();
        let published = self.control.shared.published.load_full();
        for (path, text) in changes.dtabs {
            files::take_dtab(&published.snapshot, &path, &text, &self.control.shared.generation);
        }
        if changes.config && published.snapshot.config.watch {
            let _logged = self.reload(Text::File).await;
            return;
        }
        if changes.tls {
            let _logged = self.reload(Text::InUse).await;
        }
        if published.snapshot.config.watch {
            self.try_refused_again().await;
        }
    }

    /// What was wrong with a configuration need not stand in its own text: a file that it names may have come since.
    async fn try_refused_again(&mut self) {
        let refused = self.control.refused.load_full();
        let Some(refusal) = &refused.config else { return };
        if self.tried.elapsed() < TRY_AGAIN {
            return;
        }
        let result = self.try_reload(Text::File).await;
        let is_same =
            |findings: &Vec<Finding>| findings.iter().map(Finding::one_line).eq(refusal.findings.iter().cloned());
        // The same again is nothing to tell.
        if !result.as_ref().is_err_and(is_same) {
            self.conclude(Text::File, &result);
        }
    }

    /// Whatever certificate comes near its end is told of.
    fn look_at_certificates(&mut self) {
        let published = self.control.shared.published.load();
        let certificates = published.snapshot.config.materials.certificates();
        self.expiry.look(certificates.iter().map(|(file, end)| (file.as_path(), *end)), SystemTime::now());
    }

    /// Takes on a configuration whole, or not at all.
    async fn reload(&mut self, text: Text) -> Result<(), Vec<Finding>> {
        let result = self.try_reload(text).await;
        self.conclude(text, &result);
        result
    }

    /// Counts and tells what became of a reload.
    fn conclude(&self, text: Text, result: &Result<(), Vec<Finding>>) {
        self.note(text, result);
        let counted = match text {
            Text::File => &self.control.config_reloads,
            Text::InUse => &self.control.tls_reloads,
        };
        match result {
            Ok(()) => {
                counted.0.fetch_add(1, Ordering::Relaxed);
                tracing::info!(
                    what = text.words(),
                    generation = self.control.shared.published.load().snapshot.generation,
                    "taken on"
                );
            }
            Err(findings) => {
                counted.1.fetch_add(1, Ordering::Relaxed);
                for finding in findings {
                    let place = finding.place().map(|(file, line, column)| format!("{file}:{line}:{column}"));
                    tracing::error!(what = text.words(), place = place.as_deref().unwrap_or_default(), message = %finding.message, "refused, what was there goes on");
                }
            }
        }
    }

    /// Keeps what is wrong for whoever asks later. A configuration that is taken on has read all files anew.
    fn note(&self, text: Text, result: &Result<(), Vec<Finding>>) {
        let refusal = result.as_ref().err().map(|findings| Refusal {
            time: SystemTime::now(),
            findings: findings.iter().map(Finding::one_line).collect(),
        });
        let mut refused = Refused::clone(&self.control.refused.load());
        match (text, refusal) {
            (Text::File, None) => refused = Refused::default(),
            (Text::File, refusal) => refused.config = refusal,
            (Text::InUse, refusal) => refused.tls = refusal,
        }
        self.control.refused.store(Arc::new(refused));
    }

    async fn try_reload(&mut self, text: Text) -> Result<(), Vec<Finding>> {
        let before = self.control.shared.published.load_full();
        self.tried = Instant::now();
        // What changes from here on is looked at again.
        self.watched.note();
        let loaded = match text {
            Text::File => Config::load(&self.control.path)?,
            Text::InUse => {
                let source = &before.snapshot.config.source;
                Config::parse(&source.name, &source.text, files::base_dir(&self.control.path))?
            }
        };
        let mut config = loaded.config;
        keep_tickets(&mut config, &before.snapshot.config);
        let config = Arc::new(config);
        self.refuse_what_needs_a_restart(&config)?;
        let servers = listen(&config, &before.servers, self.control.shared.workers)
            .map_err(|error| vec![Finding::error("listen", chain(&error))])?;
        let discovery = self.stop.child_token();
        let kept = before.snapshot.routers.first().filter(|_| before.snapshot.config.namers == config.namers);
        let namers = match kept {
            Some(router) => Arc::clone(&router.namers),
            None => {
                let generation = Arc::clone(&self.control.shared.generation);
                let namers = Arc::new(NamerSet::live(&config.namers, generation, &self.tasks, discovery.clone()));
                first_answers(&namers, &self.control.shared.generation).await;
                namers
            }
        };
        let snapshot =
            Arc::new(snapshot(before.snapshot.generation + 1, &config, &namers, &self.control.shared.health));
        self.watched = Watched::new(&config, Some(&self.watched));
        self.control.shared.published.store(Arc::new(Published { snapshot, servers, draining: false }));
        self.control.shared.generation.bump();
        if kept.is_none() {
            std::mem::replace(&mut self.discovery, discovery).cancel();
        }
        for warning in &loaded.warnings {
            tracing::warn!(message = %warning.message, "configuration");
        }
        Ok(())
    }

    fn refuse_what_needs_a_restart(&self, config: &Config) -> Result<(), Vec<Finding>> {
        let mut findings = Vec::new();
        if config.workers.is_some_and(|workers| workers.get() != self.control.shared.workers) {
            let now = self.control.shared.workers;
            findings.push(Finding::error(
                "workers",
                format!("`workers` is {now} since the start: another number needs a restart"),
            ));
        }
        let admin = SocketAddr::new(config.admin.ip, config.admin.port);
        let in_use = self.control.shared.published.load().snapshot.config.admin.clone();
        if admin != SocketAddr::new(in_use.ip, in_use.port) {
            findings.push(Finding::error(
                "admin",
                format!("the admin listens on {}: another address needs a restart", self.control.admin),
            ));
        }
        if findings.is_empty() { Ok(()) } else { Err(findings) }
    }

    /// Accepts nothing more, and gives what runs the configured grace to finish.
    async fn drain(self) {
        let shared = &self.control.shared;
        let published = shared.published.load_full();
        let grace = published.snapshot.config.shutdown_grace;
        tracing::info!(?grace, "draining");
        shared.published.store(Arc::new(Published {
            snapshot: Arc::clone(&published.snapshot),
            servers: published.servers.clone(),
            draining: true,
        }));
        shared.generation.bump();
        let all = async {
            for worker in self.workers {
                // An error is a worker that is gone: that is what is waited for.
                let _ = worker.await;
            }
        };
        if tokio::time::timeout(grace, all).await.is_err() {
            tracing::warn!(?grace, "the grace has passed: what still runs is closed");
        }
        self.stop.cancel();
        self.tasks.close();
        let _ = tokio::time::timeout(ADMIN_GRACE, self.tasks.wait()).await;
        tracing::info!("stopped");
    }
}

/// The routers of a configuration, on namers that run already.
fn snapshot(generation: u64, config: &Arc<Config>, namers: &Arc<NamerSet>, health: &Arc<HealthRegistry>) -> Snapshot {
    let routers = config.routers.iter().map(|router| {
        Arc::new(Router {
            config: router.clone(),
            dtab: Arc::new(DtabCell::new(router.dtab.clone())),
            namers: Arc::clone(namers),
            health: Arc::clone(health),
        })
    });
    Snapshot { generation, routers: routers.collect(), config: Arc::clone(config) }
}

/// Callers go on with their TLS sessions: a server's tickets are accepted by its successor on the same address.
fn keep_tickets(config: &mut Config, before: &Config) {
    let servers = |config: &Config| config.routers.iter().flat_map(|router| router.servers.clone()).collect::<Vec<_>>();
    let before = servers(before);
    for server in config.routers.iter_mut().flat_map(|router| &mut router.servers) {
        let older =
            before.iter().find(|older| older.address() == server.address()).and_then(|older| older.tls.as_ref());
        if let (Some(tls), Some(older)) = (&mut server.tls, older) {
            tls.material = Arc::new((*tls.material).clone().keep_tickets_of(&older.material));
        }
    }
}

/// Listens on what the configuration asks for; sockets of `before` on the same addresses go on, with what waits in them.
fn listen(config: &Config, before: &[Serving], workers: usize) -> Result<Vec<Serving>, RunError> {
    let mut servers = Vec::new();
    let mut free: Vec<&Serving> = before.iter().collect();
    for (router_index, router) in config.routers.iter().enumerate() {
        for (server_index, server) in router.servers.iter().enumerate() {
            let addr = server.address();
            let known = free.iter().position(|serving| serving.listener.configured == addr);
            let listener = match known {
                Some(index) => Arc::clone(&free.swap_remove(index).listener),
                None => Arc::new(Listener::bind(addr, workers).map_err(|source| RunError::Listen {
                    addr,
                    from: server.from.clone(),
                    source,
                })?),
            };
            servers.push(Serving { listener, router: router_index, server: server_index });
        }
    }
    Ok(servers)
}

type Workers = (Vec<mpsc::Sender<worker::Ask>>, Vec<oneshot::Receiver<()>>);

fn start_workers(shared: &Arc<Shared>) -> io::Result<Workers> {
    let (mut asks, mut ended) = (Vec::new(), Vec::new());
    for index in 0..shared.workers {
        let (ask, asked) = mpsc::channel(ASKS);
        let (end, at_end) = oneshot::channel();
        let shared = Arc::clone(shared);
        std::thread::Builder::new().name(format!("worker-{index}")).spawn(move || {
            if let Err(error) = worker::run(index, shared, asked) {
                tracing::error!(index, %error, "a worker has no runtime");
            }
            // Nobody waits for it unless the process drains.
            let _ = end.send(());
        })?;
        asks.push(ask);
        ended.push(at_end);
    }
    Ok((asks, ended))
}

/// A new configuration is taken on with its names known: otherwise every request would wait for them anew.
async fn first_answers(namers: &NamerSet, generation: &Generation) {
    let deadline = Instant::now() + FIRST_ANSWERS;
    loop {
        let seen = generation.current();
        if namers.ready().is_ok() || Instant::now() >= deadline {
            return;
        }
        // A time out only means to look once more.
        let _ = tokio::time::timeout(Duration::from_millis(100), generation.moved(seen)).await;
    }
}

fn available_cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

const RELOADS: usize = 4;
/// A configuration that was refused is looked at again after so long, where it is watched.
const TRY_AGAIN: Duration = Duration::from_secs(5);
const FIRST_ANSWERS: Duration = Duration::from_secs(2);
const ADMIN_GRACE: Duration = Duration::from_secs(1);
