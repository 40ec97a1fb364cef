//! Where a piece of text stands: byte ranges, and from them lines and columns.

use std::fmt;
use std::sync::Arc;

use crate::work;

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
/// An offset behind the end is the end; one inside a character is that character. Reads the whole text: who asks for
/// many places makes [`Lines`] once.
#[must_use]
pub fn line_col(text: &str, offset: usize) -> (usize, usize) {
    Lines::new(text).line_col(offset)
}

/// The lines of a text, so that each place costs a binary search and a look at a few bytes, however long its line is.
#[derive(Clone, Debug)]
pub struct Lines<'t> {
    text: &'t str,
    /// Offset of the first byte of each line; never empty, ascending.
    starts: Vec<usize>,
    /// How many characters begin before each block of [`BLOCK`] bytes.
    characters: Vec<usize>,
}

/// How many bytes are counted for one place.
const BLOCK: usize = 128;

impl<'t> Lines<'t> {
    /// Reads `text` once.
    #[must_use]
    pub fn new(text: &'t str) -> Self {
        let after_newlines = text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n').map(|(at, _)| at + 1);
        let starts = std::iter::once(0).chain(after_newlines).collect();
        let counts = text.as_bytes().chunks(BLOCK).scan(0, |total, block| {
            let before = *total;
            *total += characters(block);
            Some(before)
        });
        Self { text, starts, characters: counts.collect() }
    }

    /// As [`line_col`].
    #[must_use]
    pub fn line_col(&self, offset: usize) -> (usize, usize) {
        let offset = self.text.floor_char_boundary(offset);
        let line = self.starts.partition_point(|start| *start <= offset);
        (line, self.characters_before(offset) - self.characters_before(self.line_start(line)) + 1)
    }

    /// How many characters begin before `offset`, which is no further than the end.
    fn characters_before(&self, offset: usize) -> usize {
        let block = offset / BLOCK;
        let Some(before) = self.characters.get(block) else { return self.characters_before_end() };
        before + self.text.as_bytes().get(block * BLOCK..offset).map_or(0, characters)
    }

    /// The end may be where a block would begin that holds nothing.
    fn characters_before_end(&self) -> usize {
        let block = self.characters.len().saturating_sub(1);
        self.characters.last().copied().unwrap_or(0) + self.text.as_bytes().get(block * BLOCK..).map_or(0, characters)
    }

    /// Offset of the first byte of line `line` (from 1); the text's end where there is no such line.
    #[must_use]
    pub fn line_start(&self, line: usize) -> usize {
        self.starts.get(line.saturating_sub(1)).copied().unwrap_or(self.text.len())
    }
}

/// How many characters begin in these bytes of a text.
fn characters(bytes: &[u8]) -> usize {
    work::count(bytes.len());
    let continues = |byte: &&u8| **byte & 0b1100_0000 == 0b1000_0000;
    bytes.len() - bytes.iter().filter(continues).count()
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

    /// What the doc says, word by word.
    fn plain(text: &str, offset: usize) -> (usize, usize) {
        let before = |(at, character): &(usize, char)| at + character.len_utf8() <= offset;
        text.char_indices()
            .take_while(before)
            .fold((1, 1), |(line, col), (_, character)| if character == '\n' { (line + 1, 1) } else { (line, col + 1) })
    }

    #[test]
    fn places_are_the_same_wherever_blocks_begin() {
        for unit in ["a", "\u{e9}", "\u{20ac}b", "\u{1f600}", "\n", "ab\u{e9}\n", "\r\n"] {
            for length in [0, 1, BLOCK - 1, BLOCK, BLOCK + 1, 3 * BLOCK] {
                let text = unit.repeat(length / unit.len() + 1) + "x\n";
                let lines = Lines::new(&text);
                for offset in 0..text.len() + 3 {
                    assert_eq!(lines.line_col(offset), plain(&text, offset), "{offset} of {text:?}");
                }
            }
        }
    }

    #[test]
    fn a_place_in_a_long_line_costs_no_more_than_in_a_short_one() {
        let text = "/a => /b ; ".repeat(100_000);
        let (lines, steps) = work::of(|| Lines::new(&text));
        assert_eq!(steps, text.len());

        let (place, steps) = work::of(|| lines.line_col(text.len() - 3));

        assert_eq!(place, (1, text.len() - 2));
        assert!(steps <= 2 * BLOCK, "{steps}");
    }

    #[test]
    fn places_show_as_people_write_them() {
        let file = Place::File { file: "waypost.toml".into(), line: 12, col: 1 };

        assert_eq!(file.to_string(), "waypost.toml:12:1");
        assert_eq!(Place::Named("l5d-dtab".into()).to_string(), "l5d-dtab");
        assert_eq!(Place::Default.to_string(), "default");
    }
}
