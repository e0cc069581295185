//! Whether the run was the one that the scenario speaks of: actors, machine, limits, and the length of the hold.

use harness::plan::SwapNeed;
use harness::record::Event;
use harness::record::event::{ActorEnd, Mark, UnitState, When};
use reports::outcome::Verdict;
use rstest::rstest;

use crate::built::{KILLED, MIB, Run, running};

const ACTORS: &str = "actors-at-work";
const UNCHANGED: &str = "conditions-unchanged";
const HELD: &str = "held";

/// What such a finding says, if there is one; an open condition leaves the run open.
fn said(run: Run, id: &str) -> Option<String> {
    let judgement = run.judged();
    let found = judgement.finding(id)?;
    assert_eq!(found.verdict, Verdict::Inconclusive, "{found:?}");
    assert_eq!(judgement.verdict, Verdict::Inconclusive);
    Some(found.observed.clone())
}

const EXITS_WITH_3: &str =
    "\n[[expect]]\nid = \"out\"\nkill = { victim = \"hog\", by = \"exit\", code = 3 }\n";
const BY_SIGNAL: &str = "\n[[expect]]\nid = \"out\"\nkill = { victim = \"hog\", by = \"signal\" }\n";

#[rstest]
#[case::an_error(KILLED, ActorEnd::Exited(3), Some("hog exited with 3 on its own"))]
#[case::the_claimed_error(EXITS_WITH_3, ActorEnd::Exited(3), None)]
#[case::another_error(EXITS_WITH_3, ActorEnd::Exited(4), Some("hog exited with 4 on its own"))]
#[case::a_crash_instead_of_an_error(
    EXITS_WITH_3,
    ActorEnd::Signalled(11),
    Some("hog died of signal 11 on its own")
)]
#[case::a_crash(KILLED, ActorEnd::Signalled(11), Some("hog died of signal 11 on its own"))]
#[case::the_claimed_signal(BY_SIGNAL, ActorEnd::Signalled(11), None)]
#[case::an_error_instead_of_a_signal(BY_SIGNAL, ActorEnd::Exited(3), Some("hog exited with 3 on its own"))]
#[case::done(KILLED, ActorEnd::Exited(0), None)]
#[case::killed(KILLED, ActorEnd::Signalled(9), None)]
#[case::terminated(KILLED, ActorEnd::Signalled(15), None)]
#[case::interrupted(KILLED, ActorEnd::Signalled(2), None)]
#[case::hung_up(KILLED, ActorEnd::Signalled(1), None)]
#[case::nobody_knows_how(KILLED, ActorEnd::Unknown, None)]
#[case::without_processes_to_lose(KILLED, ActorEnd::Exited(6), Some("hog exited with 6 on its own"))]
fn an_actor_that_gives_up_or_crashes_says_nothing_unless_that_is_claimed(
    #[case] claim: &str,
    #[case] end: ActorEnd,
    #[case] words: Option<&str>,
) {
    let mut run = Run::claiming(claim);
    run.hog_ends(Some(end), "success");
    assert_eq!(said(run, ACTORS).as_deref(), words);
}

#[rstest]
#[case::some_of_them_were_killed(6, None)]
#[case::an_error(3, Some("hog exited with 3 on its own"))]
fn an_actor_of_several_processes_may_lose_some(#[case] code: i32, #[case] words: Option<&str>) {
    let mut run = Run::claiming(KILLED);
    run.plan_mut().actors[0].processes = 4;
    run.hog_ends(Some(ActorEnd::Exited(code)), "success");
    assert_eq!(said(run, ACTORS).as_deref(), words);
}

#[test]
fn a_claim_about_one_actor_excuses_no_other() {
    let mut run = Run::claiming(EXITS_WITH_3);
    run.add(5_500_000, Event::ActorEnded { actor: "canary".into(), end: ActorEnd::Exited(3) });
    assert_eq!(said(run, ACTORS).as_deref(), Some("canary exited with 3 on its own"));
}

/// A run whose scenario requires 256 MiB of swap, on a machine that had so much before and after.
fn with_swap(before: Option<u64>, after: Option<u64>) -> Run {
    let mut run = Run::claiming(KILLED);
    run.plan_mut().required.swap = Some(SwapNeed::AtLeast("256M".parse().expect("bytes")));
    machine(&mut run, (before, after), 2048 * MIB);
    run
}

fn machine(run: &mut Run, (before, after): (Option<u64>, Option<u64>), memory: u64) {
    run.record.head.host.as_mut().expect("a host").swap_total = before;
    run.drop(|event| matches!(event, Event::MachineRead { .. }));
    run.add(6_450_000, Event::MachineRead { swap_total: after, memory_total: Some(memory) });
}

fn of_the_first_release(mut run: Run) -> Run {
    run.record.head.minor = 0;
    run
}

#[rstest]
#[case::there(with_swap(Some(512 * MIB), Some(512 * MIB)), None)]
#[case::switched_off(
    with_swap(Some(512 * MIB), Some(0)),
    Some("swap was 512.0 MiB before the stress and 0 B after it, required is at least 256.0 MiB")
)]
#[case::not_read_before(
    with_swap(None, Some(512 * MIB)),
    Some("swap was unknown before the stress and 512.0 MiB after it, required is at least 256.0 MiB")
)]
#[case::not_read_again(with_swap(Some(512 * MIB), None), Some("swap was not read again after the stress"))]
#[case::never_read_again_by_the_first_release(of_the_first_release(with_swap(Some(512 * MIB), None)), None)]
#[case::not_required({
    let mut run = Run::claiming(KILLED);
    machine(&mut run, (Some(512 * MIB), Some(0)), 2048 * MIB);
    run
}, None)]
#[case::less_memory({
    let mut run = Run::claiming(KILLED);
    machine(&mut run, (None, None), 1024 * MIB);
    run
}, Some("MemTotal was 2.0 GiB before the stress and 1.0 GiB after it"))]
fn the_machine_must_stay_what_the_scenario_requires(#[case] run: Run, #[case] words: Option<&str>) {
    assert_eq!(said(run, UNCHANGED).as_deref(), words);
}

fn in_state(active: &str) -> Option<UnitState> {
    let mut state = running("running", "success");
    active.clone_into(&mut state.active);
    Some(state)
}

#[rstest]
#[case::up(in_state("active"), in_state("active"), 1, None)]
#[case::down_after(
    in_state("active"),
    in_state("failed"),
    1,
    Some("was active before the stress and failed after it")
)]
#[case::down_before(
    in_state("inactive"),
    in_state("active"),
    1,
    Some("was inactive before the stress and active after it")
)]
#[case::not_there(None, None, 1, Some("was not seen before the stress and not seen after it"))]
#[case::never_asked_by_the_first_release(None, None, 0, None)]
fn a_required_unit_must_be_up_before_and_after(
    #[case] before: Option<UnitState>,
    #[case] after: Option<UnitState>,
    #[case] minor: u32,
    #[case] words: Option<&str>,
) {
    let mut run = Run::claiming(KILLED);
    run.record.head.minor = minor;
    run.plan_mut().required.units = vec!["dbus.service".parse().expect("a unit")];
    run.unit("dbus.service", When::Before, before);
    run.unit("dbus.service", When::After, after);
    let words = words.map(|words| format!("dbus.service {words}, required is active"));
    assert_eq!(said(run, UNCHANGED), words);
}

/// The limits of a cgroup, read before the stress and perhaps again, in place of those of `work`.
fn limits(cgroup: &str, readings: &[(u64, &str)]) -> Run {
    let mut run = Run::claiming(KILLED);
    run.drop(|event| matches!(event, Event::LimitsRead { cgroup, .. } if cgroup == "work"));
    let cgroup = cgroup.replace("WORK", &run.work());
    for (at, max) in readings {
        let values = [("memory.max".to_owned(), (*max).to_owned())].into();
        run.add(*at, Event::LimitsRead { cgroup: cgroup.clone(), values });
    }
    run
}

/// `work` as systemd sees it after the stress.
fn work_is(mut run: Run, state: Option<UnitState>) -> Run {
    let unit = run.plan().cgroups[0].unit.clone();
    run.unit(&unit, When::After, state);
    run
}

const NOT_AGAIN: &str = "the limits of work were not read again after the stress";

/// Settling begins at 6 s.
#[rstest]
#[case::the_same(limits("work", &[(300, "536870912"), (6_450_000, "536870912")]), None)]
#[case::another(
    limits("work", &[(300, "536870912"), (6_450_000, "max")]),
    Some("memory.max of work was 536870912 before the stress and max after it")
)]
#[case::another_for_a_while(
    limits("work", &[(300, "536870912"), (5_500_000, "max"), (6_450_000, "536870912")]),
    Some("memory.max of work was 536870912 before the stress and max after it")
)]
#[case::read_again_at_once(limits("work", &[(300, "536870912"), (6_000_000, "536870912")]), None)]
#[case::read_again_too_early(limits("work", &[(300, "536870912"), (5_999_999, "536870912")]), Some(NOT_AGAIN))]
#[case::not_read_again(limits("work", &[(300, "536870912")]), Some(NOT_AGAIN))]
#[case::never_read_again_by_the_first_release(of_the_first_release(limits("work", &[(300, "536870912")])), None)]
#[case::gone_with_its_unit(work_is(limits("work", &[(300, "536870912")]), None), None)]
#[case::failed_with_its_unit(work_is(limits("work", &[(300, "536870912")]), in_state("failed")), None)]
#[case::not_read_although_there(work_is(limits("work", &[(300, "536870912")]), in_state("active")), Some(NOT_AGAIN))]
#[case::below_what_is_gone(work_is(limits("WORK/a.scope", &[(300, "536870912")]), None), None)]
#[case::beside_what_is_gone(
    work_is(limits("/system.slice", &[(300, "536870912")]), None),
    Some("the limits of /system.slice were not read again after the stress")
)]
#[case::none_to_read_again({
    let mut run = Run::claiming(KILLED);
    run.add(300, Event::LimitsRead { cgroup: "/system.slice".into(), values: [].into() });
    run
}, None)]
fn the_limits_under_test_must_stay_what_they_were(#[case] run: Run, #[case] words: Option<&str>) {
    assert_eq!(said(run, UNCHANGED).as_deref(), words);
}

/// The hold lasts from 5 s to 6 s.
#[rstest]
#[case::not_asked_for(0, true, None)]
#[case::long_enough(1_000_000, true, Some((Verdict::Pass, "1.0 s")))]
#[case::too_short(1_000_001, true, Some((Verdict::Inconclusive, "only 1.0 s")))]
#[case::never_reached(1, false, Some((Verdict::Inconclusive, "never")))]
fn the_stress_must_be_held_for_as_long_as_the_scenario_says(
    #[case] wanted_us: u64,
    #[case] reached: bool,
    #[case] expected: Option<(Verdict, &str)>,
) {
    let mut run = Run::claiming(KILLED);
    run.plan_mut().hold_us = wanted_us;
    if !reached {
        run.drop(|event| matches!(event, Event::Phase { phase: Mark::Hold }));
    }
    let judgement = run.judged();
    let found = judgement.finding(HELD).map(|found| (found.verdict, &*found.observed));
    assert_eq!(found, expected);
}
