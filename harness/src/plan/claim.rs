//! An expectation with every size, limit and phase resolved to numbers: what the judge reads from the record.

use reports::outcome::Killer;
use serde::{Deserialize, Serialize};

use crate::metric::Metric;
pub use crate::metric::Unit;
use crate::notation::id::Id;
use crate::notation::signal::Signal;
pub use crate::scenario::expectation::{BoundKind, Phase, Trigger};

/// One expectation, resolved.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Expectation {
    /// The id from the scenario file.
    pub id: Id,
    /// What it claims.
    pub claim: Claim,
}

/// The claim of one expectation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Claim {
    /// The named actor was killed by exactly this killer.
    Kill(KillClaim),
    /// No OOM killer of any kind took a process other than these actors.
    OnlyVictims(Vec<Id>),
    /// These actors are the same running processes at the end.
    Survives(Vec<Id>),
    /// Bounds on a metric.
    Metric(MetricClaim),
    /// The three signs of a livelock are not there together.
    NoLivelock(LivelockClaim),
    /// systemd-oomd is armed and watches a cgroup.
    Oomd(OomdClaim),
    /// Whom earlyoom chooses.
    Earlyoom(EarlyoomClaim),
    /// These actors were killed, in this order.
    KillOrder(Vec<Id>),
}

/// What systemd-oomd must watch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OomdClaim {
    /// The declared cgroup.
    pub watches: Id,
    /// Its path.
    pub path: String,
    /// For what.
    pub trigger: Trigger,
}

/// Whom earlyoom must and must not choose.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EarlyoomClaim {
    /// Every choice is one of these actors, and there is at least one.
    pub selects: Vec<Id>,
    /// No choice is one of these.
    pub never: Vec<Id>,
    /// Each of these signals is seen, and no other; empty = any.
    pub signals: Vec<Signal>,
    /// The thresholds that it was told; none = it is not the run's own.
    pub thresholds: Option<Thresholds>,
}

/// Both thresholds of an earlyoom: at or below one, with memory and swap alike, it acts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Thresholds {
    /// For SIGTERM.
    pub term: Threshold,
    /// For SIGKILL.
    pub kill: Threshold,
}

/// What may be left at most, percent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Threshold {
    /// Of memory.
    pub memory: u8,
    /// Of swap.
    pub swap: u8,
}

/// Who must have been killed, by whom, and where.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct KillClaim {
    /// The actor that must die.
    pub victim: Id,
    /// What must have killed it.
    pub by: Killer,
    /// The declared cgroup whose limit must have been hit, for a memcg kill.
    pub limit: Option<Id>,
    /// Peak usage of the limiting cgroup at the kill.
    pub at: Option<AtClaim>,
    /// The signal that must have ended it, where the scenario names one.
    pub signal: Option<i32>,
    /// For [`Killer::Exit`]: the code that it must have exited with, where the scenario names one; else 0.
    pub code: Option<i32>,
}

/// Peak usage that must have been seen, within a tolerance.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct AtClaim {
    /// Bytes.
    pub bytes: u64,
    /// Allowed deviation as a fraction (0.02 = 2 %).
    pub within: f64,
}

/// A metric and its bounds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MetricClaim {
    /// A column of the samples, or a value that the judge derives.
    pub metric: Metric,
    /// The unit of its values.
    pub unit: Unit,
    /// The part of the run the bounds speak of.
    pub during: Phase,
    /// At least one bound.
    pub bounds: Vec<Bound>,
}

/// One bound on a metric.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Bound {
    /// How the samples become one number, and which side is allowed.
    pub kind: BoundKind,
    /// The number it is compared with.
    pub value: BoundValue,
}

/// A bound's number.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum BoundValue {
    /// In the metric's unit; for a rate, units per second; for the rate of a time, seconds per second.
    Absolute(f64),
    /// A fraction of the same statistic in another phase (2.0 = twice).
    OfPhase {
        /// 1.0 = the same.
        fraction: f64,
        /// Where the reference is measured.
        phase: Phase,
    },
}

/// The cgroup that must not livelock, and the actor whose progress tells.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LivelockClaim {
    /// The declared cgroup.
    pub cgroup: Id,
    /// Its `MemoryHigh` in this run, bytes; none = no band to be caught in.
    pub high: Option<u64>,
    /// Its `MemoryMax` in this run, bytes.
    pub max: Option<u64>,
    /// The actor whose progress is measured.
    pub hog: Id,
}
