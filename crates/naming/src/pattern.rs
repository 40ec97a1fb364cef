//! Patterns over paths (`/#/fs/{service}-{version}`), what they capture, and templates that use it.

use std::fmt;
use std::sync::Arc;

use crate::path::{Path, is_showable};
use crate::span::Span;

/// A prefix of paths, with wildcards and captures. `/svc/{name}`, `svc/{name}/` and `/svc/{name}` are the same.
///
/// A part is compared with a segment's shown form: `*` alone is any one segment, `{x}` any text, all else itself. Unlike
/// linkerd's, a part has to match its whole segment. Captures are greedy: `{a}-{b}` on `x-y-z` gives `x-y` and `z`.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub struct Pattern {
    parts: Arc<[Part]>,
}

/// One segment's worth of a [`Pattern`].
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
enum Part {
    /// `*`.
    Any,
    /// `head{a}text{b}text`: each capture goes with the text behind it. Without captures, the text itself.
    Text { head: String, captures: Vec<(Arc<str>, String)> },
}

/// Why a text is no pattern: no path could match it.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum PatternError {
    /// `/a//b`.
    #[error("an empty part matches no segment")]
    EmptyPart {
        /// The slash that is one too many.
        span: Span,
    },
    /// `{a-b}`, or a brace without its other one.
    #[error("`{}` is no capture; the name in its braces is made of letters, digits, `_` and `.`", .text.escape_debug())]
    NotACapture {
        /// What stands there.
        text: String,
        /// From the brace on.
        span: Span,
    },
    /// `a*`.
    #[error("`*` stands only alone between slashes")]
    Wildcard {
        /// The star.
        span: Span,
    },
    /// `/a b`.
    #[error("`{}` cannot stand in a path; it is written `\\xNN`", .character.escape_debug())]
    NotShowable {
        /// The character.
        character: char,
        /// Where.
        span: Span,
    },
}

impl PatternError {
    /// The offending part of the text.
    #[must_use]
    pub const fn span(&self) -> Span {
        match self {
            Self::EmptyPart { span }
            | Self::NotACapture { span, .. }
            | Self::Wildcard { span }
            | Self::NotShowable { span, .. } => *span,
        }
    }
}

impl Pattern {
    /// Reads `/#/fs/{service}`. Slashes before and behind may be left out.
    ///
    /// # Errors
    /// Where no path could match it.
    pub fn parse(text: &str) -> Result<Self, PatternError> {
        let start = text.len() - text.trim_start_matches('/').len();
        let mut at = start;
        let mut parts = Vec::new();
        let inner = text.trim_matches('/');
        for part in inner.split('/').filter(|_| !inner.is_empty()) {
            parts.push(Part::parse(part, at)?);
            at += part.len() + 1;
        }
        Ok(Self { parts: parts.into() })
    }

    /// What the captures hold, where `path` begins like this.
    #[must_use]
    pub fn matches(&self, path: &Path) -> Option<Captures> {
        let segments = path.segments().get(..self.parts.len())?;
        let mut captures = Captures::default();
        for (part, segment) in self.parts.iter().zip(segments) {
            match part {
                Part::Any => {}
                Part::Text { head, captures: wanted } => captures.take(head, wanted, &segment.to_string())?,
            }
        }
        Some(captures)
    }

    /// The captures' names, as they stand; one may come twice.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.captures().map(|name| &**name)
    }

    fn captures(&self) -> impl Iterator<Item = &Arc<str>> {
        let captures = self.parts.iter().flat_map(|part| match part {
            Part::Any => [].iter(),
            Part::Text { captures, .. } => captures.iter(),
        });
        captures.map(|(name, _)| name)
    }

    fn capture(&self, name: &str) -> Option<Arc<str>> {
        self.captures().find(|capture| ***capture == *name).cloned()
    }

    /// As it stands, with what `captures` hold in place of their names; a `*` and what they do not hold stay.
    #[must_use]
    pub fn fill(&self, captures: &Captures) -> String {
        let mut filled = String::new();
        for part in &*self.parts {
            filled.push('/');
            match part {
                Part::Any => filled.push('*'),
                Part::Text { head, captures: named } => {
                    filled.push_str(head);
                    for (name, tail) in named {
                        match captures.get(name) {
                            Some(text) => filled.push_str(text),
                            None => filled.extend(["{", name, "}"]),
                        }
                        filled.push_str(tail);
                    }
                }
            }
        }
        filled
    }

    /// The number of segments that it looks at.
    #[must_use]
    pub fn len(&self) -> usize {
        self.parts.len()
    }

    /// Does it match every path?
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.parts.is_empty()
    }
}

impl Part {
    /// `text`, which stands at `offset` of the whole.
    fn parse(text: &str, offset: usize) -> Result<Self, PatternError> {
        if text.is_empty() {
            return Err(PatternError::EmptyPart { span: Span::new(offset, offset + 1) });
        }
        if text == "*" {
            return Ok(Self::Any);
        }
        let mut pieces = Pieces { text, at: 0 };
        let head = literal(pieces.text(), offset)?;
        let mut captures = Vec::new();
        while let Some(capture) = pieces.capture() {
            let name = capture.map_err(|span| not_a_capture(text, span, offset))?;
            captures.push((name.into(), literal(pieces.text(), offset)?));
        }
        Ok(Self::Text { head, captures })
    }
}

fn not_a_capture(text: &str, span: Span, offset: usize) -> PatternError {
    let text = text.get(span.start..span.end).unwrap_or_default().to_owned();
    PatternError::NotACapture { text, span: span.shifted(offset) }
}

/// `text` at its place in a part that stands at `offset`, if a shown segment can hold it.
fn literal((at, text): (usize, &str), offset: usize) -> Result<String, PatternError> {
    let fits = |character: char| character == '\\' || u8::try_from(character).is_ok_and(is_showable);
    match text.char_indices().find(|(_, character)| !fits(*character)) {
        None => Ok(text.to_owned()),
        Some((index, character)) => {
            let span = Span::new(at + index, at + index + character.len_utf8()).shifted(offset);
            Err(match character {
                '*' => PatternError::Wildcard { span },
                '}' => PatternError::NotACapture { text: "}".to_owned(), span },
                _ => PatternError::NotShowable { character, span },
            })
        }
    }
}

/// Text and captures by turns.
struct Pieces<'t> {
    text: &'t str,
    at: usize,
}

impl<'t> Pieces<'t> {
    fn rest(&self) -> &'t str {
        self.text.get(self.at..).unwrap_or_default()
    }

    /// The text up to the next `{`, and where it begins.
    fn text(&mut self) -> (usize, &'t str) {
        let (start, rest) = (self.at, self.rest());
        let text = rest.split('{').next().unwrap_or_default();
        self.at += text.len();
        (start, text)
    }

    /// The name of the capture that begins here; none at the end. Its place, where it is no capture.
    fn capture(&mut self) -> Option<Result<&'t str, Span>> {
        let start = self.at;
        let inside = self.rest().strip_prefix('{')?;
        let length = inside.find(['{', '}']).unwrap_or(inside.len());
        let closed = inside.get(length..).is_some_and(|behind| behind.starts_with('}'));
        self.at = start + 1 + length + usize::from(closed);
        let name = inside.get(..length).unwrap_or_default();
        Some(if closed && is_name(name) { Ok(name) } else { Err(Span::new(start, self.at)) })
    }
}

/// linkerd's class of characters, which by a slip (`:-_`) has more than it was meant to.
fn is_name(text: &str) -> bool {
    !text.is_empty()
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'.' || (b':'..=b'_').contains(&byte))
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_empty() {
            return f.write_str("/");
        }
        self.parts.iter().try_for_each(|part| write!(f, "/{part}"))
    }
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any => f.write_str("*"),
            Self::Text { head, captures } => {
                f.write_str(head)?;
                captures.iter().try_for_each(|(name, tail)| write!(f, "{{{name}}}{tail}"))
            }
        }
    }
}

/// What a pattern's captures hold for one path, in shown form.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Captures(Vec<(Arc<str>, String)>);

impl Captures {
    /// What `{name}` holds; it may be empty text.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.iter().find(|(captured, _)| *captured == name).map(|(_, text)| text)
    }

    /// All of them, each name once.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, text)| (&**name, text.as_str()))
    }

    /// Takes from `text` what stands where `wanted` says, if it is `head` and then captures and texts by turns.
    ///
    /// Greedy from the left is the last possible place for each text from the right, so one pass does: no backtracking.
    fn take(&mut self, head: &str, wanted: &[(Arc<str>, String)], text: &str) -> Option<()> {
        let rest = text.strip_prefix(head)?;
        let Some(((last, tail), others)) = wanted.split_last() else { return rest.is_empty().then_some(()) };
        let mut rest = rest.strip_suffix(tail.as_str())?;
        let mut name = last;
        let mut held = Vec::with_capacity(wanted.len());
        for (previous, tail) in others.iter().rev() {
            let (before, behind) = rest.rsplit_once(tail.as_str())?;
            held.push((name, behind));
            rest = before;
            name = previous;
        }
        held.push((name, rest));
        held.into_iter().rev().for_each(|(name, text)| self.set(name, text));
        Some(())
    }

    /// A name that comes twice holds what it met last, as in linkerd.
    fn set(&mut self, name: &Arc<str>, text: &str) {
        match self.0.iter_mut().find(|(captured, _)| captured == name) {
            Some((_, held)) => text.clone_into(held),
            None => self.0.push((Arc::clone(name), text.to_owned())),
        }
    }
}

/// A text with `{captures}` of a [`Pattern`] in it: `{service}.example.com`.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Template {
    /// Each capture with the text before it.
    captures: Vec<(String, Arc<str>)>,
    tail: String,
}

/// Why a text is no template.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum TemplateError {
    /// linkerd would send the braces out as they are.
    #[error("`{{{}}}` is not captured by its prefix", .name.escape_debug())]
    UnknownCapture {
        /// What stands in the braces.
        name: String,
        /// Braces included.
        span: Span,
    },
    /// `{a` without `}`.
    #[error("this `{{` has no `}}`")]
    Unclosed {
        /// From the brace on.
        span: Span,
    },
}

impl TemplateError {
    /// The offending part of the text.
    #[must_use]
    pub const fn span(&self) -> Span {
        match self {
            Self::UnknownCapture { span, .. } | Self::Unclosed { span } => *span,
        }
    }
}

impl Template {
    /// Reads a text that may use what `pattern` captures.
    ///
    /// # Errors
    /// At a brace that holds none of its names.
    pub fn parse(text: &str, pattern: &Pattern) -> Result<Self, TemplateError> {
        let mut pieces = Pieces { text, at: 0 };
        let (_, mut before) = pieces.text();
        let mut captures = Vec::new();
        let mut start = pieces.at;
        while let Some(capture) = pieces.capture() {
            let span = Span::new(start, pieces.at);
            let Some(known) = capture.ok().and_then(|name| pattern.capture(name)) else {
                return Err(unknown_capture(text, span));
            };
            captures.push((before.to_owned(), known));
            (_, before) = pieces.text();
            start = pieces.at;
        }
        Ok(Self { captures, tail: before.to_owned() })
    }

    /// The text, with what the captures hold.
    #[must_use]
    pub fn fill(&self, captures: &Captures) -> String {
        let mut filled = String::new();
        for (before, name) in &self.captures {
            filled.push_str(before);
            filled.push_str(captures.get(name).unwrap_or_default());
        }
        filled + &self.tail
    }

    /// What the captures would have to hold for [`Self::fill`] to give `text`; greedy, as those of a [`Pattern`].
    #[must_use]
    pub fn matches(&self, text: &str) -> Option<Captures> {
        let before = self.captures.iter().map(|(before, _)| before).chain([&self.tail]);
        let mut before = before.cloned();
        let head = before.next().unwrap_or_default();
        let wanted: Vec<_> = self.captures.iter().map(|(_, name)| Arc::clone(name)).zip(before).collect();
        let mut captures = Captures::default();
        captures.take(&head, &wanted, text)?;
        // A name that comes twice has to hold the same both times.
        (self.fill(&captures) == text).then_some(captures)
    }

    /// The captures that it uses, as they stand.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.captures.iter().map(|(_, name)| &**name)
    }
}

fn unknown_capture(text: &str, span: Span) -> TemplateError {
    let braces = text.get(span.start..span.end).unwrap_or_default();
    match braces.strip_prefix('{').and_then(|inside| inside.strip_suffix('}')) {
        Some(name) => TemplateError::UnknownCapture { name: name.to_owned(), span },
        None => TemplateError::Unclosed { span },
    }
}

impl fmt::Display for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.captures.iter().try_for_each(|(before, name)| write!(f, "{before}{{{name}}}"))?;
        f.write_str(&self.tail)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pattern(text: &str) -> Pattern {
        Pattern::parse(text).unwrap()
    }

    /// `a=x b=y`, or a dash where nothing matches.
    fn captured(text: &str, path: &str) -> String {
        match pattern(text).matches(&Path::parse(path).unwrap()) {
            Some(captures) => {
                captures.iter().map(|(name, text)| format!("{name}={text}")).collect::<Vec<_>>().join(" ")
            }
            None => "-".to_owned(),
        }
    }

    #[test]
    fn captures_are_greedy_and_take_whole_segments() {
        for (text, path, expected) in [
            ("/{a}-{b}", "/x-y-z", "a=x-y b=z"),
            ("/{a}-{b}-{c}", "/1-2-3-4", "a=1-2 b=3 c=4"),
            ("/{a}-{b}", "/-", "a= b="),
            ("/{a}-{b}", "/x", "-"),
            ("/{a}{b}", "/xyz", "a=xyz b="),
            ("/v{n}", "/dev12", "-"),
            ("/{n}-v1", "/users-v12", "-"),
            ("/{n}-v1", "/users-v1-v1", "n=users-v1"),
            ("/{a}aa{b}", "/aaa", "a=a b="),
            ("/a{x}a", "/a", "-"),
            ("/a{x}a", "/aa", "x="),
            ("/{x}/{x}", "/1/2", "x=2"),
            ("/{x}-{x}", "/1-2", "x=2"),
            ("/*/{x}", "/1/2/3", "x=2"),
            ("/a/*", "/a", "-"),
            ("/{x}", r"/a\x20b", r"x=\x61\x20\x62"),
            (r"/\x61\x20\x62", r"/a\x20b", ""),
            ("/{s}.example", "/webxexample", "-"),
            ("/#/fs/{service.name_1}", "/#/fs/web", "service.name_1=web"),
        ] {
            assert_eq!(captured(text, path), expected, "{text} on {path}");
        }
    }

    #[test]
    fn templates_are_read_backwards() {
        for (prefix, template, text, expected) in [
            ("/#/fs/{service}", "{service}.example.com", "users.example.com", "/#/fs/users"),
            ("/#/fs/{service}", "{service}.example.com", "users.example.org", "-"),
            ("/#/fs/{service}", "users.example.com", "users.example.com", "/#/fs/{service}"),
            ("/#/*/{a}-{b}", "spiffe://{b}/{a}", "spiffe://prod/web", "/#/*/web-prod"),
            ("/#/fs/{a}", "{a}.{a}", "x.x", "/#/fs/x"),
            ("/#/fs/{a}", "{a}.{a}", "x.y", "-"),
            ("/", "gateway", "gateway", ""),
        ] {
            let prefix = pattern(prefix);
            let captures = Template::parse(template, &prefix).unwrap().matches(text);
            let filled = captures.map_or_else(|| "-".to_owned(), |captures| prefix.fill(&captures));
            assert_eq!(filled, expected, "{template} from {text}");
        }
    }

    #[test]
    fn outer_slashes_do_not_matter() {
        for text in ["a/{b}", "/a/{b}", "a/{b}/", "//a/{b}//"] {
            assert_eq!(pattern(text), pattern("/a/{b}"), "{text}");
            assert_eq!(pattern(text).to_string(), "/a/{b}");
            assert_eq!((pattern(text).len(), pattern(text).names().collect::<Vec<_>>()), (2, vec!["b"]));
        }
        for text in ["", "/", "//"] {
            assert!(pattern(text).is_empty(), "{text}");
            assert_eq!(pattern(text).to_string(), "/");
        }
    }

    #[test]
    fn what_matches_nothing_is_refused_with_its_place() {
        for (text, found) in [
            ("/a//b", "/"),
            ("/x/{a-b}", "{a-b}"),
            ("/{}", "{}"),
            ("/a{b", "{b"),
            ("/{a{b}}", "{a"),
            ("/a}", "}"),
            ("/a*", "*"),
            ("/{a}*", "*"),
            ("/{a}/b c", " "),
            ("/\u{e9}", "\u{e9}"),
        ] {
            let span = Pattern::parse(text).unwrap_err().span();
            assert_eq!(&text[span.start..span.end], found, "{text}");
        }
    }

    #[test]
    fn templates_know_their_captures() {
        let pattern = pattern("/#/fs/{service}-{version}");
        let captures = pattern.matches(&Path::parse("/#/fs/web-2").unwrap()).unwrap();

        for (text, filled) in [
            ("{service}.example.com", "web.example.com"),
            ("{version}{service}", "2web"),
            ("plain", "plain"),
            ("", ""),
            ("a}b", "a}b"),
        ] {
            let template = Template::parse(text, &pattern).unwrap();
            assert_eq!(template.fill(&captures), filled, "{text}");
            assert_eq!(template.to_string(), text);
        }
    }

    #[test]
    fn messages_are_one_line_whatever_the_text() {
        let error = Pattern::parse("/{a\n\u{1b}}").unwrap_err();
        assert!(error.to_string().starts_with(r"`{a\n\u{1b}}` is no capture"), "{error}");
        let error = Template::parse("{a\n}", &pattern("/a")).unwrap_err();
        assert_eq!(error.to_string(), r"`{a\n}` is not captured by its prefix");
    }

    #[test]
    fn unknown_captures_are_errors_at_their_place() {
        let unknown = |name: &str, start, end| TemplateError::UnknownCapture {
            name: name.to_owned(),
            span: Span::new(start, end),
        };
        for (text, error) in [
            ("{x}.example.com", unknown("x", 0, 3)),
            ("a.{s}.{svc}", unknown("svc", 6, 11)),
            ("{a-b}", unknown("a-b", 0, 5)),
            ("{}", unknown("", 0, 2)),
            ("{s}{s", TemplateError::Unclosed { span: Span::new(3, 5) }),
        ] {
            assert_eq!(Template::parse(text, &pattern("/{s}")), Err(error), "{text}");
        }
    }

    /// A matcher that tries every way to cut this would not come back.
    #[test]
    fn matching_does_not_backtrack() {
        let many: String = (0..2_000).map(|n| format!("{{c{n}}}a")).collect();

        assert_eq!(captured(&format!("/{many}b"), &format!("/{}", "a".repeat(100_000))), "-");
    }
}
