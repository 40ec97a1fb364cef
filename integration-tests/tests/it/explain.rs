//! Explanation and traffic are one decision: what is said is what happens.

use integration_tests::config::{bound_path_tls, static_tls};
use integration_tests::*;
use serde_json::{Value, json};

#[tokio::test]
async fn offline_and_running_say_the_same_and_traffic_goes_there() {
    let ca = Ca::new();
    let users = Origin::https("users", &ca.issue(&["users.example.com"])).await;
    let proxy = Spec::router("outgoing")
        .dtab("/svc => /#/fs ;\n/svc/users => /#/fs/users-v2 | /#/fs/users ;")
        .trust("ca", &ca)
        .service("total_timeout = \"10s\"")
        .client("connect_timeout = \"900ms\"")
        .client_at("/#/fs/{service}", &static_tls("{service}.example.com"))
        .endpoint("users", users.addr())
        .start()
        .await;

    let running = proxy.explain(&["GET", "http://users/x"]).await.exits(0).json();
    let offline = proxy.explain_offline(&["GET", "http://users/x"]).await.exits(0).json();
    proxy.get("users", "/x").await.is(200);

    let config = proxy.spec().to_toml();
    let line_of = |needle: &str| config.lines().position(|line| line.contains(needle)).expect("a line of it") + 1;
    for said in [&running, &offline] {
        assert_eq!(said["router"], "outgoing");
        assert_eq!(said["request"], json!({ "method": "GET", "authority": "users", "target": "/x" }));
        assert_eq!(said["identified"], json!({ "by": "header.token", "path": "/svc/users" }));
        assert_eq!((&said["outcome"], &said["error"]), (&json!("bound"), &Value::Null));
        let leaf = &said["leaves"][0];
        assert_eq!(said["leaves"].as_array().map(Vec::len), Some(1));
        assert_eq!(leaf["bound"], users.last().header("l5d-dst-client").unwrap_or_default());
        assert_eq!((&leaf["residual"], &leaf["share"]), (&json!("/"), &json!(1.0)));
        assert_eq!(leaf["endpoints"][0]["addr"], users.addr().to_string());
        assert_eq!((&leaf["endpoints"][0]["weight"], &leaf["endpoints"][0]["state"]), (&json!(1.0), &json!("alive")));
        assert_eq!((&leaf["tls"]["kind"], &leaf["tls"]["name"]), (&json!("static"), &json!("users.example.com")));
        assert_eq!(leaf["tls"]["sni"], "users.example.com");
        assert_eq!(leaf["client"]["connect_timeout"]["value"], "900ms");
        assert_eq!(said["service"]["total_timeout"]["value"], "10s");
        let from = |value: &Value| value["from"].as_str().unwrap_or_default().to_owned();
        for (value, needle) in [
            (&leaf["client"]["connect_timeout"], "connect_timeout ="),
            (&said["service"]["total_timeout"], "total_timeout ="),
            (&leaf["tls"], "tls = {"),
        ] {
            assert!(from(value).contains(&format!("waypost.toml:{}:", line_of(needle))), "{value}: {needle}");
        }
        for (index, needle) in [(0, "/svc => /#/fs"), (1, "/svc/users =>")] {
            assert!(from(&said["dtab"][index]).contains(&format!("waypost.toml:{}:", line_of(needle))), "{said}");
        }
    }
    for key in ["identified", "dtab", "tree", "outcome", "leaves", "service", "error"] {
        assert_eq!(running[key], offline[key], "{key}");
    }
}

#[tokio::test]
async fn explain_json_is_what_explain_prints() {
    let users = Origin::http("users").await;
    let proxy = Spec::router("out").endpoint("users", users.addr()).start().await;
    let printed =
        proxy.explain(&["POST", "http://users/x?y=1", "-H", "l5d-dtab: /svc/users => /#/fs/users"]).await.json();
    let url = "/explain.json?router=out&method=POST&url=http://users/x%3Fy%3D1&header=l5d-dtab:%20/svc/users%20%3D%3E%20/%23/fs/users";
    let served = proxy.admin(url).await.is(200).json();
    assert_eq!(printed, served);
}

#[tokio::test]
async fn override_stands_beside_the_rules_with_its_origin() {
    let users = Origin::http("users").await;
    let proxy = Spec::router("out").endpoint("users", users.addr()).endpoint("beta", users.addr()).start().await;
    let args = ["http://users/", "-H", "l5d-dtab: /svc/users => /#/fs/beta"];
    for said in [proxy.explain(&args).await.exits(0).json(), proxy.explain_offline(&args).await.exits(0).json()] {
        assert_eq!(said["leaves"][0]["bound"], "/#/fs/beta", "{said}");
        let last = said["dtab"].as_array().and_then(|rules| rules.last()).expect("rules").clone();
        assert_eq!(
            (&last["prefix"], &last["tree"], &last["from"]),
            (&json!("/svc/users"), &json!("/#/fs/beta"), &json!("l5d-dtab"))
        );
        assert_eq!(said["request"]["method"], "GET", "GET unless said otherwise");
    }
}

#[tokio::test]
async fn shares_are_what_weights_make_of_the_traffic() {
    let a = Origin::http("a").await;
    let proxy = Spec::router("out")
        .dtab("/svc => 3 * (1 * /#/fs/a & 1 * /#/fs/b) & 1 * /#/fs/c & 4 * /#/fs/missing")
        .endpoint("a", a.addr())
        .endpoint("b", a.addr())
        .endpoint("c", a.addr())
        .start()
        .await;
    let said = proxy.explain(&["http://users/"]).await.exits(0).json();
    let leaves = said["leaves"].as_array().expect("leaves");
    let shares: Vec<(&str, f64)> =
        leaves.iter().filter_map(|leaf| Some((leaf["bound"].as_str()?, leaf["share"].as_f64()?))).collect();
    assert_eq!(shares, [("/#/fs/a", 0.375), ("/#/fs/b", 0.375), ("/#/fs/c", 0.25)], "{said}");
}

#[tokio::test]
async fn every_other_outcome_is_told_with_the_status_a_request_gets() {
    let ca = Ca::new();
    let users = Origin::http("users").await;
    let proxy = Spec::router("out")
        .dtab(
            "/svc => /#/fs ; /svc/fail => ! ; /svc/nil => $ ; /svc/loop => /svc/loop ; /svc/unknown => /$/no.such.namer",
        )
        .trust("ca", &ca)
        .client_at("/#/fs/strict", &bound_path_tls(&[("/#/fs/other", "other.example.com")], ""))
        .endpoint("users", users.addr())
        .endpoint("strict", users.addr())
        .endpoints("none", &[])
        .start()
        .await;
    for (host, outcome) in [
        ("nobody", "negative"),
        ("fail", "failed"),
        ("nil", "empty"),
        ("none", "no_endpoints"),
        ("loop", "error"),
        ("unknown", "error"),
        ("strict", "tls_refused"),
    ] {
        let url = format!("http://{host}/");
        let status = proxy.get(host, "/").await.status();
        for ran in [proxy.explain(&[&url]).await, proxy.explain_offline(&[&url]).await] {
            let said = ran.exits(1).json();
            assert_eq!(said["outcome"], outcome, "{host}: {said}");
            assert_eq!(said["error"]["status"], status, "{host}: {said}");
            assert!(said["error"]["message"].as_str().is_some_and(|text| !text.is_empty()), "{host}: {said}");
        }
        let served = proxy.admin(&format!("/explain.json?router=out&url=http://{host}/")).await;
        assert_eq!(served.is(200).json()["outcome"], outcome, "200 for every outcome that could be decided");
    }
    let malformed = ["http://users/", "-H", "l5d-dtab: /svc =>"];
    let said = proxy.explain(&malformed).await.exits(1).json();
    assert_eq!((&said["outcome"], &said["error"]["status"]), (&json!("error"), &json!(400)), "{said}");
}

#[tokio::test]
async fn request_that_nothing_names_is_unidentified() {
    let proxy = Spec::router("out").keys("identifier = { kind = \"header\" }").start().await;
    for ran in [proxy.explain(&["http://users/"]).await, proxy.explain_offline(&["http://users/"]).await] {
        let said = ran.exits(1).json();
        assert_eq!((&said["outcome"], &said["error"]["status"]), (&json!("unidentified"), &json!(400)), "{said}");
    }
}

#[tokio::test]
async fn text_for_people_shows_each_step() {
    let ca = Ca::new();
    let users = Origin::http("users").await;
    let proxy = Spec::router("out")
        .dtab("/svc => /#/fs ;\n/svc/users => /#/fs/users-v2 | /#/fs/users ;")
        .trust("ca", &ca)
        .client_at("/#/fs/{service}", &static_tls("{service}.example.com"))
        .endpoint("users", users.addr())
        .start()
        .await;
    let ran =
        command::waypost_in(proxy.spec().dir(), &["explain", "waypost.toml", "GET", "http://users/x"]).await.exits(0);
    for step in [
        "header.token",
        "/svc/users",
        "/#/fs/users-v2",
        "/#/fs/users",
        "waypost.toml:",
        &users.addr().to_string(),
        "users.example.com",
    ] {
        assert!(ran.stdout.contains(step), "{step} in\n{}", ran.stdout);
    }
    assert!(!ran.stdout.contains('\u{1b}'), "no colour outside of a terminal");
}

#[tokio::test]
async fn router_is_chosen_by_its_label() {
    let users = Origin::http("users").await;
    let proxy = Spec::router("one")
        .dtab("/svc => /#/fs/a")
        .and_router("two")
        .dtab("/svc => /#/fs/b")
        .endpoint("a", users.addr())
        .endpoint("b", users.addr())
        .start()
        .await;
    for (label, bound) in [("one", "/#/fs/a"), ("two", "/#/fs/b")] {
        for ran in [
            proxy.explain(&["http://users/", "--router", label]).await,
            proxy.explain_offline(&["http://users/", "--router", label]).await,
        ] {
            let said = ran.exits(0).json();
            assert_eq!((&said["router"], &said["leaves"][0]["bound"]), (&json!(label), &json!(bound)));
        }
    }
    assert_ne!(proxy.explain(&["http://users/", "--router", "three"]).await.code, 0);
    assert_ne!(proxy.explain_offline(&["http://users/", "--router", "three"]).await.code, 0);
}

#[tokio::test]
async fn policy_values_are_refined_by_prefix_in_order() {
    let users = Origin::http("users").await;
    let proxy = Spec::router("out")
        .service("total_timeout = \"10s\"")
        .service_at("/svc", "total_timeout = \"5s\"")
        .service_at("/svc/users", "total_timeout = \"none\"")
        .client("connect_timeout = \"1s\"\nattempt_timeout = \"3s\"")
        .client_at("/#/fs/*", "connect_timeout = \"2s\"")
        .client_at("/#/fs/u{rest}", "protocol = \"http1\"")
        .endpoint("users", users.addr())
        .endpoint("web", users.addr())
        .start()
        .await;
    let said = proxy.explain(&["http://users/"]).await.exits(0).json();
    let client = &said["leaves"][0]["client"];
    assert_eq!(
        (&client["connect_timeout"]["value"], &client["attempt_timeout"]["value"]),
        (&json!("2s"), &json!("3s"))
    );
    assert_eq!(client["protocol"]["value"], "http1");
    assert_eq!(said["service"]["total_timeout"]["value"], "none", "{said}");
    let said = proxy.explain(&["http://web/"]).await.exits(0).json();
    assert_eq!(said["leaves"][0]["client"]["protocol"]["value"], "auto");
    assert_eq!(said["leaves"][0]["client"]["protocol"]["from"], "default");
    assert_eq!(said["service"]["total_timeout"]["value"], "5s");
}

#[tokio::test]
async fn what_runs_and_what_is_written_lead_alike_for_wildcards_overrides_and_what_is_missing() {
    let users = Origin::http("users").await;
    let proxy = Spec::router("out")
        .dtab("/svc => /#/fs ;\n/svc/*/eu => /#/fs/users ;\n/svc/shop => 8 * /#/fs/gone & 1 * /#/fs/lost & 1 * /#/fs/users ;")
        .keys("identifier = [{ kind = \"header\" }, { kind = \"header.token\" }]")
        .endpoint("users", users.addr())
        .start()
        .await;
    for args in [
        ["http://x/", "-H", "l5d-name: /any/eu/west"],
        ["http://users/", "-H", "l5d-dtab: /svc/users => /#/fs/none | /svc/any/eu"],
        ["http://shop/", "-H", "x-none: 1"],
        ["http://usres/", "-H", "x-none: 1"],
        ["http://users/", "-H", "l5d-dtab: /svc/users => /svc/users"],
        ["http://users/", "-H", "l5d-dtab: nonsense"],
    ] {
        let running = proxy.explain(&args).await;
        let offline = proxy.explain_offline(&args).await;
        assert_eq!(running.code, offline.code, "{args:?}");
        let (mut running, offline) = (running.json(), offline.json());
        let generation = running.as_object_mut().and_then(|said| said.remove("generation"));
        assert!(generation.is_some_and(|generation| generation.is_u64()), "{args:?}: {running}");
        assert_eq!(running, offline, "{args:?}");
    }
}

#[tokio::test]
async fn the_generation_is_that_of_requests_and_grows_with_what_changes() {
    let users = Origin::http("users").await;
    let proxy = Spec::router("out").endpoint("users", users.addr()).start().await;
    proxy.get("users", "/").await.is(200);
    let explained = async || proxy.explain(&["http://users/"]).await.json()["generation"].as_u64().expect("a number");
    let before = explained().await;
    let requests = eventually("the request is in the table", async || {
        let requests = proxy.admin("/requests.json").await.is(200).json();
        if requests["requests"][0].is_object() { Ok(requests) } else { Err(requests.to_string()) }
    })
    .await;
    assert_eq!(requests["requests"][0]["generation"], before, "{requests}");
    proxy.spec().disco().set("beta", &[users.addr()]);
    eventually("another name, another generation", async || {
        let now = explained().await;
        if now > before { Ok(()) } else { Err(format!("{before}, then {now}")) }
    })
    .await;
    let config = proxy.spec().config_arg();
    let text = waypost(&["explain", "--admin", &proxy.spec().admin_addr().to_string(), "http://users/"]).await.exits(0);
    assert!(text.stdout.lines().next().is_some_and(|line| line.contains("   generation ")), "{}", text.stdout);
    let text = waypost(&["explain", &config, "http://users/"]).await.exits(0);
    assert!(!text.stdout.contains("generation"), "nothing runs there: {}", text.stdout);
}

#[tokio::test]
async fn place_of_a_malformed_file_is_for_operators_only() {
    let proxy = Spec::router("out").file("disco/broken", "127.0.0.1 8080\n127.0.0.1 port\n").start().await;
    let place = proxy.spec().path("disco/broken").display().to_string();
    let answer = proxy.get("broken", "/").await.is_error(502, "no_endpoints");
    for told in [answer.l5d_err(), answer.text()] {
        assert!(
            told.contains("which has no endpoints: ") && !told.contains(&place) && !told.contains("disco"),
            "{told}"
        );
    }
    for said in [proxy.explain(&["http://broken/"]).await, proxy.explain_offline(&["http://broken/"]).await] {
        let said = said.exits(1).json();
        let tree = said["tree"].to_string();
        assert!(tree.contains("disco/broken:2:11: "), "{tree}");
        assert!(answer.l5d_err().ends_with(said["error"]["message"].as_str().expect("a message")), "{said}");
    }
}

#[tokio::test]
async fn admin_that_is_not_there_is_said() {
    let ran = waypost(&["explain", "--admin", &nobody().to_string(), "http://users/"]).await.exits(1);
    assert!(!ran.stderr.is_empty());
    for nonsense in ["nonsense", "127.0.0.1", "http://", "127.0.0.1:http"] {
        let ran = waypost(&["explain", "--admin", nonsense, "http://users/"]).await.exits(2);
        assert!(ran.stderr.contains("HOST:PORT"), "{ran:?}");
    }
}

#[tokio::test]
async fn connect_makes_the_handshake_and_sends_nothing() {
    let ca = Ca::new();
    let good = Origin::named("users")
        .tls(ServerSide::new(&ca.issue(&["users.example.com"])).alpn(&["h2", "http/1.1"]))
        .negotiated()
        .start()
        .await;
    let wrong = Origin::https("billing", &ca.issue(&["billing.example.com"])).await;
    let strict =
        Origin::named("users").tls(ServerSide::new(&ca.issue(&["users.example.com"])).demands(&ca)).start().await;
    let (plain, nobody) = (Origin::http("plain").await, nobody());
    let spec = Spec::router("out")
        .trust("ca", &ca)
        .client_at("/#/fs/{service}", &static_tls("users.example.com"))
        .client_at("/#/fs/plain", "tls = \"none\"")
        .endpoints("users", &[good.addr(), wrong.addr(), strict.addr(), nobody])
        .endpoint("only", good.addr())
        .endpoint("plain", plain.addr());
    spec.write();
    let explain = async |url: &str, code: i32| {
        let json = waypost(&["explain", &spec.config_arg(), url, "--connect", "--json"]).await.exits(code).json();
        let text = waypost(&["explain", &spec.config_arg(), url, "--connect"]).await.exits(code).stdout;
        (json["leaves"][0]["endpoints"].clone(), text)
    };

    let (endpoints, text) = explain("http://users/", 1).await;
    let met = |addr: std::net::SocketAddr| {
        let all = endpoints.as_array().expect("a list");
        all.iter().find(|endpoint| endpoint["addr"] == addr.to_string()).expect("the endpoint")["connect"].clone()
    };
    let fine = met(good.addr());
    assert_eq!(
        (&fine["outcome"], &fine["version"], &fine["protocol"]),
        (&"success".into(), &"1.3".into(), &"h2".into())
    );
    assert_eq!(fine["certificate"]["names"], serde_json::json!(["users.example.com"]));
    for (addr, outcome, word, said) in [
        (wrong.addr(), "bad_name", "tls_name", "billing.example.com"),
        (strict.addr(), "client_cert_refused", "tls_other", "client certificate"),
        (nobody, "connect", "connect", "connection refused"),
    ] {
        let met = met(addr);
        assert_eq!((&met["outcome"], &met["word"]), (&outcome.into(), &word.into()), "{met}");
        let message = met["message"].as_str().expect("a message");
        assert!(
            message.contains(said) && message.contains("/#/fs/users") && text.contains(message),
            "{message}\n{text}"
        );
    }
    assert!(text.contains("TLS 1.3, h2; its certificate names users.example.com"), "{text}");
    assert!(text.contains("to see it: openssl s_client"), "{text}");

    let (_, text) = explain("http://only/", 0).await;
    assert!(text.contains("TLS 1.3, h2"), "{text}");
    let (_, text) = explain("http://plain/", 0).await;
    assert!(text.contains("connected, in clear text"), "{text}");
    for origin in [&good, &wrong, &strict, &plain] {
        assert_eq!(origin.requests(), 0);
    }
    waypost(&["explain", "--admin", "127.0.0.1:1", "http://users/", "--connect"]).await.exits(2);
}
