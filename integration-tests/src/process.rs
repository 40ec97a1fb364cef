//! A child process that is always ended, by its own id.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::eventually::eventually_blocking;

/// What a test sends to a child.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Signal {
    /// Reload.
    Hup,
    /// Drain and end.
    Term,
    /// The same, from a keyboard.
    Int,
}

/// A running child; dropping it kills and reaps it.
#[derive(Debug)]
pub struct Process {
    child: Child,
    name: String,
    stdout: PathBuf,
    stderr: PathBuf,
}

impl Process {
    /// Starts `command` without input, its output in `dir/<name>.out` and `dir/<name>.err`.
    pub fn spawn(name: &str, mut command: Command, dir: &Path) -> Self {
        let stdout = dir.join(format!("{name}.out"));
        let stderr = dir.join(format!("{name}.err"));
        let child = command
            .stdin(Stdio::null())
            .stdout(File::create(&stdout).expect("the test's directory can be written"))
            .stderr(File::create(&stderr).expect("the test's directory can be written"))
            .spawn()
            .unwrap_or_else(|error| panic!("{name} does not start: {error}; `make test` installs what tests need"));
        Self { child, name: name.to_owned(), stdout, stderr }
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Sends a signal to this child only: one that has ended may have left its id to somebody else.
    pub fn signal(&mut self, signal: Signal) {
        assert_eq!(self.ended(), None, "{} has ended:\n{}", self.name, self.output());
        let word = match signal {
            Signal::Hup => "HUP",
            Signal::Term => "TERM",
            Signal::Int => "INT",
        };
        // The shell's own `kill`: the standard library has none, and bare machines have no other.
        let sent = Command::new("sh").arg("-c").arg(format!("kill -{word} {}", self.id())).status();
        assert!(sent.is_ok_and(|status| status.success()), "{}: cannot send {word}", self.name);
    }

    /// The exit code if it has ended; 128 + n when signal n ended it.
    pub fn ended(&mut self) -> Option<i32> {
        let status = self.child.try_wait().expect("the child is ours");
        status.map(exit_code)
    }

    /// Waits for the end on this thread.
    pub fn wait(&mut self, limit: Duration) -> i32 {
        let name = self.name.clone();
        eventually_blocking(limit, || self.ended())
            .unwrap_or_else(|| panic!("{name} has not ended after {limit:?}:\n{}", self.output()))
    }

    /// What it has written to stdout so far.
    pub fn stdout(&self) -> String {
        read(&self.stdout)
    }

    /// What it has written to stderr so far.
    pub fn stderr(&self) -> String {
        read(&self.stderr)
    }

    /// Both, for a failure's message.
    pub fn output(&self) -> String {
        format!("--- {} stdout\n{}--- stderr\n{}---", self.name, self.stdout(), self.stderr())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if self.child.try_wait().is_ok_and(|ended| ended.is_some()) {
            return;
        }
        // Neither can fail for a child that was not reaped yet.
        let _killed = self.child.kill();
        let _reaped = self.child.wait();
    }
}

fn exit_code(status: std::process::ExitStatus) -> i32 {
    use std::os::unix::process::ExitStatusExt;
    status.code().or_else(|| status.signal().map(|signal| 128 + signal)).unwrap_or(-1)
}

fn read(path: &Path) -> String {
    String::from_utf8_lossy(&std::fs::read(path).unwrap_or_default()).into_owned()
}
