//! The one clock of the actors, `CLOCK_MONOTONIC` in nanoseconds, and sleeping until a point on it. Wall-clock
//! time is deliberately unknown here: it steps.

use nix::errno::Errno;
use nix::sys::time::{TimeSpec, TimeValLike};
use nix::time::{ClockId, ClockNanosleepFlags, clock_gettime, clock_nanosleep};
use std::time::Duration;

/// Now, in nanoseconds since boot (without suspend).
#[must_use]
pub fn now_ns() -> u64 {
    // CLOCK_MONOTONIC exists on every kernel (clock_gettime(2)); 0 would show as "never" in the status page.
    clock_gettime(ClockId::CLOCK_MONOTONIC).map_or(0, |time| time.num_nanoseconds().unsigned_abs())
}

/// Sleeps until the clock shows `deadline_ns`; returns at once when it already does. Signals do not cut it short.
pub fn sleep_until(deadline_ns: u64) {
    let deadline = TimeSpec::nanoseconds(i64::try_from(deadline_ns).unwrap_or(i64::MAX));
    while clock_nanosleep(ClockId::CLOCK_MONOTONIC, ClockNanosleepFlags::TIMER_ABSTIME, &deadline)
        == Err(Errno::EINTR)
    {}
}

/// A duration in nanoseconds; five centuries and more are `u64::MAX`.
#[must_use]
pub fn ns(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
