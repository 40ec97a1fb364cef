//! Peers in Python, from `peers/`: clients and servers of protocols that others have implemented.

use std::path::Path;
use std::process::Command;

use tempfile::TempDir;

use crate::command::{Ran, run};
use crate::eventually::eventually;
use crate::process::Process;

/// The system's own Python: its packages are there.
fn python(script: &str, args: &[&str]) -> Command {
    let mut command = Command::new("/usr/bin/python3");
    command.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("peers").join(script)).args(args);
    command
}

/// A script that prints the port on which it serves; it ends with the test.
#[derive(Debug)]
pub struct PythonServer {
    process: Process,
    port: u16,
    _dir: TempDir,
}

impl PythonServer {
    /// Runs it until it has a port.
    pub async fn start(script: &str, args: &[&str]) -> Self {
        let dir = tempfile::tempdir().expect("a temporary directory can be made");
        let mut process = Process::spawn(script, python(script, args), dir.path());
        let port = eventually("the script prints its port", async || {
            if let Some(code) = process.ended() {
                panic!("{script} has ended with {code}: {}", process.output());
            }
            process.stdout().lines().next().and_then(|line| line.parse().ok()).ok_or_else(|| process.output())
        })
        .await;
        Self { process, port, _dir: dir }
    }

    /// Where it listens.
    pub fn addr(&self) -> std::net::SocketAddr {
        ([127, 0, 0, 1], self.port).into()
    }

    /// What it printed.
    pub fn output(&self) -> String {
        self.process.output()
    }
}

/// Runs a script to its end.
pub async fn python_client(script: &str, args: &[&str]) -> Ran {
    run(script, python(script, args)).await
}
