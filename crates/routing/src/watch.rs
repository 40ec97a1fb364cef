//! Tells when something below watched directories may have changed.
//!
//! It never says what: editors rename, Kubernetes swaps a symbolic link, and each system reports that in another way.
//! So whoever waits here reads again and compares content. Directories are watched rather than files, and those of
//! every symbolic link on the way; a slow poll covers what no event tells (NFS, exhausted watches, overflows).

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use notify::event::{AccessKind, AccessMode};
use notify::{Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher};
use tokio::sync::Notify;
use tokio::time::{Instant, timeout, timeout_at};

/// The waiting half: owned by the task that reads.
#[derive(Clone, Debug)]
pub struct Changes {
    happened: Arc<Notify>,
}

impl Changes {
    /// Waits until something happened and settled, at most 4 s. Nothing is lost when the future is dropped before the
    /// first event; after it the rest of the settling time is.
    pub async fn next(&self) {
        if timeout(POLL, self.happened.notified()).await.is_err() {
            return;
        }
        // Writers make several changes in a row; what never ends must not keep the first from being seen.
        let deadline = Instant::now() + SETTLE_AT_MOST;
        while Instant::now() < deadline {
            if timeout_at(deadline.min(Instant::now() + SETTLE), self.happened.notified()).await.is_err() {
                return;
            }
        }
    }
}

/// The watching half. Its methods block on the file system.
#[derive(Debug)]
pub struct DirectoryWatch {
    happened: Arc<Notify>,
    watcher: Option<RecommendedWatcher>,
    /// Each watched directory, and which one that was: under the same path there can be another one later.
    watched: BTreeMap<PathBuf, (u64, u64)>,
    /// What could not be watched was logged.
    complained: bool,
}

impl DirectoryWatch {
    /// Watches nothing yet.
    #[must_use]
    pub fn new() -> (Self, Changes) {
        let happened = Arc::new(Notify::new());
        let events = Arc::clone(&happened);
        let watcher = notify::recommended_watcher(move |event: notify::Result<Event>| {
            if event.as_ref().map_or(true, is_change) {
                events.notify_one();
            }
        });
        let watcher = watcher
            .inspect_err(|error| tracing::warn!(%error, "no file events; files are looked at every few seconds"))
            .ok();
        let watch = Self { happened: Arc::clone(&happened), watcher, watched: BTreeMap::new(), complained: false };
        (watch, Changes { happened })
    }

    /// Watches exactly these directories from now on; those that don't exist are left out.
    ///
    /// A change before this call may have been missed, so a new directory counts as an event.
    pub fn follow(&mut self, directories: &BTreeSet<PathBuf>) {
        let Some(watcher) = &mut self.watcher else { return };
        // By their real paths: two watches of one directory would end together.
        let wanted: BTreeMap<PathBuf, (u64, u64)> = directories
            .iter()
            .filter_map(|directory| {
                let directory = fs::canonicalize(directory).ok()?;
                let metadata = fs::metadata(&directory).ok()?;
                metadata.is_dir().then(|| (directory, (metadata.dev(), metadata.ino())))
            })
            .collect();
        self.watched.retain(|directory, which| {
            let keep = wanted.get(directory) == Some(which);
            if !keep {
                // It fails where the directory is gone, and the watch with it.
                drop(watcher.unwatch(directory));
            }
            keep
        });
        for (directory, which) in wanted {
            if self.watched.contains_key(&directory) {
                continue;
            }
            match watcher.watch(&directory, RecursiveMode::NonRecursive) {
                Ok(()) => {
                    self.watched.insert(directory, which);
                    self.happened.notify_one();
                }
                Err(error) if !self.complained => {
                    self.complained = true;
                    let directory = directory.display();
                    tracing::warn!(%directory, %error, "directory not watched; it is looked at every few seconds");
                }
                Err(_) => {}
            }
        }
    }
}

/// Reading is no change: our own would keep us reading for ever.
fn is_change(event: &Event) -> bool {
    match event.kind {
        EventKind::Access(access) => access == AccessKind::Close(AccessMode::Write),
        EventKind::Any | EventKind::Create(_) | EventKind::Modify(_) | EventKind::Remove(_) | EventKind::Other => true,
    }
}

/// The directories in which a change can make `path` lead elsewhere: its own, and that of each symbolic link on the
/// way. Follows at most 40 links, as Linux does.
#[must_use]
pub fn directories_of(path: &Path) -> BTreeSet<PathBuf> {
    let mut directories = BTreeSet::new();
    let Ok(mut path) = std::path::absolute(path) else { return directories };
    directories.extend(path.parent().map(Path::to_path_buf));
    for _ in 0..MOST_LINKS {
        let Some((link, rest)) = first_link(&path) else { break };
        let Some(parent) = link.parent() else { break };
        directories.insert(parent.to_path_buf());
        let Ok(target) = fs::read_link(&link) else { break };
        path = parent.join(target).join(rest);
        // Where the link leads to nothing yet, something may appear.
        directories.extend(path.parent().map(Path::to_path_buf));
    }
    directories
}

/// The first part of `path` that is a symbolic link, and what follows it.
fn first_link(path: &Path) -> Option<(PathBuf, PathBuf)> {
    let mut walked = PathBuf::new();
    let mut parts = path.components();
    while let Some(part) = parts.next() {
        match part {
            Component::ParentDir => {
                walked.pop();
            }
            Component::CurDir => {}
            Component::Prefix(_) | Component::RootDir | Component::Normal(_) => walked.push(part),
        }
        if is_link(&walked).ok()? {
            return Some((walked, parts.as_path().to_path_buf()));
        }
    }
    None
}

fn is_link(path: &Path) -> io::Result<bool> {
    Ok(fs::symlink_metadata(path)?.is_symlink())
}

/// The longest time between a change without an event and its being seen; 5 s are promised, reading takes some.
const POLL: Duration = Duration::from_secs(4);
const SETTLE: Duration = Duration::from_millis(100);
const SETTLE_AT_MOST: Duration = Duration::from_secs(1);
const MOST_LINKS: usize = 40;

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use tempfile::TempDir;

    use super::*;

    #[test]
    fn every_link_on_the_way_is_watched() {
        let dir = TempDir::new().unwrap();
        let top = fs::canonicalize(dir.path()).unwrap();
        fs::create_dir_all(top.join("volume/..one")).unwrap();
        fs::create_dir(top.join("etc")).unwrap();
        fs::write(top.join("volume/..one/tls.key"), "").unwrap();
        symlink("..one", top.join("volume/..data")).unwrap();
        symlink("..data/tls.key", top.join("volume/tls.key")).unwrap();
        symlink("../volume", top.join("etc/certs")).unwrap();
        let found = directories_of(&top.join("etc/certs/tls.key"));
        for part in ["etc", "etc/../volume", "etc/../volume/..one"] {
            let real = fs::canonicalize(top.join(part)).unwrap();
            let is_found = found.iter().any(|directory| fs::canonicalize(directory).ok().as_ref() == Some(&real));
            assert!(is_found, "{part} in {found:?}");
        }
    }

    #[test]
    fn links_to_nothing_and_in_circles_end() {
        let dir = TempDir::new().unwrap();
        symlink("b", dir.path().join("a")).unwrap();
        symlink("a", dir.path().join("b")).unwrap();
        assert!(directories_of(&dir.path().join("a")).iter().any(|directory| directory.ends_with(dir.path())));
        assert!(!directories_of(&dir.path().join("gone/file")).is_empty());
    }

    #[tokio::test]
    async fn a_change_in_a_followed_directory_is_told() {
        let dir = TempDir::new().unwrap();
        let (mut watch, changes) = DirectoryWatch::new();
        watch.follow(&BTreeSet::from([dir.path().to_path_buf()]));
        changes.next().await;
        fs::write(dir.path().join("new"), "").unwrap();
        assert!(timeout(POLL, changes.happened.notified()).await.is_ok(), "an event, not the poll");
    }
}
