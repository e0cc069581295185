//! Starts the units and the actors of a plan, verifies where each one really is, and follows them to their end.
//!
//! An actor waits until its cgroup and its `oom_score_adj` have been verified; only then is it released. What is not
//! as planned fails the set-up: a balloon in the wrong cgroup must never inflate.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::clock::now_us;
use super::recorder::Recorder;
use super::signals::Asked;
use super::undo::{self, Step, Undo};
use super::{Paths, text};
use crate::cgroupfs::{self, CgroupDir, CgroupPath, KillSwitch};
use crate::plan::argv::filled;
use crate::plan::{Place, Plan, PlannedActor, PlannedUnit, Release, UnitKind};
use crate::process::Held;
use crate::record::Event;
use crate::record::event::{ActorEnd, ActorStatus, Mark};
use crate::systemd::{self, Manager};
use balloon::status::{Kind, Page, Phase};

/// How long an actor may take to show up in its cgroup with its own `oom_score_adj`.
const PLACED_WITHIN: Duration = Duration::from_secs(10);

/// How long a released bystander may take to begin its work. One that takes longer shows in what it measures.
const WORKING_WITHIN: Duration = Duration::from_secs(5);

/// How long a killed child may take to be gone.
const REAPED_WITHIN: Duration = Duration::from_secs(1);

/// Why a plan did not come up.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    /// systemd refused a unit.
    #[error("{unit} did not start")]
    Unit {
        /// Its name.
        unit: String,
        /// What systemd says.
        #[source]
        source: systemd::Error,
    },
    /// A unit may not be made here.
    #[error(transparent)]
    Refused(#[from] undo::Refused),
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
    #[error("the status page of {actor} could not be made")]
    Page {
        /// The actor.
        actor: String,
        /// Why.
        #[source]
        source: balloon::status::PageError,
    },
    /// The kernel does not hold what was planned.
    #[error("{0}")]
    NotAsPlanned(String),
    /// It is not wanted any more.
    #[error("signal {signal} ended it before it was set up")]
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

fn io_error(what: impl Into<String>) -> impl FnOnce(io::Error) -> SetupError {
    let what = what.into();
    move |source| SetupError::Io { what, source }
}

/// One started actor.
#[derive(Debug)]
struct Actor {
    id: String,
    page: Arc<Page>,
    pid: u32,
    /// None until its pid is known.
    held: Option<Held>,
    /// None when PID 1 started it.
    child: Option<Child>,
    balloon: bool,
    release: Release,
    delay_us: u64,
    released: bool,
    ended: bool,
}

/// The actors of a run.
#[derive(Debug)]
pub struct Actors {
    actors: Vec<Actor>,
    /// Where the run's processes are killed at once when it is aborted.
    switches: Arc<Vec<KillSwitch>>,
}

impl Actors {
    /// Starts every unit and every actor, waiting and verified.
    ///
    /// # Errors
    /// When anything is not as planned. What was started until then stands in the undo journal.
    pub fn set_up(
        plan: &Plan,
        paths: &Paths,
        systemd: &dyn Manager,
        recorder: &Recorder,
        undo: &mut Undo,
        asked: &Asked,
    ) -> Result<Self, SetupError> {
        let mut setup = Setup { plan, paths, systemd, recorder, undo, asked, actors: Vec::new() };
        for slice in std::iter::once(&plan.slice).chain(&plan.outer) {
            setup.unit(slice)?;
        }
        for cgroup in plan.cgroups.iter().filter(|cgroup| cgroup.kind == UnitKind::Slice) {
            setup.unit(cgroup)?;
        }
        for actor in &plan.actors {
            setup.prepare(actor)?;
        }
        setup.place_all()?;
        let mut actors = setup.actors;
        actors.sort_by_key(|actor| plan.actors.iter().position(|planned| planned.id == actor.id));
        Ok(Self { switches: Arc::new(switches(plan, paths)), actors })
    }

    /// The status pages by actor id, in the order of the plan.
    #[must_use]
    pub fn pages(&self) -> Vec<(String, Arc<Page>)> {
        self.actors.iter().map(|actor| (actor.id.clone(), Arc::clone(&actor.page))).collect()
    }

    /// Releases the actors of a part of the run whose delay has passed since it began, µs.
    pub fn release_due(&mut self, part: Release, began: u64, recorder: &Recorder) {
        let now = now_us();
        for actor in self.actors.iter_mut().filter(|actor| actor.release == part && !actor.released) {
            if now.saturating_sub(began) >= actor.delay_us {
                actor.released = true;
                recorder.record(Event::ActorReleased { actor: actor.id.clone() });
                actor.page.release();
            }
        }
    }

    /// Waits until every released bystander does what it is there for: a server listens, a heart beats.
    pub fn wait_until_working(&self, asked: &Asked) {
        let began = Instant::now();
        let working = |actor: &Actor| {
            let page = actor.page.snapshot();
            let listens = page.kind() != Some(Kind::TcpServer) || page.port != 0;
            !actor.released || actor.balloon || (page.phase() >= Some(Phase::Climbing) && listens)
        };
        let patient = || asked.to_end().is_none() && began.elapsed() < WORKING_WITHIN;
        while !self.actors.iter().all(working) && patient() {
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    /// Learns which actors have ended.
    pub fn reap(&mut self, recorder: &Recorder) {
        for actor in self.actors.iter_mut().filter(|actor| !actor.ended) {
            if let Some(end) = actor.poll_end() {
                actor.ended = true;
                recorder.record(Event::ActorEnded { actor: actor.id.clone(), end });
            }
        }
    }

    /// Whether the stress is over: every balloon that belongs to it has ended. One that is released with the bystanders
    /// is one of them.
    #[must_use]
    pub fn balloons_ended(&self) -> bool {
        let stress = |actor: &&Actor| actor.balloon && actor.release == Release::Stress;
        let mut balloons = self.actors.iter().filter(stress).peekable();
        balloons.peek().is_some() && balloons.all(|actor| actor.ended)
    }

    /// Records which actors are still the same running process.
    pub fn record_alive(&self, root: &Path, recorder: &Recorder) {
        let proc = root.join("proc");
        for actor in self.actors.iter().filter(|actor| !actor.ended && actor.runs()) {
            let state = actor.held.as_ref().and_then(|held| held.state(&proc));
            recorder.record(Event::ActorAlive { actor: actor.id.clone(), pid: actor.pid, state });
        }
    }

    /// Records what every status page says.
    pub fn record_status(&self, at: Mark, recorder: &Recorder) {
        for actor in &self.actors {
            let page = actor.page.snapshot();
            let status = ActorStatus {
                touched: page.touched,
                steps: page.steps,
                step_max_ns: page.step_max_ns,
                gap_max_ns: page.gap_max_ns,
                gaps: page.gaps.to_vec(),
                accepted: page.accepted,
                wakeups: page.wakeups,
                error: Some(page.text().to_owned()).filter(|text| !text.is_empty()),
            };
            recorder.record(Event::ActorStatus { actor: actor.id.clone(), at, status });
        }
    }

    /// What kills everything at once, without waiting for PID 1.
    #[must_use]
    pub fn switches(&self) -> &Arc<Vec<KillSwitch>> {
        &self.switches
    }
}

impl Actor {
    fn poll_end(&mut self) -> Option<ActorEnd> {
        match &mut self.child {
            Some(child) => child.try_wait().ok().flatten().map(how),
            // PID 1 is its parent: only that it is gone can be seen from here.
            None => (!self.runs()).then_some(ActorEnd::Unknown),
        }
    }

    fn runs(&self) -> bool {
        self.held.as_ref().is_some_and(Held::runs)
    }
}

impl Drop for Actor {
    fn drop(&mut self) {
        // A child that waits for its release, after a failed set-up. The others are taken down with their units.
        if let Some(child) = &mut self.child
            && !self.ended
        {
            let _ = child.kill();
            // Bounded: one that hangs in the kernel must not keep the rest from being undone.
            let began = Instant::now();
            while matches!(child.try_wait(), Ok(None)) && began.elapsed() < REAPED_WITHIN {
                std::thread::sleep(Duration::from_millis(2));
            }
        }
    }
}

fn how(status: ExitStatus) -> ActorEnd {
    match (status.code(), status.signal()) {
        (Some(code), _) => ActorEnd::Exited(code),
        (None, Some(signal)) => ActorEnd::Signalled(signal),
        (None, None) => ActorEnd::Unknown,
    }
}

fn switches(plan: &Plan, paths: &Paths) -> Vec<KillSwitch> {
    let own = std::iter::once(&plan.slice).chain(&plan.outer).map(|unit| unit.cgroup.as_str());
    let is_outside = |path: &&str| {
        !own.clone().any(|own| path.strip_prefix(own).is_some_and(|rest| rest.starts_with('/')))
    };
    let outside = plan.actors.iter().map(|actor| actor.cgroup.path().as_str()).filter(is_outside);
    own.clone()
        .chain(outside)
        .filter_map(|path| path.parse::<CgroupPath>().ok())
        .filter_map(|path| CgroupDir::open(&paths.cgroups, &path).ok())
        .filter_map(|cgroup| KillSwitch::open(&cgroup).ok())
        .collect()
}

/// The set-up under way.
struct Setup<'a> {
    plan: &'a Plan,
    paths: &'a Paths,
    systemd: &'a dyn Manager,
    recorder: &'a Recorder,
    undo: &'a mut Undo,
    asked: &'a Asked,
    actors: Vec<Actor>,
}

impl Setup<'_> {
    /// Starts a slice and verifies its limits in the kernel.
    fn unit(&mut self, unit: &PlannedUnit) -> Result<(), SetupError> {
        let properties = self.undo.before_unit(&unit.unit, &unit.unit, &unit.properties, self.systemd)?;
        self.systemd
            .start_slice(&unit.unit, &properties)
            .map_err(|source| SetupError::Unit { unit: unit.unit.clone(), source })?;
        self.verify_limits(unit)
    }

    fn verify_limits(&self, unit: &PlannedUnit) -> Result<(), SetupError> {
        let dir = self.paths.cgroups.join(unit.cgroup.trim_start_matches('/'));
        let mut values = BTreeMap::new();
        for (file, planned) in &unit.limits {
            let path = dir.join(file);
            let found = fs::read_to_string(&path).map_err(io_error(path.display().to_string()))?;
            let found = found.trim().to_owned();
            if found != *planned {
                return Err(SetupError::NotAsPlanned(format!(
                    "{}: {file} is {found}, planned is {planned}",
                    unit.unit
                )));
            }
            values.insert(file.clone(), found);
        }
        self.recorder.record(Event::UnitStarted { unit: unit.unit.clone(), cgroup: unit.cgroup.clone() });
        self.recorder.record(Event::LimitsRead { cgroup: unit.name.clone(), values });
        Ok(())
    }

    fn go_on(&self) -> Result<(), SetupError> {
        self.asked.to_end().map_or(Ok(()), |signal| Err(SetupError::Interrupted { signal }))
    }

    /// Makes what an actor needs and starts it, unless PID 1 will.
    fn prepare(&mut self, actor: &PlannedActor) -> Result<(), SetupError> {
        self.go_on()?;
        let status = self.status_path(&actor.id);
        let page =
            Page::create(&status).map_err(|source| SetupError::Page { actor: actor.id.clone(), source })?;
        if actor.file.is_some() || actor.cold_text {
            self.make_data(actor)?;
        }
        let child = match actor.place {
            Place::ServiceMain => None,
            Place::OwnScope | Place::SharedScope | Place::InService => Some(self.spawn(actor)?),
        };
        let pid = child.as_ref().map_or(0, Child::id);
        self.actors.push(Actor {
            id: actor.id.clone(),
            page: Arc::new(page),
            pid,
            held: None,
            child,
            balloon: actor.total.is_some(),
            release: actor.release,
            delay_us: actor.delay_us,
            released: false,
            ended: false,
        });
        // Not reaped before it is an `Actor`: until then its number is nobody else's.
        if pid == 0 { Ok(()) } else { self.hold(&actor.id, pid) }
    }

    /// Takes hold of an actor's process, so that its end is seen and nobody else's is taken for it.
    fn hold(&mut self, id: &str, pid: u32) -> Result<(), SetupError> {
        let held = Held::open(pid).map_err(io_error(format!("the process {pid} of {id} cannot be held")))?;
        if let Some(actor) = self.actors.iter_mut().find(|actor| actor.id == id) {
            actor.pid = pid;
            actor.held = Some(held);
        }
        Ok(())
    }

    fn status_path(&self, id: &str) -> PathBuf {
        self.undo.dir().join(format!("{id}.status"))
    }

    fn data_dir(&self) -> PathBuf {
        self.paths.data.join(&self.plan.run)
    }

    /// Files for writers and readers, and cold copies of programs, on a disk and out of the page cache.
    fn make_data(&mut self, actor: &PlannedActor) -> Result<(), SetupError> {
        let dir = self.data_dir();
        if !dir.exists() {
            self.undo.before(Step::RemoveTree(dir.clone())).map_err(io_error("the undo journal"))?;
            fs::create_dir_all(&dir).map_err(io_error(dir.display().to_string()))?;
        }
        // Balloons and writers make their file themselves, and take none that is there already.
        if let (Some(bytes), "reader") = (actor.file, actor.kind.as_str()) {
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

    fn program(&self, actor: &PlannedActor) -> PathBuf {
        self.paths.programs.join(&actor.argv[0])
    }

    /// The command line with the run's directories filled in.
    fn arguments(&self, actor: &PlannedActor) -> Vec<String> {
        let status = self.status_path(&actor.id).display().to_string();
        let data = self.data_dir().join(&actor.id).display().to_string();
        filled(&actor.argv[1..], &status, &data)
    }

    fn spawn(&self, actor: &PlannedActor) -> Result<Child, SetupError> {
        let program = self.program(actor);
        let log = self.undo.dir().join(format!("{}.log", actor.id));
        let log = File::create(&log).map_err(io_error(log.display().to_string()))?;
        Command::new(&program)
            // Should this process be killed now, the actor must see it although it has not begun to wait.
            .arg(format!("--parent={}", std::process::id()))
            .args(self.arguments(actor))
            .env_clear()
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .map_err(io_error(format!("{} could not be started", program.display())))
    }

    /// Puts every actor into its unit, then verifies each.
    fn place_all(&mut self) -> Result<(), SetupError> {
        for actor in &self.plan.actors {
            match actor.place {
                Place::OwnScope => {
                    let pid = self.pid(&actor.id);
                    self.scope(&actor.unit, &actor.slice, &[pid], &actor.properties)?;
                }
                Place::ServiceMain => self.service(actor)?,
                Place::SharedScope | Place::InService => {}
            }
        }
        let plan = self.plan;
        for cgroup in plan.cgroups.iter().filter(|cgroup| cgroup.kind == UnitKind::Scope) {
            let members = plan.actors.iter().filter(|actor| actor.unit == cgroup.unit);
            let pids: Vec<u32> = members.map(|actor| self.pid(&actor.id)).collect();
            self.scope(&cgroup.unit, &cgroup.slice, &pids, &cgroup.properties)?;
            self.verify_limits(cgroup)?;
        }
        for actor in plan.actors.iter().filter(|actor| actor.place == Place::InService) {
            // A process in a service's cgroup is part of the service, whoever started it; the harness stays its parent
            // and so learns its wait status.
            let procs = self
                .paths
                .cgroups
                .join(actor.cgroup.path().as_str().trim_start_matches('/'))
                .join("cgroup.procs");
            fs::write(&procs, self.pid(&actor.id).to_string())
                .map_err(io_error(procs.display().to_string()))?;
        }
        for actor in &plan.actors {
            self.verify(actor)?;
        }
        Ok(())
    }

    fn pid(&self, id: &str) -> u32 {
        self.actors.iter().find(|actor| actor.id == id).map_or(0, |actor| actor.pid)
    }

    fn scope(
        &mut self,
        unit: &str,
        slice: &str,
        pids: &[u32],
        properties: &[systemd::Property],
    ) -> Result<(), SetupError> {
        let properties = self.undo.before_unit(unit, slice, properties, self.systemd)?;
        self.systemd
            .start_scope(unit, slice, pids, &properties)
            .map_err(|source| SetupError::Unit { unit: unit.to_owned(), source })
    }

    fn service(&mut self, actor: &PlannedActor) -> Result<(), SetupError> {
        let unit = self.plan.cgroups.iter().find(|cgroup| cgroup.unit == actor.unit);
        let properties = unit.map(|unit| unit.properties.clone()).unwrap_or_default();
        let properties = self.undo.before_unit(&actor.unit, &actor.slice, &properties, self.systemd)?;
        let mut argv = vec![self.program(actor).display().to_string()];
        argv.extend(self.arguments(actor));
        let fail = |source| SetupError::Unit { unit: actor.unit.clone(), source };
        self.systemd.start_service(&actor.unit, &actor.slice, &argv, &[], &properties).map_err(fail)?;
        let state = self.systemd.unit(&actor.unit).map_err(fail)?;
        let pid = state.main_pid.filter(|pid| *pid != 0).ok_or_else(|| {
            SetupError::NotAsPlanned(format!("{} has no main process: {:?}", actor.unit, state.active_state))
        })?;
        self.hold(&actor.id, pid)?;
        unit.map_or(Ok(()), |unit| self.verify_limits(unit))
    }

    /// Waits until the actor is where it should be, with the `oom_score_adj` it should have.
    fn verify(&self, actor: &PlannedActor) -> Result<(), SetupError> {
        let pid = self.pid(&actor.id);
        let proc = self.paths.root.join("proc");
        let own = proc.join(pid.to_string());
        let began = Instant::now();
        loop {
            self.go_on()?;
            let cgroup = cgroupfs::cgroup_of(&proc, pid)
                .map_err(|source| SetupError::Cgroup { unit: actor.unit.clone(), source })?;
            let adj = number(&own.join("oom_score_adj"))?;
            if actor.cgroup.allows(&cgroup) && adj == actor.oom_score_adj && waits(&self.actors, &actor.id) {
                let comm = fs::read_to_string(own.join("comm"))
                    .unwrap_or_default()
                    .trim_end_matches('\n')
                    .to_owned();
                // All that was read of this number was its own only if it has lived until now.
                if !self.actors.iter().any(|started| started.id == actor.id && started.runs()) {
                    return Err(SetupError::NotAsPlanned(format!("{} ended while it waited", actor.id)));
                }
                self.recorder.record(Event::ActorPlaced {
                    actor: actor.id.clone(),
                    pid,
                    cgroup: cgroup.into(),
                    oom_score_adj: adj,
                    comm,
                });
                return Ok(());
            }
            if began.elapsed() > PLACED_WITHIN {
                return Err(SetupError::NotAsPlanned(format!(
                    "{} is in {cgroup} with oom_score_adj {adj}, planned is {} with {}",
                    actor.id, actor.cgroup, actor.oom_score_adj
                )));
            }
            std::thread::sleep(Duration::from_millis(2));
        }
    }
}

/// Whether the actor says that it waits for its release.
fn waits(actors: &[Actor], id: &str) -> bool {
    actors
        .iter()
        .find(|actor| actor.id == id)
        .is_some_and(|actor| actor.page.snapshot().phase() == Some(Phase::Waiting))
}

fn number(path: &Path) -> Result<i32, SetupError> {
    let text = fs::read_to_string(path).map_err(io_error(path.display().to_string()))?;
    text.trim().parse().map_err(|_| SetupError::NotAsPlanned(format!("{} holds {text:?}", path.display())))
}
