//! One endpoint of a bound path, as one worker knows it: load, latency, connections.

use std::cell::{Cell, RefCell};
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use waypost_routing::{Ewma, Health, Load};

use super::Client;
use super::pool::Pool;
use crate::telemetry::{Class, EndpointReport};
use crate::tls::CertificateSummary;
use crate::worker::Worker;

/// What a worker knows of an endpoint.
#[derive(Debug)]
pub struct Endpoint {
    /// Where it listens.
    pub addr: SocketAddr,
    /// Its weight in the address set.
    pub weight: Cell<f64>,
    /// Requests of this worker that are there now.
    pub in_flight: Cell<u32>,
    /// Its connections.
    pub pool: Pool,
    /// Whether it is out; shared with the other workers.
    pub health: Arc<Health>,
    /// The certificate that it showed last.
    pub certificate: RefCell<Option<CertificateSummary>>,
    /// Its last response was of HTTP/1.0: it knows no interim responses.
    pub is_http10: Cell<bool>,
    latency: Ewma,
    picked: Cell<Option<Instant>>,
    requests: Cell<u64>,
    failures: Cell<u64>,
}

impl Endpoint {
    /// An endpoint without connections.
    pub fn new(worker: &Worker, client: &Client, endpoint: &waypost_routing::Endpoint) -> Self {
        Self {
            addr: endpoint.addr,
            weight: Cell::new(endpoint.weight),
            in_flight: Cell::new(0),
            pool: Pool::new(worker, client, endpoint.addr),
            health: worker.shared.health.health(&client.router, &client.bound, endpoint.addr),
            certificate: RefCell::default(),
            is_http10: Cell::new(false),
            latency: Ewma::default(),
            picked: Cell::new(None),
            requests: Cell::new(0),
            failures: Cell::new(0),
        }
    }

    /// It was chosen.
    pub fn picked(&self, now: Instant) {
        self.picked.set(Some(now));
    }

    /// An attempt began; it is in flight until the guard is dropped.
    pub fn begin(self: &Rc<Self>) -> InFlight {
        self.in_flight.set(self.in_flight.get() + 1);
        InFlight(Rc::clone(self))
    }

    /// A response's head came, so long after the request was handed to a connection.
    pub fn answered(&self, after: Duration, now: Instant) {
        self.latency.record(after, now);
    }

    /// An attempt ended.
    pub fn ended(&self, client: &Client, class: Class, now: Instant) {
        self.requests.set(self.requests.get() + 1);
        match class {
            Class::Success => self.health.success(),
            Class::Failure => {
                self.failures.set(self.failures.get() + 1);
                self.health.failure(&client.policy.accrual.value, now);
            }
        }
    }

    /// For `/clients.json`.
    pub fn report(&self) -> EndpointReport {
        EndpointReport {
            addr: self.addr,
            weight: self.weight.get(),
            state: self.health.state(),
            in_flight: u64::from(self.in_flight.get()),
            latency_ms: self.latency.last().map(|seconds| seconds * 1000.0),
            connections: self.pool.open(),
            requests: self.requests.get(),
            failures: self.failures.get(),
            certificate: self.certificate.borrow().clone(),
        }
    }
}

impl Load for Endpoint {
    fn weight(&self) -> f64 {
        self.weight.get()
    }
    fn in_flight(&self) -> u32 {
        self.in_flight.get()
    }
    fn latency(&self) -> Option<f64> {
        self.latency.value(Instant::now())
    }
    fn idle_for(&self, now: Instant) -> Duration {
        self.picked.get().map_or(Duration::MAX, |picked| now.saturating_duration_since(picked))
    }
    fn available(&self, now: Instant) -> bool {
        self.health.available(now)
    }
    fn claim(&self, now: Instant) -> bool {
        self.health.claim(now)
    }
}

/// An attempt that is under way at an endpoint.
#[derive(Debug)]
pub struct InFlight(Rc<Endpoint>);

impl InFlight {
    /// Where it is.
    pub fn endpoint(&self) -> &Rc<Endpoint> {
        &self.0
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.in_flight.set(self.0.in_flight.get().saturating_sub(1));
    }
}
