//! A pattern, a newline, and a template that uses its captures.

use waypost_naming::{Path, Pattern, Segment, Template};

use super::pattern::{SEEDS, WORDS};
use super::{is_one_line, is_placed};
use crate::target::Target;

pub(crate) fn target() -> Target {
    let mut target = Target::new("template", holds, &WORDS, &[]);
    let template = ["{service}.example.com", "x", "{a}{b}{a}", "spiffe://example.org/{x}", "{m}"];
    target.seeds.extend(SEEDS.iter().zip(template).map(|(pattern, template)| format!("{pattern}\n{template}")));
    target
}

fn holds(text: &str) {
    let (pattern, template_text) = text.split_once('\n').unwrap_or((text, ""));
    let Ok(pattern) = Pattern::parse(pattern) else { return };
    match Template::parse(template_text, &pattern) {
        Ok(template) => {
            assert_eq!(template.to_string(), template_text);
            let path: Path = (0..pattern.len()).filter_map(|_| Segment::new("v1-x.y").ok()).collect();
            if let Some(captures) = pattern.matches(&path) {
                let names: usize = pattern.names().count();
                assert!(names > 0 || template.fill(&captures) == template_text);
            }
        }
        Err(error) => {
            is_placed(template_text, error.span());
            is_one_line(&error.to_string());
        }
    }
}
