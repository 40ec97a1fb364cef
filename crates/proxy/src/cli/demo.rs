//! `waypost demo`: two services, a router beside their caller and one beside each of them, with TLS between.
//!
//! Everything runs in this process, on loopback, with certificates made a moment ago: the shortest way to see what
//! waypost does, and (`--check`) to see that this build does it.

mod check;
mod echo;

use std::io;
use std::path::Path;

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::{FAILED, OK, USAGE, print, run::log_to_stderr};
use crate::app::{App, RunError};
use crate::config::Config;
use crate::tls::mint::{self, LeafOptions, MintError};

/// Arguments of `waypost demo`.
#[derive(clap::Args, Debug)]
pub struct DemoArgs {
    /// The first of ten ports that are used
    #[arg(long, default_value_t = 4140, value_parser = clap::value_parser!(u16).range(1..=65_526))]
    port_base: u16,
    /// Try everything, tell each step, and exit with 0 when all is as it should be
    #[arg(long)]
    check: bool,
}

/// Why there is no demo.
#[derive(Debug, thiserror::Error)]
enum DemoError {
    #[error("no directory for the certificates")]
    Directory(#[source] io::Error),
    #[error("no certificates")]
    Certificates(#[source] MintError),
    #[error("a service can't listen on 127.0.0.1:{0}; --port-base N takes other ports")]
    Service(u16, #[source] io::Error),
    #[error("the routers do not start; --port-base N takes other ports")]
    Routers(#[source] RunError),
}

/// The ports of the demo.
#[derive(Clone, Copy, Debug)]
struct Ports {
    base: u16,
}

impl Ports {
    const fn caller(self) -> u16 {
        self.base
    }
    const fn service(self, service: usize) -> u16 {
        self.base + if service == 0 { 3 } else { 4 }
    }
    const fn stranger(self) -> u16 {
        self.base + 5
    }
    const fn admin(self) -> u16 {
        self.base + 9
    }
}

/// Runs the demo until it is told to stop, or through its check.
pub fn run(arguments: &DemoArgs) -> u8 {
    let log = log_to_stderr(if arguments.check { "error" } else { "warn" });
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return print::error(&error),
    };
    let dir = std::env::temp_dir().join(format!("waypost-demo-{}-{}", std::process::id(), arguments.port_base));
    let result = runtime.block_on(demo(arguments, &dir, log));
    runtime.shutdown_background();
    // What is left behind in a temporary directory harms nobody.
    drop(std::fs::remove_dir_all(&dir));
    match result {
        Ok(code) => code,
        Err(DemoError::Routers(RunError::Config(findings))) => {
            print::findings(&findings);
            USAGE
        }
        Err(error) => print::error(&error),
    }
}

async fn demo(arguments: &DemoArgs, dir: &Path, log: crate::app::control::LogFilter) -> Result<u8, DemoError> {
    let ports = Ports { base: arguments.port_base };
    certificates(dir)?;
    let stop = CancellationToken::new();
    let tasks = TaskTracker::new();
    for (index, name) in SERVICES.into_iter().enumerate() {
        let port = ports.service(index);
        let listener = tokio::net::TcpListener::bind(("127.0.0.1", port)).await;
        let listener = listener.map_err(|error| DemoError::Service(port, error))?;
        drop(tasks.spawn(echo::serve(name, listener, stop.clone())));
    }
    let path = dir.join("demo.toml");
    std::fs::write(&path, configuration(ports)).map_err(DemoError::Directory)?;
    let loaded = Config::load(&path).map_err(|findings| DemoError::Routers(RunError::Config(findings)))?;
    let app = Box::pin(App::start(path.clone(), loaded, log)).await.map_err(DemoError::Routers)?;
    let control = std::sync::Arc::clone(app.control());
    let code = if arguments.check {
        let checked = async {
            let code = check::check(ports).await;
            control.shutdown.cancel();
            code
        };
        let (served, code) = tokio::join!(app.run(), checked);
        served.map_err(DemoError::Routers)?;
        code
    } else {
        print::out(&introduction(ports, &path));
        app.run().await.map_err(DemoError::Routers)?;
        OK
    };
    stop.cancel();
    tasks.close();
    tasks.wait().await;
    Ok(code)
}

/// An authority, one certificate for each service, and one for their caller.
fn certificates(dir: &Path) -> Result<(), DemoError> {
    let certs = dir.join("certs");
    std::fs::create_dir_all(&certs).map_err(DemoError::Directory)?;
    mint::init(&certs).map_err(DemoError::Certificates)?;
    for name in SERVICES.into_iter().chain(["caller"]) {
        let names = [format!("{name}.{DOMAIN}")];
        mint::issue(&certs, &names, LeafOptions::default()).map_err(DemoError::Certificates)?;
    }
    Ok(())
}

/// `demo/demo.toml` with its ports moved from 4140 and those after it to where this demo has them.
fn configuration(ports: Ports) -> String {
    let mut parts = include_str!("demo/demo.toml").split("414");
    let mut text = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (digit, rest) = part.split_at(1);
        text.push_str(&(ports.base + digit.parse::<u16>().unwrap_or(0)).to_string());
        text.push_str(rest);
    }
    text
}

fn introduction(ports: Ports, config: &Path) -> String {
    let (caller, stranger, admin, config) = (ports.caller(), ports.stranger(), ports.admin(), config.display());
    format!(
        "A caller asks 127.0.0.1:{caller}; its router finds the service's router, encrypts, and demands the service's own\n\
         certificate; the router there verifies the caller and hands the request to the service in clear text.\n\n\
         Try:\n  \
         curl -H 'Host: users' http://127.0.0.1:{caller}/hello\n  \
         curl --http2-prior-knowledge -H 'Host: billing' http://127.0.0.1:{caller}/invoices\n  \
         curl -i -H 'Host: payments' http://127.0.0.1:{caller}/     # led to the wrong service: refused\n  \
         curl -i -H 'Host: users' http://127.0.0.1:{stranger}/         # shows no certificate: refused\n  \
         curl -i -H 'Host: nobody' http://127.0.0.1:{caller}/       # leads nowhere\n  \
         waypost explain --admin 127.0.0.1:{admin} http://users/hello --router caller\n  \
         curl http://127.0.0.1:{admin}/clients.json\n\n\
         The configuration: {config}\n\
         Ctrl-C ends it.\n"
    )
}

const SERVICES: [&str; 2] = ["users", "billing"];
const DOMAIN: &str = "demo.example.com";
