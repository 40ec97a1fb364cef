//! Any bytes at all, from clients and from endpoints: nothing panics, hangs or leaks, and nobody else notices.
//!
//! A second each, or `WAYPOST_FUZZ_SECONDS` (`make fuzz`: 60).

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use integration_tests::frames::{block, frame};
use integration_tests::random::Random;
use integration_tests::*;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

fn seconds() -> u64 {
    std::env::var("WAYPOST_FUZZ_SECONDS").ok().and_then(|text| text.parse().ok()).unwrap_or(1)
}

/// What the process has of the system.
#[derive(Clone, Copy, Debug)]
struct Held {
    files: usize,
    resident_kib: u64,
}

fn held(proxy: &TestProxy) -> Held {
    let files = std::fs::read_dir(format!("/proc/{}/fd", proxy.id())).expect("the process runs").count();
    Held { files, resident_kib: proxy.resident_kib() }
}

/// Files are given back, memory has not grown by much, and nothing has panicked.
async fn nothing_is_left(proxy: &TestProxy, before: Held) {
    eventually("connections are closed", async || {
        let now = held(proxy).files;
        // Kept connections to endpoints, and those of the admin's clients.
        if now <= before.files + 40 { Ok(()) } else { Err(format!("{} files before, {now} now", before.files)) }
    })
    .await;
    let now = held(proxy);
    assert!(now.resident_kib < before.resident_kib + 64 * 1024, "{before:?} before, {now:?} now");
    assert!(!proxy.log().contains("panicked"), "{}", proxy.log());
}

fn http2_frames(fields: &[(&str, &str)], random: &mut Random) -> Vec<u8> {
    let fields: Vec<_> = fields.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes())).collect();
    let block = block(&fields);
    let mut bytes = frame(4, 0, 0, &[0, 3, 0, 0, 0, 100]);
    for _ in 0..1 + random.below(6) {
        let stream = u32::try_from(random.below(9)).expect("a small number");
        let length = random.below(64);
        let any = random.bytes(length);
        bytes.extend(match random.below(9) {
            0 => frame(0, u8::from(random.chance(50)), stream, &any),
            1 | 2 => frame(1, 4 | u8::from(random.chance(50)), stream | 1, &block),
            3 => frame(1, 0, stream | 1, &block),
            4 => frame(9, 4, stream | 1, &any),
            5 => frame(3, 0, stream, &[0, 0, 0, 8]),
            6 => frame(8, 0, stream, &[0, 0, 0xff, 0xff]),
            7 => frame(4, u8::from(random.chance(50)), 0, &[]),
            _ => frame(u8::try_from(random.below(16)).expect("a kind"), 0, stream, &any),
        });
    }
    bytes
}

fn from_a_client(random: &mut Random) -> Vec<u8> {
    let fields =
        [(":method", "POST"), (":scheme", "http"), (":path", "/"), (":authority", "users"), ("te", "trailers")];
    let mut bytes = match random.below(4) {
        0 => [&b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"[..], &http2_frames(&fields, random)].concat(),
        1 => b"POST / HTTP/1.1\r\nHost: users\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabcde\r\n0\r\n\r\n".to_vec(),
        2 => b"GET / HTTP/1.1\r\nHost: users\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n".to_vec(),
        _ => {
            let length = 1 + random.below(400);
            random.bytes(length)
        }
    };
    (0..random.below(4)).for_each(|_| random.change(&mut bytes));
    bytes
}

fn from_an_endpoint(http2: bool, random: &mut Random) -> Vec<u8> {
    let mut bytes = if http2 {
        http2_frames(&[(":status", "200"), ("content-length", "5"), ("x", "y")], random)
    } else {
        let heads: [&[u8]; 6] = [
            b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nabcde",
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabcde\r\n0\r\nX: y\r\n\r\n",
            b"HTTP/1.1 103 Early Hints\r\nLink: a\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n",
            b"HTTP/1.0 200 OK\r\n\r\nuntil the end",
            b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\nbytes",
            b"HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
        ];
        random.of(&heads).to_vec()
    };
    (0..random.below(4)).for_each(|_| random.change(&mut bytes));
    bytes
}

/// Sends `bytes` in pieces; then reads for a moment what comes, or goes away at once.
async fn send(addr: SocketAddr, bytes: Vec<u8>, cut: usize, stays: bool) {
    let Ok(mut stream) = TcpStream::connect(addr).await else { return };
    for piece in bytes.chunks(cut.max(1)) {
        if stream.write_all(piece).await.is_err() {
            return;
        }
        tokio::task::yield_now().await;
    }
    if stays {
        let mut answers = Vec::new();
        let read = async { while stream.read_buf(&mut answers).await.is_ok_and(|read| read > 0) {} };
        // Half of a request is answered by nobody.
        drop(tokio::time::timeout(MOMENT, read).await);
    }
}

const MOMENT: Duration = Duration::from_millis(50);
const SIDE_BY_SIDE: usize = 32;

#[tokio::test]
async fn any_bytes_of_clients_hurt_nobody() {
    let users = Origin::http("users").await;
    let proxy = Spec::router("out").endpoint("users", users.addr()).start().await;
    let good = proxy.http2().await;
    good.ask(&Ask::get("users", "/")).await.is(200);
    let before = held(&proxy);
    let mut random = Random::new(9113);
    let (mut clients, end, mut count) = (JoinSet::new(), Instant::now() + Duration::from_secs(seconds()), 0);
    while Instant::now() < end {
        if clients.len() >= SIDE_BY_SIDE {
            clients.join_next().await;
        }
        let (bytes, cut, stays) = (from_a_client(&mut random), 1 + random.below(100), random.chance(30));
        clients.spawn(send(proxy.addr(), bytes, cut, stays));
        count += 1;
        if count % 100 == 0 {
            good.ask(&Ask::get("users", "/")).await.is(200);
            proxy.get("users", "/").await.is(200);
        }
    }
    while clients.join_next().await.is_some() {}
    assert!(count > 100, "only {count} connections in {} s", seconds());
    good.ask(&Ask::get("users", "/")).await.is(200);
    nothing_is_left(&proxy, before).await;
}

async fn lie(mut stream: TcpStream, http2: bool, random: &Mutex<Random>) {
    let mut asked = [0; 4096];
    while stream.read(&mut asked).await.is_ok_and(|read| read > 0) {
        let (bytes, closes) = {
            let mut random = random.lock().expect("nobody panics");
            (from_an_endpoint(http2, &mut random), random.chance(30))
        };
        if stream.write_all(&bytes).await.is_err() || closes {
            return;
        }
    }
}

/// Answers each connection, when something has come, with any bytes.
async fn liar(http2: bool) -> (SocketAddr, JoinSet<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let addr = listener.local_addr().expect("an address");
    let random = Arc::new(Mutex::new(Random::new(9110)));
    let mut tasks = JoinSet::new();
    tasks.spawn(async move {
        let mut connections = JoinSet::new();
        while let Ok((stream, _)) = listener.accept().await {
            while connections.try_join_next().is_some() {}
            let random = Arc::clone(&random);
            connections.spawn(async move { lie(stream, http2, &random).await });
        }
    });
    (addr, tasks)
}

#[tokio::test]
async fn any_bytes_of_endpoints_hurt_nobody() {
    let users = Origin::http("users").await;
    let (one, _one) = liar(false).await;
    let (two, _two) = liar(true).await;
    let proxy = Spec::router("out")
        .client("accrual = { kind = \"none\" }\nattempt_timeout = \"200ms\"\npool = { idle_timeout = \"1s\" }")
        .client_at("/#/fs/two", "protocol = \"http2\"")
        .service("total_timeout = \"500ms\"")
        .server("tunnel_idle_timeout = \"1s\"")
        .endpoint("users", users.addr())
        .endpoint("one", one)
        .endpoint("two", two)
        .start()
        .await;
    let good = proxy.http2().await;
    good.ask(&Ask::get("users", "/")).await.is(200);
    let before = held(&proxy);
    let (mut clients, end, mut count) = (JoinSet::new(), Instant::now() + Duration::from_secs(seconds()), 0);
    while Instant::now() < end {
        if clients.len() >= SIDE_BY_SIDE {
            clients.join_next().await;
        }
        let host = if count % 2 == 0 { "one" } else { "two" };
        let upgrade = if count % 5 == 0 { "Connection: upgrade\r\nUpgrade: websocket\r\n" } else { "" };
        let bytes = format!("GET / HTTP/1.1\r\nHost: {host}\r\n{upgrade}\r\n");
        clients.spawn(send(proxy.addr(), bytes.into_bytes(), 4096, true));
        count += 1;
        if count % 50 == 0 {
            // Whatever came for others, this is the answer to this.
            assert_eq!(good.ask(&Ask::get("users", "/")).await.is(200).json()["origin"], "users");
            assert_eq!(proxy.get("users", "/").await.is(200).json()["origin"], "users");
        }
    }
    while clients.join_next().await.is_some() {}
    assert!(count > 50, "only {count} connections in {} s", seconds());
    assert_eq!(good.ask(&Ask::get("users", "/")).await.is(200).json()["origin"], "users");
    nothing_is_left(&proxy, before).await;
}
