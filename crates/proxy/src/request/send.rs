//! Attempts: pick an endpoint, send, judge, and perhaps try again. The one place where that is decided.

use std::rc::Rc;
use std::time::{Duration, Instant};

use http::Response;
use http::header::{HOST, HeaderValue};
use http_body::Body;
use rand::RngExt;

use super::answer::{Failure, Word};
use super::deadline::Deadline;
use super::headers::{self, Context};
use super::interim::Interims;
use super::observe::Observation;
use super::route::Route;
use super::upgrade::Upgrade;
use crate::body::{Incoming, RequestBody};
use crate::client::Client;
use crate::client::endpoint::Endpoint;
use crate::client::exchange::{Exchange, Unsent, exchange};
use crate::policy::classify;
use crate::telemetry::Class;
use crate::worker::Worker;

/// A request that has been told where it goes.
#[derive(Clone, Debug)]
pub struct Outbound<'a> {
    /// Its way.
    pub route: Rc<Route>,
    /// What it said about itself.
    pub context: &'a Context,
    /// Where interim responses go.
    pub interims: &'a Interims,
    /// When it must have been answered.
    pub deadline: Option<Deadline>,
    /// The protocol that it asks for in place of HTTP.
    pub upgrade: Option<&'a Upgrade>,
    /// The caller's verified certificate, for those endpoints that are told of it.
    pub certificate: Option<&'a HeaderValue>,
}

/// What an attempt came to.
enum Attempt {
    Answered(Response<Incoming>),
    Failed { failure: Failure, again: Again },
}

/// Whether a failed attempt may be followed by another.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Again {
    /// Nothing reached the endpoint: whatever the method.
    Anywhere,
    /// It is not who it should be, and asking it again does not change that; another one may be.
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
    unsent: &mut Unsent,
    observation: &mut Observation,
) -> Result<Response<Incoming>, Failure> {
    let worker = Rc::clone(&observation.router.worker);
    // The way may change between attempts, the policy of the request does not.
    let mut outbound = outbound.clone();
    let policy = &Rc::clone(&outbound.route).plan.service;
    let idempotent = unsent.as_ref().is_some_and(|(parts, _)| classify::is_idempotent(&parts.method));
    let host = unsent.as_ref().and_then(|(parts, _)| parts.headers.get(HOST).cloned());
    // Only a request without a body can be sent again once it was handed over; its head is kept for that.
    let again = |body: &RequestBody| body.is_end_stream() && policy.retries.value.max_attempts.get() > 1;
    let spare = unsent.as_ref().filter(|(_, body)| again(body)).map(|(parts, _)| parts.clone());
    let mut tried = Vec::new();
    let mut died_once = false;
    loop {
        match attempt(&worker, &outbound, unsent, &mut tried, observation).await? {
            Attempt::Answered(response) => {
                let (status, headers) = (response.status(), response.headers());
                let verdict = classify::response(policy.classifier.value, &observation.method, status, headers);
                if !verdict.retryable || spare.is_none() || !may_retry(&worker, &outbound, observation) {
                    observation.answered(status, verdict.class);
                    return Ok(response);
                }
            }
            Attempt::Failed { failure, again } => {
                let allowed = match again {
                    Again::Anywhere => unsent.is_some() || spare.is_some(),
                    Again::Elsewhere => unsent.is_some() && tried.len() < endpoints(&outbound),
                    Again::OnceIfIdempotent => {
                        idempotent && spare.is_some() && !std::mem::replace(&mut died_once, true)
                    }
                    Again::No => false,
                };
                if !allowed || !may_retry(&worker, &outbound, observation) {
                    if failure.word.is_callers() {
                        // Nothing is learnt of the endpoint from a request that was broken before it got there.
                        observation.in_flight = None;
                    }
                    return Err(failure);
                }
            }
        }
        observation.attempt_ended(Class::Failure, Instant::now());
        observation.lease = None;
        if unsent.is_none() {
            *unsent = spare.clone().map(|parts| (parts, RequestBody::empty()));
        }
        if let Some((parts, _)) = unsent.as_mut() {
            headers::forget_destination(parts, host.as_ref());
        }
        if let Some(metrics) = &outbound.route.metrics {
            metrics.retried();
        }
        let way = observation.router.again(&outbound.route);
        if !Rc::ptr_eq(&way, &outbound.route) {
            tried.clear();
            observation.leaf = None;
            observation.route = Some(Rc::clone(&way));
            outbound.route = way;
        }
        pause(&worker, &outbound, observation.attempts, tried.len()).await;
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
    unsent: &mut Unsent,
    tried: &mut Vec<(usize, usize)>,
    observation: &mut Observation,
) -> Result<Attempt, Failure> {
    let (leaf, client, leaf_headers) = outbound.route.pick(&mut *worker.rng.borrow_mut())?;
    observation.leaf = Some(leaf);
    let now = Instant::now();
    let avoid = tried.iter().filter(|(of, _)| *of == leaf).map(|(_, index)| *index).collect::<Vec<_>>();
    let picked = client.pick(worker, &avoid, now, &mut *worker.rng.borrow_mut());
    let (index, endpoint) = picked.map_err(|_| {
        Failure::no_endpoints(&outbound.route.plan.decision.logical, &client.bound, &client.addresses())
    })?;
    tried.push((leaf, index));
    observation.attempts += 1;
    observation.endpoint = Some(endpoint.addr);
    observation.attempt_started = now;
    observation.in_flight = Some(endpoint.begin());
    if let Some((parts, _)) = unsent.as_mut() {
        headers::write_destination(parts, &outbound.route.headers, leaf_headers);
        let headers = &mut parts.headers;
        if leaf_headers.forward_client_cert {
            headers::forward_certificate(headers, outbound.certificate);
        }
        if !leaf_headers.strip_context {
            headers::write_context(headers, outbound.context, outbound.deadline, &mut *worker.rng.borrow_mut());
        }
    }
    Ok(match within_attempt_timeout(worker, client, &endpoint, unsent, outbound).await {
        Exchange::Answered { response, lease } => {
            observation.lease = lease;
            Attempt::Answered(response)
        }
        Exchange::NeverSent { failure } => {
            let again = if failure.word.is_identity() { Again::Elsewhere } else { Again::Anywhere };
            Attempt::Failed { failure, again }
        }
        Exchange::PerhapsSent { failure, before_response } => {
            let again = if before_response { Again::OnceIfIdempotent } else { Again::No };
            Attempt::Failed { failure, again }
        }
    })
}

async fn within_attempt_timeout(
    worker: &Rc<Worker>,
    client: &Rc<Client>,
    endpoint: &Rc<Endpoint>,
    unsent: &mut Unsent,
    outbound: &Outbound<'_>,
) -> Exchange {
    let exchange = exchange(worker, client, endpoint, unsent, outbound.interims, outbound.upgrade);
    // Futures of this size are not moved about.
    let exchange = std::pin::pin!(exchange);
    let Some(limit) = client.policy.attempt_timeout.value else { return exchange.await };
    tokio::time::timeout(limit, exchange).await.unwrap_or_else(|_| {
        let message = format!("{} for {}: no response within attempt_timeout ({limit:?})", endpoint.addr, client.bound);
        Exchange::PerhapsSent { failure: Failure::new(Word::Timeout, message), before_response: false }
    })
}

/// All endpoints that the route can lead to.
fn endpoints(outbound: &Outbound<'_>) -> usize {
    let leaves = &outbound.route.plan.decision.leaves;
    leaves.iter().map(|leaf| leaf.addresses.snapshot().endpoints().len()).sum()
}

/// Another endpoint is tried at once; the same one again only after a pause that doubles, with jitter.
async fn pause(worker: &Worker, outbound: &Outbound<'_>, attempts: u32, tried: usize) {
    let retries = outbound.route.plan.service.retries.value;
    if tried < endpoints(outbound) {
        return;
    }
    let longest = retries.backoff_min.saturating_mul(1 << attempts.saturating_sub(1).min(16)).min(retries.backoff_max);
    let jitter: f64 = worker.rng.borrow_mut().random_range(0.5..=1.0);
    tokio::time::sleep(longest.mul_f64(jitter).max(Duration::from_millis(1))).await;
}
