//! Alive, ready, read again, end.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;

use super::Admin;
use super::answer;

pub(super) async fn ping() -> &'static str {
    "pong"
}

pub(super) async fn ready(State(admin): State<Admin>) -> Response {
    match admin.control.readiness() {
        Ok(()) => answer::text(StatusCode::OK, "ready"),
        Err(reasons) => answer::text(StatusCode::SERVICE_UNAVAILABLE, reasons.join("\n")),
    }
}

pub(super) async fn reload(State(admin): State<Admin>) -> Response {
    match admin.control.reload().await {
        Ok(()) => answer::text(StatusCode::OK, "the configuration was read again and is in use"),
        Err(findings) => {
            let shown: Vec<String> = findings.iter().map(|finding| finding.render(false)).collect();
            let text = format!("the configuration was refused, the old one stays in use\n\n{}", shown.join("\n\n"));
            answer::text(StatusCode::UNPROCESSABLE_ENTITY, text)
        }
    }
}

pub(super) async fn shutdown(State(admin): State<Admin>) -> Response {
    admin.control.shutdown();
    answer::text(StatusCode::OK, "waypost drains and then ends")
}
