//! A plan made ready for use by one worker: its clients, its header values, its counters.
//!
//! A route is made once and then only followed: no parsing, no look-up by name, no text is built for a request whose
//! route is known. It holds while nothing that its plan looked at has changed.

use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

use http::HeaderValue;
use rand::Rng;
use waypost_naming::{Dtab, Path};
use waypost_routing::Outcome;

use super::answer::{Failure, Word};
use super::headers::{LeafHeaders, RouteHeaders};
use crate::client::Client;
use crate::plan::{Plan, plan};
use crate::policy::budget::RetryBudget;
use crate::telemetry::ServiceMetrics;
use crate::worker::local_router::LocalRouter;

/// Where requests for one logical path (with one set of overrides) go.
#[derive(Debug)]
pub struct Route {
    /// The decision and the policies.
    pub plan: Plan,
    /// The generation in which it was made.
    pub made: u64,
    /// What is counted for the logical path. A name that leads nowhere has none: anybody can make such names up.
    pub metrics: Option<Rc<ServiceMetrics>>,
    /// What may be tried again.
    pub budget: Arc<RetryBudget>,
    /// The rules that the requests brought.
    pub overrides: Dtab,
    /// Written on every request.
    pub headers: RouteHeaders,
    /// As `plan.decision.leaves`.
    leaves: Vec<RouteLeaf>,
    /// The generation at which it was last found to hold.
    seen: Cell<u64>,
    /// Why no request can take it.
    refusal: Option<Failure>,
}

#[derive(Debug)]
struct RouteLeaf {
    client: Result<Rc<Client>, Failure>,
    headers: LeafHeaders,
}

impl Route {
    /// Decides, and looks up all that requests will need.
    pub fn make(router: &Rc<LocalRouter>, logical: &Path, overrides: &Dtab) -> Self {
        let made = router.worker.shared.generation.current();
        let plan = plan(&router.shared, logical, overrides);
        let leaves = plan.decision.leaves.iter().zip(&plan.clients).map(|(leaf, policy)| {
            let host = policy.host.value.as_ref().and_then(|host| HeaderValue::from_str(host).ok());
            RouteLeaf {
                client: router.client(leaf, policy),
                headers: LeafHeaders {
                    client: shown(&leaf.bound),
                    residual: (!leaf.residual.is_empty()).then(|| shown(&leaf.residual)),
                    host,
                    strip_context: policy.strip_context.value,
                    forward_client_cert: policy.forward_client_cert.value,
                },
            }
        });
        let leaves = leaves.collect();
        let label = &router.shared.config.label;
        let budget = plan.service.retries.value.budget;
        let shared = &router.worker.shared;
        let is_bound = matches!(plan.decision.outcome, Outcome::Bound);
        let metrics = is_bound.then(|| router.worker.metrics.service(label, logical));
        Self {
            metrics,
            budget: RetryBudget::of(&shared.budgets, label, logical, budget, shared.workers),
            headers: RouteHeaders {
                service: shown(logical),
                dtab: (!overrides.is_empty()).then(|| header(&overrides.to_string())),
            },
            overrides: overrides.clone(),
            refusal: refusal(&plan),
            leaves,
            seen: Cell::new(made),
            made,
            plan,
        }
    }

    /// One comparison while nothing changed anywhere; else only what this plan looked at is looked at again.
    pub fn is_current(&self, now: u64) -> bool {
        if self.plan.occupancy.changed() {
            return false;
        }
        if self.seen.get() != now {
            if self.plan.dependencies.changed() {
                return false;
            }
            self.seen.set(now);
        }
        true
    }

    /// Discovery has not answered yet.
    pub fn is_pending(&self) -> bool {
        matches!(self.plan.decision.outcome, Outcome::Pending)
    }

    /// The client of a leaf.
    pub fn client(&self, leaf: usize) -> Option<&Rc<Client>> {
        self.leaves.get(leaf)?.client.as_ref().ok()
    }

    /// Draws a leaf by weight.
    ///
    /// # Errors
    /// The route leads nowhere, or the member drawn does.
    pub fn pick(&self, rng: &mut impl Rng) -> Result<(usize, &Rc<Client>, &LeafHeaders), Failure> {
        if let Some(refusal) = &self.refusal {
            return Err(refusal.clone());
        }
        let index = self.plan.decision.pick(rng).ok_or_else(|| self.empty())?;
        let leaf = self.leaves.get(index).ok_or_else(|| self.empty())?;
        let client = leaf.client.as_ref().map_err(Clone::clone)?;
        Ok((index, client, &leaf.headers))
    }

    /// A request came: the budget of retries grows.
    pub fn deposit(&self, worker: usize, now: Instant) {
        self.budget.deposit(worker, now);
    }

    /// Tells how many retries are left, in the process.
    pub fn tell(&self, now: Instant) {
        if let Some(metrics) = &self.metrics {
            metrics.retry_budget(self.budget.balance(now));
        }
    }

    fn empty(&self) -> Failure {
        let message = format!("{}: the member of the union that was drawn is $ (empty)", self.plan.decision.logical);
        Failure::new(Word::Empty, message).retryable()
    }
}

/// While discovery has not answered, requests wait instead of being refused.
fn refusal(plan: &Plan) -> Option<Failure> {
    let decision = &plan.decision;
    let word = Word::undecided(&decision.outcome).filter(|word| *word != Word::BindingTimeout)?;
    Some(Failure::new(word, decision.outcome.message(&decision.logical).unwrap_or_default()).retryable())
}

fn shown(path: &Path) -> HeaderValue {
    header(&path.to_string())
}

/// Shown paths and dtabs are printable ASCII.
fn header(text: &str) -> HeaderValue {
    HeaderValue::from_str(text).unwrap_or_else(|_| HeaderValue::from_static("/"))
}
