//! Sets of paths, as coarse as doubts about a file need them: what requests may be called, what a rule may lead to.

use std::fmt;

use waypost_naming::{Element, Identifier, Identifiers, Path, Prefix, Segment};

/// All paths that begin with these parts, and end there or go on.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(in crate::config) struct Shape {
    parts: Vec<Part>,
    tail: Tail,
}

/// One segment of the paths.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(in crate::config) enum Part {
    /// This one.
    Label(Segment),
    /// Any without ASCII upper case: a host.
    Lower,
    /// Any.
    Any,
}

/// What follows the parts.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(in crate::config) enum Tail {
    /// Nothing.
    End,
    /// Any number of segments, none included.
    More,
}

impl Part {
    /// Whether the segment may be `label`.
    pub(super) fn may_be(&self, label: &Segment) -> bool {
        match self {
            Self::Label(own) => own == label,
            Self::Lower => !label.as_bytes().iter().any(u8::is_ascii_uppercase),
            Self::Any => true,
        }
    }

    fn stand_in(&self, name: &Segment) -> Segment {
        match self {
            Self::Label(label) => label.clone(),
            Self::Lower | Self::Any => name.clone(),
        }
    }
}

impl Shape {
    pub(super) fn new(parts: Vec<Part>, tail: Tail) -> Self {
        Self { parts, tail }
    }

    /// `path` alone.
    pub(super) fn exactly(path: &Path) -> Self {
        Self::new(labels(path).collect(), Tail::End)
    }

    /// `path` and all below it.
    pub(super) fn below(path: &Path) -> Self {
        Self::new(labels(path).collect(), Tail::More)
    }

    /// Every path that `prefix` matches.
    pub(super) fn of_prefix(prefix: &Prefix) -> Self {
        let part = |element: &Element| match element {
            Element::Label(label) => Part::Label(label.clone()),
            Element::Any => Part::Any,
        };
        Self::new(prefix.elements().iter().map(part).collect(), Tail::More)
    }

    /// The paths that requests are called by these identifiers.
    pub(in crate::config) fn logical(identifiers: &Identifiers) -> Vec<Self> {
        let mut shapes: Vec<Self> = Vec::new();
        for identifier in &identifiers.list {
            shapes.extend(named_by(identifier, &identifiers.dst_prefix));
        }
        if shapes.is_empty() {
            shapes.push(Self::below(&identifiers.dst_prefix));
        }
        shapes
    }

    pub(super) fn parts(&self) -> &[Part] {
        &self.parts
    }

    pub(super) const fn goes_on(&self) -> bool {
        matches!(self.tail, Tail::More)
    }

    /// Whether some path has a segment at `index`.
    pub(super) fn reaches(&self, index: usize) -> bool {
        index < self.parts.len() || self.goes_on()
    }

    /// What the segment at `index` may be, where some path has one.
    pub(super) fn part(&self, index: usize) -> Option<Part> {
        match self.parts.get(index) {
            Some(part) => Some(part.clone()),
            None => self.goes_on().then_some(Part::Any),
        }
    }

    /// What is left behind the first `count` segments, of those paths that have so many.
    pub(super) fn drop(&self, count: usize) -> Self {
        Self::new(self.parts.get(count..).unwrap_or_default().to_vec(), self.tail)
    }

    /// The same where there are no more than `count` parts; else all paths that begin so.
    pub(super) fn cut(mut self, count: usize) -> Self {
        if self.parts.len() > count {
            self.parts.truncate(count);
            self.tail = Tail::More;
        }
        self
    }

    /// `path`, then these.
    pub(super) fn behind(&self, path: &Path) -> Self {
        self.behind_parts(labels(path))
    }

    pub(super) fn behind_parts(&self, parts: impl IntoIterator<Item = Part>) -> Self {
        Self::new(parts.into_iter().chain(self.parts.iter().cloned()).collect(), self.tail)
    }

    /// How all paths begin, as far as each segment is known.
    pub(super) fn known(&self) -> Path {
        let known = self.parts.iter().map_while(|part| match part {
            Part::Label(label) => Some(label.clone()),
            Part::Lower | Part::Any => None,
        });
        Path::from_segments(known)
    }

    /// The one path that there is, if there is only one.
    pub(super) fn only(&self) -> Option<Path> {
        let known = self.known();
        (known.len() == self.parts.len() && !self.goes_on()).then_some(known)
    }

    /// Whether some path begins with `path`.
    pub(super) fn may_begin_with(&self, path: &Path) -> bool {
        path.segments().iter().enumerate().all(|(index, label)| self.part(index).is_some_and(|part| part.may_be(label)))
    }

    /// Whether every path begins with `path`.
    pub(super) fn begins_with(&self, path: &Path) -> bool {
        self.known().starts_with(path)
    }

    /// One path of these that `prefix` matches, with `name` for what may be anything.
    pub(super) fn example(&self, prefix: &Prefix, name: &Segment) -> Path {
        let mut segments = Vec::with_capacity(self.parts.len().max(prefix.len()) + 1);
        for (index, element) in prefix.elements().iter().enumerate() {
            segments.push(match element {
                Element::Label(label) => label.clone(),
                Element::Any => self.parts.get(index).map_or_else(|| name.clone(), |part| part.stand_in(name)),
            });
        }
        segments.extend(self.parts.iter().skip(prefix.len()).map(|part| part.stand_in(name)));
        if self.goes_on() {
            segments.push(name.clone());
        }
        Path::from_segments(segments)
    }
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.parts.is_empty() {
            f.write_str("/")?;
        }
        for part in &self.parts {
            match part {
                Part::Label(label) => write!(f, "/{label}")?,
                Part::Lower => f.write_str("/<host>")?,
                Part::Any => f.write_str("/<any>")?,
            }
        }
        match (self.tail, self.parts.is_empty()) {
            (Tail::End, _) => Ok(()),
            (Tail::More, true) => f.write_str("..."),
            (Tail::More, false) => f.write_str("/..."),
        }
    }
}

fn labels(path: &Path) -> impl Iterator<Item = Part> + '_ {
    path.segments().iter().cloned().map(Part::Label)
}

fn named_by(identifier: &Identifier, dst_prefix: &Path) -> Vec<Shape> {
    let below = |parts: Vec<Part>, tail| Shape::new(parts, tail).behind(dst_prefix);
    match identifier {
        Identifier::HeaderToken { header } if *header == http::header::HOST => {
            vec![below(vec![Part::Lower], Tail::End)]
        }
        Identifier::HeaderToken { .. } => vec![below(vec![Part::Any], Tail::End)],
        Identifier::MethodAndHost { uri_in_dst } => {
            let tail = if *uri_in_dst { Tail::More } else { Tail::End };
            let version = |version: &'static str| Segment::new(version).ok().map_or(Part::Any, Part::Label);
            vec![
                below(vec![version("1.1"), Part::Any, Part::Lower], tail),
                below(vec![version("1.0"), Part::Any], tail),
            ]
        }
        Identifier::Path { segments, .. } | Identifier::HeaderPath { segments: Some(segments) } => {
            vec![below(vec![Part::Any; *segments], Tail::End)]
        }
        Identifier::HeaderPath { segments: None } => vec![below(vec![Part::Any], Tail::More)],
        Identifier::Header { .. } => vec![below(Vec::new(), Tail::More)],
        Identifier::Static { path } => vec![Shape::exactly(path).behind(dst_prefix)],
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(in crate::config::lint) fn path(text: &str) -> Path {
        Path::parse(text).unwrap()
    }

    /// `/svc/<host>`, `/svc/<any>/...`.
    pub(in crate::config::lint) fn shape(text: &str) -> Shape {
        let (text, tail) = match text.strip_suffix("/...") {
            Some(text) => (text, Tail::More),
            None => (text, Tail::End),
        };
        let part = |part: &str| match part {
            "<host>" => Part::Lower,
            "<any>" => Part::Any,
            label => Part::Label(Segment::new(label.to_owned()).unwrap()),
        };
        Shape::new(text.split('/').filter(|part| !part.is_empty()).map(part).collect(), tail)
    }

    #[test]
    fn shapes_are_shown_as_they_are_meant() {
        for text in ["/svc/<host>", "/svc/1.1/<any>/<host>/...", "/", "/svc/..."] {
            assert_eq!(shape(text).to_string(), text);
        }
    }

    #[test]
    fn a_shape_may_begin_with_what_one_of_its_paths_begins_with() {
        for (text, prefix, may, surely) in [
            ("/svc/<host>", "/svc", true, true),
            ("/svc/<host>", "/svc/users", true, false),
            ("/svc/<host>", "/svc/Users", false, false),
            ("/svc/<any>", "/svc/Users", true, false),
            ("/svc/<host>", "/svc/users/x", false, false),
            ("/svc/...", "/svc/users/x", true, false),
            ("/svc/users", "/svc/users", true, true),
            ("/svc/users", "/http", false, false),
        ] {
            let shape = shape(text);
            assert_eq!(
                (shape.may_begin_with(&path(prefix)), shape.begins_with(&path(prefix))),
                (may, surely),
                "{text}"
            );
        }
    }

    #[test]
    fn requests_are_called_as_their_identifier_says() {
        let logical = |identifier| {
            let identifiers = Identifiers { dst_prefix: path("/svc"), list: vec![identifier] };
            Shape::logical(&identifiers).iter().map(ToString::to_string).collect::<Vec<_>>()
        };
        for (identifier, expected) in [
            (Identifier::HeaderToken { header: http::header::HOST }, vec!["/svc/<host>"]),
            (Identifier::HeaderToken { header: http::header::VIA }, vec!["/svc/<any>"]),
            (Identifier::MethodAndHost { uri_in_dst: true }, vec!["/svc/1.1/<any>/<host>/...", "/svc/1.0/<any>/..."]),
            (Identifier::Path { segments: 2, consume: true }, vec!["/svc/<any>/<any>"]),
            (Identifier::HeaderPath { segments: None }, vec!["/svc/<any>/..."]),
            (Identifier::Header { header: http::header::VIA }, vec!["/svc/..."]),
            (Identifier::Static { path: path("/a/b") }, vec!["/svc/a/b"]),
        ] {
            assert_eq!(logical(identifier), expected);
        }
    }

    #[test]
    fn an_example_is_matched_by_the_prefix() {
        let name = Segment::new("name").unwrap();
        for (text, prefix, expected) in [
            ("/svc/<host>", "/svc", "/svc/name"),
            ("/svc/<host>", "/svc/users", "/svc/users"),
            ("/svc/<host>", "/*/*", "/svc/name"),
            ("/svc/...", "/svc/*/x", "/svc/name/x/name"),
        ] {
            let prefix = Prefix::parse(prefix).unwrap();
            assert_eq!(shape(text).example(&prefix, &name), path(expected), "{text} {prefix}");
        }
    }
}
