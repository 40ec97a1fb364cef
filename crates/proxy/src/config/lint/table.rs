//! A router's rules by prefix, so that a path, or a set of them, is looked up without a walk over all rules.

use std::collections::BTreeMap;
use std::sync::Arc;

use waypost_naming::{Dentry, Dtab, Element, Path, Prefix, Segment};

use super::served::Served;
use super::shape::{Part, Shape};

/// How much looking is left. Doubts are cheap or are not raised: a file that would take longer is loaded all the same.
#[derive(Debug)]
pub(super) struct Work {
    left: usize,
}

/// [`Work`] has run out: nothing is known.
#[derive(Debug)]
pub(super) struct Exhausted;

impl Work {
    pub(super) const fn new(steps: usize) -> Self {
        Self { left: steps }
    }

    /// For `rules` rules: every analysis is near linear for what people and programs write.
    pub(super) const fn for_rules(rules: usize) -> Self {
        Self::new(STEPS + rules.saturating_mul(STEPS_PER_RULE))
    }

    pub(super) fn step(&mut self) -> Result<(), Exhausted> {
        self.left = self.left.checked_sub(1).ok_or(Exhausted)?;
        Ok(())
    }

    #[cfg(test)]
    pub(super) const fn left(&self) -> usize {
        self.left
    }
}

pub(super) const STEPS: usize = 200_000;
pub(super) const STEPS_PER_RULE: usize = 100;

/// A tree of the elements of all prefixes.
#[derive(Debug)]
pub(super) struct Table {
    dentries: Vec<Arc<Dentry>>,
    leaves: Vec<Vec<Path>>,
    nodes: Vec<Node>,
}

/// Where the prefixes are that begin with the elements on the way here.
#[derive(Debug, Default)]
struct Node {
    labels: BTreeMap<Segment, usize>,
    any: Option<usize>,
    /// The rules whose prefix ends here, ascending.
    rules: Vec<usize>,
}

/// A rule that may speak for some path of a shape.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) struct Hit {
    pub(super) rule: usize,
    /// For all paths of the shape.
    pub(super) surely: bool,
}

impl Table {
    /// Nothing for rules with paths that nobody writes: whatever walks along them may so go deep.
    pub(super) fn new(dtab: &Dtab) -> Option<Self> {
        let dentries = dtab.dentries().to_vec();
        let leaves: Vec<Vec<Path>> =
            dentries.iter().map(|dentry| dentry.tree.leaves().into_iter().cloned().collect()).collect();
        let mut table = Self { dentries, leaves, nodes: vec![Node::default()] };
        let longest_leaf = table.leaves.iter().flatten().map(Path::len).max().unwrap_or_default();
        if table.longest_prefix().max(longest_leaf) > LONGEST_PATH {
            return None;
        }
        for rule in 0..table.len() {
            table.insert(rule);
        }
        Some(table)
    }

    fn insert(&mut self, rule: usize) {
        let Some(dentry) = self.dentries.get(rule).map(Arc::clone) else { return };
        let mut at = ROOT;
        for element in dentry.prefix.elements() {
            at = self.child(at, element);
        }
        if let Some(node) = self.nodes.get_mut(at) {
            node.rules.push(rule);
        }
    }

    fn child(&mut self, of: usize, element: &Element) -> usize {
        let new = self.nodes.len();
        let Some(node) = self.nodes.get_mut(of) else { return ROOT };
        let child = match element {
            Element::Label(label) => *node.labels.entry(label.clone()).or_insert(new),
            Element::Any => *node.any.get_or_insert(new),
        };
        if child == new {
            self.nodes.push(Node::default());
        }
        child
    }

    pub(super) fn len(&self) -> usize {
        self.dentries.len()
    }

    pub(super) fn rules(&self) -> impl Iterator<Item = (usize, &Arc<Dentry>)> {
        self.dentries.iter().enumerate()
    }

    pub(super) fn rule(&self, rule: usize) -> Option<&Arc<Dentry>> {
        self.dentries.get(rule)
    }

    /// The leaves of a rule's tree, left to right.
    pub(super) fn leaves(&self, rule: usize) -> &[Path] {
        self.leaves.get(rule).map(Vec::as_slice).unwrap_or_default()
    }

    pub(super) fn leaf_count(&self) -> usize {
        self.leaves.iter().map(Vec::len).sum()
    }

    pub(super) fn longest_prefix(&self) -> usize {
        self.dentries.iter().map(|dentry| dentry.prefix.len()).max().unwrap_or_default()
    }

    /// Segments of a path beyond which no rule and no namer looks.
    pub(super) fn longest_of_interest(&self, served: &Served) -> usize {
        self.longest_prefix().max(served.longest_prefix() + LONGEST_NAME) + 1
    }

    /// Whether some prefix has this label.
    pub(super) fn has_label(&self, label: &Segment) -> bool {
        self.nodes.iter().any(|node| node.labels.contains_key(label))
    }

    /// The rules that may speak for paths of `shape`, the later first.
    pub(super) fn meeting(&self, shape: &Shape, work: &mut Work) -> Result<Vec<Hit>, Exhausted> {
        let mut hits = Vec::new();
        let mut open = vec![(ROOT, 0, true)];
        while let Some((at, depth, surely)) = open.pop() {
            work.step()?;
            let Some(node) = self.nodes.get(at) else { continue };
            for rule in &node.rules {
                work.step()?;
                hits.push(Hit { rule: *rule, surely });
            }
            let any = node.any.iter().copied();
            match shape.parts().get(depth) {
                Some(Part::Label(label)) => {
                    let same = node.labels.get(label).copied();
                    open.extend(same.into_iter().chain(any).map(|child| (child, depth + 1, surely)));
                }
                Some(part @ (Part::Lower | Part::Any)) => {
                    let fitting = node.labels.iter().filter(|(label, _)| part.may_be(label));
                    open.extend(fitting.map(|(_, child)| (*child, depth + 1, false)));
                    open.extend(any.map(|child| (child, depth + 1, surely)));
                }
                None if shape.goes_on() => {
                    let all = node.labels.values().copied().chain(any);
                    open.extend(all.map(|child| (child, depth + 1, false)));
                }
                None => {}
            }
        }
        hits.sort_unstable_by(|one, other| other.cmp(one));
        Ok(hits)
    }

    /// The rules after `rule` whose prefix matches all that `rule`'s does, the last one first, so many of them at most.
    pub(super) fn covering(&self, rule: usize, most: usize, work: &mut Work) -> Result<Vec<usize>, Exhausted> {
        let mut later = Vec::new();
        let Some(dentry) = self.dentries.get(rule) else { return Ok(later) };
        let mut open = vec![(ROOT, 0)];
        while let Some((at, depth)) = open.pop() {
            work.step()?;
            let Some(node) = self.nodes.get(at) else { continue };
            later.extend(node.rules.iter().rev().take_while(|other| **other > rule).take(most));
            let same = match dentry.prefix.elements().get(depth) {
                Some(Element::Label(label)) => node.labels.get(label).copied(),
                Some(Element::Any) => None,
                None => continue,
            };
            open.extend(same.into_iter().chain(node.any).map(|child| (child, depth + 1)));
        }
        later.sort_unstable_by(|one, other| other.cmp(one));
        later.truncate(most);
        Ok(later)
    }

    /// For each rule the last rule that covers it, of those that `chosen` says.
    pub(super) fn last_covering(
        &self,
        chosen: impl Fn(usize) -> bool,
        work: &mut Work,
    ) -> Result<Vec<Option<usize>>, Exhausted> {
        let last: Vec<Option<usize>> =
            self.nodes.iter().map(|node| node.rules.iter().rev().copied().find(|rule| chosen(*rule))).collect();
        let mut covering = Vec::with_capacity(self.len());
        for (rule, dentry) in self.rules() {
            let found = self.last_on_the_way(&dentry.prefix, &last, work)?;
            covering.push(found.filter(|other| *other > rule));
        }
        Ok(covering)
    }

    fn last_on_the_way(
        &self,
        prefix: &Prefix,
        last: &[Option<usize>],
        work: &mut Work,
    ) -> Result<Option<usize>, Exhausted> {
        let mut found = None;
        let mut open = vec![(ROOT, 0)];
        while let Some((at, depth)) = open.pop() {
            work.step()?;
            found = found.max(last.get(at).copied().flatten());
            let (Some(node), Some(element)) = (self.nodes.get(at), prefix.elements().get(depth)) else { continue };
            let same = match element {
                Element::Label(label) => node.labels.get(label).copied(),
                Element::Any => None,
            };
            open.extend(same.into_iter().chain(node.any).map(|child| (child, depth + 1)));
        }
        Ok(found)
    }
}

const ROOT: usize = 0;

/// Segments behind a namer's prefix that matter.
const LONGEST_NAME: usize = 4;

/// Longer paths are no names that anybody reads.
const LONGEST_PATH: usize = 100;

#[cfg(test)]
mod tests {
    use super::super::shape::tests::shape;
    use super::*;

    fn table(text: &str) -> Table {
        Table::new(&Dtab::parse(text).unwrap()).unwrap()
    }

    fn work() -> Work {
        Work::new(1_000)
    }

    const RULES: &str =
        "/svc => /a ; /svc/users => /b ; /svc/* => /c ; /svc/Users => /d ; /svc/users/x => /e ; /q => /f";

    #[test]
    fn the_rules_that_may_speak_for_a_shape_are_found() {
        let table = table(RULES);
        for (text, expected) in [
            ("/svc/<host>", vec![(2, true), (1, false), (0, true)]),
            ("/svc/<any>", vec![(3, false), (2, true), (1, false), (0, true)]),
            ("/svc/users", vec![(2, true), (1, true), (0, true)]),
            ("/svc/...", vec![(4, false), (3, false), (2, false), (1, false), (0, true)]),
            ("/svc", vec![(0, true)]),
            ("/r", vec![]),
        ] {
            let hits = table.meeting(&shape(text), &mut work()).unwrap();
            let hits: Vec<_> = hits.iter().map(|hit| (hit.rule, hit.surely)).collect();
            assert_eq!(hits, expected, "{text}");
        }
    }

    #[test]
    fn later_rules_that_match_as_much_cover_a_rule() {
        let table = table("/svc/a => /1 ; /* => /2 ; /svc/* => /3 ; /svc => /4 ; /svc/a/b => /5 ; /svc/a => /6");
        for (rule, expected) in [(0, vec![5, 3, 2, 1]), (1, vec![]), (2, vec![3]), (4, vec![5])] {
            assert_eq!(table.covering(rule, 9, &mut work()).unwrap(), expected, "{rule}");
        }
        assert_eq!(table.covering(0, 2, &mut work()).unwrap(), [5, 3]);

        let last = table.last_covering(|rule| rule != 5, &mut work()).unwrap();
        assert_eq!(last, [Some(3), None, Some(3), None, None, None]);
    }

    #[test]
    fn looking_ends_when_the_work_is_done() {
        assert!(table(RULES).meeting(&shape("/svc/..."), &mut Work::new(3)).is_err());
    }

    #[test]
    fn endless_paths_are_not_looked_at() {
        for text in [format!("/a => {}", "/x".repeat(101)), format!("{} => /a", "/x".repeat(101))] {
            assert!(Table::new(&Dtab::parse(&text).unwrap()).is_none());
        }
    }
}
