//! Where heads begin and end in what an HTTP/1.1 client sends, and what in them two readers could read differently.
//!
//! hyper hands on a request that it has mended: of a `Content-Length` beside a `Transfer-Encoding`, or of lines that end
//! without CR, nothing is left to see. So each byte is looked at once more on its way to hyper, with the framing
//! followed: a body that looks like a head is none. A head costs a search for its line ends, and nothing is kept of it
//! unless it comes in pieces.
//!
//! Should what is counted here ever differ from what hyper makes of the same bytes, that is two readers who disagree:
//! the request is refused.

use memchr::memchr;

/// Why a head is refused although hyper takes it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fault {
    /// Content-Length and Transfer-Encoding (RFC 9112 section 6.1).
    TwoFramings,
    /// A Content-Length that is no single number (RFC 9112 section 6.3).
    Length,
    /// A Transfer-Encoding that is not exactly one `chunked` (RFC 9112 section 6.3).
    Coding,
    /// A line that ends in LF alone (RFC 9112 section 2.2 allows to take it for one, and others don't).
    BareLf,
    /// A fragment in the target, which is cut off without a word (RFC 9112 section 3.2).
    Fragment,
    /// hyper found a head where none was seen here.
    Lost,
}

impl Fault {
    /// In words.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::TwoFramings => "a request has either a Content-Length or a Transfer-Encoding",
            Self::Length => "Content-Length must be one decimal number",
            Self::Coding => "Transfer-Encoding must be exactly one `chunked`",
            Self::BareLf => "a line of the head ends in LF without CR",
            Self::Fragment => "the request's target has a fragment",
            Self::Lost => "where the request begins is not clear",
        }
    }
}

/// A trailer line that ends in LF alone, or a chunk size with white space behind it: hyper would take it, and the request
/// may have been handed on already.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct BrokenBody {
    /// So many of the bytes come before that line.
    pub good: usize,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
enum State {
    /// In lines of a head, or before its first.
    #[default]
    Head,
    /// So many bytes of a body are to come.
    Body(u64),
    ChunkSize,
    ChunkData(u64),
    /// The line end after a chunk's bytes.
    ChunkEnd,
    Trailers,
    /// Nothing more is looked at.
    Off,
}

/// Follows one connection.
#[derive(Debug, Default)]
pub struct Heads {
    state: State,
    /// The request line of the present head has come.
    begun: bool,
    length: Option<u64>,
    chunked: bool,
    /// Heads that came whole and without a fault.
    whole: u64,
    /// What is wrong with the one after them.
    fault: Option<Fault>,
    partial: Partial,
}

impl Heads {
    /// Looks at nothing: for connections that speak something else.
    pub fn off() -> Self {
        Self { state: State::Off, ..Self::default() }
    }

    /// Takes the next bytes of the connection.
    ///
    /// # Errors
    /// [`BrokenBody`]: no more than the good bytes may reach the parser.
    pub fn pass(&mut self, all: &[u8]) -> Result<(), BrokenBody> {
        let mut bytes = all;
        while !bytes.is_empty() {
            match self.state {
                State::Off => return Ok(()),
                State::Body(left) => bytes = self.skip(left, bytes, State::Body, State::Head),
                State::ChunkData(left) => bytes = self.skip(left, bytes, State::ChunkData, State::ChunkEnd),
                State::Head | State::ChunkSize | State::ChunkEnd | State::Trailers => {
                    let Some(end) = memchr(b'\n', bytes) else {
                        self.partial.add(bytes);
                        return Ok(());
                    };
                    let good = all.len() - bytes.len();
                    let (line, rest) = bytes.split_at(end);
                    bytes = rest.get(1..).unwrap_or_default();
                    if !self.whole_line(line) {
                        return Err(BrokenBody { good });
                    }
                }
            }
        }
        Ok(())
    }

    /// What is wrong with the head of request `number`, counted from 0.
    pub fn fault(&self, number: u64) -> Option<Fault> {
        (number >= self.whole).then(|| self.fault.unwrap_or(Fault::Lost))
    }

    /// Every message that began has come to its end.
    pub fn is_between(&self) -> bool {
        self.state == State::Head && !self.begun && self.partial.is_empty()
    }

    /// The body of request `number`, counted from 0, has not come whole.
    pub fn is_in_body_of(&self, number: u64) -> bool {
        let in_body = !matches!(self.state, State::Head | State::Off);
        in_body && self.whole == number + 1
    }

    fn skip<'a>(&mut self, left: u64, bytes: &'a [u8], within: fn(u64) -> State, after: State) -> &'a [u8] {
        let taken = usize::try_from(left).unwrap_or(usize::MAX).min(bytes.len());
        let left = left - taken as u64;
        self.state = if left == 0 { after } else { within(left) };
        bytes.get(taken..).unwrap_or_default()
    }

    /// `line` is the rest of a line without its LF; `false` where it breaks the body.
    fn whole_line(&mut self, line: &[u8]) -> bool {
        if self.partial.is_empty() && line.len() <= LONGEST_KEPT {
            let hash = !self.begun && memchr(b'#', line).is_some();
            return self.line(line, false, hash);
        }
        // A longer one is judged by what would be kept of it, however it came.
        self.partial.add(line);
        let mut partial = std::mem::take(&mut self.partial);
        let taken = self.line(&partial.kept, partial.cut, partial.hash);
        partial.clear();
        self.partial = partial;
        taken
    }

    /// Of a line that was `cut` only its beginning is there, and its last byte; `hash` tells of all of it.
    fn line(&mut self, line: &[u8], cut: bool, hash: bool) -> bool {
        let text = line.strip_suffix(b"\r");
        match (self.state, text) {
            (State::Head, Some(_)) if hash && !self.begun => self.refuse(Fault::Fragment),
            (State::Head, Some(text)) => self.head_line(text, cut),
            (State::Head, None) => self.refuse(Fault::BareLf),
            (State::Trailers, None) => {
                self.state = State::Off;
                return false;
            }
            (State::Trailers, Some([])) => self.next_head(),
            (State::ChunkEnd, Some([])) => self.state = State::ChunkSize,
            (State::ChunkSize, Some(text)) if is_padded(text) => {
                self.state = State::Off;
                return false;
            }
            (State::ChunkSize, Some(text)) => {
                self.state = match chunk_size(text) {
                    Some(0) => State::Trailers,
                    Some(size) => State::ChunkData(size),
                    // hyper's error to find.
                    None => State::Off,
                };
            }
            (State::ChunkEnd | State::ChunkSize, _) => self.state = State::Off,
            (State::Trailers | State::Body(_) | State::ChunkData(_) | State::Off, _) => {}
        }
        true
    }

    fn head_line(&mut self, text: &[u8], cut: bool) {
        match text.first() {
            // RFC 9112 section 2.2: empty lines before a request line mean nothing.
            None if !self.begun => {}
            None => self.head_ended(),
            Some(_) if !self.begun => self.begun = true,
            Some(b'c' | b'C') => {
                if let Some(value) = value_of(b"content-length:", text) {
                    self.content_length(value, cut);
                }
            }
            Some(b't' | b'T') => {
                if let Some(value) = value_of(b"transfer-encoding:", text) {
                    self.transfer_encoding(value, cut);
                }
            }
            Some(_) => {}
        }
    }

    fn content_length(&mut self, value: &[u8], cut: bool) {
        match decimal(value) {
            Some(length) if self.length.is_none() && !cut => self.length = Some(length),
            _ => self.refuse(Fault::Length),
        }
    }

    fn transfer_encoding(&mut self, value: &[u8], cut: bool) {
        if self.chunked || cut || !value.eq_ignore_ascii_case(b"chunked") {
            self.refuse(Fault::Coding);
        }
        self.chunked = true;
    }

    fn head_ended(&mut self) {
        self.state = match (self.chunked, self.length) {
            (true, Some(_)) => return self.refuse(Fault::TwoFramings),
            (true, None) => State::ChunkSize,
            (false, Some(length)) if length > 0 => State::Body(length),
            (false, _) => State::Head,
        };
        self.whole += 1;
        self.begun = false;
        self.chunked = false;
        self.length = None;
    }

    fn next_head(&mut self) {
        self.state = State::Head;
    }

    fn refuse(&mut self, fault: Fault) {
        self.fault = Some(fault);
        self.state = State::Off;
    }
}

/// The beginning of a line whose end has not come, and its last byte so far.
#[derive(Debug, Default)]
struct Partial {
    kept: Vec<u8>,
    cut: bool,
    hash: bool,
}

impl Partial {
    const fn is_empty(&self) -> bool {
        self.kept.is_empty()
    }

    fn clear(&mut self) {
        self.kept.clear();
        self.cut = false;
        self.hash = false;
    }

    fn add(&mut self, bytes: &[u8]) {
        let Some(last) = bytes.last() else { return };
        self.hash |= memchr(b'#', bytes).is_some();
        let room = LONGEST_KEPT.saturating_sub(self.kept.len());
        if bytes.len() <= room {
            self.kept.extend_from_slice(bytes);
            return;
        }
        self.cut = true;
        self.kept.extend_from_slice(bytes.get(..room).unwrap_or_default());
        if let Some(end) = self.kept.last_mut() {
            *end = *last;
        }
    }
}

fn value_of<'a>(name: &[u8], line: &'a [u8]) -> Option<&'a [u8]> {
    let (named, value) = line.split_at_checked(name.len())?;
    named.eq_ignore_ascii_case(name).then(|| value.trim_ascii())
}

fn decimal(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    std::str::from_utf8(digits).ok()?.parse().ok()
}

/// A size with white space behind it, and no extension (RFC 9112 section 7.1): hyper takes it, others may not.
fn is_padded(line: &[u8]) -> bool {
    line.trim_ascii_end().len() < line.len() && !line.contains(&b';')
}

/// Digits, then perhaps white space or extensions: as hyper takes it, but for rows of zeros.
fn chunk_size(line: &[u8]) -> Option<u64> {
    let end = line.iter().position(|byte| !byte.is_ascii_hexdigit()).unwrap_or(line.len());
    let end = (end <= LONGEST_KEPT / 2).then_some(end)?;
    let digits = line.get(..end).and_then(|digits| std::str::from_utf8(digits).ok())?;
    u64::from_str_radix(digits, 16).ok()
}

/// Of a line this much is looked at: more than a number or a coding takes.
const LONGEST_KEPT: usize = 128;

#[cfg(test)]
mod tests {
    use rand::{RngExt, SeedableRng};

    use super::*;

    /// The fault of the request after `whole` good ones, with the bytes in pieces of `size`.
    fn judged(bytes: &[u8], size: usize) -> (u64, Option<Fault>, bool) {
        let mut heads = Heads::default();
        for piece in bytes.chunks(size) {
            heads.pass(piece).unwrap();
        }
        (heads.whole, heads.fault, heads.is_between())
    }

    #[test]
    fn heads_are_found_however_the_bytes_are_cut() {
        let long = format!("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", "x".repeat(500));
        for (bytes, whole, fault, between) in [
            ("GET / HTTP/1.1\r\nHost: a\r\n\r\n", 1, None, true),
            (&long, 1, None, true),
            ("\r\n\r\nGET / HTTP/1.1\r\n\r\nGET / HTTP/1.1\r\n\r\n", 2, None, true),
            ("GET / HTTP/1.1\r\nHost: a\r\n", 0, None, false),
            ("POST / HTTP/1.1\r\nContent-Length: 4\r\n\r\na\n\nbGET / HTTP/1.1\r\n\r\n", 2, None, true),
            ("POST / HTTP/1.1\r\nContent-Length: 4\r\n\r\na\n\n", 1, None, false),
            (
                "POST / HTTP/1.1\r\ntransfer-encoding: Chunked\r\n\r\n3;x=y\r\na\nb\r\n0\r\nA: b\r\n\r\nGET / HTTP/1.1\r\n\r\n",
                2,
                None,
                true,
            ),
            ("POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n", 1, None, false),
            (
                "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n",
                0,
                Some(Fault::TwoFramings),
                false,
            ),
            (
                "GET / HTTP/1.1\r\n\r\nPOST / HTTP/1.1\r\ncontent-length:0\r\ntransfer-encoding:\tchunked \r\n\r\n",
                1,
                Some(Fault::TwoFramings),
                false,
            ),
            ("POST / HTTP/1.1\r\nContent-Length: 3\r\nContent-Length: 3\r\n\r\n", 0, Some(Fault::Length), false),
            ("POST / HTTP/1.1\r\nContent-Length: 99999999999999999999\r\n\r\n", 0, Some(Fault::Length), false),
            ("POST / HTTP/1.1\r\nTransfer-Encoding: identity\r\n\r\n", 0, Some(Fault::Coding), false),
            ("GET /a#b HTTP/1.1\r\nHost: a\r\n\r\n", 0, Some(Fault::Fragment), false),
            ("GET / HTTP/1.1\r\nX: #\r\n\r\n", 1, None, true),
            ("GET / HTTP/1.1\nHost: a\r\n\r\n", 0, Some(Fault::BareLf), false),
            ("GET / HTTP/1.1\r\nHost: a\n\r\n", 0, Some(Fault::BareLf), false),
            ("GET / HTTP/1.1\r\nHost: a\r\n\n", 0, Some(Fault::BareLf), false),
        ] {
            for size in [1, 2, 3, 7, bytes.len()] {
                assert_eq!(judged(bytes.as_bytes(), size), (whole, fault, between), "{bytes:?} by {size}");
            }
        }
    }

    #[test]
    fn what_is_said_of_a_request_is_said_of_that_one_only() {
        let mut heads = Heads::default();
        let pipelined = b"GET /0 HTTP/1.1\r\n\r\nGET /1 HTTP/1.1\r\n\r\nGET /2 HTTP/1.1\n\r\n";
        heads.pass(pipelined).unwrap();
        assert_eq!([0, 1, 2].map(|number| heads.fault(number)), [None, None, Some(Fault::BareLf)]);
        assert_eq!(Heads::default().fault(0), Some(Fault::Lost), "no head was seen");
    }

    #[test]
    fn a_long_line_of_framing_is_refused_and_no_other() {
        for size in [1, 10, 1000] {
            let padded = format!("POST / HTTP/1.1\r\nContent-Length: {}5\r\n\r\n", " ".repeat(300));
            assert_eq!(judged(padded.as_bytes(), size).1, Some(Fault::Length));
            let long = format!("POST / HTTP/1.1\r\nX: {}\r\n\r\n", "y".repeat(300));
            assert_eq!(judged(long.as_bytes(), size).0, 1);
        }
    }

    #[test]
    fn any_bytes_are_judged_alike_however_they_are_cut() {
        let words: [&[u8]; 26] = [
            b"GET / HTTP/1.1\r\n",
            b"POST / HTTP/1.1\r\n",
            b"Host: a\r\n",
            b"Content-Length: 3\r\n",
            b"content-length:0\r\n",
            b"Transfer-Encoding: chunked\r\n",
            b"transfer-encoding: gzip\r\n",
            b"\r\n",
            b"\r\n\r\n",
            b"\n",
            b"\r",
            b"abc",
            b"3\r\nabc\r\n",
            b"3;a=b\r\nabc\r\n",
            b"0\r\n\r\n",
            b"0\r\nA: b\r\n\r\n",
            b"0\r\nA: b\n\r\n",
            b"#",
            b"x: #\r\n",
            b":",
            b"  ",
            b"ffffffffffffffffff\r\n",
            &[b'y'; 140],
            &[b' '; 140],
            b"\r\r\n",
            &[b'0'; 140],
        ];
        let mut rng = rand::rngs::StdRng::seed_from_u64(1);
        for _ in 0..20_000 {
            let count = rng.random_range(1..12);
            let bytes: Vec<u8> =
                (0..count).flat_map(|_| words[rng.random_range(0..words.len())].iter().copied()).collect();
            let (mut whole, mut cut) = (Heads::default(), Heads::default());
            let broken = whole.pass(&bytes).is_err();
            let mut rest = &bytes[..];
            let mut broken_in_pieces = false;
            while !rest.is_empty() && !broken_in_pieces {
                let (piece, after) = rest.split_at(rng.random_range(1..=rest.len().min(9)));
                broken_in_pieces = cut.pass(piece).is_err();
                rest = after;
            }
            let seen = |heads: &Heads| (heads.whole, heads.fault, heads.is_between(), heads.state);
            assert_eq!((seen(&whole), broken), (seen(&cut), broken_in_pieces), "{}", bytes.escape_ascii());
        }
    }

    #[test]
    fn trailers_with_bare_line_ends_break_the_body() {
        let mut heads = Heads::default();
        heads.pass(b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n").unwrap();
        assert_eq!(heads.pass(b"A: b\r\nC: d\nE: f\r\n\r\n"), Err(BrokenBody { good: 6 }));
    }
}
