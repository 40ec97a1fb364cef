//! Namers: who is asked for the paths that no dentry speaks for.
//!
//! A look-up reads what a control task last published and never waits, so workers make it themselves. What it looked
//! at is noted in [`Dependencies`]. Each kind has a file: `fs`, `fixed` (static), `inet`; `rewrite` is pure and lives
//! in the naming crate. `host` and `dns` serve those that lead to host names.

mod dns;
mod fixed;
mod fs;
mod host;
mod inet;
mod stamp;

use std::cell::RefCell;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use waypost_naming::{
    Answer, Bound, Builtin, Dtab, Finding, NameTree, Namer, NamerError, Path, Resolved, Rewrite, Segment, Target,
    Weighted, builtin,
};

use crate::address::{AddressSet, Endpoint};
use crate::dependencies::Dependencies;
use crate::generation::Generation;
use crate::transform::{Transformer, transform};

pub use self::dns::DnsConfig;
use self::dns::{Resolution, Resolver};
use self::fixed::FixedNames;
use self::fs::FsNames;
pub use self::fs::endpoints_in;
use self::inet::Inet;

/// One configured namer.
#[derive(Clone, PartialEq, Debug)]
pub struct NamerConfig {
    /// What stands behind `/#` in the paths that it answers for.
    pub prefix: Path,
    /// What it does.
    pub kind: NamerKind,
    /// What becomes of its answers, in this order. Answers that are not bound yet (`rewrite` gives such) stay as they are.
    pub transformers: Vec<Transformer>,
}

/// What a configured namer does.
#[derive(Clone, PartialEq, Debug)]
pub enum NamerKind {
    /// Each file below a directory is a name, its lines are endpoints.
    Fs {
        /// Watched, with all that is below it.
        root_dir: PathBuf,
    },
    /// Names that the configuration itself lists.
    Static {
        /// Each name once.
        services: Vec<(Segment, Vec<Endpoint>)>,
    },
    /// A path is made into another path.
    Rewrite(Rewrite),
}

/// Something about a namer's data that people should know.
#[derive(Clone, Debug)]
pub struct Problem {
    /// Which of the configured namers, counted from 0.
    pub namer: usize,
    /// What; a warning with a place in the data, if it has one.
    pub finding: Finding,
}

/// All configured namers and the built-in ones.
///
/// The list is fixed, what is behind it lives: a changed configuration makes another set.
#[derive(Debug)]
pub struct NamerSet {
    configured: Vec<Configured>,
    inet: Inet,
}

#[derive(Debug)]
struct Configured {
    /// With the `/#`.
    prefix: Path,
    names: Names,
    transformers: Vec<Transformer>,
}

#[derive(Debug)]
enum Names {
    Fs(FsNames),
    Fixed(FixedNames),
    Rewrite(Rewrite),
}

impl NamerSet {
    /// Reads once and watches nothing: for commands that look and end. Blocks, for host names up to 2 s (and again
    /// for each new one that is looked up later).
    #[must_use]
    pub fn read(configs: &[NamerConfig]) -> (Self, Vec<Problem>) {
        Self::read_with(configs, &DnsConfig::default())
    }

    /// [`NamerSet::read`] with host names looked up as `dns` says.
    #[must_use]
    pub fn read_with(configs: &[NamerConfig], dns: &DnsConfig) -> (Self, Vec<Problem>) {
        let mut problems = Vec::new();
        let configured = configs.iter().enumerate().map(|(namer, config)| {
            Configured::new(config, |root_dir| {
                let (names, findings) = FsNames::read(root_dir, dns);
                problems.extend(findings.into_iter().map(|finding| Problem { namer, finding }));
                names
            })
        });
        let configured = configured.collect();
        (Self { configured, inet: Inet::at_once(dns) }, problems)
    }

    /// Starts tasks that keep everything up to date until `stop`. Call it on the control runtime: they run there.
    ///
    /// Returns at once; until the first answers are in, look-ups are pending and [`NamerSet::ready`] says so.
    #[must_use]
    pub fn live(
        configs: &[NamerConfig],
        generation: Arc<Generation>,
        tasks: &TaskTracker,
        stop: CancellationToken,
    ) -> Self {
        Self::live_with(configs, &DnsConfig::default(), generation, tasks, stop)
    }

    /// [`NamerSet::live`] with host names looked up as `dns` says.
    #[must_use]
    pub fn live_with(
        configs: &[NamerConfig],
        dns: &DnsConfig,
        generation: Arc<Generation>,
        tasks: &TaskTracker,
        stop: CancellationToken,
    ) -> Self {
        let resolver = Resolver::of(dns);
        let fs = |root_dir: &std::path::Path| FsNames::live(root_dir, resolver.clone(), &generation, tasks, &stop);
        let configured = configs.iter().map(|config| Configured::new(config, fs)).collect();
        Self { configured, inet: Inet::live(resolver.clone(), generation, tasks, stop) }
    }

    /// Whether every configured namer has given its first answers.
    ///
    /// # Errors
    /// One line for each that has not.
    pub fn ready(&self) -> Result<(), Vec<String>> {
        let waiting: Vec<_> = self.configured.iter().filter_map(Configured::waits_for).collect();
        if waiting.is_empty() { Ok(()) } else { Err(waiting) }
    }

    /// Every name that the configured namers can bind now, by namer in the order of the configuration.
    #[must_use]
    pub fn bound_names(&self) -> Vec<Path> {
        self.configured.iter().flat_map(Configured::bound_names).collect()
    }

    /// What the configured namers answer for, with the `/#`, in the order of the configuration.
    pub fn prefixes(&self) -> impl Iterator<Item = &Path> {
        self.configured.iter().map(|configured| &configured.prefix)
    }

    /// [`Namer::lookup`], with what it looked at.
    pub(crate) fn lookup_noting(&self, path: &Path, seen: &mut Dependencies) -> Answer<Arc<AddressSet>> {
        self.lookup_inside(path, seen, 0)
    }

    /// `inside`: of how many transformers this look-up is a part.
    fn lookup_inside(&self, path: &Path, seen: &mut Dependencies, inside: usize) -> Answer<Arc<AddressSet>> {
        for configured in self.configured.iter().rev().filter(|configured| path.starts_with(&configured.prefix)) {
            let answer = configured.lookup(path, seen);
            match self.transformed(answer, &configured.transformers, seen, inside) {
                Answer::Tree(NameTree::Neg) => {}
                known @ (Answer::Tree(_) | Answer::Pending | Answer::Error(_)) => return known,
            }
        }
        match builtin(path) {
            Builtin::Tree(tree) => Answer::Tree(tree.map(Target::Path)),
            Builtin::Inet { id, residual, host, port } => match port {
                Ok(port) => self.inet.lookup(inet::Wanted { id, residual, host, port }, seen),
                Err(error) => Answer::Error(NamerError(error.to_string())),
            },
            Builtin::NotBuiltin => Answer::Tree(NameTree::Neg),
            Builtin::Unknown(error) => Answer::Error(error),
        }
    }

    fn transformed(
        &self,
        answer: Answer<Arc<AddressSet>>,
        transformers: &[Transformer],
        seen: &mut Dependencies,
        inside: usize,
    ) -> Answer<Arc<AddressSet>> {
        let Answer::Tree(tree) = answer else { return answer };
        if transformers.is_empty() {
            return Answer::Tree(tree);
        }
        let Some(bound) = all_bound(&tree) else { return Answer::Tree(tree) };
        if inside >= MOST_INSIDE {
            return Answer::Error(NamerError("the transformers of namers lead back to those namers".to_owned()));
        }
        let namer = Inside { namers: self, seen: RefCell::new(seen), inside: inside + 1 };
        match transform(bound, transformers, &|path| waypost_naming::bind(&Dtab::default(), path, &namer)) {
            Ok(Resolved::Tree(tree)) => Answer::Tree(tree.map(Target::Bound)),
            Ok(Resolved::Pending) => Answer::Pending,
            Err(error) => Answer::Error(NamerError(error.to_string())),
        }
    }
}

/// The tree if all its leaves are bound.
fn all_bound(tree: &NameTree<Target<Arc<AddressSet>>>) -> Option<NameTree<Bound<Arc<AddressSet>>>> {
    Some(match tree {
        NameTree::Leaf(Target::Bound(bound)) => NameTree::Leaf(bound.clone()),
        NameTree::Leaf(Target::Path(_) | Target::Vacant(_)) => return None,
        NameTree::Alt(trees) => NameTree::Alt(trees.iter().map(all_bound).collect::<Option<_>>()?),
        NameTree::Union(members) => {
            let member =
                |Weighted { weight, tree }: &Weighted<_>| Some(Weighted { weight: *weight, tree: all_bound(tree)? });
            NameTree::Union(members.iter().map(member).collect::<Option<_>>()?)
        }
        NameTree::Neg => NameTree::Neg,
        NameTree::Fail => NameTree::Fail,
        NameTree::Empty => NameTree::Empty,
    })
}

/// The namers as a transformer asks them.
struct Inside<'a> {
    namers: &'a NamerSet,
    seen: RefCell<&'a mut Dependencies>,
    inside: usize,
}

impl Namer for Inside<'_> {
    type Addr = Arc<AddressSet>;

    fn lookup(&self, path: &Path) -> Answer<Self::Addr> {
        self.namers.lookup_inside(path, &mut self.seen.borrow_mut(), self.inside)
    }
}

impl Namer for NamerSet {
    type Addr = Arc<AddressSet>;

    fn lookup(&self, path: &Path) -> Answer<Self::Addr> {
        self.lookup_noting(path, &mut Dependencies::default())
    }
}

impl Configured {
    fn new(config: &NamerConfig, fs: impl FnOnce(&std::path::Path) -> FsNames) -> Self {
        let prefix = Path::from_segments(Segment::new("#").ok()).concat(&config.prefix);
        let names = match &config.kind {
            NamerKind::Fs { root_dir } => Names::Fs(fs(root_dir)),
            NamerKind::Static { services } => Names::Fixed(FixedNames::new(services)),
            NamerKind::Rewrite(rewrite) => Names::Rewrite(rewrite.clone()),
        };
        Self { prefix, names, transformers: config.transformers.clone() }
    }

    fn lookup(&self, path: &Path, seen: &mut Dependencies) -> Answer<Arc<AddressSet>> {
        let skip = self.prefix.len();
        match &self.names {
            Names::Fs(names) => names.lookup(path, skip, seen),
            Names::Fixed(names) => Answer::Tree(names.lookup(path, skip)),
            Names::Rewrite(rewrite) => match rewrite.lookup(&path.drop(skip)) {
                Ok(tree) => Answer::Tree(tree.map(Target::Path)),
                Err(error) => Answer::Error(error),
            },
        }
    }

    fn waits_for(&self) -> Option<String> {
        match &self.names {
            Names::Fs(names) => names.waits_for().map(|what| format!("{}: {what}", self.prefix)),
            Names::Fixed(_) | Names::Rewrite(_) => None,
        }
    }

    fn bound_names(&self) -> Vec<Path> {
        match &self.names {
            Names::Fs(names) => names.bound_names(&self.prefix),
            Names::Fixed(names) => names.bound_names(&self.prefix),
            Names::Rewrite(_) => Vec::new(),
        }
    }
}

/// What a host name is that was not resolved within [`AT_ONCE_PATIENCE`].
fn unanswered() -> Resolution {
    Resolution::Temporary(format!("no answer within {} s", AT_ONCE_PATIENCE.as_secs()))
}

/// How many transformers of namers may ask for each other's paths in a row.
const MOST_INSIDE: usize = 8;

/// How long a command that looks and ends waits for host names.
const AT_ONCE_PATIENCE: Duration = Duration::from_secs(2);

#[cfg(test)]
mod tests;
