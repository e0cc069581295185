//! Stops a run for the machine's sake: too little memory left, a stalled host, or a sampler that went silent.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use super::clock::now_us;
use super::sampler::Pulse;
use crate::cgroupfs::KillSwitch;
use crate::plan;

/// How long PSI full must stay above the ceiling, µs.
const FULL_FOR_US: u64 = 10_000_000;
/// How often it looks.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// Looks at the pulse of a run.
#[derive(Debug)]
pub struct Watchdog {
    limits: plan::Watchdog,
    /// Time and PSI total at the start of the current window.
    window: Option<(u64, u64)>,
}

/// The reason to stop, with its numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trip {
    /// Nobody looks at the machine any more.
    Silence {
        /// For how long, µs.
        lasted_us: u64,
    },
    /// Memory runs out.
    Memory {
        /// MemAvailable, bytes.
        available: u64,
        /// The least that is allowed, bytes.
        floor: u64,
    },
    /// The machine only waits for memory.
    Stall {
        /// Share of ten seconds.
        percent: u64,
        /// The most that is allowed.
        ceiling: u64,
        /// MemAvailable, bytes.
        available: u64,
    },
}

impl fmt::Display for Trip {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mib = |bytes: u64| bytes >> 20;
        match self {
            Self::Silence { lasted_us } => {
                write!(f, "no sample was taken for {:.1} s", *lasted_us as f64 / 1e6)
            }
            Self::Memory { available, floor } => {
                let (available, floor) = (mib(*available), mib(*floor));
                write!(f, "MemAvailable fell to {available} MiB, the floor is {floor} MiB")
            }
            Self::Stall { percent, ceiling, available } => write!(
                f,
                "the host was stalled on memory {percent} % of 10 s with {} MiB available, the ceiling is {ceiling} %",
                mib(*available)
            ),
        }
    }
}

impl Watchdog {
    /// Guards within these limits.
    #[must_use]
    pub fn new(limits: &plan::Watchdog) -> Self {
        Self { limits: limits.clone(), window: None }
    }

    /// The reason to stop now. Allocates nothing.
    pub fn check(&mut self, pulse: &Pulse, now_us: u64) -> Option<Trip> {
        let last = pulse.last_tick_us.load(Ordering::Acquire);
        let silence = now_us.saturating_sub(last).max(pulse.longest_silence_us.load(Ordering::Relaxed));
        if last != 0 && silence > self.limits.max_silence_us {
            return Some(Trip::Silence { lasted_us: silence });
        }
        let available = pulse.available.load(Ordering::Relaxed);
        if available < self.limits.min_available {
            return Some(Trip::Memory { available, floor: self.limits.min_available });
        }
        self.stalled(pulse, available, now_us)
    }

    fn stalled(&mut self, pulse: &Pulse, available: u64, now_us: u64) -> Option<Trip> {
        let total = pulse.host_full_us.load(Ordering::Relaxed);
        // PSI full of the host counts only where memory is short, too: one throttled cgroup alone drives it to 90 %.
        if available >= self.limits.full_counts_below {
            self.window = None;
            return None;
        }
        let (start, first) = *self.window.get_or_insert((now_us, total));
        let span = now_us.saturating_sub(start);
        if span < FULL_FOR_US {
            return None;
        }
        let percent = total.saturating_sub(first) * 100 / span;
        self.window = Some((now_us, total));
        let ceiling = self.limits.max_full_percent;
        (percent > ceiling).then_some(Trip::Stall { percent, ceiling, available })
    }
}

/// A watchdog on duty: a thread of its own, so that it watches also while the run waits for an answer. It acts once.
#[derive(Debug)]
pub struct Duty {
    trip: Arc<OnceLock<Trip>>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Duty {
    /// Begins. On a trip everything behind `switches` is killed before anybody is told.
    #[must_use]
    pub fn begin(limits: &plan::Watchdog, pulse: Arc<Pulse>, switches: Arc<Vec<KillSwitch>>) -> Self {
        let mut watchdog = Watchdog::new(limits);
        let (trip, stop) = (Arc::new(OnceLock::new()), Arc::new(AtomicBool::new(false)));
        let (tripped, over) = (Arc::clone(&trip), Arc::clone(&stop));
        let thread = thread::spawn(move || {
            while !over.load(Ordering::Acquire) {
                if let Some(reason) = watchdog.check(&pulse, now_us()) {
                    for switch in switches.iter() {
                        // Gone already, or the undo journal gets it.
                        let _ = switch.pull();
                    }
                    let _ = tripped.set(reason);
                    return;
                }
                thread::sleep(LOOK_EVERY);
            }
        });
        Self { trip, stop, thread: Some(thread) }
    }

    /// Why it stopped the run, if it did.
    #[must_use]
    pub fn tripped(&self) -> Option<Trip> {
        self.trip.get().copied()
    }

    /// Ends the watch; a trip can still be asked for.
    pub fn end(&mut self) {
        self.stop.store(true, Ordering::Release);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Drop for Duty {
    fn drop(&mut self) {
        self.end();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cgroupfs::CgroupDir;

    fn limits() -> plan::Watchdog {
        plan::Watchdog {
            min_available: 100 << 20,
            max_full_percent: 80,
            full_counts_below: 500 << 20,
            max_silence_us: 2_000_000,
        }
    }

    fn pulse(at: u64, available_mib: u64, full_us: u64) -> Pulse {
        let pulse = Pulse::default();
        pulse.last_tick_us.store(at, Ordering::Relaxed);
        pulse.available.store(available_mib << 20, Ordering::Relaxed);
        pulse.host_full_us.store(full_us, Ordering::Relaxed);
        pulse
    }

    fn words(trip: Option<Trip>) -> Option<String> {
        trip.map(|trip| trip.to_string())
    }

    #[test]
    fn a_quiet_machine_is_left_alone() {
        assert_eq!(Watchdog::new(&limits()).check(&pulse(1_000_000, 900, 0), 1_050_000), None);
    }

    #[test]
    fn silence_of_the_sampler_stops_the_run() {
        let reason = Watchdog::new(&limits()).check(&pulse(1_000_000, 900, 0), 3_100_000);
        assert_eq!(words(reason).as_deref(), Some("no sample was taken for 2.1 s"));
    }

    #[test]
    fn silence_that_is_over_stops_the_run_all_the_same() {
        let pulse = pulse(3_100_000, 900, 0);
        pulse.longest_silence_us.store(2_100_000, Ordering::Relaxed);
        let reason = Watchdog::new(&limits()).check(&pulse, 3_110_000);
        assert_eq!(words(reason).as_deref(), Some("no sample was taken for 2.1 s"));
    }

    #[test]
    fn too_little_memory_stops_the_run() {
        let reason = Watchdog::new(&limits()).check(&pulse(1, 99, 0), 2);
        assert_eq!(words(reason).as_deref(), Some("MemAvailable fell to 99 MiB, the floor is 100 MiB"));
    }

    #[test]
    fn a_stalled_host_counts_only_while_memory_is_short() {
        let mut roomy = Watchdog::new(&limits());
        assert_eq!(roomy.check(&pulse(1, 900, 0), 1), None);
        assert_eq!(roomy.check(&pulse(10_000_001, 900, 10_000_000), 10_000_001), None);
        let mut short = Watchdog::new(&limits());
        assert_eq!(short.check(&pulse(1, 200, 0), 1), None);
        let reason = short.check(&pulse(10_000_001, 200, 9_500_000), 10_000_001);
        assert_eq!(
            words(reason).as_deref(),
            Some("the host was stalled on memory 95 % of 10 s with 200 MiB available, the ceiling is 80 %")
        );
    }

    /// The switch of a cgroup in a temporary tree, and what was written to it.
    fn switch(root: &std::path::Path) -> (KillSwitch, std::path::PathBuf) {
        let dir = root.join("run.slice");
        std::fs::create_dir(&dir).expect("made");
        let file = dir.join("cgroup.kill");
        std::fs::write(&file, "").expect("written");
        let cgroup = CgroupDir::open(root, &"/run.slice".parse().expect("a path")).expect("opened");
        (KillSwitch::open(&cgroup).expect("opened"), file)
    }

    #[test]
    fn on_duty_it_kills_while_nobody_waits_for_it_and_only_once() {
        let root = tempfile::tempdir().expect("a temporary directory");
        let (switch, file) = switch(root.path());
        let pulse = Arc::new(pulse(now_us(), 900, 0));
        let generous = plan::Watchdog { max_silence_us: 3_600_000_000, ..limits() };
        let duty = Duty::begin(&generous, Arc::clone(&pulse), Arc::new(vec![switch]));
        assert_eq!(duty.tripped(), None);
        pulse.available.store(99 << 20, Ordering::Relaxed);
        let began = std::time::Instant::now();
        while duty.tripped().is_none() && began.elapsed() < Duration::from_secs(30) {
            thread::sleep(Duration::from_millis(5));
        }
        assert_eq!(duty.tripped(), Some(Trip::Memory { available: 99 << 20, floor: 100 << 20 }));
        drop(duty);
        assert_eq!(std::fs::read_to_string(file).expect("read"), "1");
    }

    #[test]
    fn off_duty_it_kills_nobody() {
        let root = tempfile::tempdir().expect("a temporary directory");
        let (switch, file) = switch(root.path());
        let pulse = Arc::new(pulse(now_us(), 900, 0));
        drop(Duty::begin(&limits(), Arc::clone(&pulse), Arc::new(vec![switch])));
        assert_eq!(std::fs::read_to_string(file).expect("read"), "");
        assert_eq!(Arc::strong_count(&pulse), 1, "its thread has ended");
    }
}
