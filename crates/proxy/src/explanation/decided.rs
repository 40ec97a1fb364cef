//! What a plan comes to: the leaves with their policies, and why requests are refused where they are.

use waypost_naming::{Dtab, Path};
use waypost_routing::{Decision, Endpoint, Leaf};

use super::policy::{self, tls_json};
use super::share::rounded;
use super::{ExplainedEndpoint, ExplainedLeaf, Explanation, Outcome, notes};
use crate::config::ClientPolicy;
use crate::plan::{Plan, Router};
use crate::request::answer::{Failure, Word};

/// Why requests are refused, as people and as the client are told.
type Refusal = (Outcome, Failure);

impl Explanation {
    /// With what `plan` says; `dtab` are the rules that it was made by.
    pub(super) fn decided(mut self, router: &Router, dtab: &Dtab, plan: &Plan) -> Self {
        let decision = &plan.decision;
        let logical = &decision.logical;
        self.service = policy::service(&plan.service);
        let leaves = decision.leaves.iter().zip(&plan.clients);
        self.leaves = leaves.clone().map(|(leaf, client)| explained_leaf(router, (logical, leaf), client)).collect();
        self.notes.extend(leaves.clone().filter_map(|(_, client)| notes::about_tls(client)));
        if let Some((outcome, failure)) = undecided(decision) {
            if failure.word == Word::DelegationDepth {
                self.notes.extend(notes::about_cycle(router, dtab, logical));
            }
            if outcome == Outcome::Pending {
                self.notes.push(notes::about_waiting(&router.config));
            }
            return self.refused(outcome, &failure);
        }
        let shared: f64 = decision.leaves.iter().map(|leaf| leaf.share).sum();
        // Shares are products of quotients: what is missing to 1 by rounding is no empty member.
        self.empty_share = if shared < 1.0 - 1e-9 { rounded(1.0 - shared) } else { 0.0 };
        let mut refusals =
            leaves.filter(|(leaf, _)| leaf.share > 0.0).map(|(leaf, client)| refusal(logical, leaf, client));
        // One leaf that takes requests is enough; the others say on their own why they don't.
        let first = refusals.next().flatten();
        match first.filter(|_| refusals.all(|refusal| refusal.is_some())) {
            Some((outcome, failure)) => self.refused(outcome, &failure),
            None => self,
        }
    }
}

fn explained_leaf(router: &Router, (logical, leaf): (&Path, &Leaf), client: &ClientPolicy) -> ExplainedLeaf {
    let addresses = leaf.addresses.snapshot();
    let state = |addr| {
        let health = router.health.known(&router.config.label, &leaf.bound, addr);
        health.map_or("alive", |health| health.state()).to_owned()
    };
    let endpoint = |endpoint: &Endpoint| ExplainedEndpoint {
        addr: endpoint.addr.to_string(),
        weight: endpoint.weight,
        state: state(endpoint.addr),
        connect: None,
    };
    ExplainedLeaf {
        bound: leaf.bound.to_string(),
        residual: leaf.residual.to_string(),
        share: rounded(leaf.share),
        endpoints: addresses.endpoints().iter().map(endpoint).collect(),
        client: policy::client(client),
        tls: tls_json(client),
        tls_from: client.tls.from.to_string(),
        error: refusal(logical, leaf, client).map(|(_, failure)| failure.message.into_owned()),
    }
}

/// Why delegation gave no leaf to send to.
fn undecided(decision: &Decision) -> Option<Refusal> {
    use waypost_routing::Outcome as Decided;
    let word = Word::undecided(&decision.outcome)?;
    let outcome = match &decision.outcome {
        Decided::Bound => Outcome::Bound,
        Decided::Negative => Outcome::Negative,
        Decided::Failed => Outcome::Failed,
        Decided::Empty => Outcome::Empty,
        Decided::Pending => Outcome::Pending,
        Decided::Error(_) => Outcome::Error,
    };
    Some((outcome, Failure::new(word, decision.outcome.message(&decision.logical).unwrap_or_default())))
}

/// Why requests that draw this leaf get no connection.
fn refusal(logical: &Path, leaf: &Leaf, client: &ClientPolicy) -> Option<Refusal> {
    if let Err(no_identity) = &client.tls.value {
        return Some((Outcome::TlsRefused, Failure::new(Word::TlsStrict, no_identity.to_string())));
    }
    let addresses = leaf.addresses.snapshot();
    if !addresses.endpoints().is_empty() {
        return None;
    }
    if addresses.is_pending() {
        let message = format!("{logical}: discovery has not answered for {} yet", leaf.bound);
        return Some((Outcome::Pending, Failure::new(Word::BindingTimeout, message)));
    }
    Some((Outcome::NoEndpoints, Failure::no_endpoints(logical, &leaf.bound, &addresses)))
}
