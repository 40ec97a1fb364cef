//! Accepts connections for one worker until it is told to stop.

use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};

use super::connection::{self, Accepted};
use super::port::Port;
use crate::silence::bound_silence;
use crate::worker::Worker;

/// Accepts until the port closes. What the system had queued by then is served too.
pub async fn accept(worker: Rc<Worker>, port: Rc<Port>, listener: TcpListener) {
    loop {
        tokio::select! {
            biased;
            () = port.closing.cancelled() => break,
            accepted = next(&port, &listener) => take(&worker, &port, accepted).await,
        }
    }
    // Closing the socket resets what waits in its queue.
    while let Some(accepted) = now_or_never(listener.accept()).await {
        take(&worker, &port, accepted).await;
    }
}

/// The next connection, once there is room for its handshake.
async fn next(port: &Port, listener: &TcpListener) -> io::Result<(TcpStream, SocketAddr)> {
    port.room_for_handshake().await;
    listener.accept().await
}

async fn take(worker: &Rc<Worker>, port: &Rc<Port>, accepted: io::Result<(TcpStream, SocketAddr)>) {
    match accepted {
        Ok((stream, peer)) => {
            let Some(permit) = port.admit_connection() else { return };
            // Answers are written whole: waiting for more to send only delays them. It fails on closed sockets only.
            drop(stream.set_nodelay(true));
            bound_silence(&stream, port.settings().config.write_timeout);
            let accepted = Accepted::new(port, stream, peer, permit);
            worker.serve(connection::serve(Rc::clone(worker), Rc::clone(port), accepted));
        }
        Err(error) => back_off(&error).await,
    }
}

/// A peer that is gone already is no reason to wait; running out of file descriptors is.
async fn back_off(error: &io::Error) {
    let gone = [io::ErrorKind::ConnectionAborted, io::ErrorKind::ConnectionReset, io::ErrorKind::ConnectionRefused];
    if !gone.contains(&error.kind()) {
        tracing::error!(%error, "cannot accept connections");
        tokio::time::sleep(ACCEPT_PAUSE).await;
    }
}

async fn now_or_never<F: Future>(future: F) -> Option<F::Output> {
    let mut future = std::pin::pin!(future);
    std::future::poll_fn(|cx| match future.as_mut().poll(cx) {
        std::task::Poll::Ready(output) => std::task::Poll::Ready(Some(output)),
        std::task::Poll::Pending => std::task::Poll::Ready(None),
    })
    .await
}

const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
