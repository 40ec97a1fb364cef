//! The `waypost` binary under test, built from the sources as they are.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// Where the binary is. The first call of a test process asks cargo to bring it up to date (next to nothing when it is);
/// `WAYPOST_BIN` names another one, such as a release build.
pub fn waypost_binary() -> &'static Path {
    static BINARY: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    match BINARY.get_or_init(find) {
        Ok(path) => path,
        Err(reason) => panic!("no waypost to test: {reason}"),
    }
}

fn find() -> Result<PathBuf, String> {
    match std::env::var_os("WAYPOST_BIN") {
        Some(path) => Ok(PathBuf::from(path)),
        None => build(),
    }
}

/// Test binaries lie in `<target>/<profile>/deps/`; the binary belongs two levels up.
fn build() -> Result<PathBuf, String> {
    let exe = std::env::current_exe().map_err(|error| error.to_string())?;
    let profile = exe.parent().and_then(Path::parent).ok_or("the test binary has no target directory")?;
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
    Ok(profile.join("waypost"))
}
