//! Bodies flow: nothing is held back, nothing is lost, and who goes away is not worked for any more.

use integration_tests::random::Random;
use integration_tests::wire::{Checksum, Framing, chunk};
use integration_tests::*;

/// An echoing or mirroring origin of one protocol behind a proxy that speaks it to the origin.
async fn behind(http2: bool, behaviour: Behaviour) -> (Origin, TestProxy) {
    let origin = Origin::named("users").plan([behaviour]);
    let origin = if http2 { origin.http2() } else { origin }.start().await;
    let protocol = if http2 { "protocol = \"http2\"" } else { "protocol = \"http1\"" };
    let proxy = Spec::router("out").client(protocol).endpoint("users", origin.addr()).start().await;
    (origin, proxy)
}

#[tokio::test]
async fn first_part_of_a_response_comes_before_the_last_is_sent() {
    for endpoint_http2 in [false, true] {
        let parts = vec!["one".to_owned(), "two".to_owned(), "three".to_owned()];
        let (origin, proxy) = behind(endpoint_http2, Behaviour::Parts(parts)).await;

        let mut http1 = proxy.http1().await;
        http1.send(Ask::get("users", "/").to_http1()).await;
        let mut framing = http1.head().await.framing(Framing::UntilClose).expect("framing");
        assert_eq!(http1.take(&mut framing, 3).await, "one");
        origin.release(1);
        assert_eq!(http1.take(&mut framing, 3).await, "two");
        origin.release(1);
        assert_eq!(http1.take(&mut framing, 5).await, "three");
        assert_eq!(http1.piece(&mut framing).await.expect("an orderly end"), None);

        let http2 = proxy.http2().await;
        let mut exchange = http2.open(&Ask::get("users", "/")).await.expect("a stream");
        exchange.head().await.expect("a head");
        assert_eq!(exchange.take(3).await, "one");
        origin.release(1);
        assert_eq!(exchange.take(3).await, "two");
        origin.release(1);
        assert_eq!(exchange.take(5).await, "three");
        assert_eq!(exchange.piece().await.expect("an orderly end"), None);
    }
}

#[tokio::test]
async fn both_directions_flow_at_once() {
    for endpoint_http2 in [false, true] {
        let (_origin, proxy) = behind(endpoint_http2, Behaviour::Mirror).await;

        let mut http1 = proxy.http1().await;
        http1.send("POST / HTTP/1.1\r\nHost: users\r\nTransfer-Encoding: chunked\r\n\r\n").await;
        http1.send(chunk(b"first")).await;
        let mut framing = http1.head().await.framing(Framing::UntilClose).expect("framing");
        assert_eq!(http1.take(&mut framing, 5).await, "first");
        http1.send(chunk(b"second")).await;
        assert_eq!(http1.take(&mut framing, 6).await, "second");
        http1.send("0\r\n\r\n").await;
        assert_eq!(http1.piece(&mut framing).await.expect("an orderly end"), None);

        let http2 = proxy.http2().await;
        let mut exchange = http2.open(&Ask::post("users", "/", "")).await.expect("a stream");
        exchange.send("first", false).expect("an open stream");
        exchange.head().await.expect("a head");
        assert_eq!(exchange.take(5).await, "first");
        exchange.send("second", true).expect("an open stream");
        assert_eq!(exchange.take(6).await, "second");
        assert_eq!(exchange.piece().await.expect("an orderly end"), None);
    }
}

#[tokio::test]
async fn big_bodies_arrive_whole_both_ways() {
    let body = Random::new(7).bytes(5_000_000);
    let sum = Checksum::of(&body);
    for endpoint_http2 in [false, true] {
        let (origin, proxy) = behind(endpoint_http2, Behaviour::Echo).await;
        let sized = Ask::post("users", "/", body.clone());
        let chunked = sized.clone().header("Transfer-Encoding", "chunked");
        for answer in [proxy.ask(&sized).await, proxy.ask(&chunked).await, proxy.ask_http2(&sized).await] {
            let echo = answer.is(200).json();
            assert_eq!((&echo["body"]["length"], &echo["body"]["sum"]), (&5_000_000.into(), &sum.to_string().into()));
        }

        let reply = String::from_utf8_lossy(&body).into_owned();
        origin.now(Behaviour::Reply { status: 200, fields: vec![], body: reply.clone() });
        for answer in [proxy.get("users", "/").await, proxy.ask_http2(&Ask::get("users", "/")).await] {
            assert!(answer.is(200).body == reply.as_bytes(), "the response's body is not what was sent");
        }
    }
}

#[tokio::test]
async fn client_that_goes_away_ends_the_request_at_the_endpoint() {
    for endpoint_http2 in [false, true] {
        let (origin, proxy) = behind(endpoint_http2, Behaviour::Gated).await;
        let mut http1 = proxy.http1().await;
        http1.send(Ask::get("users", "/").to_http1()).await;
        origin.has_requests(1).await;
        drop(http1);
        origin.has_aborted(1).await;

        let http2 = proxy.http2().await;
        let mut exchange = http2.open(&Ask::get("users", "/")).await.expect("a stream");
        origin.has_requests(2).await;
        exchange.cancel();
        origin.has_aborted(2).await;
        assert_eq!(origin.requests(), 2, "nothing is tried again for nobody");
    }
}

#[tokio::test]
async fn client_that_goes_away_in_a_response_ends_it_at_the_endpoint() {
    for endpoint_http2 in [false, true] {
        let (origin, proxy) = behind(endpoint_http2, Behaviour::Parts(vec!["one".into(), "two".into()])).await;
        let mut http1 = proxy.http1().await;
        http1.send(Ask::get("users", "/").to_http1()).await;
        let mut framing = http1.head().await.framing(Framing::UntilClose).expect("framing");
        http1.take(&mut framing, 3).await;
        drop(http1);
        origin.has_aborted(1).await;
        // The endpoint did its part, which counts; who did not hear it all is seen too.
        proxy.metric_is("waypost_service_requests_total", &[("class", "success")], 1.0).await;
        proxy.metric_is("waypost_client_requests_total", &[("class", "success")], 1.0).await;
        let listed = proxy.admin("/requests.json").await.is(200).json();
        assert_eq!(
            (&listed["requests"][0]["status"], &listed["requests"][0]["error"]),
            (&200.into(), &"cancelled".into())
        );
    }
}

#[tokio::test]
async fn upload_that_breaks_off_never_arrives_as_a_whole() {
    for endpoint_http2 in [false, true] {
        let (origin, proxy) = behind(endpoint_http2, Behaviour::Mirror).await;
        for head in ["Content-Length: 100", "Transfer-Encoding: chunked"] {
            let mut client = proxy.http1().await;
            client.send(format!("POST / HTTP/1.1\r\nHost: users\r\n{head}\r\n\r\n")).await;
            client.send(if head.starts_with('C') { b"half".to_vec() } else { chunk(b"half") }).await;
            let mut framing = client.head().await.framing(Framing::UntilClose).expect("framing");
            assert_eq!(client.take(&mut framing, 4).await, "half");
        }
        let http2 = proxy.http2().await;
        let mut exchange = http2.open(&Ask::post("users", "/", "")).await.expect("a stream");
        exchange.send("half", false).expect("an open stream");
        exchange.head().await.expect("a head");
        assert_eq!(exchange.take(4).await, "half");
        exchange.cancel();

        origin.has_aborted(3).await;
        assert!(origin.seen().iter().all(|seen| seen.body.is_none()), "{:?}", origin.seen());
    }
}

#[tokio::test]
async fn one_slow_reader_stalls_no_other_stream() {
    let (origin, proxy) =
        behind(true, Behaviour::Reply { status: 200, fields: vec![], body: "x".repeat(3_000_000) }).await;
    let client = proxy.http2().await;
    let mut slow = client.open(&Ask::get("users", "/")).await.expect("a stream");
    slow.head().await.expect("a head");
    origin.now(Behaviour::Echo);
    for _ in 0..20 {
        client.ask(&Ask::get("users", "/")).await.is(200);
    }
    assert_eq!(slow.take(3_000_000).await.len(), 3_000_000);
}

#[tokio::test]
async fn slow_reader_costs_a_bounded_amount_of_memory() {
    for endpoint_http2 in [false, true] {
        let huge = Behaviour::Reply { status: 200, fields: vec![], body: "x".repeat(60_000_000) };
        let (origin, proxy) = behind(endpoint_http2, huge).await;
        let before = proxy.resident_kib();
        let mut http1 = proxy.http1().await;
        http1.send(Ask::get("users", "/").to_http1()).await;
        http1.head().await;
        let http2 = proxy.http2().await;
        let mut exchange = http2.open(&Ask::get("users", "/")).await.expect("a stream");
        exchange.head().await.expect("a head");
        origin.now(Behaviour::Echo);
        for _ in 0..200 {
            proxy.get("users", "/").await.is(200);
        }
        let grown = proxy.resident_kib().saturating_sub(before);
        assert!(grown < 40_000, "{grown} kB for two readers that do not read");
    }
}

#[tokio::test]
async fn client_that_waits_to_be_encouraged_is() {
    let (origin, proxy) = behind(false, Behaviour::Echo).await;
    let mut client = proxy.http1().await;
    client.send("POST / HTTP/1.1\r\nHost: users\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n").await;
    assert_eq!(client.head().await.words()[1], "100");
    client.send("hello").await;
    let answer = client.answer_to("POST").await.expect("a response");
    assert_eq!(answer.is(200).json()["body"]["length"], 5);

    // A final answer before the body is passed on at once.
    let refusal = "HTTP/1.1 403 No\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
    origin.now(Behaviour::raw_then_close(refusal));
    let mut client = proxy.http1().await;
    client.send("POST / HTTP/1.1\r\nHost: users\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n").await;
    client.answer_to("POST").await.expect("a response").is(403);
}

#[tokio::test]
async fn answer_before_the_end_of_the_request_is_passed_on() {
    let early = "HTTP/1.1 413 Enough\r\ncontent-length: 2\r\nconnection: close\r\n\r\nno";
    let (_origin, proxy) = behind(false, Behaviour::raw(early)).await;
    let mut client = proxy.http1().await;
    client.send("POST / HTTP/1.1\r\nHost: users\r\nTransfer-Encoding: chunked\r\n\r\n").await;
    client.send(chunk(b"some")).await;
    assert_eq!(client.answer_to("POST").await.expect("a response").is(413).text(), "no");
}

#[tokio::test]
async fn refused_upgrade_leaves_an_ordinary_connection() {
    let (origin, proxy) = behind(false, Behaviour::Echo).await;
    let mut client = proxy.http1().await;
    let ask = Ask::get("users", "/").header("Connection", "Upgrade").header("Upgrade", "websocket");
    client.ask(&ask).await.is(200);
    client.ask(&Ask::get("users", "/")).await.is(200);
    assert_eq!(origin.requests(), 2);
}
