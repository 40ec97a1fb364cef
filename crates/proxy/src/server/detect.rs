//! HTTP/1.1 or HTTP/2, told by the first bytes of a clear connection (RFC 9113 section 3.4: prior knowledge).

use std::io;

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt};

/// What the first bytes are, and the bytes themselves.
#[derive(Debug, PartialEq, Eq)]
pub enum Detected {
    /// Anything that is not the preface.
    Http1(Bytes),
    /// The preface, whole.
    Http2(Bytes),
    /// The peer left without a word.
    Nothing,
}

/// Reads until the bytes are the HTTP/2 preface, or cannot become it. The caller sets the deadline.
///
/// # Errors
/// As the connection says.
pub async fn detect<S: AsyncRead + Unpin>(stream: &mut S) -> io::Result<Detected> {
    let mut bytes = BytesMut::with_capacity(PREFACE.len());
    loop {
        let read = stream.read_buf(&mut bytes).await?;
        if bytes.is_empty() {
            return Ok(Detected::Nothing);
        }
        if bytes.len() >= PREFACE.len() && bytes.starts_with(PREFACE) {
            return Ok(Detected::Http2(bytes.freeze()));
        }
        if read == 0 || !PREFACE.starts_with(&bytes) {
            return Ok(Detected::Http1(bytes.freeze()));
        }
    }
}

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

#[cfg(test)]
mod tests {
    use tokio::io::AsyncWriteExt;

    use super::*;

    #[tokio::test]
    async fn the_preface_is_told_from_requests_however_it_is_cut() {
        for (sent, http2) in [
            (&[PREFACE][..], true),
            (&[&PREFACE[..3], &PREFACE[3..]], true),
            (&[b"GET / HTTP/1.1\r\n"], false),
            (&[b"P", b"OST / HTTP/1.1\r\n"], false),
            (&[b"PRI * HTTP/1.1\r\n\r\n"], false),
            (&[b"PRI"], false),
        ] {
            let (mut client, mut server) = tokio::io::duplex(64);
            for part in sent {
                client.write_all(part).await.expect("room");
            }
            drop(client);
            let whole = sent.concat();
            match detect(&mut server).await.expect("no error") {
                Detected::Http2(bytes) => assert!(http2 && whole.starts_with(&bytes), "{whole:?}"),
                Detected::Http1(bytes) => assert!(!http2 && whole.starts_with(&bytes), "{whole:?}"),
                Detected::Nothing => panic!("{whole:?}"),
            }
        }
        let (client, mut server) = tokio::io::duplex(64);
        drop(client);
        assert_eq!(detect(&mut server).await.expect("no error"), Detected::Nothing);
    }
}
