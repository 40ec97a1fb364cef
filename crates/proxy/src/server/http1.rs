//! HTTP/1.1 from a client, by hyper's connection, watched over by time outs that hyper does not have.

use std::convert::Infallible;
use std::future::poll_fn;
use std::pin::Pin;
use std::rc::Rc;
use std::task::Poll;
use std::time::{Duration, Instant};

use http::Request;
use http::header::{CONNECTION, HeaderValue};
use hyper::server::conn::http1::Builder;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};

use super::connection::Connection;
use super::transport::{Progress, Stage, Transport};
use crate::body::{Incoming, ResponseBody};
use crate::request::answer::{Failure, Word, raw_answer};
use crate::request::handle;
use crate::telemetry::Wire;

/// Why a connection ended.
enum Ended {
    /// By itself, with or without an error.
    Done(Result<(), hyper::Error>),
    /// A head did not come in time.
    SlowHead,
    /// Nothing was asked for too long, or nothing more is wanted.
    Idle,
}

/// Serves requests until the client closes, a time out passes, or the connection drains.
pub async fn serve<S>(connection: &Rc<Connection>, transport: Transport<S>, progress: Rc<Progress>)
where
    S: AsyncRead + AsyncWrite + Unpin + 'static,
{
    let _counted = connection.port.metrics.connected(Wire::Http1);
    let config = &connection.settings.config;
    let mut builder = Builder::new();
    builder.max_header_size(usize::try_from(config.max_head_bytes).unwrap_or(usize::MAX));
    if config.max_headers != HYPERS_HEADERS {
        builder.max_headers(usize::try_from(config.max_headers).unwrap_or(usize::MAX));
    }
    let service = service_fn(|request: Request<hyper::body::Incoming>| {
        progress.begin();
        let connection = Rc::clone(connection);
        let progress = Rc::clone(&progress);
        async move {
            let mut response = handle(Rc::clone(&connection), request.map(from_hyper)).await;
            if connection.draining().is_some() {
                response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
            }
            Ok::<_, Infallible>(response.map(|body| Tracked { body, progress }))
        }
    });
    let mut serving = builder.serve_connection(TokioIo::new(transport), service);
    let watch = tokio::time::sleep_until((Instant::now() + config.head_timeout).into());
    let mut watch = std::pin::pin!(watch);
    let ended = poll_fn(|cx| {
        connection.wakes(cx.waker());
        if let Poll::Ready(result) = Pin::new(&mut serving).poll(cx) {
            return Poll::Ready(Ended::Done(result));
        }
        // A head that began, or draining, may be due before what is watched for. Busy connections need no look.
        if progress.stage().0 != Stage::Busy {
            let due = deadline(connection, &progress).into();
            if due < watch.deadline() {
                watch.as_mut().reset(due);
            }
        }
        while watch.as_mut().poll(cx).is_ready() {
            let now = Instant::now();
            match expired(connection, &progress, now) {
                Some(ended) => return Poll::Ready(ended),
                None => watch.as_mut().reset(deadline(connection, &progress).max(now + TICK).into()),
            }
        }
        Poll::Pending
    })
    .await;
    match ended {
        Ended::Done(Err(error)) => tracing::debug!(%error, "connection of a client ended"),
        Ended::Done(Ok(())) | Ended::Idle => {}
        Ended::SlowHead => {
            let failure = Failure::new(
                Word::RequestTimeout,
                format!("the request's head did not come within head_timeout ({:?})", config.head_timeout),
            );
            connection.port.router().metrics.answered(failure.word.as_str());
            let mut stream = serving.into_parts().io.into_inner();
            progress.begin();
            // The client may be gone, or never read: an answer is a courtesy.
            let courtesy = tokio::time::timeout(Duration::from_secs(1), async {
                stream.write_all(&raw_answer(&failure)).await?;
                stream.shutdown().await
            });
            drop(courtesy.await);
        }
    }
    if let Some(failure) = progress.own_answer() {
        connection.port.router().metrics.answered(failure.word.as_str());
    }
}

fn from_hyper(body: hyper::body::Incoming) -> Incoming {
    if http_body::Body::is_end_stream(&body) { Incoming::Empty } else { Incoming::Http1(body) }
}

/// When the stage that the connection is in has lasted too long.
fn deadline(connection: &Connection, progress: &Progress) -> Instant {
    let config = &connection.settings.config;
    let (stage, since) = progress.stage();
    match (stage, connection.draining()) {
        (Stage::Waiting, Some(draining)) => since.max(draining) + LAME_DUCK,
        // The first request is awaited like a head: a client that connects has something to say.
        (Stage::Waiting, None) if progress.requests() == 0 => since + config.head_timeout,
        (Stage::Waiting, None) => since + config.idle_timeout,
        (Stage::Head, _) => since + config.head_timeout,
        // Other time outs hold while we are at work; look again later.
        (Stage::Busy, _) => Instant::now() + config.head_timeout.min(config.idle_timeout),
    }
}

fn expired(connection: &Connection, progress: &Progress, now: Instant) -> Option<Ended> {
    let (stage, _) = progress.stage();
    if stage == Stage::Busy || deadline(connection, progress) > now {
        return None;
    }
    Some(if stage == Stage::Head { Ended::SlowHead } else { Ended::Idle })
}

/// A response's body that tells the connection's stage when it has gone.
struct Tracked {
    body: ResponseBody,
    progress: Rc<Progress>,
}

impl Drop for Tracked {
    fn drop(&mut self) {
        self.progress.end(Instant::now());
    }
}

impl http_body::Body for Tracked {
    type Data = bytes::Bytes;
    type Error = crate::body::BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
    ) -> Poll<Option<Result<http_body::Frame<Self::Data>, Self::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> http_body::SizeHint {
        self.body.size_hint()
    }
}

/// hyper's own default: setting it at all moves its parser to the heap.
const HYPERS_HEADERS: u32 = 100;
/// How long an idle connection may still bring a request after draining began: closing at once would cross with one
/// that is on its way.
const LAME_DUCK: Duration = Duration::from_millis(500);
/// The shortest time to the next look.
const TICK: Duration = Duration::from_millis(10);
