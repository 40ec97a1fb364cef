//! HTTP/2 from a client, on the `h2` crate: each stream is one request with a task of its own.

use std::cell::Cell;
use std::future::poll_fn;
use std::io;
use std::rc::Rc;
use std::task::Poll;
use std::time::{Duration, Instant, SystemTime};

use bytes::Bytes;
use h2::ext::Protocol;
use h2::server::SendResponse;
use h2::{Reason, RecvStream};
use http::header::{CONNECTION, DATE, HeaderValue, TRANSFER_ENCODING};
use http::{HeaderMap, Request, Response};
use http_body::Body;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_util::task::TaskTracker;

use super::connection::Connection;
use super::transport::Transport;
use crate::body::http2::{self as body_http2, SendError};
use crate::body::{Http2Body, Incoming, ResponseBody};
use crate::cause::is_time_out;
use crate::client::http2::content_length;
use crate::config::ServerConfig;
use crate::gather::{Drain, gathered};
use crate::request::handle;
use crate::request::interim::{Caller, Outbox};
use crate::telemetry::{Termination, Wire};
use crate::tunnel::Http2Side;
use crate::window::{self, Windows};

/// Serves streams until the client closes, nothing was asked for `idle_timeout`, or the connection drained.
pub async fn serve<S>(connection: &Rc<Connection>, transport: Transport<S>)
where
    S: AsyncRead + AsyncWrite + Unpin + 'static,
{
    let _counted = connection.port.metrics.connected(Wire::Http2);
    let config = &connection.settings.config;
    let (transport, drain) = gathered(transport);
    let handshake = builder(config).handshake::<_, Bytes>(transport);
    let Some(Ok(mut serving)) = with_drain(&drain, config.head_timeout, handshake).await else { return };
    let mut pings = serving.ping_pong();
    let mut windows = Windows::new(config.max_concurrent_streams, &connection.worker.wide_windows);
    let streams = Streams::default();
    let watch = tokio::time::sleep(config.idle_timeout);
    let mut watch = std::pin::pin!(watch);
    let mut used = Instant::now();
    let mut told: Option<Instant> = None;
    let ended = poll_fn(|cx| {
        connection.wakes(cx.waker());
        let unwanted = connection.draining().is_some() || streams.retracted.are_many();
        if unwanted && told.is_none() {
            // GOAWAY, then the streams that are open finish (RFC 9113 section 6.8).
            serving.graceful_shutdown();
            told = Some(Instant::now());
        }
        loop {
            match serving.poll_accept(cx) {
                Poll::Ready(Some(Ok(_))) if streams.retracted.are_a_flood() => {
                    serving.abrupt_shutdown(Reason::ENHANCE_YOUR_CALM);
                }
                Poll::Ready(Some(Ok((request, respond)))) => streams.start(connection, request, respond),
                Poll::Ready(ended) => {
                    // Last words, such as why the connection ends; the peer may not want to hear them.
                    drop(drain.poll_drain(cx));
                    return Poll::Ready(ended.map_or(Ok(()), |ended| ended.map(drop).map_err(io::Error::other)));
                }
                Poll::Pending => break,
            }
        }
        if let Some(pings) = &mut pings {
            windows.poll(cx, drain.received(), streams.open.get(), pings, &mut serving);
        }
        if let Poll::Ready(Err(error)) = drain.poll_drain(cx) {
            return Poll::Ready(Err(error));
        }
        if streams.open.get() > 0 {
            used = Instant::now();
        }
        while watch.as_mut().poll(cx).is_ready() {
            let now = Instant::now();
            let idle = streams.open.get() == 0;
            match told {
                // A peer that does not even answer our PING is not waited for.
                Some(told) if idle && now.saturating_duration_since(told) >= config.head_timeout => {
                    return Poll::Ready(Ok(()));
                }
                None if idle && used + config.idle_timeout <= now => {
                    serving.graceful_shutdown();
                    told = Some(now);
                    cx.waker().wake_by_ref();
                }
                Some(_) | None => {}
            }
            let due = told.map_or(used + config.idle_timeout, |told| told + config.head_timeout);
            watch.as_mut().reset(due.max(now + TICK).into());
        }
        Poll::Pending
    })
    .await;
    let flood = streams.retracted.are_many().then_some(Termination::Flood);
    if let Some(why) = flood.or_else(|| ended.as_ref().err().and_then(termination)) {
        connection.port.metrics.terminated(why);
    }
    if let Err(error) = ended {
        tracing::debug!(%error, "connection of a client ended");
    }
}

/// Whether it was waypost that ended the connection, and why; a peer that goes away is nothing to count.
fn termination(error: &io::Error) -> Option<Termination> {
    if is_time_out(error) {
        return Some(Termination::WriteTimeout);
    }
    let error = error.get_ref()?.downcast_ref::<h2::Error>().filter(|error| error.is_library())?;
    let flood = error.reason() == Some(Reason::ENHANCE_YOUR_CALM);
    Some(if flood { Termination::Flood } else { Termination::Malformed })
}

fn builder(config: &ServerConfig) -> h2::server::Builder {
    let mut builder = h2::server::Builder::new();
    if !config.upgrades.is_empty() {
        // RFC 8441 section 3.
        builder.enable_connect_protocol();
    }
    builder
        .initial_window_size(window::LEAST)
        .initial_connection_window_size(window::connection(config.max_concurrent_streams))
        .max_concurrent_streams(config.max_concurrent_streams)
        .max_header_list_size(config.max_head_bytes)
        .max_send_buffer_size(MAX_SEND_BUFFER);
    builder
}

/// The handshake, with what it writes going out; `None` when it takes too long.
async fn with_drain<S: AsyncWrite + Unpin, T>(
    drain: &Drain<S>,
    limit: Duration,
    handshake: impl Future<Output = T>,
) -> Option<T> {
    let mut handshake = std::pin::pin!(handshake);
    let drained = poll_fn(|cx| {
        let polled = handshake.as_mut().poll(cx);
        // An error shows again at the next read.
        drop(drain.poll_drain(cx));
        polled
    });
    tokio::time::timeout(limit, drained).await.ok()
}

#[derive(Default)]
struct Streams {
    tasks: TaskTracker,
    open: Rc<Cell<usize>>,
    retracted: Rc<Retracted>,
}

/// Requests that the client took back before they were answered. Each has cost us more than it cost the client
/// (CVE-2023-44487), so there may be [`RETRACTED_AT_ONCE`], and [`RETRACTED_PER_SECOND`] in the long run.
///
/// A client that has reasons, such as a proxy whose own clients go away, is asked by GOAWAY to come again on another
/// connection, and loses nothing. One that goes on as before is cut off at twice as many.
#[derive(Default)]
struct Retracted {
    level: Cell<f64>,
    last: Cell<Option<Instant>>,
}

impl Retracted {
    fn add(&self, now: Instant) {
        let since = self.last.replace(Some(now)).map_or(Duration::ZERO, |last| now.saturating_duration_since(last));
        self.level.set((self.level.get() - since.as_secs_f64() * RETRACTED_PER_SECOND).max(0.0) + 1.0);
    }

    fn are_many(&self) -> bool {
        self.level.get() > RETRACTED_AT_ONCE
    }

    fn are_a_flood(&self) -> bool {
        self.level.get() > 2.0 * RETRACTED_AT_ONCE
    }
}

impl Streams {
    fn start(&self, connection: &Rc<Connection>, request: Request<RecvStream>, respond: SendResponse<Bytes>) {
        let open = OpenStream::new(&self.open);
        let connection = Rc::clone(connection);
        let retracted = Rc::clone(&self.retracted);
        // A request's whole way is some kilobytes: a task copies what it is made of several times, and so gets a pointer.
        let whole = Box::write(Box::new_uninit(), async move {
            if stream(connection, &open, request, respond).await.is_none() {
                retracted.add(Instant::now());
            }
        });
        let whole = Box::into_pin(whole);
        // It ends with its stream, and all streams end with the connection: each learns of it by `poll_reset`.
        drop(self.tasks.spawn_local(whole));
    }
}

struct OpenStream(Rc<Cell<usize>>);

impl OpenStream {
    fn new(open: &Rc<Cell<usize>>) -> Self {
        open.set(open.get() + 1);
        Self(Rc::clone(open))
    }

    /// How many the connection has, with those whose tasks outlive them.
    fn all(&self) -> usize {
        self.0.get()
    }
}

impl Drop for OpenStream {
    fn drop(&mut self) {
        self.0.set(self.0.get().saturating_sub(1));
    }
}

/// One request and its answer. A reset by the client ends it wherever it is, and the endpoint's work with it; `None`
/// where that was before its answer began.
fn stream(
    connection: Rc<Connection>,
    open: &OpenStream,
    request: Request<RecvStream>,
    mut respond: SendResponse<Bytes>,
) -> impl Future<Output = Option<()>> {
    let length = content_length(request.headers());
    // What comes on the stream of an extended CONNECT is no body (RFC 8441 section 5).
    let extended = request.extensions().get::<Protocol>().is_some();
    let (mut tunnelled, mut upload) = (None, None);
    let settings = Rc::clone(&connection.settings);
    let at_once = usize::try_from(settings.config.max_concurrent_streams).unwrap_or(usize::MAX);
    let metrics = Rc::clone(&connection.port.metrics);
    let request = request.map(|stream| {
        if extended {
            tunnelled = Some(stream);
            return Incoming::Empty;
        }
        if stream.is_end_stream() {
            return Incoming::Empty;
        }
        let ended = upload.insert(Rc::default());
        Incoming::Http2(Http2Body::new(stream, length).tells(ended))
    });
    async move {
        let response = {
            let outbox = Rc::<Outbox>::default();
            let mut handling = std::pin::pin!(handle(connection, Caller::Http2(Rc::clone(&outbox)), request));
            poll_fn(|cx| match respond.poll_reset(cx) {
                Poll::Ready(_) => Poll::Ready(None),
                Poll::Pending => {
                    let handled = handling.as_mut().poll(cx).map(Some);
                    for interim in outbox.take(cx.waker()) {
                        // Of a stream that ended meanwhile the next poll tells.
                        drop(respond.send_informational(interim));
                    }
                    handled
                }
            })
            .await
        };
        let mut response = response?;
        if let (Some(tunnel), Some(receive)) = (response.body_mut().take_tunnel(), tunnelled) {
            let mut head = response.map(drop);
            date(head.headers_mut());
            match respond.send_response(head, false) {
                Ok(send) => {
                    let idle = settings.config.tunnel_idle_timeout;
                    Box::pin(tunnel.run(Http2Side::new(receive, send), Bytes::new(), idle)).await;
                }
                Err(error) => tracing::debug!(%error, "a tunnel's head did not go out"),
            }
            return Some(());
        }
        match send(response, &mut respond, settings.config.write_timeout).await {
            Err(error) => {
                if matches!(error, SendError::Stalled(_)) {
                    metrics.terminated(Termination::WriteTimeout);
                }
                tracing::debug!(%error, "a response did not go out whole");
            }
            Ok(()) if upload.is_some_and(|ended| !ended.get()) && open.all() <= at_once => {
                // Whoever reads the rest of the upload may give it up at any moment, and the stream is reset with its last
                // handle (RFC 9113 section 8.1). Some clients, curl among them, forget an answer that such a reset follows
                // at once; one that has read it resets the stream itself, or goes away. The end of an upload that nobody
                // reads closes the stream unseen, and the client may open the next: so not all are waited for.
                let reset = poll_fn(|cx| respond.poll_reset(cx));
                drop(tokio::time::timeout(LINGER, reset).await);
            }
            Ok(()) => {}
        }
        Some(())
    }
}

/// A response without a date gets one from whoever passes it on (RFC 9110 section 6.6.1).
fn date(headers: &mut HeaderMap) {
    if !headers.contains_key(DATE)
        && let Ok(date) = HeaderValue::try_from(httpdate::fmt_http_date(SystemTime::now()))
    {
        headers.insert(DATE, date);
    }
}

async fn send(
    response: Response<ResponseBody>,
    respond: &mut SendResponse<Bytes>,
    patience: Option<Duration>,
) -> Result<(), SendError> {
    let (mut parts, body) = response.into_parts();
    // These mean nothing in HTTP/2 (RFC 9113 section 8.2.2).
    parts.headers.remove(CONNECTION);
    parts.headers.remove(TRANSFER_ENCODING);
    date(&mut parts.headers);
    let ends = body.is_end_stream();
    let response = Response::from_parts(parts, ());
    let mut stream = respond.send_response(response, ends).map_err(SendError::Connection)?;
    if ends {
        return Ok(());
    }
    let sent = body_http2::send(body, &mut stream, patience).await;
    if let Err(SendError::Reset(_)) = &sent {
        stream.send_reset(Reason::CANCEL);
    }
    sent
}

/// Bytes of a response that wait for the client, per stream.
const MAX_SEND_BUFFER: usize = 16 * 1024;
/// How long a client is given to see an answer that came before the end of its upload.
const LINGER: Duration = Duration::from_secs(1);
/// A client with a hundred streams may give them all up now and then, as it does when a deadline passes.
const RETRACTED_AT_ONCE: f64 = 250.0;
const RETRACTED_PER_SECOND: f64 = 100.0;
const TICK: Duration = Duration::from_millis(10);
