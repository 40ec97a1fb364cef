//! HTTP/2 towards an endpoint, on the `h2` crate: one connection carries many requests.

use std::cell::{Cell, RefCell};
use std::pin::Pin;
use std::rc::Rc;
use std::task::Poll;
use std::time::{Duration, Instant};

use bytes::Bytes;
use h2::Reason;
use h2::client::SendRequest;
use http::header::{CONTENT_LENGTH, HOST};
use http::request::Parts;
use http::uri::{self, Authority, PathAndQuery, Scheme};
use http::{HeaderMap, Request, Response, StatusCode, Uri, Version};
use http_body::Body;
use waypost_routing::ClientTls;

use super::Client;
use super::connect::{Connected, MAX_INTERIM, MAX_INTERIM_BYTES, Received, TOO_MANY_INTERIM, refused_late};
use super::endpoint::Endpoint;
use super::exchange::{Sent, Unsent, took_nothing};
use super::pool::Held;
use crate::body::http2::{self as body_http2, SendError};
use crate::body::{Http2Body, Incoming};
use crate::gather::gathered;
use crate::request::answer::{Failure, Word};
use crate::request::headers;
use crate::request::interim::Interims;
use crate::telemetry::Wire;
use crate::tls::Refusal;
use crate::window::{self, Windows};
use crate::worker::Worker;

/// One connection, shared by the requests of its worker.
#[derive(Debug)]
pub struct Connection {
    sender: SendRequest<Bytes>,
    /// Our own limit, beside the peer's.
    limit: usize,
    streams: Cell<usize>,
    open: Cell<bool>,
    idle_since: Cell<Instant>,
    refusal: Option<Refusal>,
    received: Rc<Received>,
    /// A request was sent on it.
    used: Cell<bool>,
    /// Whoever asks something of the peer has it for that long.
    ping: RefCell<Option<h2::PingPong>>,
}

impl Connection {
    /// Takes new requests.
    pub fn is_open(&self) -> bool {
        self.open.get()
    }

    /// Carries nothing since that long.
    pub fn idle_for(&self, now: Instant, limit: Duration) -> bool {
        self.streams.get() == 0 && now.saturating_duration_since(self.idle_since.get()) >= limit
    }

    /// Waits for the peer to answer in HTTP/2.
    ///
    /// With prior knowledge nobody asked whether it would: a server of HTTP/1 takes the preface for a bad request, and
    /// answers in its own way or just closes.
    pub async fn answers(&self) -> Answers {
        let Some(mut ping) = self.ping.take() else { return Answers::Http2 };
        let answered = ping.ping(h2::Ping::opaque()).await;
        self.ping.replace(Some(ping));
        match answered {
            Ok(_) => Answers::Http2,
            Err(_) if self.received.not_http2() => Answers::SomethingElse,
            Err(_) => Answers::Nothing,
        }
    }

    /// Room for one more request, where there is some.
    pub fn slot(self: &Rc<Self>) -> Option<StreamSlot> {
        let limit = self.limit.min(self.sender.current_max_send_streams());
        if !self.is_open() || self.streams.get() >= limit {
            return None;
        }
        self.streams.set(self.streams.get() + 1);
        Some(StreamSlot(Rc::clone(self)))
    }
}

/// What a peer said to the preface of HTTP/2.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Answers {
    /// It speaks HTTP/2.
    Http2,
    /// It does not.
    SomethingElse,
    /// It closed; perhaps it does not, perhaps it is going away.
    Nothing,
}

/// The right to one stream of a connection, until it is dropped.
#[derive(Debug)]
pub struct StreamSlot(Rc<Connection>);

impl Drop for StreamSlot {
    fn drop(&mut self) {
        self.0.streams.set(self.0.streams.get().saturating_sub(1));
        if self.0.streams.get() == 0 {
            self.0.idle_since.set(Instant::now());
        }
    }
}

/// Starts HTTP/2 on a connection.
///
/// # Errors
/// The peer does not speak it; nothing was sent.
pub async fn open(
    worker: &Rc<Worker>,
    client: &Client,
    endpoint: &Endpoint,
    connected: Connected,
    held: Held,
) -> Result<Rc<Connection>, Failure> {
    let Connected { stream, received, refusal, .. } = connected;
    let (stream, drain) = gathered(stream);
    let streams = client.policy.max_concurrent_streams.value;
    let (sender, mut connection) = h2::client::Builder::new()
        .enable_push(false)
        .initial_window_size(window::LEAST)
        .initial_connection_window_size(window::connection(streams))
        .max_header_list_size(MAX_HEADER_LIST)
        .max_send_buffer_size(MAX_SEND_BUFFER)
        .handshake::<_, Bytes>(stream)
        .await
        .map_err(|error| {
            Failure::new(Word::Connect, format!("{} for {}: no HTTP/2: {error}", endpoint.addr, client.bound))
                .retryable()
        })?;
    let shared = Rc::new(Connection {
        sender,
        limit: usize::try_from(streams).unwrap_or(usize::MAX),
        streams: Cell::new(0),
        open: Cell::new(true),
        idle_since: Cell::new(Instant::now()),
        refusal,
        received,
        used: Cell::new(false),
        ping: RefCell::new(connection.ping_pong()),
    });
    let counted = client.metrics.connected(Wire::Http2);
    let driven = Rc::downgrade(&shared);
    let mut windows = Windows::new(streams, &worker.wide_windows);
    worker.spawn(async move {
        let _held = (held, counted);
        // Ends when the peer closes, or when no request and no pool holds a sender any more.
        let ended = std::future::poll_fn(|cx| {
            let polled = Pin::new(&mut connection).poll(cx);
            if let Some(shared) = driven.upgrade()
                && let Some(pings) = &mut *shared.ping.borrow_mut()
            {
                windows.poll(cx, drain.received(), shared.streams.get(), pings, &mut connection);
            }
            // An error of a write shows again at the next read; a peer that takes no more wakes this task.
            drop(drain.poll_drain(cx));
            polled
        });
        if let Err(error) = ended.await {
            tracing::debug!(%error, "connection to an endpoint ended");
        }
        if let Some(connection) = driven.upgrade() {
            connection.open.set(false);
        }
    });
    Ok(shared)
}

/// Sends one request and waits for the head of its response; it stays in `unsent` where it was not sent.
///
/// Dropping the future resets the stream.
pub async fn send(
    worker: &Rc<Worker>,
    client: &Client,
    endpoint: &Endpoint,
    slot: &StreamSlot,
    unsent: &mut Unsent,
    interims: &Interims,
) -> Sent {
    let mut sender = slot.0.sender.clone();
    if let Err(error) = std::future::poll_fn(|cx| sender.poll_ready(cx)).await {
        slot.0.open.set(false);
        let message = format!(
            "{} for {}: the connection closed before the request was sent ({error})",
            endpoint.addr, client.bound
        );
        return Sent::Unsent { failure: Failure::new(Word::Connect, message).retryable() };
    }
    let Some((mut parts, mut body)) = unsent.take() else { return Sent::nothing() };
    if let Err(failure) = to_http2(client, &mut parts) {
        return Sent::Lost { failure, before_response: false };
    }
    if !slot.0.used.replace(true) {
        headers::teach_names(&mut parts.headers);
    }
    body.keep_to(None);
    let ends = body.is_end_stream();
    let (mut response, mut stream) = match sender.send_request(Request::from_parts(parts, ()), ends) {
        Ok(sent) => sent,
        Err(error) => return failed(client, endpoint, slot, &error),
    };
    let broken = Rc::new(RefCell::new(None));
    let told = Rc::clone(&broken);
    let pump = (!ends).then(|| {
        let patience = client.policy.write_timeout.value;
        PumpGuard(worker.spawn(async move {
            match body_http2::send(body, &mut stream, patience).await {
                Err(error @ (SendError::Source(_) | SendError::Stalled(_))) => *told.borrow_mut() = Some(error),
                Err(error) => tracing::debug!(%error, "a request's body did not go out whole"),
                Ok(()) => {}
            }
        }))
    });
    let (mut interim, mut interim_bytes) = (0, 0);
    let response = std::future::poll_fn(|cx| {
        while let Poll::Ready(Some(Ok(response))) = response.poll_informational(cx) {
            let (parts, ()) = response.into_parts();
            interim += 1;
            interim_bytes += parts.headers.iter().map(|(name, value)| name.as_str().len() + value.len()).sum::<usize>();
            if interim > MAX_INTERIM || interim_bytes > MAX_INTERIM_BYTES {
                return Poll::Ready(Err(Refused::Here(TOO_MANY_INTERIM)));
            }
            if parts.status == StatusCode::SWITCHING_PROTOCOLS {
                // RFC 9113 section 8.6; a client of HTTP/1.1 would take it at its word.
                return Poll::Ready(Err(Refused::Here("it switched protocols, which HTTP/2 does not have")));
            }
            interims.pass_on(parts.status, Version::HTTP_2, parts.headers);
        }
        Pin::new(&mut response).poll(cx).map_err(Refused::ByH2)
    });
    match response.await {
        Ok(response) => Sent::Answered(received(response, pump)),
        Err(Refused::Here(why)) => {
            let message = format!("{} for {}: {why}", endpoint.addr, client.bound);
            Sent::Lost { failure: Failure::new(Word::BadResponse, message), before_response: false }
        }
        Err(Refused::ByH2(error)) => match broken.take() {
            // The stream was reset by ourselves: the request's own body broke off, or had nowhere to go.
            Some(SendError::Source(source)) => Sent::Lost { failure: Failure::from(&source), before_response: false },
            Some(_) => Sent::Lost { failure: took_nothing(client, endpoint), before_response: false },
            None => failed(client, endpoint, slot, &error),
        },
    }
}

/// Why there is no response.
enum Refused {
    /// What came before it is not to be passed on.
    Here(&'static str),
    /// The stream, or the connection, ended.
    ByH2(h2::Error),
}

fn received(response: Response<h2::RecvStream>, pump: Option<PumpGuard>) -> Response<Incoming> {
    let length = content_length(response.headers());
    response.map(|stream| Incoming::Http2(Http2Body::new(stream, length).with_upload(pump)))
}

/// `content-length`, where it is one number.
pub fn content_length(headers: &HeaderMap) -> Option<u64> {
    headers.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

/// `:authority` is the request's own, never the endpoint's; Host goes, since it would say it twice (RFC 9113 8.3.1).
fn to_http2(client: &Client, request: &mut Parts) -> Result<(), Failure> {
    request.version = Version::HTTP_2;
    let scheme = if client.tls == ClientTls::Clear { Scheme::HTTP } else { Scheme::HTTPS };
    let path = request.uri.path_and_query().cloned().unwrap_or_else(|| PathAndQuery::from_static("/"));
    let authority = request.headers.remove(HOST);
    let authority = authority.as_ref().map_or(&b""[..], |host| host.as_bytes());
    let authority = Authority::try_from(authority)
        .map_err(|_| Failure::new(Word::BadRequest, "HTTP/2 needs an authority, and the request has none"))?;
    let mut parts = uri::Parts::default();
    parts.scheme = Some(scheme);
    parts.authority = Some(authority);
    parts.path_and_query = Some(path);
    request.uri =
        Uri::from_parts(parts).map_err(|_| Failure::new(Word::BadRequest, "the target fits no HTTP/2 request"))?;
    Ok(())
}

/// REFUSED_STREAM, and a GOAWAY that leaves this stream out, say that nothing was done (RFC 9113 section 8.7).
fn failed(client: &Client, endpoint: &Endpoint, slot: &StreamSlot, error: &h2::Error) -> Sent {
    let who = format_args!("{} for {}", endpoint.addr, client.bound);
    if error.is_go_away() || error.is_io() {
        slot.0.open.set(false);
    }
    let untouched = error.reason() == Some(Reason::REFUSED_STREAM)
        || (error.is_go_away() && error.is_remote() && error.reason() == Some(Reason::NO_ERROR));
    if let Some(failure) = refused_late(client, endpoint.addr, slot.0.refusal.as_ref()) {
        return Sent::Unsent { failure };
    }
    if untouched {
        let failure = Failure::new(Word::Connect, format!("{who}: it did not take the request ({error})")).retryable();
        return Sent::Unsent { failure };
    }
    // Nonsense on a connection that never answered: most likely the peer speaks HTTP/1.1 only.
    let hint = if error.is_library() { "; if it speaks HTTP/1.1 only, say so with protocol = \"http1\"" } else { "" };
    let failure = Failure::new(Word::BadResponse, format!("{who}: no HTTP/2 response ({error}{hint})"));
    Sent::Lost { failure, before_response: error.is_io() || error.is_go_away() }
}

/// Ends the upload with the exchange that it belongs to.
#[derive(Debug)]
pub struct PumpGuard(tokio::task::JoinHandle<()>);

impl Drop for PumpGuard {
    fn drop(&mut self) {
        self.0.abort();
    }
}

const MAX_HEADER_LIST: u32 = 256 * 1024;
const MAX_SEND_BUFFER: usize = 128 * 1024;
