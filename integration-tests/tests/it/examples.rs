//! Every example configuration can be loaded.

use std::path::{Path, PathBuf};

use integration_tests::command::waypost_in;

fn configurations(dir: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(dir).expect("a directory").flatten() {
        let path = entry.path();
        if path.is_dir() {
            configurations(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "toml") {
            found.push(path);
        }
    }
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("the test's directory can be written");
    for entry in std::fs::read_dir(from).expect("a directory").flatten() {
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).expect("the test's directory can be written");
        }
    }
}

/// The names of the leaf certificates that a configuration speaks of: `certs/<name>.key`.
fn leaves(toml: &str) -> Vec<&str> {
    let quoted = toml.split('"').skip(1).step_by(2);
    quoted.filter_map(|text| text.strip_suffix(".key")?.rsplit('/').next()).filter(|name| *name != "ca").collect()
}

#[tokio::test]
async fn every_example_is_loaded_without_a_finding() {
    let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("../configs");
    let dir = tempfile::tempdir().expect("a temporary directory can be made");
    copy(&examples, dir.path());
    let mut found = Vec::new();
    configurations(dir.path(), &mut found);
    assert!(!found.is_empty(), "there are examples in configs/");
    for path in found {
        let toml = std::fs::read_to_string(&path).expect("text");
        let beside = path.parent().expect("a directory");
        // Examples speak of certificates that their readers make with the same two commands.
        let names = leaves(&toml);
        if !names.is_empty() && !beside.join("certs/ca.pem").exists() {
            waypost_in(beside, &["certs", "init", "certs"]).await.exits(0);
        }
        for name in names {
            if !beside.join(format!("certs/{name}.pem")).exists() {
                waypost_in(beside, &["certs", "issue", "certs", name]).await.exits(0);
            }
        }
        let file = path.file_name().and_then(|name| name.to_str()).expect("a plain name");
        waypost_in(beside, &["check", file]).await.exits(0);
    }
}
