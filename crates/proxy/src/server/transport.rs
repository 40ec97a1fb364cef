//! The bytes of a connection from a client, under hyper and under h2.
//!
//! What neither of them offers is done here:
//! - bytes that were read to tell the protocols apart are given back first;
//! - a [`Stage`] tells what an HTTP/1.1 connection is waiting for, so that slow heads and idle connections can have
//!   different time outs (hyper has one for both);
//! - heads are looked at on their way in, for what hyper would mend without a word ([`Heads`]);
//! - interim responses (1xx) are written while hyper waits for the answer, since it writes none;
//! - an answer that hyper makes by itself, before any request became one (400, 414, 431), is kept back: one of ours,
//!   with the words that all our errors carry, takes its place.
//!
//! ```text
//!            first bytes            request handed on
//!  Waiting ---------------> Head --------------------> Busy
//!     ^                       |                          |
//!     |                       | head_timeout: 408        |
//!     +-----------------------+--------------------------+  response sent
//! ```
//! In `Waiting` and `Head` there is no request of ours: whatever hyper writes then is its own answer, and the last one.

use std::cell::{Cell, RefCell};
use std::io::{self, IoSlice};
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker, ready};
use std::time::{Duration, Instant};

use bytes::{Buf, Bytes};
use http::{HeaderMap, StatusCode};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use super::heads::{Fault, Heads};
use crate::bulk::{Ahead, Appetite};
use crate::gather::poll_write_pieces;
use crate::request::answer::{Failure, Word};
use crate::request::interim::{wake, wakes};
use crate::tls::ServerStream;
use crate::tunnel::Tunnel;

/// What is below a [`Transport`].
pub trait Socket: AsyncRead + AsyncWrite + Unpin + 'static {
    /// Whatever closes it, the peer shall not take it for an orderly end.
    fn reset_on_close(&self);
}

impl Socket for TcpStream {
    fn reset_on_close(&self) {
        // On a socket that is gone there is nothing to reset.
        drop(self.set_zero_linger());
    }
}

impl Socket for ServerStream<TcpStream> {
    fn reset_on_close(&self) {
        self.get_ref().0.reset_on_close();
    }
}

/// What an HTTP/1.1 connection waits for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Stage {
    /// A request; nothing of it has come.
    Waiting,
    /// The rest of a request's head.
    Head,
    /// The answer, by us.
    Busy,
}

/// The stage and since when, shared by the transport, the service and the watch over both.
#[derive(Debug)]
pub struct Progress {
    stage: Cell<Stage>,
    since: Cell<Instant>,
    /// What hyper answered by itself, by its status.
    own_answer: RefCell<Option<Failure>>,
    requests: Cell<u64>,
    heads: RefCell<Heads>,
    /// The client sends no more.
    ended: Cell<bool>,
    /// What it sent must not be read on.
    broken: Cell<bool>,
    /// Interim responses, still to be written.
    interim: RefCell<Vec<u8>>,
    /// No response is on its way out.
    quiet: Cell<bool>,
    /// hyper has nothing left to write: an interim response may go out.
    clean: Cell<bool>,
    /// Of the answer's body.
    ahead: Ahead,
    /// The answer ends with the connection.
    until_close: Cell<bool>,
    /// What the connection becomes behind the answer.
    tunnel: RefCell<Option<Box<Tunnel>>>,
    waker: RefCell<Option<Waker>>,
}

impl Progress {
    /// A connection that was just accepted, and the heads that come on it.
    pub fn new(now: Instant, heads: Heads) -> Rc<Self> {
        Rc::new(Self {
            stage: Cell::new(Stage::Waiting),
            since: Cell::new(now),
            own_answer: RefCell::default(),
            requests: Cell::new(0),
            heads: RefCell::new(heads),
            ended: Cell::new(false),
            broken: Cell::new(false),
            interim: RefCell::default(),
            quiet: Cell::new(true),
            clean: Cell::new(true),
            ahead: Ahead::default(),
            until_close: Cell::new(false),
            tunnel: RefCell::default(),
            waker: RefCell::default(),
        })
    }

    /// The stage and since when.
    pub fn stage(&self) -> (Stage, Instant) {
        (self.stage.get(), self.since.get())
    }

    /// Requests that were handed on.
    pub fn requests(&self) -> u64 {
        self.requests.get()
    }

    /// A request was handed on; tells what its head hides.
    pub fn begin(&self) -> Option<Fault> {
        let number = self.requests.get();
        self.stage.set(Stage::Busy);
        self.quiet.set(false);
        self.requests.set(number + 1);
        self.heads.borrow().fault(number)
    }

    /// Of the request that is with us not all has come.
    pub fn is_uploading(&self) -> bool {
        self.heads.borrow().is_in_body_of(self.requests.get().saturating_sub(1))
    }

    /// A request is with us, or its response is still on its way out.
    pub fn is_busy(&self) -> bool {
        self.stage.get() == Stage::Busy || self.is_sending()
    }

    fn is_sending(&self) -> bool {
        self.stage.get() == Stage::Waiting && !self.quiet.get()
    }

    /// Nothing at all has happened for so long, after at least one request.
    pub fn is_idle_for(&self, time: Duration, now: Instant) -> bool {
        self.stage.get() == Stage::Waiting
            && self.quiet.get()
            && self.requests.get() > 0
            && now.saturating_duration_since(self.since.get()) >= time
            && self.heads.borrow().is_between()
    }

    /// The client may still be sending something that nobody will read.
    pub fn has_unread(&self) -> bool {
        !self.ended.get() && !self.heads.borrow().is_between()
    }

    /// Its response has been given to hyper whole.
    pub fn end(&self, now: Instant) {
        self.stage.set(Stage::Waiting);
        self.since.set(now);
    }

    /// An interim response to the request that is with us.
    pub fn interim(&self, status: StatusCode, fields: &HeaderMap) {
        let mut head = self.interim.borrow_mut();
        head.extend_from_slice(b"HTTP/1.1 ");
        head.extend_from_slice(status.as_str().as_bytes());
        head.push(b' ');
        head.extend_from_slice(status.canonical_reason().unwrap_or("Interim").as_bytes());
        for (name, value) in fields {
            head.extend_from_slice(b"\r\n");
            head.extend_from_slice(name.as_str().as_bytes());
            head.extend_from_slice(b": ");
            head.extend_from_slice(value.as_bytes());
        }
        head.extend_from_slice(b"\r\n\r\n");
        wake(&self.waker);
    }

    /// Behind the answer the connection becomes `tunnel`.
    pub fn becomes(&self, tunnel: Option<Box<Tunnel>>) {
        *self.tunnel.borrow_mut() = tunnel;
    }

    /// What it has become.
    pub fn tunnel(&self) -> Option<Box<Tunnel>> {
        self.tunnel.take()
    }

    /// The answer's end can only be told by the connection's.
    pub fn ends_with_connection(&self) -> bool {
        self.until_close.get()
    }

    /// How far the answer's body is ahead of the socket.
    pub const fn ahead(&self) -> &Ahead {
        &self.ahead
    }

    /// The answer follows: what could not be said before it is not said at all.
    pub fn answering(&self, until_close: bool) {
        self.until_close.set(until_close);
        if !self.clean.get() {
            self.interim.borrow_mut().clear();
        }
    }

    /// What hyper answered by itself.
    pub fn own_answer(&self) -> Option<Failure> {
        self.own_answer.borrow().clone()
    }

    /// Tells how many of the bytes the protocol may see; after fewer than all comes an error.
    fn received(&self, bytes: &[u8]) -> usize {
        if self.stage.get() == Stage::Waiting {
            // The answer may have come before the upload's end: that is no head yet.
            if !self.is_uploading() {
                self.stage.set(Stage::Head);
            }
            self.since.set(Instant::now());
        }
        match self.heads.borrow_mut().pass(bytes) {
            Ok(()) => bytes.len(),
            Err(broken) => {
                self.broken.set(true);
                broken.good
            }
        }
    }

    fn broke_off(&self) -> io::Result<()> {
        if self.broken.get() {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "the framing of the body is faulty"));
        }
        Ok(())
    }
}

/// A client's connection.
#[derive(Debug)]
pub struct Transport<S> {
    stream: S,
    /// Read already, not yet given to the protocol.
    prefix: Bytes,
    progress: Rc<Progress>,
    /// Interim responses on their way out.
    interim: Bytes,
    appetite: Appetite,
}

impl<S> Transport<S> {
    /// `prefix` was read from `stream` before.
    pub const fn new(stream: S, prefix: Bytes, progress: Rc<Progress>, appetite: Appetite) -> Self {
        Self { stream, prefix, progress, interim: Bytes::new(), appetite }
    }

    /// The connection itself.
    pub fn into_inner(self) -> S {
        self.stream
    }

    /// Takes what hyper writes while no request is with us: `true` if that was its own answer, which goes no further.
    fn is_own_answer(&self, written: &[u8]) -> bool {
        if self.progress.own_answer.borrow().is_none() {
            // A response may still be on its way out in `Waiting`, and its body may look like anything.
            if !self.progress.quiet.get() {
                return false;
            }
            let Some(failure) = hypers_answer(written) else { return false };
            *self.progress.own_answer.borrow_mut() = Some(failure);
        }
        true
    }
}

impl<S: AsyncRead + Unpin> Transport<S> {
    /// Ready when there is more to read, `false` at the end. It stays there for the protocol.
    pub fn poll_more(&mut self, cx: &mut Context<'_>) -> Poll<bool> {
        if self.prefix.is_empty() {
            let mut bytes = [MaybeUninit::uninit(); PEEK];
            let mut buffer = ReadBuf::uninit(&mut bytes);
            if ready!(Pin::new(&mut self.stream).poll_read(cx, &mut buffer)).is_err() {
                return Poll::Ready(false);
            }
            self.prefix = Bytes::copy_from_slice(buffer.filled());
        }
        Poll::Ready(!self.prefix.is_empty())
    }
}

impl<S: AsyncWrite + Unpin> Transport<S> {
    /// Between what hyper writes, interim responses go out.
    fn poll_interim(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.interim.is_empty() && self.progress.clean.get() && !self.progress.interim.borrow().is_empty() {
            self.interim = self.progress.interim.take().into();
        }
        while !self.interim.is_empty() {
            let written = ready!(Pin::new(&mut self.stream).poll_write(cx, &self.interim))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.interim.advance(written);
        }
        Poll::Ready(Ok(()))
    }
}

/// What hyper's status line means in our words; `None` for anything that is no such answer.
fn hypers_answer(written: &[u8]) -> Option<Failure> {
    let status = written.strip_prefix(b"HTTP/1.")?.get(2..5)?;
    Some(match status {
        b"414" => Failure::new(Word::TargetTooLong, "the request's target is too long"),
        b"431" => Failure::new(
            Word::HeadTooLong,
            "the request's head is longer than max_head_bytes, or has more fields than max_headers",
        ),
        b"400" => Failure::new(Word::BadRequest, "what came is no HTTP/1.1 request"),
        _ => return None,
    })
}

impl<S: AsyncRead + Unpin> AsyncRead for Transport<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        self.progress.broke_off()?;
        let before = buf.filled().len();
        let length = self.prefix.len().min(buf.remaining());
        buf.put_slice(&self.prefix.split_to(length));
        // What is there already belongs behind what was read before: hyper takes a second buffer for a second read. How
        // the connection ended, if it did, is asked again.
        if buf.remaining() > 0 {
            let limit = self.appetite.limit();
            let read = Pin::new(&mut (&mut self.stream).take(limit as u64)).poll_read(cx, buf);
            if length == 0
                && let Err(error) = ready!(read)
            {
                self.progress.ended.set(true);
                return Poll::Ready(Err(error));
            }
        }
        let came = buf.filled().get(before..).unwrap_or_default();
        if came.is_empty() {
            self.progress.ended.set(true);
            return Poll::Ready(Ok(()));
        }
        self.appetite.came(came.len());
        let good = self.progress.received(came);
        buf.set_filled(before + good);
        // Nothing at all would be an end.
        Poll::Ready(if good == 0 { self.progress.broke_off() } else { Ok(()) })
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Transport<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        if self.is_own_answer(buf) {
            return Poll::Ready(Ok(buf.len()));
        }
        ready!(self.poll_interim(cx))?;
        self.progress.clean.set(false);
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let first = bufs.first().map_or(&[][..], |first| first);
        if self.is_own_answer(first) {
            return Poll::Ready(Ok(bufs.iter().map(|buf| buf.len()).sum()));
        }
        ready!(self.poll_interim(cx))?;
        self.progress.clean.set(false);
        poll_write_pieces(&mut self.stream, cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        // It is called when all that was to be written has been.
        self.progress.clean.set(true);
        self.progress.ahead.flushed();
        if self.progress.is_sending() {
            self.progress.since.set(Instant::now());
        }
        self.progress.quiet.set(self.progress.stage.get() != Stage::Busy);
        wakes(&self.progress.waker, cx.waker());
        ready!(self.poll_interim(cx))?;
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.progress.own_answer.borrow().is_some() {
            // Ours is still to come.
            return Poll::Ready(Ok(()));
        }
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

/// What is read at first of a request on an idle connection: most heads are shorter.
const PEEK: usize = 2048;
