//! `/delegator.json`: the delegation tree of a path, as linkerd 1.x shows it.

use axum::body::Bytes;
use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderMap, StatusCode, Uri};
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

pub(super) async fn body(
    State(admin): State<Admin>,
    headers: HeaderMap,
    body: Result<Bytes, axum::extract::rejection::BytesRejection>,
) -> Result<Response, Refusal> {
    let question = json_body(&headers, body)?;
    delegate(&admin, &question).await
}

/// A JSON body, or why it is none.
pub(super) fn json_body<T: serde::de::DeserializeOwned>(
    headers: &HeaderMap,
    body: Result<Bytes, axum::extract::rejection::BytesRejection>,
) -> Result<T, Refusal> {
    let content_type = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let media_type = content_type.split(';').next().unwrap_or_default().trim();
    if !media_type.eq_ignore_ascii_case("application/json") {
        let text = format!("the body must be JSON (content-type: application/json), not {content_type:?}");
        return Err(Refusal::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, text));
    }
    let body = body.map_err(|rejection| Refusal::new(rejection.status(), rejection.body_text()))?;
    serde_json::from_slice(&body)
        .map_err(|error| Refusal::bad(format!("the body is not the JSON that was expected: {error}")))
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
