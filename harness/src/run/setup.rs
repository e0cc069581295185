//! A plan → its groups made, its actors started, in place, verified and waiting; or why not.
//!
//! An actor waits until its cgroup and its `oom_score_adj` have been verified; only then may it be released. What is not
//! as planned fails the set-up: a balloon in the wrong cgroup must never inflate.

pub(super) mod entry;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::actor::Actor;
use super::containment::{self, Containment, Inside};
use super::recorder::Recorder;
use super::signals::Asked;
use super::undo::{Step, Undo};
use super::{Paths, text};
use crate::cgroupfs::{self, CgroupPath};
use crate::plan::argv::filled;
use crate::plan::{Plan, PlannedActor, PlannedUnit};
use crate::property::UnitKind;
use crate::record::Event;
use crate::scenario::actor::Kind;
use crate::systemd::{self, Manager};
use balloon::status::{Page, Phase};

/// How long an actor may take to show up in its cgroup with its own `oom_score_adj`; in unit tests nobody comes late.
const PLACED_WITHIN: Duration = Duration::from_millis(if cfg!(test) { 50 } else { 10_000 });

/// Why a plan did not come up.
#[derive(Debug, thiserror::Error)]
pub(super) enum SetupError {
    /// A group is not there as planned.
    #[error(transparent)]
    Containment(Box<containment::Error>),
    /// The state of a unit could not be read.
    #[error("{unit} was started, but its state could not be read")]
    Unit {
        /// Its name.
        unit: String,
        /// What systemd says.
        #[source]
        source: systemd::Error,
    },
    /// A file or program could not be used.
    #[error("{what}")]
    Io {
        /// On what.
        what: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A status page could not be made.
    #[error("cannot create the status page of {actor}")]
    Page {
        /// The actor.
        actor: String,
        /// Why.
        #[source]
        source: balloon::status::PageError,
    },
    /// An actor is not as planned.
    #[error("{0}")]
    NotAsPlanned(String),
    /// It is not wanted any more.
    #[error("interrupted by signal {signal} during set-up")]
    Interrupted {
        /// The signal that asked for the end.
        signal: i32,
    },
    /// A cgroup could not be read.
    #[error("the cgroup of {unit} could not be read")]
    Cgroup {
        /// The unit.
        unit: String,
        /// Why.
        #[source]
        source: cgroupfs::Error,
    },
}

impl From<containment::Error> for SetupError {
    fn from(error: containment::Error) -> Self {
        Self::Containment(Box::new(error))
    }
}

pub(super) fn io_error(what: impl Into<String>) -> impl FnOnce(io::Error) -> SetupError {
    let what = what.into();
    move |source| SetupError::Io { what, source }
}

/// What a set-up works with.
pub(super) struct Site<'a> {
    /// The declared groups.
    pub(super) declared: &'a [PlannedUnit],
    pub(super) paths: &'a Paths,
    pub(super) systemd: &'a dyn Manager,
    pub(super) containment: &'a dyn Containment,
    pub(super) recorder: &'a Recorder,
    pub(super) undo: &'a mut Undo,
    pub(super) asked: &'a Asked,
}

impl<'a> Site<'a> {
    /// Starts every group and every actor, waiting and verified, in the order of the plan.
    pub(super) fn set_up<'p>(&mut self, plan: &'p Plan) -> Result<Vec<Actor<'p>>, SetupError> {
        let slices = plan.cgroups.iter().filter(|cgroup| cgroup.kind == UnitKind::Slice);
        for slice in std::iter::once(&plan.slice).chain(&plan.outer).chain(slices) {
            self.make(slice, Inside::Nobody)?;
        }
        let mut prepared = Vec::new();
        for actor in &plan.actors {
            prepared.push((actor, self.prepare(actor)?));
        }
        let mut actors = Vec::new();
        for (actor, page) in prepared {
            self.go_on()?;
            actors.push(Actor::waiting(actor, page, entry::of(actor.place).start(actor, self)?));
        }
        for actor in &actors {
            entry::of(actor.planned.place).enter(actor, &actors, self)?;
        }
        nobody_is_missing(plan)?;
        for actor in &mut actors {
            actor.cgroup = Some(self.verify(actor)?);
        }
        Ok(actors)
    }

    /// Makes a group of the plan and verifies its limits.
    pub(super) fn make(&mut self, unit: &PlannedUnit, inside: Inside<'_>) -> Result<(), SetupError> {
        self.containment.make(&unit.into(), inside, self.undo)?;
        self.verify_limits(unit)
    }

    /// Reads the limits of a group back from the kernel.
    pub(super) fn verify_limits(&self, unit: &PlannedUnit) -> Result<(), SetupError> {
        let values = containment::verified(unit, &self.paths.cgroups)?;
        self.recorder
            .record(Event::UnitStarted { unit: unit.unit.to_string(), cgroup: unit.cgroup.to_string() });
        self.recorder.record(Event::LimitsRead { cgroup: unit.name.to_string(), values });
        Ok(())
    }

    /// The declared unit that an actor lives in.
    pub(super) fn unit_of(&self, actor: &PlannedActor) -> Result<&'a PlannedUnit, SetupError> {
        let unit = self.declared.iter().find(|declared| declared.unit == actor.unit);
        unit.ok_or_else(|| SetupError::NotAsPlanned(format!("no {} is planned", actor.unit)))
    }

    fn go_on(&self) -> Result<(), SetupError> {
        self.asked.to_end().map_or(Ok(()), |signal| Err(SetupError::Interrupted { signal }))
    }

    /// Makes what an actor needs before it is started: its status page and its files.
    fn prepare(&mut self, actor: &PlannedActor) -> Result<Arc<Page>, SetupError> {
        self.go_on()?;
        let page = Page::create(&self.status_path(&actor.id))
            .map_err(|source| SetupError::Page { actor: actor.id.to_string(), source })?;
        if actor.file.is_some() || actor.cold_text {
            self.make_data(actor)?;
        }
        Ok(Arc::new(page))
    }

    pub(super) fn status_path(&self, id: &str) -> PathBuf {
        self.undo.dir().join(format!("{id}.status"))
    }

    fn data_dir(&self) -> PathBuf {
        self.paths.data.join(self.undo.origin().run())
    }

    /// Files for writers and readers, and cold copies of programs, on a disk and out of the page cache.
    fn make_data(&mut self, actor: &PlannedActor) -> Result<(), SetupError> {
        let dir = self.data_dir();
        if !dir.exists() {
            self.undo.before(Step::RemoveTree(dir.clone())).map_err(io_error("the undo journal"))?;
            fs::create_dir_all(&dir).map_err(io_error(dir.display().to_string()))?;
        }
        // Balloons and writers make their file themselves, and take none that is there already.
        if let (Some(bytes), Kind::Reader) = (actor.file, actor.kind) {
            let path = dir.join(format!("{}.data", actor.id));
            let written = text::cold_file(&path, bytes, &|| self.asked.to_end().is_none());
            self.go_on()?;
            written.map_err(io_error(path.display().to_string()))?;
        }
        if actor.cold_text {
            let path = dir.join(format!("{}.text", actor.id));
            text::cold_copy(&self.program(actor), &path).map_err(io_error(path.display().to_string()))?;
        }
        Ok(())
    }

    pub(super) fn program(&self, actor: &PlannedActor) -> PathBuf {
        self.paths.programs.join(&actor.argv[0])
    }

    /// The command line with the run's directories filled in.
    pub(super) fn arguments(&self, actor: &PlannedActor) -> Vec<String> {
        let status = self.status_path(&actor.id).display().to_string();
        let data = self.data_dir().join(actor.id.as_str()).display().to_string();
        filled(&actor.argv[1..], &status, &data)
    }

    /// Waits until an actor is where it is expected, with the `oom_score_adj` it should have, and returns where that is.
    pub(super) fn verify(&self, actor: &Actor<'_>) -> Result<CgroupPath, SetupError> {
        let planned = actor.planned;
        let (pid, proc) = (actor.process.pid(), self.paths.root.join("proc"));
        let own = proc.join(pid.to_string());
        let began = Instant::now();
        loop {
            self.go_on()?;
            let cgroup = cgroupfs::cgroup_of(&proc, pid)
                .map_err(|source| SetupError::Cgroup { unit: planned.unit.to_string(), source })?;
            let adj = number(&own.join("oom_score_adj"))?;
            let waits = actor.page.snapshot().phase() == Some(Phase::Waiting);
            if planned.cgroup.allows(&cgroup) && adj == planned.oom_score_adj && waits {
                let comm = fs::read_to_string(own.join("comm")).unwrap_or_default();
                // All that was read of this number was its own only if it has lived until now.
                if !actor.process.runs() {
                    return Err(SetupError::NotAsPlanned(format!(
                        "{} ended while waiting for its release",
                        planned.id
                    )));
                }
                self.recorder.record(Event::ActorPlaced {
                    actor: planned.id.to_string(),
                    pid,
                    cgroup: cgroup.to_string(),
                    oom_score_adj: adj,
                    comm: comm.trim_end_matches('\n').to_owned(),
                });
                return Ok(cgroup);
            }
            if began.elapsed() > PLACED_WITHIN {
                return Err(SetupError::NotAsPlanned(format!(
                    "{} is in {cgroup} with oom_score_adj {adj}, expected {} with {}",
                    planned.id, planned.cgroup, planned.oom_score_adj
                )));
            }
            std::thread::sleep(Duration::from_millis(2));
        }
    }
}

/// A unit that begins with an actor in it was not made when there is none.
fn nobody_is_missing(plan: &Plan) -> Result<(), SetupError> {
    let mut units = plan.cgroups.iter().filter(|cgroup| cgroup.kind != UnitKind::Slice);
    let empty = units.find(|unit| plan.actors.iter().all(|actor| actor.unit != unit.unit));
    empty.map_or(Ok(()), |unit| Err(SetupError::NotAsPlanned(format!("{} needs an actor in it", unit.unit))))
}

fn number(path: &Path) -> Result<i32, SetupError> {
    let text = fs::read_to_string(path).map_err(io_error(path.display().to_string()))?;
    text.trim().parse().map_err(|_| SetupError::NotAsPlanned(format!("{} holds {text:?}", path.display())))
}
