//! `bulkhead inner`: the half of a run inside another machine: a job on standard input → frames on standard output.

use std::fs::File;
use std::io::{BufReader, Stdin, stdin, stdout};
use std::os::fd::AsFd;
use std::path::Path;

use anyhow::Context;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use crate::case::forward::Forward;
use crate::case::host::run_case;
use crate::case::job::Job;
use crate::error::chain;
use crate::exit_code::ExitCode;
use crate::run::progress::{Outside, Progress};

/// Where the record grows: in memory, so that a throttled disk cannot stall the witness.
const MEMORY: &str = "/run";

pub(super) fn inner() -> anyhow::Result<ExitCode> {
    crate::run::block_signals().context("cannot block signals")?;
    let place = tempfile::Builder::new().prefix("bulkhead-record-").tempdir_in(MEMORY);
    let place = place.with_context(|| format!("no room for a record in {MEMORY}"))?;
    let record = place.path().join("record");
    let mut out = File::from(stdout().as_fd().try_clone_to_owned()?);
    let sent = Forward::while_running(&record, &mut out, |forward| work(forward, &record));
    sent.context("the record could not be sent")?;
    Ok(ExitCode::Passed)
}

/// Does the job; returns why it could not be done to its end.
fn work(forward: &Forward, record: &Path) -> Result<(), String> {
    let mut input = BufReader::new(stdin());
    let (case, guest) = Job::read(&mut input).and_then(Job::case).map_err(|error| chain(&error))?;
    let mut outer = Outer { forward, input, asked: false };
    let ran = run_case(&case, guest, record, &mut outer).map_err(|error| chain(&error))?;
    ran.store.map_or(Ok(()), |error| Err(chain(&error)))
}

/// The other half.
struct Outer<'a> {
    forward: &'a Forward,
    input: BufReader<Stdin>,
    asked: bool,
}

impl Outside for Outer<'_> {
    fn progress(&mut self, progress: &Progress) {
        self.forward.progress(progress);
    }

    fn may_begin(&mut self) -> bool {
        if !self.asked {
            self.asked = true;
            self.forward.ready();
        }
        // Whatever comes after the job is the leave, and so is the end of it: then nobody is there who could give any.
        let mut waiting = [PollFd::new(self.input.get_ref().as_fd(), PollFlags::POLLIN)];
        !self.input.buffer().is_empty() || poll(&mut waiting, PollTimeout::ZERO) != Ok(0)
    }
}
