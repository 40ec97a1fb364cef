//! `[[routers]]`: servers, identifiers, dtab and policies under one label.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use waypost_naming::{Dtab, Identifiers, Place};

use super::client::ClientPolicies;
use super::server::ServerConfig;
use super::service::ServicePolicies;

/// One router.
#[derive(Clone, Debug)]
pub struct RouterConfig {
    /// Unique among the routers. Default `http`.
    pub label: Arc<str>,
    /// How a request gets its logical path. Default: `header.token` under `/svc`.
    pub identifiers: Identifiers,
    /// The rules, from `dtab` or from the content of `dtab_file`. Default: none.
    pub dtab: Dtab,
    /// The file that `dtab` was read from, to be watched.
    pub dtab_file: Option<PathBuf>,
    /// How long a request waits for a first answer of discovery. Default 10 s.
    pub binding_timeout: Duration,
    /// At least one.
    pub servers: Vec<ServerConfig>,
    /// What holds for logical paths.
    pub service: ServicePolicies,
    /// What holds for bound paths.
    pub client: ClientPolicies,
    /// The section's place.
    pub from: Place,
}
