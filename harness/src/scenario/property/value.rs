//! The values of resource properties: as typed data, as unit-file text, and as D-Bus values.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::Tasks;
use crate::notation::limit::Limit;
use crate::notation::percent::Percent;
use crate::notation::span::Span;
use crate::reading::{Word, word};

/// What systemd does with a unit after an OOM kill inside it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
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
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
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
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
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
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
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
}

/// A value as D-Bus carries it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DbusValue {
    /// Type `t`.
    U64(u64),
    /// Type `u`.
    U32(u32),
    /// Type `s`.
    Text(&'static str),
}

impl DbusValue {
    /// The D-Bus type.
    #[must_use]
    pub const fn signature(&self) -> &'static str {
        match self {
            Self::U64(_) => "t",
            Self::U32(_) => "u",
            Self::Text(_) => "s",
        }
    }
}

impl PropertyValue {
    /// The share for the `…Scale` form of a property, where systemd has one.
    pub(super) fn scale(self) -> Option<u32> {
        match self {
            Self::Size(Limit::Percent(share)) | Self::Tasks(Tasks::Percent(share)) => Some(share.scale()),
            _ => None,
        }
    }

    pub(super) fn dbus(self) -> DbusValue {
        match self {
            Self::Size(Limit::Bytes(bytes)) => DbusValue::U64(bytes.0),
            Self::Tasks(Tasks::Count(count)) => DbusValue::U64(count),
            Self::Size(Limit::Infinity) | Self::Tasks(Tasks::Infinity) => DbusValue::U64(u64::MAX),
            Self::Size(Limit::Percent(share)) | Self::Tasks(Tasks::Percent(share)) | Self::Percent(share) => {
                DbusValue::U32(share.scale())
            }
            Self::Weight(weight) => DbusValue::U64(weight.into()),
            // µs of CPU time a second: 100 % of one CPU is 1,000,000.
            Self::Quota(share) => DbusValue::U64(share.of(1_000_000)),
            Self::OomPolicy(policy) => DbusValue::Text(word(policy)),
            Self::ManagedOom(action) => DbusValue::Text(word(action)),
            Self::Preference(preference) => DbusValue::Text(word(preference)),
            Self::Span(span) => DbusValue::U64(span.0),
        }
    }
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
            Self::Span(span) => span.fmt(f),
        }
    }
}
