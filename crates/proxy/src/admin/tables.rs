//! Names, clients and recent requests as JSON. The shapes are documented in docs/admin.md.

use std::collections::BTreeSet;
use std::time::SystemTime;

use axum::extract::State;
use axum::http::Uri;
use axum::response::Response;
use serde_json::{Value, json};

use super::Admin;
use super::answer::{self, Refusal};
use super::query::Fields;
use crate::telemetry::{ClientReport, EndpointReport, RequestReport};
use crate::tls::CertificateSummary;

pub(super) async fn bound_names(State(admin): State<Admin>) -> Response {
    let snapshot = admin.control.snapshot();
    let names = snapshot.routers.iter().flat_map(|router| router.namers.bound_names());
    let names: BTreeSet<String> = names.map(|name| name.to_string()).collect();
    answer::json(&names)
}

pub(super) async fn clients(State(admin): State<Admin>) -> Response {
    let clients = admin.control.clients().await;
    let clients: Vec<Value> = clients.iter().map(client).collect();
    answer::json(&json!({ "clients": clients }))
}

fn client(client: &ClientReport) -> Value {
    let endpoints: Vec<Value> = client.endpoints.iter().map(endpoint).collect();
    json!({ "router": client.router, "bound": client.bound, "tls": client.tls, "endpoints": endpoints })
}

fn endpoint(endpoint: &EndpointReport) -> Value {
    json!({
        "addr": endpoint.addr.to_string(),
        "weight": endpoint.weight,
        "state": endpoint.state,
        "in_flight": endpoint.in_flight,
        "latency_ms": endpoint.latency_ms.map(|latency| (latency * 1e3).round() / 1e3),
        "connections": endpoint.connections,
        "requests": endpoint.requests,
        "failures": endpoint.failures,
        "certificate": endpoint.certificate.as_ref().map(certificate),
    })
}

fn certificate(certificate: &CertificateSummary) -> Value {
    json!({ "names": certificate.names, "not_after": timestamp(certificate.not_after, 0), "serial": certificate.serial })
}

pub(super) async fn requests(State(admin): State<Admin>, uri: Uri) -> Result<Response, Refusal> {
    let limit = match Fields::of(&uri)?.first("limit") {
        None => DEFAULT_LIMIT,
        Some(text) => text
            .parse()
            .map(|limit: usize| limit.min(MAX_LIMIT))
            .map_err(|_| Refusal::bad(format!("limit must be a number from 0 to {MAX_LIMIT}, not {text:?}")))?,
    };
    let requests = admin.control.requests(limit).await;
    let requests: Vec<Value> = requests.iter().take(limit).map(request).collect();
    Ok(answer::json(&json!({ "requests": requests })))
}

fn request(request: &RequestReport) -> Value {
    json!({
        "time": timestamp(request.time, 3),
        "router": request.router,
        "method": request.method,
        "target": request.target,
        "logical": if request.logical.is_empty() { None } else { Some(&request.logical) },
        "bound": request.bound,
        "endpoint": request.endpoint.map(|endpoint| endpoint.to_string()),
        "status": request.status,
        "error": request.error,
        "attempts": request.attempts,
        "duration_ms": (request.duration.as_secs_f64() * 1e6).round() / 1e3,
        "generation": request.generation,
    })
}

/// RFC 3339, in UTC, with so many digits after the second; `null` outside of the years that has.
fn timestamp(time: SystemTime, digits: usize) -> Option<String> {
    let time = jiff::Timestamp::try_from(time).ok()?;
    Some(format!("{time:.digits$}"))
}

const DEFAULT_LIMIT: usize = 100;
const MAX_LIMIT: usize = 10_000;
