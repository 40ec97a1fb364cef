//! Endpoints of HTTP/2 that lie (RFC 9113), frame by frame: the request that asked them gets 502, or breaks off, and
//! nobody else notices.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use integration_tests::frames::kind::*;
use integration_tests::frames::{END_HEADERS, END_STREAM, RawHttp2, WHOLE, block, frame};
use integration_tests::*;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

type Fields<'a> = &'a [(&'a [u8], &'a [u8])];

/// What an endpoint does with a connection; stream 1 stands for the one that is asked on.
#[derive(Clone, Default)]
struct Lie {
    /// In place of SETTINGS, where it is not empty.
    greeting: Vec<u8>,
    /// In answer to a request.
    answer: Vec<u8>,
}

/// Listens, and lies as it is told.
struct Liar {
    addr: SocketAddr,
    lie: Arc<Mutex<Lie>>,
    _connections: JoinSet<()>,
}

impl Liar {
    async fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let addr = listener.local_addr().expect("an address");
        let lie = Arc::<Mutex<Lie>>::default();
        let told = Arc::clone(&lie);
        let mut connections = JoinSet::new();
        connections.spawn(async move {
            let mut open = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                open.spawn(tell(stream, Arc::clone(&told)));
            }
        });
        Self { addr, lie, _connections: connections }
    }

    /// From now on.
    fn answers(&self, answer: Vec<u8>) {
        *self.lie.lock().expect("nobody panics with it") = Lie { greeting: vec![], answer };
    }

    fn greets(&self, greeting: Vec<u8>) {
        *self.lie.lock().expect("nobody panics with it") = Lie { greeting, answer: vec![] };
    }
}

async fn tell(stream: TcpStream, lie: Arc<Mutex<Lie>>) {
    let lie = || lie.lock().expect("nobody panics with it").clone();
    let mut raw = RawHttp2::new(stream);
    raw.skip(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".len()).await;
    let greeting = lie().greeting;
    raw.send(if greeting.is_empty() { &[0, 0, 0, SETTINGS, 0, 0, 0, 0, 0] } else { &greeting }).await;
    while let Some(frame) = raw.next().await {
        if frame.kind == HEADERS {
            let answer = lie().answer;
            raw.send(&on(frame.stream, &answer)).await;
        }
    }
}

/// The frames of stream 1, on another one.
fn on(stream: u32, frames: &[u8]) -> Vec<u8> {
    let (mut renumbered, mut at) = (frames.to_vec(), 0);
    while let Some(head) = renumbered.get_mut(at..at + 9) {
        if head[5..9] == [0, 0, 0, 1] {
            head[5..9].copy_from_slice(&stream.to_be_bytes());
        }
        at += 9 + head[..3].iter().fold(0, |length, byte| length << 8 | usize::from(*byte));
    }
    renumbered
}

fn head(flags: u8, fields: Fields<'_>) -> Vec<u8> {
    frame(HEADERS, flags, 1, &block(fields))
}

const OK: (&[u8], &[u8]) = (b":status", b"200");

/// Rule, and an answer that is none.
fn no_answers() -> Vec<(&'static str, Vec<u8>)> {
    let whole = |fields: Fields<'_>| head(WHOLE, fields);
    let reset = |code: u8| frame(RST_STREAM, 0, 1, &[0, 0, 0, code]);
    vec![
        ("8.3.2: no :status", whole(&[(b"a", b"b")])),
        ("8.3.2: two :status", whole(&[OK, OK])),
        ("8.3.2: a :status that is none", whole(&[(b":status", b"2oo")])),
        ("8.3.2: a :status of four digits", whole(&[(b":status", b"2000")])),
        ("8.3: behind a field", whole(&[(b"a", b"b"), OK])),
        ("8.2.2: connection", whole(&[OK, (b"connection", b"close")])),
        ("8.2.2: transfer-encoding", whole(&[OK, (b"transfer-encoding", b"chunked")])),
        ("8.2.1: an upper-case name", whole(&[OK, (b"Name", b"x")])),
        ("8.2.1: CR LF in a value", whole(&[OK, (b"a", b"x\r\nset-cookie: y")])),
        ("8.2.1: NUL in a value", whole(&[OK, (b"a", b"x\0")])),
        ("8.1.1: a length and no body", whole(&[OK, (b"content-length", b"5")])),
        ("9110 8.6: two lengths", whole(&[OK, (b"content-length", b"0"), (b"content-length", b"1")])),
        ("8.6: 101", head(END_HEADERS, &[(b":status", b"101")])),
        ("8.1: an interim response that ends", whole(&[(b":status", b"103")])),
        ("9110 15: a status that is none", whole(&[(b":status", b"999")])),
        ("8.1: DATA before the head", frame(DATA, END_STREAM, 1, b"x")),
        ("5.4.2: INTERNAL_ERROR", reset(2)),
        ("5.4.2: PROTOCOL_ERROR", reset(1)),
        ("5.4.2: CANCEL", reset(8)),
        ("8.4: a push", frame(PUSH_PROMISE, END_HEADERS, 1, &[&[0, 0, 0, 2][..], &block(&[OK])].concat())),
        ("4.3: no HPACK", frame(HEADERS, WHOLE, 1, &[0x80])),
        ("4.2: a frame that is too long", frame(DATA, 0, 1, &[0; 20_000])),
        ("6.5.2: SETTINGS that are none", frame(SETTINGS, 0, 0, &[0, 2, 0, 0, 0, 2])),
        ("6.8: GOAWAY for a reason", frame(GOAWAY, 0, 0, &[0, 0, 0, 0, 0, 0, 0, 1])),
        ("6.10: CONTINUATION of nothing", frame(CONTINUATION, END_HEADERS, 1, &[])),
    ]
}

async fn behind() -> (Liar, Origin, TestProxy) {
    let (liar, good) = (Liar::new().await, Origin::http("good").await);
    let spec = Spec::router("out").client("accrual = { kind = \"none\" }\nconnect_timeout = \"2s\"");
    let spec = spec.client_at("/#/fs/liar", "protocol = \"http2\"");
    let proxy = spec.endpoint("liar", liar.addr).endpoint("good", good.addr()).start().await;
    (liar, good, proxy)
}

#[tokio::test]
async fn rfc9113_8_an_answer_that_is_none_is_502() {
    let (liar, _good, proxy) = behind().await;
    let mut wrong = Vec::new();
    for (rule, answer) in no_answers() {
        liar.answers(answer);
        for http2 in [false, true] {
            let ask = Ask::post("liar", "/", "x");
            let answer = if http2 { proxy.ask_http2(&ask).await } else { proxy.ask(&ask).await };
            if (answer.status(), answer.header("waypost-error")) != (502, Some("bad_response")) {
                wrong.push(format!("{rule}: {answer:?}"));
            }
        }
        proxy.get("good", "/").await.is(200);
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[tokio::test]
async fn rfc9113_8_1_a_response_that_breaks_off_is_never_whole() {
    let begun = |more: Vec<u8>| [head(END_HEADERS, &[OK]), frame(DATA, 0, 1, b"begun"), more].concat();
    let longer = [head(END_HEADERS, &[OK, (b"content-length", b"3")]), frame(DATA, END_STREAM, 1, b"begun")].concat();
    let (liar, _good, proxy) = behind().await;
    for (rule, answer) in [
        ("5.4.2: reset", begun(frame(RST_STREAM, 0, 1, &[0, 0, 0, 2]))),
        ("8.1: trailers without an end", begun(head(END_HEADERS, &[(b"a", b"b")]))),
        ("8.1.1: longer than it says", longer),
        ("6.8: GOAWAY below the stream", begun(frame(GOAWAY, 0, 0, &[0, 0, 0, 0, 0, 0, 0, 1]))),
    ] {
        liar.answers(answer);
        let mut http1 = proxy.http1().await;
        let broken = http1.try_ask(&Ask::get("liar", "/")).await;
        assert!(broken.as_ref().map_or(true, |answer| answer.status() == 502), "{rule}: {broken:?}");
        let http2 = proxy.http2().await;
        let broken = http2.try_ask(&Ask::get("liar", "/")).await;
        assert!(broken.as_ref().map_or(true, |answer| answer.status() == 502), "{rule}: {broken:?}");
        http2.ask(&Ask::get("good", "/")).await.is(200);
    }
}

#[tokio::test]
async fn rfc9113_3_4_an_endpoint_that_speaks_something_else_is_502() {
    let (liar, _good, proxy) = behind().await;
    for (rule, greeting) in [
        ("HTTP/1.1", b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n".to_vec()),
        ("nonsense", vec![0xff; 64]),
        ("6.5.2: too large a window", frame(SETTINGS, 0, 0, &[0, 4, 0xff, 0xff, 0xff, 0xff])),
    ] {
        liar.greets(greeting);
        for http2 in [false, true] {
            let ask = Ask::get("liar", "/");
            let answer = if http2 { proxy.ask_http2(&ask).await } else { proxy.ask(&ask).await };
            assert_eq!(answer.status(), 502, "{rule}: {answer:?}");
        }
        proxy.get("good", "/").await.is(200);
    }
}

#[tokio::test]
async fn rfc9113_10_5_an_endpoint_that_floods_costs_nobody_else_his_turn() {
    let (liar, _good, proxy) = behind().await;
    for (rule, bytes) in [
        ("SETTINGS", frame(SETTINGS, 0, 0, &[]).repeat(20_000)),
        ("PING", frame(PING, 0, 0, &[0; 8]).repeat(20_000)),
        ("empty DATA", [head(END_HEADERS, &[OK]), frame(DATA, 0, 1, b"").repeat(20_000)].concat()),
        ("CONTINUATION", [head(0, &[OK]), frame(CONTINUATION, 0, 1, b"").repeat(20_000)].concat()),
    ] {
        liar.answers(bytes);
        let before = proxy.resident_kib();
        let client = proxy.http2().await;
        let mut asked = client.open(&Ask::get("liar", "/")).await.expect("a stream");
        for _ in 0..50 {
            proxy.get("good", "/").await.is(200);
        }
        asked.cancel();
        let grown = proxy.resident_kib().saturating_sub(before);
        assert!(grown < 32 * 1024, "{rule}: {grown} KiB");
    }
}

#[tokio::test]
async fn rfc9113_8_7_what_was_not_begun_is_tried_again() {
    let (liar, good) = (Liar::new().await, Origin::h2c("good").await);
    let spec = Spec::router("out").client("protocol = \"http2\"\naccrual = { kind = \"none\" }");
    let proxy = spec.endpoints("users", &[liar.addr, good.addr()]).start().await;
    for (rule, answer) in [
        ("REFUSED_STREAM", frame(RST_STREAM, 0, 1, &[0, 0, 0, 7])),
        ("6.8: GOAWAY below the stream", frame(GOAWAY, 0, 0, &[0; 8])),
    ] {
        liar.answers(answer);
        for _ in 0..20 {
            let answer = proxy.ask(&Ask::get("users", "/")).await;
            assert_eq!(answer.status(), 200, "{rule}: {answer:?}");
        }
    }
}
