//! How much of a guest's slowness is this machine's: time that QEMU's threads ran, and time that they waited for a
//! processor although they could have run.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

/// Time that all threads of a QEMU together waited for a processor, up to a moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HostShare {
    /// Runnable, waiting for a processor.
    pub waited: Duration,
    /// The moment.
    pub at: Instant,
}

impl HostShare {
    /// Sums `/proc/PID/task/*/schedstat` (kernel: Documentation/scheduler/sched-stats.rst): the second number is the time
    /// on a run queue, in ns.
    pub(crate) fn of(proc: &Path, pid: u32) -> Option<Self> {
        let mut share = Self { waited: Duration::ZERO, at: Instant::now() };
        for task in fs::read_dir(proc.join(pid.to_string()).join("task")).ok()? {
            // A thread that ended meanwhile takes its numbers along.
            let Ok(text) = fs::read_to_string(task.ok()?.path().join("schedstat")) else { continue };
            let Some(Ok(waited)) = text.split_whitespace().nth(1).map(str::parse) else { return None };
            share.waited += Duration::from_nanos(waited);
        }
        Some(share)
    }

    /// Time waited since `earlier`, in percent of the time that passed. It can be above 100: threads wait side by side.
    /// None when no time has passed.
    #[must_use]
    pub fn waited_percent_since(&self, earlier: &Self) -> Option<u64> {
        let passed = self.at.saturating_duration_since(earlier.at).as_micros();
        let waited = self.waited.saturating_sub(earlier.waited).as_micros();
        (passed > 0).then(|| u64::try_from(waited * 100 / passed).unwrap_or(u64::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_threads_count_and_the_share_is_of_the_time_since() {
        let proc = tempfile::tempdir().unwrap();
        for (task, text) in [("7", "3000000000 1000000000 5"), ("8", "1000000000 3000000000 9")] {
            let dir = proc.path().join("7/task").join(task);
            fs::create_dir_all(&dir).unwrap();
            fs::write(dir.join("schedstat"), text).unwrap();
        }
        let share = HostShare::of(proc.path(), 7).unwrap();
        assert_eq!(share.waited, Duration::from_secs(4));
        let later = HostShare { waited: Duration::from_secs(10), at: share.at + Duration::from_secs(20) };
        assert_eq!(later.waited_percent_since(&share), Some(30));
        assert_eq!(share.waited_percent_since(&share), None);
    }

    #[test]
    fn a_kernel_that_does_not_tell_is_no_idle_machine() {
        assert_eq!(HostShare::of(Path::new("/nonexistent"), 1), None);
    }
}
