//! HTTP/1.1 towards an endpoint, by hyper's connection.

use std::rc::Rc;

use http::{Request, Version};
use hyper::client::conn::http1::{Builder, SendRequest};
use hyper_util::rt::TokioIo;

use super::Client;
use super::connect::{Connected, Received, refused_late};
use super::endpoint::Endpoint;
use super::exchange::Sent;
use super::pool::Held;
use crate::body::{BodyError, Incoming, RequestBody};
use crate::cause::{causes, chain};
use crate::request::answer::{Failure, Word};
use crate::request::interim::Interims;
use crate::telemetry::Wire;
use crate::tls::Refusal;
use crate::worker::Worker;

/// A connection that can take one request at a time; dropping it closes it.
#[derive(Debug)]
pub struct Connection {
    /// Sends the request.
    pub sender: SendRequest<RequestBody>,
    /// It carried a request before.
    pub reused: bool,
    refusal: Option<Refusal>,
    received: Rc<Received>,
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
    let (sender, connection) =
        Builder::new().max_header_size(MAX_RESPONSE_HEAD).handshake(TokioIo::new(stream)).await.map_err(|error| {
            Failure::new(Word::Connect, format!("{} for {}: {error}", endpoint.addr, client.bound)).retryable()
        })?;
    let counted = client.metrics.connected(Wire::Http1);
    worker.spawn(async move {
        let _held = (held, counted);
        if let Err(error) = connection.await {
            tracing::debug!(%error, "connection to an endpoint ended");
        }
    });
    Ok(Connection { sender, reused: false, refusal, received })
}

/// Sends one request and waits for the head of its response.
///
/// Dropping the future closes the connection: HTTP/1.1 has no other way to take a request back.
pub async fn send(
    client: &Client,
    endpoint: &Endpoint,
    connection: &mut Connection,
    mut request: Request<RequestBody>,
    interims: &Interims,
) -> Sent {
    *request.version_mut() = Version::HTTP_11;
    let received_before = connection.received.bytes();
    let _watched = connection.received.watch(interims);
    let mut error = match connection.sender.try_send_request(request).await {
        Ok(response) => return Sent::Answered(response.map(Incoming::Http1)),
        Err(error) => error,
    };
    let unsent = error.take_message();
    let error = error.into_error();
    let who = format_args!("{} for {}", endpoint.addr, client.bound);
    if let Some(request) = unsent {
        let message = format!("{who}: the connection closed before the request was sent");
        return Sent::Unsent { failure: Failure::new(Word::Connect, message).retryable(), request: Some(request) };
    }
    if let Some(body) = causes(&error).find_map(|cause| cause.downcast_ref::<BodyError>()) {
        return Sent::Lost { failure: Failure::from(body), before_response: false };
    }
    if let Some(failure) = refused_late(client, endpoint.addr, connection.refusal.as_ref()) {
        return Sent::Unsent { failure, request: None };
    }
    let before_response = connection.received.bytes() == received_before;
    let what =
        if before_response { "it closed the connection before a response" } else { "its response is no HTTP/1.1" };
    let failure = Failure::new(Word::BadResponse, format!("{who}: {what} ({})", chain(&error)));
    Sent::Lost { failure, before_response }
}

/// Longest head of a response.
const MAX_RESPONSE_HEAD: usize = 256 * 1024;
