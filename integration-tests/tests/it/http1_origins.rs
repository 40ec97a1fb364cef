//! Endpoints that lie: what they send never reaches a client as something whole that it is not, and never becomes the
//! answer to another request.

use integration_tests::*;

/// One worker, so that a connection that was kept would be used again.
async fn behind(behaviour: Behaviour) -> (Origin, TestProxy) {
    let origin = Origin::named("users").http1().plan([behaviour]).start().await;
    let spec = Spec::router("out").workers(1).client("protocol = \"http1\"");
    let proxy = spec.endpoint("users", origin.addr()).start().await;
    (origin, proxy)
}

/// After this the next request is answered by the origin itself, on another connection.
async fn is_not_used_again(users: &Origin, proxy: &TestProxy, rule: &str) {
    let connections = users.connections();
    users.now(Behaviour::Echo);
    assert_eq!(proxy.reaches("users").await, "users", "{rule}");
    assert_eq!(users.connections(), connections + 1, "{rule}: the connection was used again");
    assert_eq!(users.last().connection, connections, "{rule}");
}

#[tokio::test]
async fn responses_that_two_readers_could_take_differently_are_502() {
    let (users, proxy) = behind(Behaviour::Echo).await;
    for (rule, response) in [
        (
            "RFC 9112 6.3: Content-Length and Transfer-Encoding",
            "HTTP/1.1 200 OK\r\ncontent-length: 3\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
        ),
        (
            "RFC 9112 6.3: Transfer-Encoding and Content-Length",
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ncontent-length: 0\r\n\r\n0\r\n\r\n",
        ),
        ("RFC 9112 6.3: unequal lengths", "HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nab"),
        ("RFC 9112 6.3: equal lengths", "HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-length: 2\r\n\r\nab"),
        ("RFC 9112 6.3: a list of lengths", "HTTP/1.1 200 OK\r\ncontent-length: 2, 2\r\n\r\nab"),
        ("RFC 9112 6.3: a signed length", "HTTP/1.1 200 OK\r\ncontent-length: +2\r\n\r\nab"),
        (
            "RFC 9112 6.1: Transfer-Encoding in HTTP/1.0",
            "HTTP/1.0 200 OK\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
        ),
        ("RFC 9112 6.3: not chunked at last", "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked, gzip\r\n\r\nab"),
        ("RFC 9112 6.1: an unknown coding", "HTTP/1.1 200 OK\r\ntransfer-encoding: gzip, chunked\r\n\r\n0\r\n\r\n"),
        ("RFC 9112 5.1: white space before the colon", "HTTP/1.1 200 OK\r\ncontent-length : 2\r\n\r\nab"),
        ("RFC 9112 5.2: a folded line", "HTTP/1.1 200 OK\r\nx: a\r\n b\r\ncontent-length: 0\r\n\r\n"),
        ("RFC 9110 5.5: NUL in a value", "HTTP/1.1 200 OK\r\nx: a\0b\r\ncontent-length: 0\r\n\r\n"),
        ("RFC 9112 2.2: CR alone in a value", "HTTP/1.1 200 OK\r\nx: a\rb\r\ncontent-length: 0\r\n\r\n"),
        ("RFC 9112 4: no status line", "<html>hello</html>"),
        ("RFC 9112 4: another version", "HTTP/2.0 200 OK\r\ncontent-length: 0\r\n\r\n"),
        ("RFC 9110 15: a status over 599", "HTTP/1.1 600 Odd\r\ncontent-length: 0\r\n\r\n"),
        ("RFC 9110 15: a status of 999", "HTTP/1.1 999 Odd\r\ncontent-length: 0\r\n\r\n"),
        ("RFC 9110 15: a status under 100", "HTTP/1.1 099 Odd\r\ncontent-length: 0\r\n\r\n"),
        (
            "RFC 9110 15.2.2: 101 that nobody asked for",
            "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n",
        ),
        (
            "RFC 9110 15.2.2: 101 after an interim response",
            "HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 101 Switching Protocols\r\nupgrade: h2c\r\n\r\n",
        ),
    ] {
        users.now(Behaviour::raw(response));
        let answer = proxy.http1().await.try_ask(&Ask::post("users", "/", "x")).await;
        let answer = answer.unwrap_or_else(|error| panic!("{rule}: {error}"));
        assert_eq!((answer.status(), answer.word()), (502, "bad_response"), "{rule}: {answer:?}");
        is_not_used_again(&users, &proxy, rule).await;
    }
}

#[tokio::test]
async fn what_follows_a_response_never_becomes_the_next_one() {
    let (users, proxy) = behind(Behaviour::Echo).await;
    let forged = "HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\nforged";
    for (rule, response, method, body) in [
        ("RFC 9112 9.2: after a length", "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok", "GET", "ok"),
        (
            "RFC 9112 9.2: after the last chunk",
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
            "GET",
            "ok",
        ),
        ("RFC 9112 6.3: a body of HEAD", "HTTP/1.1 200 OK\r\ncontent-length: 51\r\n\r\n", "HEAD", ""),
        ("RFC 9112 6.3: a body of 204", "HTTP/1.1 204 No Content\r\ncontent-length: 51\r\n\r\n", "GET", ""),
        ("RFC 9112 6.3: a body of 304", "HTTP/1.1 304 Not Modified\r\ncontent-length: 51\r\n\r\n", "GET", ""),
        ("RFC 9112 6.3: chunks of 204", "HTTP/1.1 204 No Content\r\ntransfer-encoding: chunked\r\n\r\n", "GET", ""),
    ] {
        users.now(Behaviour::raw(format!("{response}{forged}")));
        let mut client = proxy.http1().await;
        let answer = client.ask(&Ask::new(method, "users", "/")).await;
        assert_eq!(answer.text(), body, "{rule}");
        is_not_used_again(&users, &proxy, rule).await;
        // Nor does the client's own connection carry it.
        assert_eq!(client.ask(&Ask::get("users", "/")).await.is(200).json()["origin"], "users", "{rule}");
    }
}

#[tokio::test]
async fn rfc9110_8_6_lengths_of_responses_without_a_body() {
    let (users, proxy) = behind(Behaviour::Echo).await;
    for (response, method, length) in [
        ("HTTP/1.1 200 OK\r\ncontent-length: 51\r\n\r\n", "HEAD", Some("51")),
        ("HTTP/1.1 304 Not Modified\r\ncontent-length: 51\r\netag: \"a\"\r\n\r\n", "GET", Some("51")),
        ("HTTP/1.1 204 No Content\r\ncontent-length: 0\r\n\r\n", "GET", None),
        ("HTTP/1.1 204 No Content\r\ncontent-length: 51\r\n\r\n", "DELETE", None),
        ("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n", "HEAD", None),
    ] {
        users.now(Behaviour::raw(response));
        let mut client = proxy.http1().await;
        for _ in 0..2 {
            let answer = client.ask(&Ask::new(method, "users", "/")).await;
            assert_eq!(
                (answer.header("content-length"), answer.text().as_str()),
                (length, ""),
                "{response:?}: {answer:?}"
            );
            assert_eq!(answer.header("via"), Some("1.1 waypost"), "{answer:?}");
        }
        let answer = proxy.ask_http2(&Ask::new(method, "users", "/")).await;
        assert_eq!((answer.header("content-length"), answer.text().as_str()), (length, ""), "{response:?}: {answer:?}");
    }
}

#[tokio::test]
async fn rfc9112_8_what_breaks_off_is_not_whole_for_http_1_0_either() {
    let (users, proxy) = behind(Behaviour::Echo).await;
    for cut in [
        "HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhalf",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\nhalf\r\n",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\nhalf\r\nzz\r\n",
    ] {
        users.now(Behaviour::raw_then_close(cut));
        for version in ["1.0", "1.1"] {
            let mut client = proxy.http1().await;
            client.send(format!("GET / HTTP/{version}\r\nHost: users\r\n\r\n")).await;
            let answer = client.answer_to("GET").await;
            assert!(answer.is_err(), "HTTP/{version}: {cut:?}: {answer:?}");
        }
        is_not_used_again(&users, &proxy, cut).await;
    }
}

#[tokio::test]
async fn a_body_that_looks_like_a_refusal_is_a_body() {
    let refusal = "HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n";
    let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", 2 + refusal.len());
    let steps = vec![Step::send(head), Step::send("ok"), Step::Gate, Step::send(refusal)];
    let (users, proxy) = behind(Behaviour::Raw(steps)).await;
    let mut client = proxy.http1().await;
    for _ in 0..2 {
        client.send(Ask::get("users", "/").to_http1()).await;
        let mut framing = client.head().await.framing(wire::Framing::UntilClose).expect("framing");
        assert_eq!(client.take(&mut framing, 2).await, "ok");
        users.release(1);
        assert_eq!(client.take(&mut framing, refusal.len()).await, refusal);
    }
}
