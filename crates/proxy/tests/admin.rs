//! The admin over a real socket: who is answered, what, and what it never does.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a broken assumption ends the test")]

use std::net::SocketAddr;
use std::path::Path as FilePath;
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use waypost::admin::{BoxFuture, Control, Listener, serve};
use waypost::config::Config;
use waypost::explanation::offline;
use waypost::plan::Snapshot;
use waypost::telemetry::{ClientReport, ControlMetrics, EndpointReport, MetricsReport, RequestReport};
use waypost::tls::CertificateSummary;
use waypost_naming::Finding;

const CONFIG: &str = r#"
[admin]
hosts = ["admin.example.com"]

[[namers]]
kind = "static"
prefix = "lab"
[namers.services]
users = ["127.0.0.1:8080"]
beta = ["127.0.0.1:8082"]

[[routers]]
label = "outgoing"
dtab = "/svc => /#/lab"
[[routers.servers]]
port = 0

[[routers]]
label = "incoming"
dtab = "/svc => /#/lab/beta"
[[routers.servers]]
port = 0
"#;

/// What the application would be.
struct Fake {
    snapshot: Arc<Snapshot>,
    reasons: Mutex<Vec<String>>,
    findings: Mutex<Vec<Finding>>,
    filter: Mutex<String>,
    shutdowns: AtomicUsize,
    reloads: AtomicUsize,
}

impl Control for Fake {
    fn snapshot(&self) -> Arc<Snapshot> {
        Arc::clone(&self.snapshot)
    }
    fn generation(&self) -> u64 {
        7
    }
    fn readiness(&self) -> Result<(), Vec<String>> {
        let reasons = self.reasons.lock().unwrap().clone();
        if reasons.is_empty() { Ok(()) } else { Err(reasons) }
    }
    fn listeners(&self) -> Vec<Listener> {
        let addr = SocketAddr::from(([127, 0, 0, 1], 4140));
        vec![Listener { router: "outgoing".to_owned(), server: "127.0.0.1:0".to_owned(), addr }]
    }
    fn metrics(&self) -> BoxFuture<MetricsReport> {
        Box::pin(async { MetricsReport::default() })
    }
    fn clients(&self) -> BoxFuture<Vec<ClientReport>> {
        let certificate = CertificateSummary {
            names: vec!["users.example.com".to_owned()],
            not_after: UNIX_EPOCH + Duration::from_secs(2_000_000_000),
            serial: "2a".to_owned(),
        };
        let endpoint = EndpointReport {
            addr: SocketAddr::from(([127, 0, 0, 1], 8080)),
            weight: 1.0,
            state: "alive",
            in_flight: 2,
            latency_ms: Some(1.499_999_7),
            connections: 3,
            requests: 40,
            failures: 1,
            certificate: Some(certificate),
        };
        let client = ClientReport {
            router: "outgoing".to_owned(),
            bound: "/#/lab/users".to_owned(),
            tls: None,
            endpoints: vec![endpoint],
        };
        Box::pin(async { vec![client] })
    }
    fn requests(&self, limit: usize) -> BoxFuture<Vec<RequestReport>> {
        let request = RequestReport {
            time: UNIX_EPOCH + Duration::from_millis(1_700_000_000_123),
            router: "outgoing".to_owned(),
            method: "GET".to_owned(),
            target: "/x".to_owned(),
            logical: "/svc/users".to_owned(),
            bound: Some("/#/lab/users".to_owned()),
            endpoint: Some(SocketAddr::from(([127, 0, 0, 1], 8080))),
            status: 200,
            error: None,
            attempts: 1,
            duration: Duration::from_micros(1_234),
            generation: Some(7),
        };
        Box::pin(async move { vec![request; limit.min(5)] })
    }
    fn control_metrics(&self) -> ControlMetrics {
        ControlMetrics { generation: 3, ..ControlMetrics::default() }
    }
    fn reload(&self) -> BoxFuture<Result<(), Vec<Finding>>> {
        self.reloads.fetch_add(1, Ordering::SeqCst);
        let findings = self.findings.lock().unwrap().clone();
        Box::pin(async move { if findings.is_empty() { Ok(()) } else { Err(findings) } })
    }
    fn shutdown(&self) {
        self.shutdowns.fetch_add(1, Ordering::SeqCst);
    }
    fn started(&self) -> SystemTime {
        SystemTime::now()
    }
    fn log_filter(&self) -> String {
        self.filter.lock().unwrap().clone()
    }
    fn set_log_filter(&self, filter: &str) -> Result<(), String> {
        filter.clone_into(&mut self.filter.lock().unwrap());
        Ok(())
    }
}

/// A running admin.
struct Lab {
    addr: SocketAddr,
    fake: Arc<Fake>,
    stop: CancellationToken,
    tasks: JoinSet<()>,
}

struct Answer {
    status: u16,
    head: String,
    body: String,
}

impl Answer {
    fn json(&self) -> Value {
        assert_eq!(self.status, 200, "{}", self.body);
        assert!(self.head.contains("content-type: application/json"), "{}", self.head);
        serde_json::from_str(&self.body).unwrap()
    }
}

impl Lab {
    async fn start() -> Self {
        let config = Config::parse("waypost.toml", CONFIG, FilePath::new(".")).unwrap().config;
        let routers = config.routers.iter().map(|router| Arc::new(offline(&config, router))).collect();
        let fake = Arc::new(Fake {
            snapshot: Arc::new(Snapshot { generation: 3, config: Arc::new(config), routers }),
            reasons: Mutex::default(),
            findings: Mutex::default(),
            filter: Mutex::new("info".to_owned()),
            shutdowns: AtomicUsize::new(0),
            reloads: AtomicUsize::new(0),
        });
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (addr, stop, mut tasks) = (listener.local_addr().unwrap(), CancellationToken::new(), JoinSet::new());
        let control: Arc<dyn Control> = fake.clone();
        tasks.spawn(serve(listener, control, stop.clone()));
        Self { addr, fake, stop, tasks }
    }

    /// Sends these bytes and reads to the end.
    async fn raw(&self, request: &str) -> Answer {
        let mut stream = TcpStream::connect(self.addr).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        tokio::time::timeout(Duration::from_secs(30), stream.read_to_end(&mut answer)).await.unwrap().unwrap();
        let answer = String::from_utf8(answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no answer: {answer:?}"));
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        Answer { status, head: head.to_ascii_lowercase(), body: body.to_owned() }
    }

    async fn ask(&self, method: &str, target: &str, headers: &str, body: &str) -> Answer {
        let (addr, length) = (self.addr, body.len());
        self.raw(&format!(
            "{method} {target} HTTP/1.1\r\nHost: {addr}\r\nConnection: close\r\nContent-Length: {length}\r\n{headers}\r\n{body}"
        ))
        .await
    }

    async fn get(&self, target: &str) -> Answer {
        self.ask("GET", target, "", "").await
    }

    async fn post(&self, target: &str, body: &str) -> Answer {
        self.ask("POST", target, "Content-Type: application/json\r\n", body).await
    }
}

#[tokio::test]
async fn ping_and_readiness() {
    let lab = Lab::start().await;
    let pong = lab.get("/admin/ping").await;
    assert_eq!((pong.status, pong.body.as_str()), (200, "pong"));
    assert_eq!(lab.get("/admin/ready").await.status, 200);

    lab.fake.reasons.lock().unwrap().push("draining: no new requests are wanted".to_owned());

    let draining = lab.get("/admin/ready").await;
    assert_eq!((draining.status, draining.body.as_str()), (503, "draining: no new requests are wanted\n"));
    assert_eq!(lab.get("/admin/ping").await.status, 200);
}

#[tokio::test]
async fn only_own_hosts_are_answered() {
    let lab = Lab::start().await;
    let port = lab.addr.port();
    for (host, wanted) in [
        (format!("127.0.0.1:{port}"), 200),
        ("127.0.0.1".to_owned(), 200),
        (format!("localhost:{port}"), 200),
        ("LOCALHOST:1".to_owned(), 200),
        (format!("admin.example.com:{port}"), 200),
        ("Admin.Example.Com".to_owned(), 200),
        ("evil.example.com".to_owned(), 403),
        (format!("127.0.0.2:{port}"), 403),
        (format!("localhost.example.com:{port}"), 403),
        (String::new(), 403),
    ] {
        let answer = lab.raw(&format!("GET /admin/ping HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n")).await;
        assert_eq!(answer.status, wanted, "{host}");
    }
    let refused = lab.raw("GET /config.json HTTP/1.1\r\nHost: evil.example.com\r\nConnection: close\r\n\r\n").await;
    assert!(refused.body.contains("[admin] hosts"), "it says what would help: {}", refused.body);
    assert_eq!(lab.raw("GET /admin/ping HTTP/1.1\r\nConnection: close\r\n\r\n").await.status, 400);
    assert_eq!(lab.raw("GET /admin/ping HTTP/1.0\r\n\r\n").await.status, 200, "simple probes name no host");
    let absolute = "GET http://evil.example.com/admin/ping HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n";
    assert_eq!(lab.raw(absolute).await.status, 400);
}

#[tokio::test]
async fn another_sites_page_changes_nothing() {
    let lab = Lab::start().await;
    let own = format!("Origin: http://{}\r\n", lab.addr);
    for (headers, wanted) in [
        ("Origin: http://evil.example.com\r\n", 403),
        ("Origin: null\r\n", 403),
        ("Sec-Fetch-Site: cross-site\r\n", 403),
        ("Sec-Fetch-Site: same-site\r\n", 403),
        ("Origin: http://127.0.0.1:1\r\nSec-Fetch-Site: same-site\r\n", 403),
        (own.as_str(), 200),
        ("", 200),
    ] {
        let before = lab.fake.reloads.load(Ordering::SeqCst);
        let answer = lab.ask("POST", "/admin/reload", headers, "").await;
        assert_eq!(answer.status, wanted, "{headers}");
        assert_eq!(lab.fake.reloads.load(Ordering::SeqCst) - before, usize::from(wanted == 200), "{headers}");
    }
}

#[tokio::test]
async fn get_changes_nothing() {
    let lab = Lab::start().await;
    for (method, target, allow) in [
        ("GET", "/admin/shutdown", "post"),
        ("HEAD", "/admin/shutdown", "post"),
        ("GET", "/admin/reload", "post"),
        ("PUT", "/admin/reload", "post"),
        ("POST", "/admin/ping", "get"),
        ("DELETE", "/logging.json", "get"),
    ] {
        let answer = lab.ask(method, target, "", "").await;
        assert_eq!(answer.status, 405, "{method} {target}");
        let allowed = answer.head.lines().find_map(|line| line.strip_prefix("allow: ")).unwrap();
        assert!(allowed.contains(allow), "{method} {target}: {allowed}");
    }
    assert_eq!(lab.fake.shutdowns.load(Ordering::SeqCst) + lab.fake.reloads.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn shutdown_and_reload_are_posts() {
    let lab = Lab::start().await;
    assert_eq!(lab.post("/admin/shutdown", "").await.status, 200);
    assert_eq!(lab.fake.shutdowns.load(Ordering::SeqCst), 1);
    assert_eq!(lab.post("/admin/reload", "").await.status, 200);

    lab.fake
        .findings
        .lock()
        .unwrap()
        .push(Finding::error("unknown-key", "unknown key `prot`").hint("did you mean `port`?"));

    let refused = lab.post("/admin/reload", "").await;
    assert_eq!(refused.status, 422);
    assert!(refused.body.contains("unknown key `prot`") && refused.body.contains("did you mean `port`?"));
}

#[tokio::test]
async fn bad_input_is_a_400_with_its_place() {
    let lab = Lab::start().await;
    for (target, shown) in [
        ("/delegator.json?path=svc", "path:1:1"),
        ("/delegator.json?path=/svc//x", "path:1:"),
        ("/delegator.json?path=/svc&dtab=/svc%20/x", "dtab:1:6"),
        ("/delegator.json", "path is missing"),
        ("/explain.json", "url is missing"),
        ("/explain.json?url=http://a%20b/", "url:1:9"),
        ("/explain.json?url=http://users/&header=nocolon", "header:1:8"),
        ("/explain.json?url=http://users/&method=GE%20T", "method:1:3"),
        ("/requests.json?limit=many", "limit must be a number"),
    ] {
        let answer = lab.get(target).await;
        assert_eq!(answer.status, 400, "{target}: {}", answer.body);
        assert!(answer.body.contains(shown), "{target}: {}", answer.body);
    }
}

#[tokio::test]
async fn an_unknown_router_or_path_is_a_404_that_says_what_there_is() {
    let lab = Lab::start().await;
    for target in ["/delegator.json?path=/svc&router=x", "/explain.json?url=http://users/&namespace=x"] {
        let answer = lab.get(target).await;
        assert_eq!(answer.status, 404, "{target}");
        assert!(answer.body.contains("outgoing, incoming"), "{}", answer.body);
    }
    let answer = lab.get("/delegator").await;
    assert_eq!(answer.status, 404);
    assert!(answer.body.contains("/delegator.json"), "{}", answer.body);
}

#[tokio::test]
async fn the_documentation_names_each_endpoint() {
    let lab = Lab::start().await;
    let listed = lab.get("/nowhere").await.body;
    let endpoints: Vec<&str> = listed.lines().filter_map(|line| line.split_whitespace().nth(1)).collect();
    let endpoints = endpoints.into_iter().filter(|word| word.starts_with('/'));
    let documentation = include_str!("../../../docs/admin.md");
    assert!(endpoints.clone().count() > 10, "{listed}");
    for path in endpoints {
        assert!(documentation.contains(&format!("| `{path}` |")), "{path}");
    }
}

#[tokio::test]
async fn the_delegator_answers_get_and_post() {
    let lab = Lab::start().await;
    let leaf = |tree: &Value| (tree["delegate"]["bound"]["id"].clone(), tree["delegate"]["bound"]["path"].clone());

    let first = lab.get("/delegator.json?path=/svc/users").await.json();
    assert_eq!(leaf(&first), (json!("/#/lab/users"), json!("/")));
    let named = lab.get("/delegator.json?router=incoming&path=/svc/users").await.json();
    assert_eq!(leaf(&named), (json!("/#/lab/beta"), json!("/users")));
    let namespace = lab.get("/delegator.json?namespace=incoming&path=/svc/users").await.json();
    assert_eq!(namespace, named);
    let replaced = lab.get("/delegator.json?path=/other/x&dtab=/other%20=%3E%20/%23/lab/users").await.json();
    assert_eq!(leaf(&replaced), (json!("/#/lab/users"), json!("/x")));
    let without = lab.get("/delegator.json?path=/svc/users&dtab=").await.json();
    assert_eq!(without["type"], "neg", "an empty dtab takes the router's place too");

    let body = r#"{"namespace": "incoming", "dtab": "/svc => /#/lab/users", "path": "/svc/x"}"#;
    assert_eq!(leaf(&lab.post("/delegator.json", body).await.json()), (json!("/#/lab/users"), json!("/x")));
}

#[tokio::test]
async fn bodies_are_json_and_bounded() {
    let lab = Lab::start().await;
    assert_eq!(lab.post("/delegator.json", "{").await.status, 400);
    assert_eq!(lab.post("/delegator.json", r#"{"path": 1}"#).await.status, 400);
    let form = "Content-Type: application/x-www-form-urlencoded\r\n";
    assert_eq!(lab.ask("POST", "/delegator.json", form, "path=/svc").await.status, 415);
    let long = format!(r#"{{"path": "/svc", "dtab": "{}"}}"#, " ".repeat(2 << 20));
    let mut stream = TcpStream::connect(lab.addr).await.unwrap();
    let head = format!(
        "POST /delegator.json HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
        long.len()
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut start = [0; 12];
    stream.read_exact(&mut start).await.unwrap();
    assert_eq!(&start, b"HTTP/1.1 413");
}

#[tokio::test]
async fn explain_answers_every_outcome_with_200() {
    let lab = Lab::start().await;
    let bound =
        lab.get("/explain.json?url=http://users/x&method=POST&header=l5d-dtab:/svc=%3E/%23/lab/beta").await.json();
    assert_eq!((&bound["outcome"], &bound["leaves"][0]["bound"]), (&json!("bound"), &json!("/#/lab/beta")));
    assert_eq!((&bound["request"]["method"], &bound["generation"]), (&json!("POST"), &json!(7)));
    let negative = lab.get("/explain.json?router=outgoing&url=http://missing/").await.json();
    assert_eq!((&negative["outcome"], &negative["error"]["status"]), (&json!("negative"), &json!(502)));
    let bad = lab.get("/explain.json?url=http://users/&header=l5d-dtab:%20nonsense").await.json();
    assert_eq!((&bad["outcome"], &bad["error"]["status"]), (&json!("error"), &json!(400)));
}

#[tokio::test]
async fn tables_have_their_documented_shapes() {
    let lab = Lab::start().await;
    assert_eq!(lab.get("/bound-names.json").await.json(), json!(["/#/lab/beta", "/#/lab/users"]));
    let endpoint = json!({
        "addr": "127.0.0.1:8080", "weight": 1.0, "state": "alive", "in_flight": 2, "latency_ms": 1.5,
        "connections": 3, "requests": 40, "failures": 1,
        "certificate": { "names": ["users.example.com"], "not_after": "2033-05-18T03:33:20Z", "serial": "2a" }
    });
    let client = json!({ "router": "outgoing", "bound": "/#/lab/users", "tls": null, "endpoints": [endpoint] });
    assert_eq!(lab.get("/clients.json").await.json(), json!({ "clients": [client] }));
    let request = json!({
        "time": "2023-11-14T22:13:20.123Z", "router": "outgoing", "method": "GET", "target": "/x",
        "logical": "/svc/users", "bound": "/#/lab/users", "endpoint": "127.0.0.1:8080", "status": 200,
        "error": null, "attempts": 1, "duration_ms": 1.234, "generation": 7
    });
    assert_eq!(lab.get("/requests.json?limit=2").await.json(), json!({ "requests": [request, request] }));
    assert_eq!(lab.get("/requests.json?limit=0").await.json(), json!({ "requests": [] }));
}

#[tokio::test]
async fn the_configuration_shows_where_is_listened() {
    let lab = Lab::start().await;
    let config = lab.get("/config.json").await.json();
    assert_eq!(config["routers"][0]["label"], "outgoing");
    assert_eq!(
        config["listeners"],
        json!([{ "router": "outgoing", "server": "127.0.0.1:0", "addr": "127.0.0.1:4140" }])
    );
    assert_eq!(config["admin"]["addr"], lab.addr.to_string());
}

#[tokio::test]
async fn log_levels_are_shown_and_changed() {
    let lab = Lab::start().await;
    assert_eq!(lab.get("/logging.json").await.json(), json!({ "level": "info", "targets": {}, "filter": "info" }));

    lab.post("/logging.json", r#"{"level": "warn"}"#).await.json();
    let shown = lab.post("/logging.json", r#"{"level": "Debug", "target": "waypost::client"}"#).await.json();

    assert_eq!(shown["targets"], json!({ "waypost::client": "debug" }));
    assert_eq!(lab.fake.log_filter(), "warn,waypost::client=debug");
    for body in [r#"{"level": "loud"}"#, r#"{"level": "info", "target": "a=b,c"}"#, "{}"] {
        let answer = lab.post("/logging.json", body).await;
        assert_eq!(answer.status, 400, "{body}");
    }
    assert_eq!(lab.fake.log_filter(), "warn,waypost::client=debug", "what is refused changes nothing");
}

#[tokio::test]
async fn metrics_come_in_the_format_that_is_asked_for() {
    let lab = Lab::start().await;
    let plain = lab.get("/admin/metrics/prometheus").await;
    assert!(plain.head.contains("content-type: text/plain; version=0.0.4"), "{}", plain.head);
    assert!(plain.body.contains("\nwaypost_config_generation 3\n"), "{}", plain.body);
    let accept = "Accept: application/openmetrics-text;version=1.0.0\r\n";
    let open = lab.ask("GET", "/admin/metrics/prometheus", accept, "").await;
    assert!(open.head.contains("content-type: application/openmetrics-text; version=1.0.0"), "{}", open.head);
    assert!(open.body.ends_with("# EOF\n"));
}

#[tokio::test]
async fn the_page_fetches_nothing_and_lists_what_there_is() {
    let lab = Lab::start().await;
    let page = lab.get("/").await;
    assert_eq!(page.status, 200);
    let policy = page.head.lines().find_map(|line| line.strip_prefix("content-security-policy: ")).unwrap();
    assert!(policy.starts_with("default-src 'none'; style-src 'nonce-"), "{policy}");
    assert!(!page.body.contains("<script") && !page.body.contains("https:"), "{}", page.body);
    for target in ["/clients.json", "/explain.json", "/admin/metrics/prometheus"] {
        assert!(page.body.contains(&format!("href=\"{target}\"")), "{target}");
    }
    let head = page.head;
    assert!(head.contains("x-content-type-options: nosniff") && head.contains("cache-control: no-store"), "{head}");
}

#[tokio::test]
async fn serve_ends_when_told_to_and_leaves_no_connection() {
    let mut lab = Lab::start().await;
    let mut idle = TcpStream::connect(lab.addr).await.unwrap();
    idle.write_all(b"GET /admin/ping HTTP/1.1\r\nHost: localhost\r\n\r\n").await.unwrap();
    let mut answer = [0; 15];
    idle.read_exact(&mut answer).await.unwrap();
    assert_eq!(&answer, b"HTTP/1.1 200 OK");

    lab.stop.cancel();

    tokio::time::timeout(Duration::from_secs(30), lab.tasks.join_next()).await.unwrap();
    let mut rest = Vec::new();
    tokio::time::timeout(Duration::from_secs(30), idle.read_to_end(&mut rest)).await.unwrap().unwrap();
    assert!(TcpStream::connect(lab.addr).await.is_err());
}

/// Runs the binary: exit code, stdout, stderr.
async fn waypost(arguments: Vec<String>) -> (i32, String, String) {
    let run = || Command::new(env!("CARGO_BIN_EXE_waypost")).args(arguments).output().unwrap();
    let output = tokio::task::spawn_blocking(run).await.unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

#[tokio::test]
async fn the_command_asks_a_running_waypost() {
    let lab = Lab::start().await;
    let ask = |more: &[&str]| {
        let arguments = ["explain", "--admin", &lab.addr.to_string()];
        waypost(arguments.iter().chain(more).map(|argument| (*argument).to_owned()).collect())
    };
    let override_header = "l5d-dtab: /svc => /#/lab/beta";

    let (code, json, _) = ask(&["POST", "http://users/x?y=1&z", "-H", override_header, "--json"]).await;
    let shown: Value = serde_json::from_str(&json).unwrap();
    assert_eq!((code, &shown["leaves"][0]["bound"]), (0, &json!("/#/lab/beta")));
    assert_eq!(shown["request"], json!({ "method": "POST", "authority": "users", "target": "/x?y=1&z" }));

    let (code, text, _) = ask(&["http://users/"]).await;
    assert_eq!(code, 0, "{text}");
    assert!(text.contains("bound: sent to /#/lab/users") && !text.contains('\x1b'), "{text}");
    let (code, text, _) = ask(&["http://missing/"]).await;
    assert_eq!(code, 1, "{text}");
    assert!(text.contains("negative: /svc/missing"), "{text}");
    let (code, out, errors) = ask(&["http://users/", "--router", "none"]).await;
    assert_eq!((code, out.as_str()), (2, ""));
    assert!(errors.contains("outgoing, incoming"), "{errors}");
    let (code, _, errors) = ask(&["waypost.toml", "GET", "http://users/"]).await;
    assert_eq!(code, 2, "{errors}");
}

#[tokio::test]
async fn nobody_at_the_admins_address_is_a_failure() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap().to_string();
    drop(listener);
    let arguments = ["explain", "--admin", &addr, "http://users/"].map(str::to_owned).to_vec();
    let (code, out, errors) = waypost(arguments).await;
    assert_eq!((code, out.as_str()), (1, ""));
    assert!(errors.contains(&addr), "{errors}");
}
