//! Takes a run down and proves it: units gone, cgroups gone, memory and swap back.

use std::fs;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use super::Paths;
use super::recorder::chain;
use super::undo::Undo;
use crate::plan::Plan;
use crate::systemd::Manager;

/// How long units and cgroups get to be gone. A killed process that waits for a slow swap disk is there until the disk
/// has answered.
const GONE_WITHIN: Duration = Duration::from_secs(30);
/// How often that is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// How long the machine gets to come back.
const BACK_WITHIN: Duration = Duration::from_secs(5);
/// What a machine's own life may move MemAvailable and swap meanwhile, bytes.
const OWN_LIFE: u64 = 64 << 20;

/// The machine before the run.
#[derive(Debug, Clone, Copy)]
pub struct Before {
    memory: Option<Memory>,
}

#[derive(Debug, Clone, Copy)]
struct Memory {
    available: u64,
    swap_used: u64,
}

impl Before {
    /// Reads it.
    #[must_use]
    pub fn read(paths: &Paths) -> Self {
        Self { memory: memory(&paths.root) }
    }
}

fn memory(root: &Path) -> Option<Memory> {
    let text = fs::read_to_string(root.join("proc/meminfo")).ok()?;
    let read = |key: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(key))?;
        line.trim().trim_end_matches(" kB").trim().parse::<u64>().ok().map(|kib| kib * 1024)
    };
    Some(Memory {
        available: read("MemAvailable:")?,
        swap_used: read("SwapTotal:")?.saturating_sub(read("SwapFree:")?),
    })
}

/// Undoes a run and returns what is left of it; nothing = proven clean.
pub fn run(plan: &Plan, paths: &Paths, systemd: &dyn Manager, undo: Undo, before: &Before) -> Vec<String> {
    let mut left = undo.unwind(systemd);
    left.extend(gone(plan, paths, systemd));
    left.extend(memory_back(paths, before));
    left
}

/// Waits until the units and the cgroups of the run are gone, and returns those that are not.
fn gone(plan: &Plan, paths: &Paths, systemd: &dyn Manager) -> Vec<String> {
    let tree = paths.cgroups.join(plan.slice.cgroup.trim_start_matches('/'));
    patiently(GONE_WITHIN, || {
        let mut left = Vec::new();
        if tree.exists() {
            left.push(format!("cgroup {} still exists", plan.slice.cgroup));
        }
        match systemd.list(&format!("bulkhead-{}", plan.run)) {
            Ok(units) => {
                left.extend(units.into_iter().map(|unit| format!("{} is {}", unit.name, unit.active)));
            }
            Err(error) => left.push(format!("units could not be listed: {}", chain(&error))),
        }
        left
    })
}

/// Looks again and again until nothing is left or the time is over, and returns what was left last.
fn patiently(within: Duration, look: impl Fn() -> Vec<String>) -> Vec<String> {
    let started = Instant::now();
    loop {
        let left = look();
        if left.is_empty() || started.elapsed() >= within {
            return left;
        }
        thread::sleep(LOOK_EVERY);
    }
}

/// Cgroups that still hold processes, anywhere below a cgroup root, of those whose name `is_ours`.
#[must_use]
pub fn populated_cgroups(root: &Path, is_ours: &dyn Fn(&str) -> bool) -> Vec<String> {
    let Ok(entries) = fs::read_dir(root) else { return Vec::new() };
    let mut found = Vec::new();
    for entry in entries.flatten().filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir())) {
        let path = entry.path();
        let busy = fs::read_to_string(path.join("cgroup.events"))
            .is_ok_and(|events| events.lines().any(|line| line == "populated 1"));
        if busy && is_ours(&entry.file_name().to_string_lossy()) {
            found.push(format!("processes in {}", path.display()));
        } else if busy {
            found.extend(populated_cgroups(&path, is_ours));
        }
    }
    found
}

fn memory_back(paths: &Paths, before: &Before) -> Vec<String> {
    let Some(then) = before.memory else {
        return vec!["/proc/meminfo could not be read before the run".into()];
    };
    patiently(BACK_WITHIN, || {
        let Some(now) = memory(&paths.root) else {
            return vec!["/proc/meminfo could not be read after the run".into()];
        };
        let missing = then.available.saturating_sub(now.available);
        let swapped = now.swap_used.saturating_sub(then.swap_used);
        let mut left = Vec::new();
        if missing > OWN_LIFE {
            left.push(format!("MemAvailable is {} MiB below what it was", missing >> 20));
        }
        if swapped > OWN_LIFE {
            left.push(format!("swap use is {} MiB above what it was", swapped >> 20));
        }
        left
    })
}
