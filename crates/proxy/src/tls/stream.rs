//! The encrypted stream to an endpoint, which remembers why TLS ended it.

use std::fmt;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, ready};

use rustls::ClientConnection;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_rustls::client::TlsStream;

use super::failure::TlsFailure;

/// An encrypted stream to an endpoint.
#[derive(Debug)]
pub struct ClientStream<S> {
    tls: TlsStream<S>,
    refusal: Refusal,
    /// A read has ended, one way or another.
    heard: bool,
}

/// What TLS itself had against a connection after its handshake; survives the stream.
///
/// With TLS 1.3 an endpoint looks at our certificate when our side of the handshake is over, so its refusal comes with
/// the first read. HTTP/2 keeps of such an error no more than its text, hence this.
#[derive(Clone)]
pub struct Refusal {
    /// The name that the endpoint must have, for the text.
    wanted: Option<Arc<str>>,
    failure: Arc<OnceLock<TlsFailure>>,
}

impl Refusal {
    pub(super) fn new(wanted: Option<Arc<str>>) -> Self {
        Self { wanted, failure: Arc::default() }
    }

    /// Why the connection ended, if TLS ended it. An endpoint that refused our certificate has read no request.
    pub fn get(&self) -> Option<&TlsFailure> {
        self.failure.get()
    }

    fn note(&self, error: &io::Error) {
        if let Some(failure) = TlsFailure::after_handshake(error, self.wanted.as_deref()) {
            self.failure.get_or_init(|| failure);
        }
    }

    fn watch<T>(&self, outcome: io::Result<T>) -> Poll<io::Result<T>> {
        Poll::Ready(outcome.inspect_err(|error| self.note(error)))
    }
}

impl<S> ClientStream<S> {
    pub(super) fn new(tls: TlsStream<S>, refusal: Refusal) -> Self {
        Self { tls, refusal, heard: false }
    }

    /// The stream below and the state of TLS.
    pub fn get_ref(&self) -> (&S, &ClientConnection) {
        self.tls.get_ref()
    }
}

impl<S> ClientStream<S> {
    /// A peer that refused us has closed behind its alert, and a write may notice that before a read has the alert. So
    /// as long as nothing was read, a write to a peer that is gone counts as done: the read that follows says why.
    fn written<T>(&self, outcome: io::Result<T>, done: T) -> Poll<io::Result<T>> {
        match outcome {
            Err(error) if !self.heard && is_gone(&error) => Poll::Ready(Ok(done)),
            outcome => self.refusal.watch(outcome),
        }
    }
}

fn is_gone(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::BrokenPipe || error.kind() == io::ErrorKind::ConnectionReset
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for ClientStream<S> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let outcome = ready!(Pin::new(&mut this.tls).poll_read(cx, buf));
        this.heard = true;
        this.refusal.watch(outcome)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for ClientStream<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let outcome = ready!(Pin::new(&mut this.tls).poll_write(cx, buf));
        this.written(outcome, buf.len())
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let outcome = ready!(Pin::new(&mut this.tls).poll_write_vectored(cx, bufs));
        this.written(outcome, bufs.iter().map(|buf| buf.len()).sum())
    }

    fn is_write_vectored(&self) -> bool {
        self.tls.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let outcome = ready!(Pin::new(&mut this.tls).poll_flush(cx));
        this.written(outcome, ())
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().tls).poll_shutdown(cx)
    }
}

impl fmt::Debug for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Refusal").field(&self.failure.get()).finish()
    }
}
