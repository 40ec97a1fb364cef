//! Connections that stop speaking HTTP: WebSocket and other upgrades, by HTTP/1.1 (RFC 9110 section 7.8) and by extended
//! CONNECT (RFC 8441).

use integration_tests::config::static_tls;
use integration_tests::*;

const SWITCH: &str =
    "HTTP/1.1 101 Switching Protocols\r\nconnection: Upgrade\r\nupgrade: websocket\r\nx-chosen: chat\r\n\r\n";

/// An endpoint that switches and then sends back what comes.
async fn mirror() -> Origin {
    Origin::that(Behaviour::Raw(vec![Step::send(SWITCH), Step::Tunnel])).await
}

fn ask() -> Ask {
    Ask::get("users", "/chat?room=1").header("Connection", "keep-alive, Upgrade").header("Upgrade", "websocket")
}

async fn proxy_for(origin: &Origin, server: &str) -> TestProxy {
    Spec::router("out").server(server).endpoint("users", origin.addr()).start().await
}

/// Sends what is not HTTP and waits for it to come back.
async fn echoes(client: &mut Http1, text: &str) {
    client.send(text).await;
    let mut back = String::new();
    while back.len() < text.len() {
        let piece = client.tunnelled().await.expect("the tunnel is open");
        back.push_str(&String::from_utf8_lossy(&piece));
    }
    assert_eq!(back, text);
}

async fn tunnels(proxy: &TestProxy, open: f64) {
    proxy.metric_is("waypost_server_tunnels", &[("router", "out")], open).await;
}

#[tokio::test]
async fn rfc9110_7_8_an_upgrade_becomes_a_tunnel() {
    let origin = mirror().await;
    let proxy = proxy_for(&origin, "").await;
    let mut client = proxy.http1().await;
    client.send(ask().to_http1()).await;
    let head = client.head().await;
    assert_eq!(head.words()[1], "101", "{head:?}");
    let fields = |name: &str| wire::fields(&head.fields, name);
    assert_eq!((fields("connection"), fields("upgrade")), (vec!["upgrade"], vec!["websocket"]), "{head:?}");
    assert_eq!((fields("x-chosen"), fields("via")), (vec!["chat"], vec!["1.1 waypost"]));
    assert!(fields("content-length").is_empty() && fields("transfer-encoding").is_empty(), "{head:?}");
    let seen = origin.last();
    assert_eq!((seen.headers("connection"), seen.headers("upgrade")), (vec!["upgrade"], vec!["websocket"]));
    assert_eq!(seen.target, "/chat?room=1");

    tunnels(&proxy, 1.0).await;
    // What looks like HTTP is no longer HTTP.
    for text in ["HTTP/1.1 400 Bad Request\r\n\r\n", "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", "\0\u{1}\r\n"] {
        echoes(&mut client, text).await;
    }
    client.shutdown().await;
    assert!(client.until_closed().await.is_empty(), "one direction's end is passed on, and the other's comes back");
    tunnels(&proxy, 0.0).await;
    proxy.metric_is("waypost_server_opened_tunnels_total", &[], 1.0).await;
    let metrics = proxy.metrics().await;
    assert!((metrics.sum("waypost_service_requests_total", &[("class", "success")]) - 1.0).abs() < 0.5);
}

#[tokio::test]
async fn bytes_beside_the_heads_are_not_lost() {
    let early = Behaviour::Raw(vec![Step::send(format!("{SWITCH}early from the endpoint")), Step::Tunnel]);
    let origin = Origin::that(early).await;
    let proxy = proxy_for(&origin, "").await;
    let mut client = proxy.http1().await;
    client.send([ask().to_http1(), b"early from the client".to_vec()].concat()).await;
    assert_eq!(client.head().await.words()[1], "101");
    let expected = "early from the endpointearly from the client";
    let mut came = String::new();
    while came.len() < expected.len() {
        came.push_str(&String::from_utf8_lossy(&client.tunnelled().await.expect("the tunnel is open")));
    }
    assert_eq!(came, expected);
}

#[tokio::test]
async fn what_is_not_allowed_is_taken_off_and_the_connection_stays_http() {
    let origin = Origin::http("users").await;
    for (server, protocol) in
        [("", "h2c"), ("", "TLS/1.2"), ("upgrades = []", "websocket"), ("upgrades = [\"tls/1.2\"]", "websocket")]
    {
        let proxy = proxy_for(&origin, server).await;
        let mut client = proxy.http1().await;
        let ask = Ask::get("users", "/").header("Upgrade", protocol).header("HTTP2-Settings", "AAMAAABkAAQAAP__");
        client.ask(&ask.header("Connection", "Upgrade, HTTP2-Settings")).await.is(200);
        let seen = origin.last();
        for name in ["upgrade", "connection", "http2-settings"] {
            assert!(seen.headers(name).is_empty(), "{protocol}: {seen:?}");
        }
        // RFC 9110 section 7.8: without Connection it is for nobody.
        client.ask(&Ask::get("users", "/").header("Upgrade", "websocket")).await.is(200);
        assert!(origin.last().headers("upgrade").is_empty());
    }
}

#[tokio::test]
async fn a_refused_upgrade_is_an_ordinary_answer() {
    let origin = Origin::that(Behaviour::Reply { status: 403, fields: Vec::new(), body: "no".to_owned() }).await;
    let proxy = proxy_for(&origin, "").await;
    let mut client = proxy.http1().await;
    assert_eq!(client.ask(&ask()).await.is(403).text(), "no");
    client.ask(&Ask::get("users", "/")).await.is(403);
    tunnels(&proxy, 0.0).await;
}

#[tokio::test]
async fn rfc9110_15_2_2_a_101_for_another_protocol_is_502() {
    for head in [
        "HTTP/1.1 101 x\r\nconnection: upgrade\r\nupgrade: h2c\r\n\r\n",
        "HTTP/1.1 101 x\r\nconnection: upgrade\r\n\r\n",
        "HTTP/1.1 101 x\r\nconnection: upgrade\r\nupgrade: websocket\r\ncontent-length: 5\r\n\r\n",
    ] {
        let origin = Origin::that(Behaviour::raw(head)).await;
        let proxy = proxy_for(&origin, "").await;
        proxy.ask(&ask()).await.is_error(502, "bad_response");
    }
}

#[tokio::test]
async fn tunnels_are_bounded_in_number_and_in_silence() {
    let origin = mirror().await;
    let proxy = proxy_for(&origin, "max_tunnels = 1\ntunnel_idle_timeout = \"300ms\"").await;
    let mut first = proxy.http1().await;
    first.send(ask().to_http1()).await;
    assert_eq!(first.head().await.words()[1], "101");
    proxy.ask(&ask()).await.is_error(503, "overloaded");
    proxy.get("users", "/").await; // no tunnel, no limit
    assert!(first.until_closed().await.is_empty(), "nothing moved");
    tunnels(&proxy, 0.0).await;
    let mut next = proxy.http1().await;
    next.send(ask().to_http1()).await;
    assert_eq!(next.head().await.words()[1], "101");
}

#[tokio::test]
async fn an_endpoint_that_goes_away_ends_the_tunnel() {
    let origin = Origin::that(Behaviour::Raw(vec![Step::send(SWITCH), Step::Close])).await;
    let proxy = proxy_for(&origin, "").await;
    let mut client = proxy.http1().await;
    client.send(ask().to_http1()).await;
    assert_eq!(client.head().await.words()[1], "101");
    assert!(client.until_closed().await.is_empty());
    drop(client);
    tunnels(&proxy, 0.0).await;
}

#[tokio::test]
async fn a_tunnel_outlives_a_reload_and_ends_with_the_process() {
    let origin = mirror().await;
    let mut proxy =
        Spec::router("out").top("[shutdown]\ngrace = \"300ms\"\n").endpoint("users", origin.addr()).start().await;
    let mut client = proxy.http1().await;
    client.send(ask().to_http1()).await;
    assert_eq!(client.head().await.words()[1], "101");
    proxy.reload(|spec| spec.dtab("/svc => /#/fs ;\n/svc/other => /#/fs/users")).await;
    echoes(&mut client, "still there").await;
    proxy.signal(process::Signal::Term);
    assert_eq!(proxy.exit_code().await, 0);
    assert!(client.until_closed().await.is_empty());
}

/// The library's own client and server on both sides of a pair with mutual TLS.
#[tokio::test]
async fn websocket_libraries_talk_through_a_pair() {
    let ca = Ca::new();
    let server = PythonServer::start("websocket_echo.py", &[]).await;
    let named = "identifier = { kind = \"static\", path = \"/users\" }";
    let inner = Spec::router("in")
        .keys(named)
        .trust("ca", &ca)
        .identity("users", &ca.issue(&["users.example.com"]))
        .server("tls = { cert = \"users.pem\", key = \"users.key\", client_ca = \"ca.pem\" }")
        .endpoint("users", server.addr())
        .start()
        .await;
    let own = ", client_auth = { cert = \"caller.pem\", key = \"caller.key\" } }";
    let outer = Spec::router("out")
        .keys(named)
        .trust("ca", &ca)
        .identity("caller", &ca.issue(&["spiffe://test/caller"]))
        .client_at("/#/fs/users", &static_tls("users.example.com").replace(" }", own))
        .endpoint("users", inner.addr())
        .start()
        .await;
    let url = format!("ws://{}/echo", outer.addr());
    let ran = python_client("websocket_client.py", &[&url, "users"]).await.exits(0);
    assert_eq!(ran.stdout.trim(), "fine", "{ran:?} {}", server.output());
    outer.metric_is("waypost_server_opened_tunnels_total", &[], 1.0).await;
    inner.metric_is("waypost_server_tunnels", &[], 0.0).await;
}

/// One frame of a client, masked with zeros.
fn frame(text: &str) -> Vec<u8> {
    let length = u8::try_from(text.len()).expect("a short text");
    [&[0x81, 0x80 | length, 0, 0, 0, 0][..], text.as_bytes()].concat()
}

async fn bytes(stream: &mut client::Exchange, length: usize) -> Vec<u8> {
    let mut all = Vec::new();
    while all.len() < length {
        all.extend_from_slice(&stream.piece().await.expect("no reset").expect("no end"));
    }
    all
}

#[tokio::test]
async fn rfc8441_extended_connect_reaches_a_websocket_server_of_http1() {
    let server = PythonServer::start("websocket_echo.py", &[]).await;
    let proxy = Spec::router("out").endpoint("users", server.addr()).start().await;
    let client = proxy.http2().await;
    let ask = Ask::new("CONNECT", "users", "/echo").header("sec-websocket-version", "13");
    let mut stream = client.extended("websocket", &ask).await.expect("a stream");
    let (status, fields) = stream.head().await.expect("a response");
    assert_eq!(status, 200, "{fields:?}");
    for name in ["sec-websocket-accept", "upgrade", "connection"] {
        assert!(wire::field(&fields, name).is_none(), "{fields:?}");
    }
    stream.send(frame("hello"), false).expect("the stream is open");
    assert_eq!(bytes(&mut stream, 7).await, b"\x81\x05hello");
    tunnels(&proxy, 1.0).await;
    // A close frame is answered by one, and then both directions end.
    stream.send(vec![0x88, 0x82, 0, 0, 0, 0, 0x03, 0xe8], true).expect("the stream is open");
    assert_eq!(bytes(&mut stream, 4).await, b"\x88\x02\x03\xe8");
    assert!(stream.piece().await.expect("an orderly end").is_none());
    tunnels(&proxy, 0.0).await;

    let mut stream = client.extended("websocket", &ask).await.expect("a stream");
    assert_eq!(stream.head().await.expect("a response").0, 200);
    tunnels(&proxy, 1.0).await;
    stream.cancel();
    tunnels(&proxy, 0.0).await;
    client.ask(&Ask::get("nobody", "/")).await.is_error(502, "negative");
}

#[tokio::test]
async fn rfc8441_what_is_not_allowed_or_not_true_is_refused() {
    // It answers a key that nobody sent.
    let origin = mirror().await;
    let proxy = proxy_for(&origin, "").await;
    let client = proxy.http2().await;
    let ask = Ask::new("CONNECT", "users", "/");
    let mut stream = client.extended("websocket", &ask).await.expect("a stream");
    assert_eq!(stream.head().await.expect("a response").0, 502);
    let reached = origin.requests();
    let mut stream = client.extended("connect-udp", &ask).await.expect("a stream");
    let (status, fields) = stream.head().await.expect("a response");
    assert_eq!((status, wire::field(&fields, "waypost-error")), (501, Some("not_implemented")));
    assert_eq!(origin.requests(), reached);
}
