//! Patterns compared with sets of paths and with one another.

use waypost_naming::{Path, Pattern, Segment};

use super::shape::{Part, Shape};

/// What each segment's worth of a pattern may match.
#[derive(Clone, Debug)]
pub(in crate::config) struct Parts(Vec<Piece>);

#[derive(Clone, Debug)]
enum Piece {
    /// `*` and `{capture}`.
    Any,
    /// This segment.
    Literal(Segment),
    /// Text with captures in it: the whole, and what stands between them.
    Mixed(Pattern, Vec<String>),
}

impl Parts {
    pub(in crate::config) fn of(pattern: &Pattern) -> Self {
        let shown = pattern.to_string();
        Self(shown.split('/').filter(|part| !part.is_empty()).map(Piece::of).collect())
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether some path of `shape` begins so.
    pub(super) fn may_match(&self, shape: &Shape) -> bool {
        self.0.iter().enumerate().all(|(index, piece)| shape.part(index).is_some_and(|part| piece.may_be(&part)))
    }

    /// As [`Parts::may_match`], as far as both of them reach.
    pub(super) fn may_match_start(&self, shape: &Shape) -> bool {
        self.0.iter().zip(shape.parts()).all(|(piece, part)| piece.may_be(part))
    }

    /// The segment at `index`, if only one fits there.
    pub(super) fn literal(&self, index: usize) -> Option<Segment> {
        match self.0.get(index)? {
            Piece::Literal(segment) => Some(segment.clone()),
            Piece::Any | Piece::Mixed(..) => None,
        }
    }

    /// Whether a port may stand at `index`, or nothing is there.
    pub(super) fn may_be_port(&self, index: usize) -> bool {
        self.literal(index).is_none_or(|segment| segment.to_string().parse::<u16>().is_ok())
    }

    /// Whether every path that `other` matches is matched by this.
    pub(in crate::config) fn cover(&self, other: &Self) -> bool {
        self.len() <= other.len() && self.0.iter().zip(&other.0).all(|(wide, narrow)| wide.covers(narrow))
    }
}

impl Piece {
    fn of(text: &str) -> Self {
        let alone = text.strip_prefix('{').and_then(|text| text.strip_suffix('}'));
        if text == "*" || alone.is_some_and(|name| !name.contains(['{', '}'])) {
            return Self::Any;
        }
        if !text.contains('{')
            && let Ok(path) = Path::parse(&format!("/{text}"))
            && let [segment] = path.segments()
            && segment.to_string() == text
        {
            return Self::Literal(segment.clone());
        }
        let between = text.split('{').map(|piece| piece.rsplit('}').next().unwrap_or_default().to_owned());
        match Pattern::parse(&format!("/{text}")) {
            Ok(pattern) => Self::Mixed(pattern, between.collect()),
            Err(_) => Self::Any,
        }
    }

    fn may_be(&self, part: &Part) -> bool {
        match (self, part) {
            (Self::Any, _) | (Self::Mixed(..), Part::Any) => true,
            (Self::Literal(segment), part) => part.may_be(segment),
            (Self::Mixed(pattern, _), Part::Label(label)) => matches(pattern, label),
            (Self::Mixed(_, between), Part::Lower) => {
                !between.iter().any(|text| text.bytes().any(|byte| byte.is_ascii_uppercase()))
            }
        }
    }

    fn covers(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Any, _) => true,
            (Self::Literal(own), Self::Literal(other)) => own == other,
            (Self::Mixed(pattern, _), Self::Literal(segment)) => matches(pattern, segment),
            (Self::Mixed(_, own), Self::Mixed(_, other)) => own == other,
            (Self::Literal(_), Self::Any | Self::Mixed(..)) | (Self::Mixed(..), Self::Any) => false,
        }
    }
}

fn matches(pattern: &Pattern, segment: &Segment) -> bool {
    pattern.matches(&Path::from_segments([segment.clone()])).is_some()
}

#[cfg(test)]
mod tests {
    use super::super::shape::tests::shape;
    use super::*;

    fn parts(text: &str) -> Parts {
        Parts::of(&Pattern::parse(text).unwrap())
    }

    #[test]
    fn a_pattern_may_match_what_one_path_of_a_shape_begins_with() {
        for (pattern, paths, expected) in [
            ("/", "/svc", true),
            ("/svc/users", "/svc/<host>", true),
            ("/svc/Users", "/svc/<host>", false),
            ("/svc/Users", "/svc/<any>", true),
            ("/svc/{name}/x", "/svc/<host>", false),
            ("/svc/{name}/x", "/svc/<host>/...", true),
            ("/svc/{a}-V{b}", "/svc/<host>", false),
            ("/svc/{a}-v{b}", "/svc/<host>", true),
            ("/svc/{a}-v{b}", "/svc/users-v2", true),
            ("/svc/{a}-v{b}", "/svc/users", false),
            ("/*/users", "/svc/users/x", true),
            ("/http", "/svc/...", false),
        ] {
            assert_eq!(parts(pattern).may_match(&shape(paths)), expected, "{pattern} {paths}");
        }
    }

    #[test]
    fn a_pattern_covers_what_matches_no_more() {
        for (wide, narrow, expected) in [
            ("/#/fs", "/#/fs/users", true),
            ("/#/fs/{a}", "/#/fs/users", true),
            ("/#/fs/*", "/#/fs/{a}-{b}", true),
            ("/#/fs/{a}-{b}", "/#/fs/{x}-{y}", true),
            ("/#/fs/{a}-{b}", "/#/fs/users-2", true),
            ("/#/fs/{a}-{b}", "/#/fs/users", false),
            ("/#/fs/{a}-{b}", "/#/fs/{a}", false),
            ("/#/fs/users", "/#/fs/{a}", false),
            ("/#/fs/users", "/#/fs", false),
            ("/", "/#", true),
        ] {
            assert_eq!(parts(wide).cover(&parts(narrow)), expected, "{wide} {narrow}");
        }
    }
}
