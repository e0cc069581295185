//! What is read before the stress and again when it is over: units, limits, and what the machine has.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::path::Path;

use super::Paths;
use super::recorder::Recorder;
use crate::cgroupfs::CgroupPath;
use crate::metric::Field;
use crate::notation::id::UnitName;
use crate::plan::{Plan, PlannedUnit};
use crate::record::Event;
use crate::record::event::{ActorEnd, UnitState, When};
use crate::systemd::Manager;

/// The limits that a cgroup puts on everything below it.
const INHERITED: [&str; 3] = ["memory.high", "memory.max", "memory.swap.max"];

/// Records the state of every unit that the record speaks of: those that are protected or required and the daemons that are
/// followed, and after the stress the units of the run too.
pub fn units(plan: &Plan, systemd: &dyn Manager, recorder: &Recorder, when: When) {
    let mut units: Vec<&str> = plan.protect.units.iter().map(UnitName::as_str).collect();
    units.extend(plan.required.units.iter().map(UnitName::as_str));
    let daemons = |own: bool| plan.daemons.iter().filter(move |daemon| daemon.start.is_some() == own);
    units.extend(daemons(false).map(|daemon| daemon.unit.as_str()));
    if when == When::After {
        units.extend(plan.actors.iter().map(|actor| actor.unit.as_str()));
        units.extend(daemons(true).map(|daemon| daemon.unit.as_str()));
    }
    let mut seen = BTreeSet::new();
    for name in units.into_iter().filter(|name| seen.insert(*name)) {
        unit(name, systemd, recorder, when);
    }
}

/// Records the state of one unit.
pub fn unit(name: &str, systemd: &dyn Manager, recorder: &Recorder, when: When) {
    match systemd.unit(name) {
        Ok(state) => {
            let state = state.exists().then(|| UnitState {
                active: state.active_state.unwrap_or_default(),
                sub: state.sub_state.unwrap_or_default(),
                result: state.result,
                invocation_id: state.invocation_id,
                main_pid: state.main_pid,
                n_restarts: state.n_restarts,
                main_end: main_end(state.exec_main_code, state.exec_main_status),
            });
            recorder.record(Event::Unit { unit: name.to_owned(), when, state });
        }
        Err(error) => recorder.trouble(name, &error),
    }
}

/// `si_code` and status of a main process, as `waitid` gives them to its parent, PID 1.
fn main_end(code: Option<i32>, status: Option<i32>) -> Option<ActorEnd> {
    match (code?, status?) {
        (libc::CLD_EXITED, status) => Some(ActorEnd::Exited(status)),
        (libc::CLD_KILLED | libc::CLD_DUMPED, signal) => Some(ActorEnd::Signalled(signal)),
        _ => None,
    }
}

/// Records the limits of everything that is watched and of all that it lies in: any of them may be what really holds it.
pub fn inherited_limits(plan: &Plan, paths: &Paths, recorder: &Recorder) {
    let mut cgroups = BTreeSet::new();
    for watched in &plan.watched {
        // The root has no limits.
        cgroups.extend(watched.cgroup.ancestors().filter(|cgroup| !cgroup.is_root()));
    }
    for cgroup in &cgroups {
        limits(cgroup.as_str(), cgroup, INHERITED.into_iter(), paths, recorder);
    }
}

/// Records what the limits of the run's own units are now.
pub fn own_limits(plan: &Plan, paths: &Paths, recorder: &Recorder) {
    let own = std::iter::once(&plan.slice).chain(&plan.outer).chain(&plan.cgroups);
    for PlannedUnit { name, cgroup, limits: planned, .. } in own {
        limits(name, cgroup, planned.iter().map(|(file, _)| file.name()), paths, recorder);
    }
}

/// Records these files of a cgroup, unless it is gone.
fn limits<'f>(
    name: &str,
    cgroup: &CgroupPath,
    files: impl Iterator<Item = &'f str>,
    paths: &Paths,
    recorder: &Recorder,
) {
    let dir = cgroup.below(&paths.cgroups);
    let mut values = BTreeMap::new();
    for file in files {
        match fs::read_to_string(dir.join(file)) {
            Ok(text) => {
                values.insert(file.to_owned(), text.trim().to_owned());
            }
            Err(error) if is_absent(&error) => {}
            Err(error) => recorder.trouble(&format!("{}/{file}", dir.display()), &error),
        }
    }
    if dir.is_dir() {
        recorder.record(Event::LimitsRead { cgroup: name.to_owned(), values });
    }
}

/// Whether the cgroup, or its controller, is gone.
fn is_absent(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::NotFound || error.raw_os_error() == Some(libc::ENODEV)
}

/// Records what the machine has.
pub fn machine(root: &Path, recorder: &Recorder) {
    let text = fs::read(root.join("proc/meminfo")).unwrap_or_else(|error| {
        recorder.trouble("/proc/meminfo", &error);
        Vec::new()
    });
    let [swap_total, memory_total] = ["SwapTotal", "MemTotal"].map(|key| Field::Kib(key).value(&text));
    recorder.record(Event::MachineRead { swap_total, memory_total });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::Stamped;
    use crate::record::store::Store;

    /// What is recorded of a temporary machine with these files.
    fn recorded(files: &[(&str, &str)], read: impl FnOnce(&Paths, &Recorder)) -> Vec<Event> {
        let dir = tempfile::tempdir().expect("a temporary directory");
        for (file, text) in files {
            let path = dir.path().join(file);
            fs::create_dir_all(path.parent().expect("a parent")).expect("mkdir");
            fs::write(path, text).expect("written");
        }
        let record = dir.path().join("record");
        let recorder = Recorder::new(Store::create(&record).expect("a store"));
        let root = dir.path().to_owned();
        let paths = Paths {
            cgroups: root.join("cgroups"),
            state: root.join("state"),
            data: root.join("data"),
            programs: root.join("programs"),
            kmsg: root.join("kmsg"),
            root,
        };
        read(&paths, &recorder);
        let text = fs::read_to_string(record.join("events.jsonl")).expect("events");
        let events = text.lines().map(|line| serde_json::from_str::<Stamped>(line).expect("an event").event);
        events.collect()
    }

    fn limits_read(cgroup: &str, values: &[(&str, &str)]) -> Event {
        let values = values.iter().map(|(file, value)| ((*file).to_owned(), (*value).to_owned())).collect();
        Event::LimitsRead { cgroup: cgroup.into(), values }
    }

    #[test]
    fn what_the_machine_has_is_read_in_bytes() {
        let meminfo = "MemTotal:  2000 kB\nMemFree: 1 kB\nSwapTotal:  512 kB\nSwapFree: 5 kB\n";
        let events = recorded(&[("proc/meminfo", meminfo)], |paths, recorder| machine(&paths.root, recorder));
        let expected = Event::MachineRead { swap_total: Some(512 << 10), memory_total: Some(2000 << 10) };
        assert_eq!(events, [expected]);
    }

    #[test]
    fn limits_are_recorded_as_they_are_now_whatever_was_planned() {
        let files = [("cgroups/w.slice/memory.max", "4096\n"), ("cgroups/w.slice/memory.high", "max\n")];
        let wanted = ["memory.max", "memory.high", "memory.swap.max"].into_iter();
        let events = recorded(&files, |paths, recorder| {
            limits("work", &"/w.slice".parse().expect("a path"), wanted, paths, recorder);
        });
        assert_eq!(events, [limits_read("work", &[("memory.high", "max"), ("memory.max", "4096")])]);
    }

    #[test]
    fn a_cgroup_that_is_gone_has_no_limits() {
        let wanted = ["memory.max"].into_iter();
        let events = recorded(&[], |paths, recorder| {
            limits("work", &"/w.slice".parse().expect("a path"), wanted, paths, recorder);
        });
        assert_eq!(events, []);
    }
}
