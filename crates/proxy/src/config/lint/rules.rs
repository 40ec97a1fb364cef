//! All doubts about a router's rules, and what of them policies want to know.

use std::cell::Cell;

use waypost_naming::{Finding, Span};

use super::reach::Reach;
use super::served::Served;
use super::shape::Shape;
use super::table::{Table, Work};
use super::{Lint, destinations, loops, order, spelling};
use crate::config::Fallback;
use crate::config::dtab::Rules;
use crate::config::raw::Reader;
use crate::config::suggest;

/// Something suspicious in the rules.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Doubt {
    pub(super) lint: Lint,
    /// In the rules' text.
    pub(super) span: Span,
    pub(super) message: String,
    pub(super) hint: String,
}

/// What is looked at.
pub(super) struct Facts<'a> {
    pub(super) table: &'a Table,
    pub(super) rules: &'a Rules,
    pub(super) served: &'a Served,
    /// What requests are called.
    pub(super) logical: &'a [Shape],
    pub(super) overrides: Open,
    pub(super) fallback: Fallback,
    /// Names that may still be compared with a misspelt one.
    pub(super) comparisons: Cell<usize>,
}

/// How requests come to rules.
#[derive(Clone, Copy, Debug)]
pub(in crate::config) struct Requests<'a> {
    /// What they are called.
    pub(in crate::config) logical: &'a [Shape],
    pub(in crate::config) overrides: Open,
    pub(in crate::config) fallback: Fallback,
}

/// Whether requests may bring rules of their own.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in crate::config) enum Open {
    Yes,
    No,
}

/// What is known of a router's rules once they were looked at.
#[derive(Debug, Default)]
pub(in crate::config) struct Known {
    reach: Option<Reach>,
}

impl Doubt {
    pub(super) fn new(lint: Lint, span: Span, message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { lint, span, message: message.into(), hint: hint.into() }
    }
}

impl<'a> Facts<'a> {
    /// What of `known`, which are so many, is nearest to `name`, unless that was asked too often.
    pub(super) fn nearest<'k>(&self, name: &str, known: impl ExactSizeIterator<Item = &'k str>) -> Option<&'k str> {
        let left = self.comparisons.get().checked_sub(known.len())?;
        self.comparisons.set(left);
        suggest::nearest(name, known)
    }

    /// Where a rule's prefix stands.
    pub(super) fn prefix_of(&self, rule: usize) -> Span {
        self.rules.parts().rules.get(rule).map(|rule| rule.prefix).or_else(|| self.span_of(rule)).unwrap_or_default()
    }

    /// Where a leaf of a rule stands.
    pub(super) fn leaf_of(&self, rule: usize, leaf: usize) -> Span {
        let parts = self.rules.parts().rules.get(rule).and_then(|rule| rule.leaves.get(leaf)).copied();
        parts.or_else(|| self.span_of(rule)).unwrap_or_default()
    }

    fn span_of(&self, rule: usize) -> Option<Span> {
        self.table.rule(rule).map(|dentry| dentry.span)
    }
}

impl Known {
    /// What namers may be asked for, if all of it is known: what a request brings along can lead anywhere.
    pub(super) fn asked(&self, overrides: Open) -> Option<Vec<&Shape>> {
        match overrides {
            Open::Yes => None,
            Open::No => self.reach.as_ref().map(|reach| reach.asked().collect()),
        }
    }

    /// What the router's own rules ask namers for.
    pub(super) fn asked_by_rules(&self) -> impl Iterator<Item = &Shape> {
        self.reach.iter().flat_map(Reach::asked)
    }
}

/// Looks at `rules`, to which `requests` come.
pub(in crate::config) fn rules(
    rules: &Rules,
    served: &Served,
    requests: Requests<'_>,
    reader: &mut Reader<'_>,
) -> Known {
    let Some(table) = Table::new(&rules.dtab) else { return Known::default() };
    let comparisons = Cell::new(MOST_COMPARISONS);
    let Requests { logical, overrides, fallback } = requests;
    let facts = Facts { table: &table, rules, served, logical, overrides, fallback, comparisons };
    let mut work = [0; 3].map(|_| Work::for_rules(table.len() + table.leaf_count()));
    let (doubts, reach) = look_at(&facts, &mut work);
    for doubt in doubts {
        let finding = Finding::warning(doubt.lint.name(), doubt.message).hint(doubt.hint);
        reader.report(rules.place(finding, doubt.span));
    }
    Known { reach }
}

/// Each kind of look has work of its own; one that runs out of it says nothing.
pub(super) fn look_at(
    facts: &Facts<'_>,
    [reaching, ordering, following]: &mut [Work; 3],
) -> (Vec<Doubt>, Option<Reach>) {
    let reach = Reach::of(facts.table, facts.served, facts.logical, reaching).ok();
    let mut doubts = spelling::find(facts, reach.as_ref());
    let loops = loops::find(facts, reach.as_ref(), following);
    doubts.extend(order::find(facts, &loops.rules, ordering).unwrap_or_default());
    doubts.extend(loops.doubts);
    if let Some(reach) = &reach {
        doubts.extend(destinations::find(facts, reach, &loops.rules));
    }
    (doubts, reach)
}

/// Each comparison is worth microseconds, and nobody reads a hundred hints.
pub(super) const MOST_COMPARISONS: usize = 20_000;

#[cfg(test)]
mod tests {
    use waypost_naming::Dtab;

    use super::super::shape::tests::{path, shape};
    use super::super::table::STEPS_PER_RULE;
    use super::*;

    const MANY: usize = 4_000;

    /// The lints raised about `text`, and the steps that looking took, where requests are called as `logical`.
    fn looked_at(text: &str, logical: &str) -> (Vec<Doubt>, usize) {
        let rules = Rules::of(text);
        let table = Table::new(&Dtab::parse(text).unwrap()).unwrap();
        let mut served = Served::builtin();
        served.add(&path("/fs"), None, &[]);
        let logical = [shape(logical)];
        let comparisons = Cell::new(MOST_COMPARISONS);
        let facts = Facts {
            table: &table,
            rules: &rules,
            served: &served,
            logical: &logical,
            overrides: Open::No,
            fallback: Fallback::Name,
            comparisons,
        };
        let mut work = [0; 3].map(|_| Work::new(1_000 * MANY));
        let (doubts, reach) = look_at(&facts, &mut work);
        assert!(reach.is_some(), "{logical:?}");
        (doubts, work.map(|work| 1_000 * MANY - work.left()).into_iter().max().unwrap_or_default())
    }

    fn many(rule: impl Fn(usize) -> String) -> String {
        (0..MANY).map(|n| rule(n) + " ;\n").collect()
    }

    /// Counted, since time is not: what is written by programs, too, is far from the bound.
    #[test]
    fn looking_is_near_linear_in_the_number_of_rules() {
        let bound = STEPS_PER_RULE * MANY;
        for (what, text, logical) in [
            ("names", many(|n| format!("/svc/s{n} => /#/fs/s{n}")), "/svc/<host>"),
            ("names and a rule for all", many(|n| format!("/svc/s{n} => /#/fs/s{n}")) + "/svc => /#/fs", "/svc/<host>"),
            (
                "a rule for all and names",
                "/svc => /#/fs ;".to_owned() + &many(|n| format!("/svc/s{n} => /#/fs/s{n} | !")),
                "/svc/...",
            ),
            (
                "shares",
                many(|n| format!("/svc/s{n} => 0.9 * /#/fs/a{n} & 0.1 * /#/fs/b{n} | /#/fs/c | !")),
                "/svc/<any>",
            ),
            ("chains", many(|n| format!("/svc/s{n} => /svc/s{}", n + 1)), "/svc/<host>"),
            ("one long fallback", many(|n| format!("/svc => /#/fs/s{n}")), "/svc/<host>"),
            (
                "two levels",
                many(|n| format!("/svc/g{}/s{n} => /srv/g{}/s{n}", n % 100, n % 100)) + "/srv => /#/fs",
                "/svc/<any>/<any>",
            ),
            (
                "wildcards",
                many(|n| format!("/svc/1.1/*/s{n} => /#/fs/s{n}")) + "/svc/1.0/* => /svc/1.1",
                "/svc/1.1/<any>/<host>",
            ),
            ("nobody comes here", many(|n| format!("/http/s{n} => /#/fs/s{n}")), "/svc/<host>"),
            ("nothing is there", many(|n| format!("/svc/s{n} => /#/nope/s{n}")), "/svc/<host>"),
            ("circles", many(|n| format!("/svc/s{n} => /svc/s{}", n ^ 1)), "/svc/<host>"),
            ("growing", many(|n| format!("/svc/s{n} => /svc/s{n}/x")), "/svc/<host>"),
        ] {
            let (_, steps) = looked_at(&text, logical);
            assert!(steps <= bound, "{what}: {steps} steps, {} for each rule", steps / MANY);
        }
    }
}
