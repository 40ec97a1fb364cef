//! Where it listens, and how many it lets in.

use std::net::SocketAddr;

use integration_tests::*;

#[tokio::test]
async fn any_address_serves_both_families() {
    let users = Origin::http("users").await;
    let proxy = Spec::router("out").server_ip("::").endpoint("users", users.addr()).start().await;
    proxy.get("users", "/").await.is(200);
    let v6: SocketAddr = format!("[::1]:{}", proxy.addr().port()).parse().expect("an address");
    // Not every machine has the other family.
    if let Ok(mut client) = Http1::try_connect(v6).await {
        client.ask(&Ask::get("users", "/")).await.is(200);
    }
}

#[tokio::test]
async fn all_workers_take_part_of_the_connections() {
    let users = Origin::that(Behaviour::Gated).await;
    let proxy = Spec::router("out").workers(4).endpoint("users", users.addr()).start().await;
    let mut clients = Vec::new();
    for _ in 0..40 {
        let mut client = proxy.http1().await;
        client.send(Ask::get("users", "/").to_http1()).await;
        clients.push(client);
    }
    users.has_requests(40).await;
    users.open();
    for mut client in clients {
        client.answer_to("GET").await.expect("a response").is(200);
    }
}

#[tokio::test]
async fn connections_over_the_limit_wait_or_are_closed_and_never_served_beside() {
    let users = Origin::http("users").await;
    let proxy = Spec::router("out").server("max_connections = 4").endpoint("users", users.addr()).start().await;
    let mut within = Vec::new();
    for _ in 0..4 {
        let mut client = proxy.http1().await;
        client.ask(&Ask::get("users", "/")).await.is(200);
        within.push(client);
    }
    let mut over = Vec::new();
    for _ in 0..4 {
        let mut client = proxy.http1().await;
        let _sent = client.try_send(&Ask::get("users", "/").to_http1()).await;
        over.push(client);
    }
    // As long as the first four are served, none of the others is.
    for client in &mut within {
        client.ask(&Ask::get("users", "/")).await.is(200);
    }
    assert_eq!(users.requests(), 8, "four connections are served, for the whole process");

    drop((within, over));
    eventually("there is room again", async || {
        let mut client = Http1::try_connect(proxy.addr()).await.map_err(|error| error.to_string())?;
        let answer = client.try_ask(&Ask::get("users", "/")).await.map_err(|error| error.to_string())?;
        if answer.status() == 200 { Ok(()) } else { Err(format!("{answer:?}")) }
    })
    .await;
}

#[tokio::test]
async fn idle_connections_to_endpoints_are_closed() {
    let users = Origin::http("users").await;
    let proxy =
        Spec::router("out").client("pool = { idle_timeout = \"200ms\" }").endpoint("users", users.addr()).start().await;
    proxy.get("users", "/").await.is(200);
    proxy.metric_is("waypost_client_connections", &[("client", "/#/fs/users")], 0.0).await;
    proxy.get("users", "/").await.is(200);
    assert_eq!(users.connections(), 2);
}

#[tokio::test]
async fn endpoint_that_closes_its_idle_connections_costs_no_request() {
    let reply = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
    let users = Origin::that(Behaviour::raw_then_close(reply)).await;
    let proxy = Spec::router("out").workers(1).endpoint("users", users.addr()).start().await;
    for _ in 0..30 {
        assert_eq!(proxy.get("users", "/").await.is(200).text(), "ok");
    }
    assert_eq!(users.requests(), 30);
}

#[tokio::test]
async fn completions_and_manual_are_made() {
    for shell in ["bash", "zsh", "fish"] {
        assert!(waypost(&["completions", shell]).await.exits(0).stdout.contains("waypost"), "{shell}");
    }
    assert!(waypost(&["man"]).await.exits(0).stdout.contains(".TH"));
}
