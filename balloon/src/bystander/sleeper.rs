//! The control: locked in memory, allocating nothing, only waking up. What it feels is not memory.

use super::work::Work;
use crate::beat::Beat;
use crate::recorder::Recorder;
use crate::status::{Kind, Page};
use crate::trouble::Trouble;
use crate::words::Words;
use nix::sys::mman::{MlockAllFlags, mlockall};
use std::convert::Infallible;
use std::time::Duration;

const EVERY: Duration = Duration::from_millis(20);

/// Locks itself into memory and touches nothing new: the control. Its gaps are how late it woke every 20 ms.
#[derive(Debug, Clone, PartialEq, Eq, clap::Args)]
pub struct Sleeper {}

impl Work for Sleeper {
    fn kind(&self) -> (&'static str, Kind) {
        ("sleeper", Kind::Sleeper)
    }

    fn words(&self, _: &mut Words) {}

    fn every(&self) -> Duration {
        EVERY
    }

    /// Locked before the release, so that nothing is left that could be charged after it.
    fn prepare(&self) -> Result<(), Trouble> {
        mlockall(MlockAllFlags::MCL_CURRENT | MlockAllFlags::MCL_FUTURE).map_err(|errno| {
            Trouble::system("lock itself in memory (needs CAP_IPC_LOCK or a larger RLIMIT_MEMLOCK)", errno)
        })
    }

    fn run(&self, _: &Page, recorder: &mut Recorder<'_>) -> Result<Infallible, Trouble> {
        let mut beat = Beat::new(EVERY);
        loop {
            beat.wait(recorder);
            recorder.begin();
            recorder.end();
        }
    }
}
