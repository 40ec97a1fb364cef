//! Paths: lists of byte-string segments, and how they are shown.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use bytes::Bytes;

use crate::parse::{self, ParseError};

/// One element of a [`Path`]: any bytes, at least one.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct Segment(Bytes);

/// A segment would have had no bytes: `/a//b` names nothing.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("a path has no empty segment")]
pub struct EmptySegment;

impl Segment {
    /// # Errors
    /// [`EmptySegment`] when there are no bytes.
    pub fn new(bytes: impl Into<Bytes>) -> Result<Self, EmptySegment> {
        let bytes = bytes.into();
        if bytes.is_empty() {
            return Err(EmptySegment);
        }
        Ok(Self(bytes))
    }

    /// The bytes as they are, unescaped.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Display for Segment {
    /// linkerd 1.x escapes a segment whole or not at all (`a b` is `\x61\x20\x62`); dtabs and dashboards of its users
    /// hold that form, so do we.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match std::str::from_utf8(&self.0) {
            Ok(text) if text.bytes().all(is_showable) => f.write_str(text),
            Ok(_) | Err(_) => self.0.iter().try_for_each(|byte| write!(f, "\\x{byte:02x}")),
        }
    }
}

/// Is `byte` written as itself? All others are written `\xNN`.
pub(crate) const fn is_showable(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b':' | b'.' | b'#' | b'$' | b'%' | b'-')
}

/// A list of segments, shown `/svc/users`. A clone is a counter's step.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Default)]
pub struct Path(Arc<[Segment]>);

impl Path {
    /// `/`: no segments.
    #[must_use]
    pub fn empty() -> Self {
        Self::default()
    }

    /// Reads the shown form; white space and comments around it are skipped.
    ///
    /// # Errors
    /// Where `text` is no path, with the place.
    pub fn parse(text: &str) -> Result<Self, ParseError> {
        parse::path(text)
    }

    /// The path of these segments.
    pub fn from_segments(segments: impl IntoIterator<Item = Segment>) -> Self {
        Self(segments.into_iter().collect())
    }

    /// The segments, first to last.
    #[must_use]
    pub fn segments(&self) -> &[Segment] {
        &self.0
    }

    /// The number of segments.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Is this `/`?
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The first `n` segments; all where there are fewer.
    #[must_use]
    pub fn take(&self, n: usize) -> Self {
        match self.0.get(..n) {
            Some(first) if first.len() < self.len() => Self(first.into()),
            Some(_) | None => self.clone(),
        }
    }

    /// All but the first `n` segments; none where there are fewer.
    #[must_use]
    pub fn drop(&self, n: usize) -> Self {
        if n == 0 {
            return self.clone();
        }
        self.0.get(n..).map_or_else(Self::empty, |rest| Self(rest.into()))
    }

    /// This path's segments, then `other`'s.
    #[must_use]
    pub fn concat(&self, other: &Self) -> Self {
        self.join(other.segments())
    }

    /// This path's segments, then `rest`.
    pub(crate) fn join(&self, rest: &[Segment]) -> Self {
        match (self.is_empty(), rest.is_empty()) {
            (_, true) => self.clone(),
            (true, false) => Self(rest.into()),
            (false, false) => Self(self.0.iter().chain(rest).cloned().collect()),
        }
    }

    /// Compares whole segments: `/ab` does not start with `/a`, and every path starts with `/`.
    #[must_use]
    pub fn starts_with(&self, prefix: &Self) -> bool {
        self.0.starts_with(&prefix.0)
    }

    /// What is left behind `prefix`, where this path starts with it.
    #[must_use]
    pub fn strip_prefix(&self, prefix: &Self) -> Option<&[Segment]> {
        self.0.strip_prefix(prefix.segments())
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_empty() {
            return f.write_str("/");
        }
        self.0.iter().try_for_each(|segment| write!(f, "/{segment}"))
    }
}

impl FromStr for Path {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        Self::parse(text)
    }
}

impl FromIterator<Segment> for Path {
    fn from_iter<I: IntoIterator<Item = Segment>>(segments: I) -> Self {
        Self::from_segments(segments)
    }
}

/// A path that is being built without allocation, once it has grown: the route cache's key.
///
/// Segments stand one behind the other, each as its length (4 bytes, little end first) and its bytes, so equal paths
/// and only those have equal bytes.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub struct PathBuffer(Vec<u8>);

impl PathBuffer {
    /// An empty path.
    #[must_use]
    pub const fn new() -> Self {
        Self(Vec::new())
    }

    /// Back to the empty path; the memory stays.
    pub fn clear(&mut self) {
        self.0.clear();
    }

    /// Appends one segment. It is cut at 4 GiB, which no message head reaches.
    ///
    /// # Errors
    /// [`EmptySegment`] when there are no bytes; nothing is appended then.
    pub fn push(&mut self, segment: &[u8]) -> Result<(), EmptySegment> {
        if segment.is_empty() {
            return Err(EmptySegment);
        }
        self.append(segment);
        Ok(())
    }

    /// As [`push`](Self::push), in ASCII lower case.
    ///
    /// # Errors
    /// [`EmptySegment`] when there are no bytes; nothing is appended then.
    pub fn push_lower_case(&mut self, segment: &[u8]) -> Result<(), EmptySegment> {
        let start = self.0.len() + LENGTH_BYTES;
        self.push(segment)?;
        if let Some(pushed) = self.0.get_mut(start..) {
            pushed.make_ascii_lowercase();
        }
        Ok(())
    }

    /// Appends the segments of `path`.
    pub fn extend(&mut self, path: &Path) {
        path.segments().iter().for_each(|segment| self.append(segment.as_bytes()));
    }

    /// `segment` holds something.
    fn append(&mut self, segment: &[u8]) {
        let length = u32::try_from(segment.len()).unwrap_or(u32::MAX);
        self.0.extend_from_slice(&length.to_le_bytes());
        self.0.extend_from_slice(segment.get(..length as usize).unwrap_or(segment));
    }

    /// The key: equal for equal paths, and for those only.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The segments pushed so far.
    pub fn segments(&self) -> impl Iterator<Item = &[u8]> {
        let mut rest = self.0.as_slice();
        std::iter::from_fn(move || {
            let (length, behind) = rest.split_first_chunk::<LENGTH_BYTES>()?;
            let (segment, behind) = behind.split_at_checked(u32::from_le_bytes(*length) as usize)?;
            rest = behind;
            Some(segment)
        })
    }

    /// The path built so far, in two allocations: one for all bytes, one for the list.
    #[must_use]
    pub fn to_path(&self) -> Path {
        let bytes = Bytes::copy_from_slice(&self.0);
        let mut end = 0;
        let segments = self.segments().map(|segment| {
            let start = end + LENGTH_BYTES;
            end = start + segment.len();
            Segment(bytes.slice(start..end))
        });
        Path(segments.collect())
    }

    /// The number of bytes, to go [back to](Self::truncate).
    pub(crate) fn mark(&self) -> usize {
        self.0.len()
    }

    /// Forgets what was pushed since `mark`.
    pub(crate) fn truncate(&mut self, mark: usize) {
        self.0.truncate(mark);
    }
}

const LENGTH_BYTES: usize = size_of::<u32>();

#[cfg(test)]
mod tests {
    use super::*;

    fn path(text: &str) -> Path {
        Path::parse(text).unwrap()
    }

    #[test]
    fn an_empty_segment_cannot_be_made() {
        assert_eq!(Segment::new(""), Err(EmptySegment));
        assert_eq!(PathBuffer::new().push(b""), Err(EmptySegment));
        assert_eq!(PathBuffer::new().push_lower_case(b""), Err(EmptySegment));
    }

    #[test]
    fn one_unshowable_byte_escapes_its_whole_segment() {
        for (bytes, shown) in
            [(&b"a b"[..], r"\x61\x20\x62"), (b"\xff", r"\xff"), (b"a/b", r"\x61\x2f\x62"), (b"#$%:._-", "#$%:._-")]
        {
            assert_eq!(Segment::new(bytes.to_vec()).unwrap().to_string(), shown);
        }
    }

    #[test]
    fn strip_prefix_compares_whole_segments() {
        for (name, prefix, left) in
            [("/svc/users", "/svc", Some(1)), ("/svc/users", "/", Some(2)), ("/svc/users", "/svc/user", None)]
        {
            assert_eq!(path(name).strip_prefix(&path(prefix)).map(<[Segment]>::len), left, "{name} under {prefix}");
            assert_eq!(path(name).starts_with(&path(prefix)), left.is_some(), "{name} under {prefix}");
        }
    }

    #[test]
    fn take_and_drop_stop_at_the_ends() {
        for (count, taken, dropped) in [(0, "/", "/a/b"), (1, "/a", "/b"), (2, "/a/b", "/"), (9, "/a/b", "/")] {
            assert_eq!(path("/a/b").take(count), path(taken), "take {count}");
            assert_eq!(path("/a/b").drop(count), path(dropped), "drop {count}");
        }
    }

    #[test]
    fn equal_buffers_are_equal_paths() {
        let buffer = |segments: &[&str]| {
            let mut buffer = PathBuffer::new();
            segments.iter().for_each(|segment| buffer.push(segment.as_bytes()).unwrap());
            buffer
        };

        assert_ne!(buffer(&["ab", "c"]), buffer(&["a", "bc"]));
        assert_ne!(buffer(&["a", "b"]), buffer(&["a/b"]));
        assert_eq!(buffer(&["svc", "a b"]).to_path(), path(r"/svc/a\x20b"));
    }

    #[test]
    fn a_buffer_that_has_grown_stays_where_it_is() {
        let mut buffer = PathBuffer::new();
        buffer.extend(&path("/svc/users"));
        let place = buffer.as_bytes().as_ptr();

        for host in ["A.example.com", "b"] {
            buffer.clear();
            buffer.push_lower_case(&host.as_bytes()[..1]).unwrap();
        }

        assert_eq!(buffer.to_path(), path("/b"));
        assert_eq!(buffer.as_bytes().as_ptr(), place);
    }
}
