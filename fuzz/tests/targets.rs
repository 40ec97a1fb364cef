//! Each target with its seeds, with what broke a promise once, and with texts that are the same in each run.

#![expect(clippy::expect_used, clippy::print_stderr, reason = "a broken promise ends the test and names its text")]

use std::fs;
use std::panic;

use waypost_fuzz::{Target, Texts, named};

fn hold(name: &str, count: usize) {
    let target = named(name).expect("a target");
    let texts = target.seeds.iter().cloned().chain(regressions(&target)).chain(Texts::new(&target, 1).take(count));
    for text in texts {
        if let Err(panicked) = panic::catch_unwind(|| (target.holds)(&text)) {
            eprintln!("{name} with {text:?}");
            panic::resume_unwind(panicked);
        }
    }
}

/// Texts that broke a promise once; most targets have none.
fn regressions(target: &Target) -> Vec<String> {
    let Ok(files) = fs::read_dir(target.regressions()) else { return Vec::new() };
    let content = |file: fs::DirEntry| fs::read(file.path()).expect("a text");
    files.map(|file| String::from_utf8_lossy(&content(file.expect("a file"))).into_owned()).collect()
}

#[test]
fn paths() {
    hold("path", 20_000);
}

#[test]
fn prefixes() {
    hold("prefix", 20_000);
}

#[test]
fn trees() {
    hold("tree", 20_000);
}

#[test]
fn dtabs() {
    hold("dtab", 20_000);
}

#[test]
fn delegations() {
    hold("delegation", 10_000);
}

#[test]
fn patterns() {
    hold("pattern", 20_000);
}

#[test]
fn templates() {
    hold("template", 20_000);
}

#[test]
fn files_of_endpoints() {
    hold("endpoints", 20_000);
}

#[test]
fn heads_of_requests() {
    hold("heads", 20_000);
}

#[test]
fn configurations() {
    hold("config", 1_500);
}
