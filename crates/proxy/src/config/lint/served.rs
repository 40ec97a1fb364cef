//! What namers, configured and built in, may say of sets of paths; and the bound paths that there can be.

use std::collections::BTreeSet;

use waypost_naming::{Builtin, NameTree, Path, Pattern, Rewrite, Segment, builtin};
use waypost_routing::{NamerKind, Transformer};

use super::pattern::Parts;
use super::shape::{Part, Shape, Tail};
use super::transformed::{Lead, Rest};
use crate::config::Fallback;

/// All namers.
#[derive(Debug)]
pub(in crate::config) struct Served {
    /// The built-in ones first, then as in the file: the last one is asked first.
    list: Vec<Namer>,
    /// One could not be read, so that a path may be bound all the same.
    incomplete: bool,
}

#[derive(Debug)]
struct Namer {
    /// With its `/#` or `/$`.
    prefix: Path,
    kind: Kind,
    /// What its transformers make of the paths that it binds.
    lead: Lead,
}

#[derive(Debug)]
enum Kind {
    /// Any names, of any number of segments.
    Tree,
    /// These names, of one segment.
    Names(BTreeSet<Segment>),
    /// What the pattern matches is called otherwise.
    Rewrite {
        pattern: Parts,
        to: Shape,
        rewrite: Rewrite,
    },
    Builtin(Class),
}

/// What a built-in namer makes of the segments behind its own.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Class {
    /// `host/port` or `port`: an address.
    Inet,
    /// `port/host`: an address.
    Rinet,
    Empty,
    Fail,
    /// `X/rest` -> `rest`.
    Drop,
    /// `pfx/X/rest` -> `pfx/rest`.
    DropBehind,
    /// `domain/host/rest` -> `sub/rest`.
    Subdomain,
    /// `domain/pfx/host/rest` -> `pfx/sub/rest`.
    SubdomainBehind,
    /// `host/rest` -> its labels, `rest`.
    Labels,
    /// `pfx/host/rest` -> `pfx`, its labels, `rest`.
    LabelsBehind,
    /// `pfx/host:port/rest` -> `pfx`, two segments, `rest`.
    HostPort,
}

/// How sure it is that what is asked is answered.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum Sure {
    /// It may be negative.
    No,
    /// It is never negative; it may be an error or `!`.
    Answered,
    /// It is bound, or empty: a union keeps it.
    Kept,
}

/// What the namers may say of a set of paths.
#[derive(Debug)]
pub(super) struct Said {
    pub(super) sure: Sure,
    /// Some path may be something else than negative.
    pub(super) may: bool,
    /// What some path may be called instead: it goes back through the rules.
    pub(super) next: Vec<Shape>,
}

/// Why no namer ever binds a path and all below it.
#[derive(Debug)]
pub(super) enum Unserved<'a> {
    /// There is no such namer.
    NoNamer,
    /// The namer has names, and this is none of them.
    NoName { prefix: &'a Path, name: Segment, names: &'a BTreeSet<Segment> },
    /// The path is too short, or no address.
    NotEnough { why: String, hint: String },
}

impl Namer {
    fn configured(prefix: &Path, kind: Option<&NamerKind>, transformers: &[Transformer]) -> Self {
        let kind = match kind {
            Some(NamerKind::Static { services }) => {
                Kind::Names(services.iter().map(|(name, _)| name.clone()).collect())
            }
            Some(NamerKind::Rewrite(rewrite)) => {
                let to = rewritten(&rewrite.name.to_string());
                Kind::Rewrite { pattern: Parts::of(&rewrite.pattern), to, rewrite: rewrite.clone() }
            }
            Some(NamerKind::Fs { .. }) | None => Kind::Tree,
        };
        Self { prefix: path(&["#"]).concat(prefix), kind, lead: Lead::of(transformers) }
    }

    /// What is said of `shape`, of which some path begins as this namer's do.
    fn say(&self, shape: &Shape) -> Said {
        let rest = shape.drop(self.prefix.len());
        let said = match &self.kind {
            Kind::Tree => Said::maybe(rest.reaches(0)),
            Kind::Names(names) => one_of(names, &rest),
            Kind::Rewrite { pattern, to, .. } => {
                let may = pattern.may_match(&rest);
                Said { sure: Sure::No, may, next: may.then(|| to.clone()).into_iter().collect() }
            }
            Kind::Builtin(class) => class.say(&self.prefix, &rest),
        };
        if self.lead.supplants() {
            // Whatever it leads to, also where there was nothing.
            return Said::maybe(true);
        }
        let sure = if shape.begins_with(&self.prefix) { said.sure } else { Sure::No };
        Said { sure, ..said }
    }

    /// Whether a path that it binds can begin as `pattern` says; of those that it is asked for as `asked`, if that is
    /// there.
    fn binds(&self, pattern: &Pattern, parts: &Parts, asked: Option<&Shape>) -> bool {
        match self.lead.rest(pattern, parts) {
            Rest::Same => self.binds_as_it_is(pattern, parts, asked),
            Rest::Nothing => false,
            Rest::Whole => self.lead.supplants() || self.binds_itself(),
            Rest::Pattern(rest) => self.binds_as_it_is(&rest, &Parts::of(&rest), asked),
        }
    }

    /// The same before its transformers.
    fn binds_as_it_is(&self, pattern: &Pattern, parts: &Parts, asked: Option<&Shape>) -> bool {
        if asked.is_some_and(|shape| !parts.may_match(shape)) {
            return false;
        }
        let own = Shape::exactly(&self.prefix);
        let fits = parts.may_match_start(&own);
        let beyond = parts.len().saturating_sub(self.prefix.len());
        fits && match &self.kind {
            Kind::Tree => true,
            Kind::Names(names) if beyond == 0 => !names.is_empty(),
            Kind::Names(names) => beyond == 1 && self.has_name(names, pattern, parts),
            Kind::Builtin(Class::Inet) if beyond == 2 => parts.may_be_port(parts.len() - 1),
            Kind::Builtin(Class::Rinet) if beyond > 0 => beyond <= 2 && parts.may_be_port(self.prefix.len()),
            Kind::Builtin(Class::Inet | Class::Rinet) => beyond <= 2,
            Kind::Builtin(_) | Kind::Rewrite { .. } => false,
        }
    }

    fn has_name(&self, names: &BTreeSet<Segment>, pattern: &Pattern, parts: &Parts) -> bool {
        match parts.literal(self.prefix.len()) {
            Some(name) => names.contains(&name),
            None => names
                .iter()
                .any(|name| pattern.matches(&self.prefix.concat(&Path::from_segments([name.clone()]))).is_some()),
        }
    }

    const fn binds_itself(&self) -> bool {
        match self.kind {
            Kind::Tree | Kind::Names(_) | Kind::Builtin(Class::Inet | Class::Rinet) => true,
            Kind::Rewrite { .. } | Kind::Builtin(_) => false,
        }
    }
}

fn one_of(names: &BTreeSet<Segment>, rest: &Shape) -> Said {
    match rest.part(0) {
        Some(Part::Label(name)) if names.contains(&name) => Said::sure(Sure::Kept),
        Some(Part::Label(_)) | None => Said::maybe(false),
        Some(part @ (Part::Lower | Part::Any)) => Said::maybe(names.iter().any(|name| part.may_be(name))),
    }
}

impl Said {
    const fn maybe(may: bool) -> Self {
        Self { sure: Sure::No, may, next: Vec::new() }
    }

    /// How sure it is where bound names may count as negative.
    pub(super) const fn sure_for(&self, fallback: Fallback) -> Sure {
        match fallback {
            Fallback::Name => self.sure,
            Fallback::Endpoints => Sure::No,
        }
    }

    const fn sure(sure: Sure) -> Self {
        Self { sure, may: true, next: Vec::new() }
    }

    fn next(shape: Shape) -> Self {
        Self { sure: Sure::No, may: true, next: vec![shape] }
    }
}

impl Class {
    /// Segments that it needs.
    const fn needs(self) -> usize {
        match self {
            Self::Empty | Self::Fail => 0,
            Self::Inet | Self::Drop | Self::Labels => 1,
            Self::Rinet | Self::DropBehind | Self::Subdomain | Self::LabelsBehind | Self::HostPort => 2,
            Self::SubdomainBehind => 3,
        }
    }

    fn say(self, prefix: &Path, rest: &Shape) -> Said {
        if self.needs().checked_sub(1).is_some_and(|last| !rest.reaches(last)) {
            return Said::maybe(false);
        }
        let is_address = matches!(self, Self::Inet | Self::Rinet);
        if let Some(only) = rest.only().filter(|_| !is_address || !rest.reaches(1)) {
            return literally(&prefix.concat(&only));
        }
        let part = |index| rest.part(index).unwrap_or(Part::Any);
        let behind = |parts: Vec<Part>| Said::next(rest.drop(self.needs()).behind_parts(parts));
        match self {
            Self::Empty => Said::sure(Sure::Kept),
            Self::Fail => Said::sure(Sure::Answered),
            Self::Inet | Self::Rinet => address(prefix, rest),
            Self::Drop => behind(Vec::new()),
            Self::DropBehind => behind(vec![part(0)]),
            Self::Subdomain => behind(vec![Part::Any]),
            Self::SubdomainBehind => behind(vec![part(1), Part::Any]),
            Self::Labels => Said::next(Shape::new(Vec::new(), Tail::More)),
            Self::LabelsBehind => Said::next(Shape::new(vec![part(0)], Tail::More)),
            Self::HostPort => behind(vec![part(0), Part::Any, Part::Any]),
        }
    }
}

/// What a built-in namer says of one path.
fn literally(path: &Path) -> Said {
    match builtin(path) {
        Builtin::Tree(NameTree::Fail) => Said::sure(Sure::Answered),
        Builtin::Inet { port: Ok(_), .. } | Builtin::Tree(NameTree::Empty) => Said::sure(Sure::Kept),
        Builtin::Inet { port: Err(_), .. } | Builtin::Unknown(_) | Builtin::NotBuiltin => Said::maybe(false),
        Builtin::Tree(tree) => {
            let next: Vec<Shape> = tree.leaves().into_iter().map(Shape::exactly).collect();
            Said { sure: Sure::No, may: !next.is_empty(), next }
        }
    }
}

/// An address, of which both segments may be there.
fn address(prefix: &Path, rest: &Shape) -> Said {
    let Some([one, other]) = rest.parts().first_chunk() else { return Said::maybe(true) };
    let host = path(&["host"]);
    let (known, segments): (Vec<bool>, Vec<Path>) = [one, other]
        .map(|part| match part {
            Part::Label(label) => (true, Path::from_segments([label.clone()])),
            Part::Lower | Part::Any => (false, host.clone()),
        })
        .into_iter()
        .unzip();
    let known = known.iter().all(|known| *known);
    let whole = segments.iter().fold(prefix.clone(), |whole, segment| whole.concat(segment));
    match (builtin(&whole), known) {
        (Builtin::Inet { port: Ok(_), .. }, true) => Said::sure(Sure::Kept),
        (Builtin::Inet { port: Ok(_), .. }, false) => Said::sure(Sure::Answered),
        (Builtin::Inet { .. } | Builtin::Unknown(_) | Builtin::Tree(_) | Builtin::NotBuiltin, known) => {
            Said::maybe(!known)
        }
    }
}

/// What a rewrite leads to: each part of its name that holds a capture may be anything.
fn rewritten(name: &str) -> Shape {
    let part = |part: &str| match Segment::new(part.to_owned()) {
        Ok(segment) if !part.contains(['{', '\\']) => Part::Label(segment),
        Ok(_) | Err(_) => Part::Any,
    };
    Shape::new(name.split('/').filter(|part| !part.is_empty()).map(part).collect(), Tail::End)
}

impl Served {
    /// What is there without any configuration.
    pub(in crate::config) fn builtin() -> Self {
        let namer = |(name, class): &(&str, Class)| Namer {
            prefix: path(&["$", name]),
            kind: Kind::Builtin(*class),
            lead: Lead::default(),
        };
        Self { list: BUILTINS.iter().map(namer).collect(), incomplete: false }
    }

    /// Adds the namer under `/#` + `prefix`; `kind` is not there if something is wrong with it.
    pub(in crate::config) fn add(&mut self, prefix: &Path, kind: Option<&NamerKind>, transformers: &[Transformer]) {
        self.list.push(Namer::configured(prefix, kind, transformers));
    }

    /// Says that there is a namer which is not in the list.
    pub(in crate::config) const fn incomplete(&mut self) {
        self.incomplete = true;
    }

    /// What may become of `shape` where no rule speaks for it.
    pub(super) fn say(&self, shape: &Shape) -> Said {
        let mut all = Said::maybe(self.incomplete);
        for namer in self.list.iter().rev().filter(|namer| shape.may_begin_with(&namer.prefix)) {
            let said = namer.say(shape);
            all.may |= said.may;
            all.next.extend(said.next);
            if said.sure > Sure::No {
                all.sure = said.sure;
                break;
            }
        }
        if self.incomplete { Said { sure: Sure::No, ..all } } else { all }
    }

    /// The paths that `path` is rewritten to.
    pub(super) fn rewritten(&self, path: &Path) -> Vec<Path> {
        let configured =
            self.list.iter().rev().filter_map(|namer| match (&namer.kind, path.strip_prefix(&namer.prefix)) {
                (Kind::Rewrite { rewrite, .. }, Some(_)) => rewrite.lookup(&path.drop(namer.prefix.len())).ok(),
                _ => None,
            });
        let own = match builtin(path) {
            Builtin::Tree(tree) => Some(tree),
            Builtin::Inet { .. } | Builtin::NotBuiltin | Builtin::Unknown(_) => None,
        };
        configured.chain(own).flat_map(|tree| tree.leaves().into_iter().cloned().collect::<Vec<_>>()).collect()
    }

    /// Whether there can be a bound path that begins as `pattern` says.
    pub(super) fn binds(&self, pattern: &Pattern, parts: &Parts) -> bool {
        self.incomplete || self.list.iter().any(|namer| namer.binds(pattern, parts, None))
    }

    /// As [`Served::binds`], for bound paths that `asked`, a path without rules, may lead to.
    pub(super) fn binds_of(&self, asked: &Shape, pattern: &Pattern, parts: &Parts) -> bool {
        self.incomplete
            || self.list.iter().any(|namer| {
                asked.may_begin_with(&namer.prefix) && namer.binds(pattern, parts, Some(asked)) && namer.say(asked).may
            })
    }

    pub(super) fn longest_prefix(&self) -> usize {
        self.list.iter().map(|namer| namer.prefix.len()).max().unwrap_or_default()
    }

    /// The prefixes of bound paths, in backticks; those that everybody has come last.
    pub(super) fn prefixes(&self) -> Vec<String> {
        let old = path(&["$", "fixedinet"]);
        let binding = self.list.iter().rev().filter(|namer| namer.binds_itself() && namer.prefix != old);
        let shown = |namer: &Namer| match namer.lead.supplants() {
            true => namer.lead.known(),
            false => namer.lead.known().concat(&namer.prefix),
        };
        binding.map(|namer| format!("`{}`", shown(namer))).collect()
    }

    /// Why nothing of `shape` is ever bound; only asked where that is so.
    pub(super) fn why_not(&self, shape: &Shape) -> Unserved<'_> {
        let path = shape.known();
        let about = |namer: &&Namer| path.starts_with(&namer.prefix) || namer.prefix.starts_with(&path);
        let Some(namer) = self.list.iter().rev().find(about) else { return Unserved::NoNamer };
        if let (Kind::Names(names), Some(name)) = (&namer.kind, path.segments().get(namer.prefix.len())) {
            return Unserved::NoName { prefix: &namer.prefix, name: name.clone(), names };
        }
        namer.not_enough(shape)
    }

    /// Whether a namer lists this very name.
    pub(super) fn has_name(&self, path: &Path) -> bool {
        self.list.iter().any(|namer| match (&namer.kind, path.strip_prefix(&namer.prefix)) {
            (Kind::Names(names), Some([name])) => names.contains(name),
            _ => false,
        })
    }

    /// The prefixes that begin as `path` does: all of `/#`, or all of `/$`.
    pub(super) fn beside(&self, path: &Path) -> Vec<String> {
        let system = path.take(1);
        let beside = self.list.iter().rev().filter(|namer| namer.prefix.starts_with(&system));
        beside.map(|namer| namer.prefix.to_string()).collect()
    }
}

impl Namer {
    fn not_enough(&self, shape: &Shape) -> Unserved<'static> {
        let (prefix, path) = (&self.prefix, shape.known());
        let (why, hint) = match (&self.kind, builtin(&path)) {
            (_, Builtin::Inet { port: Err(error), .. }) => {
                (error.to_string(), "a port is a number up to 65535".to_owned())
            }
            (Kind::Builtin(Class::Inet), _) => {
                (format!("`{path}` is no address"), format!("write `{prefix}/<host>/<port>`"))
            }
            (Kind::Builtin(Class::Rinet), _) => {
                (format!("`{path}` is no address"), format!("write `{prefix}/<port>/<host>`"))
            }
            (Kind::Tree | Kind::Names(_), _) if !shape.reaches(prefix.len()) => (
                format!("no segment is left of the path that `{prefix}` could look up"),
                format!("write `{prefix}/<name>`, or match a shorter prefix: what is behind it is appended"),
            ),
            (Kind::Tree | Kind::Names(_), _) => {
                (format!("`{prefix}` has no name of the form `{shape}`"), "hosts are lower-cased".to_owned())
            }
            (Kind::Builtin(_) | Kind::Rewrite { .. }, _) => (
                format!("`{prefix}` makes nothing of `{shape}`"),
                "look at what it takes and what comes here".to_owned(),
            ),
        };
        Unserved::NotEnough { why, hint }
    }
}

pub(super) fn path(segments: &[&str]) -> Path {
    Path::from_segments(segments.iter().filter_map(|segment| Segment::new((*segment).to_owned()).ok()))
}

/// The kinds that `builtin` knows.
const BUILTINS: [(&str, Class); 15] = [
    ("io.buoyant.http.anyMethod", Class::Drop),
    ("io.buoyant.http.anyMethodPfx", Class::DropBehind),
    ("io.buoyant.http.anyHost", Class::Drop),
    ("io.buoyant.http.anyHostPfx", Class::DropBehind),
    ("io.buoyant.http.subdomainOf", Class::Subdomain),
    ("io.buoyant.http.subdomainOfPfx", Class::SubdomainBehind),
    ("io.buoyant.http.domainToPath", Class::Labels),
    ("io.buoyant.http.domainToPathPfx", Class::LabelsBehind),
    ("io.buoyant.hostportPfx", Class::HostPort),
    ("io.buoyant.porthostPfx", Class::HostPort),
    ("fail", Class::Fail),
    ("nil", Class::Empty),
    ("fixedinet", Class::Inet),
    ("inet", Class::Inet),
    ("io.buoyant.rinet", Class::Rinet),
];
