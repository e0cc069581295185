//! How much of a guest's slowness is this machine's: time that QEMU's threads ran, and time that they waited for a
//! processor although they could have run.

use std::fs;
use std::path::Path;
use std::time::Duration;

/// Time of all threads of a QEMU together.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct HostShare {
    /// On a processor.
    pub ran: Duration,
    /// Runnable, waiting for a processor.
    pub waited: Duration,
}

impl HostShare {
    /// Sums `/proc/PID/task/*/schedstat` (kernel: Documentation/scheduler/sched-stats.rst): time on a processor and time
    /// on a run queue, both in ns.
    pub(crate) fn of(proc: &Path, pid: u32) -> Option<Self> {
        let mut share = Self::default();
        for task in fs::read_dir(proc.join(pid.to_string()).join("task")).ok()? {
            // A thread that ended meanwhile takes its numbers along.
            let Ok(text) = fs::read_to_string(task.ok()?.path().join("schedstat")) else { continue };
            let mut numbers = text.split_whitespace().map(str::parse);
            let (Some(Ok(ran)), Some(Ok(waited))) = (numbers.next(), numbers.next()) else { return None };
            share.ran += Duration::from_nanos(ran);
            share.waited += Duration::from_nanos(waited);
        }
        Some(share)
    }

    /// Time waited since `earlier`, in percent of the time in which its threads could have run; none when they never
    /// wanted to.
    #[must_use]
    pub fn waited_percent_since(&self, earlier: &Self) -> Option<u64> {
        let waited = self.waited.saturating_sub(earlier.waited).as_micros();
        let wanted = waited + self.ran.saturating_sub(earlier.ran).as_micros();
        (wanted > 0).then(|| u64::try_from(waited * 100 / wanted).unwrap_or(100))
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
        assert_eq!((share.ran, share.waited), (Duration::from_secs(4), Duration::from_secs(4)));
        assert_eq!(share.waited_percent_since(&HostShare::default()), Some(50));
        let earlier = HostShare { ran: Duration::from_secs(3), waited: Duration::from_secs(1) };
        assert_eq!(share.waited_percent_since(&earlier), Some(75));
        assert_eq!(share.waited_percent_since(&share), None);
    }

    #[test]
    fn a_kernel_that_does_not_tell_is_no_idle_machine() {
        assert_eq!(HostShare::of(Path::new("/nonexistent"), 1), None);
    }
}
