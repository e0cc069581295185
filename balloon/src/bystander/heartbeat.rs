//! Wakes up on time, or tells how late; allocates a little each time.

use super::chunk;
use super::work::{Work, usage};
use crate::beat::Beat;
use crate::quantity::{bytes, milliseconds};
use crate::recorder::Recorder;
use crate::status::{Kind, Page};
use crate::trouble::Trouble;
use crate::words::{Words, millis};
use std::convert::Infallible;
use std::time::Duration;

/// Wakes up regularly, and allocates, touches and frees a little memory each time, so that it feels the cgroup it
/// lives in. Its gaps are how late it woke.
#[derive(Debug, Clone, PartialEq, Eq, clap::Args)]
pub struct Heartbeat {
    /// Time between two beats.
    #[arg(long, value_name = "MS", default_value = "20", value_parser = milliseconds)]
    pub every: Duration,
    /// Memory that each beat allocates.
    #[arg(long, value_name = "BYTES", default_value = "64K", value_parser = bytes)]
    pub touch: u64,
}

impl Heartbeat {
    /// The memory that each beat allocates when it is not told.
    pub const TOUCH: u64 = chunk::DEFAULT;
}

impl Work for Heartbeat {
    fn kind(&self) -> (&'static str, Kind) {
        ("heartbeat", Kind::Heartbeat)
    }

    fn words(&self, words: &mut Words) {
        words.option("--every", millis(self.every));
        words.unless(Self::TOUCH, "--touch", self.touch);
    }

    fn check(&self) -> Result<(), Trouble> {
        if self.every.is_zero() {
            return usage("--every is 0: the time between two beats must be above 0");
        }
        chunk::check(self.touch)
    }

    fn every(&self) -> Duration {
        self.every
    }

    fn run(&self, _: &Page, recorder: &mut Recorder<'_>) -> Result<Infallible, Trouble> {
        let mut beat = Beat::new(self.every);
        loop {
            beat.wait(recorder);
            recorder.begin();
            chunk::touch(self.touch)?;
            recorder.end();
        }
    }
}
