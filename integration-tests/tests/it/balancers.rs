//! Balancers in front, which tell for whom they connect: the PROXY protocol, and `Forwarded` with its like.

use integration_tests::*;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

const V2: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";

fn v2(command: u8, family: u8, payload: &[u8]) -> Vec<u8> {
    let length = u16::try_from(payload.len()).expect("a short payload").to_be_bytes();
    [V2, &[command, family], &length, payload].concat()
}

/// From 192.0.2.1:12345.
fn v2_client() -> Vec<u8> {
    v2(0x21, 0x11, &[192, 0, 2, 1, 10, 0, 0, 1, 0x30, 0x39, 0, 80])
}

const V1: &[u8] = b"PROXY TCP4 192.0.2.1 10.0.0.1 12345 80\r\n";
const FOR_US: &str =
    "proxy_protocol = [\"127.0.0.1\"]\nforwarded = { kind = \"append\", fields = [\"x-forwarded\", \"forwarded\"] }";

async fn behind(server: &str) -> (Origin, TestProxy) {
    let users = Origin::http("users").await;
    let proxy = Spec::router("in").server(server).endpoint("users", users.addr()).start().await;
    (users, proxy)
}

#[tokio::test]
async fn the_client_is_whom_the_balancer_names() {
    let (users, proxy) = behind(FOR_US).await;
    let tlvs = v2(0x21, 0x11, &[&[192, 0, 2, 1, 10, 0, 0, 1, 0x30, 0x39, 0, 80][..], &[5, 0, 3, 1, 2, 3]].concat());
    let v6 = b"PROXY TCP6 2001:db8::1 ::1 12345 80\r\n".to_vec();
    for (header, client, forwarded) in [
        (V1.to_vec(), "192.0.2.1", "for=192.0.2.1;host=users;proto=http"),
        (v2_client(), "192.0.2.1", "for=192.0.2.1;host=users;proto=http"),
        (tlvs, "192.0.2.1", "for=192.0.2.1;host=users;proto=http"),
        (v6, "2001:db8::1", "for=\"[2001:db8::1]\";host=users;proto=http"),
        (v2(0x20, 0, &[]), "127.0.0.1", "for=127.0.0.1;host=users;proto=http"),
        (b"PROXY UNKNOWN\r\n".to_vec(), "127.0.0.1", "for=127.0.0.1;host=users;proto=http"),
    ] {
        let mut client_side = proxy.http1().await;
        for piece in header.chunks(7) {
            client_side.send(piece).await;
        }
        for _ in 0..2 {
            client_side.ask(&Ask::get("users", "/").header("X-Forwarded-For", "198.51.100.1")).await.is(200);
            let seen = users.last();
            assert_eq!(seen.header("x-forwarded-for"), Some(&*format!("198.51.100.1, {client}")));
            assert_eq!(seen.header("forwarded"), Some(forwarded));
            assert_eq!(
                (seen.header("x-forwarded-proto"), seen.header("x-forwarded-host")),
                (Some("http"), Some("users"))
            );
        }
    }
}

#[tokio::test]
async fn a_balancer_that_does_not_say_is_closed_on_and_others_are_not_asked() {
    let (users, proxy) = behind("proxy_protocol = [\"127.0.0.1\"]\nhead_timeout = \"300ms\"").await;
    let plain = Ask::get("users", "/").to_http1();
    for bytes in [plain.clone(), [&V1[..20], b"\r\n", &plain].concat(), v2(0x21, 0x11, &[1, 2, 3])] {
        let mut client = proxy.http1().await;
        let _closed = client.try_send(&bytes).await;
        assert!(client.until_closed().await.is_empty());
    }
    proxy.metric_is("waypost_server_terminations_total", &[("reason", "malformed")], 3.0).await;
    let mut slow = proxy.http1().await;
    slow.send(&V1[..16]).await;
    assert!(slow.until_closed().await.is_empty());
    proxy.metric_is("waypost_server_terminations_total", &[("reason", "head_timeout")], 1.0).await;
    assert_eq!(users.requests(), 0);

    let (users, proxy) = behind("proxy_protocol = [\"10.0.0.0/8\"]").await;
    proxy.get("users", "/").await.is(200);
    let mut client = proxy.http1().await;
    client.send([V1, &plain].concat()).await;
    client.answer_to("GET").await.expect("a response").is(400);
    assert_eq!(users.requests(), 1);
}

#[tokio::test]
async fn nobody_is_of_this_machine_because_a_balancer_says_so() {
    let dtab = "/svc/users => /#/fs/other";
    let ask = || Ask::get("users", "/").header("l5d-dtab", dtab).header("l5d-ctx-deadline", "1 2");
    let local = b"PROXY TCP4 127.0.0.1 127.0.0.1 12345 80\r\n";
    for (server, header, follows) in [
        ("", &b""[..], true),
        // What a local balancer carries is not local.
        ("proxy_protocol = [\"127.0.0.1\"]", V1, false),
        ("proxy_protocol = [\"127.0.0.1\"]", local, false),
        ("proxy_protocol = [\"127.0.0.1\"]\noverrides = { allow = [\"192.0.2.0/24\"] }", V1, true),
        ("proxy_protocol = [\"127.0.0.1\"]\noverrides = { allow = [\"192.0.2.0/24\"] }", local, false),
        ("proxy_protocol = [\"127.0.0.1\"]\noverrides = { allow = \"any\" }", local, true),
    ] {
        let (users, other) = (Origin::http("users").await, Origin::http("other").await);
        let spec = Spec::router("in").server(server).endpoint("users", users.addr()).endpoint("other", other.addr());
        let proxy = spec.start().await;
        let mut client = proxy.http1().await;
        client.send(header).await;
        // A deadline that is over is followed by those alone whose context is believed.
        let answer = client.ask(&ask()).await;
        let believed = header.is_empty();
        assert_eq!(answer.status(), if believed { 504 } else { 200 }, "{server}");
        if !believed {
            assert_eq!((users.requests(), other.requests()), if follows { (0, 1) } else { (1, 0) }, "{server}");
        }
    }
}

#[tokio::test]
async fn tls_and_http2_come_behind_the_header() {
    let ca = Ca::new();
    let users = Origin::http("users").await;
    let proxy = Spec::router("in")
        .identity("web", &ca.issue(&["web.example.com"]))
        .server(&format!("tls = {{ cert = \"web.pem\", key = \"web.key\" }}\n{FOR_US}"))
        .and_server()
        .server(FOR_US)
        .endpoint("users", users.addr())
        .start()
        .await;
    let url = format!("https://web.example.com:{}/", proxy.addr().port());
    let resolve = format!("web.example.com:{}:127.0.0.1", proxy.addr().port());
    let trust = proxy.spec().path("ca.pem");
    std::fs::write(&trust, ca.pem()).expect("a file");
    let args = ["-sS", "--haproxy-protocol", "--resolve", &resolve, "--cacert", &trust.display().to_string()];
    for http in ["--http1.1", "--http2"] {
        let ran = command::program("curl", &[&args[..], &[http, "-H", "Host: users", &url]].concat()).await;
        ran.exits(0);
        let seen = users.last();
        assert_eq!(seen.header("forwarded"), Some("for=127.0.0.1;host=users;proto=https"), "{http}");
    }
    let mut stream = TcpStream::connect(proxy.spec().server_addr("in", 1)).await.expect("a connection");
    stream.write_all(&v2_client()).await.expect("an open connection");
    Http2::on(stream).await.ask(&Ask::get("users", "/")).await.is(200);
    assert_eq!(users.last().header("x-forwarded-for"), Some("192.0.2.1"));
}

#[tokio::test]
async fn haproxy_tells_in_both_versions() {
    let (users, proxy) = behind(FOR_US).await;
    for send in ["send-proxy", "send-proxy-v2", "send-proxy-v2 check-send-proxy check"] {
        let config = format!(
            "defaults\n  mode http\n  timeout connect 5s\n  timeout client 9s\n  timeout server 9s\n  retries 0\n\
             listen in\n  bind {{addr}}\n  server one {} {send}\n",
            proxy.addr()
        );
        let haproxy = Peer::start("haproxy", &[("haproxy.cfg", &config)], &["-db", "-q", "-f", "haproxy.cfg"]).await;
        Http1::connect(haproxy.addr()).await.ask(&Ask::get("users", "/")).await.is(200);
        assert_eq!(users.last().header("x-forwarded-for"), Some("127.0.0.1"), "{send}");
    }
}

#[tokio::test]
async fn what_strangers_say_of_themselves_goes_as_the_server_is_told() {
    for (mode, expected) in [
        ("pass", [Some("192.0.2.9"), Some("for=192.0.2.9"), Some("192.0.2.9")]),
        ("drop", [None, None, None]),
        ("append", [Some("192.0.2.9, 127.0.0.1"), Some("for=192.0.2.9"), Some("192.0.2.9")]),
        ("set", [Some("127.0.0.1"), None, None]),
    ] {
        let (users, proxy) = behind(&format!("forwarded = \"{mode}\"")).await;
        let ask = Ask::get("users", "/")
            .header("x-forwarded-for", "192.0.2.9")
            .header("forwarded", "for=192.0.2.9")
            .header("x-real-ip", "192.0.2.9");
        for http2 in [false, true] {
            let answer = if http2 { proxy.ask_http2(&ask).await } else { proxy.ask(&ask).await };
            answer.is(200);
            let seen = users.last();
            let came = ["x-forwarded-for", "forwarded", "x-real-ip"].map(|name| seen.header(name));
            assert_eq!(came, expected, "{mode}, http2: {http2}");
        }
        // A nomination takes off what came, and not what this hop says.
        let nominated = ask.header("Connection", "x-forwarded-for");
        proxy.ask(&nominated).await.is(200);
        let alone = matches!(mode, "append" | "set").then_some("127.0.0.1");
        assert_eq!(users.last().header("x-forwarded-for"), alone, "{mode}");
    }
}
