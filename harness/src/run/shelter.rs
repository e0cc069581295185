//! Keeps the harness itself out of the blast: locked memory, an own slice with reserved memory, last in line for any
//! OOM killer.

use std::fs;
use std::path::Path;

use nix::sys::mman::{MlockAllFlags, mlockall};

use super::containment::down::{Stopped, stop_if_empty, stop_unit};
use super::origin::{Origin, described};
use crate::cgroupfs;
use crate::error::chain;
use crate::property::{Property, PropertyName};
use crate::systemd::{Manager, Unit};
use crate::unit_name::{PARENT, SHELTER, shelter_scope};

/// The description of the two slices: they are shared by runs that follow one another, and carry no run's token.
const DESCRIPTION: &str = "bulkhead: memory reserved for the harness";
/// Memory reserved for the harness: its peak with room to spare.
const RESERVED: u64 = 32 << 20;

/// Takes shelter. What cannot be had is returned in words: a run is possible without, but the report says so.
pub fn take(systemd: &dyn Manager, origin: &Origin, root: &Path) -> Vec<String> {
    let mut missing = Vec::new();
    // On fault: only pages that are used count, so the lock does not blow up what it protects.
    let flags = MlockAllFlags::MCL_CURRENT
        | MlockAllFlags::MCL_FUTURE
        | MlockAllFlags::from_bits_retain(libc::MCL_ONFAULT);
    if let Err(error) = mlockall(flags) {
        missing.push(format!("memory is not locked: {error}"));
    }
    // Actors set their own value before anything else, and are verified: this one is never theirs.
    if let Err(error) = fs::write(root.join("proc/self/oom_score_adj"), "-1000") {
        missing.push(format!("oom_score_adj is not -1000: {error}"));
    }
    missing.extend(reserve(systemd, origin, std::process::id()).err());
    missing
}

/// Puts a process into a scope with reserved memory.
fn reserve(systemd: &dyn Manager, origin: &Origin, pid: u32) -> Result<(), String> {
    let reserve = [Property::bytes(PropertyName::MemoryMin, RESERVED)];
    let described = [reserve[0].clone(), described(DESCRIPTION.to_owned())];
    // Protection on a leaf is void unless every ancestor grants it.
    for slice in [PARENT, SHELTER] {
        let say = |error| format!("{slice} is not reserved: {}", chain(&error));
        let unit = systemd.unit(slice).map_err(say)?;
        let reserved = match unit.is_active() {
            // Left by a run that was killed.
            true if is_shelter(&unit) => systemd.set_properties(slice, &reserve),
            true => {
                return Err(format!("{slice} is not reserved: it exists, and bulkhead did not create it"));
            }
            false => systemd.start_slice(slice, &described),
        };
        reserved.map_err(say)?;
    }
    let scope = shelter_scope(origin.run());
    systemd
        .start_scope(&scope, SHELTER, &[pid], &origin.signed(&reserve))
        .map_err(|error| format!("{scope} did not start: {}", chain(&error)))
}

/// Whether bulkhead made this slice, and nobody else.
fn is_shelter(unit: &Unit) -> bool {
    unit.transient && unit.description.as_deref() == Some(DESCRIPTION)
}

/// The cgroup that the harness was started in, below the cgroup root: where it goes back to.
#[must_use]
pub fn home() -> Option<String> {
    let own = cgroupfs::cgroup_of(Path::new("/proc"), std::process::id()).ok()?;
    Some(own.as_str().trim_start_matches('/').to_owned())
}

/// Goes back home and takes the shelter down. Returns what is left.
pub fn leave(systemd: &dyn Manager, origin: &Origin, cgroups: &Path, home: Option<&str>) -> Vec<String> {
    let scope = shelter_scope(origin.run());
    let Some(home) = home else {
        return vec![format!("{scope}: the cgroup that the harness came from is unknown")];
    };
    let procs = cgroups.join(home).join("cgroup.procs");
    // A home that is gone (a session that was closed) or that takes no processes: stay, and say so.
    if let Err(error) = fs::write(&procs, std::process::id().to_string()) {
        return vec![format!("{scope}: {}: {error}", procs.display())];
    }
    let left = match stop_unit(&scope, &|unit| origin.made(unit), systemd) {
        Ok(Stopped::Gone) => None,
        Ok(Stopped::NotOurs(state)) => {
            Some(format!("{scope} ({state}) does not belong to this run: left alone"))
        }
        Err(error) => Some(error),
    };
    left.into_iter().chain(stop_slices(systemd, cgroups)).collect()
}

/// Stops the two slices that runs share, as far as bulkhead made them and nobody is in them. To be called by whoever
/// holds the machine: another run would lose its shelter. Returns what could not be stopped.
#[must_use]
pub fn stop_slices(systemd: &dyn Manager, cgroups: &Path) -> Vec<String> {
    let stop = |slice: &str| {
        let unit = systemd.unit(slice).map_err(|error| format!("{slice}: {}", chain(&error)))?;
        if is_shelter(&unit) { stop_if_empty(slice, systemd, cgroups).map(drop) } else { Ok(()) }
    };
    [SHELTER, PARENT].into_iter().filter_map(|slice| stop(slice).err()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::systemd::{Fake, Value};

    fn origin(run: &str) -> Origin {
        Origin::draw(run).expect("drawn")
    }

    #[test]
    fn a_run_finds_the_shelter_that_a_killed_one_left() {
        let systemd = Fake::new(257);
        assert_eq!(reserve(&systemd, &origin("r1"), 7), Ok(()));
        systemd.forget("bulkhead-harness-r1.scope");
        assert_eq!(reserve(&systemd, &origin("r2"), 8), Ok(()));
        let scope = systemd.unit("bulkhead-harness-r2.scope").expect("known");
        assert_eq!(scope.slice.as_deref(), Some(SHELTER));
        for unit in [PARENT, SHELTER, "bulkhead-harness-r2.scope"] {
            let reserved = systemd.property(unit, "MemoryMin").expect("read");
            assert_eq!(reserved, Some(Value::U64(RESERVED)), "{unit}");
        }
    }

    #[test]
    fn a_slice_of_that_name_that_bulkhead_did_not_make_is_neither_changed_nor_stopped() {
        let systemd = Fake::new(257);
        systemd.start_slice(PARENT, &[Property::bytes(PropertyName::MemoryMax, 1 << 30)]).expect("started");
        let before = systemd.calls();
        let error = reserve(&systemd, &origin("r1"), 7).expect_err("refused");
        assert!(error.contains("bulkhead did not create it"), "{error}");
        let tree = tempfile::tempdir().expect("a temporary directory");
        assert_eq!(stop_slices(&systemd, tree.path()), Vec::<String>::new());
        assert_eq!(systemd.calls(), before);
    }

    #[test]
    fn the_shelter_goes_when_it_is_empty_and_not_before() {
        let systemd = Fake::new(257);
        reserve(&systemd, &origin("r1"), 7).expect("sheltered");
        let tree = tempfile::tempdir().expect("a temporary directory");
        let inside = tree.path().join(PARENT).join(SHELTER).join("bulkhead-harness-r1.scope");
        fs::create_dir_all(&inside).expect("made");
        assert_eq!(stop_slices(&systemd, tree.path()), Vec::<String>::new());
        assert!(systemd.unit(SHELTER).expect("known").is_active());
        fs::remove_dir_all(tree.path().join(PARENT)).expect("removed");
        assert_eq!(stop_slices(&systemd, tree.path()), Vec::<String>::new());
        assert!(
            !systemd.unit(SHELTER).expect("known").exists() && !systemd.unit(PARENT).expect("known").exists()
        );
    }
}
