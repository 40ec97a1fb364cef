//! Certificates that near their end: said in the log when one comes within 30 days, 7 days and a day of it, and when it
//! has ended. Whoever renews in time hears nothing.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use crate::date::date;

/// How near a certificate is to its end.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Nearness {
    /// Within 30 days.
    Month,
    /// Within 7 days.
    Week,
    /// Within a day.
    Day,
    /// It has ended.
    Ended,
}

impl Nearness {
    /// All that a certificate goes through.
    pub const ALL: [Self; 4] = [Self::Month, Self::Week, Self::Day, Self::Ended];

    /// `None`: its end is far away.
    pub fn of(end: SystemTime, now: SystemTime) -> Option<Self> {
        Self::ALL.into_iter().rev().find(|nearness| end <= now + nearness.distance())
    }

    const fn distance(self) -> Duration {
        const DAY: u64 = 24 * 60 * 60;
        Duration::from_secs(match self {
            Self::Month => 30 * DAY,
            Self::Week => 7 * DAY,
            Self::Day => DAY,
            Self::Ended => 0,
        })
    }

    /// For the metric and the log.
    pub const fn within(self) -> &'static str {
        match self {
            Self::Month => "30d",
            Self::Week => "7d",
            Self::Day => "1d",
            Self::Ended => "0d",
        }
    }
}

/// What was said of which file.
#[derive(Debug, Default)]
pub struct Expiry {
    said: HashMap<PathBuf, (SystemTime, Nearness)>,
}

impl Expiry {
    /// Logs what is news.
    pub fn look<'a>(&mut self, certificates: impl Iterator<Item = (&'a Path, SystemTime)>, now: SystemTime) {
        for (file, end, nearness) in self.news(certificates, now) {
            let ends = date(end);
            let file = file.display();
            match nearness {
                Nearness::Ended => tracing::error!(%file, %ends, "a certificate has ended"),
                Nearness::Month | Nearness::Week | Nearness::Day => {
                    tracing::warn!(%file, %ends, within = nearness.within(), "a certificate ends soon: renew it");
                }
            }
        }
    }

    /// Those that came nearer since they were looked at last; one that was renewed is forgotten.
    fn news<'a>(
        &mut self,
        certificates: impl Iterator<Item = (&'a Path, SystemTime)>,
        now: SystemTime,
    ) -> Vec<(&'a Path, SystemTime, Nearness)> {
        let mut before = std::mem::take(&mut self.said);
        let mut news = Vec::new();
        for (file, end) in certificates {
            let Some(nearness) = Nearness::of(end, now) else { continue };
            if before.remove(file).is_none_or(|said| said != (end, nearness)) {
                news.push((file, end, nearness));
            }
            self.said.insert(file.to_owned(), (end, nearness));
        }
        news
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: Duration = Duration::from_secs(86_400);

    #[test]
    fn each_stage_is_news_once_and_a_renewal_begins_anew() {
        let start = SystemTime::UNIX_EPOCH + DAY * 1_000;
        let mut expiry = Expiry::default();
        let mut told = |end: SystemTime, now: SystemTime| {
            let news = expiry.news([(Path::new("web.pem"), end)].into_iter(), now);
            news.into_iter().map(|(_, _, nearness)| nearness).collect::<Vec<_>>()
        };
        let end = start + DAY * 40;
        for (day, expected) in [
            (0, &[][..]),
            (10, &[Nearness::Month]),
            (20, &[]),
            (33, &[Nearness::Week]),
            (38, &[]),
            (39, &[Nearness::Day]),
            (40, &[Nearness::Ended]),
            (50, &[]),
        ] {
            assert_eq!(told(end, start + DAY * day), expected, "day {day}");
        }
        let renewed = end + DAY * 100;
        assert_eq!(told(renewed, start + DAY * 50), []);
        assert_eq!(told(renewed, start + DAY * 139), [Nearness::Day], "only the nearest is said");
    }

    #[test]
    fn another_certificate_in_the_same_file_is_news() {
        let now = SystemTime::UNIX_EPOCH + DAY * 1_000;
        let mut expiry = Expiry::default();
        for (days, expected) in [(20, 1), (20, 0), (25, 1), (15, 1)] {
            let news = expiry.news([(Path::new("web.pem"), now + DAY * days)].into_iter(), now);
            assert_eq!(news.len(), expected, "ends in {days} days");
        }
    }
}
