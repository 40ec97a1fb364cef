//! Decisions by compiled rules against those by the plain dtab, over names in any state; and who has to decide again.

use std::cell::Cell;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use waypost_naming::{NamerError, Segment, Target};

use super::*;
use crate::address::{Addresses, Endpoint};
use crate::dependencies::Version;
use crate::generation::Generation;
use crate::health::HealthRegistry;
use crate::namer::{NamerConfig, NamerKind};

fn path(text: &str) -> Path {
    text.parse().unwrap()
}

fn dtab(text: &str) -> Dtab {
    text.parse().unwrap()
}

fn endpoint(port: u16) -> Endpoint {
    Endpoint { addr: ([127, 0, 0, 1], port).into(), weight: 1.0 }
}

/// What a name of the [`Lab`] can be.
#[derive(Clone, Copy, Debug)]
enum State {
    /// There is no such name.
    Gone,
    /// Bound; its addresses are what was published last.
    Here,
    /// The namer has not answered.
    Unheard,
    /// The namer cannot tell.
    Failing,
    /// It is another path.
    Elsewhere,
    /// It is some of each.
    Union,
}

/// `/n/<number>/..` is in the state of that number.
struct Lab {
    names: Vec<(Cell<State>, Arc<AddressSet>)>,
    asked: RefCell<Vec<Path>>,
}

impl Lab {
    fn new(names: usize) -> Self {
        let name = || (Cell::new(State::Gone), Arc::new(AddressSet::new(Addresses::Pending)));
        Self { names: std::iter::repeat_with(name).take(names).collect(), asked: RefCell::default() }
    }
}

impl Namer for Lab {
    type Addr = Arc<AddressSet>;

    fn lookup(&self, path: &Path) -> Answer<Self::Addr> {
        self.asked.borrow_mut().push(path.clone());
        let number = path.strip_prefix(&"/n".parse().unwrap()).and_then(<[Segment]>::first).map(Segment::to_string);
        let name = number.and_then(|number| self.names.get(number.parse::<usize>().ok()?));
        let Some((state, addr)) = name else { return Answer::Tree(NameTree::Neg) };
        let bound = || Bound { id: path.take(2), residual: path.drop(2), addr: Arc::clone(addr) };
        let here = || NameTree::Leaf(Target::Bound(bound()));
        let elsewhere = || NameTree::Leaf(Target::Path(path.drop(2)));
        let member = |tree| Weighted { weight: 1.0, tree };
        Answer::Tree(match state.get() {
            State::Gone => NameTree::Neg,
            State::Here => here(),
            State::Unheard => return Answer::Pending,
            State::Failing => return Answer::Error(NamerError("out of order".to_owned())),
            State::Elsewhere => elsewhere(),
            State::Union => NameTree::Union([here(), elsewhere(), NameTree::Fail].map(member).into()),
        })
    }
}

/// One thing that happens to a name.
#[derive(Clone, Debug)]
enum Event {
    Becomes(State),
    Publishes(Addresses),
}

const NAMES: usize = 4;

fn events() -> impl Strategy<Value = Vec<(usize, Event)>> {
    let states =
        [State::Here, State::Here, State::Gone, State::Unheard, State::Failing, State::Elsewhere, State::Union];
    let addresses = [
        Addresses::Bound([endpoint(1)].into()),
        Addresses::Bound([].into()),
        Addresses::Neg,
        Addresses::Failed("away".into()),
    ];
    let event = prop_oneof![
        2 => select(states.to_vec()).prop_map(Event::Becomes),
        1 => select(addresses.to_vec()).prop_map(Event::Publishes),
    ];
    vec((0..NAMES, event), 2..10)
}

/// Few lead in circles: these are thousands of look-ups, and naming's own tests have enough of them.
fn rules() -> impl Strategy<Value = Vec<String>> {
    let any = (&["/", "/*"][..], &["~", "!", "$"][..]);
    let wide = (&["/s/*", "/*/a"][..], &["/n/0", "/n/1", "/n/2/x", "~", "!", "$", "/nowhere"][..]);
    let trees = [
        "/n/0 | /n/1",
        "/n/1 | ! | /n/2",
        "/n/2 | /t",
        "1*/n/0 & 3*/n/1",
        "0*/n/2 & 0*/n/3",
        "/n/3 & $ & /t/b",
        "2*(/n/0 | /n/1) & ~",
        "/n/0 | (/n/1 & /n/2) | /t",
        "/n/3",
        "/t",
        "~",
    ];
    let narrow = (&["/s", "/s", "/s/a", "/t", "/t/*/a", "/n/0"][..], &trees[..]);
    let texts: Vec<_> = [any, wide, narrow]
        .into_iter()
        .flat_map(|(prefixes, trees)| prefixes.iter().flat_map(|prefix| trees.iter().map(move |tree| (prefix, tree))))
        .map(|(prefix, tree)| format!("{prefix}=>{tree}"))
        .collect();
    vec(select(texts), 0..6)
}

/// The usual number of cases, but at least 10,000: they are small.
fn many() -> ProptestConfig {
    let usual = ProptestConfig::default();
    ProptestConfig { cases: usual.cases.max(10_000), ..usual }
}

proptest! {
    #![proptest_config(many())]

    #[test]
    fn compiled_and_layered_rules_decide_as_the_plain_dtab_does(
        base in rules(),
        overrides in rules(),
        path in select(&["/s", "/s/a", "/s/b", "/t/x/a/y", "/u"][..]),
        events in events(),
    ) {
        let (base, overrides, path) = (dtab(&base.join(";")), dtab(&overrides.join(";")), self::path(path));
        let (cell, generation, lab) = (DtabCell::new(base.clone()), Generation::new(), Lab::new(NAMES));
        let health = HealthRegistry::new();
        let plain = base.append(&overrides);
        for (name, event) in events {
            let (state, addresses) = &lab.names[name];
            match event {
                Event::Becomes(now) => state.set(now),
                Event::Publishes(now) => drop(addresses.publish(now, &generation)),
            }
            let compiled = cell.compiled();
            for occupants in [None, Some(Occupants { health: &health, router: "out" })] {
                let manner = Manner { transformers: &[], occupants };
                let (expected, _) = decision(&plain, &path, &lab, manner);
                let asked = lab.asked.take();

                let (decided, occupancy) = decision(&Layered::new(&compiled, &overrides), &path, &lab, manner);
                prop_assert_eq!(decided, expected, "{} for {}", plain, path);
                prop_assert_eq!(lab.asked.take(), asked, "the same look-ups: {} for {}", plain, path);
                prop_assert!(!occupancy.changed());
            }
        }
    }
}

/// `/svc/s<n>` is bound to `/#/lab/s<n>` by a rule of its own.
fn many_services(count: u16) -> (Dtab, NamerSet) {
    let rules: Vec<_> = (0..count).map(|n| format!("/svc/s{n}=>/#/lab/s{n}")).collect();
    let service = |n: u16| (Segment::new(format!("s{n}")).unwrap(), vec![endpoint(n)]);
    let kind = NamerKind::Static { services: (0..count).map(service).collect() };
    let (namers, problems) = NamerSet::read(&[NamerConfig { prefix: path("/lab"), kind, transformers: Vec::new() }]);
    assert!(problems.is_empty());
    (dtab(&rules.join(";")), namers)
}

#[test]
fn each_of_many_services_is_bound_by_its_own_rule_or_by_an_override() {
    let (dtab, namers) = many_services(2_000);
    let cell = DtabCell::new(dtab);
    let overrides = self::dtab("/svc/s7 => /#/lab/s8 ; /svc/new => /svc/s9");
    for (name, bound) in [("/svc/s6", "/#/lab/s6"), ("/svc/s7", "/#/lab/s8"), ("/svc/new", "/#/lab/s9")] {
        let decision = bind(&cell, &overrides, &path(name), &namers).decision;
        assert_eq!(decision.leaves.iter().map(|leaf| leaf.bound.to_string()).collect::<Vec<_>>(), [bound]);
    }
}

#[test]
fn a_published_dtab_is_what_binds_next() {
    let (dtab, namers) = many_services(10);
    let (cell, generation) = (DtabCell::new(dtab.clone()), Generation::new());
    let bound = || {
        let binding = bind(&cell, &Dtab::default(), &path("/svc/s1"), &namers);
        (binding.decision.leaves.first().map(|leaf| leaf.bound.to_string()), binding.dependencies)
    };
    let (before, dependencies) = bound();
    assert_eq!((before.as_deref(), *cell.snapshot() == dtab), (Some("/#/lab/s1"), true));

    let newer = self::dtab("/svc => /#/lab");
    cell.publish(newer.clone(), &generation);

    assert!(dependencies.changed());
    assert_eq!((cell.version(), generation.current(), *cell.snapshot() == newer), (1, 1, true));
    assert_eq!(bound().0.as_deref(), Some("/#/lab/s1"));
}

#[test]
fn only_routes_that_looked_at_what_changed_have_to_be_bound_again() {
    let generation = Generation::new();
    let sets: Vec<_> = (0..1_000).map(|_| AddressSet::new(Addresses::Pending)).collect();
    let dtab = Version::default();
    let routes: Vec<_> = sets
        .iter()
        .map(|set| {
            let mut dependencies = Dependencies::default();
            dependencies.note(&dtab);
            set.standing().into_iter().for_each(|standing| dependencies.note(standing));
            dependencies.settled()
        })
        .collect();
    let stale = || -> Vec<usize> { (0..routes.len()).filter(|route| routes[*route].changed()).collect() };

    sets[7].publish(Addresses::Bound([endpoint(1)].into()), &generation);
    assert_eq!(stale(), [7], "its first answer");
    let again = |addresses| sets[500].publish(addresses, &generation);
    again(Addresses::Bound([endpoint(1)].into()));
    let version = sets[500].version();
    again(Addresses::Bound([endpoint(2)].into()));
    assert_eq!(stale(), [7, 500], "new addresses of a known set");
    assert!(sets[500].version() > version, "are seen by the set's own version");
    dtab.bump();
    assert_eq!(stale().len(), routes.len());
}

#[test]
fn a_wide_union_notes_each_state_once() {
    let (_, namers) = many_services(3_000);
    let members: Vec<_> = (0..3_000).map(|n| format!("/#/lab/s{n}")).collect();
    let cell = DtabCell::new(dtab(&format!("/svc => {}", members.join(" & "))));

    let binding = bind(&cell, &Dtab::default(), &path("/svc"), &namers);

    assert_eq!(binding.decision.leaves.len(), 3_000);
    assert!(!binding.dependencies.changed());
}
