//! Waiting on a word in shared memory, and waking whoever waits. The futex is the shared (not the process-private)
//! kind, because harness and actor map the same file at different addresses (futex(2)). Timeouts, signals and
//! spurious wake-ups all look like a return: the caller looks at the word again.

use std::sync::atomic::AtomicU32;
use std::time::Duration;

/// Sleeps while `word` is `expected`, at most `timeout`.
#[expect(unsafe_code, reason = "nix has no futex call")]
pub(crate) fn wait(word: &AtomicU32, expected: u32, timeout: Duration) {
    let timeout = libc::timespec {
        tv_sec: libc::time_t::try_from(timeout.as_secs()).unwrap_or(libc::time_t::MAX),
        tv_nsec: timeout.subsec_nanos().into(),
    };
    // SAFETY: the word and the timespec are live references for the whole call; FUTEX_WAIT only reads both.
    unsafe {
        libc::syscall(libc::SYS_futex, word.as_ptr(), libc::FUTEX_WAIT, expected, &raw const timeout);
    }
}

/// Wakes everybody who waits on `word`, in any process.
#[expect(unsafe_code, reason = "nix has no futex call")]
pub(crate) fn wake(word: &AtomicU32) {
    // SAFETY: the word is a live reference; FUTEX_WAKE does not touch it.
    unsafe {
        libc::syscall(libc::SYS_futex, word.as_ptr(), libc::FUTEX_WAKE, i32::MAX);
    }
}
