//! Who must have been killed, by whom, and at which size.

use reports::outcome::Killer;
use serde::{Deserialize, Serialize};

use super::{Ground, Resolve};
use crate::notation::id::Id;
use crate::notation::signal::{self, Signal};
use crate::plan::PlanError;
use crate::plan::size::share;
use crate::scenario::expectation::Kill;
use crate::scenario::size::ShareOf;

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
    #[serde(default, with = "signal::number")]
    pub signal: Option<Signal>,
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

impl Resolve for Kill {
    type Resolved = KillClaim;

    fn resolve(&self, ground: Ground<'_>) -> Result<KillClaim, PlanError> {
        let at = match &self.at {
            None => None,
            Some(at) => {
                let of = ShareOf { percent: at.percent, of: at.of.clone() };
                let bytes = share(&of, ground.scenario, ground.memory)?;
                Some(AtClaim { bytes, within: at.within_percent.fraction() })
            }
        };
        Ok(KillClaim {
            victim: self.victim.clone(),
            by: self.by,
            limit: self.limit.clone(),
            at,
            signal: self.signal,
            code: self.code.map(i32::from),
        })
    }
}
