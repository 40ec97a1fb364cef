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
use crate::body::{Http2Body, Incoming, ResponseBody, http2 as body_http2};
use crate::client::http2::content_length;
use crate::gather::{Drain, gathered};
use crate::request::handle;
use crate::request::interim::{Caller, Outbox};
use crate::telemetry::Wire;
use crate::tunnel::Http2Side;

/// Serves streams until the client closes, nothing was asked for `idle_timeout`, or the connection drained.
pub async fn serve<S>(connection: &Rc<Connection>, transport: Transport<S>)
where
    S: AsyncRead + AsyncWrite + Unpin + 'static,
{
    let _counted = connection.port.metrics.connected(Wire::Http2);
    let config = &connection.settings.config;
    let (transport, drain) = gathered(transport);
    let mut builder = h2::server::Builder::new();
    if !config.upgrades.is_empty() {
        // RFC 8441 section 3.
        builder.enable_connect_protocol();
    }
    let handshake = builder
        .initial_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_concurrent_streams(config.max_concurrent_streams)
        .max_header_list_size(config.max_head_bytes)
        .max_send_buffer_size(MAX_SEND_BUFFER)
        .handshake::<_, Bytes>(transport);
    let Some(Ok(mut serving)) = with_drain(&drain, config.head_timeout, handshake).await else { return };
    let streams = Streams { tasks: TaskTracker::new(), open: Rc::default() };
    let watch = tokio::time::sleep(config.idle_timeout);
    let mut watch = std::pin::pin!(watch);
    let mut used = Instant::now();
    let mut told: Option<Instant> = None;
    let ended = poll_fn(|cx| {
        connection.wakes(cx.waker());
        if connection.draining().is_some() && told.is_none() {
            // GOAWAY, then the streams that are open finish (RFC 9113 section 6.8).
            serving.graceful_shutdown();
            told = Some(Instant::now());
        }
        loop {
            match serving.poll_accept(cx) {
                Poll::Ready(Some(Ok((request, respond)))) => streams.start(connection, request, respond),
                Poll::Ready(ended) => {
                    // Last words, such as why the connection ends; the peer may not want to hear them.
                    drop(drain.poll_drain(cx));
                    return Poll::Ready(ended.map_or(Ok(()), |ended| ended.map(drop).map_err(io::Error::other)));
                }
                Poll::Pending => break,
            }
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
    if let Err(error) = ended {
        tracing::debug!(%error, "connection of a client ended");
    }
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

struct Streams {
    tasks: TaskTracker,
    open: Rc<Cell<usize>>,
}

impl Streams {
    fn start(&self, connection: &Rc<Connection>, request: Request<RecvStream>, respond: SendResponse<Bytes>) {
        let open = OpenStream::new(&self.open);
        let connection = Rc::clone(connection);
        // A request's whole way is some kilobytes: a task copies what it is made of several times, and so gets a pointer.
        let whole = Box::pin(async move {
            let _open = open;
            stream(connection, request, respond).await;
        });
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
}

impl Drop for OpenStream {
    fn drop(&mut self) {
        self.0.set(self.0.get().saturating_sub(1));
    }
}

/// One request and its answer. A reset by the client ends it wherever it is, and the endpoint's work with it.
async fn stream(connection: Rc<Connection>, request: Request<RecvStream>, mut respond: SendResponse<Bytes>) {
    let length = content_length(request.headers());
    // What comes on the stream of an extended CONNECT is no body (RFC 8441 section 5).
    let extended = request.extensions().get::<Protocol>().is_some();
    let (mut tunnelled, mut given_up) = (None, None);
    let idle = connection.settings.config.tunnel_idle_timeout;
    let request = request.map(|stream| {
        if extended {
            tunnelled = Some(stream);
            return Incoming::Empty;
        }
        if stream.is_end_stream() {
            return Incoming::Empty;
        }
        let told = given_up.insert(Rc::default());
        Incoming::Http2(Http2Body::new(stream, length).tells(told))
    });
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
    let Some(mut response) = response else { return };
    if let (Some(tunnel), Some(receive)) = (response.body_mut().take_tunnel(), tunnelled) {
        let mut head = response.map(drop);
        date(head.headers_mut());
        match respond.send_response(head, false) {
            Ok(send) => Box::pin(tunnel.run(Http2Side::new(receive, send), Bytes::new(), idle)).await,
            Err(error) => tracing::debug!(%error, "a tunnel's head did not go out"),
        }
        return;
    }
    match send(response, &mut respond).await {
        Err(error) => tracing::debug!(%error, "a response did not go out whole"),
        Ok(()) if given_up.is_some_and(|given_up| given_up.get()) => {
            // The stream is reset with its last handle (RFC 9113 section 8.1). Some clients, curl among them, forget an
            // answer that such a reset follows at once; one that has read it resets the stream itself, or goes away.
            let reset = poll_fn(|cx| respond.poll_reset(cx));
            drop(tokio::time::timeout(LINGER, reset).await);
        }
        Ok(()) => {}
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
) -> Result<(), body_http2::SendError> {
    let (mut parts, body) = response.into_parts();
    // These mean nothing in HTTP/2 (RFC 9113 section 8.2.2).
    parts.headers.remove(CONNECTION);
    parts.headers.remove(TRANSFER_ENCODING);
    date(&mut parts.headers);
    let ends = body.is_end_stream();
    let response = Response::from_parts(parts, ());
    let mut stream = respond.send_response(response, ends).map_err(body_http2::SendError::Connection)?;
    if ends {
        return Ok(());
    }
    let sent = body_http2::send(body, &mut stream).await;
    if let Err(body_http2::SendError::Reset(_)) = &sent {
        stream.send_reset(Reason::CANCEL);
    }
    sent
}

/// Credit for what a client sends: enough for a LAN, little enough for many connections.
const STREAM_WINDOW: u32 = 256 * 1024;
const CONNECTION_WINDOW: u32 = 1024 * 1024;
/// Bytes of a response that wait for the client, per stream.
const MAX_SEND_BUFFER: usize = 64 * 1024;
/// How long a client is given to see an answer that came before the end of its upload.
const LINGER: Duration = Duration::from_secs(1);
const TICK: Duration = Duration::from_millis(10);
