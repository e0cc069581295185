//! The values of properties, and their text in a unit file.

use std::fmt;

use super::Tasks;
use crate::notation::limit::Limit;
use crate::notation::percent::Percent;
use crate::notation::span::Span;
use crate::reading::{Word, word};

/// What systemd does with a unit after an OOM kill inside it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OomPolicy {
    /// Nothing: the survivors go on, and `Result=` stays `success`.
    Continue,
    /// The whole unit is stopped.
    Stop,
    /// The kernel kills the whole unit (`memory.oom.group`).
    Kill,
}

impl Word for OomPolicy {
    const EXPECTING: &'static str = "an OOM policy";
    const WORDS: &'static [(&'static str, Self)] =
        &[("continue", Self::Continue), ("stop", Self::Stop), ("kill", Self::Kill)];
}

/// Whether systemd-oomd watches a cgroup.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ManagedOom {
    /// Not by itself; systemd's default.
    Auto,
    /// It watches and kills here.
    Kill,
}

impl Word for ManagedOom {
    const EXPECTING: &'static str = "a systemd-oomd action";
    const WORDS: &'static [(&'static str, Self)] = &[("auto", Self::Auto), ("kill", Self::Kill)];
}

/// Whether systemd-oomd spares a cgroup.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Preference {
    /// Treated like any other.
    None,
    /// Only taken when there is nothing else.
    Avoid,
    /// Never taken.
    Omit,
}

impl Word for Preference {
    const EXPECTING: &'static str = "a systemd-oomd preference";
    const WORDS: &'static [(&'static str, Self)] =
        &[("none", Self::None), ("avoid", Self::Avoid), ("omit", Self::Omit)];
}

/// A typed property value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PropertyValue {
    /// Bytes, a share of the machine's memory, or no limit.
    Size(Limit),
    /// 1 to 10000.
    Weight(u16),
    /// A share of one CPU's time.
    Quota(Percent),
    /// A number of tasks.
    Tasks(Tasks),
    /// For `OOMPolicy=`.
    OomPolicy(OomPolicy),
    /// For `ManagedOOMSwap=` and `ManagedOOMMemoryPressure=`.
    ManagedOom(ManagedOom),
    /// For `ManagedOOMPreference=`.
    Preference(Preference),
    /// A share between 0 % and 100 %.
    Percent(Percent),
    /// A time span.
    Span(Span),
    /// For `OOMScoreAdjust=`.
    OomScore(i16),
    /// For people.
    Text(String),
}

impl fmt::Display for PropertyValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Size(limit) => limit.fmt(f),
            Self::Weight(weight) => weight.fmt(f),
            Self::Quota(share) | Self::Percent(share) => share.fmt(f),
            Self::Tasks(tasks) => tasks.fmt(f),
            Self::OomPolicy(policy) => f.write_str(word(*policy)),
            Self::ManagedOom(action) => f.write_str(word(*action)),
            Self::Preference(preference) => f.write_str(word(*preference)),
            // In one unit: an operator's shell need not quote it.
            Self::Span(Span(us)) if us.is_multiple_of(1_000_000) => write!(f, "{}s", us / 1_000_000),
            Self::Span(Span(us)) if us.is_multiple_of(1000) => write!(f, "{}ms", us / 1000),
            Self::Span(Span(us)) => write!(f, "{us}us"),
            Self::OomScore(score) => score.fmt(f),
            Self::Text(text) => f.write_str(text),
        }
    }
}
