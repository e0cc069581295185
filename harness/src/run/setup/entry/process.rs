//! The process of an actor: held by a pidfd, so that its end is seen and nobody else's is taken for it.

use std::io;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Child, ExitStatus};
use std::time::{Duration, Instant};

use crate::process::Held;
use crate::record::event::ActorEnd;

/// How long a killed child may take to be gone.
const REAPED_WITHIN: Duration = Duration::from_secs(1);

/// A process, and who is its parent.
#[derive(Debug)]
pub(in crate::run) struct Process {
    held: Held,
    /// None when somebody else started it, who alone is told how it ended.
    own: Option<Own>,
}

/// A child of the harness; killed when nobody follows it any more.
#[derive(Debug)]
struct Own(Child);

impl Process {
    /// A child of the harness. Until it is reaped its number is nobody else's.
    pub(super) fn of_a_child(child: Child) -> io::Result<Self> {
        let own = Own(child);
        Ok(Self { held: Held::open(own.0.id())?, own: Some(own) })
    }

    /// A process that somebody else started.
    pub(super) fn of_another(pid: u32) -> io::Result<Self> {
        Ok(Self { held: Held::open(pid)?, own: None })
    }

    pub(in crate::run) fn pid(&self) -> u32 {
        self.held.pid()
    }

    pub(in crate::run) fn runs(&self) -> bool {
        self.held.runs()
    }

    /// Its state in `/proc/PID/stat`; none when it was not read.
    pub(in crate::run) fn state(&self, proc: &Path) -> Option<char> {
        self.held.state(proc)
    }

    /// How it ended; none while it runs. Of somebody else's child only that it is gone can be seen from here.
    pub(in crate::run) fn end(&mut self) -> Option<ActorEnd> {
        match &mut self.own {
            Some(Own(child)) => child.try_wait().ok().flatten().map(how),
            None => (!self.held.runs()).then_some(ActorEnd::Unknown),
        }
    }
}

impl Drop for Own {
    fn drop(&mut self) {
        // A child that waits for its release, after a failed set-up; one that was reaped is not signalled.
        let _ = self.0.kill();
        // Bounded: one that hangs in the kernel must not keep the rest from being undone.
        let began = Instant::now();
        while matches!(self.0.try_wait(), Ok(None)) && began.elapsed() < REAPED_WITHIN {
            std::thread::sleep(Duration::from_millis(2));
        }
    }
}

fn how(status: ExitStatus) -> ActorEnd {
    match (status.code(), status.signal()) {
        (Some(code), _) => ActorEnd::Exited(code),
        (None, Some(signal)) => ActorEnd::Signalled(signal),
        (None, None) => ActorEnd::Unknown,
    }
}
