//! Writes a file from end to end and waits until the disk has it, again and again: somebody whose work is I/O.

use crate::beat::Beat;
use crate::recorder::Recorder;
use crate::status::Page;
use crate::trouble::Trouble;
use std::convert::Infallible;
use std::fs::OpenOptions;
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

const BLOCK: usize = 64 << 10;

pub(super) fn run(
    page: &Page,
    recorder: &mut Recorder<'_>,
    path: &Path,
    bytes: u64,
    every: Duration,
) -> Result<Infallible, Trouble> {
    let io = |error: io::Error| Trouble::system(format!("write {}", path.display()), error);
    let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path).map_err(io)?;
    let block = vec![0x2e; BLOCK];
    page.fields().total.store(bytes, Relaxed);
    let mut beat = Beat::new(every);
    loop {
        recorder.begin();
        let mut at = 0;
        while at < bytes {
            let length = usize::try_from(bytes - at).map_or(BLOCK, |left| left.min(BLOCK));
            file.write_all_at(&block[..length], at).map_err(io)?;
            at += length as u64;
        }
        file.sync_all().map_err(io)?;
        page.fields().touched.store(bytes, Relaxed);
        recorder.end_as_gap();
        beat.wait_uncounted(recorder);
    }
}
