//! Stops a run for the machine's sake: too little memory left, a stalled host, or a sampler that went silent.

use std::sync::atomic::Ordering;

use super::sampler::Pulse;
use crate::plan;

/// How long PSI full must stay above the ceiling, µs.
const FULL_FOR_US: u64 = 10_000_000;

/// Looks at the pulse of a run.
#[derive(Debug)]
pub struct Watchdog {
    limits: plan::Watchdog,
    /// Time and PSI total at the start of the current window.
    window: Option<(u64, u64)>,
}

impl Watchdog {
    /// Guards within these limits.
    #[must_use]
    pub fn new(limits: &plan::Watchdog) -> Self {
        Self { limits: limits.clone(), window: None }
    }

    /// The reason to stop now, with numbers.
    pub fn check(&mut self, pulse: &Pulse, now_us: u64) -> Option<String> {
        let last = pulse.last_tick_us.load(Ordering::Acquire);
        let silence = now_us.saturating_sub(last).max(pulse.longest_silence_us.load(Ordering::Relaxed));
        if last != 0 && silence > self.limits.max_silence_us {
            return Some(format!("no sample was taken for {:.1} s", silence as f64 / 1e6));
        }
        let available = pulse.available.load(Ordering::Relaxed);
        if available < self.limits.min_available {
            let mib = |bytes: u64| bytes >> 20;
            return Some(format!(
                "MemAvailable fell to {} MiB, the floor is {} MiB",
                mib(available),
                mib(self.limits.min_available)
            ));
        }
        self.stalled(pulse, available, now_us)
    }

    fn stalled(&mut self, pulse: &Pulse, available: u64, now_us: u64) -> Option<String> {
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
        (percent > self.limits.max_full_percent).then(|| {
            format!(
                "the host was stalled on memory {percent} % of 10 s with {} MiB available, the ceiling is {} %",
                available >> 20,
                self.limits.max_full_percent
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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

    #[test]
    fn a_quiet_machine_is_left_alone() {
        assert_eq!(Watchdog::new(&limits()).check(&pulse(1_000_000, 900, 0), 1_050_000), None);
    }

    #[test]
    fn silence_of_the_sampler_stops_the_run() {
        let reason = Watchdog::new(&limits()).check(&pulse(1_000_000, 900, 0), 3_100_000);
        assert_eq!(reason.as_deref(), Some("no sample was taken for 2.1 s"));
    }

    #[test]
    fn silence_that_is_over_stops_the_run_all_the_same() {
        let pulse = pulse(3_100_000, 900, 0);
        pulse.longest_silence_us.store(2_100_000, Ordering::Relaxed);
        let reason = Watchdog::new(&limits()).check(&pulse, 3_110_000);
        assert_eq!(reason.as_deref(), Some("no sample was taken for 2.1 s"));
    }

    #[test]
    fn too_little_memory_stops_the_run() {
        let reason = Watchdog::new(&limits()).check(&pulse(1, 99, 0), 2);
        assert_eq!(reason.as_deref(), Some("MemAvailable fell to 99 MiB, the floor is 100 MiB"));
    }

    #[test]
    fn a_stalled_host_counts_only_while_memory_is_short() {
        let mut roomy = Watchdog::new(&limits());
        assert_eq!(roomy.check(&pulse(1, 900, 0), 1), None);
        assert_eq!(roomy.check(&pulse(10_000_001, 900, 10_000_000), 10_000_001), None);
        let mut short = Watchdog::new(&limits());
        assert_eq!(short.check(&pulse(1, 200, 0), 1), None);
        let reason = short.check(&pulse(10_000_001, 200, 9_500_000), 10_000_001);
        assert!(reason.is_some_and(|words| words.contains("95 %")));
    }
}
