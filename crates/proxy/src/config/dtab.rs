//! A router's rules, from a string of the configuration or from a file of their own.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use waypost_naming::{Dtab, Finding, Lines, ParseError, Place, Source, Span};

use super::escapes::Origins;
use super::raw::{Item, Reader};

/// Rules and where they stand.
#[derive(Debug, Default)]
pub(super) struct Rules {
    pub(super) dtab: Dtab,
    /// The file they were read from, if they have one of their own.
    pub(super) file: Option<PathBuf>,
    text: Option<Text>,
}

/// What the spans of the dentries are in.
#[derive(Debug)]
enum Text {
    Embedded(Arc<Source>, Origins),
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
            reader.report(finding(&error, Arc::clone(reader.source()), span));
        }
        let text = Text::Embedded(Arc::clone(reader.source()), origins);
        Some(Self { dtab: parsed.dtab?, file: None, text: Some(text) })
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
            Ok((dtab, source)) => Some(Self { dtab, file: Some(path), text: Some(Text::File(source)) }),
            Err(findings) => {
                findings.into_iter().for_each(|finding| reader.report(finding));
                None
            }
        }
    }

    /// `finding`, at a span of the rules' text.
    pub(super) fn place(&self, finding: Finding, span: Span) -> Finding {
        match &self.text {
            None => finding,
            Some(Text::File(source)) => finding.at(Arc::clone(source), span),
            Some(Text::Embedded(source, origins)) => finding.at(Arc::clone(source), origins.in_file(span)),
        }
    }
}

fn parse_file(path: &Path, text: String) -> Result<(Dtab, Arc<Source>), Vec<Finding>> {
    let source = Arc::new(Source { name: path.display().to_string(), text });
    let file: Arc<str> = source.name.as_str().into();
    let lines = Lines::new(&source.text);
    let parsed = parse(&source.text, |span| {
        let (line, col) = lines.line_col(span.start);
        Place::File { file: Arc::clone(&file), line, col }
    });
    match parsed.dtab {
        Some(dtab) => Ok((dtab, source)),
        None => Err(parsed.errors.iter().map(|error| finding(error, Arc::clone(&source), error.span)).collect()),
    }
}

fn finding(error: &ParseError, source: Arc<Source>, span: Span) -> Finding {
    let finding = Finding::error("bad-dtab", error.to_string()).at(source, span);
    match error.kind.hint() {
        Some(hint) => finding.hint(hint),
        None => finding,
    }
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
