//! Delegation: a path through a dtab and namers to bound names.
//!
//! [`bind`] is what a request follows; [`delegate`](delegate()) is what people see, with every branch. Both ask one
//! `look_up` and count in the same `Budget`, so they can't come to different ends.

mod tree;

use std::fmt;
use std::iter::{Chain, Once, once};
use std::sync::Arc;

use crate::compiled::Table;
use crate::dtab::Dentry;
use crate::name_tree::{NameTree, Weighted};
use crate::path::Path;

pub use tree::{DelegateNode, DelegateTree, TreePath, Winner, Winners, delegate};

/// The most look-ups one behind the other, as in linkerd: the hundredth may still bind.
pub const MAX_DEPTH: usize = 100;

/// The most look-ups of one delegation. Depth alone is no bound: `/a => /a & /a` would be 2^100 look-ups.
pub const MAX_LOOKUPS: usize = 10_000;

/// The most steps of one delegation: members of trees looked at, and paths made of them. A dtab holds large trees and
/// a request long paths, so look-ups alone are no bound either.
pub const MAX_STEPS: usize = 10 * MAX_LOOKUPS;

/// The deepest nesting of trees on one branch, those of earlier look-ups included: what bounds the stack.
pub const MAX_NESTED: usize = 400;

/// Who is asked when no rule speaks for a path, or the only one that does says `~`.
pub trait Namer {
    /// What a bound name resolves to.
    type Addr: Clone;

    /// What is known of `path` now; never waits.
    fn lookup(&self, path: &Path) -> Answer<Self::Addr>;
}

/// What a namer knows of a path.
#[derive(Clone, PartialEq, Debug)]
pub enum Answer<A> {
    /// It knows; `~` where it has no such name.
    Tree(NameTree<Target<A>>),
    /// It has not heard yet.
    Pending,
    /// It cannot tell. No fallback is tried.
    Error(NamerError),
}

/// A leaf of a namer's answer.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Target<A> {
    /// A path that goes back through the dtab.
    Path(Path),
    /// The end of the way.
    Bound(Bound<A>),
    /// A bound name where nobody is, told by somebody to whom that counts as negative.
    Vacant(Bound<A>),
}

/// A bound name.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Bound<A> {
    /// What policies and people call it: `/#/fs/users`.
    pub id: Path,
    /// What of the path was left.
    pub residual: Path,
    /// Where it is.
    pub addr: A,
}

impl<A> fmt::Display for Bound<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.id.fmt(f)
    }
}

/// Why a namer cannot tell.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{0}")]
pub struct NamerError(pub String);

/// Why a delegation came to no end.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum DelegateError {
    /// A branch of more than [`MAX_DEPTH`] look-ups, or nested deeper than [`MAX_NESTED`]; mostly a rule that leads back
    /// to itself.
    #[error("{path} is more than {MAX_DEPTH} steps away; do rules lead back to themselves?")]
    MaxDepth {
        /// Where it was given up.
        path: Path,
    },
    /// More than [`MAX_LOOKUPS`] look-ups, or [`MAX_STEPS`] steps in them. Ends the whole delegation.
    #[error("more than {MAX_LOOKUPS} look-ups, or {MAX_STEPS} steps, up to {path}; do rules lead back to themselves?")]
    MaxLookups {
        /// Where it was given up.
        path: Path,
    },
    /// A namer cannot tell.
    #[error("{path}: {message}")]
    Namer {
        /// What it was asked.
        path: Path,
        /// Its answer.
        message: String,
    },
}

/// What a path is bound to now.
#[derive(Clone, PartialEq, Debug)]
pub enum Resolved<A> {
    /// Simplified, and without alts: they are decided.
    Tree(NameTree<Bound<A>>),
    /// Some namer that the way leads by has not answered yet.
    Pending,
}

/// What a request for `path` follows: the first alternative that is not negative, all members of a union.
///
/// # Errors
/// Where the way does not end, or a namer on it cannot tell; an alt is not decided past such a member, a union goes
/// on without it as long as another is left.
pub fn bind<D: Table, N: Namer>(table: &D, path: &Path, namer: &N) -> Result<Resolved<N::Addr>, DelegateError> {
    let mut binder = Binder { table, namer, budget: Budget::default() };
    match binder.path(path, Depth::default()) {
        Ok(tree) => Ok(Resolved::Tree(tree)),
        Err(Halt::Pending) => Ok(Resolved::Pending),
        Err(Halt::Error(error)) => Err(error),
    }
}

/// Why a branch has no bound tree.
#[derive(Clone, Debug)]
enum Halt {
    Pending,
    Error(DelegateError),
}

impl From<DelegateError> for Halt {
    fn from(error: DelegateError) -> Self {
        Self::Error(error)
    }
}

struct Binder<'a, D, N> {
    table: &'a D,
    namer: &'a N,
    budget: Budget,
}

type Binding<A> = Result<NameTree<Bound<A>>, Halt>;

impl<D: Table, N: Namer> Binder<'_, D, N> {
    fn path(&mut self, path: &Path, depth: Depth) -> Binding<N::Addr> {
        self.budget.look_up(path)?;
        let found = look_up(self.table, self.namer, path)?;
        let depth = depth.behind_look_up(path)?;
        match found {
            Found::Rules(rules) => self.rules(rules, path, depth),
            Found::Named { tree, .. } => self.tree(&tree, &Target::clone, path, depth),
        }
    }

    /// An alt of rules, of which the later is tried first.
    fn rules(&mut self, rules: Rules<'_, D>, path: &Path, depth: Depth) -> Binding<N::Addr> {
        for dentry in rules {
            let bound = self.tree(&dentry.tree, &|leaf| Target::Path(dentry.lead(leaf, path)), path, depth)?;
            if !matches!(bound, NameTree::Neg) {
                return Ok(bound);
            }
        }
        Ok(NameTree::Neg)
    }

    /// A tree found for `path`, whose leaves lead to what `target` makes of them.
    fn tree<T>(
        &mut self,
        tree: &NameTree<T>,
        target: &dyn Fn(&T) -> Target<N::Addr>,
        path: &Path,
        depth: Depth,
    ) -> Binding<N::Addr> {
        let depth = depth.inside_tree(path)?;
        self.budget.step(path)?;
        match tree {
            NameTree::Leaf(leaf) => match target(leaf) {
                Target::Path(next) => self.path(&next, depth),
                Target::Bound(bound) => Ok(NameTree::Leaf(bound)),
                Target::Vacant(_) => Ok(NameTree::Neg),
            },
            NameTree::Neg => Ok(NameTree::Neg),
            NameTree::Fail => Ok(NameTree::Fail),
            NameTree::Empty => Ok(NameTree::Empty),
            NameTree::Alt(members) => {
                for member in members {
                    let bound = self.tree(member, target, path, depth)?;
                    if !matches!(bound, NameTree::Neg) {
                        return Ok(bound);
                    }
                }
                Ok(NameTree::Neg)
            }
            NameTree::Union(members) => self.union(members, target, path, depth),
        }
    }

    fn union<T>(
        &mut self,
        members: &[Weighted<T>],
        target: &dyn Fn(&T) -> Target<N::Addr>,
        path: &Path,
        depth: Depth,
    ) -> Binding<N::Addr> {
        if let [only] = members {
            return self.tree(&only.tree, target, path, depth);
        }
        let mut bound = Vec::with_capacity(members.len());
        let mut halts = Vec::new();
        for Weighted { weight, tree } in members {
            match self.tree(tree, target, path, depth) {
                Ok(tree) => bound.push(Weighted { weight: *weight, tree }),
                Err(Halt::Error(error @ DelegateError::MaxLookups { .. })) => return Err(error.into()),
                Err(halt) => halts.push(halt),
            }
        }
        match halts.into_iter().reduce(worst) {
            Some(halt) if bound.is_empty() => Err(halt),
            Some(_) | None => Ok(NameTree::simple_union(bound)),
        }
    }
}

/// A union waits while one of its members may still come; the first error is told when none can.
fn worst(first: Halt, next: Halt) -> Halt {
    if matches!(next, Halt::Pending) { next } else { first }
}

/// What speaks for a path.
enum Found<'a, D: Table + 'a, A> {
    Rules(Rules<'a, D>),
    /// The namer's answer; `rule` is the one that said `~`, where there is one.
    Named {
        tree: NameTree<Target<A>>,
        rule: Option<&'a Arc<Dentry>>,
    },
}

/// At least one rule, later ones first.
type Rules<'a, D> = Chain<Once<&'a Arc<Dentry>>, <D as Table>::Matches<'a>>;

/// The one look-up, for requests and for people.
///
/// Rules shadow the namer: it is asked when none matches. A lone rule whose tree is `~` counts as none; two such don't,
/// since their alt is not the plain negative (linkerd's way, which dtabs rely on).
fn look_up<'a, D: Table, N: Namer>(table: &'a D, namer: &N, path: &'a Path) -> Result<Found<'a, D, N::Addr>, Halt> {
    let mut matches = table.matches(path);
    let rule = matches.next();
    if let Some(first) = rule
        && (first.tree != NameTree::Neg || matches.clone().next().is_some())
    {
        return Ok(Found::Rules(once(first).chain(matches)));
    }
    match namer.lookup(path) {
        Answer::Tree(tree) => Ok(Found::Named { tree, rule }),
        Answer::Pending => Err(Halt::Pending),
        Answer::Error(NamerError(message)) => Err(Halt::Error(DelegateError::Namer { path: path.clone(), message })),
    }
}

/// How far down a branch is.
#[derive(Clone, Copy, Default, Debug)]
struct Depth {
    look_ups: usize,
    nested: usize,
}

impl Depth {
    fn behind_look_up(self, path: &Path) -> Result<Self, DelegateError> {
        Self { look_ups: self.look_ups + 1, ..self }.checked(path)
    }

    fn inside_tree(self, path: &Path) -> Result<Self, DelegateError> {
        Self { nested: self.nested + 1, ..self }.checked(path)
    }

    fn checked(self, path: &Path) -> Result<Self, DelegateError> {
        if self.look_ups > MAX_DEPTH || self.nested > MAX_NESTED {
            return Err(DelegateError::MaxDepth { path: path.clone() });
        }
        Ok(self)
    }
}

/// What one delegation has spent, over all its branches.
#[derive(Default, Debug)]
struct Budget {
    look_ups: usize,
    steps: usize,
}

impl Budget {
    fn look_up(&mut self, path: &Path) -> Result<(), DelegateError> {
        self.look_ups += 1;
        let bytes: usize = path.segments().iter().map(|segment| BYTES_PER_SEGMENT + segment.as_bytes().len()).sum();
        self.steps += bytes / BYTES_PER_STEP;
        self.checked(path)
    }

    fn step(&mut self, path: &Path) -> Result<(), DelegateError> {
        self.steps += 1;
        self.checked(path)
    }

    fn checked(&self, path: &Path) -> Result<(), DelegateError> {
        if self.look_ups > MAX_LOOKUPS || self.steps > MAX_STEPS {
            return Err(DelegateError::MaxLookups { path: path.clone() });
        }
        Ok(())
    }
}

/// What of a path, in bytes, costs as much as looking at one member of a tree: paths are copied and hashed.
const BYTES_PER_STEP: usize = 128;

/// What a segment costs beside its own bytes.
const BYTES_PER_SEGMENT: usize = 16;

#[cfg(test)]
mod tests;
