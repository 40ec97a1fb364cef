//! A router as one worker runs it: its routes and clients, found again by key.

use std::cell::RefCell;
use std::num::NonZeroUsize;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use hashlink::LruCache;
use http::HeaderValue;
use http::request::Parts;
use waypost_naming::{Dtab, Path, PathBuffer, Place};
use waypost_routing::Leaf;

use super::Worker;
use crate::client::Client;
use crate::config::ClientPolicy;
use crate::plan::Router;
use crate::request::answer::{Failure, Word};
use crate::request::headers::Context;
use crate::request::route::Route;
use crate::request::route_cache::{RouteCache, Rules};
use crate::telemetry::{CacheMetrics, ClientReport, RouterMetrics};
use crate::tls::Materials;

/// One router on one worker.
#[derive(Debug)]
pub struct LocalRouter {
    /// The worker.
    pub worker: Rc<Worker>,
    /// The router as the whole process has it.
    pub shared: Arc<Router>,
    /// What is counted for the router as a whole.
    pub metrics: Rc<RouterMetrics>,
    materials: Materials,
    routes: RefCell<RouteCache>,
    clients: RefCell<LruCache<Path, Rc<Client>>>,
    clients_metrics: Rc<CacheMetrics>,
}

impl LocalRouter {
    /// A router without routes; clients of `before` whose policy and identity are the same go on with their connections.
    pub fn new(worker: &Rc<Worker>, shared: &Arc<Router>, materials: Materials, before: Option<&Self>) -> Rc<Self> {
        let label = &shared.config.label;
        let cache = |name: &str| worker.metrics.cache(label, name);
        Rc::new(Self {
            worker: Rc::clone(worker),
            shared: Arc::clone(shared),
            metrics: worker.metrics.router(label),
            materials,
            routes: RefCell::new(RouteCache::new(cache)),
            clients: RefCell::new(match before {
                Some(before) => before.clients.replace(LruCache::new(CLIENTS.get())),
                None => LruCache::new(CLIENTS.get()),
            }),
            clients_metrics: cache("clients"),
        })
    }

    /// Identifies a request and finds where it goes: from the cache, or by deciding anew where something changed.
    ///
    /// While discovery has not given its first answer the request waits, up to the router's `binding_timeout`.
    ///
    /// # Errors
    /// No identifier names the request, its dtab does not parse, or discovery did not answer in time.
    pub async fn route(self: &Rc<Self>, parts: &mut Parts, context: &Context) -> Result<Rc<Route>, Failure> {
        let mut key = self.worker.scratch.take();
        let found = self.find(parts, context, &mut key);
        let pending = match found {
            Ok(route) if route.is_pending() => route,
            ready => {
                self.worker.scratch.replace(key);
                return ready;
            }
        };
        Box::pin(self.wait_for_discovery(pending, context, &key)).await
    }

    /// Waits for what the route depends on.
    async fn wait_for_discovery(
        self: &Rc<Self>,
        mut route: Rc<Route>,
        context: &Context,
        key: &PathBuffer,
    ) -> Result<Rc<Route>, Failure> {
        let limit = self.shared.config.binding_timeout;
        let generation = &self.worker.shared.generation;
        let answered = async {
            while route.is_pending() {
                let now = generation.current();
                route = self.look_up(key, context)?;
                if route.is_pending() {
                    generation.moved(now).await;
                }
            }
            Ok(route)
        };
        tokio::time::timeout(limit, answered).await.unwrap_or_else(|_| {
            let message = format!("{}: discovery gave no answer within binding_timeout ({limit:?})", key.to_path());
            Err(Failure::new(Word::BindingTimeout, message).retryable())
        })
    }

    fn find(self: &Rc<Self>, parts: &mut Parts, context: &Context, key: &mut PathBuffer) -> Result<Rc<Route>, Failure> {
        key.clear();
        let identified = self
            .shared
            .config
            .identifiers
            .identify(parts, key)
            .map_err(|unidentified| Failure::new(Word::Unidentified, unidentified.to_string()).retryable())?;
        if let Some(uri) = identified.uri {
            parts.uri = uri;
        }
        self.look_up(key, context)
    }

    fn look_up(self: &Rc<Self>, key: &PathBuffer, context: &Context) -> Result<Rc<Route>, Failure> {
        let now = self.worker.shared.generation.current();
        if context.context_dtab.is_none() && context.user_dtab.is_none() {
            let mut routes = self.routes.borrow_mut();
            if let Some(route) = routes.get(Rules::Own, key.as_bytes()).filter(|route| route.is_current(now)) {
                return Ok(Rc::clone(route));
            }
            drop(routes);
            let route = Rc::new(Route::make(self, &key.to_path(), &Dtab::default()));
            self.routes.borrow_mut().put(Rules::Own, key.as_bytes(), &route);
            return Ok(route);
        }
        let whole = with_rules(key, context);
        let mut routes = self.routes.borrow_mut();
        if let Some(route) = routes.get(Rules::Brought, &whole).filter(|route| route.is_current(now)) {
            return Ok(Rc::clone(route));
        }
        drop(routes);
        let route = Rc::new(Route::make(self, &key.to_path(), &overrides(context)?));
        self.routes.borrow_mut().put(Rules::Brought, &whole, &route);
        Ok(route)
    }

    /// Where a request whose attempt failed goes now: elsewhere, if nobody is left where it went.
    pub fn again(self: &Rc<Self>, route: &Rc<Route>) -> Rc<Route> {
        if !route.plan.occupancy.changed() {
            return Rc::clone(route);
        }
        let again = Route::make(self, &route.plan.decision.logical, &route.overrides);
        if again.is_pending() { Rc::clone(route) } else { Rc::new(again) }
    }

    /// The client of a leaf: the one that other routes use, if it is the same in all that matters.
    ///
    /// # Errors
    /// The policy has no TLS name for this bound path.
    pub fn client(&self, leaf: &Leaf, policy: &ClientPolicy) -> Result<Rc<Client>, Failure> {
        let strict = |none| {
            let message = format!("{none}; asked for at {}", policy.tls_from());
            Failure::new(Word::TlsStrict, message).retryable()
        };
        let tls = policy.tls.value.as_ref().map_err(strict)?;
        let mut clients = self.clients.borrow_mut();
        if let Some(client) = clients.get(&leaf.bound).filter(|client| client.serves(policy, tls)) {
            client.follow(&leaf.addresses, policy);
            return Ok(Rc::clone(client));
        }
        let material = tls.settings().and_then(|settings| self.materials.get(settings));
        let label = &self.shared.config.label;
        let addresses = Arc::clone(&leaf.addresses);
        let client =
            Rc::new(Client::new(&self.worker, label, &leaf.bound, policy.clone(), tls.clone(), addresses, material));
        if clients.len() == clients.capacity() && !clients.contains_key(&leaf.bound) {
            self.clients_metrics.evicted();
        }
        clients.insert(leaf.bound.clone(), Rc::clone(&client));
        self.clients_metrics.entries(clients.len());
        Ok(client)
    }

    /// Closes idle connections, and gives up clients that no route uses any more.
    pub fn sweep(&self, now: Instant) {
        let mut clients = self.clients.borrow_mut();
        clients.iter().for_each(|(_, client)| client.sweep(now));
        clients.retain(|_, client| Rc::strong_count(client) > 1 || client.is_busy());
        self.clients_metrics.entries(clients.len());
    }

    /// Brings up to date what is told rather than counted.
    pub fn tell(&self, now: Instant) {
        for route in self.routes.borrow().bound() {
            route.tell(now);
        }
    }

    /// For `/clients.json`.
    pub fn report(&self) -> Vec<ClientReport> {
        self.clients.borrow().iter().map(|(_, client)| client.report(&self.worker)).collect()
    }
}

/// Path and rules in one key; the path's own length is in front, so that no two pairs give the same bytes.
fn with_rules(key: &PathBuffer, context: &Context) -> Vec<u8> {
    let rules =
        [&context.context_dtab, &context.user_dtab].map(|value| value.as_ref().map_or(&b""[..], HeaderValue::as_bytes));
    let length = |bytes: &[u8]| bytes.len().to_le_bytes();
    let [context, user] = rules;
    [&length(key.as_bytes())[..], key.as_bytes(), &length(context), context, user].concat()
}

/// The rules that came with a request, in linkerd's order: the context's, then the user's.
fn overrides(context: &Context) -> Result<Dtab, Failure> {
    let parse = |name: &'static str, value: &Option<HeaderValue>| {
        let Some(value) = value else { return Ok(Dtab::default()) };
        let text = std::str::from_utf8(value.as_bytes())
            .map_err(|_| Failure::new(Word::BadDtab, format!("{name} is not UTF-8")).retryable())?;
        Dtab::parse_at(text, |_| Place::Named(Arc::from(name))).map_err(|error| {
            let message = format!("{name} does not parse at offset {}: {error}", error.span.start);
            Failure::new(Word::BadDtab, message).retryable()
        })
    };
    Ok(parse("l5d-ctx-dtab", &context.context_dtab)?.append(&parse("l5d-dtab", &context.user_dtab)?))
}

/// Bound paths of a router on a worker.
const CLIENTS: NonZeroUsize = NonZeroUsize::new(16_384).expect("not zero");
/// How often idle connections are looked for.
pub const SWEEP_INTERVAL: Duration = Duration::from_secs(1);
