//! The bytes of a connection from a client, under hyper and under h2.
//!
//! Three things that neither of them offers are done here:
//! - bytes that were read to tell the protocols apart are given back first;
//! - a [`Stage`] tells what an HTTP/1.1 connection is waiting for, so that slow heads and idle connections can have
//!   different time outs (hyper has one for both);
//! - an answer that hyper makes by itself, before any request became one (400, 414, 431), is replaced by one of ours
//!   with the words that all our errors carry.
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
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Instant;

use bytes::{Buf, Bytes};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::request::answer::{Failure, Word, raw_answer};

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
}

impl Progress {
    /// A connection that was just accepted.
    pub fn new(now: Instant) -> Rc<Self> {
        Rc::new(Self {
            stage: Cell::new(Stage::Waiting),
            since: Cell::new(now),
            own_answer: RefCell::default(),
            requests: Cell::new(0),
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

    /// A request was handed on.
    pub fn begin(&self) {
        self.stage.set(Stage::Busy);
        self.requests.set(self.requests.get() + 1);
    }

    /// Its response has been given to hyper whole.
    pub fn end(&self, now: Instant) {
        self.stage.set(Stage::Waiting);
        self.since.set(now);
    }

    /// What hyper answered by itself.
    pub fn own_answer(&self) -> Option<Failure> {
        self.own_answer.borrow().clone()
    }

    fn received(&self) {
        if self.stage.get() == Stage::Waiting {
            self.stage.set(Stage::Head);
            self.since.set(Instant::now());
        }
    }
}

/// A client's connection.
#[derive(Debug)]
pub struct Transport<S> {
    stream: S,
    /// Read already, not yet given to the protocol.
    prefix: Bytes,
    progress: Rc<Progress>,
    /// Our answer in place of hyper's, still to be written.
    answer: Bytes,
}

impl<S> Transport<S> {
    /// `prefix` was read from `stream` before.
    pub fn new(stream: S, prefix: Bytes, progress: Rc<Progress>) -> Self {
        if !prefix.is_empty() {
            progress.received();
        }
        Self { stream, prefix, progress, answer: Bytes::new() }
    }

    /// Takes what hyper writes while no request is with us: `true` if that was its own answer and is dealt with.
    fn replace_own_answer(&mut self, written: &[u8]) -> bool {
        if self.progress.stage.get() == Stage::Busy {
            return false;
        }
        if self.progress.own_answer.borrow().is_none() {
            let Some(failure) = hypers_answer(written) else { return false };
            self.answer = Bytes::from(raw_answer(&failure));
            *self.progress.own_answer.borrow_mut() = Some(failure);
        }
        true
    }
}

impl<S: AsyncWrite + Unpin> Transport<S> {
    fn write_answer(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.answer.is_empty() {
            let written = ready!(Pin::new(&mut self.stream).poll_write(cx, &self.answer))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.answer.advance(written);
        }
        Poll::Ready(Ok(()))
    }
}

/// What hyper's status line means in our words; `None` for anything that is no such answer. A response that came
/// through us may still be on its way out in `Waiting`: it names us (in `Via`, or in `waypost-error`), hyper does not.
fn hypers_answer(written: &[u8]) -> Option<Failure> {
    let status = written.strip_prefix(b"HTTP/1.")?.get(2..5)?;
    if written.windows(OURS.len()).any(|window| window == OURS) {
        return None;
    }
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

const OURS: &[u8] = b"waypost";

impl<S: AsyncRead + Unpin> AsyncRead for Transport<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if !self.prefix.is_empty() {
            let length = self.prefix.len().min(buf.remaining());
            buf.put_slice(&self.prefix.split_to(length));
            return Poll::Ready(Ok(()));
        }
        let before = buf.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(cx, buf))?;
        if buf.filled().len() > before {
            self.progress.received();
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Transport<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        if self.replace_own_answer(buf) {
            return Poll::Ready(Ok(buf.len()));
        }
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let first = bufs.first().map_or(&[][..], |first| first);
        if self.replace_own_answer(first) {
            return Poll::Ready(Ok(bufs.iter().map(|buf| buf.len()).sum()));
        }
        Pin::new(&mut self.stream).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.write_answer(cx))?;
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.write_answer(cx))?;
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
