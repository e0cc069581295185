//! The one clock of a record: `CLOCK_MONOTONIC`, in microseconds.

use nix::time::{ClockId, clock_gettime};

/// Now, microseconds since an arbitrary start (boot, on Linux).
#[must_use]
pub fn now_us() -> u64 {
    // CLOCK_MONOTONIC exists on every Linux: clock_gettime cannot fail for it.
    let now = clock_gettime(ClockId::CLOCK_MONOTONIC).unwrap_or_else(|_| nix::sys::time::TimeSpec::new(0, 0));
    u64::try_from(now.tv_sec()).unwrap_or(0) * 1_000_000 + u64::try_from(now.tv_nsec()).unwrap_or(0) / 1000
}
