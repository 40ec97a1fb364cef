//! How much a peer of HTTP/2 may send before any of it was taken: as much as the way between us holds.
//!
//! A sender stops when the window is full, until an update has come back (RFC 9113 section 5.2). So with a window of
//! 64 KiB nobody gets more than 1.3 MiB a second through over 50 ms, whatever the line could carry. On the other hand
//! what lies in windows is memory of ours as soon as its reader is slow. So windows begin small, and grow where they
//! are what limits: while much comes a PING goes out, and what has come until its answer was under way together. When
//! that nearly fills a window, the next one is twice as large.
//!
//! A connection has room for the windows of all its streams together ([`connection`]). So readers that are slow, or gone
//! to sleep, stall their own streams and none besides. To keep that true windows are large where streams are few, and
//! fall back when there are more.
//!
//! A peer could feign a long way, by late answers. [`PLACES`] connections of a worker may have windows beyond [`MODEST`]
//! at one time; the others go on with what they have.

use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use bytes::Bytes;
use h2::{Ping, PingPong};
use tokio::io::{AsyncRead, AsyncWrite};

use crate::bulk::{Place, Places};

/// A connection whose windows can be set.
pub trait Windowed {
    /// The window of all its streams together.
    fn set_connection(&mut self, size: u32);
    /// The window of each stream.
    ///
    /// # Errors
    /// The peer has not yet agreed to the one before.
    fn set_stream(&mut self, size: u32) -> Result<(), h2::Error>;
}

impl<T: AsyncRead + AsyncWrite + Unpin> Windowed for h2::client::Connection<T, Bytes> {
    fn set_connection(&mut self, size: u32) {
        self.set_target_window_size(size);
    }
    fn set_stream(&mut self, size: u32) -> Result<(), h2::Error> {
        self.set_initial_window_size(size)
    }
}

impl<T: AsyncRead + AsyncWrite + Unpin> Windowed for h2::server::Connection<T, Bytes> {
    fn set_connection(&mut self, size: u32) {
        self.set_target_window_size(size);
    }
    fn set_stream(&mut self, size: u32) -> Result<(), h2::Error> {
        self.set_initial_window_size(size)
    }
}

/// The windows of one connection.
#[derive(Debug)]
pub struct Windows {
    stream: u32,
    connection: u32,
    /// What had come when the PING went out whose answer is waited for.
    asked_at: Option<u64>,
    /// What had come when the last answer was there.
    seen: u64,
    /// No PING before that.
    due: Instant,
    pause: Duration,
    places: Rc<Places>,
    place: Option<Place>,
}

impl Windows {
    /// As the connection begins, for at most so many `streams`, with the prospect of one of `places`.
    pub fn new(streams: u32, places: &Rc<Places>) -> Self {
        Self {
            stream: LEAST,
            connection: connection(streams),
            asked_at: None,
            seen: 0,
            due: Instant::now(),
            pause: SHORTEST,
            places: Rc::clone(places),
            place: None,
        }
    }

    /// To be called at the end of each poll of the connection, on which `received` bytes have come so far, and which has
    /// so many `streams` now.
    pub fn poll(
        &mut self,
        cx: &mut Context<'_>,
        received: u64,
        streams: usize,
        pings: &mut PingPong,
        connection: &mut impl Windowed,
    ) {
        let most = most(streams, self.place.is_some());
        if self.stream > most && connection.set_stream(most).is_ok() {
            self.stream = most;
        }
        if let Some(asked_at) = self.asked_at {
            let Poll::Ready(answer) = pings.poll_pong(cx) else { return };
            self.asked_at = None;
            self.seen = received;
            let is_full = answer.is_ok() && received - asked_at >= u64::from(self.stream) * 2 / 3;
            if is_full && self.widen(streams, connection) {
                self.pause = SHORTEST;
            } else {
                self.due = Instant::now() + self.pause;
                self.pause = (self.pause * 2).min(LONGEST);
            }
        }
        if received - self.seen >= u64::from(self.stream) / 4
            && self.stream < self::most(streams, true)
            && self.due <= Instant::now()
            && pings.send_ping(Ping::opaque()).is_ok()
        {
            self.asked_at = Some(received);
        }
    }

    /// Tells whether they could be.
    fn widen(&mut self, streams: usize, connection: &mut impl Windowed) -> bool {
        let wider = self.stream * 2;
        if wider > most(streams, true) {
            return false;
        }
        if wider > most(streams, self.place.is_some()) {
            self.place = self.places.take();
            if self.place.is_none() {
                return false;
            }
            connection.set_connection(self.connection + WIDE);
        }
        if connection.set_stream(wider).is_err() {
            return false;
        }
        self.stream = wider;
        true
    }
}

/// The window of a connection: that of so many streams together, within reason.
pub fn connection(streams: u32) -> u32 {
    streams.saturating_mul(LEAST).clamp(1024 * 1024, 16 * 1024 * 1024) + GROWN
}

/// The largest window of a stream, of so many: all of them together may have what two may have alone.
fn most(streams: usize, has_place: bool) -> u32 {
    let all = u32::try_from(streams.next_power_of_two()).unwrap_or(u32::MAX);
    let alone = if has_place { MOST } else { MODEST };
    (alone * 2 / all.max(2)).max(LEAST)
}

/// A stream's window at first: enough for a LAN, little enough for many streams.
pub const LEAST: u32 = 64 * 1024;
/// What it grows to by itself, where there are no more than two: 5 MiB a second over 50 ms.
pub const MODEST: u32 = 256 * 1024;
/// A stream's window at last, where there are no more than two: 40 MiB a second over 50 ms.
pub const MOST: u32 = 2 * 1024 * 1024;
/// What a connection has more for windows that have grown: what streams may hold that began while there were fewer.
/// The third may have begun with as much as the first two, the next two with half as much, and so on until windows are
/// what they were: 768 + 256 KiB, of which they had 320 already.
const GROWN: u32 = 3 * MODEST;
/// The same, with a place: 6 + 2 + 2 + 2 + 2 MiB, of which they had 2 already.
const WIDE: u32 = 6 * MOST;
/// So many connections of a worker may have wide windows: together they may hold 152 MiB, with 100 streams each.
pub const PLACES: usize = 8;
/// Between two PINGs of which the first has shown nothing.
const SHORTEST: Duration = Duration::from_millis(100);
const LONGEST: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_has_room_for_what_all_its_streams_began_with() {
        for (has_place, room) in [(false, connection(100)), (true, connection(100) + WIDE)] {
            // The peer learns of smaller windows only after it has begun the stream that makes them smaller.
            let held: u32 = (0..100).map(|streams| most(streams, has_place)).sum();
            assert!(held <= room, "{held} of {room}");
            assert_eq!(most(100, has_place), LEAST);
        }
    }
}
