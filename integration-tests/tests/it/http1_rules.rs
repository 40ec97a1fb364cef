//! The rules that an intermediary owes its clients in HTTP/1.1, case by case, each named by the section that has it.
//!
//! The client is a raw socket; what counts is what the origin's socket was sent.

use integration_tests::*;

async fn users() -> (Origin, TestProxy) {
    let users = Origin::named("users").http1().start().await;
    let proxy = Spec::router("out").client("protocol = \"http1\"").endpoint("users", users.addr()).start().await;
    (users, proxy)
}

/// Sends bytes on a connection of their own and ends the sending; gives the first answer, and all that came after it.
async fn exchange(proxy: &TestProxy, bytes: &[u8]) -> (Answer, Vec<u8>) {
    let mut client = proxy.http1().await;
    let _sent = client.try_send(bytes).await;
    let answer = client
        .answer_to("POST")
        .await
        .unwrap_or_else(|error| panic!("{:?}: {error}", bytes.escape_ascii().to_string()));
    (answer, client.until_closed().await)
}

const NEXT: &str = "GET /next HTTP/1.1\r\nHost: users\r\n\r\n";

/// Each is refused with 400, the connection ends, and neither it nor what follows it reaches the endpoint.
async fn refused(cases: &[(&str, &str)]) {
    let (users, proxy) = users().await;
    for (rule, head) in cases {
        for before in ["", NEXT] {
            let seen = users.requests();
            let bytes = format!("{before}{head}{NEXT}");
            let mut client = proxy.http1().await;
            let _sent = client.try_send(bytes.as_bytes()).await;
            if !before.is_empty() {
                client.answer_to("GET").await.expect("the first answer").is(200);
            }
            let answer = client.answer_to("POST").await.unwrap_or_else(|error| panic!("{rule}: {error}"));
            assert_eq!((answer.status(), answer.word()), (400, "bad_request"), "{rule}: {answer:?}");
            assert_eq!(answer.header("connection"), Some("close"), "{rule}: {answer:?}");
            let rest = client.until_closed().await;
            assert!(rest.is_empty(), "{rule}: {}", rest.escape_ascii());
            assert_eq!(users.requests(), seen + usize::from(!before.is_empty()), "{rule}: reached the endpoint");
        }
    }
}

#[tokio::test]
async fn framing_that_two_readers_could_take_differently_is_refused() {
    refused(&[
        (
            "RFC 9112 6.1: Content-Length before Transfer-Encoding",
            "POST / HTTP/1.1\r\nHost: users\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        ),
        (
            "RFC 9112 6.1: Transfer-Encoding before Content-Length",
            "POST / HTTP/1.1\r\nHost: users\r\ntransfer-encoding: chunked\r\nX: y\r\ncontent-length: 0\r\n\r\n0\r\n\r\n",
        ),
        (
            "RFC 9112 6.1: an invalid Content-Length hides behind Transfer-Encoding",
            "POST / HTTP/1.1\r\nHost: users\r\nTransfer-Encoding: chunked\r\nContent-Length: x\r\n\r\n0\r\n\r\n",
        ),
        (
            "RFC 9112 6.1: Transfer-Encoding in HTTP/1.0",
            "POST / HTTP/1.0\r\nHost: users\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        ),
        (
            "RFC 9112 6.3: unequal Content-Length",
            "POST / HTTP/1.1\r\nHost: users\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
        ),
        (
            "RFC 9112 6.3: Content-Length twice, though equal",
            "POST / HTTP/1.1\r\nHost: users\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\nab",
        ),
        (
            "RFC 9112 6.3: Content-Length as a list",
            "POST / HTTP/1.1\r\nHost: users\r\nContent-Length: 2, 2\r\n\r\nab",
        ),
        ("RFC 9112 6.3: Content-Length empty", "POST / HTTP/1.1\r\nHost: users\r\nContent-Length: \r\n\r\n"),
        (
            "RFC 9112 6.3: Content-Length overflows",
            "POST / HTTP/1.1\r\nHost: users\r\nContent-Length: 18446744073709551616\r\n\r\n",
        ),
        (
            "RFC 9112 6.3: chunked is not the last coding",
            "POST / HTTP/1.1\r\nHost: users\r\nTransfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n",
        ),
        (
            "RFC 9112 6.1: an unknown coding before chunked",
            "POST / HTTP/1.1\r\nHost: users\r\nTransfer-Encoding: identity, chunked\r\n\r\n0\r\n\r\n",
        ),
        (
            "RFC 9112 6.1: chunked twice",
            "POST / HTTP/1.1\r\nHost: users\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        ),
        (
            "RFC 9112 6.1: a parameter",
            "POST / HTTP/1.1\r\nHost: users\r\nTransfer-Encoding: chunked;q=1\r\n\r\n0\r\n\r\n",
        ),
        (
            "RFC 9112 6.1: a control in the value",
            "POST / HTTP/1.1\r\nHost: users\r\nTransfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n",
        ),
    ])
    .await;
}

#[tokio::test]
async fn heads_that_two_readers_could_take_differently_are_refused() {
    refused(&[
        ("RFC 9112 2.2: LF alone ends the request line", "GET / HTTP/1.1\nHost: users\r\n\r\n"),
        ("RFC 9112 2.2: LF alone ends a field", "GET / HTTP/1.1\r\nHost: users\nX: y\r\n\r\n"),
        ("RFC 9112 2.2: LF alone ends the head", "GET / HTTP/1.1\r\nHost: users\r\n\n"),
        ("RFC 9112 2.2: CR alone in a value", "GET / HTTP/1.1\r\nHost: users\r\nX: a\rb\r\n\r\n"),
        ("RFC 9112 2.2: CR alone in the target", "GET /\r HTTP/1.1\r\nHost: users\r\n\r\n"),
        ("RFC 9112 2.2: white space before the first field", "GET / HTTP/1.1\r\n Host: users\r\n\r\n"),
        ("RFC 9110 5.5: NUL in a value", "GET / HTTP/1.1\r\nHost: users\r\nX: a\0b\r\n\r\n"),
        ("RFC 9110 5.1: NUL in a name", "GET / HTTP/1.1\r\nHost: users\r\nX\0: b\r\n\r\n"),
        ("RFC 9112 5.1: white space before the colon", "GET / HTTP/1.1\r\nHost: users\r\nX : y\r\n\r\n"),
        (
            "RFC 9112 5.1: white space before the colon of Content-Length",
            "POST / HTTP/1.1\r\nHost: users\r\nContent-Length : 3\r\n\r\nabc",
        ),
        ("RFC 9112 5.1: no colon", "GET / HTTP/1.1\r\nHost: users\r\nX\r\n\r\n"),
        ("RFC 9112 5.1: no name", "GET / HTTP/1.1\r\nHost: users\r\n: x\r\n\r\n"),
        ("RFC 9112 5.2: a folded line", "GET / HTTP/1.1\r\nHost: users\r\nX: a\r\n b\r\n\r\n"),
        ("RFC 9112 3: two spaces", "GET  / HTTP/1.1\r\nHost: users\r\n\r\n"),
        ("RFC 9112 3: a tab", "GET\t/ HTTP/1.1\r\nHost: users\r\n\r\n"),
        ("RFC 9112 3: no version", "GET /\r\nHost: users\r\n\r\n"),
        ("RFC 9112 3.2: a fragment", "GET /a#b HTTP/1.1\r\nHost: users\r\n\r\n"),
        ("RFC 9112 3.2: a control in the target", "GET /a\x01b HTTP/1.1\r\nHost: users\r\n\r\n"),
        ("RFC 9112 3.2: no Host", "GET / HTTP/1.1\r\n\r\n"),
        ("RFC 9112 3.2: Host twice, though equal", "GET / HTTP/1.1\r\nHost: users\r\nHost: users\r\n\r\n"),
        ("RFC 9110 4.2.4: userinfo in the target", "GET http://me@users/ HTTP/1.1\r\nHost: users\r\n\r\n"),
    ])
    .await;
}

#[tokio::test]
async fn what_only_looks_like_a_faulty_head_is_no_head() {
    let (users, proxy) = users().await;
    let smuggled = "GET /\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n";
    let sized = format!("POST /sized HTTP/1.1\r\nHost: users\r\nContent-Length: {}\r\n\r\n{smuggled}", smuggled.len());
    let chunked = format!(
        "POST /chunked HTTP/1.1\r\nHost: users\r\nTransfer-Encoding: chunked\r\n\r\n{:x};a=b\r\n{smuggled}\r\n0\r\nX: y\r\n\r\n",
        smuggled.len()
    );
    let all = format!("{sized}{chunked}{sized}\r\n{chunked}{NEXT}");
    for pieces in [1, 7, 100, 10_000] {
        let before = users.requests();
        let mut client = proxy.http1().await;
        for piece in all.as_bytes().chunks(pieces) {
            client.send(piece).await;
        }
        for _ in 0..5 {
            client.answer_to("POST").await.expect("an answer").is(200);
        }
        let targets: Vec<_> = users.seen().iter().skip(before).map(|seen| seen.target.clone()).collect();
        assert_eq!(targets, ["/sized", "/chunked", "/sized", "/chunked", "/next"], "in pieces of {pieces}");
    }
}

#[tokio::test]
async fn rfc9112_7_1_faulty_chunks_never_arrive_whole() {
    let (users, proxy) = users().await;
    let head = "POST / HTTP/1.1\r\nHost: users\r\nTransfer-Encoding: chunked\r\n\r\n";
    for body in [
        "3\nabc\r\n0\r\n\r\n",
        "3\r\nabc\n0\r\n\r\n",
        "3;a\nb\r\nabc\r\n0\r\n\r\n",
        "3;a\rb\r\nabc\r\n0\r\n\r\n",
        "3\r\nabcd\r\n0\r\n\r\n",
        "+3\r\nabc\r\n0\r\n\r\n",
        "0x3\r\nabc\r\n0\r\n\r\n",
        "fffffffffffffffff\r\nabc\r\n0\r\n\r\n",
        "3\r\nabc\r\n0\r\nX: y\nZ: z\r\n\r\n",
        "3\r\nabc\r\n0\r\nX : y\r\n\r\n",
    ] {
        let (answer, rest) = exchange(&proxy, format!("{head}{body}{NEXT}").as_bytes()).await;
        assert_eq!((answer.status(), answer.word()), (400, "bad_request"), "{body:?}: {answer:?}");
        assert!(rest.is_empty(), "{body:?}: {}", rest.escape_ascii());
    }
    assert!(users.seen().iter().all(|seen| seen.body.is_none() && seen.target != "/next"), "{:?}", users.seen());
}

#[tokio::test]
async fn rfc9110_2_5_versions_that_nobody_speaks_are_505() {
    let (users, proxy) = users().await;
    for version in ["HTTP/1.2", "HTTP/2.0", "HTTP/3.0", "HTTP/0.9"] {
        let (answer, rest) = exchange(&proxy, format!("GET / {version}\r\nHost: users\r\n\r\n").as_bytes()).await;
        answer.is_error(505, "version");
        assert!(rest.is_empty());
    }
    for version in ["HTTP/11", "HTTP/1.1x", "http/1.1", "HTTPS/1.1", "HTTP/1.", "FTP/1.1"] {
        let (answer, _) = exchange(&proxy, format!("GET / {version}\r\nHost: users\r\n\r\n").as_bytes()).await;
        answer.is_error(400, "bad_request");
    }
    assert_eq!(users.requests(), 0);
}

const TEN_MIB: usize = 10 << 20;

/// Uploads 10 MiB with curl; gives its exit code and the status that it saw.
async fn uploaded(proxy: &TestProxy, args: &[&str]) -> (i32, u16) {
    uploaded_to(&format!("http://{}/", proxy.addr()), args).await
}

async fn uploaded_to(url: &str, args: &[&str]) -> (i32, u16) {
    let dir = tempfile::tempdir().expect("a temporary directory can be made");
    let file = dir.path().join("upload");
    std::fs::write(&file, vec![b'x'; TEN_MIB]).expect("a file can be written");
    let data = format!("@{}", file.display());
    let mut all = vec!["-H", "Expect:", "--http1.1", "--data-binary", &data, url];
    all.extend(args);
    let curled = curl(&all).await;
    (curled.code, curled.answer.status())
}

#[tokio::test]
async fn rfc9112_9_6_an_early_answer_of_ours_survives_the_rest_of_the_upload() {
    let (_users, proxy) = users().await;
    let limited = Spec::router("out").server("max_body_bytes = \"1KiB\"").endpoint("users", nobody()).start().await;
    for _ in 0..3 {
        assert_eq!(uploaded(&proxy, &["-H", "Host: elsewhere"]).await, (0, 502));
        assert_eq!(uploaded(&proxy, &["-H", "Host: elsewhere", "-H", "Transfer-Encoding: chunked"]).await, (0, 502));
        assert_eq!(uploaded(&proxy, &["-H", "Host: a b"]).await, (0, 400));
        assert_eq!(uploaded(&proxy, &["-H", "Host: users", "-H", "l5d-dtab: x"]).await, (0, 400));
        assert_eq!(uploaded(&limited, &["-H", "Host: users"]).await, (0, 413));
        assert_eq!(uploaded(&limited, &["-H", "Host: users", "-X", "G@T"]).await, (0, 400));
    }
}

#[tokio::test]
async fn rfc9112_9_6_an_early_answer_of_an_endpoint_survives_the_rest_of_the_upload() {
    let (users, proxy) = users().await;
    for status in [403, 413, 500] {
        let answer = format!("HTTP/1.1 {status} No\r\ncontent-length: 2\r\nconnection: close\r\n\r\nno");
        for steps in [vec![Step::send(answer.clone()), Step::Close], vec![Step::send(answer), Step::Gate]] {
            users.now(Behaviour::Raw(steps));
            for framing in ["X: y", "Transfer-Encoding: chunked"] {
                assert_eq!(uploaded(&proxy, &["-H", "Host: users", "-H", framing]).await, (0, status), "{framing}");
            }
        }
    }
    users.now(Behaviour::Abort);
    assert_eq!(uploaded(&proxy, &["-H", "Host: users"]).await, (0, 502), "none at all");
}

#[tokio::test]
async fn rfc9113_8_1_an_early_answer_of_an_endpoint_survives_the_reset_of_the_upload() {
    let (users, proxy) = users().await;
    let before = Spec::router("out").client("protocol = \"http2\"").endpoint("users", proxy.addr()).start().await;
    let answer = "HTTP/1.1 413 No\r\ncontent-length: 2\r\nconnection: close\r\n\r\nno";
    for steps in [vec![Step::send(answer), Step::Close], vec![Step::send(answer), Step::Gate]] {
        users.now(Behaviour::Raw(steps));
        for through in [&proxy, &before] {
            for expect in ["Expect:", "Expect: 100-continue"] {
                let args = ["--http2-prior-knowledge", "-H", "Host: users", "-H", expect];
                assert_eq!(uploaded(through, &args).await, (0, 413), "{expect}");
            }
        }
    }
}

#[tokio::test]
async fn rfc9110_7_6_2_the_last_proxy_answers_and_the_others_count_down() {
    let (users, proxy) = users().await;
    let ask = |method: &str, hops: &str| Ask::new(method, "users", "/x?y").header("Max-Forwards", hops);
    for (method, hops, left) in [("OPTIONS", "2", "1"), ("TRACE", "1", "0"), ("GET", "0", "0"), ("GET", "5", "5")] {
        for answer in [proxy.ask(&ask(method, hops)).await, proxy.ask_http2(&ask(method, hops)).await] {
            answer.is(200);
            assert_eq!(users.last().header("max-forwards"), Some(left), "{method} {hops}");
        }
    }
    let seen = users.requests();
    for answer in [proxy.ask(&ask("OPTIONS", "0")).await, proxy.ask_http2(&ask("OPTIONS", "0")).await] {
        let answer = answer.is(200);
        assert!(answer.header("allow").is_some_and(|allow| allow.contains("OPTIONS")), "{answer:?}");
        assert_eq!(answer.text(), "");
    }
    let secrets = ask("TRACE", "0").header("X-Kept", "a").header("Cookie", "secret").header("Authorization", "secret");
    for answer in [proxy.ask(&secrets).await, proxy.ask_http2(&secrets).await] {
        let answer = answer.is(200);
        assert_eq!(answer.header("content-type"), Some("message/http"));
        let text = answer.text();
        assert!(text.starts_with("TRACE /x?y HTTP/") && text.contains("x-kept: a\r\n"), "{text}");
        assert!(!text.contains("secret"), "RFC 9110 9.3.8: {text}");
    }
    proxy.ask(&ask("TRACE", "x")).await.is_error(400, "bad_request");
    let mut with_content = ask("TRACE", "3");
    with_content.body = Some(b"content".to_vec());
    proxy.ask(&with_content).await.is_error(400, "bad_request");
    assert_eq!(users.requests(), seen, "nothing of that reached the endpoint");
}

#[tokio::test]
async fn rfc9112_3_2_forms_of_the_target() {
    let (users, proxy) = users().await;
    for (line, target, host) in [
        ("GET /a/../b//c?d=%2e HTTP/1.1\r\nHost: users", "/a/../b//c?d=%2e", "users"),
        ("GET http://users/a?b HTTP/1.1\r\nHost: elsewhere", "/a?b", "users"),
        ("GET http://users HTTP/1.1\r\nHost: users", "/", "users"),
        ("OPTIONS * HTTP/1.1\r\nHost: users", "*", "users"),
        ("oPtIoNs /x HTTP/1.1\r\nHost: users", "/x", "users"),
    ] {
        let (answer, _) = exchange(&proxy, format!("{line}\r\nConnection: close\r\n\r\n").as_bytes()).await;
        answer.is(200);
        let seen = users.last();
        assert_eq!((seen.target.as_str(), seen.header("host")), (target, Some(host)), "{line}");
        assert_eq!(seen.method, line.split(' ').next().expect("a word"), "the method's case is kept");
    }
    let seen = users.requests();
    for line in ["CONNECT users:80 HTTP/1.1\r\nHost: users:80", "CONNECT users:80 HTTP/1.0"] {
        let (answer, rest) = exchange(&proxy, format!("{line}\r\n\r\n{NEXT}").as_bytes()).await;
        let answer = answer.is_error(405, "method_not_allowed");
        assert!(answer.header("allow").is_some(), "RFC 9110 15.5.6: {answer:?}");
        assert!(rest.is_empty(), "what follows is nobody's: {}", rest.escape_ascii());
    }
    assert_eq!(users.requests(), seen);
}

#[tokio::test]
async fn rfc9112_9_3_http_1_0_connections_end_unless_they_are_kept() {
    let (users, proxy) = users().await;
    let mut client = proxy.http1().await;
    client.send("GET / HTTP/1.0\r\nHost: users\r\nConnection: keep-alive\r\n\r\n").await;
    let answer = client.answer_to("GET").await.expect("an answer").is(200);
    assert_eq!(answer.header("connection"), Some("keep-alive"), "{answer:?}");
    client.send("GET / HTTP/1.0\r\nHost: users\r\n\r\n").await;
    let answer = client.answer_to("GET").await.expect("an answer").is(200);
    assert_ne!(answer.header("connection"), Some("keep-alive"), "{answer:?}");
    assert!(client.until_closed().await.is_empty());
    assert!(users.seen().iter().all(|seen| seen.version == "HTTP/1.1" && seen.header("via") == Some("1.0 waypost")));

    // RFC 9112 6.1: no chunks, whatever the endpoint sends.
    users.now(Behaviour::raw("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n"));
    for kept in ["", "Connection: keep-alive\r\n"] {
        let (answer, rest) = exchange(&proxy, format!("GET / HTTP/1.0\r\nHost: users\r\n{kept}\r\n").as_bytes()).await;
        let answer = answer.is(200);
        assert_eq!((answer.text().as_str(), answer.header("transfer-encoding")), ("ok", None), "{answer:?}");
        assert_ne!(answer.header("connection"), Some("keep-alive"), "{answer:?}");
        assert!(rest.is_empty());
    }
}

#[tokio::test]
async fn rfc9112_9_3_2_pipelined_requests_are_answered_in_order() {
    let (users, proxy) = users().await;
    let mut all = Vec::new();
    for n in 0..20 {
        match n % 3 {
            0 => all.extend(Ask::get("users", &format!("/{n}")).to_http1()),
            1 => all.extend(Ask::post("users", &format!("/{n}"), "x".repeat(n)).to_http1()),
            _ => {
                let chunked =
                    Ask::post("users", &format!("/{n}"), "y".repeat(n)).header("Transfer-Encoding", "chunked");
                all.extend(chunked.to_http1());
            }
        }
    }
    let mut client = proxy.http1().await;
    client.send(all).await;
    for n in 0..20 {
        let json = client.answer_to("POST").await.expect("an answer").is(200).json();
        assert_eq!(json["target"], format!("/{n}"));
        assert_eq!(json["body"]["length"], if n % 3 == 0 { 0 } else { n });
    }
    assert_eq!(users.requests(), 20);
    client.send(format!("GET /last HTTP/1.1\r\nHost: users\r\nConnection: close\r\n\r\n{NEXT}")).await;
    let answer = client.answer_to("GET").await.expect("an answer").is(200);
    assert_eq!(answer.header("connection"), Some("close"), "RFC 9112 9.6: {answer:?}");
    assert!(client.until_closed().await.is_empty(), "RFC 9112 9.6: nothing after a close");
    assert_eq!(users.requests(), 21);
}

#[tokio::test]
async fn rfc9112_8_a_request_that_is_cut_short_never_arrives_whole() {
    let (users, proxy) = users().await;
    for bytes in [
        "POST / HTTP/1.1\r\nHost: users\r\nContent-Length: 10\r\n\r\nhalf",
        "POST / HTTP/1.1\r\nHost: users\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n",
        "POST / HTTP/1.1\r\nHost: users\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n0\r\n",
        "GET / HTTP/1.1\r\nHost: users\r\n",
    ] {
        let mut client = proxy.http1().await;
        client.send(bytes).await;
        client.shutdown().await;
        let rest = client.until_closed().await;
        assert!(rest.is_empty() || rest.starts_with(b"HTTP/1.1 4"), "{bytes:?}: {}", rest.escape_ascii());
    }
    assert!(users.seen().iter().all(|seen| seen.body.is_none()), "{:?}", users.seen());
}

#[tokio::test]
async fn whole_requests_of_a_client_that_ends_its_sending() {
    let (users, proxy) = users().await;
    // Nothing is promised to it (it may have gone away); what it gets is whole or nothing.
    let mut client = proxy.http1().await;
    client.send(NEXT).await;
    client.shutdown().await;
    let rest = client.until_closed().await;
    assert!(rest.is_empty() || rest.starts_with(b"HTTP/1.1 200 OK\r\n"), "{}", rest.escape_ascii());
    proxy.get("users", "/").await.is(200);
    assert!(users.requests() >= 1);
}

#[tokio::test]
async fn rfc9110_6_5_1_trailers_say_nothing_that_the_header_should() {
    for http2 in [false, true] {
        let users = Origin::named("users");
        let users = if http2 { users.http2() } else { users.http1() }.start().await;
        let protocol = if http2 { "protocol = \"http2\"" } else { "protocol = \"http1\"" };
        let proxy = Spec::router("out").client(protocol).endpoint("users", users.addr()).start().await;
        let head = "POST / HTTP/1.1\r\nHost: users\r\nTransfer-Encoding: chunked\r\n\
                    Trailer: x-kept, host, authorization, l5d-dtab\r\n\r\n";
        let trailers = "X-Kept: a\r\nHost: other\r\nAuthorization: b\r\nContent-Length: 3\r\nl5d-dtab: /a=>/b\r\n";
        let mut client = proxy.http1().await;
        client.send(format!("{head}2\r\nok\r\n0\r\n{trailers}\r\n")).await;
        client.answer_to("POST").await.expect("an answer").is(200);
        let body = users.seen()[0].body.clone().expect("a whole body");
        assert_eq!(body.trailers, [("x-kept".to_owned(), "a".to_owned())], "to HTTP/2: {http2}");
        assert_eq!(users.seen()[0].headers("host").len(), usize::from(!http2));
    }
}

#[tokio::test]
async fn rfc9112_9_6_an_early_answer_survives_the_rest_of_the_upload_over_tls_too() {
    let ca = Ca::new();
    let users = Origin::named("users").http1().start().await;
    let proxy = Spec::router("in")
        .trust("ca", &ca)
        .identity("web", &ca.issue(&["web.example.com"]))
        .server("tls = { cert = \"web.pem\", key = \"web.key\" }\nmax_body_bytes = \"1KiB\"")
        .endpoint("users", users.addr())
        .start()
        .await;
    let url = format!("https://{}/", proxy.addr());
    for _ in 0..3 {
        assert_eq!(uploaded_to(&url, &["-k", "-H", "Host: users"]).await, (0, 413));
        let chunked = ["-k", "-H", "Host: elsewhere", "-H", "Transfer-Encoding: chunked"];
        assert_eq!(uploaded_to(&url, &chunked).await, (0, 502));
    }
}

#[tokio::test]
async fn rfc9112_9_6_an_error_before_the_end_of_an_upload_says_that_it_closes() {
    let (_users, proxy) = users().await;
    let head = "POST / HTTP/1.1\r\nHost: elsewhere\r\nContent-Length: 5\r\n\r\n";
    for (sent, closes) in [("", true), ("hel", true), ("hello", false)] {
        let mut client = proxy.http1().await;
        client.send(format!("{head}{sent}")).await;
        let answer = client.answer_to("POST").await.expect("an answer").is_error(502, "negative");
        assert_eq!(answer.header("connection") == Some("close"), closes, "{sent:?}: {answer:?}");
        if closes {
            assert!(client.until_closed().await.is_empty());
        } else {
            client.ask(&Ask::get("users", "/")).await.is(200);
        }
    }
}

#[tokio::test]
async fn rfc9110_7_6_what_goes_on_is_written_anew_and_says_the_same() {
    let (users, proxy) = users().await;
    let sent = b"POST /a%2Fb?c=d HTTP/1.1\r\nHost: users\r\nX-Two: 1\r\nX-Empty:\r\nx_under: a_b\r\nX-Two:  2\t \r\n\
        X-Obs: caf\xe9\r\nConnection: close, X-Hop\r\nX-Hop: 1\r\nKeep-Alive: 5\r\nProxy-Connection: x\r\n\
        Transfer-Encoding: Chunked\r\n\r\n3;ext=1\r\nabc\r\n0\r\n\r\n";
    let (answer, _) = exchange(&proxy, sent).await;
    answer.is(200);
    let raw = users.last().raw;
    let lines: Vec<&[u8]> = raw.split(|byte| *byte == b'\n').map(|line| line.trim_ascii_end()).collect();
    assert_eq!(lines[0], b"POST /a%2Fb?c=d HTTP/1.1");
    let count = |line: &[u8]| lines.iter().filter(|seen| seen.eq_ignore_ascii_case(line)).count();
    for kept in [
        &b"host: users"[..],
        b"x-two: 1",
        b"x-two: 2",
        b"x-empty:",
        b"x_under: a_b",
        b"x-obs: caf\xe9",
        b"transfer-encoding: chunked",
        b"via: 1.1 waypost",
    ] {
        assert_eq!(count(kept), 1, "{}: {}", kept.escape_ascii(), raw.escape_ascii());
    }
    let text = raw.escape_ascii().to_string().to_lowercase();
    for gone in ["x-hop", "keep-alive", "proxy-connection", "content-length", "connection:"] {
        assert!(!text.contains(gone), "{gone}: {text}");
    }
    assert!(text.find("x-two: 1") < text.find("x-two: 2"), "RFC 9110 5.3: {text}");
    assert_eq!(users.last().body.expect("a whole body").length, 3);
}

#[tokio::test]
async fn rfc9110_7_7_an_upload_goes_on_after_an_answer_that_came_before_its_end() {
    let users = Origin::named("users").http1().start().await;
    let proxy = Spec::router("out")
        .server("head_timeout = \"100ms\"")
        .client("protocol = \"http1\"")
        .endpoint("users", users.addr())
        .start()
        .await;
    users.now(Behaviour::Raw(vec![Step::send("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"), Step::Body]));
    let mut client = proxy.http1().await;
    client.send("POST / HTTP/1.1\r\nHost: users\r\nContent-Length: 6\r\n\r\na").await;
    assert_eq!(client.answer_to("POST").await.expect("an answer").is(200).text(), "ok");
    client.send("b").await;
    // The rest takes longer than a head may: other connections tell the time.
    for _ in 0..3 {
        let mut slow = proxy.http1().await;
        slow.send("GET").await;
        slow.answer_to("GET").await.expect("an answer").is(408);
        client.send("c").await;
    }
    client.send(format!("d{NEXT}")).await;
    assert_eq!(client.answer_to("GET").await.expect("an answer").is(200).text(), "ok");
    assert_eq!(users.seen()[0].body.as_ref().map(|body| body.length), Some(6));
}

#[tokio::test]
async fn a_get_or_head_with_a_body_of_unknown_length_keeps_it() {
    let (users, proxy) = users().await;
    for method in ["GET", "HEAD", "DELETE"] {
        let head =
            format!("{method} / HTTP/1.1\r\nHost: users\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabcde\r\n0\r\n\r\n");
        let mut client = proxy.http1().await;
        client.send(head).await;
        client.answer_to(method).await.expect("an answer").is(200);
        let seen = users.last();
        assert_eq!(seen.headers("transfer-encoding"), ["chunked"], "{method}");
        assert_eq!(seen.body.map(|body| body.length), Some(5), "{method}");
    }
    let answer = proxy.http2().await.ask(&Ask { method: "GET".to_owned(), ..Ask::post("users", "/", "abcde") }).await;
    answer.is(200);
    assert_eq!(users.last().body.map(|body| body.length), Some(5), "from HTTP/2");
}
