//! What regular files there are below a directory.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::super::stamp::Stamp;
use crate::watch::directories_of;

/// All regular files below a root, by their paths relative to it.
#[derive(Default, Debug)]
pub(super) struct Listing {
    pub(super) files: BTreeMap<PathBuf, Stamp>,
    /// Directories (relative) that could not be read: what was known below them still holds.
    pub(super) unread: Vec<(PathBuf, String)>,
    /// Everywhere that a change would change the listing or a file in it.
    pub(super) directories: BTreeSet<PathBuf>,
    /// Something was left out.
    pub(super) truncated: bool,
}

impl Listing {
    /// Walks everything below `root`. A missing root has no files.
    pub(super) fn read(root: &Path) -> io::Result<Self> {
        let mut listing = Self { directories: directories_of(root), ..Self::default() };
        let real = match fs::canonicalize(root) {
            Ok(real) => real,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(listing),
            Err(error) => return Err(error),
        };
        listing.walk(root, Path::new(""), &mut vec![real])?;
        Ok(listing)
    }

    /// Adds what is in one directory; `above` are the real paths of it and the directories that led to it.
    fn walk(&mut self, root: &Path, below: &Path, above: &mut Vec<PathBuf>) -> io::Result<()> {
        self.directories.extend(above.last().cloned());
        for entry in fs::read_dir(root.join(below))? {
            let entry = entry?;
            // `..data` of Kubernetes, swap files of editors.
            if entry.file_name().as_encoded_bytes().starts_with(b".") {
                continue;
            }
            let name = below.join(entry.file_name());
            let path = root.join(&name);
            if entry.file_type()?.is_symlink() {
                self.directories.extend(directories_of(&path));
            }
            // One that is gone meanwhile, or a link to nothing, is no name.
            let Ok(metadata) = fs::metadata(&path) else { continue };
            if metadata.is_file() {
                if self.files.len() >= MOST_FILES {
                    self.truncated = true;
                    return Ok(());
                }
                self.files.insert(name, Stamp::of(&metadata));
            } else if metadata.is_dir() {
                self.enter(root, name, above);
            }
        }
        Ok(())
    }

    fn enter(&mut self, root: &Path, name: PathBuf, above: &mut Vec<PathBuf>) {
        let real = match fs::canonicalize(root.join(&name)) {
            Ok(real) => real,
            Err(error) => {
                self.unread.push((name, error.to_string()));
                return;
            }
        };
        // A link back to a directory above would be walked for ever.
        if above.contains(&real) {
            return;
        }
        if above.len() > DEEPEST || self.directories.len() >= MOST_DIRECTORIES {
            self.truncated = true;
            return;
        }
        above.push(real);
        if let Err(error) = self.walk(root, &name, above) {
            self.unread.push((name, error.to_string()));
        }
        above.pop();
    }
}

/// Beyond this many files the rest is left out.
pub(super) const MOST_FILES: usize = 100_000;
const MOST_DIRECTORIES: usize = 10_000;
/// Directories below the root.
pub(super) const DEEPEST: usize = 16;
