//! A service of the demo: says who it is, and shows the request as it came.

use std::convert::Infallible;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// Answers until `stop`; no connection outlives that.
pub(super) async fn serve(name: &'static str, listener: TcpListener, stop: CancellationToken) {
    let mut connections = JoinSet::new();
    loop {
        let stream = tokio::select! {
            () = stop.cancelled() => return,
            _ended = connections.join_next(), if !connections.is_empty() => continue,
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => stream,
                Err(_) => continue,
            },
        };
        let service = service_fn(move |request| async move { Ok::<_, Infallible>(answer(name, &request)) });
        connections.spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
    }
}

fn answer(name: &str, request: &Request<hyper::body::Incoming>) -> Response<Full<Bytes>> {
    let mut text =
        format!("service: {name}\nrequest: {} {} {:?}\n", request.method(), request.uri(), request.version());
    for (header, value) in request.headers() {
        text.push_str(&format!("{header}: {}\n", String::from_utf8_lossy(value.as_bytes())));
    }
    Response::new(Full::new(Bytes::from(text)))
}
