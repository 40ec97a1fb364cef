//! HTTP/2 on the wire, written and read by hand (RFC 9113): whatever bytes a test wants, in whatever order.

use std::io;
use std::net::SocketAddr;

use bytes::{Buf, BytesMut};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::eventually::soon;

/// Frame types (section 6; RFC 9218 section 7.1 for the last).
pub mod kind {
    #![expect(missing_docs, reason = "the names are the specification's")]
    pub const DATA: u8 = 0;
    pub const HEADERS: u8 = 1;
    pub const PRIORITY: u8 = 2;
    pub const RST_STREAM: u8 = 3;
    pub const SETTINGS: u8 = 4;
    pub const PUSH_PROMISE: u8 = 5;
    pub const PING: u8 = 6;
    pub const GOAWAY: u8 = 7;
    pub const WINDOW_UPDATE: u8 = 8;
    pub const CONTINUATION: u8 = 9;
    pub const PRIORITY_UPDATE: u8 = 16;
}

/// The body, or the header block, has padding.
pub const PADDED: u8 = 8;
/// Nothing follows on the stream; in SETTINGS and PING: an acknowledgement.
pub const END_STREAM: u8 = 1;
/// The header block ends here.
pub const END_HEADERS: u8 = 4;
/// A header block that is a whole request.
pub const WHOLE: u8 = END_HEADERS | END_STREAM;

/// A frame, right or wrong.
pub fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).expect("a frame").to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// What a client says first.
pub fn greeting(settings: &[u8]) -> Vec<u8> {
    [b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec(), frame(kind::SETTINGS, 0, 0, settings)].concat()
}

/// A header block of literals that no table remembers (RFC 7541 section 6.2.2), any bytes in names and values.
pub fn block(fields: &[(&[u8], &[u8])]) -> Vec<u8> {
    fields.iter().flat_map(|(name, value)| [vec![0], text(name), text(value)].concat()).collect()
}

fn text(text: &[u8]) -> Vec<u8> {
    let mut length = Vec::new();
    match u8::try_from(text.len()).ok().filter(|short| *short < 127) {
        Some(short) => length.push(short),
        None => {
            length.push(127);
            let mut rest = text.len() - 127;
            while rest >= 128 {
                length.push(0x80 | u8::try_from(rest % 128).expect("seven bits"));
                rest /= 128;
            }
            length.push(u8::try_from(rest).expect("seven bits"));
        }
    }
    [&length, text].concat()
}

/// The block of a request, with further fields.
pub fn request(method: &str, host: &str, more: &[(&[u8], &[u8])]) -> Vec<u8> {
    let pseudo: [(&[u8], &[u8]); 4] =
        [(b":method", method.as_bytes()), (b":scheme", b"http"), (b":path", b"/"), (b":authority", host.as_bytes())];
    block(&[&pseudo, more].concat())
}

/// A frame that came.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Frame {
    /// Its type.
    pub kind: u8,
    /// Its flags.
    pub flags: u8,
    /// Its stream.
    pub stream: u32,
    /// The rest of it.
    pub payload: Vec<u8>,
}

impl Frame {
    /// Four bytes of its payload, as a number.
    pub fn number(&self, at: usize) -> u32 {
        self.payload.get(at..at + 4).map_or(0, |mut bytes| bytes.get_u32())
    }
}

/// How a stream ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Ended {
    /// With a response of this status, whole.
    Answer(u16),
    /// By a reset with this code.
    Reset(u32),
    /// With the connection: a GOAWAY with this code.
    GoAway(u32),
    /// With the connection, without a word.
    Closed,
}

/// One side of a connection.
#[derive(Debug)]
pub struct RawHttp2 {
    stream: TcpStream,
    buffer: BytesMut,
}

impl RawHttp2 {
    /// A client that has said hello.
    pub async fn connect(addr: SocketAddr) -> Self {
        let stream = soon("connect", TcpStream::connect(addr)).await.expect("a connection");
        let mut raw = Self::new(stream);
        raw.send(&greeting(&[])).await;
        raw
    }

    /// Over a connection on which nothing was said yet.
    pub fn new(stream: TcpStream) -> Self {
        Self { stream, buffer: BytesMut::new() }
    }

    /// Sends bytes; the peer may have closed.
    pub async fn send(&mut self, bytes: &[u8]) {
        // A peer that has had enough may close in the middle: what it said before that can be read.
        drop(soon("write", self.stream.write_all(bytes)).await);
    }

    /// The next frame; `None` at the end. What asks for an acknowledgement gets it.
    pub async fn next(&mut self) -> Option<Frame> {
        let frame = soon("a frame", self.read()).await.ok()?;
        if matches!(frame.kind, kind::SETTINGS | kind::PING) && frame.flags & END_STREAM == 0 {
            let payload = if frame.kind == kind::PING { &frame.payload[..] } else { &[] };
            self.send(&self::frame(frame.kind, END_STREAM, 0, payload)).await;
        }
        Some(frame)
    }

    /// The next frame, whatever it asks for; `None` at the end.
    pub async fn next_unanswered(&mut self) -> Option<Frame> {
        soon("a frame", self.read()).await.ok()
    }

    async fn read(&mut self) -> io::Result<Frame> {
        while self.buffer.len() < 9 || self.buffer.len() < 9 + self.length() {
            if self.stream.read_buf(&mut self.buffer).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
        let length = self.length();
        let mut head = self.buffer.split_to(9);
        head.advance(3);
        let (kind, flags, stream) = (head.get_u8(), head.get_u8(), head.get_u32());
        Ok(Frame { kind, flags, stream, payload: self.buffer.split_to(length).to_vec() })
    }

    fn length(&self) -> usize {
        self.buffer[..3].iter().fold(0, |length, byte| length << 8 | usize::from(*byte))
    }

    /// Reads so many bytes that are no frames.
    pub async fn skip(&mut self, length: usize) {
        while self.buffer.len() < length {
            match soon("bytes", self.stream.read_buf(&mut self.buffer)).await {
                Ok(read) if read > 0 => {}
                _ => return,
            }
        }
        self.buffer.advance(length);
    }

    /// Reads until the stream, or the connection, has ended.
    pub async fn ended(&mut self, stream: u32) -> Ended {
        let mut answered = None;
        while let Some(frame) = self.next().await {
            match frame.kind {
                kind::GOAWAY if frame.number(4) != 0 => return Ended::GoAway(frame.number(4)),
                kind::RST_STREAM if frame.stream == stream => return Ended::Reset(frame.number(0)),
                kind::HEADERS if frame.stream == stream => answered = answered.or_else(|| status(&frame.payload)),
                _ => {}
            }
            let ends = matches!(frame.kind, kind::HEADERS | kind::DATA) && frame.flags & END_STREAM != 0;
            if let Some(status) = answered.filter(|_| ends && frame.stream == stream) {
                return Ended::Answer(status);
            }
        }
        Ended::Closed
    }
}

/// The status that a header block begins with, where it is a final one. Only what is needed of RFC 7541.
fn status(block: &[u8]) -> Option<u16> {
    let digits = match *block {
        [indexed @ 0x88..=0x8e, ..] => {
            return [200, 204, 206, 304, 400, 404, 500].get(usize::from(indexed) - 0x88).copied();
        }
        // A literal, with the name of the eighth entry of the static table.
        [0x08 | 0x18 | 0x48, length, ref rest @ ..] if length & 0x80 == 0 => rest.get(..usize::from(length))?.to_vec(),
        [0x08 | 0x18 | 0x48, length, ref rest @ ..] => unpacked(rest.get(..usize::from(length & 0x7f))?),
        _ => return None,
    };
    std::str::from_utf8(&digits).ok()?.parse().ok().filter(|status| *status >= 200)
}

/// Three digits by the Huffman code (RFC 7541 appendix B).
fn unpacked(bytes: &[u8]) -> Vec<u8> {
    let mut bits = bytes.iter().flat_map(|byte| (0..8).rev().map(move |bit| u16::from(byte >> bit & 1)));
    let mut digits = Vec::new();
    while digits.len() < 3 {
        let five = (0..5).fold(0, |code, _| code << 1 | bits.next().unwrap_or(1));
        digits.push(if five < 3 {
            b'0' + u8::try_from(five).expect("five bits")
        } else {
            let six = five << 1 | bits.next().unwrap_or(1);
            b'3' + u8::try_from(six.saturating_sub(0b01_1001)).expect("six bits")
        });
    }
    digits
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_is_read_in_each_of_its_forms() {
        for (block, expected) in [
            (&[0x88, 1, 2][..], Some(200)),
            (&[0x8c], Some(400)),
            (&[0x48, 3, b'4', b'3', b'1'], Some(431)),
            // From RFC 7541 appendix C.6.1 and C.6.2.
            (&[0x48, 0x82, 0x64, 0x02], Some(302)),
            (&[0x48, 0x83, 0x64, 0x0e, 0xff], Some(307)),
            (&[0x00, 0x01], None),
        ] {
            assert_eq!(status(block), expected, "{block:x?}");
        }
    }
}
