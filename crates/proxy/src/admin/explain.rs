//! `/explain.json`: what `waypost explain --json` prints, with what this process knows.

use axum::extract::State;
use axum::http::Uri;
use axum::http::request::Parts;
use axum::response::Response;

use super::Admin;
use super::answer::{self, Refusal};
use super::decide::{Settles, decide};
use super::query::{self, Fields};
use crate::explanation::{Asked, Explanation, Outcome};

pub(super) async fn explain(State(admin): State<Admin>, uri: Uri) -> Result<Response, Refusal> {
    let fields = Fields::of(&uri)?;
    let label = fields.router().map(str::to_owned);
    query::router(&admin, label.as_deref())?;
    let url = fields.first("url").ok_or_else(|| {
        Refusal::bad(
            "url is missing: /explain.json?url=http://users/x, with method=, header=Name:value and router= as needed",
        )
    })?;
    let headers: Vec<String> = fields.all("header").map(str::to_owned).collect();
    let request = Asked { method: fields.first("method"), url, headers: &headers }.request();
    let request = request.map_err(|error| Refusal::bad(error.render(false)))?;
    let asked = admin.clone();
    let explanation = decide(&admin, move || now(&asked, label.as_deref(), &request)).await??;
    Ok(answer::json(&explanation))
}

/// By what is in force now: the number first and then the state, so that the state is never older than its number.
fn now(admin: &Admin, label: Option<&str>, request: &Parts) -> Result<Explanation, Refusal> {
    let generation = admin.control.generation();
    let router = query::router(admin, label)?;
    Ok(Explanation { generation: Some(generation), ..crate::explanation::explain(&router, request) })
}

impl Settles for Result<Explanation, Refusal> {
    fn is_pending(&self) -> bool {
        self.as_ref().is_ok_and(|explanation| explanation.outcome == Outcome::Pending)
    }
}
