//! A parser, its promises, and what its texts are made of.

use std::fmt;
use std::path::PathBuf;

use crate::targets::{config, delegation, dtab, endpoints, heads, path, pattern, prefix, proxy_header, template, tree};

/// One parser.
pub struct Target {
    /// As on the command line, and the directory in `regressions/`.
    pub name: &'static str,
    /// Panics where a promise is broken.
    pub holds: fn(&str),
    /// What random texts are put together from.
    pub words: Vec<String>,
    /// Texts to begin with: well formed ones, most of them.
    pub seeds: Vec<String>,
}

impl fmt::Debug for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Target").field("name", &self.name).finish_non_exhaustive()
    }
}

impl Target {
    pub(crate) fn new(name: &'static str, holds: fn(&str), words: &[&str], seeds: &[&str]) -> Self {
        let owned = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
        Self { name, holds, words: owned(words), seeds: owned(seeds) }
    }

    /// As [`Target::holds`]; what is no UTF-8 is replaced.
    pub fn check(&self, bytes: &[u8]) {
        (self.holds)(&String::from_utf8_lossy(bytes));
    }

    /// Where texts are kept that broke a promise once.
    #[must_use]
    pub fn regressions(&self) -> PathBuf {
        PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("regressions").join(self.name)
    }
}

/// All of them.
#[must_use]
pub fn all() -> Vec<Target> {
    vec![
        path::target(),
        prefix::target(),
        tree::target(),
        dtab::target(),
        delegation::target(),
        pattern::target(),
        template::target(),
        endpoints::target(),
        heads::target(),
        proxy_header::target(),
        config::target(),
    ]
}

/// The one of that name.
#[must_use]
pub fn named(name: &str) -> Option<Target> {
    all().into_iter().find(|target| target.name == name)
}
