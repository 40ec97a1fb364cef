//! The delegation tree that people see: every branch, in the shape of linkerd's delegator.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use super::{Bound, Budget, DelegateError, Depth, Found, Halt, Namer, Rules, Target, look_up};
use crate::compiled::Table;
use crate::dtab::Dentry;
use crate::name_tree::{NameTree, Weighted};
use crate::path::Path;

/// A path, and all that became of it.
#[derive(Clone, PartialEq, Debug)]
pub struct DelegateTree<A> {
    /// The path that was looked up, or the literal that a rule holds.
    pub path: TreePath,
    /// The rule that produced `path`; none for the path asked for.
    pub dentry: Option<Arc<Dentry>>,
    /// What became of it.
    pub node: DelegateNode<A>,
}

/// What stands at a node of a [`DelegateTree`]: a path, or a literal leaf of a rule.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum TreePath {
    /// A path.
    Path(Path),
    /// A rule's `~`.
    Neg,
    /// A rule's `!`.
    Fail,
    /// A rule's `$`.
    Empty,
}

impl fmt::Display for TreePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Path(path) => path.fmt(f),
            Self::Neg => f.write_str("~"),
            Self::Fail => f.write_str("!"),
            Self::Empty => f.write_str("$"),
        }
    }
}

/// What became of a path.
#[derive(Clone, PartialEq, Debug)]
pub enum DelegateNode<A> {
    /// Nothing is there.
    Neg,
    /// Nothing is there, and no fallback is tried.
    Fail,
    /// It is there, with nothing in it.
    Empty,
    /// A namer has not answered yet.
    Pending,
    /// A namer cannot tell, or the way does not end.
    Exception(String),
    /// It is bound.
    Leaf(Bound<A>),
    /// It is bound, and passed over since nobody is there.
    Vacant(Bound<A>),
    /// It leads to one other.
    Delegate(Box<DelegateTree<A>>),
    /// It leads to the first of these that is not negative.
    Alt(Vec<DelegateTree<A>>),
    /// It leads to each of these, by weight.
    Union(Vec<(f64, DelegateTree<A>)>),
    /// A transformer changed what was bound.
    Transformation {
        /// The transformer.
        name: String,
        /// What was bound before.
        bound: Bound<A>,
        /// What is bound now.
        tree: Box<DelegateTree<A>>,
    },
}

impl<A> DelegateTree<A> {
    /// Which leaves decide what a request gets: the bound names with their shares, or the one failure, error or wait.
    /// None where the whole is negative.
    #[must_use]
    pub fn winner(&self) -> Winners<'_, A> {
        let (_, list) = self.decide();
        let shares = list.iter().map(|winner| (std::ptr::from_ref(winner.node), winner.share)).collect();
        Winners { list, shares }
    }

    fn decide(&self) -> (Verdict, Vec<Winner<'_, A>>) {
        let me = || vec![Winner { share: 1.0, node: self }];
        match &self.node {
            DelegateNode::Neg | DelegateNode::Vacant(_) => (Verdict::Neg, Vec::new()),
            DelegateNode::Fail => (Verdict::Fail, me()),
            DelegateNode::Empty | DelegateNode::Leaf(_) => (Verdict::Bound, me()),
            DelegateNode::Pending => (Verdict::Pending, me()),
            DelegateNode::Exception(_) => (Verdict::Error, me()),
            DelegateNode::Delegate(tree) | DelegateNode::Transformation { tree, .. } => tree.decide(),
            DelegateNode::Alt(trees) => trees
                .iter()
                .map(Self::decide)
                .find(|(verdict, _)| *verdict != Verdict::Neg)
                .unwrap_or((Verdict::Neg, Vec::new())),
            DelegateNode::Union(members) => {
                let decided: Vec<_> = members.iter().map(|(weight, tree)| (*weight, tree.decide())).collect();
                let verdict = Verdict::of_union(decided.iter().map(|(_, (verdict, _))| *verdict));
                let heirs = decided.into_iter().filter(|(_, (member, _))| *member == verdict);
                let heirs = heirs.map(|(weight, (_, winners))| (weight, winners));
                (verdict, if verdict == Verdict::Bound { shared(heirs.collect()) } else { first(heirs) })
            }
        }
    }
}

/// The winners of a union's bound members, each with its part of the member's share.
fn shared<A>(members: Vec<(f64, Vec<Winner<'_, A>>)>) -> Vec<Winner<'_, A>> {
    let sum: f64 = members.iter().map(|(weight, _)| weight).sum();
    let equal = 1.0 / members.iter().map(|_| 1.0).sum::<f64>();
    let share = |weight: f64| if sum > 0.0 { weight / sum } else { equal };
    let parts = members.into_iter().map(|(weight, winners)| (share(weight), winners));
    parts.flat_map(|(part, winners)| winners.into_iter().map(move |winner| winner.of(part))).collect()
}

fn first<'t, A>(mut members: impl Iterator<Item = (f64, Vec<Winner<'t, A>>)>) -> Vec<Winner<'t, A>> {
    members.next().map(|(_, winners)| winners).unwrap_or_default()
}

/// A leaf of a [`DelegateTree`] that decides what a request gets.
#[derive(Clone, Copy, Debug)]
pub struct Winner<'t, A> {
    /// Its part of the requests; members of unions that lead nowhere have left theirs to the others.
    pub share: f64,
    /// The leaf.
    pub node: &'t DelegateTree<A>,
}

impl<A> Winner<'_, A> {
    fn of(self, part: f64) -> Self {
        Self { share: self.share * part, ..self }
    }
}

/// The leaves that decide, in the tree's order.
#[derive(Clone, Debug)]
pub struct Winners<'t, A> {
    list: Vec<Winner<'t, A>>,
    /// By address: equal leaves may stand at several places of a tree.
    shares: HashMap<*const DelegateTree<A>, f64>,
}

impl<'t, A> Winners<'t, A> {
    /// In the tree's order.
    #[must_use]
    pub fn leaves(&self) -> &[Winner<'t, A>] {
        &self.list
    }

    /// The share of that very node of the tree; none where it does not decide.
    #[must_use]
    pub fn share(&self, node: &DelegateTree<A>) -> Option<f64> {
        self.shares.get(&std::ptr::from_ref(node)).copied()
    }
}

/// What binding makes of a branch, without the bound names.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Verdict {
    Neg,
    Fail,
    /// A bound name, `$`, or a union of such.
    Bound,
    Pending,
    Error,
}

impl Verdict {
    /// Of a union with these members.
    fn of_union(members: impl Iterator<Item = Self>) -> Self {
        let members: Vec<_> = members.collect();
        let has = |verdict: Self| members.contains(&verdict);
        match members.as_slice() {
            [only] => *only,
            _ if has(Self::Bound) => Self::Bound,
            _ if has(Self::Neg) || has(Self::Fail) || members.is_empty() => Self::Neg,
            _ if has(Self::Pending) => Self::Pending,
            _ => Self::Error,
        }
    }
}

/// What people see of `path`: every branch, also those that a request does not follow.
///
/// Where [`bind`](super::bind) gives up because of too many look-ups, the tree is one exception that says so. Branches
/// that a request does not follow have look-ups of their own, so that they can't change what is shown of those it does.
pub fn delegate<D: Table, N: Namer>(table: &D, path: &Path, namer: &N) -> DelegateTree<N::Addr> {
    let mut delegator = Delegator { table, namer, followed: Budget::default(), aside: Budget::default() };
    let at = At { depth: Depth::default(), way: Way::Followed };
    match delegator.path(path, None, at) {
        Ok((tree, _)) => tree,
        Err(error) => exception(path, None, &error),
    }
}

struct Delegator<'a, D, N> {
    table: &'a D,
    namer: &'a N,
    /// What [`bind`](super::bind) would have spent.
    followed: Budget,
    aside: Budget,
}

/// Where the delegator is.
#[derive(Clone, Copy)]
struct At {
    depth: Depth,
    way: Way,
}

/// Does a request come by here?
#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    Followed,
    /// An alternative before this one has decided.
    Aside,
}

/// What a tree was found for, and by which rule.
#[derive(Clone, Copy)]
struct Origin<'a> {
    path: &'a Path,
    dentry: Option<&'a Arc<Dentry>>,
    /// Does the tree stand in the rule, or did a namer give it?
    written: bool,
}

impl Origin<'_> {
    fn node<A>(self, path: TreePath, node: DelegateNode<A>) -> DelegateTree<A> {
        DelegateTree { path, dentry: self.dentry.cloned(), node }
    }

    fn literal<A>(self, written: TreePath, node: DelegateNode<A>) -> DelegateTree<A> {
        self.node(if self.written { written } else { TreePath::Path(self.path.clone()) }, node)
    }
}

/// A branch and what a request gets from it; the error is the one that ends the whole delegation.
type Branch<A> = Result<(DelegateTree<A>, Verdict), DelegateError>;

/// Alternatives and what a request gets from them.
type Branches<A> = Result<(Vec<DelegateTree<A>>, Verdict), DelegateError>;

impl<D: Table, N: Namer> Delegator<'_, D, N> {
    fn budget(&mut self, way: Way) -> &mut Budget {
        match way {
            Way::Followed => &mut self.followed,
            Way::Aside => &mut self.aside,
        }
    }

    /// `path`, which `dentry` produced.
    fn path(&mut self, path: &Path, dentry: Option<&Arc<Dentry>>, at: At) -> Branch<N::Addr> {
        self.budget(at.way).look_up(path)?;
        let found = look_up(self.table, self.namer, path).and_then(|found| Ok((found, at.depth.behind_look_up(path)?)));
        match found {
            Ok((Found::Rules(rules), depth)) => self.rules(rules, path, dentry, At { depth, ..at }),
            Ok((Found::Named { tree, rule }, depth)) => {
                let origin = Origin { path, dentry: rule, written: false };
                let (tree, verdict) = self.tree(&tree, &Target::clone, origin, At { depth, ..at })?;
                Ok((delegated(path, dentry, tree), verdict))
            }
            Err(Halt::Pending) => {
                let path = TreePath::Path(path.clone());
                Ok((DelegateTree { path, dentry: dentry.cloned(), node: DelegateNode::Pending }, Verdict::Pending))
            }
            Err(Halt::Error(error)) => Ok((exception(path, dentry, &error), Verdict::Error)),
        }
    }

    fn rules(&mut self, rules: Rules<'_, D>, path: &Path, dentry: Option<&Arc<Dentry>>, at: At) -> Branch<N::Addr> {
        let (trees, verdict) = self.alternatives(rules, path, at, |delegator, rule, at| {
            let origin = Origin { path, dentry: Some(rule), written: true };
            delegator.tree(&rule.tree, &|leaf| Target::Path(rule.lead(leaf, path)), origin, at)
        })?;
        Ok((alt(path, dentry, trees), verdict))
    }

    /// All of them, each by `branch`; those behind the one that decides are aside.
    fn alternatives<M>(
        &mut self,
        members: impl IntoIterator<Item = M>,
        path: &Path,
        at: At,
        mut branch: impl FnMut(&mut Self, M, At) -> Branch<N::Addr>,
    ) -> Branches<N::Addr> {
        let mut trees = Vec::new();
        let mut decided = Verdict::Neg;
        for member in members {
            let way = if decided == Verdict::Neg { at.way } else { Way::Aside };
            match branch(self, member, At { way, ..at }) {
                Ok((tree, verdict)) => {
                    trees.push(tree);
                    decided = if decided == Verdict::Neg { verdict } else { decided };
                }
                Err(error) if way == at.way => return Err(error),
                Err(error) => {
                    trees.push(exception(path, None, &error));
                    break;
                }
            }
        }
        Ok((trees, decided))
    }

    fn tree<T>(
        &mut self,
        tree: &NameTree<T>,
        target: &dyn Fn(&T) -> Target<N::Addr>,
        origin: Origin<'_>,
        at: At,
    ) -> Branch<N::Addr> {
        let at = match at.depth.inside_tree(origin.path) {
            Ok(depth) => At { depth, ..at },
            Err(error) => return Ok((exception(origin.path, origin.dentry, &error), Verdict::Error)),
        };
        self.budget(at.way).step(origin.path)?;
        match tree {
            NameTree::Leaf(leaf) => match target(leaf) {
                Target::Path(next) => self.path(&next, origin.dentry, at),
                Target::Bound(bound) => {
                    let path = TreePath::Path(origin.path.clone());
                    Ok((origin.node(path, DelegateNode::Leaf(bound)), Verdict::Bound))
                }
                Target::Vacant(bound) => {
                    let path = TreePath::Path(origin.path.clone());
                    Ok((origin.node(path, DelegateNode::Vacant(bound)), Verdict::Neg))
                }
            },
            NameTree::Neg => Ok((origin.literal(TreePath::Neg, DelegateNode::Neg), Verdict::Neg)),
            NameTree::Fail => Ok((origin.literal(TreePath::Fail, DelegateNode::Fail), Verdict::Fail)),
            NameTree::Empty => Ok((origin.literal(TreePath::Empty, DelegateNode::Empty), Verdict::Bound)),
            NameTree::Alt(members) => {
                let (trees, verdict) = self.alternatives(members, origin.path, at, |delegator, member, at| {
                    delegator.tree(member, target, origin, at)
                })?;
                Ok((alt(origin.path, origin.dentry, trees), verdict))
            }
            NameTree::Union(members) => self.union(members, target, origin, at),
        }
    }

    fn union<T>(
        &mut self,
        members: &[Weighted<T>],
        target: &dyn Fn(&T) -> Target<N::Addr>,
        origin: Origin<'_>,
        at: At,
    ) -> Branch<N::Addr> {
        let mut trees = Vec::new();
        let mut verdicts = Vec::new();
        for Weighted { weight, tree } in members {
            let (tree, verdict) = self.tree(tree, target, origin, at)?;
            trees.push((*weight, tree));
            verdicts.push(verdict);
        }
        Ok((union(origin.path, origin.dentry, trees), Verdict::of_union(verdicts.into_iter())))
    }
}

fn exception<A>(path: &Path, dentry: Option<&Arc<Dentry>>, error: &DelegateError) -> DelegateTree<A> {
    let node = DelegateNode::Exception(error.to_string());
    DelegateTree { path: TreePath::Path(path.clone()), dentry: dentry.cloned(), node }
}

/// `path` leads to `tree`; they are one where `tree` is about the same path.
fn delegated<A>(path: &Path, dentry: Option<&Arc<Dentry>>, tree: DelegateTree<A>) -> DelegateTree<A> {
    let dentry = dentry.cloned();
    let path = TreePath::Path(path.clone());
    if tree.path == path {
        return DelegateTree { dentry, ..tree };
    }
    DelegateTree { path, dentry, node: DelegateNode::Delegate(Box::new(tree)) }
}

/// `path` leads to the first of `trees` that decides. Alts of the same path among them are one with this one.
fn alt<A>(path: &Path, dentry: Option<&Arc<Dentry>>, trees: Vec<DelegateTree<A>>) -> DelegateTree<A> {
    let tree_path = TreePath::Path(path.clone());
    let mut members = Vec::with_capacity(trees.len());
    let alone = trees.len() == 1;
    for tree in trees {
        match tree {
            DelegateTree { path, node: DelegateNode::Alt(inner), .. } if path == tree_path && !alone => {
                members.extend(inner);
            }
            other => members.push(other),
        }
    }
    match members.pop() {
        Some(only) if members.is_empty() => delegated(path, dentry, only),
        Some(last) => {
            members.push(last);
            DelegateTree { path: tree_path, dentry: dentry.cloned(), node: DelegateNode::Alt(members) }
        }
        None => DelegateTree { path: tree_path, dentry: dentry.cloned(), node: DelegateNode::Neg },
    }
}

/// `path` leads to each of `members`.
fn union<A>(path: &Path, dentry: Option<&Arc<Dentry>>, mut members: Vec<(f64, DelegateTree<A>)>) -> DelegateTree<A> {
    let node = match members.pop() {
        Some((_, only)) if members.is_empty() => return delegated(path, dentry, only),
        Some(last) => {
            members.push(last);
            DelegateNode::Union(members)
        }
        None => DelegateNode::Neg,
    };
    DelegateTree { path: TreePath::Path(path.clone()), dentry: dentry.cloned(), node }
}
