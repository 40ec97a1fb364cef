//! `/$/inet/<host>/<port>` and `/$/io.buoyant.rinet/<port>/<host>`: addresses, and host names that DNS resolves.
//!
//! The names come from requests, so their table is bounded. Workers read its last snapshot; a name that is not in it
//! is asked for over a bounded channel and pending until the task that owns the table has taken it in.

use std::collections::{HashMap, HashSet};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use waypost_naming::{Answer, Bound, NameTree, NamerError, Path, Target};

use crate::address::{AddressSet, Addresses, Endpoint};
use crate::dependencies::{Dependencies, Version};
use crate::generation::Generation;

use super::dns::{DnsConfig, HostWatch, Pace, Resolution, Resolver, resolve_now};
use super::host::Host;

/// What a path below `/$` asks for.
#[derive(Debug)]
pub(super) struct Wanted {
    pub(super) id: Path,
    pub(super) residual: Path,
    /// `None`: the loopback address.
    pub(super) host: Option<String>,
    pub(super) port: u16,
}

/// The built-in namers that lead to addresses.
#[derive(Debug)]
pub(super) enum Inet {
    /// Names are resolved and kept so by a task.
    Live(Arc<HostTable>),
    /// Names are resolved by whoever asks, once.
    AtOnce { dns: DnsConfig, known: Mutex<HashMap<Arc<str>, Resolution>> },
}

impl Inet {
    pub(super) fn at_once(dns: &DnsConfig) -> Self {
        Self::AtOnce { dns: dns.clone(), known: Mutex::default() }
    }

    pub(super) fn live(
        resolver: Resolver,
        generation: Arc<Generation>,
        tasks: &TaskTracker,
        stop: CancellationToken,
    ) -> Self {
        let (asks, asked) = mpsc::channel(ASKS);
        let table = Arc::new(HostTable::new(asks));
        let keeper = Keeper { table: Arc::clone(&table), watch: HostWatch::new(resolver, Pace::default()), generation };
        tasks.spawn(keeper.run(asked, stop));
        Self::Live(table)
    }

    pub(super) fn lookup(&self, wanted: Wanted, seen: &mut Dependencies) -> Answer<Arc<AddressSet>> {
        let Wanted { id, residual, host, port } = wanted;
        let host = match host.as_deref().map(Host::parse) {
            None => Host::Ip(Ipv4Addr::LOCALHOST.into()),
            Some(Ok(host)) => host,
            Some(Err(error)) => {
                return Answer::Error(NamerError(format!("`{}` is no host: {error}", host.unwrap_or_default())));
            }
        };
        let addr = match (host, self) {
            (Host::Ip(ip), _) => Arc::new(AddressSet::fixed([endpoint(ip, port)])),
            (Host::Name(host), Self::Live(table)) => match table.find(Name { host, port }, seen) {
                Ok(set) => set,
                Err(error) => return Answer::Error(error),
            },
            (Host::Name(host), Self::AtOnce { dns, known }) => {
                let mut known = known.lock().unwrap_or_else(PoisonError::into_inner);
                let resolution = known.entry(Arc::clone(&host)).or_insert_with(|| now(dns, &host));
                Arc::new(AddressSet::new(addresses(resolution, port)))
            }
        };
        Answer::Tree(NameTree::Leaf(Target::Bound(Bound { id, residual, addr })))
    }
}

fn now(dns: &DnsConfig, host: &Arc<str>) -> Resolution {
    let mut resolved = resolve_now(dns, &HashSet::from([Arc::clone(host)]), super::AT_ONCE_PATIENCE);
    resolved.remove(host).unwrap_or_else(super::unanswered)
}

const fn endpoint(ip: IpAddr, port: u16) -> Endpoint {
    Endpoint { addr: SocketAddr::new(ip, port), weight: 1.0 }
}

fn addresses(resolution: &Resolution, port: u16) -> Addresses {
    match resolution {
        Resolution::Known(ips) => Addresses::Bound(ips.iter().map(|ip| endpoint(*ip, port)).collect()),
        Resolution::Unknown => Addresses::Neg,
        Resolution::Temporary(error) => Addresses::Failed(error.as_str().into()),
    }
}

#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(super) struct Name {
    host: Arc<str>,
    port: u16,
}

/// The names that were asked for. At most [`MOST_NAMES`]; written by its [`Keeper`] only.
#[derive(Debug)]
pub(super) struct HostTable {
    names: ArcSwap<Names>,
    /// Moves with each name that is taken in or refused.
    version: Version,
    asks: mpsc::Sender<Name>,
    /// Stands in for the set of a name that is not taken in yet.
    pending: Arc<AddressSet>,
    /// Times are kept as milliseconds since then.
    epoch: Instant,
}

#[derive(Clone, Default, Debug)]
struct Names {
    entries: HashMap<Name, Arc<Entry>>,
    /// Asked for lately, while the table was full of names in use.
    refused: HashSet<Name>,
}

#[derive(Debug)]
struct Entry {
    set: Arc<AddressSet>,
    /// When a route was last bound to it.
    used: AtomicU64,
}

impl HostTable {
    fn new(asks: mpsc::Sender<Name>) -> Self {
        Self {
            names: ArcSwap::default(),
            version: Version::default(),
            asks,
            pending: Arc::new(AddressSet::new(Addresses::Pending)),
            epoch: Instant::now(),
        }
    }

    fn find(&self, name: Name, seen: &mut Dependencies) -> Result<Arc<AddressSet>, NamerError> {
        loop {
            if let Some(set) = self.entry(&name, seen) {
                return Ok(set);
            }
            let at = self.version.current();
            let names = self.names.load();
            if names.entries.contains_key(&name) {
                continue;
            }
            seen.note_as_of(&self.version, at);
            if names.refused.contains(&name) {
                return Err(NamerError(format!("{MOST_NAMES} host names are in use, which is the limit")));
            }
            // When the channel is full the version moves soon, and whoever waits for this name binds and asks again.
            drop(self.asks.try_send(name));
            return Ok(Arc::clone(&self.pending));
        }
    }

    fn entry(&self, name: &Name, seen: &mut Dependencies) -> Option<Arc<AddressSet>> {
        let names = self.names.load();
        let entry = names.entries.get(name)?;
        let standing = entry.set.standing()?;
        let at = standing.current();
        // What is taken out of the table is retired afterwards. So if it is still in there, now that the standing was
        // read, a later retirement will be noticed.
        if !self.names.load().entries.get(name).is_some_and(|now| Arc::ptr_eq(now, entry)) {
            return None;
        }
        seen.note_as_of(standing, at);
        entry.used.store(self.millis(), Ordering::Relaxed);
        Some(Arc::clone(&entry.set))
    }

    fn millis(&self) -> u64 {
        u64::try_from(self.epoch.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}

/// The task that owns the table.
struct Keeper {
    table: Arc<HostTable>,
    watch: HostWatch,
    generation: Arc<Generation>,
}

impl Keeper {
    async fn run(mut self, mut asked: mpsc::Receiver<Name>, stop: CancellationToken) {
        let mut batch = Vec::with_capacity(ASKS);
        let mut sweeps = tokio::time::interval(SWEEP);
        sweeps.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                biased;
                () = stop.cancelled() => return,
                host = self.watch.changed() => self.publish(&host),
                _ = sweeps.tick() => self.sweep(),
                taken = asked.recv_many(&mut batch, ASKS) => {
                    if taken == 0 {
                        return;
                    }
                    self.take_in(batch.drain(..));
                }
            }
        }
    }

    fn publish(&self, host: &str) {
        for (name, entry) in &self.table.names.load().entries {
            if let (true, Some(resolution)) = (&*name.host == host, self.watch.known(&name.host)) {
                entry.set.publish(addresses(resolution, name.port), &self.generation);
            }
        }
    }

    fn take_in(&mut self, asked: impl Iterator<Item = Name>) {
        let mut names = Names::clone(&self.table.names.load());
        let mut retired = Vec::new();
        for name in asked {
            if names.entries.contains_key(&name) {
                continue;
            }
            if names.entries.len() >= MOST_NAMES && !make_room(&mut names, self.table.millis(), &mut retired) {
                if names.refused.len() < MOST_NAMES {
                    names.refused.insert(name);
                }
                continue;
            }
            let known = self.watch.known(&name.host).map_or(Addresses::Pending, |known| addresses(known, name.port));
            self.watch.add(&name.host);
            let used = AtomicU64::new(self.table.millis());
            names.entries.insert(name, Arc::new(Entry { set: Arc::new(AddressSet::new(known)), used }));
        }
        self.replace(names, &retired);
    }

    /// Forgets names that nobody has used for a while, and lets refused ones try again.
    fn sweep(&mut self) {
        let now = self.table.millis();
        let current = self.table.names.load_full();
        let idle = |entry: &Entry| !entry.is_held() && u128::from(entry.unused(now)) > IDLE.as_millis();
        if current.refused.is_empty() && !current.entries.values().any(|entry| idle(entry)) {
            return;
        }
        let mut retired = Vec::new();
        let mut names = Names { entries: current.entries.clone(), refused: HashSet::new() };
        names.entries.retain(|_, entry| {
            if idle(entry) {
                retired.push(Arc::clone(entry));
                return false;
            }
            true
        });
        self.replace(names, &retired);
    }

    /// The order is what [`HostTable::entry`] relies on.
    fn replace(&mut self, names: Names, retired: &[Arc<Entry>]) {
        if !retired.is_empty() {
            self.watch.watch(&names.entries.keys().map(|name| Arc::clone(&name.host)).collect());
        }
        self.table.names.store(Arc::new(names));
        self.table.version.bump();
        for entry in retired {
            entry.set.retire();
        }
        self.generation.bump();
    }
}

impl Entry {
    /// Whether a route holds the set.
    fn is_held(&self) -> bool {
        Arc::strong_count(&self.set) > 1
    }

    /// For how many milliseconds no route was bound to it.
    fn unused(&self, now: u64) -> u64 {
        now.saturating_sub(self.used.load(Ordering::Relaxed))
    }
}

/// Takes out what is missed least: the name longest unused among those that no route holds, else among those that
/// lead nowhere. `false`: all are in use. So a flood of names, resolvable or not, drives out none that serves others.
fn make_room(names: &mut Names, now: u64, retired: &mut Vec<Arc<Entry>>) -> bool {
    let least = |spare: &dyn Fn(&Entry) -> bool| {
        let spares = names.entries.iter().filter(|(_, entry)| spare(entry));
        spares.min_by_key(|(_, entry)| entry.used.load(Ordering::Relaxed)).map(|(name, _)| name.clone())
    };
    // Whoever asked for a new name binds again to hold it. Taken out before, it would be asked for again, and so on.
    let unheld = |entry: &Entry| !entry.is_held() && u128::from(entry.unused(now)) >= NEW.as_millis();
    // What is pending stays, since somebody waits for it.
    let leads_nowhere = |entry: &Entry| matches!(*entry.set.snapshot(), Addresses::Neg | Addresses::Failed(_));
    let Some(name) = least(&unheld).or_else(|| least(&leads_nowhere)) else { return false };
    retired.extend(names.entries.remove(&name));
    true
}

/// The most host names that are kept resolved for requests.
const MOST_NAMES: usize = 1_000;
/// The most names that wait for being taken in.
const ASKS: usize = 256;
const SWEEP: Duration = Duration::from_secs(1);
/// How long a name is safe from making room for another.
const NEW: Duration = Duration::from_millis(100);
/// How long a name that no route holds is kept.
const IDLE: Duration = Duration::from_secs(60);

#[cfg(test)]
pub(super) use tests::by_hand;

#[cfg(test)]
mod tests;
