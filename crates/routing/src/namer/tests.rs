//! Bindings over namers whose control side the test plays.

use std::fs as disk;
use std::path::Path as FilePath;

use proptest::prelude::*;
use tempfile::TempDir;
use waypost_naming::{Dtab, Pattern, Template};

use super::*;
use crate::binding::bind;
use crate::decision::{Choice, Outcome};
use crate::dtab_cell::DtabCell;
use crate::transform::TransformerKind;

fn path(text: &str) -> Path {
    text.parse().unwrap()
}

fn segment(text: &str) -> Segment {
    Segment::new(text.as_bytes().to_vec()).unwrap()
}

fn endpoint(port: u16) -> Endpoint {
    Endpoint { addr: ([127, 0, 0, 1], port).into(), weight: 1.0 }
}

fn lab(services: &[(&str, Vec<Endpoint>)]) -> NamerConfig {
    let services = services.iter().map(|(name, endpoints)| (segment(name), endpoints.clone())).collect();
    NamerConfig { prefix: path("/lab"), kind: NamerKind::Static { services }, transformers: Vec::new() }
}

fn fs_at(root: &FilePath) -> NamerConfig {
    NamerConfig { prefix: path("/fs"), kind: NamerKind::Fs { root_dir: root.to_path_buf() }, transformers: Vec::new() }
}

/// Outcome, and each leaf's bound path, residual and share.
fn bound(dtab: &str, name: &str, namers: &NamerSet) -> (&'static str, Vec<(String, String, f64)>) {
    let cell = DtabCell::new(Dtab::parse(dtab).unwrap());
    let decision = bind(&cell, &Dtab::default(), &path(name), namers).decision;
    let leaf = |leaf: &crate::Leaf| (leaf.bound.to_string(), leaf.residual.to_string(), leaf.share);
    (decision.outcome.word(), decision.leaves.iter().map(leaf).collect())
}

fn leaf(bound: &str, residual: &str, share: f64) -> (String, String, f64) {
    (bound.to_owned(), residual.to_owned(), share)
}

#[test]
fn names_bind_by_kind_of_namer() {
    let root = TempDir::new().unwrap();
    disk::create_dir(root.path().join("eu")).unwrap();
    disk::write(root.path().join("users"), "127.0.0.1 80\n").unwrap();
    disk::write(root.path().join("eu/users"), "127.0.0.1 81\n").unwrap();
    let pattern = Pattern::parse("/{service}/{zone}").unwrap();
    let name = Template::parse("/#/fs/{zone}/{service}", &pattern).unwrap();
    let zones = NamerConfig {
        prefix: path("/zones"),
        kind: NamerKind::Rewrite(Rewrite { pattern, name }),
        transformers: Vec::new(),
    };
    let configs = [fs_at(root.path()), lab(&[("web", vec![endpoint(80)]), ("none", Vec::new())]), zones];
    let (namers, problems) = NamerSet::read(&configs);
    assert!(problems.is_empty(), "{problems:?}");
    assert_eq!(namers.ready(), Ok(()));

    for (name, expected) in [
        ("/#/fs/users/a/b", ("bound", vec![leaf("/#/fs/users", "/a/b", 1.0)])),
        ("/#/fs/eu/users", ("bound", vec![leaf("/#/fs/eu/users", "/", 1.0)])),
        ("/#/fs/eu", ("negative", vec![])),
        ("/#/fs", ("negative", vec![])),
        ("/#/fs/billing", ("negative", vec![])),
        (r"/#/fs/\x65\x75\x2f\x75\x73\x65\x72\x73", ("negative", vec![])),
        ("/#/fs/../users", ("negative", vec![])),
        ("/#/lab/web/x", ("bound", vec![leaf("/#/lab/web", "/x", 1.0)])),
        ("/#/lab/none", ("bound", vec![leaf("/#/lab/none", "/", 1.0)])),
        ("/#/lab/other", ("negative", vec![])),
        ("/#/lab", ("negative", vec![])),
        ("/#/zones/users/eu/rest", ("bound", vec![leaf("/#/fs/eu/users", "/", 1.0)])),
        ("/#/zones/users", ("negative", vec![])),
        ("/$/inet/127.1/80/x", ("bound", vec![leaf("/$/inet/127.1/80", "/x", 1.0)])),
        ("/$/io.buoyant.rinet/80/127.0.0.1", ("bound", vec![leaf("/$/io.buoyant.rinet/80/127.0.0.1", "/", 1.0)])),
        ("/$/inet/80/443", ("error", vec![])),
        ("/$/inet/127.0.0.1/123456", ("error", vec![])),
        ("/$/nil/x", ("empty", vec![])),
        ("/$/fail/x", ("failed", vec![])),
        ("/$/unknown/x", ("error", vec![])),
        ("/nowhere", ("negative", vec![])),
    ] {
        assert_eq!(bound("", name, &namers), expected, "{name}");
    }
    let names: Vec<_> = namers.bound_names().iter().map(Path::to_string).collect();
    assert_eq!(names, ["/#/fs/eu/users", "/#/fs/users", "/#/lab/none", "/#/lab/web"]);
    let prefixes: Vec<_> = namers.prefixes().map(Path::to_string).collect();
    assert_eq!(prefixes, ["/#/fs", "/#/lab", "/#/zones"]);
}

#[test]
fn later_namers_of_one_prefix_are_asked_first() {
    let (first, second) =
        (lab(&[("a", vec![endpoint(1)]), ("b", vec![endpoint(2)])]), lab(&[("a", vec![endpoint(3)])]));
    let (namers, _) = NamerSet::read(&[first, second]);
    let port = |name: &str| {
        let binding = bind(&DtabCell::default(), &Dtab::default(), &path(name), &namers);
        binding.decision.leaves[0].addresses.snapshot().endpoints()[0].addr.port()
    };
    assert_eq!((port("/#/lab/a"), port("/#/lab/b")), (3, 2));
}

#[test]
fn shares_are_products_of_weights_and_nothing_keeps_its_own() {
    let (namers, _) = NamerSet::read(&[lab(&[("a", vec![endpoint(1)]), ("b", vec![endpoint(2)])])]);
    for (dtab, expected) in [
        ("/s => 3 * /#/lab/a & 1 * /#/lab/b", vec![("/#/lab/a", 0.75), ("/#/lab/b", 0.25)]),
        ("/s => 1 * /#/lab/a & 1 * (/#/lab/b & /#/lab/a)", vec![("/#/lab/a", 0.75), ("/#/lab/b", 0.25)]),
        ("/s => /#/lab/a & ~ & ! & /#/lab/gone", vec![("/#/lab/a", 1.0)]),
        ("/s => 3 * /#/lab/a & $", vec![("/#/lab/a", 0.75)]),
        ("/s => 0 * /#/lab/a & 0 * /#/lab/b", vec![("/#/lab/a", 0.5), ("/#/lab/b", 0.5)]),
    ] {
        let expected = expected.into_iter().map(|(name, share)| leaf(name, "/", share)).collect();
        assert_eq!(bound(dtab, "/s", &namers), ("bound", expected), "{dtab}");
    }
    assert_eq!(bound("/s => $ & $", "/s", &namers), ("empty", vec![]));
    assert_eq!(bound("/s => /s", "/s", &namers), ("error", vec![]));
}

#[test]
fn overrides_have_the_last_word() {
    let (namers, _) = NamerSet::read(&[lab(&[("a", vec![endpoint(1)]), ("b", vec![endpoint(2)])])]);
    let cell = DtabCell::new(Dtab::parse("/s => /#/lab/a").unwrap());
    let overrides = Dtab::parse("/s => /#/lab/b").unwrap();
    let decision = bind(&cell, &overrides, &path("/s"), &namers).decision;
    assert_eq!(decision.leaves[0].bound.to_string(), "/#/lab/b");
    let tree = crate::delegate(&cell.snapshot(), &path("/s"), &namers);
    assert_eq!(tree.path.to_string(), "/s");
}

#[test]
fn reading_tells_what_is_wrong_with_the_data() {
    let root = TempDir::new().unwrap();
    disk::write(root.path().join("good"), "localhost 80\n").unwrap();
    disk::write(root.path().join("bad"), "127.0.0.1 80\n127.0.0.1 http\n").unwrap();
    disk::write(root.path().join("bytes"), b"127.0.0.1 80\n\xff\n").unwrap();
    disk::write(root.path().join("large"), "#".repeat(500_001)).unwrap();
    disk::write(root.path().join(".swap"), "not a name").unwrap();
    let missing = NamerConfig {
        prefix: path("/gone"),
        kind: NamerKind::Fs { root_dir: root.path().join("gone") },
        transformers: Vec::new(),
    };
    let (namers, problems) = NamerSet::read(&[missing, fs_at(root.path())]);
    let shown = |problem: &Problem| {
        let place = problem.finding.place().map(|(_, line, col)| (line, col));
        (problem.namer, problem.finding.code, place)
    };
    assert_eq!(
        problems.iter().map(shown).collect::<Vec<_>>(),
        [(0, "fs-directory", None), (1, "fs-file", Some((2, 11))), (1, "fs-file", Some((2, 1))), (1, "fs-file", None)],
        "{problems:?}"
    );
    let addresses = |name: &str| {
        let binding = bind(&DtabCell::default(), &Dtab::default(), &path(name), &namers);
        binding.decision.leaves[0].addresses.snapshot()
    };
    assert!(addresses("/#/fs/good").endpoints().iter().all(|endpoint| endpoint.addr.ip().is_loopback()));
    assert!(!addresses("/#/fs/good").endpoints().is_empty());
    for name in ["/#/fs/bad", "/#/fs/bytes", "/#/fs/large"] {
        assert!(matches!(*addresses(name), crate::Addresses::Failed(_)), "{name}");
    }
    assert_eq!(bound("", "/#/fs/.swap", &namers).0, "negative");
    assert_eq!(bound("", "/#/gone/users", &namers).0, "negative");
}

/// What can happen to the state behind bindings.
#[derive(Clone, Debug)]
enum Event {
    Dtab(usize),
    Write(usize, usize),
    Remove(usize),
    Resolve(usize, usize),
    AskedNames,
    InetAnswer(usize, usize),
    Sweep,
}

const DTABS: [&str; 4] = [
    "/s => /#/fs/a",
    "/s => /#/fs/a | /#/fs/b",
    "/s => 0.3 * /#/fs/d/c & 0.7 * /$/inet/users/80",
    "/s => /#/fs/b & /#/lab/web & $ ; /#/fs/b => /$/inet/billing/80 | /#/fs/a",
];
const FILES: [&str; 3] = ["a", "b", "d/c"];
const TEXTS: [&str; 5] = ["127.0.0.1 80", "", "users 80", "billing 81\n127.0.0.1 80", "malformed"];
const HOSTS: [&str; 2] = ["users", "billing"];

fn transformers(which: usize) -> Vec<Transformer> {
    let transformer = |kind: TransformerKind| Transformer { prefix: kind.default_prefix("t"), kind };
    let replace = |text: &str| transformer(TransformerKind::Replace { path: path(text) });
    match which {
        0 => Vec::new(),
        1 => vec![transformer(TransformerKind::Port { port: 4140 })],
        2 => vec![replace("/$/inet/billing/80"), transformer(TransformerKind::Port { port: 4140 })],
        3 => vec![replace("/#/plain/a")],
        _ => vec![transformer(TransformerKind::Const { path: path("/#/plain/d/c") })],
    }
}

fn answer(which: usize) -> Resolution {
    match which {
        0 => Resolution::Unknown,
        1 => Resolution::Temporary("away".to_owned()),
        _ => Resolution::Known(vec![[10, 0, 0, 1].into()]),
    }
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        (0..DTABS.len()).prop_map(Event::Dtab),
        (0..FILES.len(), 0..TEXTS.len()).prop_map(|(file, text)| Event::Write(file, text)),
        (0..FILES.len()).prop_map(Event::Remove),
        (0..HOSTS.len(), 0..3_usize).prop_map(|(host, which)| Event::Resolve(host, which)),
        Just(Event::AskedNames),
        (0..HOSTS.len(), 0..3_usize).prop_map(|(host, which)| Event::InetAnswer(host, which)),
        Just(Event::Sweep),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, ..ProptestConfig::default() })]

    #[test]
    fn a_binding_whose_dependencies_have_not_changed_is_what_binding_gives(
        events in prop::collection::vec(event(), 1..40),
        start in 0..DTABS.len(),
        transformed in 0..5_usize,
    ) {
        let root = TempDir::new().unwrap();
        disk::create_dir(root.path().join("d")).unwrap();
        let generation = Arc::new(Generation::new());
        let (fs_names, mut files) = fs::by_hand(root.path(), &generation);
        let (inet, mut table) = inet::by_hand(&generation);
        let lab = Configured::new(&lab(&[("web", vec![endpoint(1)])]), |_| unreachable!());
        let plain = Configured { prefix: path("/#/plain"), names: Names::Fs(fs_names.clone()), transformers: Vec::new() };
        let transformers = transformers(transformed);
        let fs = Configured { prefix: path("/#/fs"), names: Names::Fs(fs_names), transformers };
        let configured = vec![fs, plain, lab];
        let namers = NamerSet { configured, inet };
        let cell = DtabCell::new(Dtab::parse(DTABS[start]).unwrap());
        let fresh = || bind(&cell, &Dtab::default(), &path("/s"), &namers);

        let mut held = fresh();
        for event in events {
            let before = generation.current();
            match event {
                Event::Dtab(which) => cell.publish(Dtab::parse(DTABS[which]).unwrap(), &generation),
                Event::Write(file, text) => {
                    disk::write(root.path().join(FILES[file]), TEXTS[text]).unwrap();
                    files.scan();
                }
                Event::Remove(file) => {
                    let _missing_is_fine = disk::remove_file(root.path().join(FILES[file]));
                    files.scan();
                }
                Event::Resolve(host, which) => {
                    files.resolve(HOSTS[host], answer(which));
                }
                Event::AskedNames => table.take_in_asked(),
                Event::InetAnswer(host, which) => table.answer(HOSTS[host], &answer(which)),
                Event::Sweep => table.forget_all(),
            }
            let now = fresh();
            if held.dependencies.changed() {
                prop_assert!(generation.current() > before, "workers look only when the generation moved");
                held = now;
            } else {
                prop_assert_eq!(&held.decision, &now.decision);
            }
            if held.decision.outcome == Outcome::Bound {
                let shares: f64 = held.decision.leaves.iter().map(|leaf| leaf.share).sum();
                let all = shares + nothing(&held.decision.choice, 1.0);
                prop_assert!((all - 1.0).abs() < 1e-9, "{all}");
            }
        }
    }
}

/// The part of the traffic that `$` members get.
fn nothing(choice: &Choice, share: f64) -> f64 {
    match choice {
        Choice::Nothing => share,
        Choice::Leaf(_) => 0.0,
        Choice::Union(members) => members.iter().map(|(weight, member)| nothing(member, share * weight)).sum(),
    }
}
