//! The threads that watch a run. They end and are waited for however the run ends, also when it panics: nothing else may
//! hold the record when its errors are asked for.

use std::fs::File;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use super::recorder::Recorder;
use super::sampler::{Pulse, Summary, Watch};
use super::watchdog::{Duty, Trip};
use super::{Paths, kernel_log, prober, sampler};
use crate::cgroupfs::KillSwitch;
use crate::error::chain;
use crate::plan::Plan;
use crate::record::Event;

/// The threads that watch.
#[derive(Debug)]
pub(super) struct Watchers {
    recorder: Arc<Recorder>,
    /// What the sampler tells everybody.
    pub(super) pulse: Arc<Pulse>,
    kernel_log: Option<JoinHandle<()>>,
    kernel_log_stop: Arc<AtomicBool>,
    probers: Vec<JoinHandle<()>>,
    bell: Arc<prober::Bell>,
    sampler: Option<JoinHandle<Summary>>,
    watchdog: Option<Duty>,
}

impl Watchers {
    /// The kernel log is followed from before anything is started.
    pub(super) fn start(plan: &Plan, paths: &Paths, recorder: &Arc<Recorder>) -> Self {
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
            recorder: Arc::clone(recorder),
            pulse: Arc::new(Pulse::default()),
            kernel_log,
            kernel_log_stop: stop,
            probers: Vec::new(),
            bell: Arc::new(prober::Bell::default()),
            sampler: None,
            watchdog: None,
        }
    }

    /// Begins to sample, and from then on to watch over the machine.
    pub(super) fn start_sampler(
        &mut self,
        watch: Watch,
        file: File,
        plan: &Plan,
        switches: &Arc<Vec<KillSwitch>>,
    ) {
        let (pulse, recorder) = (Arc::clone(&self.pulse), Arc::clone(&self.recorder));
        self.sampler = Some(sampler::start(watch, file, plan, pulse, recorder));
        self.watchdog = Some(Duty::begin(&plan.watchdog, Arc::clone(&self.pulse), Arc::clone(switches)));
    }

    pub(super) fn start_probers(&mut self, plan: &Plan) {
        let start = |(index, answer)| {
            prober::start(index, answer, Arc::clone(&self.recorder), Arc::clone(&self.bell))
        };
        self.probers = plan.protect.answers.iter().enumerate().map(start).collect();
    }

    /// Tells everybody that the climb begins.
    pub(super) fn climb(&self) {
        self.pulse.stress.store(true, Ordering::Release);
        self.bell.climb();
    }

    /// Why the watchdog stopped the run, if it did.
    pub(super) fn tripped(&self) -> Option<Trip> {
        self.watchdog.as_ref().and_then(Duty::tripped)
    }

    /// Stops every thread that still runs and waits for it. The record then has all they saw.
    pub(super) fn stop(&mut self) {
        self.stop_sampling();
        self.kernel_log_stop.store(true, Ordering::Release);
        if let Some(kernel_log) = self.kernel_log.take() {
            join(kernel_log, &self.recorder);
        }
    }

    /// Stops all but the kernel log, the sampler last: until then the watchdog needs it.
    pub(super) fn stop_sampling(&mut self) -> Option<Summary> {
        self.bell.over();
        for prober in self.probers.drain(..) {
            join(prober, &self.recorder);
        }
        if let Some(watchdog) = &mut self.watchdog {
            watchdog.end();
        }
        self.pulse.stop.store(true, Ordering::Release);
        self.sampler.take().and_then(|sampler| join(sampler, &self.recorder))
    }
}

impl Drop for Watchers {
    fn drop(&mut self) {
        self.stop();
    }
}

fn join<T>(thread: JoinHandle<T>, recorder: &Recorder) -> Option<T> {
    let ended = thread.join().ok();
    if ended.is_none() {
        recorder.record(Event::Trouble { step: "watch".into(), error: "a watcher thread panicked".into() });
    }
    ended
}
