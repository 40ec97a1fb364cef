//! `l5d-ctx-trace`: who called whom, in linkerd's own form.
//!
//! Base64 (padded) of 32 or 40 bytes, big-endian 64-bit words: span, parent, trace, flags, and with 128-bit trace ids
//! the high half of the trace id. Any other length is ignored.

use http::HeaderValue;
use rand::{Rng, RngExt};

/// The ids of one call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TraceId {
    span: u64,
    parent: u64,
    trace: u64,
    flags: u64,
    trace_high: Option<u64>,
}

impl TraceId {
    /// Reads a header; `None` for what is no trace id.
    pub fn parse(value: &HeaderValue) -> Option<Self> {
        let mut bytes = [0; LONG];
        let length = decode(value.as_bytes(), &mut bytes)?;
        let word = |index: usize| {
            let word = bytes.get(index * 8..index * 8 + 8)?;
            Some(u64::from_be_bytes(word.try_into().ok()?))
        };
        let trace_high = match length {
            SHORT => None,
            LONG => Some(word(4)?),
            _ => return None,
        };
        Some(Self { span: word(0)?, parent: word(1)?, trace: word(2)?, flags: word(3)?, trace_high })
    }

    /// A child of `received`, or a new root. `sample` decides on the trace id and overrides what was decided before.
    #[must_use]
    pub fn next(received: Option<Self>, sample: Option<f32>, rng: &mut impl Rng) -> Self {
        let span = rng.random();
        let mut next = match received {
            Some(received) => Self { span, parent: received.span, ..received },
            None => Self { span, parent: span, trace: span, flags: 0, trace_high: None },
        };
        if let Some(rate) = sample {
            next.flags = next.flags & !SAMPLED | SAMPLING_KNOWN;
            // The trace id is random already: all hops that are told the same rate decide the same.
            if f64::from(u32::try_from(next.trace >> 32).unwrap_or(u32::MAX)) < f64::from(rate) * f64::from(u32::MAX) {
                next.flags |= SAMPLED;
            }
        }
        next
    }

    /// As it goes on to the next hop.
    pub fn to_header(self) -> HeaderValue {
        let mut bytes = [0; LONG];
        let words = [Some(self.span), Some(self.parent), Some(self.trace), Some(self.flags), self.trace_high];
        for (slot, word) in bytes.chunks_exact_mut(8).zip(words.into_iter().flatten()) {
            slot.copy_from_slice(&word.to_be_bytes());
        }
        let length = if self.trace_high.is_some() { LONG } else { SHORT };
        let mut text = [0; LONG.div_ceil(3) * 4];
        let written = encode(bytes.get(..length).unwrap_or_default(), &mut text);
        HeaderValue::from_bytes(text.get(..written).unwrap_or_default())
            .unwrap_or_else(|_| HeaderValue::from_static(""))
    }

    /// `l5d-reqid`: the trace id in hex.
    pub fn request_id(self) -> HeaderValue {
        let mut text = [0; 32];
        let (high, low) = text.split_at_mut(16);
        hex(self.trace, low);
        let shown = match self.trace_high {
            Some(word) => {
                hex(word, high);
                &text[..]
            }
            None => low,
        };
        HeaderValue::from_bytes(shown).unwrap_or_else(|_| HeaderValue::from_static("0"))
    }
}

fn hex(word: u64, out: &mut [u8]) {
    for (index, slot) in out.iter_mut().rev().enumerate() {
        let digit = u8::try_from(word >> (index * 4) & 0xf).unwrap_or(0);
        *slot = if digit < 10 { b'0' + digit } else { b'a' + digit - 10 };
    }
}

/// Standard base64 with padding; gives the length written.
fn encode(bytes: &[u8], out: &mut [u8]) -> usize {
    let mut written = 0;
    for (group, slots) in bytes.chunks(3).zip(out.chunks_exact_mut(4)) {
        let word = group.iter().fold(0_u32, |word, byte| word << 8 | u32::from(*byte)) << (8 * (3 - group.len()));
        for (index, slot) in slots.iter_mut().enumerate() {
            let digit = usize::try_from(word >> (18 - 6 * index) & 0x3f).unwrap_or(0);
            *slot = if index > group.len() { b'=' } else { DIGITS.get(digit).copied().unwrap_or(b'A') };
        }
        written += 4;
    }
    written
}

/// Standard base64 with padding; gives the length read, `None` for what is none or does not fit.
fn decode(text: &[u8], out: &mut [u8]) -> Option<usize> {
    let stripped = text.strip_suffix(b"==").or_else(|| text.strip_suffix(b"=")).unwrap_or(text);
    let length = stripped.len() * 3 / 4;
    if !text.len().is_multiple_of(4) || length > out.len() {
        return None;
    }
    for (group, slots) in stripped.chunks(4).zip(out.chunks_mut(3)) {
        let mut word = 0_u32;
        for byte in group {
            word = word << 6 | u32::from(digit(*byte)?);
        }
        word <<= 6 * (4 - group.len());
        for (slot, byte) in slots.iter_mut().zip(word.to_be_bytes().into_iter().skip(1)).take(group.len() - 1) {
            *slot = byte;
        }
    }
    Some(length)
}

/// What a digit of base64 stands for.
const fn digit(byte: u8) -> Option<u8> {
    match byte {
        b'A'..=b'Z' => Some(byte - b'A'),
        b'a'..=b'z' => Some(byte - b'a' + 26),
        b'0'..=b'9' => Some(byte - b'0' + 52),
        b'+' => Some(62),
        b'/' => Some(63),
        _ => None,
    }
}

const SHORT: usize = 32;
const LONG: usize = 40;
const SAMPLING_KNOWN: u64 = 1 << 1;
const SAMPLED: u64 = 1 << 2;
const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use rand::rngs::SmallRng;

    use super::*;

    #[test]
    fn both_lengths_are_read_and_written() {
        for trace_high in [None, Some(0xfeed)] {
            let id = TraceId { span: 1, parent: 2, trace: u64::MAX, flags: 6, trace_high };
            assert_eq!(TraceId::parse(&id.to_header()), Some(id));
        }
        let id = TraceId { span: 1, parent: 2, trace: 3, flags: 0, trace_high: None };
        assert_eq!(id.to_header(), "AAAAAAAAAAEAAAAAAAAAAgAAAAAAAAADAAAAAAAAAAA=");
        assert_eq!(id.request_id(), "0000000000000003");
    }

    #[test]
    fn what_is_no_trace_id_is_ignored() {
        for text in [
            "",
            "AAAA",
            "!!!!",
            "AAAAAAAAAAEAAAAAAAAAAgAAAAAAAAADAAAAAAAAAAA",
            "AAAAAAAAAAEAAAAAAAAAAgAAAAAAAAADAAAAAAAAAAAA",
        ] {
            assert_eq!(TraceId::parse(&HeaderValue::from_static(text)), None, "{text}");
        }
    }

    #[test]
    fn a_child_keeps_the_trace_and_names_its_parent() {
        let mut rng = SmallRng::seed_from_u64(1);
        let root = TraceId::next(None, None, &mut rng);
        let child = TraceId::next(Some(root), Some(1.0), &mut rng);
        assert_eq!((child.trace, child.parent), (root.trace, root.span));
        assert_eq!(child.flags, SAMPLING_KNOWN | SAMPLED);
        assert_eq!(TraceId::next(Some(child), Some(0.0), &mut rng).flags, SAMPLING_KNOWN);
    }
}
