//! The fs namer as it runs: whatever happens to the files, the names follow.

#![expect(clippy::unwrap_used, reason = "clippy allows it in tests, but not in what tests share")]

#[path = "../src/eventually.rs"]
mod eventually;

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path as FilePath, PathBuf};
use std::sync::Arc;

use tempfile::TempDir;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use waypost_naming::{Dtab, Path};
use waypost_routing::{Addresses, Binding, DtabCell, Generation, NamerConfig, NamerKind, NamerSet, bind};

use eventually::eventually;

/// A live namer over a directory of its own. The root is below the temporary directory, so that it can be replaced.
struct Live {
    dir: TempDir,
    namers: NamerSet,
    generation: Arc<Generation>,
    tasks: TaskTracker,
    stop: CancellationToken,
}

impl Live {
    /// Starts after `prepare` has made what is there at first.
    async fn start(prepare: impl FnOnce(&FilePath)) -> Self {
        let dir = TempDir::new().unwrap();
        let root = dir.path().join("disco");
        prepare(&root);
        let (generation, tasks, stop) = (Arc::new(Generation::new()), TaskTracker::new(), CancellationToken::new());
        let config = NamerConfig {
            prefix: "/fs".parse().unwrap(),
            kind: NamerKind::Fs { root_dir: root },
            transformers: Vec::new(),
        };
        let namers = NamerSet::live(&[config], Arc::clone(&generation), &tasks, stop.clone());
        let live = Self { dir, namers, generation, tasks, stop };
        assert_eq!(live.bind("users").decision.outcome.word(), "pending", "nobody has looked yet");
        assert_eq!(live.namers.ready(), Err(vec!["/#/fs: its directory was not read yet".to_owned()]));
        eventually("ready", || live.namers.ready().map_err(|reasons| reasons.join(", "))).await;
        live
    }

    async fn empty() -> Self {
        Self::start(|root| fs::create_dir(root).unwrap()).await
    }

    fn file(&self, name: &str) -> PathBuf {
        self.dir.path().join("disco").join(name)
    }

    /// As a careful writer does it.
    fn put(&self, name: &str, text: &str) {
        let temporary = self.dir.path().join("new");
        fs::write(&temporary, text).unwrap();
        fs::rename(temporary, self.file(name)).unwrap();
    }

    fn bind(&self, name: &str) -> Binding {
        let path: Path = format!("/#/fs/{name}").parse().unwrap();
        bind(&DtabCell::default(), &Dtab::default(), &path, &self.namers)
    }

    /// The ports that a name leads to, `None` if it leads nowhere.
    fn ports(&self, name: &str) -> Option<Vec<u16>> {
        let decision = self.bind(name).decision;
        let leaf = decision.leaves.first()?;
        Some(leaf.addresses.snapshot().endpoints().iter().map(|endpoint| endpoint.addr.port()).collect())
    }

    async fn becomes(&self, name: &str, expected: Option<&[u16]>) {
        eventually(name, || {
            let ports = self.ports(name);
            if ports.as_deref() == expected { Ok(()) } else { Err(format!("{ports:?} instead of {expected:?}")) }
        })
        .await;
    }

    async fn end(self) {
        self.stop.cancel();
        self.tasks.close();
        self.tasks.wait().await;
    }
}

#[tokio::test]
async fn files_that_are_renamed_into_place_written_and_removed_are_followed() {
    let live = Live::empty().await;
    live.becomes("users", None).await;
    let before = live.generation.current();
    live.put("users", "127.0.0.1 1\n");
    live.becomes("users", Some(&[1])).await;
    assert!(live.generation.current() > before);

    let held = live.bind("users");
    live.put("users", "127.0.0.1 2\n127.0.0.1 3 * 2.0\n");
    live.becomes("users", Some(&[2, 3])).await;
    assert!(!held.dependencies.changed(), "other addresses are no reason to bind again");
    assert_eq!(held.decision.leaves[0].addresses.snapshot().endpoints()[1].weight, 2.0);
    fs::write(live.file("users"), "127.0.0.1 4\n").unwrap();
    live.becomes("users", Some(&[4])).await;
    fs::write(live.file("users"), "").unwrap();
    live.becomes("users", Some(&[])).await;
    assert!(matches!(*held.decision.leaves[0].addresses.snapshot(), Addresses::Bound(_)), "empty is not unknown");

    fs::remove_file(live.file("users")).unwrap();
    live.becomes("users", None).await;
    assert!(held.dependencies.changed());
    assert_eq!(live.bind("users").decision.outcome.word(), "negative");
    assert_eq!(*held.decision.leaves[0].addresses.snapshot(), Addresses::Neg);
    live.put("users", "127.0.0.1 5\n");
    live.becomes("users", Some(&[5])).await;
    live.end().await;
}

#[tokio::test]
async fn a_malformed_file_keeps_the_last_good_content() {
    let live = Live::empty().await;
    live.put("users", "127.0.0.1 1\n");
    live.becomes("users", Some(&[1])).await;
    live.put("users", "127.0.0.1 2\nnonsense\n");
    live.put("large", &"#".repeat(500_001));
    live.becomes("large", Some(&[])).await;
    assert_eq!(live.ports("users"), Some(vec![1]));
    assert!(matches!(*live.bind("large").decision.leaves[0].addresses.snapshot(), Addresses::Failed(_)));
    live.put("users", "127.0.0.1 2\n");
    live.becomes("users", Some(&[2])).await;
    live.end().await;
}

#[tokio::test]
async fn why_a_file_is_not_usable_has_its_place_apart_from_what_callers_are_told() {
    let live = Live::empty().await;
    for (name, text, reason, place) in [
        ("words", "127.0.0.1 1\n127.0.0.1\n".to_owned(), "there is no port", ":2:10"),
        ("large", "#".repeat(500_001), "its file has more than 500000 bytes", ""),
    ] {
        live.put(name, &text);
        live.becomes(name, Some(&[])).await;
        let addresses = live.bind(name).decision.leaves[0].addresses.snapshot();
        let Addresses::Failed(cause) = &*addresses else { panic!("{addresses:?}") };
        let place = format!("{}{place}", live.file(name).display());
        assert_eq!((&*cause.reason, cause.place.as_deref()), (reason, Some(&*place)));
        assert_eq!(cause.to_string(), format!("{place}: {reason}"));
    }
    live.end().await;
}

#[tokio::test]
async fn a_kubernetes_volume_is_followed_through_its_swaps() {
    let live = Live::start(|root| {
        fs::create_dir_all(root.join("..one")).unwrap();
        fs::write(root.join("..one/users"), "127.0.0.1 1\n").unwrap();
        symlink("..one", root.join("..data")).unwrap();
        symlink("..data/users", root.join("users")).unwrap();
    })
    .await;
    live.becomes("users", Some(&[1])).await;
    let names: Vec<_> = live.namers.bound_names().iter().map(Path::to_string).collect();
    assert_eq!(names, ["/#/fs/users"]);
    for (port, version) in [(2, "..two"), (3, "..three")] {
        fs::create_dir(live.file(version)).unwrap();
        fs::write(live.file(version).join("users"), format!("127.0.0.1 {port}\n")).unwrap();
        symlink(version, live.file("..data_tmp")).unwrap();
        fs::rename(live.file("..data_tmp"), live.file("..data")).unwrap();
        live.becomes("users", Some(&[port])).await;
    }
    live.end().await;
}

#[tokio::test]
async fn directories_that_come_and_go_are_followed() {
    let live = Live::empty().await;
    fs::create_dir_all(live.file("eu/west")).unwrap();
    live.put("eu/west/users", "127.0.0.1 1\n");
    live.becomes("eu/west/users", Some(&[1])).await;
    assert_eq!(live.bind("eu/west/users/rest").decision.leaves[0].residual.to_string(), "/rest");
    live.put("eu/west/users", "127.0.0.1 2\n");
    live.becomes("eu/west/users", Some(&[2])).await;

    fs::rename(live.file("eu"), live.file("us")).unwrap();
    live.becomes("us/west/users", Some(&[2])).await;
    live.becomes("eu/west/users", None).await;
    live.put("us/west/users", "127.0.0.1 3\n");
    live.becomes("us/west/users", Some(&[3])).await;

    fs::remove_dir_all(live.file("us")).unwrap();
    live.becomes("us/west/users", None).await;
    live.put("us", "127.0.0.1 4\n");
    live.becomes("us/west/users", Some(&[4])).await;
    fs::remove_file(live.file("us")).unwrap();
    fs::create_dir(live.file("us")).unwrap();
    live.put("us/users", "127.0.0.1 5\n");
    live.becomes("us/users", Some(&[5])).await;
    live.end().await;
}

#[tokio::test]
async fn a_root_that_appears_later_or_is_swapped_is_followed() {
    let live = Live::start(|_| {}).await;
    assert_eq!(live.bind("users").decision.outcome.word(), "negative");
    for (port, version) in [(1, "one"), (2, "two")] {
        let directory = live.dir.path().join(version);
        fs::create_dir(&directory).unwrap();
        fs::write(directory.join("users"), format!("127.0.0.1 {port}\n")).unwrap();
        symlink(version, live.dir.path().join("link")).unwrap();
        fs::rename(live.dir.path().join("link"), live.file("")).unwrap_or_else(|_| {
            fs::rename(live.dir.path().join("link"), live.dir.path().join("disco")).unwrap();
        });
        live.becomes("users", Some(&[port])).await;
    }
    live.end().await;
}

#[tokio::test]
async fn what_no_event_tells_is_found_all_the_same() {
    let outside = TempDir::new().unwrap();
    fs::write(outside.path().join("users"), "127.0.0.1 1\n").unwrap();
    let live = Live::start(|root| {
        fs::create_dir(root).unwrap();
        fs::hard_link(outside.path().join("users"), root.join("users")).unwrap();
    })
    .await;
    live.becomes("users", Some(&[1])).await;
    // Events name the directory in which a file was opened, and this one is not watched. The first change may still be
    // found by the look at what happened while the watch began.
    for port in [2, 3] {
        fs::write(outside.path().join("users"), format!("127.0.0.1 {port}\n")).unwrap();
        live.becomes("users", Some(&[port])).await;
    }
    live.end().await;
}

#[tokio::test]
async fn links_in_a_circle_end() {
    let live = Live::start(|root| {
        fs::create_dir_all(root.join("a/b")).unwrap();
        fs::write(root.join("a/users"), "127.0.0.1 1\n").unwrap();
        symlink("..", root.join("a/b/up")).unwrap();
        symlink(".", root.join("self")).unwrap();
        symlink("dangling", root.join("nothing")).unwrap();
        symlink("loop", root.join("loop")).unwrap();
    })
    .await;
    let names: Vec<_> = live.namers.bound_names().iter().map(Path::to_string).collect();
    assert_eq!(names, ["/#/fs/a/users"]);
    live.put("dangling", "127.0.0.1 2\n");
    live.becomes("nothing", Some(&[2])).await;
    live.end().await;
}

#[tokio::test]
async fn host_names_in_files_are_resolved() {
    let live = Live::empty().await;
    live.put("users", "localhost 1\n");
    eventually("localhost", || match live.ports("users") {
        Some(ports) if !ports.is_empty() => Ok(()),
        other => Err(format!("{other:?}")),
    })
    .await;
    let addresses = live.bind("users").decision.leaves[0].addresses.snapshot();
    assert!(addresses.endpoints().iter().all(|endpoint| endpoint.addr.ip().is_loopback()), "{addresses:?}");
    live.end().await;
}
