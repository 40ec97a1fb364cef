use std::sync::Mutex as StdMutex;

use crate::eventually::eventually;

use super::super::dns::Lookup;
use super::*;

fn ips(last: u8) -> Resolution {
    Resolution::Known(vec![Ipv4Addr::new(10, 0, 0, last).into()])
}

fn wanted(host: &str, port: u16) -> Wanted {
    let id = format!("/$/inet/{host}/{port}").parse().unwrap();
    Wanted { id, residual: Path::empty(), host: Some(host.to_owned()), port }
}

fn set_of(answer: Answer<Arc<AddressSet>>) -> Arc<AddressSet> {
    let Answer::Tree(NameTree::Leaf(Target::Bound(bound))) = answer else { panic!("{answer:?}") };
    bound.addr
}

fn look(inet: &Inet, host: &str, port: u16) -> (Arc<AddressSet>, Dependencies) {
    let mut seen = Dependencies::default();
    let set = set_of(inet.lookup(wanted(host, port), &mut seen));
    (set, seen)
}

/// Does what the table's task would.
pub(in crate::namer) struct Hand {
    keeper: Keeper,
    asked: mpsc::Receiver<Name>,
}

/// A table whose task is not run.
pub(in crate::namer) fn by_hand(generation: &Arc<Generation>) -> (Inet, Hand) {
    let (asks, asked) = mpsc::channel(ASKS);
    // Long ago, so that names can be made to look old.
    let epoch = Instant::now().checked_sub(2 * IDLE).unwrap();
    let table = Arc::new(HostTable { epoch, ..HostTable::new(asks) });
    let resolver = Resolver::new(|_| -> Lookup { Box::pin(std::future::pending()) });
    let watch = HostWatch::new(resolver, Pace::default());
    let keeper = Keeper { table: Arc::clone(&table), watch, generation: Arc::clone(generation) };
    (Inet::Live(table), Hand { keeper, asked })
}

impl Hand {
    pub(in crate::namer) fn take_in_asked(&mut self) {
        let asked: Vec<_> = std::iter::from_fn(|| self.asked.try_recv().ok()).collect();
        if !asked.is_empty() {
            self.keeper.take_in(asked.into_iter());
        }
    }

    fn take_in(&mut self, hosts: &[&str]) {
        self.keeper.take_in(hosts.iter().map(|host| name(host)));
    }

    pub(in crate::namer) fn answer(&self, host: &str, resolution: &Resolution) {
        for (name, entry) in &self.keeper.table.names.load().entries {
            if &*name.host == host {
                entry.set.publish(addresses(resolution, name.port), &self.keeper.generation);
            }
        }
    }

    /// As if no route had been bound to any name for long.
    fn age(&self) {
        for entry in self.keeper.table.names.load().entries.values() {
            entry.used.store(0, Ordering::Relaxed);
        }
    }

    /// As if all names had been unused for long, held or not.
    pub(in crate::namer) fn forget_all(&mut self) {
        let retired: Vec<_> = self.keeper.table.names.load().entries.values().cloned().collect();
        self.keeper.replace(Names::default(), &retired);
    }
}

fn name(host: &str) -> Name {
    Name { host: host.into(), port: 80 }
}

#[test]
fn addresses_need_no_resolving() {
    let (inet, mut hand) = by_hand(&Arc::default());
    for (host, ip) in [("10.0.0.1", "10.0.0.1"), ("127.1", "127.0.0.1"), ("::1", "::1")] {
        let (set, seen) = look(&inet, host, 80);
        let addr = SocketAddr::new(ip.parse().unwrap(), 80);
        assert_eq!(set.snapshot().endpoints(), [Endpoint { addr, weight: 1.0 }], "{host}");
        assert_eq!(set, look(&inet, host, 80).0, "a fresh look-up is equal");
        assert!(!seen.changed());
    }
    let loopback = Wanted { host: None, ..wanted("any", 80) };
    let set = set_of(inet.lookup(loopback, &mut Dependencies::default()));
    assert_eq!(set.snapshot().endpoints()[0].addr, SocketAddr::from(([127, 0, 0, 1], 80)));
    assert!(hand.asked.try_recv().is_err());
}

#[test]
fn numbers_are_no_hosts() {
    let (inet, _hand) = by_hand(&Arc::default());
    for host in ["443", "0x7f000001", "1.2.3.256", "a b", ""] {
        let answer = inet.lookup(
            Wanted { id: Path::empty(), residual: Path::empty(), host: Some(host.to_owned()), port: 80 },
            &mut Dependencies::default(),
        );
        assert!(matches!(&answer, Answer::Error(error) if error.0.contains(host)), "{host}: {answer:?}");
    }
}

#[test]
fn a_name_is_pending_until_it_is_known_and_routes_notice() {
    let (inet, mut hand) = by_hand(&Arc::default());
    let (placeholder, seen) = look(&inet, "Users", 80);
    assert!(placeholder.snapshot().is_pending() && !seen.changed());
    assert_eq!(hand.asked.try_recv().unwrap(), name("users"));
    hand.take_in(&["users"]);
    assert!(seen.changed(), "taken in: bind again, to hold the real set");
    let (set, seen) = look(&inet, "users", 80);
    assert!(set.snapshot().is_pending() && !seen.changed());
    assert!(hand.asked.try_recv().is_err(), "it is not asked for twice");

    set.publish(addresses(&ips(1), 80), &hand.keeper.generation);
    assert!(seen.changed(), "known: bind again");
    let (set, seen) = look(&inet, "users", 80);
    set.publish(addresses(&ips(2), 80), &hand.keeper.generation);
    set.publish(Addresses::Neg, &hand.keeper.generation);
    assert!(!seen.changed(), "other addresses are no reason to bind again");
}

#[test]
fn names_taken_in_do_not_disturb_others() {
    let (inet, mut hand) = by_hand(&Arc::default());
    hand.take_in(&["users"]);
    let (_set, seen) = look(&inet, "users", 80);
    hand.take_in(&["billing"]);
    assert!(!seen.changed());
}

#[test]
fn a_full_channel_does_not_keep_a_name_out_for_good() {
    let (inet, mut hand) = by_hand(&Arc::default());
    for host in 0..ASKS {
        look(&inet, &format!("host{host}"), 80);
    }
    let (_placeholder, seen) = look(&inet, "late", 80);
    hand.take_in_asked();
    assert!(seen.changed(), "bind again, and ask again");
    look(&inet, "late", 80);
    assert_eq!(hand.asked.try_recv().unwrap(), name("late"));
}

#[test]
fn a_flood_of_names_drives_out_none_in_use() {
    let (inet, mut hand) = by_hand(&Arc::default());
    hand.take_in(&["users"]);
    let (users, seen) = look(&inet, "users", 80);
    users.publish(addresses(&ips(1), 80), &hand.keeper.generation);
    assert!(seen.changed());
    let (_, seen) = look(&inet, "users", 80);
    for flood in 0..3 * MOST_NAMES {
        hand.take_in(&[&format!("flood{flood}")]);
        hand.age();
    }
    let Inet::Live(table) = &inet else { unreachable!() };
    assert_eq!(table.names.load().entries.len(), MOST_NAMES);
    assert!(!seen.changed());
    assert!(Arc::ptr_eq(&users, &look(&inet, "users", 80).0));
}

#[test]
fn names_that_lead_nowhere_go_before_names_in_use_and_the_rest_is_refused() {
    let (inet, mut hand) = by_hand(&Arc::default());
    let held: Vec<_> = (0..MOST_NAMES)
        .map(|host| {
            let host = format!("host{host}");
            hand.take_in(&[&host]);
            look(&inet, &host, 80)
        })
        .collect();
    for (index, (set, _)) in held.iter().enumerate() {
        let resolution = if index == 17 { Resolution::Unknown } else { ips(1) };
        set.publish(addresses(&resolution, 80), &hand.keeper.generation);
    }
    let held: Vec<_> = (0..MOST_NAMES).map(|host| look(&inet, &format!("host{host}"), 80)).collect();

    hand.take_in(&["first", "second"]);
    let changed: Vec<_> = (0..MOST_NAMES).filter(|index| held[*index].1.changed()).collect();
    assert_eq!(changed, [17], "whoever held the unknown one binds again");
    let Inet::Live(table) = &inet else { unreachable!() };
    assert!(table.names.load().entries.contains_key(&name("first")), "too new to make room for the second");

    let mut seen = Dependencies::default();
    let refused = inet.lookup(wanted("second", 80), &mut seen);
    assert!(matches!(refused, Answer::Error(_)), "{refused:?}");
    hand.keeper.sweep();
    assert!(seen.changed(), "after a while it may ask again");
    hand.age();
    hand.take_in(&["second"]);
    assert!(table.names.load().entries.contains_key(&name("second")), "nobody came for the first");
}

#[test]
fn names_that_nobody_uses_are_forgotten() {
    let (inet, mut hand) = by_hand(&Arc::default());
    hand.take_in(&["held", "idle", "new"]);
    hand.age();
    let (_held, seen) = look(&inet, "held", 80);
    look(&inet, "new", 80);
    hand.keeper.sweep();
    let Inet::Live(table) = &inet else { unreachable!() };
    let names = table.names.load();
    let mut left: Vec<_> = names.entries.keys().map(|name| &*name.host).collect();
    left.sort_unstable();
    assert_eq!(left, ["held", "new"]);
    assert!(!seen.changed());
}

#[tokio::test]
async fn the_task_resolves_keeps_the_last_good_and_takes_unknown_for_none() {
    let answer = Arc::new(StdMutex::new(ips(1)));
    let current = Arc::clone(&answer);
    let resolver = Resolver::new(move |_| -> Lookup {
        let answer = current.lock().unwrap().clone();
        Box::pin(std::future::ready(answer.into()))
    });
    let (asks, asked) = mpsc::channel(ASKS);
    let table = Arc::new(HostTable::new(asks));
    let hour = Duration::from_secs(3600);
    let pace = Pace { refresh: Duration::from_millis(1), first_answer: hour, ..Pace::default() };
    let keeper =
        Keeper { table: Arc::clone(&table), watch: HostWatch::new(resolver, pace), generation: Arc::default() };
    let (tasks, stop) = (TaskTracker::new(), CancellationToken::new());
    tasks.spawn(keeper.run(asked, stop.clone()));
    let inet = Inet::Live(table);

    let becomes = async |expected: Addresses| {
        eventually("the addresses", || {
            let now = look(&inet, "users", 80).0.snapshot();
            if *now == expected { Ok(()) } else { Err(format!("{now:?}")) }
        })
        .await;
    };
    becomes(addresses(&ips(1), 80)).await;
    *answer.lock().unwrap() = Resolution::Temporary("away".to_owned());
    let (set, seen) = look(&inet, "users", 80);
    *answer.lock().unwrap() = ips(2);
    becomes(addresses(&ips(2), 80)).await;
    *answer.lock().unwrap() = Resolution::Unknown;
    becomes(Addresses::Neg).await;
    assert!(Arc::ptr_eq(&set, &look(&inet, "users", 80).0) && !seen.changed());

    stop.cancel();
    tasks.close();
    tasks.wait().await;
}
