//! A listener as one worker serves it: the router behind it, its settings, its connections.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::{Rc, Weak};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use tokio_util::sync::CancellationToken;

use super::connection::Connection;
use super::handshakes::{Handshakes, share};
use super::listener::Listener;
use crate::config::ServerConfig;
use crate::request::answer::{Failure, Word};
use crate::telemetry::ServerMetrics;
use crate::tls::{Acceptor, acceptor};
use crate::worker::local_router::LocalRouter;

/// One listener on one worker.
#[derive(Debug)]
pub struct Port {
    /// The listener as the process has it.
    pub listener: Arc<Listener>,
    /// What is counted for it.
    pub metrics: Rc<ServerMetrics>,
    /// TLS handshakes under way.
    pub handshakes: Rc<Handshakes>,
    /// Cancelled: no connection is accepted any more.
    pub closing: CancellationToken,
    router: RefCell<Rc<LocalRouter>>,
    settings: RefCell<Rc<Settings>>,
    connections: RefCell<HashMap<u64, Weak<Connection>>>,
    next: Cell<u64>,
}

/// What the configuration says of a server now; a reload replaces it whole.
#[derive(Debug)]
pub struct Settings {
    /// The server's section.
    pub config: ServerConfig,
    /// Makes a connection a protected one; `None`: clear text.
    pub acceptor: Option<Acceptor>,
}

impl Settings {
    /// Ready for connections.
    pub fn new(config: &ServerConfig) -> Rc<Self> {
        let acceptor = config.tls.as_ref().map(|tls| acceptor(&tls.material));
        Rc::new(Self { config: config.clone(), acceptor })
    }
}

impl Port {
    /// Without connections.
    pub fn new(listener: &Arc<Listener>, router: Rc<LocalRouter>, config: &ServerConfig) -> Rc<Self> {
        let metrics = router.worker.metrics.server(&router.shared.config.label, listener.addr);
        Rc::new(Self {
            listener: Arc::clone(listener),
            handshakes: Handshakes::new(Rc::clone(&metrics)),
            metrics,
            closing: CancellationToken::new(),
            router: RefCell::new(router),
            settings: RefCell::new(Settings::new(config)),
            connections: RefCell::default(),
            next: Cell::new(0),
        })
    }

    /// The router as it is now.
    pub fn router(&self) -> Rc<LocalRouter> {
        Rc::clone(&self.router.borrow())
    }

    /// The settings as they are now.
    pub fn settings(&self) -> Rc<Settings> {
        Rc::clone(&self.settings.borrow())
    }

    /// From the next request on, this router and this `authorize`; from the next connection on, these settings.
    pub fn replace(&self, router: Rc<LocalRouter>, config: &ServerConfig) {
        *self.router.borrow_mut() = router;
        *self.settings.borrow_mut() = Settings::new(config);
        for connection in self.connections.borrow().values().filter_map(Weak::upgrade) {
            connection.authorize(config);
        }
    }

    /// Waits until one more connection may begin its handshake; at once where there are none to be made.
    pub async fn room_for_handshake(&self) {
        let settings = self.settings();
        if settings.acceptor.is_some() {
            let worker = Rc::clone(&self.router().worker);
            let limit = share(settings.config.max_pending_handshakes, worker.shared.workers, worker.index);
            self.handshakes.room(limit).await;
        }
    }

    /// No new connection, and no further request on those that are there.
    pub fn close(&self) {
        self.closing.cancel();
        for connection in self.connections.borrow().values().filter_map(Weak::upgrade) {
            connection.drain();
        }
    }

    /// Whether [`Port::close`] was called.
    pub fn is_closing(&self) -> bool {
        self.closing.is_cancelled()
    }

    /// Connections of this worker.
    pub fn open(&self) -> usize {
        self.connections.borrow().len()
    }

    /// Keeps a connection in the list of those that [`Port::close`] tells; it leaves with [`Port::forget`].
    pub fn remember(&self, connection: &Rc<Connection>) -> u64 {
        let id = self.next.replace(self.next.get() + 1);
        self.connections.borrow_mut().insert(id, Rc::downgrade(connection));
        id
    }

    /// The connection has ended.
    pub fn forget(&self, id: u64) {
        self.connections.borrow_mut().remove(&id);
    }

    /// A place for one more request.
    ///
    /// # Errors
    /// [`Word::Overloaded`] when `max_concurrent_requests` are under way in the process.
    pub fn admit(&self) -> Result<RequestPermit, Failure> {
        let Some(limit) = self.settings.borrow().config.max_concurrent_requests else { return Ok(RequestPermit(None)) };
        let permit = RequestPermit(Some(Arc::clone(&self.listener)));
        if self.listener.requests.fetch_add(1, Ordering::Relaxed) < limit.get() {
            return Ok(permit);
        }
        let message = format!("{} serves {limit} requests already (max_concurrent_requests)", self.listener.addr);
        Err(Failure::new(Word::Overloaded, message).retryable())
    }

    /// A place for one more tunnel.
    ///
    /// # Errors
    /// [`Word::Overloaded`] when `max_tunnels` are open, or asked for, in the process.
    pub fn admit_tunnel(&self) -> Result<TunnelPlace, Failure> {
        let (listener, metrics) = (Arc::clone(&self.listener), Rc::clone(&self.metrics));
        let place = TunnelPlace { listener, metrics, open: false };
        let before = self.listener.tunnels.fetch_add(1, Ordering::Relaxed);
        match self.settings.borrow().config.max_tunnels {
            Some(limit) if before >= limit.get() => {
                let message = format!("{} carries {limit} tunnels already (max_tunnels)", self.listener.addr);
                Err(Failure::new(Word::Overloaded, message).retryable())
            }
            Some(_) | None => Ok(place),
        }
    }

    /// A place for one more connection; `None` when `max_connections` are open in the process.
    pub fn admit_connection(&self) -> Option<ConnectionPermit> {
        let permit = ConnectionPermit(Arc::clone(&self.listener));
        let before = self.listener.connections.fetch_add(1, Ordering::Relaxed);
        let limit = self.settings.borrow().config.max_connections;
        if limit.is_some_and(|limit| before >= limit.get()) {
            self.metrics.refused();
            return None;
        }
        Some(permit)
    }
}

/// A request under way, where these are limited.
#[derive(Debug)]
pub struct RequestPermit(Option<Arc<Listener>>);

impl Drop for RequestPermit {
    fn drop(&mut self) {
        if let Some(listener) = &self.0 {
            listener.requests.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

/// An open connection.
#[derive(Debug)]
pub struct ConnectionPermit(Arc<Listener>);

impl Drop for ConnectionPermit {
    fn drop(&mut self) {
        self.0.connections.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A connection, or a stream, that became a tunnel or asks to.
#[derive(Debug)]
pub struct TunnelPlace {
    listener: Arc<Listener>,
    metrics: Rc<ServerMetrics>,
    open: bool,
}

impl TunnelPlace {
    /// It came about.
    pub fn opened(&mut self) {
        self.open = true;
        self.metrics.tunnel_opened();
    }
}

impl Drop for TunnelPlace {
    fn drop(&mut self) {
        self.listener.tunnels.fetch_sub(1, Ordering::Relaxed);
        if self.open {
            self.metrics.tunnel_closed();
        }
    }
}
