//! The origin that everybody has.

use std::net::SocketAddr;
use std::process::Command;

use tempfile::TempDir;
use tokio::net::TcpStream;

use crate::eventually::eventually;
use crate::ports::free_port;
use crate::process::Process;

/// A running nginx of its own; it ends with the test.
#[derive(Debug)]
pub struct Nginx {
    _process: Process,
    dir: TempDir,
    addr: SocketAddr,
}

impl Nginx {
    /// Starts one whose only server has `directives`. `listen` are options of its `listen`, such as `http2`; files can be
    /// put beside its configuration.
    pub async fn start(listen: &str, directives: &str, files: &[(&str, &str)]) -> Self {
        let dir = tempfile::tempdir().expect("a temporary directory can be made");
        let addr = SocketAddr::from(([127, 0, 0, 1], free_port()));
        for (name, content) in files {
            std::fs::write(dir.path().join(name), content).expect("the test's directory can be written");
        }
        std::fs::write(dir.path().join("nginx.conf"), configuration(addr, listen, directives))
            .expect("the test's directory can be written");
        let mut command = Command::new("nginx");
        command.env("PATH", path_with_sbin()).arg("-p").arg(dir.path()).args(["-c", "nginx.conf", "-e", "error.log"]);
        let mut process = Process::spawn("nginx", command, dir.path());
        eventually("nginx listens", async || {
            if let Some(code) = process.ended() {
                panic!("nginx has ended with {code}: {}", process.output());
            }
            TcpStream::connect(addr).await.map(drop).map_err(|error| error.to_string())
        })
        .await;
        Self { _process: process, dir, addr }
    }

    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Its access log: one line for each request, `<protocol> <method> <target> <status>`.
    pub fn access_log(&self) -> String {
        std::fs::read_to_string(self.dir.path().join("access.log")).unwrap_or_default()
    }
}

/// One process in the foreground, so that ending it ends all of it; nothing outside its directory.
fn configuration(addr: SocketAddr, listen: &str, directives: &str) -> String {
    format!(
        "daemon off;\nmaster_process off;\npid nginx.pid;\nerror_log error.log;\nevents {{ worker_connections 512; }}\n\
         http {{\n  log_format short '$server_protocol $request_method $request_uri $status';\n  access_log access.log short;\n\
         \x20 client_body_temp_path body;\n  proxy_temp_path proxy;\n  fastcgi_temp_path fastcgi;\n  uwsgi_temp_path uwsgi;\n\
         \x20 scgi_temp_path scgi;\n  default_type text/plain;\n\
         \x20 server {{\n    listen {addr} {listen};\n{directives}\n  }}\n}}\n"
    )
}

/// Debian keeps nginx where only root's PATH looks.
fn path_with_sbin() -> String {
    format!("{}:/usr/sbin:/usr/local/sbin:/sbin", std::env::var("PATH").unwrap_or_default())
}
