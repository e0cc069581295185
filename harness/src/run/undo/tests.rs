//! A journal, and what comes of it when it is carried out.

use super::*;
use crate::run::containment::{Containment, Error, Group, Inside, Systemd};
use crate::systemd::{self, Call, Fake, Manager, Unit};
use rstest::rstest;

const RUN: &str = "r5n17otgu92";
const SLICE: &str = "bulkhead-r5n17otgu92.slice";
const SCOPE: &str = "bulkhead-r5n17otgu92-hog.scope";

/// A state directory and an empty cgroup tree.
fn machine() -> (tempfile::TempDir, Fake) {
    (tempfile::tempdir().expect("a temporary directory"), Fake::new(257))
}

fn make(undo: &mut Undo, unit: &str, slice: &str, inside: Inside<'_>, systemd: &Fake) -> Result<(), Error> {
    Systemd(systemd).make(&Group { unit, slice, properties: &[] }, inside, undo)
}

fn start_scope(undo: &mut Undo, name: &str, slice: &str, systemd: &Fake) {
    make(undo, name, slice, Inside::Processes(&[7]), systemd).expect("made");
}

/// A run with a slice, a scope in it and a directory, all of it there.
fn started(state: &Path, systemd: &Fake) -> (Undo, PathBuf) {
    let mut undo = Undo::begin(state, RUN).expect("begun");
    let data = state.join("data");
    undo.before(Step::RemoveTree(data.clone())).expect("noted");
    fs::create_dir(&data).expect("made");
    make(&mut undo, SLICE, SLICE, Inside::Nobody, systemd).expect("made");
    start_scope(&mut undo, SCOPE, SLICE, systemd);
    (undo, data)
}

/// A job of systemd's that did not end well.
fn fault(unit: &str) -> systemd::Error {
    systemd::Error::Job { action: format!("stop {unit}"), unit: unit.into(), result: "timeout".into() }
}

/// The calls that end something, in order.
fn ended(systemd: &Fake) -> Vec<String> {
    let ends = |call: &Call| matches!(call, Call::Stop(_) | Call::Kill(..) | Call::ResetFailed(_));
    systemd.calls().iter().filter(|call| ends(call)).map(|call| call.unit().to_owned()).collect()
}

fn stopped(systemd: &Fake) -> Vec<String> {
    let stops = systemd.calls().into_iter().filter(|call| matches!(call, Call::Stop(_)));
    stops.map(|call| call.unit().to_owned()).collect()
}

/// A unit that somebody else made.
fn somebodys(name: &str) -> Unit {
    Unit {
        name: name.into(),
        load_state: "loaded".into(),
        active_state: Some("active".into()),
        description: Some("The work of years".into()),
        transient: true,
        ..Unit::default()
    }
}

#[test]
fn a_run_is_undone_last_first_and_its_journal_goes_last() {
    let (state, systemd) = machine();
    let (undo, data) = started(state.path(), &systemd);
    assert_eq!(undo.unwind(&systemd, Some(state.path())), Vec::<String>::new());
    assert_eq!(stopped(&systemd), [SCOPE, SLICE, "bulkhead.slice"]);
    assert!(!data.exists() && !state.path().join(RUN).exists());
}

#[test]
fn what_a_killed_run_left_is_undone_from_its_journal() {
    let (state, systemd) = machine();
    let (undo, data) = started(state.path(), &systemd);
    drop(undo);
    let again = Undo::resume(&state.path().join(RUN)).expect("resumed");
    assert_eq!(again.unwind(&systemd, Some(state.path())), Vec::<String>::new());
    assert_eq!(stopped(&systemd), [SCOPE, SLICE, "bulkhead.slice"]);
    assert!(!data.exists());
}

#[test]
fn the_journal_of_a_run_that_lives_is_not_opened() {
    let (state, systemd) = machine();
    let (undo, data) = started(state.path(), &systemd);
    let error = Undo::resume(&state.path().join(RUN)).expect_err("refused");
    assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
    assert!(data.exists() && stopped(&systemd).is_empty());
    assert_eq!(undo.unwind(&systemd, Some(state.path())), Vec::<String>::new());
}

#[rstest]
#[case::one_that_carries_the_runs_id(SCOPE, 1)]
#[case::one_that_does_not("workspace-agents.slice", 0)]
fn a_name_that_became_somebody_elses_is_left_alone(#[case] name: &str, #[case] in_the_way: usize) {
    let (state, systemd) = machine();
    let mut undo = Undo::begin(state.path(), RUN).expect("begun");
    undo.before(Step::StopUnit(name.into())).expect("noted");
    drop(undo);
    systemd.put(somebodys(name));
    let again = Undo::resume(&state.path().join(RUN)).expect("resumed");
    let left = again.unwind(&systemd, Some(state.path()));
    assert_eq!(left.len(), in_the_way, "{left:?}");
    assert!(left.iter().all(|left| left.ends_with("does not belong to this run: left alone")), "{left:?}");
    assert_eq!(ended(&systemd), Vec::<String>::new());
    assert_eq!(systemd.unit(name).expect("known"), somebodys(name));
}

#[test]
fn a_journal_without_an_origin_stops_no_unit() {
    let (state, systemd) = machine();
    let dir = state.path().join(RUN);
    fs::create_dir(&dir).expect("made");
    fs::write(dir.join(JOURNAL), format!("{{\"stop-unit\":\"{SCOPE}\"}}\n")).expect("written");
    systemd.start_scope(SCOPE, "system.slice", &[7], &[]).expect("started");
    let left = Undo::resume(&dir).expect("resumed").unwind(&systemd, Some(state.path()));
    assert_eq!(left, [format!("{SCOPE} (active) does not belong to this run: left alone")]);
    assert_eq!(ended(&systemd), Vec::<String>::new());
}

#[test]
fn a_step_whose_note_was_cut_short_was_never_done() {
    let (state, _) = machine();
    let dir = state.path().join("r1");
    fs::create_dir(&dir).expect("made");
    fs::write(dir.join(JOURNAL), "{\"stop-unit\":\"x.scope\"}\n{\"stop-un").expect("written");
    let undo = Undo::resume(&dir).expect("resumed");
    assert_eq!(undo.steps, [Step::StopUnit("x.scope".into())]);
}

#[test]
fn a_journal_that_was_never_written_undoes_nothing() {
    let (state, _) = machine();
    let dir = state.path().join("r1");
    fs::create_dir(&dir).expect("made");
    assert_eq!(Undo::resume(&dir).expect("resumed").steps, []);
}

#[test]
fn what_cannot_be_undone_is_named_and_stays_in_the_journal() {
    let (state, systemd) = machine();
    let (undo, _) = started(state.path(), &systemd);
    // The first failure is that of the signal before the stop, which is no failure of the stop.
    systemd.fail_next(SCOPE, fault(SCOPE));
    systemd.fail_next(SCOPE, fault(SCOPE));
    let left = undo.unwind(&systemd, Some(state.path()));
    assert_eq!(left.len(), 1, "{left:?}");
    let words = format!("{SCOPE}: systemd's job to stop {SCOPE} ended with `timeout`");
    assert!(left[0].starts_with(&words), "{left:?}");
    // The rest is undone all the same, and a later attempt gets what is left.
    assert_eq!(stopped(&systemd), [SCOPE, SLICE, "bulkhead.slice"]);
    let again = Undo::resume(&state.path().join(RUN)).expect("the journal is still there");
    assert_eq!(again.unwind(&systemd, Some(state.path())), Vec::<String>::new());
}

#[test]
fn two_runs_cannot_share_a_journal() {
    let (state, _) = machine();
    Undo::begin(state.path(), "r1").expect("begun");
    let error = Undo::begin(state.path(), "r1").expect_err("refused");
    assert_eq!(error.kind(), io::ErrorKind::AlreadyExists);
}

#[rstest]
#[case::running(somebodys(SLICE), "active")]
#[case::failed(Unit { active_state: Some("failed".into()), ..somebodys(SLICE) }, "failed")]
#[case::installed(
    Unit {
        active_state: Some("inactive".into()),
        fragment_path: Some("/etc/systemd/system/x".into()),
        ..somebodys(SLICE)
    },
    "inactive, from /etc/systemd/system/x"
)]
fn a_unit_that_exists_is_refused_before_anything_is_written_down(#[case] there: Unit, #[case] words: &str) {
    let (state, systemd) = machine();
    systemd.put(there.clone());
    let mut undo = Undo::begin(state.path(), RUN).expect("begun");
    let error = make(&mut undo, SLICE, SLICE, Inside::Nobody, &systemd).expect_err("refused").to_string();
    assert!(
        error.starts_with(&format!("{SLICE} already exists ({words}) and does not belong to this run")),
        "{error}"
    );
    assert_eq!(undo.steps, []);
    assert_eq!(undo.unwind(&systemd, Some(state.path())), Vec::<String>::new());
    assert_eq!(systemd.calls(), []);
    assert_eq!(systemd.unit(SLICE).expect("known"), there);
}

#[test]
fn slices_that_came_along_are_stopped_and_those_that_were_there_are_not() {
    let (state, systemd) = machine();
    systemd.put(somebodys("work.slice"));
    let mut undo = Undo::begin(state.path(), RUN).expect("begun");
    start_scope(&mut undo, SCOPE, "work-space-deep.slice", &systemd);
    assert_eq!(undo.implicit(), ["work-space.slice", "work-space-deep.slice"]);
    assert_eq!(undo.unwind(&systemd, Some(state.path())), Vec::<String>::new());
    assert_eq!(stopped(&systemd), [SCOPE, "work-space-deep.slice", "work-space.slice"]);
    assert!(!systemd.calls().iter().any(|call| matches!(call, Call::Kill(name, _) if name != SCOPE)));
    assert_eq!(systemd.unit("work.slice").expect("known"), somebodys("work.slice"));
}

#[rstest]
#[case::a_cgroup("work.slice/other.service", None)]
#[case::a_process("work.slice", Some("4711\n"))]
fn a_slice_that_somebody_has_moved_into_is_theirs(#[case] cgroup: &str, #[case] procs: Option<&str>) {
    let (state, systemd) = machine();
    let mut undo = Undo::begin(state.path(), RUN).expect("begun");
    start_scope(&mut undo, SCOPE, "work.slice", &systemd);
    let cgroups = state.path().join("cgroups");
    fs::create_dir_all(cgroups.join(cgroup)).expect("made");
    fs::write(cgroups.join("work.slice/cgroup.procs"), procs.unwrap_or_default()).expect("written");
    assert_eq!(undo.unwind(&systemd, Some(&cgroups)), Vec::<String>::new());
    assert_eq!(stopped(&systemd), [SCOPE]);
    assert!(systemd.unit("work.slice").expect("known").is_active());
}

#[test]
fn a_unit_that_was_never_started_is_nobodys_to_stop() {
    // Killed between the note and the start.
    let (state, systemd) = machine();
    let mut undo = Undo::begin(state.path(), RUN).expect("begun");
    systemd.fail_next(SCOPE, fault(SCOPE));
    make(&mut undo, SCOPE, "system.slice", Inside::Processes(&[7]), &systemd).expect_err("not started");
    drop(undo);
    let again = Undo::resume(&state.path().join(RUN)).expect("resumed");
    assert_eq!(again.unwind(&systemd, Some(state.path())), Vec::<String>::new());
    assert_eq!(ended(&systemd), Vec::<String>::new());
}
