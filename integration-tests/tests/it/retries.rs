//! What is tried again, and what never is.

use integration_tests::*;

#[tokio::test]
async fn failure_to_connect_goes_to_another_endpoint_for_any_method() {
    let users = Origin::http("users").await;
    // No accrual, so that the dead endpoint is drawn again and again.
    let proxy = Spec::router("out")
        .client("accrual = { kind = \"none\" }")
        .endpoints("users", &[nobody(), users.addr()])
        .start()
        .await;
    for round in 0..20 {
        proxy.get("users", "/").await.is(200);
        let echo = proxy.ask(&Ask::post("users", "/", "hello")).await.is(200).json();
        assert_eq!(echo["body"]["length"], 5, "the body is whole after a retry, round {round}");
    }
    assert_eq!(users.requests(), 40);
}

#[tokio::test]
async fn streamed_body_survives_a_failure_to_connect() {
    let users = Origin::http("users").await;
    let proxy = Spec::router("out")
        .client("accrual = { kind = \"none\" }")
        .endpoints("users", &[nobody(), users.addr()])
        .start()
        .await;
    let big = vec![b'x'; 300_000];
    for _ in 0..10 {
        let ask = Ask::post("users", "/", big.clone()).header("Transfer-Encoding", "chunked");
        let echo = proxy.ask(&ask).await.is(200).json();
        assert_eq!(echo["body"]["length"], 300_000);
    }
}

#[tokio::test]
async fn context_that_one_endpoint_is_not_to_see_reaches_the_next_one() {
    let users = Origin::http("users").await;
    let proxy = Spec::router("out")
        .dtab("/svc/users => /#/fs/outside & /#/fs/inside")
        .client("accrual = { kind = \"none\" }")
        .client_at("/#/fs/outside", "strip_context = true\nhost = \"outside.example.com\"")
        .service(
            "retries = { max_attempts = 50, budget = { min_per_second = 1000 }, \
             backoff = { min = \"1ms\", max = \"1ms\" } }",
        )
        .endpoint("outside", nobody())
        .endpoint("inside", users.addr())
        .start()
        .await;
    for round in 0..20 {
        let ask = Ask::post("users", "/", "hello")
            .header("tracestate", "one=1")
            .header("tracestate", "two=2")
            .header("l5d-dtab", "/x => /y");
        proxy.ask(&ask).await.is(200);
        let seen = users.last();
        assert_eq!(seen.headers("tracestate"), ["one=1", "two=2"], "round {round}");
        assert_eq!(seen.headers("host"), ["users"], "round {round}");
        assert_eq!(seen.headers("l5d-ctx-dtab").len(), 1, "round {round}");
        assert_eq!(seen.headers("l5d-dst-client"), ["/#/fs/inside"], "round {round}");
    }
    let metrics = proxy.metrics().await;
    assert!(
        metrics.sum("waypost_service_retries_total", &[("service", "/svc/users")]) > 0.0,
        "the outside one was never tried"
    );
}

#[tokio::test]
async fn idempotent_request_is_sent_once_more_when_its_connection_dies_before_a_response() {
    for method in ["GET", "HEAD", "PUT", "DELETE", "OPTIONS"] {
        let users = Origin::named("users").plan([Behaviour::Abort, Behaviour::Echo]).start().await;
        let proxy = Spec::router("out").endpoint("users", users.addr()).start().await;
        proxy.ask(&Ask::new(method, "users", "/")).await.is(200);
        assert_eq!(users.requests(), 2, "{method}");
        proxy.metric_is("waypost_service_retries_total", &[("service", "/svc/users")], 1.0).await;
    }
}

#[tokio::test]
async fn it_is_sent_once_more_and_not_twice() {
    let users = Origin::that(Behaviour::Abort).await;
    let proxy = Spec::router("out").endpoint("users", users.addr()).start().await;
    proxy.get("users", "/").await.is_error(502, "bad_response");
    assert_eq!(users.requests(), 2);
}

#[tokio::test]
async fn other_requests_are_never_sent_twice() {
    for ask in [
        Ask::post("users", "/", "x"),
        Ask::new("POST", "users", "/").header("Content-Length", "0"),
        Ask::new("PATCH", "users", "/"),
        Ask { method: "PUT".into(), ..Ask::post("users", "/", "with a body") },
    ] {
        let users = Origin::named("users").plan([Behaviour::Abort, Behaviour::Echo]).start().await;
        let proxy = Spec::router("out").endpoint("users", users.addr()).start().await;
        proxy.ask(&ask).await.is_error(502, "bad_response");
        assert_eq!(users.requests(), 1, "{ask:?}");
    }
}

#[tokio::test]
async fn request_whose_response_has_begun_is_never_sent_twice() {
    let users = Origin::that(Behaviour::raw_then_close("HTTP/1.1 2")).await;
    let proxy = Spec::router("out").endpoint("users", users.addr()).start().await;
    proxy.get("users", "/").await.is_error(502, "bad_response");
    assert_eq!(users.requests(), 1);
}

#[tokio::test]
async fn classifier_says_which_answers_are_tried_again() {
    for (classifier, method, sent) in [
        ("http.non_retryable_5xx", "GET", 1),
        ("http.retryable_read_5xx", "GET", 2),
        ("http.retryable_read_5xx", "PUT", 1),
        ("http.retryable_idempotent_5xx", "PUT", 2),
        ("io.l5d.http.retryableIdempotent5XX", "DELETE", 2),
        ("http.retryable_idempotent_5xx", "POST", 1),
        ("http.all_successful", "GET", 1),
    ] {
        let users = Origin::named("users").plan([Behaviour::status(503), Behaviour::Echo]).start().await;
        let proxy = Spec::router("out")
            .service(&format!("classifier = \"{classifier}\""))
            .endpoint("users", users.addr())
            .start()
            .await;
        let answer = proxy.ask(&Ask::new(method, "users", "/")).await;
        assert_eq!(users.requests(), sent, "{classifier} {method}");
        assert_eq!(answer.status(), if sent == 2 { 200 } else { 503 }, "{classifier} {method}");
    }
}

#[tokio::test]
async fn attempts_are_limited() {
    let users = Origin::that(Behaviour::status(503)).await;
    let proxy = Spec::router("out")
        .service("classifier = \"http.retryable_read_5xx\"\nretries = { max_attempts = 3, backoff = { min = \"1ms\", max = \"2ms\" } }")
        .endpoint("users", users.addr())
        .start()
        .await;
    proxy.get("users", "/").await.is(503);
    assert_eq!(users.requests(), 3);
}

#[tokio::test]
async fn budget_limits_what_all_requests_try_again() {
    let users = Origin::that(Behaviour::status(503)).await;
    // It starts with min_per_second x ttl = 5, and gains next to nothing in the time of a test.
    let budget = "{ ratio = 0.0, min_per_second = 0.1, ttl = \"50s\" }";
    let proxy = Spec::router("out")
        .service(&format!(
            "classifier = \"http.retryable_read_5xx\"\n\
             retries = {{ budget = {budget}, max_attempts = 2, backoff = {{ min = \"1ms\", max = \"2ms\" }} }}"
        ))
        .endpoint("users", users.addr())
        .start()
        .await;
    for _ in 0..40 {
        proxy.get("users", "/").await.is(503);
    }
    let retries = users.requests() - 40;
    assert!((5..=7).contains(&retries), "{retries} retries of a budget of 5 for the whole process");
}

#[tokio::test]
async fn answer_marked_retryable_is_tried_again_whatever_the_method() {
    let reply =
        Behaviour::Reply { status: 503, fields: vec![("l5d-retryable".into(), "true".into())], body: String::new() };
    let users = Origin::named("users").plan([reply, Behaviour::Echo]).start().await;
    let proxy = Spec::router("out").endpoint("users", users.addr()).start().await;
    proxy.ask(&Ask::new("POST", "users", "/")).await.is(200);
    assert_eq!(users.requests(), 2);
}
