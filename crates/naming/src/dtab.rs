//! Delegation tables: rules in order, and which of them speak for a path.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use crate::name_tree::NameTree;
use crate::parse::{self, ParseError};
use crate::path::{Path, Segment};
use crate::span::{Place, Span};
use crate::work;

/// One element of a [`Prefix`].
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Element {
    /// That segment, byte for byte.
    Label(Segment),
    /// `*`: any one segment.
    Any,
}

impl Element {
    pub(crate) fn matches(&self, segment: &Segment) -> bool {
        match self {
            Self::Label(label) => label == segment,
            Self::Any => true,
        }
    }
}

impl fmt::Display for Element {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Label(label) => label.fmt(f),
            Self::Any => f.write_str("*"),
        }
    }
}

/// The left side of a rule: a path in which `*` stands for any one segment.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub struct Prefix(Arc<[Element]>);

impl Prefix {
    /// Reads `/http/1.1/*`.
    ///
    /// # Errors
    /// Where `text` is no prefix, with the place.
    pub fn parse(text: &str) -> Result<Self, ParseError> {
        parse::prefix(text)
    }

    /// The prefix of these elements.
    pub fn from_elements(elements: impl IntoIterator<Item = Element>) -> Self {
        Self(elements.into_iter().collect())
    }

    /// The elements, first to last.
    #[must_use]
    pub fn elements(&self) -> &[Element] {
        &self.0
    }

    /// Does `path` begin so? `/` matches all paths; `/a/*` does not match `/a`.
    #[must_use]
    pub fn matches(&self, path: &Path) -> bool {
        self.len() <= path.len()
            && self.0.iter().zip(path.segments()).all(|(element, segment)| element.matches(segment))
    }

    /// The number of elements.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Is this `/`?
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl From<&Path> for Prefix {
    fn from(path: &Path) -> Self {
        Self::from_elements(path.segments().iter().cloned().map(Element::Label))
    }
}

impl fmt::Display for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_empty() {
            return f.write_str("/");
        }
        self.0.iter().try_for_each(|element| write!(f, "/{element}"))
    }
}

/// A rule: paths that begin with `prefix` go to `tree`, with what follows the prefix appended to each of its leaves.
#[derive(Clone, PartialEq, Debug)]
pub struct Dentry {
    /// Which paths.
    pub prefix: Prefix,
    /// Where to.
    pub tree: NameTree<Path>,
    /// Where the rule was written.
    pub place: Place,
    /// The same in the text that was parsed.
    pub span: Span,
}

impl Dentry {
    /// What the rule makes of `path`, which it matches.
    #[must_use]
    pub fn apply(&self, path: &Path) -> NameTree<Path> {
        self.tree.clone().map(|leaf| self.lead(&leaf, path))
    }

    /// Where one leaf of the rule leads `path`, which it matches.
    pub(crate) fn lead(&self, leaf: &Path, path: &Path) -> Path {
        leaf.join(path.segments().get(self.prefix.len()..).unwrap_or_default())
    }
}

impl fmt::Display for Dentry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}=>{}", self.prefix, self.tree)
    }
}

/// A delegation table: rules of which a later one is tried before an earlier one. A clone is a counter's step.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Dtab {
    dentries: Arc<[Arc<Dentry>]>,
}

impl Dtab {
    /// Reads `/svc => /#/fs ; /svc/users => /a | /b`, with rules that come from nowhere.
    ///
    /// # Errors
    /// Where `text` is no dtab, with the place.
    pub fn parse(text: &str) -> Result<Self, ParseError> {
        Self::parse_at(text, |_| Place::Default)
    }

    /// As [`parse`](Self::parse); `place` tells where a rule at that span of `text` was written.
    ///
    /// # Errors
    /// Where `text` is no dtab, with the place.
    pub fn parse_at(text: &str, place: impl Fn(Span) -> Place) -> Result<Self, ParseError> {
        let rules = parse::dtab(text)?;
        Ok(rules.into_iter().map(|(prefix, tree, span)| Dentry { prefix, tree, place: place(span), span }).collect())
    }

    /// The rules as written.
    #[must_use]
    pub fn dentries(&self) -> &[Arc<Dentry>] {
        &self.dentries
    }

    /// The number of rules.
    #[must_use]
    pub fn len(&self) -> usize {
        self.dentries.len()
    }

    /// Are there no rules?
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.dentries.is_empty()
    }

    /// These rules, then `later`'s, which so have the last word.
    #[must_use]
    pub fn append(&self, later: &Self) -> Self {
        match (self.is_empty(), later.is_empty()) {
            (_, true) => self.clone(),
            (true, false) => later.clone(),
            (false, false) => Self { dentries: self.dentries.iter().chain(&*later.dentries).cloned().collect() },
        }
    }

    /// The rules that speak for `path`, in the order in which they are tried: later ones first.
    #[must_use]
    pub fn matches<'d>(&'d self, path: &'d Path) -> Matches<'d> {
        Matches { rest: self.dentries.iter(), path }
    }

    /// What the rules make of `path`: each that speaks for it, with its tree; later ones first.
    #[must_use]
    pub fn lookup(&self, path: &Path) -> Lookup {
        Lookup { members: self.matches(path).map(|dentry| (Arc::clone(dentry), dentry.apply(path))).collect() }
    }
}

impl FromIterator<Dentry> for Dtab {
    fn from_iter<I: IntoIterator<Item = Dentry>>(dentries: I) -> Self {
        Self { dentries: dentries.into_iter().map(Arc::new).collect() }
    }
}

impl FromStr for Dtab {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        Self::parse(text)
    }
}

impl fmt::Display for Dtab {
    /// What `l5d-ctx-dtab` carries: `/a=>/b;/c=>/d`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.dentries.iter().enumerate().try_for_each(|(index, dentry)| {
            if index > 0 {
                f.write_str(";")?;
            }
            dentry.fmt(f)
        })
    }
}

/// The rules that speak for a path, later ones first.
#[derive(Clone, Debug)]
pub struct Matches<'d> {
    rest: std::slice::Iter<'d, Arc<Dentry>>,
    path: &'d Path,
}

impl<'d> Iterator for Matches<'d> {
    type Item = &'d Arc<Dentry>;

    fn next(&mut self) -> Option<Self::Item> {
        self.rest.rfind(|dentry| {
            work::count(1);
            dentry.prefix.matches(self.path)
        })
    }
}

/// What a dtab makes of one path.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Lookup {
    /// Each rule that matched and its tree, later ones first.
    pub members: Vec<(Arc<Dentry>, NameTree<Path>)>,
}

impl Lookup {
    /// As one tree: `~` where nothing matched, else the one tree or an alt of them all.
    #[must_use]
    pub fn into_tree(self) -> NameTree<Path> {
        let mut trees: Vec<_> = self.members.into_iter().map(|(_, tree)| tree).collect();
        if trees.len() > 1 { NameTree::Alt(trees) } else { trees.pop().unwrap_or(NameTree::Neg) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dtab(text: &str) -> Dtab {
        Dtab::parse(text).unwrap()
    }

    fn path(text: &str) -> Path {
        Path::parse(text).unwrap()
    }

    #[test]
    fn a_look_up_tells_which_rule_gave_which_tree() {
        let found = dtab("/svc => /a ; /other => /b ; /svc/* => /c | ~").lookup(&path("/svc/x/y"));

        let members: Vec<_> =
            found.members.iter().map(|(rule, tree)| (rule.prefix.to_string(), tree.to_string())).collect();
        let expected = [("/svc/*", "/c/y | ~"), ("/svc", "/a/x/y")];
        assert_eq!(members, expected.map(|(prefix, tree)| (prefix.to_owned(), tree.to_owned())));
    }

    #[test]
    fn appended_rules_have_the_last_word() {
        let both = dtab("/svc => /a").append(&dtab("/svc => /b"));

        assert_eq!(both.to_string(), "/svc=>/a;/svc=>/b");
        assert_eq!(both.lookup(&path("/svc")).into_tree().to_string(), "/b | /a");
    }

    #[test]
    fn rules_know_where_they_were_written() {
        let text = "# first\n/a => /b ;\n  /c => /d | /e # last\n";
        let place = |span: Span| {
            let (line, col) = crate::span::line_col(text, span.start);
            Place::File { file: "routes.dtab".into(), line, col }
        };
        let dtab = Dtab::parse_at(text, place).unwrap();

        let places: Vec<_> = dtab
            .dentries()
            .iter()
            .map(|rule| (rule.place.to_string(), &text[rule.span.start..rule.span.end]))
            .collect();
        assert_eq!(
            places,
            [("routes.dtab:2:1".to_owned(), "/a => /b"), ("routes.dtab:3:3".to_owned(), "/c => /d | /e")]
        );
    }
}
