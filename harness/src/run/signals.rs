//! The signals that ask a run to end, heard by a thread of their own: whatever the run waits for, they are heard at once.
//!
//! The first ends the stress. The second ends the waiting, too: what is left to ask is not asked, and what must be undone
//! is undone all the same.

use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};
use std::thread::{self, JoinHandle};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};

/// The signals of an operator, of a service manager, and of a terminal that is closed.
pub(super) const ASKING: [Signal; 3] = [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP];
/// How long one wait lasts, ms: whether anybody still listens is looked at in between.
const NAP_MS: u16 = 100;

/// What has been asked of a run so far.
#[derive(Debug, Default)]
pub struct Asked {
    signal: AtomicI32,
    hurry: AtomicBool,
}

impl Asked {
    /// The first signal that asked the run to end.
    #[must_use]
    pub fn to_end(&self) -> Option<i32> {
        Some(self.signal.load(Ordering::Acquire)).filter(|signal| *signal != 0)
    }

    /// Whether it was asked more than once: nothing but the undo is waited for any more.
    #[must_use]
    pub fn to_hurry(&self) -> bool {
        self.hurry.load(Ordering::Acquire)
    }

    /// Hears a signal.
    pub fn hear(&self, signal: i32) {
        if self.signal.compare_exchange(0, signal, Ordering::AcqRel, Ordering::Acquire).is_err() {
            self.hurry.store(true, Ordering::Release);
        }
    }
}

/// Listens until it is dropped.
#[derive(Debug)]
pub struct Listener {
    asked: Arc<Asked>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Listener {
    /// Begins to listen. The signals must be blocked in every thread ([`super::block_signals`]).
    ///
    /// # Errors
    /// When they cannot be listened to.
    pub fn start() -> nix::Result<Self> {
        let signals = signalfd(ASKING)?;
        let (asked, stop) = (Arc::new(Asked::default()), Arc::new(AtomicBool::new(false)));
        let (heard, over) = (Arc::clone(&asked), Arc::clone(&stop));
        let thread = thread::spawn(move || {
            while !over.load(Ordering::Acquire) {
                let mut fds = [PollFd::new(signals.as_fd(), PollFlags::POLLIN)];
                // EINTR or a timeout: look around either way.
                let _ = poll(&mut fds, PollTimeout::from(NAP_MS));
                while let Ok(Some(info)) = signals.read_signal() {
                    heard.hear(i32::try_from(info.ssi_signo).unwrap_or(i32::MAX));
                }
            }
        });
        Ok(Self { asked, stop, thread: Some(thread) })
    }

    /// What has been heard.
    #[must_use]
    pub fn asked(&self) -> &Arc<Asked> {
        &self.asked
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// A descriptor for these signals.
pub(super) fn signalfd(signals: impl IntoIterator<Item = Signal>) -> nix::Result<SignalFd> {
    let set: SigSet = signals.into_iter().collect();
    SignalFd::with_flags(&set, SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_signal_ends_the_run_and_the_second_its_waiting() {
        let asked = Asked::default();
        assert_eq!((asked.to_end(), asked.to_hurry()), (None, false));
        asked.hear(libc::SIGTERM);
        assert_eq!((asked.to_end(), asked.to_hurry()), (Some(libc::SIGTERM), false));
        asked.hear(libc::SIGINT);
        assert_eq!((asked.to_end(), asked.to_hurry()), (Some(libc::SIGTERM), true));
    }
}
