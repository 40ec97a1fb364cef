//! The rules that a request brings: `l5d-ctx-dtab`, then `l5d-dtab`.

use std::sync::Arc;

use http::HeaderValue;
use http::request::Parts;
use serde::{Deserialize, Serialize};
use waypost_naming::{Dtab, Finding, ParseError, Place, Source, Span, line_col};

use crate::request::answer::{Failure, Word};
use crate::request::headers::{self, Context, Trust};

/// Where a text that somebody sent can't be read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Excerpt {
    /// What holds the text: `l5d-dtab`.
    pub source: String,
    /// All of it.
    pub text: String,
    /// From 1.
    pub line: usize,
    /// From 1, in characters.
    pub column: usize,
    /// The same as an offset in bytes.
    pub start: usize,
    /// Behind the last byte that is wrong.
    pub end: usize,
    /// What is wrong there.
    pub message: String,
    /// What to write instead.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

/// Rules that can't be read: what the client is told, and the place in what it sent.
#[derive(Debug)]
pub(super) struct Unreadable {
    pub(super) failure: Failure,
    pub(super) excerpt: Option<Excerpt>,
}

/// Takes what is for this hop only off the request's headers.
pub(super) fn take(parts: &mut Parts) -> Result<Context, Failure> {
    let trust = Trust { context: true, overrides: true, clear: false };
    // How many proxies came before is nobody's question here.
    headers::take(&mut parts.headers, trust, u32::MAX)
}

/// What the headers say, in the order in which workers append it, and in their words where it is nothing.
pub(super) fn read(context: &Context) -> Result<Dtab, Box<Unreadable>> {
    let of_context = dtab("l5d-ctx-dtab", context.context_dtab.as_ref())?;
    Ok(of_context.append(&dtab("l5d-dtab", context.user_dtab.as_ref())?))
}

fn dtab(header: &str, value: Option<&HeaderValue>) -> Result<Dtab, Box<Unreadable>> {
    let Some(value) = value else { return Ok(Dtab::default()) };
    let unreadable = |message: String, excerpt: Option<Excerpt>| {
        Box::new(Unreadable { failure: Failure::new(Word::BadDtab, message), excerpt })
    };
    let text = std::str::from_utf8(value.as_bytes()).map_err(|_| unreadable(format!("{header} is not UTF-8"), None))?;
    let place = Place::Named(Arc::from(header));
    Dtab::parse_at(text, |_| place.clone()).map_err(|error| {
        let message = format!("{header} does not parse at offset {}: {error}", error.span.start);
        unreadable(message, Some(Excerpt::of(header, text, &error)))
    })
}

impl Excerpt {
    fn of(source: &str, text: &str, error: &ParseError) -> Self {
        let (line, column) = line_col(text, error.span.start);
        Self {
            source: source.to_owned(),
            text: text.to_owned(),
            line,
            column,
            start: error.span.start,
            end: error.span.end,
            message: error.to_string(),
            hint: error.kind.hint().map(str::to_owned),
        }
    }

    /// As findings of `check` are drawn.
    pub(super) fn finding(&self) -> Finding {
        let source = Source { name: self.source.clone(), text: self.text.clone() };
        let finding = Finding::error("bad-dtab", self.message.as_str());
        let finding = finding.at(Arc::new(source), Span::new(self.start, self.end));
        match &self.hint {
            Some(hint) => finding.hint(hint.as_str()),
            None => finding,
        }
    }
}
