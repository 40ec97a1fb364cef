//! What transformers make of bound paths, and so of patterns over them.

use waypost_naming::{Path, Pattern};
use waypost_routing::{Transformer, TransformerKind};

use super::pattern::Parts;
use super::shape::Shape;

/// What bound paths look like behind a list of transformers.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub(in crate::config) struct Lead {
    /// What stands in front.
    prefix: Path,
    /// Where all of them lead instead.
    instead: Option<Path>,
}

/// What of a pattern is left for the path behind a [`Lead`].
pub(super) enum Rest {
    /// All of it: there is no transformer.
    Same,
    /// It can't match.
    Nothing,
    /// It matches whatever stands there.
    Whole,
    /// This is left.
    Pattern(Pattern),
}

impl Lead {
    pub(in crate::config) fn of(transformers: &[Transformer]) -> Self {
        transformers.iter().fold(Self::default(), |lead, transformer| {
            let own = transformer.full_prefix();
            match &transformer.kind {
                TransformerKind::Const { path } | TransformerKind::Replace { path } => {
                    Self { prefix: own, instead: Some(path.clone()) }
                }
                TransformerKind::Port { .. }
                | TransformerKind::Localhost { .. }
                | TransformerKind::SpecificHost { .. }
                | TransformerKind::Subnet { .. } => Self { prefix: own.concat(&lead.prefix), ..lead },
            }
        })
    }

    /// The prefix, and with it the whole path where that is always the same.
    pub(super) fn known(&self) -> Path {
        self.instead.as_ref().map_or_else(|| self.prefix.clone(), |path| self.prefix.concat(path))
    }

    /// Whether what was bound before is not looked at.
    pub(super) const fn supplants(&self) -> bool {
        self.instead.is_some()
    }

    pub(super) fn rest(&self, pattern: &Pattern, parts: &Parts) -> Rest {
        let known = self.known();
        if known.is_empty() {
            return Rest::Same;
        }
        let too_long = self.supplants() && parts.len() > known.len();
        if too_long || !parts.may_match_start(&Shape::exactly(&known)) {
            return Rest::Nothing;
        }
        if parts.len() <= known.len() {
            return Rest::Whole;
        }
        let shown = pattern.to_string();
        let rest: Vec<&str> = shown.split('/').filter(|part| !part.is_empty()).skip(known.len()).collect();
        Pattern::parse(&format!("/{}", rest.join("/"))).map_or(Rest::Whole, Rest::Pattern)
    }
}

#[cfg(test)]
mod tests {
    use super::super::shape::tests::path;
    use super::*;

    fn lead(transformers: &[(&str, TransformerKind)]) -> Lead {
        let transformer =
            |(prefix, kind): &(&str, TransformerKind)| Transformer { prefix: path(prefix), kind: kind.clone() };
        Lead::of(&transformers.iter().map(transformer).collect::<Vec<_>>())
    }

    #[test]
    fn a_pattern_is_compared_with_what_stands_in_front_and_the_rest_is_left() {
        let port = || ("/port/4140", TransformerKind::Port { port: 4140 });
        let two = lead(&[port(), ("/near", TransformerKind::SpecificHost { host: [10, 0, 0, 1].into() })]);
        let fixed = lead(&[port(), ("/const", TransformerKind::Const { path: path("/#/fs/a") })]);
        for (lead, pattern, expected) in [
            (&Lead::default(), "/#/fs/{x}", "same"),
            (&two, "/#/fs/{x}", "nothing"),
            (&two, "/%/near", "whole"),
            (&two, "/%/near/%/port/4140/#/fs/{x}-v", "/#/fs/{x}-v"),
            (&two, "/*/*/*/*/*/#", "/#"),
            (&two, "/%/port/4140/%/near/#/fs/x", "nothing"),
            (&fixed, "/%/const/#/fs/{x}", "whole"),
            (&fixed, "/%/const/#/fs/b", "nothing"),
            (&fixed, "/%/const/#/fs/a/b", "nothing"),
        ] {
            let pattern = Pattern::parse(pattern).unwrap();
            let rest = match lead.rest(&pattern, &Parts::of(&pattern)) {
                Rest::Same => "same".to_owned(),
                Rest::Nothing => "nothing".to_owned(),
                Rest::Whole => "whole".to_owned(),
                Rest::Pattern(rest) => rest.to_string(),
            };
            assert_eq!(rest, expected, "{pattern} behind {lead:?}");
        }
    }
}
