//! docs/lints.md is true: each lint has a section, whose first example triggers it and nothing else, and whose second,
//! where it is mended, triggers nothing.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, IsCa, Issuer, KeyIdMethod, KeyPair,
    KeyUsagePurpose, SerialNumber,
};
use tempfile::TempDir;
use time::{Duration, OffsetDateTime};
use waypost::config::{Config, lints};
use waypost::tls::mint;
use waypost_naming::Finding;
use waypost_routing::NamerSet;

use super::{rendered, repository};

const NAMERS: &str = r#"
[[namers]]
kind = "fs"
root_dir = "disco"

[[namers]]
kind = "static"
prefix = "lab"
services = { users = ["127.0.0.1:8080"], billing = ["127.0.0.1:8081"] }
"#;

/// A directory in which the page's commands are given.
struct Workshop(TempDir);

impl Workshop {
    fn new() -> Self {
        let workshop = Self(tempfile::tempdir().unwrap());
        fs::create_dir(workshop.path().join("disco")).unwrap();
        fs::create_dir(workshop.path().join("certs")).unwrap();
        workshop
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    /// The certificates and the list whose time nobody would wait for.
    fn add_what_time_makes(&self) {
        let now = OffsetDateTime::now_utc();
        self.pair("ended", now - Duration::days(30), now - Duration::days(1));
        self.pair("future", now + Duration::days(1), now + Duration::days(30));
        let key = KeyPair::generate().unwrap();
        let mut ca = CertificateParams::new(Vec::new()).unwrap();
        ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        ca.key_usages = vec![KeyUsagePurpose::CrlSign];
        let list = CertificateRevocationListParams {
            this_update: now - Duration::days(30),
            next_update: now - Duration::days(1),
            crl_number: SerialNumber::from(1),
            issuing_distribution_point: None,
            revoked_certs: Vec::new(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        self.write("certs/old.crl", &list.signed_by(&Issuer::new(ca, key)).unwrap().pem().unwrap());
    }

    fn pair(&self, name: &str, from: OffsetDateTime, to: OffsetDateTime) {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec![format!("{name}.example.com")]).unwrap();
        (params.not_before, params.not_after) = (from, to);
        self.write(&format!("certs/{name}.example.com.pem"), &params.self_signed(&key).unwrap().pem());
        self.write(&format!("certs/{name}.example.com.key"), &key.serialize_pem());
    }

    fn write(&self, name: &str, content: &str) {
        let path = self.path().join(name);
        fs::write(&path, content).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    }

    fn give(&self, commands: &str) {
        for command in commands.lines() {
            let words: Vec<&str> = command.split_whitespace().collect();
            match words.as_slice() {
                ["waypost", "certs", "init", dir] => drop(mint::init(&self.path().join(dir)).unwrap()),
                ["waypost", "certs", "issue", dir, name, days @ ..] => {
                    let mut options = mint::LeafOptions::default();
                    if let ["--days", days] = days {
                        options.days = days.parse().unwrap();
                    }
                    drop(mint::issue(&self.path().join(dir), &[(*name).to_owned()], options).unwrap());
                }
                _ => {
                    let status = Command::new("sh").args(["-c", command]).current_dir(self.path()).status().unwrap();
                    assert!(status.success(), "{command}");
                }
            }
        }
    }

    /// What `waypost check` finds in an example, with what it leaves out.
    fn check(&self, example: &str) -> Vec<Finding> {
        let has = |text: &str| example.contains(text);
        let servers = if has("servers") { "" } else { "\n[[routers.servers]]\nport = 4140\n" };
        let whole = match (has("[[namers]]"), has("[[routers]]")) {
            (true, true) => example.to_owned(),
            (true, false) => format!("{example}\n[[routers]]\n{servers}"),
            (false, _) => format!("{NAMERS}\n[[routers]]\n{example}{servers}"),
        };
        match Config::parse("lints.md", &whole, self.path()) {
            Err(findings) => panic!("{}\n{whole}", rendered(&findings)),
            Ok(mut loaded) => {
                let (_, problems) = NamerSet::read(&loaded.config.namers);
                loaded.warnings.extend(problems.into_iter().map(|problem| problem.finding));
                loaded.warnings
            }
        }
    }
}

/// A lint's section: its name, and its blocks with their language.
struct Section {
    lint: String,
    blocks: Vec<(String, String)>,
}

fn sections() -> Vec<Section> {
    let page = fs::read_to_string(repository().join("docs/lints.md")).unwrap();
    let sections = page.split("\n## `").skip(1).map(|section| {
        let (lint, rest) = section.split_once('`').unwrap();
        let blocks = rest.split("\n```").skip(1).step_by(2).map(|block| {
            let (language, text) = block.split_once('\n').unwrap();
            (language.to_owned(), format!("{text}\n"))
        });
        Section { lint: lint.to_owned(), blocks: blocks.collect() }
    });
    sections.collect()
}

#[test]
fn every_lint_has_a_section_and_every_section_a_lint() {
    let documented: Vec<String> = sections().into_iter().map(|section| section.lint).collect();
    let known: BTreeSet<&str> = lints().collect();

    assert_eq!(documented.iter().map(String::as_str).collect::<BTreeSet<_>>(), known);
    assert_eq!(documented.len(), known.len(), "one section each");
}

#[test]
fn the_first_example_triggers_its_lint_alone_and_the_second_is_mended() {
    for Section { lint, blocks } in sections() {
        let workshop = Workshop::new();
        workshop.add_what_time_makes();
        let mut examples = 0;
        for (language, text) in &blocks {
            match language.as_str() {
                "sh" => workshop.give(text),
                "toml" => {
                    let findings = workshop.check(text);
                    let codes: BTreeSet<&str> = findings.iter().map(|finding| finding.code).collect();
                    let expected: BTreeSet<&str> = (examples == 0).then_some(lint.as_str()).into_iter().collect();
                    assert_eq!(codes, expected, "{lint}, example {examples}:\n{}\n{text}", rendered(&findings));
                    examples += 1;
                }
                other => panic!("{lint}: a block of {other}"),
            }
        }
        assert!((1..=2).contains(&examples), "{lint} has {examples} examples");
    }
}

#[test]
fn findings_of_lints_have_a_place_and_say_what_to_do() {
    for Section { lint, blocks } in sections().into_iter().filter(|section| !section.lint.starts_with("fs-")) {
        let workshop = Workshop::new();
        workshop.add_what_time_makes();
        let first = blocks.iter().position(|(language, _)| language == "toml").unwrap();
        blocks[..first].iter().for_each(|(_, commands)| workshop.give(commands));
        for finding in workshop.check(&blocks[first].1) {
            assert!(finding.place().is_some(), "{lint}");
            let of_a_file = lint.starts_with("certificate-") || lint.starts_with("crl-");
            assert!(finding.hint.is_some() || of_a_file, "{lint}: {}", finding.message);
        }
    }
}

#[test]
fn the_page_begins_with_what_may_be_allowed() {
    let page = fs::read_to_string(repository().join("docs/lints.md")).unwrap();
    let blocks = super::blocks(&page);
    let workshop = Workshop::new();

    assert_eq!(rendered(&workshop.check(blocks[0])), "");
    assert_eq!(blocks[1].trim(), NAMERS.trim(), "the namers around the examples are these");
    let refused = workshop.check(&blocks[0].replace("waypost: allow", "allow"));
    assert_eq!(refused.iter().map(|finding| finding.code).collect::<Vec<_>>(), ["unreachable-rule", "zero-weight"]);
}
