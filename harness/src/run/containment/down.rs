//! Units of a run → stopped and proven gone; those of anybody else are left alone.

use std::fs;
use std::io;
use std::path::Path;

use crate::error::chain;
use crate::systemd::{self, Manager, Unit};
use crate::unit_name::slice_cgroup;

/// What came of stopping a unit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stopped {
    /// It is gone, or never was.
    Gone,
    /// It is there, in this state, and somebody else made it.
    NotOurs(String),
}

/// Kills what runs in a unit, stops it, forgets its failure, and proves that it is gone; when it `is_ours`.
///
/// # Errors
/// When systemd does not do it, or the unit is active afterwards.
pub fn stop_unit(
    name: &str,
    is_ours: &dyn Fn(&Unit) -> bool,
    systemd: &dyn Manager,
) -> Result<Stopped, String> {
    let say = |error: systemd::Error| format!("{name}: {}", chain(&error));
    let unit = systemd.unit(name).map_err(say)?;
    if !unit.is_taken() {
        return Ok(Stopped::Gone);
    }
    if !is_ours(&unit) {
        return Ok(Stopped::NotOurs(state(&unit)));
    }
    if !unit.is_down() {
        // SIGKILL first: a stop alone waits for SIGTERM to be heard by processes that hear nothing.
        systemd.kill(name, 9).ok();
        systemd.stop(name).map_err(say)?;
    }
    systemd.reset_failed(name).ok();
    let unit = systemd.unit(name).map_err(say)?;
    if unit.is_down() { Ok(Stopped::Gone) } else { Err(format!("{name} is still active")) }
}

/// What came of stopping a slice that may be somebody's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Emptied {
    /// It does not run.
    Down,
    /// A cgroup or a process is in it.
    InUse,
}

/// Stops a slice that nobody is in. Nothing is killed.
///
/// # Errors
/// When systemd does not do it, or it cannot be told who is in it.
pub fn stop_if_empty(slice: &str, systemd: &dyn Manager, cgroups: &Path) -> Result<Emptied, String> {
    let say = |error: systemd::Error| format!("{slice}: {}", chain(&error));
    if systemd.unit(slice).map_err(say)?.is_down() {
        return Ok(Emptied::Down);
    }
    let path = slice_cgroup(slice).map_err(|error| error.to_string())?;
    let dir = cgroups.join(path.as_str().trim_start_matches('/'));
    if is_occupied(&dir, &|_| true).map_err(|error| format!("{}: {error}", dir.display()))? {
        return Ok(Emptied::InUse);
    }
    systemd.stop(slice).map_err(say)?;
    Ok(Emptied::Down)
}

/// Whether a process or a child cgroup whose name `counts` is in a cgroup.
///
/// # Errors
/// When it cannot be read; one that does not exist holds nothing.
pub fn is_occupied(dir: &Path, counts: &dyn Fn(&str) -> bool) -> io::Result<bool> {
    let entries = match fs::read_dir(dir) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        read => read?,
    };
    for entry in entries {
        let entry = entry?;
        if entry.file_type()?.is_dir() && counts(&entry.file_name().to_string_lossy()) {
            return Ok(true);
        }
    }
    match fs::read_to_string(dir.join("cgroup.procs")) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        read => Ok(!read?.trim().is_empty()),
    }
}

/// A unit's state in words.
pub(super) fn state(unit: &Unit) -> String {
    let active = unit.active_state.as_deref().unwrap_or(&unit.load_state);
    let file = unit.fragment_path.as_deref().map(|path| format!(", from {path}"));
    format!("{active}{}", file.unwrap_or_default())
}
