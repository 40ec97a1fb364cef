//! Accepting: bounded connections, bounded heads, bounded time.

use std::convert::Infallible;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::header::{CACHE_CONTROL, X_CONTENT_TYPE_OPTIONS};
use axum::http::request::Parts;
use axum::http::{HeaderValue, Method, Request, StatusCode};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http_body::Body as _;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

use super::answer::Refusal;
use super::{Admin, Control, endpoints, guard};

/// Answers admin requests until `stop`; then gives those that run a few seconds.
/// Owns every task that it starts: when this returns, none of them runs.
pub async fn serve(listener: TcpListener, control: Arc<dyn Control>, stop: CancellationToken) {
    let Ok(addr) = listener.local_addr() else { return };
    let admin = Admin::new(control, addr);
    let app = endpoints(admin.clone());
    let permits = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    let mut connections = JoinSet::new();
    loop {
        // Whoever comes when all permits are taken waits in the listener's backlog.
        let Ok(permit) = Arc::clone(&permits).acquire_owned().await else { break };
        tokio::select! {
            biased;
            () = stop.cancelled() => break,
            Some(ended) = connections.join_next() => report(ended),
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    let (admin, app, stop) = (admin.clone(), app.clone(), stop.clone());
                    connections.spawn(async move {
                        connection(stream, admin, app, stop).await;
                        drop(permit);
                    });
                }
                Err(error) => {
                    tracing::warn!(%error, "admin: accepting failed");
                    sleep(ACCEPT_BACK_OFF).await;
                }
            },
        }
    }
    drop(listener);
    let all_ended = async {
        while let Some(ended) = connections.join_next().await {
            report(ended);
        }
    };
    if timeout(DRAIN, all_ended).await.is_err() {
        connections.shutdown().await;
    }
}

fn report(ended: Result<(), tokio::task::JoinError>) {
    if let Err(error) = ended
        && error.is_panic()
    {
        tracing::error!(%error, "admin: a connection's task panicked");
    }
}

async fn connection(stream: TcpStream, admin: Admin, app: Router, stop: CancellationToken) {
    let Ok(local) = stream.local_addr() else { return };
    let service = service_fn(move |request| answer(admin.clone(), app.clone(), local.ip(), request));
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_buf_size(MAX_HEAD_BYTES)
        .serve_connection(TokioIo::new(stream), service);
    let mut connection = std::pin::pin!(connection);
    let ended = tokio::select! {
        biased;
        ended = connection.as_mut() => ended,
        () = stop.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "admin: a connection broke");
    }
}

async fn answer(admin: Admin, app: Router, local: IpAddr, request: Request<Incoming>) -> Result<Response, Infallible> {
    let (parts, body) = request.into_parts();
    let mut response = match guard::check(&parts, |host| admin.is_own_host(host, local)) {
        Err(refusal) => refusal.into_response(),
        Ok(()) => match whole(&parts, body).await {
            Err(refusal) => refusal.into_response(),
            Ok(body) => {
                let request = Request::from_parts(parts, Body::from(body));
                timeout(REQUEST_TIMEOUT, app.oneshot(request)).await.unwrap_or_else(|_| Ok(timed_out()))?
            }
        },
    };
    let headers = response.headers_mut();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    Ok(response)
}

/// The body of a request that may have one, read before anybody works on it. Dropping this closes the connection.
async fn whole(request: &Parts, body: Incoming) -> Result<Bytes, Refusal> {
    if matches!(request.method, Method::GET | Method::HEAD) {
        return Ok(Bytes::new());
    }
    let too_long = || {
        let text = format!("a body here has up to {MAX_BODY_BYTES} bytes");
        Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, text)
    };
    if body.size_hint().lower() > u64::try_from(MAX_BODY_BYTES).unwrap_or(u64::MAX) {
        return Err(too_long());
    }
    match timeout(BODY_TIMEOUT, Limited::new(body, MAX_BODY_BYTES).collect()).await {
        Ok(Ok(body)) => Ok(body.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(too_long()),
        Ok(Err(error)) => Err(Refusal::bad(format!("the body broke off: {error}"))),
        Err(_) => Err(Refusal::new(StatusCode::REQUEST_TIMEOUT, "the body did not come in time")),
    }
}

fn timed_out() -> Response {
    Refusal::new(StatusCode::SERVICE_UNAVAILABLE, "the answer took more than 30 s; waypost goes on serving")
        .into_response()
}

const MAX_CONNECTIONS: usize = 256;
const MAX_HEAD_BYTES: usize = 64 << 10;
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);
/// Longest body of a POST; a dtab of a few thousand rules fits.
const MAX_BODY_BYTES: usize = 1 << 20;
const BODY_TIMEOUT: Duration = Duration::from_secs(10);
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);
const DRAIN: Duration = Duration::from_secs(5);
const ACCEPT_BACK_OFF: Duration = Duration::from_millis(50);
