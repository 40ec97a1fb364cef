//! `waypost check CONFIG`: everything that is wrong or surely not meant, without serving anything.

use std::path::Path;

use waypost_naming::{Finding, Severity};
use waypost_routing::NamerSet;

use super::{FAILED, USAGE, print};
use crate::config::{Config, RouterConfig};

/// Reads the configuration at `path` with all that it names, prints each finding to stderr and one line to stdout.
///
/// The exit code: 0 clean, or nothing but warnings; 1 warnings with `deny_warnings`; 2 errors.
pub fn check(path: &Path, deny_warnings: bool) -> u8 {
    let (config, findings) = match Config::load(path) {
        Ok(loaded) => {
            let mut findings = loaded.warnings;
            findings.extend(discovery(&loaded.config));
            (Some(loaded.config), findings)
        }
        Err(findings) => (None, findings),
    };
    print::findings(findings.get(..MOST_SHOWN).unwrap_or(&findings));
    if let Some(more @ 1..) = findings.len().checked_sub(MOST_SHOWN) {
        anstream::eprintln!("and {more} more");
    }
    let warnings = findings.iter().filter(|finding| matches!(finding.severity, Severity::Warning)).count();
    let errors = findings.len() - warnings;
    let what = config.as_ref().map_or_else(|| "not usable".to_owned(), |config| summary(&config.routers));
    let printed = print::out(&format!("{}: {what}{}\n", path.display(), counts(errors, warnings)));
    match (errors, warnings) {
        (1.., _) => USAGE,
        (0, 1..) if deny_warnings => FAILED,
        (0, _) => printed,
    }
}

/// What the namers find wrong in the files that they would serve from.
fn discovery(config: &Config) -> Vec<Finding> {
    let (_, problems) = NamerSet::read(&config.namers);
    problems.into_iter().map(|problem| problem.finding).collect()
}

fn summary(routers: &[RouterConfig]) -> String {
    let servers: usize = routers.iter().map(|router| router.servers.len()).sum();
    format!("{}, {}", count(routers.len(), "router"), count(servers, "server"))
}

fn counts(errors: usize, warnings: usize) -> String {
    match (errors, warnings) {
        (0, 0) => ", no findings".to_owned(),
        (0, warnings) => format!(", {}", count(warnings, "warning")),
        (errors, 0) => format!(", {}", count(errors, "error")),
        (errors, warnings) => format!(", {}, {}", count(errors, "error"), count(warnings, "warning")),
    }
}

fn count(number: usize, what: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{number} {what}{plural}")
}

/// Nobody reads further, and drawing each takes a look at the whole file.
const MOST_SHOWN: usize = 200;
