//! Where requests may get to: which rules they may meet, and which paths they may ask the namers for.

use std::collections::{BTreeSet, HashMap};

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
    examples: BTreeSet<Path>,
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
            walk.intern(shape.clone());
        }
        walk.follow()?;
        walk.come = Met::Rules;
        for (rule, dentry) in table.rules() {
            if walk.reach.met(rule) < Met::Requests {
                let shape = Shape::of_prefix(&dentry.prefix);
                walk.apply(rule, dentry, &shape)?;
            }
        }
        walk.follow()?;
        Ok(walk.reach)
    }

    pub(super) fn met(&self, rule: usize) -> Met {
        self.met.get(rule).copied().unwrap_or(Met::Requests)
    }

    pub(super) const fn examples(&self) -> &BTreeSet<Path> {
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
    /// Parts of a shape; what is longer goes on somehow.
    longest: usize,
}

impl<'a, 'w> Walk<'a, 'w> {
    fn new(table: &'a Table, served: &'a Served, work: &'w mut Work) -> Self {
        let met = vec![Met::Nobody; table.len()];
        let reach = Reach { met, shapes: Vec::new(), edges: Vec::new(), examples: BTreeSet::new() };
        let longest = table.longest_of_interest(served);
        let (ids, queue) = (HashMap::new(), Vec::new());
        Self { table, served, work, reach, ids, queue, come: Met::Requests, name: any_name(table), longest }
    }

    fn intern(&mut self, shape: Shape) -> usize {
        let shape = shape.cut(self.longest);
        if let Some(id) = self.ids.get(&shape) {
            return *id;
        }
        let id = self.reach.shapes.len();
        self.ids.insert(shape.clone(), id);
        self.reach.shapes.push(Come { shape, goes: false, asked: false });
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
        let shape = come.shape.clone();
        let table = self.table;
        let hits = table.meeting(&shape, self.work)?;
        let mut shadowed = false;
        for hit in &hits {
            let Some(dentry) = table.rule(hit.rule) else { continue };
            shadowed |= hit.surely && dentry.tree != NameTree::Neg;
            if let Some(met) = self.reach.met.get_mut(hit.rule) {
                *met = self.come.max(*met);
            }
            self.apply(hit.rule, dentry, &shape)?;
        }
        let mut asked = false;
        if !shadowed {
            let said = self.served.say(&shape);
            asked = said.may;
            for next in said.next {
                self.work.step()?;
                self.intern(next);
            }
        }
        if let Some(come) = self.reach.shapes.get_mut(id) {
            come.goes = asked || !hits.is_empty();
            come.asked |= asked && self.come == Met::Requests;
        }
        Ok(())
    }

    /// Follows the paths of `shape` that `rule` matches.
    fn apply(&mut self, rule: usize, dentry: &Dentry, shape: &Shape) -> Result<(), Exhausted> {
        self.reach.examples.insert(shape.example(&dentry.prefix, &self.name));
        let table = self.table;
        let rest = shape.drop(dentry.prefix.len());
        for (leaf, path) in table.leaves(rule).iter().enumerate() {
            self.work.step()?;
            let shape = self.intern(rest.behind(path));
            self.reach.edges.push(Edge { rule, leaf, shape });
        }
        Ok(())
    }
}

/// A segment that no rule has.
pub(super) fn any_name(table: &Table) -> Segment {
    let names = (0_u32..).map(|number| if number == 0 { "name".to_owned() } else { format!("name{number}") });
    let mut free = names.filter_map(|name| Segment::new(name).ok()).filter(|name| !table.has_label(name));
    free.next().unwrap_or_else(|| unreachable!("one of endlessly many names is free"))
}
