//! A memory limit as systemd writes it: a size, a share of the machine's memory, or `infinity`.
//!
//! A share is of physical memory for every property, `MemorySwapMax=` included: systemd's code scales it by physical
//! memory although `systemd.resource-control(5)` speaks of swap. Resolving a share needs the machine and happens later.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::notation::Malformed;
use crate::notation::bytes::Bytes;
use crate::notation::percent::Percent;

/// A limit before it is resolved on a machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Limit {
    /// So many bytes.
    Bytes(Bytes),
    /// A share of the machine's physical memory.
    Percent(Percent),
    /// No limit: `max` in the kernel's file, `u64::MAX` on D-Bus.
    Infinity,
}

impl Limit {
    /// The bytes on a machine with `memory` of physical memory; `None` for no limit. Shares are rounded down to a page
    /// of 4096 bytes, as systemd does.
    #[must_use]
    pub fn resolve(self, memory: Bytes) -> Option<Bytes> {
        match self {
            Self::Bytes(bytes) => Some(bytes),
            Self::Percent(percent) => Some(Bytes(percent.of(memory.0) & !0xfff)),
            Self::Infinity => None,
        }
    }
}

impl FromStr for Limit {
    type Err = Malformed;

    fn from_str(text: &str) -> Result<Self, Malformed> {
        let trimmed = text.trim();
        if trimmed == "infinity" {
            return Ok(Self::Infinity);
        }
        if trimmed.ends_with('%') {
            let percent: Percent = trimmed.parse()?;
            if percent > Percent::HUNDRED {
                return Err(Malformed::new(format!("`{text}` is more than the whole machine has")));
            }
            return Ok(Self::Percent(percent));
        }
        if ["max", "inf", "none", "unlimited"].contains(&trimmed.to_ascii_lowercase().as_str()) {
            return Err(Malformed::new(format!(
                "`{text}` is not a limit: systemd's word for none is `infinity`"
            ))
            .suggest(Some("infinity".to_owned())));
        }
        trimmed.parse().map(Self::Bytes)
    }
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bytes(bytes) => bytes.fmt(f),
            Self::Percent(percent) => percent.fmt(f),
            Self::Infinity => f.write_str("infinity"),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("512M", Limit::Bytes(Bytes(512 << 20)))]
    #[case("0", Limit::Bytes(Bytes(0)))]
    #[case("50%", Limit::Percent(Percent(5000)))]
    #[case("infinity", Limit::Infinity)]
    fn a_limit_is_read(#[case] text: &str, #[case] limit: Limit) {
        assert_eq!(text.parse(), Ok(limit));
    }

    #[rstest]
    #[case("max", Some("infinity"))]
    #[case("Unlimited", Some("infinity"))]
    #[case("512MB", Some("512M"))]
    #[case("101%", None)]
    #[case("x%", None)]
    fn what_is_no_limit_is_refused(#[case] text: &str, #[case] suggestion: Option<&str>) {
        assert_eq!(text.parse::<Limit>().unwrap_err().suggestion.as_deref(), suggestion);
    }

    /// 50 % of 2069016576 bytes, as read back from systemd 257.
    #[test]
    fn a_share_is_rounded_down_to_a_page() {
        let half = Limit::Percent(Percent(5000)).resolve(Bytes(2_069_016_577));
        assert_eq!(half, Some(Bytes(1_034_506_240)));
        assert_eq!(Limit::Infinity.resolve(Bytes(1)), None);
    }

    proptest! {
        #[test]
        fn what_is_shown_reads_back(bytes: u64, parts in 0_u32..=10_000) {
            for limit in [Limit::Bytes(Bytes(bytes)), Limit::Percent(Percent(parts)), Limit::Infinity] {
                prop_assert_eq!(limit.to_string().parse(), Ok(limit));
            }
        }

        #[test]
        fn no_text_makes_the_parser_panic(text in "\\PC{0,24}") {
            let _ = text.parse::<Limit>();
        }
    }
}
