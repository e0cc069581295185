//! Reads a file from end to end through the page cache, again and again: the innocent whose file pages are the
//! first thing that reclaim can take.

use super::work::Work;
use crate::beat::Beat;
use crate::quantity::milliseconds;
use crate::recorder::Recorder;
use crate::status::{Kind, Page};
use crate::trouble::Trouble;
use crate::words::{Words, millis};
use std::convert::Infallible;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

const BLOCK: usize = 64 << 10;

/// Reads a file from end to end through the page cache, again and again. Its gaps are the durations.
#[derive(Debug, Clone, PartialEq, Eq, clap::Args)]
pub struct Reader {
    /// A file that exists.
    #[arg(long, value_name = "PATH")]
    pub file: PathBuf,
    /// Time from one start to the next.
    #[arg(long, value_name = "MS", default_value = "100", value_parser = milliseconds)]
    pub every: Duration,
}

impl Reader {
    /// The time from one start to the next when it is not told.
    pub const EVERY: Duration = Duration::from_millis(100);
}

impl Work for Reader {
    fn kind(&self) -> (&'static str, Kind) {
        ("reader", Kind::Reader)
    }

    fn words(&self, words: &mut Words) {
        words.option("--file", self.file.as_os_str());
        words.unless(millis(Self::EVERY), "--every", millis(self.every));
    }

    fn every(&self) -> Duration {
        self.every
    }

    fn run(&self, page: &Page, recorder: &mut Recorder<'_>) -> Result<Infallible, Trouble> {
        let io = |error: io::Error| Trouble::system(format!("read {}", self.file.display()), error);
        let file = File::open(&self.file).map_err(io)?;
        page.fields().total.store(file.metadata().map_err(io)?.len(), Relaxed);
        let mut block = vec![0; BLOCK];
        let mut beat = Beat::new(self.every);
        loop {
            recorder.begin();
            let mut at = 0;
            loop {
                match file.read_at(&mut block, at).map_err(io)? {
                    0 => break,
                    length => at += length as u64,
                }
            }
            page.fields().touched.store(at, Relaxed);
            recorder.end_as_gap();
            beat.wait_uncounted(recorder);
        }
    }
}
