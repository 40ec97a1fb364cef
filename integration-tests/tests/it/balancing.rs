//! How traffic is shared by the endpoints of one name.

use std::net::SocketAddr;

use integration_tests::*;

#[tokio::test]
async fn every_balancer_shares_by_weight() {
    for kind in ["p2c", "ewma", "round_robin"] {
        let light = Origin::http("light").await;
        let heavy = Origin::http("heavy").await;
        let proxy = Spec::router("out").client(&format!("balancer = {{ kind = \"{kind}\" }}")).endpoints("users", &[]);
        let file = format!("127.0.0.1 {}\n127.0.0.1 {} * 3.0 # three times as much\n", light.port(), heavy.port());
        proxy.disco().write("users", &file);
        let proxy = proxy.start().await;
        let mut client = proxy.http1().await;
        for _ in 0..400 {
            client.ask(&Ask::get("users", "/")).await.is(200);
        }
        // 100 are expected; latencies of one machine differ little, but not by nothing.
        assert!((30..=190).contains(&light.requests()), "{kind}: {} of 400 at weight 1 of 4", light.requests());
        assert_eq!(light.requests() + heavy.requests(), 400);
    }
}

#[tokio::test]
async fn endpoint_that_fails_again_and_again_is_left_out_and_comes_back() {
    let good = Origin::http("good").await;
    let bad = Origin::that(Behaviour::status(500)).await;
    let proxy = Spec::router("out")
        .workers(1)
        .client("balancer = { kind = \"round_robin\" }")
        .client("accrual = { kind = \"consecutive_failures\", failures = 3, backoff = { min = \"100ms\", max = \"200ms\" } }")
        .endpoints("users", &[good.addr(), bad.addr()])
        .start()
        .await;
    let state = async |addr: SocketAddr| -> String {
        let client = proxy.client("/#/fs/users").await.unwrap_or_default();
        let endpoints = client["endpoints"].as_array().cloned().unwrap_or_default();
        let entry = endpoints.into_iter().find(|entry| entry["addr"] == addr.to_string()).unwrap_or_default();
        entry["state"].as_str().unwrap_or_default().to_owned()
    };

    eventually("the bad endpoint is ejected", async || {
        proxy.get("users", "/").await;
        match state(bad.addr()).await.as_str() {
            "ejected" => Ok(()),
            other => Err(other.to_owned()),
        }
    })
    .await;
    assert_eq!(state(good.addr()).await, "alive");

    bad.now(Behaviour::Echo);
    eventually("a probe brings it back", async || {
        proxy.get("users", "/").await.is(200);
        match state(bad.addr()).await.as_str() {
            "alive" => Ok(()),
            other => Err(other.to_owned()),
        }
    })
    .await;
}

#[tokio::test]
async fn when_all_endpoints_are_out_all_are_used() {
    let bad = Origin::that(Behaviour::status(500)).await;
    let proxy = Spec::router("out")
        .client("accrual = { kind = \"consecutive_failures\", failures = 2, backoff = { min = \"1h\", max = \"1h\" } }")
        .endpoint("users", bad.addr())
        .start()
        .await;
    for _ in 0..10 {
        proxy.get("users", "/").await.is(500);
    }
    assert_eq!(bad.requests(), 10);
}

#[tokio::test]
async fn failures_under_one_name_do_not_count_under_another_at_the_same_address() {
    let shared = Origin::that(Behaviour::status(500)).await;
    let proxy = Spec::router("out")
        .client("accrual = { kind = \"consecutive_failures\", failures = 2, backoff = { min = \"1h\", max = \"1h\" } }")
        .endpoint("a", shared.addr())
        .endpoint("b", shared.addr())
        .start()
        .await;
    for _ in 0..4 {
        proxy.get("a", "/").await.is(500);
    }
    shared.now(Behaviour::Echo);
    proxy.get("b", "/").await.is(200);

    let state = async |bound: &str| {
        let client = proxy.client(bound).await.unwrap_or_default();
        client["endpoints"][0]["state"].as_str().unwrap_or_default().to_owned()
    };
    eventually("both are shown", async || match (state("/#/fs/a").await, state("/#/fs/b").await) {
        (a, b) if a == "ejected" && b == "alive" => Ok(()),
        states => Err(format!("{states:?}")),
    })
    .await;
}

#[tokio::test]
async fn change_of_endpoints_acts_within_moments_and_loses_nothing() {
    let first = Origin::http("first").await;
    let second = Origin::http("second").await;
    let proxy = Spec::router("out").endpoint("users", first.addr()).start().await;
    proxy.get("users", "/").await.is(200);

    for (origin, name) in [(&second, "second"), (&first, "first"), (&second, "second")] {
        proxy.disco().set("users", &[origin.addr()]);
        proxy.soon_reaches("users", name).await;
    }
    proxy.disco().remove("users");
    eventually("the name is gone", async || match proxy.get("users", "/").await {
        gone if gone.word() == "negative" => Ok(()),
        other => Err(format!("{other:?}")),
    })
    .await;
}

#[tokio::test]
async fn malformed_discovery_file_keeps_the_last_good_content() {
    let users = Origin::http("users").await;
    let other = Origin::http("other").await;
    let proxy = Spec::router("out").endpoint("users", users.addr()).endpoint("marker", users.addr()).start().await;
    proxy.get("users", "/").await.is(200);

    proxy.disco().write("users", "127.0.0.1 not-a-port\n");
    proxy.disco().set("marker", &[other.addr()]);

    // Once a later change has been seen, the earlier one has been, too.
    proxy.soon_reaches("marker", "other").await;
    proxy.get("users", "/").await.is(200);
}
