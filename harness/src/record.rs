//! Everything observed in one run of one scenario, as it is on disk. It holds no verdict.
//!
//! A run directory holds `record.json` (the head: plan, host, scenario text), `events.jsonl` (one event a line,
//! written as it happens), `samples.jsonl` (a line of column names, then one array a tick) and `kmsg.log`
//! (the kernel log of the run, as read). The judge needs nothing else.

pub mod event;
pub(crate) mod load;
mod older;
pub mod samples;
pub mod store;

use std::path::Path;

use reports::case_id::{CaseId, HOST};
use serde::{Deserialize, Serialize};

use crate::host::HostFacts;
use crate::plan::Plan;
pub use event::{Event, Stamped};
pub use samples::Samples;

/// The version of the record format. A reader refuses any other.
pub const SCHEMA: u32 = 1;

/// What was added to that version. From 1 on a record holds the times at which probes began, the limits and the machine as
/// read again after the stress, the unit behind each daemon's line, and the states of processes; in a record of minor 0
/// their absence says nothing. From 2 on units' properties stand as in a unit file, and actors say how many processes they
/// have.
pub const MINOR: u32 = 2;

/// The head of a record: what was about to be done, and on what machine.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Head {
    /// Always [`SCHEMA`].
    pub schema: u32,
    /// [`MINOR`] of the writer; 0 where it is not said.
    #[serde(default)]
    pub minor: u32,
    /// The version of bulkhead that wrote it.
    pub tool_version: String,
    /// Which case this is; none in records of minor 0, where [`Head::id`] puts it together.
    #[serde(default)]
    pub case: Option<CaseId>,
    /// Wall clock at the start, Unix seconds.
    pub started: u64,
    /// The scenario file as written.
    pub scenario_text: String,
    /// The resolved plan; none when the run did not get that far.
    pub plan: Option<Plan>,
    /// The machine; none when it could not be asked.
    pub host: Option<HostFacts>,
    /// Scenario id.
    pub scenario: String,
    /// Title of the scenario.
    pub title: String,
    /// Where the claim comes from.
    pub source: String,
    /// Twin id, when this is a twin.
    pub twin: Option<String>,
    /// Expectations that the twin must turn red.
    pub must_fail: Vec<String>,
    /// Expectations that only the twin has, and that must hold in it.
    pub must_hold: Vec<String>,
    /// The throwaway guest it ran in, when it did.
    pub guest: Option<GuestFacts>,
}

impl Head {
    /// Which case this is a record of.
    #[must_use]
    pub fn id(&self) -> CaseId {
        self.case.clone().unwrap_or_else(|| CaseId {
            machine: self.guest.as_ref().map_or_else(|| HOST.into(), |guest| guest.name.clone()),
            scenario: self.scenario.clone(),
            twin: self.twin.clone(),
            policy: None,
            tree: None,
            run: 1,
        })
    }
}

/// The throwaway VM of a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GuestFacts {
    /// `bookworm` or `trixie`.
    pub name: String,
    /// `kvm` or `tcg`.
    pub accelerator: String,
    /// How long the threads of the guest's QEMU together waited for a processor of this machine, in percent of the run's
    /// time; none when it was not measured.
    pub waited_percent: Option<u64>,
}

/// A whole record, read back from disk.
#[derive(Debug, Clone, PartialEq)]
pub struct Record {
    /// The head.
    pub head: Head,
    /// Events in the order they were written.
    pub events: Vec<Stamped>,
    /// The samples.
    pub samples: Samples,
    /// What could not be read of it, one sentence each. Nothing is known of what followed there.
    pub damage: Vec<String>,
}

impl Record {
    /// Reads a run directory: its events and samples up to the first line that is damaged.
    ///
    /// # Errors
    /// A missing, damaged or foreign head, with its path, line and the fix.
    pub fn load(dir: &Path) -> Result<Self, store::StoreError> {
        load::load(dir)
    }
}
