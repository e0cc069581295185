//! The userspace OOM killers of a run: what systemd-oomd and earlyoom log and dump, and an earlyoom of the scenario's own.
//!
//! The journal and `oomctl` are asked before and after the stress, never in it: they are processes that need memory.

use std::process::Command;
use std::time::Duration;

use super::clock::now_us;
use super::recorder::{Recorder, chain};
use super::undo::Undo;
use crate::journal::Cursor;
use crate::plan::{Moment, Plan, PlannedEarlyoom};
use crate::record::Event;
use crate::systemd::Manager;

/// The unit of systemd-oomd.
const OOMD: &str = "systemd-oomd.service";
/// The unit of the machine's own earlyoom.
const EARLYOOM: &str = "earlyoom.service";
/// How long the journal may take to hold what was just logged.
const JOURNAL_LAG: Duration = Duration::from_millis(200);

/// Follows the daemons of a run.
#[derive(Debug)]
pub struct Daemons {
    cursor: Option<Cursor>,
    units: Vec<(&'static str, String)>,
    oomd: bool,
    earlyoom: Option<Started>,
}

/// An earlyoom of the scenario's own.
#[derive(Debug)]
struct Started {
    plan: PlannedEarlyoom,
    started_us: Option<u64>,
    stopped: bool,
}

impl Daemons {
    /// Takes the cursor from which the journal is read afterwards.
    #[must_use]
    pub fn begin(plan: &Plan, recorder: &Recorder) -> Self {
        let mut units = Vec::new();
        if plan.daemons.oomd {
            units.push(("systemd-oomd", OOMD.to_owned()));
        }
        if plan.daemons.machine_earlyoom {
            units.push(("earlyoom", EARLYOOM.to_owned()));
        }
        let earlyoom = plan.daemons.earlyoom.clone();
        if let Some(earlyoom) = &earlyoom {
            units.push(("earlyoom", earlyoom.unit.clone()));
        }
        let cursor = if units.is_empty() {
            None
        } else {
            Cursor::now().map_err(|error| recorder.trouble("journal", &error)).ok()
        };
        let earlyoom = earlyoom.map(|plan| Started { plan, started_us: None, stopped: false });
        Self { cursor, units, oomd: plan.daemons.oomd, earlyoom }
    }

    /// Records what systemd-oomd says it watches.
    pub fn dump(&self, recorder: &Recorder) {
        if !self.oomd {
            return;
        }
        match Command::new("oomctl").output() {
            Ok(output) if output.status.success() => {
                let text = String::from_utf8_lossy(&output.stdout).into_owned();
                recorder.record(Event::OomdDump { text });
            }
            Ok(output) => {
                let error = String::from_utf8_lossy(&output.stderr).trim().to_owned();
                recorder.record(Event::Trouble { step: "oomctl".into(), error });
            }
            Err(error) => recorder.trouble("oomctl", &error),
        }
    }

    /// Starts the scenario's earlyoom when its moment has come.
    pub fn reach(&mut self, moment: Moment, systemd: &dyn Manager, undo: &mut Undo, recorder: &Recorder) {
        let Some(started) = &mut self.earlyoom else { return };
        if started.plan.release != moment || started.started_us.is_some() {
            return;
        }
        started.started_us = Some(now_us());
        let plan = &started.plan;
        let properties = match undo.before_unit(&plan.unit, &plan.slice, &plan.properties, systemd) {
            Ok(properties) => properties,
            Err(error) => return recorder.trouble(&plan.unit, &error),
        };
        match systemd.start_service(&plan.unit, &plan.slice, &plan.argv, &[], &properties) {
            Ok(()) => {
                recorder.record(Event::UnitStarted { unit: plan.unit.clone(), cgroup: plan.cgroup.clone() });
            }
            Err(error) => recorder.trouble(&plan.unit, &error),
        }
    }

    /// Stops the scenario's earlyoom when its time is over.
    pub fn expire(&mut self, now_us: u64, systemd: &dyn Manager, recorder: &Recorder) {
        let Some(started) = &mut self.earlyoom else { return };
        let over = started
            .started_us
            .zip(started.plan.for_us)
            .is_some_and(|(at, span)| now_us.saturating_sub(at) >= span);
        if over && !started.stopped {
            started.stopped = true;
            if let Err(error) = systemd.stop(&started.plan.unit) {
                recorder.trouble(&started.plan.unit, &error);
            }
        }
    }

    /// Records everything that the daemons logged since the beginning.
    pub fn collect(&self, recorder: &Recorder) {
        let Some(cursor) = &self.cursor else { return };
        std::thread::sleep(JOURNAL_LAG);
        let names: Vec<&str> = self.units.iter().map(|(_, unit)| unit.as_str()).collect();
        match cursor.since(&names) {
            Ok(lines) => {
                let read = lines.len() as u64;
                for line in lines {
                    if let Some((daemon, unit)) = self.units.iter().find(|(_, unit)| *unit == line.unit) {
                        let event = Event::DaemonLine {
                            daemon: (*daemon).to_owned(),
                            unit: Some(unit.clone()),
                            line: line.message,
                        };
                        recorder.record_at(line.at_us, event);
                    }
                }
                recorder.record(Event::DaemonLogRead { lines: read });
            }
            Err(error) => recorder.record(Event::Trouble { step: "journal".into(), error: chain(&error) }),
        }
    }
}
