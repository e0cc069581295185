//! Programs that are asked something: each has a deadline, and is killed and reaped when that has passed.
//!
//! They start as a login would start them: every signal at its default and none blocked, and with an `oom_score_adj` of 0.
//! The harness's own -1000 must not be theirs.

use std::io::{self, Read};
use std::os::fd::AsFd;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::time::{Duration, Instant};

use nix::fcntl::{OFlag, open};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigHandler, SigSet, Signal, signal};
use nix::sys::stat::Mode;

use crate::process::Held;

/// How long one that was killed may take to be gone. In a stalled machine it may hang in the kernel for longer; then it
/// is left to its fate.
const REAPED_WITHIN: Duration = Duration::from_secs(1);

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It could not be started or followed.
    #[error("cannot run {program}")]
    Run {
        /// The program.
        program: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// It took too long.
    #[error("{program} did not answer within {} s", within.as_secs_f64())]
    Late {
        /// The program.
        program: String,
        /// How long it was given.
        within: Duration,
    },
}

/// Runs a program to its end and returns what it wrote.
///
/// # Errors
/// When it cannot be run, or has not ended (and closed its output) in time.
pub fn output(command: &mut Command, within: Duration) -> Result<Output, Error> {
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    run(command, within)
}

/// Runs a program to its end, without its output.
///
/// # Errors
/// As for [`output`].
pub fn status(command: &mut Command, within: Duration) -> Result<ExitStatus, Error> {
    command.stdout(Stdio::null()).stderr(Stdio::null());
    run(command, within).map(|output| output.status)
}

fn run(command: &mut Command, within: Duration) -> Result<Output, Error> {
    let program = command.get_program().to_string_lossy().into_owned();
    let until = Instant::now() + within;
    fresh(command.stdin(Stdio::null()));
    let failed = |source| Error::Run { program: program.clone(), source };
    let mut child = command.spawn().map_err(failed)?;
    let answer = Held::open(child.id()).and_then(|held| answer(&mut child, &held, until));
    match answer {
        Ok(Some(output)) => Ok(output),
        Ok(None) => {
            end(&mut child);
            Err(Error::Late { program, within })
        }
        Err(error) => {
            end(&mut child);
            Err(failed(error))
        }
    }
}

/// What it writes until its end; none when that does not come in time.
fn answer(child: &mut Child, held: &Held, until: Instant) -> io::Result<Option<Output>> {
    let (mut out, mut err) = (child.stdout.take(), child.stderr.take());
    let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
    while out.is_some() || err.is_some() {
        let Some(left) = until.checked_duration_since(Instant::now()) else { return Ok(None) };
        let open = [out.as_ref().map(AsFd::as_fd), err.as_ref().map(AsFd::as_fd)];
        let mut fds: Vec<_> =
            open.into_iter().flatten().map(|fd| PollFd::new(fd, PollFlags::POLLIN)).collect();
        match poll(&mut fds, timeout(left)) {
            Err(nix::errno::Errno::EINTR) => continue,
            polled => polled?,
        };
        let ready: Vec<bool> = fds.iter().map(|fd| fd.any().unwrap_or(false)).collect();
        let mut ready = ready.into_iter();
        if out.is_some() && ready.next() == Some(true) {
            take(&mut out, &mut stdout)?;
        }
        if err.is_some() && ready.next() == Some(true) {
            take(&mut err, &mut stderr)?;
        }
    }
    if !held.ends_within(until.saturating_duration_since(Instant::now())) {
        return Ok(None);
    }
    Ok(Some(Output { status: child.wait()?, stdout, stderr }))
}

/// Reads what is there; at the end of the pipe, closes it.
fn take<R: Read>(pipe: &mut Option<R>, into: &mut Vec<u8>) -> io::Result<()> {
    let mut buffer = [0; 16 << 10];
    let Some(reader) = pipe else { return Ok(()) };
    match reader.read(&mut buffer) {
        Ok(0) => *pipe = None,
        Ok(length) => into.extend_from_slice(&buffer[..length]),
        Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
        Err(error) => return Err(error),
    }
    Ok(())
}

fn timeout(left: Duration) -> PollTimeout {
    PollTimeout::try_from(left.as_nanos().div_ceil(1_000_000)).unwrap_or(PollTimeout::MAX)
}

fn end(child: &mut Child) {
    let _ = child.kill();
    let gone = Held::open(child.id()).map_or(true, |held| held.ends_within(REAPED_WITHIN));
    if gone {
        let _ = child.wait();
    }
}

/// Lets the program start with nothing of this process's own: `exec` keeps the signal mask, what is ignored, and the
/// `oom_score_adj` (signal(7), proc_pid_oom_score_adj(5)).
#[expect(unsafe_code, reason = "what happens between fork and exec cannot be said in safe Rust")]
pub fn fresh(command: &mut Command) {
    let reset = || {
        for one in Signal::iterator().filter(|one| !matches!(one, Signal::SIGKILL | Signal::SIGSTOP)) {
            // SAFETY: SIG_DFL runs no code of this program.
            unsafe { signal(one, SigHandler::SigDfl) }?;
        }
        SigSet::empty().thread_set_mask()?;
        // Raising it is always allowed, and only a value below 0 must not be handed on.
        let flags = OFlag::O_WRONLY | OFlag::O_CLOEXEC;
        if let Ok(file) = open(c"/proc/self/oom_score_adj", flags, Mode::empty()) {
            let _ = nix::unistd::write(&file, b"0");
        }
        Ok(())
    };
    // SAFETY: only system calls that signal-safety(7) allows; nothing is allocated and no lock is taken.
    unsafe { command.pre_exec(reset) };
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: Duration = Duration::from_secs(30);

    fn sh(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        command
    }

    #[test]
    fn both_outputs_and_the_status_come_back_however_long_they_are() {
        let script = "head -c 300000 /dev/zero; head -c 200000 /dev/zero >&2; exit 3";
        let output = output(&mut sh(script), LONG).expect("an answer");
        let found = (output.stdout.len(), output.stderr.len(), output.status.code());
        assert_eq!(found, (300_000, 200_000, Some(3)));
    }

    #[test]
    fn one_that_gives_no_answer_is_ended_at_its_deadline_and_named() {
        let began = Instant::now();
        let error = output(&mut sh("echo begun; exec sleep 60"), Duration::from_millis(200)).unwrap_err();
        assert_eq!(error.to_string(), "sh did not answer within 0.2 s");
        assert!(began.elapsed() < LONG);
    }

    #[test]
    fn one_that_closes_its_output_and_lives_on_is_ended_too() {
        let error =
            output(&mut sh("exec sleep 60 >&- 2>&-"), Duration::from_millis(200)).expect_err("too late");
        assert!(matches!(error, Error::Late { .. }), "{error}");
    }

    #[test]
    fn one_whose_children_keep_its_output_open_does_not_hold_up_anybody() {
        let error = output(&mut sh("sleep 3 & exit 0"), Duration::from_millis(300));
        assert!(matches!(error, Err(Error::Late { .. })), "{error:?}");
    }

    #[test]
    fn a_program_that_is_not_there_is_named() {
        let error = status(&mut Command::new("/nonexistent/oomctl"), LONG).expect_err("no such program");
        assert_eq!(error.to_string(), "cannot run /nonexistent/oomctl");
    }

    #[test]
    fn what_this_thread_blocks_is_not_blocked_in_it() {
        let blocked = SigSet::from_iter([Signal::SIGTERM, Signal::SIGCHLD]);
        blocked.thread_block().expect("blocked");
        let output = output(&mut sh("grep -E 'Sig(Blk|Ign)' /proc/self/status"), LONG);
        blocked.thread_unblock().expect("unblocked");
        let text = String::from_utf8(output.expect("an answer").stdout).expect("text");
        // Above 31 are the real-time signals, which nobody sends to what is started here.
        let masks = text.lines().filter_map(|line| u64::from_str_radix(line.split_once('\t')?.1, 16).ok());
        assert_eq!(masks.map(|mask| mask & 0x7fff_ffff).collect::<Vec<_>>(), [0, 0]);
    }
}
