//! Dtabs with an index of their prefixes: the rules that speak for a path are found without a look at the others.
//!
//! [`Dtab`] itself is the reference: it tries one rule after the other. Here the same rules come in the same order;
//! with 10,000 rules the index is made in about 2 ms and a look-up takes about as long as with ten.

use std::collections::{BinaryHeap, HashMap};
use std::iter::Chain;
use std::ops::Range;
use std::sync::Arc;

use crate::dtab::{self, Dentry, Dtab, Element, Prefix};
use crate::path::{Path, Segment};
use crate::work;

/// What knows which rules speak for a path.
pub trait Table {
    /// Some rules, later ones first. A clone goes on from where it was made.
    type Matches<'t>: Iterator<Item = &'t Arc<Dentry>> + Clone
    where
        Self: 't;

    /// The rules that speak for `path`, in the order in which they are tried: later ones first.
    fn matches<'t>(&'t self, path: &'t Path) -> Self::Matches<'t>;
}

impl Table for Dtab {
    type Matches<'t> = dtab::Matches<'t>;

    fn matches<'t>(&'t self, path: &'t Path) -> Self::Matches<'t> {
        Self::matches(self, path)
    }
}

/// A dtab and the index of its prefixes. Who publishes a dtab makes it once, off the request's way.
///
/// The index is a tree whose edges are runs of elements, `*` among them; runs split where prefixes part. So it has at
/// most two nodes for each rule, however long the prefixes are.
#[derive(Clone, Debug)]
pub struct CompiledDtab {
    dtab: Dtab,
    nodes: Nodes,
    /// For each rule, the next earlier one with the same prefix.
    earlier: Vec<Option<usize>>,
}

impl CompiledDtab {
    /// Indexes the prefixes of `dtab`.
    #[must_use]
    pub fn new(dtab: Dtab) -> Self {
        let mut nodes = Nodes::new();
        let newest = |(rule, dentry): (usize, &Arc<Dentry>)| nodes.node_for(&dentry.prefix).newest.replace(rule);
        let earlier = dtab.dentries().iter().enumerate().map(newest).collect();
        Self { dtab, nodes, earlier }
    }

    /// The rules as written.
    #[must_use]
    pub const fn dtab(&self) -> &Dtab {
        &self.dtab
    }
}

impl Default for CompiledDtab {
    fn default() -> Self {
        Self::new(Dtab::default())
    }
}

impl From<Dtab> for CompiledDtab {
    fn from(dtab: Dtab) -> Self {
        Self::new(dtab)
    }
}

impl Table for CompiledDtab {
    type Matches<'t> = Matches<'t>;

    fn matches<'t>(&'t self, path: &'t Path) -> Matches<'t> {
        Matches { table: self, next: self.nodes.newest_for(path) }
    }
}

/// The rules of a [`CompiledDtab`] that speak for a path, later ones first.
#[derive(Clone, Debug)]
pub struct Matches<'t> {
    table: &'t CompiledDtab,
    /// Of each prefix that speaks for the path, the latest rule that is still to come.
    next: BinaryHeap<usize>,
}

impl<'t> Iterator for Matches<'t> {
    type Item = &'t Arc<Dentry>;

    fn next(&mut self) -> Option<Self::Item> {
        let rule = self.next.pop()?;
        self.next.extend(self.table.earlier.get(rule).copied().flatten());
        self.table.dtab.dentries().get(rule)
    }
}

/// A compiled dtab with the overrides of one request behind it, which so have the last word. The base is not copied.
#[derive(Debug)]
pub struct Layered<'a> {
    base: &'a CompiledDtab,
    overrides: Overrides<'a>,
}

#[derive(Debug)]
enum Overrides<'a> {
    Few(&'a Dtab),
    Many(CompiledDtab),
}

/// As many rules are tried one by one for each look-up. Beyond it an index is cheaper; and whoever sends thousands of
/// rules that lead in circles doesn't make each of the look-ups pay for all of them.
const FEW: usize = 32;

impl<'a> Layered<'a> {
    /// The rules of `base`, then `overrides`.
    #[must_use]
    pub fn new(base: &'a CompiledDtab, overrides: &'a Dtab) -> Self {
        let few = overrides.len() <= FEW;
        let overrides =
            if few { Overrides::Few(overrides) } else { Overrides::Many(CompiledDtab::new(overrides.clone())) };
        Self { base, overrides }
    }
}

impl Table for Layered<'_> {
    type Matches<'t>
        = Chain<OverrideMatches<'t>, Matches<'t>>
    where
        Self: 't;

    fn matches<'t>(&'t self, path: &'t Path) -> Self::Matches<'t> {
        let first = match &self.overrides {
            Overrides::Few(dtab) => OverrideMatches::Few(dtab.matches(path)),
            Overrides::Many(compiled) => OverrideMatches::Many(compiled.matches(path)),
        };
        first.chain(self.base.matches(path))
    }
}

/// The overrides of a [`Layered`] that speak for a path, later ones first.
#[derive(Clone, Debug)]
pub enum OverrideMatches<'t> {
    /// Tried one by one.
    Few(dtab::Matches<'t>),
    /// Found by their index.
    Many(Matches<'t>),
}

impl<'t> Iterator for OverrideMatches<'t> {
    type Item = &'t Arc<Dentry>;

    fn next(&mut self) -> Option<Self::Item> {
        match self {
            Self::Few(matches) => matches.next(),
            Self::Many(matches) => matches.next(),
        }
    }
}

/// The index, its root first. By numbers and not by boxes, so that no dtab makes the stack deep.
#[derive(Clone, Debug)]
struct Nodes(Vec<Node>);

/// A place where prefixes end or part.
#[derive(Clone, Debug)]
struct Node {
    /// What leads here from the node above: these elements of that prefix, at least one but at the root.
    prefix: Prefix,
    run: Range<usize>,
    /// The latest rule whose prefix ends here.
    newest: Option<usize>,
    /// Nodes below, by the first element of what leads there.
    labels: HashMap<Segment, usize>,
    any: Option<usize>,
}

const ROOT: usize = 0;

impl Nodes {
    fn new() -> Self {
        Self(vec![Node::new(Prefix::default(), 0..0)])
    }

    /// The node where `prefix` ends, made where there is none.
    fn node_for(&mut self, prefix: &Prefix) -> &mut Node {
        let (mut id, mut at) = (ROOT, 0);
        while let Some(first) = prefix.elements().get(at) {
            match self.node(id).below(first) {
                Some(below) => {
                    id = below;
                    at += self.part(below, prefix.elements().get(at..).unwrap_or_default());
                }
                None => {
                    id = self.add_below(id, first, Node::new(prefix.clone(), at..prefix.len()));
                    at = prefix.len();
                }
            }
        }
        self.node_mut(id)
    }

    /// Sees to it that a node ends where `elements`, which begin as what leads to node `id`, may part from that. Tells
    /// how many elements lead to `id` now.
    fn part(&mut self, id: usize, elements: &[Element]) -> usize {
        let run = self.node(id).run();
        let common = run.iter().zip(elements).take_while(|(known, new)| known == new).count();
        let Some(parting) = run.get(common).cloned() else { return common };
        let upper = self.node_mut(id);
        let middle = upper.run.start + common;
        let above = Node::new(upper.prefix.clone(), upper.run.start..middle);
        let mut lower = std::mem::replace(upper, above);
        lower.run.start = middle;
        self.add_below(id, &parting, lower);
        common
    }

    fn add_below(&mut self, id: usize, first: &Element, node: Node) -> usize {
        let below = self.0.len();
        self.0.push(node);
        let above = self.node_mut(id);
        match first {
            Element::Label(label) => drop(above.labels.insert(label.clone(), below)),
            Element::Any => above.any = Some(below),
        }
        below
    }

    /// The latest rule of each prefix that `path` begins with.
    fn newest_for(&self, path: &Path) -> BinaryHeap<usize> {
        let mut newest = BinaryHeap::new();
        let mut next = Some((ROOT, path.segments()));
        // Ways that are still to be gone, where both a label and `*` lead on.
        let mut aside = Vec::new();
        while let Some((id, rest)) = next.take().or_else(|| aside.pop()) {
            let node = self.node(id);
            work::count(1 + node.run.len());
            let Some(rest) = node.leads_past(rest) else { continue };
            newest.extend(node.newest);
            let Some(first) = rest.first() else { continue };
            next = node.labels.get(first).map(|below| (*below, rest));
            match node.any.map(|below| (below, rest)) {
                any if next.is_none() => next = any,
                any => aside.extend(any),
            }
        }
        newest
    }

    #[expect(clippy::indexing_slicing, reason = "a number is given out with its node, and no node is ever taken out")]
    fn node(&self, id: usize) -> &Node {
        &self.0[id]
    }

    #[expect(clippy::indexing_slicing, reason = "as in `node`")]
    fn node_mut(&mut self, id: usize) -> &mut Node {
        &mut self.0[id]
    }
}

impl Node {
    fn new(prefix: Prefix, run: Range<usize>) -> Self {
        Self { prefix, run, newest: None, labels: HashMap::new(), any: None }
    }

    fn run(&self) -> &[Element] {
        self.prefix.elements().get(self.run.clone()).unwrap_or_default()
    }

    fn below(&self, first: &Element) -> Option<usize> {
        match first {
            Element::Label(label) => self.labels.get(label).copied(),
            Element::Any => self.any,
        }
    }

    /// What of `segments` is left behind the run that leads here, where they begin with it.
    fn leads_past<'p>(&self, segments: &'p [Segment]) -> Option<&'p [Segment]> {
        let (head, rest) = segments.split_at_checked(self.run.len())?;
        self.run().iter().zip(head).all(|(element, segment)| element.matches(segment)).then_some(rest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dtab(text: &str) -> Dtab {
        Dtab::parse(text).unwrap()
    }

    fn path(text: &str) -> Path {
        Path::parse(text).unwrap()
    }

    fn shown<'t>(rules: impl Iterator<Item = &'t Arc<Dentry>>) -> Vec<String> {
        rules.map(ToString::to_string).collect()
    }

    #[test]
    fn rules_come_as_the_dtab_itself_gives_them() {
        let rules = dtab(
            "/ => /0 ; /a => /1 ; /a/b/c/d => /2 ; /* => /3 ; /a/b => /4 ; /a/*/c => /5 ; /a => /6 ; /*/b => /7 ; \
             /a/b/x => /8 ; /a/*/c/e => /9 ; /a/b/c => /10 ; /*/*/*/d => /11 ; /ab => /12 ; /a/b => ~ ; / => !",
        );
        let compiled = CompiledDtab::new(rules.clone());
        for text in ["/", "/a", "/b", "/a/b", "/a/b/c", "/a/b/c/d", "/a/b/c/d/e", "/a/x/c/e", "/x/b/y/d", "/ab/b", "/x"]
        {
            let path = path(text);
            assert_eq!(shown(compiled.matches(&path)), shown(rules.matches(&path)), "{text}");
        }
    }

    #[test]
    fn overrides_come_before_the_base_however_many_there_are() {
        let base = CompiledDtab::new(dtab("/svc => /base ; /svc/a => /base/a"));
        for count in [0, 1, FEW, FEW + 1, 3 * FEW] {
            let text: Vec<_> =
                (0..count).map(|n| format!("/svc/{} => /over/{n}", if n % 2 == 0 { "a" } else { "*" })).collect();
            let overrides = dtab(&text.join(";"));
            let layered = Layered::new(&base, &overrides);
            let path = path("/svc/a/x");
            assert_eq!(shown(layered.matches(&path)), shown(base.dtab().append(&overrides).matches(&path)), "{count}");
        }
    }

    #[test]
    fn a_clone_goes_on_from_where_it_was_made() {
        let compiled = CompiledDtab::new(dtab("/a => /1 ; / => /2 ; /a => /3"));
        let path = path("/a");
        let mut matches = compiled.matches(&path);
        matches.next();

        assert_eq!(shown(matches.clone()), ["/=>/2", "/a=>/1"]);
        assert_eq!(shown(matches), ["/=>/2", "/a=>/1"]);
    }

    #[test]
    fn a_look_up_takes_as_many_steps_with_ten_thousand_rules_as_with_ten() {
        let steps = |rules: usize| {
            let text: Vec<_> = (0..rules).map(|n| format!("/svc/s{n} => /#/lab/s{n}")).collect();
            let compiled = CompiledDtab::new(dtab(&text.join(";")));
            let path = path("/svc/s7/rest");
            let (found, steps) = work::of(|| compiled.matches(&path).count());
            assert_eq!(found, 1);
            steps
        };

        assert_eq!(steps(10_000), steps(10));
    }

    /// Rules by rules, a scan looks at each; the index must not look at more, whatever it is made of.
    #[test]
    fn no_look_up_takes_more_steps_than_a_scan_would() {
        let masks = |bits: u32| -> Vec<_> {
            let element = |mask: u32, bit: u32| if mask >> bit & 1 == 1 { "/*" } else { "/a" };
            (0..1 << bits).map(|mask| (0..bits).map(|bit| element(mask, bit)).collect::<String>() + "=>/x").collect()
        };
        let nested: Vec<_> = (1..500).map(|length| "/a".repeat(length) + "=>/x").collect();
        let same: Vec<_> = (0..500).map(|_| "/a/a/a=>/x".to_owned()).collect();
        for rules in [masks(10), nested, same] {
            let compiled = CompiledDtab::new(dtab(&rules.join(";")));
            let scan: usize = compiled.dtab().dentries().iter().map(|rule| 1 + rule.prefix.len()).sum();
            assert!(compiled.nodes.0.len() <= 2 * rules.len() + 1);
            for text in ["/a".repeat(10), "/a".repeat(600), "/b".repeat(600)] {
                let path = path(&text);
                let (found, steps) = work::of(|| compiled.matches(&path).count());
                assert_eq!(found, compiled.dtab().matches(&path).count());
                assert!(steps <= 2 * scan + 1, "{steps} of {scan}");
            }
        }
    }

    #[test]
    fn prefixes_of_a_million_elements_are_two_nodes_and_no_deep_stack() {
        let long = "/a".repeat(1 << 20);
        let compiled = CompiledDtab::new(dtab(&format!("{long} => /x ; {long}/b => /y ; {long}/c => /z")));

        assert!(compiled.nodes.0.len() <= 5, "{}", compiled.nodes.0.len());
        assert_eq!(shown(compiled.matches(&path(&format!("{long}/b")))).len(), 2);
    }
}
