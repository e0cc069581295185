//! The control: locked in memory, allocating nothing, only waking up. What it feels is not memory.

use crate::beat::Beat;
use crate::recorder::Recorder;
use crate::trouble::Trouble;
use nix::sys::mman::{MlockAllFlags, mlockall};
use std::time::Duration;

const EVERY: Duration = Duration::from_millis(20);

/// Before the release, so that nothing is left that could be charged after it.
pub(super) fn lock() -> Result<(), Trouble> {
    mlockall(MlockAllFlags::MCL_CURRENT | MlockAllFlags::MCL_FUTURE).map_err(|errno| {
        Trouble::system("lock itself in memory (needs CAP_IPC_LOCK or a larger RLIMIT_MEMLOCK)", errno)
    })
}

pub(super) fn run(recorder: &mut Recorder<'_>) -> ! {
    let mut beat = Beat::new(EVERY);
    loop {
        beat.wait(recorder);
        recorder.begin();
        recorder.end();
    }
}
