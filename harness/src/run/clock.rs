//! The one clock of a record: `CLOCK_MONOTONIC`, in microseconds. The status pages of the actors use the same, in ns.

/// Now, microseconds since an arbitrary start (boot, on Linux).
#[must_use]
pub fn now_us() -> u64 {
    balloon::clock::now_ns() / 1000
}
