//! What of a request's and a response's header goes on, and what does not.

use integration_tests::*;

/// Entries of Via, over all its lines.
fn via(fields: &[&str]) -> Vec<String> {
    fields.iter().flat_map(|line| line.split(',')).map(|entry| entry.trim().to_owned()).collect()
}

#[tokio::test]
async fn via_is_appended_with_the_version_received() {
    let users = Origin::http("users").await;
    let proxy = Spec::router("out").endpoint("users", users.addr()).start().await;
    let ask = Ask::get("users", "/").header("Via", "1.0 fred").header("Via", "1.1 barney");

    proxy.ask(&ask).await.is(200);
    assert_eq!(via(&users.last().headers("via")), ["1.0 fred", "1.1 barney", "1.1 waypost"]);

    proxy.ask_http2(&Ask::get("users", "/")).await.is(200);
    assert_eq!(via(&users.last().headers("via")), ["2 waypost"]);
}

#[tokio::test]
async fn hop_by_hop_fields_end_here_in_both_directions() {
    let hop = "HTTP/1.1 200 OK\r\nConnection: x-hop, keep-alive\r\nX-Hop: 1\r\nKeep-Alive: timeout=5\r\n\
               Proxy-Connection: keep-alive\r\nX-End: 1\r\nContent-Length: 2\r\n\r\nok";
    let users = Origin::that(Behaviour::raw(hop)).await;
    let proxy = Spec::router("out").endpoint("users", users.addr()).start().await;
    let ask = Ask::get("users", "/")
        .header("Connection", "x-hop, close-friend")
        .header("Connection", "x-second")
        .header("X-Hop", "1")
        .header("X-Second", "1")
        .header("Close-Friend", "1")
        .header("Keep-Alive", "timeout=5")
        .header("Proxy-Connection", "keep-alive")
        .header("TE", "gzip")
        .header("Upgrade", "h2c")
        .header("HTTP2-Settings", "AAMAAABkAAQAAP__")
        .header("X-End", "1");

    let answer = proxy.ask(&ask).await.is(200);

    let seen = users.last();
    for name in
        ["x-hop", "x-second", "close-friend", "keep-alive", "proxy-connection", "te", "upgrade", "http2-settings"]
    {
        assert_eq!(seen.header(name), None, "{name} reached the endpoint");
    }
    assert!(!seen.headers("connection").join(",").contains("x-hop"), "{:?}", seen.fields);
    assert_eq!(seen.header("x-end"), Some("1"));
    for name in ["x-hop", "keep-alive", "proxy-connection"] {
        assert_eq!(answer.header(name), None, "{name} reached the client");
    }
    assert_eq!((answer.header("x-end"), answer.text().as_str()), (Some("1"), "ok"));
}

#[tokio::test]
async fn connection_cannot_nominate_what_routing_and_framing_need() {
    let users = Origin::http("users").await;
    let proxy = Spec::router("out").endpoint("users", users.addr()).start().await;
    let ask = Ask::post("users", "/", "hello").header("Connection", "host, content-length, l5d-dst-client");

    let answer = proxy.ask(&ask).await;

    if answer.status() == 200 {
        let seen = users.last();
        assert_eq!(seen.headers("host"), ["users"]);
        assert_eq!(seen.headers("l5d-dst-client"), ["/#/fs/users"]);
        assert_eq!(seen.body.map(|body| body.length), Some(5));
    } else {
        assert_eq!((answer.status(), users.requests()), (400, 0), "refused, or forwarded whole: {answer:?}");
    }
}

#[tokio::test]
async fn end_to_end_fields_keep_their_values_and_order() {
    let reply = "HTTP/1.1 200 OK\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2, c\r\nX-Empty:\r\nContent-Length: 0\r\n\r\n";
    let users = Origin::that(Behaviour::raw(reply)).await;
    let proxy = Spec::router("out").endpoint("users", users.addr()).start().await;
    let ask = Ask::get("users", "/")
        .header("X-A", "1")
        .header("X-A", "2, 3")
        .header("x_under", "4")
        .header("X-Empty", "")
        .header("Accept-Encoding", "gzip;q=1.0");

    let answer = proxy.ask(&ask).await.is(200);

    let seen = users.last();
    assert_eq!(seen.headers("x-a"), ["1", "2, 3"]);
    assert_eq!((seen.header("x_under"), seen.header("x-empty")), (Some("4"), Some("")));
    assert_eq!(seen.header("accept-encoding"), Some("gzip;q=1.0"));
    assert_eq!(answer.headers("set-cookie"), ["a=1", "b=2, c"]);
    assert_eq!(answer.headers("date").len(), 1, "a response without Date gets one");
}

#[tokio::test]
async fn override_of_one_request_moves_it_and_travels_on_as_context() {
    let users = Origin::http("users").await;
    let beta = Origin::http("beta").await;
    let proxy = Spec::router("out").endpoint("users", users.addr()).endpoint("beta", beta.addr()).start().await;
    let ask = Ask::get("users", "/").header("l5d-dtab", "/svc/users => /#/fs/beta");

    assert_eq!(proxy.ask(&ask).await.is(200).json()["origin"], "beta");
    assert_eq!(beta.last().header("l5d-dtab"), None);
    assert_eq!(beta.last().headers("l5d-ctx-dtab"), ["/svc/users=>/#/fs/beta"]);
    assert_eq!(proxy.reaches("users").await, "users", "only that request");
    assert_eq!(users.last().header("l5d-ctx-dtab"), None, "there is no override");
}

#[tokio::test]
async fn context_dtab_is_followed_and_the_override_has_the_last_word() {
    let a = Origin::http("a").await;
    let b = Origin::http("b").await;
    let proxy = Spec::router("out").endpoint("a", a.addr()).endpoint("b", b.addr()).start().await;
    let ask = Ask::get("users", "/").header("l5d-ctx-dtab", "/svc/users => /#/fs/a");

    assert_eq!(proxy.ask(&ask).await.is(200).json()["origin"], "a");
    assert_eq!(a.last().headers("l5d-ctx-dtab"), ["/svc/users=>/#/fs/a"]);

    let ask = ask.header("l5d-dtab", "/svc/users => /#/fs/b");
    assert_eq!(proxy.ask(&ask).await.is(200).json()["origin"], "b");
    assert_eq!(b.last().headers("l5d-ctx-dtab"), ["/svc/users=>/#/fs/a;/svc/users=>/#/fs/b"]);
}

#[tokio::test]
async fn override_is_refused_where_it_is_not_allowed() {
    let users = Origin::http("users").await;
    let beta = Origin::http("beta").await;
    for (ip, keys, origin) in [
        ("0.0.0.0", "", "users"),
        ("127.0.0.1", "overrides = { allow = \"none\" }", "users"),
        ("0.0.0.0", "overrides = { allow = [\"10.0.0.0/8\"] }", "users"),
        ("0.0.0.0", "overrides = { allow = [\"10.0.0.0/8\", \"127.0.0.0/8\"] }", "beta"),
        ("0.0.0.0", "overrides = { allow = \"any\" }", "beta"),
    ] {
        let proxy = Spec::router("out")
            .server_ip(ip)
            .server(keys)
            .endpoint("users", users.addr())
            .endpoint("beta", beta.addr())
            .start()
            .await;
        let ask = Ask::get("users", "/").header("l5d-dtab", "/svc/users => /#/fs/beta");

        assert_eq!(proxy.ask(&ask).await.is(200).json()["origin"], origin, "{ip} {keys}");
        if origin == "users" {
            assert_eq!(users.last().header("l5d-dtab"), None, "a refused override is removed");
            assert_eq!(users.last().header("l5d-ctx-dtab"), None, "a refused override does not travel on");
        }
    }
}

#[tokio::test]
async fn refused_override_is_not_even_read() {
    let users = Origin::http("users").await;
    let proxy =
        Spec::router("out").server("overrides = { allow = \"none\" }").endpoint("users", users.addr()).start().await;
    proxy.ask(&Ask::get("users", "/").header("l5d-dtab", "not a dtab")).await.is(200);
}

#[tokio::test]
async fn clear_context_takes_nothing_from_outside() {
    let users = Origin::http("users").await;
    let beta = Origin::http("beta").await;
    let proxy = Spec::router("out")
        .server("clear_context = true")
        .endpoint("users", users.addr())
        .endpoint("beta", beta.addr())
        .start()
        .await;
    let ask = Ask::get("users", "/")
        .header("l5d-dtab", "/svc/users => /#/fs/beta")
        .header("l5d-ctx-dtab", "/svc/users => /#/fs/beta")
        .header("l5d-ctx-deadline", "1 2")
        .header("l5d-sample", "1.0")
        .header("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
        .header("x-b3-traceid", "463ac35c9f6413ad")
        .header("l5d-anything", "x");

    assert_eq!(proxy.ask(&ask).await.is(200).json()["origin"], "users");

    let seen = users.last();
    for name in ["l5d-dtab", "l5d-ctx-dtab", "l5d-sample", "l5d-anything", "traceparent", "x-b3-traceid"] {
        assert_eq!(seen.header(name), None, "{name}");
    }
}

#[tokio::test]
async fn host_and_context_are_fitted_to_endpoints_outside_the_mesh() {
    let users = Origin::http("users").await;
    let proxy = Spec::router("out")
        .client_at("/#/fs/{service}", "host = \"api.example.com\"\nstrip_context = true")
        .endpoint("users", users.addr())
        .start()
        .await;

    proxy.ask(&Ask::get("users", "/").header("l5d-dtab", "/x => /y")).await.is(200);

    let seen = users.last();
    assert_eq!(seen.headers("host"), ["api.example.com"]);
    let context = seen.fields.iter().any(|(name, _)| name.to_ascii_lowercase().starts_with("l5d-ctx-"));
    assert!(!context, "{:?}", seen.fields);
}

#[tokio::test]
async fn trace_of_the_caller_goes_on() {
    let users = Origin::http("users").await;
    let proxy = Spec::router("out").endpoint("users", users.addr()).start().await;
    let ask = Ask::get("users", "/")
        .header("traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")
        .header("tracestate", "vendor=1");

    proxy.ask(&ask).await.is(200);

    let seen = users.last();
    let parent = seen.header("traceparent").unwrap_or_default();
    assert!(parent.starts_with("00-4bf92f3577b34da6a3ce929d0e0e4736-"), "{parent}");
    assert!(parent.ends_with("-01"), "{parent}");
    assert_eq!(seen.header("tracestate"), Some("vendor=1"));
}
