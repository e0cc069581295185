//! Keeps the harness itself out of the blast: locked memory, an own slice with reserved memory, last in line for any
//! OOM killer.

use std::fs;

use nix::sys::mman::{MlockAllFlags, mlockall};

use super::recorder::chain;
use crate::systemd::{Manager, Property};

/// The slice of the harness itself, beside the slices of its runs.
pub const SLICE: &str = "bulkhead-harness.slice";
/// The parent of everything that bulkhead makes.
pub const PARENT: &str = "bulkhead.slice";
/// Memory reserved for the harness: its peak with room to spare.
const RESERVED: u64 = 32 << 20;

/// Takes shelter. What cannot be had is returned in words: a run is possible without, but the report says so.
pub fn take(systemd: &dyn Manager, run: &str) -> Vec<String> {
    let mut missing = Vec::new();
    // On fault: only pages that are used count, so the lock does not blow up what it protects.
    let flags = MlockAllFlags::MCL_CURRENT
        | MlockAllFlags::MCL_FUTURE
        | MlockAllFlags::from_bits_retain(libc::MCL_ONFAULT);
    if let Err(error) = mlockall(flags) {
        missing.push(format!("memory is not locked: {error}"));
    }
    // Actors set their own value before anything else, and are verified: this one is never theirs.
    if let Err(error) = fs::write("/proc/self/oom_score_adj", "-1000") {
        missing.push(format!("oom_score_adj is not -1000: {error}"));
    }
    // Protection on a leaf is void unless every ancestor grants it.
    let reserve = [Property::new("MemoryMin", RESERVED)];
    for slice in [PARENT, SLICE] {
        if let Err(error) = systemd.start_slice(slice, &reserve) {
            missing.push(format!("{slice} is not reserved: {}", chain(&error)));
            return missing;
        }
    }
    let scope = scope(run);
    if let Err(error) = systemd.start_scope(&scope, SLICE, &[std::process::id()], &reserve) {
        missing.push(format!("{scope} did not start: {}", chain(&error)));
    }
    missing
}

/// The scope that the harness of a run lives in.
#[must_use]
pub fn scope(run: &str) -> String {
    format!("bulkhead-harness-{run}.scope")
}
