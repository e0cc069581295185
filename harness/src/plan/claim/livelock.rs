//! The cgroup that must not livelock, with the band in which it would.

use serde::{Deserialize, Serialize};

use super::{Ground, Resolve};
use crate::cgroupfs::LimitFile;
use crate::notation::id::Id;
use crate::plan::PlanError;
use crate::scenario::expectation::Livelock;

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

impl Resolve for Livelock {
    type Resolved = LivelockClaim;

    fn resolve(&self, ground: Ground<'_>) -> Result<LivelockClaim, PlanError> {
        let limit = |file| ground.cgroup(&self.cgroup)?.limit(file);
        Ok(LivelockClaim {
            cgroup: self.cgroup.clone(),
            high: limit(LimitFile::High),
            max: limit(LimitFile::Max),
            hog: self.hog.clone(),
        })
    }
}
