//! A process held by a pidfd: whether it runs is asked of that very process, never of whoever has its number now.
//!
//! A zombie does not run: the descriptor becomes readable when the process has ended, reaped or not (`pidfd_open(2)`).

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::time::Duration;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use rustix::process::{Pid, PidfdFlags, pidfd_open};

/// A process that this descriptor stands for until it is dropped, whatever becomes of its number.
#[derive(Debug)]
pub struct Held {
    pid: u32,
    fd: OwnedFd,
}

impl Held {
    /// Takes hold of a process.
    ///
    /// # Errors
    /// `ESRCH` when there is none with this number; Linux before 5.3 has no pidfds.
    pub fn open(pid: u32) -> io::Result<Self> {
        let number = i32::try_from(pid).ok().and_then(Pid::from_raw).ok_or(io::ErrorKind::InvalidInput)?;
        Ok(Self { pid, fd: pidfd_open(number, PidfdFlags::empty())? })
    }

    /// Its process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// Whether it runs, now.
    #[must_use]
    pub fn runs(&self) -> bool {
        !self.ends_within(Duration::ZERO)
    }

    /// Waits for its end; `false`: it runs on.
    #[must_use]
    pub fn ends_within(&self, within: Duration) -> bool {
        let began = std::time::Instant::now();
        loop {
            let left = within.saturating_sub(began.elapsed());
            let left = PollTimeout::try_from(left.as_nanos().div_ceil(1_000_000)).unwrap_or(PollTimeout::MAX);
            match poll(&mut [PollFd::new(self.fd.as_fd(), PollFlags::POLLIN)], left) {
                Err(Errno::EINTR) => {}
                Ok(ready) => return ready > 0,
                // Nothing is known: not that it runs.
                Err(_) => return true,
            }
        }
    }

    /// Its state as `/proc/PID/stat` has it: `S`, `R`, `D`, `T` when stopped, …; none when it has ended.
    #[must_use]
    pub fn state(&self, proc: &Path) -> Option<char> {
        let stat = std::fs::read(proc.join(self.pid.to_string()).join("stat")).ok()?;
        // Asked after the file was read: had it ended before, the file could be another's.
        self.runs().then(|| state(&stat)).flatten()
    }
}

/// The third field. The second is the name in parentheses, and a name may hold both of them and blanks.
fn state(stat: &[u8]) -> Option<char> {
    let end = stat.iter().rposition(|byte| *byte == b')')?;
    let state = stat[end + 1..].iter().find(|byte| **byte != b' ')?;
    state.is_ascii_alphabetic().then_some(char::from(*state))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;
    use std::process::Command;

    const LONG: Duration = Duration::from_secs(30);

    #[test]
    fn a_process_runs_until_it_has_ended_and_a_zombie_does_not() {
        let mut child = Command::new("sleep").arg("60").spawn().expect("started");
        let held = Held::open(child.id()).expect("held");
        assert!(held.runs());
        assert!(matches!(held.state(Path::new("/proc")), Some('S' | 'R' | 'D')));
        child.kill().expect("killed");
        assert!(held.ends_within(LONG));
        // Nobody has reaped it, so its number is still taken and `kill(pid, 0)` would succeed.
        assert!(Path::new("/proc").join(child.id().to_string()).exists());
        assert!(!held.runs());
        assert_eq!(held.state(Path::new("/proc")), None);
        child.wait().expect("reaped");
        assert!(!held.runs());
    }

    #[test]
    fn a_number_that_nobody_has_cannot_be_held() {
        let mut child = Command::new("true").spawn().expect("started");
        child.wait().expect("reaped");
        assert!(Held::open(child.id()).is_err());
        assert!(Held::open(0).is_err());
    }

    #[rstest]
    #[case("17 (sleep) S 1 17", Some('S'))]
    #[case("17 (a) R (b) T 1 17", Some('T'))]
    #[case("17 (sleep", None)]
    #[case("", None)]
    fn the_state_stands_after_the_last_parenthesis(#[case] stat: &str, #[case] expected: Option<char>) {
        assert_eq!(state(stat.as_bytes()), expected);
    }
}
