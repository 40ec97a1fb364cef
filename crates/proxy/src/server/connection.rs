//! One connection from a client: who it is, what may be believed of it, which protocol it speaks.

use std::cell::{Cell, RefCell};
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::task::Waker;
use std::time::Instant;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue};
use tokio::net::TcpStream;

use super::detect::{Detected, detect};
use super::handshakes::Handshake;
use super::heads::Heads;
use super::port::{ConnectionPermit, Port, Settings};
use super::proxy_protocol::{self, Told};
use super::transport::{Progress, Socket, Transport};
use super::{http1, http2};
use crate::bulk::Appetite;
use crate::config::{ContextFrom, ServerConfig};
use crate::request::answer::{Failure, Word};
use crate::request::headers::{L5D_CLIENT_ID, Trust};
use crate::telemetry::Termination;
use crate::tls::PeerIdentity;
use crate::worker::Worker;

/// Where a connection is from.
#[derive(Clone, Copy, Debug)]
struct Peer {
    addr: SocketAddr,
    /// Nobody stands in front and has told us the address, or could not.
    direct: bool,
}

/// A client's connection, whatever it speaks.
#[derive(Debug)]
pub struct Connection {
    /// The worker that has it.
    pub worker: Rc<Worker>,
    /// Where it came in.
    pub port: Rc<Port>,
    /// The settings it began with.
    pub settings: Rc<Settings>,
    /// What may be believed of its headers.
    pub trust: Trust,
    peer: Peer,
    /// Who the peer is, if it showed a client certificate and it was verified.
    identity: Option<PeerIdentity>,
    /// Whether its requests are served.
    authorized: Cell<bool>,
    /// The verified name of the peer, for `l5d-client-id`.
    client_id: Option<HeaderValue>,
    /// The verified certificate of the peer, for `x-forwarded-client-cert`.
    certificate: Option<HeaderValue>,
    draining: Cell<Option<Instant>>,
    waker: RefCell<Option<Waker>>,
}

impl Connection {
    fn new(
        worker: Rc<Worker>,
        port: Rc<Port>,
        settings: Rc<Settings>,
        peer: Peer,
        identity: Option<PeerIdentity>,
    ) -> Rc<Self> {
        let config = &settings.config;
        // An address that somebody told proves nothing, least of all that he is on this machine.
        let known = (peer.direct && peer.addr.ip().to_canonical().is_loopback()) || identity.is_some();
        let trust = Trust {
            context: known || config.context == ContextFrom::Any,
            overrides: config.overrides.allows(peer.addr.ip(), identity.as_ref()),
            clear: config.clear_context,
        };
        let header = |text: &str| HeaderValue::from_str(text).ok();
        let connection = Self {
            trust,
            client_id: identity.as_ref().and_then(PeerIdentity::name).and_then(header),
            certificate: identity.as_ref().and_then(|identity| header(&identity.forwarded)),
            draining: Cell::new(port.is_closing().then(Instant::now)),
            authorized: Cell::new(true),
            waker: RefCell::default(),
            worker,
            port,
            peer,
            identity,
            settings,
        };
        connection.authorize(&connection.settings.config);
        Rc::new(connection)
    }

    /// Looks whether `config` lets this caller in. Who it is stays in the log: the answer tells a stranger nothing.
    pub fn authorize(&self, config: &ServerConfig) {
        let authorized = config.authorizes(self.peer.addr.ip(), self.identity.as_ref());
        if !authorized && self.authorized.get() {
            let who = self.identity.as_ref().map(PeerIdentity::names);
            tracing::warn!(
                peer = %self.peer.addr,
                server = %self.port.listener.addr,
                names = who.as_deref().unwrap_or("(no client certificate)"),
                "not in `authorize`: requests of this caller are answered 403"
            );
        }
        self.authorized.set(authorized);
    }

    /// Whether the caller's requests are served.
    ///
    /// # Errors
    /// [`Word::Unauthorized`] where `authorize` does not name it.
    pub fn is_authorized(&self) -> Result<(), Failure> {
        if self.authorized.get() {
            return Ok(());
        }
        Err(Failure::new(Word::Unauthorized, "this caller is not authorized here").retryable())
    }

    /// Where the client is, as far as that is known.
    pub const fn client(&self) -> IpAddr {
        self.peer.addr.ip()
    }

    /// Whether it is protected.
    pub fn is_tls(&self) -> bool {
        self.settings.acceptor.is_some()
    }

    /// The peer's verified certificate, as endpoints may be told of it.
    pub const fn certificate(&self) -> Option<&HeaderValue> {
        self.certificate.as_ref()
    }

    /// Tells the endpoint who asks, where a certificate proved it. What a client says of itself was removed before.
    pub fn introduce(&self, headers: &mut HeaderMap) {
        if let Some(id) = &self.client_id {
            headers.insert(L5D_CLIENT_ID.clone(), id.clone());
        }
    }

    /// No further request is wanted on it.
    pub fn drain(&self) {
        self.draining.set(Some(Instant::now()));
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }

    /// When [`Connection::drain`] was called.
    pub fn draining(&self) -> Option<Instant> {
        self.draining.get()
    }

    /// [`Connection::drain`] wakes this task.
    pub fn wakes(&self, waker: &Waker) {
        let mut known = self.waker.borrow_mut();
        if !known.as_ref().is_some_and(|known| known.will_wake(waker)) {
            *known = Some(waker.clone());
        }
    }
}

/// A connection that was accepted, and what it has a place for.
#[derive(Debug)]
pub struct Accepted {
    stream: TcpStream,
    peer: SocketAddr,
    settings: Rc<Settings>,
    permit: ConnectionPermit,
    /// `None`: there is none to be made.
    handshake: Option<Handshake>,
}

impl Accepted {
    /// On `port`, with the settings that it has now.
    pub fn new(port: &Port, stream: TcpStream, peer: SocketAddr, permit: ConnectionPermit) -> Self {
        let settings = port.settings();
        let handshake = settings.acceptor.is_some().then(|| port.handshakes.begin());
        Self { stream, peer, settings, permit, handshake }
    }
}

/// Serves a connection to its end.
///
/// Owns all that it starts: when this returns, nothing of the connection runs. Dropping it closes the connection.
pub async fn serve(worker: Rc<Worker>, port: Rc<Port>, accepted: Accepted) {
    let Accepted { mut stream, peer, settings, permit: _permit, handshake } = accepted;
    let Some(peer) = introduced(&port, &settings, &mut stream, peer).await else { return };
    let limit = settings.config.head_timeout;
    let (Some(acceptor), Some(handshake)) = (&settings.acceptor, handshake) else {
        let detected = tokio::time::timeout(limit, detect(&mut stream)).await;
        let (http2, prefix) = match detected {
            Ok(Ok(Detected::Http1(prefix))) => (false, prefix),
            Ok(Ok(Detected::Http2(prefix))) => (true, prefix),
            // Nobody there, or nothing said in time: there is no request to answer.
            Ok(Ok(Detected::Nothing) | Err(_)) => return,
            Err(_) => return port.metrics.terminated(Termination::HeadTimeout),
        };
        let connection = Connection::new(worker, port, settings, peer, None);
        return speak(connection, stream, prefix, http2).await;
    };
    let in_time = tokio::time::timeout(limit, acceptor.accept(stream));
    let ended = tokio::select! {
        biased;
        ended = in_time => ended.ok(),
        () = handshake.evicted() => None,
    };
    drop(handshake);
    match ended {
        Some(Ok((stream, negotiated))) => {
            port.metrics.tls_handshake("success");
            let connection = Connection::new(worker, port, Rc::clone(&settings), peer, negotiated.peer);
            Box::pin(speak(connection, stream, Bytes::new(), negotiated.alpn_h2)).await;
        }
        Some(Err(failure)) => {
            port.metrics.tls_handshake(failure.outcome);
            tracing::debug!(peer = %peer.addr, error = %failure.message, "tls handshake with a client failed");
        }
        None => port.metrics.tls_handshake("timeout"),
    }
}

/// Whom the connection is from: the peer itself, or whom a balancer names. `None`: it should have, and has not.
async fn introduced(port: &Port, settings: &Settings, stream: &mut TcpStream, addr: SocketAddr) -> Option<Peer> {
    if !settings.config.is_introduced_by(addr.ip()) {
        return Some(Peer { addr, direct: true });
    }
    let read = tokio::time::timeout(settings.config.head_timeout, proxy_protocol::read(stream)).await;
    let (why, error) = match read {
        Ok(Ok(Told::Client(addr))) => return Some(Peer { addr, direct: false }),
        Ok(Ok(Told::Own)) => return Some(Peer { addr, direct: true }),
        Ok(Ok(Told::Unknown)) => return Some(Peer { addr, direct: false }),
        Ok(Err(error)) => (Termination::Malformed, error.to_string()),
        Err(late) => (Termination::HeadTimeout, late.to_string()),
    };
    port.metrics.terminated(why);
    tracing::debug!(peer = %addr, error, "a balancer did not say whom it speaks for");
    None
}

async fn speak<S>(connection: Rc<Connection>, stream: S, prefix: Bytes, http2: bool)
where
    S: Socket,
{
    let id = connection.port.remember(&connection);
    let heads = if http2 { Heads::off() } else { Heads::default() };
    let progress = Progress::new(Instant::now(), heads);
    let appetite = Appetite::new(Rc::clone(&connection.worker.large_reads));
    let transport = Transport::new(stream, prefix, Rc::clone(&progress), appetite);
    if http2 {
        // h2 writes whenever it likes: to the transport it is always busy.
        let _ = progress.begin();
        Box::pin(http2::serve(&connection, transport)).await;
    } else {
        http1::serve(&connection, transport, progress).await;
    }
    connection.port.forget(id);
}
