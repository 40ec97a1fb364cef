//! Rules that nothing leads to, and leaves that lead nowhere.

use std::collections::BTreeSet;

use waypost_naming::{Dentry, Element, Path, Prefix, Segment, Span};

use super::Lint;
use super::reach::{Met, Reach};
use super::rules::{Doubt, Facts, Open};
use super::served::Unserved;
use super::shape::{Part, Shape};
use crate::config::suggest;

/// `looping`: rules that are already known to go round in circles.
pub(super) fn find(facts: &Facts<'_>, reach: &Reach, looping: &BTreeSet<usize>) -> Vec<Doubt> {
    let mut doubts = unreachable(facts, reach, looping);
    for (rule, leaf, shape) in reach.nowhere() {
        let Some(path) = facts.table.leaves(rule).get(leaf) else { continue };
        doubts.push(nowhere(facts, path, shape, facts.leaf_of(rule, leaf)));
    }
    doubts
}

fn nowhere(facts: &Facts<'_>, leaf: &Path, shape: &Shape, span: Span) -> Doubt {
    let system = shape.known().segments().first().is_some_and(|first| matches!(first.as_bytes(), b"#" | b"$"));
    if !system {
        let message = format!("no rule speaks for `{leaf}`");
        return Doubt::new(Lint::LeadsNowhere, span, message, nearest_rule(facts, leaf));
    }
    match facts.served.why_not(shape) {
        Unserved::NoNamer => {
            let builtin = shape.known().segments().first().is_some_and(|first| first.as_bytes() == b"$");
            let message = if builtin {
                format!("there is no built-in name `{leaf}`")
            } else {
                format!("no namer serves `{leaf}`")
            };
            Doubt::new(Lint::UnknownNamer, span, message, nearest_namer(facts, leaf))
        }
        Unserved::NoName { prefix, name, names } => {
            let known: Vec<String> = names.iter().map(ToString::to_string).collect();
            let hint = match facts.nearest(&name.to_string(), known.iter().map(String::as_str)) {
                Some(near) => format!("did you mean `{prefix}/{near}`?"),
                None => format!("the names of `{prefix}` stand under its `services`"),
            };
            Doubt::new(Lint::UnknownService, span, format!("`{prefix}` has no `{name}`"), hint)
        }
        Unserved::NotEnough { why, hint } => Doubt::new(Lint::LeadsNowhere, span, why, hint),
    }
}

/// The namer that `leaf` may have been meant for.
fn nearest_namer(facts: &Facts<'_>, leaf: &Path) -> String {
    let known = facts.served.beside(leaf);
    let near = |text: &str| facts.nearest(text, known.iter().map(String::as_str));
    match near(&leaf.to_string()).or_else(|| near(&leaf.take(2).to_string())) {
        Some(near) => format!("did you mean `{near}`?"),
        None if known.is_empty() => "there are no [[namers]] in this file".to_owned(),
        None => {
            let verb = if known.len() == 1 { "is" } else { "are" };
            let known: Vec<&str> = known.iter().take(MOST_LISTED).map(String::as_str).collect();
            format!("there {verb} {}", suggest::list(&known))
        }
    }
}

/// The prefix of a rule that `leaf` may have been meant for.
fn nearest_rule(facts: &Facts<'_>, leaf: &Path) -> String {
    let prefixes = facts.table.rules().take(MOST_COMPARED).map(|(_, dentry)| dentry.prefix.to_string());
    let prefixes: Vec<String> = prefixes.collect();
    let near = |text: &str| facts.nearest(text, prefixes.iter().map(String::as_str)).map(str::to_owned);
    match near(&leaf.to_string()).or_else(|| near(&leaf.take(1).to_string())) {
        Some(near) => format!("did you mean `{near}`?"),
        None => "a path ends at a namer, `/#/...` or `/$/...`, or goes on by a rule for it".to_owned(),
    }
}

fn unreachable(facts: &Facts<'_>, reach: &Reach, looping: &BTreeSet<usize>) -> Vec<Doubt> {
    let alone = facts.table.rules().filter(|(rule, _)| reach.met(*rule) == Met::Nobody && !looping.contains(rule));
    alone.map(|(rule, dentry)| unreached(facts, rule, dentry)).collect()
}

fn unreached(facts: &Facts<'_>, rule: usize, dentry: &Dentry) -> Doubt {
    let message = format!("nothing leads to `{}`", dentry.prefix);
    let named: Vec<String> = facts.logical.iter().map(|shape| format!("`{shape}`")).collect();
    let mut hint = format!("requests are called {}", named.join(" or "));
    if let Some(better) = in_lower_case(facts, &dentry.prefix) {
        hint = format!("hosts are lower-cased: write `{better}`");
    } else if let Some(better) = nearest_start(facts, &dentry.prefix) {
        hint.push_str(&format!("; did you mean `{better}`?"));
    } else if facts.overrides == Open::Yes {
        hint.push_str(", and no rule leads here; if it is there for `l5d-dtab`, allow it");
    } else {
        hint.push_str(", and no rule leads here");
    }
    Doubt::new(Lint::UnreachableRule, facts.prefix_of(rule), message, hint)
}

/// The prefix in lower case, if requests are called so.
fn in_lower_case(facts: &Facts<'_>, prefix: &Prefix) -> Option<Prefix> {
    let lower = |element: &Element| match element {
        Element::Any => Some(Element::Any),
        Element::Label(label) => Some(Element::Label(Segment::new(label.as_bytes().to_ascii_lowercase()).ok()?)),
    };
    let lower = Prefix::from_elements(prefix.elements().iter().map(lower).collect::<Option<Vec<_>>>()?);
    (lower != *prefix && facts.logical.iter().any(|shape| may_match(shape, &lower))).then_some(lower)
}

fn may_match(shape: &Shape, prefix: &Prefix) -> bool {
    prefix.elements().iter().enumerate().all(|(index, element)| match (shape.part(index), element) {
        (None, _) => false,
        (Some(_), Element::Any) => true,
        (Some(part), Element::Label(label)) => part.may_be(label),
    })
}

/// What requests are called, with as many segments as the prefix has, if that is nearly the same.
fn nearest_start(facts: &Facts<'_>, prefix: &Prefix) -> Option<String> {
    let first = prefix.elements().first()?.to_string();
    let known = facts.logical.iter().filter_map(|shape| match shape.parts().first() {
        Some(Part::Label(label)) => Some(label.to_string()),
        Some(Part::Lower | Part::Any) | None => None,
    });
    let known: Vec<String> = known.filter(|label| *label != first).collect();
    let near = facts.nearest(&first, known.iter().map(String::as_str))?;
    let rest: Vec<String> = prefix.elements().iter().skip(1).map(|element| format!("/{element}")).collect();
    Some(format!("/{near}{}", rest.concat()))
}

/// Prefixes that a mistyped leaf is compared with.
const MOST_COMPARED: usize = 200;

/// Namers that a hint lists.
const MOST_LISTED: usize = 20;
