//! `waypost run`: serve until told to stop.

use std::io::IsTerminal;
use std::path::Path;

use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, fmt, reload};

use super::{FAILED, OK, USAGE, print};
use crate::app::control::LogFilter;
use crate::app::{App, RunError};
use crate::config::Config;

/// Loads the configuration and serves it. Exit code 2: it can't be loaded, 1: it can't be served.
pub fn run(path: &Path) -> u8 {
    let loaded = match Config::load(path) {
        Ok(loaded) => loaded,
        Err(findings) => {
            print::findings(&findings);
            return USAGE;
        }
    };
    print::findings(&loaded.warnings);
    // h2 tells of what peers do to it at `warn`: whoever likes could fill the log.
    let log = log_to_stderr("info,h2=error");
    raise_file_limit();
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return print::error(&error),
    };
    let served = runtime.block_on(async {
        // The same files as the findings name, so that a reload says the same.
        Box::pin(App::start(path.to_path_buf(), loaded, log)).await?.run().await
    });
    // Blocking look-ups that are still under way are not waited for.
    runtime.shutdown_background();
    match served {
        Ok(()) => OK,
        Err(RunError::Config(findings)) => {
            print::findings(&findings);
            USAGE
        }
        Err(error) => {
            print::error(&error);
            FAILED
        }
    }
}

/// Logs go to stderr; `WAYPOST_LOG` filters them (`debug`, `info,waypost::client=debug`), `/logging.json` changes that.
pub fn log_to_stderr(default: &str) -> LogFilter {
    let filter = std::env::var("WAYPOST_LOG").ok().and_then(|filter| EnvFilter::builder().parse(filter).ok());
    let (filter, handle) = reload::Layer::new(filter.unwrap_or_else(|| EnvFilter::new(default)));
    let colour = std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    let lines = fmt::layer().with_writer(std::io::stderr).with_ansi(colour).with_target(false);
    // Only one can be set: in tests that start several, the first one stays.
    drop(tracing_subscriber::registry().with(filter).with(lines).try_init());
    std::panic::set_hook(Box::new(|panic| {
        let at = panic.location().map(ToString::to_string).unwrap_or_default();
        tracing::error!(at, panic = %panic.payload_as_str().unwrap_or("?"), "a task panicked; the others go on");
    }));
    handle
}

/// Every connection is a file: the soft limit is raised as far as the system lets us.
fn raise_file_limit() {
    let mut limit = rustix::process::getrlimit(rustix::process::Resource::Nofile);
    limit.current = limit.maximum;
    if let Err(error) = rustix::process::setrlimit(rustix::process::Resource::Nofile, limit) {
        tracing::warn!(%error, "the limit on open files stays as it is");
    }
}
