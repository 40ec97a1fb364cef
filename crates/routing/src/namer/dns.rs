//! Host names to IP addresses, beside the workers: asked again every 5 s, never more than a few at once.

use std::collections::{HashMap, HashSet};
use std::io;
use std::net::{IpAddr, ToSocketAddrs};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::Instant;

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
    fn of(answer: io::Result<impl Iterator<Item = IpAddr>>) -> Self {
        match answer {
            Ok(addresses) => {
                let mut addresses: Vec<_> = addresses.collect();
                addresses.sort_unstable();
                addresses.dedup();
                if addresses.is_empty() { Self::Unknown } else { Self::Known(addresses) }
            }
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

/// One look-up, run by whoever polls it.
pub(super) type Lookup = Pin<Box<dyn Future<Output = Resolution> + Send>>;

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

    /// What the system is configured to ask: hosts file, DNS.
    pub(super) fn system() -> Self {
        Self::new(|name| {
            Box::pin(async move {
                let answer = tokio::net::lookup_host((&*name, 0)).await;
                Resolution::of(answer.map(|addresses| addresses.map(|address| address.ip())))
            })
        })
    }
}

/// Keeps a changing set of names resolved. Owns its look-ups: dropping it ends them.
#[derive(Debug)]
pub(super) struct HostWatch {
    resolver: Resolver,
    hosts: HashMap<Arc<str>, Watched>,
    running: JoinSet<(Arc<str>, Resolution)>,
    /// New names and known ones don't wait for each other: a flood of names that nobody answers for can't keep the
    /// known from being refreshed.
    first: Arc<Semaphore>,
    again: Arc<Semaphore>,
    pace: Pace,
}

/// When names are asked for again and given up.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pace {
    /// How long after an answer a name is asked for again.
    pub(super) refresh: Duration,
    /// A name without any answer for so long counts as failed, so that nobody waits for it.
    pub(super) first_answer: Duration,
}

impl Default for Pace {
    /// What the JVM under linkerd did.
    fn default() -> Self {
        Self { refresh: Duration::from_secs(5), first_answer: Duration::from_secs(5) }
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
                // Never closed. The permit is kept until the answer is there, however late: what counts is the
                // threads that the system's resolver blocks.
                let _permit = limit.acquire_owned().await;
                let resolution = (resolver.0)(Arc::clone(&name)).await;
                (name, resolution)
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

    fn take_in(&mut self, ended: Result<(Arc<str>, Resolution), tokio::task::JoinError>) -> Option<Arc<str>> {
        let (name, resolution) = match ended {
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
        host.due = Instant::now() + self.pace.refresh;
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

/// Resolves `names` now and gives those that were answered within `patience`. Blocks the caller; a thread whose
/// answer is late ends by itself.
pub(super) fn resolve_now(names: &HashSet<Arc<str>>, patience: Duration) -> HashMap<Arc<str>, Resolution> {
    let deadline = std::time::Instant::now() + patience;
    let queue: Arc<Mutex<Vec<Arc<str>>>> = Arc::new(Mutex::new(names.iter().cloned().collect()));
    let (answers, answered) = mpsc::sync_channel(names.len());
    for _ in 0..names.len().min(AGAIN_AT_ONCE) {
        let (queue, answers) = (Arc::clone(&queue), answers.clone());
        std::thread::spawn(move || {
            let next = || queue.lock().unwrap_or_else(PoisonError::into_inner).pop();
            while let Some(name) = next() {
                let found = (&*name, 0).to_socket_addrs();
                let resolution = Resolution::of(found.map(|addresses| addresses.map(|address| address.ip())));
                // There is room for all; nobody listens any more after the deadline.
                if answers.send((name, resolution)).is_err() {
                    return;
                }
            }
        });
    }
    drop(answers);
    let mut resolved = HashMap::new();
    while let Ok((name, resolution)) = answered.recv_timeout(deadline.duration_since(std::time::Instant::now())) {
        resolved.insert(name, resolution);
    }
    resolved
}

const FIRST_AT_ONCE: usize = 64;
const AGAIN_AT_ONCE: usize = 16;

#[cfg(test)]
mod tests;
