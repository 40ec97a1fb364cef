//! Every error of waypost's own says what went wrong: to machines in a word, to people in a sentence.

use std::time::{SystemTime, UNIX_EPOCH};

use integration_tests::origin::BlackHole;
use integration_tests::*;

#[tokio::test]
async fn refused_connection_is_502_connect() {
    let addr = nobody();
    let proxy = Spec::router("out").endpoint("users", addr).start().await;

    for answer in [proxy.get("users", "/").await, proxy.ask(&Ask::post("users", "/", "x")).await] {
        let answer = answer.is_error(502, "connect");
        assert_eq!(answer.header("l5d-retryable"), Some("true"), "nothing reached an endpoint: {answer:?}");
        for word in ["/#/fs/users", &addr.to_string()] {
            assert!(answer.l5d_err().contains(word), "{word}: {answer:?}");
        }
    }
}

#[tokio::test]
async fn connection_not_made_in_time_is_502_connect_timeout() {
    let hole = BlackHole::start().await.expect("a black hole");
    let proxy = Spec::router("out").client("connect_timeout = \"100ms\"").endpoint("users", hole.addr()).start().await;
    let answer = proxy.get("users", "/").await.is_error(502, "connect_timeout");
    assert_eq!(answer.header("l5d-retryable"), Some("true"));
}

#[tokio::test]
async fn handshake_not_made_in_time_is_502_connect_timeout() {
    let ca = Ca::new();
    let silent = Origin::named("silent").silent().start().await;
    let proxy = Spec::router("out")
        .trust("ca", &ca)
        .client("connect_timeout = \"200ms\"")
        .client_at("/#/fs/{service}", &config::static_tls("users.example.com"))
        .endpoint("users", silent.addr())
        .start()
        .await;
    proxy.get("users", "/").await.is_error(502, "connect_timeout");
}

#[tokio::test]
async fn answer_that_takes_too_long_is_504_timeout() {
    let users = Origin::that(Behaviour::Gated).await;
    for (service, client) in [("total_timeout = \"150ms\"", ""), ("", "attempt_timeout = \"150ms\"")] {
        let before = users.aborted();
        let proxy = Spec::router("out").service(service).client(client).endpoint("users", users.addr()).start().await;

        let answer = proxy.get("users", "/").await.is_error(504, "timeout");

        assert_eq!(answer.header("l5d-retryable"), None, "it may have been seen: {service} {client}");
        users.has_aborted(before + 1).await;
    }
}

#[tokio::test]
async fn time_out_refined_by_prefix_holds_for_that_prefix() {
    let slow = Origin::that(Behaviour::Gated).await;
    let fast = Origin::http("fast").await;
    let proxy = Spec::router("out")
        .service("total_timeout = \"15s\"")
        .service_at("/svc/slow", "total_timeout = \"100ms\"")
        .endpoint("slow", slow.addr())
        .endpoint("fast", fast.addr())
        .start()
        .await;
    proxy.get("slow", "/").await.is_error(504, "timeout");
    proxy.get("fast", "/").await.is(200);
}

fn nanos_from_now(offset_millis: i64) -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_nanos();
    let now = i128::try_from(now).expect("before the year 5000");
    format!("{now} {}", now + i128::from(offset_millis) * 1_000_000)
}

#[tokio::test]
async fn deadline_of_the_caller_is_kept() {
    let users = Origin::that(Behaviour::Gated).await;
    let proxy = Spec::router("out").endpoint("users", users.addr()).start().await;

    let past = Ask::get("users", "/").header("l5d-ctx-deadline", &nanos_from_now(-1000));
    proxy.ask(&past).await.is_error(504, "timeout");
    assert_eq!(users.requests(), 0, "what is too late is not sent");

    let short = Ask::get("users", "/").header("l5d-ctx-deadline", &nanos_from_now(300));
    proxy.ask(&short).await.is_error(504, "timeout");
}

#[tokio::test]
async fn deadline_goes_on_lowered_by_our_own_time_out() {
    let users = Origin::http("users").await;
    let proxy = Spec::router("out").service("total_timeout = \"5s\"").endpoint("users", users.addr()).start().await;
    let deadline = |seen: &origin::Seen| -> i128 {
        let text = seen.header("l5d-ctx-deadline").expect("a deadline").to_owned();
        text.split(' ').nth(1).and_then(|nanos| nanos.parse().ok()).expect("two numbers")
    };

    let far = nanos_from_now(3_600_000);
    proxy.ask(&Ask::get("users", "/").header("l5d-ctx-deadline", &far)).await.is(200);
    let far: i128 = far.split(' ').nth(1).and_then(|nanos| nanos.parse().ok()).expect("two numbers");
    assert!(deadline(&users.last()) < far - 3_000_000_000_000, "5 s is earlier than an hour");

    let near = nanos_from_now(4_000);
    proxy.ask(&Ask::get("users", "/").header("l5d-ctx-deadline", &near)).await.is(200);
    let near: i128 = near.split(' ').nth(1).and_then(|nanos| nanos.parse().ok()).expect("two numbers");
    assert_eq!(deadline(&users.last()), near, "4 s is earlier than ours");
}

#[tokio::test]
async fn names_that_cannot_be_bound_have_a_word_each() {
    let users = Origin::http("users").await;
    let proxy = Spec::router("out")
        .dtab(
            "/svc/fail => ! ; /svc/nil => $ ; /svc/loop => /svc/loop ; /svc/neg => ~ ; /svc/none => /#/fs/none ;\n\
             /svc/unknown => /$/no.such.namer ; /svc/fs => /#/fs/nothing ; /svc/ok => /#/fs/users",
        )
        .endpoints("none", &[])
        .endpoint("users", users.addr())
        .start()
        .await;
    for (host, word) in [
        ("fail", "failed"),
        ("nil", "empty"),
        ("loop", "delegation_depth"),
        ("neg", "negative"),
        ("none", "no_endpoints"),
        ("unknown", "namer_error"),
        ("fs", "negative"),
        ("elsewhere", "negative"),
    ] {
        let answer = proxy.get(host, "/").await.is_error(502, word);
        assert!(answer.l5d_err().contains(host), "{answer:?}");
        assert_eq!(answer.header("l5d-retryable"), Some("true"), "{host}");
    }
    proxy.get("ok", "/").await.is(200);
}

#[tokio::test]
async fn static_service_without_endpoints_is_no_endpoints() {
    let proxy = Spec::router("out")
        .namer("kind = \"static\"\nprefix = \"lab\"\n[namers.services]\nusers = []")
        .dtab("/svc => /#/lab")
        .start()
        .await;
    proxy.get("users", "/").await.is_error(502, "no_endpoints");
}

#[tokio::test]
async fn delegation_that_grows_without_end_is_stopped() {
    let users = Origin::http("users").await;
    let proxy = Spec::router("out").endpoint("users", users.addr()).start().await;
    for dtab in ["/svc/users => /svc/users & /svc/users", "/svc/users => /svc/users/x", "/svc => /a ; /a => /svc"] {
        let ask = Ask::get("users", "/").header("l5d-dtab", dtab);
        proxy.ask(&ask).await.is_error(502, "delegation_depth");
    }
    proxy.get("users", "/").await.is(200);
}

#[tokio::test]
async fn malformed_override_is_400_bad_dtab() {
    let users = Origin::http("users").await;
    let proxy = Spec::router("out").endpoint("users", users.addr()).start().await;
    for name in ["l5d-dtab", "l5d-ctx-dtab"] {
        for text in ["/svc/users =>", "/svc users", ";;", "/svc => /a ; => /b"] {
            let answer = proxy.ask(&Ask::get("users", "/").header(name, text)).await.is_error(400, "bad_dtab");
            assert!(answer.l5d_err().contains(name), "{answer:?}");
        }
    }
    assert_eq!(users.requests(), 0);
}

#[tokio::test]
async fn call_depth_is_limited() {
    let users = Origin::http("users").await;
    let proxy = Spec::router("out").server("max_call_depth = 3").endpoint("users", users.addr()).start().await;

    proxy.ask(&Ask::get("users", "/").header("Via", "1.1 a, 1.1 b").header("Via", "1.1 c")).await.is(200);
    let ask = Ask::get("users", "/").header("Via", "1.1 a, 1.1 b").header("Via", "1.1 c, 1.1 d");
    proxy.ask(&ask).await.is_error(400, "call_depth");
    assert_eq!(users.requests(), 1);
}

#[tokio::test]
async fn a_router_that_leads_to_itself_ends_in_call_depth() {
    let port = free_port();
    let proxy = Spec::router("out").server_port(port).dtab(&format!("/svc => /$/inet/127.0.0.1/{port}")).start().await;
    proxy.get("users", "/").await.is_error(400, "call_depth");
}

#[tokio::test]
async fn requests_over_the_limit_are_503_overloaded() {
    let users = Origin::that(Behaviour::Gated).await;
    let proxy = Spec::router("out").server("max_concurrent_requests = 3").endpoint("users", users.addr()).start().await;
    let mut waiting = Vec::new();
    for _ in 0..3 {
        let mut client = proxy.http1().await;
        client.send(Ask::get("users", "/").to_http1()).await;
        waiting.push(client);
    }
    users.has_requests(3).await;

    for _ in 0..4 {
        let answer = proxy.get("users", "/").await.is_error(503, "overloaded");
        assert_eq!(answer.header("l5d-retryable"), Some("true"));
    }
    proxy.ask_http2(&Ask::get("users", "/")).await.is_error(503, "overloaded");
    assert_eq!(users.requests(), 3);

    users.open();
    for mut client in waiting {
        client.answer_to("GET").await.expect("a response").is(200);
    }
    eventually("there is room again", async || match proxy.get("users", "/").await.status() {
        200 => Ok(()),
        other => Err(other.to_string()),
    })
    .await;
}

#[tokio::test]
async fn full_queue_for_connections_is_503_queue_full() {
    let users = Origin::that(Behaviour::Gated).await;
    let proxy = Spec::router("out")
        .workers(1)
        .client("pool = { max_connections = 1, max_waiters = 1 }")
        .endpoint("users", users.addr())
        .start()
        .await;
    let mut first = proxy.http1().await;
    first.send(Ask::get("users", "/").to_http1()).await;
    users.has_requests(1).await;

    // Of two more, one waits and the other is refused, whichever comes first.
    let (mut a, mut b) = (proxy.http1().await, proxy.http1().await);
    a.send(Ask::get("users", "/").to_http1()).await;
    b.send(Ask::get("users", "/").to_http1()).await;
    let (refused, mut waiter) = soon("one is refused", async {
        tokio::select! {
            answer = a.answer_to("GET") => (answer, b),
            answer = b.answer_to("GET") => (answer, a),
        }
    })
    .await;
    let refused = refused.expect("a response").is_error(503, "queue_full");
    assert_eq!(refused.header("l5d-retryable"), Some("true"));

    users.open();
    first.answer_to("GET").await.expect("a response").is(200);
    waiter.answer_to("GET").await.expect("a response").is(200);
    assert_eq!(users.connections(), 1);
}

#[tokio::test]
async fn nonsense_before_a_response_is_502_bad_response() {
    let users = Origin::http("users").await;
    let proxy = Spec::router("out").endpoint("users", users.addr()).start().await;
    for nonsense in [
        "garbage\r\n\r\n",
        "HTTP/1.1 OK\r\n\r\n",
        "HTTP/1.1 200 OK\r\nno colon here\r\n\r\n",
        "HTTP/1.1 200 OK\r\ncontent-length: x\r\n\r\n",
        "HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nab",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked, chunked\r\n\r\n0\r\n\r\n",
        "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n",
        "HTTP/1.1 200 OK\r\n",
        "",
    ] {
        users.now(Behaviour::raw_then_close(nonsense));
        let answer = proxy.http1().await.try_ask(&Ask::post("users", "/", "x")).await;
        let answer = answer.unwrap_or_else(|error| panic!("{nonsense:?}: {error}"));
        assert_eq!((answer.status(), answer.word()), (502, "bad_response"), "{nonsense:?}: {answer:?}");
        assert_eq!(answer.header("l5d-retryable"), None, "it may have been seen: {nonsense:?}");
    }
    users.now(Behaviour::Echo);
    proxy.get("users", "/").await.is(200);
}

#[tokio::test]
async fn response_that_breaks_off_reaches_the_client_broken() {
    let cut = [
        "HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhalf",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\nhalf\r\n",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\nhalf\r\nzz\r\n",
    ];
    let users = Origin::http("users").await;
    let proxy = Spec::router("out").client("protocol = \"http1\"").endpoint("users", users.addr()).start().await;
    for bytes in cut {
        users.now(Behaviour::raw_then_close(bytes));
        let answer = proxy.http1().await.try_ask(&Ask::get("users", "/")).await;
        assert!(answer.is_err(), "over HTTP/1.1: {bytes:?}: {answer:?}");
        let answer = proxy.http2().await.try_ask(&Ask::get("users", "/")).await;
        assert!(answer.is_err(), "over HTTP/2: {bytes:?}: {answer:?}");
    }
}

#[tokio::test]
async fn bytes_after_a_response_never_become_the_next_one() {
    let stolen = "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nfirstHTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\nforged";
    let users = Origin::named("users").plan([Behaviour::raw(stolen), Behaviour::Echo]).start().await;
    let proxy = Spec::router("out").workers(1).endpoint("users", users.addr()).start().await;

    assert_eq!(proxy.get("users", "/").await.is(200).text(), "first");
    for _ in 0..3 {
        assert_eq!(proxy.reaches("users").await, "users");
    }
}

#[tokio::test]
async fn error_texts_are_one_bounded_line() {
    let proxy = Spec::router("out").start().await;
    let host = "x".repeat(5000);
    let answer = proxy.get(&host, "/").await.is_error(502, "negative");
    assert!(!answer.l5d_err().contains('\n'));
    let answer = proxy.get("caf\u{e9}", "/").await;
    assert!((400..=502).contains(&answer.status()), "{answer:?}");
    assert!(answer.header("l5d-err").unwrap_or_default().is_ascii(), "{answer:?}");
}

#[tokio::test]
async fn broken_upload_is_no_failure_of_the_endpoint() {
    for version in ["http1", "http2"] {
        let users = match version {
            "http1" => Origin::http("users").await,
            _ => Origin::named("users").http2().start().await,
        };
        let protocol = format!("protocol = \"{version}\"");
        let proxy = Spec::router("out").client(&protocol).endpoint("users", users.addr()).start().await;
        proxy.get("users", "/").await.is(200);
        for _ in 0..6 {
            let mut client = proxy.http1().await;
            client
                .send("POST / HTTP/1.1\r\nHost: users\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\nzz\r\n")
                .await;
            client.answer_to("POST").await.expect("a response").is_error(400, "bad_request");
        }
        let client = proxy.client("/#/fs/users").await.expect("it was used");
        let endpoint = &client["endpoints"][0];
        assert_eq!((&endpoint["state"], &endpoint["failures"]), (&"alive".into(), &0.into()), "{version}: {endpoint}");
        proxy.get("users", "/").await.is(200);
    }
}

#[tokio::test]
async fn passed_deadline_reaches_nobody_and_says_so() {
    let users = Origin::http("users").await;
    let proxy = Spec::router("out").endpoint("users", users.addr()).start().await;
    let late = proxy.ask(&Ask::get("users", "/").header("l5d-ctx-deadline", "1 2")).await.is_error(504, "timeout");
    assert_eq!(late.header("l5d-retryable"), Some("true"));
    assert_eq!(users.requests(), 0);
}
