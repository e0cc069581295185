//! Wakes up on time, or tells how late; allocates a little each time.

use super::chunk;
use crate::beat::Beat;
use crate::recorder::Recorder;
use crate::trouble::Trouble;
use std::convert::Infallible;
use std::time::Duration;

pub(super) fn run(recorder: &mut Recorder<'_>, every: Duration, touch: u64) -> Result<Infallible, Trouble> {
    let mut beat = Beat::new(every);
    loop {
        beat.wait(recorder);
        recorder.begin();
        chunk::touch(touch)?;
        recorder.end();
    }
}
