//! Text to path, prefix, tree and dtab: one pass, first error, with its place.
//!
//! Texts come from strangers (`l5d-dtab`), so nesting and length are bounded: each character is looked at a fixed number
//! of times, and no text makes the stack deeper than [`MAX_NESTING`] trees.

use std::fmt;

use bytes::Bytes;

use crate::dtab::{Element, Prefix};
use crate::name_tree::{NameTree, Weighted};
use crate::path::{Path, Segment, is_showable};
use crate::span::Span;
use crate::work;

/// The deepest nesting of parentheses. People write two or three.
pub const MAX_NESTING: usize = 64;

/// The longest text, in bytes: some hundred thousand rules.
pub const MAX_TEXT: usize = 16 << 20;

/// What is wrong with a text, and where.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{kind}")]
pub struct ParseError {
    /// What.
    pub kind: ParseErrorKind,
    /// The offending character; a point where the text ended too early.
    pub span: Span,
}

/// What can be wrong with a text.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum ParseErrorKind {
    /// A path begins with `/`.
    #[error("expected `/`, found {0}")]
    ExpectedSlash(Found),
    /// A segment holds at least one character.
    #[error("expected a segment after `/`, found {0}")]
    ExpectedSegment(Found),
    /// `/a/`.
    #[error("a path has no trailing `/`")]
    TrailingSlash,
    /// `/a//b`.
    #[error("a path has no empty segment")]
    EmptySegment,
    /// A character that must be escaped.
    #[error("{0} cannot stand in a path")]
    NotShowable(Found),
    /// `\` without `x` and two digits.
    #[error("expected `\\x` and two hex digits, found {0}")]
    BadEscape(Found),
    /// `/foo*`, `/*foo`, or a `*` outside a prefix.
    #[error("`*` cannot stand here")]
    Wildcard,
    /// A tree begins with a path, a weight, `(` or one of `~ ! $`.
    #[error("expected a path, a weight, `(`, `~`, `!` or `$`, found {0}")]
    ExpectedTree(Found),
    /// `.`, or a weight that no number can hold.
    #[error("a weight is a finite decimal number, such as `0.25`")]
    BadWeight,
    /// `0.5 /a`.
    #[error("expected `*` between a weight and what it weighs, found {0}")]
    ExpectedStar(Found),
    /// `0.5 * 0.5 * /a`.
    #[error("weights do not nest")]
    NestedWeight,
    /// `(/a`.
    #[error("expected `)`, found {0}")]
    Unclosed(Found),
    /// A rule without `=>`.
    #[error("expected `=>`, found {0}")]
    ExpectedArrow(Found),
    /// `= >`.
    #[error("`=` and `>` touch")]
    SplitArrow,
    /// `;;`, or `;` before the first rule.
    #[error("there is no rule before this `;`")]
    EmptyRule,
    /// A rule begins where the one before has not ended.
    #[error("missing `;` before this rule")]
    MissingSemicolon,
    /// More text where there should be none.
    #[error("expected the end of the text, found {0}")]
    ExpectedEnd(Found),
    /// Parentheses beyond [`MAX_NESTING`].
    #[error("parentheses nest deeper than {MAX_NESTING}")]
    TooDeep,
    /// A text beyond [`MAX_TEXT`].
    #[error("the text is longer than {MAX_TEXT} bytes")]
    TooLong,
}

impl ParseErrorKind {
    /// What to write instead, where that can be told.
    #[must_use]
    pub const fn hint(&self) -> Option<&'static str> {
        match self {
            Self::ExpectedSlash(_) => Some("a path begins with `/`: `/svc/users`"),
            Self::ExpectedSegment(_) | Self::NotShowable(_) => {
                Some("a segment is made of letters, digits and `_ : . # $ % -`; any other byte is written `\\xNN`")
            }
            Self::TrailingSlash => Some("leave out the last `/`"),
            Self::EmptySegment => Some("leave out one `/`"),
            Self::BadEscape(_) => Some("an escape is `\\x` and two hex digits: `\\x2f` is a slash inside a segment"),
            Self::Wildcard => Some("`*` stands only alone in a prefix, for any one segment: `/http/1.1/* => /host`"),
            Self::ExpectedTree(_) => None,
            Self::BadWeight => Some("digits with at most one `.`, without sign or exponent"),
            Self::ExpectedStar(_) => Some("a weighted member is `0.5 * /name`"),
            Self::NestedWeight => Some("multiply them, or group with parentheses: `0.5 * (0.5 * /a & 0.5 * /b)`"),
            Self::Unclosed(_) => Some("each `(` needs its `)`"),
            Self::ExpectedArrow(_) => Some("a rule is `prefix => tree`"),
            Self::SplitArrow => Some("write `=>`"),
            Self::EmptyRule => Some("leave out this `;`"),
            Self::MissingSemicolon => Some("rules are separated by `;`, a new line does not end one"),
            Self::ExpectedEnd(_) => Some("alternatives are joined by `|`, shares by `&`, rules by `;`"),
            Self::TooDeep => Some("name the inner trees by rules of their own"),
            Self::TooLong => Some("split the table"),
        }
    }
}

/// What stood where something else was expected: a character, or the end of the text.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Found(pub Option<char>);

impl fmt::Display for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(character) => write!(f, "`{}`", character.escape_debug()),
            None => f.write_str("the end of the text"),
        }
    }
}

/// A rule as read, and where in the text.
pub(crate) type Rule = (Prefix, NameTree<Path>, Span);

pub(crate) fn path(text: &str) -> Result<Path, ParseError> {
    let mut parser = Parser::new(text)?;
    let path = parser.path()?;
    parser.end()?;
    Ok(path)
}

pub(crate) fn prefix(text: &str) -> Result<Prefix, ParseError> {
    let mut parser = Parser::new(text)?;
    let prefix = parser.prefix()?;
    parser.end()?;
    Ok(prefix)
}

pub(crate) fn tree(text: &str) -> Result<NameTree<Path>, ParseError> {
    let mut parser = Parser::new(text)?;
    let tree = parser.tree(0)?;
    parser.end()?;
    Ok(tree)
}

pub(crate) fn dtab(text: &str) -> Result<Vec<Rule>, ParseError> {
    let mut parser = Parser::new(text)?;
    let mut rules = Vec::new();
    loop {
        parser.skip_blank();
        match parser.peek() {
            None => return Ok(rules),
            Some(';') => return Err(parser.error(ParseErrorKind::EmptyRule)),
            Some(_) => rules.push(parser.rule()?),
        }
        parser.skip_blank();
        if !parser.eat(';') && parser.peek().is_some() {
            return Err(parser.no_separator());
        }
    }
}

/// A place in a text. Each method reads from there, and leaves the place behind what it read or at the error.
struct Parser<'t> {
    text: &'t str,
    /// Byte offset of the next character; always on a boundary.
    at: usize,
    /// What was skipped last.
    blank: Span,
}

impl<'t> Parser<'t> {
    const fn new(text: &'t str) -> Result<Self, ParseError> {
        if text.len() > MAX_TEXT {
            return Err(ParseError { kind: ParseErrorKind::TooLong, span: Span::new(MAX_TEXT, text.len()) });
        }
        Ok(Self { text, at: 0, blank: Span::at(0) })
    }

    fn rule(&mut self) -> Result<Rule, ParseError> {
        let start = self.at;
        let prefix = self.prefix()?;
        self.arrow()?;
        let tree = self.tree(0)?;
        let end = if self.blank.end == self.at { self.blank.start } else { self.at };
        Ok((prefix, tree, Span::new(start, end)))
    }

    fn arrow(&mut self) -> Result<(), ParseError> {
        self.skip_blank();
        if !self.eat('=') {
            return Err(self.error(self.misplaced(ParseErrorKind::ExpectedArrow)));
        }
        if self.eat('>') {
            return Ok(());
        }
        let behind = self.rest().trim_start();
        work::count(self.rest().len() - behind.len());
        let split = behind.starts_with('>');
        Err(self.error(if split { ParseErrorKind::SplitArrow } else { ParseErrorKind::ExpectedArrow(self.found()) }))
    }

    fn prefix(&mut self) -> Result<Prefix, ParseError> {
        self.slash()?;
        let mut elements = Vec::new();
        if !self.at_label() && self.peek() != Some('*') {
            return Ok(Prefix::default());
        }
        loop {
            elements.push(if self.eat('*') { Element::Any } else { Element::Label(self.segment()?) });
            if !self.eat('/') {
                return Ok(Prefix::from_elements(elements));
            }
        }
    }

    fn path(&mut self) -> Result<Path, ParseError> {
        self.slash()?;
        if !self.at_label() {
            return Ok(Path::empty());
        }
        let mut segments = vec![self.segment()?];
        while self.eat('/') {
            segments.push(self.segment()?);
        }
        Ok(Path::from_segments(segments))
    }

    fn slash(&mut self) -> Result<(), ParseError> {
        self.skip_blank();
        if self.eat('/') { Ok(()) } else { Err(self.error(ParseErrorKind::ExpectedSlash(self.found()))) }
    }

    fn segment(&mut self) -> Result<Segment, ParseError> {
        let mut bytes = Vec::new();
        loop {
            let rest = self.rest();
            let plain = rest.bytes().position(|byte| !is_showable(byte)).unwrap_or(rest.len());
            work::count(plain);
            bytes.extend_from_slice(rest.as_bytes().get(..plain).unwrap_or_default());
            self.at += plain;
            if !self.eat('\\') {
                break;
            }
            bytes.push(self.escaped()?);
        }
        Segment::new(Bytes::from(bytes)).map_err(|_| self.error(self.why_no_segment()))
    }

    fn escaped(&mut self) -> Result<u8, ParseError> {
        if !self.eat('x') {
            return Err(self.error(ParseErrorKind::BadEscape(self.found())));
        }
        let high = self.hex_digit()?;
        let low = self.hex_digit()?;
        Ok(high << 4 | low)
    }

    fn hex_digit(&mut self) -> Result<u8, ParseError> {
        let digit = self.peek().and_then(|character| character.to_digit(16)).and_then(|digit| u8::try_from(digit).ok());
        let Some(digit) = digit else { return Err(self.error(ParseErrorKind::BadEscape(self.found()))) };
        self.at += 1;
        Ok(digit)
    }

    fn tree(&mut self, depth: usize) -> Result<NameTree<Path>, ParseError> {
        let first = self.shares(depth)?;
        let mut trees = vec![first];
        while self.eat_token('|') {
            trees.push(self.shares(depth)?);
        }
        Ok(if trees.len() > 1 { NameTree::Alt(trees) } else { trees.pop().unwrap_or(NameTree::Neg) })
    }

    /// What stands between two `|`.
    fn shares(&mut self, depth: usize) -> Result<NameTree<Path>, ParseError> {
        let mut members = vec![self.weighted(depth)?];
        while self.eat_token('&') {
            members.push(self.weighted(depth)?);
        }
        // A member alone is no union: linkerd forgets its weight, so do we.
        Ok(if members.len() > 1 {
            NameTree::Union(members)
        } else {
            members.pop().map_or(NameTree::Neg, |member| member.tree)
        })
    }

    fn weighted(&mut self, depth: usize) -> Result<Weighted<Path>, ParseError> {
        self.skip_blank();
        if !self.at_number() {
            return Ok(Weighted { weight: 1.0, tree: self.simple(depth)? });
        }
        let weight = self.number()?;
        if !self.eat_token('*') {
            return Err(self.error(ParseErrorKind::ExpectedStar(self.found())));
        }
        self.skip_blank();
        if self.at_number() {
            return Err(self.error(ParseErrorKind::NestedWeight));
        }
        Ok(Weighted { weight, tree: self.simple(depth)? })
    }

    fn at_number(&self) -> bool {
        self.peek().is_some_and(|character| character.is_ascii_digit() || character == '.')
    }

    fn number(&mut self) -> Result<f64, ParseError> {
        let start = self.at;
        self.digits();
        if self.eat('.') {
            self.digits();
        }
        let text = self.text.get(start..self.at).unwrap_or_default();
        match text.parse::<f64>() {
            Ok(weight) if weight.is_finite() => Ok(weight),
            Ok(_) => Err(ParseError { kind: ParseErrorKind::BadWeight, span: Span::new(start, self.at) }),
            Err(_) => Err(self.error(ParseErrorKind::BadWeight)),
        }
    }

    fn digits(&mut self) {
        let digits = self.rest().bytes().take_while(u8::is_ascii_digit).count();
        work::count(digits);
        self.at += digits;
    }

    fn simple(&mut self, depth: usize) -> Result<NameTree<Path>, ParseError> {
        match self.peek() {
            Some('/') => self.path().map(NameTree::Leaf),
            Some('(') => self.group(depth),
            Some('~') => Ok(self.taken(NameTree::Neg)),
            Some('!') => Ok(self.taken(NameTree::Fail)),
            Some('$') => Ok(self.taken(NameTree::Empty)),
            Some(_) | None => Err(self.error(ParseErrorKind::ExpectedTree(self.found()))),
        }
    }

    const fn taken(&mut self, tree: NameTree<Path>) -> NameTree<Path> {
        self.at += 1;
        tree
    }

    fn group(&mut self, depth: usize) -> Result<NameTree<Path>, ParseError> {
        if depth == MAX_NESTING {
            return Err(self.error(ParseErrorKind::TooDeep));
        }
        self.at += 1;
        let tree = self.tree(depth + 1)?;
        if self.eat_token(')') {
            return Ok(tree);
        }
        Err(self.error(self.misplaced(ParseErrorKind::Unclosed)))
    }

    fn end(&mut self) -> Result<(), ParseError> {
        self.skip_blank();
        match self.peek() {
            None => Ok(()),
            Some(_) => Err(self.error(self.misplaced(ParseErrorKind::ExpectedEnd))),
        }
    }

    /// Why the rule before is not over here, where neither `;` nor the end is.
    fn no_separator(&self) -> ParseError {
        work::count(2 * self.rest().len());
        let arrow = self.rest().find("=>");
        let separator = self.rest().find(';').unwrap_or(usize::MAX);
        if self.peek() == Some('/')
            && arrow.is_some_and(|arrow| arrow < separator)
            && !self.text_before().ends_with('/')
        {
            return self.error(ParseErrorKind::MissingSemicolon);
        }
        self.error(self.misplaced(ParseErrorKind::ExpectedEnd))
    }

    /// Why no segment begins behind the `/` before this place.
    fn why_no_segment(&self) -> ParseErrorKind {
        match self.peek() {
            Some('/') => ParseErrorKind::EmptySegment,
            Some('*') => ParseErrorKind::Wildcard,
            Some(character) if !ends_path(character) => ParseErrorKind::NotShowable(self.found()),
            Some(_) | None => ParseErrorKind::TrailingSlash,
        }
    }

    /// Why what stands here cannot: a slip in the path that it touches, or else `expected`.
    fn misplaced(&self, expected: impl Fn(Found) -> ParseErrorKind) -> ParseErrorKind {
        let before = self.text_before().chars().next_back();
        let touches_path = before.is_some_and(|before| matches!(before, '/' | '*') || is_showable_char(before));
        match self.peek() {
            Some('/') if before == Some('/') => ParseErrorKind::EmptySegment,
            Some('*') if touches_path => ParseErrorKind::Wildcard,
            Some(character) if before == Some('*') && is_showable_char(character) => ParseErrorKind::Wildcard,
            Some(character) if touches_path && !ends_path(character) => ParseErrorKind::NotShowable(self.found()),
            found => expected(Found(found)),
        }
    }

    fn error(&self, kind: ParseErrorKind) -> ParseError {
        let length = self.peek().map_or(0, char::len_utf8);
        ParseError { kind, span: Span::new(self.at, self.at + length) }
    }

    fn found(&self) -> Found {
        Found(self.peek())
    }

    fn peek(&self) -> Option<char> {
        work::count(1);
        self.rest().chars().next()
    }

    fn rest(&self) -> &'t str {
        self.text.get(self.at..).unwrap_or_default()
    }

    fn text_before(&self) -> &'t str {
        self.text.get(..self.at).unwrap_or_default()
    }

    fn at_label(&self) -> bool {
        self.peek().is_some_and(|character| character == '\\' || is_showable_char(character))
    }

    fn eat(&mut self, wanted: char) -> bool {
        work::count(1);
        let eaten = self.rest().starts_with(wanted);
        if eaten {
            self.at += wanted.len_utf8();
        }
        eaten
    }

    fn eat_token(&mut self, wanted: char) -> bool {
        self.skip_blank();
        self.eat(wanted)
    }

    /// White space, and comments: where a token may begin, `#` starts one. Inside a path it is a character.
    fn skip_blank(&mut self) {
        let start = self.at;
        loop {
            let rest = self.rest();
            let behind = rest.trim_start_matches(is_blank);
            self.at += rest.len() - behind.len();
            if !behind.starts_with('#') {
                break;
            }
            self.at += behind.find('\n').unwrap_or(behind.len());
        }
        work::count(1 + self.at - start);
        if start < self.at {
            self.blank = Span::new(start, self.at);
        }
    }
}

fn is_showable_char(character: char) -> bool {
    u8::try_from(character).is_ok_and(is_showable)
}

/// Is this what may stand directly behind a path?
fn ends_path(character: char) -> bool {
    is_blank(character) || matches!(character, '|' | '&' | ';' | '(' | ')' | '=' | '>' | '~' | '!' | '/' | '\\')
}

/// Java's `Character.isWhitespace`, which linkerd's parser skips: all space but the non-breaking kinds.
fn is_blank(character: char) -> bool {
    match character {
        '\u{85}' | '\u{a0}' | '\u{2007}' | '\u{202f}' => false,
        '\u{1c}'..='\u{1f}' => true,
        other => other.is_whitespace(),
    }
}

#[cfg(test)]
mod tests;
