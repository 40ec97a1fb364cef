//! Files that are read again when they change: by content, so that editors, renames and symlink swaps all count.
//!
//! They are few and small, so they are simply looked at every second: what a notification may miss (network file
//! systems, a directory that is replaced) is not missed.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hasher};
use std::path::{Path, PathBuf};
use std::time::Duration;

use waypost_naming::{Dtab, Place, line_col};
use waypost_routing::Generation;

use crate::config::Config;
use crate::plan::Snapshot;

/// Contents as they were last seen.
#[derive(Debug)]
pub struct Watched {
    files: Vec<File>,
}

#[derive(Debug)]
struct File {
    path: PathBuf,
    kind: Kind,
    seen: Option<u64>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Kind {
    Config,
    Dtab,
    Tls,
}

/// What changed since the last look.
#[derive(Debug, Default)]
pub struct Changes {
    /// The configuration itself.
    pub config: bool,
    /// A certificate, a key, trust or a CRL.
    pub tls: bool,
    /// Dtab files, with what they hold now.
    pub dtabs: Vec<(PathBuf, String)>,
}

impl Watched {
    /// All files that a configuration names, as `noted` has them, else as they are now.
    ///
    /// A file that changes between its being read for `config` and this would otherwise never count as changed.
    pub fn new(config: &Config, noted: Option<&Self>) -> Self {
        let noted = noted.map(|noted| noted.files.as_slice()).unwrap_or_default();
        let seen = |path: &Path| match noted.iter().find(|file| file.path == path) {
            Some(file) => file.seen,
            None => digest(path),
        };
        let mut kinds: HashMap<&Path, Kind> = HashMap::new();
        for (index, path) in config.files.iter().enumerate() {
            kinds.insert(path, if index == 0 { Kind::Config } else { Kind::Tls });
        }
        for router in &config.routers {
            if let Some(path) = &router.dtab_file {
                kinds.insert(path, Kind::Dtab);
            }
        }
        let files = kinds.into_iter().map(|(path, kind)| File { path: path.to_path_buf(), kind, seen: seen(path) });
        Self { files: files.collect() }
    }

    /// Notes what the files hold now, before they are read for another configuration. Dtabs are published by themselves:
    /// one that changed just now must not be lost should that configuration be refused.
    pub fn note(&mut self) {
        for file in self.files.iter_mut().filter(|file| file.kind != Kind::Dtab) {
            file.seen = digest(&file.path).or(file.seen);
        }
    }

    /// Looks at every file. One that can't be read is as it was: it may be about to be replaced.
    pub fn look(&mut self) -> Changes {
        let mut changes = Changes::default();
        for file in &mut self.files {
            let now = digest(&file.path);
            if now.is_none() || now == file.seen {
                continue;
            }
            file.seen = now;
            match file.kind {
                Kind::Config => changes.config = true,
                Kind::Tls => changes.tls = true,
                Kind::Dtab => {
                    let text = std::fs::read_to_string(&file.path).ok();
                    changes.dtabs.extend(text.map(|text| (file.path.clone(), text)));
                }
            }
        }
        changes
    }
}

/// Publishes a changed dtab to the routers that use its file; one that does not parse leaves the old one.
pub fn take_dtab(snapshot: &Snapshot, path: &Path, text: &str, generation: &Generation) {
    let name: std::sync::Arc<str> = path.display().to_string().into();
    let place = |span: waypost_naming::Span| {
        let (line, col) = line_col(text, span.start);
        Place::File { file: std::sync::Arc::clone(&name), line, col }
    };
    match Dtab::parse_at(text, place) {
        Ok(dtab) => {
            tracing::info!(file = %name, "dtab changed");
            for router in snapshot.routers.iter().filter(|router| router.config.dtab_file.as_deref() == Some(path)) {
                router.dtab.publish(dtab.clone(), generation);
            }
        }
        Err(error) => {
            let (line, col) = line_col(text, error.span.start);
            tracing::error!(place = %format_args!("{name}:{line}:{col}"), %error, "a changed dtab does not parse, the old one goes on");
        }
    }
}

/// What relative paths of a configuration are relative to.
pub fn base_dir(config: &Path) -> &Path {
    config.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or_else(|| Path::new("."))
}

/// Only told apart from what this process itself saw before: no need for a cryptographic one.
fn digest(path: &Path) -> Option<u64> {
    let content = std::fs::read(path).ok()?;
    let mut hasher = DefaultHasher::new();
    hasher.write(&content);
    Some(hasher.finish())
}

/// How often files are looked at.
pub const LOOK_INTERVAL: Duration = Duration::from_secs(1);
