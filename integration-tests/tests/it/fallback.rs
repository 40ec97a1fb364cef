//! Which alternative gets a request where a name has nobody; and what transformers leave of endpoints.

use integration_tests::*;

const SPARE: &str = "/svc/users => /#/fs/users | /#/fs/spare";
const QUICK: &str =
    "accrual = { kind = \"consecutive_failures\", failures = 2, backoff = { min = \"100ms\", max = \"100ms\" } }";

#[tokio::test]
async fn by_default_a_name_without_endpoints_is_an_answer_as_in_linkerd() {
    let spare = Origin::http("spare").await;
    let proxy = Spec::router("out").dtab(SPARE).endpoints("users", &[]).endpoint("spare", spare.addr()).start().await;

    let refused = proxy.get("users", "/").await;
    assert_eq!((refused.code, refused.word()), (502, "no_endpoints"), "{refused:?}");
    proxy.disco().remove("users");
    eventually("the name is gone", async || match proxy.get("users", "/").await.code {
        200 => Ok(()),
        code => Err(code.to_string()),
    })
    .await;
    assert_eq!(proxy.reaches("users").await, "spare");
}

#[tokio::test]
async fn with_endpoints_an_empty_name_gives_way_and_takes_over_again() {
    let (users, spare) = (Origin::http("users").await, Origin::http("spare").await);
    let spec = Spec::router("out").dtab(SPARE).keys("fallback = \"endpoints\"");
    let proxy = spec.endpoints("users", &[]).endpoint("spare", spare.addr()).start().await;
    assert_eq!(proxy.reaches("users").await, "spare");

    for (endpoints, reached) in [(vec![users.addr()], "users"), (vec![], "spare"), (vec![users.addr()], "users")] {
        proxy.disco().set("users", &endpoints);
        proxy.soon_reaches("users", reached).await;
    }

    let said = proxy.explain(&["http://users/"]).await.json();
    assert_eq!(said["fallback"]["value"], "endpoints");
    assert!(said["fallback"]["from"].as_str().is_some_and(|from| from.contains("waypost.toml:")), "{said}");
    assert_eq!(said["leaves"][0]["bound"], "/#/fs/users");
    proxy.disco().set("users", &[]);
    proxy.disco().set("spare", &[]);
    eventually("nobody is anywhere", async || match proxy.get("users", "/").await {
        refused if refused.word() == "no_endpoints" => Ok(()),
        other => Err(format!("{other:?}")),
    })
    .await;
}

#[tokio::test]
async fn an_ejected_name_gives_way_and_its_probes_cost_nobody_anything() {
    let spare = Origin::http("spare").await;
    let users = free_port();
    let spec = Spec::router("out").dtab(SPARE).keys("fallback = \"endpoints\"").client(QUICK).workers(1);
    let addr = std::net::SocketAddr::from(([127, 0, 0, 1], users));
    let proxy = spec.endpoint("users", addr).endpoint("spare", spare.addr()).start().await;

    // The first request finds out: both failures are its own, and its last attempt falls back.
    for _ in 0..100 {
        assert_eq!(proxy.reaches("users").await, "spare");
    }
    let client = proxy.http2().await;
    for _ in 0..100 {
        client.ask(&Ask::get("users", "/")).await.is(200);
    }
    let _back = Origin::named("users").http1().port(users).start().await;
    proxy.soon_reaches("users", "users").await;
}

#[tokio::test]
async fn a_running_proxy_says_that_an_ejected_name_gave_way() {
    let spare = Origin::http("spare").await;
    let once = "accrual = { kind = \"consecutive_failures\", failures = 1, backoff = { min = \"1h\", max = \"1h\" } }";
    let spec = Spec::router("out").dtab(SPARE).keys("fallback = \"endpoints\"").client(once);
    let proxy = spec.endpoint("users", nobody()).endpoint("spare", spare.addr()).start().await;
    assert_eq!(proxy.reaches("users").await, "spare");

    let said = proxy.explain(&["http://users/"]).await;
    assert_eq!(said.json()["leaves"][0]["bound"], "/#/fs/spare", "{said:?}");
    let from_the_file = proxy.explain_offline(&["http://users/"]).await;
    assert_eq!(from_the_file.json()["leaves"][0]["bound"], "/#/fs/users", "{from_the_file:?}");
}

#[tokio::test]
async fn a_union_leaves_out_who_has_nobody() {
    let users = Origin::http("users").await;
    let spec = Spec::router("out").dtab("/svc/users => 1 * /#/fs/users & 9 * /#/fs/canary");
    let spec = spec.keys("fallback = \"endpoints\"").endpoints("canary", &[]);
    let proxy = spec.endpoint("users", users.addr()).start().await;
    for _ in 0..50 {
        assert_eq!(proxy.reaches("users").await, "users");
    }
}

#[tokio::test]
async fn transformers_change_ports_and_leave_out_endpoints() {
    let origin = Origin::http("gateway").await;
    let spec = Spec::router("out")
        .namer("kind = \"static\"\nprefix = \"lab\"\nservices = { users = [\"127.0.0.1:1\", \"127.9.9.9:1\"] }")
        .dtab("/svc => /#/lab")
        .keys(&format!(
            "transformers = [{{ kind = \"specific_host\", host = \"127.0.0.1\" }}, \
             {{ kind = \"io.l5d.port\", port = {} }}]",
            origin.port()
        ));
    let bound = format!("/%/io.l5d.port/{}/%/specific_host/#/lab/users", origin.port());
    let proxy = spec.client_at(&bound, "host = \"by.bound.path\"").start().await;

    assert_eq!(proxy.reaches("users").await, "gateway");

    assert_eq!(origin.last().header("host"), Some("by.bound.path"));
    assert_eq!(origin.last().header("l5d-dst-client"), Some(bound.as_str()));
    for said in [proxy.explain(&["http://users/"]).await, proxy.explain_offline(&["http://users/"]).await] {
        let said = said.json();
        assert_eq!(said["leaves"][0]["bound"], bound.as_str());
        let endpoints = said["leaves"][0]["endpoints"].as_array().cloned().unwrap_or_default();
        assert_eq!(endpoints.len(), 1, "{said}");
        assert_eq!(endpoints[0]["addr"], origin.addr().to_string());
    }
}
