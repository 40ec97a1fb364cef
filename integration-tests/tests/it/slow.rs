//! Clients that dawdle: a body that does not come, a response that is not taken. Neither is waited for without end.

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
