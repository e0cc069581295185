//! How many machines this one has the memory for: each clone may come to use all of its own.
//!
//! Other runs of bulkhead, and whatever else is on this machine, show in MemAvailable, which is read before each clone.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use ci::MACHINE_BYTES;

/// Says who may start a machine, and when.
#[derive(Debug)]
pub(super) struct Room {
    /// The root of /proc.
    proc: PathBuf,
    /// Machines that run, or are about to.
    running: Mutex<u64>,
    changed: Condvar,
}

/// A machine's place, until it is dropped.
#[derive(Debug)]
pub(super) struct Place<'a>(&'a Room);

/// There is no room for a machine, not even for one.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "a guest can use up to {} MiB, and MemAvailable of this machine is {} MiB: free some memory",
    MACHINE_BYTES >> 20,
    available >> 20
)]
pub(super) struct NoRoom {
    /// Bytes.
    available: u64,
}

impl Room {
    pub(super) fn of_this_machine() -> Self {
        Self::below(Path::new("/proc"))
    }

    fn below(proc: &Path) -> Self {
        Self { proc: proc.to_owned(), running: Mutex::default(), changed: Condvar::new() }
    }

    /// How many machines may run side by side of those that are wanted, and why not all of them. At least one: whether
    /// there is room for that one is asked when it starts.
    pub(super) fn jobs(&self, wanted: usize) -> (usize, Option<String>) {
        let Some(available) = self.available() else { return (wanted, None) };
        let room = usize::try_from(available / MACHINE_BYTES).unwrap_or(usize::MAX).max(1);
        if room >= wanted {
            return (wanted, None);
        }
        let words = format!(
            "{room} VMs in parallel instead of {wanted}: each can use up to {} MiB, and MemAvailable of this machine is \
             {} MiB",
            MACHINE_BYTES >> 20,
            available >> 20
        );
        (room, Some(words))
    }

    /// Waits until there is room for one more machine; what runs already ends some time.
    ///
    /// # Errors
    /// When there is none and nothing of ours runs that could make some.
    pub(super) fn take(&self) -> Result<Place<'_>, NoRoom> {
        let mut running = self.lock();
        loop {
            match self.lacking(*running) {
                None => {
                    *running += 1;
                    return Ok(Place(self));
                }
                Some(no_room) if *running == 0 => return Err(no_room),
                Some(_) => running = self.changed.wait(running).unwrap_or_else(PoisonError::into_inner),
            }
        }
    }

    /// Why one more machine does not fit beside so many of ours, each of which may still grow.
    fn lacking(&self, running: u64) -> Option<NoRoom> {
        // A kernel that does not tell is not asked: nothing is known against it.
        let available = self.available()?;
        let grown = self.grown();
        let started = u64::try_from(grown.len()).unwrap_or(u64::MAX);
        let growth: u64 = grown.iter().map(|used| MACHINE_BYTES.saturating_sub(*used)).sum();
        let promised = growth.saturating_add(running.saturating_sub(started).saturating_mul(MACHINE_BYTES));
        let needed = promised.saturating_add(MACHINE_BYTES);
        (needed > available).then_some(NoRoom { available })
    }

    fn available(&self) -> Option<u64> {
        kib(&fs::read_to_string(self.proc.join("meminfo")).ok()?, "MemAvailable:")
    }

    /// What each of our QEMUs has come to use: pages of its own, not those of the template's file.
    fn grown(&self) -> Vec<u64> {
        let threads = fs::read_dir(self.proc.join("self/task")).into_iter().flatten().flatten();
        let children = threads.filter_map(|thread| fs::read_to_string(thread.path().join("children")).ok());
        let children = children.collect::<Vec<_>>().join(" ");
        children
            .split_whitespace()
            .filter_map(|pid| fs::read_to_string(self.proc.join(pid).join("status")).ok())
            .filter(|status| status.starts_with("Name:\tqemu-system"))
            .filter_map(|status| kib(&status, "RssAnon:"))
            .collect()
    }

    fn lock(&self) -> MutexGuard<'_, u64> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        let mut running = self.0.lock();
        *running = running.saturating_sub(1);
        self.0.changed.notify_all();
    }
}

/// The value of a line of /proc in kB, in bytes.
fn kib(text: &str, key: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(key))?;
    line.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok().map(|kib| kib * 1024)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::thread;

    use rstest::rstest;
    use tempfile::TempDir;

    use super::*;

    const MACHINE: f64 = MACHINE_BYTES as f64;

    /// A /proc with memory for so many machines, and QEMUs that have grown to such parts of one.
    struct Proc(TempDir);

    impl Proc {
        fn with(machines: f64, grown: &[f64]) -> Self {
            let proc = Self(tempfile::tempdir().expect("a temporary directory"));
            let task = proc.0.path().join("self/task/1");
            fs::create_dir_all(&task).expect("made");
            let pids: Vec<String> = (0..grown.len()).map(|n| (100 + n).to_string()).collect();
            // A child that is none of our machines.
            fs::write(task.join("children"), format!("99 {} ", pids.join(" "))).expect("written");
            proc.status("99", "tar", 1.0);
            for (pid, part) in pids.iter().zip(grown) {
                proc.status(pid, "qemu-system-x86", *part);
            }
            proc.available(machines);
            proc
        }

        fn available(&self, machines: f64) {
            let kib = (machines * MACHINE / 1024.0) as u64;
            fs::write(self.0.path().join("meminfo"), format!("MemTotal: 1 kB\nMemAvailable: {kib} kB\n"))
                .expect("written");
        }

        fn status(&self, pid: &str, name: &str, part: f64) {
            let dir = self.0.path().join(pid);
            fs::create_dir_all(&dir).expect("made");
            let kib = (part * MACHINE / 1024.0) as u64;
            fs::write(dir.join("status"), format!("Name:\t{name}\nRssAnon:\t {kib} kB\n")).expect("written");
        }

        fn room(&self) -> Room {
            Room::below(self.0.path())
        }
    }

    #[rstest]
    #[case::plenty(9.0, 4, 4)]
    #[case::just_enough(4.0, 4, 4)]
    #[case::short(3.9, 4, 3)]
    #[case::not_even_one_is_said_when_it_starts(0.5, 4, 1)]
    fn memory_bounds_how_many_machines_run_side_by_side(
        #[case] machines: f64,
        #[case] wanted: usize,
        #[case] jobs: usize,
    ) {
        let (got, words) = Proc::with(machines, &[]).room().jobs(wanted);
        assert_eq!((got, words.is_some()), (jobs, jobs < wanted), "{words:?}");
        assert!(words.is_none_or(|words| words.starts_with(&format!("{jobs} VMs in parallel instead of {wanted}"))));
    }

    /// What the running ones have taken is gone from MemAvailable; what they may still take is not.
    #[rstest]
    #[case::beside_one_that_has_just_begun(1.9, &[0.0], false)]
    #[case::beside_one_that_has_just_begun(2.0, &[0.0], true)]
    #[case::beside_one_that_has_grown(1.3, &[0.75], true)]
    #[case::beside_one_that_has_grown(1.2, &[0.75], false)]
    #[case::beside_one_beyond_its_size(1.0, &[1.5], true)]
    #[case::beside_one_whose_process_is_not_there_yet(1.5, &[], false)]
    fn what_runs_may_still_grow(#[case] machines: f64, #[case] grown: &[f64], #[case] fits: bool) {
        let proc = Proc::with(machines, grown);
        assert_eq!(proc.room().lacking(1).is_none(), fits);
    }

    #[test]
    fn without_room_for_one_it_is_refused_with_the_numbers() {
        let proc = Proc::with(0.5, &[]);
        let error = proc.room().take().expect_err("refused").to_string();
        let words =
            format!("a guest can use up to {} MiB, and MemAvailable of this machine is", MACHINE_BYTES >> 20);
        assert!(error.starts_with(&words), "{error}");
    }

    #[test]
    fn who_finds_no_room_waits_for_one_that_ends() {
        let proc = Proc::with(1.5, &[]);
        let room = Arc::new(proc.room());
        let first = room.take().expect("room for one");
        let second = {
            let room = Arc::clone(&room);
            thread::spawn(move || room.take().is_ok())
        };
        assert!(!second.is_finished());
        drop(first);
        assert!(second.join().expect("no panic"));
    }

    #[test]
    fn a_kernel_that_does_not_tell_is_no_reason_to_refuse() {
        let proc = Proc::with(0.0, &[]);
        fs::remove_file(proc.0.path().join("meminfo")).expect("removed");
        assert_eq!(proc.room().jobs(8), (8, None));
        assert!(proc.room().take().is_ok());
    }
}
