//! The userspace OOM killers of a run: what systemd-oomd and earlyoom log and dump, and an earlyoom of the scenario's own.
//!
//! The journal and `oomctl` are asked before and after the stress, never in it: they are processes that need memory.

mod hearing;

use std::collections::BTreeSet;
use std::process::Command;
use std::time::Duration;

use super::clock::now_us;
use super::readings;
use super::recorder::{Recorder, chain};
use super::undo::Undo;
use crate::deadline;
use crate::journal::{Journal, Reading, Stretch};
use crate::killer::{Daemon, earlyoom, oomd};
use crate::plan::{Moment, Plan, PlannedEarlyoom};
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
    oomd: bool,
    earlyoom: Option<Started>,
    /// What has been told of units that cannot be heard.
    told: BTreeSet<(String, String)>,
}

/// A daemon whose words are evidence.
#[derive(Debug)]
struct Followed {
    daemon: &'static Daemon,
    unit: String,
}

/// An earlyoom of the scenario's own.
#[derive(Debug)]
struct Started {
    plan: PlannedEarlyoom,
    started_us: Option<u64>,
    stopped: bool,
}

impl Daemons {
    /// Begins to follow: the journal from here on is read afterwards.
    #[must_use]
    pub fn begin(plan: &Plan, journal: &Journal, recorder: &Recorder) -> Self {
        let mut followed = Vec::new();
        if plan.daemons.oomd {
            followed.push(Followed { daemon: &oomd::DAEMON, unit: oomd::DAEMON.unit.to_owned() });
        }
        let own = plan.daemons.earlyoom.clone();
        let machine = plan.daemons.machine_earlyoom.then(|| earlyoom::DAEMON.unit.to_owned());
        for unit in machine.into_iter().chain(own.iter().map(|own| own.unit.clone())) {
            followed.push(Followed { daemon: &earlyoom::DAEMON, unit });
        }
        let stretch = if followed.is_empty() {
            None
        } else {
            journal.begin(&plan.run).map_err(|error| recorder.trouble("journal", &error)).ok()
        };
        let earlyoom = own.map(|plan| Started { plan, started_us: None, stopped: false });
        Self { stretch, followed, oomd: plan.daemons.oomd, earlyoom, told: BTreeSet::new() }
    }

    /// Records which of the running daemons cannot be heard, each reason once.
    fn listen(&mut self, systemd: &dyn Manager, recorder: &Recorder) {
        for Followed { unit, daemon } in &self.followed {
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
        if !self.oomd {
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
                readings::unit(&plan.unit, systemd, recorder, When::Before);
                let why = hearing::muted(&plan.unit, earlyoom::DAEMON.voice, systemd);
                tell(&mut self.told, &plan.unit, why, recorder);
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

    /// Records everything that the daemons logged since the beginning, and which of them could not be heard.
    pub fn collect(&mut self, systemd: &dyn Manager, recorder: &Recorder) {
        self.listen(systemd, recorder);
        let Some(stretch) = &self.stretch else { return };
        let units: Vec<&str> = self.followed.iter().map(|followed| followed.unit.as_str()).collect();
        match stretch.end(&units) {
            Ok(reading) => self.record(reading, recorder),
            Err(error) => recorder.record(Event::Trouble { step: "journal".into(), error: chain(&error) }),
        }
    }

    fn record(&mut self, reading: Reading, recorder: &Recorder) {
        for Followed { unit, .. } in &self.followed {
            let dropped = reading.suppressed.iter().filter(|(of, _)| of == unit);
            let dropped = dropped.map(|(_, words)| format!("journald says: {words}"));
            let unread = (reading.unreadable > 0)
                .then(|| format!("{} entries of the journal could not be understood", reading.unreadable));
            tell(&mut self.told, unit, dropped.chain(unread), recorder);
        }
        let mut lines = 0;
        for line in reading.lines {
            if let Some(Followed { daemon, unit }) =
                self.followed.iter().find(|followed| followed.unit == line.unit)
            {
                let (daemon, unit) = (daemon.killer.word().to_owned(), Some(unit.clone()));
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
