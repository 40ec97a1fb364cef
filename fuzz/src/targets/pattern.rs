//! `/#/fs/{service}-{version}`.

use waypost_naming::{Path, Pattern};

use super::{is_one_line, is_placed};
use crate::target::Target;

pub(super) const WORDS: [&str; 24] = [
    "/",
    "//",
    "{",
    "}",
    "{a}",
    "{b}",
    "{}",
    "{a.b}",
    "{a-b}",
    "{_}",
    "*",
    "/*",
    "/#/fs",
    "-",
    "v",
    ".example.com",
    "a",
    "\\x2f",
    "\\",
    " ",
    "\u{e9}",
    "{a}{b}",
    "spiffe://",
    "\n",
];

pub(super) const SEEDS: [&str; 5] = ["/#/fs/{service}-{version}", "/", "*/{a}.{b}/c", "/%/const/{x}", "/v{n}/x"];

pub(crate) fn target() -> Target {
    Target::new("pattern", holds, &WORDS, &SEEDS)
}

fn holds(text: &str) {
    match Pattern::parse(text) {
        Ok(pattern) => {
            assert_eq!(Pattern::parse(&pattern.to_string()), Ok(pattern.clone()));
            if let Ok(path) = Path::parse(text) {
                let shown = Pattern::parse(&path.to_string());
                assert!(shown.is_ok_and(|shown| shown.matches(&path).is_some()), "what is shown of {path} matches it");
            }
            let short = Path::empty();
            assert_eq!(pattern.matches(&short).is_some(), pattern.is_empty());
        }
        Err(error) => {
            is_placed(text, error.span());
            is_one_line(&error.to_string());
        }
    }
}
