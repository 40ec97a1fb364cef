//! A router's rules, from a string of the configuration or from a file of their own.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use waypost_naming::{Dtab, Finding, Lines, ParseError, ParseErrorKind, Place, Source, Span};

use super::escapes::Origins;
use super::raw::{Item, Reader};

mod text;

pub(super) use self::text::{Comment, Parts, Weight, is_zero};

/// Rules and where they stand.
#[derive(Debug, Default)]
pub(super) struct Rules {
    pub(super) dtab: Dtab,
    /// The file they were read from, if they have one of their own.
    pub(super) file: Option<PathBuf>,
    text: Option<Text>,
    parts: Parts,
}

/// What the spans of the dentries are in.
#[derive(Debug)]
enum Text {
    /// The content of a string of the source.
    Embedded(Arc<Source>, Origins, String),
    File(Arc<Source>),
}

impl Rules {
    /// From a string of the configuration.
    pub(super) fn in_string(item: &Item<'_>, reader: &mut Reader<'_>) -> Option<Self> {
        let text = item.text(reader)?;
        let origins = reader.origins(item);
        let parsed = parse(text, |span| reader.place(origins.in_file(span).start));
        for error in parsed.errors {
            let span = origins.in_file(error.span);
            let hint = swallowed(text, &error, |offset| reader.place(origins.in_file(Span::at(offset)).start));
            reader.report(finding(&error, hint, Arc::clone(reader.source()), span));
        }
        let parts = Parts::of(text);
        let source = Arc::clone(reader.source());
        reader.comments(&source, parts.comments.iter().map(|comment| origins.in_file(comment.span)));
        let text = Text::Embedded(source, origins, text.to_owned());
        Some(Self { dtab: parsed.dtab?, file: None, text: Some(text), parts })
    }

    /// From a file that the configuration names.
    pub(super) fn in_file(item: &Item<'_>, reader: &mut Reader<'_>) -> Option<Self> {
        let path = item.path(reader)?;
        reader.read(&path);
        let text = match read_bounded(&path) {
            Ok(text) => text,
            Err(error) => {
                reader.error("unreadable-file", item.value, format!("{}: {error}", path.display()));
                return None;
            }
        };
        match parse_file(&path, text) {
            Ok((dtab, source)) => {
                let parts = Parts::of(&source.text);
                reader.comments(&source, parts.comments.iter().map(|comment| comment.span));
                Some(Self { dtab, file: Some(path), text: Some(Text::File(source)), parts })
            }
            Err(findings) => {
                findings.into_iter().for_each(|finding| reader.report(finding));
                None
            }
        }
    }

    /// Rules from nowhere.
    #[cfg(test)]
    pub(super) fn of(text: &str) -> Self {
        let source = Arc::new(Source { name: "rules".to_owned(), text: text.to_owned() });
        let dtab = Dtab::parse(text).unwrap();
        Self { dtab, file: None, text: Some(Text::File(source)), parts: Parts::of(text) }
    }

    /// What the rules were read from.
    pub(super) fn text(&self) -> &str {
        match &self.text {
            None => "",
            Some(Text::File(source)) => &source.text,
            Some(Text::Embedded(_, _, content)) => content,
        }
    }

    /// Where its parts stand in it.
    pub(super) const fn parts(&self) -> &Parts {
        &self.parts
    }

    /// Whether `span`, which is one line for the rules, is written over several.
    pub(super) fn is_folded(&self, span: Span) -> bool {
        match &self.text {
            None | Some(Text::File(_)) => false,
            Some(Text::Embedded(source, origins, _)) => {
                let span = origins.in_file(span);
                source.text.get(span.start..span.end).is_some_and(|written| written.contains('\n'))
            }
        }
    }

    /// `finding`, at a span of the rules' text.
    pub(super) fn place(&self, finding: Finding, span: Span) -> Finding {
        match &self.text {
            None => finding,
            Some(Text::File(source)) => finding.at(Arc::clone(source), span),
            Some(Text::Embedded(source, origins, _)) => finding.at(Arc::clone(source), origins.in_file(span)),
        }
    }
}

fn parse_file(path: &Path, text: String) -> Result<(Dtab, Arc<Source>), Vec<Finding>> {
    let source = Arc::new(Source { name: path.display().to_string(), text });
    let file: Arc<str> = source.name.as_str().into();
    let lines = Lines::new(&source.text);
    let place = |offset: usize| {
        let (line, col) = lines.line_col(offset);
        Place::File { file: Arc::clone(&file), line, col }
    };
    let parsed = parse(&source.text, |span| place(span.start));
    match parsed.dtab {
        Some(dtab) => Ok((dtab, source)),
        None => {
            let at_its_place = |error: &ParseError| {
                finding(error, swallowed(&source.text, error, place), Arc::clone(&source), error.span)
            };
            Err(parsed.errors.iter().map(at_its_place).collect())
        }
    }
}

fn finding(error: &ParseError, hint: Option<String>, source: Arc<Source>, span: Span) -> Finding {
    let finding = Finding::error("bad-dtab", error.to_string()).at(source, span);
    match hint.or_else(|| error.kind.hint().map(str::to_owned)) {
        Some(hint) => finding.hint(hint),
        None => finding,
    }
}

/// What is to be said of an error whose cause stands before it: a `;` in a comment, or none where a rule went on.
fn swallowed(text: &str, error: &ParseError, place: impl Fn(usize) -> Place) -> Option<String> {
    let before = text.get(..error.span.start)?;
    if text.get(error.span.start..)?.starts_with("=>") {
        let own = before.trim_end().rfind(|character: char| character.is_whitespace() || "|&(*".contains(character))?;
        let prefix = before.get(own + 1..).map(str::trim).filter(|prefix| prefix.starts_with('/'))?;
        return Some(format!("a `;` is missing before `{prefix}`: a new line does not end a rule"));
    }
    if !matches!(error.kind, ParseErrorKind::MissingSemicolon | ParseErrorKind::ExpectedEnd(_)) {
        return None;
    }
    let parts = Parts::of(before);
    let own = parts.rules.len().checked_sub(1);
    let semicolon = parts.comments.iter().filter(|comment| comment.within == own).find_map(|comment| {
        let said = before.get(comment.span.start..comment.span.end)?;
        Some(comment.span.start + said.find(';')?)
    })?;
    Some(format!("the `;` at {} is part of a comment: write it before the `#`", place(semicolon)))
}

struct Parsed {
    /// There unless there are errors.
    dtab: Option<Dtab>,
    errors: Vec<ParseError>,
}

/// Parses `text`; after a mistake it goes on behind the next `;`, so that one run shows all of them.
fn parse(text: &str, place: impl Fn(Span) -> Place) -> Parsed {
    let mut errors = Vec::new();
    let mut start = 0;
    while let Some(rest) = text.get(start..) {
        match Dtab::parse_at(rest, |span| place(shift(span, start))) {
            Ok(dtab) if errors.is_empty() => return Parsed { dtab: Some(dtab), errors },
            Ok(_) => break,
            Err(mut error) => {
                error.span = shift(error.span, start);
                let next = next_rule(text, error.span.start);
                errors.push(error);
                match next {
                    Some(next) if errors.len() < MOST_ERRORS => start = next,
                    Some(_) | None => break,
                }
            }
        }
    }
    Parsed { dtab: None, errors }
}

fn shift(span: Span, by: usize) -> Span {
    Span { start: span.start + by, end: span.end + by }
}

/// Where the next rule begins: behind a `;` that is in no comment. `None` when there is nothing but space behind it.
fn next_rule(text: &str, from: usize) -> Option<usize> {
    let line_start = text.get(..from)?.rfind('\n').map_or(0, |newline| newline + 1);
    let mut offset = line_start;
    for line in text.get(line_start..)?.split_inclusive('\n') {
        // A `#` begins a comment at the start of a token; within a path it is a letter.
        let comment = line.find(" #").or_else(|| line.trim_start().starts_with('#').then_some(0)).unwrap_or(line.len());
        let semicolons = line.match_indices(';').map(|(at, _)| at).take_while(|at| *at < comment);
        let found = semicolons.map(|at| offset + at).find(|at| *at >= from);
        if let Some(at) = found {
            let next = at + 1;
            return text.get(next..).is_some_and(|rest| !rest.trim().is_empty()).then_some(next);
        }
        offset += line.len();
    }
    None
}

/// Reads a regular file of bounded size.
fn read_bounded(path: &Path) -> Result<String, String> {
    let metadata = fs::metadata(path).map_err(|error| super::describe(&error))?;
    if !metadata.is_file() {
        return Err("not a file".to_owned());
    }
    super::read_text(path)
}

/// What follows so many mistakes is no dtab.
const MOST_ERRORS: usize = 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_wrong_rule_is_reported_once() {
        let text = "/a => /b ;\n/c = /d ; # not here ;\n/e => /f ;\n/g => /h/ ;\n";
        let starts: Vec<usize> = parse(text, |_| Place::Default).errors.iter().map(|error| error.span.start).collect();
        assert_eq!(starts.len(), 2, "{starts:?}");
        assert_eq!(starts.iter().map(|start| text[..*start].lines().count()).collect::<Vec<_>>(), [2, 4]);
    }

    #[test]
    fn a_semicolon_in_a_comment_starts_no_rule() {
        let text = "/c = /d # ; \n;\n/e => /f";
        assert_eq!(next_rule(text, 3), Some(text.find("\n/e").unwrap()));
    }
}
