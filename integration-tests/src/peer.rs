//! Programs that nobody here wrote, as peers.

use std::net::SocketAddr;
use std::process::Command;

use tempfile::TempDir;
use tokio::net::TcpStream;

use crate::eventually::eventually;
use crate::ports::free_port;
use crate::process::Process;

/// A peer that runs as long as this is kept.
#[derive(Debug)]
pub struct Peer {
    _process: Process,
    _dir: TempDir,
    addr: SocketAddr,
}

impl Peer {
    /// Runs `program` in a directory with `files`, until it listens; `{addr}` and `{port}` in `args` are where.
    pub async fn start(program: &str, files: &[(&str, &str)], args: &[&str]) -> Self {
        let dir = tempfile::tempdir().expect("a temporary directory can be made");
        let addr = SocketAddr::from(([127, 0, 0, 1], free_port()));
        let filled = |text: &str| text.replace("{addr}", &addr.to_string()).replace("{port}", &addr.port().to_string());
        for (name, content) in files {
            std::fs::write(dir.path().join(name), filled(content)).expect("the test's directory can be written");
        }
        let mut command = Command::new(program);
        command.current_dir(dir.path()).args(args.iter().map(|arg| filled(arg)));
        let path = std::env::var("PATH").unwrap_or_default();
        command.env("PATH", format!("{path}:/usr/sbin:/sbin"));
        let mut process = Process::spawn("peer", command, dir.path());
        eventually("the peer listens", async || {
            if let Some(code) = process.ended() {
                panic!("{program} has ended with {code}: {}", process.output());
            }
            TcpStream::connect(addr).await.map(drop).map_err(|error| error.to_string())
        })
        .await;
        Self { _process: process, _dir: dir, addr }
    }

    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }
}
