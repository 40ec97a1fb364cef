//! What delegation comes to for a set of paths, as far as it is sure whatever the namers know.

use std::collections::{BTreeSet, HashMap};

use waypost_naming::{NameTree, Path, Prefix};

use super::rules::Facts;
use super::served::{Served, Sure};
use super::shape::Shape;
use super::table::{Exhausted, Table, Work};
use crate::config::Fallback;

/// What a set of paths comes to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Verdict {
    pub(super) sure: Sure,
    /// Some path may be something else than negative.
    pub(super) may: bool,
}

/// Judges, and remembers.
#[derive(Debug)]
pub(super) struct Judge<'a, 'w> {
    table: &'a Table,
    served: &'a Served,
    /// Rules that go round in circles, where delegation stops somewhere on the way.
    looping: &'a BTreeSet<usize>,
    fallback: Fallback,
    work: &'w mut Work,
    /// `None` while it is being judged.
    known: HashMap<Shape, Option<Verdict>>,
    /// Parts of a shape; what is longer goes on somehow.
    longest: usize,
}

impl<'a, 'w> Judge<'a, 'w> {
    pub(super) fn new(facts: &Facts<'a>, looping: &'a BTreeSet<usize>, work: &'w mut Work) -> Self {
        let Facts { table, served, fallback, .. } = *facts;
        let longest = table.longest_of_interest(served);
        Self { table, served, looping, fallback, work, known: HashMap::new(), longest }
    }

    pub(super) const fn work(&mut self) -> &mut Work {
        self.work
    }

    /// What `rule` makes of all paths that `prefix` matches, all of which it matches too.
    pub(super) fn rule(&mut self, rule: usize, prefix: &Prefix) -> Result<Verdict, Exhausted> {
        let table = self.table;
        let Some(dentry) = table.rule(rule).filter(|_| !self.looping.contains(&rule)) else {
            return Ok(Verdict::DOUBT);
        };
        let rest = Shape::of_prefix(prefix).drop(dentry.prefix.len());
        self.tree(&dentry.tree, &rest, 0)
    }

    /// What `tree`, or a part of it, makes of whatever stands behind its rule's prefix.
    pub(super) fn part(&mut self, tree: &NameTree<Path>) -> Result<Verdict, Exhausted> {
        self.tree(tree, &Shape::below(&Path::empty()), 0)
    }

    fn shape(&mut self, shape: Shape, depth: usize) -> Result<Verdict, Exhausted> {
        self.work.step()?;
        let shape = shape.cut(self.longest);
        match self.known.get(&shape) {
            Some(Some(verdict)) => return Ok(*verdict),
            Some(None) => return Ok(Verdict::DOUBT),
            None if depth > DEEPEST => return Ok(Verdict::DOUBT),
            None => {}
        }
        self.known.insert(shape.clone(), None);
        let verdict = self.look_up(&shape, depth)?;
        self.known.insert(shape, Some(verdict));
        Ok(verdict)
    }

    fn look_up(&mut self, shape: &Shape, depth: usize) -> Result<Verdict, Exhausted> {
        let table = self.table;
        let hits = table.meeting(shape, self.work)?;
        let mut verdicts = Vec::with_capacity(hits.len());
        let (mut silent, mut alone, mut sure) = (true, true, 0);
        for hit in &hits {
            let Some(dentry) = table.rule(hit.rule) else { continue };
            let verdict = if self.looping.contains(&hit.rule) {
                Verdict::DOUBT
            } else {
                self.tree(&dentry.tree, &shape.drop(dentry.prefix.len()), depth + 1)?
            };
            verdicts.push(if hit.surely { verdict } else { Verdict { sure: Sure::No, ..verdict } });
            silent &= dentry.tree == NameTree::Neg || !hit.surely;
            alone &= dentry.tree == NameTree::Neg;
            sure += usize::from(hit.surely);
        }
        let rules = Verdict::first_of(&verdicts);
        // A lone `~` counts as no rule; two of them hide the namers.
        if !silent || sure > 1 {
            return Ok(rules);
        }
        let said = self.served.say(shape);
        let sure = if alone && hits.len() < 2 { said.sure_for(self.fallback) } else { rules.sure };
        let mut may = rules.may || said.may;
        for next in said.next {
            may |= self.shape(next, depth + 1)?.may;
        }
        Ok(Verdict { sure, may })
    }

    fn tree(&mut self, tree: &NameTree<Path>, rest: &Shape, depth: usize) -> Result<Verdict, Exhausted> {
        self.work.step()?;
        match tree {
            NameTree::Leaf(leaf) => self.shape(rest.behind(leaf), depth + 1),
            NameTree::Neg => Ok(Verdict { sure: Sure::No, may: false }),
            NameTree::Fail => Ok(Verdict { sure: Sure::Answered, may: true }),
            NameTree::Empty => Ok(Verdict { sure: Sure::Kept, may: true }),
            NameTree::Alt(trees) => {
                let verdicts: Result<Vec<_>, _> = trees.iter().map(|tree| self.tree(tree, rest, depth + 1)).collect();
                verdicts.map(|verdicts| Verdict::first_of(&verdicts))
            }
            NameTree::Union(members) => {
                let verdicts: Result<Vec<_>, _> = members
                    .iter()
                    .filter(|member| !matches!(member.tree, NameTree::Fail))
                    .map(|member| self.tree(&member.tree, rest, depth + 1))
                    .collect();
                verdicts.map(|verdicts| Verdict::share(&verdicts))
            }
        }
    }
}

impl Verdict {
    const DOUBT: Self = Self { sure: Sure::No, may: true };

    /// The first that is not negative: an error or a `!` among them ends it as well as a name.
    fn first_of(verdicts: &[Self]) -> Self {
        let kept = !verdicts.is_empty() && verdicts.iter().all(|verdict| verdict.sure == Sure::Kept);
        let answered = verdicts.iter().any(|verdict| verdict.sure > Sure::No);
        let sure = match (kept, answered) {
            (true, _) => Sure::Kept,
            (false, true) => Sure::Answered,
            (false, false) => Sure::No,
        };
        Self { sure, may: verdicts.iter().any(|verdict| verdict.may) }
    }

    /// Members that are negative, failed or in error are left out; one that is kept is enough.
    fn share(verdicts: &[Self]) -> Self {
        let kept = verdicts.iter().any(|verdict| verdict.sure == Sure::Kept);
        Self { sure: if kept { Sure::Kept } else { Sure::No }, may: verdicts.iter().any(|verdict| verdict.may) }
    }
}

/// Look-ups and trees within one another; deeper ones are in doubt.
const DEEPEST: usize = 200;

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use waypost_naming::Segment;
    use waypost_routing::NamerKind;

    use super::super::rules::Open;
    use super::super::shape::tests::path;
    use super::*;
    use crate::config::dtab::Rules;

    /// What the last rule makes of all that it matches, with a static namer `lab` that has `users`, and a namer `fs`.
    fn verdict(rules: &str, fallback: Fallback) -> (Sure, bool) {
        let rules = Rules::of(rules);
        let table = Table::new(&rules.dtab).unwrap();
        let mut served = Served::builtin();
        let services = vec![(Segment::new("users").unwrap(), Vec::new())];
        served.add(&path("/lab"), Some(&NamerKind::Static { services }), &[]);
        served.add(&path("/fs"), None, &[]);
        let mut work = Work::new(10_000);
        let (rule, dentry) = table.rules().last().unwrap();
        let (overrides, comparisons) = (Open::No, Cell::new(0));
        let facts =
            Facts { table: &table, rules: &rules, served: &served, logical: &[], overrides, fallback, comparisons };
        let verdict = Judge::new(&facts, &BTreeSet::new(), &mut work).rule(rule, &dentry.prefix).unwrap();
        (verdict.sure, verdict.may)
    }

    #[test]
    fn what_is_sure_is_told_from_what_may_be() {
        use Sure::{Answered, Kept, No};
        for (tree, expected) in [
            ("!", (Answered, true)),
            ("$", (Kept, true)),
            ("~", (No, false)),
            ("/#/fs", (No, true)),
            ("/#/fs | !", (Answered, true)),
            ("/#/lab/users", (Kept, true)),
            ("/#/lab", (No, true)),
            ("/#/lab/web", (No, false)),
            ("/$/inet/127.1/80", (Kept, true)),
            ("/$/inet/127.1", (No, true)),
            ("/$/io.buoyant.rinet/80", (No, true)),
            ("/$/nil", (Kept, true)),
            ("/$/fail", (Answered, true)),
            ("/nowhere", (No, false)),
            ("/#/fs & $", (Kept, true)),
            ("/#/fs & !", (No, true)),
            ("! & !", (No, false)),
            ("/$/inet/127.1/80 & /#/fs", (Kept, true)),
            ("/$/fail & /#/fs", (No, true)),
            ("/#/fs | /$/inet/127.1/80", (Answered, true)),
            ("(/#/fs | !) | /b", (Answered, true)),
        ] {
            assert_eq!(verdict(&format!("/svc => {tree}"), Fallback::Name), expected, "{tree}");
        }
    }

    #[test]
    fn bound_names_are_no_sure_answer_where_they_may_count_as_negative() {
        for (tree, expected) in [
            ("/$/inet/127.1/80", Sure::No),
            ("/#/lab/users", Sure::No),
            ("/#/lab/users | !", Sure::Answered),
            ("$", Sure::Kept),
        ] {
            assert_eq!(verdict(&format!("/svc => {tree}"), Fallback::Endpoints), (expected, true), "{tree}");
        }
    }

    #[test]
    fn verdicts_go_through_rules() {
        use Sure::{Answered, Kept, No};
        for (rules, expected) in [
            ("/srv => /$/inet/127.1/80 ; /svc => /srv", (Kept, true)),
            ("/srv => /#/lab/web ; /svc => /srv", (No, false)),
            ("/srv/x => /$/inet/127.1/80 ; /svc => /srv", (No, true)),
            ("/#/lab => /nowhere ; /svc => /#/lab/users", (No, false)),
            ("/#/lab => ~ ; /svc => /#/lab/users", (Kept, true)),
            ("/#/lab => ~ ; /#/lab => ~ ; /svc => /#/lab/users", (No, false)),
            ("/srv => /#/fs ; /srv => /#/fs | ! ; /svc => /srv", (Answered, true)),
            ("/a => /svc ; /svc => /a", (No, true)),
        ] {
            assert_eq!(verdict(rules, Fallback::Name), expected, "{rules}");
        }
    }
}
