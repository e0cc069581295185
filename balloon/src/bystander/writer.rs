//! Writes a file from end to end and waits until the disk has it, again and again: somebody whose work is I/O.

use super::work::{Work, usage};
use crate::beat::Beat;
use crate::quantity::{bytes, milliseconds};
use crate::recorder::Recorder;
use crate::status::{Kind, Page};
use crate::trouble::Trouble;
use crate::words::{Words, millis};
use std::convert::Infallible;
use std::fs::OpenOptions;
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::PathBuf;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

const BLOCK: usize = 64 << 10;

/// Writes a file from end to end and waits for the disk (fsync), again and again. Its gaps are the durations.
#[derive(Debug, Clone, PartialEq, Eq, clap::Args)]
pub struct Writer {
    /// A file to create.
    #[arg(long, value_name = "PATH")]
    pub file: PathBuf,
    /// Size of the file.
    #[arg(long, value_name = "BYTES", value_parser = bytes)]
    pub bytes: u64,
    /// Time from one start to the next.
    #[arg(long, value_name = "MS", default_value = "100", value_parser = milliseconds)]
    pub every: Duration,
}

impl Writer {
    /// The time from one start to the next when it is not told.
    pub const EVERY: Duration = Duration::from_millis(100);
}

impl Work for Writer {
    fn kind(&self) -> (&'static str, Kind) {
        ("writer", Kind::Writer)
    }

    fn words(&self, words: &mut Words) {
        words.option("--file", self.file.as_os_str());
        words.option("--bytes", self.bytes);
        words.unless(millis(Self::EVERY), "--every", millis(self.every));
    }

    fn check(&self) -> Result<(), Trouble> {
        if self.bytes == 0 {
            return usage("--bytes is 0: there would be nothing to write");
        }
        if self.file.symlink_metadata().is_ok() {
            return usage("--file exists: the writer overwrites its file, so it only takes a new one");
        }
        Ok(())
    }

    fn every(&self) -> Duration {
        self.every
    }

    fn run(&self, page: &Page, recorder: &mut Recorder<'_>) -> Result<Infallible, Trouble> {
        let Self { file: path, bytes, every } = self;
        let io = |error: io::Error| Trouble::system(format!("write {}", path.display()), error);
        let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path).map_err(io)?;
        let block = vec![0x2e; BLOCK];
        page.fields().total.store(*bytes, Relaxed);
        let mut beat = Beat::new(*every);
        loop {
            recorder.begin();
            let mut at = 0;
            while at < *bytes {
                let length = usize::try_from(bytes - at).map_or(BLOCK, |left| left.min(BLOCK));
                file.write_all_at(&block[..length], at).map_err(io)?;
                at += length as u64;
            }
            file.sync_all().map_err(io)?;
            page.fields().touched.store(*bytes, Relaxed);
            recorder.end_as_gap();
            beat.wait_uncounted(recorder);
        }
    }
}
