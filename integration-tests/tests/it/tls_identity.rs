//! A connection is only made to whom the bound path names, and only used again for the same identity.

use integration_tests::config::{bound_path_tls, static_tls};
use integration_tests::*;

/// A router whose clients trust `ca`.
fn trusting(ca: &Ca) -> Spec {
    Spec::router("out").trust("ca", ca)
}

#[tokio::test]
async fn static_name_comes_from_captures_and_is_verified() {
    let ca = Ca::new();
    let users = Origin::https("users", &ca.issue(&["users.example.com"])).await;
    let proxy = trusting(&ca)
        .client_at("/#/fs/{service}", &static_tls("{service}.example.com"))
        .endpoint("users", users.addr())
        .start()
        .await;

    proxy.get("users", "/").await.is(200);

    let greeting = users.last().greeting.expect("TLS");
    assert_eq!(greeting.sni.as_deref(), Some("users.example.com"));
    let labels = [("client", "/#/fs/users"), ("outcome", "success")];
    proxy.metric_is("waypost_client_tls_handshakes_total", &labels, 1.0).await;
}

#[tokio::test]
async fn another_services_genuine_certificate_is_refused() {
    let ca = Ca::new();
    for (tls, kind) in [
        (static_tls("{service}.example.com"), "static"),
        (bound_path_tls(&[("/#/fs/{service}", "{service}.example.com")], ""), "bound_path"),
    ] {
        let impostor = Origin::https("billing", &ca.issue(&["billing.example.com", "pay.example.com"])).await;
        let proxy = trusting(&ca).client_at("/#/fs/{service}", &tls).endpoint("users", impostor.addr()).start().await;

        let answer = proxy.get("users", "/secret").await.is_error(502, "tls_name");

        let addr = impostor.addr().to_string();
        let names = ["users.example.com", "billing.example.com", "pay.example.com"];
        let rest = ["issued by CN=waypost test CA, valid from 20", "; asked for at ", "waypost.toml:"];
        for word in ["/#/fs/users", &addr].into_iter().chain(names).chain(rest) {
            assert!(answer.l5d_err().contains(word), "{kind}: {word} in {}", answer.l5d_err());
        }
        assert_eq!((impostor.requests(), impostor.connections()), (0, 0), "nothing may reach the wrong service");
        // The command that the body gives shows the same.
        let command = answer.text().lines().find_map(|line| line.strip_prefix("to see it: ").map(str::to_owned));
        let command = command.expect("a command");
        let seen = command::program("bash", &["-c", &command]).await.stdout;
        assert!(seen.contains("hostname mismatch") && seen.contains("BEGIN CERTIFICATE"), "{command}: {seen}");
        assert!(proxy.log().contains("tls with an endpoint failed"), "{}", proxy.log());
        assert_eq!(answer.header("l5d-retryable"), Some("true"));
        let outcome = [("outcome", "bad_name")];
        assert!(proxy.metrics().await.sum("waypost_client_tls_handshakes_total", &outcome) >= 1.0);
    }
}

#[tokio::test]
async fn certificate_that_cannot_be_trusted_has_a_word_for_why() {
    let ca = Ca::new();
    let name = "users.example.com";
    for (identity, word) in [
        (Ca::new().issue(&[name]), "tls_untrusted"),
        (Leaf::new(&[name]).self_signed(), "tls_untrusted"),
        (ca.sign(Leaf::new(&[name]).expired()), "tls_expired"),
        (ca.issue(&["sub.users.example.com"]), "tls_name"),
        (ca.sign(Leaf::cn_only(name)), "tls_name"),
    ] {
        let origin = Origin::https("users", &identity).await;
        let proxy = trusting(&ca)
            .client_at("/#/fs/{service}", &static_tls(name))
            .endpoint("users", origin.addr())
            .start()
            .await;
        let answer = proxy.get("users", "/").await.is_error(502, word);
        assert!(answer.l5d_err().contains("/#/fs/users"), "{answer:?}");
        assert_eq!(origin.requests(), 0, "{word}");
    }
}

#[tokio::test]
async fn certificate_of_the_future_is_refused() {
    let ca = Ca::new();
    let origin = Origin::https("users", &ca.sign(Leaf::new(&["users.example.com"]).not_yet())).await;
    let proxy = trusting(&ca)
        .client_at("/#/fs/{service}", &static_tls("users.example.com"))
        .endpoint("users", origin.addr())
        .start()
        .await;
    let answer = proxy.get("users", "/").await.is(502);
    assert!(answer.word().starts_with("tls_"), "{answer:?}");
    assert_eq!(origin.requests(), 0);
}

#[tokio::test]
async fn revoked_certificate_is_refused() {
    let ca = Ca::new();
    let (good, bad) = (ca.issue(&["users.example.com"]), ca.issue(&["users.example.com"]));
    let tls =
        "tls = { kind = \"static\", common_name = \"users.example.com\", trust = [\"ca.pem\"], crls = [\"crl.pem\"] }";
    for (identity, refused) in [(&good, false), (&bad, true)] {
        let origin = Origin::https("users", identity).await;
        let proxy = trusting(&ca)
            .file("crl.pem", &ca.revoke(&[&bad]))
            .client_at("/#/fs/{service}", tls)
            .endpoint("users", origin.addr())
            .start()
            .await;
        let answer = proxy.get("users", "/").await;
        if refused {
            answer.is_error(502, "tls_revoked");
            assert_eq!(origin.requests(), 0);
        } else {
            answer.is(200);
        }
    }
}

#[tokio::test]
async fn names_of_every_kind_are_matched_by_their_kind() {
    let ca = Ca::new();
    let spiffe = "spiffe://prod.example.com/users";
    for (common_name, names, accepted) in [
        ("users.example.com", &["*.example.com"][..], true),
        ("a.users.example.com", &["*.example.com"], false),
        ("USERS.example.com", &["users.example.com"], true),
        (spiffe, &[spiffe], true),
        (spiffe, &["spiffe://prod.example.com/billing"], false),
        (spiffe, &["prod.example.com"], false),
        ("127.0.0.1", &["127.0.0.1"], true),
        ("127.0.0.1", &["127.0.0.2"], false),
        ("users.example.com", &["127.0.0.1"], false),
        ("users.example.com", &["a.example.com", "users.example.com", spiffe], true),
    ] {
        let origin = Origin::https("users", &ca.issue(names)).await;
        let proxy = trusting(&ca)
            .client_at("/#/fs/{service}", &static_tls(common_name))
            .endpoint("users", origin.addr())
            .start()
            .await;
        let answer = proxy.get("users", "/").await;
        if accepted {
            assert_eq!(answer.status(), 200, "{common_name} by {names:?}: {answer:?}");
        } else {
            assert_eq!((answer.status(), answer.word()), (502, "tls_name"), "{common_name} by {names:?}: {answer:?}");
            assert_eq!(origin.requests(), 0);
        }
    }
}

#[tokio::test]
async fn common_name_counts_only_where_allowed_and_alone() {
    let ca = Ca::new();
    let name = "users.example.com";
    let allowing = "tls = { kind = \"static\", common_name = \"users.example.com\", trust = [\"ca.pem\"], allow_common_name = true }";
    for (identity, accepted) in [
        (ca.sign(Leaf::cn_only(name)), true),
        (ca.sign(Leaf::cn_only("billing.example.com")), false),
        (ca.sign(Leaf::new(&["billing.example.com"]).common_name(name)), false),
    ] {
        let origin = Origin::https("users", &identity).await;
        let proxy = trusting(&ca).client_at("/#/fs/{service}", allowing).endpoint("users", origin.addr()).start().await;
        let answer = proxy.get("users", "/").await;
        if accepted {
            answer.is(200);
        } else {
            answer.is_error(502, "tls_name");
            assert_eq!(origin.requests(), 0);
        }
    }
}

#[tokio::test]
async fn bound_path_takes_the_first_name_that_matches() {
    let ca = Ca::new();
    let special = Origin::https("special", &ca.issue(&["one.example.com"])).await;
    let users = Origin::https("users", &ca.issue(&["users.example.com"])).await;
    let names = [("/#/fs/special", "one.example.com"), ("/#/fs/{service}", "{service}.example.com")];
    let proxy = trusting(&ca)
        .client(&bound_path_tls(&names, ""))
        .endpoint("special", special.addr())
        .endpoint("users", users.addr())
        .start()
        .await;
    assert_eq!(proxy.reaches("special").await, "special");
    assert_eq!(proxy.reaches("users").await, "users");
}

#[tokio::test]
async fn strict_refuses_a_bound_path_without_a_name() {
    let ca = Ca::new();
    let plain = Origin::http("plain").await;
    let tls = bound_path_tls(&[("/#/fs/secure-{service}", "{service}.example.com")], "");
    let proxy = trusting(&ca).client(&tls).endpoint("users", plain.addr()).start().await;

    let answer = proxy.get("users", "/").await.is_error(502, "tls_strict");

    for word in ["/#/fs/users", "/#/fs/secure-{service}"] {
        assert!(answer.l5d_err().contains(word), "{word} in {}", answer.l5d_err());
    }
    assert_eq!(plain.connections(), 0);
}

#[tokio::test]
async fn lenient_goes_in_clear_text_where_there_is_no_name() {
    let ca = Ca::new();
    let plain = Origin::http("plain").await;
    let secure = Origin::https("secure", &ca.issue(&["a.example.com"])).await;
    let tls = bound_path_tls(&[("/#/fs/secure-{service}", "{service}.example.com")], "strict = false");
    let proxy =
        trusting(&ca).client(&tls).endpoint("users", plain.addr()).endpoint("secure-a", secure.addr()).start().await;
    assert_eq!(proxy.reaches("users").await, "plain");
    assert_eq!(proxy.reaches("secure-a").await, "secure");
}

#[tokio::test]
async fn no_validation_encrypts_and_trusts_anybody() {
    let origin = Origin::https("users", &Leaf::new(&["whoever.example.com"]).self_signed()).await;
    for (tls, sni) in [
        ("tls = { kind = \"no_validation\" }", None),
        ("tls = { kind = \"no_validation\", common_name = \"{service}.example.com\" }", Some("users.example.com")),
    ] {
        let proxy =
            Spec::router("out").client_at("/#/fs/{service}", tls).endpoint("users", origin.addr()).start().await;
        proxy.get("users", "/").await.is(200);
        let greeting = origin.last().greeting.expect("TLS");
        assert_eq!(greeting.sni.as_deref(), sni);
    }
}

#[tokio::test]
async fn kind_none_undoes_an_earlier_entry() {
    let ca = Ca::new();
    let plain = Origin::http("plain").await;
    let proxy = trusting(&ca)
        .client_at("/#/fs/{service}", &static_tls("{service}.example.com"))
        .client_at("/#/fs/users", "tls = { kind = \"none\" }")
        .endpoint("users", plain.addr())
        .start()
        .await;
    assert_eq!(proxy.reaches("users").await, "plain");
}

#[tokio::test]
async fn two_names_at_one_address_never_share_a_connection() {
    for alpn in [&["http/1.1"][..], &["h2"]] {
        let ca = Ca::new();
        let side = ServerSide::new(&ca.issue(&["a.example.com"]))
            .also("b.example.com", &ca.issue(&["b.example.com"]))
            .alpn(alpn);
        let origin = Origin::named("both").tls(side).negotiated().start().await;
        let proxy = trusting(&ca)
            .workers(1)
            .client_at("/#/fs/{service}", &static_tls("{service}.example.com"))
            .endpoint("a", origin.addr())
            .endpoint("b", origin.addr())
            .start()
            .await;
        for _ in 0..5 {
            proxy.get("a", "/").await.is(200);
            proxy.get("b", "/").await.is(200);
        }
        for seen in origin.seen() {
            let greeting = seen.greeting.clone().expect("TLS");
            let asked = seen.header(":authority").or_else(|| seen.header("host")).expect("a host").to_owned();
            assert_eq!(greeting.sni, Some(format!("{asked}.example.com")));
        }
        assert_eq!(origin.connections(), 2, "one for each name, each used again");
    }
}

#[tokio::test]
async fn a_pooled_connection_of_one_name_does_not_serve_another_name() {
    let ca = Ca::new();
    let origin = Origin::https("a", &ca.issue(&["a.example.com"])).await;
    let proxy = trusting(&ca)
        .workers(1)
        .client_at("/#/fs/{service}", &static_tls("{service}.example.com"))
        .endpoint("a", origin.addr())
        .endpoint("b", origin.addr())
        .start()
        .await;
    for _ in 0..5 {
        proxy.get("a", "/").await.is(200);
        proxy.get("b", "/").await.is_error(502, "tls_name");
    }
    assert_eq!(origin.requests(), 5);
}

#[tokio::test]
async fn what_one_policy_accepted_lets_no_other_skip_its_check() {
    let (ca, other) = (Ca::new(), Ca::new());
    let origin = Origin::https("users", &ca.issue(&["users.example.com"])).await;
    let spec = trusting(&ca).trust("other", &other).workers(1);
    let distrusting = static_tls("users.example.com").replace("ca.pem", "other.pem");
    let proxy = spec
        .client_at("/#/fs/trusted", &static_tls("users.example.com"))
        .client_at("/#/fs/distrusted", &distrusting)
        .client_at("/#/fs/open", "tls = { kind = \"no_validation\", common_name = \"users.example.com\" }")
        .endpoint("trusted", origin.addr())
        .endpoint("distrusted", origin.addr())
        .endpoint("open", origin.addr())
        .start()
        .await;
    for _ in 0..4 {
        proxy.get("open", "/").await.is(200);
        proxy.get("trusted", "/").await.is(200);
        proxy.get("distrusted", "/").await.is_error(502, "tls_untrusted");
    }
    assert_eq!(origin.requests(), 8);
}

#[tokio::test]
async fn client_certificate_is_shown_where_it_is_demanded() {
    let ca = Ca::new();
    let me = ca.issue(&["spiffe://test/me"]);
    let side = ServerSide::new(&ca.issue(&["users.example.com"])).demands(&ca);
    let origin = Origin::named("users").tls(side).start().await;
    let with =
        static_tls("users.example.com").replace(" }", ", client_auth = { cert = \"me.pem\", key = \"me.key\" } }");
    let proxy = trusting(&ca)
        .identity("me", &me)
        .client_at("/#/fs/users", &with)
        .client_at("/#/fs/anonymous", &static_tls("users.example.com"))
        .endpoint("users", origin.addr())
        .endpoint("anonymous", origin.addr())
        .start()
        .await;

    proxy.get("users", "/").await.is(200);
    assert_eq!(origin.last().greeting.and_then(|tls| tls.client).as_deref(), Some(&*me.chain()[0]));

    let answer = proxy.get("anonymous", "/").await.is(502);
    assert!(answer.word().starts_with("tls_"), "{answer:?}");
    assert_eq!(origin.requests(), 1);
}

#[tokio::test]
async fn refused_client_certificate_is_told_in_either_protocol() {
    let ca = Ca::new();
    for alpn in [&["http/1.1"][..], &["h2"]] {
        let side = ServerSide::new(&ca.issue(&["users.example.com"])).demands(&ca).alpn(alpn);
        let origin = Origin::named("users").tls(side).negotiated().start().await;
        let proxy = trusting(&ca)
            .client("accrual = { kind = \"none\" }")
            .client_at("/#/fs/users", &static_tls("users.example.com"))
            .endpoint("users", origin.addr())
            .start()
            .await;
        // The refusal may come before or after the request was written: each time it is told as what it is.
        for round in 0..30 {
            let answer = proxy.get("users", "/").await.is(502);
            assert!(answer.word().starts_with("tls_"), "{alpn:?}, round {round}: {answer:?}");
        }
        assert_eq!(origin.requests(), 0);
        let refused = [("client", "/#/fs/users"), ("outcome", "client_cert_refused")];
        assert!(proxy.metrics().await.sum("waypost_client_tls_handshakes_total", &refused) >= 1.0);
    }
}

/// A server that verifies client certificates, in front of a clear-text origin.
fn serving(ca: &Ca, keys: &str) -> Spec {
    let tls = format!("tls = {{ cert = \"web.pem\", key = \"web.key\", client_ca = \"ca.pem\"{keys} }}");
    Spec::router("in").trust("ca", ca).identity("web", &ca.issue(&["web.example.com"])).server(&tls)
}

#[tokio::test]
async fn verified_client_is_named_to_the_endpoint() {
    let ca = Ca::new();
    let users = Origin::http("users").await;
    let proxy = serving(&ca, "").endpoint("users", users.addr()).start().await;
    for (identity, id) in [
        (ca.issue(&["caller.example.com", "spiffe://test/caller"]), "spiffe://test/caller"),
        (ca.issue(&["caller.example.com", "b.example.com"]), "caller.example.com"),
        (ca.sign(Leaf::cn_only("legacy-caller")), "legacy-caller"),
    ] {
        let side = ClientSide::new(&ca, "web.example.com").shows(&identity);
        let mut client = Http1::tls(proxy.addr(), &side).await.expect("TLS");
        client.ask(&Ask::get("users", "/").header("l5d-client-id", "forged")).await.is(200);
        assert_eq!(users.last().headers("l5d-client-id"), [id]);
    }
}

#[tokio::test]
async fn client_without_a_certificate_is_refused_where_one_is_required() {
    let ca = Ca::new();
    let users = Origin::http("users").await;
    let proxy = serving(&ca, "").endpoint("users", users.addr()).start().await;
    for side in [
        ClientSide::new(&ca, "web.example.com"),
        ClientSide::new(&ca, "web.example.com").shows(&Ca::new().issue(&["spiffe://test/caller"])),
        ClientSide::new(&ca, "web.example.com").shows(&ca.sign(Leaf::new(&["spiffe://test/caller"]).expired())),
    ] {
        // With TLS 1.3 the client learns of it when it reads.
        if let Ok(mut client) = Http1::tls(proxy.addr(), &side).await {
            assert!(client.try_ask(&Ask::get("users", "/")).await.is_err());
        }
    }
    assert_eq!(users.requests(), 0);
    let metrics = proxy.metrics().await;
    let all = metrics.sum("waypost_server_tls_handshakes_total", &[]);
    let good = metrics.sum("waypost_server_tls_handshakes_total", &[("outcome", "success")]);
    assert!(all >= 3.0 && good < 1.0, "{all} handshakes, {good} of them good");
}

#[tokio::test]
async fn optional_client_certificate_gives_no_name_when_it_is_absent() {
    let ca = Ca::new();
    let users = Origin::http("users").await;
    let proxy = serving(&ca, ", require_client_cert = false").endpoint("users", users.addr()).start().await;
    let side = ClientSide::new(&ca, "web.example.com");

    let mut client = Http1::tls(proxy.addr(), &side).await.expect("TLS");
    client.ask(&Ask::get("users", "/").header("l5d-client-id", "forged")).await.is(200);
    assert_eq!(users.last().header("l5d-client-id"), None);

    let known = side.shows(&ca.issue(&["spiffe://test/caller"]));
    let mut client = Http1::tls(proxy.addr(), &known).await.expect("TLS");
    client.ask(&Ask::get("users", "/")).await.is(200);
    assert_eq!(users.last().headers("l5d-client-id"), ["spiffe://test/caller"]);
}

#[tokio::test]
async fn overrides_can_be_allowed_to_some_identities() {
    let ca = Ca::new();
    let users = Origin::http("users").await;
    let beta = Origin::http("beta").await;
    let proxy = serving(&ca, "")
        .server("overrides = { allow = [\"spiffe://test/ops\", \"*.ops.example.com\"] }")
        .endpoint("users", users.addr())
        .endpoint("beta", beta.addr())
        .start()
        .await;
    for (name, origin) in [
        ("spiffe://test/ops", "beta"),
        ("spiffe://test/other", "users"),
        ("a.ops.example.com", "beta"),
        ("ops.example.com", "users"),
    ] {
        let side = ClientSide::new(&ca, "web.example.com").shows(&ca.issue(&[name]));
        let mut client = Http1::tls(proxy.addr(), &side).await.expect("TLS");
        let answer = client.ask(&Ask::get("users", "/").header("l5d-dtab", "/svc/users => /#/fs/beta")).await;
        assert_eq!(answer.is(200).json()["origin"], origin, "{name}");
    }
}

#[tokio::test]
async fn alpn_chooses_the_protocol_on_both_sides() {
    let ca = Ca::new();
    for (offers, version) in
        [(&["h2", "http/1.1"][..], "HTTP/2.0"), (&["h2"], "HTTP/2.0"), (&["http/1.1"], "HTTP/1.1"), (&[], "HTTP/1.1")]
    {
        let side = ServerSide::new(&ca.issue(&["users.example.com"])).alpn(offers);
        let origin = Origin::named("users").tls(side).negotiated().start().await;
        let proxy = trusting(&ca)
            .identity("web", &ca.issue(&["web.example.com"]))
            .server("tls = { cert = \"web.pem\", key = \"web.key\" }")
            .client_at("/#/fs/{service}", &static_tls("{service}.example.com"))
            .endpoint("users", origin.addr())
            .start()
            .await;

        let side = ClientSide::new(&ca, "web.example.com");
        let mut http1 = Http1::tls(proxy.addr(), &side.clone().alpn(&["http/1.1"])).await.expect("TLS");
        assert_eq!(http1.ask(&Ask::get("users", "/")).await.is(200).json()["version"], version, "{offers:?}");
        let http2 = Http2::tls(proxy.addr(), &side.alpn(&["h2", "http/1.1"])).await.expect("TLS");
        assert_eq!(http2.ask(&Ask::get("users", "/")).await.is(200).json()["version"], version, "{offers:?}");
    }
}

#[tokio::test]
async fn protocol_key_is_what_is_offered() {
    let ca = Ca::new();
    let side = ServerSide::new(&ca.issue(&["users.example.com"])).alpn(&["h2", "http/1.1"]);
    let origin = Origin::named("users").tls(side).negotiated().start().await;
    for (protocol, version) in [("http1", "HTTP/1.1"), ("http2", "HTTP/2.0")] {
        let proxy = trusting(&ca)
            .client(&format!("protocol = \"{protocol}\""))
            .client_at("/#/fs/{service}", &static_tls("{service}.example.com"))
            .endpoint("users", origin.addr())
            .start()
            .await;
        assert_eq!(proxy.get("users", "/").await.is(200).json()["version"], version);
    }
}

#[tokio::test]
async fn clear_text_on_a_tls_port_gets_nothing_and_hurts_nobody() {
    let ca = Ca::new();
    let users = Origin::http("users").await;
    let proxy = Spec::router("in")
        .identity("web", &ca.issue(&["web.example.com"]))
        .server("tls = { cert = \"web.pem\", key = \"web.key\" }")
        .endpoint("users", users.addr())
        .start()
        .await;
    let mut plain = proxy.http1().await;
    plain.send(Ask::get("users", "/").to_http1()).await;
    if let Ok(answer) = plain.answer_to("GET").await {
        assert!(answer.status() >= 400, "{answer:?}");
    }
    assert_eq!(users.requests(), 0);
    let mut client = Http1::tls(proxy.addr(), &ClientSide::new(&ca, "web.example.com")).await.expect("TLS");
    client.ask(&Ask::get("users", "/")).await.is(200);
}

#[tokio::test]
async fn handshake_that_takes_too_long_is_closed() {
    let ca = Ca::new();
    let proxy = Spec::router("in")
        .identity("web", &ca.issue(&["web.example.com"]))
        .server("tls = { cert = \"web.pem\", key = \"web.key\" }\nhead_timeout = \"200ms\"")
        .start()
        .await;
    assert!(proxy.http1().await.until_closed().await.is_empty());
}

#[tokio::test]
async fn new_server_certificate_is_shown_without_a_reload() {
    let (old, new) = (Ca::new(), Ca::new());
    let users = Origin::http("users").await;
    let proxy = Spec::router("in")
        .identity("web", &old.issue(&["web.example.com"]))
        .server("tls = { cert = \"web.pem\", key = \"web.key\" }")
        .endpoint("users", users.addr())
        .start()
        .await;
    let mut before = Http1::tls(proxy.addr(), &ClientSide::new(&old, "web.example.com")).await.expect("TLS");

    new.issue(&["web.example.com"]).write(proxy.spec().dir(), "web");

    eventually("the new certificate is shown", async || {
        let side = ClientSide::new(&new, "web.example.com");
        Http1::tls(proxy.addr(), &side).await.map(drop).map_err(|error| error.to_string())
    })
    .await;
    before.ask(&Ask::get("users", "/")).await.is(200);
}

#[tokio::test]
async fn bad_new_certificate_keeps_the_old_one() {
    let ca = Ca::new();
    let users = Origin::http("users").await;
    let mut proxy = Spec::router("in")
        .identity("web", &ca.issue(&["web.example.com"]))
        .server("tls = { cert = \"web.pem\", key = \"web.key\" }")
        .endpoint("users", users.addr())
        .start()
        .await;
    certs::replace(&proxy.spec().path("web.pem"), b"no certificate", 0o644);
    let refused = async || proxy.admin("/config.json").await.is(200).json()["refused"].clone();
    let finding = eventually("the admin says so", async || {
        let refused = refused().await;
        refused["certificates"]["findings"][0].as_str().map(str::to_owned).ok_or_else(|| refused.to_string())
    })
    .await;
    let (config, pem) = (proxy.spec().config(), proxy.spec().path("web.pem"));
    let place = format!("{}:", config.display());
    assert!(
        finding.starts_with(&place) && finding.contains(&format!("{}: no certificate", pem.display())),
        "{finding}"
    );
    proxy.metric_is("waypost_config_refused", &[("what", "certificates")], 1.0).await;
    proxy.metric_is("waypost_tls_reloads_total", &[("outcome", "failure")], 1.0).await;
    let mut client = Http1::tls(proxy.addr(), &ClientSide::new(&ca, "web.example.com")).await.expect("TLS");
    client.ask(&Ask::get("users", "/")).await.is(200);

    let next = ca.issue(&["web.example.com"]);
    next.write(proxy.spec().dir(), "web");
    proxy.metric_is("waypost_config_refused", &[("what", "certificates")], 0.0).await;
    assert_eq!(refused().await, serde_json::json!({ "configuration": null, "certificates": null }));

    certs::replace(&pem, b"no certificate", 0o644);
    proxy.metric_is("waypost_config_refused", &[("what", "certificates")], 1.0).await;
    proxy.signal(process::Signal::Hup);
    proxy.metric_is("waypost_config_reloads_total", &[("outcome", "failure")], 1.0).await;
    proxy.metric_is("waypost_config_refused", &[("what", "configuration")], 1.0).await;
    next.write(proxy.spec().dir(), "web");
    proxy.metric_is("waypost_config_refused", &[("what", "certificates")], 0.0).await;
    proxy.signal(process::Signal::Hup);
    proxy.metric_is("waypost_config_refused", &[("what", "configuration")], 0.0).await;
}

#[tokio::test]
async fn withdrawn_trust_ends_the_use_of_pooled_connections() {
    let (old, new) = (Ca::new(), Ca::new());
    let users = Origin::https("users", &old.issue(&["users.example.com"])).await;
    let proxy = trusting(&old)
        .client_at("/#/fs/{service}", &static_tls("{service}.example.com"))
        .endpoint("users", users.addr())
        .start()
        .await;
    proxy.get("users", "/").await.is(200);

    certs::replace(&proxy.spec().path("ca.pem"), new.pem().as_bytes(), 0o644);

    eventually("the endpoint is refused", async || match proxy.get("users", "/").await {
        answer if answer.word() == "tls_untrusted" => Ok(()),
        answer => Err(format!("{answer:?}")),
    })
    .await;
    let reached = users.requests();
    for _ in 0..5 {
        proxy.get("users", "/").await.is_error(502, "tls_untrusted");
    }
    assert_eq!(users.requests(), reached);
}

#[tokio::test]
async fn name_of_a_request_cannot_reach_the_name_that_is_verified() {
    let ca = Ca::new();
    let impostor = Origin::https("evil", &ca.issue(&["evil.example.com"])).await;
    let proxy = trusting(&ca)
        .dtab("/svc => /#/fs/users")
        .client_at("/#/fs/{service}", &static_tls("{service}.example.com"))
        .endpoint("users", impostor.addr())
        .start()
        .await;
    for host in ["evil", "evil.example.com", "users"] {
        proxy.get(host, "/").await.is_error(502, "tls_name");
    }
    assert_eq!(impostor.requests(), 0);
}

/// Lists of a root and of a CA below it: each CA of a chain needs one, and whichever of them revokes something is heeded.
#[tokio::test]
async fn revocation_is_looked_for_at_each_ca_of_a_chain() {
    let root = Ca::named("root CA");
    let between = root.intermediate("intermediate CA");
    let below = || between.sign(Leaf::new(&["users.example.com"])).with_issuer(&between);
    let (good, bad) = (below(), below());
    let (good_origin, bad_origin) = (Origin::https("good", &good).await, Origin::https("bad", &bad).await);
    let (root_list, between_list) = (root.revoke(&[]), between.revoke(&[&bad]));
    let root_revokes = root.revoke(&[&between.identity()]);
    let cases = [
        ("both lists", &good_origin, format!("{root_list}{between_list}"), ""),
        ("leaf revoked", &bad_origin, format!("{root_list}{between_list}"), "tls_revoked"),
        ("intermediate revoked", &good_origin, format!("{root_revokes}{between_list}"), "tls_revoked"),
        ("no list of the root", &good_origin, between_list.clone(), "tls_untrusted"),
        ("no list of the intermediate", &good_origin, root_list.clone(), "tls_untrusted"),
    ];
    for (what, origin, lists, word) in cases {
        let crls = "crls = [\"crl.pem\"]";
        for tls in [
            static_tls("users.example.com").replace("tls = { ", &format!("tls = {{ {crls}, ")),
            bound_path_tls(&[("/#/fs/{service}", "{service}.example.com")], crls),
        ] {
            let proxy =
                trusting(&root).file("crl.pem", &lists).client(&tls).endpoint("users", origin.addr()).start().await;
            let answer = proxy.get("users", "/").await;
            if word.is_empty() {
                answer.is(200);
                continue;
            }
            let answer = answer.is_error(502, word);
            if word == "tls_untrusted" {
                assert!(answer.l5d_err().contains("none of the `crls` is of CN="), "{what}: {answer:?}");
            }
        }
    }
}

/// The same for those who call us.
#[tokio::test]
async fn revocation_of_callers_is_looked_for_at_each_ca_of_a_chain() {
    let root = Ca::named("root CA");
    let between = root.intermediate("intermediate CA");
    let below = || between.sign(Leaf::new(&["spiffe://test/caller"])).with_issuer(&between);
    let (good, bad) = (below(), below());
    let users = Origin::http("users").await;
    let (root_list, between_list) = (root.revoke(&[]), between.revoke(&[&bad]));
    for (what, caller, lists, served) in [
        ("both lists", &good, format!("{root_list}{between_list}"), true),
        ("leaf revoked", &bad, format!("{root_list}{between_list}"), false),
        ("intermediate revoked", &good, format!("{}{between_list}", root.revoke(&[&between.identity()])), false),
        ("no list of the root", &good, between_list.clone(), false),
        ("no list of the intermediate", &good, root_list.clone(), false),
    ] {
        let proxy = trusting(&root)
            .identity("web", &root.issue(&["web.example.com"]))
            .file("crl.pem", &lists)
            .server("tls = { cert = \"web.pem\", key = \"web.key\", client_ca = \"ca.pem\", crls = [\"crl.pem\"] }")
            .endpoint("users", users.addr())
            .start()
            .await;
        let side = ClientSide::new(&root, "web.example.com").shows(caller);
        let asked = async {
            let mut client = Http1::tls(proxy.addr(), &side).await.ok()?;
            client.try_ask(&Ask::get("users", "/")).await.ok()
        };
        assert_eq!(asked.await.map(|answer| answer.status()), served.then_some(200), "{what}");
    }
}
