//! The forms that answers have: JSON, text, and refusals that say what would have been right.

use axum::body::Body;
use axum::http::header::{ALLOW, CONTENT_TYPE};
use axum::http::{HeaderValue, Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use super::ENDPOINTS;

/// A request that is not answered as it was meant.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    pub(super) status: StatusCode,
    pub(super) text: String,
}

impl Refusal {
    pub(super) fn new(status: StatusCode, text: impl Into<String>) -> Self {
        Self { status, text: text.into() }
    }

    /// What was sent makes no sense.
    pub(super) fn bad(text: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, text)
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        text(self.status, self.text)
    }
}

/// Text for people; ends in a newline.
pub(super) fn text(status: StatusCode, text: impl Into<String>) -> Response {
    let mut text = text.into();
    if !text.ends_with('\n') {
        text.push('\n');
    }
    with_type(status, "text/plain; charset=utf-8", text)
}

/// Indented, since people read it too.
pub(super) fn json(value: &impl Serialize) -> Response {
    match serde_json::to_string_pretty(value) {
        Ok(text) => with_type(StatusCode::OK, "application/json", text + "\n"),
        Err(error) => text(StatusCode::INTERNAL_SERVER_ERROR, format!("the answer can't be written as JSON: {error}")),
    }
}

pub(super) fn with_type(status: StatusCode, content_type: &'static str, body: impl Into<Body>) -> Response {
    let mut response = Response::new(body.into());
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}

/// The path exists, not with this method.
pub(super) async fn wrong_method(method: Method, uri: Uri) -> Response {
    let allowed: Vec<&str> =
        ENDPOINTS.iter().filter(|(_, path, _)| *path == uri.path()).map(|(method, _, _)| *method).collect();
    let allowed = allowed.join(", ");
    let mut response = text(StatusCode::METHOD_NOT_ALLOWED, format!("{} takes {allowed}, not {method}", uri.path()));
    if let Ok(value) = HeaderValue::from_str(&allowed.replace("GET", "GET, HEAD")) {
        response.headers_mut().insert(ALLOW, value);
    }
    response
}

pub(super) async fn unknown_path(uri: Uri) -> Response {
    let mut answer = format!("there is no {}; there is:\n", uri.path());
    for (method, path, purpose) in ENDPOINTS {
        answer.push_str(&format!("{method:<5}{path:<28}{purpose}\n"));
    }
    text(StatusCode::NOT_FOUND, answer)
}
