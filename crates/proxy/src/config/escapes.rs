//! Where each byte of a TOML string's content stands in the file: the string's text differs from what is written by
//! quotes, escapes, a line break that is dropped after `"""`, and line ends that a backslash hides.

use waypost_naming::Span;

/// From offsets in a string's content to offsets in the file.
#[derive(Clone, Debug)]
pub(super) struct Origins {
    /// Ascending; the last one is the closing quote.
    pieces: Vec<Piece>,
}

/// A part of the content and what it is written as.
#[derive(Clone, Copy, Debug)]
struct Piece {
    /// Where it starts in the content.
    content: usize,
    /// Where it starts in the file.
    file: usize,
    /// Bytes in the content.
    length: usize,
    /// Bytes in the file: the same as `length` where it is written as it is.
    written: usize,
}

impl Origins {
    /// For the string written as `written`, quotes included, at offset `start` of the file.
    pub(super) fn of(written: &str, start: usize) -> Self {
        let quotes = ["\"\"\"", "'''", "\"", "'"].into_iter().find(|quotes| written.starts_with(quotes)).unwrap_or("");
        let end = written.len().saturating_sub(quotes.len());
        let mut at = quotes.len();
        if quotes.len() == 3 {
            let rest = written.get(at..end).unwrap_or("");
            at += ["\n", "\r\n"].into_iter().find(|newline| rest.starts_with(newline)).map_or(0, str::len);
        }
        let mut pieces = Pieces { start, content: 0, list: Vec::new() };
        let body = written.get(at..end).unwrap_or("");
        if quotes.starts_with('"') {
            pieces.push_basic(body, at);
        } else {
            pieces.push(at, body.len(), body.len());
        }
        pieces.push(end, 0, 0);
        Self { pieces: pieces.list }
    }

    /// The same span in the file. What lies behind the content's end is the closing quote.
    pub(super) fn in_file(&self, span: Span) -> Span {
        let start = self.start(span.start);
        let end = if span.end > span.start { self.end(span.end) } else { start };
        Span { start, end: end.max(start) }
    }

    fn start(&self, offset: usize) -> usize {
        let piece = self.piece(|piece| piece.content <= offset);
        piece.file + if piece.is_escape() { 0 } else { (offset - piece.content).min(piece.length) }
    }

    fn end(&self, offset: usize) -> usize {
        let piece = self.piece(|piece| piece.content < offset);
        piece.file + if piece.is_escape() { piece.written } else { (offset - piece.content).min(piece.length) }
    }

    /// The last piece for which `starts` holds; the first one holds offset 0.
    fn piece(&self, starts: impl Fn(&Piece) -> bool) -> Piece {
        let index = self.pieces.partition_point(starts).saturating_sub(1);
        self.pieces.get(index).copied().unwrap_or(Piece { content: 0, file: 0, length: 0, written: 0 })
    }
}

impl Piece {
    const fn is_escape(&self) -> bool {
        self.length != self.written
    }
}

struct Pieces {
    start: usize,
    content: usize,
    list: Vec<Piece>,
}

impl Pieces {
    fn push(&mut self, at: usize, length: usize, written: usize) {
        self.list.push(Piece { content: self.content, file: self.start + at, length, written });
        self.content += length;
    }

    /// The content of a `"..."` string; `at` is where it starts within the written string.
    fn push_basic(&mut self, body: &str, mut at: usize) {
        let mut rest = body;
        while let Some(backslash) = rest.find('\\') {
            self.push(at, backslash, backslash);
            at += backslash;
            rest = rest.get(backslash..).unwrap_or("");
            let (length, written) = escape(rest);
            if length > 0 {
                self.push(at, length, written);
            }
            at += written;
            rest = rest.get(written..).unwrap_or("");
        }
        self.push(at, rest.len(), rest.len());
    }
}

/// Content and written bytes of the escape that `text` starts with. (TOML 1.1: string)
fn escape(text: &str) -> (usize, usize) {
    let digits = match text.as_bytes().get(1) {
        Some(b'x') => 2,
        Some(b'u') => 4,
        Some(b'U') => 8,
        Some(b' ' | b'\t' | b'\r' | b'\n') => return (0, hidden_line_end(text)),
        Some(_) => return (1, 2),
        None => return (0, text.len()),
    };
    let written = (2 + digits).min(text.len());
    let character = text.get(2..written).and_then(|hex| u32::from_str_radix(hex, 16).ok()).and_then(char::from_u32);
    (character.map_or(0, char::len_utf8), written)
}

/// Bytes of a backslash at the end of a line and of the white space that it hides.
fn hidden_line_end(text: &str) -> usize {
    1 + text.bytes().skip(1).take_while(|byte| matches!(byte, b' ' | b'\t' | b'\r' | b'\n')).count()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use toml::de::DeTable;

    use super::*;

    /// What is written for the content's bytes `start..end`.
    fn written(document: &str, start: usize, end: usize) -> String {
        let table = DeTable::parse(document).unwrap();
        let value = table.get_ref().get("a").unwrap();
        let range = value.span();
        let origins = Origins::of(&document[range.clone()], range.start);
        let length = origins.pieces.last().unwrap().content;
        assert_eq!(length, value.get_ref().as_str().unwrap().len(), "{document}");
        let span = origins.in_file(Span { start, end });
        document[span.start..span.end].to_owned()
    }

    #[test]
    fn spans_of_the_content_are_found_in_the_file() {
        for (document, start, end, expected) in [
            (r#"a = "xyz""#, 1, 2, "y"),
            (r#"a = "x\tz""#, 1, 2, r"\t"),
            (r#"a = "x\tz""#, 2, 3, "z"),
            (r#"a = "\u00e9z""#, 2, 3, "z"),
            (r#"a = "\u00e9z""#, 0, 2, r"\u00e9"),
            (r#"a = "\x41z""#, 0, 2, r"\x41z"),
            (r#"a = "\U0001F600z""#, 4, 5, "z"),
            ("a = '''\nxyz'''", 0, 1, "x"),
            ("a = '''xyz'''", 0, 1, "x"),
            ("a = \"\"\"\r\nxyz\"\"\"", 0, 1, "x"),
            ("a = \"\"\"\nx\ny\"\"\"", 2, 3, "y"),
            ("a = \"\"\"x \\\n   \n  yz\"\"\"", 2, 3, "y"),
            ("a = \"\"\"x \\\n   \n  yz\"\"\"", 0, 3, "x \\\n   \n  y"),
            ("a = \"\"\"x\"y\"\"\"", 2, 3, "y"),
            (r"a = 'x\tz'", 1, 3, r"\t"),
            (r#"a = """#, 0, 0, ""),
        ] {
            assert_eq!(written(document, start, end), expected, "{document} {start}..{end}");
        }
    }

    #[test]
    fn the_end_of_the_content_is_the_closing_quote() {
        let document = "a = \"\"\"\nxy\n\"\"\"";
        let origins = Origins::of(&document[4..], 4);
        assert_eq!(origins.in_file(Span { start: 3, end: 3 }), Span { start: 11, end: 11 });
    }

    proptest! {
        /// One character at a time: what is found in the file decodes to that character.
        #[test]
        fn every_character_is_found(characters in proptest::collection::vec(any::<char>(), 0..20), escaped: u32) {
            let spell = |(index, character): (usize, &char)| match *character {
                _ if escaped & (1 << index) != 0 => format!("\\U{:08x}", u32::from(*character)),
                '"' | '\\' => format!("\\{character}"),
                character if character.is_control() => format!("\\u{:04x}", u32::from(character)),
                character => character.to_string(),
            };
            let spelled: Vec<String> = characters.iter().enumerate().map(spell).collect();
            let document = format!("a = \"{}\"", spelled.concat());
            let mut offset = 0;
            for (character, spelled) in characters.iter().zip(&spelled) {
                let end = offset + character.len_utf8();
                prop_assert_eq!(&written(&document, offset, end), spelled);
                offset = end;
            }
        }
    }
}
