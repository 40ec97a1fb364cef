//! Clients: HTTP/1.1 byte by byte, HTTP/2 stream by stream, both in clear text or over TLS.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::Poll;

use bytes::Bytes;
use h2::client::{ResponseFuture, SendRequest};
use h2::{RecvStream, SendStream};
use http::HeaderMap;
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use crate::answer::Answer;
use crate::ask::Ask;
use crate::eventually::{eventually, soon};
use crate::tls::ClientSide;
use crate::wire::{Fields, Framing, Head, Io, Wire};

/// One HTTP/1.1 connection.
#[derive(Debug)]
pub struct Http1 {
    wire: Wire,
}

impl Http1 {
    /// In clear text.
    pub async fn connect(addr: SocketAddr) -> Self {
        Self::try_connect(addr).await.unwrap_or_else(|error| panic!("{addr}: {error}"))
    }

    /// In clear text, when nobody may be there.
    pub async fn try_connect(addr: SocketAddr) -> io::Result<Self> {
        let stream = soon("connect", TcpStream::connect(addr)).await?;
        Ok(Self { wire: Wire::new(Box::new(stream)) })
    }

    /// Over TLS.
    pub async fn tls(addr: SocketAddr, side: &ClientSide) -> io::Result<Self> {
        let stream = soon("connect", TcpStream::connect(addr)).await?;
        let stream = soon("handshake", side.connect(stream)).await?;
        Ok(Self { wire: Wire::new(Box::new(stream)) })
    }

    /// Sends bytes as they are.
    pub async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.try_send(bytes.as_ref()).await.expect("the connection takes the bytes");
    }

    /// Sends bytes, when the peer may have closed.
    pub async fn try_send(&mut self, bytes: &[u8]) -> io::Result<()> {
        soon("write", self.wire.write(bytes)).await
    }

    /// Ends the sending direction.
    pub async fn shutdown(&mut self) {
        self.wire.shutdown().await.expect("the connection can be shut down");
    }

    /// One exchange.
    #[track_caller]
    pub fn ask(&mut self, ask: &Ask) -> impl Future<Output = Answer> {
        let place = std::panic::Location::caller();
        async move {
            let answer = self.try_ask(ask).await;
            answer.unwrap_or_else(|error| panic!("{place}: {} {}{}: {error}", ask.method, ask.host, ask.target))
        }
    }

    /// One exchange that may break off.
    pub async fn try_ask(&mut self, ask: &Ask) -> io::Result<Answer> {
        self.try_send(&ask.to_http1()).await?;
        self.answer_to(&ask.method).await
    }

    /// Reads a whole response to a request that was sent before.
    pub async fn answer_to(&mut self, method: &str) -> io::Result<Answer> {
        soon("a response", self.read_answer(method)).await
    }

    async fn read_answer(&mut self, method: &str) -> io::Result<Answer> {
        let mut interim = Vec::new();
        loop {
            let head = self.wire.head().await?.ok_or(io::ErrorKind::UnexpectedEof)?;
            let (version, code) = status_line(&head)?;
            if code < 200 && code != 101 {
                interim.push(code);
                continue;
            }
            let framing = response_framing(method, code, &head)?;
            let body = self.wire.body(framing).await?;
            let trailers = std::mem::take(&mut self.wire.trailers);
            return Ok(Answer { version, code, interim, fields: head.fields, body, trailers });
        }
    }

    /// Reads one head, interim or final.
    pub async fn head(&mut self) -> Head {
        let head = soon("a response's head", self.wire.head()).await;
        head.expect("a response's head").expect("a response before the end of the connection")
    }

    /// The next bytes of a body, as they come.
    pub async fn piece(&mut self, framing: &mut Framing) -> io::Result<Option<Bytes>> {
        soon("a piece of a body", self.wire.piece(framing)).await
    }

    /// The next `length` bytes of a body, however they are cut.
    pub async fn take(&mut self, framing: &mut Framing, length: usize) -> String {
        let mut taken = Vec::new();
        while taken.len() < length {
            let piece = self.piece(framing).await.expect("a piece of a body");
            taken.extend_from_slice(&piece.unwrap_or_else(|| panic!("the body ends after {} bytes", taken.len())));
        }
        String::from_utf8_lossy(&taken).into_owned()
    }

    /// Bytes of a connection that has become a tunnel.
    pub async fn tunnelled(&mut self) -> Option<Bytes> {
        self.piece(&mut Framing::UntilClose).await.expect("the tunnel is open")
    }

    /// Waits for the peer to close; gives what came before that.
    pub async fn until_closed(&mut self) -> Vec<u8> {
        let mut rest = Vec::new();
        let mut framing = Framing::UntilClose;
        // A reset is as good an end as an orderly one.
        while let Ok(Some(piece)) = self.piece(&mut framing).await {
            rest.extend_from_slice(&piece);
        }
        rest
    }
}

fn status_line(head: &Head) -> io::Result<(String, u16)> {
    let words = head.words();
    let code = words.get(1).and_then(|code| code.parse().ok());
    let code =
        code.ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, format!("status line {:?}", head.line)))?;
    Ok((words[0].to_owned(), code))
}

/// How a response's body is framed (RFC 9112 section 6.3).
pub fn response_framing(method: &str, code: u16, head: &Head) -> io::Result<Framing> {
    if method == "HEAD" || matches!(code, 100..=199 | 204 | 304) {
        return Ok(Framing::Length(0));
    }
    head.framing(Framing::UntilClose)
}

/// One HTTP/2 connection.
#[derive(Debug)]
pub struct Http2 {
    sender: SendRequest<Bytes>,
    connection: JoinSet<Result<(), h2::Error>>,
    scheme: &'static str,
}

impl Http2 {
    /// In clear text, with prior knowledge.
    pub async fn connect(addr: SocketAddr) -> Self {
        let stream = soon("connect", TcpStream::connect(addr)).await.unwrap_or_else(|error| panic!("{addr}: {error}"));
        Self::over(stream, "http").await
    }

    /// In clear text, on a connection that has begun with something else.
    pub async fn on(stream: TcpStream) -> Self {
        Self::over(stream, "http").await
    }

    /// Over TLS; `side` offers `h2`.
    pub async fn tls(addr: SocketAddr, side: &ClientSide) -> io::Result<Self> {
        let stream = soon("connect", TcpStream::connect(addr)).await?;
        let stream = soon("handshake", side.connect(stream)).await?;
        assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]), "the server takes h2");
        Ok(Self::over(stream, "https").await)
    }

    async fn over(stream: impl Io + 'static, scheme: &'static str) -> Self {
        let (sender, driver) = soon(
            "preface",
            h2::client::Builder::new().initial_connection_window_size(CONNECTION_WINDOW).handshake(stream),
        )
        .await
        .expect("an HTTP/2 connection");
        let mut connection = JoinSet::new();
        connection.spawn(driver);
        Self { sender, connection, scheme }
    }

    /// One exchange.
    pub async fn ask(&self, ask: &Ask) -> Answer {
        let answer = self.try_ask(ask).await;
        answer.unwrap_or_else(|error| panic!("{} {}{}: {error}", ask.method, ask.host, ask.target))
    }

    /// One exchange that may be reset.
    pub async fn try_ask(&self, ask: &Ask) -> Result<Answer, h2::Error> {
        let mut stream = self.open(ask).await?;
        match &ask.body {
            Some(body) if !body.is_empty() => stream.send(body.clone(), true)?,
            Some(_) => stream.send(Vec::new(), true)?,
            None => {}
        }
        stream.answer().await
    }

    /// Opens a stream. It stays open for sending when `ask` has a body (which is not sent yet).
    pub async fn open(&self, ask: &Ask) -> Result<Exchange, h2::Error> {
        let mut ready = soon("room for a stream", self.sender.clone().ready()).await?;
        let (response, sender) = ready.send_request(ask.to_http2(self.scheme), ask.body.is_none())?;
        Ok(Exchange { response: Some(response), interim: Vec::new(), sender, body: None })
    }

    /// Opens a stream by extended CONNECT (RFC 8441), once the server has said that it takes those.
    pub async fn extended(&self, protocol: &'static str, ask: &Ask) -> Result<Exchange, h2::Error> {
        let announced = || self.sender.is_extended_connect_protocol_enabled();
        eventually("extended CONNECT is announced", async || {
            announced().then_some(()).ok_or_else(|| "not yet".to_owned())
        })
        .await;
        let mut ready = soon("room for a stream", self.sender.clone().ready()).await?;
        let mut request = ask.to_http2(self.scheme);
        request.extensions_mut().insert(h2::ext::Protocol::from_static(protocol));
        let (response, sender) = ready.send_request(request, false)?;
        Ok(Exchange { response: Some(response), interim: Vec::new(), sender, body: None })
    }

    /// Waits until the peer ends the connection.
    pub async fn closed(&mut self) {
        let ended = soon("the end of the connection", self.connection.join_next()).await;
        // How it ended is not what is asked here.
        drop(ended);
    }
}

/// One stream of an HTTP/2 connection.
#[derive(Debug)]
pub struct Exchange {
    response: Option<ResponseFuture>,
    interim: Vec<u16>,
    sender: SendStream<Bytes>,
    body: Option<RecvStream>,
}

impl Exchange {
    /// Sends a piece of the body.
    pub fn send(&mut self, piece: impl Into<Bytes>, end: bool) -> Result<(), h2::Error> {
        self.sender.send_data(piece.into(), end)
    }

    /// Ends the request with trailer fields.
    pub fn send_trailers(&mut self, trailers: HeaderMap) -> Result<(), h2::Error> {
        self.sender.send_trailers(trailers)
    }

    /// Gives the stream up.
    pub fn cancel(&mut self) {
        self.sender.send_reset(h2::Reason::CANCEL);
    }

    /// Waits for an interim response.
    pub async fn interim(&mut self) -> (u16, Fields) {
        let response = self.response.as_mut().expect("the head was not read");
        let next = soon("an interim response", std::future::poll_fn(|cx| response.poll_informational(cx))).await;
        let (parts, ()) = next.expect("an interim response").expect("an open stream").into_parts();
        self.interim.push(parts.status.as_u16());
        (parts.status.as_u16(), listed(&parts.headers))
    }

    /// Waits for the response's head; notes the interim ones before it.
    pub async fn head(&mut self) -> Result<(u16, Fields), h2::Error> {
        let mut response = self.response.take().expect("the head is read once");
        let interim = &mut self.interim;
        let response = std::future::poll_fn(|cx| {
            while let Poll::Ready(Some(Ok(head))) = response.poll_informational(cx) {
                interim.push(head.status().as_u16());
            }
            Pin::new(&mut response).poll(cx)
        });
        let (parts, body) = soon("a response's head", response).await?.into_parts();
        self.body = Some(body);
        Ok((parts.status.as_u16(), listed(&parts.headers)))
    }

    /// The next bytes of the body; `None` at its end.
    pub async fn piece(&mut self) -> Result<Option<Bytes>, h2::Error> {
        let body = self.body.as_mut().expect("the head was read");
        loop {
            let Some(piece) = soon("a piece of a body", body.data()).await.transpose()? else { return Ok(None) };
            body.flow_control().release_capacity(piece.len())?;
            // An empty frame may carry the end of the stream: it is no piece of the body.
            if !piece.is_empty() {
                return Ok(Some(piece));
            }
        }
    }

    /// The next `length` bytes of the body, however they are cut.
    pub async fn take(&mut self, length: usize) -> String {
        let mut taken = Vec::new();
        while taken.len() < length {
            let piece = self.piece().await.expect("a piece of a body");
            taken.extend_from_slice(&piece.unwrap_or_else(|| panic!("the body ends after {} bytes", taken.len())));
        }
        String::from_utf8_lossy(&taken).into_owned()
    }

    /// The trailers after the body.
    pub async fn trailers(&mut self) -> Result<Fields, h2::Error> {
        let body = self.body.as_mut().expect("the head was read");
        Ok(soon("trailers", body.trailers()).await?.map(|fields| listed(&fields)).unwrap_or_default())
    }

    /// The whole response.
    pub async fn answer(&mut self) -> Result<Answer, h2::Error> {
        let (code, fields) = self.head().await?;
        let mut body = Vec::new();
        while let Some(piece) = self.piece().await? {
            body.extend_from_slice(&piece);
        }
        let trailers = self.trailers().await?;
        Ok(Answer {
            version: "HTTP/2.0".to_owned(),
            code,
            interim: std::mem::take(&mut self.interim),
            fields,
            body,
            trailers,
        })
    }
}

/// So much that a stream which nobody reads leaves room for the others.
const CONNECTION_WINDOW: u32 = 16 << 20;

/// Fields as a list of text.
pub fn listed(fields: &HeaderMap) -> Fields {
    let text = |value: &http::HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
    fields.iter().map(|(name, value)| (name.to_string(), text(value))).collect()
}
