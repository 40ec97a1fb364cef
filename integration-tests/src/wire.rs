//! HTTP/1.1 on the wire, read by hand: what clients and origins of the tests have in common.

use std::io;

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

/// A socket, or TLS over one.
pub trait Io: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Io for T {}

/// Fields in the order and spelling in which they came.
pub type Fields = Vec<(String, String)>;

/// The value of the first field called `name`, in any case.
pub fn field<'a>(fields: &'a [(String, String)], name: &str) -> Option<&'a str> {
    fields.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
}

/// The values of all fields called `name`.
pub fn fields<'a>(fields: &'a [(String, String)], name: &str) -> Vec<&'a str> {
    fields.iter().filter(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str()).collect()
}

/// A request's or a response's head.
#[derive(Clone, Debug)]
pub struct Head {
    /// The first line.
    pub line: String,
    /// All fields.
    pub fields: Fields,
    /// Every byte of it, the empty line included.
    pub raw: Bytes,
}

impl Head {
    fn parse(raw: Bytes) -> io::Result<Self> {
        let text = String::from_utf8_lossy(&raw);
        let mut lines = text.trim_end_matches("\r\n").split("\r\n");
        let line = lines.next().unwrap_or_default().to_owned();
        let fields = lines.map(parse_field).collect::<io::Result<Fields>>()?;
        Ok(Self { line, fields, raw })
    }

    /// The first field called `name`.
    pub fn field(&self, name: &str) -> Option<&str> {
        field(&self.fields, name)
    }

    /// The words of the first line.
    pub fn words(&self) -> Vec<&str> {
        self.line.split(' ').collect()
    }

    /// How the body that follows is framed. `otherwise` holds when no field says so.
    pub fn framing(&self, otherwise: Framing) -> io::Result<Framing> {
        if self.field("transfer-encoding").is_some_and(|coding| coding.eq_ignore_ascii_case("chunked")) {
            return Ok(Framing::Chunked { left: 0, started: false });
        }
        match self.field("content-length") {
            Some(text) => text.parse().map(Framing::Length).map_err(|_| invalid(format!("content-length {text}"))),
            None => Ok(otherwise),
        }
    }
}

fn parse_field(line: &str) -> io::Result<(String, String)> {
    let (name, value) = line.split_once(':').ok_or_else(|| invalid(format!("no field: {line:?}")))?;
    Ok((name.to_owned(), value.trim().to_owned()))
}

/// What of a body is still to come.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Framing {
    /// This many bytes; none, when there is no body.
    Length(u64),
    /// Chunks, of which the present one has `left` bytes.
    Chunked {
        /// Bytes of the present chunk that were not read.
        left: u64,
        /// Whether a chunk was read before, whose line end is still in the way.
        started: bool,
    },
    /// Whatever comes until the peer closes.
    UntilClose,
    /// The end was seen.
    Done,
}

/// A connection that speaks HTTP/1.1.
pub struct Wire {
    io: Box<dyn Io>,
    buffer: BytesMut,
    /// Trailer fields of the body that was read last.
    pub trailers: Fields,
}

impl std::fmt::Debug for Wire {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Wire").field("buffer", &self.buffer).finish_non_exhaustive()
    }
}

impl Wire {
    /// Over `io`.
    pub fn new(io: Box<dyn Io>) -> Self {
        Self { io, buffer: BytesMut::new(), trailers: Fields::new() }
    }

    /// Sends bytes as they are.
    pub async fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.io.write_all(bytes).await?;
        self.io.flush().await
    }

    /// Ends this direction.
    pub async fn shutdown(&mut self) -> io::Result<()> {
        self.io.shutdown().await
    }

    /// Reads what comes next into the buffer; 0 at the end. Dropping the future loses nothing.
    pub async fn fill(&mut self) -> io::Result<usize> {
        self.buffer.reserve(16 * 1024);
        self.io.read_buf(&mut self.buffer).await
    }

    /// What was received and not read yet.
    pub fn buffered(&self) -> &[u8] {
        &self.buffer
    }

    /// The next head; `None` when the peer closes before its first byte.
    pub async fn head(&mut self) -> io::Result<Option<Head>> {
        loop {
            if let Some(at) = self.buffer.windows(4).position(|window| window == b"\r\n\r\n") {
                return Head::parse(self.buffer.split_to(at + 4).freeze()).map(Some);
            }
            if self.fill().await? == 0 {
                return if self.buffer.is_empty() { Ok(None) } else { Err(cut("in a head")) };
            }
        }
    }

    /// The next bytes of a body, as they come; `None` at its end.
    pub async fn piece(&mut self, framing: &mut Framing) -> io::Result<Option<Bytes>> {
        match *framing {
            Framing::Done | Framing::Length(0) => {
                *framing = Framing::Done;
                Ok(None)
            }
            Framing::Length(left) => {
                let piece = self.up_to(left).await?;
                *framing = Framing::Length(left - piece.len() as u64);
                Ok(Some(piece))
            }
            Framing::UntilClose => self.until_close(framing).await,
            Framing::Chunked { left: 0, started } => self.next_chunk(framing, started).await,
            Framing::Chunked { left, .. } => {
                let piece = self.up_to(left).await?;
                *framing = Framing::Chunked { left: left - piece.len() as u64, started: true };
                Ok(Some(piece))
            }
        }
    }

    /// The rest of a body.
    pub async fn body(&mut self, mut framing: Framing) -> io::Result<Vec<u8>> {
        let mut body = Vec::new();
        while let Some(piece) = self.piece(&mut framing).await? {
            body.extend_from_slice(&piece);
        }
        Ok(body)
    }

    async fn up_to(&mut self, left: u64) -> io::Result<Bytes> {
        if self.buffer.is_empty() && self.fill().await? == 0 {
            return Err(cut("in a body"));
        }
        let take = usize::try_from(left).unwrap_or(usize::MAX).min(self.buffer.len());
        Ok(self.buffer.split_to(take).freeze())
    }

    async fn until_close(&mut self, framing: &mut Framing) -> io::Result<Option<Bytes>> {
        if self.buffer.is_empty() && self.fill().await? == 0 {
            *framing = Framing::Done;
            return Ok(None);
        }
        Ok(Some(self.buffer.split().freeze()))
    }

    async fn next_chunk(&mut self, framing: &mut Framing, started: bool) -> io::Result<Option<Bytes>> {
        if started && !self.line().await?.is_empty() {
            return Err(invalid("bytes after a chunk".to_owned()));
        }
        let line = self.line().await?;
        let digits = line.split(';').next().unwrap_or_default();
        let size = u64::from_str_radix(digits, 16).map_err(|_| invalid(format!("chunk size {line:?}")))?;
        if size > 0 {
            *framing = Framing::Chunked { left: size, started: true };
            let piece = self.up_to(size).await?;
            *framing = Framing::Chunked { left: size - piece.len() as u64, started: true };
            return Ok(Some(piece));
        }
        self.trailers.clear();
        loop {
            let line = self.line().await?;
            if line.is_empty() {
                *framing = Framing::Done;
                return Ok(None);
            }
            self.trailers.push(parse_field(&line)?);
        }
    }

    async fn line(&mut self) -> io::Result<String> {
        loop {
            if let Some(at) = self.buffer.windows(2).position(|window| window == b"\r\n") {
                let line = self.buffer.split_to(at + 2);
                return Ok(String::from_utf8_lossy(&line[..at]).into_owned());
            }
            if self.fill().await? == 0 {
                return Err(cut("in a chunk's line"));
            }
        }
    }
}

/// One chunk of a chunked body.
pub fn chunk(bytes: &[u8]) -> Vec<u8> {
    let mut framed = format!("{:x}\r\n", bytes.len()).into_bytes();
    framed.extend_from_slice(bytes);
    framed.extend_from_slice(b"\r\n");
    framed
}

/// A checksum (FNV-1a) for bodies too big to compare in a message.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Checksum(u64);

impl Default for Checksum {
    fn default() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }
}

impl Checksum {
    /// Of `bytes`.
    pub fn of(bytes: &[u8]) -> Self {
        let mut sum = Self::default();
        sum.add(bytes);
        sum
    }

    /// Takes in more bytes.
    pub fn add(&mut self, bytes: &[u8]) {
        self.0 = bytes.iter().fold(self.0, |sum, byte| (sum ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3));
    }
}

impl std::fmt::Display for Checksum {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

fn cut(place: &str) -> io::Error {
    io::Error::new(io::ErrorKind::UnexpectedEof, format!("closed {place}"))
}

fn invalid(what: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}
