//! `/logging.json`: which log lines are written, seen and changed while waypost runs.

use std::fmt;

use axum::body::Bytes;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::Admin;
use super::answer::{self, Refusal};
use super::query;

#[derive(Debug, Deserialize)]
struct Change {
    level: String,
    /// A module path such as `waypost::client`; absent: all that has no level of its own.
    target: Option<String>,
}

pub(super) async fn levels(State(admin): State<Admin>) -> Response {
    shown(&admin)
}

pub(super) async fn set(State(admin): State<Admin>, headers: HeaderMap, body: Bytes) -> Result<Response, Refusal> {
    let change: Change = query::json_body(&headers, &body)?;
    let level = change.level.to_ascii_lowercase();
    if !LEVELS.contains(&level.as_str()) {
        return Err(Refusal::bad(format!("there is no level {:?}; there is: {}", change.level, LEVELS.join(", "))));
    }
    let target = change.target.as_deref().unwrap_or_default();
    let is_module_path = target.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_:-".contains(&byte));
    if !is_module_path {
        return Err(Refusal::bad(format!(
            "{target:?} is no target; a target is a module path such as waypost::client"
        )));
    }
    let filter = Filter::parse(&admin.control.log_filter()).with(target, &level);
    admin.control.set_log_filter(&filter.to_string()).map_err(Refusal::bad)?;
    Ok(shown(&admin))
}

fn shown(admin: &Admin) -> Response {
    let filter = admin.control.log_filter();
    let parsed = Filter::parse(&filter);
    let targets: Map<String, Value> =
        parsed.targets().map(|(target, level)| (target.to_owned(), Value::from(level))).collect();
    answer::json(&json!({ "level": parsed.level(), "targets": targets, "filter": filter }))
}

const LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];

/// An `EnvFilter`'s directives, far enough apart to replace one.
struct Filter {
    directives: Vec<String>,
}

impl Filter {
    /// Directives are parted by commas, but for those inside a span's braces or brackets.
    fn parse(text: &str) -> Self {
        let (mut directives, mut depth) = (vec![String::new()], 0_usize);
        for char in text.chars() {
            match char {
                '[' | '{' => depth += 1,
                ']' | '}' => depth = depth.saturating_sub(1),
                _ => {}
            }
            if char == ',' && depth == 0 {
                directives.push(String::new());
            } else if let Some(last) = directives.last_mut() {
                last.push(char);
            }
        }
        directives.retain(|directive| !directive.trim().is_empty());
        Self { directives }
    }

    /// The same with `level` for `target`; the empty target is all that has no level of its own.
    fn with(mut self, target: &str, level: &str) -> Self {
        self.directives.retain(|directive| named(directive).is_none_or(|(known, _)| known != target));
        self.directives.push(if target.is_empty() { level.to_owned() } else { format!("{target}={level}") });
        self
    }

    fn level(&self) -> &str {
        let mut named = self.directives.iter().rev().filter_map(|directive| named(directive));
        // An EnvFilter that says nothing lets errors through.
        named.find(|(target, _)| target.is_empty()).map_or("error", |(_, level)| level)
    }

    fn targets(&self) -> impl Iterator<Item = (&str, &str)> {
        self.directives.iter().filter_map(|directive| named(directive)).filter(|(target, _)| !target.is_empty())
    }
}

/// Target and level of a directive that is about no span; a bare target means all of its lines.
fn named(directive: &str) -> Option<(&str, &str)> {
    let directive = directive.trim();
    if directive.contains('[') {
        return None;
    }
    match directive.split_once('=') {
        Some((target, level)) => Some((target, level)),
        None if LEVELS.iter().any(|level| level.eq_ignore_ascii_case(directive)) => Some(("", directive)),
        None => Some((directive, "trace")),
    }
}

impl fmt::Display for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.directives.join(","))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_level_is_replaced_and_the_others_stay() {
        for (before, target, level, after) in [
            ("info", "", "debug", "debug"),
            ("info", "waypost::client", "debug", "info,waypost::client=debug"),
            ("info,waypost::client=debug", "waypost::client", "off", "info,waypost::client=off"),
            ("info,waypost::client=debug", "", "warn", "waypost::client=debug,warn"),
            ("waypost[request{a=1,b=2}]=trace,info", "", "warn", "waypost[request{a=1,b=2}]=trace,warn"),
            ("", "", "info", "info"),
        ] {
            assert_eq!(Filter::parse(before).with(target, level).to_string(), after, "{before} + {target}={level}");
        }
    }

    #[test]
    fn levels_are_told_apart_from_targets() {
        let filter = Filter::parse("warn,waypost::client=debug,hyper");
        assert_eq!(filter.level(), "warn");
        assert_eq!(filter.targets().collect::<Vec<_>>(), [("waypost::client", "debug"), ("hyper", "trace")]);
    }
}
