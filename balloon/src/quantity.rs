//! Words on the command line → bytes and durations, for clap. Sizes are whole numbers with an optional binary
//! suffix; durations are seconds or milliseconds. Nothing is rounded or clamped: what does not fit is refused.

use std::time::Duration;

/// `4096`, `64K`, `512M`, `2G`, `1T` → bytes.
pub(crate) fn bytes(word: &str) -> Result<u64, String> {
    let digits = word.trim_end_matches(['K', 'M', 'G', 'T']);
    let shift = match &word[digits.len()..] {
        "" => 0,
        "K" => 10,
        "M" => 20,
        "G" => 30,
        "T" => 40,
        _ => return Err("a size has at most one suffix out of K, M, G, T".into()),
    };
    let number: u64 =
        digits.parse().map_err(|_| "a size is a whole number of bytes, or one with K, M, G or T")?;
    number.checked_mul(1 << shift).ok_or_else(|| "a size has to fit in 64 bits".into())
}

/// `30`, `0.5` → seconds.
pub(crate) fn seconds(word: &str) -> Result<Duration, String> {
    let seconds: f64 = word.parse().map_err(|_| "a time is a number of seconds, such as 30 or 0.5")?;
    Duration::try_from_secs_f64(seconds)
        .ok()
        .filter(|time| *time <= LONGEST)
        .ok_or_else(|| "a time is at least 0 and at most a year".into())
}

/// `20` → milliseconds.
pub(crate) fn milliseconds(word: &str) -> Result<Duration, String> {
    let milliseconds = word.parse().map_err(|_| "a time between beats is a whole number of milliseconds")?;
    Some(Duration::from_millis(milliseconds))
        .filter(|time| *time <= LONGEST)
        .ok_or_else(|| "a time between beats is at most a year".into())
}

/// Far past any deadline, and far below what nanoseconds in 64 bits can count.
const LONGEST: Duration = Duration::from_secs(366 * 24 * 3600);

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rstest::rstest;

    #[rstest]
    #[case("0", Ok(0))]
    #[case("4096", Ok(4096))]
    #[case("64K", Ok(65_536))]
    #[case("2G", Ok(2 << 30))]
    #[case("16777216T", Err("a size has to fit in 64 bits"))]
    #[case("1KK", Err("a size has at most one suffix out of K, M, G, T"))]
    #[case("-1", Err("a size is a whole number of bytes, or one with K, M, G or T"))]
    #[case("", Err("a size is a whole number of bytes, or one with K, M, G or T"))]
    #[case("K", Err("a size is a whole number of bytes, or one with K, M, G or T"))]
    fn a_size_is_read_or_refused(#[case] word: &str, #[case] expected: Result<u64, &str>) {
        assert_eq!(bytes(word), expected.map_err(String::from));
    }

    #[rstest]
    #[case("30", Some(30_000))]
    #[case("0.25", Some(250))]
    #[case("-1", None)]
    #[case("NaN", None)]
    #[case("inf", None)]
    #[case("1e300", None)]
    fn a_time_is_read_or_refused(#[case] word: &str, #[case] expected: Option<u64>) {
        assert_eq!(seconds(word).ok(), expected.map(Duration::from_millis));
    }

    proptest! {
        #[test]
        fn no_word_makes_a_quantity_panic(word in any::<String>()) {
            let _ = (bytes(&word), seconds(&word), milliseconds(&word));
        }
    }
}
