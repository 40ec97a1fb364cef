//! Host names to IP addresses, beside the workers: asked again when an answer no longer holds, never more than a few at
//! once.
//!
//! [`HostWatch`] says when; `stub` looks up, by `hosts` and `servers`.

mod hosts;
mod servers;
mod stub;

use std::collections::{HashMap, HashSet};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::{Arc, mpsc};
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::Instant;

use self::stub::Stub;

/// Where host names are looked up.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DnsConfig {
    /// Names the servers, the search list, `ndots`, `timeout` and `attempts`, as resolv.conf(5) says; looked at again
    /// before each look-up. Where it can't be read or names no server, getaddrinfo(3) is asked. Default:
    /// `/etc/resolv.conf`.
    pub resolv_conf: PathBuf,
    /// Names that are known without asking, as hosts(5) says; looked at again before each look-up. Default: `/etc/hosts`.
    pub hosts: PathBuf,
    /// Asked instead of the servers that `resolv_conf` names, in this order. Default: none.
    pub servers: Vec<SocketAddr>,
}

impl Default for DnsConfig {
    fn default() -> Self {
        Self { resolv_conf: "/etc/resolv.conf".into(), hosts: "/etc/hosts".into(), servers: Vec::new() }
    }
}

/// What a resolver says of a name.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Resolution {
    /// Sorted, each once: the order in which DNS lists them means nothing.
    Known(Vec<IpAddr>),
    /// There is no such name, or it has no address.
    Unknown,
    /// It could not tell; the reason is for people.
    Temporary(String),
}

impl Resolution {
    fn known(mut addresses: Vec<IpAddr>) -> Self {
        addresses.sort_unstable();
        addresses.dedup();
        if addresses.is_empty() { Self::Unknown } else { Self::Known(addresses) }
    }

    fn of(answer: io::Result<impl Iterator<Item = IpAddr>>) -> Self {
        match answer {
            Ok(addresses) => Self::known(addresses.collect()),
            Err(error) if is_unknown(&error) => Self::Unknown,
            Err(error) => Self::Temporary(error.to_string()),
        }
    }
}

/// The standard library gives no code for what getaddrinfo(3) says, only its text; it never translates, since nobody
/// calls setlocale(3). These are EAI_NONAME and EAI_NODATA in the words of glibc, musl and the BSDs.
fn is_unknown(error: &io::Error) -> bool {
    let text = error.to_string();
    let words = [
        "Name or service not known",
        "No address associated with hostname",
        "Name does not resolve",
        "Name has no usable address",
        "nodename nor servname provided",
    ];
    words.iter().any(|words| text.contains(words))
}

/// IPv4 or IPv6.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Family {
    V4,
    V6,
}

impl Family {
    const fn has(self, ip: &IpAddr) -> bool {
        matches!((self, ip), (Self::V4, IpAddr::V4(_)) | (Self::V6, IpAddr::V6(_)))
    }
}

/// An answer, and how long it holds.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Reply {
    pub(super) resolution: Resolution,
    /// `None`: whoever answered doesn't say.
    pub(super) ttl: Option<Duration>,
    /// The addresses that nobody could tell of, while those of the other family are known.
    pub(super) missing: Option<Family>,
}

impl From<Resolution> for Reply {
    fn from(resolution: Resolution) -> Self {
        Self { resolution, ttl: None, missing: None }
    }
}

impl Reply {
    /// What is known now, when `before` was: the addresses that nobody could tell of stay what they were.
    fn after(self, before: Option<&Resolution>) -> Resolution {
        match (self.resolution, before, self.missing) {
            (Resolution::Known(mut now), Some(Resolution::Known(before)), Some(missing)) => {
                now.extend(before.iter().filter(|ip| missing.has(ip)));
                Resolution::known(now)
            }
            (resolution, _, _) => resolution,
        }
    }
}

/// One look-up, run by whoever polls it.
pub(super) type Lookup = Pin<Box<dyn Future<Output = Reply> + Send>>;

/// Makes look-ups. Boxed, since tests bring their own and a look-up is rare.
#[derive(Clone)]
pub(super) struct Resolver(Arc<dyn Fn(Arc<str>) -> Lookup + Send + Sync>);

impl std::fmt::Debug for Resolver {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Resolver")
    }
}

impl Resolver {
    pub(super) fn new(lookup: impl Fn(Arc<str>) -> Lookup + Send + Sync + 'static) -> Self {
        Self(Arc::new(lookup))
    }

    /// One that keeps what it heard for as long as it holds. Its look-ups belong to one runtime.
    pub(super) fn of(config: &DnsConfig) -> Self {
        let stub = Arc::new(Stub::new(config.clone()));
        Self::new(move |name| Box::pin(Arc::clone(&stub).look_up(name)))
    }
}

/// Keeps a changing set of names resolved. Owns its look-ups: dropping it ends them.
#[derive(Debug)]
pub(super) struct HostWatch {
    resolver: Resolver,
    hosts: HashMap<Arc<str>, Watched>,
    running: JoinSet<(Arc<str>, Reply)>,
    /// New names and known ones don't wait for each other: a flood of names that nobody answers for can't keep the
    /// known from being refreshed.
    first: Arc<Semaphore>,
    again: Arc<Semaphore>,
    pace: Pace,
}

/// When names are asked for again and given up.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pace {
    /// How long after an answer of unknown TTL, and after a failure, a name is asked for again.
    pub(super) refresh: Duration,
    /// A TTL below counts as this one.
    pub(super) shortest: Duration,
    /// A TTL above counts as this one.
    pub(super) longest: Duration,
    /// A name without any answer for so long counts as failed, so that nobody waits for it.
    pub(super) first_answer: Duration,
}

impl Default for Pace {
    /// Of unknown TTL: what the JVM under linkerd did.
    fn default() -> Self {
        let five_seconds = Duration::from_secs(5);
        Self { refresh: five_seconds, shortest: SHORTEST, longest: LONGEST, first_answer: five_seconds }
    }
}

impl Pace {
    /// How long after this answer the name is asked for again.
    fn after(&self, reply: &Reply) -> Duration {
        match (&reply.resolution, reply.ttl) {
            (Resolution::Known(_) | Resolution::Unknown, Some(ttl)) => {
                let ttl = ttl.clamp(self.shortest, self.longest);
                if reply.missing.is_some() { ttl.min(self.refresh) } else { ttl }
            }
            (Resolution::Known(_) | Resolution::Unknown | Resolution::Temporary(_), _) => self.refresh,
        }
    }
}

#[derive(Debug)]
struct Watched {
    /// The last answer that counts.
    known: Option<Resolution>,
    /// Since when a look-up is under way.
    asked: Option<Instant>,
    /// When to ask again.
    due: Instant,
}

impl HostWatch {
    pub(super) fn new(resolver: Resolver, pace: Pace) -> Self {
        Self {
            resolver,
            pace,
            hosts: HashMap::new(),
            running: JoinSet::new(),
            first: Arc::new(Semaphore::new(FIRST_AT_ONCE)),
            again: Arc::new(Semaphore::new(AGAIN_AT_ONCE)),
        }
    }

    /// What is known of `name`; `None`: nothing yet.
    pub(super) fn known(&self, name: &str) -> Option<&Resolution> {
        self.hosts.get(name)?.known.as_ref()
    }

    /// Watches exactly these names from now on. New ones are asked for by [`HostWatch::changed`].
    pub(super) fn watch(&mut self, names: &HashSet<Arc<str>>) {
        self.hosts.retain(|name, _| names.contains(name));
        for name in names {
            self.add(name);
        }
    }

    /// Watches this name too.
    pub(super) fn add(&mut self, name: &Arc<str>) {
        if !self.hosts.contains_key(name) {
            self.hosts.insert(Arc::clone(name), Watched { known: None, asked: None, due: Instant::now() });
        }
    }

    /// Waits for the next name whose resolution changed, and gives it. Never ends while there is nothing to wait for.
    /// Nothing is lost when the future is dropped.
    pub(super) async fn changed(&mut self) -> Arc<str> {
        loop {
            let now = Instant::now();
            self.ask_due(now);
            if let Some(name) = self.give_up(now) {
                return name;
            }
            let wake = self.next_event(now);
            tokio::select! {
                Some(ended) = self.running.join_next() => {
                    if let Some(name) = self.take_in(ended) {
                        return name;
                    }
                }
                () = tokio::time::sleep_until(wake) => {}
            }
        }
    }

    fn ask_due(&mut self, now: Instant) {
        let due = self.hosts.iter_mut().filter(|(_, host)| host.asked.is_none() && host.due <= now);
        for (name, host) in due {
            host.asked = Some(now);
            let limit = Arc::clone(if host.known.is_none() { &self.first } else { &self.again });
            let (name, resolver) = (Arc::clone(name), self.resolver.clone());
            self.running.spawn(async move {
                // Never closed. The permit is kept until the answer is there, however late: what counts is what the
                // name servers are asked at once, and the threads that the system's resolver blocks.
                let _permit = limit.acquire_owned().await;
                let reply = (resolver.0)(Arc::clone(&name)).await;
                (name, reply)
            });
        }
    }

    /// A name whose first answer is overdue: it failed for now, though its look-up goes on.
    fn give_up(&mut self, now: Instant) -> Option<Arc<str>> {
        let patience = self.pace.first_answer;
        let overdue = |host: &Watched| {
            host.known.is_none() && host.asked.is_some_and(|since| now.duration_since(since) >= patience)
        };
        let (name, host) = self.hosts.iter_mut().find(|(_, host)| overdue(host))?;
        host.known = Some(Resolution::Temporary(format!("no answer within {} s", patience.as_secs())));
        Some(Arc::clone(name))
    }

    fn next_event(&self, now: Instant) -> Instant {
        let at = |host: &Watched| match (host.asked, &host.known) {
            (None, _) => Some(host.due),
            (Some(since), None) => Some(since + self.pace.first_answer),
            (Some(_), Some(_)) => None,
        };
        self.hosts.values().filter_map(at).min().unwrap_or(now + self.pace.refresh)
    }

    fn take_in(&mut self, ended: Result<(Arc<str>, Reply), tokio::task::JoinError>) -> Option<Arc<str>> {
        let (name, reply) = match ended {
            Ok(answer) => answer,
            Err(error) => {
                tracing::error!(%error, "a host name look-up ended badly");
                // Which one is not known: those under way may be asked for twice.
                self.hosts.values_mut().for_each(|host| host.asked = None);
                return None;
            }
        };
        let host = self.hosts.get_mut(&name)?;
        host.asked = None;
        host.due = Instant::now() + self.pace.after(&reply);
        let resolution = reply.after(host.known.as_ref());
        let keeps = matches!(
            (&host.known, &resolution),
            (Some(Resolution::Known(_) | Resolution::Unknown), Resolution::Temporary(_))
        );
        if keeps || host.known.as_ref() == Some(&resolution) {
            return None;
        }
        match &resolution {
            Resolution::Known(addresses) => tracing::debug!(host = %name, ?addresses, "host name resolved"),
            Resolution::Unknown => tracing::debug!(host = %name, "host name is unknown"),
            Resolution::Temporary(error) => tracing::debug!(host = %name, error, "host name not resolved"),
        }
        host.known = Some(resolution);
        Some(name)
    }
}

/// Resolves `names` now and gives those that were answered within `patience`. Blocks the caller; look-ups whose answer
/// is late end by themselves.
pub(super) fn resolve_now(
    config: &DnsConfig,
    names: &HashSet<Arc<str>>,
    patience: Duration,
) -> HashMap<Arc<str>, Resolution> {
    let mut resolved = HashMap::new();
    if names.is_empty() {
        return resolved;
    }
    let deadline = std::time::Instant::now() + patience;
    let (answers, answered) = mpsc::sync_channel(names.len());
    let (resolver, names) = (Resolver::of(config), names.clone());
    // Not on the caller's thread: it may have a runtime of its own.
    std::thread::spawn(move || match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => {
            runtime.block_on(resolve_all(resolver, names, &answers));
            runtime.shutdown_background();
        }
        Err(error) => tracing::error!(%error, "host names not looked up"),
    });
    while let Ok((name, resolution)) = answered.recv_timeout(deadline.duration_since(std::time::Instant::now())) {
        resolved.insert(name, resolution);
    }
    resolved
}

async fn resolve_all(resolver: Resolver, names: HashSet<Arc<str>>, answers: &mpsc::SyncSender<(Arc<str>, Resolution)>) {
    let mut names = names.into_iter();
    let mut running = JoinSet::new();
    let start = |name: Arc<str>, running: &mut JoinSet<_>| {
        let lookup = (resolver.0)(Arc::clone(&name));
        running.spawn(async move { (name, lookup.await.resolution) });
    };
    names.by_ref().take(FIRST_AT_ONCE).for_each(|name| start(name, &mut running));
    while let Some(ended) = running.join_next().await {
        // There is room for all; nobody listens any more after the deadline.
        if ended.is_ok_and(|answer| answers.send(answer).is_err()) {
            return;
        }
        names.by_ref().take(1).for_each(|name| start(name, &mut running));
    }
}

/// The bounds of a TTL: a name is not asked for all the time, and a move is noticed.
const SHORTEST: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_secs(5 * 60);
const FIRST_AT_ONCE: usize = 64;
const AGAIN_AT_ONCE: usize = 16;

#[cfg(test)]
mod tests;
