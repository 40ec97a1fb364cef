//! A whole response.

use serde_json::Value;

use crate::wire::{Fields, field, fields};

/// A response that was read to its end.
#[derive(Clone, Default)]
pub struct Answer {
    /// `HTTP/1.1`, `HTTP/1.0` or `HTTP/2.0`.
    pub version: String,
    /// Status code.
    pub code: u16,
    /// Statuses of the interim responses before it.
    pub interim: Vec<u16>,
    /// Header fields.
    pub fields: Fields,
    /// Body.
    pub body: Vec<u8>,
    /// Trailer fields.
    pub trailers: Fields,
}

impl std::fmt::Debug for Answer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {} {:?} {:?}", self.version, self.code, self.interim, self.fields)?;
        let shown = &self.body[..self.body.len().min(LONGEST_SHOWN)];
        write!(f, " {:?} of {} bytes {:?}", String::from_utf8_lossy(shown), self.body.len(), self.trailers)
    }
}

impl Answer {
    /// Status code.
    pub fn status(&self) -> u16 {
        self.code
    }

    /// The first header field called `name`.
    pub fn header(&self, name: &str) -> Option<&str> {
        field(&self.fields, name)
    }

    /// All header fields called `name`.
    pub fn headers(&self, name: &str) -> Vec<&str> {
        fields(&self.fields, name)
    }

    /// The first trailer field called `name`.
    pub fn trailer(&self, name: &str) -> Option<&str> {
        field(&self.trailers, name)
    }

    /// A field of gRPC's, which stands in the trailers or, where there is no body, in the header.
    pub fn grpc(&self, name: &str) -> Option<&str> {
        self.trailer(name).or_else(|| self.header(name))
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON.
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("not JSON ({error}): {self:?} {}", self.text()))
    }

    /// `l5d-err` in clear; empty when there is none.
    pub fn l5d_err(&self) -> String {
        percent_decoded(self.header("l5d-err").unwrap_or_default())
    }

    /// `waypost-error`: the machine's word for what went wrong.
    pub fn word(&self) -> &str {
        self.header("waypost-error").unwrap_or_default()
    }

    /// This, after asserting its status.
    #[track_caller]
    pub fn is(self, status: u16) -> Self {
        assert_eq!(self.code, status, "{self:?}");
        self
    }

    /// This, after asserting what every error of waypost's own carries.
    #[track_caller]
    pub fn is_error(self, status: u16, word: &str) -> Self {
        assert_eq!((self.code, self.word()), (status, word), "{self:?}");
        let raw = self.header("l5d-err").unwrap_or_default();
        assert!(!raw.is_empty(), "l5d-err is missing: {self:?}");
        assert!(raw.len() <= LONGEST_ERROR, "l5d-err is bounded: {} bytes", raw.len());
        assert!(self.header("content-type").is_some_and(|kind| kind.starts_with("text/plain")), "{self:?}");
        assert!(!self.text().trim().is_empty(), "an error has a body for people: {self:?}");
        self
    }
}

/// How much of a body a failed assertion shows.
const LONGEST_SHOWN: usize = 1000;
/// Longer than any error needs to be, shorter than a header limit anywhere.
const LONGEST_ERROR: usize = 8192;

fn percent_decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        let escaped = (*first == b'%').then(|| tail.get(..2).and_then(hex)).flatten();
        bytes.push(escaped.unwrap_or(*first));
        rest = if escaped.is_some() { &tail[2..] } else { tail };
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

fn hex(digits: &[u8]) -> Option<u8> {
    u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
}
