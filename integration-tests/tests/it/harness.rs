//! What the other tests stand on does what it says.

use integration_tests::eventually::eventually_blocking;
use integration_tests::metrics::Metrics;
use integration_tests::origin::BlackHole;
use integration_tests::wire::{Checksum, Framing};
use integration_tests::*;
use std::net::TcpListener;
use std::time::Duration;
use tokio::net::TcpStream;

#[tokio::test]
async fn http1_origin_echoes_what_it_got() {
    let origin = Origin::http("a").await;
    let mut client = Http1::connect(origin.addr()).await;

    let answer = client.ask(&Ask::post("users", "/x?y=1", "hello").header("X-One", "1").header("x-one", "2")).await;

    let echo = answer.is(200).json();
    assert_eq!((&echo["method"], &echo["target"]), (&"POST".into(), &"/x?y=1".into()), "{echo}");
    assert_eq!(echo["body"]["length"], 5);
    assert_eq!(origin.last().headers("X-One"), ["1", "2"]);
    assert!(origin.last().raw.starts_with(b"POST /x?y=1 HTTP/1.1\r\nHost: users\r\n"));
}

#[tokio::test]
async fn http1_origin_keeps_its_connection() {
    let origin = Origin::http("a").await;
    let mut client = Http1::connect(origin.addr()).await;
    for _ in 0..3 {
        client.ask(&Ask::get("users", "/")).await.is(200);
    }
    assert_eq!((origin.connections(), origin.requests()), (1, 3));
}

#[tokio::test]
async fn chunked_bodies_and_trailers_are_read() {
    let origin = Origin::that(Behaviour::Trailers {
        fields: vec![],
        body: "hello".into(),
        trailers: vec![("x-sum".into(), "5".into())],
    })
    .await;
    let mut client = Http1::connect(origin.addr()).await;
    client
        .send(
            "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\nt: 1\r\n\r\n",
        )
        .await;

    let answer = client.answer_to("POST").await.expect("a whole response");

    assert_eq!((answer.text().as_str(), answer.trailer("x-sum")), ("hello", Some("5")));
    let body = origin.last().body.expect("the whole request");
    assert_eq!((body.length, body.sum), (5, Checksum::of(b"abcde")));
    assert_eq!(body.trailers, [("t".to_owned(), "1".to_owned())]);
}

#[tokio::test]
async fn http2_origin_echoes_and_sends_trailers() {
    let origin = Origin::named("a").http2().plan([Behaviour::Echo, grpc_like()]).start().await;
    let client = Http2::connect(origin.addr()).await;

    let echo = client.ask(&Ask::post("users", "/x", "hello")).await.is(200).json();
    let answer = client.ask(&Ask::get("users", "/")).await;

    assert_eq!((&echo["version"], &echo["body"]["length"]), (&"HTTP/2.0".into(), &5.into()));
    assert_eq!(origin.seen()[0].header(":authority"), Some("users"));
    assert_eq!(answer.trailer("grpc-status"), Some("0"));
}

fn grpc_like() -> Behaviour {
    Behaviour::Trailers { fields: vec![], body: "x".into(), trailers: vec![("grpc-status".into(), "0".into())] }
}

#[tokio::test]
async fn a_part_comes_before_the_next_is_released() {
    for (origin, http2) in [
        (Origin::that(Behaviour::Parts(vec!["one".into(), "two".into()])).await, false),
        (Origin::named("h2").http2().plan([Behaviour::Parts(vec!["one".into(), "two".into()])]).start().await, true),
    ] {
        if http2 {
            let client = Http2::connect(origin.addr()).await;
            let mut exchange = client.open(&Ask::get("a", "/")).await.expect("a stream");
            exchange.head().await.expect("a head");
            assert_eq!(exchange.take(3).await, "one");
            origin.release(1);
            assert_eq!(exchange.take(3).await, "two");
        } else {
            let mut client = Http1::connect(origin.addr()).await;
            client.send(Ask::get("a", "/").to_http1()).await;
            let mut framing = client.head().await.framing(Framing::Length(0)).expect("framing");
            assert_eq!(client.take(&mut framing, 3).await, "one");
            origin.release(1);
            assert_eq!(client.take(&mut framing, 3).await, "two");
            assert_eq!(client.piece(&mut framing).await.expect("the end"), None);
        }
    }
}

#[tokio::test]
async fn abandoned_exchanges_are_counted() {
    let origin = Origin::that(Behaviour::Gated).await;
    let mut client = Http1::connect(origin.addr()).await;
    client.send(Ask::get("a", "/").to_http1()).await;
    origin.has_requests(1).await;
    drop(client);
    origin.has_aborted(1).await;

    let origin = Origin::named("h2").http2().plan([Behaviour::Gated]).start().await;
    let client = Http2::connect(origin.addr()).await;
    let mut exchange = client.open(&Ask::get("a", "/")).await.expect("a stream");
    origin.has_requests(1).await;
    exchange.cancel();
    origin.has_aborted(1).await;
}

#[tokio::test]
async fn raw_origins_misbehave_as_told() {
    let origin = Origin::named("bad")
        .plan([
            Behaviour::Abort,
            Behaviour::raw_then_close("garbage\r\n\r\n"),
            Behaviour::raw_then_close("HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhalf"),
        ])
        .start()
        .await;
    for _ in 0..3 {
        let mut client = Http1::connect(origin.addr()).await;
        assert!(client.try_ask(&Ask::get("a", "/")).await.is_err());
    }
    assert_eq!((origin.requests(), origin.connections()), (3, 3));
}

#[tokio::test]
async fn tls_peers_meet_by_sni_alpn_and_client_certificate() {
    let ca = Ca::new();
    let side = ServerSide::new(&ca.issue(&["a.example.com"]))
        .also("b.example.com", &ca.issue(&["b.example.com"]))
        .demands(&ca)
        .alpn(&["h2", "http/1.1"]);
    let origin = Origin::named("tls").tls(side).negotiated().start().await;
    let me = ca.issue(&["spiffe://test/me"]);

    let a = ClientSide::new(&ca, "a.example.com").shows(&me);
    let mut http1 = Http1::tls(origin.addr(), &a).await.expect("TLS");
    http1.ask(&Ask::get("a", "/")).await.is(200);
    let b = ClientSide::new(&ca, "b.example.com").shows(&me).alpn(&["h2"]);
    Http2::tls(origin.addr(), &b).await.expect("TLS").ask(&Ask::get("b", "/")).await.is(200);

    let greetings: Vec<_> = origin.seen().into_iter().filter_map(|seen| seen.greeting).collect();
    assert_eq!(greetings[0].sni.as_deref(), Some("a.example.com"));
    assert_eq!(greetings[1].alpn.as_deref(), Some("h2"));
    assert_eq!(greetings[1].client.as_deref(), Some(&*me.chain()[0]));
}

#[tokio::test]
async fn bad_certificates_are_bad() {
    let ca = Ca::new();
    for (what, identity) in [
        ("another name", ca.issue(&["b.example.com"])),
        ("another authority", Ca::new().issue(&["a.example.com"])),
        ("expired", ca.sign(Leaf::new(&["a.example.com"]).expired())),
        ("not yet valid", ca.sign(Leaf::new(&["a.example.com"]).not_yet())),
        ("self-signed", Leaf::new(&["a.example.com"]).self_signed()),
        ("CN only", ca.sign(Leaf::cn_only("a.example.com"))),
    ] {
        let origin = Origin::https("a", &identity).await;
        let client = Http1::tls(origin.addr(), &ClientSide::new(&ca, "a.example.com")).await;
        assert!(client.is_err(), "{what}");
        eventually("the handshake fails", async || match origin.refused_handshakes() {
            0 => Err(what.to_owned()),
            _ => Ok(()),
        })
        .await;
    }
}

#[tokio::test]
async fn black_hole_neither_takes_nor_refuses_a_connection() {
    let hole = BlackHole::start().await.expect("a black hole");
    let connecting = tokio::time::timeout(Duration::from_millis(200), TcpStream::connect(hole.addr())).await;
    assert!(connecting.is_err(), "{connecting:?}");
}

#[test]
fn ports_are_free_and_different() {
    let ports: Vec<u16> = (0..50).map(|_| free_port()).collect();
    let mut unique = ports.clone();
    unique.sort_unstable();
    unique.dedup();
    assert_eq!(unique.len(), ports.len(), "{ports:?}");
    for port in ports {
        TcpListener::bind(("127.0.0.1", port)).expect("a free port");
    }
}

#[test]
fn metrics_are_read_back() {
    let text = "# HELP a b\n# TYPE a counter\na_total{x=\"1\",y=\"q\\\"\\\\z\"} 3\na_total{x=\"2\"} 4.5\nb 1e3 123\n";
    let metrics = Metrics::parse(text);
    assert!((metrics.sum("a_total", &[]) - 7.5).abs() < 1e-9);
    assert!((metrics.sum("a_total", &[("y", "q\"\\z")]) - 3.0).abs() < 1e-9);
    assert!((metrics.sum("b", &[]) - 1000.0).abs() < 1e-9);
}

#[tokio::test]
async fn curl_reaches_nginx_over_both_protocols() {
    let nginx = Nginx::start("", "location / { return 200 \"host=$host\\n\"; }", &[]).await;
    let answer = curl(&[&format!("http://{}/x", nginx.addr()), "-H", "Host: users"]).await.ok().is(200);
    assert_eq!((answer.text().as_str(), answer.version.as_str()), ("host=users\n", "HTTP/1.1"));

    let nginx = Nginx::start("http2", "location / { return 200 ok; }", &[]).await;
    let answer = curl(&["--http2-prior-knowledge", &format!("http://{}/", nginx.addr())]).await.ok().is(200);
    assert_eq!(answer.version, "HTTP/2");
    eventually("the access log", async || match nginx.access_log() {
        log if log.contains("HTTP/2.0 GET / 200") => Ok(()),
        log => Err(log),
    })
    .await;
}

#[tokio::test]
async fn commands_give_code_and_output() {
    let ran = command::program("sh", &["-c", "echo out; echo err >&2; exit 3"]).await.exits(3);
    assert_eq!((ran.stdout.as_str(), ran.stderr.as_str()), ("out\n", "err\n"));
}

#[test]
fn waiting_has_an_end() {
    assert_eq!(eventually_blocking(Duration::from_millis(10), || None::<()>), None);
}

#[test]
fn a_configuration_is_put_together_in_order() {
    let spec = Spec::router("out")
        .dtab("/svc => /#/fs")
        .keys("dst_prefix = \"/svc\"")
        .client_at("/#/fs/{s}", "protocol = \"http1\"");
    let toml = spec.to_toml();
    let at = |text: &str| toml.find(text).unwrap_or_else(|| panic!("{text} in {toml}"));
    assert!(at("[admin]") < at("[[namers]]") && at("[[namers]]") < at("[[routers]]"));
    assert!(at("dst_prefix") < at("[[routers.servers]]") && at("[routers.client]") < at("[[routers.client.configs]]"));
}
