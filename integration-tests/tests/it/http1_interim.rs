//! What comes before an answer: interim responses, and the 100 that an upload waits for.

use integration_tests::wire::field;
use integration_tests::*;

async fn behind(http2: bool, behaviour: Behaviour) -> (Origin, TestProxy) {
    let origin = Origin::named("users").plan([behaviour]);
    let origin = if http2 { origin.http2() } else { origin.http1() }.start().await;
    let protocol = if http2 { "protocol = \"http2\"" } else { "protocol = \"http1\"" };
    let proxy = Spec::router("out").client(protocol).endpoint("users", origin.addr()).start().await;
    (origin, proxy)
}

fn hints() -> Behaviour {
    let link = |value: &str| vec![("link".to_owned(), value.to_owned()), ("connection".to_owned(), "link".to_owned())];
    let plain = |value: &str| vec![("link".to_owned(), value.to_owned())];
    Behaviour::Interim(vec![(102, vec![]), (103, plain("</a>")), (103, plain("</b>")), (199, link("</c>"))])
}

/// As above, without what HTTP/2 refuses.
fn hints_http2() -> Behaviour {
    let plain = |value: &str| vec![("link".to_owned(), value.to_owned())];
    Behaviour::Interim(vec![(102, vec![]), (103, plain("</a>")), (103, plain("</b>")), (199, vec![])])
}

#[tokio::test]
async fn rfc9110_15_2_interim_responses_go_on_in_order_before_the_answer() {
    for endpoint_http2 in [false, true] {
        let (users, proxy) = behind(endpoint_http2, if endpoint_http2 { hints_http2() } else { hints() }).await;

        let mut http1 = proxy.http1().await;
        for round in 1..=2 {
            http1.send(Ask::get("users", "/").to_http1()).await;
            let mut heads = Vec::new();
            for _ in 0..4 {
                heads.push(http1.head().await);
            }
            let lines: Vec<_> = heads.iter().map(|head| head.words()[1].to_owned()).collect();
            assert_eq!(lines, ["102", "103", "103", "199"], "{heads:?}");
            let links: Vec<_> = heads.iter().map(|head| head.field("link")).collect();
            assert_eq!(links, [None, Some("</a>"), Some("</b>"), None], "what Connection names goes: {heads:?}");
            assert!(heads.iter().all(|head| head.words()[0] == "HTTP/1.1" && head.field("connection").is_none()));
            users.has_requests(round).await;
            users.release(1);
            http1.answer_to("GET").await.expect("an answer").is(200);
        }

        let http2 = proxy.http2().await;
        let mut exchange = http2.open(&Ask::get("users", "/")).await.expect("a stream");
        assert_eq!(exchange.interim().await.0, 102);
        assert_eq!(field(&exchange.interim().await.1, "link"), Some("</a>"));
        users.release(1);
        let answer = exchange.answer().await.expect("an answer").is(200);
        assert_eq!(answer.interim, [102, 103, 103, 199]);
    }
}

#[tokio::test]
async fn rfc9110_15_2_http_1_0_gets_no_interim_response() {
    for endpoint_http2 in [false, true] {
        let (users, proxy) = behind(endpoint_http2, hints_http2()).await;
        users.open();
        let mut client = proxy.http1().await;
        client.send("POST / HTTP/1.0\r\nHost: users\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\nab").await;
        let answer = client.answer_to("POST").await.expect("an answer").is(200);
        assert!(answer.interim.is_empty(), "{answer:?}");
        assert_eq!(users.last().header("expect"), None, "RFC 9110 10.1.1: it means nothing in HTTP/1.0");
        client.until_closed().await;
    }
}

#[tokio::test]
async fn interim_responses_however_they_are_cut() {
    let (users, proxy) = behind(false, Behaviour::Echo).await;
    let all = "HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\nHTTP/1.1 102 Processing\r\n\r\n\
               HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
    for size in [1, 5, 9, 10, 11, 40, all.len()] {
        let mut steps = Vec::new();
        for piece in all.as_bytes().chunks(size) {
            steps.push(Step::send(piece));
        }
        users.now(Behaviour::Raw(steps));
        let answer = proxy.get("users", "/").await.is(200);
        assert_eq!((answer.interim.as_slice(), answer.text().as_str()), (&[103, 102][..], "ok"), "by {size}");
    }
}

#[tokio::test]
async fn flood_of_interim_responses_is_502() {
    for endpoint_http2 in [false, true] {
        let flood = (0..200).map(|_| (103, vec![])).collect();
        let (users, proxy) = behind(endpoint_http2, Behaviour::Interim(flood)).await;
        users.open();
        proxy.get("users", "/").await.is_error(502, "bad_response");
        proxy.ask_http2(&Ask::get("users", "/")).await.is_error(502, "bad_response");
    }
    let big = (0..5).map(|_| (103, vec![("link".to_owned(), "x".repeat(15_000))])).collect();
    let (_users, proxy) = behind(true, Behaviour::Interim(big)).await;
    proxy.get("users", "/").await.is_error(502, "bad_response");
    let (users, proxy) = behind(false, Behaviour::Echo).await;
    let big = format!("HTTP/1.1 103 Early Hints\r\nlink: {}\r\n\r\n", "x".repeat(20_000));
    users.now(Behaviour::raw(big.repeat(4)));
    proxy.get("users", "/").await.is_error(502, "bad_response");
}

const EXPECTING: &str = "POST / HTTP/1.1\r\nHost: users\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n";

#[tokio::test]
async fn rfc9110_10_1_1_the_endpoint_decides_over_100() {
    for endpoint_http2 in [false, true] {
        let (users, proxy) = behind(endpoint_http2, Behaviour::Interim(vec![(100, vec![])])).await;
        let mut client = proxy.http1().await;
        client.send(EXPECTING).await;
        assert_eq!(client.head().await.words()[1], "100");
        assert_eq!(users.last().header("expect"), Some("100-continue"));
        client.send("hello").await;
        users.release(1);
        let answer = client.answer_to("POST").await.expect("an answer").is(200);
        assert!(answer.interim.is_empty(), "one 100 is enough: {answer:?}");
        assert_eq!(answer.json()["body"]["length"], 5);
        users.release(1);
        client.ask(&Ask::get("users", "/again")).await.is(200);

        let http2 = proxy.http2().await;
        let ask = Ask::post("users", "/", "hello").header("expect", "100-continue");
        let mut exchange = http2.open(&ask).await.expect("a stream");
        assert_eq!(exchange.interim().await.0, 100);
        exchange.send("hello", true).expect("an open stream");
        users.release(1);
        let answer = exchange.answer().await.expect("an answer").is(200);
        assert_eq!(answer.json()["body"]["length"], 5);
    }
}

#[tokio::test]
async fn rfc9110_10_1_1_a_final_answer_instead_of_100_is_passed_on_and_ends_the_connection() {
    let (users, proxy) = behind(false, Behaviour::Echo).await;
    for status in [401, 413, 200] {
        let bytes = format!("HTTP/1.1 {status} No\r\ncontent-length: 2\r\n\r\nno");
        users.now(Behaviour::raw(bytes));
        let mut client = proxy.http1().await;
        client.send(EXPECTING).await;
        let answer = client.answer_to("POST").await.expect("an answer").is(status);
        assert_eq!((answer.interim.as_slice(), answer.text().as_str()), (&[][..], "no"));
        assert_eq!(answer.header("connection"), Some("close"), "{answer:?}");
        let _sent = client.try_send(b"GET /x").await;
        assert!(client.until_closed().await.is_empty());
    }
    // Connections to the endpoint that still owe it a body are not used again.
    users.now(Behaviour::Echo);
    proxy.get("users", "/fine").await.is(200);
    assert!(users.seen().iter().all(|seen| !seen.target.contains("/x")), "{:?}", users.seen());
    proxy.metric_is("waypost_client_connections", &[], 1.0).await;
}

#[tokio::test]
async fn rfc9110_10_1_1_an_endpoint_that_says_nothing_is_not_waited_for() {
    // It answers after the body, and sends no 100.
    let silent = Origin::named("users").http2().plan([Behaviour::Echo]).start().await;
    let proxy = Spec::router("out").client("protocol = \"http2\"").endpoint("users", silent.addr()).start().await;
    let mut client = proxy.http1().await;
    client.send(EXPECTING).await;
    assert_eq!(client.head().await.words()[1], "100", "ours, after a while");
    client.send("hello").await;
    client.answer_to("POST").await.expect("an answer").is(200);

    let http2 = proxy.http2().await;
    let ask = Ask::post("users", "/", "hello").header("expect", "100-continue");
    let mut exchange = http2.open(&ask).await.expect("a stream");
    assert_eq!(exchange.interim().await.0, 100, "ours, after a while");
    exchange.send("hello", true).expect("an open stream");
    exchange.answer().await.expect("an answer").is(200);
}

#[tokio::test]
async fn rfc9110_10_1_1_an_answer_of_ours_needs_no_body() {
    let (users, proxy) = behind(false, Behaviour::Echo).await;
    for (head, status) in [
        (EXPECTING.replace("Host: users", "Host: elsewhere"), 502),
        (EXPECTING.replace("100-continue", "a-miracle"), 417),
        (EXPECTING.replace("\r\nContent", "\r\nExpect: 100-continue\r\nContent"), 417),
    ] {
        let mut client = proxy.http1().await;
        client.send(head).await;
        let answer = client.answer_to("POST").await.expect("an answer").is(status);
        assert!(answer.interim.is_empty(), "{answer:?}");
        assert_eq!(answer.header("connection"), Some("close"), "{answer:?}");
        client.until_closed().await;
    }
    assert_eq!(users.requests(), 0);
    // Without a body there is nothing to wait for.
    proxy.ask(&Ask::get("users", "/").header("Expect", "100-continue")).await.is(200);
    assert_eq!(users.last().header("expect"), None);
}

#[tokio::test]
async fn curl_uploads_after_a_100() {
    for endpoint_http2 in [false, true] {
        let (users, proxy) = behind(endpoint_http2, Behaviour::Interim(vec![(100, vec![])])).await;
        users.open();
        let url = format!("http://{}/", proxy.addr());
        for version in ["--http1.1", "--http2-prior-knowledge"] {
            let args = ["-H", "Host: users", "-H", "Expect: 100-continue", version, "-d", "hello", &url];
            assert_eq!(curl(&args).await.ok().is(200).json()["body"]["length"], 5, "{version}");
        }
    }
}

#[tokio::test]
async fn rfc9110_15_2_a_100_that_nobody_asked_for_goes_on_too() {
    for endpoint_http2 in [false, true] {
        let (users, proxy) = behind(endpoint_http2, Behaviour::Interim(vec![(100, vec![])])).await;
        users.open();
        assert_eq!(proxy.get("users", "/").await.is(200).interim, [100]);
        assert_eq!(proxy.ask_http2(&Ask::get("users", "/")).await.is(200).interim, [100]);
    }
}
