//! The last requests of a worker, for `/requests.json`: a ring whose places are written over, so that a request costs
//! no allocation.

use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use http::Method;

use crate::request::route::Route;
use crate::telemetry::RequestReport;

/// The ring.
#[derive(Debug, Default)]
pub struct Recent {
    places: Vec<Place>,
    next: usize,
}

/// A request that ended.
#[derive(Debug)]
pub struct Finished<'a> {
    /// When its head had come.
    pub started: Instant,
    /// From then to the end of the response.
    pub duration: Duration,
    /// The router's label.
    pub router: &'a Arc<str>,
    /// Its method.
    pub method: &'a Method,
    /// Its target, without the query: that may hold secrets.
    pub target: &'a str,
    /// Where it went.
    pub route: Option<&'a Rc<Route>>,
    /// The leaf of the last attempt.
    pub leaf: Option<usize>,
    /// The endpoint of the last attempt.
    pub endpoint: Option<SocketAddr>,
    /// The status that the client got.
    pub status: u16,
    /// Why waypost itself answered.
    pub word: Option<&'static str>,
    /// Attempts made.
    pub attempts: u32,
}

#[derive(Debug)]
struct Place {
    started: Instant,
    duration: Duration,
    router: Arc<str>,
    method: Method,
    target: String,
    route: Option<Rc<Route>>,
    leaf: Option<usize>,
    endpoint: Option<SocketAddr>,
    status: u16,
    word: Option<&'static str>,
    attempts: u32,
}

impl Recent {
    /// Writes over the oldest one.
    pub fn add(&mut self, request: &Finished<'_>) {
        let target = request.target.get(..request.target.floor_char_boundary(MAX_TARGET)).unwrap_or(request.target);
        if let Some(place) = self.places.get_mut(self.next) {
            place.started = request.started;
            place.duration = request.duration;
            if !Arc::ptr_eq(&place.router, request.router) {
                place.router = Arc::clone(request.router);
            }
            place.method = request.method.clone();
            place.target.clear();
            place.target.push_str(target);
            place.route = request.route.cloned();
            place.leaf = request.leaf;
            place.endpoint = request.endpoint;
            place.status = request.status;
            place.word = request.word;
            place.attempts = request.attempts;
        } else {
            self.places.push(Place {
                started: request.started,
                duration: request.duration,
                router: Arc::clone(request.router),
                method: request.method.clone(),
                target: target.to_owned(),
                route: request.route.cloned(),
                leaf: request.leaf,
                endpoint: request.endpoint,
                status: request.status,
                word: request.word,
                attempts: request.attempts,
            });
        }
        self.next = (self.next + 1) % PLACES;
    }

    /// The newest `limit` of them, newest first.
    pub fn report(&self, limit: usize) -> Vec<RequestReport> {
        let (newer, older) = self.places.split_at(self.next.min(self.places.len()));
        let (now, wall) = (Instant::now(), SystemTime::now());
        let newest_first = newer.iter().rev().chain(older.iter().rev());
        newest_first.take(limit).map(|place| place.report(now, wall)).collect()
    }
}

impl Place {
    fn report(&self, now: Instant, wall: SystemTime) -> RequestReport {
        let leaf = self.route.as_ref().zip(self.leaf).and_then(|(route, leaf)| route.plan.decision.leaves.get(leaf));
        RequestReport {
            time: wall.checked_sub(now.saturating_duration_since(self.started)).unwrap_or(wall),
            router: self.router.to_string(),
            method: self.method.to_string(),
            target: self.target.clone(),
            logical: self.route.as_ref().map(|route| route.plan.decision.logical.to_string()).unwrap_or_default(),
            bound: leaf.map(|leaf| leaf.bound.to_string()),
            endpoint: self.endpoint,
            status: self.status,
            error: self.word.map(str::to_owned),
            attempts: self.attempts,
            duration: self.duration,
            generation: self.route.as_ref().map(|route| route.made),
        }
    }
}

/// Requests that a worker remembers.
const PLACES: usize = 512;
/// Bytes of a target that are kept.
const MAX_TARGET: usize = 256;
