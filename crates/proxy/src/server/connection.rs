//! One connection from a client: who it is, what may be believed of it, which protocol it speaks.

use std::cell::{Cell, RefCell};
use std::net::SocketAddr;
use std::rc::Rc;
use std::task::Waker;
use std::time::Instant;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;

use super::detect::{Detected, detect};
use super::port::{ConnectionPermit, Port, Settings};
use super::transport::{Progress, Transport};
use super::{http1, http2};
use crate::config::ContextFrom;
use crate::request::headers::{L5D_CLIENT_ID, Trust};
use crate::tls::PeerIdentity;
use crate::worker::Worker;

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
    /// The verified name of the peer, for `l5d-client-id`.
    client_id: Option<HeaderValue>,
    draining: Cell<Option<Instant>>,
    waker: RefCell<Option<Waker>>,
}

impl Connection {
    fn new(
        worker: Rc<Worker>,
        port: Rc<Port>,
        settings: Rc<Settings>,
        peer: SocketAddr,
        identity: Option<&PeerIdentity>,
    ) -> Rc<Self> {
        let config = &settings.config;
        let known = peer.ip().to_canonical().is_loopback() || identity.is_some();
        let trust = Trust {
            context: known || config.context == ContextFrom::Any,
            overrides: config.overrides.allows(peer.ip(), identity),
            clear: config.clear_context,
        };
        let client_id = identity.and_then(PeerIdentity::name).and_then(|name| HeaderValue::from_str(name).ok());
        let draining = Cell::new(port.is_closing().then(Instant::now));
        Rc::new(Self { worker, port, settings, trust, client_id, draining, waker: RefCell::default() })
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

/// Serves a connection to its end.
///
/// Owns all that it starts: when this returns, nothing of the connection runs. Dropping it closes the connection.
pub async fn serve(
    worker: Rc<Worker>,
    port: Rc<Port>,
    mut stream: TcpStream,
    peer: SocketAddr,
    permit: ConnectionPermit,
) {
    let _permit = permit;
    let settings = port.settings();
    let limit = settings.config.head_timeout;
    let Some(acceptor) = &settings.acceptor else {
        let detected = tokio::time::timeout(limit, detect(&mut stream)).await;
        let (http2, prefix) = match detected {
            Ok(Ok(Detected::Http1(prefix))) => (false, prefix),
            Ok(Ok(Detected::Http2(prefix))) => (true, prefix),
            // Nobody there, or nothing said in time: there is no request to answer.
            Ok(Ok(Detected::Nothing) | Err(_)) | Err(_) => return,
        };
        let connection = Connection::new(worker, port, settings, peer, None);
        return speak(connection, stream, prefix, http2).await;
    };
    match tokio::time::timeout(limit, acceptor.accept(stream)).await {
        Ok(Ok((stream, negotiated))) => {
            port.metrics.tls_handshake("success");
            let connection = Connection::new(worker, port, Rc::clone(&settings), peer, negotiated.peer.as_ref());
            Box::pin(speak(connection, stream, Bytes::new(), negotiated.alpn_h2)).await;
        }
        Ok(Err(failure)) => {
            port.metrics.tls_handshake(failure.outcome);
            tracing::debug!(%peer, error = %failure.message, "tls handshake with a client failed");
        }
        Err(_) => port.metrics.tls_handshake("timeout"),
    }
}

async fn speak<S>(connection: Rc<Connection>, stream: S, prefix: Bytes, http2: bool)
where
    S: AsyncRead + AsyncWrite + Unpin + 'static,
{
    let id = connection.port.remember(&connection);
    let progress = Progress::new(Instant::now());
    let transport = Transport::new(stream, prefix, Rc::clone(&progress));
    if http2 {
        // h2 writes whenever it likes: to the transport it is always busy.
        progress.begin();
        http2::serve(&connection, transport).await;
    } else {
        http1::serve(&connection, transport, progress).await;
    }
    connection.port.forget(id);
}
