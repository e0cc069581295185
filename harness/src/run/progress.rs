//! What a run and whoever has it made tell each other while it is under way.

use std::sync::atomic::Ordering;

use serde::{Deserialize, Serialize};

use super::sampler::Pulse;
use crate::plan::{Moment, Plan};
use crate::record::event::Mark;
use crate::scenario::actor::Release;

/// Whoever has a run made.
pub trait Outside {
    /// A moment of the run.
    fn progress(&mut self, progress: &Progress);

    /// Whether the run, which is set up, may begin now. Asked again and again while it may not: others use the processors.
    fn may_begin(&mut self) -> bool {
        true
    }
}

/// Somebody who only watches.
impl<F: FnMut(&Progress)> Outside for F {
    fn progress(&mut self, progress: &Progress) {
        self(progress);
    }
}

/// A moment of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    /// The part of the run.
    pub phase: Mark,
    /// Time in this part, ms.
    pub elapsed_ms: u64,
    /// memory.current of the first declared cgroup, bytes.
    pub current: u64,
    /// Its limit, bytes, where it has one.
    pub cap: Option<u64>,
}

impl Progress {
    /// The moment as the sampler last saw it.
    #[must_use]
    pub fn of(pulse: &Pulse, phase: Mark, elapsed_us: u64, plan: &Plan) -> Self {
        Self {
            phase,
            elapsed_ms: elapsed_us / 1000,
            current: pulse.current.load(Ordering::Relaxed),
            cap: plan.shown_cap(),
        }
    }
}

impl Release {
    /// The part of the run that begins with this release.
    #[must_use]
    pub fn mark(self) -> Mark {
        match self {
            Self::Baseline => Mark::Baseline,
            Self::Stress => Mark::Climb,
        }
    }

    /// The moment at which a daemon of the scenario may be released with it.
    #[must_use]
    pub fn moment(self) -> Moment {
        match self {
            Self::Baseline => Moment::Baseline,
            Self::Stress => Moment::Stress,
        }
    }
}
