//! Waking at fixed points in time, and how late that was. Deadlines are absolute. After a stall every deadline
//! that passed meanwhile is counted with its own lateness, although there is only one beat: otherwise a standstill of
//! two seconds would be one late beat in a hundred, and vanish from the quantiles.

use crate::clock;
use crate::recorder::Recorder;
use std::time::Duration;

/// A bystander's metronome.
#[derive(Debug)]
pub(crate) struct Beat {
    every_ns: u64,
    due_ns: u64,
}

impl Beat {
    /// The first beat is one period from now. A period of 0 beats without pause.
    pub(crate) fn new(every: Duration) -> Self {
        let every_ns = clock::ns(every).max(1);
        Self { every_ns, due_ns: clock::now_ns() + every_ns }
    }

    /// When the next beat is due.
    pub(crate) fn due_ns(&self) -> u64 {
        self.due_ns
    }

    /// Sleeps until the next beat and moves on to the one after it.
    pub(crate) fn wait(&mut self, recorder: &mut Recorder<'_>) {
        clock::sleep_until(self.due_ns);
        let now = clock::now_ns();
        self.arrive(now, |late| recorder.gap(late));
        recorder.woke();
    }

    /// Sleeps until the next beat, for bystanders whose gaps are about their work and not about their sleep.
    pub(crate) fn wait_uncounted(&mut self, recorder: &mut Recorder<'_>) {
        clock::sleep_until(self.due_ns);
        self.arrive(clock::now_ns(), |_| {});
        recorder.woke();
    }

    /// Reports the lateness of every deadline up to `now`; the next one lies after `now`.
    pub(crate) fn arrive(&mut self, now: u64, mut late: impl FnMut(u64)) {
        // A machine that slept for hours would owe millions of beats; the first ten thousand say enough.
        for _ in 0..10_000 {
            if self.due_ns > now {
                return;
            }
            late(now - self.due_ns);
            self.due_ns += self.every_ns;
        }
        self.due_ns = now + self.every_ns;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arrivals(beat: &mut Beat, now: u64) -> Vec<u64> {
        let mut seen = Vec::new();
        beat.arrive(now, |late| seen.push(late));
        seen
    }

    #[test]
    fn a_stall_counts_for_every_beat_it_swallowed() {
        let mut beat = Beat { every_ns: 20, due_ns: 100 };
        assert_eq!(arrivals(&mut beat, 103), [3]);
        assert_eq!(arrivals(&mut beat, 165), [45, 25, 5]);
        assert_eq!(beat.due_ns(), 180);
    }

    #[test]
    fn before_its_time_there_is_no_beat() {
        let mut beat = Beat { every_ns: 20, due_ns: 100 };
        assert!(arrivals(&mut beat, 99).is_empty());
        assert_eq!(beat.due_ns(), 100);
    }

    #[test]
    fn a_very_long_stall_ends_with_a_beat_in_the_future() {
        let mut beat = Beat { every_ns: 1, due_ns: 0 };
        assert_eq!(arrivals(&mut beat, 1_000_000).len(), 10_000);
        assert_eq!(beat.due_ns(), 1_000_001);
    }
}
