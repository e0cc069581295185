//! Takes a run down and proves it: units gone, cgroups gone, memory and swap back.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use super::Paths;
use super::containment::down::{Emptied, is_occupied, stop_if_empty};
use super::undo::Undo;
use crate::error::chain;
use crate::systemd::Manager;
use crate::unit_name::{run_of, shelter_scope, slice_cgroup};

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

/// Undoes a run and returns what is left of it; nothing = proven clean. Once `hurry` says so, what is not gone yet is not
/// waited for.
pub fn run(
    paths: &Paths,
    systemd: &dyn Manager,
    undo: Undo,
    before: &Before,
    hurry: &dyn Fn() -> bool,
) -> Vec<String> {
    let (run, implicit) = (undo.origin().run().to_owned(), undo.implicit());
    let mut left = undo.unwind(systemd, Some(&paths.cgroups));
    left.extend(gone(&run, &implicit, &paths.cgroups, systemd, GONE_WITHIN, hurry));
    left.extend(memory_back(paths, before, hurry));
    left
}

/// Waits until the units and the cgroups of a run are gone and the slices that systemd started for it are down, and
/// returns those that are not. The shelter of the harness itself is no part of the run: it is left last.
#[must_use]
pub fn gone(
    run: &str,
    implicit: &[String],
    cgroups: &Path,
    systemd: &dyn Manager,
    within: Duration,
    hurry: &dyn Fn() -> bool,
) -> Vec<String> {
    let shelter = shelter_scope(run);
    let is_left = |name: &str| run_of(name) == Some(run) && name != shelter;
    patiently(within, hurry, || {
        let mut left = Vec::new();
        match systemd.list("") {
            Ok(units) => {
                let ours = units.into_iter().filter(|unit| is_left(&unit.name));
                left.extend(ours.map(|unit| format!("{} is {}", unit.name, unit.active)));
            }
            Err(error) => left.push(format!("units could not be listed: {}", chain(&error))),
        }
        match find_cgroups(cgroups, &is_left) {
            Ok(found) => {
                left.extend(found.iter().map(|path| format!("cgroup {} still exists", path.display())));
            }
            Err(error) => left.push(format!("{} could not be searched: {error}", cgroups.display())),
        }
        left.extend(implicit.iter().filter_map(|slice| still_up(slice, &is_left, cgroups, systemd)));
        left
    })
}

/// What is left of a slice that was not active before. One that somebody else has moved into is theirs.
fn still_up(
    slice: &str,
    is_left: &dyn Fn(&str) -> bool,
    cgroups: &Path,
    systemd: &dyn Manager,
) -> Option<String> {
    match stop_if_empty(slice, systemd, cgroups) {
        Err(error) => Some(error),
        Ok(Emptied::Down) => None,
        Ok(Emptied::InUse) => {
            let path = slice_cgroup(slice).ok()?;
            let dir = cgroups.join(path.as_str().trim_start_matches('/'));
            let theirs = is_occupied(&dir, &|name| !is_left(name)).unwrap_or(false);
            (!theirs).then(|| format!("{slice} is active, and was not before"))
        }
    }
}

/// The cgroups, anywhere below a cgroup root, whose name `fits`; not those inside them.
///
/// # Errors
/// When a directory cannot be read; one that goes meanwhile is gone.
pub fn find_cgroups(root: &Path, fits: &dyn Fn(&str) -> bool) -> io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(root)? {
        let entry = match entry {
            Err(error) if is_gone(&error) => return Ok(found),
            read => read?,
        };
        if !entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            continue;
        }
        if fits(&entry.file_name().to_string_lossy()) {
            found.push(entry.path());
            continue;
        }
        match find_cgroups(&entry.path(), fits) {
            Err(error) if is_gone(&error) => {}
            below => found.extend(below?),
        }
    }
    Ok(found)
}

/// What is said of a cgroup that was removed: `ENODEV` while it is open.
fn is_gone(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::ENOENT | libc::ENODEV))
}

/// Looks again and again until nothing is left, the time is over or somebody is in a hurry, and returns what was left last.
fn patiently(within: Duration, hurry: &dyn Fn() -> bool, look: impl Fn() -> Vec<String>) -> Vec<String> {
    let started = Instant::now();
    loop {
        let left = look();
        if left.is_empty() || started.elapsed() >= within || hurry() {
            return left;
        }
        thread::sleep(LOOK_EVERY);
    }
}

/// Whether a process is anywhere below a cgroup.
#[must_use]
pub fn is_populated(cgroup: &Path) -> bool {
    fs::read_to_string(cgroup.join("cgroup.events"))
        .is_ok_and(|events| events.lines().any(|line| line == "populated 1"))
}

fn memory_back(paths: &Paths, before: &Before, hurry: &dyn Fn() -> bool) -> Vec<String> {
    let Some(then) = before.memory else {
        return vec!["/proc/meminfo could not be read before the run".into()];
    };
    patiently(BACK_WITHIN, hurry, || {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::property::Property;
    use crate::run::undo::Step;
    use crate::systemd::{Error, Fake};
    use crate::unit_name::SHELTER;
    use rstest::rstest;

    const RUN: &str = "r5n17otgu92";

    #[test]
    fn who_is_in_a_hurry_does_not_wait_for_what_is_left() {
        let began = Instant::now();
        let left = patiently(GONE_WITHIN, &|| true, || vec!["still there".into()]);
        assert_eq!(left, ["still there"]);
        assert!(began.elapsed() < GONE_WITHIN, "it waited");
    }

    fn tree() -> tempfile::TempDir {
        tempfile::tempdir().expect("a temporary directory")
    }

    #[rstest]
    #[case::the_slice_of_the_run("bulkhead-r5n17otgu92.slice")]
    #[case::a_scope_elsewhere("bulkhead-r5n17otgu92-canary.scope")]
    #[case::the_slice_below_a_slice_of_the_machine("workspace-bulkhead_r5n17otgu92-agents.slice")]
    #[case::earlyoom("bulkhead-r5n17otgu92-earlyoom.service")]
    fn every_unit_of_the_run_has_to_be_gone(#[case] name: &str) {
        let (tree, systemd) = (tree(), Fake::new(257));
        if name.ends_with(".slice") {
            systemd.start_slice(name, &[]).expect("started");
        } else {
            systemd.start_scope(name, "system.slice", &[7], &[]).expect("started");
        }
        let left = gone(RUN, &[], tree.path(), &systemd, Duration::ZERO, &|| false);
        assert!(left.contains(&format!("{name} is active")), "{left:?}");
        assert_eq!(
            gone("r5n17otgu93", &[], tree.path(), &systemd, Duration::ZERO, &|| false),
            Vec::<String>::new()
        );
    }

    #[rstest]
    #[case::below_the_shared_slice("bulkhead.slice/bulkhead-r5n17otgu92.slice")]
    #[case::deep_in_the_machine("a.slice/a-b.slice/a-b-bulkhead_r5n17otgu92.slice")]
    #[case::a_scope("system.slice/bulkhead-r5n17otgu92-canary.scope")]
    fn every_cgroup_of_the_run_has_to_be_gone(#[case] cgroup: &str) {
        let (tree, systemd) = (tree(), Fake::new(257));
        let dir = tree.path().join(cgroup);
        fs::create_dir_all(&dir).expect("made");
        let left = gone(RUN, &[], tree.path(), &systemd, Duration::ZERO, &|| false);
        assert_eq!(left, [format!("cgroup {} still exists", dir.display())]);
    }

    #[test]
    fn the_shelter_of_the_harness_is_left_later() {
        let (tree, systemd) = (tree(), Fake::new(257));
        let scope = shelter_scope(RUN);
        systemd.start_scope(&scope, SHELTER, &[7], &[]).expect("started");
        fs::create_dir_all(tree.path().join(&scope)).expect("made");
        assert_eq!(gone(RUN, &[], tree.path(), &systemd, Duration::ZERO, &|| false), Vec::<String>::new());
    }

    #[rstest]
    #[case::when_nobody_is_in_it(None, true, 0)]
    #[case::while_something_of_the_run_is_in_it(Some("bulkhead-r5n17otgu92-hog.scope"), false, 2)]
    #[case::but_not_from_under_somebody_else(Some("other.service"), false, 0)]
    fn a_slice_that_came_along_has_to_be_down_again(
        #[case] inside: Option<&str>,
        #[case] stopped: bool,
        #[case] left: usize,
    ) {
        let (tree, systemd) = (tree(), Fake::new(257));
        systemd.start_slice("work.slice", &[]).expect("started");
        fs::create_dir_all(tree.path().join("work.slice").join(inside.unwrap_or_default())).expect("made");
        let found = gone(RUN, &["work.slice".into()], tree.path(), &systemd, Duration::ZERO, &|| false);
        assert_eq!(found.len(), left, "{found:?}");
        assert_eq!(!systemd.unit("work.slice").expect("known").is_active(), stopped);
    }

    #[test]
    fn a_machine_that_cannot_be_asked_is_not_proven_clean() {
        let (tree, systemd) = (tree(), Fake::new(257));
        let left = gone(RUN, &[], &tree.path().join("missing"), &systemd, Duration::ZERO, &|| false);
        assert!(left[0].contains("could not be searched"), "{left:?}");
    }

    #[test]
    fn a_unit_that_does_not_stop_is_left_and_so_is_its_journal() {
        let (tree, systemd) = (tree(), Fake::new(257));
        let mut undo = Undo::begin(tree.path(), RUN).expect("begun");
        let name = "bulkhead-r5n17otgu92.slice";
        undo.before(Step::StopUnit(name.into())).expect("noted");
        let signed: Vec<Property> = undo.origin().signed(&[]);
        systemd.start_slice(name, &signed).expect("started");
        for _ in ["kill", "stop"] {
            let (action, result) = (format!("stop {name}"), "timeout".to_owned());
            systemd.fail_next(name, Error::Job { action, unit: name.into(), result });
        }
        let left = undo.unwind(&systemd, Some(tree.path()));
        assert_eq!(left.len(), 1, "{left:?}");
        let still = gone(RUN, &[], &tree.path().join(RUN), &systemd, Duration::ZERO, &|| false);
        assert_eq!(still, [format!("{name} is active")]);
        assert!(tree.path().join(RUN).join("undo.jsonl").exists());
    }
}
