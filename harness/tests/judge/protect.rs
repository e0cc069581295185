//! What is protected: the same units as before, and answers throughout.

use harness::record::Event;
use harness::record::event::{AnswerResult, UnitState, When};
use reports::number::{Number, Unit};
use reports::outcome::Verdict;
use rstest::rstest;

use crate::built::{CANARY, HOG, Run, finding, running, verdict_of};

const SURVIVES: &str = "\n[[expect]]\nid = \"lives\"\nsurvives = [\"canary\"]\n";

fn ssh(change: impl Fn(&mut UnitState)) -> Option<UnitState> {
    let mut state = running("running", "success");
    change(&mut state);
    Some(state)
}

fn run_with_ssh(before: Option<Option<UnitState>>, after: Option<Option<UnitState>>) -> Run {
    let mut run = Run::claiming(SURVIVES);
    run.drop(|event| matches!(event, Event::Unit { unit, .. } if unit == "ssh.service"));
    for (when, state) in [(When::Before, before), (When::After, after)] {
        if let Some(state) = state {
            run.unit("ssh.service", when, state);
        }
    }
    run
}

#[rstest]
#[case::started_anew(ssh(|ssh| ssh.invocation_id = Some("0".repeat(32))), "ssh.service: InvocationID")]
#[case::another_process(ssh(|ssh| ssh.main_pid = Some(9)), "ssh.service: MainPID 185 is now 9")]
#[case::restarted(ssh(|ssh| ssh.n_restarts = Some(1)), "ssh.service: NRestarts 0 is now 1")]
#[case::dead(ssh(|ssh| ssh.active = "failed".into()), "ssh.service: ActiveState active is now failed")]
#[case::gone(None, "ssh.service: gone")]
#[case::not_identified_any_longer(ssh(|ssh| ssh.invocation_id = None), "ssh.service: InvocationID")]
fn a_protected_unit_that_changed_fails(#[case] after: Option<UnitState>, #[case] words: &str) {
    let judgement = run_with_ssh(Some(ssh(|_| ())), Some(after)).judged();
    let found = finding(&judgement, "protected-unchanged");
    assert_eq!(found.verdict, Verdict::Fail);
    assert!(found.observed.starts_with(words), "{}", found.observed);
    assert_eq!(judgement.verdict, Verdict::Fail);
}

#[rstest]
#[case::not_asked_before(None, Some(ssh(|_| ())))]
#[case::not_asked_after(Some(ssh(|_| ())), None)]
#[case::not_there_before(Some(None), Some(ssh(|_| ())))]
#[case::dead_before_and_after(
    Some(ssh(|ssh| ssh.active = "inactive".into())),
    Some(ssh(|ssh| ssh.active = "inactive".into()))
)]
fn a_protected_unit_that_was_not_seen_alive_before_and_asked_after_is_inconclusive(
    #[case] before: Option<Option<UnitState>>,
    #[case] after: Option<Option<UnitState>>,
) {
    let judgement = run_with_ssh(before, after).judged();
    assert_eq!(verdict_of(&judgement, "protected-unchanged"), Verdict::Inconclusive);
    assert_eq!(judgement.verdict, Verdict::Inconclusive);
}

#[test]
fn protected_units_that_stayed_and_answers_in_time_pass() {
    let judgement = Run::claiming(SURVIVES).judged();
    assert_eq!(finding(&judgement, "protected-unchanged").observed, "2 units unchanged");
    assert_eq!(
        finding(&judgement, "protected-answers").observed,
        "tcp-banner 127.0.0.1:22 answered 6 times, slowest 31 ms"
    );
    assert_eq!(judgement.verdict, Verdict::Pass);
}

#[rstest]
#[case::late(AnswerResult::Late { waited_us: 2_000_400 }, "gave no answer in 2.00 s")]
#[case::too_slow(AnswerResult::Answered { took_us: 2_000_001 }, "took 2.00 s")]
#[case::refused(AnswerResult::Refused { error: "reset".into() }, "refused: reset")]
fn one_missed_answer_under_stress_fails(#[case] result: AnswerResult, #[case] words: &str) {
    let mut run = Run::claiming(SURVIVES);
    run.answer(5_500_000, result);
    let judgement = run.judged();
    let found = finding(&judgement, "protected-answers");
    assert_eq!(
        (found.verdict, &*found.observed),
        (Verdict::Fail, &*format!("tcp-banner 127.0.0.1:22 {words}"))
    );
}

#[test]
fn being_turned_away_now_and_then_is_no_failure() {
    let mut run = Run::claiming(SURVIVES);
    run.answer(5_500_000, AnswerResult::Penalised { banner: "Not allowed at this time".into() });
    let judgement = run.judged();
    let found = finding(&judgement, "protected-answers");
    assert_eq!(found.verdict, Verdict::Pass);
    assert!(found.observed.ends_with("(1 probes were turned away as too frequent)"));
}

#[rstest]
#[case::only_turned_away(Some(AnswerResult::Penalised { banner: "Not allowed at this time".into() }))]
#[case::never_asked(None)]
fn a_server_that_was_never_heard_is_inconclusive(#[case] result: Option<AnswerResult>) {
    let mut run = Run::claiming(SURVIVES);
    run.drop(|event| matches!(event, Event::Answer { .. }));
    if let Some(result) = result {
        run.answer(5_500_000, result);
    }
    assert_eq!(verdict_of(&run.judged(), "protected-answers"), Verdict::Inconclusive);
}

#[rstest]
#[case::the_same_process(Some(CANARY), false, Verdict::Pass)]
#[case::dead(None, true, Verdict::Fail)]
#[case::not_seen(None, false, Verdict::Inconclusive)]
#[case::another_process(Some(9), false, Verdict::Inconclusive)]
fn an_actor_survives_as_the_same_running_process(
    #[case] alive: Option<u32>,
    #[case] dead: bool,
    #[case] verdict: Verdict,
) {
    use harness::record::event::ActorEnd;
    let mut run = Run::claiming(SURVIVES);
    run.drop(|event| matches!(event, Event::ActorAlive { .. }));
    if let Some(pid) = alive {
        run.add(6_500_000, Event::ActorAlive { actor: "canary".into(), pid, state: Some('S') });
    }
    if dead {
        run.add(5_500_000, Event::ActorEnded { actor: "canary".into(), end: ActorEnd::Signalled(9) });
    }
    assert_eq!(verdict_of(&run.judged(), "lives"), verdict);
}

#[rstest]
#[case::the_guest_ran(10, AnswerResult::Late { waited_us: 2_000_400 }, Verdict::Fail)]
#[case::the_guest_waited(50, AnswerResult::Late { waited_us: 2_000_400 }, Verdict::Inconclusive)]
#[case::a_refusal_is_the_guests_own(60, AnswerResult::Refused { error: "reset".into() }, Verdict::Fail)]
fn a_late_answer_of_a_guest_that_waited_for_its_host_says_nothing(
    #[case] waited: u64,
    #[case] result: AnswerResult,
    #[case] verdict: Verdict,
) {
    let mut run = Run::claiming(SURVIVES);
    run.in_a_guest_that_waited(waited);
    run.answer(5_500_000, result);
    assert_eq!(verdict_of(&run.judged(), "protected-answers"), verdict);
}

#[test]
fn a_service_that_missed_a_probe_before_the_stress_was_not_steady() {
    let mut run = Run::claiming(SURVIVES);
    run.answer(1_500_000, AnswerResult::Late { waited_us: 2_000_400 });
    run.answer(5_500_000, AnswerResult::Late { waited_us: 2_000_400 });
    assert_eq!(verdict_of(&run.judged(), "protected-answers"), Verdict::Inconclusive);
}

/// The first login of a fresh machine loads everything that it needs from the disk, and may last into the stress.
#[rstest]
#[case::once(&[(500_000, 2_900_000)], Verdict::Pass)]
#[case::and_again(&[(500_000, 2_900_000), (2_900_000, 5_000_000)], Verdict::Inconclusive)]
#[case::only_under_stress(&[(3_000_000, 5_100_000)], Verdict::Fail)]
fn a_cold_start_before_the_stress_is_no_miss(#[case] late: &[(u64, u64)], #[case] verdict: Verdict) {
    let mut run = Run::claiming(SURVIVES);
    let last = late.last().map_or(0, |(_, ended)| *ended);
    run.record
        .events
        .retain(|stamped| !matches!(stamped.event, Event::Answer { .. }) || stamped.at_us > last);
    for (began, ended) in late {
        let result = AnswerResult::Late { waited_us: ended - began };
        let target = "tcp-banner 127.0.0.1:22".into();
        run.add(*ended, Event::Answer { probe: 0, target, result, began_us: Some(*began) });
    }
    let judgement = run.judged();
    let found = finding(&judgement, "protected-answers");
    assert_eq!(found.verdict, verdict, "{}", found.observed);
}

/// A unit that nobody had started since the machine booted has no InvocationID until somebody does.
#[test]
fn a_protected_unit_that_was_identified_for_the_first_time_was_started() {
    let judgement = run_with_ssh(Some(ssh(|ssh| ssh.invocation_id = None)), Some(ssh(|_| ()))).judged();
    assert_eq!(verdict_of(&judgement, "protected-unchanged"), Verdict::Fail);
}

#[test]
fn what_is_not_protected_is_not_judged() {
    let mut run = Run::claiming(SURVIVES);
    let protect = &mut run.plan_mut().protect;
    protect.units.clear();
    protect.answers.clear();
    let judgement = run.judged();
    assert!(judgement.finding("protected-unchanged").is_none());
    assert!(judgement.finding("protected-answers").is_none());
}

/// Asked within 2 s: how long an answer would have taken is known only of one that came, or was waited for in vain for longer.
#[rstest]
#[case::in_time(AnswerResult::Answered { took_us: 1_900_000 }, Verdict::Pass, Some(1.9e6))]
#[case::at_the_last_moment(AnswerResult::Answered { took_us: 2_000_000 }, Verdict::Pass, Some(2e6))]
#[case::too_slow(AnswerResult::Answered { took_us: 2_000_001 }, Verdict::Fail, Some(2_000_001.0))]
#[case::waited_for_longer(AnswerResult::Late { waited_us: 2_000_400 }, Verdict::Fail, Some(2_000_400.0))]
#[case::given_up_at_the_bound(AnswerResult::Late { waited_us: 2_000_000 }, Verdict::Fail, None)]
#[case::refused(AnswerResult::Refused { error: "reset".into() }, Verdict::Fail, None)]
fn the_slowest_answer_is_told_in_numbers(
    #[case] result: AnswerResult,
    #[case] verdict: Verdict,
    #[case] slowest: Option<f64>,
) {
    let mut run = Run::claiming(SURVIVES);
    run.answer(5_500_000, result);
    let judgement = run.judged();
    let found = finding(&judgement, "protected-answers");
    assert_eq!(found.verdict, verdict, "{}", found.observed);
    let what = "slowest answer of tcp-banner 127.0.0.1:22";
    assert_eq!(found.numbers, [Number::at_most(what, Unit::Microseconds, slowest, 2e6)]);
}

/// The first answer of all, asked for before the stress: only one that came too late is left out.
#[rstest]
#[case::in_time(1_900_000, "answered 7 times, slowest 1900 ms")]
#[case::at_the_last_moment(2_000_000, "answered 7 times, slowest 2000 ms")]
#[case::too_slow(2_000_001, "answered 6 times, slowest 31 ms")]
fn a_cold_start_is_a_first_answer_that_came_too_late(#[case] took_us: u64, #[case] words: &str) {
    let mut run = Run::claiming(SURVIVES);
    run.add(
        999_999,
        Event::Answer {
            probe: 0,
            target: "tcp-banner 127.0.0.1:22".into(),
            result: AnswerResult::Answered { took_us },
            began_us: Some(0),
        },
    );
    let judgement = run.judged();
    let found = finding(&judgement, "protected-answers");
    assert_eq!(
        (found.verdict, &*found.observed),
        (Verdict::Pass, &*format!("tcp-banner 127.0.0.1:22 {words}"))
    );
}

/// With nothing after it, the slow first answer is all that is known.
#[test]
fn the_only_answer_of_all_is_told() {
    let mut run = Run::claiming(SURVIVES);
    run.drop(|event| matches!(event, Event::Answer { .. }));
    run.answer(2_900_000, AnswerResult::Answered { took_us: 2_400_000 });
    let judgement = run.judged();
    let found = finding(&judgement, "protected-answers");
    assert_eq!(found.verdict, Verdict::Inconclusive);
    assert!(found.observed.contains("took 2.40 s; and it was not steady"), "{}", found.observed);
}

#[rstest]
#[case::it_sleeps('S', Verdict::Pass)]
#[case::it_was_stopped('T', Verdict::Fail)]
#[case::it_is_traced('t', Verdict::Fail)]
#[case::it_is_a_zombie('Z', Verdict::Fail)]
fn an_actor_that_is_there_must_run_to_survive(#[case] state: char, #[case] verdict: Verdict) {
    let mut run = Run::claiming(SURVIVES);
    run.drop(|event| matches!(event, Event::ActorAlive { .. }));
    // Another actor is in another state.
    let other = if state == 'S' { 'T' } else { 'S' };
    run.add(6_400_000, Event::ActorAlive { actor: "hog".into(), pid: HOG, state: Some(other) });
    run.add(6_500_000, Event::ActorAlive { actor: "canary".into(), pid: CANARY, state: Some(state) });
    assert_eq!(verdict_of(&run.judged(), "lives"), verdict);
}
