//! What a server shows, whom it lets in, and what a handshake that takes its time costs the others.

use std::time::Duration;

use integration_tests::*;
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;

/// A server with a certificate of its own, for `web.example.com`.
fn web(ca: &Ca) -> Spec {
    Spec::router("in").trust("ca", ca).identity("web", &ca.issue(&["web.example.com"]))
}

const TLS: &str = "tls = { cert = \"web.pem\", key = \"web.key\" }";
const MUTUAL: &str = "tls = { cert = \"web.pem\", key = \"web.key\", client_ca = \"ca.pem\" }";

#[tokio::test]
async fn certificate_is_chosen_by_the_name_that_is_asked_for() {
    let ca = Ca::new();
    let users = Origin::http("users").await;
    let tls = "[routers.servers.tls]\ncert = \"web.pem\"\nkey = \"web.key\"\n\
               [[routers.servers.tls.certificates]]\ncert = \"pay.pem\"\nkey = \"pay.key\"\n\
               [[routers.servers.tls.certificates]]\ncert = \"any.pem\"\nkey = \"any.key\"\n";
    let proxy = web(&ca)
        .identity("pay", &ca.issue(&["pay.example.com", "bank.example.com"]))
        .identity("any", &ca.issue(&["*.apps.example.com"]))
        .server(tls)
        .endpoint("users", users.addr())
        .start()
        .await;
    for (name, known) in [
        ("web.example.com", true),
        ("pay.example.com", true),
        ("BANK.example.com", true),
        ("a.apps.example.com", true),
        ("a.b.apps.example.com", false),
        ("apps.example.com", false),
        ("other.example.com", false),
    ] {
        // The caller itself checks that what it is shown is what it asked for.
        match Http1::tls(proxy.addr(), &ClientSide::new(&ca, name)).await {
            Ok(mut client) => {
                assert!(known, "{name}");
                client.ask(&Ask::get("users", "/")).await.is(200);
            }
            Err(error) => assert!(!known, "{name}: {error}"),
        }
    }
}

#[tokio::test]
async fn caller_who_is_not_authorized_is_told_nothing_but_that() {
    let ca = Ca::new();
    let users = Origin::http("users").await;
    let mut proxy = web(&ca)
        .server(&format!("{MUTUAL}\nauthorize = [\"spiffe://prod/*\", \"*.ops.example.com\"]"))
        .endpoint("users", users.addr())
        .start()
        .await;
    let side = |name: &str| ClientSide::new(&ca, "web.example.com").shows(&ca.issue(&[name]));
    for (name, allowed) in [
        ("spiffe://prod/web", true),
        ("spiffe://prod/ns/web", true),
        ("spiffe://production/web", false),
        ("spiffe://test/web", false),
        ("a.ops.example.com", true),
        ("ops.example.com", false),
    ] {
        let http1 = Http1::tls(proxy.addr(), &side(name)).await.expect("TLS").ask(&Ask::get("users", "/")).await;
        let http2 = Http2::tls(proxy.addr(), &side(name).alpn(&["h2"])).await.expect("TLS");
        for answer in [http1, http2.ask(&Ask::get("users", "/")).await] {
            if allowed {
                answer.is(200);
            } else {
                let answer = answer.is_error(403, "unauthorized");
                assert!(!answer.text().contains("example.com") && !answer.text().contains("spiffe"), "{answer:?}");
                assert!(proxy.log().contains(name), "{name} in the log");
            }
        }
    }
    let refused = proxy.metrics().await.sum("waypost_router_errors_total", &[("error", "unauthorized")]);
    assert!((refused - 6.0).abs() < 0.1, "{refused}");

    // A reload holds for connections that are open.
    let mut open = Http1::tls(proxy.addr(), &side("spiffe://prod/web")).await.expect("TLS");
    open.ask(&Ask::get("users", "/")).await.is(200);
    let config = std::fs::read_to_string(proxy.spec().config()).expect("the configuration");
    std::fs::write(proxy.spec().config(), config.replace("spiffe://prod/*", "spiffe://prod/other"))
        .expect("the test's directory can be written");
    proxy.signal(process::Signal::Hup);
    proxy.metric_is("waypost_config_reloads_total", &[("outcome", "success")], 1.0).await;
    eventually("the new list holds", async || match open.ask(&Ask::get("users", "/")).await.status() {
        403 => Ok(()),
        status => Err(status.to_string()),
    })
    .await;
}

#[tokio::test]
async fn caller_without_a_certificate_is_not_authorized_either() {
    let ca = Ca::new();
    let users = Origin::http("users").await;
    let tls = "tls = { cert = \"web.pem\", key = \"web.key\", client_ca = \"ca.pem\", require_client_cert = false }";
    let proxy = web(&ca)
        .server(&format!("{tls}\nauthorize = [\"spiffe://prod/*\"]"))
        .endpoint("users", users.addr())
        .start()
        .await;
    let mut client = Http1::tls(proxy.addr(), &ClientSide::new(&ca, "web.example.com")).await.expect("TLS");
    client.ask(&Ask::get("users", "/")).await.is_error(403, "unauthorized");
    assert_eq!(users.requests(), 0);
}

#[tokio::test]
async fn revoked_client_certificate_is_refused() {
    let ca = Ca::new();
    let users = Origin::http("users").await;
    let (good, bad) = (ca.issue(&["spiffe://prod/good"]), ca.issue(&["spiffe://prod/bad"]));
    let tls = "tls = { cert = \"web.pem\", key = \"web.key\", client_ca = \"ca.pem\", crls = [\"crl.pem\"], protocols = [\"1.2\"] }";
    let proxy = web(&ca).file("crl.pem", &ca.revoke(&[&bad])).server(tls).endpoint("users", users.addr()).start().await;
    let side = ClientSide::new(&ca, "web.example.com");
    let mut client = Http1::tls(proxy.addr(), &side.clone().shows(&good)).await.expect("TLS");
    client.ask(&Ask::get("users", "/")).await.is(200);
    assert!(Http1::tls(proxy.addr(), &side.shows(&bad)).await.is_err(), "TLS 1.2 tells at once");
    proxy.metric_is("waypost_server_tls_handshakes_total", &[("outcome", "revoked")], 1.0).await;
}

#[tokio::test]
async fn endpoint_is_told_of_the_callers_certificate_only_where_the_policy_says_so() {
    let ca = Ca::new();
    let (users, other) = (Origin::http("users").await, Origin::http("other").await);
    let proxy = web(&ca)
        .server(MUTUAL)
        .client_at("/#/fs/users", "forward_client_cert = true")
        .endpoint("users", users.addr())
        .endpoint("other", other.addr())
        .start()
        .await;
    let own = ca.sign(Leaf::new(&["spiffe://prod/web", "web.example.com"]).common_name("web"));
    let side = ClientSide::new(&ca, "web.example.com").shows(&own);
    let mut client = Http1::tls(proxy.addr(), &side).await.expect("TLS");
    for (host, origin) in [("users", &users), ("other", &other)] {
        client.ask(&Ask::get(host, "/").header("x-forwarded-client-cert", "Hash=forged")).await.is(200);
        let seen = origin.last();
        let told = seen.header("x-forwarded-client-cert");
        if host == "other" {
            assert_eq!(told, None);
            continue;
        }
        let told = told.expect("the header");
        let (hash, names) = told.split_once(';').expect("several fields");
        assert_eq!(names, "SAN=spiffe://prod/web;DNS=web.example.com;Subject=\"CN=web\"");
        assert!(hash.starts_with("Hash=") && hash.len() == "Hash=".len() + 64, "{hash}");
    }
}

#[tokio::test]
async fn callers_who_stall_in_the_handshake_make_room() {
    let ca = Ca::new();
    let users = Origin::http("users").await;
    let limits = "max_pending_handshakes = 4\nhead_timeout = \"120s\"";
    let proxy = web(&ca).server(&format!("{TLS}\n{limits}")).endpoint("users", users.addr()).start().await;
    let mut stalled = Vec::new();
    for _ in 0..12 {
        stalled.push(TcpStream::connect(proxy.addr()).await.expect("a connection"));
    }
    // More than there is room for, and none of them says a word: a good caller is served all the same.
    let mut client = Http1::tls(proxy.addr(), &ClientSide::new(&ca, "web.example.com")).await.expect("TLS");
    client.ask(&Ask::get("users", "/")).await.is(200);
    let metrics = proxy.metrics().await;
    assert!(metrics.sum("waypost_server_evicted_handshakes_total", &[]) >= 1.0);
    assert!(metrics.sum("waypost_server_pending_handshakes", &[]) <= 4.0, "the limit holds for both workers together");

    let mut closed = 0;
    for stream in &mut stalled {
        let read = tokio::time::timeout(Duration::from_millis(50), stream.read(&mut [0])).await;
        closed += usize::from(matches!(read, Ok(Ok(0) | Err(_))));
    }
    assert!(closed >= 1, "those who made room are closed");
}

#[tokio::test]
async fn certificate_that_ends_soon_is_told_of_until_it_is_renewed() {
    let ca = Ca::new();
    let soon = ca.sign(Leaf::new(&["web.example.com"]).ends_in_days(5));
    let proxy = Spec::router("in").identity("web", &soon).server(TLS).start().await;
    let told = || proxy.log().matches("a certificate ends soon").count();
    eventually("the log says so", async || (told() == 1).then_some(()).ok_or_else(|| proxy.log())).await;
    for (within, count) in [("30d", 1.0), ("7d", 1.0), ("1d", 0.0), ("0d", 0.0)] {
        proxy.metric_is("waypost_certificates_ending", &[("within", within)], count).await;
    }

    ca.sign(Leaf::new(&["web.example.com"]).ends_in_days(60)).write(proxy.spec().dir(), "web");
    proxy.metric_is("waypost_certificates_ending", &[("within", "30d")], 0.0).await;
    assert_eq!(told(), 1);
}

#[tokio::test]
async fn a_connection_that_was_idle_serves_on_under_tls_as_in_clear_text() {
    let ca = Ca::new();
    let users = Origin::http("users").await;
    let proxy = web(&ca).server(TLS).and_server().endpoint("users", users.addr()).start().await;
    let clear = proxy.spec().server_addr("in", 1);
    let side = ClientSide::new(&ca, "web.example.com");
    for mut client in [Http1::connect(clear).await, Http1::tls(proxy.addr(), &side).await.expect("a handshake")] {
        let ask = Ask::post("users", "/", vec![b'x'; 3000]);
        let whole = ask.to_http1();
        // Long enough for what it had in memory to be given back; what comes then may come in pieces.
        for cut in [whole.len(), 1, 20, whole.len() - 2000] {
            let (first, rest) = whole.split_at(cut);
            client.send(first).await;
            tokio::time::sleep(Duration::from_millis(30)).await;
            client.send(rest).await;
            client.answer_to("POST").await.expect("a response").is(200);
            tokio::time::sleep(Duration::from_millis(300)).await;
        }
        client.send([&whole[..], &whole, &whole[..100]].concat()).await;
        client.answer_to("POST").await.expect("a response").is(200);
        client.answer_to("POST").await.expect("a second response").is(200);
        tokio::time::sleep(Duration::from_millis(300)).await;
        client.send(&whole[100..]).await;
        client.answer_to("POST").await.expect("a third response").is(200);
    }
    assert_eq!(users.requests(), 14);
}
