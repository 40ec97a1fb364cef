//! Bodies on their way through: never collected, never copied by us.
//!
//! [`RequestBody`] comes from a client and goes to an endpoint; [`Incoming`] is what either protocol delivers.
//! What is sent back to the client, with what has to happen when it ends, is [`ResponseBody`].

use std::cell::Cell;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use h2::{Reason, RecvStream};
use http_body::{Body, Frame, SizeHint};

use self::pace::Pace;
use crate::bulk::Ahead;
use crate::client::http2::PumpGuard;
use crate::request::headers::clean_trailers;
use crate::request::interim::{Expectation, Hold};
use crate::request::observe::Observation;
use crate::tunnel::{Switched, Tunnel};

pub mod http2;
pub mod pace;

/// Why a body ended before its end.
#[derive(Debug, thiserror::Error)]
pub enum BodyError {
    /// HTTP/1.1 framing, or the connection under it.
    #[error("http/1.1 body broke off")]
    Http1(#[source] hyper::Error),
    /// A reset stream, or the connection under it.
    #[error("http/2 body broke off")]
    Http2(#[source] h2::Error),
    /// The request was answered while its body was held back.
    #[error("the body was not wanted")]
    Unwanted,
    /// More bytes than `max_body_bytes`.
    #[error("body is longer than the {limit} bytes allowed")]
    TooLong {
        /// What the server's configuration allows.
        limit: u64,
    },
    /// Its sender was waited for too long.
    #[error("less than {} bytes of the body came within body_timeout ({limit:?})", pace::PROGRESS)]
    Stalled {
        /// What the server's configuration allows.
        limit: Duration,
    },
}

/// A body as a connection delivers it.
#[derive(Debug)]
pub enum Incoming {
    /// No bytes at all.
    Empty,
    /// From an HTTP/1.1 connection.
    Http1(hyper::body::Incoming),
    /// From an HTTP/2 stream.
    Http2(Http2Body),
    /// The connection itself, after a 101 that was asked for: no bytes of HTTP.
    Switched(Box<Switched>),
}

impl Body for Incoming {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        match self.get_mut() {
            Self::Empty | Self::Switched(_) => Poll::Ready(None),
            Self::Http1(body) => Pin::new(body).poll_frame(cx).map_err(BodyError::Http1),
            Self::Http2(body) => body.poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Empty | Self::Switched(_) => true,
            Self::Http1(body) => body.is_end_stream(),
            Self::Http2(body) => body.stream.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Empty | Self::Switched(_) => SizeHint::with_exact(0),
            Self::Http1(body) => body.size_hint(),
            Self::Http2(body) => match body.length {
                Some(length) => SizeHint::with_exact(length),
                None => SizeHint::default(),
            },
        }
    }
}

/// What [`Body::poll_frame`] gives.
type Polled = Option<Result<Frame<Bytes>, BodyError>>;

/// Trailers lose what is none of theirs to say.
fn cleaned(mut frame: Polled) -> Polled {
    if let Some(trailers) = frame.as_mut().and_then(|frame| frame.as_mut().ok()?.trailers_mut()) {
        clean_trailers(trailers);
    }
    frame
}

/// The receiving side of an HTTP/2 stream.
///
/// Credit goes back to the peer only as its bytes are taken from here (RFC 9113 section 5.2), so a reader that is
/// slow stalls its own stream and nothing else.
#[derive(Debug)]
pub struct Http2Body {
    stream: RecvStream,
    data_done: bool,
    /// What `content-length` promised; h2 itself checks it against the DATA frames (RFC 9113 section 8.1.1).
    length: Option<u64>,
    /// The request's body may still be on its way out: it ends with the response.
    upload: Option<PumpGuard>,
    /// Told when it has come to its end.
    ended: Option<Rc<Cell<bool>>>,
}

impl Drop for Http2Body {
    fn drop(&mut self) {
        self.tell();
    }
}

impl Http2Body {
    /// `length` is the message's `content-length`, where it has one.
    #[must_use]
    pub fn new(stream: RecvStream, length: Option<u64>) -> Self {
        Self { stream, data_done: false, length, upload: None, ended: None }
    }

    /// Tells `ended` when all of it has come.
    #[must_use]
    pub fn tells(mut self, ended: &Rc<Cell<bool>>) -> Self {
        self.ended = Some(Rc::clone(ended));
        self
    }

    fn tell(&self) {
        if let Some(ended) = &self.ended {
            ended.set(self.stream.is_end_stream());
        }
    }

    /// Ends `upload` with this body.
    #[must_use]
    pub fn with_upload(mut self, upload: Option<PumpGuard>) -> Self {
        self.upload = upload;
        self
    }

    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        if !self.data_done {
            match ready!(self.stream.poll_data(cx)) {
                Some(Ok(bytes)) => {
                    // A stream that ended meanwhile takes no credit back: nothing to do about it.
                    drop(self.stream.flow_control().release_capacity(bytes.len()));
                    self.length = self.length.map(|left| left.saturating_sub(bytes.len() as u64));
                    self.tell();
                    return Poll::Ready(Some(Ok(Frame::data(bytes))));
                }
                // A peer that has sent all it had may cut off the rest of what it was sent (RFC 9113 section 8.1).
                Some(Err(error)) if error.reason() == Some(Reason::NO_ERROR) && self.length.unwrap_or(0) == 0 => {
                    return Poll::Ready(None);
                }
                Some(Err(error)) => return Poll::Ready(Some(Err(BodyError::Http2(error)))),
                None => self.data_done = true,
            }
        }
        match ready!(self.stream.poll_trailers(cx)) {
            Ok(trailers) => Poll::Ready(trailers.map(|trailers| Ok(Frame::trailers(trailers)))),
            Err(error) => Poll::Ready(Some(Err(BodyError::Http2(error)))),
        }
    }
}

/// What a client sends, bounded by its server's `max_body_bytes` and `body_timeout`.
#[derive(Debug)]
pub struct RequestBody {
    inner: Incoming,
    /// Nothing for a body without bytes.
    watch: Option<Box<Watch>>,
}

/// What is looked at while a body passes.
#[derive(Debug)]
struct Watch {
    hold: Option<Hold>,
    ahead: Option<Rc<Ahead>>,
    pace: Option<Pace>,
    limit: u64,
    seen: u64,
}

impl RequestBody {
    /// As it comes.
    #[must_use]
    pub const fn new(inner: Incoming) -> Self {
        Self { inner, watch: None }
    }

    /// Passes on at most `limit` bytes; `None` is no bound. Given up where it comes more slowly than `pace`, where there
    /// is one; not read before `expectation` is met, where there is one.
    pub fn bound(&mut self, limit: Option<u64>, pace: Option<Pace>, expectation: Option<Rc<Expectation>>) {
        let hold = expectation.map(Hold::new);
        let watch = Watch { hold, ahead: None, pace, limit: limit.unwrap_or(u64::MAX), seen: 0 };
        self.watch = (!self.inner.is_end_stream()).then(|| Box::new(watch));
    }

    /// Runs no further ahead of a connection's socket than `ahead` has room; without one, the protocol sees to that.
    pub fn keep_to(&mut self, ahead: Option<&Rc<Ahead>>) {
        if let Some(watch) = &mut self.watch {
            watch.ahead = ahead.cloned();
        }
    }

    /// A body without bytes.
    #[must_use]
    pub const fn empty() -> Self {
        Self { inner: Incoming::Empty, watch: None }
    }
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let Self { inner, watch } = &mut *self;
        let Some(watch) = watch else { return Pin::new(inner).poll_frame(cx).map(cleaned) };
        if let Some(hold) = &mut watch.hold {
            if let Err(error) = ready!(hold.poll(cx)) {
                return Poll::Ready(Some(Err(error)));
            }
            watch.hold = None;
        }
        if let Some(ahead) = &watch.ahead {
            ready!(ahead.poll_room(cx));
        }
        let Poll::Ready(frame) = Pin::new(inner).poll_frame(cx) else {
            let Some(pace) = &mut watch.pace else { return Poll::Pending };
            return pace.poll_stalled(cx).map(|stalled| Some(Err(stalled)));
        };
        if let Some(Ok(frame)) = &frame {
            let length = frame.data_ref().map_or(0, Bytes::len);
            if let Some(pace) = &mut watch.pace {
                pace.came(length);
            }
            if let Some(ahead) = &watch.ahead {
                ahead.gave(length);
            }
            watch.seen += length as u64;
            if watch.seen > watch.limit {
                return Poll::Ready(Some(Err(BodyError::TooLong { limit: watch.limit })));
            }
        }
        Poll::Ready(cleaned(frame))
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

/// What goes back to the client, and the one place where its end is seen.
#[derive(Debug)]
pub struct ResponseBody {
    inner: Outgoing,
    /// Dropped, and with it told to metrics, tables and the pool, when the body ends or is given up.
    observation: Option<Observation>,
}

#[derive(Debug)]
enum Outgoing {
    Passed(Incoming),
    Own(Option<Bytes>),
    Tunnel(Option<Box<Tunnel>>),
}

impl ResponseBody {
    /// An endpoint's body. `observation` is finished with the body's last byte.
    #[must_use]
    pub fn passed(body: Incoming, observation: Observation) -> Self {
        let mut made = Self { inner: Outgoing::Passed(body), observation: Some(observation) };
        if made.is_end_stream() {
            made.finish();
        }
        made
    }

    /// A body of our own.
    #[must_use]
    pub fn own(text: impl Into<Bytes>) -> Self {
        let text = text.into();
        Self { inner: Outgoing::Own((!text.is_empty()).then_some(text)), observation: None }
    }

    /// None: the connection, or the stream, becomes this behind the head.
    #[must_use]
    pub fn tunnel(tunnel: Tunnel) -> Self {
        Self { inner: Outgoing::Tunnel(Some(Box::new(tunnel))), observation: None }
    }

    /// What the connection becomes when the head has gone.
    pub fn take_tunnel(&mut self) -> Option<Box<Tunnel>> {
        if let Outgoing::Tunnel(tunnel) = &mut self.inner { tunnel.take() } else { None }
    }

    /// Nothing, in place of what was there; the observation stays.
    #[must_use]
    pub fn emptied(mut self) -> Self {
        self.finish();
        Self { inner: Outgoing::Own(None), observation: None }
    }

    fn finish(&mut self) {
        if let Some(observation) = self.observation.take() {
            observation.complete();
        }
    }
}

impl Body for ResponseBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let frame = match &mut self.inner {
            Outgoing::Passed(body) => cleaned(ready!(Pin::new(body).poll_frame(cx))),
            Outgoing::Own(text) => text.take().map(|text| Ok(Frame::data(text))),
            Outgoing::Tunnel(_) => None,
        };
        match &frame {
            Some(Err(error)) => {
                if let Some(observation) = self.observation.take() {
                    observation.broke_off(error);
                }
            }
            // Both ends are looked for: a length-delimited body is often not polled again after its last byte.
            None => self.finish(),
            Some(Ok(_)) if self.is_end_stream() => self.finish(),
            Some(Ok(_)) => {}
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        match &self.inner {
            Outgoing::Passed(body) => body.is_end_stream(),
            Outgoing::Own(text) => text.is_none(),
            Outgoing::Tunnel(_) => true,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.inner {
            Outgoing::Passed(body) => body.size_hint(),
            Outgoing::Own(text) => SizeHint::with_exact(text.as_ref().map_or(0, Bytes::len) as u64),
            Outgoing::Tunnel(_) => SizeHint::with_exact(0),
        }
    }
}
