//! Steps and wake-ups of one process → the status page. Adds to the page instead of overwriting it, so that
//! several processes can share one. Knows durations and faults; what a step is, is the caller's business.

use crate::clock;
use crate::status::{Page, bucket};
use nix::sys::resource::{UsageWho, getrusage};
use std::sync::atomic::Ordering::Relaxed;

/// "Recent" covers the window in progress and the one before.
const WINDOW_NS: u64 = 1_000_000_000;

/// The hand that writes.
#[derive(Debug)]
pub(crate) struct Recorder<'a> {
    page: &'a Page,
    began_ns: u64,
    window_began_ns: u64,
    window_max_ns: u64,
    window_before_ns: u64,
    minor: u64,
    major: u64,
}

impl<'a> Recorder<'a> {
    pub(crate) fn new(page: &'a Page) -> Self {
        let (minor, major) = faults();
        let now = clock::now_ns();
        Self {
            page,
            began_ns: now,
            window_began_ns: now,
            window_max_ns: 0,
            window_before_ns: 0,
            minor,
            major,
        }
    }

    /// A step begins now.
    pub(crate) fn begin(&mut self) {
        self.began_ns = clock::now_ns();
        self.page.fields().step_started_ns.store(self.began_ns, Relaxed);
    }

    /// The step that began last has ended; returns how long it took, in ns.
    pub(crate) fn end(&mut self) -> u64 {
        let now = clock::now_ns();
        let took = now.saturating_sub(self.began_ns);
        let fields = self.page.fields();
        fields.step_started_ns.store(0, Relaxed);
        fields.steps.fetch_add(1, Relaxed);
        fields.step_last_ns.store(took, Relaxed);
        fields.step_max_ns.fetch_max(took, Relaxed);
        fields.step_recent_max_ns.store(self.recent(now, took), Relaxed);
        self.look(now);
        took
    }

    /// The same, when the duration of steps is what the gaps are about.
    pub(crate) fn end_as_gap(&mut self) -> u64 {
        let took = self.end();
        self.gap(took);
        took
    }

    /// Counts a gap.
    pub(crate) fn gap(&self, ns: u64) {
        let fields = self.page.fields();
        fields.gaps[bucket(ns)].fetch_add(1, Relaxed);
        fields.gap_max_ns.fetch_max(ns, Relaxed);
    }

    /// Counts a return from sleep.
    pub(crate) fn woke(&mut self) {
        self.page.fields().wakeups.fetch_add(1, Relaxed);
        self.look(clock::now_ns());
    }

    fn look(&mut self, now: u64) {
        let fields = self.page.fields();
        let (minor, major) = faults();
        fields.minor_faults.fetch_add(minor.saturating_sub(self.minor), Relaxed);
        fields.major_faults.fetch_add(major.saturating_sub(self.major), Relaxed);
        (self.minor, self.major) = (minor, major);
        fields.updated_ns.store(now, Relaxed);
    }

    fn recent(&mut self, now: u64, took: u64) -> u64 {
        let age = now.saturating_sub(self.window_began_ns);
        if age >= WINDOW_NS {
            self.window_before_ns = if age < 2 * WINDOW_NS { self.window_max_ns } else { 0 };
            (self.window_began_ns, self.window_max_ns) = (now, 0);
        }
        self.window_max_ns = self.window_max_ns.max(took);
        self.window_max_ns.max(self.window_before_ns)
    }
}

/// Minor and major faults of this thread so far: a page with several threads gets each fault once.
fn faults() -> (u64, u64) {
    // getrusage(2) fails only for bad arguments.
    getrusage(UsageWho::RUSAGE_THREAD).map_or((0, 0), |usage| {
        (usage.minor_page_faults().unsigned_abs(), usage.major_page_faults().unsigned_abs())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_step_is_recent_for_one_to_two_seconds() {
        let dir = tempfile::tempdir().unwrap();
        let page = Page::create(&dir.path().join("status")).unwrap();
        let mut recorder = Recorder::new(&page);
        recorder.window_began_ns = 0;
        let second = WINDOW_NS;
        assert_eq!(recorder.recent(second / 2, 900), 900);
        assert_eq!(recorder.recent(second + 1, 5), 900);
        assert_eq!(recorder.recent(2 * second + 2, 5), 5);
    }

    #[test]
    fn steps_are_counted_and_their_durations_are_the_gaps() {
        let dir = tempfile::tempdir().unwrap();
        let page = Page::create(&dir.path().join("status")).unwrap();
        let mut recorder = Recorder::new(&page);
        recorder.begin();
        assert_ne!(page.snapshot().step_started_ns, 0);
        let took = recorder.end_as_gap();
        let snapshot = page.snapshot();
        assert_eq!((snapshot.steps, snapshot.step_started_ns), (1, 0));
        assert_eq!((snapshot.step_max_ns, snapshot.gap_max_ns, snapshot.gaps().count()), (took, took, 1));
    }
}
