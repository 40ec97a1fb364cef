//! `/admin/metrics/prometheus`.

use axum::extract::State;
use axum::http::header::{ACCEPT, VARY};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::Response;

use super::{Admin, answer};
use crate::telemetry::prometheus::{Format, Process, Scrape, render};

pub(super) async fn prometheus(State(admin): State<Admin>, headers: HeaderMap) -> Response {
    let accept: Vec<&str> = headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok()).collect();
    let format = Format::preferred(&accept.join(","));
    let metrics = admin.control.metrics().await;
    let clients = admin.control.clients().await;
    let process = tokio::task::spawn_blocking(Process::look).await.unwrap_or_default();
    let scrape =
        Scrape { metrics: &metrics, clients: &clients, control: &admin.control.control_metrics(), process: &process };
    let mut response = answer::with_type(StatusCode::OK, format.content_type(), render(&scrape, format));
    response.headers_mut().insert(VARY, HeaderValue::from_static("accept"));
    response
}
