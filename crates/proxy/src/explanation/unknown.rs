//! Why a path leads nowhere: what was asked, whom, and which name was perhaps meant.

use std::cell::{Cell, OnceCell};
use std::sync::Arc;
use std::{fmt, iter};

use waypost_naming::{Answer, Namer, Path};
use waypost_routing::{AddressSet, NamerSet};

use crate::config::NamerOrigin;
use crate::plan::Router;

/// Namers that can say why they don't know a name.
pub(crate) trait Namers: Namer<Addr = Arc<AddressSet>> {
    /// Why `path`, for which no rule speaks, leads nowhere.
    fn unknown(&self, path: &Path) -> String;

    /// Who is asked first for `path`, where that is a configured one, and where it looks.
    fn asked(&self, _path: &Path) -> Option<String> {
        None
    }
}

/// The namers of a router.
pub(super) struct Configured<'a> {
    namers: &'a NamerSet,
    /// What they are called, in their order.
    origins: &'a [NamerOrigin],
    /// All names that they know: looked up once, and only if one was missed.
    names: OnceCell<Vec<Path>>,
    /// How often a hint may still be looked for.
    hints: Cell<usize>,
}

impl<'a> Configured<'a> {
    pub(super) fn of(router: &'a Router) -> Self {
        Self::new(&router.namers, &router.config.namers)
    }

    pub(super) const fn new(namers: &'a NamerSet, origins: &'a [NamerOrigin]) -> Self {
        Self { namers, origins, names: OnceCell::new(), hints: Cell::new(MOST_HINTS) }
    }

    fn names_under(&self, prefix: &Path) -> impl Iterator<Item = &Path> {
        self.names.get_or_init(|| self.namers.bound_names()).iter().filter(move |name| name.starts_with(prefix))
    }

    /// The namers that answer for `path`; the last one is asked first.
    fn responsible(&self, path: &Path) -> impl Iterator<Item = Asked<'a>> {
        let origins = self.origins.iter().map(Some).chain(iter::repeat(None));
        let namers = self.namers.prefixes().zip(origins).map(|(prefix, origin)| Asked { prefix, origin });
        namers.filter(move |namer| path.starts_with(namer.prefix))
    }

    /// What `namer` has to say of `path`, which is below it.
    fn unknown_to(&self, namer: Asked<'_>, path: &Path) -> String {
        let Asked { prefix, origin } = namer;
        if path.len() == prefix.len() {
            return format!("{path} alone names nothing: what is looked for must follow");
        }
        let wanted = relative(path, prefix);
        let Some(hints) = self.hints.get().checked_sub(1) else {
            return format!("{namer} has no `{wanted}`");
        };
        self.hints.set(hints);
        if let Some(deeper) = self.names_under(path).next() {
            return format!("{namer} needs more of a name, such as {deeper}");
        }
        let hint = one_of(&wanted, self.names_under(prefix).map(|name| relative(name, prefix)));
        match origin.and_then(|origin| origin.root_dir.as_deref()) {
            Some(root) => format!("{namer} has no file for `{wanted}` in {}{hint}", root.display()),
            None => format!("{namer} has no `{wanted}`{hint}"),
        }
    }
}

impl Namer for Configured<'_> {
    type Addr = Arc<AddressSet>;

    fn lookup(&self, path: &Path) -> Answer<Self::Addr> {
        self.namers.lookup(path)
    }
}

impl Namers for Configured<'_> {
    fn asked(&self, path: &Path) -> Option<String> {
        let namer = self.responsible(path).last()?;
        let root = namer.origin.and_then(|origin| origin.root_dir.as_deref());
        Some(match root {
            Some(root) => format!("{namer} looks in {}", root.display()),
            None => format!("{namer} was asked"),
        })
    }

    fn unknown(&self, path: &Path) -> String {
        // The last one is asked first; they are all of one prefix or of one inside the other's.
        let mut asked: Vec<Asked<'_>> = self.responsible(path).collect();
        if let Some(last) = asked.pop() {
            let others = asked.iter().rev().map(|namer| format!("; nor has {namer}"));
            return self.unknown_to(last, path) + &others.collect::<String>();
        }
        match path.segments().first().map(waypost_naming::Segment::as_bytes) {
            Some(b"#") => {
                let known: Vec<String> = self.namers.prefixes().map(Path::to_string).collect();
                let there = if known.is_empty() { "no [[namers]]".to_owned() } else { list(&known) };
                format!("no namer answers for {}; there are {there}", path.take(2))
            }
            Some(b"$") => format!("the built-in namer {} does not take it", path.take(2)),
            Some(_) | None => "no rule matches it, and it is no namer's".to_owned(),
        }
    }
}

/// A namer that was asked.
#[derive(Clone, Copy)]
struct Asked<'a> {
    prefix: &'a Path,
    origin: Option<&'a NamerOrigin>,
}

impl fmt::Display for Asked<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.origin {
            Some(NamerOrigin { kind, from, .. }) => write!(f, "the {kind} namer at {} ({from})", self.prefix),
            None => write!(f, "the namer at {}", self.prefix),
        }
    }
}

/// What was perhaps meant, or what there is.
pub(crate) fn one_of(wanted: &str, known: impl Iterator<Item = String>) -> String {
    let known: Vec<String> = known.take(MOST_COMPARED).collect();
    let wanted: String = wanted.chars().take(LONGEST).collect();
    let allowed = wanted.chars().count().div_ceil(3);
    // What of the path would be left over is no part of a name.
    let beginning = |name: &str| wanted.split('/').take(name.split('/').count()).collect::<Vec<_>>().join("/");
    let nearest = known
        .iter()
        .map(|name| (strsim::damerau_levenshtein(&beginning(name), name), name))
        .filter(|(distance, _)| *distance <= allowed)
        .min_by_key(|(distance, _)| *distance);
    match nearest {
        Some((_, name)) => format!("; did you mean `{name}`?"),
        None if known.is_empty() => ", nor anything else".to_owned(),
        None if known.len() <= FEW => format!("; it has {}", list(&known)),
        None => String::new(),
    }
}

fn list(names: &[String]) -> String {
    names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}

/// As it stands behind the prefix: `users`, `a/b`.
fn relative(path: &Path, prefix: &Path) -> String {
    path.drop(prefix.len()).to_string().trim_start_matches('/').to_owned()
}

/// Names that are shown all.
const FEW: usize = 5;
/// The comparison's cost grows with the square.
const LONGEST: usize = 64;
/// Trees may have thousands of branches that lead nowhere; nobody reads so many.
const MOST_HINTS: usize = 50;
const MOST_COMPARED: usize = 10_000;

#[cfg(test)]
mod tests {
    use super::super::offline;
    use super::*;
    use crate::config::Config;

    #[test]
    fn a_missing_name_is_told_with_who_was_asked_and_what_there_is() {
        let router = router(LAB);
        let namers = Configured::of(&router);
        for (path, why) in [
            ("/#/lab/user", "the static namer at /#/lab (w.toml:1:1) has no `user`; did you mean `users`?"),
            ("/#/lab/wep/x", "the static namer at /#/lab (w.toml:1:1) has no `wep/x`; did you mean `web`?"),
            ("/#/lab/other", "the static namer at /#/lab (w.toml:1:1) has no `other`; it has `users`, `web`"),
            ("/#/lab", "/#/lab alone names nothing: what is looked for must follow"),
            ("/#/fs/users", "no namer answers for /#/fs; there are `/#/lab`"),
            ("/#", "no namer answers for /#; there are `/#/lab`"),
            ("/$/io.buoyant.hostportPfx/x", "the built-in namer /$/io.buoyant.hostportPfx does not take it"),
            ("/svc/users", "no rule matches it, and it is no namer's"),
            ("/", "no rule matches it, and it is no namer's"),
        ] {
            assert_eq!(namers.unknown(&path.parse().unwrap()), why, "{path}");
        }
        let (none, _) = NamerSet::read(&[]);
        let unknown = Configured::new(&none, &[]).unknown(&"/#/fs/users".parse().unwrap());
        assert_eq!(unknown, "no namer answers for /#/fs; there are no [[namers]]");
    }

    #[test]
    fn of_a_missing_file_the_directory_is_told_and_each_namer_that_was_asked() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("cli")).unwrap();
        for file in ["main.rs", "plan.rs", "cli/certs.rs"] {
            std::fs::write(dir.path().join(file), "").unwrap();
        }
        let root = dir.path().to_string_lossy();
        let fs = format!("[[namers]]\nkind = \"fs\"\nroot_dir = \"{root}\"\n");
        let router = router(&format!("{fs}{LAB}{fs}prefix = \"lab\"\n"));
        for (path, why) in [
            (
                "/#/fs/mian.rs",
                "the fs namer at /#/fs (w.toml:1:1) has no file for `mian.rs` in SRC; did you mean `main.rs`?",
            ),
            ("/#/fs/cli", "the fs namer at /#/fs (w.toml:1:1) needs more of a name, such as /#/fs/cli/certs.rs"),
            (
                "/#/lab/plam.rs",
                "the fs namer at /#/lab (w.toml:10:1) has no file for `plam.rs` in SRC; did you mean `plan.rs`?; \
                 nor has the static namer at /#/lab (w.toml:4:1)",
            ),
        ] {
            let said = Configured::of(&router).unknown(&path.parse().unwrap());
            assert_eq!(said.replace(&*root, "SRC"), why, "{path}");
        }
    }

    const LAB: &str = "[[namers]]\nkind = \"static\"\nprefix = \"lab\"\n[namers.services]\nusers = []\nweb = []\n";

    fn router(namers: &str) -> Router {
        let text = format!("{namers}[[routers]]\n[[routers.servers]]\nport = 0\n");
        let config = Config::parse("w.toml", &text, std::path::Path::new(env!("CARGO_MANIFEST_DIR"))).unwrap().config;
        offline(&config, &config.routers[0])
    }
}
