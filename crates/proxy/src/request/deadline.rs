//! How long a call may take: received, lowered by our own time outs, passed on.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use http::HeaderValue;

/// `l5d-ctx-deadline`: when it was set, and when the call must have been answered; nanoseconds since 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Deadline {
    timestamp: u64,
    deadline: u64,
}

impl Deadline {
    /// `<timestamp ns> <deadline ns>`; what does not parse is ignored, as linkerd does.
    pub fn parse(value: &HeaderValue) -> Option<Self> {
        let (timestamp, deadline) = value.to_str().ok()?.trim().split_once(' ')?;
        Some(Self { timestamp: timestamp.parse().ok()?, deadline: deadline.trim_start().parse().ok()? })
    }

    /// `timeout` from `now` on.
    pub fn after(timeout: Duration, now: SystemTime) -> Self {
        let timestamp = nanoseconds(now);
        Self { timestamp, deadline: timestamp.saturating_add(u64::try_from(timeout.as_nanos()).unwrap_or(u64::MAX)) }
    }

    /// Of two, the earlier end and the later beginning.
    #[must_use]
    pub fn strictest(self, other: Self) -> Self {
        Self { timestamp: self.timestamp.max(other.timestamp), deadline: self.deadline.min(other.deadline) }
    }

    /// The time that is left; zero when it has passed.
    pub fn remaining(self, now: SystemTime) -> Duration {
        Duration::from_nanos(self.deadline.saturating_sub(nanoseconds(now)))
    }

    /// As it goes on to the next hop.
    pub fn to_header(self, now: SystemTime) -> HeaderValue {
        // Two numbers of at most 20 digits; written by hand, since this is done for every request that has a deadline.
        let mut text = [b' '; 41];
        let deadline = write_backwards(&mut text, self.deadline);
        let timestamp = text
            .get_mut(..deadline.saturating_sub(1))
            .map_or(0, |text| write_backwards(text, self.timestamp.max(nanoseconds(now))));
        let text = text.get(timestamp..).unwrap_or_default();
        HeaderValue::from_bytes(text).unwrap_or_else(|_| HeaderValue::from_static("0 0"))
    }
}

/// Writes a number to the end of `text`; gives where it begins.
fn write_backwards(text: &mut [u8], mut number: u64) -> usize {
    let mut begin = text.len();
    for slot in text.iter_mut().rev() {
        *slot = b'0' + u8::try_from(number % 10).unwrap_or(0);
        begin -= 1;
        number /= 10;
        if number == 0 {
            break;
        }
    }
    begin
}

fn nanoseconds(time: SystemTime) -> u64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_strictest_deadline_wins_and_what_does_not_parse_is_ignored() {
        let parse = |text| Deadline::parse(&HeaderValue::from_static(text));
        let (early, late) = (parse("5 100").expect("parses"), parse("7 200").expect("parses"));
        assert_eq!(early.strictest(late), Deadline { timestamp: 7, deadline: 100 });
        for text in ["", "5", "5 x", "-1 3"] {
            assert_eq!(parse(text), None, "{text}");
        }
    }

    #[test]
    fn a_passed_deadline_leaves_nothing() {
        let now = UNIX_EPOCH + Duration::from_secs(10);
        let deadline = Deadline::after(Duration::from_secs(1), now);
        assert_eq!(deadline.remaining(now), Duration::from_secs(1));
        assert_eq!(deadline.remaining(now + Duration::from_secs(2)), Duration::ZERO);
        assert_eq!(deadline.to_header(now), "10000000000 11000000000");
    }
}
