//! Patterns against a matcher that tries every way.

use proptest::collection::vec;
use proptest::prelude::*;
use waypost_naming::{Path, Pattern, Segment, Template};

/// A part: text and captures by turns; all captures of a pattern have their own names.
fn part() -> impl Strategy<Value = Vec<Option<String>>> {
    vec(prop_oneof![3 => "[ab-]{1,2}".prop_map(Some), 2 => Just(None)], 1..6)
}

fn pattern() -> impl Strategy<Value = Vec<Vec<Option<String>>>> {
    vec(part(), 0..4)
}

/// `{c0}-a{c1}`, `{c2}`.
fn written(parts: &[Vec<Option<String>>]) -> Vec<String> {
    let mut names = (0..).map(|count| format!("{{c{count}}}"));
    let mut piece = |piece: &Option<String>| piece.clone().unwrap_or_else(|| names.next().unwrap_or_default());
    parts.iter().map(|part| part.iter().map(&mut piece).collect()).collect()
}

/// Captures of the first way that fits, longest first, from the left: what `(.*)` means.
fn try_all(pieces: &[Option<String>], text: &str) -> Option<Vec<String>> {
    match pieces {
        [] => text.is_empty().then(Vec::new),
        [Some(literal), rest @ ..] => try_all(rest, text.strip_prefix(literal.as_str())?),
        [None, rest @ ..] => (0..=text.len()).rev().find_map(|length| {
            let mut captures = try_all(rest, &text[length..])?;
            captures.insert(0, text[..length].to_owned());
            Some(captures)
        }),
    }
}

proptest! {
    #[test]
    fn captures_are_what_a_greedy_expression_takes(parts in pattern(), texts in vec("[ab-]{1,8}", 0..4)) {
        let pattern = Pattern::parse(&written(&parts).join("/")).unwrap();
        let path: Path = texts.iter().map(|text| Segment::new(text.clone()).unwrap()).collect();

        let expected: Option<Vec<String>> = if texts.len() < parts.len() {
            None
        } else {
            parts.iter().zip(&texts).map(|(part, text)| try_all(part, text)).collect::<Option<Vec<_>>>().map(|all| all.concat())
        };

        let captures = pattern.matches(&path);
        let held = captures.map(|captures| captures.iter().map(|(_, text)| text.to_owned()).collect::<Vec<_>>());
        prop_assert_eq!(held, expected);
    }

    #[test]
    fn a_pattern_filled_with_its_captures_is_the_path(parts in pattern(), texts in vec("[ab-]{0,3}", 24), rest in "[ab]{1,3}") {
        let mut texts = texts.into_iter();
        let filled: Vec<String> = parts
            .iter()
            .map(|part| part.iter().map(|piece| piece.clone().unwrap_or_else(|| texts.next().unwrap_or_default())).collect())
            .collect();
        prop_assume!(filled.iter().all(|text| !text.is_empty()));
        let path: Path = filled.iter().chain([&rest]).map(|text| Segment::new(text.clone()).unwrap()).collect();

        let text = written(&parts).join("/");
        let pattern = Pattern::parse(&text).unwrap();
        let captures = pattern.matches(&path);
        prop_assert!(captures.is_some(), "{} on {}", pattern, path);

        let template = Template::parse(&text, &pattern).unwrap();
        prop_assert_eq!(template.fill(&captures.unwrap()), filled.join("/"));
        prop_assert_eq!(Pattern::parse(&pattern.to_string()), Ok(pattern));
    }

    #[test]
    fn no_text_makes_a_parser_panic(text in "[/a{}*.\u{e9} -]{0,20}") {
        let pattern = Pattern::parse("/{a}").unwrap();

        if let Err(error) = Pattern::parse(&text) {
            prop_assert!(text.get(error.span().start..error.span().end).is_some(), "{:?}", error);
        }
        match Template::parse(&text, &pattern) {
            Ok(template) => prop_assert_eq!(template.to_string(), text),
            Err(error) => prop_assert!(text.get(error.span().start..error.span().end).is_some(), "{:?}", error),
        }
    }
}
