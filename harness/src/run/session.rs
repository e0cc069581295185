//! One run between set-up and cleanup: baseline, climb, hold, and the time in which the witnesses speak.

use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::Signal;
use nix::sys::signalfd::SignalFd;

use super::actors::Actors;
use super::clock::now_us;
use super::daemons::Daemons;
use super::progress::{Outside, Progress};
use super::recorder::Recorder;
use super::sampler::Watch;
use super::signals::{self, Asked};
use super::undo::Undo;
use super::watchers::Watchers;
use super::{Paths, readings};
use crate::error::chain;
use crate::plan::{Moment, Plan};
use crate::record::Event;
use crate::record::event::{EndReason, Mark, When};
use crate::scenario::actor::Release;
use crate::systemd::Manager;

/// How long witnesses get to speak after the stress: memory.events notifications are coalesced for 10 ms, PID 1 reads
/// them when it gets to it, and `oom` is visible some 40 ms before `oom_kill`.
const SETTLE: Duration = Duration::from_millis(300);
/// What the deadline must leave beside the time that the run is watched: for set-up, settling and cleanup.
const RESERVE_US: u64 = 10_000_000;
/// How often the run loop looks around.
const BEAT_MS: u16 = 20;

/// What a run has between its set-up and its cleanup.
pub(super) struct Session<'a> {
    pub(super) plan: &'a Plan,
    pub(super) paths: &'a Paths,
    pub(super) systemd: &'a dyn Manager,
    pub(super) undo: &'a mut Undo,
    pub(super) recorder: &'a Arc<Recorder>,
    pub(super) daemons: Daemons,
    pub(super) actors: Actors<'a>,
    pub(super) watchers: Watchers,
    pub(super) asked: &'a Asked,
    pub(super) outside: &'a mut dyn Outside,
}

impl Session<'_> {
    pub(super) fn run(mut self) -> EndReason {
        self.wait_for_leave();
        let children = match self.start_sampler() {
            Ok(children) => children,
            Err(reason) => {
                self.stop_watching();
                return EndReason::SetupFailed { reason };
            }
        };
        let end = self.phases(&children);
        if matches!(end, EndReason::Aborted { .. } | EndReason::Interrupted { .. }) {
            self.end_stress();
        }
        self.settle();
        match end {
            EndReason::Aborted { .. } | EndReason::Interrupted { .. } => end,
            // What was still to be asked when it was stopped is missing.
            _ => self.stopped().unwrap_or(end),
        }
    }

    /// Waits until it may begin, for as long as the deadlines of its units allow: they pass all the while.
    fn wait_for_leave(&mut self) {
        let began = now_us();
        let ahead = self.plan.baseline_us + self.plan.observe_us + RESERVE_US;
        let patience = self.plan.deadline_us.saturating_sub(ahead);
        while !self.outside.may_begin() && self.asked.to_end().is_none() && now_us() - began < patience {
            std::thread::sleep(Duration::from_millis(u64::from(BEAT_MS)));
        }
    }

    /// Starts to sample; returns what wakes the run when a child has ended.
    fn start_sampler(&mut self) -> Result<SignalFd, String> {
        let children = signals::signalfd([Signal::SIGCHLD]).map_err(|error| format!("SIGCHLD: {error}"))?;
        let watch =
            Watch::open(&self.paths.cgroups, &self.paths.root, &self.plan.watched, &self.actors.pages())
                .map_err(|error| chain(&error))?;
        let file = self.recorder.store().samples(watch.columns()).map_err(|error| chain(&error))?;
        self.watchers.start_sampler(watch, file, self.plan, self.actors.switches());
        Ok(children)
    }

    /// Baseline, then stress until every balloon has ended or the time is up.
    fn phases(&mut self, children: &SignalFd) -> EndReason {
        self.enter(Mark::Baseline);
        // A server of the scenario answers only once it works: asked earlier, it would be blamed for our own set-up.
        self.actors.release_due(Release::Baseline, now_us(), self.recorder);
        self.actors.wait_until_working(self.asked);
        self.watchers.start_probers(self.plan);
        let baseline_ends = now_us() + self.plan.baseline_us;
        if let Some(end) = self.watch(children, Release::Baseline, baseline_ends) {
            return end;
        }
        self.daemons.dump(self.recorder);
        self.enter(Mark::Climb);
        self.watchers.climb();
        let observe_ends = now_us() + self.plan.observe_us;
        self.watch(children, Release::Stress, observe_ends).unwrap_or(EndReason::ObserveElapsed)
    }

    /// Watches until `until`, releasing the actors of a part of the run as their delays pass. Returns early with the
    /// reason when the run is over.
    fn watch(&mut self, children: &SignalFd, part: Release, until: u64) -> Option<EndReason> {
        let began = now_us();
        let stress = part == Release::Stress;
        let mut held_from: Option<u64> = None;
        self.daemons.reach(part.moment(), self.systemd, self.undo, self.recorder);
        loop {
            self.actors.release_due(part, began, self.recorder);
            pause(children);
            self.actors.reap(self.recorder);
            if stress && held_from.is_none() && self.watchers.pulse.reached.load(Ordering::Acquire) {
                held_from = Some(now_us());
                self.enter(Mark::Hold);
                self.daemons.reach(Moment::Hold, self.systemd, self.undo, self.recorder);
            }
            let now = now_us();
            self.daemons.expire(now, self.systemd, self.recorder);
            let phase = if held_from.is_some() { Mark::Hold } else { part.mark() };
            self.outside.progress(&Progress::of(&self.watchers.pulse, phase, now - began, self.plan));
            if let Some(end) = self.stopped() {
                return Some(end);
            }
            if stress && self.actors.balloons_ended() {
                return Some(EndReason::BalloonsEnded);
            }
            let enough =
                self.plan.enough_us.zip(held_from).is_some_and(|(enough, from)| now >= from + enough);
            if now >= until || enough {
                return None;
            }
        }
    }

    /// Why the run must not go on.
    fn stopped(&self) -> Option<EndReason> {
        if let Some(signal) = self.asked.to_end() {
            return Some(EndReason::Interrupted { signal });
        }
        // First, because the sampler ends with the record, and the watchdog misses it.
        if self.recorder.failed() {
            return Some(EndReason::Aborted { reason: "the record can no longer be written".into() });
        }
        self.watchers.tripped().map(|trip| EndReason::Aborted { reason: trip.to_string() })
    }

    fn enter(&mut self, mark: Mark) {
        self.actors.record_status(mark, self.recorder);
        self.recorder.record(Event::Phase { phase: mark });
    }

    /// Lets the witnesses speak, asks the manager, and stops the watching threads. Whoever is in a hurry is spared the
    /// questions.
    fn settle(&mut self) {
        self.actors.reap(self.recorder);
        self.enter(Mark::Settle);
        readings::own_limits(self.plan, self.paths, self.recorder);
        readings::inherited_limits(self.plan, self.paths, self.recorder);
        readings::machine(&self.paths.root, self.recorder);
        let began = Instant::now();
        while began.elapsed() < SETTLE && !self.asked.to_hurry() {
            std::thread::sleep(Duration::from_millis(u64::from(BEAT_MS)));
        }
        self.actors.reap(self.recorder);
        self.actors.record_alive(&self.paths.root, self.recorder);
        let questions: [fn(&mut Self); 4] = [
            |run| readings::units(run.plan, run.systemd, run.recorder, When::After),
            |run| run.daemons.dump(run.recorder),
            // The last sample is of what the stress left. A hog that spins at its limit fills the logs faster than they
            // can be read to their end.
            |run| {
                run.stop_sampling();
                run.end_stress();
            },
            |run| run.daemons.collect(run.systemd, run.recorder),
        ];
        for question in questions {
            if !self.asked.to_hurry() {
                question(self);
            }
        }
        self.stop_watching();
    }

    /// Kills every actor that still lives.
    fn end_stress(&self) {
        for switch in self.actors.switches().iter() {
            // Gone already, or the undo journal gets it.
            let _ = switch.pull();
        }
    }

    /// Stops the watching threads; the record then has all they saw.
    fn stop_watching(&mut self) {
        self.stop_sampling();
        self.watchers.stop();
    }

    /// Takes the last sample.
    fn stop_sampling(&mut self) {
        if let Some(summary) = self.watchers.stop_sampling() {
            self.recorder.record(Event::SelfUse {
                peak_rss: peak_rss().unwrap_or(0),
                ticks: summary.ticks,
                max_late_us: summary.max_late_us,
                mean_tick_us: summary.mean_tick_us,
            });
        }
    }
}

/// Waits for the end of a child or one beat.
fn pause(children: &SignalFd) {
    // EINTR or a timeout: look around either way.
    let _ = poll(&mut [PollFd::new(children.as_fd(), PollFlags::POLLIN)], PollTimeout::from(BEAT_MS));
    while let Ok(Some(_)) = children.read_signal() {}
}

/// Peak resident memory of this process, bytes, from `VmHWM`.
fn peak_rss() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok().map(|kib| kib * 1024)
}
