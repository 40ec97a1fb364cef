//! The counts as text: Prometheus 0.0.4, or OpenMetrics 1.0 for whoever asks for it.
//!
//! An encoder of our own, since the usual crates count in shared atomics and have no door for counts that were merged.

use std::collections::BTreeMap;
use std::fmt::{Display, Write as _};
use std::time::UNIX_EPOCH;

pub use super::process::Process;

use super::histogram::HistogramCounts;
use super::metrics::{ClientCounts, ServerCounts, ServiceCounts, TLS_OUTCOMES, Termination};
use super::report::{ClientReport, ControlMetrics, Family, MetricsReport, OTHER, Reloads, SeriesKey};
use crate::tls::Nearness;

/// All that one scrape shows.
#[derive(Clone, Copy, Debug)]
pub struct Scrape<'a> {
    /// The merged counts of all workers.
    pub metrics: &'a MetricsReport,
    /// The clients, for the states of their endpoints.
    pub clients: &'a [ClientReport],
    /// What is counted beside the workers.
    pub control: &'a ControlMetrics,
    /// The process.
    pub process: &'a Process,
}

/// A text format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Prometheus text 0.0.4.
    Text,
    /// OpenMetrics 1.0.
    OpenMetrics,
}

impl Format {
    /// The format that an `Accept` header prefers; plain text unless OpenMetrics is named with at least the same weight.
    pub fn preferred(accept: &str) -> Self {
        let (mut open_metrics, mut text) = (0.0_f32, 0.0_f32);
        for range in accept.split(',') {
            let mut parts = range.split(';').map(str::trim);
            let media = parts.next().unwrap_or_default();
            let quality = parts.find_map(|part| part.strip_prefix("q="));
            let quality: f32 = quality.map_or(1.0, |text| text.parse().unwrap_or(0.0));
            if media.eq_ignore_ascii_case("application/openmetrics-text") {
                open_metrics = quality.max(open_metrics);
            } else if media.eq_ignore_ascii_case("text/plain") {
                text = quality.max(text);
            }
        }
        if open_metrics > 0.0 && open_metrics >= text { Self::OpenMetrics } else { Self::Text }
    }

    /// The value of `Content-Type`.
    pub const fn content_type(self) -> &'static str {
        match self {
            Self::Text => "text/plain; version=0.0.4; charset=utf-8",
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }
}

/// Writes one scrape.
pub fn render(scrape: &Scrape<'_>, format: Format) -> String {
    let mut encoder = Encoder { out: String::with_capacity(16 << 10), format, family: "" };
    services(&mut encoder, &scrape.metrics.services);
    clients(&mut encoder, &scrape.metrics.clients);
    endpoints(&mut encoder, scrape);
    servers(&mut encoder, &scrape.metrics.servers);
    routers(&mut encoder, scrape.metrics);
    places(&mut encoder, scrape.metrics);
    control(&mut encoder, scrape.control);
    process(&mut encoder, scrape.process);
    encoder.end()
}

fn services(encoder: &mut Encoder, services: &Family<ServiceCounts>) {
    encoder.family(Type::Counter, "waypost_service_requests", "Requests that ended, by logical path and class.");
    for (key, counts) in services.iter() {
        for (class, count) in [("success", counts.success), ("failure", counts.failure)] {
            encoder.sample("_total", &[("router", &key.router), ("service", &key.name), ("class", class)], count);
        }
    }
    encoder.family(Type::Histogram, "waypost_service_latency_seconds", "Time of whole requests, retries included.");
    for (key, counts) in services.iter() {
        encoder.histogram(&[("router", &key.router), ("service", &key.name)], &counts.latency);
    }
    encoder.family(Type::Counter, "waypost_service_retries", "Attempts beyond the first one.");
    for (key, counts) in services.iter() {
        encoder.sample("_total", &[("router", &key.router), ("service", &key.name)], counts.retries);
    }
    encoder.family(Type::Gauge, "waypost_service_retry_budget", "Retries that the budget allows at once.");
    for (key, counts) in services.iter() {
        encoder.sample("", &[("router", &key.router), ("service", &key.name)], counts.retry_budget);
    }
}

fn clients(encoder: &mut Encoder, clients: &Family<ClientCounts>) {
    encoder.family(Type::Counter, "waypost_client_requests", "Attempts that ended, by bound path and class.");
    for (key, counts) in clients.iter() {
        for (class, count) in [("success", counts.success), ("failure", counts.failure)] {
            encoder.sample("_total", &[("router", &key.router), ("client", &key.name), ("class", class)], count);
        }
    }
    encoder.family(Type::Histogram, "waypost_client_latency_seconds", "Time of single attempts.");
    for (key, counts) in clients.iter() {
        encoder.histogram(&[("router", &key.router), ("client", &key.name)], &counts.latency);
    }
    encoder.family(Type::Gauge, "waypost_client_connections", "Open connections to endpoints.");
    for (key, counts) in clients.iter() {
        for (protocol, count) in [("http1", counts.http1_connections), ("http2", counts.http2_connections)] {
            encoder.sample("", &[("router", &key.router), ("client", &key.name), ("protocol", protocol)], count);
        }
    }
    encoder.family(Type::Counter, "waypost_client_tls_handshakes", "TLS handshakes with endpoints, by how they ended.");
    for (key, counts) in clients.iter() {
        handshakes(encoder, "client", key, &counts.tls_handshakes);
    }
}

/// From the same report that `/clients.json` shows, so that the two agree; under the labels that exist.
fn endpoints(encoder: &mut Encoder, scrape: &Scrape<'_>) {
    let mut counts: BTreeMap<(&str, &str, &str), u64> = BTreeMap::new();
    for client in scrape.clients {
        let known = scrape.metrics.clients.get(&client.router, &client.bound).is_some();
        let name = if known { &client.bound } else { OTHER };
        for state in ["alive", "ejected", "draining"] {
            let in_state = client.endpoints.iter().filter(|endpoint| endpoint.state == state).count();
            *counts.entry((&client.router, name, state)).or_default() += u64::try_from(in_state).unwrap_or(u64::MAX);
        }
    }
    encoder.family(Type::Gauge, "waypost_client_endpoints", "Endpoints by state.");
    for ((router, client, state), count) in counts {
        encoder.sample("", &[("router", router), ("client", client), ("state", state)], count);
    }
}

fn servers(encoder: &mut Encoder, servers: &Family<ServerCounts>) {
    encoder.family(Type::Gauge, "waypost_server_connections", "Open connections of callers.");
    for (key, counts) in servers.iter() {
        for (protocol, count) in [("http1", counts.http1_connections), ("http2", counts.http2_connections)] {
            encoder.sample("", &[("router", &key.router), ("server", &key.name), ("protocol", protocol)], count);
        }
    }
    encoder.family(Type::Counter, "waypost_server_tls_handshakes", "TLS handshakes with callers, by how they ended.");
    for (key, counts) in servers.iter() {
        handshakes(encoder, "server", key, &counts.tls_handshakes);
    }
    encoder.family(Type::Gauge, "waypost_server_pending_handshakes", "TLS handshakes with callers under way.");
    for (key, counts) in servers.iter() {
        encoder.sample("", &[("router", &key.router), ("server", &key.name)], counts.handshakes_pending);
    }
    encoder.family(
        Type::Gauge,
        "waypost_server_tunnels",
        "Connections and streams that speak another protocol, such as WebSocket.",
    );
    for (key, counts) in servers.iter() {
        encoder.sample("", &[("router", &key.router), ("server", &key.name)], counts.tunnels);
    }
    let help = "Connections and streams of callers that waypost ended, by why.";
    encoder.family(Type::Counter, "waypost_server_terminations", help);
    for (key, counts) in servers.iter() {
        for ((_, reason), count) in Termination::ALL.iter().zip(counts.terminations) {
            encoder.sample("_total", &[("router", &key.router), ("server", &key.name), ("reason", reason)], count);
        }
    }
    type Further = (&'static str, &'static str, fn(&ServerCounts) -> u64);
    let further: [Further; 5] = [
        ("waypost_server_opened_tunnels", "Tunnels that were opened.", |counts| counts.tunnels_opened),
        ("waypost_server_accepted_connections", "Connections that came to speak HTTP.", |counts| counts.accepted),
        ("waypost_server_refused_connections", "Connections closed at once: too many.", |counts| counts.refused),
        (
            "waypost_server_evicted_handshakes",
            "TLS handshakes that took long and had to make room for others.",
            |counts| counts.handshakes_evicted,
        ),
        ("waypost_server_refused_overrides", "Requests whose l5d-dtab was removed.", |counts| counts.overrides_refused),
    ];
    for (name, help, count) in further {
        encoder.family(Type::Counter, name, help);
        for (key, counts) in servers.iter() {
            encoder.sample("_total", &[("router", &key.router), ("server", &key.name)], count(counts));
        }
    }
}

/// Where there was any handshake every outcome is shown, so that the first failure is seen as an increase.
fn handshakes(encoder: &mut Encoder, label: &str, key: &SeriesKey, counts: &[u64; TLS_OUTCOMES.len()]) {
    if counts.iter().all(|count| *count == 0) {
        return;
    }
    for (outcome, count) in TLS_OUTCOMES.iter().zip(counts) {
        encoder.sample("_total", &[("router", &key.router), (label, &key.name), ("outcome", outcome)], *count);
    }
}

fn routers(encoder: &mut Encoder, metrics: &MetricsReport) {
    encoder.family(Type::Counter, "waypost_router_errors", "Requests that waypost itself answered, by waypost-error.");
    for (key, counts) in metrics.routers.iter() {
        let mut errors = counts.errors.clone();
        errors.sort_unstable();
        for (word, count) in errors {
            encoder.sample("_total", &[("router", &key.router), ("error", word)], count);
        }
    }
    encoder.family(Type::Gauge, "waypost_cache_entries", "Entries of a bounded table.");
    for (key, counts) in metrics.caches.iter() {
        encoder.sample("", &[("router", &key.router), ("cache", &key.name)], counts.entries);
    }
    encoder.family(Type::Counter, "waypost_cache_evictions", "Entries that had to make room in a bounded table.");
    for (key, counts) in metrics.caches.iter() {
        encoder.sample("_total", &[("router", &key.router), ("cache", &key.name)], counts.evictions);
    }
}

fn places(encoder: &mut Encoder, metrics: &MetricsReport) {
    encoder.family(
        Type::Gauge,
        "waypost_connections_favoured",
        "Connections that may have more bytes at a time than others.",
    );
    encoder.sample("", &[("by", "large_reads")], metrics.large_reads);
    encoder.sample("", &[("by", "wide_windows")], metrics.wide_windows);
}

fn control(encoder: &mut Encoder, control: &ControlMetrics) {
    let seconds = |time: std::time::SystemTime| match time.duration_since(UNIX_EPOCH) {
        Ok(since) => since.as_secs_f64(),
        Err(before) => -before.duration().as_secs_f64(),
    };
    let certificates: BTreeMap<_, _> = control.certificates.iter().map(|(file, ends)| (file, *ends)).collect();
    encoder.family(Type::Gauge, "waypost_certificate_not_after_seconds", "Unix time at which a certificate ends.");
    for (file, ends) in certificates {
        encoder.sample("", &[("file", &file.to_string_lossy())], seconds(ends));
    }
    encoder.family(Type::Gauge, "waypost_certificates_ending", "Files with a certificate that ends within that time.");
    let now = std::time::SystemTime::now();
    for nearness in Nearness::ALL {
        let ending = control.certificates.iter().filter(|(_, end)| Nearness::of(*end, now) >= Some(nearness)).count();
        encoder.sample("", &[("within", nearness.within())], ending);
    }
    let reloads: [(&str, &str, Reloads); 2] = [
        ("waypost_config_reloads", "Times the configuration was read again.", control.config_reloads),
        ("waypost_tls_reloads", "Times a TLS file that changed was read again.", control.tls_reloads),
    ];
    for (name, help, reloads) in reloads {
        encoder.family(Type::Counter, name, help);
        encoder.sample("_total", &[("outcome", "success")], reloads.success);
        encoder.sample("_total", &[("outcome", "failure")], reloads.failure);
    }
    encoder.family(
        Type::Gauge,
        "waypost_config_refused",
        "1: what is on disk is wrong, and what was there before is in use.",
    );
    encoder.sample("", &[("what", "configuration")], u8::from(control.refused.config.is_some()));
    encoder.sample("", &[("what", "certificates")], u8::from(control.refused.tls.is_some()));
    encoder.family(Type::Gauge, "waypost_config_generation", "Generation of the snapshot in use.");
    encoder.sample("", &[], control.generation);
    encoder.family(Type::Gauge, "waypost_workers", "Threads that serve.");
    encoder.sample("", &[], control.workers);
    encoder.family(Type::Info, "waypost_build", "The version that runs.");
    encoder.sample("_info", &[("version", env!("CARGO_PKG_VERSION"))], 1);
}

fn process(encoder: &mut Encoder, process: &Process) {
    let mut gauge = |name: &'static str, help: &str, value: Option<String>| {
        if let Some(value) = value {
            encoder.family(Type::Gauge, name, help);
            encoder.sample("", &[], value);
        }
    };
    let text = |value: Option<u64>| value.map(|value| value.to_string());
    gauge("process_resident_memory_bytes", "Memory in use.", text(process.resident_bytes));
    gauge("process_virtual_memory_bytes", "Address space in use.", text(process.virtual_bytes));
    gauge("process_open_fds", "Open file descriptors.", text(process.open_fds));
    gauge("process_max_fds", "File descriptors that may be open.", text(process.max_fds));
    gauge("process_threads", "Threads.", text(process.threads));
    let start = process.start_seconds.map(|value| value.to_string());
    gauge("process_start_time_seconds", "Unix time of the start.", start);
    if let Some(seconds) = process.cpu_seconds {
        encoder.family(Type::Counter, "process_cpu_seconds", "User and system time.");
        encoder.sample("_total", &[], seconds);
    }
}

#[derive(Clone, Copy)]
enum Type {
    Counter,
    Gauge,
    Histogram,
    Info,
}

struct Encoder {
    out: String,
    format: Format,
    family: &'static str,
}

impl Encoder {
    /// Begins a family. The name has no `_total` and no `_info`: in OpenMetrics a family goes without, in plain text it
    /// is named as its samples are.
    fn family(&mut self, kind: Type, name: &'static str, help: &str) {
        self.family = name;
        let (word, suffix) = match (kind, self.format) {
            (Type::Counter, Format::Text) => ("counter", "_total"),
            (Type::Counter, Format::OpenMetrics) => ("counter", ""),
            (Type::Gauge, _) => ("gauge", ""),
            (Type::Histogram, _) => ("histogram", ""),
            (Type::Info, Format::Text) => ("gauge", "_info"),
            (Type::Info, Format::OpenMetrics) => ("info", ""),
        };
        self.write(format_args!("# HELP {name}{suffix} {help}\n# TYPE {name}{suffix} {word}\n"));
    }

    fn sample(&mut self, suffix: &str, labels: &[(&str, &str)], value: impl Display) {
        self.name(suffix, labels, None);
        self.write(format_args!(" {value}\n"));
    }

    fn histogram(&mut self, labels: &[(&str, &str)], counts: &HistogramCounts) {
        for (bound, at_most) in counts.cumulative() {
            self.name("_bucket", labels, Some(&bound_text(bound)));
            self.write(format_args!(" {at_most}\n"));
        }
        self.sample("_sum", labels, counts.sum_seconds());
        self.sample("_count", labels, counts.count());
    }

    fn name(&mut self, suffix: &str, labels: &[(&str, &str)], bound: Option<&str>) {
        self.out.push_str(self.family);
        self.out.push_str(suffix);
        let bound = bound.map(|bound| ("le", bound));
        for (index, (label, value)) in labels.iter().copied().chain(bound).enumerate() {
            self.out.push(if index == 0 { '{' } else { ',' });
            self.out.push_str(label);
            self.out.push_str("=\"");
            self.escaped(value);
            self.out.push('"');
        }
        if !labels.is_empty() {
            self.out.push('}');
        }
    }

    fn escaped(&mut self, value: &str) {
        for char in value.chars() {
            match char {
                '\\' => self.out.push_str("\\\\"),
                '"' => self.out.push_str("\\\""),
                '\n' => self.out.push_str("\\n"),
                other => self.out.push(other),
            }
        }
    }

    fn write(&mut self, text: std::fmt::Arguments<'_>) {
        // Writing to a String can't fail.
        self.out.write_fmt(text).unwrap_or_default();
    }

    fn end(mut self) -> String {
        if self.format == Format::OpenMetrics {
            self.out.push_str("# EOF\n");
        }
        self.out
    }
}

/// Seconds; with a decimal point always, as OpenMetrics wants its bounds.
fn bound_text(micros: Option<u64>) -> String {
    micros.map_or_else(
        || "+Inf".to_owned(),
        |micros| format!("{:?}", std::time::Duration::from_micros(micros).as_secs_f64()),
    )
}
