//! A plan → a record. The only stage that touches the machine; it decides and judges nothing.
//!
//! A failed read is data in the record, not an error. Everything it starts stands in the undo journal first, carries a
//! deadline that PID 1 enforces, and is taken down on every way out.

pub mod actors;
pub mod cleanup;
pub mod clock;
pub mod daemons;
pub mod kernel_log;
pub mod machine;
pub mod origin;
pub mod prober;
pub mod progress;
pub mod recorder;
pub mod recover;
pub mod sampler;
pub mod shelter;
pub mod text;
pub mod undo;
pub mod watchdog;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use actors::Actors;
use clock::now_us;
use daemons::Daemons;
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use progress::Progress;
use recorder::{Recorder, chain};
use sampler::{Pulse, Watch};
use undo::Undo;
use watchdog::Watchdog;

use crate::plan::{Moment, Plan, Release};
use crate::record::Event;
use crate::record::event::{ActorEnd, EndReason, Mark, UnitState, When};
use crate::record::store::{Store, StoreError};
use crate::systemd::Manager;

/// How long witnesses get to speak after the stress: memory.events notifications are coalesced for 10 ms, PID 1 reads
/// them when it gets to it, and `oom` is visible some 40 ms before `oom_kill`.
const SETTLE: Duration = Duration::from_millis(300);
/// How often the run loop looks around.
const BEAT_MS: u16 = 20;

/// Where things are on the machine. Tests point them elsewhere.
#[derive(Debug, Clone)]
pub struct Paths {
    /// The cgroup v2 mount.
    pub cgroups: PathBuf,
    /// The root of /proc and /sys.
    pub root: PathBuf,
    /// Where undo journals and status pages lie (tmpfs).
    pub state: PathBuf,
    /// Where files of writers and readers and cold copies of programs lie (a disk).
    pub data: PathBuf,
    /// The directory of the `balloon` and `bystander` programs.
    pub programs: PathBuf,
    /// The kernel log device.
    pub kmsg: PathBuf,
}

impl Paths {
    /// The real machine, with the actors beside this program.
    ///
    /// # Errors
    /// When the path of this program cannot be learnt.
    pub fn of_this_machine() -> std::io::Result<Self> {
        let program = std::env::current_exe()?;
        Ok(Self {
            cgroups: "/sys/fs/cgroup".into(),
            root: "/".into(),
            state: undo::STATE.into(),
            data: crate::host::DATA.into(),
            programs: program.parent().map(PathBuf::from).unwrap_or_default(),
            kmsg: "/dev/kmsg".into(),
        })
    }
}

/// What a run has come to, apart from its record.
#[derive(Debug)]
pub struct Outcome {
    /// Why it ended.
    pub end: EndReason,
    /// What its cleanup could not prove to be gone; empty = proven clean.
    pub left: Vec<String>,
    /// Why the record could not be written to its end.
    pub store: Option<StoreError>,
}

/// Runs a plan. What it came to is in the record, and here for when that cannot be written: the machine is cleaned up
/// even then.
pub fn execute(
    plan: &Plan,
    paths: &Paths,
    systemd: &dyn Manager,
    store: Store,
    on: &mut dyn FnMut(&Progress),
) -> Outcome {
    let recorder = Arc::new(Recorder::new(store));
    recorder.record(Event::Phase { phase: Mark::Setup });
    let before = cleanup::Before::read(paths);
    let home = shelter::home();
    let mut undo = match Undo::begin(&paths.state, &plan.run) {
        Ok(undo) => undo,
        Err(error) => {
            let reason = format!("{}: {error}", paths.state.display());
            recorder.record(Event::Ended { reason: EndReason::SetupFailed { reason: reason.clone() } });
            return finish(&recorder, EndReason::SetupFailed { reason }, Vec::new());
        }
    };
    // A bug in the run must not leave the machine to it: the undo below happens on every way out.
    let stressed = catch_unwind(AssertUnwindSafe(|| stress(plan, paths, systemd, &recorder, &mut undo, on)));
    let end = stressed.unwrap_or_else(|_| EndReason::Aborted { reason: "the harness panicked".into() });
    recorder.record(Event::Ended { reason: end.clone() });
    recorder.record(Event::Phase { phase: Mark::Cleanup });
    let origin = undo.origin().clone();
    let mut left = cleanup::run(paths, systemd, undo, &before);
    left.extend(shelter::leave(systemd, &origin, &paths.cgroups, home.as_deref()));
    recorder.record(Event::Cleanup { left: left.clone() });
    finish(&recorder, end, left)
}

fn finish(recorder: &Recorder, end: EndReason, left: Vec<String>) -> Outcome {
    Outcome { end, left, store: recorder.take_error() }
}

/// Everything between the journal and the cleanup.
fn stress(
    plan: &Plan,
    paths: &Paths,
    systemd: &dyn Manager,
    recorder: &Arc<Recorder>,
    undo: &mut Undo,
    on: &mut dyn FnMut(&Progress),
) -> EndReason {
    let signals = match block_signals()
        .and_then(|set| SignalFd::with_flags(&set, SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC))
    {
        Ok(signals) => signals,
        Err(error) => return EndReason::SetupFailed { reason: format!("signals: {error}") },
    };
    for missing in shelter::take(systemd, undo.origin()) {
        recorder.record(Event::Trouble { step: "shelter".into(), error: missing });
    }
    let daemons = Daemons::begin(plan, recorder);
    let watchers = Watchers::start_kernel_log(plan, paths, recorder);
    let actors = match Actors::set_up(plan, paths, systemd, recorder, undo) {
        Ok(actors) => actors,
        Err(error) => {
            watchers.stop(recorder);
            return EndReason::SetupFailed { reason: chain(&error) };
        }
    };
    record_units(plan, systemd, recorder, When::Before);
    let pulse = Arc::new(Pulse::default());
    Session { plan, paths, systemd, undo, recorder, daemons, actors, watchers, signals, pulse, on }.run()
}

/// Keeps signals for the run loop to read. To be called before the process has a second thread, such as a bus
/// connection's: a thread that does not block SIGINT takes it, and the process dies without a cleanup. Actors clear the
/// mask that they inherit.
///
/// # Errors
/// When the mask cannot be set.
pub fn block_signals() -> nix::Result<SigSet> {
    let mut set = SigSet::empty();
    for signal in [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP, Signal::SIGCHLD] {
        set.add(signal);
    }
    set.thread_block()?;
    Ok(set)
}

/// Records the state of the protected units and, after the stress, of the units of the run.
fn record_units(plan: &Plan, systemd: &dyn Manager, recorder: &Recorder, when: When) {
    let own = plan.actors.iter().map(|actor| &actor.unit).filter(|_| when == When::After);
    let mut seen = Vec::new();
    for unit in plan.protect.units.iter().chain(own) {
        if seen.contains(&unit) {
            continue;
        }
        seen.push(unit);
        match systemd.unit(unit) {
            Ok(state) => {
                let state = state.exists().then(|| UnitState {
                    active: state.active_state.unwrap_or_default(),
                    sub: state.sub_state.unwrap_or_default(),
                    result: state.result,
                    invocation_id: state.invocation_id,
                    main_pid: state.main_pid,
                    n_restarts: state.n_restarts,
                    main_end: main_end(state.exec_main_code, state.exec_main_status),
                });
                recorder.record(Event::Unit { unit: unit.clone(), when, state });
            }
            Err(error) => recorder.trouble(unit, &error),
        }
    }
}

/// `si_code` and status of a main process, as `waitid` gives them to its parent, PID 1.
fn main_end(code: Option<i32>, status: Option<i32>) -> Option<ActorEnd> {
    match (code?, status?) {
        (libc::CLD_EXITED, status) => Some(ActorEnd::Exited(status)),
        (libc::CLD_KILLED | libc::CLD_DUMPED, signal) => Some(ActorEnd::Signalled(signal)),
        _ => None,
    }
}

/// The threads that watch.
struct Watchers {
    kernel_log: Option<JoinHandle<()>>,
    kernel_log_stop: Arc<AtomicBool>,
    probers: Vec<JoinHandle<()>>,
    probers_stop: Arc<AtomicBool>,
    sampler: Option<JoinHandle<sampler::Summary>>,
}

impl Watchers {
    /// The kernel log is followed from before anything is started.
    fn start_kernel_log(plan: &Plan, paths: &Paths, recorder: &Arc<Recorder>) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let started =
            crate::kmsg::Reader::open(&paths.kmsg).map_err(|error| chain(&error)).and_then(|mut reader| {
                if let Err(error) = reader.mark(&format!("bulkhead: run {} begins", plan.run)) {
                    recorder.trouble("mark the kernel log", &error);
                }
                let calibration = reader
                    .calibrate()
                    .map_err(|error| recorder.trouble("calibrate the kernel log", &error))
                    .ok();
                let raw = recorder.store().kernel_log().map_err(|error| chain(&error))?;
                Ok(kernel_log::start(reader, calibration, raw, Arc::clone(recorder), Arc::clone(&stop)))
            });
        let kernel_log =
            started.map_err(|reason| recorder.record(Event::KernelLogUnavailable { reason })).ok();
        Self {
            kernel_log,
            kernel_log_stop: stop,
            probers: Vec::new(),
            probers_stop: Arc::new(AtomicBool::new(false)),
            sampler: None,
        }
    }

    fn start_probers(&mut self, plan: &Plan, recorder: &Arc<Recorder>) {
        self.probers = plan
            .protect
            .answers
            .iter()
            .enumerate()
            .map(|(index, answer)| {
                prober::start(index, answer, Arc::clone(recorder), Arc::clone(&self.probers_stop))
            })
            .collect();
    }

    /// Stops every thread that still runs and waits for it. The record then has all they saw.
    fn stop(mut self, recorder: &Recorder) -> Option<sampler::Summary> {
        self.probers_stop.store(true, Ordering::Release);
        for prober in self.probers.drain(..) {
            join(prober, recorder);
        }
        self.kernel_log_stop.store(true, Ordering::Release);
        if let Some(kernel_log) = self.kernel_log.take() {
            join(kernel_log, recorder);
        }
        self.sampler.take().and_then(|sampler| join(sampler, recorder))
    }
}

fn join<T>(thread: JoinHandle<T>, recorder: &Recorder) -> Option<T> {
    let ended = thread.join().ok();
    if ended.is_none() {
        recorder.record(Event::Trouble { step: "watch".into(), error: "a watching thread panicked".into() });
    }
    ended
}

/// One run between set-up and cleanup.
struct Session<'a> {
    plan: &'a Plan,
    paths: &'a Paths,
    systemd: &'a dyn Manager,
    undo: &'a mut Undo,
    recorder: &'a Arc<Recorder>,
    daemons: Daemons,
    actors: Actors,
    watchers: Watchers,
    signals: SignalFd,
    pulse: Arc<Pulse>,
    on: &'a mut dyn FnMut(&Progress),
}

impl Session<'_> {
    fn run(mut self) -> EndReason {
        if let Err(reason) = self.start_sampler() {
            self.stop_watching();
            return EndReason::SetupFailed { reason };
        }
        let mut watchdog = Watchdog::new(&self.plan.watchdog);
        let end = self.phases(&mut watchdog);
        if matches!(end, EndReason::Aborted { .. } | EndReason::Interrupted { .. }) {
            self.actors.kill_all();
        }
        self.settle();
        end
    }

    fn start_sampler(&mut self) -> Result<(), String> {
        let watch =
            Watch::open(&self.paths.cgroups, &self.paths.root, &self.plan.watched, &self.actors.pages())
                .map_err(|error| chain(&error))?;
        let file = self.recorder.store().samples(watch.columns()).map_err(|error| chain(&error))?;
        let (pulse, recorder) = (Arc::clone(&self.pulse), Arc::clone(self.recorder));
        self.watchers.sampler = Some(sampler::start(watch, file, self.plan, pulse, recorder));
        Ok(())
    }

    /// Baseline, then stress until every balloon has ended or the time is up.
    fn phases(&mut self, watchdog: &mut Watchdog) -> EndReason {
        self.enter(Mark::Baseline);
        // A server of the scenario answers only once it works: asked earlier, it would be blamed for our own set-up.
        self.actors.release_due(Release::Baseline, now_us(), self.recorder);
        self.actors.wait_until_working();
        self.watchers.start_probers(self.plan, self.recorder);
        let baseline_ends = now_us() + self.plan.baseline_us;
        if let Some(end) = self.watch(watchdog, Release::Baseline, baseline_ends, false) {
            return end;
        }
        self.daemons.dump(self.recorder);
        self.enter(Mark::Climb);
        self.pulse.stress.store(true, Ordering::Release);
        let observe_ends = now_us() + self.plan.observe_us;
        self.watch(watchdog, Release::Stress, observe_ends, true).unwrap_or(EndReason::ObserveElapsed)
    }

    /// Watches until `until`, releasing the actors of a part of the run as their delays pass. Returns early with the
    /// reason when the run is over.
    fn watch(
        &mut self,
        watchdog: &mut Watchdog,
        part: Release,
        until: u64,
        stress: bool,
    ) -> Option<EndReason> {
        let began = now_us();
        let mut hold = false;
        self.daemons.reach(part.moment(), self.systemd, self.undo, self.recorder);
        loop {
            self.actors.release_due(part, began, self.recorder);
            if let Some(signal) = self.pause() {
                return Some(EndReason::Interrupted { signal });
            }
            self.actors.reap(self.recorder);
            if stress && !hold && self.pulse.reached.load(Ordering::Acquire) {
                hold = true;
                self.enter(Mark::Hold);
                self.daemons.reach(Moment::Hold, self.systemd, self.undo, self.recorder);
            }
            let now = now_us();
            self.daemons.expire(now, self.systemd, self.recorder);
            (self.on)(&Progress::of(
                &self.pulse,
                if hold { Mark::Hold } else { part.mark() },
                now - began,
                self.plan,
            ));
            if let Some(reason) = watchdog.check(&self.pulse, now) {
                return Some(EndReason::Aborted { reason });
            }
            if self.recorder.failed() {
                return Some(EndReason::Aborted { reason: "the record can no longer be written".into() });
            }
            if stress && self.actors.balloons_ended() {
                return Some(EndReason::BalloonsEnded);
            }
            if now >= until {
                return None;
            }
        }
    }

    /// Waits for a signal or one beat; returns the signal that asks to end.
    fn pause(&mut self) -> Option<i32> {
        use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
        use std::os::fd::AsFd;
        let mut fds = [PollFd::new(self.signals.as_fd(), PollFlags::POLLIN)];
        // EINTR or a timeout: look around either way.
        let _ = poll(&mut fds, PollTimeout::from(BEAT_MS));
        while let Ok(Some(info)) = self.signals.read_signal() {
            if info.ssi_signo != Signal::SIGCHLD as u32 {
                return i32::try_from(info.ssi_signo).ok();
            }
        }
        None
    }

    fn enter(&mut self, mark: Mark) {
        self.actors.record_status(mark, self.recorder);
        self.recorder.record(Event::Phase { phase: mark });
    }

    /// Lets the witnesses speak, asks the manager, and stops the watching threads.
    fn settle(&mut self) {
        self.actors.reap(self.recorder);
        self.enter(Mark::Settle);
        std::thread::sleep(SETTLE);
        self.actors.reap(self.recorder);
        record_units(self.plan, self.systemd, self.recorder, When::After);
        self.actors.record_alive(self.recorder);
        self.daemons.dump(self.recorder);
        self.daemons.collect(self.recorder);
        self.stop_watching();
    }

    /// Stops the watching threads; the record then has all they saw.
    fn stop_watching(&mut self) {
        self.pulse.stop.store(true, Ordering::Release);
        let idle = Watchers {
            kernel_log: None,
            kernel_log_stop: Arc::default(),
            probers: Vec::new(),
            probers_stop: Arc::default(),
            sampler: None,
        };
        let summary = std::mem::replace(&mut self.watchers, idle).stop(self.recorder);
        if let Some(summary) = summary {
            self.recorder.record(Event::SelfUse {
                peak_rss: peak_rss().unwrap_or(0),
                ticks: summary.ticks,
                max_late_us: summary.max_late_us,
                mean_tick_us: summary.mean_tick_us,
            });
        }
    }
}

/// Peak resident memory of this process, bytes, from `VmHWM`.
fn peak_rss() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok().map(|kib| kib * 1024)
}
