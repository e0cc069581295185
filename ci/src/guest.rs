//! A name → the distribution release that runs in the guest.

use std::fmt;
use std::str::FromStr;

/// A release that guests are built from. Both run the distribution's own kernel and systemd.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Guest {
    /// Debian 12: systemd 252, kernel 6.1.
    Bookworm,
    /// Debian 13: systemd 257, kernel 6.12.
    Trixie,
}

/// A name that is no guest.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("unknown guest {0:?}: expected bookworm or trixie")]
pub struct UnknownGuest(String);

impl Guest {
    /// Every guest, oldest first.
    #[must_use]
    pub fn all() -> &'static [Self] {
        &[Self::Bookworm, Self::Trixie]
    }

    /// The suite's name in the archive.
    #[must_use]
    pub fn suite(self) -> &'static str {
        match self {
            Self::Bookworm => "bookworm",
            Self::Trixie => "trixie",
        }
    }
}

impl fmt::Display for Guest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.suite())
    }
}

impl FromStr for Guest {
    type Err = UnknownGuest;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        Self::all()
            .iter()
            .copied()
            .find(|guest| guest.suite() == name)
            .ok_or_else(|| UnknownGuest(name.into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_guest_is_found_by_the_name_it_shows() {
        for guest in Guest::all() {
            assert_eq!(guest.to_string().parse(), Ok(*guest));
        }
    }

    #[test]
    fn an_unknown_name_is_refused_with_the_known_ones() {
        let error = "sid".parse::<Guest>().unwrap_err();
        assert_eq!(error.to_string(), "unknown guest \"sid\": expected bookworm or trixie");
    }
}
