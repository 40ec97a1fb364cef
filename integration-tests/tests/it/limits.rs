//! What a client may ask for has a limit: at it is served, one over is refused.

use integration_tests::frames::kind::{DATA, HEADERS, RST_STREAM};
use integration_tests::frames::{END_HEADERS, END_STREAM, Ended, RawHttp2, frame, request};
use integration_tests::*;

/// Sends raw bytes; gives the status of the response and whether the connection was closed after it.
async fn status_of(proxy: &TestProxy, bytes: &[u8]) -> u16 {
    let mut client = proxy.http1().await;
    // The proxy may answer and close before it has taken everything.
    let _sent = client.try_send(bytes).await;
    client.answer_to("GET").await.expect("a response").status()
}

#[tokio::test]
async fn head_that_takes_too_long_is_408_and_the_connection_closed() {
    let users = Origin::http("users").await;
    let proxy = Spec::router("out").server("head_timeout = \"200ms\"").endpoint("users", users.addr()).start().await;

    let mut client = proxy.http1().await;
    client.send("GET / HTTP/1.1\r\nHost: us").await;
    client.answer_to("GET").await.expect("a response").is(408);
    assert!(client.until_closed().await.is_empty());

    let mut client = proxy.http1().await;
    client.ask(&Ask::get("users", "/")).await.is(200);
    client.send("GET / HTTP/1.1\r\nHost: us").await;
    client.answer_to("GET").await.expect("a response").is(408);
    assert_eq!(users.requests(), 1);
}

#[tokio::test]
async fn idle_connection_is_closed() {
    let users = Origin::http("users").await;
    let proxy = Spec::router("out").server("idle_timeout = \"200ms\"").endpoint("users", users.addr()).start().await;
    let mut http1 = proxy.http1().await;
    http1.ask(&Ask::get("users", "/")).await.is(200);
    let mut http2 = proxy.http2().await;
    http2.ask(&Ask::get("users", "/")).await.is(200);

    assert!(http1.until_closed().await.is_empty());
    http2.closed().await;
}

#[tokio::test]
async fn slow_request_is_not_idle() {
    let users = Origin::that(Behaviour::Gated).await;
    let proxy = Spec::router("out")
        .server("idle_timeout = \"100ms\"\nhead_timeout = \"100ms\"")
        .endpoint("users", users.addr())
        .endpoint("fast", users.addr())
        .start()
        .await;
    let mut client = proxy.http1().await;
    client.send(Ask::get("users", "/").to_http1()).await;
    users.has_requests(1).await;
    // Another connection's time out shows that this one's has passed, too.
    let mut idle = proxy.http1().await;
    idle.send("GET").await;
    idle.answer_to("GET").await.expect("a response").is(408);
    users.open();
    client.answer_to("GET").await.expect("a response").is(200);
}

#[tokio::test]
async fn head_over_its_size_is_431() {
    let users = Origin::http("users").await;
    let proxy = Spec::router("out").server("max_head_bytes = \"8KiB\"").endpoint("users", users.addr()).start().await;

    proxy.ask(&Ask::get("users", "/").header("X-Big", &"x".repeat(7 * 1024))).await.is(200);
    for filler in [9 * 1024, 200 * 1024] {
        let big = Ask::get("users", "/").header("X-Big", &"x".repeat(filler)).to_http1();
        assert_eq!(status_of(&proxy, &big).await, 431, "{filler}");
    }
    assert_eq!(users.requests(), 1);
}

#[tokio::test]
async fn default_head_limit_is_64_kib() {
    let users = Origin::http("users").await;
    let proxy = Spec::router("out").endpoint("users", users.addr()).start().await;
    proxy.ask(&Ask::get("users", "/").header("X-Big", &"x".repeat(63 * 1024))).await.is(200);
    let big = Ask::get("users", "/").header("X-Big", &"x".repeat(65 * 1024)).to_http1();
    assert_eq!(status_of(&proxy, &big).await, 431);
}

#[tokio::test]
async fn head_may_be_as_long_as_the_limit_says() {
    let users = Origin::http("users").await;
    let proxy = Spec::router("out").server("max_head_bytes = \"1MiB\"").endpoint("users", users.addr()).start().await;
    let big = "x".repeat(900 * 1024);
    proxy.ask(&Ask::get("users", "/").header("X-Big", &big)).await.is(200);
    assert_eq!(users.last().header("x-big").map(str::len), Some(big.len()));
}

#[tokio::test]
async fn too_many_fields_are_431() {
    let users = Origin::http("users").await;
    let proxy = Spec::router("out").server("max_headers = 10").endpoint("users", users.addr()).start().await;
    let with = |count: usize| (0..count).fold(Ask::get("users", "/"), |ask, n| ask.header(&format!("X-{n}"), "1"));

    // Host is the tenth.
    proxy.ask(&with(9)).await.is(200);
    assert_eq!(status_of(&proxy, &with(10).to_http1()).await, 431);
    assert_eq!(users.requests(), 1);
}

#[tokio::test]
async fn http2_heads_have_the_same_limits() {
    let users = Origin::http("users").await;
    let proxy = Spec::router("out")
        .server("max_head_bytes = \"8KiB\"\nmax_headers = 20")
        .endpoint("users", users.addr())
        .start()
        .await;
    proxy.ask_http2(&Ask::get("users", "/").header("x-big", &"x".repeat(7 * 1024))).await.is(200);
    for ask in [
        Ask::get("users", "/").header("x-big", &"x".repeat(9 * 1024)),
        (0..40).fold(Ask::get("users", "/"), |ask, n| ask.header(&format!("x-{n}"), "1")),
    ] {
        if let Ok(answer) = proxy.http2().await.try_ask(&ask).await {
            answer.is(431);
        }
    }
    assert_eq!(users.requests(), 1);
}

#[tokio::test]
async fn target_that_is_too_long_is_414() {
    let users = Origin::http("users").await;
    let proxy = Spec::router("out").endpoint("users", users.addr()).start().await;
    proxy.get("users", &format!("/{}", "x".repeat(15 * 1024))).await.is(200);
    let long = Ask::get("users", &format!("/{}", "x".repeat(40 * 1024))).to_http1();
    assert_eq!(status_of(&proxy, &long).await, 414);
    assert_eq!(users.requests(), 1);
}

#[tokio::test]
async fn body_over_its_limit_is_413() {
    let users = Origin::http("users").await;
    let proxy = Spec::router("out").server("max_body_bytes = \"1KiB\"").endpoint("users", users.addr()).start().await;
    for chunked in [false, true] {
        let ask = |length: usize| {
            let ask = Ask::post("users", "/", vec![b'x'; length]);
            if chunked { ask.header("Transfer-Encoding", "chunked") } else { ask }
        };
        proxy.ask(&ask(1024)).await.is(200);
        assert_eq!(status_of(&proxy, &ask(1025).to_http1()).await, 413, "chunked: {chunked}");
    }
    let whole = users.seen().iter().filter(|seen| seen.body.is_some()).count();
    assert_eq!(whole, 2, "no body over the limit reaches an endpoint whole");
}

#[tokio::test]
async fn streams_of_a_connection_are_limited() {
    let users = Origin::that(Behaviour::Gated).await;
    let proxy = Spec::router("out")
        .server("http2 = { max_concurrent_streams = 2 }")
        .endpoint("users", users.addr())
        .start()
        .await;
    let client = proxy.http2().await;
    let mut open = Vec::new();
    // The client learns the limit with the first settings: what it opened before may be refused, nothing else.
    let mut first = client.open(&Ask::get("users", "/")).await.expect("a stream");
    users.has_requests(1).await;
    first.cancel();
    users.has_aborted(1).await;
    for _ in 0..2 {
        open.push(client.open(&Ask::get("users", "/")).await.expect("a stream"));
    }
    users.has_requests(3).await;
    users.open();
    for mut exchange in open {
        assert_eq!(exchange.answer().await.expect("a response").status(), 200);
    }
}

/// Uploads that are answered early, one after the other: the first and the last do not end of themselves. Gives which of
/// them is reset first.
async fn first_reset_of_early_answers(proxy: &TestProxy) -> u32 {
    let mut client = RawHttp2::connect(proxy.addr()).await;
    for stream in [1, 3, 5, 7, LAST] {
        client.send(&frame(HEADERS, END_HEADERS, stream, &request("POST", "users", &[]))).await;
        assert_eq!(client.ended(stream).await, Ended::Answer(404), "{stream}");
        if stream != 1 && stream != LAST {
            client.send(&frame(DATA, END_STREAM, stream, &[])).await;
        }
    }
    loop {
        let frame = client.next().await.expect("an open connection");
        if frame.kind == RST_STREAM {
            return frame.stream;
        }
    }
}
const LAST: u32 = 9;

#[tokio::test]
async fn early_answers_that_are_waited_for_are_limited() {
    let answer = "HTTP/1.1 404 No\r\ncontent-length: 2\r\nconnection: close\r\n\r\nno";
    let users = Origin::named("users").http1().start().await;
    users.now(Behaviour::Raw(vec![Step::send(answer), Step::Close]));
    let proxy = Spec::router("out")
        .server("http2 = { max_concurrent_streams = 2 }")
        .endpoint("users", users.addr())
        .start()
        .await;
    // The first is reset a second after its answer: on a slow machine the last may have come later than that.
    for _ in 0..20 {
        if first_reset_of_early_answers(&proxy).await == LAST {
            return;
        }
    }
    panic!("one that comes when two are waited for is waited for as long as they");
}

#[tokio::test]
async fn requests_that_two_readers_could_see_differently_reach_nobody() {
    let users = Origin::http("users").await;
    let proxy = Spec::router("out").endpoint("users", users.addr()).start().await;
    for (bytes, statuses) in [
        ("GET / HTTP/1.1\r\n\r\n", &[400][..]),
        ("GET / HTTP/1.1\r\nHost: users\r\nHost: users\r\n\r\n", &[400]),
        ("GET / HTTP/1.1\r\nHost: us ers\r\n\r\n", &[400]),
        ("GET / HTTP/1.1\r\nHost: me@users\r\n\r\n", &[400]),
        ("GET / HTTP/1.1\r\nHost: users/x\r\n\r\n", &[400]),
        ("GET / HTTP/1.1\r\nHost : users\r\n\r\n", &[400]),
        ("GET / HTTP/1.1\r\nHost: users\r\nX: a\r\n b\r\n\r\n", &[200, 400]),
        ("GET users HTTP/1.1\r\nHost: users\r\n\r\n", &[400]),
        ("GET * HTTP/1.1\r\nHost: users\r\n\r\n", &[400]),
        ("GET /a b HTTP/1.1\r\nHost: users\r\n\r\n", &[400]),
        ("CONNECT users:80 HTTP/1.1\r\nHost: users:80\r\n\r\n", &[400, 405, 501]),
        ("GET / HTTP/3.0\r\nHost: users\r\n\r\n", &[400, 505]),
        ("G@T / HTTP/1.1\r\nHost: users\r\n\r\n", &[400]),
        ("POST / HTTP/1.1\r\nHost: users\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab", &[400]),
        ("POST / HTTP/1.1\r\nHost: users\r\nContent-Length: 1, 2\r\n\r\nab", &[400]),
        ("POST / HTTP/1.1\r\nHost: users\r\nContent-Length: +1\r\n\r\na", &[400]),
        ("POST / HTTP/1.1\r\nHost: users\r\nContent-Length: 0x1\r\n\r\na", &[400]),
        ("POST / HTTP/1.1\r\nHost: users\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", &[400, 501]),
        (
            "POST / HTTP/1.1\r\nHost: users\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            &[400, 501],
        ),
        ("POST / HTTP/1.1\r\nHost: users\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n", &[400, 501]),
    ] {
        let before = users.requests();
        let status = status_of(&proxy, bytes.as_bytes()).await;
        assert!(statuses.contains(&status), "{bytes:?}: {status}, not one of {statuses:?}");
        assert!(status == 200 || users.requests() == before, "{bytes:?} reached the endpoint");
    }
    proxy.get("users", "/").await.is(200);
}

#[tokio::test]
async fn message_with_two_framings_is_refused_or_ends_its_connection() {
    let users = Origin::http("users").await;
    let proxy = Spec::router("out").endpoint("users", users.addr()).start().await;
    let mut client = proxy.http1().await;
    let twice = "POST / HTTP/1.1\r\nHost: users\r\nTransfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n0\r\n\r\n";
    client.send(format!("{twice}GET /smuggled HTTP/1.1\r\nHost: users\r\n\r\n")).await;

    let answer = client.answer_to("POST").await.expect("a response");

    if answer.status() == 200 {
        assert_eq!(users.seen()[0].header("content-length"), None, "one framing goes on");
    } else {
        answer.is(400);
    }
    assert!(client.until_closed().await.is_empty(), "nothing more is read from that connection");
    assert!(users.seen().iter().all(|seen| seen.target != "/smuggled"), "{:?}", users.seen());
}

#[tokio::test]
async fn body_with_a_faulty_chunk_never_arrives_whole() {
    let users = Origin::http("users").await;
    let proxy = Spec::router("out").endpoint("users", users.addr()).start().await;
    for body in
        ["3\r\nabcd\r\n0\r\n\r\n", "-1\r\na\r\n0\r\n\r\n", "ffffffffffffffffff\r\na\r\n", "3\nabc\n0\n\n", "x\r\n"]
    {
        let mut client = proxy.http1().await;
        let head = "POST / HTTP/1.1\r\nHost: users\r\nTransfer-Encoding: chunked\r\n\r\n";
        let _sent = client.try_send(format!("{head}{body}").as_bytes()).await;
        let answer = client.answer_to("POST").await;
        assert!(answer.as_ref().map_or(true, |answer| answer.status() >= 400), "{body:?}: {answer:?}");
    }
    assert!(users.seen().iter().all(|seen| seen.body.is_none()), "{:?}", users.seen());
}

#[tokio::test]
async fn expectation_other_than_continue_is_417() {
    let users = Origin::http("users").await;
    let proxy = Spec::router("out").endpoint("users", users.addr()).start().await;
    let ask = Ask::get("users", "/").header("Expect", "a-miracle").to_http1();
    assert_eq!(status_of(&proxy, &ask).await, 417);
}

/// 16,384 routes for each of two workers is the most that any of the tables holds.
fn assert_caches_are_bounded(metrics: &metrics::Metrics) {
    for sample in metrics.matching("waypost_cache_entries", &[]) {
        assert!(sample.value <= 2.0 * 16_384.0, "{sample:?}");
    }
}

#[tokio::test]
async fn flood_of_hosts_costs_other_tenants_nothing() {
    let users = Origin::http("users").await;
    let proxy = Spec::router("out")
        .dtab("/svc => /#/fs/users ; /svc/nobody => !")
        .endpoint("users", users.addr())
        .start()
        .await;
    proxy.get("tenant", "/").await.is(200);
    let mut flood = proxy.http1().await;
    for n in 0..1500 {
        flood.ask(&Ask::get(&format!("flood-{n}"), "/")).await.is(200);
        if n % 100 == 0 {
            proxy.get("tenant", "/").await.is(200);
        }
    }
    proxy.get("tenant", "/").await.is(200);

    let metrics = proxy.metrics().await;
    assert!(metrics.has("waypost_cache_entries"), "the caches are measured");
    assert_caches_are_bounded(&metrics);
    let services: Vec<_> =
        metrics.matching("waypost_service_requests_total", &[]).filter_map(|s| s.label("service")).collect();
    assert!(services.len() <= 1100 * 2, "{} labels", services.len());
    assert!(services.contains(&"other"), "what is over the bound is counted as other");
}

#[tokio::test]
async fn flood_of_unknown_hosts_makes_no_labels() {
    let users = Origin::http("users").await;
    let proxy = Spec::router("out").endpoint("users", users.addr()).start().await;
    let mut flood = proxy.http1().await;
    for n in 0..1200 {
        flood.ask(&Ask::get(&format!("unknown-{n}"), "/")).await.is(502);
    }
    proxy.get("users", "/").await.is(200);
    proxy.metric_is("waypost_service_requests_total", &[("service", "/svc/users"), ("class", "success")], 1.0).await;
    let metrics = proxy.metrics().await;
    let named = metrics.matching("waypost_service_requests_total", &[]).filter_map(|s| s.label("service"));
    let unknown: Vec<_> = named.filter(|service| service.starts_with("/svc/unknown")).collect();
    assert!(unknown.is_empty(), "a name gets a label only once it has bound: {unknown:?}");
}

#[tokio::test]
async fn flood_of_overrides_costs_other_tenants_nothing() {
    let users = Origin::http("users").await;
    let proxy = Spec::router("out").endpoint("users", users.addr()).start().await;
    let mut flood = proxy.http1().await;
    for n in 0..1200 {
        let dtab = format!("/x-{n} => /y");
        flood.ask(&Ask::get("users", "/").header("l5d-dtab", &dtab)).await.is(200);
    }
    proxy.get("users", "/").await.is(200);
    let metrics = proxy.metrics().await;
    assert_caches_are_bounded(&metrics);
    assert!(metrics.sum("waypost_cache_evictions_total", &[]) >= 1.0, "what is over is evicted, and counted");
}

#[tokio::test]
async fn slow_head_on_a_kept_connection_is_408_too() {
    let users = Origin::http("users").await;
    let proxy = Spec::router("out")
        .server("idle_timeout = \"1h\"\nhead_timeout = \"200ms\"")
        .endpoint("users", users.addr())
        .start()
        .await;
    let mut client = proxy.http1().await;
    client.ask(&Ask::get("users", "/")).await.is(200);
    client.send("GET / HT").await;
    client.answer_to("GET").await.expect("a response").is(408);
    assert_eq!(users.requests(), 1);
}

#[tokio::test]
async fn http2_peer_that_says_nothing_more_is_closed() {
    let users = Origin::http("users").await;
    let proxy = Spec::router("out")
        .server("idle_timeout = \"200ms\"\nhead_timeout = \"200ms\"")
        .endpoint("users", users.addr())
        .start()
        .await;
    let preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
    let settings = [0, 0, 0, 4, 0, 0, 0, 0, 0];
    // HEADERS for stream 1 without END_HEADERS, and nothing after it.
    let half_a_head = [0, 0, 1, 1, 0, 0, 0, 0, 1, 0x82];
    for rest in [&[][..], &settings, &[&settings[..], &half_a_head].concat()] {
        let mut silent = proxy.http1().await;
        silent.send([&preface[..], rest].concat()).await;
        silent.until_closed().await;
    }
    proxy.metric_is("waypost_server_connections", &[("protocol", "http2")], 0.0).await;
}
