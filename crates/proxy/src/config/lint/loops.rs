//! Rules that lead back to themselves, found by following one path for each way in which a rule is come to.
//!
//! A path that comes again on its own way is a circle whatever the namers know: what led there leads there again. Where
//! the path grows each time (`/svc => /svc/x`), it is one only if no namer could end it.

use std::collections::{BTreeSet, HashMap};

use waypost_naming::{Builtin, MAX_DEPTH, MAX_NESTED, NameTree, Path, Segment, builtin};

use super::Lint;
use super::reach::{Reach, any_name};
use super::rules::{Doubt, Facts};
use super::served::Sure;
use super::shape::{Part, Shape, Tail};
use super::table::{Exhausted, Work};

/// All circles, each once, and the rules in them.
#[derive(Debug, Default)]
pub(super) struct Loops {
    pub(super) doubts: Vec<Doubt>,
    pub(super) rules: BTreeSet<usize>,
    /// A path on each circle.
    #[cfg(test)]
    pub(super) starts: Vec<Path>,
}

pub(super) fn find(facts: &Facts<'_>, reach: Option<&Reach>, work: &mut Work) -> Loops {
    let name = any_name(facts.table);
    let examples = match reach {
        Some(reach) => reach.examples().clone(),
        None => facts
            .table
            .rules()
            .map(|(_, dentry)| Shape::of_prefix(&dentry.prefix).example(&dentry.prefix, &name))
            .collect(),
    };
    let mut walk = Walk::new(facts, work, name);
    for path in examples {
        let start = Way { certain: true, look_ups: 0, nested: 0 };
        if walk.cycles.len() == MOST_CYCLES || walk.path(&path, start).is_err() {
            break;
        }
    }
    let doubts = walk.cycles.iter().filter_map(|cycle| cycle.doubt(facts)).collect();
    Loops {
        doubts,
        rules: walk.looping,
        #[cfg(test)]
        starts: walk.cycles.iter().filter_map(|cycle| Some(cycle.links.first()?.from.clone())).collect(),
    }
}

/// What a path comes to, as far as it is known.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Outcome {
    Negative,
    /// `!`: it ends alternatives, and is left out where there are others to share with.
    Failed,
    /// Negative or not: a namer knows.
    Open,
    /// Not negative, but maybe `!`.
    Answered,
    /// Neither negative nor `!`.
    Kept,
    /// Nothing, for ever.
    Endless,
}

/// How a path is come to.
#[derive(Clone, Copy, Debug)]
struct Way {
    /// From where it began, whatever namers answer.
    certain: bool,
    look_ups: usize,
    /// Trees within one another.
    nested: usize,
}

impl Way {
    const fn deeper(self) -> Self {
        Self { nested: self.nested + 1, ..self }
    }

    /// Whether delegation gives up here.
    const fn is_too_long(self) -> bool {
        self.look_ups > MAX_DEPTH || self.nested > MAX_NESTED
    }

    /// Where a namer decides whether the way is taken.
    const fn perhaps(self) -> Self {
        Self { certain: false, ..self }
    }
}

/// One step: a path, and where it leads by which rule.
#[derive(Clone, Debug)]
struct Link {
    /// With the leaf that was taken, as it is written. None: a namer.
    rule: Option<(usize, Path)>,
    from: Path,
    to: Path,
}

/// Steps that end where they begin.
#[derive(Debug)]
struct Cycle {
    links: Vec<Link>,
    grows: bool,
    /// The rule that the finding is shown at.
    rule: usize,
}

struct Walk<'a, 'w> {
    facts: &'a Facts<'a>,
    work: &'w mut Work,
    /// Stands for any name.
    name: Segment,
    /// The steps to the path that is being looked at.
    chain: Vec<Link>,
    /// The paths on the way here, and how many steps lead to each.
    open: HashMap<Path, usize>,
    /// What a path came to, by whether it was certain to be come to.
    known: HashMap<(Path, bool), Outcome>,
    cycles: Vec<Cycle>,
    /// The rules of each cycle.
    seen: BTreeSet<Vec<usize>>,
    looping: BTreeSet<usize>,
    /// Segments beyond which a path that need not be taken is not followed.
    longest: usize,
}

impl<'a, 'w> Walk<'a, 'w> {
    fn new(facts: &'a Facts<'a>, work: &'w mut Work, name: Segment) -> Self {
        Self {
            facts,
            work,
            name,
            chain: Vec::new(),
            open: HashMap::new(),
            known: HashMap::new(),
            cycles: Vec::new(),
            seen: BTreeSet::new(),
            looping: BTreeSet::new(),
            longest: facts.table.longest_prefix() + LONGER,
        }
    }

    fn path(&mut self, path: &Path, way: Way) -> Result<Outcome, Exhausted> {
        self.work.step()?;
        if let Some(first) = self.open.get(path) {
            let links = self.chain.get(*first..).unwrap_or_default().to_vec();
            self.report(links, false);
            return Ok(Outcome::Endless);
        }
        let certain = self.known.get(&(path.clone(), true));
        if let Some(known) = certain.or_else(|| self.known.get(&(path.clone(), false)).filter(|_| !way.certain)) {
            return Ok(*known);
        }
        if way.is_too_long() {
            let Some(links) = repeated(&self.chain).filter(|_| way.certain) else { return Ok(Outcome::Open) };
            self.report(links, true);
            return Ok(Outcome::Endless);
        }
        if !way.certain && (path.len() > self.longest || way.look_ups > FAR) {
            return Ok(Outcome::Open);
        }
        self.open.insert(path.clone(), self.chain.len());
        let outcome = self.look_up(path, Way { look_ups: way.look_ups + 1, ..way })?;
        self.open.remove(path);
        self.known.insert((path.clone(), way.certain), outcome);
        Ok(outcome)
    }

    fn look_up(&mut self, path: &Path, way: Way) -> Result<Outcome, Exhausted> {
        let facts = self.facts;
        let hits = facts.table.meeting(&Shape::exactly(path), self.work)?;
        let mut rules: Vec<_> = hits.iter().filter_map(|hit| Some((hit.rule, facts.table.rule(hit.rule)?))).collect();
        if let [(_, only)] = rules.as_slice()
            && only.tree == NameTree::Neg
        {
            rules.clear();
        }
        if rules.is_empty() {
            return self.namers(path, way);
        }
        let mut first = First::new(way);
        for (rule, dentry) in rules {
            let rest = Shape::exactly(&path.drop(dentry.prefix.len()));
            let outcome = if self.looping.contains(&rule) {
                Outcome::Endless
            } else {
                self.tree(&dentry.tree, &Origin { rule, path, rest: &rest }, first.way)?
            };
            if let Some(outcome) = first.next(outcome) {
                return Ok(outcome);
            }
        }
        Ok(first.none())
    }

    fn namers(&mut self, path: &Path, way: Way) -> Result<Outcome, Exhausted> {
        let name = &self.name;
        let part = |segment: &Segment| if segment == name { Part::Any } else { Part::Label(segment.clone()) };
        let shape = Shape::new(path.segments().iter().map(part).collect(), Tail::End);
        let said = self.facts.served.say(&shape);
        for to in self.facts.served.rewritten(path) {
            self.chain.push(Link { rule: None, from: path.clone(), to: to.clone() });
            let outcome = self.path(&to, way.perhaps());
            self.chain.pop();
            outcome?;
        }
        Ok(match (said.may, said.sure_for(self.facts.fallback)) {
            (false, _) => Outcome::Negative,
            (true, _) if builtin(path) == Builtin::Tree(NameTree::Fail) => Outcome::Failed,
            (true, Sure::No) => Outcome::Open,
            (true, Sure::Answered) => Outcome::Answered,
            (true, Sure::Kept) => Outcome::Kept,
        })
    }

    fn tree(&mut self, tree: &NameTree<Path>, origin: &Origin<'_>, way: Way) -> Result<Outcome, Exhausted> {
        self.work.step()?;
        let way = way.deeper();
        match tree {
            NameTree::Neg => Ok(Outcome::Negative),
            NameTree::Fail => Ok(Outcome::Failed),
            NameTree::Empty => Ok(Outcome::Kept),
            NameTree::Leaf(leaf) => {
                let to = origin.rest.behind(leaf).known();
                let rule = Some((origin.rule, leaf.clone()));
                self.chain.push(Link { rule, from: origin.path.clone(), to: to.clone() });
                let outcome = self.path(&to, way);
                self.chain.pop();
                outcome
            }
            NameTree::Alt(trees) => {
                let mut first = First::new(way);
                for tree in trees {
                    let outcome = self.tree(tree, origin, first.way)?;
                    if let Some(outcome) = first.next(outcome) {
                        return Ok(outcome);
                    }
                }
                Ok(first.none())
            }
            NameTree::Union(members) => {
                let mut outcomes = Vec::with_capacity(members.len());
                for member in members {
                    outcomes.push(self.tree(&member.tree, origin, way)?);
                }
                Ok(share(&outcomes))
            }
        }
    }

    fn report(&mut self, links: Vec<Link>, grows: bool) {
        let rules: BTreeSet<usize> = links.iter().filter_map(Link::rule).collect();
        let led = || self.chain.iter().rev().find_map(Link::rule);
        let Some(rule) = rules.first().copied().or_else(led) else { return };
        self.looping.extend(&rules);
        if self.seen.insert(rules.into_iter().collect()) {
            self.cycles.push(Cycle { links, grows, rule });
        }
    }
}

/// What a leaf belongs to.
struct Origin<'a> {
    rule: usize,
    path: &'a Path,
    /// What of the path is left behind the rule's prefix.
    rest: &'a Shape,
}

/// Alternatives being tried one after the other.
struct First {
    way: Way,
    open: bool,
}

impl First {
    const fn new(way: Way) -> Self {
        Self { way, open: false }
    }

    /// After an alternative that came to `outcome`: what all come to, if no more are tried.
    const fn next(&mut self, outcome: Outcome) -> Option<Outcome> {
        match outcome {
            Outcome::Negative => None,
            Outcome::Open => {
                self.way = self.way.perhaps();
                self.open = true;
                None
            }
            Outcome::Failed | Outcome::Answered | Outcome::Kept | Outcome::Endless => {
                Some(if self.open { Outcome::Answered } else { outcome })
            }
        }
    }

    const fn none(&self) -> Outcome {
        if self.open { Outcome::Open } else { Outcome::Negative }
    }
}

/// Members that are negative or `!` are left out; so are those without an end, as long as there is another.
fn share(outcomes: &[Outcome]) -> Outcome {
    let has = |outcome| outcomes.contains(&outcome);
    if has(Outcome::Kept) {
        Outcome::Kept
    } else if has(Outcome::Open) || has(Outcome::Answered) {
        Outcome::Open
    } else if has(Outcome::Negative) || has(Outcome::Failed) {
        Outcome::Negative
    } else {
        Outcome::Endless
    }
}

/// The last steps of a long way, as many as come again and again. A way may also just be long.
fn repeated(chain: &[Link]) -> Option<Vec<Link>> {
    (0..MOST_ASIDE).find_map(|aside| {
        let chain = chain.get(..chain.len().checked_sub(aside)?)?;
        let again = |period: &usize| {
            let rules = || chain.iter().rev().map(|link| &link.rule);
            rules().take(*period).eq(rules().skip(*period).take(*period))
        };
        let period = (1..=chain.len() / 2).find(again)?;
        chain.get(chain.len() - period..).map(<[Link]>::to_vec)
    })
}

impl Cycle {
    fn doubt(&self, facts: &Facts<'_>) -> Option<Doubt> {
        let dentry = facts.table.rule(self.rule)?;
        let start = self.links.iter().position(|link| link.rule() == Some(self.rule)).unwrap_or_default();
        let links: Vec<&Link> = self.links.iter().cycle().skip(start).take(self.links.len()).collect();
        let shown: Vec<String> = links.iter().take(MOST_SHOWN).map(|link| link.shown(facts)).collect();
        let more = if links.len() > MOST_SHOWN { " ; ..." } else { "" };
        let how = if self.grows { ", with a longer path each time" } else { "" };
        let message = format!("`{}{more}` goes round in circles{how}", shown.join(" ; "));
        let others: BTreeSet<usize> =
            links.iter().filter_map(|link| link.rule()).filter(|rule| *rule != self.rule).collect();
        let places: Vec<String> = others
            .iter()
            .take(MOST_SHOWN)
            .filter_map(|rule| facts.table.rule(*rule))
            .map(|other| format!("`{}` is at {}", other.prefix, other.place))
            .collect();
        let hint = if places.is_empty() { HINT.to_owned() } else { format!("{}; {HINT}", places.join(", ")) };
        Some(Doubt::new(Lint::Loop, dentry.span, message, hint))
    }
}

impl Link {
    fn rule(&self) -> Option<usize> {
        self.rule.as_ref().map(|(rule, _)| *rule)
    }

    /// `/a => /b`: the rule with the leaf that was taken.
    fn shown(&self, facts: &Facts<'_>) -> String {
        let rule = self.rule.as_ref().and_then(|(rule, leaf)| Some((facts.table.rule(*rule)?, leaf)));
        match rule {
            Some((dentry, leaf)) => format!("{} => {leaf}", dentry.prefix),
            None => format!("{} => {}", self.from, self.to),
        }
    }
}

const HINT: &str = "delegation stops after 100 steps with an error; let the destination begin with another name";

/// Steps of a circle that are shown.
const MOST_SHOWN: usize = 6;
/// Circles that are told: a file with more of them is made by a program.
const MOST_CYCLES: usize = 100;
/// Steps that may lead aside at the end of a way that goes round.
const MOST_ASIDE: usize = 8;
/// Look-ups after which a way that need not be taken is not followed.
const FAR: usize = 32;
/// Segments by which a path may outgrow all prefixes on such a way.
const LONGER: usize = 4;
