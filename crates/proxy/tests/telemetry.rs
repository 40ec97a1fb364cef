//! What Prometheus reads.
#![expect(clippy::unwrap_used, reason = "a broken assumption ends the test")]

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use waypost::telemetry::prometheus::{Format, Process, Scrape, render};
use waypost::telemetry::{
    Class, ClientReport, ControlMetrics, EndpointReport, LabelTable, MetricsReport, Reloads, Termination, Wire,
    WorkerMetrics,
};
use waypost_naming::Path;

fn path(text: &str) -> Path {
    text.parse().unwrap()
}

fn endpoint(port: u16, state: &'static str) -> EndpointReport {
    EndpointReport {
        addr: SocketAddr::from((Ipv4Addr::LOCALHOST, port)),
        weight: 1.0,
        state,
        in_flight: 0,
        latency_ms: None,
        connections: 0,
        requests: 0,
        failures: 0,
        certificate: None,
    }
}

fn client(bound: &str, states: &[&'static str]) -> ClientReport {
    let endpoints = (1..).zip(states).map(|(port, state)| endpoint(port, state)).collect();
    ClientReport { router: "out".to_owned(), bound: bound.to_owned(), tls: None, endpoints }
}

/// Two workers that each saw something.
fn metrics() -> MetricsReport {
    let table = Arc::new(LabelTable::default());
    let workers = [WorkerMetrics::new(Arc::clone(&table)), WorkerMetrics::new(table)];
    let out = Arc::from("out");
    for worker in &workers {
        let service = worker.service(&out, &path("/svc/users"));
        service.finished(Class::Success, Duration::from_millis(2));
        service.retry_budget(50.0);
        worker.client(&out, &path("/#/lab/users")).finished(Class::Success, Duration::from_micros(1_500));
    }
    let [worker, _] = &workers;
    worker.service(&out, &path("/svc/users")).finished(Class::Failure, Duration::from_secs(61));
    worker.service(&out, &path("/svc/users")).retried();
    let client = worker.client(&out, &path("/#/lab/users"));
    let _open = client.connected(Wire::Http2);
    drop(client.connected(Wire::Http1));
    client.tls_handshake("success");
    client.tls_handshake("bad_name");
    client.tls_handshake("no such outcome");
    let server = worker.server(&out, SocketAddr::from((Ipv4Addr::LOCALHOST, 4140)));
    let _accepted = server.connected(Wire::Http1);
    server.terminated(Termination::Flood);
    server.override_refused();
    worker.router(&out).answered("negative");
    let cache = worker.cache(&out, "routes");
    cache.entries(3);
    cache.evicted();
    let mut all = MetricsReport::default();
    workers.iter().for_each(|worker| all.merge(worker.report()));
    all
}

fn text(format: Format) -> String {
    let control = ControlMetrics {
        config_reloads: Reloads { success: 2, failure: 1 },
        tls_reloads: Reloads::default(),
        refused: Arc::default(),
        certificates: vec![(PathBuf::from("certs/we\"b\\.pem"), UNIX_EPOCH + Duration::from_secs(2_000_000_000))],
        generation: 7,
        workers: 2,
    };
    let process = Process { cpu_seconds: Some(1.5), open_fds: Some(9), ..Process::default() };
    let clients = [client("/#/lab/users", &["alive", "ejected", "alive"]), client("/#/lab/unlabelled", &["draining"])];
    render(&Scrape { metrics: &metrics(), clients: &clients, control: &control, process: &process }, format)
}

/// Histograms are long: all but the buckets around the first durations are left out.
fn without_most_buckets(text: &str) -> String {
    let kept = |line: &&str| {
        !line.contains("_bucket")
            || ["\"0.001\"", "\"0.002\"", "\"60.0\"", "\"+Inf\""].iter().any(|le| line.contains(le))
    };
    text.replace(env!("CARGO_PKG_VERSION"), "VERSION").lines().filter(kept).collect::<Vec<_>>().join("\n")
}

#[test]
#[expect(clippy::too_many_lines, reason = "one long snapshot")]
fn plain_text() {
    insta::assert_snapshot!(without_most_buckets(&text(Format::Text)), @r##"
    # HELP waypost_service_requests_total Requests that ended, by logical path and class.
    # TYPE waypost_service_requests_total counter
    waypost_service_requests_total{router="out",service="/svc/users",class="success"} 2
    waypost_service_requests_total{router="out",service="/svc/users",class="failure"} 1
    # HELP waypost_service_latency_seconds Time of whole requests, retries included.
    # TYPE waypost_service_latency_seconds histogram
    waypost_service_latency_seconds_bucket{router="out",service="/svc/users",le="0.001"} 0
    waypost_service_latency_seconds_bucket{router="out",service="/svc/users",le="0.002"} 2
    waypost_service_latency_seconds_bucket{router="out",service="/svc/users",le="60.0"} 2
    waypost_service_latency_seconds_bucket{router="out",service="/svc/users",le="+Inf"} 3
    waypost_service_latency_seconds_sum{router="out",service="/svc/users"} 61.004
    waypost_service_latency_seconds_count{router="out",service="/svc/users"} 3
    # HELP waypost_service_retries_total Attempts beyond the first one.
    # TYPE waypost_service_retries_total counter
    waypost_service_retries_total{router="out",service="/svc/users"} 1
    # HELP waypost_service_retry_budget Retries that the budget allows at once.
    # TYPE waypost_service_retry_budget gauge
    waypost_service_retry_budget{router="out",service="/svc/users"} 50
    # HELP waypost_client_requests_total Attempts that ended, by bound path and class.
    # TYPE waypost_client_requests_total counter
    waypost_client_requests_total{router="out",client="/#/lab/users",class="success"} 2
    waypost_client_requests_total{router="out",client="/#/lab/users",class="failure"} 0
    # HELP waypost_client_latency_seconds Time of single attempts.
    # TYPE waypost_client_latency_seconds histogram
    waypost_client_latency_seconds_bucket{router="out",client="/#/lab/users",le="0.001"} 0
    waypost_client_latency_seconds_bucket{router="out",client="/#/lab/users",le="0.002"} 2
    waypost_client_latency_seconds_bucket{router="out",client="/#/lab/users",le="60.0"} 2
    waypost_client_latency_seconds_bucket{router="out",client="/#/lab/users",le="+Inf"} 2
    waypost_client_latency_seconds_sum{router="out",client="/#/lab/users"} 0.003
    waypost_client_latency_seconds_count{router="out",client="/#/lab/users"} 2
    # HELP waypost_client_connections Open connections to endpoints.
    # TYPE waypost_client_connections gauge
    waypost_client_connections{router="out",client="/#/lab/users",protocol="http1"} 0
    waypost_client_connections{router="out",client="/#/lab/users",protocol="http2"} 1
    # HELP waypost_client_tls_handshakes_total TLS handshakes with endpoints, by how they ended.
    # TYPE waypost_client_tls_handshakes_total counter
    waypost_client_tls_handshakes_total{router="out",client="/#/lab/users",outcome="success"} 1
    waypost_client_tls_handshakes_total{router="out",client="/#/lab/users",outcome="bad_name"} 1
    waypost_client_tls_handshakes_total{router="out",client="/#/lab/users",outcome="unknown_issuer"} 0
    waypost_client_tls_handshakes_total{router="out",client="/#/lab/users",outcome="expired"} 0
    waypost_client_tls_handshakes_total{router="out",client="/#/lab/users",outcome="revoked"} 0
    waypost_client_tls_handshakes_total{router="out",client="/#/lab/users",outcome="client_cert_refused"} 0
    waypost_client_tls_handshakes_total{router="out",client="/#/lab/users",outcome="timeout"} 0
    waypost_client_tls_handshakes_total{router="out",client="/#/lab/users",outcome="other"} 1
    # HELP waypost_client_endpoints Endpoints by state.
    # TYPE waypost_client_endpoints gauge
    waypost_client_endpoints{router="out",client="/#/lab/users",state="alive"} 2
    waypost_client_endpoints{router="out",client="/#/lab/users",state="draining"} 0
    waypost_client_endpoints{router="out",client="/#/lab/users",state="ejected"} 1
    waypost_client_endpoints{router="out",client="other",state="alive"} 0
    waypost_client_endpoints{router="out",client="other",state="draining"} 1
    waypost_client_endpoints{router="out",client="other",state="ejected"} 0
    # HELP waypost_server_connections Open connections of callers.
    # TYPE waypost_server_connections gauge
    waypost_server_connections{router="out",server="127.0.0.1:4140",protocol="http1"} 1
    waypost_server_connections{router="out",server="127.0.0.1:4140",protocol="http2"} 0
    # HELP waypost_server_tls_handshakes_total TLS handshakes with callers, by how they ended.
    # TYPE waypost_server_tls_handshakes_total counter
    # HELP waypost_server_pending_handshakes TLS handshakes with callers under way.
    # TYPE waypost_server_pending_handshakes gauge
    waypost_server_pending_handshakes{router="out",server="127.0.0.1:4140"} 0
    # HELP waypost_server_tunnels Connections and streams that speak another protocol, such as WebSocket.
    # TYPE waypost_server_tunnels gauge
    waypost_server_tunnels{router="out",server="127.0.0.1:4140"} 0
    # HELP waypost_server_terminations_total Connections and streams of callers that waypost ended, by why.
    # TYPE waypost_server_terminations_total counter
    waypost_server_terminations_total{router="out",server="127.0.0.1:4140",reason="head_timeout"} 0
    waypost_server_terminations_total{router="out",server="127.0.0.1:4140",reason="body_timeout"} 0
    waypost_server_terminations_total{router="out",server="127.0.0.1:4140",reason="write_timeout"} 0
    waypost_server_terminations_total{router="out",server="127.0.0.1:4140",reason="malformed"} 0
    waypost_server_terminations_total{router="out",server="127.0.0.1:4140",reason="flood"} 1
    # HELP waypost_server_opened_tunnels_total Tunnels that were opened.
    # TYPE waypost_server_opened_tunnels_total counter
    waypost_server_opened_tunnels_total{router="out",server="127.0.0.1:4140"} 0
    # HELP waypost_server_accepted_connections_total Connections that came to speak HTTP.
    # TYPE waypost_server_accepted_connections_total counter
    waypost_server_accepted_connections_total{router="out",server="127.0.0.1:4140"} 1
    # HELP waypost_server_refused_connections_total Connections closed at once: too many.
    # TYPE waypost_server_refused_connections_total counter
    waypost_server_refused_connections_total{router="out",server="127.0.0.1:4140"} 0
    # HELP waypost_server_evicted_handshakes_total TLS handshakes that took long and had to make room for others.
    # TYPE waypost_server_evicted_handshakes_total counter
    waypost_server_evicted_handshakes_total{router="out",server="127.0.0.1:4140"} 0
    # HELP waypost_server_refused_overrides_total Requests whose l5d-dtab was removed.
    # TYPE waypost_server_refused_overrides_total counter
    waypost_server_refused_overrides_total{router="out",server="127.0.0.1:4140"} 1
    # HELP waypost_router_errors_total Requests that waypost itself answered, by waypost-error.
    # TYPE waypost_router_errors_total counter
    waypost_router_errors_total{router="out",error="negative"} 1
    # HELP waypost_cache_entries Entries of a bounded table.
    # TYPE waypost_cache_entries gauge
    waypost_cache_entries{router="out",cache="routes"} 3
    # HELP waypost_cache_evictions_total Entries that had to make room in a bounded table.
    # TYPE waypost_cache_evictions_total counter
    waypost_cache_evictions_total{router="out",cache="routes"} 1
    # HELP waypost_connections_favoured Connections that may have more bytes at a time than others.
    # TYPE waypost_connections_favoured gauge
    waypost_connections_favoured{by="large_reads"} 0
    waypost_connections_favoured{by="wide_windows"} 0
    # HELP waypost_certificate_not_after_seconds Unix time at which a certificate ends.
    # TYPE waypost_certificate_not_after_seconds gauge
    waypost_certificate_not_after_seconds{file="certs/we\"b\\.pem"} 2000000000
    # HELP waypost_certificates_ending Files with a certificate that ends within that time.
    # TYPE waypost_certificates_ending gauge
    waypost_certificates_ending{within="30d"} 0
    waypost_certificates_ending{within="7d"} 0
    waypost_certificates_ending{within="1d"} 0
    waypost_certificates_ending{within="0d"} 0
    # HELP waypost_config_reloads_total Times the configuration was read again.
    # TYPE waypost_config_reloads_total counter
    waypost_config_reloads_total{outcome="success"} 2
    waypost_config_reloads_total{outcome="failure"} 1
    # HELP waypost_tls_reloads_total Times a TLS file that changed was read again.
    # TYPE waypost_tls_reloads_total counter
    waypost_tls_reloads_total{outcome="success"} 0
    waypost_tls_reloads_total{outcome="failure"} 0
    # HELP waypost_config_refused 1: what is on disk is wrong, and what was there before is in use.
    # TYPE waypost_config_refused gauge
    waypost_config_refused{what="configuration"} 0
    waypost_config_refused{what="certificates"} 0
    # HELP waypost_config_generation Generation of the snapshot in use.
    # TYPE waypost_config_generation gauge
    waypost_config_generation 7
    # HELP waypost_workers Threads that serve.
    # TYPE waypost_workers gauge
    waypost_workers 2
    # HELP waypost_build_info The version that runs.
    # TYPE waypost_build_info gauge
    waypost_build_info{version="VERSION"} 1
    # HELP process_open_fds Open file descriptors.
    # TYPE process_open_fds gauge
    process_open_fds 9
    # HELP process_cpu_seconds_total User and system time.
    # TYPE process_cpu_seconds_total counter
    process_cpu_seconds_total 1.5
    "##);
}

#[test]
fn open_metrics_names_families_without_their_suffix_and_ends() {
    let text = text(Format::OpenMetrics);
    assert!(text.contains("# TYPE waypost_service_requests counter\nwaypost_service_requests_total{"));
    assert!(text.contains("# TYPE waypost_build info\nwaypost_build_info{"));
    assert!(text.contains("# TYPE process_cpu_seconds counter\nprocess_cpu_seconds_total 1.5\n"));
    assert!(text.ends_with("# EOF\n"));
}

#[test]
fn each_family_is_one_block_with_one_type() {
    let text = text(Format::Text);
    let types: Vec<&str> = text.lines().filter(|line| line.starts_with("# TYPE ")).collect();
    let mut unique = types.clone();
    unique.sort_unstable();
    unique.dedup();
    assert_eq!(unique.len(), types.len());
    let mut family = "";
    for line in text.lines() {
        if let Some(named) = line.strip_prefix("# TYPE ") {
            family = named.split(' ').next().unwrap();
        } else if !line.starts_with('#') {
            assert!(line.starts_with(family), "{line} in the block of {family}");
        }
    }
}

#[test]
fn the_format_is_the_one_that_is_asked_for() {
    let prometheus = "application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.3,*/*;q=0.2";
    for (accept, wanted) in [
        ("", Format::Text),
        ("*/*", Format::Text),
        ("text/plain", Format::Text),
        (prometheus, Format::OpenMetrics),
        ("application/openmetrics-text;q=0.1, text/plain;q=0.9", Format::Text),
        ("application/openmetrics-text;q=0", Format::Text),
        ("Application/OpenMetrics-Text", Format::OpenMetrics),
    ] {
        assert_eq!(Format::preferred(accept), wanted, "{accept}");
    }
}

#[cfg(target_os = "linux")]
#[test]
fn the_process_is_seen() {
    let process = Process::look();
    assert!(process.resident_bytes.unwrap() > 1_000_000);
    assert!(process.open_fds.unwrap() >= 3);
    assert!(process.max_fds.unwrap() >= process.open_fds.unwrap());
    assert!(process.start_seconds.unwrap() > 1_600_000_000.0);
    assert!(process.threads.unwrap() >= 1);
    assert!(process.cpu_seconds.is_some() && process.virtual_bytes.is_some());
}

#[cfg(target_os = "linux")]
#[test]
fn the_documentation_names_each_metric_and_no_other() {
    let documentation = include_str!("../../../docs/admin.md");
    let process = Process::look();
    let clients = [client("/#/lab/users", &["alive"])];
    let control = ControlMetrics::default();
    let scrape = Scrape { metrics: &metrics(), clients: &clients, control: &control, process: &process };
    let text = render(&scrape, Format::Text);
    let shown: BTreeSet<&str> =
        text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next()).collect();
    let documented: BTreeSet<&str> = documentation
        .split('`')
        .filter(|word| word.starts_with("waypost_") || word.starts_with("process_"))
        .filter(|word| word.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_'))
        .collect();
    assert_eq!(documented, shown);
}
