//! Computes without pause: what is left of the CPU for somebody who needs nothing else. Touches no memory.

use super::work::Work;
use crate::recorder::Recorder;
use crate::status::{Kind, Page};
use crate::trouble::Trouble;
use crate::words::Words;
use std::convert::Infallible;
use std::hint::black_box;
use std::thread;
use std::time::Duration;

/// About a millisecond of work on a machine of the 2020s.
const TURNS: u32 = 1 << 20;

/// Computes without pause. Its gaps are the durations of equal pieces of work.
#[derive(Debug, Clone, PartialEq, Eq, clap::Args)]
pub struct Spinner {
    /// Number of threads.
    #[arg(long, value_name = "N", default_value = "1", value_parser = clap::value_parser!(u32).range(1..=1024))]
    pub threads: u32,
}

impl Work for Spinner {
    fn kind(&self) -> (&'static str, Kind) {
        ("spinner", Kind::Spinner)
    }

    fn words(&self, words: &mut Words) {
        words.option("--threads", self.threads);
    }

    fn every(&self) -> Duration {
        Duration::ZERO
    }

    fn run(&self, page: &Page, _: &mut Recorder<'_>) -> Result<Infallible, Trouble> {
        let threads = self.threads;
        thread::scope(|scope| {
            for number in 1..threads {
                thread::Builder::new().spawn_scoped(scope, || spin(page)).map_err(|error| {
                    Trouble::system(format!("start thread {} of {threads}", number + 1), error)
                })?;
            }
            spin(page)
        })
    }
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
