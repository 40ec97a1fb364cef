//! A new connection to an endpoint: TCP, and TLS with the name that the bound path implies.

use std::cell::{Cell, RefCell};
use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, Version};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use waypost_naming::{Path, Place};
use waypost_routing::ClientTls;

use super::Client;
use super::pool::Want;
use crate::bulk::{Ahead, Appetite, Places};
use crate::gather::poll_write_pieces;
use crate::request::answer::{Failure, Word};
use crate::request::interim::Interims;
use crate::silence::bound_silence;
use crate::tls::{CertificateSummary, ClientStream, Connector, Established, Refusal, TlsFailure, openssl};

/// A connection to an endpoint, with an eye on what comes back.
#[derive(Debug)]
pub struct Stream {
    inner: Inner,
    received: Rc<Received>,
    writing: Writing,
    /// None reads as it is told.
    appetite: Option<Appetite>,
    ahead: Rc<Ahead>,
}

/// What becomes of an error in writing.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Writing {
    /// It is told.
    Strict,
    /// It is kept quiet, once: see [`Stream::read_on`].
    Lenient,
    /// There was one: all that is written is lost.
    Lost,
}

impl Stream {
    /// A write that fails no longer ends the connection: what can be read is read first, and how that ends says it all.
    /// But for a peer that took nothing for too long: nothing is to be expected of it.
    ///
    /// An endpoint of HTTP/1.1 may answer and close in the middle of an upload (RFC 9112 section 9.5). Its answer is
    /// here by then, but the writer would be the first to find out.
    pub fn read_on(&mut self) {
        self.writing = Writing::Lenient;
    }

    /// Reads no more at a time than its share of `places` allows.
    pub fn read_large(&mut self, places: &Rc<Places>) {
        self.appetite = Some(Appetite::new(Rc::clone(places)));
    }

    /// What of a request's body has not left by it.
    pub fn ahead(&self) -> Rc<Ahead> {
        Rc::clone(&self.ahead)
    }

    /// Undoes [`Stream::read_on`]: HTTP is no longer spoken.
    pub fn tell_errors(&mut self) {
        self.writing = Writing::Strict;
    }

    fn wrote(&mut self, wrote: io::Result<usize>, all: usize) -> io::Result<usize> {
        match (self.writing, wrote) {
            (Writing::Lenient, Err(error)) if error.kind() != io::ErrorKind::TimedOut => {
                self.writing = Writing::Lost;
                Ok(all)
            }
            (_, wrote) => wrote,
        }
    }
}

#[derive(Debug)]
enum Inner {
    Clear(TcpStream),
    Tls(Box<ClientStream<TcpStream>>),
}

/// What an endpoint has sent on one connection.
#[derive(Debug, Default)]
pub struct Received {
    bytes: Cell<u64>,
    not_http2: Cell<bool>,
    watch: RefCell<Option<Watch>>,
}

/// Looks for interim responses before a response of HTTP/1.1. hyper keeps them to itself, unless it is told otherwise
/// for each request, which costs more than this for all those that never get one.
#[derive(Debug)]
struct Watch {
    interims: Interims,
    /// A head that has not come whole.
    partial: Vec<u8>,
    seen: usize,
    seen_bytes: usize,
}

/// Ends the watch with the wait for a response.
#[derive(Debug)]
pub struct Watched(Rc<Received>);

impl Drop for Watched {
    fn drop(&mut self) {
        self.0.watch.take();
    }
}

impl Watch {
    /// `false`: something else begins; `None`: it is too much.
    fn look(&mut self, bytes: &[u8]) -> Option<bool> {
        // `HTTP/1.1 2`: what nearly every response begins with.
        if self.partial.is_empty() && bytes.get(9).is_some_and(|digit| *digit != b'1') {
            return Some(false);
        }
        self.partial.extend_from_slice(bytes);
        let mut begin = 0;
        loop {
            let rest = self.partial.get(begin..).unwrap_or_default();
            let mut fields = [httparse::EMPTY_HEADER; MAX_INTERIM_FIELDS];
            let mut head = httparse::Response::new(&mut fields);
            let Ok(parsed) = head.parse(rest) else { return Some(false) };
            let status = head.code.and_then(|code| StatusCode::from_u16(code).ok());
            if status.is_some_and(|status| !status.is_informational() || status == StatusCode::SWITCHING_PROTOCOLS) {
                return Some(false);
            }
            let (httparse::Status::Complete(length), Some(status)) = (parsed, status) else {
                let whole = self.seen_bytes + rest.len() <= MAX_INTERIM_BYTES;
                self.partial.drain(..begin);
                return whole.then_some(true);
            };
            self.seen += 1;
            self.seen_bytes += length;
            if self.seen > MAX_INTERIM || self.seen_bytes > MAX_INTERIM_BYTES {
                return None;
            }
            let version = if head.version == Some(0) { Version::HTTP_10 } else { Version::HTTP_11 };
            self.interims.pass_on(status, version, to_map(head.headers));
            begin += length;
        }
    }
}

fn to_map(fields: &[httparse::Header<'_>]) -> HeaderMap {
    let field = |field: &httparse::Header<'_>| {
        Some((HeaderName::try_from(field.name).ok()?, HeaderValue::from_bytes(field.value).ok()?))
    };
    let mut map = HeaderMap::new();
    for (name, value) in fields.iter().filter_map(field) {
        map.append(name, value);
    }
    map
}

/// Interim responses before a response, at most: 103 comes once or twice, 102 every few seconds.
pub const MAX_INTERIM: usize = 100;
/// Their bytes together.
pub const MAX_INTERIM_BYTES: usize = 64 * 1024;
/// The fields of one, in HTTP/1.1.
const MAX_INTERIM_FIELDS: usize = 64;
/// What is said of more.
pub const TOO_MANY_INTERIM: &str = "it sent more interim responses than are taken (100, or 64 KiB)";

impl Received {
    /// Bytes so far: if none came since a request was sent, no response had begun.
    pub fn bytes(&self) -> u64 {
        self.bytes.get()
    }

    /// Something came, and it was no HTTP/2: that begins with a SETTINGS frame (RFC 9113 section 3.4), whose length has
    /// a zero in front. Servers of HTTP/1 answer the preface with a status line, or with a page and none.
    pub fn not_http2(&self) -> bool {
        self.not_http2.get()
    }

    /// Passes on the interim responses that come from now on, until the response begins, or the guard is dropped.
    pub fn watch(self: &Rc<Self>, interims: &Interims) -> Watched {
        let watch = Watch { interims: interims.clone(), partial: Vec::new(), seen: 0, seen_bytes: 0 };
        *self.watch.borrow_mut() = Some(watch);
        Watched(Rc::clone(self))
    }

    fn look(&self, bytes: &[u8]) -> io::Result<()> {
        let mut watch = self.watch.borrow_mut();
        match watch.as_mut().map(|watch| watch.look(bytes)) {
            None | Some(Some(true)) => Ok(()),
            Some(Some(false)) => {
                *watch = None;
                Ok(())
            }
            Some(None) => Err(io::Error::new(io::ErrorKind::InvalidData, TOO_MANY_INTERIM)),
        }
    }

    fn note(&self, bytes: &[u8]) {
        if self.bytes.get() == 0 {
            self.not_http2.set(bytes.first().is_some_and(|first| *first != 0));
        }
        self.bytes.set(self.bytes.get() + bytes.len() as u64);
    }
}

/// A connection, and what is to be spoken on it.
#[derive(Debug)]
pub struct Connected {
    /// The bytes.
    pub stream: Stream,
    /// What has come.
    pub received: Rc<Received>,
    /// HTTP/2; else HTTP/1.1.
    pub http2: bool,
    /// The certificate that the peer showed.
    pub certificate: Option<CertificateSummary>,
    /// Tells later whether the peer refused our certificate.
    pub refusal: Option<Refusal>,
}

/// Connects, all within the policy's `connect_timeout`.
///
/// Dropping the future closes what was opened.
///
/// # Errors
/// A [`Failure`] that names the bound path, the endpoint and, for TLS, the name asked for and the names offered.
pub async fn connect(client: &Client, addr: SocketAddr, want: Want) -> Result<Connected, Failure> {
    let connector = client
        .connector(want)
        .map_err(|reason| Failure::new(Word::TlsOther, format!("{addr} for {}: {reason}", client.bound)).retryable())?;
    let attempt = attempt(client, addr, want, connector);
    match client.policy.connect_timeout.value {
        None => attempt.await,
        Some(limit) => tokio::time::timeout(limit, attempt).await.unwrap_or_else(|_| {
            if client.tls != ClientTls::Clear {
                client.metrics.tls_handshake("timeout");
            }
            Err(too_slow(&client.bound, addr, limit))
        }),
    }
}

async fn attempt(
    client: &Client,
    addr: SocketAddr,
    want: Want,
    connector: Option<Rc<Connector>>,
) -> Result<Connected, Failure> {
    let tcp = TcpStream::connect(addr).await.map_err(|error| no_connection(&client.bound, addr, &error))?;
    // Small frames must not wait for a full segment. It only fails on a socket that is closed already.
    drop(tcp.set_nodelay(true));
    bound_silence(&tcp, client.policy.write_timeout.value);
    let Some(connector) = connector else {
        return Ok(connected(Inner::Clear(tcp), want != Want::Http1, None));
    };
    match connector.connect(tcp, addr).await {
        Ok((stream, established)) => {
            client.metrics.tls_handshake("success");
            Ok(connected(Inner::Tls(Box::new(stream)), established.h2, Some(established)))
        }
        Err(failure) => {
            client.metrics.tls_handshake(failure.outcome());
            Err(refused(client, addr, &failure))
        }
    }
}

fn connected(inner: Inner, http2: bool, established: Option<Established>) -> Connected {
    let received = Rc::<Received>::default();
    let (certificate, refusal) = established.map(|made| (made.certificate, made.refusal)).unzip();
    Connected {
        stream: Stream {
            inner,
            received: Rc::clone(&received),
            writing: Writing::Strict,
            appetite: None,
            ahead: Rc::default(),
        },
        received,
        http2,
        certificate,
        refusal,
    }
}

/// What a peer said of our certificate after the handshake: in TLS 1.3 it is judged only then, so the refusal comes in
/// place of a response. Nothing of the request was looked at.
pub fn refused_late(client: &Client, addr: SocketAddr, refusal: Option<&Refusal>) -> Option<Failure> {
    let failure = refusal?.get()?;
    let TlsFailure::ClientCertRefused(_) = failure else { return None };
    client.metrics.tls_handshake(failure.outcome());
    Some(refused(client, addr, failure))
}

fn refused(client: &Client, addr: SocketAddr, failure: &TlsFailure) -> Failure {
    let failure = tls_failed(&client.bound, &client.tls, &client.asked_at(), addr, failure);
    if client.may_complain(Instant::now()) {
        let (word, hint) = (failure.word.as_str(), failure.hint.as_deref().unwrap_or_default());
        tracing::warn!(router = %client.router, word, message = %failure.message, hint, "tls with an endpoint failed");
    }
    failure
}

/// A handshake that failed, in words: who, for which path, asked for in which line, and how to see the same.
pub fn tls_failed(bound: &Path, tls: &ClientTls, from: &Place, addr: SocketAddr, failure: &TlsFailure) -> Failure {
    let word = match failure.word() {
        "tls_name" => Word::TlsName,
        "tls_untrusted" => Word::TlsUntrusted,
        "tls_expired" => Word::TlsExpired,
        "tls_revoked" => Word::TlsRevoked,
        _ => Word::TlsOther,
    };
    let message = format!("{addr} for {bound}: {failure}; asked for at {from}");
    let command = openssl(tls, addr).unwrap_or_default();
    Failure::new(word, message).retryable().hint(format!("to see it: {command}"))
}

/// TCP did not come about.
pub fn no_connection(bound: &Path, addr: SocketAddr, error: &io::Error) -> Failure {
    Failure::new(Word::Connect, format!("{addr} for {bound}: no connection: {}", io_words(error))).retryable()
}

/// No usable connection in time.
pub fn too_slow(bound: &Path, addr: SocketAddr, limit: Duration) -> Failure {
    let message = format!("{addr} for {bound}: no connection within connect_timeout ({limit:?})");
    Failure::new(Word::ConnectTimeout, message).retryable()
}

/// What an I/O error means, without Rust's decoration around it.
fn io_words(error: &io::Error) -> String {
    if error.kind() == io::ErrorKind::ConnectionRefused { "connection refused".to_owned() } else { error.to_string() }
}

impl AsyncRead for Stream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let this = self.get_mut();
        let limit = this.appetite.as_ref().map_or(usize::MAX, Appetite::limit) as u64;
        ready!(match &mut this.inner {
            Inner::Clear(stream) => Pin::new(&mut stream.take(limit)).poll_read(cx, buf),
            Inner::Tls(stream) => Pin::new(&mut stream.take(limit)).poll_read(cx, buf),
        })?;
        let came = buf.filled().get(before..).unwrap_or_default();
        if let Some(appetite) = &mut this.appetite {
            appetite.came(came.len());
        }
        this.received.note(came);
        Poll::Ready(this.received.look(came))
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        if this.writing == Writing::Lost {
            return Poll::Ready(Ok(buf.len()));
        }
        let wrote = ready!(match &mut this.inner {
            Inner::Clear(stream) => Pin::new(stream).poll_write(cx, buf),
            Inner::Tls(stream) => Pin::new(&mut **stream).poll_write(cx, buf),
        });
        Poll::Ready(this.wrote(wrote, buf.len()))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        if this.writing == Writing::Lost {
            return Poll::Ready(Ok(bufs.iter().map(|buf| buf.len()).sum()));
        }
        let wrote = ready!(match &mut this.inner {
            Inner::Clear(stream) => poll_write_pieces(stream, cx, bufs),
            Inner::Tls(stream) => poll_write_pieces(&mut **stream, cx, bufs),
        });
        Poll::Ready(this.wrote(wrote, bufs.iter().map(|buf| buf.len()).sum()))
    }

    fn is_write_vectored(&self) -> bool {
        match &self.inner {
            Inner::Clear(stream) => stream.is_write_vectored(),
            Inner::Tls(stream) => stream.is_write_vectored(),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        // It is called when all that was to be written has been.
        this.ahead.flushed();
        if this.writing == Writing::Lost {
            return Poll::Ready(Ok(()));
        }
        let flushed = ready!(match &mut this.inner {
            Inner::Clear(stream) => Pin::new(stream).poll_flush(cx),
            Inner::Tls(stream) => Pin::new(&mut **stream).poll_flush(cx),
        });
        Poll::Ready(this.wrote(flushed.map(|()| 0), 0).map(drop))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.get_mut().inner {
            Inner::Clear(stream) => Pin::new(stream).poll_shutdown(cx),
            Inner::Tls(stream) => Pin::new(&mut **stream).poll_shutdown(cx),
        }
    }
}
