//! `# waypost: allow(lint-name) reason`: a comment that silences a lint for its line, or for the next one if it has a
//! line of its own.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use waypost_naming::{Finding, Lines, Severity, Source, Span};

use super::Lint;
use crate::config::suggest;

/// All such comments of a configuration and its rules.
#[derive(Debug, Default)]
pub(in crate::config) struct Allows {
    list: Vec<Allow>,
    /// Comments that mean to be one.
    findings: Vec<Finding>,
    /// Files and places of those that were read: two routers may have the same rules.
    read: HashSet<(String, usize)>,
}

/// A lint silenced for a line.
#[derive(Debug)]
struct Allow {
    lint: Lint,
    source: Arc<Source>,
    /// The line whose findings it is about, from 1.
    line: usize,
    /// The comment.
    span: Span,
}

/// Whether a lint that was not raised is told of.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in crate::config) enum Unused {
    Told,
    /// Something is wrong with the file, so that not all was looked at.
    Ignored,
}

impl Allows {
    /// Reads the comments of `source` at `spans`, each from its `#` on.
    pub(in crate::config) fn read(&mut self, source: &Arc<Source>, spans: impl IntoIterator<Item = Span>) {
        let mut lines = None;
        for span in spans {
            let text = source.text.get(span.start..span.end).unwrap_or_default();
            let Some(directive) = directive(text) else { continue };
            if !self.read.insert((source.name.clone(), span.start)) {
                continue;
            }
            let lines = lines.get_or_insert_with(|| Lines::new(&source.text));
            let line = line_meant(&source.text, lines, span);
            self.add(directive, source, line, span);
        }
    }

    fn add(&mut self, directive: Result<Directive<'_>, Malformed>, source: &Arc<Source>, line: usize, span: Span) {
        let directive = match directive {
            Ok(directive) => directive,
            Err(malformed) => {
                let finding = malformed.finding(Lint::MalformedAllow);
                self.findings.push(finding.at(Arc::clone(source), span));
                return;
            }
        };
        for name in directive.names {
            match Lint::named(name) {
                Some(lint) if lint.can_be_allowed() => {
                    let source = Arc::clone(source);
                    self.list.push(Allow { lint, source, line, span });
                }
                known => {
                    let finding = unknown(name, known).at(Arc::clone(source), span);
                    self.findings.push(finding);
                }
            }
        }
        if directive.reason.is_empty() {
            let finding = Malformed::NoReason.finding(Lint::MalformedAllow);
            self.findings.push(finding.at(Arc::clone(source), span));
        }
    }

    /// Takes away the warnings of `findings` that are allowed, and adds what is wrong with the comments themselves.
    pub(in crate::config) fn apply(self, findings: &mut Vec<Finding>, unused: Unused) {
        let mut used = vec![false; self.list.len()];
        if !self.list.is_empty() {
            let sources = Sources::of(&self.list);
            findings.retain(|finding| !sources.silence(finding, &self.list, &mut used));
        }
        findings.extend(self.findings);
        if unused == Unused::Told {
            let quiet = self.list.into_iter().zip(used).filter(|(allow, used)| !used && allow.lint.is_of_the_text());
            findings.extend(quiet.map(|(allow, _)| allow.unused()));
        }
    }
}

/// The allows by file and line.
struct Sources<'a>(HashMap<&'a str, (Lines<'a>, HashMap<usize, Vec<usize>>)>);

impl<'a> Sources<'a> {
    fn of(allows: &'a [Allow]) -> Self {
        let mut sources: HashMap<&str, (Lines<'_>, HashMap<usize, Vec<usize>>)> = HashMap::new();
        for (index, allow) in allows.iter().enumerate() {
            let source = &*allow.source;
            let (_, lines) =
                sources.entry(&source.name).or_insert_with(|| (Lines::new(&source.text), HashMap::default()));
            lines.entry(allow.line).or_default().push(index);
        }
        Self(sources)
    }

    /// Whether one of `allows` is about `finding`; notes which.
    fn silence(&self, finding: &Finding, allows: &[Allow], used: &mut [bool]) -> bool {
        let (Severity::Warning, Some(source), Some(span)) = (finding.severity, &finding.source, finding.span) else {
            return false;
        };
        let Some((lines, by_line)) = self.0.get(source.name.as_str()) else { return false };
        let line = lines.line_col(span.start).0;
        let mut silenced = false;
        for index in by_line.get(&line).into_iter().flatten() {
            let same = allows.get(*index).is_some_and(|allow| allow.lint.name() == finding.code);
            if let Some(used) = used.get_mut(*index).filter(|_| same) {
                *used = true;
                silenced = true;
            }
        }
        silenced
    }
}

impl Allow {
    fn unused(self) -> Finding {
        let message = format!("`{}` has nothing to say of line {}", self.lint.name(), self.line);
        Finding::warning(Lint::UnusedAllow.name(), message)
            .at(self.source, self.span)
            .hint("leave the comment out; it stands at the end of the line that it is about, or alone before it")
    }
}

/// What a comment says.
struct Directive<'t> {
    names: Vec<&'t str>,
    reason: &'t str,
}

/// Why a comment that begins with `waypost: allow` is none.
#[derive(Clone, Copy, Debug)]
enum Malformed {
    NoNames,
    NoReason,
}

impl Malformed {
    fn finding(self, lint: Lint) -> Finding {
        let (message, hint) = match self {
            Self::NoNames => ("this allows nothing", "write `# waypost: allow(lint-name) reason`"),
            Self::NoReason => ("an allow without a reason", "say why behind it: `# waypost: allow(lint-name) reason`"),
        };
        Finding::warning(lint.name(), message).hint(hint)
    }
}

fn unknown(name: &str, known: Option<Lint>) -> Finding {
    let (message, hint) = match known {
        Some(lint) if lint.is_of_files_of_addresses() => {
            (format!("`{name}` can't be allowed: it is about a file of addresses"), "mend the file".to_owned())
        }
        Some(_) => (format!("`{name}` can't be allowed"), "leave the comment out".to_owned()),
        None => {
            let near = suggest::nearest(name, Lint::ALL.iter().map(|lint| lint.name()));
            let hint = near.map_or_else(
                || "docs/lints.md lists all lints; errors can't be allowed".to_owned(),
                |near| format!("did you mean `{near}`?"),
            );
            (format!("there is no lint `{name}`"), hint)
        }
    };
    Finding::warning(Lint::MalformedAllow.name(), message).hint(hint)
}

/// What the comment `text` says, if it is for waypost; other comments are for people.
fn directive(text: &str) -> Option<Result<Directive<'_>, Malformed>> {
    let said = text.trim_start_matches('#').trim().strip_prefix("waypost:")?.trim_start().strip_prefix("allow")?;
    if said.starts_with(|next: char| next.is_alphanumeric()) {
        return None;
    }
    let inside = said.trim_start().strip_prefix('(').and_then(|said| said.split_once(')'));
    let Some((names, reason)) = inside else { return Some(Err(Malformed::NoNames)) };
    let names: Vec<&str> = names.split(',').map(str::trim).filter(|name| !name.is_empty()).collect();
    if names.is_empty() {
        return Some(Err(Malformed::NoNames));
    }
    let reason = reason.trim_start_matches([':', '-']).trim();
    Some(Ok(Directive { names, reason }))
}

/// The comment's own line, or where it stands alone, the next one that holds more than a comment.
fn line_meant(text: &str, lines: &Lines<'_>, comment: Span) -> usize {
    let own = lines.line_col(comment.start).0;
    let line = |number: usize| text.get(lines.line_start(number)..lines.line_start(number + 1)).unwrap_or_default();
    let before = text.get(lines.line_start(own)..comment.start).unwrap_or_default();
    if !before.trim().is_empty() {
        return own;
    }
    let mut number = own + 1;
    while lines.line_start(number) < text.len() && is_only_comment(line(number)) {
        number += 1;
    }
    number
}

fn is_only_comment(line: &str) -> bool {
    let line = line.trim();
    line.is_empty() || line.starts_with('#')
}

/// The comments of a TOML file that parses: each from its `#` to the end of the line.
pub(in crate::config) fn toml_comments(text: &str) -> Vec<Span> {
    let mut comments = Vec::new();
    let mut at = 0;
    while let Some(found) = text.get(at..).and_then(|rest| rest.find(['#', '"', '\''])) {
        let start = at + found;
        let rest = text.get(start..).unwrap_or_default();
        if rest.starts_with('#') {
            at = start + rest.find('\n').unwrap_or(rest.len());
            comments.push(Span::new(start, at));
        } else {
            at = start + string(rest);
        }
    }
    comments
}

/// The length of the string that `text` begins with, its quotes included.
fn string(text: &str) -> usize {
    let quotes = ["\"\"\"", "'''", "\"", "'"].into_iter().find(|quotes| text.starts_with(quotes)).unwrap_or("\"");
    let mut at = quotes.len();
    while let Some(rest) = text.get(at..).filter(|rest| !rest.is_empty()) {
        if let Some(behind) = rest.strip_prefix(quotes) {
            // Up to two quotes may stand before the closing three.
            let more = if quotes.len() == 3 { extra_quotes(behind, quotes) } else { 0 };
            return at + quotes.len() + more;
        }
        let escaped = quotes.starts_with('"') && rest.starts_with('\\');
        let skipped = rest.chars().take(if escaped { 2 } else { 1 }).map(char::len_utf8).sum::<usize>();
        at += skipped;
    }
    text.len()
}

fn extra_quotes(behind: &str, quotes: &str) -> usize {
    let quote = quotes.chars().next().unwrap_or('"');
    behind.chars().take(2).take_while(|next| *next == quote).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_of_toml_are_told_from_strings() {
        let text = "a = \"x # y\" # one\nb = '''\n# no'# ''''' # two\n# three\nc = \"\\\"# no\" #four\nd = \"\"\"# no \\\"\"\"\"\"\"#five";
        let comments: Vec<&str> = toml_comments(text).iter().map(|span| &text[span.start..span.end]).collect();
        assert_eq!(comments, ["# one", "# two", "# three", "#four", "#five"]);
    }

    #[test]
    fn only_comments_for_waypost_say_something() {
        let names = |text| match directive(text) {
            None => "-".to_owned(),
            Some(Err(malformed)) => format!("{malformed:?}"),
            Some(Ok(directive)) => format!("{} {}", directive.names.join("+"), directive.reason),
        };
        for (text, expected) in [
            ("# waypost: allow(loop) we like it", "loop we like it"),
            ("#waypost:allow( loop , zero-weight ): we do", "loop+zero-weight we do"),
            ("## waypost: allow(loop)", "loop "),
            ("# waypost: allow loop", "NoNames"),
            ("# waypost: allow()", "NoNames"),
            ("# waypost: allow(loop", "NoNames"),
            ("# waypost: allowed to be here", "-"),
            ("# waypost allow(loop)", "-"),
            ("# see waypost: allow(loop)", "-"),
        ] {
            assert_eq!(names(text), expected, "{text}");
        }
    }

    #[test]
    fn a_comment_means_its_line_or_the_next_that_says_something() {
        let text = "a # 1\n# 2\n\n  # 3\nb\n# 4";
        let lines = Lines::new(text);
        let meant: Vec<usize> = toml_comments(text).iter().map(|span| line_meant(text, &lines, *span)).collect();
        assert_eq!(meant, [1, 5, 5, 7]);
    }
}
