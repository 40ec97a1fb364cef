//! Accepting: bounded connections, bounded heads, bounded time.

use std::convert::Infallible;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::header::{CACHE_CONTROL, X_CONTENT_TYPE_OPTIONS};
use axum::http::{HeaderValue, Request, StatusCode};
use axum::response::{IntoResponse, Response};
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
            report(ended)
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
        Ok(()) => {
            let request = Request::from_parts(parts, Body::new(body));
            timeout(REQUEST_TIMEOUT, app.oneshot(request)).await.unwrap_or_else(|_| Ok(timed_out()))?
        }
    };
    let headers = response.headers_mut();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    Ok(response)
}

fn timed_out() -> Response {
    Refusal::new(StatusCode::SERVICE_UNAVAILABLE, "the answer took more than 30 s; waypost goes on serving")
        .into_response()
}

const MAX_CONNECTIONS: usize = 256;
const MAX_HEAD_BYTES: usize = 64 << 10;
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);
const DRAIN: Duration = Duration::from_secs(5);
const ACCEPT_BACK_OFF: Duration = Duration::from_millis(50);
