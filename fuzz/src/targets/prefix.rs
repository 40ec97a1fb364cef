//! `/http/1.1/*`.

use waypost_naming::{Path, Prefix};

use super::{NAMES, is_told};
use crate::target::Target;

pub(crate) fn target() -> Target {
    let seeds = ["/", "/svc", "/http/1.1/*/x", "/*", r"/\x2a/a", " /a/*/b # c\n"];
    Target::new("prefix", holds, &NAMES, &seeds)
}

fn holds(text: &str) {
    match Prefix::parse(text) {
        Ok(prefix) => {
            assert_eq!(Prefix::parse(&prefix.to_string()), Ok(prefix.clone()));
            // A path is the prefix of itself and of what is longer.
            if let Ok(path) = Path::parse(text) {
                assert_eq!(Prefix::from(&path), prefix);
                assert!(prefix.matches(&path) && prefix.matches(&path.concat(&path)));
            }
        }
        Err(error) => {
            is_told(text, &error);
            assert!(Path::parse(text).is_err(), "each path is a prefix");
        }
    }
}
