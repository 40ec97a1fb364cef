//! HTTP/2 on either side, and what is translated between the two versions.

use integration_tests::*;

fn trailing(status: &str) -> Behaviour {
    Behaviour::Trailers {
        fields: vec![("content-type".into(), "application/grpc".into())],
        body: "\0\0\0\0\u{2}hi".into(),
        trailers: vec![("grpc-status".into(), status.into()), ("grpc-message".into(), "told".into())],
    }
}

#[tokio::test]
async fn protocol_key_decides_what_the_endpoint_is_spoken_to_in() {
    for (protocol, client_http2, endpoint_http2) in [
        ("auto", false, false),
        ("auto", true, true),
        ("match", false, false),
        ("match", true, true),
        ("http1", true, false),
        ("http2", false, true),
    ] {
        let users = Origin::named("users");
        let users = if endpoint_http2 { users.http2() } else { users.http1() }.start().await;
        let proxy = Spec::router("out")
            .client(&format!("protocol = \"{protocol}\""))
            .endpoint("users", users.addr())
            .start()
            .await;
        let ask = Ask::post("users", "/x?y", "hello");

        let answer = if client_http2 { proxy.ask_http2(&ask).await } else { proxy.ask(&ask).await };

        let echo = answer.is(200).json();
        let version = if endpoint_http2 { "HTTP/2.0" } else { "HTTP/1.1" };
        assert_eq!(echo["version"], version, "{protocol}, client http2: {client_http2}");
        assert_eq!((&echo["body"]["length"], &echo["target"]), (&5.into(), &"/x?y".into()));
        let seen = users.last();
        let authority = seen.header(":authority").or_else(|| seen.header("host"));
        assert_eq!(authority, Some("users"), "the request's authority, not the endpoint's: {:?}", seen.fields);
        assert_eq!(seen.header("l5d-dst-client"), Some("/#/fs/users"));
    }
}

#[tokio::test]
async fn trailers_pass_in_both_directions() {
    let users = Origin::named("users").http2().plan([trailing("0")]).start().await;
    let proxy = Spec::router("out").endpoint("users", users.addr()).start().await;
    let client = proxy.http2().await;
    let ask =
        Ask::post("users", "/pkg.Service/Call", "").header("content-type", "application/grpc").header("te", "trailers");
    let mut exchange = client.open(&ask).await.expect("a stream");
    exchange.send("\0\0\0\0\u{2}hi", false).expect("room");
    exchange
        .send_trailers([("x-sum".parse().expect("a name"), "7".parse().expect("a value"))].into_iter().collect())
        .expect("trailers");

    let answer = exchange.answer().await.expect("a response");

    assert_eq!((answer.trailer("grpc-status"), answer.trailer("grpc-message")), (Some("0"), Some("told")));
    assert_eq!(answer.body, b"\0\0\0\0\x02hi");
    let body = users.last().body.expect("the whole request");
    assert_eq!(body.trailers, [("x-sum".to_owned(), "7".to_owned())]);
    assert_eq!(users.last().header("te"), Some("trailers"), "gRPC needs it");
}

#[tokio::test]
async fn trailers_only_answer_arrives_unchanged() {
    let reply = Behaviour::Reply {
        status: 200,
        fields: vec![("content-type".into(), "application/grpc".into()), ("grpc-status".into(), "5".into())],
        body: String::new(),
    };
    let users = Origin::named("users").http2().plan([reply]).start().await;
    let proxy = Spec::router("out").endpoint("users", users.addr()).start().await;
    let answer = proxy.ask_http2(&Ask::post("users", "/a/b", "x").header("content-type", "application/grpc")).await;
    assert_eq!((answer.status(), answer.header("grpc-status")), (200, Some("5")));
}

#[tokio::test]
async fn trailers_are_translated_between_the_versions() {
    let http1 = Origin::that(trailing("3")).await;
    let proxy = Spec::router("out").client("protocol = \"http1\"").endpoint("users", http1.addr()).start().await;
    assert_eq!(proxy.ask_http2(&Ask::get("users", "/")).await.is(200).trailer("grpc-status"), Some("3"));

    // HTTP/1.1 names its trailers beforehand, so the endpoint has to.
    let Behaviour::Trailers { mut fields, body, trailers } = trailing("4") else { return };
    fields.push(("trailer".into(), "grpc-status, grpc-message".into()));
    let announced = Behaviour::Trailers { fields, body, trailers };
    let http2 = Origin::named("users").http2().plan([announced]).start().await;
    let proxy = Spec::router("out").client("protocol = \"http2\"").endpoint("users", http2.addr()).start().await;
    let answer = proxy.ask(&Ask::get("users", "/").header("TE", "trailers")).await.is(200);
    assert_eq!(answer.trailer("grpc-status"), Some("4"));
}

#[tokio::test]
async fn errors_are_real_responses_not_resets() {
    let dead = nobody();
    let resetting = Origin::named("resetting").http2().plan([Behaviour::Abort]).start().await;
    let slow = Origin::named("slow").http2().plan([Behaviour::Gated]).start().await;
    let proxy = Spec::router("out")
        .service_at("/svc/slow", "total_timeout = \"100ms\"")
        .endpoint("dead", dead)
        .endpoint("resetting", resetting.addr())
        .endpoint("slow", slow.addr())
        .start()
        .await;
    for (host, status, word) in [
        ("nobody", 502, "negative"),
        ("dead", 502, "connect"),
        ("resetting", 502, "bad_response"),
        ("slow", 504, "timeout"),
    ] {
        proxy.ask_http2(&Ask::post(host, "/", "x")).await.is_error(status, word);
    }
    proxy.ask_http2(&Ask::get("x", "/").header("l5d-dtab", "=")).await.is_error(400, "bad_dtab");
    slow.has_aborted(1).await;
}

#[tokio::test]
async fn grpc_callers_get_a_grpc_status() {
    let dead = nobody();
    let slow = Origin::named("slow").http2().plan([Behaviour::Gated]).start().await;
    let proxy = Spec::router("out")
        .service_at("/svc/slow", "total_timeout = \"100ms\"")
        .endpoint("dead", dead)
        .endpoint("slow", slow.addr())
        .start()
        .await;
    for host in ["dead", "slow", "nobody"] {
        for content_type in ["application/grpc", "application/grpc+proto"] {
            let ask =
                Ask::post(host, "/pkg.Service/Call", "x").header("content-type", content_type).header("te", "trailers");
            let answer = proxy.ask_http2(&ask).await.is(200);
            let status = answer.grpc("grpc-status").unwrap_or_default();
            assert!(status.parse().is_ok_and(|code: u8| (1..=16).contains(&code)), "{host}: {answer:?}");
            let message = answer.grpc("grpc-message");
            assert!(message.is_some_and(|text| !text.is_empty()), "{host}: {answer:?}");
            assert!(
                answer.header("content-type").is_some_and(|kind| kind.starts_with("application/grpc")),
                "{answer:?}"
            );
        }
    }
}

#[tokio::test]
async fn grpc_deadline_exceeded_and_unavailable_are_told_apart() {
    let dead = nobody();
    let slow = Origin::named("slow").http2().plan([Behaviour::Gated]).start().await;
    let proxy = Spec::router("out")
        .service_at("/svc/slow", "total_timeout = \"100ms\"")
        .endpoint("dead", dead)
        .endpoint("slow", slow.addr())
        .start()
        .await;
    for (host, expected) in [("dead", "14"), ("slow", "4")] {
        let answer = proxy.ask_http2(&Ask::post(host, "/a/b", "x").header("content-type", "application/grpc")).await;
        assert_eq!(answer.grpc("grpc-status"), Some(expected), "{host}");
    }
}

#[tokio::test]
async fn many_streams_share_a_connection_on_both_sides() {
    let users = Origin::named("users").http2().plan([Behaviour::Gated]).start().await;
    let proxy = Spec::router("out").workers(1).endpoint("users", users.addr()).start().await;
    let client = proxy.http2().await;
    let mut open = Vec::new();
    for _ in 0..50 {
        open.push(client.open(&Ask::get("users", "/")).await.expect("a stream"));
    }
    users.has_requests(50).await;
    users.open();
    for mut exchange in open {
        exchange.answer().await.expect("a response").is(200);
    }
    assert_eq!(users.connections(), 1);
}

#[tokio::test]
async fn cookie_crumbs_are_joined_for_http1() {
    let users = Origin::http("users").await;
    let proxy = Spec::router("out").client("protocol = \"http1\"").endpoint("users", users.addr()).start().await;
    let ask = Ask::get("users", "/").header("cookie", "a=1").header("cookie", "b=2");
    proxy.ask_http2(&ask).await.is(200);
    assert_eq!(users.last().headers("cookie"), ["a=1; b=2"]);
}

#[tokio::test]
async fn response_fields_of_http1_fit_http2() {
    let reply = "HTTP/1.1 200 Fine\r\nX-Upper: Case\r\nConnection: keep-alive, x-gone\r\nX-Gone: 1\r\nKeep-Alive: timeout=1\r\n\
                 Set-Cookie: a=1\r\nSet-Cookie: b=2\r\nContent-Length: 2\r\n\r\nok";
    let users = Origin::that(Behaviour::raw(reply)).await;
    let proxy = Spec::router("out").client("protocol = \"http1\"").endpoint("users", users.addr()).start().await;
    let answer = proxy.ask_http2(&Ask::get("users", "/")).await.is(200);
    assert_eq!((answer.header("x-upper"), answer.text().as_str()), (Some("Case"), "ok"));
    assert_eq!(answer.headers("set-cookie"), ["a=1", "b=2"]);
    for gone in ["connection", "keep-alive", "x-gone", "transfer-encoding"] {
        assert_eq!(answer.header(gone), None, "{gone}");
    }
}

#[tokio::test]
async fn head_and_empty_statuses_have_no_body() {
    let users = Origin::http("users").await;
    let proxy = Spec::router("out").client("protocol = \"http1\"").endpoint("users", users.addr()).start().await;
    for (method, reply) in [
        ("HEAD", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n"),
        ("GET", "HTTP/1.1 204 No Content\r\n\r\n"),
        ("GET", "HTTP/1.1 304 Not Modified\r\nETag: \"x\"\r\nContent-Length: 5\r\n\r\n"),
    ] {
        users.now(Behaviour::raw(reply));
        let ask = Ask::new(method, "users", "/");
        let mut http1 = proxy.http1().await;
        assert_eq!(http1.ask(&ask).await.text(), "", "{reply:?}");
        // The connection is in step: another exchange on it is fine.
        http1.ask(&ask).await;
        assert_eq!(proxy.ask_http2(&ask).await.text(), "", "{reply:?}");
    }
}

#[tokio::test]
async fn authority_that_is_missing_or_forged_is_refused() {
    let users = Origin::http("users").await;
    let proxy = Spec::router("out").client("protocol = \"http1\"").endpoint("users", users.addr()).start().await;
    let client = proxy.http2().await;
    match client.try_ask(&Ask::get("users", "/").header("host", "other")).await {
        Ok(answer) if answer.status() == 200 => assert_eq!(users.last().headers("host"), ["users"]),
        Ok(answer) => drop(answer.is(400)),
        Err(_) => {}
    }
    if let Ok(answer) = client.try_ask(&Ask::get("me@users", "/")).await {
        answer.is(400);
    }
}

#[tokio::test]
async fn server_connections_are_counted_by_protocol() {
    let users = Origin::http("users").await;
    let proxy = Spec::router("out").client("protocol = \"http1\"").endpoint("users", users.addr()).start().await;
    let mut http1 = proxy.http1().await;
    http1.ask(&Ask::get("users", "/")).await.is(200);
    let http2 = proxy.http2().await;
    http2.ask(&Ask::get("users", "/")).await.is(200);
    for protocol in ["http1", "http2"] {
        proxy.metric_is("waypost_server_connections", &[("protocol", protocol)], 1.0).await;
    }
    drop((http1, http2));
    proxy.metric_is("waypost_server_connections", &[], 0.0).await;
}

#[tokio::test]
async fn an_answer_before_the_end_of_an_upload_arrives() {
    let users = Origin::http("users").await;
    let proxy = Spec::router("out").server("max_body_bytes = \"1KiB\"").endpoint("users", users.addr()).start().await;
    let dir = tempfile::tempdir().expect("a temporary directory can be made");
    let file = dir.path().join("upload");
    std::fs::write(&file, vec![b'x'; 10 << 20]).expect("a file can be written");
    let (data, url) = (format!("@{}", file.display()), format!("http://{}/", proxy.addr()));
    let args = ["-H", "Host: users", "-H", "Expect:", "--http2-prior-knowledge", "--data-binary", &data, &url];
    curl(&args).await.ok().is(413);
}

#[tokio::test]
async fn a_burst_makes_no_more_connections_than_its_streams_need() {
    let users = Origin::named("users").http2().plan([Behaviour::Gated]).start().await;
    let proxy = Spec::router("out")
        .workers(1)
        .client("protocol = \"http2\"\nmax_concurrent_streams = 25")
        .endpoint("users", users.addr())
        .start()
        .await;
    let client = proxy.http2().await;
    let mut exchanges = Vec::new();
    for _ in 0..100 {
        exchanges.push(client.open(&Ask::get("users", "/")).await.expect("a stream"));
    }
    users.has_requests(100).await;
    users.open();
    for exchange in &mut exchanges {
        assert_eq!(exchange.head().await.expect("a head").0, 200);
    }
    assert_eq!(users.connections(), 4);
}
