//! The end is orderly: what was begun is finished, nothing new begins.

use integration_tests::process::Signal;
use integration_tests::*;

async fn is_draining(proxy: &TestProxy) {
    eventually("readiness turns 503", async || match proxy.admin("/admin/ready").await.status() {
        503 => Ok(()),
        other => Err(other.to_string()),
    })
    .await;
}

async fn refuses_connections(proxy: &TestProxy) {
    eventually("new connections are refused", async || match Http1::try_connect(proxy.addr()).await {
        Ok(_) => Err("it accepts".to_owned()),
        Err(_) => Ok(()),
    })
    .await;
}

#[tokio::test]
async fn terminated_proxy_finishes_what_it_carries_and_exits_0() {
    for signal in [Signal::Term, Signal::Int] {
        let users = Origin::that(Behaviour::Gated).await;
        let mut proxy =
            Spec::router("out").top("[shutdown]\ngrace = \"60s\"").endpoint("users", users.addr()).start().await;
        let mut http1 = proxy.http1().await;
        http1.send(Ask::get("users", "/").to_http1()).await;
        let http2 = proxy.http2().await;
        let mut stream = http2.open(&Ask::get("users", "/")).await.expect("a stream");
        users.has_requests(2).await;

        proxy.signal(signal);
        is_draining(&proxy).await;
        refuses_connections(&proxy).await;

        users.open();
        http1.answer_to("GET").await.expect("a whole response").is(200);
        stream.answer().await.expect("a whole response").is(200);
        assert_eq!(proxy.exit_code().await, 0);
    }
}

#[tokio::test]
async fn idle_proxy_exits_0_at_once() {
    let users = Origin::http("users").await;
    let mut proxy = Spec::router("out").top("[shutdown]\ngrace = \"1h\"").endpoint("users", users.addr()).start().await;
    let mut idle = proxy.http1().await;
    idle.ask(&Ask::get("users", "/")).await.is(200);
    let mut idle2 = proxy.http2().await;
    idle2.ask(&Ask::get("users", "/")).await.is(200);

    proxy.signal(Signal::Term);
    assert!(idle.until_closed().await.is_empty());
    idle2.closed().await;
    assert_eq!(proxy.exit_code().await, 0);
}

#[tokio::test]
async fn request_that_does_not_end_is_cut_after_the_grace() {
    let users = Origin::that(Behaviour::Gated).await;
    let mut proxy =
        Spec::router("out").top("[shutdown]\ngrace = \"300ms\"").endpoint("users", users.addr()).start().await;
    let mut client = proxy.http1().await;
    client.send(Ask::get("users", "/").to_http1()).await;
    users.has_requests(1).await;
    proxy.signal(Signal::Term);
    assert_eq!(proxy.exit_code().await, 0);
    users.has_aborted(1).await;
}

#[tokio::test]
async fn admin_can_ask_for_the_end() {
    let mut proxy = Spec::router("out").start().await;
    let answer = proxy.admin_post("/admin/shutdown", "text/plain", "").await;
    assert!((200..300).contains(&answer.status()), "{answer:?}");
    assert_eq!(proxy.exit_code().await, 0);
}

#[tokio::test]
async fn response_of_a_draining_server_closes_its_connection() {
    let users = Origin::that(Behaviour::Gated).await;
    let mut proxy =
        Spec::router("out").top("[shutdown]\ngrace = \"60s\"").endpoint("users", users.addr()).start().await;
    let mut client = proxy.http1().await;
    client.send(Ask::get("users", "/").to_http1()).await;
    users.has_requests(1).await;
    proxy.signal(Signal::Term);
    is_draining(&proxy).await;
    users.open();
    client.answer_to("GET").await.expect("a response").is(200);
    assert!(client.until_closed().await.is_empty());
    assert_eq!(proxy.exit_code().await, 0);
}
