//! Durations and sizes as text: an integer and a unit, nothing else.

use std::time::Duration;

/// Why a text is no duration or size.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub(super) enum UnitError {
    #[error("a unit is missing")]
    NoUnit,
    #[error("it does not start with a whole number")]
    NoNumber,
    #[error("it has a fraction, and whole numbers are read")]
    Fraction,
    #[error("the unit is not known")]
    UnknownUnit,
    #[error("the number is too large")]
    TooLarge,
}

/// `250ms`, `10s`, `1m`, `1h`.
pub(super) fn parse_duration(text: &str) -> Result<Duration, UnitError> {
    let (number, unit) = split(text)?;
    let milliseconds = match unit {
        "ms" => Some(number),
        "s" => number.checked_mul(1_000),
        "m" => number.checked_mul(60_000),
        "h" => number.checked_mul(3_600_000),
        _ => return Err(UnitError::UnknownUnit),
    };
    milliseconds.map(Duration::from_millis).ok_or(UnitError::TooLarge)
}

/// `512B`, `64KiB`, `1MiB`, `1GiB`.
pub(super) fn parse_size(text: &str) -> Result<u64, UnitError> {
    let (number, unit) = split(text)?;
    let factor = SIZES.iter().find(|(name, _)| *name == unit).ok_or(UnitError::UnknownUnit)?.1;
    number.checked_mul(factor).ok_or(UnitError::TooLarge)
}

/// The duration in seconds where that is a whole number, as `explain` shows it; what [`parse_duration`] reads back.
pub(crate) fn show_duration(duration: Duration) -> String {
    if duration.subsec_nanos() == 0 {
        format!("{}s", duration.as_secs())
    } else {
        format!("{}ms", duration.as_millis())
    }
}

/// A bound, which may be long: in the largest unit that needs no fraction.
pub(super) fn show_bound(duration: Duration) -> String {
    let seconds = duration.as_secs();
    let whole = |length: u64| duration.subsec_nanos() == 0 && seconds != 0 && seconds.is_multiple_of(length);
    match (whole(3_600), whole(60)) {
        (true, _) => format!("{}h", seconds / 3_600),
        (false, true) => format!("{}m", seconds / 60),
        (false, false) => show_duration(duration),
    }
}

/// The size in the largest unit that needs no fraction; what [`parse_size`] reads back.
pub(super) fn show_size(bytes: u64) -> String {
    let fitting = SIZES.iter().rev().find(|(_, factor)| bytes != 0 && bytes.is_multiple_of(*factor));
    let (unit, factor) = fitting.copied().unwrap_or(("B", 1));
    format!("{}{unit}", bytes / factor)
}

fn split(text: &str) -> Result<(u64, &str), UnitError> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at_checked(digits).ok_or(UnitError::NoNumber)?;
    if number.is_empty() {
        return Err(UnitError::NoNumber);
    }
    let number = number.parse().map_err(|_overflow| UnitError::TooLarge)?;
    match unit.bytes().next() {
        None => Err(UnitError::NoUnit),
        Some(b'.' | b',') => Err(UnitError::Fraction),
        Some(_) => Ok((number, unit)),
    }
}

const SIZES: [(&str, u64); 5] = [("B", 1), ("KiB", 1 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30), ("TiB", 1 << 40)];

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn durations_are_a_number_and_a_unit() {
        for (text, expected) in [
            ("250ms", Ok(250)),
            ("10s", Ok(10_000)),
            ("1m", Ok(60_000)),
            ("2h", Ok(7_200_000)),
            ("0s", Ok(0)),
            ("10", Err(UnitError::NoUnit)),
            ("s", Err(UnitError::NoNumber)),
            ("", Err(UnitError::NoNumber)),
            ("-1s", Err(UnitError::NoNumber)),
            ("1.5s", Err(UnitError::Fraction)),
            ("10 s", Err(UnitError::UnknownUnit)),
            ("1S", Err(UnitError::UnknownUnit)),
            ("99999999999999999999s", Err(UnitError::TooLarge)),
            ("18446744073709551615h", Err(UnitError::TooLarge)),
        ] {
            assert_eq!(parse_duration(text), expected.map(Duration::from_millis), "{text}");
        }
    }

    #[test]
    fn values_are_shown_in_seconds_and_bounds_in_what_is_short() {
        for (milliseconds, value, bound) in [
            (0, "0s", "0s"),
            (250, "250ms", "250ms"),
            (1_500, "1500ms", "1500ms"),
            (60_000, "60s", "1m"),
            (90_000, "90s", "90s"),
            (3_600_000, "3600s", "1h"),
            (86_400_000, "86400s", "24h"),
        ] {
            let duration = Duration::from_millis(milliseconds);
            assert_eq!((show_duration(duration).as_str(), show_bound(duration).as_str()), (value, bound));
        }
    }

    #[test]
    fn sizes_are_a_number_and_a_binary_unit() {
        for (text, expected) in [
            ("512B", Ok(512)),
            ("64KiB", Ok(65_536)),
            ("1MiB", Ok(1_048_576)),
            ("64KB", Err(UnitError::UnknownUnit)),
            ("64", Err(UnitError::NoUnit)),
            ("18446744073709551615TiB", Err(UnitError::TooLarge)),
        ] {
            assert_eq!(parse_size(text), expected, "{text}");
        }
    }

    proptest! {
        #[test]
        fn shown_then_parsed_is_the_same(milliseconds in 0..u64::MAX / 3_600_000, bytes: u64) {
            let duration = Duration::from_millis(milliseconds);
            prop_assert_eq!(parse_duration(&show_duration(duration)), Ok(duration));
            prop_assert_eq!(parse_duration(&show_bound(duration)), Ok(duration));
            prop_assert_eq!(parse_size(&show_size(bytes)), Ok(bytes));
        }
    }
}
