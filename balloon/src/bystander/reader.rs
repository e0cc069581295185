//! Reads a file from end to end through the page cache, again and again: the innocent whose file pages are the
//! first thing that reclaim can take.

use crate::beat::Beat;
use crate::recorder::Recorder;
use crate::status::Page;
use crate::trouble::Trouble;
use std::convert::Infallible;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

const BLOCK: usize = 64 << 10;

pub(super) fn run(
    page: &Page,
    recorder: &mut Recorder<'_>,
    path: &Path,
    every: Duration,
) -> Result<Infallible, Trouble> {
    let io = |error: io::Error| Trouble::system(format!("read {}", path.display()), error);
    let file = File::open(path).map_err(io)?;
    page.fields().total.store(file.metadata().map_err(io)?.len(), Relaxed);
    let mut block = vec![0; BLOCK];
    let mut beat = Beat::new(every);
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
