//! What a query or a body asks for, turned into words of the domain; what can't be is a 400 that shows the place.

use std::sync::Arc;

use axum::extract::Query;
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderMap, StatusCode, Uri};
use serde::de::DeserializeOwned;
use waypost_naming::{Dtab, Finding, ParseError, Path, Place, Source};

use super::Admin;
use super::answer::Refusal;
use crate::plan::Router;

/// The fields of a query, in order; a name may come several times.
pub(super) struct Fields(Vec<(String, String)>);

impl Fields {
    pub(super) fn of(uri: &Uri) -> Result<Self, Refusal> {
        let parsed = Query::<Vec<(String, String)>>::try_from_uri(uri);
        parsed.map(|Query(fields)| Self(fields)).map_err(|error| Refusal::bad(error.body_text()))
    }

    pub(super) fn first(&self, name: &str) -> Option<&str> {
        self.all(name).next()
    }

    pub(super) fn all(&self, name: &str) -> impl Iterator<Item = &str> {
        self.0.iter().filter(move |(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// Which router is meant: `namespace` is what linkerd calls it.
    pub(super) fn router(&self) -> Option<&str> {
        self.first("router").or_else(|| self.first("namespace"))
    }
}

/// The router with this label, or the first one.
pub(super) fn router(admin: &Admin, label: Option<&str>) -> Result<Arc<Router>, Refusal> {
    let snapshot = admin.control.snapshot();
    let found = match label {
        None => snapshot.routers.first(),
        Some(label) => snapshot.routers.iter().find(|router| &*router.config.label == label),
    };
    found.cloned().ok_or_else(|| {
        let known: Vec<&str> = snapshot.routers.iter().map(|router| &*router.config.label).collect();
        let text = format!("there is no router {:?}; there is: {}", label.unwrap_or_default(), known.join(", "));
        Refusal::new(StatusCode::NOT_FOUND, text)
    })
}

/// A JSON body, or why it is none.
pub(super) fn json_body<T: DeserializeOwned>(headers: &HeaderMap, body: &[u8]) -> Result<T, Refusal> {
    let content_type = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let media_type = content_type.split(';').next().unwrap_or_default().trim();
    if !media_type.eq_ignore_ascii_case("application/json") {
        let text = format!("the body must be JSON (content-type: application/json), not {content_type:?}");
        return Err(Refusal::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, text));
    }
    serde_json::from_slice(body)
        .map_err(|error| Refusal::bad(format!("the body is not the JSON that was expected: {error}")))
}

pub(super) fn path(text: &str) -> Result<Path, Refusal> {
    Path::parse(text).map_err(|error| unreadable("bad-path", "path", text, &error))
}

pub(super) fn dtab(text: &str) -> Result<Dtab, Refusal> {
    let place = |_| Place::Named(Arc::from("dtab"));
    Dtab::parse_at(text, place).map_err(|error| unreadable("bad-dtab", "dtab", text, &error))
}

fn unreadable(code: &'static str, name: &str, text: &str, error: &ParseError) -> Refusal {
    let source = Source { name: name.to_owned(), text: text.to_owned() };
    let mut finding = Finding::error(code, error.to_string()).at(Arc::new(source), error.span);
    if let Some(hint) = error.kind.hint() {
        finding = finding.hint(hint);
    }
    Refusal::bad(finding.render(false))
}
