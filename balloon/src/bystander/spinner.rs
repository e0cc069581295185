//! Computes without pause: what is left of the CPU for somebody who needs nothing else. Touches no memory.

use crate::recorder::Recorder;
use crate::status::Page;
use crate::trouble::Trouble;
use std::convert::Infallible;
use std::hint::black_box;
use std::thread;

/// About a millisecond of work on a machine of the 2020s.
const TURNS: u32 = 1 << 20;

pub(super) fn run(page: &Page, threads: u32) -> Result<Infallible, Trouble> {
    thread::scope(|scope| {
        for number in 1..threads {
            thread::Builder::new().spawn_scoped(scope, || spin(page)).map_err(|error| {
                Trouble::system(format!("start thread {} of {threads}", number + 1), error)
            })?;
        }
        spin(page)
    })
}

fn spin(page: &Page) -> ! {
    let mut recorder = Recorder::new(page);
    loop {
        recorder.begin();
        for turn in 0..TURNS {
            black_box(turn);
        }
        recorder.end_as_gap();
    }
}
