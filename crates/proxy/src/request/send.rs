//! Attempts: pick an endpoint, send, judge, and perhaps try again. The one place where that is decided.

use std::rc::Rc;
use std::time::{Duration, Instant};

use http::request::Parts;
use http::{Request, Response};
use http_body::Body;
use rand::RngExt;

use super::answer::{Failure, Word};
use super::deadline::Deadline;
use super::headers::{self, Context};
use super::observe::Observation;
use super::route::Route;
use crate::body::{Incoming, RequestBody};
use crate::client::Client;
use crate::client::endpoint::Endpoint;
use crate::client::exchange::{Exchange, exchange};
use crate::policy::classify;
use crate::telemetry::Class;
use crate::worker::Worker;

/// A request that has been told where it goes.
#[derive(Debug)]
pub struct Outbound<'a> {
    /// Its way.
    pub route: &'a Rc<Route>,
    /// What it said about itself.
    pub context: &'a Context,
    /// When it must have been answered.
    pub deadline: Option<Deadline>,
}

/// What an attempt came to.
enum Attempt {
    Answered(Response<Incoming>),
    Failed {
        failure: Failure,
        /// The request, if it came back.
        request: Option<Request<RequestBody>>,
        again: Again,
    },
}

/// Whether a failed attempt may be followed by another.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Again {
    /// Nothing reached the endpoint: whatever the method.
    Elsewhere,
    /// The connection ended before a response: where doing it twice is doing it once, and only once more.
    OnceIfIdempotent,
    No,
}

/// Sends a request until it is answered, or may not be sent again.
///
/// # Errors
/// The last attempt's failure.
pub async fn send(
    outbound: &Outbound<'_>,
    parts: Parts,
    body: RequestBody,
    observation: &mut Observation,
) -> Result<Response<Incoming>, Failure> {
    let worker = Rc::clone(&observation.router.worker);
    let retries = outbound.route.plan.service.retries.value;
    let idempotent = classify::is_idempotent(&parts.method);
    // Only a request without a body can be sent again once it was handed over; its head is kept for that.
    let spare = (body.is_end_stream() && retries.max_attempts.get() > 1).then(|| parts.clone());
    let mut request = Request::from_parts(parts, body);
    let mut tried = Vec::new();
    let mut died_once = false;
    loop {
        let failed = match attempt(&worker, outbound, request, &mut tried, observation).await? {
            Attempt::Answered(response) => {
                let verdict = classify::response(
                    outbound.route.plan.service.classifier.value,
                    &observation.method,
                    response.status(),
                    response.headers(),
                );
                if !verdict.retryable || spare.is_none() || !may_retry(&worker, outbound, observation) {
                    observation.answered(response.status(), verdict.class);
                    return Ok(response);
                }
                None
            }
            Attempt::Failed { failure, request, again } => Some((failure, request, again)),
        };
        observation.attempt_ended(Class::Failure, Instant::now());
        observation.lease = None;
        let given_back = match failed {
            None => None,
            Some((failure, given_back, again)) => {
                let allowed = match again {
                    Again::Elsewhere => given_back.is_some() || spare.is_some(),
                    Again::OnceIfIdempotent => {
                        idempotent && spare.is_some() && !std::mem::replace(&mut died_once, true)
                    }
                    Again::No => false,
                };
                if !allowed || !may_retry(&worker, outbound, observation) {
                    return Err(failure);
                }
                given_back
            }
        };
        let again = given_back.or_else(|| Some(Request::from_parts(spare.clone()?, RequestBody::empty())));
        let Some(again) = again else {
            return Err(Failure::new(Word::Internal, "a request was to be sent again and was not kept"));
        };
        request = again;
        if let Some(metrics) = &outbound.route.metrics {
            metrics.retried();
        }
        pause(&worker, outbound, observation.attempts, tried.len()).await;
    }
}

/// Within `max_attempts`, and within the budget, which pays.
fn may_retry(worker: &Worker, outbound: &Outbound<'_>, observation: &Observation) -> bool {
    let retries = outbound.route.plan.service.retries.value;
    observation.attempts < retries.max_attempts.get() && outbound.route.budget.withdraw(worker.index, Instant::now())
}

/// One attempt. An error is one that no other attempt can mend.
async fn attempt(
    worker: &Rc<Worker>,
    outbound: &Outbound<'_>,
    mut request: Request<RequestBody>,
    tried: &mut Vec<(usize, usize)>,
    observation: &mut Observation,
) -> Result<Attempt, Failure> {
    let (leaf, client, leaf_headers) = outbound.route.pick(&mut *worker.rng.borrow_mut())?;
    observation.leaf = Some(leaf);
    let now = Instant::now();
    let avoid = tried.iter().filter(|(of, _)| *of == leaf).map(|(_, index)| *index).collect::<Vec<_>>();
    let picked = client.pick(worker, &avoid, now, &mut *worker.rng.borrow_mut());
    let (index, endpoint) = picked.map_err(|_| {
        let logical = &outbound.route.plan.decision.logical;
        Failure::new(Word::NoEndpoints, format!("{logical}: bound to {}, which has no endpoints", client.bound)).retryable()
    })?;
    tried.push((leaf, index));
    observation.attempts += 1;
    observation.endpoint = Some(endpoint.addr);
    observation.attempt_started = now;
    observation.in_flight = Some(endpoint.begin());
    headers::write_destination(request.headers_mut(), &outbound.route.headers, leaf_headers);
    if !leaf_headers.strip_context {
        headers::write_context(
            request.headers_mut(),
            outbound.context,
            outbound.deadline,
            &mut *worker.rng.borrow_mut(),
        );
    }
    Ok(match within_attempt_timeout(worker, client, &endpoint, request).await {
        Exchange::Answered { response, lease } => {
            observation.lease = Some(lease);
            Attempt::Answered(response)
        }
        Exchange::NeverSent { failure, request } => Attempt::Failed { failure, request, again: Again::Elsewhere },
        Exchange::PerhapsSent { failure, before_response } => {
            let again = if before_response { Again::OnceIfIdempotent } else { Again::No };
            Attempt::Failed { failure, request: None, again }
        }
    })
}

async fn within_attempt_timeout(
    worker: &Rc<Worker>,
    client: &Rc<Client>,
    endpoint: &Rc<Endpoint>,
    request: Request<RequestBody>,
) -> Exchange {
    let exchange = exchange(worker, client, endpoint, request);
    let Some(limit) = client.policy.attempt_timeout.value else { return exchange.await };
    tokio::time::timeout(limit, exchange).await.unwrap_or_else(|_| {
        let message = format!("{} for {}: no response within attempt_timeout ({limit:?})", endpoint.addr, client.bound);
        Exchange::PerhapsSent { failure: Failure::new(Word::Timeout, message), before_response: false }
    })
}

/// Another endpoint is tried at once; the same one again only after a pause that doubles, with jitter.
async fn pause(worker: &Worker, outbound: &Outbound<'_>, attempts: u32, tried: usize) {
    let retries = outbound.route.plan.service.retries.value;
    let endpoints: usize =
        outbound.route.plan.decision.leaves.iter().map(|leaf| leaf.addresses.snapshot().endpoints().len()).sum();
    if tried < endpoints {
        return;
    }
    let longest = retries.backoff_min.saturating_mul(1 << attempts.saturating_sub(1).min(16)).min(retries.backoff_max);
    let jitter: f64 = worker.rng.borrow_mut().random_range(0.5..=1.0);
    tokio::time::sleep(longest.mul_f64(jitter).max(Duration::from_millis(1))).await;
}
