//! The record of a run in a guest, as it grows → frames on standard output, by a thread of its own.
//!
//! The run writes its record into memory and knows nothing of this: where the way out is slow or blocked, only this thread
//! waits. It reads what the files have gained; nothing of the run takes a lock for it.

use std::fs::File;
use std::io::{self, BufWriter, Read, Write};
use std::os::unix::fs::MetadataExt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use super::frame::{self, End, Kind, Lengths};
use crate::record::store::{EVENTS, HEAD, KMSG, SAMPLES};
use crate::run::progress::Progress;

/// How often the files are looked at: a guest that is lost takes so much along, and one that is emulated pays for each look.
const EVERY: Duration = Duration::from_millis(300);
/// All of the harness's memory is locked, and so is this thread's stack.
const STACK: usize = 256 << 10;
/// Bytes of one frame: what the way out of the guest carries in one piece.
const PIECE: usize = 32 << 10;

/// What the run and the forwarder share.
#[derive(Debug, Default)]
pub struct Forward {
    now: Mutex<Now>,
    changed: Condvar,
}

/// What there is to say beside the files.
#[derive(Debug, Default)]
struct Now {
    progress: Option<Progress>,
    ready: bool,
    /// The run is over, and what kept it from its end.
    ended: Option<Option<String>>,
}

impl Forward {
    /// Makes `run` while its record in `dir` is sent to `out`, and then the rest of it, with what `run` says has failed.
    ///
    /// # Errors
    /// When nobody reads `out` any more. The run went on to its end all the same.
    pub fn while_running(
        dir: &Path,
        out: &mut (impl Write + Send),
        run: impl FnOnce(&Self) -> Result<(), String>,
    ) -> io::Result<()> {
        let forward = Self::default();
        thread::scope(|scope| {
            let thread = thread::Builder::new().name("forward".into()).stack_size(STACK);
            let sender = thread.spawn_scoped(scope, || forward.send_all(dir, out));
            let ran = catch_unwind(AssertUnwindSafe(|| run(&forward)));
            let ran = ran.unwrap_or_else(|_| Err("the harness panicked".into()));
            forward.lock().ended = Some(ran.err());
            forward.changed.notify_one();
            sender?.join().unwrap_or_else(|_| Err(io::Error::other("the forwarder panicked")))
        })
    }

    /// A moment of the run; of several, the last one is sent.
    pub fn progress(&self, progress: &Progress) {
        self.lock().progress = Some(*progress);
    }

    /// The run asks for leave to begin.
    pub fn ready(&self) {
        self.lock().ready = true;
        self.changed.notify_one();
    }

    fn lock(&self) -> MutexGuard<'_, Now> {
        self.now.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What there is to say after some time, or as soon as it cannot wait.
    fn next(&self) -> Now {
        let waits = |now: &mut Now| !now.ready && now.ended.is_none();
        let waited = self.changed.wait_timeout_while(self.lock(), EVERY, waits);
        std::mem::take(&mut *waited.unwrap_or_else(PoisonError::into_inner).0)
    }

    fn send_all(&self, dir: &Path, out: &mut impl Write) -> io::Result<()> {
        let mut head = Head { path: dir.join(HEAD), sent: None };
        // A frame leaves in one piece.
        let out = &mut BufWriter::with_capacity(2 * PIECE, out);
        let mut tails = [
            Tail::of(dir.join(EVENTS), Kind::Events),
            Tail::of(dir.join(SAMPLES), Kind::Samples),
            Tail::of(dir.join(KMSG), Kind::KernelLog),
        ];
        let mut buffer = vec![0; PIECE];
        loop {
            // Taken before the files are read: what was written before the end was known is sent before the end.
            let now = self.next();
            head.send(out)?;
            for tail in &mut tails {
                tail.send(out, &mut buffer)?;
            }
            if let Some(progress) = now.progress {
                frame::send(out, Kind::Progress, &serde_json::to_vec(&progress)?)?;
            }
            if now.ready {
                frame::send(out, Kind::Ready, &[])?;
            }
            if let Some(failed) = now.ended {
                let [events, samples, kernel_log] = tails.map(|tail| tail.sent);
                let end = End { lengths: Lengths { events, samples, kernel_log }, failed };
                frame::send(out, Kind::End, &serde_json::to_vec(&end)?)?;
                return out.flush();
            }
            out.flush()?;
        }
    }
}

/// The head, which is replaced as more is known.
struct Head {
    path: PathBuf,
    /// Inode of the one that was sent: each is a file of its own.
    sent: Option<u64>,
}

impl Head {
    fn send(&mut self, out: &mut impl Write) -> io::Result<()> {
        let Ok(mut file) = File::open(&self.path) else { return Ok(()) };
        let inode = file.metadata()?.ino();
        if self.sent != Some(inode) {
            let mut text = Vec::new();
            file.read_to_end(&mut text)?;
            frame::send(out, Kind::Head, &text)?;
            self.sent = Some(inode);
        }
        Ok(())
    }
}

/// A file that grows.
struct Tail {
    path: PathBuf,
    kind: Kind,
    file: Option<File>,
    sent: u64,
}

impl Tail {
    fn of(path: PathBuf, kind: Kind) -> Self {
        Self { path, kind, file: None, sent: 0 }
    }

    /// Sends what the file has gained.
    fn send(&mut self, out: &mut impl Write, buffer: &mut [u8]) -> io::Result<()> {
        if self.file.is_none() {
            self.file = File::open(&self.path).ok();
        }
        let Some(file) = &mut self.file else { return Ok(()) };
        loop {
            let n = file.read(buffer)?;
            if n == 0 {
                return Ok(());
            }
            frame::send(out, self.kind, &buffer[..n])?;
            self.sent += n as u64;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::case::frame::Decoder;
    use crate::record::event::Mark;
    use crate::record::store::Store;
    use crate::record::{Event, Stamped};

    #[test]
    fn what_is_written_while_it_runs_is_sent_whole_and_in_order() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let run = dir.path().join("run");
        let mut out = Vec::new();
        let progress = Progress { phase: Mark::Hold, elapsed_ms: 1, current: 2, cap: None };
        let sent = Forward::while_running(&run, &mut out, |forward| {
            let store = Store::create(&run).expect("made");
            for at_us in 0..200 {
                store
                    .append(&Stamped { at_us, event: Event::ActorReleased { actor: "a".into() } })
                    .expect("written");
                if at_us == 100 {
                    forward.progress(&progress);
                    forward.ready();
                }
            }
            let mut rows = store.samples(&["a".into()]).expect("samples");
            rows.write_all(&b"[1,2]\n".repeat(20_000)).expect("written");
            Err("no space".into())
        });
        sent.expect("sent");
        let (mut events, mut samples, mut shown, mut end) = (Vec::new(), Vec::new(), Vec::new(), None);
        let mut asked = 0;
        let each = |kind: Kind, content: &[u8]| match kind {
            Kind::Events => events.extend_from_slice(content),
            Kind::Samples => samples.extend_from_slice(content),
            Kind::Progress => shown.push(serde_json::from_slice::<Progress>(content).expect("progress")),
            Kind::Ready => asked += 1,
            Kind::End => end = serde_json::from_slice::<End>(content).ok(),
            Kind::Head | Kind::KernelLog => {}
        };
        Decoder::default().feed(&out, each).expect("frames");
        assert_eq!(events, fs::read(run.join(EVENTS)).expect("events"));
        assert_eq!(samples, fs::read(run.join(SAMPLES)).expect("samples"));
        assert_eq!((shown.as_slice(), asked), ([progress].as_slice(), 1));
        let lengths = Lengths { events: events.len() as u64, samples: samples.len() as u64, kernel_log: 0 };
        assert_eq!(end, Some(End { lengths, failed: Some("no space".into()) }));
    }

    #[test]
    fn a_run_that_panics_says_so_at_its_end() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let mut out = Vec::new();
        Forward::while_running(&dir.path().join("run"), &mut out, |_| panic!("a bug")).expect("sent");
        let mut end = None;
        let each = |_: Kind, content: &[u8]| end = serde_json::from_slice::<End>(content).ok();
        Decoder::default().feed(&out, each).expect("frames");
        let failed = Some("the harness panicked".into());
        assert_eq!(end, Some(End { lengths: Lengths::default(), failed }));
    }

    /// Nobody reads: the run must not notice.
    #[test]
    fn a_way_out_that_is_gone_does_not_stop_the_run() {
        struct Gone;
        impl Write for Gone {
            fn write(&mut self, _: &[u8]) -> io::Result<usize> {
                Err(io::ErrorKind::BrokenPipe.into())
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let dir = tempfile::tempdir().expect("a temporary directory");
        let run = dir.path().join("run");
        let mut ran = false;
        let sent = Forward::while_running(&run, &mut Gone, |_| {
            let store = Store::create(&run).expect("made");
            let event = Event::ActorReleased { actor: "a".into() };
            ran = store.append(&Stamped { at_us: 1, event }).is_ok();
            Ok(())
        });
        assert!(ran && sent.is_err());
    }
}
