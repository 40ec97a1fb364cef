//! What an HTTP/2 client may not send (RFC 9113), frame by frame: how it ends, and that nothing of it reaches an endpoint.

use integration_tests::frames::kind::*;
use integration_tests::frames::{
    END_HEADERS, END_STREAM, Ended, PADDED, RawHttp2, WHOLE, block, frame, greeting, request,
};
use integration_tests::*;

type Fields<'a> = &'a [(&'a [u8], &'a [u8])];

const PROTOCOL_ERROR: u32 = 1;
const FLOW_CONTROL_ERROR: u32 = 3;
const STREAM_CLOSED: u32 = 5;
const FRAME_SIZE_ERROR: u32 = 6;
const COMPRESSION_ERROR: u32 = 9;

/// `bad` must never be asked for anything; `good` answers.
struct Rules {
    bad: Origin,
    good: Origin,
    proxy: TestProxy,
}

impl Rules {
    async fn new(protocol: &str) -> Self {
        let (bad, good) = (Origin::http("bad").await, Origin::http("good").await);
        let spec = Spec::router("out").client(&format!("protocol = \"{protocol}\""));
        let proxy = spec.endpoint("bad", bad.addr()).endpoint("good", good.addr()).start().await;
        Self { bad, good, proxy }
    }

    /// Sends `bytes`, which are something about stream 1, and tells how that ended.
    async fn end_of(&self, bytes: &[u8]) -> (RawHttp2, Ended) {
        let mut client = RawHttp2::connect(self.proxy.addr()).await;
        client.send(bytes).await;
        let ended = client.ended(1).await;
        (client, ended)
    }

    /// The connection goes on, as does everything else; nothing has reached `bad`.
    async fn others_go_on(&self, rule: &str, mut client: RawHttp2) {
        client.send(&frame(HEADERS, WHOLE, 101, &request("GET", "good", &[]))).await;
        assert_eq!(client.ended(101).await, Ended::Answer(200), "{rule}: another stream");
        self.nothing_came(rule);
    }

    fn nothing_came(&self, rule: &str) {
        assert_eq!(self.bad.requests(), 0, "{rule}: {:?}", self.bad.seen());
    }
}

/// A request to `bad`, all its fields as given.
fn whole(fields: Fields<'_>) -> Vec<u8> {
    frame(HEADERS, WHOLE, 1, &block(fields))
}

const M: (&[u8], &[u8]) = (b":method", b"GET");
const S: (&[u8], &[u8]) = (b":scheme", b"http");
const P: (&[u8], &[u8]) = (b":path", b"/");
const A: (&[u8], &[u8]) = (b":authority", b"bad");
const RESET: &[Ended] = &[Ended::Reset(PROTOCOL_ERROR)];
const REFUSED: &[Ended] = &[Ended::Answer(400)];
// More than has to be, and allowed (section 5.4.1): to h2 these are no header block at all.
const CONNECTION: &[Ended] = &[Ended::GoAway(PROTOCOL_ERROR)];
const EITHER: &[Ended] = &[Ended::Answer(400), Ended::Reset(PROTOCOL_ERROR)];

/// Rule, the request's fields, how it may end.
type Malformed<'a> = (&'a str, Fields<'a>, &'a [Ended]);

fn malformed_pseudo_headers() -> Vec<Malformed<'static>> {
    vec![
        ("8.3.1: no :method", &[S, P, A], RESET),
        ("8.3.1: no :path", &[M, S, A], RESET),
        ("8.3.1: no :scheme", &[M, P, A], RESET),
        ("8.3.1: two :method", &[M, M, S, P, A], RESET),
        ("8.3.1: two :path", &[M, S, P, P, A], RESET),
        ("8.3.1: two :authority", &[M, S, P, A, A], RESET),
        ("8.3: an unknown pseudo-header", &[M, S, P, A, (b":host", b"bad")], CONNECTION),
        ("8.3: one of responses", &[M, S, P, A, (b":status", b"200")], RESET),
        ("8.3: one behind a field", &[M, S, P, (b"a", b"b"), A], RESET),
        ("8.3.1: empty :path", &[M, S, (b":path", b""), A], RESET),
        ("8.3.1: :path without a slash", &[M, S, (b":path", b"users"), A], EITHER),
        ("8.3.1: an absolute :path", &[M, S, (b":path", b"http://bad/"), A], EITHER),
        ("8.3.1: * with GET", &[M, S, (b":path", b"*"), A], REFUSED),
        ("8.3.1: an empty :scheme", &[M, (b":scheme", b""), P, A], EITHER),
        ("8.3.1: userinfo", &[M, S, P, (b":authority", b"a@bad")], REFUSED),
        ("8.3.1: a port that is none", &[M, S, P, (b":authority", b"bad:x")], EITHER),
        ("8.3.1: an empty :authority", &[M, S, P, (b":authority", b"")], EITHER),
        ("8.3.1: neither :authority nor Host", &[M, S, P], REFUSED),
        ("8.3.1: Host that differs", &[M, S, P, A, (b"host", b"good")], REFUSED),
        ("8.3.1: two Hosts", &[M, S, P, (b"host", b"bad"), (b"host", b"bad")], REFUSED),
    ]
}

fn malformed_fields() -> Vec<Malformed<'static>> {
    vec![
        ("8.2.1: an upper-case name", &[M, S, P, A, (b"Name", b"x")], CONNECTION),
        ("8.2.1: CR LF in a name", &[M, S, P, A, (b"a\r\nb", b"x")], CONNECTION),
        ("8.2.1: space in a name", &[M, S, P, A, (b"a b", b"x")], CONNECTION),
        ("8.2.1: a colon in a name", &[M, S, P, A, (b"a:b", b"x")], CONNECTION),
        ("8.2.1: an empty name", &[M, S, P, A, (b"", b"x")], CONNECTION),
        ("8.2.1: CR LF in a value", &[M, S, P, A, (b"a", b"x\r\nb: c")], CONNECTION),
        ("8.2.1: LF in a value", &[M, S, P, A, (b"a", b"x\ny")], CONNECTION),
        ("8.2.1: NUL in a value", &[M, S, P, A, (b"a", b"x\0y")], CONNECTION),
        ("8.2.1: CR LF in :path", &[M, S, (b":path", b"/ HTTP/1.1\r\nhost: bad\r\n\r\nGET /"), A], RESET),
        ("8.2.1: a space in :path", &[M, S, (b":path", b"/a b"), A], EITHER),
        ("8.2.1: CR LF in :method", &[(b":method", b"GET / HTTP/1.1\r\nx: y"), S, P, A], CONNECTION),
        ("8.2.1: a space in :method", &[(b":method", b"GE T"), S, P, A], CONNECTION),
        ("8.2.1: CR LF in :authority", &[M, S, P, (b":authority", b"bad\r\nx: y")], RESET),
        ("8.2.2: connection", &[M, S, P, A, (b"connection", b"close")], RESET),
        ("8.2.2: transfer-encoding", &[M, S, P, A, (b"transfer-encoding", b"chunked")], RESET),
        ("8.2.2: upgrade", &[M, S, P, A, (b"upgrade", b"websocket")], RESET),
        ("8.2.2: keep-alive", &[M, S, P, A, (b"keep-alive", b"1")], RESET),
        ("8.2.2: proxy-connection", &[M, S, P, A, (b"proxy-connection", b"close")], RESET),
        ("8.2.2: te: gzip", &[M, S, P, A, (b"te", b"gzip")], RESET),
        ("8.1.1: a length and no body", &[M, S, P, A, (b"content-length", b"5")], RESET),
        ("8.1.1: two lengths", &[M, S, P, A, (b"content-length", b"0"), (b"content-length", b"1")], EITHER),
        ("8.1.1: a length that is none", &[M, S, P, A, (b"content-length", b"+0")], EITHER),
        ("8.5: CONNECT", &[(b":method", b"CONNECT"), A], &[Ended::Answer(405)]),
        (
            "8441 4: extended CONNECT for what is not allowed",
            &[(b":method", b"CONNECT"), S, P, A, (b":protocol", b"x")],
            &[Ended::Answer(501)],
        ),
        ("8441 4: :protocol without CONNECT", &[M, S, P, A, (b":protocol", b"websocket")], EITHER),
    ]
}

#[tokio::test]
async fn rfc9113_8_malformed_requests_end_alone() {
    let cases = [malformed_pseudo_headers(), malformed_fields()].concat();
    for protocol in ["http1", "http2"] {
        let rules = Rules::new(protocol).await;
        let mut wrong = Vec::new();
        for (rule, fields, allowed) in &cases {
            let (client, ended) = rules.end_of(&whole(fields)).await;
            if !allowed.contains(&ended) {
                wrong.push((*rule, ended));
            }
            if !matches!(ended, Ended::GoAway(_)) {
                rules.others_go_on(rule, client).await;
            }
        }
        rules.nothing_came("all of them");
        rules.proxy.get("good", "/").await.is(200);
        assert_eq!(wrong, [], "{protocol}");
    }
}

#[tokio::test]
async fn rfc9113_8_1_1_bodies_that_are_not_as_long_as_they_say() {
    let rules = Rules::new("http1").await;
    let with_length =
        |length: &[u8]| frame(HEADERS, END_HEADERS, 1, &request("POST", "good", &[(b"content-length", length)]));
    for (rule, bytes) in [
        ("shorter", [with_length(b"5"), frame(DATA, END_STREAM, 1, b"abc")].concat()),
        ("longer", [with_length(b"2"), frame(DATA, END_STREAM, 1, b"abc")].concat()),
        (
            "shorter, with trailers",
            [with_length(b"5"), frame(DATA, 0, 1, b"abc"), frame(HEADERS, WHOLE, 1, &block(&[(b"a", b"b")]))].concat(),
        ),
    ] {
        let (client, ended) = rules.end_of(&bytes).await;
        assert_eq!(ended, Ended::Reset(PROTOCOL_ERROR), "{rule}");
        rules.others_go_on(rule, client).await;
        let bodies = rules.good.seen().iter().filter(|seen| seen.method == "POST" && seen.body.is_some()).count();
        assert_eq!(bodies, 0, "{rule}: none arrives as a whole");
    }
}

#[tokio::test]
async fn rfc9113_8_1_trailers_lose_what_is_none_of_theirs() {
    for protocol in ["http1", "http2"] {
        let rules = Rules::new(protocol).await;
        let head = frame(
            HEADERS,
            END_HEADERS,
            1,
            &request("POST", "good", &[(b"te", b"trailers"), (b"trailer", b"grpc-status")]),
        );
        let body = [head.clone(), frame(DATA, 0, 1, b"abc")].concat();
        let trailers = |fields: Fields<'_>, flags| [body.clone(), frame(HEADERS, flags, 1, &block(fields))].concat();
        let fields: Fields<'_> = &[
            (b"grpc-status", b"0"),
            (b"content-length", b"7"),
            (b"host", b"bad"),
            (b"l5d-dtab", b"/svc => /#/fs/bad"),
            (b"authorization", b"x"),
        ];
        let (client, ended) = rules.end_of(&trailers(fields, WHOLE)).await;
        assert_eq!(ended, Ended::Answer(200), "{protocol}");
        let seen = rules.good.last();
        let came = seen.body.as_ref().map(|body| body.trailers.clone());
        assert_eq!(came, Some(vec![("grpc-status".to_owned(), "0".to_owned())]), "{protocol}");
        rules.others_go_on("trailers", client).await;
        // h2 drops pseudo-headers there without a word: nothing of them goes on.
        let pseudo: Fields<'_> = &[(b":path", b"/other"), (b"a", b"b")];
        let (client, ended) = rules.end_of(&trailers(pseudo, WHOLE)).await;
        assert!(matches!(ended, Ended::Answer(200) | Ended::Reset(PROTOCOL_ERROR)), "{protocol}: {ended:?}");
        let targets: Vec<String> = rules.good.seen().into_iter().map(|seen| seen.target).collect();
        assert!(targets.iter().all(|target| target == "/"), "{targets:?}");
        rules.others_go_on("pseudo-headers in trailers", client).await;
        let (_, ended) = rules.end_of(&trailers(fields, END_HEADERS)).await;
        assert!(
            matches!(ended, Ended::Reset(PROTOCOL_ERROR) | Ended::GoAway(PROTOCOL_ERROR)),
            "8.1: no END_STREAM: {ended:?}"
        );
    }
}

/// Rule, the frames, the codes that the connection may end with.
type Faulty = (&'static str, Vec<u8>, &'static [u32]);

fn faulty_frames() -> Vec<Faulty> {
    let get = |stream| frame(HEADERS, WHOLE, stream, &request("GET", "bad", &[]));
    vec![
        ("4.2: longer than SETTINGS_MAX_FRAME_SIZE", frame(0x42, 0, 0, &[0; 16_385]), &[FRAME_SIZE_ERROR]),
        ("4.3: a block that is no HPACK", frame(HEADERS, WHOLE, 1, &[0x80]), &[COMPRESSION_ERROR, PROTOCOL_ERROR]),
        (
            "4.3: a block that breaks off",
            frame(HEADERS, WHOLE, 1, &[0x00, 0x05, b'a']),
            &[COMPRESSION_ERROR, PROTOCOL_ERROR],
        ),
        ("5.1: DATA on an idle stream", frame(DATA, END_STREAM, 1, b"x"), &[PROTOCOL_ERROR]),
        ("5.1: RST_STREAM on an idle stream", frame(RST_STREAM, 0, 1, &[0; 4]), &[PROTOCOL_ERROR]),
        ("5.1: WINDOW_UPDATE on an idle stream", frame(WINDOW_UPDATE, 0, 1, &[0, 0, 0, 1]), &[PROTOCOL_ERROR]),
        ("5.1.1: an even stream", get(2), &[PROTOCOL_ERROR]),
        (
            "5.1.1: a stream below the last",
            [frame(RST_STREAM, 0, 0, &[]), get(1)].concat(),
            &[PROTOCOL_ERROR, FRAME_SIZE_ERROR],
        ),
        ("6.1: DATA on stream 0", frame(DATA, 0, 0, b"x"), &[PROTOCOL_ERROR]),
        ("6.1: more padding than frame", frame(DATA, PADDED, 1, &[9, 1]), &[PROTOCOL_ERROR]),
        ("6.2: HEADERS on stream 0", get(0), &[PROTOCOL_ERROR]),
        ("6.2: more padding than frame", frame(HEADERS, PADDED | WHOLE, 1, &[200, 0]), &[PROTOCOL_ERROR]),
    ]
}

fn faulty_control_frames() -> Vec<Faulty> {
    let open = || frame(HEADERS, END_HEADERS, 1, &request("POST", "bad", &[]));
    vec![
        ("6.4: RST_STREAM on stream 0", frame(RST_STREAM, 0, 0, &[0; 4]), &[PROTOCOL_ERROR]),
        (
            "6.4: RST_STREAM of 3 bytes",
            [open(), frame(RST_STREAM, 0, 1, &[0; 3])].concat(),
            &[FRAME_SIZE_ERROR, PROTOCOL_ERROR],
        ),
        ("6.5: SETTINGS of 5 bytes", frame(SETTINGS, 0, 0, &[0; 5]), &[FRAME_SIZE_ERROR, PROTOCOL_ERROR]),
        ("6.5: SETTINGS on a stream", frame(SETTINGS, 0, 1, &[]), &[PROTOCOL_ERROR]),
        (
            "6.5: an acknowledgement with content",
            frame(SETTINGS, END_STREAM, 0, &[0; 6]),
            &[FRAME_SIZE_ERROR, PROTOCOL_ERROR],
        ),
        ("6.5.2: ENABLE_PUSH = 2", frame(SETTINGS, 0, 0, &[0, 2, 0, 0, 0, 2]), &[PROTOCOL_ERROR]),
        (
            "6.5.2: too large a window",
            frame(SETTINGS, 0, 0, &[0, 4, 0x80, 0, 0, 0]),
            &[FLOW_CONTROL_ERROR, PROTOCOL_ERROR],
        ),
        ("6.5.2: too small a frame size", frame(SETTINGS, 0, 0, &[0, 5, 0, 0, 0, 1]), &[PROTOCOL_ERROR]),
        (
            "6.6: PUSH_PROMISE from a client",
            [open(), frame(PUSH_PROMISE, END_HEADERS, 1, &[0, 0, 0, 2])].concat(),
            &[PROTOCOL_ERROR],
        ),
        ("6.7: PING of 7 bytes", frame(PING, 0, 0, &[0; 7]), &[FRAME_SIZE_ERROR, PROTOCOL_ERROR]),
        ("6.7: PING on a stream", frame(PING, 0, 1, &[0; 8]), &[PROTOCOL_ERROR]),
        ("6.8: GOAWAY on a stream", frame(GOAWAY, 0, 1, &[0; 8]), &[PROTOCOL_ERROR]),
        ("6.9: WINDOW_UPDATE of 3 bytes", frame(WINDOW_UPDATE, 0, 0, &[0; 3]), &[FRAME_SIZE_ERROR, PROTOCOL_ERROR]),
        ("6.9: an increment of 0", frame(WINDOW_UPDATE, 0, 0, &[0; 4]), &[PROTOCOL_ERROR]),
        ("6.9.1: more than there can be", frame(WINDOW_UPDATE, 0, 0, &[0x7f, 0xff, 0xff, 0xff]), &[FLOW_CONTROL_ERROR]),
        ("6.10: CONTINUATION of nothing", frame(CONTINUATION, END_HEADERS, 1, &[]), &[PROTOCOL_ERROR]),
        (
            "6.10: something else in between",
            [frame(HEADERS, END_STREAM, 1, &request("GET", "bad", &[])), frame(PING, 0, 0, &[0; 8])].concat(),
            &[PROTOCOL_ERROR],
        ),
        (
            "6.10: CONTINUATION of another stream",
            [frame(HEADERS, END_STREAM, 1, &request("GET", "bad", &[])), frame(CONTINUATION, END_HEADERS, 3, &[])]
                .concat(),
            &[PROTOCOL_ERROR],
        ),
    ]
}

#[tokio::test]
async fn rfc9113_4_to_6_faulty_frames_end_the_connection() {
    let rules = Rules::new("http1").await;
    let cases = [faulty_frames(), faulty_control_frames()].concat();
    let mut wrong = Vec::new();
    for (rule, bytes, allowed) in cases {
        let mut client = RawHttp2::connect(rules.proxy.addr()).await;
        client.send(&bytes).await;
        let ended = client.ended(u32::MAX).await;
        if !allowed.iter().any(|code| ended == Ended::GoAway(*code)) {
            wrong.push((rule, ended));
        }
    }
    assert_eq!(wrong, []);
    // What was opened before the fault may have been begun; no body has come whole, and nothing complete.
    assert!(rules.bad.seen().iter().all(|seen| seen.body.is_none()), "{:?}", rules.bad.seen());
    rules.proxy.get("good", "/").await.is(200);
    let malformed = rules.proxy.metrics().await.sum("waypost_server_terminations_total", &[("reason", "malformed")]);
    assert!(malformed > 20.0, "{malformed}");
}

#[tokio::test]
async fn rfc9113_5_1_frames_on_a_stream_that_has_ended() {
    let rules = Rules::new("http1").await;
    for (rule, late) in
        [("DATA", frame(DATA, END_STREAM, 1, b"x")), ("HEADERS", frame(HEADERS, WHOLE, 1, &request("GET", "bad", &[])))]
    {
        let mut client = RawHttp2::connect(rules.proxy.addr()).await;
        client.send(&frame(HEADERS, WHOLE, 1, &request("GET", "good", &[]))).await;
        assert_eq!(client.ended(1).await, Ended::Answer(200));
        client.send(&late).await;
        let ended = client.ended(1).await;
        let closed = [Ended::Reset(STREAM_CLOSED), Ended::GoAway(STREAM_CLOSED), Ended::GoAway(PROTOCOL_ERROR)];
        assert!(closed.contains(&ended), "{rule}: {ended:?}");
        rules.nothing_came(rule);
    }
}

#[tokio::test]
async fn rfc9113_4_1_5_3_5_5_what_is_not_known_is_ignored() {
    let rules = Rules::new("http1").await;
    let bytes = [
        frame(0x42, 0xff, 0, b"whatever"),
        frame(SETTINGS, 0, 0, &[0x42, 0x42, 0, 0, 0, 9]),
        frame(PRIORITY, 0, 1, &[0, 0, 0, 0, 16]),
        frame(PRIORITY_UPDATE, 0, 0, &[0, 0, 0, 1, b'u', b'=', b'1']),
        frame(HEADERS, WHOLE, 1, &request("GET", "good", &[])),
        frame(0x42, 0, 1, b"on a stream"),
    ];
    let (client, ended) = rules.end_of(&bytes.concat()).await;
    assert_eq!(ended, Ended::Answer(200));
    rules.others_go_on("unknown frames", client).await;
    // A header block in pieces, with padding, is one block.
    let whole = request("GET", "good", &[(b"x-long", &[b'x'; 300])]);
    let (first, rest) = whole.split_at(100);
    let padded = [&[4][..], first, &[0; 4]].concat();
    let pieces = [
        frame(HEADERS, PADDED | END_STREAM, 1, &padded),
        frame(CONTINUATION, 0, 1, &rest[..50]),
        frame(CONTINUATION, END_HEADERS, 1, &rest[50..]),
    ];
    let (_, ended) = rules.end_of(&pieces.concat()).await;
    assert_eq!(ended, Ended::Answer(200));
    assert_eq!(rules.good.last().header("x-long").map(str::len), Some(300));
}

#[tokio::test]
async fn rfc9113_5_4_2_a_reset_ends_the_endpoint_s_work_and_a_head_too_long_is_431() {
    let gated = Origin::that(Behaviour::Gated).await;
    let proxy = Spec::router("out").client("protocol = \"http1\"").endpoint("slow", gated.addr()).start().await;
    let mut client = RawHttp2::connect(proxy.addr()).await;
    client.send(&frame(HEADERS, WHOLE, 1, &request("GET", "slow", &[]))).await;
    gated.has_requests(1).await;
    client.send(&frame(RST_STREAM, 0, 1, &[0, 0, 0, 8])).await;
    gated.has_aborted(1).await;
    // After the client's GOAWAY the streams that are open finish.
    client.send(&frame(HEADERS, WHOLE, 3, &request("GET", "slow", &[]))).await;
    gated.has_requests(2).await;
    client.send(&frame(GOAWAY, 0, 0, &[0; 8])).await;
    gated.open();
    assert_eq!(client.ended(3).await, Ended::Answer(200));

    let big = vec![b'x'; 15_000];
    let fields: Vec<(&[u8], &[u8])> = vec![(b"x-big", &big); 5];
    let whole = request("GET", "slow", &fields);
    let mut pieces = whole.chunks(16_000);
    let mut bytes = frame(HEADERS, END_STREAM, 1, pieces.next().expect("a piece"));
    let rest: Vec<&[u8]> = pieces.collect();
    for (index, piece) in rest.iter().enumerate() {
        bytes.extend(frame(CONTINUATION, if index + 1 == rest.len() { END_HEADERS } else { 0 }, 1, piece));
    }
    let mut client = RawHttp2::connect(proxy.addr()).await;
    client.send(&bytes).await;
    assert_eq!(client.ended(1).await, Ended::Answer(431));
    assert_eq!(gated.requests(), 2);
}

#[tokio::test]
async fn rfc9113_3_4_a_preface_that_is_none_is_no_http2() {
    let rules = Rules::new("http1").await;
    let mut bytes = greeting(&[]);
    bytes[20] = b'x';
    let mut client = rules.proxy.http1().await;
    client.send(&bytes).await;
    let said = String::from_utf8_lossy(&client.until_closed().await).into_owned();
    assert!(said.starts_with("HTTP/1.1 505"), "{said}");
    rules.proxy.get("good", "/").await.is(200);
}
