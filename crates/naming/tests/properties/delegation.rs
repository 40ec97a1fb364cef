//! Binding against the rules of linkerd written down plainly, and against the tree that people see.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use waypost_naming::{
    Answer, Bound, CompiledDtab, DelegateError, DelegateNode, DelegateTree, Dentry, Dtab, Layered, MAX_DEPTH, NameTree,
    Namer, NamerError, Path, Resolved, Table, Target, Weighted, bind, delegate,
};

/// `/n/<what>/..` answers `<what>`, `/n/<number>/..` what that name is now; it knows nothing else.
#[derive(Default, Debug)]
struct Lab {
    live: Vec<&'static str>,
}

impl Namer for Lab {
    type Addr = u8;

    fn lookup(&self, path: &Path) -> Answer<u8> {
        let bound = |addr| NameTree::Leaf(Target::Bound(Bound { id: path.take(2), residual: path.drop(2), addr }));
        let back = || NameTree::Leaf(Target::Path(path.drop(2)));
        let member = |weight, tree| Weighted { weight, tree };
        let what = path.drop(1).take(1).to_string();
        let number = what.strip_prefix('/').and_then(|number| number.parse::<usize>().ok());
        let what = number.map_or(what.as_str(), |number| self.live.get(number).copied().unwrap_or("/gone"));
        Answer::Tree(match (path.take(1).to_string().as_str(), what) {
            ("/n", "/ok") => bound(1),
            ("/n", "/vacant") => bound(4).map(|target| match target {
                Target::Bound(bound) => Target::Vacant(bound),
                other @ (Target::Path(_) | Target::Vacant(_)) => other,
            }),
            ("/n", "/back") => back(),
            ("/n", "/or") => NameTree::Alt(vec![NameTree::Neg, back(), bound(2)]),
            ("/n", "/and") => {
                NameTree::Union(vec![member(2.0, back()), member(1.0, bound(3)), member(0.0, NameTree::Fail)])
            }
            ("/n", "/one") => NameTree::Union(vec![member(0.5, NameTree::Alt(vec![back()]))]),
            ("/n", "/none") => NameTree::Alt(vec![]),
            ("/n", "/fail") => NameTree::Fail,
            ("/n", "/empty") => NameTree::Empty,
            ("/n", "/wait") => return Answer::Pending,
            ("/n", "/bad") => return Answer::Error(NamerError("bad".to_owned())),
            _ => NameTree::Neg,
        })
    }
}

fn one_of(texts: &'static [&'static str]) -> impl Strategy<Value = String> {
    select(texts).prop_map(str::to_owned)
}

fn rule() -> impl Strategy<Value = String> {
    let element = || select(&["/a", "/b", "/c", "/*"][..]);
    let prefix = prop_oneof![
        4 => one_of(&["/a", "/b", "/c"]),
        4 => vec(element(), 2..4).prop_map(|elements| elements.concat()),
        3 => one_of(&["/*/b", "/n/ok", "/n/*/a", "/n/0/b", "/"]),
    ];
    let leaf = prop_oneof![
        4 => one_of(&["/a", "/b", "/c"]),
        2 => one_of(&["/n/0", "/n/1", "/n/2", "/n/3"]),
        1 => one_of(&["/a/b", "/b/b", "/c/a", "/b/c"]),
        4 => one_of(&["/n/ok", "/n/back", "/n/or", "/n/and", "/n/one"]),
        3 => one_of(&["/n/none", "/n/fail", "/n/empty", "/n/wait", "/n/bad", "/n/vacant"]),
        1 => one_of(&["~", "!", "$"]),
    ];
    let tree = leaf.prop_recursive(2, 8, 3, |inner| {
        prop_oneof![
            vec(inner.clone(), 2..4).prop_map(|trees| format!("({})", trees.join(" | "))),
            vec((0..4, inner), 2..4).prop_map(|members| {
                let members: Vec<_> = members.into_iter().map(|(weight, tree)| format!("{weight}*{tree}")).collect();
                format!("({})", members.join(" & "))
            }),
        ]
    });
    (prefix, tree).prop_map(|(prefix, tree)| format!("{prefix} => {tree}"))
}

fn dtab() -> impl Strategy<Value = Dtab> {
    vec(rule(), 0..7).prop_map(|rules| Dtab::parse(&rules.join(" ; ")).unwrap())
}

fn path() -> impl Strategy<Value = Path> {
    vec(select(&["/a", "/b", "/c"][..]), 1..4).prop_map(|segments| Path::parse(&segments.concat()).unwrap())
}

/// What the names that come and go are, one moment after the other.
fn moments() -> impl Strategy<Value = Vec<Lab>> {
    let kind =
        select(&["/ok", "/ok", "/back", "/or", "/and", "/gone", "/fail", "/empty", "/wait", "/bad", "/vacant"][..]);
    vec(vec(kind, 4).prop_map(|live| Lab { live }), 1..4)
}

/// All but the first `count` rules, and those.
fn split(dtab: &Dtab, count: usize) -> (Dtab, Dtab) {
    let (base, rest) = dtab.dentries().split_at(count.min(dtab.len()));
    let part = |rules: &[std::sync::Arc<Dentry>]| rules.iter().map(|rule| Dentry::clone(rule)).collect();
    (part(base), part(rest))
}

/// What is left of a tree when all is decided; errors by their text.
#[derive(Clone, PartialEq, Debug)]
enum End {
    Tree(NameTree<Bound<u8>>),
    Pending,
    Error(String),
}

impl From<Result<Resolved<u8>, DelegateError>> for End {
    fn from(bound: Result<Resolved<u8>, DelegateError>) -> Self {
        match bound {
            Ok(Resolved::Tree(tree)) => Self::Tree(tree),
            Ok(Resolved::Pending) => Self::Pending,
            Err(error) => Self::Error(error.to_string()),
        }
    }
}

fn first(members: impl Iterator<Item = End>) -> End {
    let mut members = members;
    members.find(|end| *end != End::Tree(NameTree::Neg)).unwrap_or(End::Tree(NameTree::Neg))
}

fn all(members: Vec<(f64, End)>) -> End {
    if let [(_, only)] = members.as_slice() {
        return only.clone();
    }
    let mut trees = Vec::new();
    let mut others = Vec::new();
    for (weight, end) in members {
        match end {
            End::Tree(tree) => trees.push(Weighted { weight, tree }),
            other @ (End::Pending | End::Error(_)) => others.push(other),
        }
    }
    if trees.is_empty() && !others.is_empty() {
        return others.iter().find(|end| **end == End::Pending).unwrap_or(&others[0]).clone();
    }
    trees.retain(|member| !matches!(member.tree, NameTree::Neg | NameTree::Fail));
    End::Tree(if trees.len() > 1 {
        NameTree::Union(trees)
    } else {
        trees.pop().map_or(NameTree::Neg, |member| member.tree)
    })
}

/// Section 5 of linkerd's rules, word by word.
struct Rules<'d> {
    dtab: &'d Dtab,
    lab: &'d Lab,
    /// Look-ups left before this test gives the case up.
    left: usize,
}

impl Rules<'_> {
    fn bind(&mut self, tree: &NameTree<Target<u8>>, depth: usize, path: &Path) -> End {
        if depth > MAX_DEPTH {
            return End::Error(DelegateError::MaxDepth { path: path.clone() }.to_string());
        }
        match tree {
            NameTree::Leaf(Target::Path(next)) => self.path(next, depth),
            NameTree::Leaf(Target::Bound(bound)) => End::Tree(NameTree::Leaf(bound.clone())),
            // Whoever told of it counts it as negative.
            NameTree::Neg | NameTree::Leaf(Target::Vacant(_)) => End::Tree(NameTree::Neg),
            NameTree::Fail => End::Tree(NameTree::Fail),
            NameTree::Empty => End::Tree(NameTree::Empty),
            NameTree::Alt(trees) => first(trees.iter().map(|tree| self.bind(tree, depth, path))),
            NameTree::Union(members) => {
                all(members.iter().map(|member| (member.weight, self.bind(&member.tree, depth, path))).collect())
            }
        }
    }

    fn path(&mut self, path: &Path, depth: usize) -> End {
        self.left = self.left.saturating_sub(1);
        if self.left == 0 {
            return End::Pending;
        }
        let found = match self.dtab.lookup(path).into_tree() {
            NameTree::Neg => match self.lab.lookup(path) {
                Answer::Tree(tree) => tree,
                Answer::Pending => return End::Pending,
                Answer::Error(NamerError(message)) => {
                    return End::Error(DelegateError::Namer { path: path.clone(), message }.to_string());
                }
            },
            tree @ (NameTree::Alt(_) | NameTree::Union(_) | NameTree::Leaf(_) | NameTree::Fail | NameTree::Empty) => {
                tree.map(Target::Path)
            }
        };
        self.bind(&found, depth + 1, path)
    }
}

/// What the tree that people see says a request gets.
fn evaluated(tree: &DelegateTree<u8>) -> End {
    match &tree.node {
        DelegateNode::Neg | DelegateNode::Vacant(_) => End::Tree(NameTree::Neg),
        DelegateNode::Fail => End::Tree(NameTree::Fail),
        DelegateNode::Empty => End::Tree(NameTree::Empty),
        DelegateNode::Pending => End::Pending,
        DelegateNode::Exception(message) => End::Error(message.clone()),
        DelegateNode::Leaf(bound) => End::Tree(NameTree::Leaf(bound.clone())),
        DelegateNode::Delegate(tree) | DelegateNode::Transformation { tree, .. } => evaluated(tree),
        DelegateNode::Alt(trees) => first(trees.iter().map(evaluated)),
        DelegateNode::Union(members) => all(members.iter().map(|(weight, tree)| (*weight, evaluated(tree))).collect()),
    }
}

/// The ids of bound names with their parts of the requests; `$` has its part too.
fn shares(tree: &NameTree<Bound<u8>>, part: f64, into: &mut Vec<(String, f64)>) {
    match tree {
        NameTree::Leaf(bound) => into.push((bound.to_string(), part)),
        NameTree::Empty => into.push(("$".to_owned(), part)),
        NameTree::Neg | NameTree::Fail => {}
        NameTree::Alt(trees) => panic!("{trees:?} is not decided"),
        NameTree::Union(members) => {
            let sum: f64 = members.iter().map(|member| member.weight).sum();
            for Weighted { weight, tree } in members {
                let share =
                    if sum > 0.0 { weight / sum } else { 1.0 / f64::from(u32::try_from(members.len()).unwrap()) };
                shares(tree, part * share, into);
            }
        }
    }
}

/// Compiled against written down: enough cases that each kind of rule meets each kind of name many times.
fn many() -> ProptestConfig {
    let usual = ProptestConfig::default();
    ProptestConfig { cases: usual.cases.max(10_000), ..usual }
}

proptest! {
    #![proptest_config(many())]

    #[test]
    fn compiled_rules_bind_as_the_rules_say(
        dtab in dtab(),
        overrides in 0_usize..8,
        paths in vec(path(), 1..3),
        moments in moments(),
    ) {
        let (base, overrides) = split(&dtab, overrides);
        let base = CompiledDtab::new(base);
        let layered = Layered::new(&base, &overrides);
        let compiled = CompiledDtab::new(dtab.clone());
        for (path, lab) in paths.iter().flat_map(|path| moments.iter().map(move |lab| (path, lab))) {
            let mut rules = Rules { dtab: &dtab, lab, left: 150 };
            let expected = rules.path(path, 0);
            // What leads in circles takes its time: see `circles_end_the_same_in_any_table`.
            if rules.left > 0 {
                prop_assert_eq!(&End::from(bind(&compiled, path, lab)), &expected, "{} for {}", dtab, path);
                prop_assert_eq!(&End::from(bind(&layered, path, lab)), &expected, "{} for {}", dtab, path);
            }
        }
    }

    #[test]
    fn compiled_rules_are_found_in_the_order_of_a_look_up(
        rules in vec("(/[ab*]){0,4}=>/x", 0..48),
        overrides in 0_usize..48,
        paths in vec("(/[abc]){0,6}", 1..8),
    ) {
        let rules: Vec<_> = rules.iter().map(|rule| if rule.starts_with('=') { format!("/{rule}") } else { rule.clone() }).collect();
        let dtab = Dtab::parse(&rules.join(";")).unwrap();
        let (base, overrides) = split(&dtab, overrides);
        let base = CompiledDtab::new(base);
        for text in &paths {
            let path = Path::parse(if text.is_empty() { "/" } else { text }).unwrap();
            let expected: Vec<_> = dtab.lookup(&path).members.into_iter().map(|(rule, _)| rule).collect();
            let compiled = CompiledDtab::new(dtab.clone());
            let found: Vec<_> = compiled.matches(&path).cloned().collect();
            prop_assert_eq!(&found, &expected, "{} for {}", dtab, path);
            let layered = Layered::new(&base, &overrides);
            let found: Vec<_> = layered.matches(&path).cloned().collect();
            prop_assert_eq!(&found, &expected, "{} for {}", dtab, path);
        }
    }
}

proptest! {
    #[test]
    fn circles_end_the_same_in_any_table(dtab in dtab(), overrides in 0_usize..8, path in path()) {
        let (base, overrides) = split(&dtab, overrides);
        let plain = bind(&dtab, &path, &Lab::default());

        prop_assert_eq!(&bind(&CompiledDtab::new(dtab.clone()), &path, &Lab::default()), &plain, "{} for {}", dtab, path);
        let base = CompiledDtab::new(base);
        prop_assert_eq!(&bind(&Layered::new(&base, &overrides), &path, &Lab::default()), &plain, "{} for {}", dtab, path);
    }

    #[test]
    fn binding_is_what_the_rules_say(dtab in dtab(), path in path()) {
        let lab = Lab::default();
        let mut rules = Rules { dtab: &dtab, lab: &lab, left: 5_000 };
        let expected = rules.path(&path, 0);

        if rules.left > 0 {
            prop_assert_eq!(End::from(bind(&dtab, &path, &lab)), expected, "{} for {}", dtab, path);
        }
    }

    #[test]
    fn people_see_what_requests_get(dtab in dtab(), path in path()) {
        let tree = delegate(&dtab, &path, &Lab::default());

        prop_assert_eq!(End::from(bind(&dtab, &path, &Lab::default())), evaluated(&tree), "{} for {}", dtab, path);
    }

    #[test]
    fn winners_are_the_bound_leaves(dtab in dtab(), path in path()) {
        if let Ok(Resolved::Tree(bound)) = bind(&dtab, &path, &Lab::default()) {
            let mut expected = Vec::new();
            shares(&bound, 1.0, &mut expected);

            let tree = delegate(&dtab, &path, &Lab::default());
            let winners = tree.winner();
            let found = winners.leaves().iter().filter_map(|winner| match &winner.node.node {
                DelegateNode::Leaf(bound) => Some((bound.to_string(), winner.share)),
                DelegateNode::Empty => Some(("$".to_owned(), winner.share)),
                DelegateNode::Neg
                | DelegateNode::Vacant(_)
                | DelegateNode::Fail
                | DelegateNode::Pending
                | DelegateNode::Exception(_)
                | DelegateNode::Delegate(_)
                | DelegateNode::Alt(_)
                | DelegateNode::Union(_)
                | DelegateNode::Transformation { .. } => None,
            });
            let found: Vec<_> = found.collect();

            prop_assert_eq!(found.len(), expected.len(), "{} for {}", dtab, path);
            for ((id, share), (expected_id, expected_share)) in found.iter().zip(&expected) {
                prop_assert_eq!(id, expected_id, "{} for {}", dtab, path);
                prop_assert!((share - expected_share).abs() < 1e-9, "{} for {}: {} of {}", dtab, path, share, id);
            }
        }
    }
}
