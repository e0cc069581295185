//! The OOM killers in user space: what they log and dump in a run, and those that the scenario brings itself.
//!
//! The journal and `oomctl` are asked before and after the stress, never in it: they are processes that need memory.

mod hearing;

use std::collections::BTreeSet;
use std::process::Command;
use std::time::Duration;

use super::clock::now_us;
use super::containment::{Containment, Group, Inside, Systemd};
use super::readings;
use super::recorder::Recorder;
use super::undo::Undo;
use crate::deadline;
use crate::error::chain;
use crate::journal::{Journal, Reading, Stretch};
use crate::killer::{self, Daemon, oomd};
use crate::plan::{Moment, Plan, PlannedDaemon};
use crate::record::Event;
use crate::record::event::When;
use crate::systemd::Manager;

/// How long `oomctl` may take.
const DUMP_WITHIN: Duration = Duration::from_secs(5);

/// Follows the daemons of a run.
#[derive(Debug)]
pub struct Daemons {
    stretch: Option<Stretch>,
    followed: Vec<Followed>,
    /// What has been told of units that cannot be heard.
    told: BTreeSet<(String, String)>,
}

/// A daemon whose words are evidence.
#[derive(Debug)]
struct Followed {
    daemon: &'static Daemon,
    plan: PlannedDaemon,
    started_us: Option<u64>,
    stopped: bool,
}

impl Daemons {
    /// Begins to follow: the journal from here on is read afterwards.
    #[must_use]
    pub fn begin(plan: &Plan, journal: &Journal, recorder: &Recorder) -> Self {
        let follow = |plan: &PlannedDaemon| {
            let daemon = killer::daemon(plan.killer)?;
            Some(Followed { daemon, plan: plan.clone(), started_us: None, stopped: false })
        };
        let followed: Vec<Followed> = plan.daemons.iter().filter_map(follow).collect();
        let stretch = if followed.is_empty() {
            None
        } else {
            journal.begin(&plan.run).map_err(|error| recorder.trouble("journal", &error)).ok()
        };
        Self { stretch, followed, told: BTreeSet::new() }
    }

    /// Records which of the running daemons cannot be heard, each reason once.
    fn listen(&mut self, systemd: &dyn Manager, recorder: &Recorder) {
        for Followed { daemon, plan: PlannedDaemon { unit, .. }, .. } in &self.followed {
            // One that does not run is not asked: `systemctl service-log-level` would start it.
            let why = match systemd.unit(unit) {
                Ok(state) if state.is_active() => hearing::muted(unit, daemon.voice, systemd),
                Ok(_) => Vec::new(),
                Err(error) => vec![format!("its state could not be read: {}", chain(&error))],
            };
            tell(&mut self.told, unit, why, recorder);
        }
    }

    /// Records what systemd-oomd says it watches.
    pub fn dump(&self, recorder: &Recorder) {
        if !self.followed.iter().any(|followed| followed.daemon.killer == oomd::DAEMON.killer) {
            return;
        }
        match deadline::output(&mut Command::new("oomctl"), DUMP_WITHIN) {
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

    /// Starts those of the scenario's own whose moment has come.
    pub fn reach(&mut self, moment: Moment, systemd: &dyn Manager, undo: &mut Undo, recorder: &Recorder) {
        for Followed { daemon, plan, started_us, .. } in &mut self.followed {
            let Some(start) = plan.start.as_ref().filter(|start| start.release == moment) else { continue };
            if started_us.is_some() {
                continue;
            }
            *started_us = Some(now_us());
            let unit = &plan.unit;
            let group = Group { unit, slice: &start.slice, properties: &start.properties };
            match Systemd(systemd).make(&group, Inside::Program(&start.argv), undo) {
                Ok(()) => {
                    recorder.record(Event::UnitStarted {
                        unit: unit.to_string(),
                        cgroup: start.cgroup.to_string(),
                    });
                    readings::unit(unit, systemd, recorder, When::Before);
                    tell(&mut self.told, unit, hearing::muted(unit, daemon.voice, systemd), recorder);
                }
                Err(error) => recorder.trouble(unit, &error),
            }
        }
    }

    /// Stops those of the scenario's own whose time is over.
    pub fn expire(&mut self, now_us: u64, systemd: &dyn Manager, recorder: &Recorder) {
        for Followed { plan, started_us, stopped, .. } in &mut self.followed {
            let span = plan.start.as_ref().and_then(|start| start.for_us);
            let over = started_us.zip(span).is_some_and(|(at, span)| now_us.saturating_sub(at) >= span);
            if over && !*stopped {
                *stopped = true;
                if let Err(error) = systemd.stop(&plan.unit) {
                    recorder.trouble(&plan.unit, &error);
                }
            }
        }
    }

    /// Records everything that the daemons logged since the beginning, and which of them could not be heard.
    pub fn collect(&mut self, systemd: &dyn Manager, recorder: &Recorder) {
        self.listen(systemd, recorder);
        let Some(stretch) = &self.stretch else { return };
        let units: Vec<&str> = self.followed.iter().map(|followed| followed.plan.unit.as_str()).collect();
        match stretch.end(&units) {
            Ok(reading) => self.record(reading, recorder),
            Err(error) => recorder.record(Event::Trouble { step: "journal".into(), error: chain(&error) }),
        }
    }

    fn record(&mut self, reading: Reading, recorder: &Recorder) {
        for Followed { plan: PlannedDaemon { unit, .. }, .. } in &self.followed {
            let dropped = reading.suppressed.iter().filter(|(of, _)| unit.as_str() == of);
            let dropped = dropped.map(|(_, words)| format!("journald says: {words}"));
            let unread = (reading.unreadable > 0)
                .then(|| format!("{} entries of the journal could not be parsed", reading.unreadable));
            tell(&mut self.told, unit, dropped.chain(unread), recorder);
        }
        let mut lines = 0;
        for line in reading.lines {
            if let Some(Followed { daemon, plan, .. }) =
                self.followed.iter().find(|followed| followed.plan.unit.as_str() == line.unit)
            {
                let (daemon, unit) = (daemon.killer.word().to_owned(), Some(plan.unit.to_string()));
                recorder.record_at(line.at_us, Event::DaemonLine { daemon, unit, line: line.message });
                lines += 1;
            }
        }
        recorder.record(Event::DaemonLogRead { lines });
    }
}

/// Records why a unit cannot be heard, unless that has been told.
fn tell(
    told: &mut BTreeSet<(String, String)>,
    unit: &str,
    why: impl IntoIterator<Item = String>,
    recorder: &Recorder,
) {
    for why in why {
        if told.insert((unit.to_owned(), why.clone())) {
            recorder.record(Event::DaemonMuted { unit: unit.to_owned(), why });
        }
    }
}
