//! The signals that end a process ↔ their names.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A signal that ends a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[expect(missing_docs, reason = "each is the signal of that name, see signal(7)")]
pub enum Signal {
    #[serde(rename = "SIGHUP")]
    Hup,
    #[serde(rename = "SIGINT")]
    Int,
    #[serde(rename = "SIGABRT")]
    Abrt,
    #[serde(rename = "SIGBUS")]
    Bus,
    #[serde(rename = "SIGKILL")]
    Kill,
    #[serde(rename = "SIGSEGV")]
    Segv,
    #[serde(rename = "SIGTERM")]
    Term,
}

impl Signal {
    /// Each of them.
    pub const ALL: [Self; 7] =
        [Self::Hup, Self::Int, Self::Abrt, Self::Bus, Self::Kill, Self::Segv, Self::Term];

    /// Each name with its signal.
    pub(crate) const NAMES: &'static [(&'static str, Self)] = &[
        ("SIGHUP", Self::Hup),
        ("SIGINT", Self::Int),
        ("SIGABRT", Self::Abrt),
        ("SIGBUS", Self::Bus),
        ("SIGKILL", Self::Kill),
        ("SIGSEGV", Self::Segv),
        ("SIGTERM", Self::Term),
    ];

    /// The signal of a number, where it is one that ends a process.
    #[must_use]
    pub fn of_number(number: i32) -> Option<Self> {
        Self::ALL.into_iter().find(|signal| signal.number() == number)
    }

    /// The number on Linux.
    #[must_use]
    pub const fn number(self) -> i32 {
        match self {
            Self::Hup => 1,
            Self::Int => 2,
            Self::Abrt => 6,
            Self::Bus => 7,
            Self::Kill => 9,
            Self::Segv => 11,
            Self::Term => 15,
        }
    }
}

impl fmt::Display for Signal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = Self::NAMES.iter().find(|(_, signal)| signal == self);
        f.write_str(name.map_or("", |(name, _)| name))
    }
}

/// A signal that stands in a record by its number.
pub(crate) mod number {
    use serde::de::Error;
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    use super::Signal;

    #[expect(clippy::ref_option, reason = "serde asks for it so")]
    pub(crate) fn serialize<S: Serializer>(signal: &Option<Signal>, to: S) -> Result<S::Ok, S::Error> {
        signal.map(Signal::number).serialize(to)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Signal>, D::Error> {
        let unknown = |number| D::Error::custom(format!("{number} is no signal that ends a process"));
        let number = Option::<i32>::deserialize(from)?;
        number.map(|number| Signal::of_number(number).ok_or_else(|| unknown(number))).transpose()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_that_of_one_signal() {
        for signal in Signal::ALL {
            assert_eq!(Signal::of_number(signal.number()), Some(signal));
        }
        // SIGCHLD ends nobody.
        assert_eq!(Signal::of_number(17), None);
    }
}
