//! A request goes where its name leads, and the endpoint is told how it got there.

use integration_tests::*;

#[tokio::test]
async fn host_leads_through_discovery_to_its_endpoint() {
    let users = Origin::http("users").await;
    let other = Origin::http("other").await;
    let proxy = Spec::router("out").endpoint("users", users.addr()).endpoint("other", other.addr()).start().await;

    let echo = proxy.get("users", "/path?query=1").await.is(200).json();

    assert_eq!(echo["origin"], "users");
    assert_eq!(echo["target"], "/path?query=1");
    let seen = users.last();
    assert_eq!(seen.headers("host"), ["users"]);
    assert_eq!(seen.headers("l5d-dst-service"), ["/svc/users"]);
    assert_eq!(seen.headers("l5d-dst-client"), ["/#/fs/users"]);
    assert_eq!(seen.header("l5d-dst-residual"), None, "there is none");
    assert_eq!(other.requests(), 0);
}

#[tokio::test]
async fn static_namer_binds_its_services() {
    let users = Origin::http("users").await;
    let services = format!("kind = \"static\"\nprefix = \"lab\"\n[namers.services]\nusers = [\"{}\"]\n", users.addr());
    let proxy = Spec::router("out").namer(&services).dtab("/svc => /#/lab").start().await;

    proxy.get("users", "/").await.is(200);

    assert_eq!(users.last().headers("l5d-dst-client"), ["/#/lab/users"]);
    proxy.get("unknown", "/").await.is_error(502, "negative");
}

#[tokio::test]
async fn kinds_spelled_as_linkerd_spells_them_work_unchanged() {
    let users = Origin::http("users").await;
    let proxy = Spec::router("out")
        .without_namers()
        .namer("kind = \"io.l5d.fs\"\nroot_dir = \"disco\"")
        .keys("identifier = { kind = \"io.l5d.header.token\", header = \"my-service\" }")
        .dtab("/svc => /#/io.l5d.fs ;")
        .endpoint("users", users.addr())
        .start()
        .await;

    proxy.ask(&Ask::get("anything", "/").header("My-Service", "users")).await.is(200);

    assert_eq!(users.last().headers("l5d-dst-client"), ["/#/io.l5d.fs/users"]);
}

#[tokio::test]
async fn hosts_are_lower_cased_and_keep_their_port() {
    let users = Origin::http("users").await;
    let proxy = Spec::router("out").endpoint("users", users.addr()).endpoint("users:8080", users.addr()).start().await;

    for (host, name) in [("USERS", "/svc/users"), ("Users:8080", "/svc/users:8080")] {
        proxy.get(host, "/").await.is(200);
        assert_eq!(users.last().headers("l5d-dst-service"), [name]);
        assert_eq!(users.last().headers("host"), [host], "the endpoint gets the Host as it came");
    }
}

#[tokio::test]
async fn name_that_leads_nowhere_is_answered_502_negative() {
    let proxy = Spec::router("out").start().await;

    let answer = proxy.get("nobody", "/").await.is_error(502, "negative");

    assert!(answer.l5d_err().contains("/svc/nobody"), "{answer:?}");
    assert!(answer.text().contains("/svc/nobody"), "{}", answer.text());
    assert_eq!(answer.header("l5d-retryable"), Some("true"), "nothing reached an endpoint");
}

#[tokio::test]
async fn request_that_nothing_names_is_answered_400_unidentified() {
    let users = Origin::http("users").await;
    let proxy =
        Spec::router("out").keys("identifier = { kind = \"header\" }").endpoint("users", users.addr()).start().await;

    let answer = proxy.get("users", "/").await.is_error(400, "unidentified");
    assert!(answer.l5d_err().contains("l5d-name"), "it says which header: {answer:?}");
    proxy.ask(&Ask::get("x", "/").header("l5d-name", "users")).await.is_error(400, "unidentified");
    proxy.ask(&Ask::get("x", "/").header("l5d-name", "/users")).await.is(200);
    assert_eq!(users.requests(), 1);
}

#[tokio::test]
async fn identifiers_name_requests_each_in_its_way() {
    let origin = Origin::http("any").await;
    let port = origin.port();
    for (identifier, ask, name, target) in [
        ("{ kind = \"method_and_host\" }", Ask::get("Users", "/x"), "/svc/1.1/GET/users", "/x"),
        (
            "{ kind = \"io.l5d.methodAndHost\", uri_in_dst = true }",
            Ask::get("u", "/a/b?c"),
            "/svc/1.1/GET/u/a/b",
            "/a/b?c",
        ),
        ("{ kind = \"path\", segments = 2 }", Ask::get("x", "/a/b/c"), "/svc/a/b", "/a/b/c"),
        ("{ kind = \"path\", consume = true }", Ask::get("x", "/a/b/?q=1"), "/svc/a", "/b/?q=1"),
        ("{ kind = \"static\", path = \"/all/here\" }", Ask::get("x", "/"), "/svc/all/here", "/"),
        ("[{ kind = \"header\" }, { kind = \"header.token\" }]", Ask::get("web", "/"), "/svc/web", "/"),
    ] {
        let dtab = format!("/svc => /$/inet/127.0.0.1/{port}");
        let proxy = Spec::router("out").keys(&format!("identifier = {identifier}")).dtab(&dtab).start().await;

        proxy.ask(&ask).await.is(200);

        assert_eq!(origin.last().headers("l5d-dst-service"), [name], "{identifier}");
        assert_eq!(origin.last().target, target, "{identifier}");
    }
}

#[tokio::test]
async fn residual_is_what_binding_left_of_the_name() {
    let users = Origin::http("users").await;
    let proxy = Spec::router("out")
        .keys("identifier = { kind = \"path\", segments = 3 }")
        .endpoint("users", users.addr())
        .start()
        .await;

    proxy.ask(&Ask::get("x", "/users/v1/list").header("l5d-dst-residual", "/forged")).await.is(200);

    assert_eq!(users.last().headers("l5d-dst-client"), ["/#/fs/users"]);
    assert_eq!(users.last().headers("l5d-dst-residual"), ["/v1/list"]);
}

#[tokio::test]
async fn destination_headers_from_outside_are_replaced() {
    let users = Origin::http("users").await;
    let proxy = Spec::router("out").endpoint("users", users.addr()).start().await;
    let forged = ["l5d-dst-service", "l5d-dst-client", "l5d-dst-residual", "l5d-client-id", "x-forwarded-client-cert"];
    let ask = forged.iter().fold(Ask::get("users", "/"), |ask, name| ask.header(name, "/forged"));

    proxy.ask(&ask).await.is(200);

    let seen = users.last();
    assert!(!seen.fields.iter().any(|(_, value)| value == "/forged"), "{:?}", seen.fields);
    assert_eq!(seen.headers("l5d-dst-service"), ["/svc/users"]);
}

#[tokio::test]
async fn fallback_is_taken_when_the_first_name_is_unknown() {
    let old = Origin::http("old").await;
    let new = Origin::http("new").await;
    let proxy = Spec::router("out")
        .dtab("/svc/users => /#/fs/users-new | /#/fs/users-old")
        .endpoint("users-old", old.addr())
        .start()
        .await;

    assert_eq!(proxy.reaches("users").await, "old");
    proxy.disco().set("users-new", &[new.addr()]);
    proxy.soon_reaches("users", "new").await;
}

#[tokio::test]
async fn a_service_without_endpoints_does_not_fall_back() {
    let old = Origin::http("old").await;
    let proxy = Spec::router("out")
        .dtab("/svc/users => /#/fs/users-new | /#/fs/users-old")
        .endpoints("users-new", &[])
        .endpoint("users-old", old.addr())
        .start()
        .await;

    proxy.get("users", "/").await.is_error(502, "no_endpoints");
    assert_eq!(old.requests(), 0);
}

#[tokio::test]
async fn later_rule_wins_and_an_earlier_one_is_its_fallback() {
    let a = Origin::http("a").await;
    let b = Origin::http("b").await;
    let proxy = Spec::router("out")
        .dtab("/svc => /#/fs ;\n/svc/users => /#/fs/beta ; # only while there is a beta\n/svc/cut => /#/fs/beta | !")
        .endpoint("users", a.addr())
        .endpoint("cut", a.addr())
        .start()
        .await;

    assert_eq!(proxy.reaches("users").await, "a");
    proxy.get("cut", "/").await.is_error(502, "failed");
    proxy.disco().set("beta", &[b.addr()]);
    proxy.soon_reaches("users", "b").await;
}

#[tokio::test]
async fn union_shares_traffic_by_weight() {
    let a = Origin::http("a").await;
    let b = Origin::http("b").await;
    let zero = Origin::http("zero").await;
    let proxy = Spec::router("out")
        .dtab("/svc => 0.75 * /#/fs/a & 0.25 * /#/fs/b & 0 * /#/fs/zero")
        .endpoint("a", a.addr())
        .endpoint("b", b.addr())
        .endpoint("zero", zero.addr())
        .start()
        .await;
    let mut client = proxy.http1().await;

    for _ in 0..400 {
        client.ask(&Ask::get("users", "/")).await.is(200);
    }

    // 100 expected, with a standard deviation below 9: six of them are never seen.
    assert!((46..=154).contains(&b.requests()), "{} of 400 to the quarter", b.requests());
    assert_eq!(a.requests() + b.requests(), 400);
    assert_eq!(zero.requests(), 0, "weight 0 gets no traffic");
}

#[tokio::test]
async fn union_member_that_leads_nowhere_gives_its_share_to_the_others() {
    let a = Origin::http("a").await;
    let proxy =
        Spec::router("out").dtab("/svc => 0.5 * /#/fs/a & 0.5 * /#/fs/missing").endpoint("a", a.addr()).start().await;
    let mut client = proxy.http1().await;

    for _ in 0..30 {
        client.ask(&Ask::get("users", "/")).await.is(200);
    }
}

#[tokio::test]
async fn rewrite_namer_makes_names_from_captures() {
    let users = Origin::http("users").await;
    let proxy = Spec::router("out")
        .namer("kind = \"rewrite\"\nprefix = \"hosts\"\npattern = \"/{service}.{zone}\"\nname = \"/#/fs/{service}-{zone}\"")
        .dtab("/svc => /#/hosts")
        .endpoint("users-east", users.addr())
        .start()
        .await;

    proxy.get("users.east", "/").await.is(200);
    assert_eq!(users.last().headers("l5d-dst-client"), ["/#/fs/users-east"]);
}

#[tokio::test]
async fn built_in_names_reach_addresses() {
    let origin = Origin::http("any").await;
    let port = origin.port();
    for (dtab, client) in [
        (format!("/svc => /$/inet/127.0.0.1/{port}"), format!("/$/inet/127.0.0.1/{port}")),
        (
            format!("/host => /$/io.buoyant.rinet/{port} ; /svc/users => /host/127.0.0.1"),
            format!("/$/io.buoyant.rinet/{port}/127.0.0.1"),
        ),
        (
            format!(
                "/dc/com/example/www => /$/inet/127.0.0.1/{port} ; /svc => /$/io.buoyant.http.domainToPathPfx/dc ; \
                 /svc/users => /svc/www.example.com"
            ),
            format!("/$/inet/127.0.0.1/{port}"),
        ),
    ] {
        let proxy = Spec::router("out").dtab(&dtab).start().await;
        proxy.get("users", "/").await.is(200);
        assert_eq!(origin.last().headers("l5d-dst-client"), [client], "{dtab}");
    }
}

#[tokio::test]
async fn host_names_in_inet_are_resolved() {
    let origin = Origin::http("any").await;
    let proxy = Spec::router("out").dtab(&format!("/svc => /$/inet/localhost/{}", origin.port())).start().await;
    proxy.get("users", "/").await.is(200);
}

#[tokio::test]
async fn dtab_file_is_the_dtab() {
    let users = Origin::http("users").await;
    let proxy = Spec::router("out")
        .without_dtab()
        .keys("dtab_file = \"routes.dtab\"")
        .file("routes.dtab", "# all of them\n/svc => /#/fs ;\n")
        .endpoint("users", users.addr())
        .start()
        .await;
    proxy.get("users", "/").await.is(200);
}

#[tokio::test]
async fn absolute_form_names_the_request_by_its_authority() {
    let users = Origin::http("users").await;
    let other = Origin::http("other").await;
    let proxy = Spec::router("out").endpoint("users", users.addr()).endpoint("other", other.addr()).start().await;

    proxy.ask(&Ask::get("other", "http://users/x?y=1")).await.is(200);

    assert_eq!((users.requests(), other.requests()), (1, 0));
    assert_eq!(users.last().target, "/x?y=1", "the endpoint gets origin-form");
    assert_eq!(users.last().headers("host"), ["users"]);
}

#[tokio::test]
async fn each_router_has_its_own_rules() {
    let a = Origin::http("a").await;
    let b = Origin::http("b").await;
    let proxy = Spec::router("one")
        .dtab("/svc => /#/fs/a")
        .and_router("two")
        .dtab("/svc => /#/fs/b")
        .endpoint("a", a.addr())
        .endpoint("b", b.addr())
        .start()
        .await;
    for (router, origin) in [("one", "a"), ("two", "b")] {
        let answer = Http1::connect(proxy.addr_of(router)).await.ask(&Ask::get("users", "/")).await;
        assert_eq!(answer.is(200).json()["origin"], origin);
    }
}

#[tokio::test]
async fn connections_to_endpoints_are_used_again() {
    let users = Origin::http("users").await;
    let proxy = Spec::router("out").workers(1).endpoint("users", users.addr()).start().await;

    for _ in 0..10 {
        proxy.get("users", "/").await.is(200);
    }

    assert_eq!((users.requests(), users.connections()), (10, 1));
}
