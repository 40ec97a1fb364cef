//! One attempt at one endpoint, and what became of the request.
//!
//! Retries, accrual, `l5d-retryable` and the status all follow from an [`Exchange`], in `request/send.rs` alone.

use std::rc::Rc;
use std::time::Instant;

use http::header::{CONTENT_LENGTH, TRANSFER_ENCODING};
use http::request::Parts;
use http::{Response, StatusCode, Version};

use super::endpoint::Endpoint;
use super::pool::{Lease, Want, lease};
use super::{Client, http1, http2};
use crate::body::{Incoming, RequestBody};
use crate::request::answer::{Failure, Word};
use crate::request::interim::Interims;
use crate::request::upgrade::Upgrade;
use crate::worker::Worker;

/// A request, as long as it can be sent: it is taken from here by the connection that takes it, and put back if that
/// has not written it. So it stays in one place, however many futures it goes through.
pub type Unsent = Option<(Parts, RequestBody)>;

/// What became of a request.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "the large one is what nearly every request comes to")]
pub enum Exchange {
    /// The head of a response came.
    Answered {
        /// The response; its body is still coming.
        response: Response<Incoming>,
        /// What to give back when the body has come whole; nothing where the connection became something else.
        lease: Option<Lease>,
    },
    /// Nothing of it reached the endpoint.
    NeverSent {
        /// Why.
        failure: Failure,
    },
    /// The endpoint may have seen it, or part of it.
    PerhapsSent {
        /// Why there is no response.
        failure: Failure,
        /// The connection ended before the first byte of a response.
        before_response: bool,
    },
}

/// What a connection says of a request that was handed to it.
#[derive(Debug)]
pub enum Sent {
    /// The head of a response came.
    Answered(Response<Incoming>),
    /// It was not written, or the peer says that it did nothing.
    Unsent {
        /// Why.
        failure: Failure,
    },
    /// It was written, at least in part.
    Lost {
        /// Why there is no response.
        failure: Failure,
        /// The connection ended before the first byte of a response.
        before_response: bool,
    },
}

impl Sent {
    /// There was no request to send.
    pub fn nothing() -> Self {
        Self::Lost { failure: gone(), before_response: false }
    }
}

/// It cannot be, unless we are wrong.
pub fn gone() -> Failure {
    Failure::new(Word::Internal, "a request was to be sent, and was not kept")
}

/// The endpoint let the request's body wait for longer than the policy has patience.
pub fn took_nothing(client: &Client, endpoint: &Endpoint) -> Failure {
    let (who, limit) = (format_args!("{} for {}", endpoint.addr, client.bound), client.policy.write_timeout.value);
    let message =
        format!("{who}: it took nothing of the request within write_timeout ({:?})", limit.unwrap_or_default());
    Failure::new(Word::Timeout, message)
}

/// So many kept connections may turn out to be closed in one attempt.
const MAX_STALE: usize = 4;

/// Sends a request to `endpoint`.
///
/// A kept connection that turns out to be closed is no failure of the endpoint: the next one is taken, at last a new
/// one. Dropping the future takes the request back as far as the protocol can.
pub async fn exchange(
    worker: &Rc<Worker>,
    client: &Rc<Client>,
    endpoint: &Rc<Endpoint>,
    unsent: &mut Unsent,
    interims: &Interims,
    upgrade: Option<&Upgrade>,
) -> Exchange {
    // HTTP/2 has no Upgrade (RFC 9113 section 8.6), and few endpoints have extended CONNECT.
    let want = if upgrade.is_some() {
        Want::Http1
    } else {
        client.want(unsent.as_ref().map_or(Version::HTTP_11, |(parts, _)| parts.version))
    };
    let mut stale = 0;
    loop {
        let mut lease = match endpoint.pool.at_hand(want) {
            Some(lease) => lease,
            None => match Box::pin(lease(worker, client, endpoint, want)).await {
                Ok(lease) => lease,
                Err(failure) => return Exchange::NeverSent { failure },
            },
        };
        if let Some(expectation) = interims.expectation.as_ref().filter(|_| endpoint.is_http10.get()) {
            // It would never say 100 (RFC 9110 section 10.1.1).
            expectation.meet();
        }
        let started = Instant::now();
        let sent = match &mut lease {
            Lease::Http1(connection) => http1::send(client, endpoint, connection, unsent, interims, upgrade).await,
            Lease::Http2(slot) => http2::send(worker, client, endpoint, slot, unsent, interims).await,
        };
        match sent {
            Sent::Answered(response) => {
                if let Some(fault) = fault(&response, upgrade) {
                    // The connection is dropped with the response.
                    return faulty(client, endpoint, fault);
                }
                let (response, lease) = match (response.status(), lease) {
                    (StatusCode::SWITCHING_PROTOCOLS, Lease::Http1(connection)) => {
                        match Box::pin(switch(response, connection)).await {
                            Some(switched) => (switched, None),
                            None => return faulty(client, endpoint, "it broke off when it had switched protocols"),
                        }
                    }
                    (_, lease) => (response, Some(lease)),
                };
                let now = Instant::now();
                endpoint.is_http10.set(response.version() == Version::HTTP_10);
                endpoint.answered(now.duration_since(started), now);
                return Exchange::Answered { response, lease };
            }
            Sent::Unsent { .. } if unsent.is_some() && stale < MAX_STALE && may_be_stale(&lease) => stale += 1,
            Sent::Unsent { failure } => return Exchange::NeverSent { failure },
            Sent::Lost { failure, before_response } => return Exchange::PerhapsSent { failure, before_response },
        }
    }
}

fn faulty(client: &Client, endpoint: &Endpoint, fault: &str) -> Exchange {
    let message = format!("{} for {}: {fault}", endpoint.addr, client.bound);
    Exchange::PerhapsSent { failure: Failure::new(Word::BadResponse, message), before_response: false }
}

/// After a 101 that was asked for the connection itself is the body, and nobody else's any more.
async fn switch(response: Response<Incoming>, connection: http1::Connection) -> Option<Response<Incoming>> {
    let switched = http1::switched(connection).await?;
    Some(response.map(|_| Incoming::Switched(Box::new(switched))))
}

/// A kept connection may have been closed while it was idle; one that was just made has not.
fn may_be_stale(lease: &Lease) -> bool {
    match lease {
        Lease::Http1(connection) => connection.reused,
        Lease::Http2(_) => true,
    }
}

/// Why a response is not passed on: two readers could take it differently, or nobody asked for it.
fn fault(response: &Response<Incoming>, upgrade: Option<&Upgrade>) -> Option<&'static str> {
    let status = response.status();
    if status == StatusCode::SWITCHING_PROTOCOLS {
        // RFC 9110 section 15.2.2.
        return upgrade.map_or(Some("it switched protocols unasked"), |upgrade| upgrade.refuses(response));
    }
    if status.as_u16() > 599 {
        // RFC 9110 section 15.
        return Some("its status is none (100 to 599)");
    }
    let (mut coding, mut length) = (Framing::Untold, Framing::Untold);
    for (name, value) in response.headers() {
        if *name == CONTENT_LENGTH {
            let digits = value.as_bytes();
            length = length.and(!digits.is_empty() && digits.iter().all(u8::is_ascii_digit));
        } else if *name == TRANSFER_ENCODING {
            coding = coding.and(value.as_bytes().eq_ignore_ascii_case(b"chunked"));
        }
    }
    match (coding, length) {
        (Framing::Untold, Framing::Untold | Framing::Told) | (Framing::Told, Framing::Untold) => None,
        // RFC 9112 section 6.3: it ought to be handled as an error.
        (Framing::Told | Framing::Wrong, Framing::Told | Framing::Wrong) => {
            Some("its response has both a Content-Length and a Transfer-Encoding")
        }
        (Framing::Wrong, Framing::Untold) => Some("its response has a Transfer-Encoding other than one `chunked`"),
        (Framing::Untold, Framing::Wrong) => Some("its response has a Content-Length other than one number"),
    }
}

/// What one field says of a response's framing.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Framing {
    Untold,
    Told,
    /// Twice, or not as it has to be.
    Wrong,
}

impl Framing {
    fn and(self, is_right: bool) -> Self {
        if self == Self::Untold && is_right { Self::Told } else { Self::Wrong }
    }
}
