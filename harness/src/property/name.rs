//! The names of the properties, each with what is known about it: its kind of value, its first systemd, its explanation.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::unit_kind::UnitKind;

/// A property's name, spelt as systemd spells it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[expect(missing_docs, reason = "each is the systemd property of that name; see systemd.resource-control(5)")]
pub enum PropertyName {
    MemoryMin,
    MemoryLow,
    MemoryHigh,
    MemoryMax,
    MemorySwapMax,
    MemoryZSwapMax,
    CPUWeight,
    CPUQuota,
    IOWeight,
    TasksMax,
    OOMPolicy,
    ManagedOOMSwap,
    ManagedOOMMemoryPressure,
    ManagedOOMMemoryPressureLimit,
    ManagedOOMMemoryPressureDurationSec,
    ManagedOOMPreference,
    RuntimeMaxSec,
    TimeoutStopSec,
    OOMScoreAdjust,
    Description,
}

/// What kind of value a property takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ValueKind {
    /// A size that may be 0.
    Size,
    /// A size that systemd refuses to be 0 (`MemoryMax=0`: "Value specified in MemoryMax is out of range").
    PositiveSize,
    /// 1 to 10000.
    Weight,
    /// A percentage of one CPU.
    Quota,
    /// A number of tasks, a share of the system's, or `infinity`.
    Tasks,
    /// `continue`, `stop` or `kill`.
    OomPolicy,
    /// `auto` or `kill`.
    ManagedOom,
    /// A share between 0 % and 100 %.
    Percent,
    /// A time span of 0 or at least a second.
    PressureSpan,
    /// A time span.
    Span,
    /// From -1000 to 1000.
    OomScore,
    /// Anything.
    Text,
    /// `none`, `avoid` or `omit`.
    Preference,
}

/// What is known about a property.
#[derive(Debug, Clone, Copy)]
pub struct PropertyInfo {
    /// systemd's name in unit files.
    pub text: &'static str,
    /// The kind of value.
    pub kind: ValueKind,
    /// The first systemd version that has it on slices and services.
    pub since: u32,
    /// One sentence for `bulkhead explain` and editors.
    pub about: &'static str,
}

impl PropertyName {
    /// Every property that a scenario may set, in the order in which they are documented.
    pub const ALL: [Self; 16] = [
        Self::MemoryMin,
        Self::MemoryLow,
        Self::MemoryHigh,
        Self::MemoryMax,
        Self::MemorySwapMax,
        Self::MemoryZSwapMax,
        Self::CPUWeight,
        Self::CPUQuota,
        Self::IOWeight,
        Self::TasksMax,
        Self::OOMPolicy,
        Self::ManagedOOMSwap,
        Self::ManagedOOMMemoryPressure,
        Self::ManagedOOMMemoryPressureLimit,
        Self::ManagedOOMMemoryPressureDurationSec,
        Self::ManagedOOMPreference,
    ];

    /// What the harness alone sets.
    pub(super) const OWN: [Self; 4] =
        [Self::RuntimeMaxSec, Self::TimeoutStopSec, Self::OOMScoreAdjust, Self::Description];

    /// The property of that exact name that a scenario may set.
    #[must_use]
    pub fn from_text(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|name| name.info().text == text)
    }

    /// Name, kind, version and explanation.
    #[must_use]
    pub const fn info(self) -> PropertyInfo {
        use ValueKind as K;
        match self {
            Self::MemoryMin => {
                info("MemoryMin", K::Size, 240, "memory that is never reclaimed; capped by every ancestor")
            }
            Self::MemoryLow => {
                info("MemoryLow", K::Size, 231, "memory that is reclaimed last; capped by every ancestor")
            }
            Self::MemoryHigh => info(
                "MemoryHigh",
                K::PositiveSize,
                231,
                "tasks that charge memory above it are throttled; nothing is killed",
            ),
            Self::MemoryMax => info(
                "MemoryMax",
                K::PositiveSize,
                231,
                "the hard cap: the kernel kills inside the cgroup when reclaim fails",
            ),
            Self::MemorySwapMax => info(
                "MemorySwapMax",
                K::Size,
                232,
                "swap the cgroup may use; set it before start: lowering it swaps nothing back in",
            ),
            Self::MemoryZSwapMax => {
                info("MemoryZSwapMax", K::Size, 253, "compressed swap the cgroup may use")
            }
            Self::CPUWeight => {
                info("CPUWeight", K::Weight, 232, "share of the CPU among contending siblings")
            }
            Self::CPUQuota => {
                info("CPUQuota", K::Quota, 213, "at most this share of one CPU's time; may exceed 100%")
            }
            Self::IOWeight => {
                info("IOWeight", K::Weight, 230, "share of the disk; without BFQ or iocost it does nothing")
            }
            Self::TasksMax => info("TasksMax", K::Tasks, 227, "tasks the cgroup may hold"),
            Self::OOMPolicy => info(
                "OOMPolicy",
                K::OomPolicy,
                243,
                "what systemd does with the unit after an OOM kill inside it",
            ),
            Self::ManagedOOMSwap => info(
                "ManagedOOMSwap",
                K::ManagedOom,
                247,
                "whether systemd-oomd acts here when swap runs out",
            ),
            Self::ManagedOOMMemoryPressure => info(
                "ManagedOOMMemoryPressure",
                K::ManagedOom,
                247,
                "whether systemd-oomd acts here on memory pressure",
            ),
            Self::ManagedOOMMemoryPressureLimit => info(
                "ManagedOOMMemoryPressureLimit",
                K::Percent,
                247,
                "the pressure above which systemd-oomd acts",
            ),
            Self::ManagedOOMMemoryPressureDurationSec => info(
                "ManagedOOMMemoryPressureDurationSec",
                K::PressureSpan,
                257,
                "how long the pressure must last; at least 1s",
            ),
            Self::ManagedOOMPreference => {
                info("ManagedOOMPreference", K::Preference, 248, "whether systemd-oomd spares the cgroup")
            }
            Self::RuntimeMaxSec => info("RuntimeMaxSec", K::Span, 244, "PID 1 ends the unit after this time"),
            Self::TimeoutStopSec => {
                info("TimeoutStopSec", K::Span, 188, "how long PID 1 waits between SIGTERM and SIGKILL")
            }
            Self::OOMScoreAdjust => {
                info("OOMScoreAdjust", K::OomScore, 187, "the oom_score_adj of what PID 1 starts")
            }
            Self::Description => info("Description", K::Text, 187, "human-readable name of the unit"),
        }
    }

    /// The first systemd version in which a unit of that type takes the property; `None` when it never does.
    #[must_use]
    pub const fn since(self, unit: UnitKind) -> Option<u32> {
        match (self, unit) {
            (Self::OOMPolicy, UnitKind::Slice) => None,
            // 252.5 has it too, by a backport; the number alone does not tell 252.4 from 252.5.
            (Self::OOMPolicy, UnitKind::Scope) => Some(253),
            _ => Some(self.info().since),
        }
    }
}

const fn info(text: &'static str, kind: ValueKind, since: u32, about: &'static str) -> PropertyInfo {
    PropertyInfo { text, kind, since, about }
}

impl fmt::Display for PropertyName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.info().text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slice_has_no_oom_policy_and_a_scope_only_from_253() {
        assert_eq!(PropertyName::OOMPolicy.since(UnitKind::Slice), None);
        assert_eq!(PropertyName::OOMPolicy.since(UnitKind::Scope), Some(253));
        assert_eq!(PropertyName::OOMPolicy.since(UnitKind::Service), Some(243));
    }

    #[test]
    fn the_serialised_name_is_systemds() {
        for name in PropertyName::ALL {
            assert_eq!(serde_json::to_value(name).unwrap(), name.info().text);
            assert_eq!(PropertyName::from_text(name.info().text), Some(name));
        }
    }
}
