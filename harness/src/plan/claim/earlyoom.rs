//! Whom earlyoom must and must not choose, with the thresholds that the run's own was told.

use reports::outcome::Killer;
use serde::{Deserialize, Serialize};

use super::{Ground, Resolve};
use crate::notation::id::Id;
use crate::notation::signal::Signal;
use crate::plan::PlanError;
use crate::scenario::expectation as written;
use crate::scenario::killer::Settings;

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

impl Resolve for written::EarlyoomClaim {
    type Resolved = EarlyoomClaim;

    fn resolve(&self, ground: Ground<'_>) -> Result<EarlyoomClaim, PlanError> {
        Ok(EarlyoomClaim {
            selects: self.selects.clone(),
            never: self.never.clone(),
            signals: self.signals.clone(),
            thresholds: ground.scenario.own_killer(Killer::Earlyoom).map(|own| {
                let Settings::Earlyoom(told) = &own.settings;
                Thresholds {
                    term: Threshold { memory: told.term_memory, swap: told.term_swap },
                    kill: Threshold { memory: told.kill_memory, swap: told.kill_swap },
                }
            }),
        })
    }
}
