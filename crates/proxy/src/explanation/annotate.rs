//! What an explanation adds to a delegation tree: which branches decide, and why each of the others does not.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use serde_json::{Value, json};
use waypost_naming::delegate::Winners;
use waypost_naming::{
    Bound, DelegateError, DelegateNode, DelegateTree, Dentry, Dtab, MAX_LOOKUPS, NameTree, Path, Place, TreePath,
};
use waypost_routing::{AddressSet, Addresses};

use super::cycle::{Cycle, Step, cycle};
use super::rules::RuleState;
use super::share::rounded;
use super::tree::children_mut;
use super::unknown::Namers;
use crate::config::Fallback;

pub(super) type Tree = DelegateTree<Arc<AddressSet>>;

/// A tree that says of each branch what it is for.
#[derive(Debug)]
pub(crate) struct Annotated {
    /// linkerd's shape, with `share` on the leaves that decide, `lost` and `why` on branches that don't, `cycle` where
    /// one leads back, and `from` in dentries.
    pub(crate) tree: Value,
    /// What became of the rules that spoke for a path on the way; the others are not in it.
    pub(super) rules: HashMap<*const Dentry, RuleState>,
    /// What one might overlook in it.
    pub(super) notes: Vec<String>,
}

/// Whether anybody is there, and what a router makes of that.
#[derive(Clone, Copy)]
pub(crate) struct There<'a> {
    pub(crate) fallback: Fallback,
    /// Whether all endpoints of a name that has some are out.
    pub(crate) ejected: &'a dyn Fn(&Bound<Arc<AddressSet>>) -> bool,
}

/// Explains `tree`, which `dtab` and `namers` made; `shown` is the same in linkerd's shape.
pub(crate) fn annotated(
    tree: &Tree,
    mut shown: Value,
    dtab: &Dtab,
    namers: &dyn Namers,
    there: There<'_>,
) -> Annotated {
    let winners = tree.winner();
    let mut deciding = HashSet::new();
    mark_deciding(tree, &winners, &mut deciding);
    let mut annotator = Annotator {
        dtab,
        namers,
        there,
        winners: &winners,
        deciding,
        above: Vec::new(),
        rules: HashMap::new(),
        notes: Vec::new(),
    };
    annotator.visit(tree, Fate { way: Way::Followed, lost: None, why: None }, &mut shown);
    Annotated { tree: shown, rules: annotator.rules, notes: few(annotator.notes) }
}

/// As many notes as one reads; the tree says the same of each branch.
fn few(notes: Vec<String>) -> Vec<String> {
    let mut seen = HashSet::new();
    let mut notes: Vec<String> = notes.into_iter().filter(|note| seen.insert(note.clone())).collect();
    if let Some(more @ 1..) = notes.len().checked_sub(MOST_NOTES) {
        notes.truncate(MOST_NOTES);
        notes.push(format!("and {more} more that are like these; the tree shows them"));
    }
    notes
}

/// Whether `tree` is on the way that requests take, or contains it.
fn mark_deciding(tree: &Tree, winners: &Winners<'_, Arc<AddressSet>>, deciding: &mut HashSet<*const Tree>) -> bool {
    let mut decides = winners.share(tree).is_some_and(|share| share > 0.0);
    for (_, child) in children(tree) {
        decides |= mark_deciding(child, winners, deciding);
    }
    if decides {
        deciding.insert(std::ptr::from_ref(tree));
    }
    decides
}

struct Annotator<'a> {
    dtab: &'a Dtab,
    namers: &'a dyn Namers,
    there: There<'a>,
    winners: &'a Winners<'a, Arc<AddressSet>>,
    /// By address: equal branches may stand at several places.
    deciding: HashSet<*const Tree>,
    /// The nodes above the one that is visited.
    above: Vec<&'a Tree>,
    rules: HashMap<*const Dentry, RuleState>,
    notes: Vec<String>,
}

/// What becomes of a branch.
#[derive(Clone, Debug)]
struct Fate {
    way: Way,
    /// Where a branch that is lost begins.
    lost: Option<Lost>,
    why: Option<String>,
}

/// How binding comes by a branch.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Way {
    Followed,
    Lost(Lost),
}

/// Why a branch gets no requests.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Lost {
    /// An alternative in front of it was an answer.
    NotReached,
    /// It leads nowhere, so the next alternative was tried.
    Negative,
    /// It is a member of a union, and no name.
    LeftOut,
    /// It is a member of a union, and its weight is 0.
    NoWeight,
}

impl Lost {
    const fn word(self) -> &'static str {
        match self {
            Self::NotReached => "not_reached",
            Self::Negative => "negative",
            Self::LeftOut => "left_out",
            Self::NoWeight => "no_weight",
        }
    }
}

impl Fate {
    const fn within(way: Way) -> Self {
        Self { way, lost: None, why: None }
    }

    const fn lost(lost: Lost, why: Option<String>) -> Self {
        Self { way: Way::Lost(lost), lost: Some(lost), why }
    }
}

impl<'a> Annotator<'a> {
    fn visit(&mut self, tree: &'a Tree, fate: Fate, shown: &mut Value) {
        self.note_rule(tree, fate.way);
        let cycle = self.cycle_at(tree);
        if let Some(cycle) = &cycle {
            self.cut(tree, cycle, fate.way, shown);
        }
        let Some(keys) = shown.as_object_mut() else { return };
        if let Some(dentry) = keys.get_mut("dentry").and_then(Value::as_object_mut)
            && let Some(rule) = &tree.dentry
        {
            dentry.insert("from".to_owned(), rule.place.to_string().into());
        }
        if let Some(share) = self.winners.share(tree).filter(|_| cycle.is_none()) {
            keys.insert("share".to_owned(), rounded(share).into());
        }
        if let Some(lost) = fate.lost {
            keys.insert("lost".to_owned(), lost.word().into());
        }
        if let Some(why) = fate.why.or_else(|| self.negative(tree)).or_else(|| self.failed(tree)) {
            keys.insert("why".to_owned(), why.into());
        }
        if cycle.is_some() {
            return;
        }
        let fates = self.fates_below(tree, fate.way);
        self.above.push(tree);
        for (((_, child), fate), shown) in children(tree).zip(fates).zip(children_mut(shown)) {
            self.visit(child, fate, shown);
        }
        self.above.pop();
        if let Some(Value::Array(alternatives)) = shown.get_mut("alt") {
            drop_repeated(alternatives);
        }
    }

    fn fates_below(&mut self, tree: &'a Tree, way: Way) -> Vec<Fate> {
        match (&tree.node, way) {
            (DelegateNode::Alt(members), Way::Followed) => self.alternatives(members),
            (DelegateNode::Union(members), Way::Followed) => {
                let any = members.iter().any(|(weight, member)| *weight > 0.0 && self.decides(member));
                members.iter().map(|(weight, member)| self.member(*weight, member, any)).collect()
            }
            _ => children(tree).map(|_| Fate::within(way)).collect(),
        }
    }

    fn alternatives(&mut self, members: &'a [Tree]) -> Vec<Fate> {
        let decider = members.iter().position(|member| self.decides(member));
        let Some((at, decider)) = decider.and_then(|at| Some((at, members.get(at)?))) else {
            return members.iter().map(|_| Fate::lost(Lost::Negative, None)).collect();
        };
        let answer = answer(decider, self.there);
        let behind = members.get(at + 1..).unwrap_or_default();
        if let Answered::WithoutEndpoints(_) = &answer {
            self.notes
                .extend(about_fallback(behind, decider, &answer).filter(|_| self.there.fallback == Fallback::Name));
        }
        let before = members.iter().take(at).map(|_| Fate::lost(Lost::Negative, None));
        let after = behind.iter().map(|member| {
            let why = match (&member.dentry, &decider.dentry) {
                (Some(own), Some(first)) if !Arc::ptr_eq(own, first) => {
                    format!("the later rule {} goes first, and {answer}", located(&first.place))
                }
                _ => answer.to_string(),
            };
            Fate::lost(Lost::NotReached, Some(why))
        });
        before.chain([Fate::within(Way::Followed)]).chain(after).collect()
    }

    /// What becomes of a union's member; `any`: one of them has weight and decides.
    fn member(&mut self, weight: f64, member: &Tree, any: bool) -> Fate {
        if self.decides(member) {
            return Fate::within(Way::Followed);
        }
        let winners = member.winner();
        let reason = match winners.leaves().first().map(|winner| &winner.node.node) {
            None => self.negative(member).unwrap_or_else(|| "it leads nowhere".to_owned()),
            Some(DelegateNode::Fail) => "a `!` counts for nothing in a union".to_owned(),
            Some(DelegateNode::Pending) => "discovery has not answered for it yet".to_owned(),
            Some(DelegateNode::Exception(message)) => match self.endless(&member.path, message) {
                Some(cycle) => cycle.to_string(),
                None => format!("error: {message}"),
            },
            Some(_) if any && weight == 0.0 => return Fate::lost(Lost::NoWeight, None),
            Some(_) => return Fate::within(Way::Followed),
        };
        if any && weight > 0.0 {
            let path = &member.path;
            self.notes.push(format!("{path} is left out of its union, and its weight goes to the others: {reason}"));
        }
        Fate::lost(Lost::LeftOut, Some(reason))
    }

    fn decides(&self, tree: &Tree) -> bool {
        self.deciding.contains(&std::ptr::from_ref(tree))
    }

    /// Why a leaf that leads nowhere does.
    fn negative(&self, tree: &Tree) -> Option<String> {
        match (&tree.node, &tree.path) {
            (DelegateNode::Neg, TreePath::Neg) => Some("the rule says `~`".to_owned()),
            (DelegateNode::Vacant(bound), _) => Some(vacant(bound, self.there)),
            (DelegateNode::Neg, TreePath::Path(path)) => {
                let unknown = self.namers.unknown(path);
                Some(match self.silent_rule(path) {
                    Some(rule) => format!("the rule {} says `~`, and {unknown}", located(&rule.place)),
                    None => unknown,
                })
            }
            _ => None,
        }
    }

    /// Whose error it is, where it is a namer's.
    fn failed(&self, tree: &Tree) -> Option<String> {
        match (&tree.node, &tree.path) {
            (DelegateNode::Exception(_), TreePath::Path(path)) => self.namers.asked(path),
            _ => None,
        }
    }

    /// The one rule for `path`, if all that it says is `~`: namers are asked as if it were not there.
    fn silent_rule(&self, path: &Path) -> Option<&'a Arc<Dentry>> {
        let rules = self.dtab.dentries().iter();
        let mut matching = rules.filter(|dentry| dentry.prefix.matches(path));
        matching.next().filter(|dentry| dentry.tree == NameTree::Neg)
    }

    fn note_rule(&mut self, tree: &Tree, way: Way) {
        let state = match way {
            _ if self.decides(tree) => RuleState::Decides,
            Way::Followed | Way::Lost(Lost::Negative) => RuleState::Negative,
            Way::Lost(Lost::LeftOut | Lost::NoWeight) => RuleState::LeftOut,
            Way::Lost(Lost::NotReached) => RuleState::NotReached,
        };
        let silent = match (&tree.node, &tree.path) {
            (DelegateNode::Neg, TreePath::Path(path)) => self.silent_rule(path).cloned(),
            _ => None,
        };
        for rule in tree.dentry.iter().chain(&silent) {
            self.note_state(rule, state);
        }
    }

    fn note_state(&mut self, rule: &Arc<Dentry>, state: RuleState) {
        let known = self.rules.entry(Arc::as_ptr(rule)).or_insert(state);
        *known = state.max(*known);
    }

    /// The way round, if this is where it closes.
    fn cycle_at(&self, tree: &Tree) -> Option<Cycle> {
        let TreePath::Path(path) = &tree.path else { return None };
        if let DelegateNode::Exception(message) = &tree.node {
            return self.endless(&tree.path, message);
        }
        let again = |above: &&&Tree| match (&above.dentry, &tree.dentry) {
            (Some(a), Some(b)) => Arc::ptr_eq(a, b),
            _ => false,
        };
        self.comes_back(tree).or_else(|| {
            let repeats = self.above.iter().filter(again).count() >= FEW_ROUNDS && depth(tree) > DEEP;
            repeats.then(|| cycle(self.dtab, self.namers, path)).flatten()
        })
    }

    /// The way from the look-up of the same path to this one.
    fn comes_back(&self, tree: &Tree) -> Option<Cycle> {
        let step = |tree: &Tree| match &tree.path {
            TreePath::Path(path) => Some(Step { path: path.clone(), dentry: tree.dentry.clone() }),
            TreePath::Neg | TreePath::Fail | TreePath::Empty => None,
        };
        let mut steps = vec![step(tree)?];
        for above in self.above.iter().rev() {
            let before = step(above)?;
            match steps.as_mut_slice() {
                // Nodes of one look-up have one path, and stand one below the other: the uppermost was led to.
                [.., last] if last.path == before.path => *last = before,
                _ => steps.push(before),
            }
            if let [first, .., last] = steps.as_slice()
                && first.path == last.path
            {
                steps.reverse();
                return Some(Cycle { steps, grows: false });
            }
        }
        None
    }

    /// The way round behind an exception that says that delegation does not end.
    fn endless(&self, path: &TreePath, message: &str) -> Option<Cycle> {
        let TreePath::Path(path) = path else { return None };
        let too_deep = DelegateError::MaxDepth { path: path.clone() }.to_string();
        let too_many = format!("more than {MAX_LOOKUPS} look-ups");
        (message == too_deep || message.starts_with(&too_many)).then(|| cycle(self.dtab, self.namers, path)).flatten()
    }

    /// Puts the way round in place of the same branches over and over.
    fn cut(&mut self, tree: &Tree, cycle: &Cycle, way: Way, shown: &mut Value) {
        let state = if self.decides(tree) { Way::Followed } else { way };
        for step in &cycle.steps {
            if let Some(rule) = &step.dentry {
                let state = match state {
                    Way::Followed => RuleState::Decides,
                    Way::Lost(_) => RuleState::NotReached,
                };
                self.note_state(rule, state);
            }
        }
        let Some(keys) = shown.as_object_mut() else { return };
        keys.retain(|key, _| matches!(key.as_str(), "path" | "dentry"));
        let mut cut = json!({ "type": "exception" });
        if let Some(cut) = cut.as_object_mut() {
            cut.append(keys);
            cut.insert("message".to_owned(), cycle.to_string().into());
            let paths = cycle.steps.iter().map(|step| step.path.to_string());
            cut.insert("cycle".to_owned(), paths.collect());
            let share: f64 = shares_below(tree, self.winners);
            if share > 0.0 {
                cut.insert("share".to_owned(), rounded(share).into());
            }
        }
        *shown = cut;
    }
}

fn located(place: &Place) -> String {
    match place {
        Place::File { .. } => format!("at {place}"),
        Place::Named(_) => format!("in {place}"),
        Place::Default => "that is there by default".to_owned(),
    }
}

/// Fallbacks that are not tried although nobody is there.
fn about_fallback(behind: &[Tree], decider: &Tree, answer: &Answered) -> Option<String> {
    let others = behind.iter().filter(|tree| tree.path != decider.path);
    let mut untried: Vec<String> = others.map(|tree| tree.path.to_string()).collect();
    untried.dedup();
    untried.truncate(MOST_NAMES);
    let (is, names) = (if untried.len() > 1 { "are" } else { "is" }, untried.join(" and "));
    let advice =
        "to fall back, take away the name itself and not only its endpoints, or set `fallback = \"endpoints\"`";
    (!untried.is_empty()).then(|| format!("{names} {is} not tried: {answer}; {advice}"))
}

/// A rule that leads a path to itself has the other rules for that path behind it once for each time round. One of each
/// is enough; the last one is what is found the first time.
fn drop_repeated(alternatives: &mut Vec<Value>) {
    let mut seen = HashSet::new();
    let mut kept = Vec::with_capacity(alternatives.len());
    for tree in alternatives.drain(..).rev() {
        let is_reached = tree.get("lost").and_then(Value::as_str) != Some(Lost::NotReached.word());
        let same = [tree.get("path"), tree.get("dentry")].map(|part| part.map(Value::to_string));
        if is_reached || seen.insert(same) {
            kept.push(tree);
        }
    }
    alternatives.extend(kept.into_iter().rev());
}

fn shares_below(tree: &Tree, winners: &Winners<'_, Arc<AddressSet>>) -> f64 {
    winners.share(tree).unwrap_or_default() + children(tree).map(|(_, child)| shares_below(child, winners)).sum::<f64>()
}

fn depth(tree: &Tree) -> usize {
    children(tree).map(|(_, child)| 1 + depth(child)).max().unwrap_or_default()
}

/// What the branch that decides is, for those behind it.
enum Answered {
    Names(String),
    /// Bound, and yet there is nobody.
    WithoutEndpoints(String),
    /// The same, where nobody is anywhere.
    Nobody(String),
    Pending(String),
    Fail,
    Empty,
    Error,
}

fn answer(decider: &Tree, there: There<'_>) -> Answered {
    let winners = decider.winner();
    let (mut names, mut without) = (Vec::new(), None);
    for winner in winners.leaves() {
        match &winner.node.node {
            DelegateNode::Leaf(bound) => match nobody(bound, there) {
                Some(why) => without = without.or(Some(why)),
                None => names.push(bound.id.to_string()),
            },
            DelegateNode::Fail => return Answered::Fail,
            DelegateNode::Pending => return Answered::Pending(winner.node.path.to_string()),
            DelegateNode::Exception(_) => return Answered::Error,
            DelegateNode::Empty
            | DelegateNode::Neg
            | DelegateNode::Vacant(_)
            | DelegateNode::Delegate(_)
            | DelegateNode::Alt(_)
            | DelegateNode::Union(_)
            | DelegateNode::Transformation { .. } => {}
        }
    }
    names.dedup();
    match (names.as_slice(), without) {
        ([], Some(why)) => match there.fallback {
            Fallback::Name => Answered::WithoutEndpoints(why),
            Fallback::Endpoints => Answered::Nobody(why),
        },
        ([], None) => Answered::Empty,
        (all, _) if all.len() <= MOST_NAMES => Answered::Names(all.join(" and ")),
        ([first, rest @ ..], _) => Answered::Names(format!("{first} and {} more", rest.len())),
    }
}

/// Why a name that is bound is passed over.
fn vacant(bound: &Bound<Arc<AddressSet>>, there: There<'_>) -> String {
    nobody(bound, there)
        .unwrap_or_else(|| format!("{} has endpoints, but transformers leave none that can be asked", bound.id))
}

/// Why requests to a name that is bound find nobody.
fn nobody(bound: &Bound<Arc<AddressSet>>, there: There<'_>) -> Option<String> {
    let id = &bound.id;
    match &*bound.addr.snapshot() {
        Addresses::Bound(endpoints) if endpoints.is_empty() => Some(format!("{id} exists, with no endpoints")),
        Addresses::Neg => Some(format!("{id} exists, with a host that discovery does not know")),
        Addresses::Failed(why) => Some(format!("{id} exists, but discovery failed ({why})")),
        Addresses::Bound(_) if (there.ejected)(bound) => Some(format!("all endpoints of {id} are ejected")),
        Addresses::Bound(_) | Addresses::Pending => None,
    }
}

impl std::fmt::Display for Answered {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Names(names) => write!(f, "{names} answered"),
            Self::WithoutEndpoints(why) => write!(f, "{why}; a fallback is only for names that do not exist"),
            Self::Nobody(why) => write!(f, "{why}; no alternative has anybody either"),
            Self::Pending(path) => write!(f, "a fallback waits until discovery has answered for {path}"),
            Self::Fail => f.write_str("`!` ends the search"),
            Self::Empty => f.write_str("`$` is an answer"),
            Self::Error => f.write_str("an error ends the search"),
        }
    }
}

/// The nodes below a node, with their weights where it is a union.
fn children(tree: &Tree) -> impl Iterator<Item = (Option<f64>, &Tree)> {
    let (single, alternatives, members): (Option<&Tree>, &[Tree], &[(f64, Tree)]) = match &tree.node {
        DelegateNode::Delegate(child) | DelegateNode::Transformation { tree: child, .. } => (Some(child), &[], &[]),
        DelegateNode::Alt(children) => (None, children, &[]),
        DelegateNode::Union(members) => (None, &[], members),
        DelegateNode::Neg
        | DelegateNode::Fail
        | DelegateNode::Empty
        | DelegateNode::Pending
        | DelegateNode::Exception(_)
        | DelegateNode::Vacant(_)
        | DelegateNode::Leaf(_) => (None, &[], &[]),
    };
    let plain = single.into_iter().chain(alternatives).map(|child| (None, child));
    plain.chain(members.iter().map(|(weight, child)| (Some(*weight), child)))
}

/// A rule may well lead on by itself, a segment at a time, and come to an end.
const FEW_ROUNDS: usize = 2;
const DEEP: usize = 20;
const MOST_NOTES: usize = 10;
/// Names that are told one by one.
const MOST_NAMES: usize = 3;
