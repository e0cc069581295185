//! The actors of a run, from their release to their end.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::actor::Actor;
use super::clock::now_us;
use super::recorder::Recorder;
use super::setup::{SetupError, Site};
use super::signals::Asked;
use crate::cgroupfs::{CgroupDir, KillSwitch};
use crate::plan::Plan;
use crate::record::Event;
use crate::record::event::{ActorStatus, Mark};
use crate::scenario::actor::Release;
use balloon::status::Page;

/// How long a released bystander may take to begin its work. One that takes longer shows in what it measures.
const WORKING_WITHIN: Duration = Duration::from_secs(5);

/// The actors of a run.
#[derive(Debug)]
pub(super) struct Actors<'a> {
    actors: Vec<Actor<'a>>,
    /// Where the run's processes are killed at once when it is aborted.
    switches: Arc<Vec<KillSwitch>>,
}

impl<'a> Actors<'a> {
    /// Starts every group and every actor of a plan, waiting and verified.
    ///
    /// # Errors
    /// When anything is not as planned. What was started until then stands in the undo journal.
    pub(super) fn set_up(plan: &'a Plan, mut site: Site<'_>) -> Result<Self, SetupError> {
        let actors = site.set_up(plan)?;
        Ok(Self { switches: Arc::new(switches(plan, &actors, &site.paths.cgroups)), actors })
    }

    /// The status pages by actor id, in the order of the plan.
    pub(super) fn pages(&self) -> Vec<(String, Arc<Page>)> {
        self.actors.iter().map(|actor| (actor.planned.id.to_string(), Arc::clone(&actor.page))).collect()
    }

    /// Releases the actors of a part of the run whose delay has passed since it began, µs.
    pub(super) fn release_due(&mut self, part: Release, began: u64, recorder: &Recorder) {
        let passed = now_us().saturating_sub(began);
        let waiting = self.actors.iter_mut().filter(|actor| actor.planned.release == part && !actor.released);
        for actor in waiting.filter(|actor| passed >= actor.planned.delay_us) {
            actor.released = true;
            recorder.record(Event::ActorReleased { actor: actor.planned.id.to_string() });
            actor.page.release();
        }
    }

    /// Waits until every released bystander works.
    pub(super) fn wait_until_working(&self, asked: &Asked) {
        let began = Instant::now();
        let ready = |actor: &Actor<'_>| !actor.released || actor.is_balloon() || actor.works();
        let patient = || asked.to_end().is_none() && began.elapsed() < WORKING_WITHIN;
        while !self.actors.iter().all(ready) && patient() {
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    /// Learns which actors have ended.
    pub(super) fn reap(&mut self, recorder: &Recorder) {
        for actor in self.actors.iter_mut().filter(|actor| !actor.ended) {
            if let Some(end) = actor.process.end() {
                actor.ended = true;
                recorder.record(Event::ActorEnded { actor: actor.planned.id.to_string(), end });
            }
        }
    }

    /// Whether the stress is over: every balloon that belongs to it has ended. One that is released with the bystanders
    /// is one of them.
    pub(super) fn balloons_ended(&self) -> bool {
        let stress = |actor: &&Actor<'_>| actor.is_balloon() && actor.planned.release == Release::Stress;
        let mut balloons = self.actors.iter().filter(stress).peekable();
        balloons.peek().is_some() && balloons.all(|actor| actor.ended)
    }

    /// Records which actors are still the same running process.
    pub(super) fn record_alive(&self, root: &Path, recorder: &Recorder) {
        let proc = root.join("proc");
        for actor in self.actors.iter().filter(|actor| !actor.ended && actor.process.runs()) {
            let (actor, pid, state) =
                (actor.planned.id.to_string(), actor.process.pid(), actor.process.state(&proc));
            recorder.record(Event::ActorAlive { actor, pid, state });
        }
    }

    /// Records what every status page says.
    pub(super) fn record_status(&self, at: Mark, recorder: &Recorder) {
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
            recorder.record(Event::ActorStatus { actor: actor.planned.id.to_string(), at, status });
        }
    }

    /// What kills everything at once, without waiting for PID 1.
    pub(super) fn switches(&self) -> &Arc<Vec<KillSwitch>> {
        &self.switches
    }
}

/// The switches of the harness's own slices, and of the cgroups outside them in which actors were seen.
fn switches(plan: &Plan, actors: &[Actor<'_>], cgroups: &Path) -> Vec<KillSwitch> {
    let own = std::iter::once(&plan.slice).chain(&plan.outer).map(|unit| &unit.cgroup);
    let seen = actors.iter().filter_map(|actor| actor.cgroup.as_ref());
    let outside = seen.filter(|path| !own.clone().any(|own| own.contains(path)));
    own.clone()
        .chain(outside)
        .filter_map(|path| CgroupDir::open(cgroups, path).ok())
        .filter_map(|cgroup| KillSwitch::open(&cgroup).ok())
        .collect()
}
