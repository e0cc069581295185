//! Keeps the harness itself out of the blast: locked memory, an own slice with reserved memory, last in line for any
//! OOM killer.

use std::fs;
use std::path::Path;

use nix::sys::mman::{MlockAllFlags, mlockall};

use super::recorder::chain;
use super::undo::stop_unit;
use crate::cgroupfs;
use crate::systemd::{Manager, Property, slice_cgroup};

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
    missing.extend(reserve(systemd, run, std::process::id()).err());
    missing
}

/// Puts a process into a scope with reserved memory.
fn reserve(systemd: &dyn Manager, run: &str, pid: u32) -> Result<(), String> {
    let reserve = [Property::new("MemoryMin", RESERVED)];
    // Protection on a leaf is void unless every ancestor grants it.
    for slice in [PARENT, SLICE] {
        // Another run's, or left by one that was killed: the names are taken.
        let there = systemd.unit(slice).is_ok_and(|unit| unit.is_active());
        let reserved = if there {
            systemd.set_properties(slice, &reserve)
        } else {
            systemd.start_slice(slice, &reserve)
        };
        reserved.map_err(|error| format!("{slice} is not reserved: {}", chain(&error)))?;
    }
    let scope = scope(run);
    systemd
        .start_scope(&scope, SLICE, &[pid], &reserve)
        .map_err(|error| format!("{scope} did not start: {}", chain(&error)))
}

/// The cgroup that the harness was started in, below the cgroup root: where it goes back to.
#[must_use]
pub fn home() -> Option<String> {
    let own = cgroupfs::cgroup_of(Path::new("/proc"), std::process::id()).ok()?;
    Some(own.as_str().trim_start_matches('/').to_owned())
}

/// Goes back home and takes the shelter down, slices only when no other harness lives in them. Returns what is left.
pub fn leave(systemd: &dyn Manager, run: &str, cgroups: &Path, home: Option<&str>) -> Vec<String> {
    let scope = scope(run);
    let Some(home) = home else {
        return vec![format!("{scope}: it is not known where the harness came from")];
    };
    let procs = cgroups.join(home).join("cgroup.procs");
    // A home that is gone (a session that was closed) or that takes no processes: stay, and say so.
    if let Err(error) = fs::write(&procs, std::process::id().to_string()) {
        return vec![format!("{scope}: {}: {error}", procs.display())];
    }
    let scope = stop_unit(&scope, systemd).err();
    let slices = [SLICE, PARENT].into_iter().filter_map(|slice| stop_if_empty(slice, systemd, cgroups).err());
    scope.into_iter().chain(slices).collect()
}

/// Stops one of the two slices that runs share, unless another run lives in it.
///
/// # Errors
/// When systemd does not do it.
pub fn stop_if_empty(slice: &str, systemd: &dyn Manager, cgroups: &Path) -> Result<(), String> {
    let path = slice_cgroup(slice).map_err(|error| error.to_string())?;
    let Ok(entries) = fs::read_dir(cgroups.join(path.as_str().trim_start_matches('/'))) else {
        return Ok(());
    };
    if entries.flatten().any(|entry| entry.path().is_dir()) {
        return Ok(());
    }
    stop_unit(slice, systemd)
}

/// The scope that the harness of a run lives in.
#[must_use]
pub fn scope(run: &str) -> String {
    format!("bulkhead-harness-{run}.scope")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::systemd::{Fake, PropertyValue};

    #[test]
    fn a_second_run_on_the_same_machine_finds_its_shelter_too() {
        let systemd = Fake::new(257);
        assert_eq!(reserve(&systemd, "r1", 7), Ok(()));
        systemd.forget("bulkhead-harness-r1.scope");
        assert_eq!(reserve(&systemd, "r2", 8), Ok(()));
        let scope = systemd.unit("bulkhead-harness-r2.scope").expect("known");
        assert_eq!(scope.slice.as_deref(), Some(SLICE));
        for unit in [PARENT, SLICE, "bulkhead-harness-r2.scope"] {
            let reserved = systemd.property(unit, "MemoryMin").expect("read");
            assert_eq!(reserved, Some(PropertyValue::U64(RESERVED)), "{unit}");
        }
    }
}
