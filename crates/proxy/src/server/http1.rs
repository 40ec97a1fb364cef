//! HTTP/1.1 from a client, by hyper's connection, watched over by time outs that hyper does not have.

use std::convert::Infallible;
use std::future::poll_fn;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use http::header::{CONNECTION, HeaderValue};
use http::{Request, Response, StatusCode, Version};
use http_body::Body;
use hyper::server::conn::http1::Builder;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::Sleep;

use super::connection::Connection;
use super::transport::{Progress, Socket, Stage, Transport};
use crate::body::{Incoming, ResponseBody};
use crate::bulk::LARGE;
use crate::cause::is_time_out;
use crate::config::ServerConfig;
use crate::request::answer::{Failure, WAYPOST_ERROR, Word, raw_answer};
use crate::request::handle;
use crate::request::interim::Caller;
use crate::telemetry::{Termination, Wire};

/// Why a connection ended.
enum Ended {
    /// By itself, with or without an error.
    Done(Result<(), hyper::Error>),
    /// A head did not come in time.
    SlowHead,
    /// Nothing was asked for too long, or nothing more is wanted.
    Idle,
    /// Not ended at all: idle, for now.
    Parked,
}

/// Serves requests until the client closes, a time out passes, or the connection drains.
pub async fn serve<S>(connection: &Rc<Connection>, mut transport: Transport<S>, progress: Rc<Progress>)
where
    S: Socket,
{
    let _counted = connection.port.metrics.connected(Wire::Http1);
    while let Some(idle) = Box::pin(awake(connection, transport, &progress)).await {
        transport = idle;
        if !asleep(connection, &mut transport, &progress).await {
            break;
        }
    }
}

/// Serves requests by hyper; gives the connection back when nothing was asked for a while.
async fn awake<S>(connection: &Rc<Connection>, transport: Transport<S>, progress: &Rc<Progress>) -> Option<Transport<S>>
where
    S: Socket,
{
    let config = &connection.settings.config;
    let service = service_fn(|mut request: Request<hyper::body::Incoming>| {
        if let Some(fault) = progress.begin() {
            request.extensions_mut().insert(fault);
        }
        answer(Rc::clone(connection), Rc::clone(progress), request)
    });
    let mut serving = builder(config).serve_connection(TokioIo::new(transport), service);
    let mut watch = std::pin::pin!(tokio::time::sleep(PARK));
    let ended = poll_fn(|cx| {
        connection.wakes(cx.waker());
        if let Poll::Ready(result) = Pin::new(&mut serving).poll(cx) {
            return Poll::Ready(Ended::Done(result));
        }
        let crowded = connection.port.open() > CROWD;
        poll_watch(watch.as_mut(), cx, connection, progress, if crowded { PARK_IN_A_CROWD } else { PARK })
    })
    .await;
    let hyper::server::conn::http1::Parts { io, read_buf, .. } = serving.into_parts();
    if matches!(ended, Ended::Parked) && read_buf.is_empty() {
        return Some(io.into_inner());
    }
    let stream = io.into_inner().into_inner();
    if let (Ended::Done(Ok(())), Some(tunnel)) = (&ended, progress.tunnel()) {
        Box::pin(tunnel.run(stream, read_buf, config.tunnel_idle_timeout)).await;
    } else {
        end(connection, stream, ended, progress, &read_buf).await;
    }
    None
}

/// Waits for the next request with next to nothing in memory: hyper has some 30 KiB for a connection, and most of many
/// connections are idle. `true`: there is one.
async fn asleep<S: Socket>(connection: &Rc<Connection>, transport: &mut Transport<S>, progress: &Progress) -> bool {
    let mut watch = std::pin::pin!(tokio::time::sleep_until(deadline(connection, progress).into()));
    poll_fn(|cx| {
        connection.wakes(cx.waker());
        if let Poll::Ready(more) = transport.poll_more(cx) {
            return Poll::Ready(more);
        }
        poll_watch(watch.as_mut(), cx, connection, progress, Duration::MAX).map(|_| false)
    })
    .await
}

fn builder(config: &ServerConfig) -> Builder {
    let mut builder = Builder::new();
    let head = usize::try_from(config.max_head_bytes).unwrap_or(usize::MAX);
    builder.max_buf_size(head.max(LARGE)).max_header_size(head);
    if config.max_headers != HYPERS_HEADERS {
        builder.max_headers(usize::try_from(config.max_headers).unwrap_or(usize::MAX));
    }
    builder
}

/// One request.
fn answer(
    connection: Rc<Connection>,
    progress: Rc<Progress>,
    request: Request<hyper::body::Incoming>,
) -> impl Future<Output = Result<Response<Tracked>, Infallible>> {
    let old = request.version() == Version::HTTP_10;
    let caller = if old { Caller::Http10 } else { Caller::Http1(Rc::clone(&progress)) };
    let request = request.map(from_hyper);
    async move {
        let response = handle(Rc::clone(&connection), caller, request).await;
        Ok(finish(&connection, progress, old, response))
    }
}

/// What HTTP/1.1 needs beside what was answered.
fn finish(
    connection: &Connection,
    progress: Rc<Progress>,
    old: bool,
    mut response: Response<ResponseBody>,
) -> Response<Tracked> {
    // HTTP/1.0 has no chunks (RFC 9112 section 6.1).
    let until_close = old && !response.body().is_end_stream() && response.body().size_hint().exact().is_none();
    if until_close {
        // hyper keeps the connection, or says so, unless the answer is of HTTP/1.0 too.
        *response.version_mut() = Version::HTTP_10;
    }
    progress.answering(until_close);
    let tunnel = response.body_mut().take_tunnel();
    let becomes_tunnel = tunnel.is_some();
    if becomes_tunnel {
        progress.becomes(tunnel);
    }
    let unread = progress.is_uploading() && response.headers().contains_key(&WAYPOST_ERROR);
    if !becomes_tunnel && (unread || connection.draining().is_some()) {
        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    }
    let keeps_length = response.status() == StatusCode::NOT_MODIFIED;
    response.map(|body| Tracked { body, progress, keeps_length })
}

/// Looks at the time: whether the connection has been in its stage for too long, or idle for `park`.
fn poll_watch(
    mut watch: Pin<&mut Sleep>,
    cx: &mut Context<'_>,
    connection: &Connection,
    progress: &Progress,
    park: Duration,
) -> Poll<Ended> {
    // A head that began, or draining, may be due before what is watched for. Busy connections need no look.
    if !progress.is_busy() {
        let mut due = deadline(connection, progress);
        if park == PARK_IN_A_CROWD {
            due = due.min(Instant::now() + park);
        }
        if watch.deadline() > due.into() {
            watch.as_mut().reset(due.into());
        }
    }
    while watch.as_mut().poll(cx).is_ready() {
        let now = Instant::now();
        if let Some(ended) = expired(connection, progress, now) {
            return Poll::Ready(ended);
        }
        if progress.is_idle_for(park, now) {
            return Poll::Ready(Ended::Parked);
        }
        let next = deadline(connection, progress).max(now + TICK);
        watch.as_mut().reset(now.checked_add(park).map_or(next, |park| park.min(next)).into());
    }
    Poll::Pending
}

/// What is still said and heard after hyper has done its part.
async fn end<S>(connection: &Connection, mut stream: S, ended: Ended, progress: &Progress, unread: &[u8])
where
    S: Socket,
{
    let metrics = &connection.port.metrics;
    match ended {
        Ended::Idle | Ended::Parked => {}
        Ended::SlowHead => {
            metrics.terminated(Termination::HeadTimeout);
            let limit = connection.settings.config.head_timeout;
            let message = format!("the request's head did not come within head_timeout ({limit:?})");
            last_words(connection, &mut stream, &Failure::new(Word::RequestTimeout, message)).await;
        }
        Ended::Done(result) => {
            if let Some(failure) = progress.own_answer() {
                metrics.terminated(Termination::Malformed);
                last_words(connection, &mut stream, &in_full(failure, unread)).await;
                linger(connection, &mut stream).await;
            } else if let Err(error) = result {
                // Cut off, so that nobody takes what was sent for whole.
                tracing::debug!(%error, "connection of a client ended");
                if is_time_out(&error) {
                    metrics.terminated(Termination::WriteTimeout);
                }
                if progress.ends_with_connection() {
                    stream.reset_on_close();
                }
            } else if progress.has_unread() {
                linger(connection, &mut stream).await;
            }
        }
    }
}

/// An answer on a connection that hyper has given up, and the end of what we send.
async fn last_words<S: AsyncWrite + Unpin>(connection: &Connection, stream: &mut S, failure: &Failure) {
    connection.port.router().metrics.answered(failure.word.as_str());
    // The client may be gone, or never read: an answer is a courtesy.
    let courtesy = tokio::time::timeout(COURTESY, async {
        stream.write_all(&raw_answer(failure)).await?;
        stream.shutdown().await
    });
    drop(courtesy.await);
}

/// hyper says 400 also to versions that it does not speak; the request line is still there to tell.
fn in_full(failure: Failure, unread: &[u8]) -> Failure {
    let line = unread.split(|byte| *byte == b'\n').next().unwrap_or_default().trim_ascii_end();
    let version = line.rsplit(|byte| *byte == b' ').next().unwrap_or_default();
    match version.strip_prefix(b"HTTP/") {
        Some([major, b'.', minor])
            if failure.word == Word::BadRequest
                && major.is_ascii_digit()
                && minor.is_ascii_digit()
                && !matches!((major, minor), (b'1', b'0' | b'1')) =>
        {
            Failure::new(Word::Version, "HTTP/1.0, HTTP/1.1 and HTTP/2 are spoken here, and no other version")
        }
        _ => failure,
    }
}

/// Reads and forgets what a client still sends after its last answer: closing a socket with unread bytes resets the
/// connection, and the reset may overtake the answer (RFC 9112 section 9.6). Our direction has been ended.
async fn linger<S: AsyncRead + AsyncWrite + Unpin>(connection: &Connection, stream: &mut S) {
    let mut buffer = vec![0; LINGER_BUFFER];
    let discard = async {
        let mut left = LINGER_BYTES;
        while left > 0 {
            match tokio::time::timeout(LINGER_QUIET, stream.read(&mut buffer)).await {
                Ok(Ok(read)) if read > 0 => left = left.saturating_sub(read),
                _ => break,
            }
        }
    };
    let drained = async {
        poll_fn(|cx| {
            connection.wakes(cx.waker());
            if connection.draining().is_some() { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
        tokio::time::sleep(LAME_DUCK).await;
    };
    tokio::select! {
        biased;
        () = discard => {}
        () = drained => {}
        () = tokio::time::sleep(LINGER) => {}
    }
}

fn from_hyper(body: hyper::body::Incoming) -> Incoming {
    if body.is_end_stream() { Incoming::Empty } else { Incoming::Http1(body) }
}

/// When the stage that the connection is in has lasted too long.
fn deadline(connection: &Connection, progress: &Progress) -> Instant {
    let config = &connection.settings.config;
    let (stage, since) = progress.stage();
    match (stage, connection.draining()) {
        // Other time outs hold while we are at work, or the client takes its answer; look again later.
        _ if progress.is_busy() => later(config),
        (Stage::Waiting, Some(draining)) => since.max(draining) + LAME_DUCK,
        // The first request is awaited like a head: a client that connects has something to say.
        (Stage::Waiting, None) if progress.requests() == 0 => since + config.head_timeout,
        (Stage::Waiting, None) => since + config.idle_timeout,
        (Stage::Head | Stage::Busy, _) => since + config.head_timeout,
    }
}

fn later(config: &ServerConfig) -> Instant {
    Instant::now() + config.head_timeout.min(config.idle_timeout)
}

fn expired(connection: &Connection, progress: &Progress, now: Instant) -> Option<Ended> {
    let (stage, _) = progress.stage();
    if progress.is_busy() || deadline(connection, progress) > now {
        return None;
    }
    Some(if stage == Stage::Head { Ended::SlowHead } else { Ended::Idle })
}

/// A response's body that tells the connection's stage when it has gone.
struct Tracked {
    body: ResponseBody,
    progress: Rc<Progress>,
    /// Without a body, but with the `content-length` of one (RFC 9110 section 8.6). hyper writes that length only if
    /// there may be a body, and then sends none.
    keeps_length: bool,
}

impl Drop for Tracked {
    fn drop(&mut self) {
        self.progress.end(Instant::now());
    }
}

impl Body for Tracked {
    type Data = bytes::Bytes;
    type Error = crate::body::BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<http_body::Frame<Self::Data>, Self::Error>>> {
        ready!(self.progress.ahead().poll_room(cx));
        let frame = ready!(Pin::new(&mut self.body).poll_frame(cx));
        if let Some(data) = frame.as_ref().and_then(|frame| frame.as_ref().ok()?.data_ref()) {
            self.progress.ahead().gave(data.len());
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        !self.keeps_length && self.body.is_end_stream()
    }

    fn size_hint(&self) -> http_body::SizeHint {
        if self.keeps_length { http_body::SizeHint::default() } else { self.body.size_hint() }
    }
}

/// hyper's own default: setting it at all moves its parser to the heap.
const HYPERS_HEADERS: u32 = 100;
/// How long an idle connection may still bring a request after draining began: closing at once would cross with one
/// that is on its way.
const LAME_DUCK: Duration = Duration::from_millis(500);
/// How long an answer may take to a client whose request never became one.
const COURTESY: Duration = Duration::from_secs(1);
/// After its last answer a client is listened to for so long, for so long without a byte, and for so many bytes.
const LINGER: Duration = Duration::from_secs(30);
const LINGER_QUIET: Duration = Duration::from_secs(2);
const LINGER_BYTES: usize = 256 * 1024 * 1024;
const LINGER_BUFFER: usize = 16 * 1024;
/// A connection that is idle for so long gives back what hyper has of memory for it; so often is looked.
const PARK: Duration = Duration::from_millis(100);
/// The same where a worker has more connections than this: there it is worth a timer after each request.
const CROWD: usize = 128;
const PARK_IN_A_CROWD: Duration = Duration::from_millis(30);
/// The shortest time to the next look.
const TICK: Duration = Duration::from_millis(10);
