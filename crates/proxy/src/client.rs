//! Everything towards one bound path: which endpoint, over which connection, and what became of the request.
//!
//! A [`Client`] belongs to one worker. Its connections are kept in pools per endpoint, inside the client, and a client
//! has one TLS identity: so a connection is never used by a request that would not itself have made it.

pub mod connect;
pub mod endpoint;
pub mod exchange;
pub mod http1;
pub mod http2;
pub mod pool;

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rand::Rng;
use waypost_naming::{Path, Place};
use waypost_routing::{AddressSet, Addresses, Balancer, ClientTls};

use crate::config::{ClientPolicy, Protocol};
use crate::telemetry::{ClientMetrics, ClientReport};
use crate::tls::{ClientMaterial, Connector, Offer, connector};
use crate::worker::Worker;

use self::endpoint::Endpoint;
use self::pool::Want;

/// One bound path, as one worker serves it.
#[derive(Debug)]
pub struct Client {
    /// The router's label.
    pub router: Arc<str>,
    /// The bound path.
    pub bound: Path,
    /// What holds for it.
    pub policy: ClientPolicy,
    /// How connections are protected; policies without a name never get this far.
    pub tls: ClientTls,
    /// What is counted for it.
    pub metrics: Rc<ClientMetrics>,
    addresses: RefCell<Arc<AddressSet>>,
    material: Option<Arc<ClientMaterial>>,
    endpoints: RefCell<Rc<[Rc<Endpoint>]>>,
    seen: Cell<Option<u64>>,
    balancer: RefCell<Balancer>,
    /// By what is offered: HTTP/1.1, HTTP/2, both. Each has its own sessions and its own verifier.
    connectors: [std::cell::OnceCell<Result<Rc<Connector>, String>>; 3],
    /// Where the file asks for this identity.
    asked_at: RefCell<Place>,
    /// When a refusal was logged last.
    complained: Cell<Option<Instant>>,
}

/// Why there is nobody to send to.
#[derive(Debug)]
pub struct NoEndpoint;

impl Client {
    /// A client without connections.
    pub fn new(
        worker: &Worker,
        router: &Arc<str>,
        bound: &Path,
        policy: ClientPolicy,
        tls: ClientTls,
        addresses: Arc<AddressSet>,
        material: Option<Arc<ClientMaterial>>,
    ) -> Self {
        Self {
            router: Arc::clone(router),
            bound: bound.clone(),
            balancer: RefCell::new(Balancer::new(policy.balancer.value)),
            asked_at: RefCell::new(policy.tls_from().clone()),
            complained: Cell::new(None),
            policy,
            tls,
            metrics: worker.metrics.client(router, bound),
            addresses: RefCell::new(addresses),
            material,
            endpoints: RefCell::new(Rc::new([])),
            seen: Cell::new(None),
            connectors: Default::default(),
        }
    }

    /// Whether a route with this policy may use this client with all its connections.
    pub fn serves(&self, policy: &ClientPolicy, tls: &ClientTls) -> bool {
        // An identity is equal only if the contents of its files are (their digest is part of it).
        self.policy.same_values(policy) && self.tls == *tls
    }

    /// What discovery says now.
    pub fn addresses(&self) -> Arc<Addresses> {
        self.addresses.borrow().snapshot()
    }

    /// Takes its endpoints from `addresses` from now on: after a reload another set may speak for the same name, and the
    /// same policy may stand in another line.
    pub fn follow(&self, addresses: &Arc<AddressSet>, policy: &ClientPolicy) {
        self.asked_at.borrow_mut().clone_from(policy.tls_from());
        if !Arc::ptr_eq(&self.addresses.borrow(), addresses) {
            *self.addresses.borrow_mut() = Arc::clone(addresses);
            self.seen.set(None);
        }
    }

    /// The endpoints as discovery has them now.
    pub fn endpoints(&self, worker: &Worker) -> Rc<[Rc<Endpoint>]> {
        let version = self.addresses.borrow().version();
        if self.seen.get() != Some(version) {
            self.take_addresses(worker);
            self.seen.set(Some(version));
        }
        Rc::clone(&self.endpoints.borrow())
    }

    /// Endpoints that stay keep their connections and what was learnt of them; those that left finish what they carry.
    fn take_addresses(&self, worker: &Worker) {
        let addresses = self.addresses.borrow().snapshot();
        let before = Rc::clone(&self.endpoints.borrow());
        let now: Rc<[Rc<Endpoint>]> = addresses
            .endpoints()
            .iter()
            .map(|endpoint| match before.iter().find(|known| known.addr == endpoint.addr) {
                Some(known) => {
                    known.weight.set(endpoint.weight);
                    Rc::clone(known)
                }
                None => Rc::new(Endpoint::new(worker, self, endpoint)),
            })
            .collect();
        for gone in before.iter().filter(|known| !now.iter().any(|endpoint| endpoint.addr == known.addr)) {
            gone.pool.retire();
        }
        let weights: Vec<f64> = now.iter().map(|endpoint| endpoint.weight.get()).collect();
        self.balancer.borrow_mut().prepare(&weights);
        *self.endpoints.borrow_mut() = now;
    }

    /// Picks an endpoint, if possible none of those at `avoid`.
    ///
    /// # Errors
    /// [`NoEndpoint`] when the address set is empty.
    pub fn pick(
        &self,
        worker: &Worker,
        avoid: &[usize],
        now: Instant,
        rng: &mut impl Rng,
    ) -> Result<(usize, Rc<Endpoint>), NoEndpoint> {
        let endpoints = self.endpoints(worker);
        let index = self.balancer.borrow().pick(&endpoints, now, avoid, rng).ok_or(NoEndpoint)?;
        let endpoint = endpoints.get(index).ok_or(NoEndpoint)?;
        endpoint.picked(now);
        Ok((index, Rc::clone(endpoint)))
    }

    /// What a request of this version wants of a connection.
    pub fn want(&self, request: http::Version) -> Want {
        let as_it_came = if request == http::Version::HTTP_2 { Want::Http2 } else { Want::Http1 };
        match self.policy.protocol.value {
            Protocol::Http1 => Want::Http1,
            Protocol::Http2 => Want::Http2,
            Protocol::Match => as_it_came,
            Protocol::Auto if self.tls == ClientTls::Clear && as_it_came == Want::Http2 => Want::Http2IfUnderstood,
            Protocol::Auto if self.tls == ClientTls::Clear => as_it_came,
            Protocol::Auto => Want::Either,
        }
    }

    /// What makes a clear connection into a protected one; `None` where it stays clear.
    ///
    /// # Errors
    /// Says why the identity cannot be asked for.
    pub fn connector(&self, want: Want) -> Result<Option<Rc<Connector>>, String> {
        if self.tls == ClientTls::Clear {
            return Ok(None);
        }
        let (index, offer) = match want {
            Want::Http1 => (0, Offer::Http1),
            Want::Http2 | Want::Http2IfUnderstood => (1, Offer::Http2),
            Want::Either => (2, Offer::Both),
        };
        let Some(made) = self.connectors.get(index) else { return Err("no such offer".to_owned()) };
        made.get_or_init(|| {
            let material =
                self.material.as_ref().ok_or_else(|| "the files of this identity were not loaded".to_owned())?;
            connector(&self.tls, material, offer).map(Rc::new)
        })
        .clone()
        .map(Some)
    }

    /// Where the file asks for this TLS identity.
    pub fn asked_at(&self) -> Place {
        self.asked_at.borrow().clone()
    }

    /// Whether a refusal by or of an endpoint should be logged: not each of thousands.
    pub fn may_complain(&self, now: Instant) -> bool {
        let due = self.complained.get().is_none_or(|last| now.saturating_duration_since(last) >= COMPLAIN_EVERY);
        if due {
            self.complained.set(Some(now));
        }
        due
    }

    /// Whether any request is under way.
    pub fn is_busy(&self) -> bool {
        self.endpoints.borrow().iter().any(|endpoint| endpoint.in_flight.get() > 0)
    }

    /// Closes connections that were idle for too long, or that others wait for.
    pub fn sweep(&self, now: Instant) {
        for endpoint in self.endpoints.borrow().iter() {
            endpoint.pool.sweep(now);
        }
    }

    /// For `/clients.json`.
    pub fn report(&self, worker: &Worker) -> ClientReport {
        let endpoints = self.endpoints(worker);
        ClientReport {
            router: self.router.to_string(),
            bound: self.bound.to_string(),
            tls: None,
            endpoints: endpoints.iter().map(|endpoint| endpoint.report()).collect(),
        }
    }
}

/// One line in the log says what all others would.
const COMPLAIN_EVERY: Duration = Duration::from_secs(10);

impl Drop for Client {
    fn drop(&mut self) {
        for endpoint in self.endpoints.borrow().iter() {
            endpoint.pool.retire();
        }
    }
}
