//! Peers that dawdle: a body that does not come, a response or a request that is not taken. None is waited for without
//! end, and nobody else has to wait for them.

use std::net::SocketAddr;
use std::time::Duration;

use integration_tests::*;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};

const TERMINATIONS: &str = "waypost_server_terminations_total";

async fn behind(behaviour: Behaviour, server: &str) -> (Origin, TestProxy) {
    let origin = Origin::that(behaviour).await;
    let proxy = Spec::router("out").server(server).endpoint("users", origin.addr()).start().await;
    (origin, proxy)
}

#[tokio::test]
async fn a_body_that_does_not_come_is_408() {
    let (origin, proxy) = behind(Behaviour::Echo, "body_timeout = \"300ms\"").await;
    for head in ["Content-Length: 100", "Transfer-Encoding: chunked"] {
        let mut client = proxy.http1().await;
        client.send(format!("POST / HTTP/1.1\r\nHost: users\r\n{head}\r\n\r\n")).await;
        let answer = client.answer_to("POST").await.expect("a response").is(408);
        assert_eq!(answer.header("waypost-error"), Some("request_timeout"));
        assert!(answer.header("l5d-err").is_some_and(|text| text.contains("body_timeout")), "{answer:?}");
        assert!(client.until_closed().await.is_empty());
    }
    let client = proxy.http2().await;
    let mut stalled = client.open(&Ask::post("users", "/", "")).await.expect("a stream");
    assert_eq!(stalled.head().await.expect("a response").0, 408);
    client.ask(&Ask::get("users", "/")).await.is(200);
    proxy.metric_is(TERMINATIONS, &[("reason", "body_timeout")], 3.0).await;
    let whole = origin.seen().iter().filter(|seen| seen.method == "POST" && seen.body.is_some()).count();
    assert_eq!(whole, 0, "{:?}", origin.seen());
    // It says nothing of the endpoint, and whole bodies are none the worse for it.
    proxy.metric_is("waypost_client_requests_total", &[("class", "failure")], 0.0).await;
    proxy.ask(&Ask::post("users", "/", vec![b'x'; 100_000])).await.is(200);
}

#[tokio::test]
async fn a_trickle_is_no_body() {
    let (_origin, proxy) = behind(Behaviour::Echo, "body_timeout = \"300ms\"").await;
    let mut client = proxy.http1().await;
    client.send("POST / HTTP/1.1\r\nHost: users\r\nContent-Length: 1000000\r\n\r\n").await;
    let started = std::time::Instant::now();
    while started.elapsed() < Duration::from_secs(10) && client.try_send(b"x").await.is_ok() {
        let answered = tokio::time::timeout(Duration::from_millis(20), client.answer_to("POST")).await;
        if let Ok(answer) = answered {
            answer.expect("a response").is(408);
            return;
        }
    }
    panic!("the trickle was never ended");
}

#[tokio::test]
async fn a_body_in_time_may_be_long_and_streams_may_be_silent() {
    let (_origin, proxy) = behind(Behaviour::Mirror, "body_timeout = \"200ms\"").await;
    // A piece of it within each time, and more than one time in all.
    let mut client = proxy.http1().await;
    client.send("POST / HTTP/1.1\r\nHost: users\r\nContent-Length: 40960\r\n\r\n").await;
    for _ in 0..10 {
        client.send(vec![b'x'; 4096]).await;
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(client.answer_to("POST").await.expect("a response").is(200).body.len(), 40_960);

    // The response has begun: this is a conversation. gRPC is one from its beginning.
    let client = proxy.http2().await;
    let mut begun = client.open(&Ask::post("users", "/", "")).await.expect("a stream");
    begun.head().await.expect("a head");
    let (gated, silent) = behind(Behaviour::Gated, "body_timeout = \"200ms\"").await;
    let grpc = silent.http2().await;
    let ask = Ask::post("users", "/", "").header("content-type", "application/grpc");
    let mut call = grpc.open(&ask).await.expect("a stream");
    // What is ended by then shows that the time has passed for these too.
    let http2 = silent.http2().await;
    let mut other = http2.open(&Ask::post("users", "/", "")).await.expect("a stream");
    assert_eq!(other.head().await.expect("a head").0, 408);
    begun.send("and?", true).expect("an open stream");
    assert_eq!(begun.take(4).await, "and?");
    call.send("x", true).expect("an open stream");
    gated.open();
    assert_eq!(call.head().await.expect("a head").0, 200);
}

/// A connection whose receive buffer is small: the sender soon has to wait.
async fn narrow(addr: SocketAddr) -> TcpStream {
    let socket = TcpSocket::new_v4().expect("a socket");
    socket.set_recv_buffer_size(128 * 1024).expect("a small buffer");
    socket.connect(addr).await.expect("a connection")
}

fn huge() -> Behaviour {
    Behaviour::Reply { status: 200, fields: vec![], body: "x".repeat(20_000_000) }
}

#[tokio::test]
async fn a_response_that_nobody_takes_is_cut_off() {
    let (origin, proxy) = behind(huge(), "write_timeout = \"500ms\"").await;
    // HTTP/1.1: the socket itself is full.
    let mut stream = narrow(proxy.addr()).await;
    stream.write_all(&Ask::get("users", "/").to_http1()).await.expect("an open connection");
    proxy.metric_is(TERMINATIONS, &[("reason", "write_timeout")], 1.0).await;
    // HTTP/2: the stream has no credit; others on the connection go on.
    let client = proxy.http2().await;
    let mut stalled = client.open(&Ask::get("users", "/")).await.expect("a stream");
    stalled.head().await.expect("a head");
    proxy.metric_is(TERMINATIONS, &[("reason", "write_timeout")], 2.0).await;
    origin.now(Behaviour::Echo);
    client.ask(&Ask::get("users", "/")).await.is(200);
}

/// An endpoint that reads no more than the head.
fn takes_nothing() -> Behaviour {
    Behaviour::Raw(vec![Step::Deaf])
}

fn upload() -> Ask {
    Ask::post("users", "/", vec![b'x'; 20_000_000])
}

/// Two proxies with HTTP/2 between them, on one connection, and an origin of HTTP/1.1 behind.
async fn pair(behaviour: Behaviour, service: &str, client: &str) -> (Origin, TestProxy, TestProxy) {
    let origin = Origin::that(behaviour).await;
    let callee =
        Spec::router("in").workers(1).client("protocol = \"http1\"").endpoint("users", origin.addr()).start().await;
    let client = format!("protocol = \"http2\"\n{client}");
    let caller = Spec::router("out").workers(1).service(service).client(&client);
    let caller = caller.endpoint("users", callee.addr()).start().await;
    (origin, callee, caller)
}

#[tokio::test]
async fn an_endpoint_that_takes_nothing_is_given_up() {
    let (_origin, callee, caller) = pair(takes_nothing(), "", "write_timeout = \"300ms\"").await;
    let origin = Origin::that(takes_nothing()).await;
    let alone = Spec::router("out").client("protocol = \"http1\"\nwrite_timeout = \"300ms\"");
    let alone = alone.endpoint("users", origin.addr()).start().await;
    for proxy in [alone, caller] {
        let answer = proxy.ask(&upload()).await.is_error(504, "timeout");
        assert!(answer.l5d_err().contains("write_timeout (300ms)"), "{answer:?}");
    }
    callee.metric_is("waypost_client_connections", &[], 0.0).await;
}

#[tokio::test]
async fn an_upload_that_is_given_up_gives_its_connection_back() {
    let origin = Origin::that(takes_nothing()).await;
    let proxy = Spec::router("out")
        .workers(1)
        .service("total_timeout = \"300ms\"")
        .client("protocol = \"http1\"\npool = { max_connections = 2 }\naccrual = { kind = \"none\" }")
        .endpoint("users", origin.addr())
        .start()
        .await;
    for _ in 0..3 {
        proxy.ask(&upload()).await.is_error(504, "timeout");
        proxy.metric_is("waypost_client_connections", &[], 0.0).await;
    }
    // The client is gone, and says so only by a reset.
    let http2 = proxy.http2().await;
    let mut upload = http2.open(&Ask::post("users", "/", "")).await.expect("a stream");
    upload.send(vec![b'x'; 60_000], false).expect("an open stream");
    origin.has_requests(4).await;
    upload.cancel();
    proxy.metric_is("waypost_client_connections", &[], 0.0).await;
    origin.now(Behaviour::Echo);
    proxy.ask(&Ask::post("users", "/", "hello")).await.is(200);
}

#[tokio::test]
async fn uploads_that_were_given_up_leave_room_for_others() {
    let service = "total_timeout = \"300ms\"";
    let (origin, callee, caller) = pair(takes_nothing(), service, "accrual = { kind = \"none\" }").await;
    for _ in 0..6 {
        caller.ask(&upload()).await.is_error(504, "timeout");
    }
    callee.metric_is("waypost_client_connections", &[], 0.0).await;
    origin.now(Behaviour::Echo);
    for _ in 0..5 {
        let echo = caller.ask(&Ask::post("users", "/", vec![b'x'; 100_000])).await.is(200).json();
        assert_eq!(echo["body"]["length"], 100_000);
    }
}

#[tokio::test]
async fn uploads_that_stall_leave_room_for_others() {
    let (origin, _callee, caller) = pair(takes_nothing(), "", "").await;
    let client = caller.http2().await;
    let mut stalled = Vec::new();
    for count in 1..=10 {
        let mut upload = client.open(&Ask::post("users", "/", "")).await.expect("a stream");
        // More than the systems on the way keep.
        upload.send(vec![b'x'; 10_000_000], false).expect("an open stream");
        origin.has_requests(count).await;
        stalled.push(upload);
    }
    origin.now(Behaviour::Echo);
    for _ in 0..5 {
        let ask = Ask::post("users", "/", vec![b'x'; 100_000]);
        for answer in [caller.ask(&ask).await, client.ask(&ask).await] {
            assert_eq!(answer.is(200).json()["body"]["length"], 100_000);
        }
    }
}

#[tokio::test]
async fn slow_readers_leave_room_for_others() {
    let (origin, _callee, caller) = pair(huge(), "", "").await;
    let mut slow = Vec::new();
    for _ in 0..30 {
        let mut stream = narrow(caller.addr()).await;
        stream.write_all(&Ask::get("users", "/").to_http1()).await.expect("an open connection");
        let mut first = [0; 1];
        soon("an answer", stream.read_exact(&mut first)).await.expect("an open connection");
        slow.push(stream);
    }
    let length = 1_000_000;
    origin.now(Behaviour::Reply { status: 200, fields: vec![], body: "x".repeat(length) });
    for _ in 0..5 {
        assert_eq!(caller.get("users", "/").await.is(200).body.len(), length);
    }
}

#[tokio::test]
async fn a_slow_reader_that_reads_gets_all_of_it() {
    let length = 8_000_000;
    let reply = Behaviour::Reply { status: 200, fields: vec![], body: "x".repeat(length) };
    let (_origin, proxy) = behind(reply, "write_timeout = \"300ms\"\nidle_timeout = \"20ms\"").await;
    let mut stream = narrow(proxy.addr()).await;
    stream
        .write_all(&Ask::get("users", "/").header("Connection", "close").to_http1())
        .await
        .expect("an open connection");
    let (mut taken, mut buffer) = (0, vec![0; 64 * 1024]);
    loop {
        // What is left is with us longer than idle_timeout, and is no idleness.
        tokio::time::sleep(Duration::from_millis(10)).await;
        match soon("some more", stream.read(&mut buffer)).await.expect("an open connection") {
            0 => break,
            read => taken += read,
        }
    }
    assert!(taken > length, "it ends after {taken} bytes");
    proxy.metric_is(TERMINATIONS, &[], 0.0).await;
}
