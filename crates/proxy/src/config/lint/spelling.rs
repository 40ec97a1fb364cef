//! What is written a little otherwise than it was meant: case, weights, comments.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use waypost_naming::{Dtab, Path, Span};

use super::Lint;
use super::reach::{Met, Reach};
use super::rules::{Doubt, Facts};
use crate::config::dtab::{Comment, Weight, is_zero};
use crate::config::raw::{Item, Reader};

pub(super) fn find(facts: &Facts<'_>, reach: Option<&Reach>) -> Vec<Doubt> {
    let mut doubts = differ_by_case(facts, reach);
    for (rule, parts) in facts.rules.parts().rules.iter().enumerate() {
        doubts.extend(parts.weights.iter().filter_map(weight));
        for (leaf, span) in parts.leaves.iter().enumerate() {
            doubts.extend(facts.table.leaves(rule).get(leaf).and_then(|path| glued(facts, path, *span)));
        }
    }
    doubts.extend(facts.rules.parts().comments.iter().filter_map(|comment| swallowed(facts, comment)));
    doubts
}

fn differ_by_case(facts: &Facts<'_>, reach: Option<&Reach>) -> Vec<Doubt> {
    let mut doubts = Vec::new();
    let mut known: HashMap<String, (usize, String)> = HashMap::new();
    for (rule, dentry) in facts.table.rules() {
        // One that nobody comes to is told of for that.
        if reach.is_some_and(|reach| reach.met(rule) == Met::Nobody) {
            continue;
        }
        let prefix = dentry.prefix.to_string();
        match known.entry(prefix.to_ascii_lowercase()) {
            Entry::Vacant(entry) => {
                entry.insert((rule, prefix));
            }
            Entry::Occupied(entry) if entry.get().1 != prefix => {
                let (first, other) = entry.get();
                let Some(first) = facts.table.rule(*first) else { continue };
                let message = format!("`{prefix}` differs from `{other}` at {} only by case", first.place);
                doubts.push(Doubt::new(Lint::DifferByCase, facts.prefix_of(rule), message, CASE_HINT));
            }
            Entry::Occupied(_) => {}
        }
    }
    doubts
}

/// Names of one static namer that are the same but for case.
pub(in crate::config) fn services_that_differ_by_case(services: &[(&str, Item<'_>)], reader: &mut Reader<'_>) {
    let mut known: HashMap<String, &str> = HashMap::new();
    for (name, item) in services {
        match known.entry(name.to_ascii_lowercase()) {
            Entry::Vacant(entry) => {
                entry.insert(name);
            }
            Entry::Occupied(entry) => {
                let message = format!("`{name}` differs from `{}` only by case", entry.get());
                reader.warning(Lint::DifferByCase, item.key, message, CASE_HINT);
            }
        }
    }
}

fn weight(weight: &Weight) -> Option<Doubt> {
    if weight.alone {
        let message = "this weighs nothing: no other member shares with it";
        let hint = "members that share are joined by `&`: `0.9 * /a & 0.1 * /b`; behind `|` stands a fallback";
        return Some(Doubt::new(Lint::LoneWeight, weight.span, message, hint));
    }
    let (message, hint) = match (is_zero(weight.value), weight.among_zeros) {
        (false, _) => return None,
        (true, false) => ("a member with the weight 0 gets no requests", "leave it out, or give it a share"),
        (true, true) => ("all weights are 0: each member gets as much as the others", "give them weights"),
    };
    Some(Doubt::new(Lint::ZeroWeight, weight.span, message, hint))
}

/// A `#` behind the letters of a name.
fn glued(facts: &Facts<'_>, leaf: &Path, span: Span) -> Option<Doubt> {
    let last = leaf.segments().last()?;
    let at = last.as_bytes().iter().position(|byte| *byte == b'#').filter(|at| *at > 0)?;
    if facts.served.has_name(leaf) {
        return None;
    }
    let written = facts.rules.text().get(span.start..span.end)?;
    let start = span.start + written.rfind('/')? + 1 + at;
    let message = format!("this `#` is part of the name `{last}`, it starts no comment");
    Some(Doubt::new(Lint::GluedComment, Span::new(start, span.end), message, "write a space before the `#`"))
}

/// A comment that holds a rule which was not meant for it: behind a `;` that the rule before it needs, or on a line that
/// a `\` of TOML joins to it.
fn swallowed(facts: &Facts<'_>, comment: &Comment) -> Option<Doubt> {
    let said = facts.rules.text().get(comment.span.start..comment.span.end)?;
    if facts.rules.is_folded(comment.span) {
        let message = "this comment goes on over the end of its line, which a `\\` takes away";
        let hint = "leave out the `\\`: a string in three quotes keeps its lines";
        return Some(Doubt::new(Lint::SwallowedRule, comment.span, message, hint));
    }
    let (words, behind) = said.split_once(';').filter(|_| comment.within.is_some())?;
    if words.contains("=>") {
        return None;
    }
    let rules = Dtab::parse(behind).ok().filter(|rules| !rules.is_empty())?;
    let first = rules.dentries().first()?;
    let start = comment.span.start + words.len() + 1 + first.span.start;
    let message = format!("the rule for `{}` is part of a comment", first.prefix);
    let hint = "a comment goes on to the end of its line: end the rule with `;` before the `#`, and the line behind it";
    Some(Doubt::new(Lint::SwallowedRule, Span::new(start, comment.span.end), message, hint))
}

/// Warns of the weight 0 of an endpoint.
pub(in crate::config) fn endpoints_of_no_weight(weights: &[(f64, Option<Span>)], reader: &mut Reader<'_>) {
    let all = weights.iter().all(|(weight, _)| is_zero(*weight));
    for span in weights.iter().filter(|(weight, _)| is_zero(*weight)).filter_map(|(_, span)| *span) {
        let (message, hint) = if all {
            (
                "all weights are 0: each endpoint gets as much as the others",
                "give them weights, or leave the weight out",
            )
        } else {
            ("an endpoint with the weight 0 gets no requests", "leave it out, or give it a share")
        };
        reader.warning(Lint::ZeroWeight, span, message, hint);
    }
}

const CASE_HINT: &str = "names are compared byte by byte, and hosts are lower-cased: keep one spelling";
