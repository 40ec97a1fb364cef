//! The `waypost` binary under test, built from the sources as they are.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::time::SystemTime;

/// Where the binary is. The first call of a test process asks cargo to bring it up to date, unless it is newer than every
/// source; `WAYPOST_BIN` names another one, such as a release build.
pub fn waypost_binary() -> &'static Path {
    static BINARY: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    match BINARY.get_or_init(find) {
        Ok(path) => path,
        Err(reason) => panic!("no waypost to test: {reason}"),
    }
}

fn find() -> Result<PathBuf, String> {
    if let Some(path) = std::env::var_os("WAYPOST_BIN") {
        return Ok(PathBuf::from(path));
    }
    // Test binaries lie in `<target>/<profile>/deps/`; the binary belongs one level up.
    let exe = std::env::current_exe().map_err(|error| error.to_string())?;
    let profile = exe.parent().and_then(Path::parent).ok_or("the test binary has no target directory")?;
    let binary = profile.join("waypost");
    // `cargo test --workspace` has just built it. Asking cargo again for this package alone would build it once more: what
    // features its dependencies have depends on who is built beside it.
    let built = modified(&binary);
    if built.is_some_and(|built| built > newest_source()) {
        return Ok(binary);
    }
    build(profile).map(|()| binary)
}

fn build(profile: &Path) -> Result<(), String> {
    let target = profile.parent().ok_or("the test binary has no target directory")?;
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.current_dir(env!("CARGO_MANIFEST_DIR")).args(["build", "--quiet", "-p", "waypost", "--bin", "waypost"]);
    cargo.arg("--target-dir").arg(target);
    if profile.ends_with("release") {
        cargo.arg("--release");
    }
    let built = cargo.output().map_err(|error| format!("cargo does not start: {error}"))?;
    if !built.status.success() {
        return Err(format!("it does not compile:\n{}", String::from_utf8_lossy(&built.stderr)));
    }
    Ok(())
}

/// When anything that the binary is made of was last changed.
fn newest_source() -> SystemTime {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut newest = SystemTime::UNIX_EPOCH;
    let mut left = vec![root.join("Cargo.toml"), root.join("Cargo.lock"), root.join("crates")];
    while let Some(path) = left.pop() {
        let inside = std::fs::read_dir(&path).into_iter().flatten().flatten().map(|entry| entry.path());
        left.extend(inside.filter(|path| !path.ends_with("tests")));
        if path.is_file() {
            newest = newest.max(modified(&path).unwrap_or(SystemTime::UNIX_EPOCH));
        }
    }
    newest
}

fn modified(path: &Path) -> Option<SystemTime> {
    std::fs::metadata(path).and_then(|metadata| metadata.modified()).ok()
}
