//! `/delegator.json`: the delegation tree of a path, as linkerd 1.x shows it.

use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, Uri};
use axum::response::Response;
use serde::Deserialize;
use serde_json::Value;
use waypost_naming::Dtab;

use super::Admin;
use super::answer::{self, Refusal};
use super::decide::{Settles, decide};
use super::query::{self, Fields};
use crate::explanation::{self, tree_is_pending};

/// What is asked for. `dtab` takes the place of the router's own; `namespace` is what linkerd calls the router.
#[derive(Debug, Deserialize)]
struct Question {
    #[serde(alias = "namespace")]
    router: Option<String>,
    path: Option<String>,
    dtab: Option<String>,
}

pub(super) async fn query(State(admin): State<Admin>, uri: Uri) -> Result<Response, Refusal> {
    let fields = Fields::of(&uri)?;
    let owned = |text: Option<&str>| text.map(str::to_owned);
    let question = Question {
        router: owned(fields.router()),
        path: owned(fields.first("path")),
        dtab: owned(fields.first("dtab")),
    };
    delegate(&admin, &question).await
}

pub(super) async fn body(State(admin): State<Admin>, headers: HeaderMap, body: Bytes) -> Result<Response, Refusal> {
    let question = query::json_body(&headers, &body)?;
    delegate(&admin, &question).await
}

async fn delegate(admin: &Admin, question: &Question) -> Result<Response, Refusal> {
    let router = query::router(admin, question.router.as_deref())?;
    let path = question.path.as_deref().ok_or_else(|| {
        Refusal::bad(
            "path is missing: /delegator.json?path=/svc/users, with dtab= to try other rules than the router's",
        )
    })?;
    let path = query::path(path)?;
    let dtab: Option<Dtab> = question.dtab.as_deref().map(query::dtab).transpose()?;
    let tree = decide(admin, move || {
        let dtab = dtab.clone().unwrap_or_else(|| (*router.dtab.snapshot()).clone());
        Tree(explanation::delegator_json(&router, &dtab, &path))
    });
    Ok(answer::json(&tree.await?.0))
}

struct Tree(Value);

impl Settles for Tree {
    fn is_pending(&self) -> bool {
        tree_is_pending(&self.0)
    }
}
