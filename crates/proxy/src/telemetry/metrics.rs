//! The counters that the data path holds on to: resolved once when a route is made, then a cell to add to.

use std::array;
use std::cell::Cell;
use std::fmt;
use std::rc::Rc;
use std::time::Duration;

use super::histogram::{Histogram, HistogramCounts};

/// How a response was classified.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// The classifier says that the request did what it should.
    Success,
    /// It did not, or waypost itself had to answer.
    Failure,
}

/// The protocol that a connection speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wire {
    /// HTTP/1.0 or HTTP/1.1.
    Http1,
    /// HTTP/2, over TLS or with prior knowledge.
    Http2,
}

/// How a TLS handshake can end, as the `outcome` label says it. A word that is not here counts as `other`.
pub const TLS_OUTCOMES: [&str; 8] =
    ["success", "bad_name", "unknown_issuer", "expired", "revoked", "client_cert_refused", "timeout", "other"];

/// A set of metrics that a worker registers under one label.
pub(super) trait Metrics: Default {
    type Counts: Counts;
    /// Moves whenever something was counted; tells used entries from idle ones.
    fn activity(&self) -> u64;
    fn counts(&self) -> Self::Counts;
}

/// The plain data of one set; what workers report adds up.
pub trait Counts: Default {
    /// Adds what another worker counted.
    fn merge(&mut self, other: &Self);
}

/// What is counted for one logical path.
#[derive(Debug, Default)]
pub struct ServiceMetrics {
    requests: ByClass,
    retries: Cell<u64>,
    retry_budget: Cell<f64>,
    latency: Histogram,
}

impl ServiceMetrics {
    /// One request ended, all its attempts included; `latency` is from its head to the end of the response.
    pub fn finished(&self, class: Class, latency: Duration) {
        self.requests.add(class);
        self.latency.record(latency);
    }

    /// One further attempt was made.
    pub fn retried(&self) {
        self.retries.set(self.retries.get() + 1);
    }

    /// How many retries the budget of the process allows at once.
    pub fn retry_budget(&self, left: f64) {
        self.retry_budget.set(left);
    }
}

impl Metrics for ServiceMetrics {
    type Counts = ServiceCounts;
    fn activity(&self) -> u64 {
        self.requests.total().wrapping_add(self.retries.get())
    }
    fn counts(&self) -> ServiceCounts {
        ServiceCounts {
            success: self.requests.success.get(),
            failure: self.requests.failure.get(),
            retries: self.retries.get(),
            retry_budget: self.retry_budget.get(),
            latency: self.latency.counts(),
        }
    }
}

/// [`ServiceMetrics`] as plain data.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ServiceCounts {
    /// Requests classified as success.
    pub success: u64,
    /// Requests classified as failure.
    pub failure: u64,
    /// Further attempts.
    pub retries: u64,
    /// Retries that the budget allows at once.
    pub retry_budget: f64,
    /// Whole requests.
    pub latency: HistogramCounts,
}

impl Counts for ServiceCounts {
    fn merge(&mut self, other: &Self) {
        self.success += other.success;
        self.failure += other.failure;
        self.retries += other.retries;
        // Every worker tells the same, that of the process.
        self.retry_budget = self.retry_budget.max(other.retry_budget);
        self.latency.merge(&other.latency);
    }
}

/// What is counted for one bound path.
#[derive(Debug, Default)]
pub struct ClientMetrics {
    requests: ByClass,
    latency: Histogram,
    connections: Connections,
    tls_handshakes: Outcomes,
}

impl ClientMetrics {
    /// One attempt ended; `latency` is from its first byte to the end of the response.
    pub fn finished(&self, class: Class, latency: Duration) {
        self.requests.add(class);
        self.latency.record(latency);
    }

    /// A connection was opened: it counts as open until the guard is dropped.
    pub fn connected(self: &Rc<Self>, wire: Wire) -> ConnectionGuard {
        ConnectionGuard::new(Owner::Client(Rc::clone(self)), wire)
    }

    /// A TLS handshake ended in one of [`TLS_OUTCOMES`].
    pub fn tls_handshake(&self, outcome: &str) {
        self.tls_handshakes.add(outcome);
    }
}

impl Metrics for ClientMetrics {
    type Counts = ClientCounts;
    fn activity(&self) -> u64 {
        self.requests.total().wrapping_add(self.tls_handshakes.total())
    }
    fn counts(&self) -> ClientCounts {
        ClientCounts {
            success: self.requests.success.get(),
            failure: self.requests.failure.get(),
            http1_connections: self.connections.http1.get(),
            http2_connections: self.connections.http2.get(),
            tls_handshakes: self.tls_handshakes.counts(),
            latency: self.latency.counts(),
        }
    }
}

/// [`ClientMetrics`] as plain data.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClientCounts {
    /// Attempts classified as success.
    pub success: u64,
    /// Attempts classified as failure.
    pub failure: u64,
    /// Open HTTP/1 connections.
    pub http1_connections: u64,
    /// Open HTTP/2 connections.
    pub http2_connections: u64,
    /// In the order of [`TLS_OUTCOMES`].
    pub tls_handshakes: [u64; TLS_OUTCOMES.len()],
    /// Attempts.
    pub latency: HistogramCounts,
}

impl Counts for ClientCounts {
    fn merge(&mut self, other: &Self) {
        self.success += other.success;
        self.failure += other.failure;
        self.http1_connections += other.http1_connections;
        self.http2_connections += other.http2_connections;
        merge_all(&mut self.tls_handshakes, &other.tls_handshakes);
        self.latency.merge(&other.latency);
    }
}

/// What is counted for one listener.
#[derive(Debug, Default)]
pub struct ServerMetrics {
    connections: Connections,
    accepted: Cell<u64>,
    refused: Cell<u64>,
    tls_handshakes: Outcomes,
    handshakes_pending: Cell<u64>,
    handshakes_evicted: Cell<u64>,
    overrides_refused: Cell<u64>,
    tunnels: Cell<u64>,
    tunnels_opened: Cell<u64>,
    terminations: [Cell<u64>; Termination::ALL.len()],
}

/// Why waypost ended a client's connection, or one of its streams.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Termination {
    /// No request's head came within `head_timeout`.
    HeadTimeout,
    /// Too little of a request's body came within `body_timeout`.
    BodyTimeout,
    /// The client took nothing for `write_timeout`, or is gone without a word.
    WriteTimeout,
    /// It broke the rules of the protocol.
    Malformed,
    /// It kept to the rules, and did too much that is of no use: resets, empty frames, endless heads.
    Flood,
}

impl Termination {
    /// With the words of the metric.
    pub const ALL: [(Self, &'static str); 5] = [
        (Self::HeadTimeout, "head_timeout"),
        (Self::BodyTimeout, "body_timeout"),
        (Self::WriteTimeout, "write_timeout"),
        (Self::Malformed, "malformed"),
        (Self::Flood, "flood"),
    ];
}

impl ServerMetrics {
    /// A connection or stream was ended.
    pub fn terminated(&self, why: Termination) {
        let all = Termination::ALL.iter().zip(&self.terminations);
        for (_, count) in all.filter(|((known, _), _)| *known == why) {
            count.set(count.get() + 1);
        }
    }

    /// A connection's protocol became known: it counts as open until the guard is dropped.
    pub fn connected(self: &Rc<Self>, wire: Wire) -> ConnectionGuard {
        self.accepted.set(self.accepted.get() + 1);
        ConnectionGuard::new(Owner::Server(Rc::clone(self)), wire)
    }

    /// A connection was closed at once, since there were too many.
    pub fn refused(&self) {
        self.refused.set(self.refused.get() + 1);
    }

    /// A TLS handshake ended in one of [`TLS_OUTCOMES`].
    pub fn tls_handshake(&self, outcome: &str) {
        self.tls_handshakes.add(outcome);
    }

    /// So many TLS handshakes are under way now.
    pub fn handshakes_pending(&self, pending: usize) {
        self.handshakes_pending.set(u64::try_from(pending).unwrap_or(u64::MAX));
    }

    /// A TLS handshake that took long had to make room for others.
    pub fn handshake_evicted(&self) {
        self.handshakes_evicted.set(self.handshakes_evicted.get() + 1);
    }

    /// A connection or stream became a tunnel.
    pub fn tunnel_opened(&self) {
        self.tunnels.set(self.tunnels.get() + 1);
        self.tunnels_opened.set(self.tunnels_opened.get() + 1);
    }

    /// A tunnel ended.
    pub fn tunnel_closed(&self) {
        self.tunnels.set(self.tunnels.get().saturating_sub(1));
    }

    /// A request's `l5d-dtab` was removed, since its sender may not override.
    pub fn override_refused(&self) {
        self.overrides_refused.set(self.overrides_refused.get() + 1);
    }
}

impl Metrics for ServerMetrics {
    type Counts = ServerCounts;
    fn activity(&self) -> u64 {
        self.accepted.get().wrapping_add(self.refused.get()).wrapping_add(self.tls_handshakes.total())
    }
    fn counts(&self) -> ServerCounts {
        ServerCounts {
            http1_connections: self.connections.http1.get(),
            http2_connections: self.connections.http2.get(),
            accepted: self.accepted.get(),
            refused: self.refused.get(),
            tls_handshakes: self.tls_handshakes.counts(),
            handshakes_pending: self.handshakes_pending.get(),
            handshakes_evicted: self.handshakes_evicted.get(),
            overrides_refused: self.overrides_refused.get(),
            tunnels: self.tunnels.get(),
            tunnels_opened: self.tunnels_opened.get(),
            terminations: self.terminations.each_ref().map(Cell::get),
        }
    }
}

/// [`ServerMetrics`] as plain data.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ServerCounts {
    /// Open HTTP/1 connections.
    pub http1_connections: u64,
    /// Open HTTP/2 connections.
    pub http2_connections: u64,
    /// Connections whose protocol became known.
    pub accepted: u64,
    /// Connections closed at once.
    pub refused: u64,
    /// In the order of [`TLS_OUTCOMES`].
    pub tls_handshakes: [u64; TLS_OUTCOMES.len()],
    /// TLS handshakes under way.
    pub handshakes_pending: u64,
    /// TLS handshakes that had to make room.
    pub handshakes_evicted: u64,
    /// Requests whose `l5d-dtab` was removed.
    pub overrides_refused: u64,
    /// Open tunnels.
    pub tunnels: u64,
    /// Tunnels that were opened.
    pub tunnels_opened: u64,
    /// In the order of [`Termination::ALL`].
    pub terminations: [u64; Termination::ALL.len()],
}

impl Counts for ServerCounts {
    fn merge(&mut self, other: &Self) {
        self.http1_connections += other.http1_connections;
        self.http2_connections += other.http2_connections;
        self.accepted += other.accepted;
        self.refused += other.refused;
        merge_all(&mut self.tls_handshakes, &other.tls_handshakes);
        self.handshakes_pending += other.handshakes_pending;
        self.handshakes_evicted += other.handshakes_evicted;
        self.overrides_refused += other.overrides_refused;
        self.tunnels += other.tunnels;
        self.tunnels_opened += other.tunnels_opened;
        merge_all(&mut self.terminations, &other.terminations);
    }
}

/// What is counted for a router as a whole: requests that waypost itself had to answer, by `waypost-error`.
#[derive(Debug, Default)]
pub struct RouterMetrics {
    /// The words are a closed set of a few dozen: a list is searched as fast as a map.
    errors: std::cell::RefCell<Vec<(&'static str, u64)>>,
}

impl RouterMetrics {
    /// waypost itself answered a request; `word` is what its `waypost-error` header says.
    pub fn answered(&self, word: &'static str) {
        let mut errors = self.errors.borrow_mut();
        match errors.iter_mut().find(|(known, _)| *known == word) {
            Some((_, count)) => *count += 1,
            None => errors.push((word, 1)),
        }
    }
}

impl Metrics for RouterMetrics {
    type Counts = RouterCounts;
    fn activity(&self) -> u64 {
        self.errors.borrow().iter().map(|(_, count)| count).sum()
    }
    fn counts(&self) -> RouterCounts {
        RouterCounts { errors: self.errors.borrow().clone() }
    }
}

/// [`RouterMetrics`] as plain data.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RouterCounts {
    /// `waypost-error` word and how often it was given.
    pub errors: Vec<(&'static str, u64)>,
}

impl Counts for RouterCounts {
    fn merge(&mut self, other: &Self) {
        for (word, count) in &other.errors {
            match self.errors.iter_mut().find(|(known, _)| known == word) {
                Some((_, mine)) => *mine += count,
                None => self.errors.push((word, *count)),
            }
        }
    }
}

/// What is counted for one bounded table of a router.
#[derive(Debug, Default)]
pub struct CacheMetrics {
    entries: Cell<u64>,
    evictions: Cell<u64>,
}

impl CacheMetrics {
    /// How many entries the table holds now.
    pub fn entries(&self, entries: usize) {
        self.entries.set(u64::try_from(entries).unwrap_or(u64::MAX));
    }

    /// An entry had to go to make room.
    pub fn evicted(&self) {
        self.evictions.set(self.evictions.get() + 1);
    }
}

impl Metrics for CacheMetrics {
    type Counts = CacheCounts;
    fn activity(&self) -> u64 {
        self.entries.get().wrapping_add(self.evictions.get())
    }
    fn counts(&self) -> CacheCounts {
        CacheCounts { entries: self.entries.get(), evictions: self.evictions.get() }
    }
}

/// [`CacheMetrics`] as plain data.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CacheCounts {
    /// Entries now.
    pub entries: u64,
    /// Entries that had to go.
    pub evictions: u64,
}

impl Counts for CacheCounts {
    fn merge(&mut self, other: &Self) {
        self.entries += other.entries;
        self.evictions += other.evictions;
    }
}

/// An open connection: counted until this is dropped.
pub struct ConnectionGuard {
    owner: Owner,
    wire: Wire,
}

impl fmt::Debug for ConnectionGuard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConnectionGuard").field("wire", &self.wire).finish_non_exhaustive()
    }
}

impl ConnectionGuard {
    fn new(owner: Owner, wire: Wire) -> Self {
        let guard = Self { owner, wire };
        let open = guard.open();
        open.set(open.get() + 1);
        guard
    }

    fn open(&self) -> &Cell<u64> {
        let connections = match &self.owner {
            Owner::Client(metrics) => &metrics.connections,
            Owner::Server(metrics) => &metrics.connections,
        };
        match self.wire {
            Wire::Http1 => &connections.http1,
            Wire::Http2 => &connections.http2,
        }
    }
}

impl Drop for ConnectionGuard {
    fn drop(&mut self) {
        let open = self.open();
        open.set(open.get().saturating_sub(1));
    }
}

enum Owner {
    Client(Rc<ClientMetrics>),
    Server(Rc<ServerMetrics>),
}

#[derive(Debug, Default)]
struct Connections {
    http1: Cell<u64>,
    http2: Cell<u64>,
}

#[derive(Debug, Default)]
struct ByClass {
    success: Cell<u64>,
    failure: Cell<u64>,
}

impl ByClass {
    fn add(&self, class: Class) {
        let count = match class {
            Class::Success => &self.success,
            Class::Failure => &self.failure,
        };
        count.set(count.get() + 1);
    }

    fn total(&self) -> u64 {
        self.success.get().wrapping_add(self.failure.get())
    }
}

/// One count per word of [`TLS_OUTCOMES`].
#[derive(Debug, Default)]
struct Outcomes([Cell<u64>; TLS_OUTCOMES.len()]);

impl Outcomes {
    fn add(&self, outcome: &str) {
        let index = TLS_OUTCOMES.iter().position(|known| *known == outcome);
        let count = index.and_then(|index| self.0.get(index)).or_else(|| self.0.last());
        if let Some(count) = count {
            count.set(count.get() + 1);
        }
    }

    fn total(&self) -> u64 {
        self.0.iter().map(Cell::get).sum()
    }

    fn counts(&self) -> [u64; TLS_OUTCOMES.len()] {
        array::from_fn(|index| self.0.get(index).map_or(0, Cell::get))
    }
}

fn merge_all(mine: &mut [u64], theirs: &[u64]) {
    for (mine, theirs) in mine.iter_mut().zip(theirs) {
        *mine += theirs;
    }
}
