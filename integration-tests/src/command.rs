//! Commands that run and end: `waypost check`, `waypost explain`, openssl.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use serde_json::Value;

use crate::binary::waypost_binary;
use crate::process::Process;

/// What a command gave.
#[derive(Clone, Debug)]
pub struct Ran {
    /// Exit code.
    pub code: i32,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
}

impl Ran {
    /// Stdout as JSON.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("not JSON ({error}): {self:?}"))
    }

    /// This, after asserting its exit code.
    #[track_caller]
    pub fn exits(self, code: i32) -> Self {
        assert_eq!(self.code, code, "stdout:\n{}\nstderr:\n{}", self.stdout, self.stderr);
        self
    }
}

/// Runs `waypost` with `args` in the current directory, for at most a minute.
pub async fn waypost(args: &[&str]) -> Ran {
    waypost_in(Path::new("."), args).await
}

/// Runs `waypost` in `dir`.
pub async fn waypost_in(dir: &Path, args: &[&str]) -> Ran {
    let mut command = Command::new(waypost_binary());
    command.current_dir(dir).args(args).env_remove("NO_COLOR").env_remove("RUST_LOG");
    run("waypost", command).await
}

/// Runs any other program.
pub async fn program(name: &str, args: &[&str]) -> Ran {
    let mut command = Command::new(name);
    command.args(args);
    run(name, command).await
}

/// Runs `command` on a thread of its own, so that origins of the same test go on answering.
pub async fn run(name: &str, command: Command) -> Ran {
    let name = name.to_owned();
    let ran = tokio::task::spawn_blocking(move || {
        let dir = tempfile::tempdir().expect("a temporary directory can be made");
        let mut process = Process::spawn(&name, command, dir.path());
        let code = process.wait(LIMIT);
        Ran { code, stdout: process.stdout(), stderr: process.stderr() }
    });
    ran.await.unwrap_or_else(|failed| std::panic::resume_unwind(failed.into_panic()))
}

const LIMIT: Duration = Duration::from_secs(60);
