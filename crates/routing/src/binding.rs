//! Binding: a logical path, through dtab and namers, to a [`Decision`] and what that depends on.

use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::Arc;

use waypost_naming::{
    Answer, Bound, DelegateError, DelegateTree, Dtab, Layered, NameTree, Namer, Path, Resolved, Table, Weighted,
};

use crate::address::AddressSet;
use crate::decision::{Choice, Decision, Leaf, Outcome};
use crate::dependencies::Dependencies;
use crate::dtab_cell::DtabCell;
use crate::namer::NamerSet;
use crate::occupancy::{Judge, Occupancy, Occupants};
use crate::transform::{Transformer, transform, transform_delegation};

/// A decision and how long it holds.
#[derive(Clone, Debug)]
pub struct Binding {
    /// Where the path leads.
    pub decision: Decision,
    /// As long as none of it has changed, binding again would decide the same.
    pub dependencies: Dependencies,
    /// The same, of whether anybody is there.
    pub occupancy: Occupancy,
}

/// How a router binds, beside its rules. The default is linkerd's.
#[derive(Clone, Copy, Debug, Default)]
pub struct Manner<'a> {
    /// What becomes of all that is bound.
    pub transformers: &'a [Transformer],
    /// A name where nobody can be asked counts as negative, unless nothing else is left. `None`: it is an answer.
    pub occupants: Option<Occupants<'a>>,
}

/// Binds `path` by the rules of `dtab` and, later and so stronger, `overrides`, in the default manner. Never waits.
#[must_use]
pub fn bind(dtab: &DtabCell, overrides: &Dtab, path: &Path, namers: &NamerSet) -> Binding {
    Manner::default().bind(dtab, overrides, path, namers)
}

/// Every branch that `path` has by the rules of `dtab`, for people; [`bind`] follows the winning ones.
#[must_use]
pub fn delegate(dtab: &Dtab, path: &Path, namers: &NamerSet) -> DelegateTree<Arc<AddressSet>> {
    Manner::default().delegate(dtab, path, namers)
}

impl Manner<'_> {
    /// [`bind`](bind()) in this manner.
    #[must_use]
    pub fn bind(self, dtab: &DtabCell, overrides: &Dtab, path: &Path, namers: &NamerSet) -> Binding {
        let mut dependencies = Dependencies::default();
        dependencies.note(dtab.version_handle());
        let base = dtab.compiled();
        let recorder = Recorder { namers, dependencies: RefCell::new(dependencies) };
        let (decision, occupancy) = decision(&Layered::new(&base, overrides), path, &recorder, self);
        Binding { decision, dependencies: recorder.dependencies.into_inner().settled(), occupancy }
    }

    /// [`delegate`](delegate()) in this manner.
    #[must_use]
    pub fn delegate(self, dtab: &Dtab, path: &Path, namers: &NamerSet) -> DelegateTree<Arc<AddressSet>> {
        let tree = match self.occupants {
            None => waypost_naming::delegate(dtab, path, namers),
            Some(occupants) => {
                let judge = Judge::new(namers, occupants, self.transformers);
                let tree = waypost_naming::delegate(dtab, path, &judge);
                let nobody = tree.winner().leaves().is_empty() && judge.found_vacant();
                if nobody { waypost_naming::delegate(dtab, path, namers) } else { tree }
            }
        };
        transform_delegation(tree, self.transformers, &|path| waypost_naming::delegate(&Dtab::default(), path, namers))
    }
}

/// Asks the namers and notes the state behind each answer.
struct Recorder<'a> {
    namers: &'a NamerSet,
    dependencies: RefCell<Dependencies>,
}

impl Namer for Recorder<'_> {
    type Addr = Arc<AddressSet>;

    fn lookup(&self, path: &Path) -> Answer<Self::Addr> {
        self.namers.lookup_noting(path, &mut self.dependencies.borrow_mut())
    }
}

/// What `path` is bound to by the rules of `table`, which the slow and plain [`Dtab`] is too: both decide the same.
fn decision(
    table: &impl Table,
    path: &Path,
    namer: &impl Namer<Addr = Arc<AddressSet>>,
    manner: Manner<'_>,
) -> (Decision, Occupancy) {
    let (bound, occupancy) = match manner.occupants {
        None => (waypost_naming::bind(table, path, namer), Occupancy::default()),
        Some(occupants) => occupied(table, path, namer, Judge::new(namer, occupants, manner.transformers)),
    };
    let bound = bound.and_then(|resolved| match resolved {
        Resolved::Tree(tree) if !manner.transformers.is_empty() => {
            transform(tree, manner.transformers, &|path| waypost_naming::bind(&Dtab::default(), path, namer))
        }
        Resolved::Tree(_) | Resolved::Pending => Ok(resolved),
    });
    let (outcome, choice, leaves) = match bound {
        Ok(Resolved::Tree(tree)) => decide(tree),
        Ok(Resolved::Pending) => (Outcome::Pending, Choice::Nothing, Vec::new()),
        Err(error) => (Outcome::Error(error), Choice::Nothing, Vec::new()),
    };
    (Decision { logical: path.clone(), outcome, choice, leaves }, occupancy)
}

type Resolution = Result<Resolved<Arc<AddressSet>>, DelegateError>;

/// Binds past names where nobody is; where nothing is left then, as if they were not judged. A `!` on the way ends the
/// search: it was written to do that.
fn occupied<N: Namer<Addr = Arc<AddressSet>>>(
    table: &impl Table,
    path: &Path,
    namer: &N,
    judge: Judge<'_, N>,
) -> (Resolution, Occupancy) {
    let bound = waypost_naming::bind(table, path, &judge);
    let nobody = matches!(bound, Ok(Resolved::Tree(NameTree::Neg))) && judge.found_vacant();
    let bound = if nobody { waypost_naming::bind(table, path, namer) } else { bound };
    (bound, judge.into_occupancy())
}

fn decide(tree: NameTree<Bound<Arc<AddressSet>>>) -> (Outcome, Choice, Vec<Leaf>) {
    let outcome = match &tree {
        NameTree::Neg => Outcome::Negative,
        NameTree::Fail => Outcome::Failed,
        NameTree::Empty => Outcome::Empty,
        NameTree::Leaf(_) | NameTree::Union(_) | NameTree::Alt(_) => Outcome::Bound,
    };
    let mut leaves = Leaves::default();
    let choice = leaves.choice(tree, 1.0);
    let leaves = leaves.list;
    let outcome = match outcome {
        Outcome::Bound if leaves.is_empty() => Outcome::Empty,
        // A union waits for all members that it would send requests to: going ahead with some of them would give
        // these, perhaps a canary, the others' traffic. It is short: discovery answers in seconds, if only with
        // "failed".
        Outcome::Bound if leaves.iter().any(is_awaited) => Outcome::Pending,
        decided @ (Outcome::Bound
        | Outcome::Negative
        | Outcome::Failed
        | Outcome::Empty
        | Outcome::Pending
        | Outcome::Error(_)) => decided,
    };
    (outcome, choice, leaves)
}

fn is_awaited(leaf: &Leaf) -> bool {
    leaf.share > 0.0 && leaf.addresses.snapshot().is_pending()
}

/// The leaves of a tree, each (bound path, residual) once.
#[derive(Default)]
struct Leaves {
    list: Vec<Leaf>,
    places: HashMap<(Path, Path), usize>,
}

impl Leaves {
    fn choice(&mut self, tree: NameTree<Bound<Arc<AddressSet>>>, share: f64) -> Choice {
        match tree {
            NameTree::Leaf(bound) => Choice::Leaf(self.add(bound, share)),
            NameTree::Union(members) => {
                let weights = normalised(&members);
                let members = members.into_iter().zip(weights);
                let member = |(member, weight): (Weighted<_>, f64)| (weight, self.choice(member.tree, share * weight));
                Choice::Union(members.map(member).collect())
            }
            // Binding has decided every alt and dropped what is negative or fails; only `$` is left.
            NameTree::Empty | NameTree::Neg | NameTree::Fail | NameTree::Alt(_) => Choice::Nothing,
        }
    }

    fn add(&mut self, bound: Bound<Arc<AddressSet>>, share: f64) -> usize {
        let place = *self.places.entry((bound.id.clone(), bound.residual.clone())).or_insert(self.list.len());
        match self.list.get_mut(place) {
            Some(leaf) => leaf.share += share,
            None => self.list.push(Leaf { bound: bound.id, residual: bound.residual, share, addresses: bound.addr }),
        }
        place
    }
}

/// Weights by their sum; all equal if the sum is 0.
fn normalised<T>(members: &[Weighted<T>]) -> Vec<f64> {
    // By the greatest first: a sum of great weights would not be finite.
    let greatest = members.iter().map(|member| member.weight).fold(0.0, f64::max);
    let scaled = |member: &Weighted<T>| if greatest > 0.0 { member.weight / greatest } else { 1.0 };
    let sum: f64 = members.iter().map(scaled).sum();
    members.iter().map(|member| scaled(member) / sum).collect()
}

#[cfg(test)]
mod tests;
