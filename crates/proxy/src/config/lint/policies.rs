//! Entries of policies that no path can match, and keys of them that never hold.

use waypost_naming::{Pattern, Span};

use super::Lint;
use super::pattern::Parts;
use super::rules::{Known, Open};
use super::served::Served;
use super::shape::Shape;
use super::transformed::{Lead, Rest};
use crate::config::raw::{Item, Reader};

/// The bound paths of a router, as far as they are known.
pub(in crate::config) struct Bounds<'a> {
    served: &'a Served,
    /// What the router's rules ask namers for, where requests can't bring other rules.
    asked: Option<Vec<&'a Shape>>,
    /// What the router's transformers make of them.
    lead: Lead,
}

impl<'a> Bounds<'a> {
    pub(in crate::config) fn new(served: &'a Served, known: &'a Known, overrides: Open, lead: Lead) -> Self {
        Self { served, asked: known.asked(overrides), lead }
    }

    /// The pattern at `item`, over bound paths; a warning where none can match it, with what that means for the entry.
    pub(in crate::config) fn pattern_of(
        &self,
        item: &Item<'_>,
        so_that: &str,
        reader: &mut Reader<'_>,
    ) -> Option<Pattern> {
        let (pattern, text) = item.pattern(reader)?;
        let parts = Parts::of(&pattern);
        let hint = match self.lead.rest(&pattern, &parts) {
            Rest::Same => self.why_not(&pattern, &parts),
            Rest::Whole => None,
            Rest::Nothing => {
                Some(format!("the transformers of this router let bound paths begin with `{}`", self.lead.known()))
            }
            Rest::Pattern(rest) => self.why_not(&rest, &Parts::of(&rest)),
        };
        if let Some(hint) = hint {
            let message = format!("no bound path can match `{text}`{so_that}");
            reader.warning(Lint::MatchesNothing, item.value, message, hint);
        }
        Some(pattern)
    }

    /// Why no path that is bound, before the router's transformers, begins as `pattern` says.
    fn why_not(&self, pattern: &Pattern, parts: &Parts) -> Option<String> {
        if !self.served.binds(pattern, parts) {
            return Some(format!("bound paths begin with {}", self.served.prefixes().join(", ")));
        }
        let asked = self.asked.as_ref()?;
        let binds = asked.iter().any(|shape| self.served.binds_of(shape, pattern, parts));
        (!binds).then(|| led_to(asked))
    }
}

fn led_to(asked: &[&Shape]) -> String {
    let shown: Vec<String> = asked.iter().take(MOST_SHOWN).map(|shape| format!("`{shape}`")).collect();
    let more = if asked.len() > MOST_SHOWN { ", ..." } else { "" };
    match shown.as_slice() {
        [] => "the rules of this router lead to no namer".to_owned(),
        shown => format!("the rules of this router lead to {}{more}", shown.join(", ")),
    }
}

/// The pattern at `item`, over logical paths; a warning where none can match it.
pub(in crate::config) fn logical_pattern(
    item: &Item<'_>,
    logical: &[Shape],
    reader: &mut Reader<'_>,
) -> Option<Pattern> {
    let (pattern, text) = item.pattern(reader)?;
    let parts = Parts::of(&pattern);
    if !logical.iter().any(|shape| parts.may_match(shape)) {
        let named: Vec<String> = logical.iter().map(|shape| format!("`{shape}`")).collect();
        let lower = Pattern::parse(&text.to_ascii_lowercase()).map(|lower| Parts::of(&lower));
        let hint = match lower {
            Ok(lower) if logical.iter().any(|shape| lower.may_match(shape)) => "hosts are lower-cased".to_owned(),
            Ok(_) | Err(_) => format!("requests of this router are called {}", named.join(" or ")),
        };
        reader.warning(Lint::MatchesNothing, item.value, format!("no logical path can match `{text}`"), hint);
    }
    Some(pattern)
}

/// The entries of a policy, in the order of the file, with the keys that each sets.
#[derive(Debug, Default)]
pub(in crate::config) struct Overridden<'d> {
    entries: Vec<(Parts, Vec<(&'d str, Span)>)>,
}

impl<'d> Overridden<'d> {
    /// `keys` may hold those that say which entry it is.
    pub(in crate::config) fn add(&mut self, prefix: &Pattern, mut keys: Vec<(&'d str, Span)>) {
        keys.retain(|(key, _)| !matches!(*key, "prefix" | "configs"));
        self.entries.push((Parts::of(prefix), keys));
    }

    /// Warns of keys that a later entry sets again for all paths of theirs.
    pub(in crate::config) fn report(&self, reader: &mut Reader<'_>) {
        if self.entries.len() > MOST_ENTRIES {
            return;
        }
        for (index, (parts, keys)) in self.entries.iter().enumerate() {
            let later: Vec<_> = self.entries.iter().skip(index + 1).filter(|(other, _)| other.cover(parts)).collect();
            for (key, span) in keys {
                let again = later.iter().flat_map(|(_, keys)| keys.iter()).find(|(other, _)| other == key);
                if let Some((_, again)) = again {
                    let message = format!("this `{key}` never holds: it is set again at {}", reader.place(again.start));
                    let hint = "a later entry wins, however short its prefix: let the special ones stand last";
                    reader.warning(Lint::OverriddenPolicy, *span, message, hint);
                }
            }
        }
    }
}

/// Warns of TLS names that are never come to: the first one that matches is taken.
pub(in crate::config) fn covered_names(prefixes: &[(Pattern, Span)], reader: &mut Reader<'_>) {
    if prefixes.len() > MOST_ENTRIES {
        return;
    }
    let parts: Vec<Parts> = prefixes.iter().map(|(prefix, _)| Parts::of(prefix)).collect();
    for (index, ((prefix, span), own)) in prefixes.iter().zip(&parts).enumerate() {
        let earlier = prefixes.iter().zip(&parts).take(index).find(|(_, other)| other.cover(own));
        if let Some(((other, first), _)) = earlier {
            let message =
                format!("no bound path comes to `{prefix}`: `{other}` at {} takes them all", reader.place(first.start));
            let hint = "the first name that matches is taken: let the special ones stand first";
            reader.warning(Lint::CoveredName, *span, message, hint);
        }
    }
}

/// Sets of paths that a hint lists.
const MOST_SHOWN: usize = 4;
/// Entries that are compared with one another.
const MOST_ENTRIES: usize = 1_000;
