//! One case → a record on disk, on this machine or in a throwaway VM.

pub mod forward;
pub mod frame;
pub mod host;
pub mod job;
pub mod receive;
pub mod vm;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use reports::case_id::{CaseId, HOST};

use crate::record::event::EndReason;
use crate::record::store::{EVENTS, Store, StoreError};
use crate::record::{Event, GuestFacts, Head, MINOR, SCHEMA, Stamped, load};
use crate::run::clock::now_us;
use crate::scenario::{Scenario, Twin, UnknownTwin};

/// One scenario, as written or as one of its twins, to be run once.
#[derive(Debug, Clone)]
pub struct Case {
    /// The scenario as written.
    pub scenario: Arc<Scenario>,
    /// The twin to run instead.
    pub twin: Option<String>,
    /// Which of several runs, from 1.
    pub run: u32,
}

impl Case {
    /// Its identity on a guest, or on this machine itself.
    #[must_use]
    pub fn id(&self, guest: Option<&str>) -> CaseId {
        CaseId {
            machine: guest.unwrap_or(HOST).into(),
            scenario: self.scenario.id.to_string(),
            twin: self.twin.clone(),
            policy: None,
            tree: None,
            run: self.run,
        }
    }

    /// The twin to run, as the file declares it.
    fn written_twin(&self) -> Option<&Twin> {
        let id = self.twin.as_deref()?;
        self.scenario.twins.iter().find(|twin| twin.id == *id)
    }

    /// The scenario to run: as written, or with the twin's changes.
    ///
    /// # Errors
    /// When the scenario has no such twin.
    pub fn to_run(&self) -> Result<Scenario, UnknownTwin> {
        match &self.twin {
            None => Ok((*self.scenario).clone()),
            Some(twin) => self.scenario.twin(twin),
        }
    }

    /// How long it may take, and how long it is watched at most.
    #[must_use]
    pub fn length(&self) -> (Duration, Duration) {
        let scenario = &self.scenario;
        let observe = self.written_twin().and_then(|twin| twin.observe).unwrap_or(scenario.observe);
        (scenario.deadline.duration(), observe.plus(scenario.baseline).duration())
    }

    /// The head of its record, before anything is known of the machine.
    #[must_use]
    pub fn head(&self, guest: Option<GuestFacts>) -> Head {
        let scenario = &self.scenario;
        let twin = self.written_twin();
        let must_fail = twin.map(|twin| twin.must_fail.iter().map(ToString::to_string).collect());
        let must_hold = twin.map(|twin| twin.expects.iter().map(|expect| expect.id.to_string()).collect());
        Head {
            schema: SCHEMA,
            minor: MINOR,
            tool_version: env!("CARGO_PKG_VERSION").into(),
            case: Some(self.id(guest.as_ref().map(|guest| guest.name.as_str()))),
            started: std::time::SystemTime::now()
                .duration_since(std::time::UNIX_EPOCH)
                .map_or(0, |since| since.as_secs()),
            scenario_text: scenario.file.text.to_string(),
            plan: None,
            host: None,
            scenario: scenario.id.to_string(),
            title: scenario.title.clone(),
            source: scenario.source.clone(),
            twin: self.twin.clone(),
            must_fail: must_fail.unwrap_or_default(),
            must_hold: must_hold.unwrap_or_default(),
            guest,
        }
    }
}

/// Writes a record that ends before it began: skipped, refused, or the machine was lost.
///
/// # Errors
/// When it cannot be written.
pub fn write_end(dir: &Path, head: &Head, reason: EndReason) -> Result<(), StoreError> {
    let store = if dir.exists() { Store::reopen(dir)? } else { Store::create(dir)? };
    if !dir.join("record.json").exists() {
        store.write_head(head)?;
    }
    append(dir, Event::Ended { reason })
}

/// Adds to a record what is learnt after the run, at the time of its last event: other clocks than that of the machine it
/// ran on would not fit in.
///
/// # Errors
/// When it cannot be written.
pub fn append(dir: &Path, event: Event) -> Result<(), StoreError> {
    let last = load::load_events(&dir.join(EVENTS), &mut Vec::new()).last().map(|stamped| stamped.at_us);
    Store::reopen(dir)?.append(&Stamped { at_us: last.unwrap_or_else(now_us), event })
}
