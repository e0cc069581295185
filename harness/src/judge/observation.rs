//! What was observed of a statistic in a part of a run, and what is missing of it.

use crate::plan::claim::Phase;

/// A statistic as far as it could be observed.
pub(super) struct Observation {
    /// What was seen of it.
    pub(super) value: Option<f64>,
    /// Why that may not be all of it.
    pub(super) open: Option<String>,
}

impl Observation {
    /// Nothing was seen of it.
    pub(super) fn unseen(phase: Phase) -> Self {
        Self { value: None, open: Some(format!("not observed in {}", phase_name(phase))) }
    }
}

/// A phase as a reader calls it.
pub(super) fn phase_name(phase: Phase) -> &'static str {
    match phase {
        Phase::Run => "the whole run",
        Phase::Baseline => "the baseline",
        Phase::Climb => "the climb",
        Phase::Hold => "the hold",
        Phase::Stress => "the stress",
    }
}
