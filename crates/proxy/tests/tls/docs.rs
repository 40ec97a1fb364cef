//! The examples of docs/tls.md load, in a directory that `waypost certs` filled.

use std::fs;
use std::path::Path;

use tempfile::TempDir;
use waypost::config::Config;
use waypost::tls::mint::{self, LeafOptions};

#[test]
fn every_example_in_the_documentation_loads() {
    let dir = TempDir::new().unwrap();
    let certs = dir.path().join("certs");
    mint::init(&certs).unwrap();
    for name in ["users.example.com", "web.example.com"] {
        mint::issue(&certs, &[name.to_owned()], LeafOptions::default()).unwrap();
    }
    fs::create_dir(dir.path().join("disco")).unwrap();
    for service in ["users", "legacy", "metrics"] {
        fs::write(dir.path().join("disco").join(service), "127.0.0.1 4141\n").unwrap();
    }
    let page = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/tls.md")).unwrap();
    let examples = examples(&page);
    assert_eq!(examples.len(), 7, "callee, caller, one for each kind of client TLS, server");

    for (name, text) in examples {
        let file = dir.path().join(name);
        fs::write(&file, text).unwrap();
        let loaded = match Config::load(&file) {
            Ok(loaded) => loaded,
            Err(findings) => panic!("{}", findings.iter().map(|finding| finding.render(false)).collect::<String>()),
        };
        let codes: Vec<_> = loaded.warnings.iter().map(|warning| warning.code).collect();
        let expected: &[&str] = match name {
            "no_validation.toml" => &["no-validation"],
            "not_strict.toml" => &["not-strict"],
            _ => &[],
        };
        assert_eq!(codes, expected, "{name}");
    }
}

/// Fenced TOML that begins with `# FILE`.
fn examples(page: &str) -> Vec<(&str, &str)> {
    let fenced = page.split("```toml\n# ").skip(1).filter_map(|rest| {
        let (first, rest) = rest.split_once('\n')?;
        Some((first.split(',').next()?, rest.split_once("```")?.0))
    });
    fenced.collect()
}
