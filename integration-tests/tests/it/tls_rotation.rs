//! Certificates and trust that change each second under load, between two waypost with mutual TLS: no request fails.
//!
//! 6 seconds, or `WAYPOST_SOAK_SECONDS` (`make soak`).

use std::collections::VecDeque;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use integration_tests::config::static_tls;
use integration_tests::*;
use tokio::task::JoinSet;

/// The authorities that both sides trust, the oldest first. New ones are trusted for a while before they issue, and old
/// ones for a while after their certificates were replaced, as an operator would do it.
struct Authorities {
    trusted: VecDeque<Ca>,
}

impl Authorities {
    const TRUSTED: usize = 8;
    const ISSUING: usize = 4;

    fn new() -> Self {
        Self { trusted: (0..Self::TRUSTED).map(|_| Ca::new()).collect() }
    }

    fn turn(&mut self) {
        self.trusted.pop_front();
        self.trusted.push_back(Ca::new());
    }

    fn bundle(&self) -> String {
        self.trusted.iter().map(Ca::pem).collect()
    }

    fn issue(&self, name: &str) -> Identity {
        self.trusted.get(Self::ISSUING).expect("as many as are trusted").issue(&[name])
    }
}

/// As Kubernetes does it: `..data` is a link to a directory, and is replaced by a link to another one.
fn swap(dir: &Path, round: usize, identity: &Identity) {
    let version = format!("..v{round}");
    std::fs::create_dir(dir.join(&version)).expect("the test's directory can be written");
    identity.write(&dir.join(&version), "caller");
    symlink(&version, dir.join("..new")).expect("the test's directory can be written");
    std::fs::rename(dir.join("..new"), dir.join("..data")).expect("a link can be renamed");
}

/// What the load came to.
#[derive(Debug, Default)]
struct Counts {
    good: AtomicUsize,
    bad: Mutex<Vec<String>>,
    stop: AtomicBool,
}

/// Asks one request after the other on one connection until it is to stop.
async fn load(proxy: std::net::SocketAddr, http2: bool, counts: Arc<Counts>) {
    let ask = Ask::get("users", "/");
    let mut one = Http1::connect(proxy).await;
    let two = Http2::connect(proxy).await;
    while !counts.stop.load(Ordering::Relaxed) {
        let answer = if http2 { two.ask(&ask).await } else { one.ask(&ask).await };
        if answer.status() == 200 {
            counts.good.fetch_add(1, Ordering::Relaxed);
        } else {
            counts.bad.lock().expect("nobody panics with it").push(format!("{answer:?}"));
        }
    }
}

/// Of both processes, in the second half: an allocator's moods, and no more.
const MOST_GROWTH_KIB: u64 = 8 * 1024;

#[tokio::test]
async fn certificates_and_trust_that_change_each_second_cost_no_request() {
    let seconds = std::env::var("WAYPOST_SOAK_SECONDS").ok().and_then(|text| text.parse().ok()).unwrap_or(6);
    let mut authorities = Authorities::new();
    let users = Origin::http("users").await;
    let callee = Spec::router("incoming")
        .file("ca.pem", &authorities.bundle())
        .identity("users", &authorities.issue("users.example.com"))
        .server("tls = { cert = \"users.pem\", key = \"users.key\", client_ca = \"ca.pem\" }")
        .client("protocol = \"http1\"")
        .endpoint("users", users.addr())
        .start()
        .await;
    let tls = static_tls("{service}.example.com")
        .replace(" }", ", client_auth = { cert = \"..data/caller.pem\", key = \"..data/caller.key\" } }");
    let spec = Spec::router("outgoing")
        .file("ca.pem", &authorities.bundle())
        .client_at("/#/fs/{service}", &tls)
        .endpoint("users", callee.addr());
    swap(spec.dir(), 0, &authorities.issue("spiffe://test/caller"));
    let caller = spec.start().await;

    let counts = Arc::new(Counts::default());
    let mut loads = JoinSet::new();
    for n in 0..4 {
        loads.spawn(load(caller.addr(), n % 2 == 0, Arc::clone(&counts)));
    }
    let mut each_second = tokio::time::interval(Duration::from_secs(1));
    let mut sizes = Vec::new();
    for round in 1..=seconds {
        each_second.tick().await;
        // Names that nobody has heard of, and connections that are opened and left, are churn too.
        caller.get(&format!("made-up-{round}"), "/").await;
        sizes.push(caller.resident_kib() + callee.resident_kib());
        authorities.turn();
        for proxy in [&caller, &callee] {
            certs::replace(&proxy.spec().path("ca.pem"), authorities.bundle().as_bytes(), 0o644);
        }
        authorities.issue("users.example.com").write(callee.spec().dir(), "users");
        swap(caller.spec().dir(), round, &authorities.issue("spiffe://test/caller"));
    }
    // The last change is taken on under load too.
    let reloads = async |proxy: &TestProxy| proxy.metrics().await.sum("waypost_tls_reloads_total", &[]);
    eventually("both have taken on most of the changes", async || {
        let (here, there) = (reloads(&caller).await, reloads(&callee).await);
        #[expect(clippy::cast_precision_loss, reason = "a few dozen")]
        let enough = seconds as f64 / 2.0;
        if here >= enough && there >= enough { Ok(()) } else { Err(format!("{here} and {there} of {seconds}")) }
    })
    .await;
    counts.stop.store(true, Ordering::Relaxed);
    while let Some(ended) = loads.join_next().await {
        ended.expect("the load runs to its end");
    }
    let (good, bad) = (counts.good.load(Ordering::Relaxed), counts.bad.lock().expect("nobody panics with it").clone());
    let (half, end) = (sizes[sizes.len() / 2], sizes[sizes.len() - 1]);
    println!(
        "{good} requests in {seconds} s of rotation, {} failed; both processes had {half} KiB half-way, {end} at the end",
        bad.len()
    );
    assert!(end < half + MOST_GROWTH_KIB, "{sizes:?}");
    assert!(bad.is_empty(), "{bad:?}\ncallee: {}\ncaller: {}", callee.log(), caller.log());
    let handshakes = caller.metrics().await.sum("waypost_client_tls_handshakes_total", &[("outcome", "success")]);
    assert!(handshakes >= 3.0, "new identities made new connections: {handshakes}");
}
