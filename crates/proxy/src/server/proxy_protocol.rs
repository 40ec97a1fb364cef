//! Whom a balancer in front speaks for: the PROXY protocol, versions 1 and 2, in front of everything else.
//!
//! Read only from peers that the configuration lists, and required of them: a receiver must not guess (HAProxy's
//! specification, section 2). Exactly the header is read, since TLS may follow.

use std::io;
use std::net::SocketAddr;

use proxy_header::{ParseConfig, ProxyHeader};
use tokio::io::{AsyncRead, AsyncReadExt};

/// What a header says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Told {
    /// The connection is this client's.
    Client(SocketAddr),
    /// The connection is the balancer's own, such as a health check.
    Own,
    /// Somebody's, but nobody knows whose.
    Unknown,
}

/// Reads the header. The caller sets the deadline.
///
/// # Errors
/// [`io::ErrorKind::InvalidData`] where something else came; otherwise as the connection says.
pub async fn read<S: AsyncRead + Unpin>(stream: &mut S) -> io::Result<Told> {
    let mut bytes = vec![0; SHORTEST];
    stream.read_exact(&mut bytes).await?;
    loop {
        match parse(&bytes)? {
            Parsed::Whole(told) => return Ok(told),
            Parsed::Part(missing) => {
                let had = bytes.len();
                bytes.resize(had + missing, 0);
                stream.read_exact(bytes.get_mut(had..).unwrap_or_default()).await?;
            }
        }
    }
}

/// What bytes come to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Parsed {
    /// They are a header.
    Whole(Told),
    /// They may become one: at least so many more bytes are of it.
    Part(usize),
}

/// Judges the beginning of a connection, which must not hold more than the header.
///
/// # Errors
/// It is no header, or too long a one.
pub fn parse(bytes: &[u8]) -> io::Result<Parsed> {
    let none = || io::Error::new(io::ErrorKind::InvalidData, "no header of the PROXY protocol");
    let version2 = bytes.starts_with(SIGNATURE);
    let missing = if version2 {
        let length = match bytes.get(14..16) {
            Some(length) => length.iter().fold(0, |length, byte| length << 8 | usize::from(*byte)),
            None => return Ok(Parsed::Part(16_usize.saturating_sub(bytes.len()).max(1))),
        };
        if length > MOST {
            return Err(none());
        }
        (16 + length).saturating_sub(bytes.len())
    } else {
        let is_line = bytes.starts_with(b"PROXY ") && bytes.len() <= LONGEST_LINE;
        if !is_line && bytes.len() >= SHORTEST {
            return Err(none());
        }
        usize::from(!bytes.ends_with(b"\r\n"))
    };
    if missing > 0 {
        return Ok(Parsed::Part(missing));
    }
    let (header, length) = ProxyHeader::parse(bytes, ParseConfig::default()).map_err(|_| none())?;
    if length != bytes.len() {
        return Err(none());
    }
    Ok(Parsed::Whole(match header.proxied_address() {
        Some(address) => Told::Client(address.source),
        None if version2 && bytes.get(12) == Some(&0x20) => Told::Own,
        None => Told::Unknown,
    }))
}

const SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";
/// `PROXY UNKNOWN\r\n`: no header is shorter.
const SHORTEST: usize = 15;
/// Version 1, its line end included.
const LONGEST_LINE: usize = 107;
/// Version 2, behind its 16 bytes: addresses, and what else a balancer tells (certificates, its own identifiers).
const MOST: usize = 4096;

#[cfg(test)]
mod tests {
    use super::*;

    fn v2(command: u8, family: u8, payload: &[u8]) -> Vec<u8> {
        let length = u16::try_from(payload.len()).expect("a short payload").to_be_bytes();
        [SIGNATURE, &[command, family], &length, payload].concat()
    }

    fn client(addr: &str) -> Told {
        Told::Client(addr.parse().expect("an address"))
    }

    #[tokio::test]
    async fn exactly_the_header_is_read_however_it_comes() {
        let v4 = [192, 0, 2, 1, 10, 0, 0, 1, 0x30, 0x39, 0, 80];
        let v6 = [[0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1], [0; 16]].concat();
        for (header, told) in [
            (b"PROXY TCP4 192.0.2.1 10.0.0.1 12345 80\r\n".to_vec(), client("192.0.2.1:12345")),
            (b"PROXY TCP6 2001:db8::1 ::1 12345 80\r\n".to_vec(), client("[2001:db8::1]:12345")),
            (b"PROXY UNKNOWN\r\n".to_vec(), Told::Unknown),
            (b"PROXY UNKNOWN ffff::1 ffff::2 1 2\r\n".to_vec(), Told::Unknown),
            (v2(0x21, 0x11, &v4), client("192.0.2.1:12345")),
            (v2(0x21, 0x11, &[&v4[..], &[5, 0, 2, 1, 2]].concat()), client("192.0.2.1:12345")),
            (v2(0x21, 0x21, &[&v6[..], &[0x30, 0x39, 0, 80]].concat()), client("[2001:db8::1]:12345")),
            (v2(0x20, 0, &[]), Told::Own),
            (v2(0x20, 0x11, &v4), Told::Own),
            (v2(0x21, 0, &[]), Told::Unknown),
            (v2(0x21, 0x31, &[0; 216]), Told::Unknown),
        ] {
            let whole = [&header[..], b"GET / HTTP/1.1\r\n"].concat();
            let mut rest = &whole[..];
            assert_eq!(read(&mut rest).await.expect("a header"), told, "{header:?}");
            assert_eq!(rest, b"GET / HTTP/1.1\r\n", "{header:?}");
            let cut = header.len() - 1;
            assert!(read(&mut &header[..cut]).await.is_err(), "{header:?}");
        }
    }

    #[tokio::test]
    async fn what_is_no_header_is_refused() {
        let v4 = [192, 0, 2, 1, 10, 0, 0, 1, 0x30, 0x39, 0, 80];
        for bytes in [
            b"GET / HTTP/1.1\r\nHost: users\r\n\r\n".to_vec(),
            b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec(),
            b"PROXY TCP4 192.0.2.1 10.0.0.1 12345\r\n".to_vec(),
            b"PROXY TCP4 192.0.2.1 10.0.0.1 12345 99999\r\n".to_vec(),
            b"PROXY TCP4 ::1 ::1 12345 80\r\n".to_vec(),
            b"PROXYxTCP4 192.0.2.1 10.0.0.1 12345 80\r\n".to_vec(),
            b"PROXY UDP4 192.0.2.1 10.0.0.1 12345 80\r\n".to_vec(),
            [b"PROXY UNKNOWN ".to_vec(), vec![b'x'; 200], b"\r\n".to_vec()].concat(),
            v2(0x31, 0x11, &v4),
            v2(0x22, 0x11, &v4),
            v2(0x21, 0x11, &v4[..8]),
            v2(0x21, 0x41, &v4),
            v2(0x21, 0x11, &[0; MOST + 1]),
        ] {
            let error = read(&mut &bytes[..]).await.expect_err("no header");
            assert_eq!(error.kind(), io::ErrorKind::InvalidData, "{bytes:?}");
        }
    }
}
