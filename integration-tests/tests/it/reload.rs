//! A change acts while requests are served: whole or not at all, and nothing is lost.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use integration_tests::process::Signal;
use integration_tests::*;
use tokio::task::JoinSet;

/// Clients that ask without pause until they are told to stop. Every answer but 200 ends the test.
struct Traffic {
    clients: JoinSet<()>,
    stop: Arc<AtomicBool>,
    served: Arc<AtomicUsize>,
}

impl Traffic {
    fn start(addr: std::net::SocketAddr) -> Self {
        let (stop, served) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let mut clients = JoinSet::new();
        for client in 0..6 {
            clients.spawn(ask_until(addr, client, Arc::clone(&stop), Arc::clone(&served)));
        }
        Self { clients, stop, served }
    }

    /// Waits until `count` more requests were served.
    async fn flows(&self, count: usize) {
        let goal = self.served.load(Ordering::Relaxed) + count;
        eventually("traffic flows", async || match self.served.load(Ordering::Relaxed) {
            served if served >= goal => Ok(()),
            served => Err(format!("{served} of {goal}")),
        })
        .await;
    }

    async fn end(mut self) -> usize {
        self.stop.store(true, Ordering::Relaxed);
        while let Some(ended) = soon("the clients end", self.clients.join_next()).await {
            ended.expect("every request was answered 200");
        }
        self.served.load(Ordering::Relaxed)
    }
}

async fn ask_until(addr: std::net::SocketAddr, client: usize, stop: Arc<AtomicBool>, served: Arc<AtomicUsize>) {
    let http2 = Http2::connect(addr).await;
    let mut http1 = Http1::connect(addr).await;
    let ask = Ask::post("users", "/", "hello");
    while !stop.load(Ordering::Relaxed) {
        match client % 3 {
            0 => drop(http1.ask(&ask).await.is(200)),
            1 => drop(http2.ask(&ask).await.is(200)),
            _ => drop(Http1::connect(addr).await.ask(&ask).await.is(200)),
        }
        served.fetch_add(1, Ordering::Relaxed);
    }
}

#[tokio::test]
async fn reload_under_traffic_loses_nothing_and_acts() {
    let a = Origin::http("a").await;
    let b = Origin::http("b").await;
    let mut proxy =
        Spec::router("out").dtab("/svc => /#/fs/a").endpoint("a", a.addr()).endpoint("b", b.addr()).start().await;
    let traffic = Traffic::start(proxy.addr());
    traffic.flows(50).await;

    for round in 0..5 {
        let (target, origin) = if round % 2 == 0 { ("b", &b) } else { ("a", &a) };
        let before = origin.requests();
        proxy.reload(|spec| spec.dtab(&format!("/svc => /#/fs/{target}"))).await;
        origin.has_requests(before + 20).await;
        assert_eq!(proxy.reaches("users").await, target);
    }

    assert!(traffic.end().await >= 150);
}

#[tokio::test]
async fn bad_configuration_is_refused_whole() {
    let a = Origin::http("a").await;
    let b = Origin::http("b").await;
    let mut proxy =
        Spec::router("out").dtab("/svc => /#/fs/a").endpoint("a", a.addr()).endpoint("b", b.addr()).start().await;
    let traffic = Traffic::start(proxy.addr());

    let good = proxy.spec().clone();
    let changes: [fn(Spec) -> Spec; 4] = [
        |spec| spec.dtab("/svc => /#/fs/b ; /svc ="),
        |spec| spec.dtab("/svc => /#/fs/b").keys("no_such_key = 1"),
        |spec| spec.dtab("/svc => /#/fs/b").client("connect_timeout = \"soon\""),
        |spec| spec.dtab("/svc => /#/fs/b").client_at("/#/fs/{s}", &config::static_tls("{s}.example.com")),
    ];
    for (failures, change) in (1_u8..).zip(changes) {
        proxy.rewrite(|_| change(good.clone()));
        proxy.signal(Signal::Hup);
        proxy.metric_is("waypost_config_reloads_total", &[("outcome", "failure")], f64::from(failures)).await;
        traffic.flows(20).await;
        assert_eq!(proxy.reaches("users").await, "a");
    }
    assert_eq!(b.requests(), 0, "no part of a refused configuration acts");
    assert!((proxy.reloads("success").await).abs() < 1e-9);

    proxy.reload(|_| good.clone().dtab("/svc => /#/fs/b")).await;
    assert_eq!(proxy.reaches("users").await, "b");
    traffic.end().await;
}

#[tokio::test]
async fn admin_reload_says_what_came_of_it() {
    let a = Origin::http("a").await;
    let b = Origin::http("b").await;
    let mut proxy =
        Spec::router("out").dtab("/svc => /#/fs/a").endpoint("a", a.addr()).endpoint("b", b.addr()).start().await;

    proxy.rewrite(|spec| spec.dtab("/svc => /#/fs/b"));
    proxy.admin_post("/admin/reload", "text/plain", "").await.is(200);
    assert_eq!(proxy.reaches("users").await, "b");

    proxy.rewrite(|spec| spec.dtab("/svc => "));
    let refused = proxy.admin_post("/admin/reload", "text/plain", "").await.is(422);
    assert!(refused.text().contains("waypost.toml:"), "the findings: {}", refused.text());
    assert_eq!(proxy.reaches("users").await, "b");
}

#[tokio::test]
async fn dtab_file_acts_without_a_reload() {
    let a = Origin::http("a").await;
    let b = Origin::http("b").await;
    let proxy = Spec::router("out")
        .without_dtab()
        .keys("dtab_file = \"routes.dtab\"")
        .file("routes.dtab", "/svc => /#/fs/a")
        .endpoint("a", a.addr())
        .endpoint("b", b.addr())
        .start()
        .await;
    let traffic = Traffic::start(proxy.addr());
    traffic.flows(20).await;

    certs::replace(&proxy.spec().path("routes.dtab"), b"/svc => /#/fs/b", 0o644);
    proxy.soon_reaches("users", "b").await;

    // A bad one is refused; the good one after it is taken.
    certs::replace(&proxy.spec().path("routes.dtab"), b"/svc => ", 0o644);
    traffic.flows(50).await;
    assert_eq!(proxy.reaches("users").await, "b");
    certs::replace(&proxy.spec().path("routes.dtab"), b"/svc => /#/fs/a", 0o644);
    proxy.soon_reaches("users", "a").await;
    traffic.end().await;
}

#[tokio::test]
async fn watched_configuration_acts_without_a_signal() {
    let a = Origin::http("a").await;
    let b = Origin::http("b").await;
    let mut proxy = Spec::router("out")
        .top("watch = true")
        .dtab("/svc => /#/fs/a")
        .endpoint("a", a.addr())
        .endpoint("b", b.addr())
        .start()
        .await;
    assert_eq!(proxy.reaches("users").await, "a");
    proxy.rewrite(|spec| spec.dtab("/svc => /#/fs/b"));
    proxy.soon_reaches("users", "b").await;
}

#[tokio::test]
async fn watched_configuration_that_lacks_a_file_is_taken_on_when_that_has_come() {
    let users = Origin::http("users").await;
    let ca = Ca::new();
    let mut proxy = Spec::router("in").top("watch = true").endpoint("users", users.addr()).start().await;
    proxy.rewrite(|spec| spec.server("tls = { cert = \"web.pem\", key = \"web.key\" }"));
    proxy.metric_is("waypost_config_refused", &[("what", "configuration")], 1.0).await;
    ca.issue(&["web.example.com"]).write(proxy.spec().dir(), "web");
    proxy.metric_is("waypost_config_refused", &[("what", "configuration")], 0.0).await;
    let failures = proxy.metrics().await.sum("waypost_config_reloads_total", &[("outcome", "failure")]);
    assert!((failures - 1.0).abs() < 1e-9, "what is tried again and is the same counts once: {failures}");
    let mut client = Http1::tls(proxy.addr(), &ClientSide::new(&ca, "web.example.com")).await.expect("TLS");
    client.ask(&Ask::get("users", "/")).await.is(200);
}

#[tokio::test]
async fn servers_come_and_go_with_a_reload() {
    let users = Origin::http("users").await;
    let mut proxy = Spec::router("out").endpoint("users", users.addr()).start().await;

    proxy.reload(Spec::and_server).await;
    let second = proxy.spec().server_addr("out", 1);
    eventually("the new server serves", async || match Http1::try_connect(second).await {
        Ok(mut client) => {
            client.ask(&Ask::get("users", "/")).await.is(200);
            Ok(())
        }
        Err(error) => Err(error.to_string()),
    })
    .await;

    proxy.reload(Spec::without_last_server).await;
    eventually("the old server is gone", async || match Http1::try_connect(second).await {
        Ok(_) => Err("it still accepts".to_owned()),
        Err(_) => Ok(()),
    })
    .await;
    proxy.get("users", "/").await.is(200);
}

#[tokio::test]
async fn reload_that_needs_an_address_of_somebody_else_is_refused_whole() {
    let a = Origin::http("a").await;
    let b = Origin::http("b").await;
    let mut proxy =
        Spec::router("out").dtab("/svc => /#/fs/a").endpoint("a", a.addr()).endpoint("b", b.addr()).start().await;
    proxy.rewrite(|spec| spec.dtab("/svc => /#/fs/b").and_server().server_port(a.port()));
    proxy.signal(Signal::Hup);
    proxy.metric_is("waypost_config_reloads_total", &[("outcome", "failure")], 1.0).await;
    assert_eq!(proxy.reaches("users").await, "a");
}

#[tokio::test]
async fn request_under_way_ends_under_the_rules_it_began_with() {
    let a = Origin::that(Behaviour::Gated).await;
    let b = Origin::http("b").await;
    let mut proxy =
        Spec::router("out").dtab("/svc => /#/fs/a").endpoint("a", a.addr()).endpoint("b", b.addr()).start().await;
    let mut client = proxy.http1().await;
    client.send(Ask::get("users", "/").to_http1()).await;
    a.has_requests(1).await;
    proxy.reload(|spec| spec.dtab("/svc => /#/fs/b")).await;
    proxy.get("users", "/").await.is(200);
    a.open();
    assert_eq!(client.answer_to("GET").await.expect("a response").is(200).json()["origin"], "origin");
}
