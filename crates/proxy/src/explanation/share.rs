//! Parts of the traffic, as people and scripts see them.

/// Six decimals: products of quotients have a tail of digits that nobody wrote. What would vanish stays as it is.
pub(super) fn rounded(share: f64) -> f64 {
    let rounded = (share * 1e6).round() / 1e6;
    if rounded == 0.0 { share } else { rounded }
}

/// For people.
pub(crate) fn percent(share: f64) -> String {
    let percent = (share * 1000.0).round() / 10.0;
    if percent == 0.0 && share > 0.0 { "less than 0.1 %".to_owned() } else { format!("{percent} %") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_have_six_decimals_and_do_not_vanish() {
        for (share, shown) in [
            (0.899_999_999_999_999_9, "0.9"),
            (1.0 / 3.0, "0.333333"),
            (1.0, "1"),
            (0.0, "0"),
            (0.000_000_1, "0.0000001"),
        ] {
            assert_eq!(rounded(share).to_string(), shown);
        }
    }

    #[test]
    fn percents_have_one_decimal() {
        for (share, shown) in [(1.0 / 3.0, "33.3 %"), (1.0, "100 %"), (0.0, "0 %"), (0.000_01, "less than 0.1 %")] {
            assert_eq!(percent(share), shown);
        }
    }
}
