//! What is doubted is compared with what delegation does: a rule that is said never to be tried can be left out, a leaf
//! that is said to lead nowhere leads nowhere, whatever the namers know.

use std::cell::Cell;

use proptest::prelude::*;
use proptest::sample::select;
use waypost_naming::{
    Answer, Bound, Builtin, DelegateError, Dentry, Dtab, MAX_DEPTH, NameTree, Namer, Path, Pattern, Prefix, Resolved,
    Rewrite, Segment, Target, Template, Weighted, bind, builtin, delegate,
};
use waypost_routing::NamerKind;

use super::Lint;
use super::loops;
use super::reach::Reach;
use super::rules::{Doubt, Facts, MOST_COMPARISONS, Open, look_at};
use super::served::Served;
use super::shape::Shape;
use super::shape::tests::{path, shape};
use super::table::{Table, Work};
use crate::config::Fallback;
use crate::config::dtab::Rules;

const PREFIXES: [&str; 12] =
    ["/svc", "/svc", "/svc/users", "/svc/web", "/svc/*", "/svc/Users", "/srv", "/srv/*/x", "/host", "/#/fs", "/#", "/"];
const LEAVES: [&str; 20] = [
    "/#/fs",
    "/#/fs/users",
    "/#/fs/web/x",
    "/#/lab",
    "/#/lab/users",
    "/#/lab/nope",
    "/#/nope",
    "/#/rw",
    "/srv",
    "/srv/x",
    "/svc",
    "/svc/users",
    "/host",
    "/nope",
    "/$/inet/127.1/80",
    "/$/io.buoyant.rinet/80",
    "/$/io.buoyant.http.anyHostPfx/srv",
    "/$/nil",
    "/$/fail",
    "/$/inet",
];
const NAMES: [&str; 4] = ["users", "web", "x", "other"];

/// What the namers know: of `fs` the names whose bit is set.
struct World {
    files: u8,
    rewrite: Rewrite,
}

impl World {
    /// Nothing, one of the names that requests have, both, every name.
    fn all() -> impl Iterator<Item = Self> {
        [0b0000, 0b0001, 0b1000, 0b1001, u8::MAX].into_iter().map(Self::with)
    }

    /// `u8::MAX`: every name.
    fn with(files: u8) -> Self {
        let pattern = Pattern::parse("/{name}").unwrap();
        let name = Template::parse("/srv/{name}", &pattern).unwrap();
        Self { files, rewrite: Rewrite { pattern, name } }
    }

    fn served(&self) -> Served {
        let mut served = Served::builtin();
        let services = ["users", "web"].map(|name| (Segment::new(name).unwrap(), Vec::new())).to_vec();
        served.add(&path("/lab"), Some(&NamerKind::Static { services }), &[]);
        served.add(&path("/fs"), None, &[]);
        served.add(&path("/rw"), Some(&NamerKind::Rewrite(self.rewrite.clone())), &[]);
        served
    }

    fn has_file(&self, name: &str) -> bool {
        let known = NAMES.iter().position(|known| *known == name);
        self.files == u8::MAX || known.is_some_and(|bit| self.files & (1 << bit) != 0)
    }
}

impl Namer for World {
    type Addr = ();

    fn lookup(&self, path: &Path) -> Answer<()> {
        let shown: Vec<String> = path.segments().iter().map(ToString::to_string).collect();
        let shown: Vec<&str> = shown.iter().map(String::as_str).collect();
        let bound = |id: Path, residual| Answer::Tree(NameTree::Leaf(Target::Bound(Bound { id, residual, addr: () })));
        match shown.as_slice() {
            ["#", "fs", name, ..] if self.has_file(name) => bound(path.take(3), path.drop(3)),
            ["#", "lab", "users" | "web", ..] => bound(path.take(3), path.drop(3)),
            ["#", "rw", ..] => Answer::Tree(self.rewrite.lookup(&path.drop(2)).unwrap().map(Target::Path)),
            _ => match builtin(path) {
                Builtin::Tree(tree) => Answer::Tree(tree.map(Target::Path)),
                Builtin::Inet { id, residual, port: Ok(_), .. } => bound(id, residual),
                Builtin::NotBuiltin => Answer::Tree(NameTree::Neg),
                Builtin::Inet { .. } => Answer::Error(waypost_naming::NamerError("no port".to_owned())),
                Builtin::Unknown(error) => Answer::Error(error),
            },
        }
    }
}

/// What a path comes to; errors by their kind, since they name where they were met.
#[derive(PartialEq, Debug)]
enum Outcome {
    Tree(NameTree<Bound<()>>),
    TooDeep,
    TooMuch,
    Error,
}

fn outcome(dtab: &Dtab, path: &Path, world: &World) -> Outcome {
    match bind(dtab, path, world) {
        Ok(Resolved::Tree(tree)) => Outcome::Tree(tree),
        Ok(Resolved::Pending) => unreachable!("all namers answer"),
        Err(DelegateError::MaxDepth { .. }) => Outcome::TooDeep,
        Err(DelegateError::MaxLookups { .. }) => Outcome::TooMuch,
        Err(DelegateError::Namer { .. }) => Outcome::Error,
    }
}

fn tree() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![8 => select(&LEAVES[..]), 1 => Just("!"), 1 => Just("~"), 1 => Just("$")];
    leaf.prop_map(str::to_owned).prop_recursive(2, 6, 3, |inner| {
        let several = prop::collection::vec(inner, 2..4);
        (several, any::<bool>()).prop_map(|(trees, alt)| {
            let trees: Vec<String> = trees.into_iter().map(|tree| format!("({tree})")).collect();
            trees.join(if alt { " | " } else { " & " })
        })
    })
}

fn rules() -> impl Strategy<Value = String> {
    let rule = (select(&PREFIXES[..]), tree()).prop_map(|(prefix, tree)| format!("{prefix} => {tree}"));
    prop::collection::vec(rule, 1..6).prop_map(|rules| rules.join(" ;\n"))
}

/// The paths of requests, and others that prefixes match.
fn paths(logical: bool) -> Vec<Path> {
    let starts: &[&str] =
        if logical { &["/svc"] } else { &["", "/svc", "/svc/users", "/srv", "/host", "/#/fs", "/#/lab"] };
    let named = starts.iter().flat_map(|start| NAMES.iter().map(move |name| path(&format!("{start}/{name}"))));
    let bare = starts.iter().filter(|start| !logical && !start.is_empty()).map(|start| path(start));
    named.chain(bare).collect()
}

fn nesting<T>(tree: &NameTree<T>) -> usize {
    match tree {
        NameTree::Alt(trees) => 1 + trees.iter().map(nesting).max().unwrap_or(0),
        NameTree::Union(members) => 1 + members.iter().map(|member| nesting(&member.tree)).max().unwrap_or(0),
        NameTree::Leaf(_) | NameTree::Neg | NameTree::Fail | NameTree::Empty => 0,
    }
}

fn changed(dtab: &Dtab, change: impl Fn(usize, &Dentry) -> Option<Dentry>) -> Dtab {
    dtab.dentries().iter().enumerate().filter_map(|(rule, dentry)| change(rule, dentry)).collect()
}

/// The tree with `!` for the leaf that so many stand before.
fn with_fail(tree: NameTree<Path>, leaf: &mut usize) -> NameTree<Path> {
    match tree {
        NameTree::Leaf(path) => {
            let found = *leaf == 0;
            *leaf = leaf.wrapping_sub(1);
            if found { NameTree::Fail } else { NameTree::Leaf(path) }
        }
        NameTree::Alt(trees) => NameTree::Alt(trees.into_iter().map(|tree| with_fail(tree, leaf)).collect()),
        NameTree::Union(members) => NameTree::Union(
            members
                .into_iter()
                .map(|Weighted { weight, tree }| Weighted { weight, tree: with_fail(tree, leaf) })
                .collect(),
        ),
        NameTree::Neg | NameTree::Fail | NameTree::Empty => tree,
    }
}

/// What the doubt says is so, in every world.
fn is_true(doubt: &Doubt, facts: &Facts<'_>) -> Result<(), TestCaseError> {
    let dtab = &facts.rules.dtab;
    let Some(rule) = dtab.dentries().iter().rposition(|dentry| dentry.span.start <= doubt.span.start) else {
        return Err(TestCaseError::fail("no rule is there"));
    };
    let same = |without: &Dtab, paths: Vec<Path>| -> Result<(), TestCaseError> {
        for world in World::all() {
            for path in &paths {
                let with = outcome(dtab, path, &world);
                // A rule less is a look-up less.
                if with == Outcome::TooMuch {
                    return Ok(());
                }
                // Circles are cut off somewhere, and there another rule may come in.
                if matches!(&with, Outcome::Tree(tree) if nesting(tree) > MAX_DEPTH / 2) {
                    continue;
                }
                let without = outcome(without, path, &world);
                prop_assert!(with == without, "{path} with files {:b}: {doubt:?}", world.files);
            }
        }
        Ok(())
    };
    let without = || changed(dtab, |other, dentry| (other != rule).then(|| dentry.clone()));
    if doubt.lint == Lint::ShadowedRule {
        same(&without(), paths(false))?;
    } else if doubt.lint == Lint::UnreachableRule {
        same(&without(), paths(true))?;
    } else if doubt.lint == Lint::UnusedAlternative {
        let leaves = &facts.rules.parts().rules[rule].leaves;
        let leaf = leaves.iter().position(|leaf| *leaf == doubt.span).unwrap();
        let failing = |other: usize, dentry: &Dentry| {
            let tree = dentry.tree.clone();
            let tree = if other == rule { with_fail(tree, &mut leaf.clone()) } else { tree };
            Some(Dentry { tree, ..dentry.clone() })
        };
        same(&changed(dtab, failing), paths(false))?;
    } else if doubt.lint == Lint::NegativeRule {
        prop_assert_eq!(dtab.dentries()[rule].tree.clone().simplified(), NameTree::Neg);
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, ..ProptestConfig::default() })]

    #[test]
    fn doubts_agree_with_delegation(text in rules()) {
        let case = Case::of(&text);
        let facts = case.facts();
        let mut work = [0; 3].map(|_| Work::new(MOST_STEPS));
        for doubt in look_at(&facts, &mut work).0 {
            is_true(&doubt, &facts)?;
        }
    }

    #[test]
    fn what_is_said_to_lead_nowhere_leads_nowhere(text in rules()) {
        let case = Case::of(&text);
        let reach = Reach::of(&case.table, &case.served, &case.logical, &mut Work::new(MOST_STEPS));
        for (rule, leaf, shape) in reach.iter().flat_map(Reach::nowhere) {
            for (world, name) in World::all().flat_map(|world| NAMES.map(|name| (World::with(world.files), name))) {
                let path = shape.example(&Prefix::default(), &Segment::new(name).unwrap());
                let found = outcome(&case.rules.dtab, &path, &world);
                let nowhere = matches!(found, Outcome::Error | Outcome::Tree(NameTree::Neg));
                prop_assert!(nowhere, "rule {rule} leaf {leaf}: {path} comes to {found:?}");
            }
        }
    }

    /// Each circle is one; and where requests go round though all names are there, one is found.
    #[test]
    fn circles_are_those_that_delegation_meets(text in rules()) {
        let case = Case::of(&text);
        let dtab = &case.rules.dtab;
        let mut work = Work::new(MOST_STEPS);
        let reach = Reach::of(&case.table, &case.served, &case.logical, &mut work).ok();
        let found = loops::find(&case.facts(), reach.as_ref(), &mut work);
        for start in &found.starts {
            let shown = format!("{:?}", delegate(dtab, start, &World::with(0)));
            prop_assert!(shown.contains("lead back to themselves"), "{start} does not come back: {:?}", found.doubts);
        }
        // What a rewrite comes to is in doubt, so that a way behind one is not surely taken.
        if work.left() == 0 || text.contains("anyHostPfx") || text.contains("/#/rw") {
            return Ok(());
        }
        for path in paths(true) {
            let goes_round = outcome(dtab, &path, &World::with(u8::MAX)) == Outcome::TooDeep;
            prop_assert!(!goes_round || !found.doubts.is_empty(), "{path} goes round");
        }
    }
}

/// Rules, and what stands around them.
struct Case {
    rules: Rules,
    table: Table,
    served: Served,
    logical: [Shape; 1],
}

impl Case {
    fn of(text: &str) -> Self {
        let rules = Rules::of(text);
        let table = Table::new(&rules.dtab).unwrap();
        Self { rules, table, served: World::with(0).served(), logical: [shape("/svc/<host>")] }
    }

    fn facts(&self) -> Facts<'_> {
        let comparisons = Cell::new(MOST_COMPARISONS);
        let Self { rules, table, served, logical } = self;
        Facts { table, rules, served, logical, overrides: Open::No, fallback: Fallback::Name, comparisons }
    }
}

/// Few rules that need more looking are not looked at.
const MOST_STEPS: usize = 20_000;
