//! What can be loaded but is surely not meant: rules that lead nowhere, never speak or go round in circles, and policy
//! prefixes that nothing can match.

use std::sync::Arc;

use waypost_naming::{
    Answer, Bound, Builtin, DelegateError, Dentry, Dtab, Element, Finding, NameTree, Namer, Path, Pattern, Segment,
    Target, bind, builtin,
};
use waypost_routing::NamerKind;

use super::dtab::Rules;
use super::raw::{Item, Reader};
use super::suggest;

/// The bound paths that there can be.
#[derive(Debug)]
pub(super) struct Shapes {
    list: Vec<Shape>,
    /// One namer could not be read, so that a path may be bound all the same.
    incomplete: bool,
}

/// The bound paths of one namer.
#[derive(Debug)]
pub(super) struct Shape {
    /// With its `/#`.
    prefix: Path,
    /// What may follow.
    rest: Rest,
}

#[derive(Debug)]
enum Rest {
    /// Up to so many segments.
    UpTo(usize),
    /// Any number of segments.
    Any,
    /// One of these names.
    One(Vec<Segment>),
    /// The namer binds nothing itself.
    Never,
}

impl Shape {
    /// Of the configured namer under `/#` + `prefix`; `kind` is not there if something is wrong with it.
    pub(super) fn of(prefix: &Path, kind: Option<&NamerKind>) -> Self {
        let rest = match kind {
            Some(NamerKind::Static { services }) => Rest::One(services.iter().map(|(name, _)| name.clone()).collect()),
            Some(NamerKind::Rewrite(_)) => Rest::Never,
            Some(NamerKind::Fs { .. }) | None => Rest::Any,
        };
        Self { prefix: path(&["#"]).concat(prefix), rest }
    }

    /// Whether some bound path of this shape can begin as `pattern` says.
    fn can_match(&self, pattern: &Pattern, text: &str) -> bool {
        let parts: Vec<&str> = parts(text).collect();
        let fits = parts.iter().zip(self.prefix.segments()).all(|(part, segment)| part_matches(part, segment));
        let beyond = parts.len().saturating_sub(self.prefix.len());
        fits && match &self.rest {
            Rest::Any => true,
            Rest::UpTo(segments) => beyond <= *segments,
            Rest::Never => false,
            Rest::One(_) if beyond == 0 => true,
            Rest::One(names) => names
                .iter()
                .any(|name| pattern.matches(&self.prefix.concat(&Path::from_segments([name.clone()]))).is_some()),
        }
    }
}

impl Shapes {
    /// What is there without any configuration.
    pub(super) fn builtin() -> Self {
        let inet = Shape { prefix: path(&["$", "inet"]), rest: Rest::UpTo(2) };
        let rinet = Shape { prefix: path(&["$", "io.buoyant.rinet"]), rest: Rest::UpTo(2) };
        Self { list: vec![inet, rinet], incomplete: false }
    }

    pub(super) fn add(&mut self, shape: Shape) {
        self.list.push(shape);
    }

    /// Says that there is a namer which is not in the list.
    pub(super) const fn incomplete(&mut self) {
        self.incomplete = true;
    }

    /// The pattern at `item`, over bound paths; a warning where none can match it.
    pub(super) fn pattern_of(&self, item: &Item<'_>, reader: &mut Reader<'_>) -> Option<Pattern> {
        let (pattern, text) = item.pattern(reader)?;
        if !self.incomplete && !self.list.iter().any(|shape| shape.can_match(&pattern, text)) {
            let hint = format!("bound paths begin with {}", self.prefixes().join(", "));
            reader.warning("matches-nothing", item.value, format!("no bound path can match `{text}`"), hint);
        }
        Some(pattern)
    }

    /// The configured namers' prefixes, with their `/#`, and the built-in ones.
    fn prefixes(&self) -> Vec<String> {
        let binding = self.list.iter().filter(|shape| !matches!(shape.rest, Rest::Never));
        let mut prefixes: Vec<String> = binding.map(|shape| format!("`{}`", shape.prefix)).collect();
        prefixes.reverse();
        prefixes
    }

    /// Whether a namer is asked for `path`, or for what it may be with more segments behind it.
    fn asked_for(&self, path: &Path) -> bool {
        self.list.iter().any(|shape| path.starts_with(&shape.prefix) || shape.prefix.starts_with(path))
    }
}

impl Shapes {
    /// Message and hint for a path of which no namer knows anything.
    fn unknown(&self, leaf: &Path) -> Option<(String, String)> {
        if leaf.len() < 2 {
            return None;
        }
        match leaf.segments().first().map(Segment::as_bytes) {
            Some(b"#") if !self.incomplete && !self.asked_for(leaf) => {
                Some((format!("no namer serves `{leaf}`"), self.nearest(leaf)))
            }
            Some(b"$") if unknown_builtin(leaf) => {
                let names = "`/$/inet`, `/$/nil`, `/$/fail`, `/$/io.buoyant.rinet` and the `/$/io.buoyant.http` ones";
                Some((format!("there is no built-in name `{leaf}`"), format!("there are {names}")))
            }
            Some(_) | None => None,
        }
    }

    fn nearest(&self, leaf: &Path) -> String {
        let configured: Vec<String> =
            self.list.iter().map(|shape| shape.prefix.to_string()).filter(|prefix| prefix.starts_with("/#")).collect();
        let configured: Vec<&str> = configured.iter().map(String::as_str).collect();
        match suggest::nearest(&leaf.to_string(), configured.iter().copied()) {
            Some(near) => format!("did you mean `{near}`?"),
            None if configured.is_empty() => "there are no [[namers]] in this file".to_owned(),
            None => format!("there are {}", suggest::list(&configured)),
        }
    }
}

/// A warning where no logical path, all of which begin with `dst_prefix`, can match `item`.
pub(super) fn logical_pattern(item: &Item<'_>, dst_prefix: &Path, reader: &mut Reader<'_>) -> Option<Pattern> {
    let (pattern, text) = item.pattern(reader)?;
    if !parts(text).zip(dst_prefix.segments()).all(|(part, segment)| part_matches(part, segment)) {
        let hint = format!("logical paths of this router begin with `{dst_prefix}`");
        reader.warning("matches-nothing", item.value, format!("no logical path can match `{text}`"), hint);
    }
    Some(pattern)
}

/// All that is suspicious about a router's rules.
pub(super) fn rules(rules: &Rules, shapes: &Shapes, reader: &mut Reader<'_>) {
    unknown_destinations(rules, shapes, reader);
    shadowed(rules, reader);
    loops(rules, shapes, reader);
}

/// Destinations under `/#` and `/$` that neither a namer nor another rule speaks for.
fn unknown_destinations(rules: &Rules, shapes: &Shapes, reader: &mut Reader<'_>) {
    let system = [path(&["#"]), path(&["$"])];
    let all = rules.dtab.dentries();
    let catching: Vec<_> = all.iter().filter(|dentry| system.iter().any(|first| may_match(dentry, first))).collect();
    for dentry in all {
        for leaf in dentry.tree.leaves() {
            let unknown = shapes.unknown(leaf);
            if let Some((message, hint)) = unknown.filter(|_| !catching.iter().any(|other| may_match(other, leaf))) {
                let finding = Finding::warning("unknown-namer", message).hint(hint);
                reader.report(rules.place(finding, dentry.span));
            }
        }
    }
}

/// Whether the rule may speak for `path`, or for `path` with more segments behind it.
fn may_match(dentry: &Dentry, path: &Path) -> bool {
    dentry.prefix.elements().iter().zip(path.segments()).all(|(element, segment)| match element {
        Element::Label(label) => label == segment,
        Element::Any => true,
    })
}

/// Whether `/$/...` is nothing, whatever follows.
fn unknown_builtin(leaf: &Path) -> bool {
    let endings: [&[&str]; 4] = [&[], &["80"], &["h", "80"], &["80", "h"]];
    endings.iter().all(|ending| match builtin(&leaf.concat(&path(ending))) {
        Builtin::Unknown(_) => true,
        Builtin::Tree(_) | Builtin::Inet { .. } | Builtin::NotBuiltin => false,
    })
}

/// Rules that never speak, since a later one takes all of their paths and leaves nothing to fall back from.
fn shadowed(rules: &Rules, reader: &mut Reader<'_>) {
    let dentries = rules.dtab.dentries();
    let last_words: Vec<(usize, &Arc<Dentry>)> =
        dentries.iter().enumerate().filter(|(_, dentry)| !falls_through(&dentry.tree)).collect();
    if dentries.len().saturating_mul(last_words.len()) > MOST_COMPARISONS {
        return;
    }
    for (index, dentry) in dentries.iter().enumerate() {
        let later = last_words.iter().find(|(other, shadow)| *other > index && covers(shadow, dentry));
        if let Some((_, shadow)) = later {
            let message =
                format!("this rule never speaks: `{}` at {} takes all its paths", shadow.prefix, shadow.place);
            let hint = "a later rule is tried first, and what ends in `!` or `$` leaves nothing to fall back from";
            reader.report(rules.place(Finding::warning("shadowed-rule", message).hint(hint), dentry.span));
        }
    }
}

/// Whether `later` matches every path that `earlier` does.
fn covers(later: &Dentry, earlier: &Dentry) -> bool {
    let (wide, narrow) = (later.prefix.elements(), earlier.prefix.elements());
    wide.len() <= narrow.len()
        && wide.iter().zip(narrow).all(|(wide, narrow)| match wide {
            Element::Any => true,
            Element::Label(_) => wide == narrow,
        })
}

/// Whether the tree can be negative, so that earlier rules are tried.
fn falls_through(tree: &NameTree<Path>) -> bool {
    match tree {
        NameTree::Leaf(_) | NameTree::Neg => true,
        NameTree::Fail | NameTree::Empty => false,
        NameTree::Alt(trees) => trees.iter().all(falls_through),
        // A union drops its `!` members; only `$` stays for sure.
        NameTree::Union(members) => members.iter().all(|member| !matches!(member.tree, NameTree::Empty)),
    }
}

/// Rules that lead back to themselves: their own destination first, else the first one whose delegation does not end.
fn loops(rules: &Rules, shapes: &Shapes, reader: &mut Reader<'_>) {
    let dentries = rules.dtab.dentries();
    let mut found = false;
    for (index, dentry) in dentries.iter().enumerate() {
        let caught = |leaf: &Path| dentries.iter().skip(index + 1).any(|later| later.prefix.matches(leaf));
        let own = dentry.tree.leaves().into_iter().find(|leaf| dentry.prefix.matches(leaf) && !caught(leaf));
        if let Some(leaf) = own {
            found = true;
            let message = format!("`{leaf}` begins with `{}`: this rule leads back to itself", dentry.prefix);
            reader.report(rules.place(Finding::warning("loop", message).hint(LOOP_HINT), dentry.span));
        }
    }
    if found || dentries.len() > MOST_DENTRIES {
        return;
    }
    let endless = dentries.iter().find(|dentry| never_ends(&rules.dtab, dentry, shapes));
    if let Some(dentry) = endless {
        let message = format!("paths under `{}` are delegated in circles", dentry.prefix);
        reader.report(rules.place(Finding::warning("loop", message).hint(LOOP_HINT), dentry.span));
    }
}

/// Follows a path that `dentry` speaks for, with every namer answering.
fn never_ends(dtab: &Dtab, dentry: &Dentry, shapes: &Shapes) -> bool {
    let segments = dentry.prefix.elements().iter().map(|element| match element {
        Element::Label(label) => Some(label.clone()),
        Element::Any => Segment::new("any").ok(),
    });
    let name = Path::from_segments(segments.flatten()).concat(&path(&["name"]));
    match bind(dtab, &name, &Everything(shapes)) {
        Err(DelegateError::MaxDepth { .. } | DelegateError::MaxLookups { .. }) => true,
        Err(DelegateError::Namer { .. }) | Ok(_) => false,
    }
}

/// Binds every path that a namer may be asked for.
struct Everything<'a>(&'a Shapes);

impl Namer for Everything<'_> {
    type Addr = ();

    fn lookup(&self, path: &Path) -> Answer<()> {
        let tree = match builtin(path) {
            Builtin::Tree(tree) => tree.map(Target::Path),
            Builtin::Inet { .. } => bound(path),
            Builtin::NotBuiltin | Builtin::Unknown(_) => {
                let asked = self.0.incomplete || self.0.list.iter().any(|shape| path.starts_with(&shape.prefix));
                if asked { bound(path) } else { NameTree::Neg }
            }
        };
        Answer::Tree(tree)
    }
}

fn bound(path: &Path) -> NameTree<Target<()>> {
    NameTree::Leaf(Target::Bound(Bound { id: path.clone(), residual: Path::empty(), addr: () }))
}

/// The parts of a pattern's text.
fn parts(text: &str) -> impl Iterator<Item = &str> {
    text.split('/').filter(|part| !part.is_empty())
}

/// Whether a part of a pattern may match a segment; captures match anything.
fn part_matches(part: &str, segment: &Segment) -> bool {
    part == "*" || part.contains('{') || part == segment.to_string()
}

fn path(segments: &[&str]) -> Path {
    Path::from_segments(segments.iter().filter_map(|segment| Segment::new((*segment).to_owned()).ok()))
}

const LOOP_HINT: &str = "delegation stops after 100 steps with an error; let the destination begin with another name";

/// Larger tables are generated; following each of their rules would take longer than anybody waits.
const MOST_DENTRIES: usize = 256;
const MOST_COMPARISONS: usize = 10_000_000;

#[cfg(test)]
mod tests {
    use super::*;

    fn rules_of(text: &str) -> Dtab {
        Dtab::parse(text).unwrap()
    }

    #[test]
    fn a_tree_that_ends_in_fail_or_empty_leaves_nothing_to_fall_back_from() {
        for (tree, expected) in [
            ("/a", true),
            ("~", true),
            ("!", false),
            ("$", false),
            ("/a | !", false),
            ("/a | /b", true),
            ("/a & !", true),
            ("! & !", true),
            ("/a & $", false),
            ("(/a | !) | /b", false),
        ] {
            assert_eq!(falls_through(&NameTree::parse(tree).unwrap()), expected, "{tree}");
        }
    }

    #[test]
    fn circles_of_several_rules_are_found() {
        for (dtab, endless) in [
            ("/a => /b ; /b => /a", true),
            ("/a => /b ; /b => /#/fs", false),
            ("/svc => /svc/v2 ; /svc/v2 => /#/fs", false),
            ("/a => /a/b", true),
        ] {
            let dtab = rules_of(dtab);
            let mut shapes = Shapes::builtin();
            shapes.add(Shape { prefix: path(&["#", "fs"]), rest: Rest::Any });
            let found = dtab.dentries().iter().any(|dentry| never_ends(&dtab, dentry, &shapes));
            assert_eq!(found, endless, "{dtab}");
        }
    }

    #[test]
    fn builtin_names_are_known_whatever_follows() {
        for (name, unknown) in [
            ("/$/inet", false),
            ("/$/inet/127.0.0.1/80", false),
            ("/$/nil", false),
            ("/$/io.buoyant.rinet", false),
            ("/$/io.buoyant.http.domainToPathPfx/x", false),
            ("/$/inett", true),
            ("/$/io.buoyant.nope", true),
        ] {
            assert_eq!(unknown_builtin(&Path::parse(name).unwrap()), unknown, "{name}");
        }
    }

    #[test]
    fn patterns_that_no_namer_can_bind_are_told_from_those_that_one_can() {
        let users = Segment::new("users").unwrap();
        let mut shapes = Shapes::builtin();
        shapes.add(Shape { prefix: path(&["#", "fs"]), rest: Rest::Any });
        shapes.add(Shape { prefix: path(&["#", "lab"]), rest: Rest::One(vec![users]) });
        for (text, expected) in [
            ("/", true),
            ("/#", true),
            ("/#/fs", true),
            ("/#/fs/a/b/c", true),
            ("/#/{namer}/users", true),
            ("/#/lab/users", true),
            ("/#/lab/use{r}s", true),
            ("/#/lab/web", false),
            ("/#/lab/users/x", false),
            ("/#/k8s", false),
            ("/svc", false),
            ("/$/inet/*/80", true),
            ("/$/inet/*/80/x", false),
        ] {
            let pattern = Pattern::parse(text).unwrap();
            assert_eq!(shapes.list.iter().any(|shape| shape.can_match(&pattern, text)), expected, "{text}");
        }
    }
}
