//! The `fs` namer: each file below a directory is a name, each of its lines an endpoint.
//!
//! Segments walk directories, the first regular file binds, the rest is residual. `reader` reads and publishes,
//! `listing` finds the files, `file` knows their text. Names that begin with a dot are none: Kubernetes and editors
//! keep their own things there.

mod file;
mod listing;
mod reader;

use std::collections::HashMap;
use std::path::{Component, Path as FilePath};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use waypost_naming::{Answer, Bound, Finding, NameTree, NamerError, Path, Segment, Target};

use crate::address::AddressSet;
use crate::dependencies::{Dependencies, Version};
use crate::generation::Generation;
use crate::watch::DirectoryWatch;

use super::dns::{DnsConfig, HostWatch, Pace, Resolver, resolve_now};

use self::reader::Reader;

/// The look-up side: what the reader published last.
#[derive(Clone, Debug)]
pub(super) struct FsNames {
    shared: Arc<Shared>,
}

/// What the reader writes and look-ups read.
#[derive(Default, Debug)]
struct Shared {
    tree: ArcSwap<Tree>,
    /// Moves when names come or go; not with their addresses.
    version: Version,
    /// Files whose host names have no first answer yet.
    waiting: AtomicUsize,
}

#[derive(Default, Debug)]
enum Tree {
    /// Nobody has looked yet.
    #[default]
    Unread,
    /// The root was never readable; why is for people, callers included: it names no path.
    Unreadable(String),
    Known(Directory),
}

#[derive(Default, Debug)]
struct Directory {
    nodes: HashMap<Segment, Node>,
}

#[derive(Debug)]
enum Node {
    File(Arc<AddressSet>),
    Directory(Directory),
}

impl FsNames {
    /// Reads once, host names included.
    pub(super) fn read(root: &FilePath, dns: &DnsConfig) -> (Self, Vec<Finding>) {
        let names = Self { shared: Arc::default() };
        let mut reader = Reader::new(root, Arc::clone(&names.shared), Arc::default());
        reader.scan();
        let hosts = reader.limit_hosts();
        let mut resolved = resolve_now(dns, &hosts, super::AT_ONCE_PATIENCE);
        for host in hosts {
            let resolution = resolved.remove(&host).unwrap_or_else(super::unanswered);
            reader.resolve(&host, resolution);
        }
        (names, reader.findings())
    }

    /// Starts the task that watches `root` until `stop`.
    pub(super) fn live(
        root: &FilePath,
        resolver: Resolver,
        generation: &Arc<Generation>,
        tasks: &TaskTracker,
        stop: &CancellationToken,
    ) -> Self {
        let names = Self { shared: Arc::default() };
        let reader = Reader::new(root, Arc::clone(&names.shared), Arc::clone(generation));
        tasks.spawn(watch(reader, HostWatch::new(resolver, Pace::default()), stop.clone()));
        names
    }

    /// Looks at the segments of `path` behind the first `skip`.
    pub(super) fn lookup(&self, path: &Path, skip: usize, seen: &mut Dependencies) -> Answer<Arc<AddressSet>> {
        seen.note(&self.shared.version);
        let tree = self.shared.tree.load();
        let mut directory = match &**tree {
            Tree::Unread => return Answer::Pending,
            Tree::Unreadable(message) => return Answer::Error(NamerError(message.clone())),
            Tree::Known(top) => top,
        };
        for (index, segment) in path.segments().iter().enumerate().skip(skip) {
            match directory.nodes.get(segment) {
                None => break,
                Some(Node::Directory(next)) => directory = next,
                Some(Node::File(addr)) => {
                    if let Some(standing) = addr.standing() {
                        seen.note(standing);
                    }
                    let (id, residual) = (path.take(index + 1), path.drop(index + 1));
                    let bound = Bound { id, residual, addr: Arc::clone(addr) };
                    return Answer::Tree(NameTree::Leaf(Target::Bound(bound)));
                }
            }
        }
        Answer::Tree(NameTree::Neg)
    }

    pub(super) fn waits_for(&self) -> Option<String> {
        if matches!(**self.shared.tree.load(), Tree::Unread) {
            return Some("its directory was not read yet".to_owned());
        }
        match self.shared.waiting.load(Ordering::Relaxed) {
            0 => None,
            files => Some(format!("the host names in {files} of its files are not resolved yet")),
        }
    }

    pub(super) fn bound_names(&self, prefix: &Path) -> Vec<Path> {
        let mut names = Vec::new();
        if let Tree::Known(top) = &**self.shared.tree.load() {
            top.collect(prefix, &mut names);
        }
        names.sort_unstable();
        names
    }
}

impl Shared {
    fn publish(&self, tree: Tree, generation: &Generation) {
        self.tree.store(Arc::new(tree));
        self.version.bump();
        generation.bump();
    }

    fn wait_for(&self, files: usize, generation: &Generation) {
        if self.waiting.swap(files, Ordering::Relaxed) != files {
            generation.bump();
        }
    }
}

impl Directory {
    fn insert(&mut self, name: &FilePath, set: &Arc<AddressSet>) {
        let mut parts = name.components().filter_map(segment).peekable();
        let mut directory = self;
        while let Some(part) = parts.next() {
            if parts.peek().is_none() {
                directory.nodes.insert(part, Node::File(Arc::clone(set)));
                return;
            }
            let next = directory.nodes.entry(part).or_insert_with(|| Node::Directory(Self::default()));
            // What was a file before the listing and a directory in it is found at the next scan.
            let Node::Directory(next) = next else { return };
            directory = next;
        }
    }

    fn collect(&self, prefix: &Path, names: &mut Vec<Path>) {
        for (name, node) in &self.nodes {
            let path = prefix.concat(&Path::from_segments([name.clone()]));
            match node {
                Node::File(_) => names.push(path),
                Node::Directory(directory) => directory.collect(&path, names),
            }
        }
    }
}

fn segment(part: Component<'_>) -> Option<Segment> {
    Segment::new(part.as_os_str().as_encoded_bytes().to_vec()).ok()
}

/// Scans after each change until `stop`. Reading happens on the runtime's blocking threads.
async fn watch(mut reader: Reader, mut hosts: HostWatch, stop: CancellationToken) {
    let (mut directories, changes) = DirectoryWatch::new();
    loop {
        let started = Instant::now();
        let scan = tokio::task::spawn_blocking(move || {
            reader.scan();
            directories.follow(reader.directories());
            (reader, directories)
        });
        let scanned = tokio::select! {
            () = stop.cancelled() => return,
            scanned = scan => scanned,
        };
        (reader, directories) = match scanned {
            Ok(both) => both,
            Err(error) => {
                tracing::error!(%error, "the fs namer ended badly; what it last read stays");
                return;
            }
        };
        hosts.watch(&reader.limit_hosts());
        // Where something changes all the time, in a large directory or beside it, reading takes a part of one core.
        let pause = (started.elapsed() * 4).min(LONGEST_PAUSE);
        let changed = async {
            tokio::time::sleep(pause).await;
            changes.next().await;
        };
        if !resolve_until(changed, &mut reader, &mut hosts, &stop).await {
            return;
        }
    }
}

/// Publishes what DNS says until a file may have changed; `false`: it is time to stop.
async fn resolve_until(
    changed: impl Future<Output = ()>,
    reader: &mut Reader,
    hosts: &mut HostWatch,
    stop: &CancellationToken,
) -> bool {
    tokio::pin!(changed);
    loop {
        tokio::select! {
            biased;
            () = stop.cancelled() => return false,
            () = &mut changed => return true,
            host = hosts.changed() => {
                if let Some(resolution) = hosts.known(&host) {
                    reader.resolve(&host, resolution.clone());
                }
            }
        }
    }
}

/// How many endpoints the text of a name's file has, or what of it is malformed. For those that try the parser with any
/// text; what uses endpoints reads them through a namer.
///
/// # Errors
/// The first malformed part.
#[doc(hidden)]
pub fn endpoints_in(text: &str) -> Result<usize, waypost_naming::Span> {
    file::parse(text).map(|lines| lines.len()).map_err(|error| error.span)
}

const LONGEST_PAUSE: Duration = Duration::from_millis(500);

#[cfg(test)]
pub(super) use by_hand::by_hand;

/// A namer whose task is not run.
#[cfg(test)]
mod by_hand {
    use super::super::dns::Resolution;
    use super::*;

    /// Does what the namer's task would.
    pub(in crate::namer) struct Hand(Reader);

    pub(in crate::namer) fn by_hand(root: &FilePath, generation: &Arc<Generation>) -> (FsNames, Hand) {
        let names = FsNames { shared: Arc::default() };
        let reader = Reader::new(root, Arc::clone(&names.shared), Arc::clone(generation));
        (names, Hand(reader))
    }

    impl Hand {
        pub(in crate::namer) fn scan(&mut self) {
            self.0.scan();
            self.0.limit_hosts();
        }

        pub(in crate::namer) fn resolve(&mut self, host: &str, resolution: Resolution) {
            self.0.resolve(&host.into(), resolution);
        }
    }
}
