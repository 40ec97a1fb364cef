//! Random requests, right and wrong, go in; a strict parser that shares no code with waypost reads what reaches the
//! endpoint. It must find whole requests only, and none that it did not find in what was sent: no request that waypost
//! saw in a body, or behind something that is no request.
//!
//! 1,000 requests, or `WAYPOST_DIFFERENTIAL` (`make fuzz`: 10,000); the same ones in each run.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use integration_tests::random::Random;
use integration_tests::*;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

/// A body that a reader who is wrong about its begin takes for a request.
fn smuggled(number: usize) -> String {
    format!("GET /smuggled{number} HTTP/1.1\r\nHost: users\r\n\r\n")
}

/// Whose requests are read.
#[derive(Clone, Copy, PartialEq, Eq)]
enum By {
    /// Another client's: HTTP/1.0, chunk extensions and empty lines before a request are allowed.
    Client,
    /// waypost's: nothing of that.
    Waypost,
}

/// One request at the endpoint, as the strict parser has it.
#[derive(Debug, PartialEq, Eq)]
struct Strict {
    target: String,
    length: usize,
}

/// RFC 9112, with nothing that it allows a recipient to forgive. `Ok(None)`: not all of it has come.
fn strict(bytes: &[u8], by: By) -> Result<Option<Strict>, String> {
    let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") else {
        return if bytes.len() > 256 * 1024 { Err("a head without end".to_owned()) } else { Ok(None) };
    };
    // Latin-1: obs-text may stand in values (RFC 9110 section 5.5), and there alone.
    let head: String = bytes[..end].iter().copied().map(char::from).collect();
    if head.replace("\r\n", "").bytes().any(|byte| byte != b'\t' && byte.is_ascii_control()) {
        return Err(format!("controls in {head:?}"));
    }
    let mut lines = head.split("\r\n");
    let words: Vec<&str> = lines.next().unwrap_or_default().split(' ').collect();
    let [method, target, version] = words[..] else { return Err(format!("the request line {words:?}")) };
    let old = version == "HTTP/1.0" && by == By::Client;
    if version != "HTTP/1.1" && !old {
        return Err(format!("the version {version}"));
    }
    if !is_token(method)
        || !(target.starts_with('/') || target == "*" && method == "OPTIONS")
        || target.contains('#')
        || !target.is_ascii()
    {
        return Err(format!("the request line {words:?}"));
    }
    let mut fields: HashMap<String, Vec<&str>> = HashMap::new();
    for line in lines {
        let (name, value) = line.split_once(':').ok_or_else(|| format!("no field: {line:?}"))?;
        if !is_token(name) {
            return Err(format!("no name: {line:?}"));
        }
        fields.entry(name.to_ascii_lowercase()).or_default().push(value.trim_matches([' ', '\t']));
    }
    let of = |name: &str| fields.get(name).map(Vec::as_slice).unwrap_or_default();
    let host = match of("host") {
        [host] => host,
        [] if old => "",
        hosts => return Err(format!("the Hosts {hosts:?}")),
    };
    if host.contains([' ', '/', '@', '?', '\\']) {
        return Err(format!("the Host {host:?}"));
    }
    let begin = end + 4;
    let body = match (of("transfer-encoding"), of("content-length")) {
        ([], []) => Some(0),
        ([], [length]) if !length.is_empty() && length.bytes().all(|byte| byte.is_ascii_digit()) => {
            let length: usize = length.parse().map_err(|_| format!("the length {length}"))?;
            (bytes.len() - begin >= length).then_some(length)
        }
        (["chunked"], []) if !old => chunks(&bytes[begin..], by)?,
        framing => return Err(format!("framed by {framing:?}")),
    };
    Ok(body.map(|body| Strict { target: target.to_owned(), length: begin + body }))
}

/// The bytes of a chunked body with its trailers.
fn chunks(bytes: &[u8], by: By) -> Result<Option<usize>, String> {
    let mut at = 0;
    let line = |at: usize| -> Option<(String, usize)> {
        let length = bytes[at..].windows(2).position(|window| window == b"\r\n")?;
        Some((bytes[at..at + length].iter().copied().map(char::from).collect(), at + length + 2))
    };
    loop {
        let Some((size, next)) = line(at) else { return Ok(None) };
        let size = match size.split_once(';') {
            // White space may stand before the semicolon, and only there (RFC 9112 section 7.1.1).
            Some((size, _)) if by == By::Client => size.trim_end_matches([' ', '\t']),
            _ => &size,
        };
        if size.is_empty() || size.len() > 8 || !size.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(format!("the chunk size {size:?}"));
        }
        let size = usize::from_str_radix(size, 16).map_err(|error| error.to_string())?;
        at = next;
        if size == 0 {
            break;
        }
        match bytes.get(at + size..at + size + 2) {
            None => return Ok(None),
            Some(b"\r\n") => at += size + 2,
            Some(other) => return Err(format!("{other:?} behind a chunk")),
        }
    }
    loop {
        match line(at) {
            None => return Ok(None),
            Some((trailer, next)) if trailer.is_empty() => return Ok(Some(next)),
            Some((trailer, next)) => {
                let name = trailer.split_once(':').map_or("", |(name, _)| name);
                if !is_token(name) {
                    return Err(format!("the trailer {trailer:?}"));
                }
                at = next;
            }
        }
    }
}

fn is_token(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte))
}

/// An endpoint that answers what the strict parser takes, and keeps what it does not.
#[derive(Clone, Debug, Default)]
struct Endpoint {
    targets: Arc<Mutex<HashMap<String, usize>>>,
    faults: Arc<Mutex<Vec<String>>>,
}

impl Endpoint {
    async fn start(&self) -> (SocketAddr, JoinSet<()>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let addr = listener.local_addr().expect("an address");
        let (endpoint, mut tasks) = (self.clone(), JoinSet::new());
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let endpoint = endpoint.clone();
                connections.spawn(async move { endpoint.serve(stream).await });
            }
        });
        (addr, tasks)
    }

    async fn serve(&self, mut stream: TcpStream) {
        let mut bytes = Vec::new();
        loop {
            match strict(&bytes, By::Waypost) {
                Err(fault) => {
                    let shown = bytes.escape_ascii().to_string();
                    return self.faults.lock().expect("nobody panics").push(format!("{fault} in {shown}"));
                }
                Ok(Some(request)) => {
                    bytes.drain(..request.length);
                    let answer =
                        format!("HTTP/1.1 200 OK\r\nx-target: {}\r\ncontent-length: 0\r\n\r\n", request.target);
                    *self.targets.lock().expect("nobody panics").entry(request.target).or_default() += 1;
                    if stream.write_all(answer.as_bytes()).await.is_err() {
                        return;
                    }
                }
                Ok(None) => match stream.read_buf(&mut bytes).await {
                    Ok(read) if read > 0 => {}
                    // What is left is a request that was given up: no endpoint takes it for one.
                    _ => return,
                },
            }
        }
    }
}

/// The targets of all requests in what a client sends, up to the first thing that is none, and why that is none.
fn sent(mut bytes: &[u8]) -> (Vec<String>, String) {
    let mut targets = Vec::new();
    loop {
        while let Some(rest) = bytes.strip_prefix(b"\r\n") {
            bytes = rest;
        }
        match strict(bytes, By::Client) {
            Ok(Some(request)) => {
                bytes = &bytes[request.length..];
                targets.push(request.target);
            }
            Ok(None) => return (targets, "incomplete".to_owned()),
            Err(fault) => return (targets, format!("{fault} in {}", bytes.escape_ascii())),
        }
    }
}

/// A request with the number in its target, right to begin with, then changed.
fn request(number: usize, random: &mut Random) -> Vec<u8> {
    let inside = smuggled(number);
    let body = *random.of(&["", "abcde", &inside, "0\r\n\r\n", "5\r\nabcde\r\n0\r\n\r\n"]);
    let method = *random.of(&["GET", "POST", "PUT", "OPTIONS", "HEAD", "X-METHOD"]);
    let mut lines = vec![format!("{method} /{number} HTTP/1.1"), "Host: users".to_owned()];
    let mut content = body.to_owned();
    if random.chance(50) {
        lines.push("Transfer-Encoding: chunked".to_owned());
        let extension = *random.of(&["", ";a=b", ";a=\"b c\""]);
        let trailer = *random.of(&["", "X-Trailer: a\r\n", "Content-Length: 5\r\n", "Host: other\r\n"]);
        let chunk = if body.is_empty() { String::new() } else { format!("{:x}{extension}\r\n{body}\r\n", body.len()) };
        content = format!("{chunk}0\r\n{trailer}\r\n");
    } else if !body.is_empty() {
        lines.push(format!("Content-Length: {}", body.len()));
    }
    for _ in 0..random.below(3) {
        let at = 1 + random.below(lines.len());
        lines.insert(at, (*random.of(&FIELDS)).to_owned());
    }
    let mut bytes = format!("{}\r\n\r\n{content}", lines.join("\r\n")).into_bytes();
    for _ in 0..random.below(3) {
        random.change(&mut bytes);
    }
    bytes
}

const FIELDS: [&str; 34] = [
    "Transfer-Encoding: chunked",
    "Transfer-Encoding: identity",
    "Transfer-Encoding: chunked, identity",
    "Transfer-Encoding: gzip, chunked",
    "Transfer-Encoding:chunked",
    "Transfer-Encoding : chunked",
    "Transfer-Encoding:\tchunked",
    "Transfer-Encoding: \"chunked\"",
    "Transfer-Encoding: chunked;q=1",
    "Transfer-Encoding: xchunked",
    " Transfer-Encoding: chunked",
    "X: y\r\n Transfer-Encoding: chunked",
    "X: y\nTransfer-Encoding: chunked",
    "X: y\rTransfer-Encoding: chunked",
    "X: y\0",
    "Content-Length: 0",
    "Content-Length: 5",
    "Content-Length: 5, 5",
    "Content-Length: +5",
    "Content-Length: 0x5",
    "Content-Length: 5 5",
    "Content-Length : 5",
    "Content-Length: 99999999999999999999999",
    "Content-Length: ",
    "Host: other",
    "Host: users:80",
    "Connection: close",
    "Connection: keep-alive, Host, Content-Length, Transfer-Encoding",
    "Upgrade: h2c",
    "Connection: upgrade, http2-settings",
    "Expect: 100-continue",
    "TE: trailers, chunked",
    "X-Long: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
    "Max-Forwards: 0",
];

/// What a client sends on one connection: two requests, of which the second is right.
async fn send(proxy: SocketAddr, bytes: Vec<u8>) {
    let Ok(mut stream) = TcpStream::connect(proxy).await else { return };
    // It may have been answered and closed by now: what counts is what reaches the endpoint.
    drop(stream.write_all(&bytes).await);
    let mut answers = Vec::new();
    let read = async { while stream.read_buf(&mut answers).await.is_ok_and(|read| read > 0) {} };
    // Some requests ask for more than comes: nobody waits for these.
    drop(tokio::time::timeout(QUIET, read).await);
}

const QUIET: Duration = Duration::from_millis(100);
const SIDE_BY_SIDE: usize = 64;

#[tokio::test]
async fn no_request_at_the_endpoint_is_ambiguous_or_smuggled() {
    let count = std::env::var("WAYPOST_DIFFERENTIAL").ok().and_then(|text| text.parse().ok()).unwrap_or(1000);
    let endpoint = Endpoint::default();
    let (addr, _serving) = endpoint.start().await;
    let proxy = Spec::router("out")
        .client("accrual = { kind = \"none\" }")
        .client_at("/#/fs/users", "protocol = \"http1\"")
        .endpoint("users", addr)
        .start()
        .await;
    let mut random = Random::new(9112);
    let mut clients = JoinSet::new();
    let mut faulty = HashMap::new();
    let mut allowed: HashMap<String, usize> = HashMap::from([("/after".to_owned(), 1)]);
    for number in 0..count {
        let mut bytes = request(number, &mut random);
        bytes.extend(format!("GET /next{number} HTTP/1.1\r\nHost: users\r\nConnection: close\r\n\r\n").into_bytes());
        let (targets, fault) = sent(&bytes);
        for target in targets {
            *allowed.entry(target).or_default() += 1;
        }
        faulty.insert(number, fault);
        if clients.len() >= SIDE_BY_SIDE {
            clients.join_next().await;
        }
        clients.spawn(send(proxy.addr(), bytes));
    }
    while clients.join_next().await.is_some() {}
    proxy.get("users", "/after").await.is(200);

    let faults = endpoint.faults.lock().expect("nobody panics").clone();
    assert!(faults.is_empty(), "{} of {count}: {:#?}", faults.len(), &faults[..faults.len().min(5)]);
    let targets = endpoint.targets.lock().expect("nobody panics").clone();
    let unsent: Vec<_> = targets.iter().filter(|(target, times)| allowed.get(*target) < Some(*times)).collect();
    let number = |target: &str| target.trim_start_matches(|byte: char| !byte.is_ascii_digit()).parse::<usize>().ok();
    let why: Vec<_> = unsent.iter().filter_map(|(target, _)| faulty.get(&number(target)?)).take(20).collect();
    assert!(unsent.is_empty(), "nobody sent these: {unsent:?}: {why:#?}");
    assert!(targets.len() > count / 4, "only {} requests got through: they are too wrong to tell", targets.len());
}

#[test]
fn the_strict_parser_is_strict() {
    for (bytes, expected) in [
        ("GET / HTTP/1.1\r\nHost: a\r\n\r\n", Ok(Some(27))),
        ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nabc", Ok(Some(49))),
        ("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\n\r\n", Ok(Some(68))),
        ("GET / HTTP/1.1\r\nHost: a\r\n", Ok(None)),
        ("GET / HTTP/1.1\r\n\r\n", Err(())),
        ("GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", Err(())),
        ("GET / HTTP/1.1\nHost: a\r\n\r\n", Err(())),
        ("GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", Err(())),
        ("GET / HTTP/1.1\r\nHost: a\r\nX : y\r\n\r\n", Err(())),
        ("GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0x2\r\nab\r\n0\r\n\r\n", Err(())),
    ] {
        let parsed =
            strict(bytes.as_bytes(), By::Waypost).map(|request| request.map(|request| request.length)).map_err(drop);
        assert_eq!(parsed, expected, "{bytes:?}");
    }
}
