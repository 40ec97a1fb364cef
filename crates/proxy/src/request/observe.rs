//! A request's only end: whatever happened is seen once, by everything that counts.
//!
//! An [`Observation`] goes with the request and then with its response's body. It is finished when the last byte has
//! gone, or when it is dropped: then the client went away.

use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Instant;

use http::request::Parts;
use http::uri::PathAndQuery;
use http::{HeaderValue, Method, StatusCode};

use super::answer::Failure;
use super::interim::Waiting;
use super::route::Route;
use crate::body::BodyError;
use crate::client::endpoint::InFlight;
use crate::client::pool::Lease;
use crate::server::port::{RequestPermit, TunnelPlace};
use crate::telemetry::Class;
use crate::tunnel::Counted;
use crate::worker::local_router::LocalRouter;
use crate::worker::recent::Finished;

/// What is known of a request so far.
#[derive(Debug)]
pub struct Observation {
    /// The router that it came to.
    pub router: Rc<LocalRouter>,
    /// When its head had come.
    pub started: Instant,
    /// Its method.
    pub method: Method,
    /// Its target.
    pub target: Option<PathAndQuery>,
    /// Where it goes, once that is known.
    pub route: Option<Rc<Route>>,
    /// The leaf of the last attempt.
    pub leaf: Option<usize>,
    /// The last attempt's place in its endpoint's load.
    pub in_flight: Option<InFlight>,
    /// When the last attempt began.
    pub attempt_started: Instant,
    /// Attempts made.
    pub attempts: u32,
    /// The endpoint of the last attempt.
    pub endpoint: Option<SocketAddr>,
    /// The connection to give back at the end.
    pub lease: Option<Lease>,
    /// The place under `max_concurrent_requests`.
    pub permit: Option<RequestPermit>,
    /// The client waits for a 100 before it sends its body.
    pub waiting: Option<Waiting>,
    /// The place under `max_tunnels`, of a request that asks for another protocol.
    pub place: Option<TunnelPlace>,
    status: u16,
    class: Class,
    word: Option<&'static str>,
    finished: bool,
}

impl Observation {
    /// Begins with a request's head.
    pub fn begin(router: Rc<LocalRouter>, parts: &Parts) -> Self {
        let now = Instant::now();
        Self {
            router,
            started: now,
            method: parts.method.clone(),
            target: parts.uri.path_and_query().cloned(),
            route: None,
            leaf: None,
            in_flight: None,
            attempt_started: now,
            attempts: 0,
            endpoint: None,
            lease: None,
            permit: None,
            place: None,
            waiting: None,
            // What nginx logs for a client that went away: until something else is known.
            status: 499,
            class: Class::Failure,
            word: Some("cancelled"),
            finished: false,
        }
    }

    /// A response's head came, and was judged.
    pub fn answered(&mut self, status: StatusCode, class: Class) {
        self.status = status.as_u16();
        self.class = class;
        self.word = None;
    }

    /// The judgement, as the next hop is told of it.
    pub fn success_class(&self) -> HeaderValue {
        HeaderValue::from_static(if self.class == Class::Success { "1.0" } else { "0.0" })
    }

    /// The request's body has not been asked for, and perhaps never comes.
    pub fn is_held(&self) -> bool {
        self.waiting.as_ref().is_some_and(|waiting| waiting.0.is_waiting())
    }

    /// waypost answers itself.
    pub fn failed(&mut self, failure: &Failure) {
        self.status = failure.word.status().as_u16();
        self.class = Class::Failure;
        self.word = Some(failure.word.as_str());
        self.router.metrics.answered(failure.word.as_str());
        // An attempt that ran out of time is still under way; one that ended has been told of already.
        self.attempt_ended(Class::Failure, Instant::now());
    }

    /// The response has gone whole: its connection is free again.
    pub fn complete(mut self) {
        let now = Instant::now();
        if let (Some(Lease::Http1(connection)), Some(in_flight)) = (self.lease.take(), &self.in_flight)
            && !self.is_held()
        {
            in_flight.endpoint().pool.give_back(connection, now);
        }
        self.attempt_ended(self.class, now);
        self.finish(now);
    }

    /// The connection became something else: the request has ended, what it occupies has not.
    pub fn switched(mut self) -> Counted {
        if let Some(place) = &mut self.place {
            place.opened();
        }
        let counted = Counted {
            place: self.place.take(),
            permit: self.permit.take(),
            in_flight: self.in_flight.as_ref().map(|in_flight| in_flight.endpoint().begin()),
        };
        self.complete();
        counted
    }

    /// The endpoint broke off in the middle of the response.
    pub fn broke_off(mut self, error: &BodyError) {
        tracing::debug!(%error, "a response broke off");
        let now = Instant::now();
        self.class = Class::Failure;
        self.word = Some("broke_off");
        self.attempt_ended(Class::Failure, now);
        self.finish(now);
    }

    /// The attempt under way ended; so its endpoint and its client are told.
    pub fn attempt_ended(&mut self, class: Class, now: Instant) {
        let Some(in_flight) = self.in_flight.take() else { return };
        let Some(client) = self.route.as_ref().zip(self.leaf).and_then(|(route, leaf)| route.client(leaf)) else {
            return;
        };
        in_flight.endpoint().ended(client, class, now);
        client.metrics.finished(class, now.saturating_duration_since(self.attempt_started));
    }

    fn finish(&mut self, now: Instant) {
        self.finished = true;
        let duration = now.saturating_duration_since(self.started);
        if let Some(metrics) = self.route.as_ref().and_then(|route| route.metrics.as_ref()) {
            metrics.finished(self.class, duration);
        }
        self.router.worker.recent.borrow_mut().add(&Finished {
            started: self.started,
            duration,
            router: &self.router.shared.config.label,
            method: &self.method,
            target: self.target.as_ref().map_or("", PathAndQuery::path),
            route: self.route.as_ref(),
            leaf: self.leaf,
            endpoint: self.endpoint,
            status: self.status,
            word: self.word,
            attempts: self.attempts,
        });
    }
}

impl Drop for Observation {
    fn drop(&mut self) {
        if !self.finished {
            // A failure of our own ends here too: its answer has no body to wait for.
            let now = Instant::now();
            if self.word.is_none() {
                // The caller went away in the middle of its answer, which was judged by its head.
                self.word = Some("cancelled");
                self.attempt_ended(self.class, now);
            }
            self.finish(now);
        }
    }
}
