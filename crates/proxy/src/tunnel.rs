//! A connection that stopped speaking HTTP: bytes both ways, until both sides have ended or neither says anything.
//!
//! Which requests may come to that is in `request/upgrade.rs`. The client's side is an HTTP/1.1 connection (RFC 9110
//! section 7.8) or a stream of HTTP/2 (RFC 8441); the endpoint's side is always an HTTP/1.1 connection.

use std::cell::Cell;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use bytes::{Buf, Bytes};
use h2::{RecvStream, SendStream};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::Notify;

use crate::client::connect::Stream;
use crate::client::endpoint::InFlight;
use crate::client::pool::Held;
use crate::server::port::{RequestPermit, TunnelPlace};
use crate::telemetry::ConnectionGuard;

/// The endpoint's side of a connection that switched protocols.
#[derive(Debug)]
pub struct Switched {
    /// The connection.
    pub stream: Stream,
    /// What came behind the head of the response.
    pub early: Bytes,
    /// What an open connection holds.
    pub held: (Held, ConnectionGuard),
}

/// What a tunnel counts as while it is open.
#[derive(Debug)]
pub struct Counted {
    /// Under `max_tunnels`.
    pub place: Option<TunnelPlace>,
    /// Under `max_concurrent_requests`.
    pub permit: Option<RequestPermit>,
    /// The endpoint's load.
    pub in_flight: Option<InFlight>,
}

/// An endpoint that is ready, and waits for its client.
#[derive(Debug)]
pub struct Tunnel {
    endpoint: Switched,
    _counted: Counted,
}

impl Tunnel {
    /// To `endpoint`.
    pub fn new(endpoint: Switched, counted: Counted) -> Self {
        Self { endpoint, _counted: counted }
    }

    /// Carries bytes until both sides have ended, one of them breaks off, or nothing moves for `idle`.
    ///
    /// `early` is what the client sent behind its request. Dropping the future closes both sides.
    pub async fn run<C>(self, client: C, early: Bytes, idle: Option<Duration>)
    where
        C: AsyncRead + AsyncWrite + Unpin,
    {
        let movement = Rc::new(Movement::new(idle));
        let mut client = Side { stream: client, early, movement: Rc::clone(&movement) };
        let Switched { mut stream, early, held: _held } = self.endpoint;
        stream.tell_errors();
        let mut endpoint = Side { stream, early, movement: Rc::clone(&movement) };
        let carried = tokio::io::copy_bidirectional_with_sizes(&mut client, &mut endpoint, BUFFER, BUFFER);
        tokio::select! {
            carried = carried => match carried {
                Ok((up, down)) => tracing::debug!(up, down, "a tunnel ended"),
                Err(error) => tracing::debug!(%error, "a tunnel broke off"),
            },
            () = movement.silence() => tracing::debug!(?idle, "a tunnel in which nothing moved was closed"),
        }
    }
}

/// When anything moved last, and how long that may be ago.
struct Movement {
    last: Cell<Instant>,
    limit: Cell<Option<Duration>>,
    shortened: Notify,
}

impl Movement {
    fn new(limit: Option<Duration>) -> Self {
        Self { last: Cell::new(Instant::now()), limit: Cell::new(limit), shortened: Notify::new() }
    }

    fn note(&self) {
        self.last.set(Instant::now());
    }

    /// One side ended. Whether it still listens can't be seen, and most who end are gone: the other has a little time.
    fn one_ended(&self) {
        self.note();
        self.limit.set(Some(self.limit.get().map_or(HALF_CLOSED, |limit| limit.min(HALF_CLOSED))));
        self.shortened.notify_one();
    }

    /// Waits until nothing has moved for too long.
    async fn silence(&self) {
        loop {
            let due = self.limit.get().map(|limit| self.last.get() + limit);
            if due.is_some_and(|due| due <= Instant::now()) {
                return;
            }
            tokio::select! {
                () = self.shortened.notified() => {}
                () = sleep_until(due) => {}
            }
        }
    }
}

async fn sleep_until(due: Option<Instant>) {
    match due {
        Some(due) => tokio::time::sleep_until(due.into()).await,
        None => std::future::pending().await,
    }
}

/// One end: what was read before comes first, and whatever moves is noted.
struct Side<S> {
    stream: S,
    early: Bytes,
    movement: Rc<Movement>,
}

impl<S: AsyncRead + Unpin> AsyncRead for Side<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if !self.early.is_empty() {
            let length = self.early.len().min(buf.remaining());
            buf.put_slice(&self.early.split_to(length));
            return Poll::Ready(Ok(()));
        }
        let before = buf.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(cx, buf))?;
        if buf.filled().len() == before {
            self.movement.one_ended();
        } else {
            self.movement.note();
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Side<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let written = ready!(Pin::new(&mut self.stream).poll_write(cx, buf))?;
        self.movement.note();
        Poll::Ready(Ok(written))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

/// A stream of HTTP/2 as bytes: END_STREAM is the end, a reset is an error (RFC 8441 section 5).
#[derive(Debug)]
pub struct Http2Side {
    receive: RecvStream,
    send: SendStream<Bytes>,
    /// Received, not taken yet.
    rest: Bytes,
    ended: bool,
}

impl Http2Side {
    /// Both halves of one stream.
    pub fn new(receive: RecvStream, send: SendStream<Bytes>) -> Self {
        Self { receive, send, rest: Bytes::new(), ended: false }
    }
}

impl AsyncRead for Http2Side {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        while self.rest.is_empty() {
            match ready!(self.receive.poll_data(cx)) {
                Some(data) => self.rest = data.map_err(io::Error::other)?,
                None => return Poll::Ready(Ok(())),
            }
        }
        let length = self.rest.len().min(buf.remaining());
        buf.put_slice(self.rest.get(..length).unwrap_or_default());
        self.rest.advance(length);
        // Credit goes back as bytes are taken (RFC 9113 section 5.2). A stream that ended takes none.
        drop(self.receive.flow_control().release_capacity(length));
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Http2Side {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        if buf.is_empty() {
            return Poll::Ready(Ok(0));
        }
        self.send.reserve_capacity(buf.len());
        while self.send.capacity() == 0 {
            match ready!(self.send.poll_capacity(cx)) {
                Some(capacity) => drop(capacity.map_err(io::Error::other)?),
                None => return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into())),
            }
        }
        let length = self.send.capacity().min(buf.len());
        let part = Bytes::copy_from_slice(buf.get(..length).unwrap_or_default());
        self.send.send_data(part, false).map_err(io::Error::other)?;
        Poll::Ready(Ok(length))
    }

    fn poll_flush(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(())) // the connection writes what its streams have
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if !std::mem::replace(&mut self.ended, true) {
            self.send.send_data(Bytes::new(), true).map_err(io::Error::other)?;
        }
        Poll::Ready(Ok(()))
    }
}

/// How long the other side may be silent when one has ended.
const HALF_CLOSED: Duration = Duration::from_secs(10);
/// In each direction.
const BUFFER: usize = 16 * 1024;
