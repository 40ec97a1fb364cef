//! Transformers: which bound path, which endpoints, and that both follow what they were made of.

#![expect(clippy::unwrap_used, clippy::panic, reason = "clippy allows them in tests, but not in what tests share")]

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;

use proptest::prelude::*;
use waypost_naming::{
    Answer, Bound, DelegateError, DelegateNode, DelegateTree, Dtab, NameTree, Namer, Path, Resolved, Segment, Target,
    Weighted, bind, delegate,
};
use waypost_routing::{
    AddressSet, Addresses, DtabCell, Endpoint, Generation, Leaf, Manner, NamerConfig, NamerKind, NamerSet, Transformer,
    TransformerKind, transform, transform_delegation,
};

type Set = Arc<AddressSet>;
type Tree = NameTree<Bound<Set>>;

fn path(text: &str) -> Path {
    text.parse().unwrap()
}

fn endpoint(addr: &str) -> Endpoint {
    Endpoint { addr: addr.parse().unwrap(), weight: 1.0 }
}

fn endpoints(addrs: &[&str]) -> Vec<Endpoint> {
    addrs.iter().map(|addr| endpoint(addr)).collect()
}

fn bound(id: &str, addr: Set) -> Bound<Set> {
    Bound { id: path(id), residual: path("/rest"), addr }
}

fn leaf(id: &str, addrs: &[&str]) -> Tree {
    NameTree::Leaf(bound(id, Arc::new(AddressSet::fixed(endpoints(addrs)))))
}

/// With the default prefix of the kind, as it is spelled.
fn transformer(spelled: &str, kind: TransformerKind) -> Transformer {
    Transformer { prefix: kind.default_prefix(spelled), kind }
}

fn port(port: u16) -> Transformer {
    transformer("port", TransformerKind::Port { port })
}

fn specific_host(host: &str) -> Transformer {
    transformer("specific_host", TransformerKind::SpecificHost { host: host.parse().unwrap() })
}

fn subnet(network: &str) -> Transformer {
    transformer("subnet", TransformerKind::Subnet { network: network.parse().unwrap() })
}

fn replace(text: &str) -> Transformer {
    transformer("replace", TransformerKind::Replace { path: path(text) })
}

fn constant(text: &str) -> Transformer {
    transformer("const", TransformerKind::Const { path: path(text) })
}

/// For transformers that have no path.
fn nobody(path: &Path) -> Result<Resolved<Set>, DelegateError> {
    panic!("{path} is nobody's")
}

fn transformed(tree: Tree, transformers: &[Transformer]) -> Tree {
    match transform(tree, transformers, &nobody) {
        Ok(Resolved::Tree(tree)) => tree,
        other => panic!("{other:?}"),
    }
}

fn addrs(set: &Set) -> Vec<String> {
    set.snapshot().endpoints().iter().map(|endpoint| endpoint.addr.to_string()).collect()
}

#[test]
fn bound_paths_and_endpoints_are_those_of_linkerd() {
    let here = TransformerKind::Localhost { addresses: ["10.1.2.3".parse().unwrap()].into() };
    let host = |text: &str| TransformerKind::SpecificHost { host: text.parse().unwrap() };
    let network = |text: &str| TransformerKind::Subnet { network: text.parse().unwrap() };
    let all = ["10.1.2.3:80", "10.1.3.3:81", "127.0.0.1:82", "[::1]:83", "[::ffff:10.1.2.3]:84"];
    for (spelled, kind, id, left) in [
        (
            "io.l5d.port",
            TransformerKind::Port { port: 4141 },
            "/%/io.l5d.port/4141/#/io.l5d.fs/users",
            vec!["10.1.2.3:4141", "10.1.3.3:4141", "127.0.0.1:4141", "[::1]:4141", "[::ffff:10.1.2.3]:4141"],
        ),
        ("port", TransformerKind::Port { port: 1 }, "/%/port/1/#/io.l5d.fs/users", vec![]),
        (
            "io.l5d.localhost",
            here,
            "/%/io.l5d.localhost/#/io.l5d.fs/users",
            vec!["10.1.2.3:80", "127.0.0.1:82", "[::1]:83", "[::ffff:10.1.2.3]:84"],
        ),
        (
            "io.l5d.specificHost",
            host("10.1.2.3"),
            "/%/io.l5d.specificHost/#/io.l5d.fs/users",
            vec!["10.1.2.3:80", "[::ffff:10.1.2.3]:84"],
        ),
        ("specific_host", host("::1"), "/%/specific_host/#/io.l5d.fs/users", vec!["[::1]:83"]),
        (
            "subnet",
            network("10.1.2.7/24"),
            "/%/subnet/10.1.2.0/24/#/io.l5d.fs/users",
            vec!["10.1.2.3:80", "[::ffff:10.1.2.3]:84"],
        ),
    ] {
        let tree = transformed(leaf("/#/io.l5d.fs/users", &all), &[transformer(spelled, kind)]);
        let NameTree::Leaf(bound) = tree else { panic!("{tree:?}") };
        assert_eq!((bound.id.to_string(), bound.residual.to_string()), (id.to_owned(), "/rest".to_owned()));
        if !left.is_empty() {
            assert_eq!(addrs(&bound.addr), left, "{spelled}");
        }
    }
}

#[test]
fn the_last_transformer_is_outermost_and_a_prefix_can_be_chosen() {
    let mine = Transformer { prefix: path("/p/q"), kind: TransformerKind::Port { port: 2 } };
    let tree = transformed(leaf("/#/fs/users", &["10.0.0.1:80"]), &[specific_host("10.0.0.1"), mine, port(3)]);
    assert_eq!(tree.to_string(), "/%/port/3/%/p/q/%/specific_host/#/fs/users");
    assert_eq!(addrs(&tree.leaves()[0].addr), ["10.0.0.1:3"]);
}

#[test]
fn the_interfaces_of_this_machine_are_found() {
    let TransformerKind::Localhost { addresses } = TransformerKind::localhost().unwrap() else { unreachable!() };
    assert!(addresses.iter().any(|ip| ip.is_loopback()), "{addresses:?}");
}

#[test]
fn endpoints_that_fall_together_keep_the_share_of_their_host() {
    let mut three = endpoints(&["10.0.0.1:80", "10.0.0.2:80", "10.0.0.1:81"]);
    three[2].weight = 0.5;
    let tree = NameTree::Leaf(bound("/#/fs/users", Arc::new(AddressSet::fixed(three))));
    let tree = transformed(tree, &[port(4140)]);
    let set = tree.leaves()[0].addr.snapshot();
    let weights: Vec<_> = set.endpoints().iter().map(|endpoint| (endpoint.addr.to_string(), endpoint.weight)).collect();
    assert_eq!(weights, [("10.0.0.1:4140".to_owned(), 1.5), ("10.0.0.2:4140".to_owned(), 1.0)]);
}

#[test]
fn a_filter_that_leaves_nothing_leaves_the_leaf_and_its_share() {
    let member = |id: &str, addr: &str| Weighted { weight: 1.0, tree: leaf(id, &[addr]) };
    let tree = NameTree::Union(vec![member("/#/fs/a", "10.0.0.1:80"), member("/#/fs/b", "10.0.0.2:80")]);
    let tree = transformed(tree, &[subnet("10.0.0.2/32")]);
    assert_eq!(tree.to_string(), "/%/subnet/10.0.0.2/32/#/fs/a & /%/subnet/10.0.0.2/32/#/fs/b");
    assert_eq!(*tree.leaves()[0].addr.snapshot(), Addresses::Neg);
    assert_eq!(addrs(&tree.leaves()[1].addr), ["10.0.0.2:80"]);
}

/// Binds `/known` and `/two`, waits for `/pending` and does not know any other.
fn some(path: &Path) -> Result<Resolved<Set>, DelegateError> {
    Ok(match path.to_string().as_str() {
        "/known" => Resolved::Tree(leaf("/somewhere/known", &["10.0.0.9:9"])),
        "/pending" => Resolved::Pending,
        "/error" => return Err(DelegateError::Namer { path: path.clone(), message: "away".to_owned() }),
        _ => Resolved::Tree(NameTree::Neg),
    })
}

#[test]
fn const_supplants_the_whole_and_replace_each_leaf() {
    let leaves = || {
        let member = |id: &str| Weighted { weight: 1.0, tree: leaf(id, &["10.0.0.1:80"]) };
        NameTree::Union(vec![member("/#/fs/a"), Weighted { weight: 1.0, tree: NameTree::Empty }])
    };
    for (tree, transformers, expected) in [
        (leaves(), vec![constant("/known")], "/%/const/known"),
        (NameTree::Neg, vec![constant("/known")], "/%/const/known"),
        (NameTree::Fail, vec![constant("/known")], "/%/const/known"),
        (leaves(), vec![constant("/unknown")], "~"),
        (leaves(), vec![replace("/known")], "/%/replace/known & $"),
        (NameTree::Neg, vec![replace("/known")], "~"),
        (NameTree::Neg, vec![replace("/pending")], "~"),
        (NameTree::Fail, vec![replace("/error")], "!"),
        (leaves(), vec![replace("/unknown")], "$"),
        (leaves(), vec![replace("/known"), port(7)], "/%/port/7/%/replace/known & $"),
        (leaves(), vec![port(7), constant("/known")], "/%/const/known"),
    ] {
        let Ok(Resolved::Tree(tree)) = transform(tree, &transformers, &some) else { panic!("{transformers:?}") };
        assert_eq!(tree.to_string(), expected, "{transformers:?}");
    }
    assert_eq!(transform(leaves(), &[constant("/pending")], &some), Ok(Resolved::Pending));
    assert_eq!(transform(leaves(), &[replace("/pending"), port(7)], &some), Ok(Resolved::Pending));
    assert!(transform(leaves(), &[replace("/error")], &some).is_err());
}

#[test]
fn derived_sets_follow_their_base_and_are_one_while_somebody_holds_them() {
    let (generation, base) = (Generation::new(), Arc::new(AddressSet::new(Addresses::Pending)));
    let derived = |transformers: &[Transformer]| {
        let tree = transformed(NameTree::Leaf(bound("/#/fs/users", Arc::clone(&base))), transformers);
        Arc::clone(&tree.leaves()[0].addr)
    };
    let (one, same, other) = (derived(&[port(1)]), derived(&[port(1)]), derived(&[port(2)]));
    assert!(Arc::ptr_eq(&one, &same) && !Arc::ptr_eq(&one, &other));
    assert!(one.snapshot().is_pending());
    let version = one.version();

    base.publish(Addresses::Bound(endpoints(&["10.0.0.1:80"]).into()), &generation);
    assert!(one.version() > version);
    assert_eq!((addrs(&one), addrs(&other)), (vec!["10.0.0.1:1".to_owned()], vec!["10.0.0.1:2".to_owned()]));
    assert!(Arc::ptr_eq(&one.snapshot(), &one.snapshot()), "computed once for each change");
    assert!(!one.publish(Addresses::Neg, &generation), "only the base is published to");
    assert_eq!(addrs(&one), ["10.0.0.1:1"]);

    let chained = derived(&[port(1), specific_host("10.0.0.2")]);
    assert_eq!(*chained.snapshot(), Addresses::Neg);
    assert!(Arc::ptr_eq(&chained, &derived(&[port(1), specific_host("10.0.0.2")])));
    drop((one, same, other, chained));
    assert_eq!(Arc::strong_count(&base), 1, "nothing holds a set but who uses it");
}

#[test]
fn derived_sets_of_equal_fixed_sets_are_equal() {
    let derived = |addr: &str, number| {
        let tree = transformed(leaf("/$/inet/x/80", &[addr]), &[port(number)]);
        Arc::clone(&tree.leaves()[0].addr)
    };
    assert_eq!(derived("10.0.0.1:80", 1), derived("10.0.0.1:80", 1));
    assert_ne!(derived("10.0.0.1:80", 1), derived("10.0.0.1:80", 2));
    assert_ne!(derived("10.0.0.1:80", 1), derived("10.0.0.2:80", 1));
    assert_ne!(*derived("10.0.0.1:80", 80), AddressSet::fixed(endpoints(&["10.0.0.1:80"])));
}

fn lab(prefix: &str, services: &[(&str, &[&str])], transformers: Vec<Transformer>) -> NamerConfig {
    let services = services.iter().map(|(name, addrs)| (Segment::new(name.to_string()).unwrap(), endpoints(addrs)));
    NamerConfig { prefix: path(prefix), kind: NamerKind::Static { services: services.collect() }, transformers }
}

/// The bound path and what it leads to.
fn found(namers: &NamerSet, name: &str) -> Result<(String, Vec<String>), String> {
    match namers.lookup(&path(name)) {
        Answer::Tree(NameTree::Leaf(Target::Bound(bound))) => Ok((bound.id.to_string(), addrs(&bound.addr))),
        Answer::Tree(tree) => Err(tree.map(|_| "a leaf").to_string()),
        Answer::Pending => Err("pending".to_owned()),
        Answer::Error(error) => Err(error.to_string()),
    }
}

#[test]
fn transformers_of_a_namer_change_its_own_answers_only() {
    let configs = [
        lab("/a", &[("web", &["10.0.0.1:80"])], vec![port(1), specific_host("10.0.0.1")]),
        lab("/b", &[("web", &["10.0.0.2:80"])], Vec::new()),
        lab("/c", &[("web", &["10.0.0.3:80"])], vec![constant("/#/a/web")]),
        lab("/d", &[("web", &["10.0.0.4:80"])], vec![replace("/$/inet/10.0.0.5/5/rest")]),
    ];
    let (namers, _) = NamerSet::read(&configs);
    let is = |id: &str, addr: &str| Ok((id.to_owned(), vec![addr.to_owned()]));
    for (name, expected) in [
        ("/#/a/web/x", is("/%/specific_host/%/port/1/#/a/web", "10.0.0.1:1")),
        ("/#/a/gone", Err("~".to_owned())),
        ("/#/b/web", is("/#/b/web", "10.0.0.2:80")),
        ("/#/c/web", is("/%/const/#/a/web", "10.0.0.1:1")),
        ("/#/c/gone", is("/%/const/#/a/web", "10.0.0.1:1")),
        ("/#/d/web", is("/%/replace/$/inet/10.0.0.5/5/rest", "10.0.0.5:5")),
        ("/#/d/gone", Err("~".to_owned())),
        ("/$/inet/10.0.0.6/6", is("/$/inet/10.0.0.6/6", "10.0.0.6:6")),
    ] {
        assert_eq!(found(&namers, name), expected, "{name}");
    }
}

#[test]
fn transformers_that_lead_back_to_their_own_namer_end() {
    let (namers, _) = NamerSet::read(&[lab("/a", &[("web", &["10.0.0.1:80"])], vec![replace("/#/a/web")])]);
    let error = found(&namers, "/#/a/web").unwrap_err();
    assert!(error.contains("lead back"), "{error}");
    assert_eq!(found(&namers, "/#/a/gone"), Err("~".to_owned()));
}

#[test]
fn transformers_of_a_router_change_all_that_it_binds() {
    let (namers, _) = NamerSet::read(&[lab("/lab", &[("a", &["10.0.0.1:80"]), ("b", &["10.0.0.2:80"])], Vec::new())]);
    let cell = DtabCell::new(Dtab::parse("/s => 3 * /#/lab/a & 1 * /#/lab/b; /t => /$/inet/10.0.0.3/80").unwrap());
    let leaves = |name: &str, transformers: &[Transformer]| {
        let decision =
            (Manner { transformers, occupants: None }).bind(&cell, &Dtab::default(), &path(name), &namers).decision;
        let leaf = |leaf: &Leaf| (leaf.bound.to_string(), leaf.share, addrs(&leaf.addresses));
        (decision.outcome.word(), decision.leaves.iter().map(leaf).collect::<Vec<_>>())
    };
    let leaf = |bound: &str, share: f64, addrs: &[&str]| {
        (bound.to_owned(), share, addrs.iter().map(|addr| (*addr).to_owned()).collect::<Vec<_>>())
    };
    for (name, transformers, expected) in [
        (
            "/s",
            vec![port(4140), specific_host("10.0.0.1")],
            (
                "bound",
                vec![
                    leaf("/%/specific_host/%/port/4140/#/lab/a", 0.75, &["10.0.0.1:4140"]),
                    leaf("/%/specific_host/%/port/4140/#/lab/b", 0.25, &[]),
                ],
            ),
        ),
        ("/s", vec![replace("/#/lab/b")], ("bound", vec![leaf("/%/replace/#/lab/b", 1.0, &["10.0.0.2:80"])])),
        ("/gone", vec![replace("/#/lab/b")], ("negative", vec![])),
        ("/gone", vec![constant("/t")], ("negative", vec![])),
        ("/gone", vec![constant("/#/lab/b")], ("bound", vec![leaf("/%/const/#/lab/b", 1.0, &["10.0.0.2:80"])])),
        ("/t", vec![], ("bound", vec![leaf("/$/inet/10.0.0.3/80", 1.0, &["10.0.0.3:80"])])),
        ("/t", vec![constant("/$/unknown/x")], ("error", vec![])),
    ] {
        assert_eq!(leaves(name, &transformers), expected, "{name} {transformers:?}");
    }
    let tree = (Manner { transformers: &[port(1)], occupants: None }).delegate(&cell.snapshot(), &path("/t"), &namers);
    assert_eq!(
        outline(&tree),
        "/t > /$/inet/10.0.0.3/80 = /$/inet/10.0.0.3/80 [/%/port/1] \
         /%/port/1/$/inet/10.0.0.3/80 = /%/port/1/$/inet/10.0.0.3/80"
    );
}

/// A node and what is below it, in short.
fn outline(tree: &DelegateTree<Set>) -> String {
    let at = &tree.path;
    match &tree.node {
        DelegateNode::Leaf(bound) => format!("{at} = {}", bound.id),
        DelegateNode::Delegate(tree) => format!("{at} > {}", outline(tree)),
        DelegateNode::Alt(trees) => format!("{at} ({})", trees.iter().map(outline).collect::<Vec<_>>().join(" | ")),
        DelegateNode::Union(members) => {
            format!("{at} ({})", members.iter().map(|(_, tree)| outline(tree)).collect::<Vec<_>>().join(" & "))
        }
        DelegateNode::Transformation { name, bound, tree } => {
            format!("{at} = {} [{name}] {}", bound.id, outline(tree))
        }
        DelegateNode::Exception(_) => format!("{at} error"),
        DelegateNode::Vacant(bound) => format!("{at} vacant {}", bound.id),
        DelegateNode::Neg | DelegateNode::Fail | DelegateNode::Empty | DelegateNode::Pending => format!("{at} nothing"),
    }
}

#[test]
fn people_see_what_each_transformer_made_of_a_leaf() {
    let (namers, _) = NamerSet::read(&[lab("/lab", &[("a", &["10.0.0.1:80"]), ("b", &["10.0.0.2:80"])], Vec::new())]);
    let plain = Dtab::default();
    for (dtab, transformers, expected) in [
        (
            "/s => /#/lab/a",
            vec![port(1), specific_host("10.0.0.1")],
            "/s > /#/lab/a = /#/lab/a [/%/port/1] /%/port/1/#/lab/a = /%/port/1/#/lab/a [/%/specific_host] \
             /%/specific_host/%/port/1/#/lab/a = /%/specific_host/%/port/1/#/lab/a",
        ),
        (
            "/s => /#/lab/a | /#/lab/b",
            vec![replace("/#/lab/b")],
            "/s (/#/lab/a = /#/lab/a [/%/replace] /#/lab/b = /%/replace/#/lab/b | \
             /#/lab/b = /#/lab/b [/%/replace] /#/lab/b = /%/replace/#/lab/b)",
        ),
        ("/s => /#/lab/gone", vec![constant("/#/lab/b")], "/s > /#/lab/b = /%/const/#/lab/b"),
        ("/s => /$/unknown/x", vec![constant("/#/lab/b")], "/s > /$/unknown/x error"),
    ] {
        let tree = delegate(&Dtab::parse(dtab).unwrap(), &path("/s"), &namers);
        let tree = transform_delegation(tree, &transformers, &|path| delegate(&plain, path, &namers));
        assert_eq!(outline(&tree), expected, "{dtab}");
    }
}

fn any_addresses() -> impl Strategy<Value = Addresses> {
    let endpoint = (0..4_u8, 0..3_u16, 0..4_u8).prop_map(|(host, port, weight)| Endpoint {
        addr: SocketAddr::from(([10, 0, host / 2, host], 80 + port)),
        weight: f64::from(weight),
    });
    prop_oneof![
        6 => prop::collection::vec(endpoint, 0..6).prop_map(|list| Addresses::Bound(list.into())),
        1 => Just(Addresses::Neg),
        1 => Just(Addresses::Pending),
        1 => Just(Addresses::Failed("away".into())),
    ]
}

/// Those that need no path.
fn any_mapping() -> impl Strategy<Value = Transformer> {
    prop_oneof![
        (1..3_u16).prop_map(port),
        (0..4_u8).prop_map(|host| specific_host(&format!("10.0.{}.{host}", host / 2))),
        (30..33_u8).prop_map(|bits| subnet(&format!("10.0.0.1/{bits}"))),
        (0..4_u8).prop_map(|host| {
            let addresses = [std::net::IpAddr::from([10, 0, host / 2, host])].into();
            transformer("localhost", TransformerKind::Localhost { addresses })
        }),
    ]
}

/// What a transformer does to addresses, plainly.
fn plainly(addresses: Addresses, transformer: &Transformer) -> Addresses {
    let Addresses::Bound(list) = &addresses else { return addresses };
    let stays = |endpoint: &Endpoint| match &transformer.kind {
        TransformerKind::SpecificHost { host } => endpoint.addr.ip() == *host,
        TransformerKind::Subnet { network } => network.contains(endpoint.addr.ip()),
        TransformerKind::Localhost { addresses } => addresses.contains(&endpoint.addr.ip()),
        TransformerKind::Port { .. } | TransformerKind::Const { .. } | TransformerKind::Replace { .. } => true,
    };
    if let TransformerKind::Port { port } = transformer.kind {
        let mut all: Vec<Endpoint> = Vec::new();
        for Endpoint { addr, weight } in list.iter() {
            let addr = SocketAddr::new(addr.ip(), port);
            match all.iter_mut().find(|known| known.addr == addr) {
                Some(known) => known.weight += weight,
                None => all.push(Endpoint { addr, weight: *weight }),
            }
        }
        return Addresses::Bound(all.into());
    }
    let left: Vec<_> = list.iter().filter(|endpoint| stays(endpoint)).cloned().collect();
    if left.is_empty() { Addresses::Neg } else { Addresses::Bound(left.into()) }
}

const NAMES: [&str; 5] = ["/#/lab/a", "/#/lab/b", "/#/lab/none", "/#/lab/gone", "/t"];

fn any_dtab() -> impl Strategy<Value = String> {
    let name = prop::sample::select(vec!["/#/lab/a", "/#/lab/b", "/#/lab/none", "/#/lab/gone", "/t", "~", "$"]);
    let tree = name.prop_map(str::to_owned).prop_recursive(3, 8, 3, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 2..4).prop_map(|trees| format!("({})", trees.join(" | "))),
            prop::collection::vec(inner, 2..4).prop_map(|trees| format!("(2 * {})", trees.join(" & 1 * "))),
        ]
    });
    (tree.clone(), tree).prop_map(|(s, t)| format!("/s => {s}; /t => {}", t.replace("/t", "/#/lab/a")))
}

fn any_transformer() -> impl Strategy<Value = Transformer> {
    let names = || prop::sample::select(NAMES[..3].to_vec());
    prop_oneof![4 => any_mapping(), 1 => names().prop_map(replace), 1 => names().prop_map(constant)]
}

/// Bound paths and addresses with their shares, as a request gets them.
fn shares(tree: &Tree, share: f64, into: &mut BTreeMap<(String, String), f64>) {
    match tree {
        NameTree::Leaf(bound) => {
            *into.entry((bound.id.to_string(), format!("{:?}", bound.addr.snapshot()))).or_default() += share;
        }
        NameTree::Union(members) => {
            let sum: f64 = members.iter().map(|member| member.weight).sum();
            members.iter().for_each(|member| shares(&member.tree, share * member.weight / sum, into));
        }
        NameTree::Empty => *into.entry(("$".to_owned(), String::new())).or_default() += share,
        NameTree::Alt(_) | NameTree::Neg | NameTree::Fail => {}
    }
}

fn rounded(shares: BTreeMap<(String, String), f64>) -> Vec<(String, String, i64)> {
    #[expect(clippy::cast_possible_truncation, reason = "a share is at most 1")]
    let millionths = |share: f64| (share * 1e6).round() as i64;
    shares.into_iter().map(|((id, addrs), share)| (id, addrs, millionths(share))).collect()
}

proptest! {
    #[test]
    fn derived_sets_are_what_the_transformers_make_of_the_base_now(
        start in any_addresses(),
        changes in prop::collection::vec(any_addresses(), 0..12),
        transformers in prop::collection::vec(any_mapping(), 1..4),
    ) {
        let (generation, base) = (Generation::new(), Arc::new(AddressSet::new(start)));
        let derive = || {
            let tree = transformed(NameTree::Leaf(bound("/#/fs/users", Arc::clone(&base))), &transformers);
            Arc::clone(&tree.leaves()[0].addr)
        };
        let held = derive();
        let mut seen = (held.version(), held.snapshot());
        for change in changes {
            base.publish(change, &generation);
            let expected = transformers.iter().fold(Addresses::clone(&base.snapshot()), plainly);
            let now = (held.version(), held.snapshot());
            prop_assert_eq!(&*now.1, &expected);
            prop_assert!(now.0 > seen.0 || now.1 == seen.1, "who compares versions misses nothing");
            prop_assert!(Arc::ptr_eq(&held, &derive()));
            seen = now;
        }
    }

    #[test]
    fn people_see_what_requests_get(
        dtab in any_dtab(),
        transformers in prop::collection::vec(any_transformer(), 0..4),
    ) {
        let services: [(&str, &[&str]); 3] = [("a", &["10.0.0.1:80"]), ("b", &["10.0.1.2:80"]), ("none", &[])];
        let (namers, _) = NamerSet::read(&[lab("/lab", &services, Vec::new())]);
        let (dtab, plain, name) = (Dtab::parse(&dtab).unwrap(), Dtab::default(), path("/s"));
        let Ok(Resolved::Tree(tree)) = bind(&dtab, &name, &namers) else { unreachable!() };
        let requests = transform(tree, &transformers, &|path| bind(&plain, path, &namers));
        let Ok(Resolved::Tree(requests)) = requests else { unreachable!() };
        let mut expected = BTreeMap::new();
        shares(&requests, 1.0, &mut expected);

        let tree = delegate(&dtab, &name, &namers);
        let people = transform_delegation(tree, &transformers, &|path| delegate(&plain, path, &namers));
        let mut seen: BTreeMap<_, f64> = BTreeMap::new();
        for winner in people.winner().leaves() {
            let key = if let DelegateNode::Leaf(bound) = &winner.node.node {
                (bound.id.to_string(), format!("{:?}", bound.addr.snapshot()))
            } else {
                prop_assert_eq!(&winner.node.node, &DelegateNode::Empty);
                ("$".to_owned(), String::new())
            };
            *seen.entry(key).or_default() += winner.share;
        }
        prop_assert_eq!(rounded(seen), rounded(expected));
    }
}
