//! The bounds of delegation, the rules for errors and waits, and the tree that people see.

use super::*;
use crate::builtin::{Builtin, builtin};
use crate::compiled::{CompiledDtab, Layered};
use crate::dtab::Dtab;
use crate::work;

/// Binds `/#/ok/x` to `/#/ok`, rewrites `/#/to/x` to `/x`, cannot tell of `/#/bad`, and waits for `/#/wait`; the rest is
/// built in or negative.
struct Lab;

impl Namer for Lab {
    type Addr = ();

    fn lookup(&self, path: &Path) -> Answer<()> {
        let bound = |id: Path, residual| NameTree::Leaf(Target::Bound(Bound { id, residual, addr: () }));
        let kind = path.drop(1).take(1).to_string();
        match (path.take(1).to_string().as_str(), kind.as_str()) {
            ("/#", "/ok") => Answer::Tree(bound(path.take(2), path.drop(2))),
            ("/#", "/to") => Answer::Tree(NameTree::Leaf(Target::Path(path.drop(2)))),
            ("/#", "/wait") => Answer::Pending,
            ("/#", "/bad") => Answer::Error(NamerError("lab is closed".to_owned())),
            _ => match builtin(path) {
                Builtin::Tree(tree) => Answer::Tree(tree.map(Target::Path)),
                Builtin::Inet { id, residual, .. } => Answer::Tree(bound(id, residual)),
                Builtin::NotBuiltin => Answer::Tree(NameTree::Neg),
                Builtin::Unknown(error) => Answer::Error(error),
            },
        }
    }
}

fn dtab(text: &str) -> Dtab {
    Dtab::parse(text).unwrap()
}

fn path(text: &str) -> Path {
    Path::parse(text).unwrap()
}

/// The first half of the rules compiled, the second as overrides: no other way to look up may come to another end.
fn bound(rules: &Dtab) -> Result<Resolved<()>, DelegateError> {
    let path = path("/svc");
    let (base, overrides) = rules.dentries().split_at(rules.len() / 2);
    let part = |rules: &[Arc<Dentry>]| rules.iter().map(|rule| Dentry::clone(rule)).collect::<Dtab>();
    let (base, overrides) = (CompiledDtab::new(part(base)), part(overrides));
    let plain = bind(rules, &path, &Lab);
    assert_eq!(bind(&CompiledDtab::new(rules.clone()), &path, &Lab), plain, "{rules}");
    assert_eq!(bind(&Layered::new(&base, &overrides), &path, &Lab), plain, "{rules}");
    plain
}

/// What `/svc` is bound to, in one line.
fn outcome(rules: &str) -> String {
    match bound(&dtab(rules)) {
        Ok(Resolved::Tree(tree)) => tree.to_string(),
        Ok(Resolved::Pending) => "pending".to_owned(),
        Err(DelegateError::MaxDepth { .. }) => "max depth".to_owned(),
        Err(DelegateError::MaxLookups { .. }) => "max lookups".to_owned(),
        Err(error @ DelegateError::Namer { .. }) => error.to_string(),
    }
}

#[test]
fn alternatives_end_at_the_first_that_is_not_negative() {
    for (rules, expected) in [
        ("/svc => ~ | /none | /#/ok", "/#/ok"),
        ("/svc => /#/ok | /#/bad", "/#/ok"),
        ("/svc => /#/bad | /#/ok", "/#/bad: lab is closed"),
        ("/svc => /#/wait | /#/ok", "pending"),
        ("/svc => ! | /#/ok", "!"),
        ("/svc => $ | /#/ok", "$"),
        ("/svc => /#/to/x | /#/ok ; /x => ~", "/#/ok"),
        ("/svc => /#/ok ; /svc => /$/nope", "/$/nope: unknown namer /$/nope"),
    ] {
        assert_eq!(outcome(rules), expected, "{rules}");
    }
}

#[test]
fn unions_go_on_without_members_in_trouble() {
    for (rules, expected) in [
        ("/svc => /#/bad & /#/ok", "/#/ok"),
        ("/svc => /#/wait & /#/ok", "/#/ok"),
        ("/svc => /#/wait & /#/bad", "pending"),
        ("/svc => /#/bad & /$/nope", "/#/bad: lab is closed"),
        ("/svc => /#/bad & ~", "~"),
        ("/svc => /#/bad & !", "~"),
        ("/svc => ! & ! | /#/ok", "/#/ok"),
        ("/svc => /#/bad & /loop | /#/ok ; /loop => /loop", "/#/bad: lab is closed"),
        ("/svc => /loop & /#/ok ; /loop => /loop", "/#/ok"),
        ("/svc => 3*/#/ok & 0*$ & !", "3.00*/#/ok & 0.00*$"),
    ] {
        assert_eq!(outcome(rules), expected, "{rules}");
    }
}

#[test]
fn the_hundredth_look_up_may_bind_and_no_later_one() {
    let chain = |rules: usize| {
        let links: Vec<_> = (1..rules).map(|n| format!("/{n} => /{}", n + 1)).collect();
        format!("/svc => /1 ; {} ; /{rules} => /#/ok", links.join(" ; "))
    };

    assert_eq!(outcome(&chain(MAX_DEPTH - 2)), "/#/ok");
    assert_eq!(outcome(&chain(MAX_DEPTH - 1)), "max depth");
}

#[test]
fn circles_end() {
    let both = |count: usize| vec!["/svc"; count].join(" & ");
    for (rules, expected) in [
        ("/svc => /svc".to_owned(), "max depth"),
        ("/svc => /svc/x".to_owned(), "max depth"),
        ("/svc => /svc/x/y/z | /svc/y".to_owned(), "max depth"),
        ("/svc => /a | /#/ok ; /a => /svc".to_owned(), "max depth"),
        ("/svc => /a ; /a => /b ; /b => /c/x ; /c => /svc".to_owned(), "max depth"),
        ("/svc => /a & /b ; /a => /b & /svc ; /b => /a | /svc".to_owned(), "max lookups"),
        ("/svc => /#/to/svc".to_owned(), "max depth"),
        ("/svc => /svc & /svc".to_owned(), "max lookups"),
        ("/svc => /svc/x & /svc/y".to_owned(), "max lookups"),
        ("/svc => /svc | /svc".to_owned(), "max depth"),
        ("/svc => ~ | /svc | /svc ; /svc => ~".to_owned(), "max depth"),
        ("/svc => /svc & /svc | /#/ok".to_owned(), "max lookups"),
        ("/* => /svc & /svc ; / => /a/b".to_owned(), "max depth"),
        (format!("/svc => {}", both(5_000)), "max lookups"),
        (format!("/svc => {}", both(50_000)), "max lookups"),
    ] {
        assert_eq!(outcome(&rules), expected, "{rules}");
        within_bounds(&dtab(&rules));
    }
}

/// Neither look-ups nor steps go beyond their bounds; nor do the looks at rules, given that each look-up needs a few.
fn within_bounds(rules: &Dtab) {
    let path = path("/svc");
    let table = CompiledDtab::new(rules.clone());
    let mut binder = Binder { table: &table, namer: &Lab, budget: Budget::default() };
    let (_, looked) = work::of(|| binder.path(&path, Depth::default()).is_ok());
    assert!(binder.budget.look_ups <= MAX_LOOKUPS + 1, "{:?}", binder.budget);
    // The path that goes over it is counted whole.
    assert!(binder.budget.steps <= MAX_STEPS + MAX_DEPTH, "{:?}", binder.budget);
    assert!(looked <= 8 * MAX_LOOKUPS, "{looked}");
}

#[test]
fn thousands_of_rules_in_circles_cost_a_few_steps_for_each_look_up() {
    let rules: Vec<_> = (0..5_000).map(|n| format!("/svc/{n} => /svc/{0} & /svc/{0}", (n + 1) % 5_000)).collect();
    let rules = dtab(&format!("{} ; /svc/x => /svc/0", rules.join(";")));
    let base = CompiledDtab::default();
    let path = path("/svc/x");

    let (bound, looked) = work::of(|| bind(&Layered::new(&base, &rules), &path, &Lab));

    assert!(matches!(bound, Err(DelegateError::MaxLookups { .. })), "{bound:?}");
    assert!(looked <= 8 * MAX_LOOKUPS, "{looked}");
}

#[test]
fn a_circle_in_a_union_leaves_the_members_that_bind() {
    let outcome = outcome("/svc => /svc & /#/ok");

    assert_eq!(outcome.matches("/#/ok").count(), MAX_DEPTH - 1, "{outcome}");
}

#[test]
fn work_is_bounded_also_where_trees_or_paths_are_large() {
    let broad = format!("/svc => /svc & {}", vec!["~"; 1_000].join(" & "));
    assert_eq!(outcome(&broad), "max lookups");

    let long = format!("/svc => /svc{} & /svc", "/x".repeat(10_000));
    assert_eq!(outcome(&long), "max lookups");

    let wide = format!("/svc => /svc/{} & /svc", "x".repeat(60_000));
    assert_eq!(outcome(&wide), "max lookups");
}

/// The stack of a thread is 2 MiB where nobody says otherwise; a quarter of it has to do here, hardly optimised.
#[test]
fn no_dtab_overflows_the_stack() {
    let deep = |leaf: &str, join: &str| (0..60).fold(leaf.to_owned(), |tree, _| format!("~ {join} ({tree})"));
    let rules = [
        format!("/svc => {}", deep("/svc", "|")),
        format!("/svc => {}", deep("/svc", "&")),
        format!("/svc => {}", deep("/svc & /#/ok", "| /#/ok &")),
        "/svc => /svc | /svc & /#/ok".to_owned(),
        "/svc => /svc & /#/ok".to_owned(),
        "/svc => /svc ; /svc => /svc & /#/to/svc".to_owned(),
    ];
    let small = std::thread::Builder::new().stack_size(512 << 10).spawn(move || {
        for rules in rules {
            let (dtab, path) = (dtab(&rules), path("/svc"));
            let bound = bound(&dtab);
            if let Ok(Resolved::Tree(tree)) = bound {
                assert!(!tree.clone().simplified().to_string().is_empty(), "{rules}");
            }
            let tree = delegate(&dtab, &path, &Lab);
            drop((tree.winner(), tree.clone()));
        }
    });

    small.unwrap().join().unwrap();
}

/// One line per node, children indented: path, the rule's prefix, what became of it.
fn show(tree: &DelegateTree<()>) -> String {
    let mut lines = String::new();
    show_below(tree, "", 0, &tree.winner(), &mut lines);
    lines
}

fn show_below(tree: &DelegateTree<()>, weight: &str, depth: usize, winners: &Winners<'_, ()>, lines: &mut String) {
    let (kind, children): (String, Vec<(String, &DelegateTree<()>)>) = match &tree.node {
        DelegateNode::Neg => ("neg".to_owned(), vec![]),
        DelegateNode::Fail => ("fail".to_owned(), vec![]),
        DelegateNode::Empty => ("empty".to_owned(), vec![]),
        DelegateNode::Pending => ("pending".to_owned(), vec![]),
        DelegateNode::Exception(message) => (format!("exception {message}"), vec![]),
        DelegateNode::Leaf(bound) => (format!("leaf {}+{}", bound.id, bound.residual), vec![]),
        DelegateNode::Vacant(bound) => (format!("vacant {}", bound.id), vec![]),
        DelegateNode::Delegate(tree) => ("delegate".to_owned(), vec![(String::new(), tree)]),
        DelegateNode::Alt(trees) => ("alt".to_owned(), trees.iter().map(|tree| (String::new(), tree)).collect()),
        DelegateNode::Union(members) => {
            ("union".to_owned(), members.iter().map(|(weight, tree)| (format!("{weight} * "), tree)).collect())
        }
        DelegateNode::Transformation { name, tree, .. } => (name.clone(), vec![(String::new(), tree)]),
    };
    let rule = tree.dentry.as_ref().map_or_else(|| "-".to_owned(), |dentry| dentry.prefix.to_string());
    let mark = winners.share(tree).map_or_else(String::new, |share| format!(" <- {share}"));
    lines.push_str(&format!("{}{weight}{} [{rule}] {kind}{mark}\n", "  ".repeat(depth), tree.path));
    for (weight, child) in children {
        show_below(child, &weight, depth + 1, winners, lines);
    }
}

fn shown(rules: &str) -> String {
    show(&delegate(&dtab(rules), &path("/svc/80"), &Lab))
}

#[test]
fn the_tree_has_the_shape_of_linkerds_delegator() {
    for (rules, expected) in [
        ("/svc => /$/inet/127.1", "/svc/80 [-] delegate\n  /$/inet/127.1/80 [/svc] leaf /$/inet/127.1/80+/ <- 1\n"),
        ("/x => /y", "/svc/80 [-] neg\n"),
        ("/svc => ~", "/svc/80 [-] neg\n"),
        ("/svc => !", "/svc/80 [-] delegate\n  ! [/svc] fail <- 1\n"),
        ("/svc => /$/nil", "/svc/80 [-] delegate\n  /$/nil/80 [/svc] empty <- 1\n"),
        ("/svc => /x ; /x => /y", "/svc/80 [-] delegate\n  /x/80 [/svc] delegate\n    /y/80 [/x] neg\n"),
        (
            "/svc => /#/ok ; /svc => /x | ~ | ! | /y",
            "/svc/80 [-] alt\n  /x/80 [/svc] neg\n  ~ [/svc] neg\n  ! [/svc] fail <- 1\n  /y/80 [/svc] neg\n  \
             /#/ok/80 [/svc] leaf /#/ok+/80\n",
        ),
        (
            "/svc => /#/bad | /#/ok",
            "/svc/80 [-] alt\n  /#/bad/80 [/svc] exception /#/bad/80: lab is closed <- 1\n  \
             /#/ok/80 [/svc] leaf /#/ok+/80\n",
        ),
        (
            "/svc => 3 * /#/ok & 1 * (/x | /#/to/y) & 6 * /#/wait ; /y => $",
            "/svc/80 [-] union\n  3 * /#/ok/80 [/svc] leaf /#/ok+/80 <- 0.75\n  1 * /svc/80 [/svc] alt\n    \
             /x/80 [/svc] neg\n    /#/to/y/80 [/svc] delegate\n      /y/80 [-] delegate\n        $ [/y] empty <- 0.25\n  \
             6 * /#/wait/80 [/svc] pending\n",
        ),
    ] {
        assert_eq!(shown(rules), expected, "{rules}");
    }
}

#[test]
fn a_circle_beside_the_way_does_not_hide_the_way() {
    let tree = delegate(&dtab("/svc => /#/ok | /loop ; /loop => /loop & /loop"), &path("/svc"), &Lab);

    let DelegateNode::Alt(members) = &tree.node else { panic!("{tree:?}") };
    assert!(matches!(members[0].node, DelegateNode::Leaf(_)), "{tree:?}");
    assert!(matches!(&members[1].node, DelegateNode::Exception(message) if message.contains("look-ups")), "{tree:?}");
}

#[test]
fn a_circle_on_the_way_is_told_at_the_root() {
    let tree = delegate(&dtab("/svc => /svc & /svc"), &path("/svc"), &Lab);

    assert!(matches!(&tree.node, DelegateNode::Exception(message) if message.contains("look-ups")), "{tree:?}");
}

#[test]
fn errors_say_which_path() {
    let error = bind(&dtab("/a => /a"), &path("/a/x"), &Lab).unwrap_err();

    assert_eq!(error.to_string(), "/a/x is more than 100 steps away; do rules lead back to themselves?");
}
