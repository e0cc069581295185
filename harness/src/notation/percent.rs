//! A share (`95%`, `0.5%`, or the bare number 95) ↔ parts per 10,000.
//!
//! Values above 100 % are fine (a balloon of 120 % of a limit). Two digits after the point are kept, as in systemd's
//! permyriad; more are refused, not rounded.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::notation::Malformed;
use crate::notation::bytes::Bytes;

/// Parts per 10,000: 9500 is 95 %.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Percent(pub u32);

impl Percent {
    /// The whole.
    pub const HUNDRED: Self = Self(10_000);

    /// This share of `whole`, rounded down; at most `u64::MAX`.
    #[must_use]
    pub fn of(self, whole: u64) -> u64 {
        u64::try_from(u128::from(whole) * u128::from(self.0) / 10_000).unwrap_or(u64::MAX)
    }

    /// This share of a size, rounded down to a byte.
    #[must_use]
    pub fn of_bytes(self, whole: Bytes) -> Bytes {
        Bytes(self.of(whole.0))
    }

    /// The share as a fraction: 95 % is 0.95.
    #[must_use]
    pub fn fraction(self) -> f64 {
        f64::from(self.0) / 10_000.0
    }

    /// The share as the fraction of `u32::MAX` that systemd's D-Bus properties of type `u` carry, rounded as systemd's
    /// `UINT32_SCALE_FROM_PERMYRIAD` does: 50 % is 2147483648. Shares above 100 % become 100 %.
    #[must_use]
    pub fn scale(self) -> u32 {
        u32::try_from((u64::from(self.0) * u64::from(u32::MAX) + 5_000) / 10_000).unwrap_or(u32::MAX)
    }
}

impl FromStr for Percent {
    type Err = Malformed;

    fn from_str(text: &str) -> Result<Self, Malformed> {
        let refused = |why: &str| Malformed::new(format!("`{text}` is not a percentage: {why}"));
        let trimmed = text.trim();
        let number = trimmed.strip_suffix('%').unwrap_or(trimmed).trim_end();
        let (whole, fraction) = number.split_once('.').unwrap_or((number, "0"));
        let digits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
        if !digits(whole) || !digits(fraction) {
            return Err(refused("expected a number such as 95% or 0.5%"));
        }
        let fraction = fraction.trim_end_matches('0');
        if fraction.len() > 2 {
            return Err(refused("at most two digits after the point"));
        }
        let whole: u32 = whole.parse().map_err(|_| refused("it is too large"))?;
        let hundredths: u32 = format!("{fraction:0<2}").parse().map_err(|_| refused("it is too large"))?;
        let parts = whole.checked_mul(100).and_then(|parts| parts.checked_add(hundredths));
        parts.map(Self).ok_or_else(|| refused("it is too large"))
    }
}

impl fmt::Display for Percent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (whole, rest) = (self.0 / 100, self.0 % 100);
        match (rest, rest % 10) {
            (0, _) => write!(f, "{whole}%"),
            (_, 0) => write!(f, "{whole}.{}%", rest / 10),
            _ => write!(f, "{whole}.{rest:02}%"),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("95%", 9500)]
    #[case("95", 9500)]
    #[case("0.5%", 50)]
    #[case("12.34%", 1234)]
    #[case("120 %", 12000)]
    #[case("2.500", 250)]
    fn a_share_is_read_in_hundredths_of_a_percent(#[case] text: &str, #[case] parts: u32) {
        assert_eq!(text.parse(), Ok(Percent(parts)));
    }

    #[rstest]
    #[case("")]
    #[case("%")]
    #[case("-5%")]
    #[case("0.125%")]
    #[case("99999999999%")]
    #[case("5%%")]
    #[case(".5%")]
    fn what_is_no_share_is_refused(#[case] text: &str) {
        assert!(text.parse::<Percent>().unwrap_err().message.contains("is not a percentage"));
    }

    #[rstest]
    #[case(5000, 2_147_483_648)]
    #[case(10_000, u32::MAX)]
    #[case(20_000, u32::MAX)]
    #[case(0, 0)]
    fn the_scale_is_the_one_systemd_reads_back(#[case] parts: u32, #[case] scale: u32) {
        assert_eq!(Percent(parts).scale(), scale);
    }

    #[test]
    fn a_share_of_everything_does_not_overflow() {
        assert_eq!(Percent(u32::MAX).of(u64::MAX), u64::MAX);
        assert_eq!(Percent(12_000).of_bytes(Bytes(512 << 20)), Bytes(644_245_094));
    }

    proptest! {
        #[test]
        fn what_is_shown_reads_back(parts: u32) {
            prop_assert_eq!(Percent(parts).to_string().parse(), Ok(Percent(parts)));
        }

        #[test]
        fn no_text_makes_the_parser_panic(text in "[0-9.% ]{0,16}|\\PC{0,16}") {
            let _ = text.parse::<Percent>();
        }
    }
}
