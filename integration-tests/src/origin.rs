//! Origins on real sockets. Each does what it is told, request by request, and remembers what it was sent.

mod http1;
mod http2;

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard};

use bytes::Bytes;
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

use crate::certs::Identity;
use crate::eventually::eventually;
use crate::tls::{Greeting, ServerSide, greeting};
use crate::wire::{Checksum, Fields, field};

/// What an origin does with a request.
#[derive(Clone, Debug)]
pub enum Behaviour {
    /// Reads the whole request and answers 200 with JSON that says what came.
    Echo,
    /// As [`Behaviour::Echo`], after [`Origin::release`].
    Gated,
    /// Answers 200 at once and sends the body back as it comes.
    Mirror,
    /// A fixed response, after the whole request.
    Reply {
        /// Status code.
        status: u16,
        /// Header fields.
        fields: Fields,
        /// Body.
        body: String,
    },
    /// A 200 whose body is these parts; before each but the first it waits for [`Origin::release`].
    Parts(Vec<String>),
    /// A response that ends with trailers.
    Trailers {
        /// Header fields.
        fields: Fields,
        /// Body.
        body: String,
        /// Trailer fields.
        trailers: Fields,
    },
    /// These interim responses at once; after [`Origin::release`] as [`Behaviour::Echo`].
    Interim(Vec<(u16, Fields)>),
    /// Ends the exchange after the request's head, without a byte (HTTP/2: a reset with this code).
    Abort,
    /// HTTP/1.1 by hand.
    Raw(Vec<Step>),
}

impl Behaviour {
    /// A response with only a status.
    pub fn status(status: u16) -> Self {
        Self::Reply { status, fields: Fields::new(), body: String::new() }
    }

    /// These bytes, and the connection stays as it is.
    pub fn raw(bytes: impl Into<Vec<u8>>) -> Self {
        Self::Raw(vec![Step::send(bytes)])
    }

    /// These bytes, and the connection is closed.
    pub fn raw_then_close(bytes: impl Into<Vec<u8>>) -> Self {
        Self::Raw(vec![Step::send(bytes), Step::Close])
    }
}

/// A step of [`Behaviour::Raw`].
#[derive(Clone, Debug)]
pub enum Step {
    /// Sends bytes.
    Send(Bytes),
    /// Reads the request's body.
    Body,
    /// Waits for [`Origin::release`].
    Gate,
    /// The same, reading nothing in the meantime.
    Deaf,
    /// Sends back what comes, until the peer closes.
    Tunnel,
    /// Closes the connection.
    Close,
}

impl Step {
    /// Sends bytes.
    pub fn send(bytes: impl Into<Vec<u8>>) -> Self {
        Self::Send(Bytes::from(bytes.into()))
    }
}

/// What an origin does with a connection.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Manner {
    /// As the client begins: HTTP/2 after its preface, else HTTP/1.1.
    Sniffed,
    Http1,
    Http2,
    /// As ALPN says.
    Negotiated,
    /// Accepts, and never reads or writes.
    Silent,
    /// Accepts, and closes.
    Closing,
}

/// A request as it arrived.
#[derive(Clone, Debug)]
pub struct Seen {
    /// Which of the origin's connections, from 0.
    pub connection: usize,
    /// Method.
    pub method: String,
    /// Request target as it stood there.
    pub target: String,
    /// `HTTP/1.1` or `HTTP/2.0`.
    pub version: String,
    /// Fields in order; on HTTP/2 with `:authority` and `:scheme`.
    pub fields: Fields,
    /// The head byte by byte (HTTP/1.1).
    pub raw: Bytes,
    /// What TLS said, if there was any.
    pub greeting: Option<Greeting>,
    /// The body, once it came to its end.
    pub body: Option<BodySeen>,
}

/// A whole body as it arrived.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct BodySeen {
    /// Bytes.
    pub length: u64,
    /// Over all bytes.
    pub sum: Checksum,
    /// Trailer fields.
    pub trailers: Fields,
}

impl Seen {
    /// The first field called `name`.
    pub fn header(&self, name: &str) -> Option<&str> {
        field(&self.fields, name)
    }

    /// All fields called `name`.
    pub fn headers(&self, name: &str) -> Vec<&str> {
        crate::wire::fields(&self.fields, name)
    }

    fn to_json(&self, origin: &str, body: &BodySeen) -> Value {
        json!({
            "origin": origin, "connection": self.connection, "method": self.method, "target": self.target,
            "version": self.version, "headers": self.fields, "sni": self.greeting.as_ref().and_then(|tls| tls.sni.clone()),
            "body": { "length": body.length, "sum": body.sum.to_string(), "trailers": body.trailers },
        })
    }
}

#[derive(Debug, Default)]
struct Log {
    connections: usize,
    refused_handshakes: usize,
    aborted: usize,
    seen: Vec<Seen>,
}

/// What an origin's connections share.
#[derive(Debug)]
struct Shared {
    name: String,
    plan: Mutex<Vec<Behaviour>>,
    log: Mutex<Log>,
    gate: Semaphore,
}

impl Shared {
    fn log(&self) -> MutexGuard<'_, Log> {
        self.log.lock().expect("no panic while it is held")
    }

    /// Notes a request; gives its number, and what is to be done with it.
    fn record(&self, seen: Seen) -> (usize, Behaviour) {
        let mut log = self.log();
        let number = log.seen.len();
        log.seen.push(seen);
        drop(log);
        let plan = self.plan.lock().expect("no panic while it is held");
        (number, plan.get(number).or_else(|| plan.last()).cloned().unwrap_or(Behaviour::Echo))
    }

    fn body_came(&self, number: usize, body: BodySeen) -> Value {
        let mut log = self.log();
        let seen = &mut log.seen[number];
        let json = seen.to_json(&self.name, &body);
        seen.body = Some(body);
        json
    }

    fn aborted(&self) {
        self.log().aborted += 1;
    }

    async fn pass_gate(&self) {
        if let Ok(permit) = self.gate.acquire().await {
            permit.forget();
        }
    }
}

/// An origin; dropping it closes its listener and all its connections.
#[derive(Debug)]
pub struct Origin {
    addr: SocketAddr,
    shared: Arc<Shared>,
    tasks: JoinSet<()>,
}

impl Origin {
    /// Clear text, in the version that the client speaks; echoes.
    pub async fn http(name: &str) -> Self {
        Self::named(name).start().await
    }

    /// HTTP/1.1 over TLS; echoes.
    pub async fn https(name: &str, identity: &Identity) -> Self {
        Self::named(name).tls(ServerSide::new(identity)).start().await
    }

    /// HTTP/2 in clear text; echoes.
    pub async fn h2c(name: &str) -> Self {
        Self::named(name).http2().start().await
    }

    /// Clear text, in the version that the client speaks; does this with every request.
    pub async fn that(behaviour: Behaviour) -> Self {
        Self::named("origin").plan([behaviour]).start().await
    }

    /// One to be told more.
    pub fn named(name: &str) -> OriginBuilder {
        OriginBuilder { name: name.to_owned(), manner: Manner::Sniffed, tls: None, plan: Vec::new(), port: 0 }
    }

    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Its port.
    pub fn port(&self) -> u16 {
        self.addr.port()
    }

    /// Changes what it does with requests from now on.
    pub fn now(&self, behaviour: Behaviour) {
        *self.shared.plan.lock().expect("no panic while it is held") = vec![behaviour];
    }

    /// Lets `count` waits at the gate pass, present or later ones.
    pub fn release(&self, count: usize) {
        self.shared.gate.add_permits(count);
    }

    /// Lets every wait at the gate pass, for good.
    pub fn open(&self) {
        self.shared.gate.close();
    }

    /// How many requests came, by their heads.
    pub fn requests(&self) -> usize {
        self.shared.log().seen.len()
    }

    /// How many connections were accepted, and with TLS came through the handshake.
    pub fn connections(&self) -> usize {
        self.shared.log().connections
    }

    /// How many handshakes failed.
    pub fn refused_handshakes(&self) -> usize {
        self.shared.log().refused_handshakes
    }

    /// How many exchanges the peer gave up while they waited at the gate or sent their body.
    pub fn aborted(&self) -> usize {
        self.shared.log().aborted
    }

    /// All requests that came.
    pub fn seen(&self) -> Vec<Seen> {
        self.shared.log().seen.clone()
    }

    /// The request that came last.
    #[track_caller]
    pub fn last(&self) -> Seen {
        self.shared.log().seen.last().cloned().expect("a request reached the origin")
    }

    /// Waits until `count` requests have come.
    pub async fn has_requests(&self, count: usize) {
        eventually("requests at the origin", async || match self.requests() {
            came if came >= count => Ok(()),
            came => Err(format!("{came} of {count}")),
        })
        .await;
    }

    /// Waits until the peer has given up `count` exchanges.
    pub async fn has_aborted(&self, count: usize) {
        eventually("abandoned exchanges", async || match self.aborted() {
            came if came >= count => Ok(()),
            came => Err(format!("{came} of {count}")),
        })
        .await;
    }

    /// Ends it; its port is free afterwards.
    pub async fn stop(mut self) -> SocketAddr {
        self.tasks.shutdown().await;
        self.addr
    }
}

/// An [`Origin`] to be.
#[derive(Clone, Debug)]
pub struct OriginBuilder {
    name: String,
    manner: Manner,
    tls: Option<ServerSide>,
    plan: Vec<Behaviour>,
    port: u16,
}

impl OriginBuilder {
    /// Over TLS.
    #[must_use]
    pub fn tls(mut self, side: ServerSide) -> Self {
        self.tls = Some(side);
        self
    }

    /// Speaks HTTP/1.1 only.
    #[must_use]
    pub fn http1(mut self) -> Self {
        self.manner = Manner::Http1;
        self
    }

    /// Speaks HTTP/2 only.
    #[must_use]
    pub fn http2(mut self) -> Self {
        self.manner = Manner::Http2;
        self
    }

    /// Speaks what ALPN agrees on.
    #[must_use]
    pub fn negotiated(mut self) -> Self {
        self.manner = Manner::Negotiated;
        self
    }

    /// Accepts connections and never says a word.
    #[must_use]
    pub fn silent(mut self) -> Self {
        self.manner = Manner::Silent;
        self
    }

    /// Accepts connections and closes them.
    #[must_use]
    pub fn closing(mut self) -> Self {
        self.manner = Manner::Closing;
        self
    }

    /// What it does with the first request, the second, ...; the last one holds for all that follow.
    #[must_use]
    pub fn plan(mut self, plan: impl IntoIterator<Item = Behaviour>) -> Self {
        self.plan = plan.into_iter().collect();
        self
    }

    /// On this port.
    #[must_use]
    pub fn port(mut self, port: u16) -> Self {
        self.port = port;
        self
    }

    /// Listens.
    pub async fn start(self) -> Origin {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, self.port)).await.expect("a free port");
        let addr = listener.local_addr().expect("a bound socket");
        let shared = Arc::new(Shared {
            name: self.name,
            plan: Mutex::new(self.plan),
            log: Mutex::default(),
            gate: Semaphore::new(0),
        });
        let acceptor = self.tls.map(|side| side.acceptor());
        let mut tasks = JoinSet::new();
        tasks.spawn(accept(listener, acceptor, self.manner, Arc::clone(&shared)));
        Origin { addr, shared, tasks }
    }
}

/// Owns the connections: they end with it.
async fn accept(listener: TcpListener, acceptor: Option<TlsAcceptor>, manner: Manner, shared: Arc<Shared>) {
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        while connections.try_join_next().is_some() {}
        connections.spawn(connection(stream, acceptor.clone(), manner, Arc::clone(&shared)));
    }
}

async fn connection(stream: TcpStream, acceptor: Option<TlsAcceptor>, manner: Manner, shared: Arc<Shared>) {
    if manner == Manner::Silent {
        shared.log().connections += 1;
        return std::future::pending().await;
    }
    let Some(acceptor) = acceptor else {
        let manner = if manner == Manner::Sniffed { sniff(&stream).await } else { manner };
        return serve(shared, stream, manner, None).await;
    };
    match acceptor.accept(stream).await {
        Ok(stream) => {
            let greeting = greeting(&stream);
            serve(shared, stream, manner, Some(greeting)).await;
        }
        Err(_) => shared.log().refused_handshakes += 1,
    }
}

/// No method begins as HTTP/2's preface does, and both peers send their first bytes in one piece.
async fn sniff(stream: &TcpStream) -> Manner {
    let mut first = [0; 4];
    match stream.peek(&mut first).await {
        Ok(_) if first == *b"PRI " => Manner::Http2,
        _ => Manner::Http1,
    }
}

async fn serve(shared: Arc<Shared>, io: impl crate::wire::Io + 'static, manner: Manner, greeting: Option<Greeting>) {
    let number = {
        let mut log = shared.log();
        log.connections += 1;
        log.connections - 1
    };
    let by_alpn = greeting.as_ref().and_then(|tls| tls.alpn.as_deref()) == Some("h2");
    // How a connection ends is the peer's affair; tests look at what came through it.
    match manner {
        Manner::Silent | Manner::Closing => {}
        Manner::Http2 => drop(http2::serve(shared, io, number, greeting).await),
        Manner::Negotiated if by_alpn => drop(http2::serve(shared, io, number, greeting).await),
        Manner::Http1 | Manner::Negotiated | Manner::Sniffed => {
            drop(http1::serve(shared, Box::new(io), number, greeting).await);
        }
    }
}

/// An address where connecting neither succeeds nor fails: its queue of new connections is full.
#[derive(Debug)]
pub struct BlackHole {
    addr: SocketAddr,
    _listener: TcpListener,
    _queue: Vec<TcpStream>,
}

impl BlackHole {
    /// Makes one.
    pub async fn start() -> io::Result<Self> {
        let socket = TcpSocket::new_v4()?;
        socket.bind((Ipv4Addr::LOCALHOST, 0).into())?;
        let listener = socket.listen(1)?;
        let addr = listener.local_addr()?;
        let mut queue = Vec::new();
        let patience = std::time::Duration::from_millis(300);
        while let Ok(connected) = tokio::time::timeout(patience, TcpStream::connect(addr)).await {
            queue.push(connected?);
        }
        Ok(Self { addr, _listener: listener, _queue: queue })
    }

    /// Where.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }
}
