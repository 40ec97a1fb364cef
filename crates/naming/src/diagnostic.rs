//! What is wrong with a text that somebody wrote, and drawing it: place, line, caret, hint.

use std::fmt;
use std::sync::Arc;

use annotate_snippets::renderer::DecorStyle;
use annotate_snippets::{AnnotationKind, Group, Level, Origin, Renderer, Snippet, normalize_untrusted_str};

use crate::span::{Lines, Span};

/// Can the text be used as it is?
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub enum Severity {
    /// It cannot.
    Error,
    /// It can, but is surely not meant so.
    Warning,
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Error => "error",
            Self::Warning => "warning",
        })
    }
}

/// A file and its text.
#[derive(Clone, PartialEq, Eq)]
pub struct Source {
    /// As people know it: a path, `--dtab`.
    pub name: String,
    /// All of it.
    pub text: String,
}

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Source").field("name", &self.name).field("bytes", &self.text.len()).finish()
    }
}

/// One thing that is wrong, where, and what would mend it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Finding {
    /// Error or warning.
    pub severity: Severity,
    /// The lint's name: `unknown-key`.
    pub code: &'static str,
    /// The text that it is about.
    pub source: Option<Arc<Source>>,
    /// The place in `source`.
    pub span: Option<Span>,
    /// One line, lower case, without a full stop.
    pub message: String,
    /// What to write instead.
    pub hint: Option<String>,
}

impl Finding {
    /// What makes a text unusable.
    pub fn error(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(Severity::Error, code, harmless(message.into()))
    }

    /// What is surely not meant.
    pub fn warning(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(Severity::Warning, code, harmless(message.into()))
    }

    const fn new(severity: Severity, code: &'static str, message: String) -> Self {
        Self { severity, code, source: None, span: None, message, hint: None }
    }

    /// The same, about `span` of `source`.
    #[must_use]
    pub fn at(self, source: Arc<Source>, span: Span) -> Self {
        Self { source: Some(source), span: Some(span), ..self }
    }

    /// The same, with advice.
    #[must_use]
    pub fn hint(self, hint: impl Into<String>) -> Self {
        Self { hint: Some(harmless(hint.into())), ..self }
    }

    /// File, line and column (both from 1, the column in characters), where there are such.
    #[must_use]
    pub fn place(&self) -> Option<(String, usize, usize)> {
        let (source, span) = (self.source.as_ref()?, self.span?);
        let (line, col) = Lines::new(&source.text).line_col(span.start);
        Some((source.name.clone(), line, col))
    }

    /// `file:line:col: message`, or the message alone.
    #[must_use]
    pub fn one_line(&self) -> String {
        match self.place() {
            Some((file, line, col)) => format!("{}:{line}:{col}: {}", harmless(file), self.message),
            None => self.message.clone(),
        }
    }

    /// Message, `file:line:col`, the line, a caret below what is meant, and the hint; no newline at the end.
    #[must_use]
    pub fn render(&self, color: bool) -> String {
        let level = match self.severity {
            Severity::Error => Level::ERROR,
            Severity::Warning => Level::WARNING,
        };
        let mut group =
            level.primary_title(normalize_untrusted_str(&self.message)).id(self.code).elements([] as [Origin<'_>; 0]);
        if let Some(source) = &self.source {
            group = match self.span {
                Some(span) => excerpt(group, source, span),
                None => group.element(Origin::path(source.name.as_str())),
            };
        }
        if let Some(hint) = &self.hint {
            group = group.element(Level::HELP.message(normalize_untrusted_str(hint)));
        }
        let renderer = if color { Renderer::styled() } else { Renderer::plain() };
        renderer.decor_style(DecorStyle::Ascii).render(&[group])
    }
}

/// What is quoted may have come from anywhere, and is printed: nothing in it moves a cursor or begins a line.
fn harmless(text: String) -> String {
    if !text.contains(char::is_control) {
        return text;
    }
    let mut whole = String::with_capacity(text.len());
    for char in text.chars() {
        if char.is_control() {
            whole.extend(char.escape_default());
        } else {
            whole.push(char);
        }
    }
    whole
}

/// Adds the line of `span`, or as many of its first lines as one looks at.
///
/// Only those lines are handed on: the renderer reads all that it is given, for each finding.
fn excerpt<'a>(group: Group<'a>, source: &'a Source, span: Span) -> Group<'a> {
    let lines = Lines::new(&source.text);
    let first = lines.line_col(span.start).0;
    let last = lines.line_col(span.end.max(span.start)).0.min(first + EXCERPT_LINES - 1);
    let (start, end) = (lines.line_start(first), lines.line_start(last + 1));
    let text = source.text.get(start..end).unwrap_or_default();
    let place = |offset: usize| text.floor_char_boundary(offset.clamp(start, end) - start);
    let snippet = Snippet::source(text)
        .path(source.name.as_str())
        .line_start(first)
        .annotation(AnnotationKind::Primary.span(place(span.start)..place(span.end)));
    group.element(snippet)
}

const EXCERPT_LINES: usize = 6;

#[cfg(test)]
mod tests {
    use super::*;

    fn source(text: &str) -> Arc<Source> {
        Arc::new(Source { name: "waypost.toml".to_owned(), text: text.to_owned() })
    }

    #[test]
    fn a_finding_shows_place_line_caret_and_hint() {
        let finding = Finding::error("unknown-key", "unknown key `prot`")
            .at(source("[[routers]]\nprot = 1\n"), Span::new(12, 16))
            .hint("did you mean `port`?");

        assert_eq!(
            finding.render(false),
            "error[unknown-key]: unknown key `prot`\n --> waypost.toml:2:1\n  |\n2 | prot = 1\n  | ^^^^\n  |\n  \
             = help: did you mean `port`?"
        );
        assert_eq!(finding.place(), Some(("waypost.toml".to_owned(), 2, 1)));
    }

    #[test]
    fn columns_count_characters_and_carets_stand_below() {
        let finding = Finding::warning("odd", "odd").at(source("ab\u{e9}\u{1f600}c = 1"), Span::new(8, 9));

        assert_eq!(
            finding.render(false),
            "warning[odd]: odd\n --> waypost.toml:1:5\n  |\n1 | ab\u{e9}\u{1f600}c = 1\n  |      ^"
        );
    }

    #[test]
    fn any_place_of_any_text_is_drawn() {
        for text in ["", "x", "x\n", "\n\n", "a = 1\r\nb = \u{e9}\n", "\u{1f600}"] {
            for start in 0..text.len() + 3 {
                for length in 0..text.len() + 3 {
                    let drawn =
                        Finding::error("any", "any").at(source(text), Span::new(start, start + length)).render(true);
                    assert!(drawn.contains("waypost.toml"), "{text:?} at {start}+{length}: {drawn}");
                }
            }
        }
    }

    #[test]
    fn without_a_place_message_and_hint_remain() {
        let finding = Finding::warning("shadowed", "a rule is shadowed").hint("remove it");

        assert_eq!(finding.render(false), "warning[shadowed]: a rule is shadowed\n |\n = help: remove it");
        assert_eq!(finding.place(), None);
    }

    #[test]
    fn what_strangers_write_moves_no_cursor() {
        let drawn = Finding::error("odd", "odd \u{1b}[31m").at(source("a \u{1b}[2J"), Span::new(2, 3)).render(false);

        assert!(!drawn.contains('\u{1b}'), "{drawn:?}");
    }

    #[test]
    fn of_a_long_text_only_the_lines_in_question_are_drawn() {
        let text = "a = 1\n".repeat(200_000);
        let drawn = Finding::error("odd", "odd").at(source(&text), Span::new(600_000, text.len())).render(false);

        assert!(drawn.contains("waypost.toml:100001:1"), "{drawn}");
        assert!(drawn.lines().count() < 2 * EXCERPT_LINES, "{drawn}");
    }
}
