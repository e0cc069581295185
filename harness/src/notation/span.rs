//! A time span in systemd's notation (`90s`, `1min 30s`, `500ms`, bare number = seconds) ↔ microseconds.
//!
//! A span always ends: `infinity` is refused, because every span of a scenario bounds something that must end.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::notation::Malformed;
use crate::notation::suggest::nearest;

/// A time span in microseconds, systemd's own resolution.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Span(pub u64);

/// The units of `systemd.time(7)` up to weeks. The first name of a size is the one that is shown.
const UNITS: [(&str, u64); 24] = [
    ("us", 1),
    ("usec", 1),
    ("µs", 1),
    ("ms", 1_000),
    ("msec", 1_000),
    ("s", 1_000_000),
    ("sec", 1_000_000),
    ("second", 1_000_000),
    ("seconds", 1_000_000),
    ("min", 60_000_000),
    ("m", 60_000_000),
    ("minute", 60_000_000),
    ("minutes", 60_000_000),
    ("h", 3_600_000_000),
    ("hr", 3_600_000_000),
    ("hour", 3_600_000_000),
    ("hours", 3_600_000_000),
    ("d", 86_400_000_000),
    ("day", 86_400_000_000),
    ("days", 86_400_000_000),
    ("w", 604_800_000_000),
    ("week", 604_800_000_000),
    ("weeks", 604_800_000_000),
    ("", 1_000_000),
];

const SHOWN: [(&str, u64); 6] = [
    ("d", 86_400_000_000),
    ("h", 3_600_000_000),
    ("min", 60_000_000),
    ("s", 1_000_000),
    ("ms", 1_000),
    ("us", 1),
];

impl Span {
    /// So many whole seconds.
    #[must_use]
    pub const fn seconds(seconds: u64) -> Self {
        Self(seconds.saturating_mul(1_000_000))
    }

    /// The span for the clock functions of the standard library.
    #[must_use]
    pub const fn duration(self) -> Duration {
        Duration::from_micros(self.0)
    }

    /// The sum, at most the longest span.
    #[must_use]
    pub const fn plus(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }
}

impl FromStr for Span {
    type Err = Malformed;

    fn from_str(text: &str) -> Result<Self, Malformed> {
        let mut rest = text.trim();
        let refused = |why: &str| Malformed::new(format!("`{text}` is not a time span: {why}"));
        if rest.eq_ignore_ascii_case("infinity") {
            return Err(Malformed::new("`infinity` is refused here: whatever a scenario does must end"));
        }
        if rest.is_empty() {
            return Err(refused("expected a number and a unit, such as 90s or 1min 30s"));
        }
        let mut total: u64 = 0;
        while !rest.is_empty() {
            let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
            let (number, tail) = rest.split_at(end);
            let tail = tail.trim_start();
            let end = tail
                .find(|c: char| c.is_ascii_digit() || c.is_whitespace() || c == '.')
                .unwrap_or(tail.len());
            let (unit, tail) = tail.split_at(end);
            let Some((_, size)) = UNITS.iter().find(|(name, _)| *name == unit) else {
                let suggestion =
                    nearest(unit, UNITS.iter().map(|(name, _)| *name).filter(|name| !name.is_empty()))
                        .filter(|_| text.trim().ends_with(unit) && !number.is_empty())
                        .map(|near| format!("{}{near}", text.trim().trim_end_matches(unit)));
                return Err(refused("expected a unit of us, ms, s, min, h, d").suggest(suggestion));
            };
            let part =
                microseconds(number, *size).ok_or_else(|| refused("expected a number such as 90 or 1.5"))?;
            total = total.checked_add(part).ok_or_else(|| refused("it is too long"))?;
            rest = tail.trim_start();
        }
        Ok(Self(total))
    }
}

/// `number` units of `size` µs, rounded down; `None` when it is no plain decimal number or does not fit.
fn microseconds(number: &str, size: u64) -> Option<u64> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, "0"));
    let digits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    if !digits(whole) || !digits(fraction) || fraction.len() > 12 {
        return None;
    }
    let numerator: u128 = fraction.parse().ok()?;
    let part = numerator * u128::from(size) / 10_u128.pow(u32::try_from(fraction.len()).ok()?);
    whole.parse::<u64>().ok()?.checked_mul(size)?.checked_add(u64::try_from(part).ok()?)
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 == 0 {
            return f.write_str("0s");
        }
        let mut rest = self.0;
        for (unit, size) in SHOWN {
            if rest >= size {
                let gap = if rest == self.0 { "" } else { " " };
                write!(f, "{gap}{}{unit}", rest / size)?;
                rest %= size;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("90s", 90_000_000)]
    #[case("90", 90_000_000)]
    #[case("1min 30s", 90_000_000)]
    #[case("1min30s", 90_000_000)]
    #[case("500ms", 500_000)]
    #[case("20 us", 20)]
    #[case("2h", 7_200_000_000)]
    #[case("1d", 86_400_000_000)]
    #[case("0.5s", 500_000)]
    #[case("1.5min", 90_000_000)]
    fn a_span_is_read_as_systemd_reads_it(#[case] text: &str, #[case] microseconds: u64) {
        assert_eq!(text.parse(), Ok(Span(microseconds)));
    }

    #[rstest]
    #[case("infinity", None)]
    #[case("", None)]
    #[case("s", None)]
    #[case("-5s", None)]
    #[case("5 parsecs", None)]
    #[case("5secs", Some("5sec"))]
    #[case("5 mins", Some("5 min"))]
    #[case("1..5s", None)]
    #[case("99999999999999d", None)]
    fn what_is_no_span_is_refused(#[case] text: &str, #[case] suggestion: Option<&str>) {
        assert_eq!(text.parse::<Span>().unwrap_err().suggestion.as_deref(), suggestion);
    }

    #[rstest]
    #[case(90_000_000, "1min 30s")]
    #[case(0, "0s")]
    #[case(1_500, "1ms 500us")]
    fn a_span_is_shown_in_units(#[case] microseconds: u64, #[case] text: &str) {
        assert_eq!(Span(microseconds).to_string(), text);
    }

    proptest! {
        #[test]
        fn what_is_shown_reads_back(microseconds: u64) {
            prop_assert_eq!(Span(microseconds).to_string().parse(), Ok(Span(microseconds)));
        }

        #[test]
        fn no_text_makes_the_parser_panic(text in "[0-9. smhdwuµ]{0,16}|\\PC{0,16}") {
            let _ = text.parse::<Span>();
        }
    }
}
