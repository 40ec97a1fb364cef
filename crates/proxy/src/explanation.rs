//! Why a request goes where it goes, as a value that can be shown: for `waypost explain`, the admin and tests.
//!
//! [`explain`] takes the steps that a worker takes, with the same functions, and writes down what each of them said. It
//! decides nothing itself. [`Explanation`] is the JSON of `/explain.json`; `explanation/text.rs` draws it for a terminal,
//! also one that came from another process.

use std::sync::Arc;

use http::header::HOST;
use http::request::Parts;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use waypost_naming::{Dtab, Path};
use waypost_routing::{DtabCell, HealthRegistry, NamerSet};

use crate::config::{Config, Fallback, RouterConfig};
use crate::plan::{Router, Snapshot, plan};
use crate::request::answer::{Failure, Word};
use crate::request::check::check;

mod annotate;
mod asked;
mod connect;
mod cycle;
mod decided;
mod identity;
mod notes;
mod overrides;
mod policy;
mod rules;
mod share;
mod text;
mod tree;
mod unknown;

use self::annotate::Tree;
pub use self::asked::Asked;
pub use self::connect::{Met, MetCertificate};
pub use self::identity::{IdentifiedAs, Passed};
pub use self::overrides::Excerpt;
pub use self::policy::tls_json;
pub use self::rules::{Rule, RuleState};
pub(crate) use self::share::percent;
pub use self::text::Color;
pub use self::tree::is_pending as tree_is_pending;
pub(crate) use self::tree::plain as plain_tree;
pub(crate) use self::unknown::{Namers, one_of};

/// All that was decided about one request, step by step. Its keys are a contract: some may be added, none renamed.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Explanation {
    /// The router's label.
    pub router: String,
    /// The generation that it was decided in, as `/requests.json` counts them; `None` where nothing runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub generation: Option<u64>,
    /// What was asked.
    pub request: Request,
    /// The logical path; `None`: no identifier names the request.
    pub identified: Option<IdentifiedAs>,
    /// The place of the identifier; empty: none names the request.
    #[serde(default)]
    pub identified_from: String,
    /// The identifiers that were tried before, or in vain.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub passed_over: Vec<Passed>,
    /// All rules that held for this request, in order; a later one is tried first.
    pub dtab: Vec<Rule>,
    /// The delegation tree in linkerd's shape; null where it did not come to that.
    pub tree: Value,
    /// When an alternative is tried, and the place that says so.
    #[serde(default)]
    pub fallback: Value,
    /// What it came to.
    pub outcome: Outcome,
    /// The bound paths that the request may go to.
    pub leaves: Vec<ExplainedLeaf>,
    /// What holds for the logical path: key, then value and place.
    pub service: Map<String, Value>,
    /// What the client is told; `None` when the outcome is `bound`.
    pub error: Option<ExplainedError>,
    /// The part of the requests that draws a `$` of a union and is answered with an error.
    #[serde(default)]
    pub empty_share: f64,
    /// What one might overlook.
    #[serde(default)]
    pub notes: Vec<String>,
}

/// The request that is explained.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Request {
    /// Its method.
    pub method: String,
    /// Its `Host`.
    pub authority: String,
    /// Its path and query.
    pub target: String,
}

/// What a request comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// It is sent to an endpoint.
    Bound,
    /// Its path leads nowhere.
    Negative,
    /// Its path leads to `!`.
    Failed,
    /// Its path leads to `$`.
    Empty,
    /// Discovery has not answered yet.
    Pending,
    /// Bound, but there is nobody.
    NoEndpoints,
    /// Bound, but the policy has no name to verify.
    TlsRefused,
    /// Rules without end, a namer that failed, a request or an override that can't be read.
    Error,
    /// No identifier names it.
    Unidentified,
}

/// A bound path, and what holds for requests to it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ExplainedLeaf {
    /// The bound path.
    pub bound: String,
    /// What of the logical path remains.
    pub residual: String,
    /// Its part of the requests, 0 to 1.
    pub share: f64,
    /// Where they may go.
    pub endpoints: Vec<ExplainedEndpoint>,
    /// The client policy: key, then value and place.
    pub client: Map<String, Value>,
    /// Whose certificate will be demanded; null: clear text.
    pub tls: Value,
    /// The place of the `tls` that says so, or that there is none.
    #[serde(default)]
    pub tls_from: String,
    /// Why requests that draw this leaf are refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// One endpoint.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ExplainedEndpoint {
    /// Where it listens.
    pub addr: String,
    /// Its weight in the set.
    pub weight: f64,
    /// `alive` or `ejected`.
    pub state: String,
    /// What a connection came to, where one was made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connect: Option<Met>,
}

/// What the client is told instead of a response.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ExplainedError {
    /// The status.
    pub status: u16,
    /// The line for people.
    pub message: String,
    /// `waypost-error`.
    #[serde(default)]
    pub word: String,
    /// Where a text that the request brought is wrong.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<Excerpt>,
}

impl Outcome {
    /// The word of the contract.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Bound => "bound",
            Self::Negative => "negative",
            Self::Failed => "failed",
            Self::Empty => "empty",
            Self::Pending => "pending",
            Self::NoEndpoints => "no_endpoints",
            Self::TlsRefused => "tls_refused",
            Self::Error => "error",
            Self::Unidentified => "unidentified",
        }
    }
}

/// Takes `request` through `router` up to where it would be sent, and sends nothing.
///
/// The request counts as one from a trusted caller: its context and its overrides are followed. A note says where a
/// server of the router would not.
#[must_use]
pub fn explain(router: &Router, request: &Parts) -> Explanation {
    let mut parts = request.clone();
    let mut explanation = Explanation::new(router, &parts);
    let context = match check(&mut parts).and_then(|()| overrides::take(&mut parts)) {
        Ok(context) => context,
        Err(failure) => return explanation.refused(Outcome::Error, &failure),
    };
    explanation.request = Request::of(&parts);
    explanation.notes.extend(notes::about_servers(&router.config, &context));
    let own_rules = router.dtab.snapshot();
    explanation.dtab = rules::rules(&own_rules);
    explanation.passed_over = identity::passed(&router.config, &parts);
    let logical = match identity::identify(&router.config, &parts) {
        Ok((logical, shown)) => {
            explanation.identified = Some(shown);
            let from = router.config.identifiers_from.get(explanation.passed_over.len());
            explanation.identified_from = from.map(ToString::to_string).unwrap_or_default();
            logical
        }
        Err(why) => {
            return explanation.refused(Outcome::Unidentified, &Failure::new(Word::Unidentified, why.to_string()));
        }
    };
    let overrides = match overrides::read(&context) {
        Ok(overrides) => overrides,
        Err(unreadable) => return explanation.refused_at(&unreadable.failure, unreadable.excerpt),
    };
    let dtab = own_rules.append(&overrides);
    let annotated = tree::explained(router, &dtab, &logical);
    explanation.dtab = rules::rules_with(&dtab, &annotated.rules);
    explanation.tree = annotated.tree;
    explanation.notes.extend(annotated.notes);
    explanation.decided(router, &dtab, &plan(router, &logical, &overrides))
}

/// A router that sees what there is now and watches nothing: for explanations without a running waypost.
///
/// Blocks while host names are resolved, two seconds at most.
#[must_use]
pub fn offline(config: &Config, router: &RouterConfig) -> Router {
    // What is wrong with names was said when the configuration was checked.
    let (namers, _) = NamerSet::read(&config.namers);
    Router {
        config: router.clone(),
        dtab: Arc::new(DtabCell::new(router.dtab.clone())),
        namers: Arc::new(namers),
        health: Arc::new(HealthRegistry::new()),
    }
}

/// The TLS identity of a bound path under the configuration in use; `None`: clear text, or there is no such router.
#[must_use]
pub fn tls_of(snapshot: &Snapshot, router: &str, bound: &str) -> Option<Value> {
    let router = snapshot.routers.iter().find(|known| &*known.config.label == router)?;
    let tls = tls_json(&router.config.client.for_bound(&Path::parse(bound).ok()?));
    Some(tls).filter(|tls| !tls.is_null())
}

/// The delegation tree of `path` under `dtab`, in linkerd's shape, with `tls` on its leaves.
#[must_use]
pub fn delegator_json(router: &Router, dtab: &Dtab, path: &Path) -> Value {
    tree::delegator(router, dtab, path)
}

/// A delegation by `dtab` and `namers` alone, as steps of an explanation show it.
pub(crate) fn delegation_text(tree: &Tree, dtab: &Dtab, namers: &dyn Namers, color: Color) -> String {
    let there = annotate::There { fallback: Fallback::Name, ejected: &|_| false };
    let annotated = annotate::annotated(tree, plain_tree(tree), dtab, namers, there);
    text::delegation_text(&rules::rules_with(dtab, &annotated.rules), &annotated, color)
}

impl Request {
    fn of(parts: &Parts) -> Self {
        let host = parts.headers.get(HOST).map(|host| String::from_utf8_lossy(host.as_bytes()).into_owned());
        Self {
            method: parts.method.to_string(),
            authority: host.unwrap_or_default(),
            target: parts.uri.path_and_query().map_or("/", http::uri::PathAndQuery::as_str).to_owned(),
        }
    }
}

impl Explanation {
    fn new(router: &Router, parts: &Parts) -> Self {
        Self {
            router: router.config.label.to_string(),
            generation: None,
            request: Request::of(parts),
            identified: None,
            identified_from: String::new(),
            passed_over: Vec::new(),
            dtab: Vec::new(),
            tree: Value::Null,
            fallback: policy::fallback(&router.config.fallback),
            outcome: Outcome::Bound,
            leaves: Vec::new(),
            service: Map::new(),
            error: None,
            empty_share: 0.0,
            notes: Vec::new(),
        }
    }

    fn refused(mut self, outcome: Outcome, failure: &Failure) -> Self {
        self.outcome = outcome;
        self.error = Some(ExplainedError {
            status: failure.word.status().as_u16(),
            message: failure.message.to_string(),
            word: failure.word.as_str().to_owned(),
            at: None,
        });
        self
    }

    fn refused_at(self, failure: &Failure, at: Option<Excerpt>) -> Self {
        let mut refused = self.refused(Outcome::Error, failure);
        if let Some(error) = &mut refused.error {
            error.at = at;
        }
        refused
    }
}
