//! gRPC between a client and a server that nobody here wrote, in clear text and through a pair with TLS.

use integration_tests::config::static_tls;
use integration_tests::*;

async fn works(proxy: &TestProxy, server: &PythonServer) {
    let address = proxy.addr().to_string();
    let ran = python_client("grpc_client.py", &[&address, "users", "1000"]).await;
    assert_eq!((ran.code, ran.stdout.trim()), (0, "fine"), "{ran:?}\n{}", server.output());
    // A call that was given up is given up at the server: the deadline's one, and the cancelled one.
    eventually("the server learns that calls were given up", async || {
        let output = server.output();
        if output.contains("ended") && output.contains("cancelled") { Ok(()) } else { Err(output) }
    })
    .await;
}

#[tokio::test]
async fn a_client_and_a_server_talk_in_clear_text() {
    let server = PythonServer::start("grpc_server.py", &[]).await;
    let proxy = Spec::router("out").endpoint("users", server.addr()).start().await;
    works(&proxy, &server).await;
}

#[tokio::test]
async fn a_client_and_a_server_talk_through_a_pair() {
    let ca = Ca::new();
    let server = PythonServer::start("grpc_server.py", &[]).await;
    let inner = Spec::router("in")
        .trust("ca", &ca)
        .identity("users", &ca.issue(&["users.example.com"]))
        .server("tls = { cert = \"users.pem\", key = \"users.key\", client_ca = \"ca.pem\" }")
        .endpoint("users", server.addr())
        .start()
        .await;
    let own = ", client_auth = { cert = \"caller.pem\", key = \"caller.key\" } }";
    let outer = Spec::router("out")
        .trust("ca", &ca)
        .identity("caller", &ca.issue(&["spiffe://test/caller"]))
        .client_at("/#/fs/users", &static_tls("users.example.com").replace(" }", own))
        .endpoint("users", inner.addr())
        .start()
        .await;
    works(&outer, &server).await;
}

#[tokio::test]
async fn a_time_out_of_our_own_is_a_status() {
    let server = PythonServer::start("grpc_server.py", &[]).await;
    let proxy = Spec::router("out").service("total_timeout = \"200ms\"").endpoint("users", server.addr()).start().await;
    let ask = Ask::post("users", "/peers.Echo/Slow", vec![0, 0, 0, 0, 0])
        .header("content-type", "application/grpc")
        .header("te", "trailers");
    let answer = proxy.ask_http2(&ask).await.is(200);
    assert_eq!(answer.header("grpc-status"), Some("4"), "{answer:?}");
    assert_eq!(answer.word(), "timeout");
}
