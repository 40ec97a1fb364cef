//! Two proxies, one beside the caller and one beside the callee, between programs that know nothing of them.

use integration_tests::config::static_tls;
use integration_tests::*;

struct Pair {
    caller: TestProxy,
    callee: TestProxy,
    origin: Nginx,
}

/// curl -> caller -(mutual TLS)-> callee -> nginx.
async fn pair(directives: &str, files: &[(&str, &str)]) -> Pair {
    let ca = Ca::new();
    let origin = Nginx::start("", directives, files).await;
    let callee = Spec::router("incoming")
        .trust("ca", &ca)
        .identity("users", &ca.issue(&["users.example.com"]))
        .server("tls = { cert = \"users.pem\", key = \"users.key\", client_ca = \"ca.pem\" }")
        .keys("dst_prefix = \"/local\"")
        .dtab("/local => /#/fs")
        .client("protocol = \"http1\"")
        .endpoint("users", origin.addr())
        .start()
        .await;
    let tls = static_tls("{service}.example.com")
        .replace(" }", ", client_auth = { cert = \"caller.pem\", key = \"caller.key\" } }");
    let caller = Spec::router("outgoing")
        .trust("ca", &ca)
        .identity("caller", &ca.issue(&["spiffe://test/caller"]))
        .client_at("/#/fs/{service}", &tls)
        .endpoint("users", callee.addr())
        .start()
        .await;
    Pair { caller, callee, origin }
}

const ECHO: &str = "location / { return 200 \"host=$host via=$http_via id=$http_l5d_client_id client=$http_l5d_dst_client \
                    service=$http_l5d_dst_service secret=$http_x_secret\\n\"; }";

const PROTOCOLS: [&[&str]; 2] = [&["--http1.1"], &["--http2-prior-knowledge"]];

#[tokio::test]
async fn a_call_goes_through_both_and_the_origin_knows_who_called() {
    let pair = pair(ECHO, &[]).await;
    for protocol in PROTOCOLS {
        let url = format!("http://{}/x", pair.caller.addr());
        let mut args = vec![url.as_str(), "-H", "Host: users", "-H", "X-Secret: 42"];
        args.extend(protocol);

        let answer = curl(&args).await.ok().is(200);

        let text = answer.text();
        for part in
            ["host=users ", "id=spiffe://test/caller ", "client=/#/fs/users ", "service=/local/users ", "secret=42"]
        {
            assert!(text.contains(part), "{part} in {text}");
        }
        assert_eq!(text.matches("waypost").count(), 2, "both stand in Via: {text}");
        assert_eq!(answer.version, if protocol == ["--http1.1"] { "HTTP/1.1" } else { "HTTP/2" });
    }
    eventually("nginx has logged both", async || match pair.origin.access_log() {
        log if log.matches("GET /x 200").count() == 2 => Ok(()),
        log => Err(log),
    })
    .await;
}

#[tokio::test]
async fn what_the_callee_says_of_an_error_reaches_the_caller() {
    let pair = pair(ECHO, &[]).await;
    pair.callee.disco().set("users", &[nobody()]);
    let answer = eventually("the callee's own error", async || {
        let url = format!("http://{}/", pair.caller.addr());
        let answer = curl(&[&url, "-H", "Host: users", "-X", "POST"]).await.ok();
        match answer.word() {
            "connect" => Ok(answer),
            _ => Err(format!("{answer:?}")),
        }
    })
    .await;
    assert_eq!(answer.is_error(502, "connect").header("l5d-retryable"), Some("true"));
}

#[tokio::test]
async fn override_at_the_caller_acts_at_the_callee() {
    let pair = pair(ECHO, &[]).await;
    let beta = Origin::http("beta").await;
    pair.callee.disco().set("beta", &[beta.addr()]);
    eventually("the callee has moved it", async || {
        let ask = Ask::get("users", "/").header("l5d-dtab", "/local/users => /#/fs/beta");
        pair.caller.ask(&ask).await.is(200);
        if beta.requests() > 0 { Ok(()) } else { Err("beta was not reached".to_owned()) }
    })
    .await;
    let seen = beta.last();
    assert_eq!(seen.headers("l5d-ctx-dtab"), ["/local/users=>/#/fs/beta"]);
    assert_eq!(seen.header("l5d-client-id"), Some("spiffe://test/caller"));
}

#[tokio::test]
async fn files_and_uploads_arrive_whole() {
    let big = "0123456789abcdef".repeat(200_000);
    // nginx answers `return` before it has read the body; behind `proxy_pass` it reads all of it first.
    let directives = "client_max_body_size 100m; location / { root .; } location /up { proxy_pass http://$server_addr:$server_port/got; } \
                      location /got { return 200 got; }";
    let pair = pair(directives, &[("big", &big)]).await;
    let file = pair.caller.spec().path("upload");
    std::fs::write(&file, &big).expect("the test's directory can be written");
    let upload = format!("@{}", file.display());
    for protocol in PROTOCOLS {
        let url = format!("http://{}/big", pair.caller.addr());
        let mut args = vec![url.as_str(), "-H", "Host: users"];
        args.extend(protocol);
        let answer = curl(&args).await.ok().is(200);
        assert!(answer.body == big.as_bytes(), "{} of {} bytes, or others", answer.body.len(), big.len());

        let url = format!("http://{}/up", pair.caller.addr());
        let mut args = vec![url.as_str(), "-H", "Host: users", "--data-binary", &upload];
        args.extend(protocol);
        assert_eq!(curl(&args).await.ok().is(200).text(), "got");
    }
}

#[tokio::test]
async fn caller_speaks_only_to_the_callee_it_means() {
    let ca = Ca::new();
    let origin = Origin::http("users").await;
    let callee = Spec::router("incoming")
        .trust("ca", &ca)
        .identity("billing", &ca.issue(&["billing.example.com"]))
        .server("tls = { cert = \"billing.pem\", key = \"billing.key\" }")
        .endpoint("users", origin.addr())
        .start()
        .await;
    let caller = Spec::router("outgoing")
        .trust("ca", &ca)
        .client_at("/#/fs/{service}", &static_tls("{service}.example.com"))
        .endpoint("users", callee.addr())
        .start()
        .await;
    let answer = curl(&[&format!("http://{}/", caller.addr()), "-H", "Host: users"]).await.ok();
    answer.is_error(502, "tls_name");
    assert_eq!(origin.requests(), 0);
}

#[tokio::test]
async fn nghttp_and_h2load_are_served() {
    let pair = pair(ECHO, &[]).await;
    let url = format!("http://{}/", pair.caller.addr());
    let ran = command::program("nghttp", &["-v", "-H", ":authority: users", &url]).await.exits(0);
    assert!(ran.stdout.contains(":status: 200"), "{}", ran.stdout);
    let ran = command::program("h2load", &["-n", "200", "-c", "4", "-m", "10", "-H", ":authority: users", &url])
        .await
        .exits(0);
    assert!(ran.stdout.contains("200 succeeded, 0 failed, 0 errored"), "{}", ran.stdout);
}
