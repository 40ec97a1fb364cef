//! What must not creep: the steps of a request's way that are ours, each by itself.
//!
//! `cargo bench -p waypost --bench micro` measures time. `micro count STEP TIMES` does one step so often in
//! [`counted`], whose instructions callgrind counts: see `bench/instructions.py`.

#![expect(clippy::expect_used, clippy::panic, reason = "a bench that cannot be set up has to end")]

use std::path::Path as FilePath;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context as Polling, Poll, Waker};
use std::time::{Duration, Instant};

use divan::{Bencher, black_box};
use http::{HeaderMap, HeaderName, HeaderValue, Request, Version};
use rand::SeedableRng;
use rand::rngs::StdRng;
use waypost::config::Config;
use waypost::explanation::offline;
use waypost::plan::Snapshot;
use waypost::request::headers::{self, Context, LeafHeaders, RouteHeaders, Trust};
use waypost::server::heads::Heads;
use waypost::telemetry::{Class, ClientMetrics, ServiceMetrics};
use waypost::tls::Materials;
use waypost::worker::local_router::LocalRouter;
use waypost::worker::{Published, Shared, Worker};
use waypost_naming::{Captures, Dtab, Path, Pattern, Place, Segment, Template};
use waypost_routing::{
    Balancer, BalancerKind, DtabCell, Endpoint, Generation, HealthRegistry, Load, NameRule, NamerConfig, NamerKind,
    NamerSet, TlsRule, TlsSettings, TlsVersion, Unmatched,
};

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        [_, "count", step, times, ..] => {
            let mut step = operation(step);
            // What is made on first use belongs to no step.
            (0..10).for_each(|_| step());
            counted(&mut *step, times.parse().expect("a number"));
        }
        [_, "steps", ..] => say(&STEPS.join("\n")),
        _ => divan::main(),
    }
}

#[expect(clippy::print_stdout, reason = "it is what was asked for")]
fn say(text: &str) {
    println!("{text}");
}

/// Callgrind counts what happens in here.
#[inline(never)]
fn counted(step: &mut dyn FnMut(), times: u32) {
    (0..times).for_each(|_| step());
}

const STEPS: [&str; 9] = [
    "delegate",
    "bind_new",
    "route_cached",
    "balancer_pick",
    "identity",
    "headers_request",
    "headers_response",
    "metrics_record",
    "head_check",
];

#[divan::bench(args = STEPS)]
fn step(bencher: Bencher<'_, '_>, name: &str) {
    bencher.bench_local(operation(name));
}

fn operation(name: &str) -> Box<dyn FnMut()> {
    match name {
        "delegate" => delegate(),
        "bind_new" => bind_new(),
        "route_cached" => route_cached(),
        "balancer_pick" => balancer_pick(),
        "identity" => identity(),
        "headers_request" => headers_request(),
        "headers_response" => headers_response(),
        "metrics_record" => metrics_record(),
        "head_check" => head_check(),
        other => panic!("no step {other}: {}", STEPS.join(", ")),
    }
}

fn path(text: &str) -> Path {
    text.parse().expect("a path")
}

/// A hundred services, a rule for each.
fn dtab() -> Dtab {
    let rules: String = (0..100).map(|n| format!("/svc/service-{n} => /#/static/service-{n} ;\n")).collect();
    format!("/host => /#/static ;\n/svc => /host ;\n{rules}").parse().expect("a dtab")
}

fn namers() -> NamerSet {
    let services = (0..100_u16).map(|n| {
        let name = Segment::new(format!("service-{n}")).expect("not empty");
        (name, vec![Endpoint { addr: ([127, 0, 0, 1], n + 1).into(), weight: 1.0 }])
    });
    let kind = NamerKind::Static { services: services.collect() };
    NamerSet::read(&[NamerConfig { prefix: path("/static"), kind, transformers: Vec::new() }]).0
}

/// Every branch, for people.
fn delegate() -> Box<dyn FnMut()> {
    let (dtab, namers, path) = (dtab(), namers(), path("/svc/service-50"));
    Box::new(move || drop(black_box(waypost_routing::delegate(&dtab, black_box(&path), &namers))))
}

fn bind_new() -> Box<dyn FnMut()> {
    let (cell, namers, path, overrides) = (DtabCell::new(dtab()), namers(), path("/svc/service-50"), Dtab::default());
    Box::new(move || drop(black_box(waypost_routing::bind(&cell, &overrides, black_box(&path), &namers))))
}

/// Identify a request and find the route that another one has left.
fn route_cached() -> Box<dyn FnMut()> {
    let text = "[[namers]]\nkind = \"static\"\nservices = { users = [\"127.0.0.1:1\"] }\n\
                [[routers]]\ndtab = \"/svc => /#/static ;\"\nservers = [{ port = 0 }]\n";
    let config = Config::parse("waypost.toml", text, FilePath::new("")).expect("a configuration").config;
    let router = Arc::new(offline(&config, config.routers.first().expect("a router")));
    let snapshot = Snapshot { generation: 1, config: Arc::new(config), routers: vec![Arc::clone(&router)] };
    let published = Published { snapshot: Arc::new(snapshot), servers: Vec::new(), draining: false };
    let shared = Shared::new(Arc::new(Generation::new()), Arc::new(HealthRegistry::new()), 1, published);
    let router = LocalRouter::new(&Worker::new(0, Arc::new(shared)), &router, Materials::default(), None);
    let (mut parts, ()) = Request::get("/").header("host", "users").body(()).expect("a request").into_parts();
    let context = Context::default();
    Box::new(move || {
        let found = std::pin::pin!(router.route(&mut parts, &context)).poll(&mut Polling::from_waker(Waker::noop()));
        match found {
            Poll::Ready(Ok(route)) => drop(black_box(route)),
            Poll::Ready(Err(_)) | Poll::Pending => panic!("the service has a route"),
        }
    })
}

/// Idle, healthy, with a latency of its own.
struct Quiet(f64);

impl Load for Quiet {
    fn weight(&self) -> f64 {
        1.0
    }
    fn in_flight(&self) -> u32 {
        0
    }
    fn latency(&self) -> Option<f64> {
        Some(self.0)
    }
    fn idle_for(&self, _now: Instant) -> Duration {
        Duration::from_millis(1)
    }
    fn available(&self, _now: Instant) -> bool {
        true
    }
    fn claim(&self, _now: Instant) -> bool {
        true
    }
}

/// Of a hundred endpoints.
fn balancer_pick() -> Box<dyn FnMut()> {
    let endpoints: Vec<Quiet> = (1..=100).map(|n| Quiet(f64::from(n) / 1e3)).collect();
    let (balancer, mut rng, now) = (Balancer::new(BalancerKind::Ewma), StdRng::seed_from_u64(1), Instant::now());
    Box::new(move || {
        black_box(balancer.pick(&endpoints, now, &[], &mut rng));
    })
}

/// The tenth of ten rules matches.
fn identity() -> Box<dyn FnMut()> {
    let rule = |n: u32| {
        let prefix = Pattern::parse(&format!("/#/namer-{n}/{{service}}")).expect("a pattern");
        let common_name = Template::parse("{service}.example.com", &prefix).expect("a template");
        NameRule { prefix, common_name, from: Place::default() }
    };
    let settings = TlsSettings {
        trust: Vec::new(),
        crls: Vec::new(),
        client_auth: None,
        protocols: vec![TlsVersion::V1_3],
        alpn: None,
        allow_common_name: false,
        digest: [0; 32],
    };
    let names = (0..10).map(rule).collect();
    let rule = TlsRule::BoundPath { names, unmatched: Unmatched::Refuse, settings: Arc::new(settings) };
    let (bound, none) = (path("/#/namer-9/users"), Captures::default());
    Box::new(move || drop(black_box(rule.client_tls(black_box(&bound), &none))))
}

fn fields(of: &[(&'static str, &'static str)]) -> HeaderMap {
    of.iter().map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value))).collect()
}

/// Taken from what a browser sends, and written for the next hop; the copy that is worked on counts too.
fn headers_request() -> Box<dyn FnMut()> {
    let received = fields(&REQUEST);
    let trust = Trust { context: true, overrides: true, clear: false };
    let route = RouteHeaders { service: HeaderValue::from_static("/svc/web"), dtab: None };
    let leaf = LeafHeaders {
        client: HeaderValue::from_static("/#/static/web"),
        residual: None,
        host: None,
        strip_context: false,
        forward_client_cert: false,
    };
    let mut rng = StdRng::seed_from_u64(1);
    Box::new(move || {
        let mut parts = Request::new(()).into_parts().0;
        parts.headers = received.clone();
        let context = headers::take(&mut parts.headers, trust, 100).expect("nothing is wrong with it");
        headers::append_via(&mut parts.headers, Version::HTTP_11);
        headers::write_destination(&mut parts, &route, &leaf);
        headers::write_context(&mut parts.headers, &context, None, &mut rng);
        black_box(parts);
    })
}

/// The copy that is worked on counts too.
fn headers_response() -> Box<dyn FnMut()> {
    let received = fields(&RESPONSE);
    Box::new(move || {
        let mut headers = received.clone();
        headers::clean_response(&mut headers, false);
        headers::append_via(&mut headers, Version::HTTP_11);
        black_box(headers);
    })
}

fn metrics_record() -> Box<dyn FnMut()> {
    let (service, client) = (Rc::<ServiceMetrics>::default(), Rc::<ClientMetrics>::default());
    let mut micros = 0;
    Box::new(move || {
        micros = (micros + 7) % 10_000;
        let latency = Duration::from_micros(micros);
        client.finished(Class::Success, latency);
        service.finished(Class::Success, latency);
    })
}

/// Framing, as the bytes of a request come.
fn head_check() -> Box<dyn FnMut()> {
    let lines: String = REQUEST.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    let (request, mut heads) = (format!("GET / HTTP/1.1\r\n{lines}\r\n"), Heads::default());
    Box::new(move || heads.pass(black_box(request.as_bytes())).expect("nothing is wrong with it"))
}

const REQUEST: [(&str, &str); 8] = [
    ("host", "web.example.com"),
    ("user-agent", "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0"),
    ("accept", "application/json, text/plain;q=0.9, */*;q=0.8"),
    ("accept-language", "en-GB,en;q=0.7,de;q=0.3"),
    ("accept-encoding", "gzip, deflate, br"),
    ("x-request-id", "5c1f0e8a-93b7-4f6e-8a51-2d7c4be09f13"),
    ("cookie", "session=Zm9vYmFyYmF6cXV4MDEyMzQ1Njc4OQ"),
    ("connection", "keep-alive"),
];

const RESPONSE: [(&str, &str); 5] = [
    ("server", "nginx/1.22.1"),
    ("date", "Sat, 21 Nov 2026 10:00:00 GMT"),
    ("content-type", "text/plain"),
    ("content-length", "1024"),
    ("connection", "keep-alive"),
];
