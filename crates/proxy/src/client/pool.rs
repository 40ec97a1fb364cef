//! Connections to one endpoint under one TLS identity, kept by one worker.
//!
//! HTTP/1.1 connections wait here between requests; HTTP/2 connections are shared by requests. The number of open
//! connections is limited for the process: each holds a permit until it is closed. A worker that has idle connections
//! while another worker waits for a permit closes them.

use std::cell::{Cell, RefCell};
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};
use waypost_naming::Path;

use super::connect::connect;
use super::endpoint::Endpoint;
use super::http2::{Answers, Connection, StreamSlot};
use super::{Client, http1, http2};
use crate::process_wide::ProcessWide;
use crate::request::answer::{Failure, Word};
use crate::worker::Worker;

/// What a request needs of a connection.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Want {
    /// HTTP/1.1.
    Http1,
    /// HTTP/2.
    Http2,
    /// Whatever the peer chooses by ALPN.
    Either,
    /// HTTP/2 with prior knowledge, or HTTP/1.1 where the peer turns out not to understand that.
    Http2IfUnderstood,
}

/// The right to use a connection for one request.
#[derive(Debug)]
pub enum Lease {
    /// An HTTP/1.1 connection, whole; dropping it closes it.
    Http1(http1::Connection),
    /// A stream of an HTTP/2 connection.
    Http2(StreamSlot),
}

/// Permits to open connections to one endpoint: for the process.
#[derive(Debug)]
pub struct Permits {
    free: Arc<Semaphore>,
    /// Requests, of any worker, that wait.
    wanted: AtomicU32,
}

/// All permits of the process, by router, bound path, endpoint and limit.
pub type AllPermits = ProcessWide<(Arc<str>, Path, SocketAddr, u32), Permits>;

/// The connections themselves.
#[derive(Debug)]
pub struct Pool {
    /// The one that was used last is at the back: it is the least likely to have been closed.
    idle: RefCell<Vec<Idle>>,
    http2: RefCell<Vec<Rc<Connection>>>,
    /// What the peer chose last when it had the choice.
    chose_http2: Cell<Option<bool>>,
    /// Connections under way whose protocol is not known, or is HTTP/2: others wait for them.
    connecting: Cell<u32>,
    /// Attempts that came to nothing.
    failed: Cell<u64>,
    changed: Notify,
    permits: Arc<Permits>,
    waiting: Cell<u32>,
    max_waiters: u32,
    idle_timeout: Duration,
    open: Rc<Cell<u64>>,
    retired: Cell<bool>,
}

#[derive(Debug)]
struct Idle {
    connection: http1::Connection,
    since: Instant,
}

impl Pool {
    /// A pool without connections.
    pub fn new(worker: &Worker, client: &Client, addr: SocketAddr) -> Self {
        let policy = client.policy.pool.value;
        let limit = policy.max_connections.get();
        let key = (Arc::clone(&client.router), client.bound.clone(), addr, limit);
        let permits = worker.shared.permits.share(key, || Permits {
            free: Arc::new(Semaphore::new(usize::try_from(limit).unwrap_or(usize::MAX).min(Semaphore::MAX_PERMITS))),
            wanted: AtomicU32::new(0),
        });
        Self {
            idle: RefCell::default(),
            http2: RefCell::default(),
            chose_http2: Cell::new(None),
            connecting: Cell::new(0),
            failed: Cell::new(0),
            changed: Notify::new(),
            permits,
            waiting: Cell::new(0),
            max_waiters: policy.max_waiters,
            idle_timeout: policy.idle_timeout,
            open: Rc::default(),
            retired: Cell::new(false),
        }
    }

    /// Open connections of this worker.
    pub fn open(&self) -> u64 {
        self.open.get()
    }

    /// No request is to come: idle connections close now, the others when they are free.
    pub fn retire(&self) {
        self.retired.set(true);
        self.idle.borrow_mut().clear();
        self.http2.borrow_mut().clear();
    }

    /// Takes back an HTTP/1.1 connection whose response was read to its end.
    pub fn give_back(&self, mut connection: http1::Connection, now: Instant) {
        let others_wait = self.permits.wanted.load(Ordering::Relaxed) > self.waiting.get();
        if self.retired.get() || connection.sender.is_closed() || (others_wait && self.waiting.get() == 0) {
            return;
        }
        connection.reused = true;
        self.idle.borrow_mut().push(Idle { connection, since: now });
        if self.waiting.get() > 0 {
            self.changed.notify_one();
        }
    }

    /// Closes what was idle for too long, and what others wait for.
    pub fn sweep(&self, now: Instant) {
        let others_wait = self.permits.wanted.load(Ordering::Relaxed) > self.waiting.get();
        self.idle.borrow_mut().retain(|idle| {
            !others_wait
                && !idle.connection.sender.is_closed()
                && now.saturating_duration_since(idle.since) < self.idle_timeout
        });
        self.http2
            .borrow_mut()
            .retain(|connection| connection.is_open() && !connection.idle_for(now, self.idle_timeout));
    }

    /// A connection that can take a request now.
    fn ready(&self, want: Want) -> Option<Lease> {
        if want != Want::Http1 {
            let mut connections = self.http2.borrow_mut();
            connections.retain(|connection| connection.is_open());
            if let Some(slot) = connections.iter().find_map(Connection::slot) {
                return Some(Lease::Http2(slot));
            }
        }
        if want != Want::Http2 {
            let mut idle = self.idle.borrow_mut();
            // One that is not ready may still be finishing an upload whose answer came early; it stays, and so may be
            // closed ones, until they are swept.
            if let Some(index) = idle.iter().rposition(|idle| idle.connection.sender.is_ready()) {
                return Some(Lease::Http1(idle.remove(index).connection));
            }
        }
        None
    }

    /// A connection that is there now; what most requests need.
    pub fn at_hand(&self, want: Want) -> Option<Lease> {
        self.ready(self.settled(want))
    }

    /// What is left of a wish after what the peer has shown.
    fn settled(&self, want: Want) -> Want {
        match (want, self.chose_http2.get()) {
            (Want::Http2IfUnderstood, Some(false)) => Want::Http1,
            (Want::Http2IfUnderstood, Some(true)) => Want::Http2,
            (want, _) => want,
        }
    }

    /// Whether a connection is under way that this request could share, if one carries `streams`.
    fn shares_attempt(&self, want: Want, streams: u32) -> bool {
        let http2 = match want {
            Want::Http1 => false,
            Want::Http2 | Want::Http2IfUnderstood => true,
            Want::Either => self.chose_http2.get() != Some(false),
        };
        http2 && self.waiting.get() < self.connecting.get().saturating_mul(streams)
    }
}

/// A connection of `endpoint` for one request: one that is there, or a new one.
///
/// Dropping the future gives up a connection that is being made.
///
/// # Errors
/// Why there is none; nothing was sent.
pub async fn lease(
    worker: &Rc<Worker>,
    client: &Rc<Client>,
    endpoint: &Rc<Endpoint>,
    want: Want,
) -> Result<Lease, Failure> {
    let pool = &endpoint.pool;
    let streams = client.policy.max_concurrent_streams.value;
    let failed = pool.failed.get();
    let mut want = want;
    loop {
        want = pool.settled(want);
        if let Some(lease) = pool.ready(want) {
            return Ok(lease);
        }
        // Somebody else's attempt is waited for, until one fails: then everybody makes his own.
        if pool.failed.get() == failed && pool.shares_attempt(want, streams) {
            wait(client, endpoint, pool.changed.notified()).await?;
            continue;
        }
        if let Ok(permit) = Arc::clone(&pool.permits.free).try_acquire_owned() {
            match open(worker, client, endpoint, want, permit).await? {
                Some(lease) => return Ok(lease),
                None => want = Want::Http1,
            }
            continue;
        }
        let given_back = pool.changed.notified();
        let free = Arc::clone(&pool.permits.free);
        let permit = wait(client, endpoint, async {
            tokio::select! {
                () = given_back => None,
                permit = free.acquire_owned() => permit.ok(),
            }
        })
        .await?;
        let Some(permit) = permit else { continue };
        match open(worker, client, endpoint, want, permit).await? {
            Some(lease) => return Ok(lease),
            None => want = Want::Http1,
        }
    }
}

/// Waits for `event` in the queue of the endpoint, which is bounded in length and time.
async fn wait<T>(client: &Client, endpoint: &Endpoint, event: impl Future<Output = T>) -> Result<T, Failure> {
    let pool = &endpoint.pool;
    if pool.waiting.get() >= pool.max_waiters {
        let message = format!(
            "{} for {}: {} requests wait for a connection already",
            endpoint.addr, client.bound, pool.max_waiters
        );
        return Err(Failure::new(Word::QueueFull, message).retryable());
    }
    let _waiting = Waiting::new(pool);
    match client.policy.connect_timeout.value {
        None => Ok(event.await),
        Some(limit) => tokio::time::timeout(limit, event).await.map_err(|_| {
            let message = format!(
                "{} for {}: no connection was free within connect_timeout ({limit:?})",
                endpoint.addr, client.bound
            );
            Failure::new(Word::ConnectTimeout, message).retryable()
        }),
    }
}

/// A new connection; `None` where the peer did not understand HTTP/2: then HTTP/1.1 is to be tried.
async fn open(
    worker: &Rc<Worker>,
    client: &Rc<Client>,
    endpoint: &Rc<Endpoint>,
    want: Want,
    permit: OwnedSemaphorePermit,
) -> Result<Option<Lease>, Failure> {
    let pool = &endpoint.pool;
    let _connecting = Connecting::new(pool, want);
    let opened = connected(worker, client, endpoint, want, permit).await;
    if opened.is_err() {
        pool.failed.set(pool.failed.get() + 1);
    }
    opened
}

async fn connected(
    worker: &Rc<Worker>,
    client: &Rc<Client>,
    endpoint: &Rc<Endpoint>,
    want: Want,
    permit: OwnedSemaphorePermit,
) -> Result<Option<Lease>, Failure> {
    let pool = &endpoint.pool;
    let connected = Box::pin(connect(client, endpoint.addr, want)).await?;
    if want == Want::Either {
        pool.chose_http2.set(Some(connected.http2));
    }
    if connected.certificate.is_some() {
        endpoint.certificate.borrow_mut().clone_from(&connected.certificate);
    }
    let held = Held { _permit: permit, _open: Open::new(&pool.open) };
    Ok(Some(if connected.http2 {
        let connection = http2::open(worker, client, endpoint, connected, held).await?;
        if want == Want::Http2IfUnderstood {
            match answers(client, &connection).await {
                Some(Answers::Http2) => pool.chose_http2.set(Some(true)),
                Some(Answers::SomethingElse) => {
                    pool.chose_http2.set(Some(false));
                    return Ok(None);
                }
                Some(Answers::Nothing) => return Ok(None),
                None => {}
            }
        }
        let slot = Connection::slot(&connection);
        if !pool.retired.get() {
            pool.http2.borrow_mut().push(connection);
        }
        Lease::Http2(slot.ok_or_else(|| {
            Failure::new(Word::Connect, format!("{} for {}: it takes no HTTP/2 streams", endpoint.addr, client.bound))
                .retryable()
        })?)
    } else {
        Lease::Http1(http1::open(worker, client, endpoint, connected, held).await?)
    }))
}

/// What the peer answers to the preface; `None` where it says nothing in time.
async fn answers(client: &Client, connection: &Connection) -> Option<Answers> {
    match client.policy.connect_timeout.value {
        None => Some(connection.answers().await),
        Some(limit) => tokio::time::timeout(limit, connection.answers()).await.ok(),
    }
}

/// What an open connection holds until it is closed.
#[derive(Debug)]
pub struct Held {
    _permit: OwnedSemaphorePermit,
    _open: Open,
}

#[derive(Debug)]
struct Open(Rc<Cell<u64>>);

impl Open {
    fn new(open: &Rc<Cell<u64>>) -> Self {
        open.set(open.get() + 1);
        Self(Rc::clone(open))
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.set(self.0.get().saturating_sub(1));
    }
}

/// A connection under way that others may wait for; however it ends, they look again.
struct Connecting<'a>(Option<&'a Pool>);

impl<'a> Connecting<'a> {
    fn new(pool: &'a Pool, want: Want) -> Self {
        if want == Want::Http1 {
            return Self(None);
        }
        pool.connecting.set(pool.connecting.get() + 1);
        Self(Some(pool))
    }
}

impl Drop for Connecting<'_> {
    fn drop(&mut self) {
        if let Some(pool) = self.0 {
            pool.connecting.set(pool.connecting.get().saturating_sub(1));
            pool.changed.notify_waiters();
        }
    }
}

struct Waiting<'a>(&'a Pool);

impl<'a> Waiting<'a> {
    fn new(pool: &'a Pool) -> Self {
        pool.waiting.set(pool.waiting.get() + 1);
        pool.permits.wanted.fetch_add(1, Ordering::Relaxed);
        Self(pool)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.waiting.set(self.0.waiting.get().saturating_sub(1));
        self.0.permits.wanted.fetch_sub(1, Ordering::Relaxed);
    }
}
