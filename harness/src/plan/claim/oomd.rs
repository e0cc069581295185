//! What systemd-oomd must watch.

use serde::{Deserialize, Serialize};

use super::{Ground, Resolve, Trigger};
use crate::cgroupfs::CgroupPath;
use crate::notation::id::Id;
use crate::plan::PlanError;
use crate::scenario::expectation as written;

/// What systemd-oomd must watch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OomdClaim {
    /// The declared cgroup.
    pub watches: Id,
    /// Its path.
    pub path: CgroupPath,
    /// For what.
    pub trigger: Trigger,
}

impl Resolve for written::OomdClaim {
    type Resolved = OomdClaim;

    fn resolve(&self, ground: Ground<'_>) -> Result<OomdClaim, PlanError> {
        let unit = ground.cgroup(&self.watches);
        let unit = unit.ok_or_else(|| PlanError::NotDeclared { cgroup: self.watches.to_string() })?;
        let path = unit.cgroup.clone();
        Ok(OomdClaim { watches: self.watches.clone(), path, trigger: self.trigger })
    }
}
