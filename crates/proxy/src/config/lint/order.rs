//! Rules and the later ones that are tried before them.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use waypost_naming::{Dentry, Element, NameTree, Path};

use super::Lint;
use super::rules::{Doubt, Facts};
use super::served::Sure;
use super::table::{Exhausted, Work};
use super::verdict::Judge;

/// Rules that are never tried or never decide, and general ones that are tried before special ones.
///
/// `looping`: rules that go round in circles; what is behind them is told once they don't.
pub(super) fn find(facts: &Facts<'_>, looping: &BTreeSet<usize>, work: &mut Work) -> Result<Vec<Doubt>, Exhausted> {
    let mut doubts = negative(facts);
    let mut judge = Judge::new(facts, looping, work);
    for (rule, dentry) in facts.table.rules().filter(|(rule, _)| !looping.contains(rule)) {
        Alternatives { facts, judge: &mut judge, rule, leaf: 0, doubts: &mut doubts }.look_at(&dentry.tree)?;
    }
    let shadows = shadows(facts, &mut judge)?;
    let mut general: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    for (rule, dentry) in facts.table.rules() {
        match shadows.get(&rule) {
            Some(Shadow::By(later)) => doubts.extend(shadowed(facts, rule, *later)),
            Some(Shadow::Same(later)) => doubts.extend(repeated(facts, rule, *later)),
            Some(Shadow::General(later)) if dentry.tree != NameTree::Neg => {
                general.entry(*later).or_default().push(rule);
            }
            Some(Shadow::General(_)) | None => {}
        }
    }
    doubts.extend(general.iter().filter_map(|(later, special)| before(facts, *later, special)));
    Ok(doubts)
}

/// What a later rule does to an earlier one.
enum Shadow {
    /// It answers for all its paths.
    By(usize),
    /// It says the same for the same paths.
    Same(usize),
    /// It may answer, and matches more.
    General(usize),
}

fn shadows(facts: &Facts<'_>, judge: &mut Judge<'_, '_>) -> Result<HashMap<usize, Shadow>, Exhausted> {
    let table = facts.table;
    let mut sure = Vec::with_capacity(table.len());
    for (rule, dentry) in table.rules() {
        sure.push(judge.rule(rule, &dentry.prefix)?.sure > Sure::No);
    }
    let mut covering = Vec::with_capacity(table.len());
    for (rule, dentry) in table.rules() {
        let later = table.covering(rule, MOST_COMPARED, judge.work())?;
        covering.push(general(facts, judge, dentry, &later)?);
    }
    let last_words = table.last_covering(|rule| sure.get(rule).is_some_and(|sure| *sure), judge.work())?;
    let mut last: HashMap<(&[Element], String), usize> = HashMap::new();
    let mut shadows = HashMap::new();
    for (rule, dentry) in table.rules().collect::<Vec<_>>().into_iter().rev() {
        let key = (dentry.prefix.elements(), dentry.tree.to_string());
        let same = last.get(&key).copied();
        last.entry(key).or_insert(rule);
        let found = match (last_words.get(rule).copied().flatten(), same) {
            (Some(later), _) => Some(Shadow::By(later)),
            (None, Some(later)) => Some(Shadow::Same(later)),
            (None, None) => covering.get_mut(rule).and_then(Option::take),
        };
        shadows.extend(found.map(|shadow| (rule, shadow)));
    }
    Ok(shadows)
}

/// The first of the rules `later`, which cover `dentry`, that matches more and may answer for its paths.
fn general(
    facts: &Facts<'_>,
    judge: &mut Judge<'_, '_>,
    dentry: &Dentry,
    later: &[usize],
) -> Result<Option<Shadow>, Exhausted> {
    for rule in later {
        let wider = facts.table.rule(*rule).is_some_and(|other| other.prefix != dentry.prefix);
        if !wider {
            continue;
        }
        let verdict = judge.rule(*rule, &dentry.prefix)?;
        if verdict.sure > Sure::No {
            return Ok(Some(Shadow::By(*rule)));
        }
        if verdict.may {
            return Ok(Some(Shadow::General(*rule)));
        }
    }
    Ok(None)
}

fn shadowed(facts: &Facts<'_>, rule: usize, later: usize) -> Option<Doubt> {
    let (dentry, shadow) = (facts.table.rule(rule)?, facts.table.rule(later)?);
    let message = format!(
        "this rule is never tried: `{}` at {} comes first and answers for all its paths",
        shadow.prefix, shadow.place
    );
    let hint = if shadow.prefix == dentry.prefix {
        "a later rule is tried first: leave this one out, or write both as one rule, `/first | /second`"
    } else {
        "a later rule is tried first, however short its prefix: let this one stand behind it"
    };
    Some(Doubt::new(Lint::ShadowedRule, dentry.span, message, hint))
}

fn repeated(facts: &Facts<'_>, rule: usize, later: usize) -> Option<Doubt> {
    let (dentry, same) = (facts.table.rule(rule)?, facts.table.rule(later)?);
    let message = format!("this rule never decides: the same one stands at {}", same.place);
    Some(Doubt::new(Lint::ShadowedRule, dentry.span, message, "leave one of them out"))
}

fn before(facts: &Facts<'_>, later: usize, special: &[usize]) -> Option<Doubt> {
    let dentry = facts.table.rule(later)?;
    let first = facts.table.rule(*special.first()?)?;
    let more = match special.len() - 1 {
        0 => String::new(),
        1 => " and 1 more".to_owned(),
        more => format!(" and {more} more"),
    };
    let message = format!("`{}` is tried before `{}` at {}{more}", dentry.prefix, first.prefix, first.place);
    let hint = "a later rule is tried first, however short its prefix: let the special ones stand behind this one";
    Some(Doubt::new(Lint::GeneralBeforeSpecific, facts.prefix_of(later), message, hint))
}

/// A rule's tree, looked at from left to right.
struct Alternatives<'a, 'j, 'b, 'w> {
    facts: &'a Facts<'a>,
    judge: &'a mut Judge<'j, 'w>,
    rule: usize,
    /// Leaves that were passed.
    leaf: usize,
    doubts: &'b mut Vec<Doubt>,
}

impl Alternatives<'_, '_, '_, '_> {
    /// Tells of the first leaf behind an alternative that always has an answer.
    fn look_at(&mut self, tree: &NameTree<Path>) -> Result<(), Exhausted> {
        match tree {
            NameTree::Leaf(_) => self.leaf += 1,
            NameTree::Neg | NameTree::Fail | NameTree::Empty => {}
            NameTree::Union(members) => members.iter().try_for_each(|member| self.look_at(&member.tree))?,
            NameTree::Alt(trees) => {
                let mut answered = false;
                for tree in trees {
                    if answered && !tree.leaves().is_empty() {
                        self.tell();
                        answered = false;
                    }
                    self.look_at(tree)?;
                    answered |= self.judge.part(tree)?.sure > Sure::No;
                }
            }
        }
        Ok(())
    }

    fn tell(&mut self) {
        let message = "this alternative is never tried: the one before it always has an answer";
        let hint = "a name is left for the next only where it is negative; an address is bound, whoever listens there, \
                    unless `fallback = \"endpoints\"`";
        let span = self.facts.leaf_of(self.rule, self.leaf);
        self.doubts.push(Doubt::new(Lint::UnusedAlternative, span, message, hint));
    }
}

/// Rules that say nothing.
fn negative(facts: &Facts<'_>) -> Vec<Doubt> {
    let silent = facts.table.rules().filter(|(_, dentry)| is_negative(&dentry.tree));
    silent
        .map(|(_, dentry)| {
            let message = "this rule says nothing: what is negative leaves the path to the rules before it";
            Doubt::new(Lint::NegativeRule, dentry.span, message, "to refuse its paths, write `!`")
        })
        .collect()
}

/// Whether it is negative whatever there is.
fn is_negative(tree: &NameTree<Path>) -> bool {
    match tree {
        NameTree::Neg => true,
        NameTree::Leaf(_) | NameTree::Fail | NameTree::Empty => false,
        NameTree::Alt(trees) => trees.iter().all(is_negative),
        NameTree::Union(members) => {
            members.iter().all(|member| matches!(member.tree, NameTree::Fail) || is_negative(&member.tree))
        }
    }
}

/// Later rules that one rule is compared with.
const MOST_COMPARED: usize = 16;
