//! Expectations as written → claims with every size, limit and phase resolved to numbers: what the judge reads from the record.
//!
//! Each family has a file of its own and a line in [`Claim`].

use serde::{Deserialize, Serialize};

mod actors;
mod earlyoom;
mod kill;
mod livelock;
mod metric;
mod oomd;

use super::{PlanError, PlannedUnit};
pub use crate::metric::Unit;
use crate::notation::bytes::Bytes;
use crate::notation::id::Id;
use crate::scenario::Scenario;
use crate::scenario::expectation as written;
pub use crate::scenario::expectation::{BoundKind, Phase, Trigger};
pub use earlyoom::{EarlyoomClaim, Threshold, Thresholds};
pub use kill::{AtClaim, KillClaim};
pub use livelock::LivelockClaim;
pub(super) use metric::reached;
pub use metric::{Bound, BoundValue, MetricClaim};
pub use oomd::OomdClaim;

/// One expectation, resolved.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Expectation {
    /// The id from the scenario file.
    pub id: Id,
    /// What it claims.
    pub claim: Claim,
}

/// What claims are resolved on.
#[derive(Clone, Copy)]
pub(super) struct Ground<'a> {
    pub(super) scenario: &'a Scenario,
    /// Of the machine.
    pub(super) memory: Bytes,
    /// The declared cgroups.
    pub(super) cgroups: &'a [PlannedUnit],
}

impl<'a> Ground<'a> {
    /// A declared cgroup.
    fn cgroup(self, id: &Id) -> Option<&'a PlannedUnit> {
        self.cgroups.iter().find(|unit| *id == *unit.name)
    }
}

/// A claim as written → in numbers.
trait Resolve {
    type Resolved;

    fn resolve(&self, ground: Ground<'_>) -> Result<Self::Resolved, PlanError>;
}

/// Makes [`Claim`] of one line a family: its name as in the scenario, and what the judge reads of it.
macro_rules! claims {
    ($($(#[$doc:meta])+ $family:ident($claim:ty),)+) => {
        /// The claim of one expectation.
        #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
        #[serde(rename_all = "kebab-case")]
        pub enum Claim { $($(#[$doc])+ $family($claim),)+ }

        impl Resolve for written::Claim {
            type Resolved = Claim;

            fn resolve(&self, ground: Ground<'_>) -> Result<Claim, PlanError> {
                Ok(match self { $(Self::$family(written) => Claim::$family(written.resolve(ground)?),)+ })
            }
        }
    };
}

claims! {
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

/// Resolves every `[[expect]]`.
pub(super) fn expectations(ground: Ground<'_>) -> Result<Vec<Expectation>, PlanError> {
    let resolved = |expect: &written::Expectation| {
        Ok(Expectation { id: expect.id.clone(), claim: expect.claim.resolve(ground)? })
    };
    ground.scenario.expects.iter().map(resolved).collect()
}
