//! Every way out of a run, on a machine that is a temporary directory: what is undone, what the record says, and what is
//! told when neither can be had.

mod machine;

use std::fs;
use std::os::unix::fs::symlink;
use std::time::{Duration, Instant};

use machine::Machine;
use reports::outcome::Killer;

use super::execute;
use super::progress::Progress;
use crate::host::HostFacts;
use crate::plan::{Plan, plan};
use crate::record::event::{EndReason, Mark};
use crate::record::store::{Store, StoreError};
use crate::record::{Event, Stamped};
use crate::scenario::Scenario;
use crate::systemd::Manager;

const SLICE: &str = "bulkhead-r00000000.slice";
const WORK: &str = "bulkhead-r00000000-work.slice";

const SCENARIO: &str = r#"
schema = 1
title = "A runaway dies at its own ceiling"
source = "a test"
safety = "contained"
deadline = "90s"
observe = "20s"

[cgroup.work]
MemoryMax = "512M"

[[actor]]
id = "hog"
kind = "balloon"
in = "work"
size = "600M"
text = "pinned"

[reached]
metric = "work:memory.peak"
min = "486M"
within = "10s"

[[expect]]
id = "killed"
kill = { victim = "hog", by = "memcg", limit = "work" }
"#;

/// A run of two slices without actors, which lasts as long as it must.
fn a_plan() -> Plan {
    plan_of(SCENARIO)
}

fn plan_of(text: &str) -> Plan {
    let scenario = Scenario::parse("run.toml", text).unwrap_or_else(|invalid| panic!("{invalid}"));
    let facts = HostFacts {
        memory_total: Some(4_096_000_000),
        killers: [(Killer::SystemdOomd, false), (Killer::Earlyoom, false)].into(),
        ..HostFacts::default()
    };
    let mut plan = plan(&scenario, &facts, "r00000000").expect("a plan");
    plan.actors.clear();
    (plan.baseline_us, plan.observe_us) = (1, 100_000);
    plan
}

/// How a run ended, and all that it recorded.
fn run_on(machine: &Machine, plan: &Plan, on: &mut dyn FnMut(&Progress)) -> (EndReason, Vec<Event>) {
    let record = machine.dir.path().join("record");
    let store = Store::create(&record).expect("a store");
    let outcome = execute(plan, &machine.paths(), &machine.systemd, store, &mut { on });
    assert!(outcome.store.is_none(), "{outcome:?}");
    let text = fs::read_to_string(record.join("events.jsonl")).expect("events");
    let events = text.lines().map(|line| serde_json::from_str::<Stamped>(line).expect("an event").event);
    let events: Vec<Event> = events.collect();
    assert_eq!(outcome.left, left(&events));
    (outcome.end, events)
}

/// What the cleanup says is left.
fn left(events: &[Event]) -> &[String] {
    let left = events.iter().find_map(|event| match event {
        Event::Cleanup { left } => Some(left.as_slice()),
        _ => None,
    });
    left.expect("a cleanup")
}

#[track_caller]
fn assert_undone(machine: &Machine, events: &[Event]) {
    assert_eq!(left(events), Vec::<String>::new());
    assert!(!machine.unit(SLICE).exists() && !machine.unit(WORK).exists());
    assert!(!machine.paths().cgroups.join("bulkhead.slice").join(SLICE).exists());
    assert_eq!(machine.journals(), 0);
}

#[test]
fn a_run_goes_through_all_its_parts_and_leaves_nothing() {
    let machine = Machine::new();
    let (end, events) = run_on(&machine, &a_plan(), &mut |_| {});
    assert_eq!(end, EndReason::ObserveElapsed);
    let phases = events.iter().filter_map(|event| match event {
        Event::Phase { phase } => Some(*phase),
        _ => None,
    });
    let expected = [Mark::Setup, Mark::Baseline, Mark::Climb, Mark::Settle, Mark::Cleanup];
    assert_eq!(phases.collect::<Vec<_>>(), expected);
    let memory_total = Some(4_096_000_000);
    assert!(events.contains(&Event::MachineRead { swap_total: Some(0), memory_total }), "{events:#?}");
    assert_undone(&machine, &events);
}

#[test]
fn a_run_ends_when_its_stress_has_been_held_for_long_enough() {
    let machine = Machine::new();
    let text =
        SCENARIO.replace("\"work:memory.peak\"\nmin = \"486M\"", "\"host:memory.available\"\nmax = \"2G\"");
    let mut plan = plan_of(&text);
    (plan.observe_us, plan.enough_us) = (60_000_000, Some(50_000));
    let meminfo = machine.paths().root.join("proc/meminfo");
    let less = "MemTotal: 4000000 kB\nMemAvailable: 1000000 kB\nSwapTotal: 0 kB\nSwapFree: 0 kB\n";
    let began = Instant::now();
    let (end, events) = run_on(&machine, &plan, &mut |_| fs::write(&meminfo, less).expect("written"));
    assert_eq!(end, EndReason::ObserveElapsed);
    assert!(events.contains(&Event::Phase { phase: Mark::Hold }), "{events:#?}");
    assert!(began.elapsed() < Duration::from_secs(30), "it was watched to its end");
}

#[test]
fn limits_that_change_under_the_stress_stand_in_the_record_with_both_values() {
    let machine = Machine::new();
    let limit = machine.paths().cgroups.join("bulkhead.slice").join(SLICE).join(WORK).join("memory.max");
    let (_, events) = run_on(&machine, &a_plan(), &mut |_| fs::write(&limit, "max\n").expect("changed"));
    let read = |of: &str| -> Vec<String> {
        let values = events.iter().filter_map(|event| match event {
            Event::LimitsRead { cgroup, values } if cgroup == of => values.get("memory.max").cloned(),
            _ => None,
        });
        values.collect()
    };
    assert_eq!(read("work"), ["536870912", "max"]);
    let path = format!("/bulkhead.slice/{SLICE}/{WORK}");
    assert_eq!(read(&path), ["536870912", "max"]);
}

#[test]
fn a_limit_that_the_kernel_does_not_hold_fails_the_set_up_and_is_undone() {
    let machine = Machine::holding(Some("max"));
    let (end, events) = run_on(&machine, &a_plan(), &mut |_| {});
    let EndReason::SetupFailed { reason } = end else { panic!("{end:?}") };
    assert!(reason.starts_with(&format!("{SLICE}: memory.max is max, expected ")), "{reason}");
    assert!(!machine.started().contains(&WORK.to_owned()));
    assert_undone(&machine, &events);
}

#[test]
fn a_unit_that_exists_is_not_the_runs_to_use_or_to_stop() {
    const THEIRS: &str = "workspace-agents.slice";
    let machine = Machine::new();
    machine.systemd.start_slice(THEIRS, &[]).expect("somebody else's");
    let mut plan = a_plan();
    plan.cgroups[0].unit = THEIRS.parse().expect("a unit");
    let (end, events) = run_on(&machine, &plan, &mut |_| {});
    let EndReason::SetupFailed { reason } = end else { panic!("{end:?}") };
    assert!(reason.contains(THEIRS), "{reason}");
    assert!(machine.unit(THEIRS).is_active() && machine.stopped().iter().all(|unit| unit != THEIRS));
    assert_undone(&machine, &events);
}

#[test]
fn a_run_that_panics_is_undone_and_its_threads_end_with_it() {
    let machine = Machine::new();
    let (end, events) = run_on(&machine, &a_plan(), &mut |_| panic!("a bug, on purpose"));
    assert_eq!(end, EndReason::Aborted { reason: "the harness panicked".into() });
    assert_undone(&machine, &events);
    // The sampler would go on writing.
    let samples = machine.dir.path().join("record/samples.jsonl");
    let rows = || fs::read_to_string(&samples).expect("samples").lines().count();
    let before = rows();
    std::thread::sleep(Duration::from_millis(200));
    assert_eq!(rows(), before);
}

/// A record on a disk that has no room.
fn full(machine: &Machine) -> Store {
    let record = machine.dir.path().join("record");
    fs::create_dir(&record).expect("made");
    symlink("/dev/full", record.join("events.jsonl")).expect("linked");
    Store::reopen(&record).expect("opened")
}

#[test]
fn a_record_that_cannot_be_written_is_told_and_the_run_is_undone_all_the_same() {
    let machine = Machine::new();
    let mut beats = 0;
    let mut on = |_: &Progress| beats += 1;
    let outcome = execute(&a_plan(), &machine.paths(), &machine.systemd, full(&machine), &mut on);
    assert!(matches!(outcome.store, Some(StoreError::Io { .. })), "{outcome:?}");
    assert_eq!(outcome.left, Vec::<String>::new());
    assert_eq!(beats, 1, "it ends as soon as it is seen");
    assert!(machine.started().contains(&SLICE.to_owned()) && machine.stopped().contains(&SLICE.to_owned()));
    assert_eq!(machine.journals(), 0);
}

#[test]
fn a_panic_does_not_hide_that_the_record_could_not_be_written() {
    let machine = Machine::new();
    let mut on = |_: &Progress| panic!("a bug, on purpose");
    let outcome = execute(&a_plan(), &machine.paths(), &machine.systemd, full(&machine), &mut on);
    assert!(matches!(outcome.store, Some(StoreError::Io { .. })), "{outcome:?}");
    assert_eq!(outcome.left, Vec::<String>::new());
    assert_eq!(machine.journals(), 0);
}

#[test]
fn a_machine_that_runs_out_of_memory_stops_the_run_and_is_told_with_numbers() {
    let machine = Machine::new();
    let mut plan = a_plan();
    plan.observe_us = 60_000_000;
    let meminfo = machine.paths().root.join("proc/meminfo");
    // Written into the file that the sampler holds open, as the kernel's own changes under it.
    let low = "MemTotal: 4000000 kB\nMemAvailable: 1024 kB\nSwapTotal: 0 kB\nSwapFree: 0 kB\n     ";
    let (end, events) = run_on(&machine, &plan, &mut |_| fs::write(&meminfo, low).expect("changed"));
    let EndReason::Aborted { reason } = end else { panic!("{end:?}") };
    assert_eq!(reason, "MemAvailable fell to 1 MiB, the floor is 195 MiB");
    // It does not come back either, and that is no clean end.
    let left = left(&events);
    assert!(left.len() == 1 && left[0].contains("MemAvailable"), "{left:?}");
    assert!(!machine.unit(SLICE).exists());
}
