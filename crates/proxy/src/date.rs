//! Times for people and scripts.

use std::time::SystemTime;

/// `2026-11-24T12:00:00Z`.
pub fn date(time: SystemTime) -> String {
    jiff::Timestamp::try_from(time).map_or_else(|_| "a time out of range".to_owned(), |time| time.to_string())
}
