//! What waypost runs on: a TOML file, parsed once into types that leave no room for the wrong thing.
//!
//! Only `config/` sees raw tables (`config/raw.rs`). Each section has its checked type beside its check: one file per
//! section, no function that knows the whole file. Every mistake is a [`Finding`] with its place, and all of them are
//! collected in one run. Defaults and bounds are constants of `config/defaults.rs`, which docs/configuration.md is
//! compared with.
//!
//! Knows nothing of sockets and of the data path; TLS files are read by [`crate::tls`].

use std::fs::File;
use std::io::{self, Read};
use std::net::IpAddr;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use toml::de::DeTable;
use waypost_naming::{Finding, Place, Source, Span};
use waypost_routing::NamerConfig;

use self::raw::{Item, Reader, Section};
use self::router::{Seen, Shared};
use self::units::show_size;
use crate::tls::Materials;

mod caller;
mod client;
mod defaults;
mod dtab;
mod escapes;
mod forwarded;
mod identifier;
mod json;
mod kinds;
mod lint;
mod namer;
mod names;
mod raw;
mod router;
mod server;
mod service;
mod suggest;
mod tls;
mod transformer;
mod units;
mod values;

pub use self::caller::Caller;
pub use self::client::{ClientPolicies, ClientPolicy, Pool, Protocol};
pub use self::defaults::{Documented, documented};
pub use self::forwarded::{Fields, Forwarding};
pub use self::lint::lints;
pub use self::namer::NamerOrigin;
pub use self::router::{Fallback, RouterConfig};
pub use self::server::{ContextFrom, Overrides, ServerConfig, ServerTls};
pub use self::service::{Budget, Classifier, Retries, ServicePolicies, ServicePolicy};
pub(crate) use self::units::show_duration;

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

impl Config {
    /// Reads the file at `path` and all files that it names. Blocks on the disk.
    ///
    /// # Errors
    /// Everything that is wrong, and with it what is surely not meant, in the order of the file.
    pub fn load(path: &Path) -> Result<Loaded, Vec<Finding>> {
        let name = path.display().to_string();
        match read_text(path) {
            Ok(text) => Self::parse(&name, &text, path.parent().unwrap_or_else(|| Path::new(""))),
            Err(error) => Err(vec![Finding::error("unreadable-file", format!("{name}: {error}"))]),
        }
    }

    /// Reads `text`, which findings call `name`; the files that it names are below `base`.
    ///
    /// # Errors
    /// As [`Config::load`].
    pub fn parse(name: &str, text: &str, base: &Path) -> Result<Loaded, Vec<Finding>> {
        let source = Arc::new(Source { name: name.to_owned(), text: text.to_owned() });
        let (table, errors) = DeTable::parse_recoverable(text);
        if !errors.is_empty() {
            let mut findings: Vec<Finding> =
                errors.iter().take(MOST_SYNTAX_ERRORS).map(|error| syntax_error(error, &source)).collect();
            findings.sort_by_key(|finding| finding.span.map_or(0, |span| span.start));
            return Err(findings);
        }
        let mut reader = Reader::new(&source, text, base);
        reader.read(Path::new(name));
        let config = Self::read(Section::root(table.get_ref()), &mut reader);
        let failed = reader.has_errors();
        let (findings, files) = reader.into_parts();
        if failed {
            return Err(findings);
        }
        Ok(Loaded { config: Self { files, ..config }, warnings: findings })
    }

    /// The whole file; what is wrong is with `reader`.
    fn read(mut root: Section<'_>, reader: &mut Reader<'_>) -> Self {
        let mut materials = Materials::default();
        let mut seen = Seen::default();
        let admin = AdminConfig::read(root.take("admin").as_ref(), &mut seen, reader);
        let workers = root.take("workers").and_then(|item| item.count(defaults::WORKERS, reader));
        let watch = root.flag("watch", false, reader);
        let shutdown_grace = shutdown_grace(root.take("shutdown").as_ref(), reader);
        let (namers, served) = namer::read(root.take("namers").as_ref(), reader);
        let (namers, origins): (Vec<_>, Vec<_>) = namers.into_iter().unzip();
        let routers = root.take("routers");
        let sections = routers.as_ref().map(|item| item.sections(reader)).unwrap_or_default();
        if sections.is_empty() && routers.is_none_or(|item| item.is_list()) {
            let hint = "add [[routers]] with [[routers.servers]]";
            reader.error_hint("no-router", root.span(), "without a router nothing is served", hint);
        }
        root.finish(reader);
        let mut listeners = Vec::new();
        let mut shared = Shared {
            served: &served,
            namers: origins.into(),
            materials: &mut materials,
            seen: &mut seen,
            listeners: &mut listeners,
        };
        let routers: Vec<_> =
            sections.into_iter().filter_map(|section| RouterConfig::read(section, &mut shared, reader)).collect();
        lint::wrong_certificates(&routers, &namers, &listeners, reader);
        Self {
            source: Arc::clone(reader.source()),
            admin,
            workers: workers.and_then(|workers| NonZeroUsize::try_from(workers).ok()),
            watch,
            shutdown_grace,
            namers,
            routers: routers.into_iter().map(|(router, _)| router).collect(),
            files: Vec::new(),
            materials,
        }
    }
}

impl AdminConfig {
    fn read(item: Option<&Item<'_>>, seen: &mut Seen, reader: &mut Reader<'_>) -> Self {
        let defaults =
            Self { ip: defaults::LOOPBACK, port: defaults::ADMIN_PORT, hosts: Vec::new(), from: Place::Default };
        let Some(mut section) = item.and_then(|item| item.section(reader)) else {
            seen.default_listener(defaults.ip, defaults.port);
            return defaults;
        };
        let ip = section.ip("ip", defaults.ip, reader);
        let port = section.take("port").and_then(|item| item.port(reader)).unwrap_or(defaults.port);
        let hosts = section.take("hosts").and_then(|item| item.list(reader)).unwrap_or_default();
        let hosts = hosts.iter().filter_map(|item| item.text(reader)).map(str::to_ascii_lowercase).collect();
        let span = section.span();
        section.finish(reader);
        seen.listener(ip, port, span, reader);
        Self { ip, port, hosts, from: reader.place(span.start) }
    }
}

fn shutdown_grace(item: Option<&Item<'_>>, reader: &mut Reader<'_>) -> Duration {
    let default = defaults::SHUTDOWN_GRACE;
    let Some(mut section) = item.and_then(|item| item.section(reader)) else { return default.default };
    let grace = section.duration("grace", default, reader);
    section.finish(reader);
    grace
}

fn syntax_error(error: &toml::de::Error, source: &Arc<Source>) -> Finding {
    let range = error.span().unwrap_or_default();
    let span = Span { start: range.start, end: range.end };
    Finding::error("toml-syntax", error.message().to_owned()).at(Arc::clone(source), span)
}

/// The text of a configuration file. Bounded, since a wrong path can lead to anything.
fn read_text(path: &Path) -> Result<String, String> {
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(|error| describe(&error))?;
    file.take(MOST_BYTES + 1).read_to_end(&mut bytes).map_err(|error| describe(&error))?;
    if u64::try_from(bytes.len()).is_ok_and(|length| length > MOST_BYTES) {
        return Err(format!("larger than {}", show_size(MOST_BYTES)));
    }
    String::from_utf8(bytes).map_err(|error| {
        let valid = error.as_bytes().get(..error.utf8_error().valid_up_to()).unwrap_or_default();
        let line = valid.split(|byte| *byte == b'\n').count();
        format!("not UTF-8 at line {line}")
    })
}

/// An error of the file system, without the number that the standard library adds.
fn describe(error: &io::Error) -> String {
    let known = [
        (io::ErrorKind::NotFound, "no such file or directory"),
        (io::ErrorKind::PermissionDenied, "permission denied"),
        (io::ErrorKind::IsADirectory, "a directory, not a file"),
    ];
    let named = known.iter().find(|(kind, _)| *kind == error.kind());
    named.map_or_else(|| error.to_string(), |(_, words)| (*words).to_owned())
}

const MOST_BYTES: u64 = 10 << 20;

/// What follows is mostly a consequence of the first ones.
const MOST_SYNTAX_ERRORS: usize = 10;
