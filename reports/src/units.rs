//! Numbers with units → what people read: sizes, durations, instants, values of a series.
//!
//! Rounds for reading and nothing else; exact figures stay in the JSON report.

use chrono::{DateTime, SecondsFormat};

use crate::number::Unit;

/// Bytes in binary units with one decimal, such as `512.0 MiB`; below one KiB as `1023 B`.
pub fn bytes(bytes: u64) -> String {
    let mut size = bytes as f64;
    if size < 1024.0 {
        return format!("{bytes} B");
    }
    let mut unit = "";
    for larger in ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"] {
        size /= 1024.0;
        unit = larger;
        // 1023.95 would be rounded to `1024.0`.
        if size < 1023.95 {
            break;
        }
    }
    format!("{size:.1} {unit}")
}

/// A span in microseconds to three digits: `412 µs`, `1.8 ms`, `31 ms`, `2.41 s`, `41.3 s`, `3 min 12 s`, `2 h 5 min`.
pub fn duration_us(us: u64) -> String {
    // Each bound is where rounding would carry into the next unit.
    match us {
        0..1_000 => format!("{us} µs"),
        1_000..9_950 => format!("{:.1} ms", us as f64 / 1e3),
        9_950..999_500 => format!("{:.0} ms", us as f64 / 1e3),
        999_500..9_995_000 => format!("{:.2} s", us as f64 / 1e6),
        9_995_000..59_950_000 => format!("{:.1} s", us as f64 / 1e6),
        _ => match us.saturating_add(500_000) / 1_000_000 {
            s @ 0..3_600 => format!("{} min {} s", s / 60, s % 60),
            s => format!("{} h {} min", s / 3_600, s % 3_600 / 60),
        },
    }
}

/// A span in milliseconds, as [`duration_us`] writes it; nothing at all is `0 s`.
pub fn duration_ms(ms: u64) -> String {
    if ms == 0 { "0 s".to_owned() } else { duration_us(ms.saturating_mul(1_000)) }
}

/// Seconds since 1970 in RFC 3339, UTC; a number no calendar reaches is shown as it is.
pub fn instant(unix_seconds: u64) -> String {
    i64::try_from(unix_seconds)
        .ok()
        .and_then(|seconds| DateTime::from_timestamp(seconds, 0))
        .map_or_else(|| format!("@{unix_seconds}"), |at| at.to_rfc3339_opts(SecondsFormat::Secs, true))
}

/// A value in its unit.
pub fn value(unit: Unit, value: f64) -> String {
    match unit {
        Unit::Bytes => bytes(value as u64),
        Unit::Microseconds => duration_us(value as u64),
        Unit::Count => format!("{value:.0}"),
        Unit::Percent => format!("{value:.1} %"),
        Unit::BytesPerSecond => format!("{}/s", bytes(value as u64)),
        Unit::CountPerSecond => format!("{value:.0}/s"),
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case(0, "0 B")]
    #[case(1_023, "1023 B")]
    #[case(1_024, "1.0 KiB")]
    #[case(512 << 20, "512.0 MiB")]
    #[case((1 << 20) - 1, "1.0 MiB")]
    #[case(u64::MAX, "16.0 EiB")]
    fn sizes_are_binary_with_one_decimal(#[case] given: u64, #[case] shown: &str) {
        assert_eq!(bytes(given), shown);
    }

    #[rstest]
    #[case(0, "0 µs")]
    #[case(412, "412 µs")]
    #[case(1_800, "1.8 ms")]
    #[case(9_960, "10 ms")]
    #[case(31_000, "31 ms")]
    #[case(999_700, "1.00 s")]
    #[case(2_410_000, "2.41 s")]
    #[case(9_999_000, "10.0 s")]
    #[case(41_300_000, "41.3 s")]
    #[case(59_990_000, "1 min 0 s")]
    #[case(192_000_000, "3 min 12 s")]
    #[case(7_500_000_000, "2 h 5 min")]
    fn spans_keep_three_digits_and_carry(#[case] given: u64, #[case] shown: &str) {
        assert_eq!(duration_us(given), shown);
    }

    #[rstest]
    #[case(0, "1970-01-01T00:00:00Z")]
    #[case(1_750_561_964, "2025-06-22T03:12:44Z")]
    #[case(u64::MAX, "@18446744073709551615")]
    fn instants_are_rfc_3339_in_utc(#[case] given: u64, #[case] shown: &str) {
        assert_eq!(instant(given), shown);
    }

    #[test]
    fn nothing_and_the_longest_span_do_not_overflow() {
        assert_eq!(duration_ms(0), "0 s");
        assert!(duration_ms(u64::MAX).ends_with("min"));
    }
}
