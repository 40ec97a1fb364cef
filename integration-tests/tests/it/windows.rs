//! Windows of HTTP/2 grow where the way to the peer is long, and not for everybody at once.

use integration_tests::frames::kind::{DATA, HEADERS, PING, SETTINGS, WINDOW_UPDATE};
use integration_tests::frames::{END_HEADERS, END_STREAM, RawHttp2, frame, request};
use integration_tests::*;

/// A client far away: what it is asked by PING it answers when a whole window more is under way.
struct FarClient {
    raw: RawHttp2,
    /// What the server says that a stream may have under way.
    window: u32,
    stream: i64,
    connection: i64,
    sent: u64,
    asked: Option<(Vec<u8>, u64)>,
}

impl FarClient {
    /// With a request whose body follows.
    async fn uploads(proxy: &TestProxy) -> Self {
        let mut raw = RawHttp2::connect(proxy.addr()).await;
        raw.send(&frame(HEADERS, END_HEADERS, 1, &request("POST", "users", &[]))).await;
        Self { raw, window: 65_535, stream: 65_535, connection: 65_535, sent: 0, asked: None }
    }

    /// Sends what it may, and takes one frame.
    async fn step(&mut self) {
        while self.stream > 0 && self.connection > 0 {
            let length = self.stream.min(self.connection).min(16_384);
            self.raw.send(&frame(DATA, 0, 1, &vec![7; usize::try_from(length).expect("some bytes")])).await;
            self.stream -= length;
            self.connection -= length;
            self.sent += u64::try_from(length).expect("some bytes");
        }
        if let Some((ping, _)) = self.asked.take_if(|(_, at)| self.sent - *at >= u64::from(self.window)) {
            self.raw.send(&frame(PING, END_STREAM, 0, &ping)).await;
        }
        let came = self.raw.next_unanswered().await.expect("an open connection");
        match came.kind {
            SETTINGS if came.flags & END_STREAM == 0 => {
                for at in (0..came.payload.len()).step_by(6) {
                    if came.payload[at..at + 2] == [0, 4] {
                        let window = came.number(at + 2);
                        self.stream += i64::from(window) - i64::from(self.window);
                        self.window = window;
                    }
                }
                self.raw.send(&frame(SETTINGS, END_STREAM, 0, &[])).await;
            }
            PING => self.asked = Some((came.payload, self.sent)),
            WINDOW_UPDATE if came.stream == 0 => self.connection += i64::from(came.number(0)),
            WINDOW_UPDATE => self.stream += i64::from(came.number(0)),
            _ => {}
        }
    }

    async fn until_window(&mut self, window: u32) {
        while self.window < window {
            self.step().await;
            assert!(self.sent < 200 << 20, "{} after {} bytes", self.window, self.sent);
        }
    }
}

const MODEST: u32 = 256 * 1024;
const AT_LAST: u32 = 2 * 1024 * 1024;
/// Connections of a worker whose windows may grow.
const PLACES: u32 = 8;

async fn proxy() -> (Origin, TestProxy) {
    let origin = Origin::named("users").plan([Behaviour::Echo]).start().await;
    let proxy = Spec::router("out").workers(1).endpoint("users", origin.addr()).start().await;
    (origin, proxy)
}

#[tokio::test]
async fn a_client_far_away_may_have_more_under_way() {
    let (_origin, proxy) = proxy().await;
    let mut client = FarClient::uploads(&proxy).await;
    client.until_window(AT_LAST).await;
    assert_eq!(client.window, AT_LAST);
    proxy.metric_is("waypost_connections_favoured", &[("by", "wide_windows")], 1.0).await;
    drop(client);
    proxy.metric_is("waypost_connections_favoured", &[("by", "wide_windows")], 0.0).await;
}

#[tokio::test]
async fn no_more_than_eight_connections_of_a_worker_have_wide_windows() {
    let (_origin, proxy) = proxy().await;
    let mut clients = Vec::new();
    for _ in 0..PLACES {
        let mut client = FarClient::uploads(&proxy).await;
        client.until_window(2 * MODEST).await;
        clients.push(client);
    }
    let mut one_too_many = FarClient::uploads(&proxy).await;
    while one_too_many.sent < 4 << 20 {
        one_too_many.step().await;
    }
    assert_eq!(one_too_many.window, MODEST);
    proxy.metric_is("waypost_connections_favoured", &[("by", "wide_windows")], f64::from(PLACES)).await;

    drop(clients.pop());
    proxy.metric_is("waypost_connections_favoured", &[("by", "wide_windows")], f64::from(PLACES - 1)).await;
    one_too_many.until_window(2 * MODEST).await;
}

#[tokio::test]
async fn windows_fall_back_where_streams_are_many() {
    let (_origin, proxy) = proxy().await;
    let mut client = FarClient::uploads(&proxy).await;
    client.until_window(AT_LAST).await;
    for stream in (3..=15).step_by(2) {
        client.raw.send(&frame(HEADERS, END_HEADERS, stream, &request("POST", "users", &[]))).await;
    }
    // Eight streams share what two may have.
    while client.window != AT_LAST / 4 {
        client.step().await;
        assert!(client.sent < 400 << 20, "{} after {} bytes", client.window, client.sent);
    }
}
