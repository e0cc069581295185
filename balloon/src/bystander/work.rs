//! What a kind of bystander is made of. Its command line is its own `clap` arguments.

use crate::recorder::Recorder;
use crate::status::{Kind, Page};
use crate::trouble::Trouble;
use crate::words::Words;
use std::convert::Infallible;
use std::time::Duration;

/// A kind of bystander.
pub(crate) trait Work {
    /// Its word on the command line, and its number in the status page.
    fn kind(&self) -> (&'static str, Kind);

    /// The words that read back as these options.
    fn words(&self, words: &mut Words);

    /// Refuses what cannot be.
    fn check(&self) -> Result<(), Trouble> {
        Ok(())
    }

    /// The time between two pieces of work; 0 for one that does not pause.
    fn every(&self) -> Duration;

    /// What has to be done before the release.
    fn prepare(&self) -> Result<(), Trouble> {
        Ok(())
    }

    /// Works until it is ended from outside.
    fn run(&self, page: &Page, recorder: &mut Recorder<'_>) -> Result<Infallible, Trouble>;
}

/// An impossible command line.
pub(super) fn usage(words: &str) -> Result<(), Trouble> {
    Err(Trouble::Usage(words.into()))
}
