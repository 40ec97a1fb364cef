//! HTTP/1.1 towards an endpoint, by hyper's connection.

use std::cell::Cell;
use std::rc::Rc;

use http::header::{HeaderValue, TRANSFER_ENCODING};
use http::{Request, StatusCode, Version};
use http_body::Body;
use hyper::client::conn::http1::{Builder, Parts, SendRequest};
use hyper_util::rt::TokioIo;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use super::Client;
use super::connect::{Connected, Received, refused_late};
use super::endpoint::Endpoint;
use super::exchange::{Sent, Unsent, took_nothing};
use super::pool::Held;
use crate::body::{BodyError, Incoming, RequestBody};
use crate::bulk::{Ahead, LARGE};
use crate::cause::{causes, chain, is_time_out};
use crate::request::answer::{Failure, Word};
use crate::request::interim::Interims;
use crate::request::upgrade::Upgrade;
use crate::telemetry::Wire;
use crate::tls::Refusal;
use crate::tunnel::Switched;
use crate::worker::Worker;

/// A connection that can take one request at a time; dropping it closes it, at once where a request is still on it.
#[derive(Debug)]
pub struct Connection {
    /// Sends the request.
    pub sender: SendRequest<RequestBody>,
    /// It carried a request before.
    pub reused: bool,
    refusal: Option<Refusal>,
    received: Rc<Received>,
    /// Of the request's body.
    ahead: Rc<Ahead>,
    /// The request that is on it asks for another protocol.
    upgrading: Rc<Cell<bool>>,
    /// The connection itself, when that came about.
    switched: oneshot::Receiver<Switched>,
    task: JoinHandle<()>,
}

impl Drop for Connection {
    fn drop(&mut self) {
        // hyper would first write what it has, and an endpoint that takes nothing would keep the connection, its permit
        // and the client's upload for good.
        if !self.sender.is_ready() {
            self.task.abort();
        }
    }
}

/// Starts HTTP/1.1 on a connection. The connection's own task ends when the peer closes, or when the sender is dropped.
///
/// # Errors
/// Should hyper refuse the connection; nothing was sent.
pub async fn open(
    worker: &Rc<Worker>,
    client: &Client,
    endpoint: &Endpoint,
    connected: Connected,
    held: Held,
) -> Result<Connection, Failure> {
    let Connected { mut stream, received, refusal, .. } = connected;
    stream.read_on();
    stream.read_large(&worker.large_reads);
    let ahead = stream.ahead();
    let (sender, mut connection) =
        Builder::new().max_buf_size(LARGE).handshake(TokioIo::new(stream)).await.map_err(|error| {
            Failure::new(Word::Connect, format!("{} for {}: {error}", endpoint.addr, client.bound)).retryable()
        })?;
    let counted = client.metrics.connected(Wire::Http1);
    let upgrading = Rc::<Cell<bool>>::default();
    let (give, switched) = oneshot::channel();
    let asked = Rc::clone(&upgrading);
    let task = worker.spawn(async move {
        let held = (held, counted);
        match (&mut connection).await {
            Err(error) => tracing::debug!(%error, "connection to an endpoint ended"),
            Ok(()) if asked.get() => {
                let Parts { io, read_buf, .. } = connection.into_parts();
                // Nobody may wait for it any more: then it is closed.
                drop(give.send(Switched { stream: io.into_inner(), early: read_buf, held }));
            }
            Ok(()) => {}
        }
    });
    Ok(Connection { sender, reused: false, refusal, received, ahead, upgrading, switched, task })
}

/// Waits for the connection that an endpoint's 101 has made into something else; `None` where it broke off.
pub async fn switched(mut connection: Connection) -> Option<Switched> {
    (&mut connection.switched).await.ok()
}

/// Sends one request and waits for the head of its response; it stays in `unsent` where it was not sent.
///
/// Dropping the future closes the connection: HTTP/1.1 has no other way to take a request back.
pub async fn send(
    client: &Client,
    endpoint: &Endpoint,
    connection: &mut Connection,
    unsent: &mut Unsent,
    interims: &Interims,
    upgrade: Option<&Upgrade>,
) -> Sent {
    let Some((mut parts, mut body)) = unsent.take() else { return Sent::nothing() };
    parts.version = Version::HTTP_11;
    if !body.is_end_stream() && body.size_hint().exact().is_none() {
        // hyper takes a GET or HEAD for one without a body, unless it says so itself.
        parts.headers.insert(TRANSFER_ENCODING, HeaderValue::from_static("chunked"));
    }
    body.keep_to(Some(&connection.ahead));
    connection.upgrading.set(upgrade.is_some());
    let received_before = connection.received.bytes();
    let _watched = connection.received.watch(interims);
    let mut error = match connection.sender.try_send_request(Request::from_parts(parts, body)).await {
        Ok(response) => {
            connection.upgrading.set(response.status() == StatusCode::SWITCHING_PROTOCOLS && upgrade.is_some());
            return Sent::Answered(response.map(Incoming::Http1));
        }
        Err(error) => error,
    };
    *unsent = error.take_message().map(Request::into_parts);
    let error = error.into_error();
    let who = format_args!("{} for {}", endpoint.addr, client.bound);
    if unsent.is_some() {
        let message = format!("{who}: the connection closed before the request was sent");
        return Sent::Unsent { failure: Failure::new(Word::Connect, message).retryable() };
    }
    if let Some(body) = causes(&error).find_map(|cause| cause.downcast_ref::<BodyError>()) {
        return Sent::Lost { failure: Failure::from(body), before_response: false };
    }
    if let Some(failure) = refused_late(client, endpoint.addr, connection.refusal.as_ref()) {
        return Sent::Unsent { failure };
    }
    if is_time_out(&error) {
        return Sent::Lost { failure: took_nothing(client, endpoint), before_response: false };
    }
    let before_response = connection.received.bytes() == received_before;
    let what = if before_response {
        "it closed the connection before a response"
    } else if error.is_parse() {
        "its response is no HTTP/1.1"
    } else {
        "it broke off before the head of its response had come"
    };
    let failure = Failure::new(Word::BadResponse, format!("{who}: {what} ({})", chain(&error)));
    Sent::Lost { failure, before_response }
}
