//! What waypost runs on: a TOML file, parsed once into types that leave no room for the wrong thing.
//!
//! Only `config/` sees raw tables (`config/raw.rs`). Each section has its checked type beside its check: one file per
//! section, no function that knows the whole file. Every mistake is a [`Finding`] with its place, and all of them are
//! collected in one run. Defaults and bounds are constants of `config/defaults.rs`, which docs/configuration.md is
//! compared with.
//!
//! Knows nothing of sockets and of the data path; TLS files are read by [`crate::tls`].

use std::net::IpAddr;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use waypost_naming::{Finding, Place, Source};
use waypost_routing::NamerConfig;

use crate::tls::Materials;

mod client;
mod defaults;
mod router;
mod server;
mod service;

pub use self::client::{ClientPolicies, ClientPolicy, Pool, Protocol};
pub use self::router::RouterConfig;
pub use self::server::{ContextFrom, OverrideSource, Overrides, ServerConfig, ServerTls};
pub use self::service::{Budget, Classifier, Retries, ServicePolicies, ServicePolicy};

/// A value and the place that set it: what `explain` shows beside each policy value.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Set<T> {
    /// The value.
    pub value: T,
    /// The key that set it, or [`Place::Default`].
    pub from: Place,
}

impl<T> Set<T> {
    /// A value that no key set.
    pub const fn default_of(value: T) -> Self {
        Self { value, from: Place::Default }
    }
}

/// A whole configuration, every default filled in, every bound checked, every file read.
#[derive(Debug)]
pub struct Config {
    /// The file and its text; its name is as it was given.
    pub source: Arc<Source>,
    /// The admin listener.
    pub admin: AdminConfig,
    /// Threads that serve; `None`: one per available core.
    pub workers: Option<NonZeroUsize>,
    /// Reload when one of [`Config::files`] changes. Default false.
    pub watch: bool,
    /// How long running requests may go on after a shutdown began. Default 10 s.
    pub shutdown_grace: Duration,
    /// In the order of the file; the last one is asked first.
    pub namers: Vec<NamerConfig>,
    /// At least one; labels are unique.
    pub routers: Vec<RouterConfig>,
    /// Every file that was read, the configuration itself first.
    pub files: Vec<PathBuf>,
    /// Keys, certificates and roots of the client policies, by content.
    pub materials: Materials,
}

/// Where the admin listens and whom it answers.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AdminConfig {
    /// Default 127.0.0.1.
    pub ip: IpAddr,
    /// Default 9990; 0 lets the system choose.
    pub port: u16,
    /// `Host` values that are accepted beside the listener's own addresses and `localhost`.
    pub hosts: Vec<String>,
    /// The section's place, for errors of the listener.
    pub from: Place,
}

/// A configuration that can be run, and what there is to say about it all the same.
#[derive(Debug)]
pub struct Loaded {
    /// What was loaded.
    pub config: Config,
    /// What is surely not meant, in the order of the file.
    pub warnings: Vec<Finding>,
}
