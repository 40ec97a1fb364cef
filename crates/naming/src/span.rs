//! Where a piece of text stands: byte ranges, and from them lines and columns.

use std::fmt;
use std::sync::Arc;

/// A range of bytes in some text. `start == end` is a point between two characters, as for "end of text".
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Default)]
pub struct Span {
    /// Offset of the first byte.
    pub start: usize,
    /// Offset behind the last byte.
    pub end: usize,
}

impl Span {
    /// The range from `start` to before `end`.
    #[must_use]
    pub const fn new(start: usize, end: usize) -> Self {
        Self { start, end }
    }

    /// The point before the byte at `offset`.
    #[must_use]
    pub const fn at(offset: usize) -> Self {
        Self { start: offset, end: offset }
    }

    /// The same range seen from a text in which this one starts at `offset`.
    #[must_use]
    pub const fn shifted(self, offset: usize) -> Self {
        Self { start: self.start + offset, end: self.end + offset }
    }
}

/// Line and column of a byte offset, both from 1; columns count characters.
///
/// An offset behind the end is the end; one inside a character is that character. Reads the text up to `offset`: who
/// asks for many places makes [`Lines`] once.
#[must_use]
pub fn line_col(text: &str, offset: usize) -> (usize, usize) {
    Lines::new(text).line_col(offset)
}

/// The lines of a text, so that each place costs a binary search and one line's characters.
#[derive(Clone, Debug)]
pub struct Lines<'t> {
    text: &'t str,
    /// Offset of the first byte of each line; never empty, ascending.
    starts: Vec<usize>,
}

impl<'t> Lines<'t> {
    /// Reads `text` once.
    #[must_use]
    pub fn new(text: &'t str) -> Self {
        let after_newlines = text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n').map(|(at, _)| at + 1);
        Self { text, starts: std::iter::once(0).chain(after_newlines).collect() }
    }

    /// As [`line_col`].
    #[must_use]
    pub fn line_col(&self, offset: usize) -> (usize, usize) {
        let line = self.starts.partition_point(|start| *start <= offset);
        let start = self.line_start(line);
        let column = self.text.get(start..).map_or(0, |rest| {
            rest.char_indices().take_while(|(at, character)| start + at + character.len_utf8() <= offset).count()
        });
        (line, column + 1)
    }

    /// Offset of the first byte of line `line` (from 1); the text's end where there is no such line.
    #[must_use]
    pub fn line_start(&self, line: usize) -> usize {
        self.starts.get(line.saturating_sub(1)).copied().unwrap_or(self.text.len())
    }
}

/// Where a value or a rule came from.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub enum Place {
    /// Written nowhere.
    #[default]
    Default,
    /// A place in a file.
    File {
        /// The file's name, as people know it.
        file: Arc<str>,
        /// From 1.
        line: usize,
        /// From 1, in characters.
        col: usize,
    },
    /// A source that has no lines: `l5d-dtab`, `--dtab`.
    Named(Arc<str>),
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File { file, line, col } => write!(f, "{file}:{line}:{col}"),
            Self::Named(name) => f.write_str(name),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_and_columns_count_from_one_in_characters() {
        let text = "ab\n\u{e9}cd\n";
        for (offset, place) in
            [(0, (1, 1)), (2, (1, 3)), (3, (2, 1)), (4, (2, 1)), (5, (2, 2)), (8, (3, 1)), (99, (3, 1))]
        {
            assert_eq!(line_col(text, offset), place, "offset {offset}");
        }
    }

    #[test]
    fn the_empty_text_has_one_place() {
        assert_eq!(line_col("", 0), (1, 1));
    }

    #[test]
    fn places_show_as_people_write_them() {
        let file = Place::File { file: "waypost.toml".into(), line: 12, col: 1 };

        assert_eq!(file.to_string(), "waypost.toml:12:1");
        assert_eq!(Place::Named("l5d-dtab".into()).to_string(), "l5d-dtab");
        assert_eq!(Place::Default.to_string(), "default");
    }
}
