//! Where requests may get to: which rules they may meet, and which paths they may ask the namers for.

use std::collections::HashMap;

use waypost_naming::{Dentry, NameTree, Path, Segment};

use super::served::Served;
use super::shape::Shape;
use super::table::{Exhausted, Table, Work};

/// What the rules may lead to, taken too wide rather than too narrow.
#[derive(Debug)]
pub(super) struct Reach {
    /// By rule: how far somebody comes to it.
    met: Vec<Met>,
    /// Every set of paths that was come to.
    shapes: Vec<Come>,
    /// Where each rule's leaves lead to: rule, leaf, shape.
    edges: Vec<Edge>,
    /// One path for each way in which a rule is come to.
    examples: Vec<Example>,
}

/// A path that comes to a rule.
#[derive(Clone, Debug)]
pub(super) struct Example {
    pub(super) path: Path,
    /// Such a path comes there whatever the namers know.
    pub(super) certain: bool,
}

/// Who comes to a rule.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum Met {
    Nobody,
    /// Only rules that no request comes to.
    Rules,
    Requests,
}

#[derive(Debug)]
struct Come {
    shape: Shape,
    /// A rule or a namer may have an answer.
    goes: bool,
    /// Namers are asked, by requests, and may have an answer.
    asked: bool,
    /// Some of its paths are come to whatever the namers know.
    certain: bool,
}

#[derive(Clone, Copy, Debug)]
struct Edge {
    rule: usize,
    leaf: usize,
    shape: usize,
}

impl Reach {
    /// Follows `logical`, what requests are called, through the rules; then what no request comes to.
    pub(super) fn of(table: &Table, served: &Served, logical: &[Shape], work: &mut Work) -> Result<Self, Exhausted> {
        let mut walk = Walk::new(table, served, work);
        walk.come = Met::Requests;
        for shape in logical {
            walk.intern(shape.clone(), true);
        }
        walk.follow()?;
        walk.come = Met::Rules;
        for (rule, dentry) in table.rules() {
            if walk.reach.met(rule) < Met::Requests {
                let shape = Shape::of_prefix(&dentry.prefix);
                walk.apply(rule, dentry, &shape, true)?;
            }
        }
        walk.follow()?;
        let mut examples: Vec<Example> =
            walk.known.into_iter().map(|(path, certain)| Example { path, certain }).collect();
        examples.sort_unstable_by(|one, other| one.path.cmp(&other.path));
        Ok(Self { examples, ..walk.reach })
    }

    pub(super) fn met(&self, rule: usize) -> Met {
        self.met.get(rule).copied().unwrap_or(Met::Requests)
    }

    pub(super) fn examples(&self) -> &[Example] {
        &self.examples
    }

    /// What requests ask namers for.
    pub(super) fn asked(&self) -> impl Iterator<Item = &Shape> {
        self.shapes.iter().filter(|come| come.asked).map(|come| &come.shape)
    }

    /// The leaves that lead nowhere, whoever comes to their rule: rule, leaf, and a set of paths that it makes.
    pub(super) fn nowhere(&self) -> Vec<(usize, usize, &Shape)> {
        let mut goes: HashMap<(usize, usize), (bool, usize)> = HashMap::new();
        for edge in &self.edges {
            let edge_goes = self.shapes.get(edge.shape).is_none_or(|come| come.goes);
            let leaf = goes.entry((edge.rule, edge.leaf)).or_insert((false, edge.shape));
            leaf.0 |= edge_goes;
        }
        let mut nowhere: Vec<_> = goes
            .into_iter()
            .filter(|(_, (goes, _))| !goes)
            .filter_map(|((rule, leaf), (_, shape))| Some((rule, leaf, &self.shapes.get(shape)?.shape)))
            .collect();
        nowhere.sort_unstable_by_key(|(rule, leaf, _)| (*rule, *leaf));
        nowhere
    }
}

struct Walk<'a, 'w> {
    table: &'a Table,
    served: &'a Served,
    work: &'w mut Work,
    reach: Reach,
    ids: HashMap<Shape, usize>,
    queue: Vec<usize>,
    come: Met,
    /// Stands for any name in an example.
    name: Segment,
    /// The examples, and which of them are certain.
    known: HashMap<Path, bool>,
    /// Parts of a shape; what is longer goes on somehow.
    longest: usize,
}

impl<'a, 'w> Walk<'a, 'w> {
    fn new(table: &'a Table, served: &'a Served, work: &'w mut Work) -> Self {
        let reach =
            Reach { met: vec![Met::Nobody; table.len()], shapes: Vec::new(), edges: Vec::new(), examples: Vec::new() };
        let longest = table.longest_of_interest(served);
        let (ids, queue, known) = (HashMap::new(), Vec::new(), HashMap::new());
        Self { table, served, work, reach, ids, queue, come: Met::Requests, name: any_name(table), known, longest }
    }

    fn intern(&mut self, shape: Shape, certain: bool) -> usize {
        let shape = shape.cut(self.longest);
        if let Some(id) = self.ids.get(&shape).copied() {
            if let Some(come) = self.reach.shapes.get_mut(id).filter(|come| certain && !come.certain) {
                come.certain = true;
                self.queue.push(id);
            }
            return id;
        }
        let id = self.reach.shapes.len();
        self.ids.insert(shape.clone(), id);
        self.reach.shapes.push(Come { shape, goes: false, asked: false, certain });
        self.queue.push(id);
        id
    }

    fn follow(&mut self) -> Result<(), Exhausted> {
        while let Some(id) = self.queue.pop() {
            self.look_up(id)?;
        }
        Ok(())
    }

    fn look_up(&mut self, id: usize) -> Result<(), Exhausted> {
        let Some(come) = self.reach.shapes.get(id) else { return Ok(()) };
        let (shape, certain) = (come.shape.clone(), come.certain);
        let table = self.table;
        let hits = table.meeting(&shape, self.work)?;
        let mut shadowed = false;
        for hit in &hits {
            let Some(dentry) = table.rule(hit.rule) else { continue };
            shadowed |= hit.surely && dentry.tree != NameTree::Neg;
            if let Some(met) = self.reach.met.get_mut(hit.rule) {
                *met = self.come.max(*met);
            }
            self.apply(hit.rule, dentry, &shape, certain)?;
        }
        let mut asked = false;
        if !shadowed {
            let said = self.served.say(&shape);
            asked = said.may;
            for next in said.next {
                self.work.step()?;
                self.intern(next, false);
            }
        }
        if let Some(come) = self.reach.shapes.get_mut(id) {
            come.goes = asked || !hits.is_empty();
            come.asked |= asked && self.come == Met::Requests;
        }
        Ok(())
    }

    /// Follows the paths of `shape` that `rule` matches; `certain`: they are come to whatever the namers know.
    fn apply(&mut self, rule: usize, dentry: &Dentry, shape: &Shape, certain: bool) -> Result<(), Exhausted> {
        let path = shape.example(&dentry.prefix, &self.name);
        let table = self.table;
        let first = table.first(&path, self.work)?;
        if let Some(known) = self.known.insert(path.clone(), certain) {
            self.known.entry(path).and_modify(|certain| *certain |= known);
        }
        let rest = shape.drop(dentry.prefix.len());
        let sure = sure_leaves(&dentry.tree);
        for ((leaf, path), sure) in table.leaves(rule).iter().enumerate().zip(sure) {
            self.work.step()?;
            let shape = self.intern(rest.behind(path), certain && sure && first == Some(rule));
            self.reach.edges.push(Edge { rule, leaf, shape });
        }
        Ok(())
    }
}

/// Of each leaf of `tree`, left to right, whether it is tried whatever the others come to.
fn sure_leaves(tree: &NameTree<Path>) -> Vec<bool> {
    match tree {
        NameTree::Leaf(_) => vec![true],
        NameTree::Neg | NameTree::Fail | NameTree::Empty => Vec::new(),
        NameTree::Union(members) => members.iter().flat_map(|member| sure_leaves(&member.tree)).collect(),
        NameTree::Alt(trees) => {
            let mut sure = true;
            let mut leaves = Vec::new();
            for tree in trees {
                leaves.extend(sure_leaves(tree).into_iter().map(|leaf| leaf && sure));
                sure &= *tree == NameTree::Neg;
            }
            leaves
        }
    }
}

/// A segment that no rule has.
pub(super) fn any_name(table: &Table) -> Segment {
    let names = (0_u32..).map(|number| if number == 0 { "name".to_owned() } else { format!("name{number}") });
    let mut free = names.filter_map(|name| Segment::new(name).ok()).filter(|name| !table.has_label(name));
    free.next().unwrap_or_else(|| unreachable!("one of endlessly many names is free"))
}
