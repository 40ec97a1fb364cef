//! Captures that are never filled, and names of captures that were meant to be filled in.

use std::ops::Range;

use waypost_naming::{Pattern, Template};

/// A part of a text, and what is suspicious about it.
pub(in crate::config) struct Suspect {
    pub(in crate::config) range: Range<usize>,
    pub(in crate::config) message: String,
    pub(in crate::config) hint: &'static str,
}

/// Captures of the pattern `text` that are always empty, or that a later one of the same name overwrites.
pub(in crate::config) fn never_filled(text: &str) -> Vec<Suspect> {
    let captures = captures(text);
    let mut suspects = Vec::new();
    for (index, (range, name)) in captures.iter().enumerate() {
        let behind_another = index.checked_sub(1).and_then(|before| captures.get(before));
        if behind_another.is_some_and(|(before, _)| before.end == range.start) {
            suspects.push(Suspect {
                range: range.clone(),
                message: format!("`{{{name}}}` is always empty: the capture before it takes all there is"),
                hint: "let something stand between them: `{service}-{version}`",
            });
        } else if captures.iter().skip(index + 1).any(|(_, later)| later == name) {
            suspects.push(Suspect {
                range: range.clone(),
                message: format!("`{{{name}}}` is captured again behind this, and only that is kept"),
                hint: "give them two names, or write `*` for what is not used",
            });
        }
    }
    suspects
}

/// The name of a capture of `pattern` in `text`, which has no capture at all.
pub(in crate::config) fn forgotten_braces(text: &str, template: &Template, pattern: &Pattern) -> Option<Suspect> {
    if template.names().next().is_some() {
        return None;
    }
    pattern.names().find_map(|name| {
        let start = word(text, name)?;
        Some(Suspect {
            range: start..start + name.len(),
            message: format!("`{name}` stands for itself here, it is not what `{{{name}}}` captures"),
            hint: "write it in braces",
        })
    })
}

/// Where `name` stands in `text` as a word of its own.
fn word(text: &str, name: &str) -> Option<usize> {
    let in_word = |character: char| character.is_alphanumeric() || character == '_';
    text.match_indices(name).map(|(start, _)| start).find(|start| {
        let before = text.get(..*start).is_some_and(|before| before.ends_with(in_word));
        let behind = text.get(start + name.len()..).is_some_and(|behind| behind.starts_with(in_word));
        !before && !behind
    })
}

/// The captures of a pattern, braces included, with their names.
fn captures(text: &str) -> Vec<(Range<usize>, &str)> {
    let starts = text.match_indices('{').map(|(start, _)| start);
    let captures = starts.filter_map(|start| {
        let inside = text.get(start + 1..)?;
        let name = inside.split('}').next()?;
        Some((start..start + name.len() + 2, name))
    });
    captures.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn captures_that_are_never_filled_are_found() {
        for (text, expected) in [
            ("/#/fs/{a}-{b}", vec![]),
            ("/#/fs/{a}{b}", vec!["{b}"]),
            ("/#/fs/{a}{b}{c}", vec!["{b}", "{c}"]),
            ("/{x}/{x}", vec!["{x}"]),
            ("/{a}/{b}", vec![]),
        ] {
            let found: Vec<_> = never_filled(text).into_iter().map(|suspect| text[suspect.range].to_owned()).collect();
            assert_eq!(found, expected, "{text}");
        }
    }

    #[test]
    fn only_whole_words_were_meant_to_be_captures() {
        let pattern = Pattern::parse("/#/fs/{service}-{v}").unwrap();
        for (text, expected) in [
            ("service.example.com", Some("service")),
            ("spiffe://example.com/service", Some("service")),
            ("services.example.com", None),
            ("web-v.example.com", Some("v")),
            ("{service}.service.example.com", None),
            ("users.example.com", None),
        ] {
            let template = Template::parse(text, &pattern).unwrap();
            let found = forgotten_braces(text, &template, &pattern).map(|suspect| text[suspect.range].to_owned());
            assert_eq!(found.as_deref(), expected, "{text}");
        }
    }
}
