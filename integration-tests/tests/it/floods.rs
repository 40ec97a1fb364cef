//! Clients that do much, or little, to cost others their turn. Meanwhile a well-behaved client is answered, memory
//! stays where it was, and a metric tells who did it.
//!
//! A second each and a tenth of the connections, or `WAYPOST_FLOOD_SECONDS` and all of them (`make floods`).
#![expect(clippy::print_stdout, reason = "what was measured is what one wants to read")]

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use integration_tests::frames::kind::*;
use integration_tests::frames::{END_HEADERS, END_STREAM, WHOLE, frame, greeting};
use integration_tests::*;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

/// How long, and how many connections where the number is what hurts.
fn scale() -> (Duration, usize) {
    match std::env::var("WAYPOST_FLOOD_SECONDS").ok().and_then(|text| text.parse().ok()) {
        Some(seconds) => (Duration::from_secs(seconds), 10_000),
        None => (Duration::from_secs(1), 1_000),
    }
}

/// A request of the well-behaved client is answered in far less; this is ten times what is aimed at.
const PATIENCE: Duration = Duration::from_secs(10);
/// What the process may grow by.
const MOST_KIB: u64 = 64 * 1024;

struct Flooded {
    proxy: TestProxy,
    /// Kept, so that it answers.
    _origin: Origin,
    before_kib: u64,
}

impl Flooded {
    async fn new(behaviour: Behaviour, server: &str) -> Self {
        Self::with(behaviour, server, "").await
    }

    async fn with(behaviour: Behaviour, server: &str, client: &str) -> Self {
        let origin = Origin::that(behaviour).await;
        let good = Origin::http("good").await;
        let spec = Spec::router("out").server(server).client("pool = { max_waiters = 10000 }").client(client);
        let proxy = spec.endpoint("users", origin.addr()).endpoint("good", good.addr()).start().await;
        for _ in 0..50 {
            proxy.get("good", "/").await.is(200);
        }
        // The good one's endpoint lives as long as the test.
        Box::leak(Box::new(good));
        Self { before_kib: proxy.resident_kib(), proxy, _origin: origin }
    }

    /// Lets the attackers run, and asks as everybody does meanwhile, on new connections and on kept ones; then waits for
    /// the metric that tells of them, before it ends them.
    async fn under(&self, what: &str, reason: Option<&str>, attackers: JoinSet<()>) {
        let (time, _) = scale();
        let started = Instant::now();
        let (mut slowest, mut answers, mut most_kib) = (Duration::ZERO, 0, 0);
        let (mut kept, http2) = (self.proxy.http1().await, self.proxy.http2().await);
        let ask = Ask::get("good", "/");
        while started.elapsed() < time {
            let asked = Instant::now();
            let all = async {
                self.proxy.ask(&ask).await.is(200);
                kept.ask(&ask).await.is(200);
                http2.ask(&ask).await.is(200);
            };
            tokio::time::timeout(PATIENCE, all).await.unwrap_or_else(|_| panic!("{what}: others wait"));
            slowest = slowest.max(asked.elapsed());
            answers += 3;
            most_kib = most_kib.max(self.proxy.resident_kib());
        }
        if let Some(reason) = reason {
            self.counted(reason).await;
        }
        drop(attackers);
        let grown = most_kib.saturating_sub(self.before_kib);
        println!(
            "{what:18} {answers:6} answers, the slowest three in {slowest:?}; {} KiB + {grown} KiB",
            self.before_kib
        );
        assert!(grown < MOST_KIB, "{what}: {} KiB before, {most_kib} KiB at most", self.before_kib);
        assert!(!self.proxy.log().contains("panicked"), "{}", self.proxy.log());
    }

    async fn counted(&self, reason: &str) {
        let labels = [("reason", reason)];
        eventually(&format!("{reason} is counted"), async || {
            let count = self.proxy.metrics().await.sum("waypost_server_terminations_total", &labels);
            if count > 0.0 { Ok(()) } else { Err("it is 0".to_owned()) }
        })
        .await;
    }
}

/// `count` clients that each do `one` again and again.
fn again_and_again<F>(
    addr: SocketAddr,
    count: usize,
    one: impl Fn(SocketAddr) -> F + Send + Sync + 'static,
) -> JoinSet<()>
where
    F: Future<Output = std::io::Result<()>> + Send,
{
    let one = Arc::new(one);
    let mut attackers = JoinSet::new();
    for _ in 0..count {
        let one = Arc::clone(&one);
        attackers.spawn(async move {
            loop {
                // It is closed on us sooner or later.
                drop(one(addr).await);
                tokio::task::yield_now().await;
            }
        });
    }
    attackers
}

/// `GET / HTTP/2` for `users`, or with another method.
fn head(method: u8) -> Vec<u8> {
    [&[method, 0x86, 0x84, 0x01, 5][..], b"users"].concat()
}
const GET: u8 = 0x82;
const POST: u8 = 0x83;

/// Connects, says hello, and writes what `next` gives until it is closed on. Reads nothing but what keeps it going.
async fn pour(addr: SocketAddr, settings: &[u8], mut next: impl FnMut() -> Vec<u8>) -> std::io::Result<()> {
    let stream = TcpStream::connect(addr).await?;
    let (mut read, mut write) = stream.into_split();
    let pouring = async {
        write.write_all(&greeting(settings)).await?;
        loop {
            write.write_all(&next()).await?;
        }
    };
    let mut buffer = vec![0; 16 * 1024];
    let reading = async {
        while read.read(&mut buffer).await? > 0 {}
        Ok(())
    };
    tokio::select! { ended = pouring => ended, ended = reading => ended }
}

/// `first` once, and then `more` without end.
fn first_then(first: Vec<u8>, more: Vec<u8>) -> impl FnMut() -> Vec<u8> {
    let mut first = Some(first);
    move || first.take().unwrap_or_else(|| more.clone())
}

/// So many streams, one after the other, each made of what `one` gives.
fn streams(one: impl Fn(u32) -> Vec<u8>) -> impl FnMut() -> Vec<u8> {
    let mut stream = 1;
    move || {
        (0..50)
            .flat_map(|_| {
                let bytes = one(stream);
                stream += 2;
                bytes
            })
            .collect()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cve_2023_44487_rapid_reset() {
    let flooded = Flooded::new(Behaviour::Gated, "").await;
    let one = |addr| {
        pour(
            addr,
            &[],
            streams(|stream| {
                [frame(HEADERS, WHOLE, stream, &head(GET)), frame(RST_STREAM, 0, stream, &[0, 0, 0, 8])].concat()
            }),
        )
    };
    flooded.under("rapid reset", Some("flood"), again_and_again(flooded.proxy.addr(), 10, one)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cve_2023_44487_resets_that_take_turns_with_requests() {
    // Each is begun and reaches an endpoint before it is taken back.
    let flooded = Flooded::new(Behaviour::Gated, "").await;
    let one = |addr| async move {
        let mut stream = TcpStream::connect(addr).await?;
        stream.set_nodelay(true)?;
        stream.write_all(&greeting(&[])).await?;
        let mut numbers = (1..).step_by(2);
        loop {
            let ten: Vec<u32> = numbers.by_ref().take(10).collect();
            let begin = ten.iter().flat_map(|number| frame(HEADERS, WHOLE, *number, &head(GET)));
            stream.write_all(&begin.collect::<Vec<u8>>()).await?;
            tokio::time::sleep(Duration::from_millis(1)).await;
            let end = ten.iter().flat_map(|number| frame(RST_STREAM, 0, *number, &[0, 0, 0, 8]));
            stream.write_all(&end.collect::<Vec<u8>>()).await?;
        }
    };
    flooded.under("requests taken back", Some("flood"), again_and_again(flooded.proxy.addr(), 10, one)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cve_2025_8671_made_you_reset() {
    let flooded = Flooded::new(Behaviour::Gated, "").await;
    let one = |addr| {
        pour(
            addr,
            &[],
            streams(|stream| {
                // More credit than there can be is an error of the stream (RFC 9113 section 6.9.1).
                [frame(HEADERS, WHOLE, stream, &head(GET)), frame(WINDOW_UPDATE, 0, stream, &[0x7f, 0xff, 0xff, 0xff])]
                    .concat()
            }),
        )
    };
    flooded.under("made you reset", Some("flood"), again_and_again(flooded.proxy.addr(), 10, one)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cve_2024_27316_continuation() {
    let flooded = Flooded::new(Behaviour::Gated, "").await;
    for (what, payload) in [("continuation", vec![0; 16_000]), ("empty continuation", vec![])] {
        let more = frame(CONTINUATION, 0, 1, &payload);
        let one = move |addr| pour(addr, &[], first_then(frame(HEADERS, END_STREAM, 1, &head(GET)), more.clone()));
        flooded.under(what, None, again_and_again(flooded.proxy.addr(), 10, one)).await;
    }
    flooded.counted("flood").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rfc7541_7_3_hpack_bomb() {
    let flooded = Flooded::new(Behaviour::Gated, "").await;
    // One long field in the table; then a byte for each time that it is there.
    let long = [&[0x40, 1, b'a', 0x7f, 0xa1, 0x1e][..], &[b'x'; 4000]].concat();
    let one = move |addr| {
        let mut blocks = first_then(long.clone(), vec![0xbe; 16_000]);
        let mut numbers = (1..).step_by(2);
        pour(addr, &[], move || {
            let stream = numbers.next().unwrap_or(1);
            frame(HEADERS, WHOLE, stream, &[head(GET), blocks()].concat())
        })
    };
    flooded.under("hpack bomb", None, again_and_again(flooded.proxy.addr(), 10, one)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cve_2019_9512_and_its_siblings_frames_of_no_use() {
    let flooded = Flooded::new(Behaviour::Gated, "").await;
    let kinds: [(&str, Vec<u8>); 5] = [
        ("settings", frame(SETTINGS, 0, 0, &[0, 3, 0, 0, 0, 100])),
        ("ping", frame(PING, 0, 0, &[0; 8])),
        ("priority", frame(PRIORITY, 0, 1, &[0, 0, 0, 3, 9])),
        ("window update", frame(WINDOW_UPDATE, 0, 0, &[0, 0, 0, 1])),
        ("unknown frames", frame(0x42, 0, 0, &[])),
    ];
    for (what, bytes) in kinds {
        let many = bytes.repeat(500);
        let one = move |addr| pour(addr, &[], first_then(vec![], many.clone()));
        flooded.under(what, None, again_and_again(flooded.proxy.addr(), 10, one)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cve_2019_9518_empty_and_tiny_data() {
    let flooded = Flooded::new(Behaviour::Gated, "").await;
    for (what, payload) in [("empty data", &b""[..]), ("tiny data", b"x")] {
        let more = frame(DATA, 0, 1, payload).repeat(500);
        let one = move |addr| pour(addr, &[], first_then(frame(HEADERS, END_HEADERS, 1, &head(POST)), more.clone()));
        flooded.under(what, None, again_and_again(flooded.proxy.addr(), 10, one)).await;
    }
    flooded.counted("flood").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cve_2019_9517_zero_windows_and_nothing_is_read() {
    let huge = || Behaviour::Reply { status: 200, fields: vec![], body: "x".repeat(2_000_000) };
    let none: &[u8] = &[0, 4, 0, 0, 0, 0];
    let wide: &[u8] = &[0, 4, 0x7f, 0xff, 0xff, 0xff];
    for (what, settings, protocol) in [
        ("zero windows", none, "http1"),
        ("zero windows, h2", none, "http2"),
        ("nothing is read", wide, "http1"),
        ("nothing read, h2", wide, "http2"),
    ] {
        let client = format!("protocol = \"{protocol}\"");
        let flooded = Flooded::with(huge(), "write_timeout = \"300ms\"", &client).await;
        let one = move |addr| async move {
            let socket = TcpSocket::new_v4()?;
            socket.set_recv_buffer_size(4096)?;
            let mut stream = socket.connect(addr).await?;
            stream.write_all(&greeting(settings)).await?;
            if settings == wide {
                stream.write_all(&frame(WINDOW_UPDATE, 0, 0, &[0x7f, 0, 0, 0])).await?;
            }
            for number in (1..200).step_by(2) {
                stream.write_all(&frame(HEADERS, WHOLE, number, &head(GET))).await?;
            }
            // Until it is closed on, or the streams are given up.
            for _ in 0..30 {
                tokio::time::sleep(Duration::from_millis(100)).await;
                stream.write_all(&frame(PING, 0, 0, &[0; 8])).await?;
            }
            Ok(())
        };
        flooded.under(what, Some("write_timeout"), again_and_again(flooded.proxy.addr(), 3, one)).await;
    }
}

/// Each has taken enough to be read for in large pieces, and then takes no more.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn large_answers_are_not_taken() {
    let huge = Behaviour::Reply { status: 200, fields: vec![], body: "x".repeat(8_000_000) };
    let flooded = Flooded::with(huge, "write_timeout = \"500ms\"", "").await;
    let taking = |mut stream: TcpStream| async move {
        drop(stream.write_all(b"GET / HTTP/1.1\r\nHost: users\r\n\r\n").await);
        let mut some = vec![0; 2_000_000];
        drop(stream.read_exact(&mut some).await);
        std::future::pending::<()>().await;
    };
    let (_, most) = scale();
    let attackers = held(flooded.proxy.addr(), most / 50, taking).await;
    flooded.under("large, not taken", Some("write_timeout"), attackers).await;
}

/// Holds so many connections open at once, each with what `hold` makes of it.
async fn held<F>(addr: SocketAddr, count: usize, hold: impl Fn(TcpStream) -> F) -> JoinSet<()>
where
    F: Future<Output = ()> + Send + 'static,
{
    let mut attackers = JoinSet::new();
    for _ in 0..count {
        let stream = soon("connect", TcpStream::connect(addr)).await.expect("a connection");
        attackers.spawn(hold(stream));
    }
    attackers
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn slow_heads() {
    let flooded = Flooded::new(Behaviour::Gated, "head_timeout = \"500ms\"").await;
    let trickle = |mut stream: TcpStream| async move {
        for byte in b"GET / HTTP/1.1\r\nHost: users\r\nX-Long: ".iter().chain(std::iter::repeat(&b'x')) {
            if stream.write_all(&[*byte]).await.is_err() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    let (_, most) = scale();
    flooded.under("slow heads", Some("head_timeout"), held(flooded.proxy.addr(), most / 5, trickle).await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn slow_bodies() {
    let flooded = Flooded::new(Behaviour::Gated, "body_timeout = \"500ms\"").await;
    let trickle = |mut stream: TcpStream| async move {
        drop(stream.write_all(b"POST / HTTP/1.1\r\nHost: users\r\nContent-Length: 1000000\r\n\r\n").await);
        while stream.write_all(b"x").await.is_ok() {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    let (_, most) = scale();
    flooded.under("slow bodies", Some("body_timeout"), held(flooded.proxy.addr(), most / 10, trickle).await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn idle_connections() {
    let (_, most) = scale();
    for (what, most, before) in [
        ("idle, silent", most, vec![]),
        ("idle, http/1.1", most, Ask::get("good", "/").to_http1()),
        (
            // What the protocol keeps for each is some 25 KiB.
            "idle, http/2",
            most / 5,
            [greeting(&[]), frame(HEADERS, WHOLE, 1, &[&[GET, 0x86, 0x84, 0x01, 4][..], b"good"].concat())].concat(),
        ),
    ] {
        let flooded = Flooded::new(Behaviour::Gated, "max_connections = 20000\nhead_timeout = \"60s\"").await;
        let before: Arc<[u8]> = before.into();
        // All at once they would be requests under way, which have bounds of their own.
        let turns = Arc::new(Semaphore::new(100));
        let idle = |stream| used_once(stream, Arc::clone(&before), Arc::clone(&turns));
        flooded.under(what, None, held(flooded.proxy.addr(), most, idle).await).await;
    }
}

/// Asks once, where there is something to ask, and then nothing more.
async fn used_once(mut stream: TcpStream, ask: Arc<[u8]>, turns: Arc<Semaphore>) {
    if !ask.is_empty() {
        let _turn = turns.acquire().await.expect("turns go on");
        stream.write_all(&ask).await.expect("an open connection");
        assert!(stream.read(&mut [0; 4096]).await.expect("an open connection") > 0, "an answer");
    }
    std::future::pending::<()>().await;
}
