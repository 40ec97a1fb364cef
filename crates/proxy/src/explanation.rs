//! Why a request goes where it goes, as a value that can be shown: for `waypost explain`, the admin and tests.
//!
//! [`explain`] takes the steps that a worker takes, with the same functions, and writes down what each of them said. It
//! decides nothing itself. [`Explanation`] is the JSON of `/explain.json`; `explanation/text.rs` draws it for a terminal,
//! also one that came from another process.

use std::sync::Arc;

use http::HeaderValue;
use http::header::HOST;
use http::request::Parts;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use waypost_naming::{Dtab, Path, PathBuffer, Place};
use waypost_routing::{Addresses, Decision, DtabCell, HealthRegistry, Leaf, NamerSet};

use crate::config::{ClientPolicy, Config, RouterConfig};
use crate::plan::{Plan, Router, Snapshot, plan};
use crate::request::answer::{Failure, Word};
use crate::request::check::check;
use crate::request::headers::{self, Trust};

mod asked;
mod notes;
mod policy;
mod text;
mod tree;

pub use self::asked::Asked;
pub use self::policy::tls_json;
pub use self::text::{Color, tree_text};
pub use self::tree::{is_pending as tree_is_pending, plain as plain_tree, shown as shown_tree};

/// All that was decided about one request, step by step. Its keys are a contract: some may be added, none renamed.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Explanation {
    /// The router's label.
    pub router: String,
    /// What was asked.
    pub request: Request,
    /// The logical path; `None`: no identifier names the request.
    pub identified: Option<IdentifiedAs>,
    /// All rules that held for this request, in order; a later one is tried first.
    pub dtab: Vec<Rule>,
    /// The delegation tree in linkerd's shape; null where it did not come to that.
    pub tree: Value,
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

/// How a request got its logical path.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct IdentifiedAs {
    /// The identifier's kind.
    pub by: String,
    /// The logical path.
    pub path: String,
    /// The target that is sent on, where the identifier took a part of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
}

/// A rule and where it was written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rule {
    /// Left of the arrow.
    pub prefix: String,
    /// Right of it.
    pub tree: String,
    /// `file:line:col`, or the header.
    pub from: String,
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
    let overrides = match check(&mut parts).and_then(|()| overrides(&mut parts)) {
        Ok(overrides) => overrides,
        Err(failure) => return explanation.refused(Outcome::Error, failure.word, failure.message.into_owned()),
    };
    explanation.request = Request::of(&parts);
    explanation.notes.extend(notes::about_servers(&router.config, &overrides));
    let dtab = router.dtab.snapshot().append(&overrides);
    explanation.dtab = rules(&dtab);
    let mut buffer = PathBuffer::new();
    let identified = match router.config.identifiers.identify(&parts, &mut buffer) {
        Ok(identified) => identified,
        Err(why) => return explanation.refused(Outcome::Unidentified, Word::Unidentified, why.to_string()),
    };
    let logical = buffer.to_path();
    explanation.identified = Some(IdentifiedAs {
        by: identified.by.to_owned(),
        path: logical.to_string(),
        target: identified.uri.map(|uri| uri.to_string()),
    });
    explanation.tree = tree::explained(router, &dtab, &logical);
    explanation.notes.extend(notes::about_unions(&explanation.tree));
    explanation.decided(router, &plan(router, &logical, &overrides))
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

/// What `l5d-ctx-dtab` and `l5d-dtab` say, in this order.
fn overrides(parts: &mut Parts) -> Result<Dtab, Failure> {
    let trust = Trust { context: true, overrides: true, clear: false };
    // How many proxies came before is nobody's question here.
    let context = headers::take(&mut parts.headers, trust, u32::MAX)?;
    let context_dtab = dtab_of("l5d-ctx-dtab", context.context_dtab.as_ref())?;
    Ok(context_dtab.append(&dtab_of("l5d-dtab", context.user_dtab.as_ref())?))
}

fn dtab_of(header: &str, value: Option<&HeaderValue>) -> Result<Dtab, Failure> {
    let Some(value) = value else { return Ok(Dtab::default()) };
    let bad = |why: String| Failure::new(Word::BadDtab, format!("{header}: {why}"));
    let text = std::str::from_utf8(value.as_bytes()).map_err(|error| bad(error.to_string()))?;
    let place = Place::Named(Arc::from(header));
    Dtab::parse_at(text, |_| place.clone())
        .map_err(|error| bad(format!("{error} at byte {} of `{text}`", error.span.start)))
}

fn rules(dtab: &Dtab) -> Vec<Rule> {
    let rule = |dentry: &Arc<waypost_naming::Dentry>| Rule {
        prefix: dentry.prefix.to_string(),
        tree: dentry.tree.to_string(),
        from: dentry.place.to_string(),
    };
    dtab.dentries().iter().map(rule).collect()
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
            request: Request::of(parts),
            identified: None,
            dtab: Vec::new(),
            tree: Value::Null,
            outcome: Outcome::Bound,
            leaves: Vec::new(),
            service: Map::new(),
            error: None,
            empty_share: 0.0,
            notes: Vec::new(),
        }
    }

    fn refused(mut self, outcome: Outcome, word: Word, message: String) -> Self {
        self.outcome = outcome;
        self.error = Some(ExplainedError { status: word.status().as_u16(), message, word: word.as_str().to_owned() });
        self
    }

    fn decided(mut self, router: &Router, plan: &Plan) -> Self {
        let decision = &plan.decision;
        let logical = &decision.logical;
        self.service = policy::service(&plan.service);
        let leaves = decision.leaves.iter().zip(&plan.clients);
        self.leaves = leaves.clone().map(|(leaf, client)| explained_leaf(router, (logical, leaf), client)).collect();
        if let Some((outcome, word, message)) = undecided(decision) {
            return self.refused(outcome, word, message);
        }
        let shared: f64 = decision.leaves.iter().map(|leaf| leaf.share).sum();
        // Shares are products of quotients: what is missing to 1 by rounding is no empty member.
        self.empty_share = if shared < 1.0 - 1e-9 { 1.0 - shared } else { 0.0 };
        let mut refusals =
            leaves.filter(|(leaf, _)| leaf.share > 0.0).map(|(leaf, client)| refusal(logical, leaf, client));
        // One leaf that takes requests is enough; the others say on their own why they don't.
        let first = refusals.next().flatten();
        let Some((outcome, word, message)) = first.filter(|_| refusals.all(|refusal| refusal.is_some())) else {
            return self;
        };
        if outcome == Outcome::NoEndpoints {
            self.notes.extend(notes::about_fallback(&self.tree));
        }
        self.refused(outcome, word, message)
    }
}

fn explained_leaf(router: &Router, (logical, leaf): (&Path, &Leaf), client: &ClientPolicy) -> ExplainedLeaf {
    let addresses = leaf.addresses.snapshot();
    let state = |addr| {
        let health = router.health.known(&router.config.label, &leaf.bound, addr);
        health.map_or("alive", |health| health.state()).to_owned()
    };
    let endpoint = |endpoint: &waypost_routing::Endpoint| ExplainedEndpoint {
        addr: endpoint.addr.to_string(),
        weight: endpoint.weight,
        state: state(endpoint.addr),
    };
    ExplainedLeaf {
        bound: leaf.bound.to_string(),
        residual: leaf.residual.to_string(),
        share: leaf.share,
        endpoints: addresses.endpoints().iter().map(endpoint).collect(),
        client: policy::client(client),
        tls: tls_json(client),
        error: refusal(logical, leaf, client).map(|(_, _, message)| message),
    }
}

/// Why delegation gave no leaf to send to.
fn undecided(decision: &Decision) -> Option<(Outcome, Word, String)> {
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
    Some((outcome, word, decision.outcome.message(&decision.logical).unwrap_or_default()))
}

/// Why requests that draw this leaf get no connection.
fn refusal(logical: &Path, leaf: &Leaf, client: &ClientPolicy) -> Option<(Outcome, Word, String)> {
    if let Err(no_identity) = &client.tls.value {
        return Some((Outcome::TlsRefused, Word::TlsStrict, no_identity.to_string()));
    }
    let bound = &leaf.bound;
    let none = |why: &str| {
        let message = format!("{logical}: bound to {bound}, which has no endpoints{why}");
        Some((Outcome::NoEndpoints, Word::NoEndpoints, message))
    };
    match &*leaf.addresses.snapshot() {
        Addresses::Bound(endpoints) if endpoints.is_empty() => none(""),
        Addresses::Bound(_) => None,
        Addresses::Neg => none(": discovery knows no such name"),
        Addresses::Failed(why) => none(&format!(": {why}")),
        Addresses::Pending => {
            let message = format!("{logical}: discovery has not answered for {bound} yet");
            Some((Outcome::Pending, Word::BindingTimeout, message))
        }
    }
}
