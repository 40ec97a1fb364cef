//! `/explain.json`: what `waypost explain --json` prints, with what this process knows.

use axum::extract::State;
use axum::http::Uri;
use axum::response::Response;

use super::Admin;
use super::answer::{self, Refusal};
use super::decide::{Settles, decide};
use super::query::{self, Fields};
use crate::explanation::{Asked, Explanation, Outcome};

pub(super) async fn explain(State(admin): State<Admin>, uri: Uri) -> Result<Response, Refusal> {
    let fields = Fields::of(&uri)?;
    let router = query::router(&admin, fields.router())?;
    let url = fields.first("url").ok_or_else(|| {
        Refusal::bad(
            "url is missing: /explain.json?url=http://users/x, with method=, header=Name:value and router= as needed",
        )
    })?;
    let headers: Vec<String> = fields.all("header").map(str::to_owned).collect();
    let request = Asked { method: fields.first("method"), url, headers: &headers }.request();
    let request = request.map_err(|error| Refusal::bad(error.render(false)))?;
    let explanation = decide(&admin, move || crate::explanation::explain(&router, &request)).await?;
    Ok(answer::json(&explanation))
}

impl Settles for Explanation {
    fn is_pending(&self) -> bool {
        self.outcome == Outcome::Pending
    }
}
