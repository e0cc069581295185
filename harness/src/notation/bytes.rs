//! A size in systemd's notation (`512M`, `1.5G`, `4096`) ↔ bytes.
//!
//! The base is 1024 as in systemd's `parse_size()`. It does not accept what systemd does not (`512m`, `512MB`), and it
//! knows no `infinity` and no percent: those belong to [`Limit`](crate::notation::limit::Limit).

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::notation::Malformed;

/// A number of bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Bytes(pub u64);

const SUFFIXES: [(char, u32); 6] = [('K', 10), ('M', 20), ('G', 30), ('T', 40), ('P', 50), ('E', 60)];

/// More digits than this after the point are below one byte even in exabytes.
const MAX_FRACTION_DIGITS: usize = 18;

impl FromStr for Bytes {
    type Err = Malformed;

    fn from_str(text: &str) -> Result<Self, Malformed> {
        let trimmed = text.trim();
        let refused = |why: &str| {
            let suggestion = tidy(trimmed).filter(|tidied| tidied != trimmed);
            Malformed::new(format!("`{text}` is not a size: {why}")).suggest(suggestion)
        };
        let split = trimmed.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(trimmed.len());
        let (number, suffix) = trimmed.split_at(split);
        let shift = match suffix {
            "" | "B" => 0,
            _ => suffix_shift(suffix).ok_or_else(|| refused("expected a number and K, M, G, T, P or E"))?,
        };
        let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
        let digits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
        if !digits(whole)
            || (number.contains('.') && !digits(fraction))
            || fraction.len() > MAX_FRACTION_DIGITS
        {
            return Err(refused("expected a number such as 512M, 1.5G or 4096"));
        }
        let whole: u64 = whole.parse().map_err(|_| refused("the number is too large"))?;
        let whole = u128::from(whole) << shift;
        let part = if fraction.is_empty() {
            0
        } else {
            let numerator: u128 = fraction.parse().map_err(|_| refused("the fraction is too long"))?;
            (numerator << shift) / 10_u128.pow(u32::try_from(fraction.len()).unwrap_or(0))
        };
        u64::try_from(whole + part).map(Self).map_err(|_| refused("it is more than 16 EiB"))
    }
}

fn suffix_shift(suffix: &str) -> Option<u32> {
    let mut chars = suffix.chars();
    let first = chars.next()?;
    let shift = SUFFIXES.iter().find(|(letter, _)| *letter == first).map(|(_, shift)| *shift)?;
    chars.next().is_none().then_some(shift)
}

/// What people write by habit (`512MB`, `512 MiB`, `512m`), as systemd writes it.
fn tidy(text: &str) -> Option<String> {
    let compact: String =
        text.chars().filter(|c| !c.is_whitespace()).collect::<String>().to_ascii_uppercase();
    let stem = compact.strip_suffix("IB").or_else(|| compact.strip_suffix('B')).unwrap_or(&compact);
    let number = stem.trim_end_matches(|c| SUFFIXES.iter().any(|(letter, _)| *letter == c));
    let plain = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    (plain && stem.len() - number.len() <= 1).then(|| stem.to_owned())
}

/// The exact number in the largest unit that divides it: the text systemd reads back as the same number.
impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let largest =
            SUFFIXES.iter().rev().find(|(_, shift)| self.0 != 0 && self.0.trailing_zeros() >= *shift);
        match largest {
            Some((letter, shift)) => write!(f, "{}{letter}", self.0 >> shift),
            None => write!(f, "{}", self.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("0", 0)]
    #[case("4096", 4096)]
    #[case("100B", 100)]
    #[case("1K", 1 << 10)]
    #[case("512M", 512 << 20)]
    #[case("1.5G", 3 << 29)]
    #[case("0.5K", 512)]
    #[case(" 2T ", 2 << 40)]
    #[case("15E", 15 << 60)]
    fn a_size_is_read_as_systemd_reads_it(#[case] text: &str, #[case] bytes: u64) {
        assert_eq!(text.parse(), Ok(Bytes(bytes)));
    }

    #[rstest]
    #[case("512MB", Some("512M"))]
    #[case("512m", Some("512M"))]
    #[case("512 MiB", Some("512M"))]
    #[case("1.5 gib", Some("1.5G"))]
    #[case("", None)]
    #[case("M", None)]
    #[case("-1", None)]
    #[case("1.M", None)]
    #[case("1.2.3G", None)]
    #[case("16E", None)]
    #[case("99999999999999999999", None)]
    #[case("infinity", None)]
    #[case("50%", None)]
    #[case("512É", None)]
    fn what_systemd_refuses_is_refused(#[case] text: &str, #[case] suggestion: Option<&str>) {
        let refused = text.parse::<Bytes>().unwrap_err();
        assert_eq!(refused.suggestion.as_deref(), suggestion);
        assert!(refused.message.contains("is not a size"), "{refused}");
    }

    #[rstest]
    #[case(512 << 20, "512M")]
    #[case(3 << 29, "1536M")]
    #[case(0, "0")]
    #[case(1025, "1025")]
    fn a_size_is_shown_exactly(#[case] bytes: u64, #[case] text: &str) {
        assert_eq!(Bytes(bytes).to_string(), text);
    }

    proptest! {
        #[test]
        fn what_is_shown_reads_back(bytes: u64, shift in 0_u32..60) {
            let size = Bytes(bytes >> shift << shift);
            prop_assert_eq!(size.to_string().parse(), Ok(size));
        }

        #[test]
        fn no_text_makes_the_parser_panic(text in "\\PC{0,24}") {
            let _ = text.parse::<Bytes>();
        }

        #[test]
        fn no_number_like_text_makes_the_parser_panic(text in "[0-9.]{0,30}[KMGTPEB%i]{0,3}") {
            let _ = text.parse::<Bytes>();
        }
    }
}
