//! Promises of configuration files: examples load, documentation is true, mistakes are shown where they are.
#![expect(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a broken assumption ends the test")]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use proptest::prelude::*;
use tempfile::TempDir;
use waypost::config::{Config, Documented, Loaded, documented};
use waypost::tls::mint;
use waypost_naming::{Finding, Path as Name};

#[path = "config/doubts.rs"]
mod doubts;
#[path = "config/lints.rs"]
mod lints;
#[path = "config/mistakes.rs"]
mod mistakes;
#[path = "config/policies.rs"]
mod policies;

/// Reads `text` as `waypost.toml` of the directory that tests run in, where none of its files is.
fn load(text: &str) -> Result<Loaded, Vec<Finding>> {
    Config::parse("waypost.toml", text, Path::new(""))
}

/// The configuration of `text`, which has nothing wrong with it.
fn loaded(text: &str) -> Config {
    match load(text) {
        Ok(Loaded { config, warnings }) if warnings.is_empty() => config,
        Ok(Loaded { warnings, .. }) => panic!("{}", rendered(&warnings)),
        Err(findings) => panic!("{}", rendered(&findings)),
    }
}

/// A router on any port, with `more` behind it.
fn router(more: &str) -> String {
    format!("[[routers]]\n[[routers.servers]]\nport = 0\n{more}")
}

fn rendered(findings: &[Finding]) -> String {
    findings.iter().map(|finding| finding.render(false)).collect::<Vec<_>>().join("\n\n")
}

fn name(text: &str) -> Name {
    Name::parse(text).unwrap()
}

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// A copy of configs/, with the certificates that the `waypost certs` lines in `text` make.
fn workshop(text: &str) -> TempDir {
    let workshop = tempfile::tempdir().unwrap();
    let root = workshop.path();
    fs::create_dir_all(root.join("configs/disco")).unwrap();
    for file in ["users", "billing"] {
        fs::copy(repository().join("configs/disco").join(file), root.join("configs/disco").join(file)).unwrap();
    }
    for line in text.lines().filter_map(|line| line.trim_start_matches(['#', ' ']).strip_prefix("waypost certs ")) {
        let words: Vec<&str> = line.split_whitespace().collect();
        match words.as_slice() {
            ["init", dir] => drop(mint::init(&root.join(dir)).unwrap()),
            ["issue", dir, names @ ..] => {
                let names: Vec<String> = names.iter().copied().map(str::to_owned).collect();
                drop(mint::issue(&root.join(dir), &names, mint::LeafOptions::default()).unwrap());
            }
            _ => panic!("no such command: {line}"),
        }
    }
    workshop
}

#[test]
fn every_example_loads_without_a_finding() {
    let mut examples = 0;
    for entry in fs::read_dir(repository().join("configs")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "toml") {
            continue;
        }
        let text = fs::read_to_string(&path).unwrap();
        let workshop = workshop(&text);
        let copy = workshop.path().join("configs").join(path.file_name().unwrap());
        fs::write(&copy, &text).unwrap();
        match Config::load(&copy) {
            Ok(Loaded { warnings, .. }) => assert!(warnings.is_empty(), "{}", rendered(&warnings)),
            Err(findings) => panic!("{}", rendered(&findings)),
        }
        examples += 1;
    }
    assert!(examples >= 4, "only {examples} examples were found");
}

#[test]
fn files_are_found_from_the_configurations_directory_and_all_are_listed() {
    let text = fs::read_to_string(repository().join("configs/linker-to-linker-static.toml")).unwrap();
    let workshop = workshop(&text);
    let copy = workshop.path().join("configs/static.toml");
    fs::write(&copy, &text).unwrap();

    let files = Config::load(&copy).unwrap().config.files;

    let below: Vec<_> =
        files.iter().map(|file| file.strip_prefix(workshop.path()).unwrap().to_str().unwrap()).collect();
    assert_eq!(
        below,
        [
            "configs/static.toml",
            "configs/certs/ca.pem",
            "configs/certs/waypost.example.com.pem",
            "configs/certs/waypost.example.com.key",
        ]
    );
}

#[test]
fn what_is_no_text_of_bounded_size_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let (binary, huge) = (directory.path().join("binary.toml"), directory.path().join("huge.toml"));
    fs::write(&binary, b"workers = 1\nlabel = \"\xff\"\n").unwrap();
    fs::write(&huge, vec![b'#'; (10 << 20) + 1]).unwrap();
    for (path, expected) in [
        (binary.as_path(), "not UTF-8 at line 2"),
        (huge.as_path(), "larger than 10MiB"),
        (&directory.path().join("missing.toml"), "no such file or directory"),
        (directory.path(), "a directory, not a file"),
    ] {
        let findings = Config::load(path).unwrap_err();
        assert!(findings.len() == 1 && findings[0].message.ends_with(expected), "{findings:?}");
        assert!(findings[0].message.starts_with(path.to_str().unwrap()), "{findings:?}");
    }
}

#[test]
fn mistakes_in_a_dtab_file_are_shown_there() {
    let directory = tempfile::tempdir().unwrap();
    let (config, rules) = (directory.path().join("waypost.toml"), directory.path().join("routes.dtab"));
    fs::write(&config, "[[routers]]\ndtab_file = \"routes.dtab\"\nservers = [{ port = 0 }]\n").unwrap();
    for (text, expected) in [
        ("/a => /b ;\r\n/c = /d ;\r\n/e => /f//g ;\r\n", vec![(2, 5), (3, 10)]),
        ("/svc/a => /$/nil ;\n/svc => /#/fs ;\n", vec![(2, 9)]),
    ] {
        fs::write(&rules, text).unwrap();
        let findings = match Config::load(&config) {
            Ok(loaded) => loaded.warnings,
            Err(findings) => findings,
        };
        let places: Vec<_> = findings.iter().map(|finding| finding.place().unwrap()).collect();
        let name = rules.display().to_string();
        assert_eq!(places, expected.iter().map(|(line, col)| (name.clone(), *line, *col)).collect::<Vec<_>>());
    }
    fs::write(&rules, "/svc => /$/nil ;").unwrap();

    let config = Config::load(&config).unwrap().config;

    assert_eq!(config.files[1], rules);
    assert_eq!(config.routers[0].dtab_file.as_deref(), Some(rules.as_path()));
    assert_eq!(config.routers[0].dtab.dentries()[0].place.to_string(), format!("{}:1:1", rules.display()));
}

#[test]
fn tens_of_thousands_of_rules_are_read_and_looked_through() {
    let rules: String = (0..20_000).map(|n| format!("/svc/s{n} => /#/fs/s{n} | /#/nope/s{n} | ! ;\n")).collect();
    let text = format!("[[routers]]\ndtab = \"\"\"\n{rules}\"\"\"\nservers = [{{ port = 0 }}]\n");

    let loaded = load(&text).unwrap();

    assert_eq!(loaded.config.routers[0].dtab.len(), 20_000);
    assert_eq!(loaded.warnings.len(), 40_000, "neither namer is there");
}

proptest! {
    /// Whatever becomes of a good file, it is read or refused, and each finding is somewhere in it.
    #[test]
    fn no_text_is_too_broken_to_be_told_so(
        which in 0_usize..1_000, cut in 0_usize..4_000, length in 0_usize..6, more in "[a-z\\[\\]{}=\"'\\\\#/$~!*&|;:0-9\n\u{e9}\0 ]{0,6}"
    ) {
        let (documentation, ..) = documentation();
        let blocks = blocks(&documentation);
        let block = blocks[which % blocks.len()];
        let start = block.floor_char_boundary(cut % block.len());
        let end = block.ceil_char_boundary(start + length);
        let text = format!("{}{more}{}", &block[..start], &block[end..]);
        let findings = load(&text).map_or_else(|findings| findings, |loaded| loaded.warnings);
        for finding in &findings {
            let (name, line, _) = finding.place().unwrap();
            prop_assert!(name == "waypost.toml" && line <= text.lines().count() + 1, "{}", finding.render(false));
        }
    }
}

/// The rows of the tables in docs/configuration.md whose header has a default: key, default, bounds.
fn documentation() -> (String, Vec<Documented>, Vec<Documented>) {
    let text = fs::read_to_string(repository().join("docs/configuration.md")).unwrap();
    let (mut by_section, mut summary) = (Vec::new(), Vec::new());
    let (mut prefix, mut in_summary, mut columns) = (String::new(), false, None);
    for line in text.lines() {
        if line.starts_with("## ") || line.starts_with("### ") {
            let table = line.trim_start_matches(['#', ' ']).trim_matches(['`', '[', ']']);
            in_summary = table == "All keys";
            prefix = if table.contains(' ') { String::new() } else { format!("{table}.") };
        }
        let Some(row) = line.strip_prefix("| ") else {
            columns = None;
            continue;
        };
        let cells: Vec<&str> = row.split('|').map(|cell| cell.trim().trim_matches('`')).collect();
        if columns.is_none() {
            let column = |title: &str| cells.iter().position(|cell| *cell == title);
            columns = Some(column("key").zip(column("default")).zip(column("bounds")));
        } else if let Some(Some(((key, default), bounds))) = columns {
            if cells[key].starts_with("---") {
                continue;
            }
            let key = format!("{prefix}{}", cells[key]);
            let row = Documented { key, default: cells[default].to_owned(), bounds: cells[bounds].to_owned() };
            if in_summary { summary.push(row) } else { by_section.push(row) }
        }
    }
    (text, by_section, summary)
}

#[test]
fn documented_defaults_and_bounds_are_those_of_the_code() {
    let (_, by_section, summary) = documentation();
    let set = |rows: Vec<Documented>| -> BTreeSet<(String, String, String)> {
        rows.into_iter().map(|row| (row.key, row.default, row.bounds)).collect()
    };
    let code = set(documented());
    for (where_, rows) in [("by section", set(by_section)), ("in the summary", set(summary))] {
        let missing: Vec<_> = code.difference(&rows).collect();
        let untrue: Vec<_> = rows.difference(&code).collect();
        assert!(missing.is_empty() && untrue.is_empty(), "{where_}: missing {missing:#?}, untrue {untrue:#?}");
    }
}

/// The TOML blocks of the documentation.
fn blocks(text: &str) -> Vec<&str> {
    text.split("```toml\n").skip(1).map(|block| block.split("```").next().unwrap()).collect()
}

#[test]
fn the_documentations_examples_load_and_show_every_key() {
    let (text, ..) = documentation();
    let commands = "waypost certs init configs/certs\n\
                    waypost certs issue configs/certs users.example.com\n\
                    waypost certs issue configs/certs web.example.com";
    let workshop = workshop(commands);
    let base = workshop.path().join("configs");
    fs::write(base.join("routes.dtab"), "/svc => /$/inet/127.1/80 ;").unwrap();
    let namers = "[[namers]]\nkind = \"fs\"\nroot_dir = \"disco\"\n\
                  [[namers]]\nkind = \"static\"\nprefix = \"lab\"\nservices = { users = [] }\n";
    let mut shown = BTreeSet::new();
    for block in blocks(&text) {
        let has = |table: &str| block.contains(table);
        let namers = if has("[[namers]]") || !has("routers") { "" } else { namers };
        let router = if has("[[routers]]") { "" } else { "[[routers]]\n" };
        let servers = if has("servers]]") || has("servers =") { "" } else { "[[routers.servers]]\nport = 0\n" };
        // Plain keys stand before the first table, so what is missing goes behind those that have none.
        let whole = match block.starts_with("workers") || has("[[namers]]") {
            true => format!("{block}{router}{servers}"),
            false => format!("{namers}{router}{servers}{block}"),
        };
        match Config::parse("docs/configuration.md", &whole, &base) {
            Ok(Loaded { warnings, .. }) => assert!(warnings.is_empty(), "{}", rendered(&warnings)),
            Err(findings) => panic!("{}", rendered(&findings)),
        }
        keys("", &toml::from_str(&whole).unwrap(), &mut shown);
    }
    let hidden: Vec<_> = documented().into_iter().map(|row| row.key).filter(|key| !shown.contains(key)).collect();
    assert!(hidden.is_empty(), "no example has {hidden:#?}");
}

/// Every key below `table`; names of services are all `<name>`, and a policy's entry counts for the policy itself.
fn keys(prefix: &str, table: &toml::Table, into: &mut BTreeSet<String>) {
    for (key, value) in table {
        let key = if prefix == "namers.services." { "<name>" } else { key };
        let name = format!("{prefix}{key}");
        into.insert(name.replace(".configs.", "."));
        into.insert(name.clone());
        let elements = value.as_array().map_or_else(|| std::slice::from_ref(value), Vec::as_slice);
        for table in elements.iter().filter_map(toml::Value::as_table) {
            keys(&format!("{name}."), table, into);
        }
    }
}

#[test]
fn everything_left_out_has_the_documented_default() {
    let config = loaded(&router(""));
    let (router, server) = (&config.routers[0], &config.routers[0].servers[0]);

    assert_eq!((config.admin.port, config.workers, config.watch), (9990, None, false));
    assert_eq!(config.shutdown_grace, Duration::from_secs(10));
    assert_eq!((&*router.label, router.identifiers.dst_prefix.to_string()), ("http", "/svc".to_owned()));
    assert_eq!(router.identifiers.list[0].kind(), "header.token");
    assert_eq!(router.binding_timeout, Duration::from_secs(10));
    assert_eq!((server.head_timeout, server.idle_timeout), (Duration::from_secs(10), Duration::from_secs(60)));
    assert_eq!((server.max_head_bytes, server.max_headers, server.max_call_depth), (65_536, 100, 100));
    assert_eq!(server.max_connections.map(std::num::NonZeroU32::get), Some(10_000));
    assert_eq!((server.max_concurrent_requests, server.max_body_bytes), (None, None));
}

#[test]
fn effective_values_are_shown_as_json() {
    let text = "[[namers]]\nkind = \"static\"\nservices = { users = [\"127.0.0.1:8080\"] }\n".to_owned()
        + &router("[routers.client]\ntls = { kind = \"none\" }\n[routers.service]\ntotal_timeout = \"90s\"\n");

    let json = loaded(&text).to_json();

    assert_eq!(json["admin"], serde_json::json!({ "ip": "127.0.0.1", "port": 9990, "hosts": [] }));
    assert_eq!(json["namers"][0]["services"]["users"][0]["addr"], "127.0.0.1:8080");
    let router = &json["routers"][0];
    assert_eq!((&router["label"], &router["servers"][0]["max_head_bytes"]), (&"http".into(), &"64KiB".into()));
    assert_eq!(router["service"][0]["total_timeout"], "none", "what holds without entries comes first");
    assert_eq!(router["service"][1]["total_timeout"], "90s");
    assert_eq!(router["client"][0]["accrual"]["failures"], 5);
}
