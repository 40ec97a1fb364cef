//! Falling back on names where nobody can be asked, for routers that want it.

#![expect(clippy::unwrap_used, reason = "clippy allows it in tests, but not in what tests share")]

use std::sync::Arc;
use std::time::{Duration, Instant};

use waypost_naming::{DelegateNode, Dtab, Path, Segment};
use waypost_routing::{
    AccrualPolicy, Binding, DtabCell, Endpoint, Health, HealthRegistry, Manner, NamerConfig, NamerKind, NamerSet,
    Network, Occupants, Transformer, TransformerKind,
};

const ONCE: AccrualPolicy = AccrualPolicy::ConsecutiveFailures {
    failures: 1,
    backoff_min: Duration::from_secs(60),
    backoff_max: Duration::from_secs(60),
};

fn path(text: &str) -> Path {
    text.parse().unwrap()
}

/// Services of a static namer at `/#/lab`, and who of them is ejected.
struct Lab {
    namers: NamerSet,
    health: HealthRegistry,
    cell: DtabCell,
}

impl Lab {
    fn new(dtab: &str) -> Self {
        let service = |(name, addrs): (&str, &[&str])| {
            let endpoints = addrs.iter().map(|addr| Endpoint { addr: addr.parse().unwrap(), weight: 1.0 });
            (Segment::new(name.to_owned()).unwrap(), endpoints.collect())
        };
        let services: [(&str, &[&str]); 4] = [
            ("none", &[]),
            ("one", &["10.0.0.1:80"]),
            ("two", &["10.0.0.1:81", "10.0.0.2:81"]),
            ("far", &["10.9.0.1:80"]),
        ];
        let kind = NamerKind::Static { services: services.map(service).to_vec() };
        let (namers, _) = NamerSet::read(&[NamerConfig { prefix: path("/lab"), kind, transformers: Vec::new() }]);
        Self { namers, health: HealthRegistry::new(), cell: DtabCell::new(Dtab::parse(dtab).unwrap()) }
    }

    fn manner<'a>(&'a self, transformers: &'a [Transformer]) -> Manner<'a> {
        Manner { transformers, occupants: Some(Occupants { health: &self.health, router: "out" }) }
    }

    fn bind(&self, transformers: &[Transformer]) -> Binding {
        self.manner(transformers).bind(&self.cell, &Dtab::default(), &path("/s"), &self.namers)
    }

    /// The outcome, and the leaves with their shares.
    fn found(&self, transformers: &[Transformer]) -> String {
        let decision = self.bind(transformers).decision;
        let leaves = decision.leaves.iter().map(|leaf| format!(" {} {}", leaf.bound, leaf.share));
        let found = decision.outcome.word().to_owned() + &leaves.collect::<String>();
        let tree = self.manner(transformers).delegate(&self.cell.snapshot(), &path("/s"), &self.namers);
        let winners = tree.winner();
        let shown = winners.leaves().iter().filter_map(|winner| match &winner.node.node {
            DelegateNode::Leaf(bound) => Some(format!(" {} {}", bound.id, winner.share)),
            DelegateNode::Neg
            | DelegateNode::Fail
            | DelegateNode::Empty
            | DelegateNode::Pending
            | DelegateNode::Exception(_)
            | DelegateNode::Vacant(_)
            | DelegateNode::Delegate(_)
            | DelegateNode::Alt(_)
            | DelegateNode::Union(_)
            | DelegateNode::Transformation { .. } => None,
        });
        assert_eq!(
            found.split_once(' ').map_or("", |(_, leaves)| leaves),
            shown.collect::<String>().trim_start(),
            "people see the same"
        );
        found
    }

    fn eject(&self, bound: &str, addr: &str) -> Arc<Health> {
        let health = self.health.health("out", &path(bound), addr.parse().unwrap());
        health.failure(&ONCE, Instant::now());
        health
    }
}

#[test]
fn alternatives_are_tried_where_a_set_is_empty() {
    for (dtab, found) in [
        ("/s => /#/lab/none | /#/lab/one", "bound /#/lab/one 1"),
        ("/s => /#/lab/one ; /s => /#/lab/none", "bound /#/lab/one 1"),
        ("/s => /#/lab/none | /#/lab/gone", "bound /#/lab/none 1"),
        ("/s => /#/lab/none | /#/lab/none", "bound /#/lab/none 1"),
        ("/s => /#/lab/none | ! | /#/lab/one", "failed"),
        ("/s => /#/lab/gone", "negative"),
        ("/s => 3 * /#/lab/one & 1 * /#/lab/two & 4 * /#/lab/none", "bound /#/lab/one 0.75 /#/lab/two 0.25"),
        ("/s => (/#/lab/none & /#/lab/gone) | /#/lab/two", "bound /#/lab/two 1"),
    ] {
        assert_eq!(Lab::new(dtab).found(&[]), found, "{dtab}");
    }
}

#[test]
fn in_linkerds_manner_a_bound_name_is_an_answer() {
    let lab = Lab::new("/s => /#/lab/none | /#/lab/one");
    let binding = Manner::default().bind(&lab.cell, &Dtab::default(), &path("/s"), &lab.namers);
    assert_eq!(binding.decision.leaves[0].bound.to_string(), "/#/lab/none");
    assert!(!binding.occupancy.changed());
}

#[test]
fn alternatives_are_tried_while_all_endpoints_are_ejected() {
    let lab = Lab::new("/s => /#/lab/two | /#/lab/one");
    let before = lab.bind(&[]);
    let first = lab.eject("/#/lab/two", "10.0.0.1:81");
    assert!(!before.occupancy.changed(), "another one is alive");
    let _second = lab.eject("/#/lab/two", "10.0.0.2:81");
    assert!(before.occupancy.changed());
    assert_eq!(lab.found(&[]), "bound /#/lab/one 1");

    let fallen_back = lab.bind(&[]);
    assert!(!fallen_back.occupancy.changed());
    first.success();
    assert!(fallen_back.occupancy.changed(), "one is back");
    assert_eq!(lab.found(&[]), "bound /#/lab/two 1");
}

#[test]
fn the_first_name_is_the_last_resort() {
    let lab = Lab::new("/s => /#/lab/two | /#/lab/one");
    let _ejected = [("/#/lab/two", "10.0.0.1:81"), ("/#/lab/two", "10.0.0.2:81"), ("/#/lab/one", "10.0.0.1:80")]
        .map(|(bound, addr)| lab.eject(bound, addr));
    assert_eq!(lab.found(&[]), "bound /#/lab/two 1");
}

#[test]
fn what_transformers_leave_is_what_is_judged() {
    let network: Network = "10.9.0.0/16".parse().unwrap();
    let subnet = Transformer { prefix: path("/near"), kind: TransformerKind::Subnet { network } };
    let lab = Lab::new("/s => /#/lab/two | /#/lab/far");
    assert_eq!(lab.found(std::slice::from_ref(&subnet)), "bound /%/near/#/lab/far 1");
    let lab = Lab::new("/s => /#/lab/two | /#/lab/one");
    assert_eq!(lab.found(&[subnet]), "bound /%/near/#/lab/two 1");
}

/// A request's own rules may name a large set as often as a header has room: that must not cost its endpoints each time.
#[test]
fn a_set_is_judged_once_however_often_it_is_named() {
    for names in ["/#/lab/two", "/#/lab/none"] {
        let many = [names; 5_000].join(" & ");
        let lab = Lab::new(&format!("/s => {many}"));
        let judged = format!("{:?}", lab.bind(&[]).occupancy);
        assert!(judged.contains("judged: 1,"), "{judged}");
        let to_one = Transformer { prefix: path("/to"), kind: TransformerKind::Replace { path: path("/#/lab/two") } };
        let judged = format!("{:?}", lab.bind(&[to_one]).occupancy);
        assert!(judged.contains("judged: 1,"), "{judged}");
    }
}
