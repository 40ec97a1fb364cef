//! A TOML file as it stands: tables whose keys are taken one by one, values with their places, findings.
//!
//! serde is not used, since it loses places in nested tables and stops at the first mistake. Here a mistake becomes a
//! [`Finding`], the reader goes on with the default, and what nobody took from a table at its end is an unknown key.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use toml::Spanned;
use toml::de::{DeTable, DeValue};
use waypost_naming::{Finding, Lines, Place, Severity, Source, Span};

use super::Set;
use super::lint::{Allows, Lint, Unused, toml_comments};
use super::suggest;

/// One file being read: where places come from and findings go.
#[derive(Debug)]
pub(super) struct Reader<'t> {
    source: Arc<Source>,
    lines: Lines<'t>,
    file: Arc<str>,
    base: PathBuf,
    findings: Vec<Finding>,
    allows: Allows,
    files: Vec<PathBuf>,
}

/// A table of the file. Keys are taken by name; [`Section::finish`] reports the others.
#[derive(Debug)]
pub(super) struct Section<'d> {
    name: String,
    /// Its header, or the braces with what is in them.
    span: Span,
    /// None: a text stands for a table with nothing but its `kind`.
    entries: Option<&'d DeTable<'d>>,
    taken: Vec<&'static str>,
}

/// A key with its value, or an element of a list.
#[derive(Clone, Debug)]
pub(super) struct Item<'d> {
    /// The whole name, for messages: `routers.client.pool`.
    pub(super) name: String,
    /// The key; the element itself in a list.
    pub(super) key: Span,
    /// The value, with its quotes.
    pub(super) value: Span,
    content: &'d DeValue<'d>,
}

impl<'t> Reader<'t> {
    /// `source` is what `text` was taken from; relative paths are below `base`.
    pub(super) fn new(source: &Arc<Source>, text: &'t str, base: &Path) -> Self {
        let mut allows = Allows::default();
        allows.read(source, toml_comments(text));
        Self {
            source: Arc::clone(source),
            lines: Lines::new(text),
            file: source.name.as_str().into(),
            base: base.to_path_buf(),
            findings: Vec::new(),
            allows,
            files: Vec::new(),
        }
    }

    /// The place of a byte of the file.
    pub(super) fn place(&self, offset: usize) -> Place {
        let (line, col) = self.lines.line_col(offset);
        Place::File { file: Arc::clone(&self.file), line, col }
    }

    pub(super) const fn source(&self) -> &Arc<Source> {
        &self.source
    }

    /// Takes `value` as set by `item`'s key.
    pub(super) fn set<T>(&self, item: &Item<'_>, value: T) -> Set<T> {
        Set { value, from: self.place(item.key.start) }
    }

    /// A path of the file, seen from where the process stands.
    pub(super) fn resolve(&self, path: &str) -> PathBuf {
        self.base.join(path)
    }

    /// Remembers that `path` was read, so that it can be watched.
    pub(super) fn read(&mut self, path: &Path) {
        if !self.files.iter().any(|known| known == path) {
            self.files.push(path.to_path_buf());
        }
    }

    pub(super) fn report(&mut self, finding: Finding) {
        self.findings.push(finding);
    }

    pub(super) fn error(&mut self, code: &'static str, span: Span, message: impl Into<String>) {
        self.report(Finding::error(code, message.into()).at(Arc::clone(&self.source), span));
    }

    pub(super) fn error_hint(
        &mut self,
        code: &'static str,
        span: Span,
        message: impl Into<String>,
        hint: impl Into<String>,
    ) {
        self.report(Finding::error(code, message.into()).at(Arc::clone(&self.source), span).hint(hint.into()));
    }

    pub(super) fn warning(&mut self, lint: Lint, span: Span, message: impl Into<String>, hint: impl Into<String>) {
        let finding = Finding::warning(lint.name(), message.into()).hint(hint.into());
        self.report(finding.at(Arc::clone(&self.source), span));
    }

    /// Takes note of the comments of `source`, each from its `#` on: they may allow what would be warned of.
    pub(super) fn comments(&mut self, source: &Arc<Source>, spans: impl IntoIterator<Item = Span>) {
        self.allows.read(source, spans);
    }

    pub(super) fn has_errors(&self) -> bool {
        self.findings.iter().any(|finding| matches!(finding.severity, Severity::Error))
    }

    /// The findings in the order of the file but for those that are allowed there, and the files read.
    pub(super) fn into_parts(mut self) -> (Vec<Finding>, Vec<PathBuf>) {
        let unused = if self.has_errors() { Unused::Ignored } else { Unused::Told };
        self.allows.apply(&mut self.findings, unused);
        let own = Arc::clone(&self.source);
        self.findings.sort_by_key(|finding| {
            let elsewhere = !finding.source.as_ref().is_some_and(|source| Arc::ptr_eq(source, &own));
            (elsewhere, finding.span.map_or(0, |span| span.start))
        });
        (self.findings, self.files)
    }
}

impl<'d> Section<'d> {
    /// The whole file.
    pub(super) fn root(table: &'d DeTable<'d>) -> Self {
        Self { name: String::new(), span: Span::at(0), entries: Some(table), taken: Vec::new() }
    }

    /// The table that a text stands for.
    pub(super) fn empty(item: &Item<'d>) -> Self {
        Self { name: item.name.clone(), span: item.value, entries: None, taken: Vec::new() }
    }

    pub(super) const fn span(&self) -> Span {
        self.span
    }

    /// The value of `key`, if it is there. Whatever is taken is known.
    pub(super) fn take(&mut self, key: &'static str) -> Option<Item<'d>> {
        self.taken.push(key);
        let (found, value) = self.entries?.get_key_value(key)?;
        Some(Item { name: self.name_of(key), key: span_of(found), value: span_of(value), content: value.get_ref() })
    }

    /// The value of a key that must be there.
    pub(super) fn require(&mut self, key: &'static str, reader: &mut Reader<'_>) -> Option<Item<'d>> {
        let item = self.take(key);
        if item.is_none() {
            reader.error("missing-key", self.span, self.is_missing(key));
        }
        item
    }

    /// The same, with what could be written.
    pub(super) fn require_hint(
        &mut self,
        key: &'static str,
        hint: impl FnOnce() -> String,
        reader: &mut Reader<'_>,
    ) -> Option<Item<'d>> {
        let item = self.take(key);
        if item.is_none() {
            reader.error_hint("missing-key", self.span, self.is_missing(key), hint());
        }
        item
    }

    fn is_missing(&self, key: &str) -> String {
        format!("`{}` is missing", self.name_of(key))
    }

    fn name_of(&self, key: &str) -> String {
        if self.name.is_empty() { key.to_owned() } else { format!("{}.{key}", self.name) }
    }

    /// Whether there is such a key; it stays unknown until it is taken.
    pub(super) fn has(&self, key: &str) -> bool {
        self.entries.is_some_and(|entries| entries.contains_key(key))
    }

    /// The keys that there are, with their places.
    pub(super) fn keys(&self) -> Vec<(&'d str, Span)> {
        let keys = self.entries.iter().flat_map(|entries| entries.keys());
        keys.map(|key| (key.get_ref().as_ref(), span_of(key))).collect()
    }

    /// Reports every key that nobody took.
    pub(super) fn finish(self, reader: &mut Reader<'_>) {
        for key in self
            .entries
            .iter()
            .flat_map(|entries| entries.keys())
            .filter(|key| !self.taken.contains(&key.get_ref().as_ref()))
        {
            let (message, hint) = suggest::unknown_key(&self.name_of(key.get_ref()), key.get_ref(), &self.taken);
            let finding = Finding::error("unknown-key", message).at(Arc::clone(reader.source()), span_of(key));
            reader.report(match hint {
                Some(hint) => finding.hint(hint),
                None => finding,
            });
        }
    }
}

impl<'d> Item<'d> {
    /// The value as text; anything else is a finding.
    pub(super) fn text(&self, reader: &mut Reader<'_>) -> Option<&'d str> {
        let text = self.content.as_str();
        if text.is_none() {
            self.wrong_type("a string", reader);
        }
        text
    }

    /// The value as text, if it is that; no finding.
    pub(super) fn as_text(&self) -> Option<&'d str> {
        self.content.as_str()
    }

    pub(super) fn is_list(&self) -> bool {
        self.content.is_array()
    }

    pub(super) fn boolean(&self, reader: &mut Reader<'_>) -> Option<bool> {
        let value = self.content.as_bool();
        if value.is_none() {
            self.wrong_type("true or false", reader);
        }
        value
    }

    /// An integer of any size; a finding where it is none or has a sign.
    pub(super) fn integer(&self, reader: &mut Reader<'_>) -> Option<u64> {
        let Some(integer) = self.content.as_integer() else {
            self.wrong_type("an integer", reader);
            return None;
        };
        let value = u64::from_str_radix(integer.as_str(), integer.radix());
        if value.is_err() {
            reader.error("out-of-bounds", self.value, format!("`{}` can't be {integer}", self.name));
        }
        value.ok()
    }

    /// An integer or a float.
    pub(super) fn number(&self, reader: &mut Reader<'_>) -> Option<f64> {
        if self.content.is_integer() {
            return self.content.as_integer().and_then(|integer| integer.to_string().parse().ok());
        }
        let value = self.content.as_float().and_then(|float| float.as_str().parse::<f64>().ok());
        if value.is_none() {
            self.wrong_type("a number", reader);
        }
        value
    }

    pub(super) fn section(&self, reader: &mut Reader<'_>) -> Option<Section<'d>> {
        let Some(entries) = self.content.as_table() else {
            self.wrong_type("a table", reader);
            return None;
        };
        Some(Section { name: self.name.clone(), span: self.value, entries: Some(entries), taken: Vec::new() })
    }

    /// The elements of a list.
    pub(super) fn list(&self, reader: &mut Reader<'_>) -> Option<Vec<Self>> {
        let Some(elements) = self.content.as_array() else {
            self.wrong_type("a list", reader);
            return None;
        };
        Some(elements.iter().map(|element| self.element(element)).collect())
    }

    /// The tables of a `[[list]]`; elements that are no tables are findings.
    pub(super) fn sections(&self, reader: &mut Reader<'_>) -> Vec<Section<'d>> {
        let elements = self.list(reader).unwrap_or_default();
        elements.iter().filter_map(|element| element.section(reader)).collect()
    }

    /// Keys and values of a table whose keys are names that the user chose.
    pub(super) fn named_items(&self, reader: &mut Reader<'_>) -> Vec<(&'d str, Self)> {
        let Some(entries) = self.content.as_table() else {
            self.wrong_type("a table", reader);
            return Vec::new();
        };
        let item = |key: &'d Spanned<_>, value: &'d Spanned<DeValue<'d>>| {
            let text: &'d std::borrow::Cow<'d, str> = key.get_ref();
            let name = format!("{}.{text}", self.name);
            (text.as_ref(), Self { name, key: span_of(key), value: span_of(value), content: value.get_ref() })
        };
        entries.iter().map(|(key, value)| item(key, value)).collect()
    }

    /// Says that the value should have been something else.
    pub(super) fn wrong_type(&self, wanted: &str, reader: &mut Reader<'_>) {
        let found = article(self.content.type_str());
        reader.error("wrong-type", self.value, format!("`{}` must be {wanted}, not {found}", self.name));
    }

    /// As [`Item::wrong_type`], with the right spelling.
    pub(super) fn wrong_type_hint(&self, wanted: &str, hint: String, reader: &mut Reader<'_>) {
        let found = article(self.content.type_str());
        let message = format!("`{}` must be {wanted}, not {found}", self.name);
        reader.error_hint("wrong-type", self.value, message, hint);
    }

    /// The integer as it is written, if the value is one.
    pub(super) fn as_integer_text(&self) -> Option<String> {
        self.content.as_integer().map(ToString::to_string)
    }

    fn element(&self, element: &'d Spanned<DeValue<'d>>) -> Self {
        let span = span_of(element);
        Self { name: self.name.clone(), key: span, value: span, content: element.get_ref() }
    }
}

pub(super) fn span_of<T>(spanned: &Spanned<T>) -> Span {
    let range = spanned.span();
    Span { start: range.start, end: range.end }
}

fn article(type_name: &str) -> String {
    match type_name {
        "integer" | "array" => format!("an {type_name}"),
        _ => format!("a {type_name}"),
    }
}
