//! Things that are chosen by a `kind`: each has our spelling and linkerd 1.x's, and both mean the same.

use super::raw::{Item, Reader, Section};
use super::suggest;

/// One of several things that a key can choose.
#[derive(Clone, Copy, Debug)]
pub(super) struct Kind<T> {
    /// Our spelling.
    pub(super) ours: &'static str,
    /// linkerd 1.x's spellings.
    pub(super) theirs: &'static [&'static str],
    /// What it means.
    pub(super) is: T,
}

impl<T> Kind<T> {
    pub(super) const fn new(ours: &'static str, theirs: &'static [&'static str], is: T) -> Self {
        Self { ours, theirs, is }
    }
}

/// A value that has a kind: the text alone, or a table with `kind` and more keys.
#[derive(Debug)]
pub(super) struct Chosen<'d, T> {
    /// What was chosen.
    pub(super) is: T,
    /// As it was written.
    pub(super) kind: Item<'d>,
    /// The rest of the table.
    pub(super) section: Section<'d>,
}

/// What a `kind` chooses from.
#[derive(Clone, Copy, Debug)]
pub(super) struct Kinds<T: 'static> {
    /// For messages: `balancer`.
    pub(super) of: &'static str,
    /// What there is.
    pub(super) known: &'static [Kind<T>],
    /// What is to come.
    pub(super) not_yet: &'static [&'static str],
}

impl<T: Copy> Kinds<T> {
    /// What the text of `item` chooses.
    pub(super) fn named_by(&self, item: &Item<'_>, reader: &mut Reader<'_>) -> Option<T> {
        let text = item.text(reader)?;
        let found = self.known.iter().find(|kind| kind.ours == text || kind.theirs.contains(&text));
        if found.is_none() {
            self.unknown(text, item, reader);
        }
        found.map(|kind| kind.is)
    }

    /// What `item`, a text or a table, chooses.
    pub(super) fn choose<'d>(&self, item: &Item<'d>, reader: &mut Reader<'_>) -> Option<Chosen<'d, T>> {
        if item.as_text().is_some() {
            let is = self.named_by(item, reader)?;
            return Some(Chosen { is, kind: item.clone(), section: Section::empty(item) });
        }
        let section = item.section(reader)?;
        self.choose_in(section, reader)
    }

    /// What the `kind` of `section` chooses.
    pub(super) fn choose_in<'d>(&self, mut section: Section<'d>, reader: &mut Reader<'_>) -> Option<Chosen<'d, T>> {
        let kind = section.require_hint("kind", || self.there_are(), reader)?;
        let is = self.named_by(&kind, reader)?;
        Some(Chosen { is, kind, section })
    }

    fn there_are(&self) -> String {
        let ours: Vec<&str> = self.known.iter().map(|kind| kind.ours).collect();
        format!("there are {}", suggest::list(&ours))
    }

    fn unknown(&self, text: &str, item: &Item<'_>, reader: &mut Reader<'_>) {
        let hint = self.there_are();
        if self.not_yet.contains(&text) {
            let message = format!("the {} `{text}` is not supported by this version", self.of);
            reader.error_hint("unknown-kind", item.value, message, hint);
            return;
        }
        let spellings = self.known.iter().flat_map(|kind| kind.theirs.iter().chain([&kind.ours]).copied());
        let hint = suggest::nearest(text, spellings).map_or(hint, |near| format!("did you mean `{near}`?"));
        reader.error_hint("unknown-kind", item.value, format!("unknown {} `{text}`", self.of), hint);
    }
}
