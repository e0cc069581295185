//! Runs that ended before their end, runs whose stress never arrived, and twins.

use harness::record::Event;
use harness::record::event::{ActorEnd, EndReason, Mark};
use reports::outcome::{Cleanup, Verdict};
use rstest::rstest;

use crate::built::{KILLED, MIB, Run, finding, verdict_of};

fn ended_by(reason: EndReason) -> Run {
    let mut run = Run::claiming(KILLED);
    run.drop(|event| matches!(event, Event::Ended { .. }));
    run.add(7_000_000, Event::Ended { reason });
    run
}

#[rstest]
#[case::a_requirement(EndReason::Skipped { reason: "why".into() }, Verdict::Skipped, "why")]
#[case::a_guard_at_the_door(EndReason::Refused { reason: "why".into() }, Verdict::Aborted, "refused: why")]
#[case::a_guard_on_the_way(EndReason::Aborted { reason: "why".into() }, Verdict::Aborted, "why")]
#[case::no_set_up(EndReason::SetupFailed { reason: "why".into() }, Verdict::Inconclusive, "set-up")]
#[case::the_operator(EndReason::Interrupted { signal: 2 }, Verdict::Inconclusive, "signal 2")]
#[case::the_machine(
    EndReason::MachineLost { what: "panicked".into(), console: "Kernel panic".into() },
    Verdict::Inconclusive,
    "the machine was lost: panicked"
)]
fn what_ended_early_is_never_green_and_claims_nothing(
    #[case] reason: EndReason,
    #[case] verdict: Verdict,
    #[case] words: &str,
) {
    let judgement = ended_by(reason).judged();
    assert_eq!((judgement.verdict, judgement.raw_verdict), (verdict, verdict));
    assert!(judgement.findings.is_empty());
    assert!(judgement.reason.expect("a reason").contains(words));
}

#[test]
fn a_record_without_an_end_is_inconclusive_and_its_machine_may_be_dirty() {
    let mut run = Run::claiming(KILLED);
    run.drop(|event| matches!(event, Event::Ended { .. } | Event::Cleanup { .. }));
    let judgement = run.judged();
    assert_eq!(judgement.verdict, Verdict::Inconclusive);
    assert!(judgement.reason.expect("a reason").contains("no end"));
    assert!(matches!(judgement.cleanup, Cleanup::NotProven { .. }));
}

#[test]
fn a_record_without_a_plan_is_inconclusive() {
    let mut run = Run::claiming(KILLED);
    run.record.head.plan = None;
    let judgement = run.judged();
    assert_eq!(judgement.verdict, Verdict::Inconclusive);
    assert!(judgement.reason.expect("a reason").contains("no plan"));
}

#[rstest]
#[case::clean(Some(vec![]), EndReason::BalloonsEnded, Cleanup::Proven)]
#[case::left(
    Some(vec!["x.scope".into()]),
    EndReason::BalloonsEnded,
    Cleanup::NotProven { left: vec!["x.scope".into()] }
)]
#[case::gone(None, EndReason::MachineLost { what: "hung".into(), console: String::new() }, Cleanup::NotNeeded)]
#[case::skipped(None, EndReason::Skipped { reason: "swap".into() }, Cleanup::NotNeeded)]
fn cleanup_is_proven_or_named(
    #[case] left: Option<Vec<String>>,
    #[case] reason: EndReason,
    #[case] expected: Cleanup,
) {
    let mut run = ended_by(reason);
    run.drop(|event| matches!(event, Event::Cleanup { .. }));
    if let Some(left) = left {
        run.add(8_000_000, Event::Cleanup { left });
    }
    assert_eq!(run.judged().cleanup, expected);
}

#[test]
fn stress_that_never_arrived_is_inconclusive_whatever_else_holds() {
    let mut run = Run::claiming(KILLED);
    run.column("work:memory.peak", |_| Some(100 * MIB));
    run.drop(|event| matches!(event, Event::Phase { phase: Mark::Hold }));
    let judgement = run.judged();
    assert_eq!(verdict_of(&judgement, "reached"), Verdict::Fail);
    // A failure and a pass beside it change nothing.
    assert_eq!(verdict_of(&judgement, "killed"), Verdict::Fail);
    assert_eq!(verdict_of(&judgement, "protected-unchanged"), Verdict::Pass);
    assert_eq!(judgement.verdict, Verdict::Inconclusive);
    assert!(judgement.reason.expect("a reason").starts_with("the stress did not arrive: 100.0 MiB at most"));
}

#[test]
fn stress_that_came_too_late_did_not_arrive() {
    let mut run = Run::claiming(KILLED);
    // Released at 3 s, wanted within 10 s; read 486 MiB only in a sample that is 12 s later.
    run.column("work:memory.peak", |_| Some(0));
    run.record.samples.at_us.push(15_000_000);
    let row = run
        .record
        .samples
        .columns
        .iter()
        .map(|name| Some(if name == "work:memory.peak" { 500 * MIB } else { 0 }));
    let row: Vec<Option<u64>> = row.collect();
    run.record.samples.values.extend(row);
    let judgement = run.judged();
    assert_eq!(finding(&judgement, "reached").observed, "500.0 MiB only after 12.00 s");
    assert_eq!(judgement.verdict, Verdict::Inconclusive);
}

#[test]
fn stress_that_could_not_be_read_is_inconclusive() {
    let mut run = Run::claiming(KILLED);
    run.column("work:memory.peak", |_| None);
    let judgement = run.judged();
    assert_eq!(verdict_of(&judgement, "reached"), Verdict::Inconclusive);
    assert_eq!(judgement.verdict, Verdict::Inconclusive);
}

#[test]
fn a_twin_that_turns_red_where_it_must_passes() {
    let mut run = Run::twin();
    run.hog_ends(None, "success");
    let judgement = run.judged();
    assert_eq!((judgement.verdict, judgement.raw_verdict), (Verdict::Pass, Verdict::Fail));
    assert!(finding(&judgement, "killed").required_red);
    assert!(!finding(&judgement, "reached").required_red);
}

#[test]
fn a_twin_that_stays_green_fails() {
    let judgement = Run::twin().judged();
    assert_eq!((judgement.verdict, judgement.raw_verdict), (Verdict::Fail, Verdict::Pass));
    assert_eq!(judgement.reason.as_deref(), Some("stayed green: killed"));
}

#[test]
fn a_twin_whose_red_cannot_be_seen_is_inconclusive() {
    let mut run = Run::twin();
    run.hog_ends(Some(ActorEnd::Unknown), "success");
    let judgement = run.judged();
    assert_eq!(verdict_of(&judgement, "killed"), Verdict::Inconclusive);
    assert_eq!(judgement.verdict, Verdict::Inconclusive);
    assert_eq!(judgement.reason.as_deref(), Some("could not be observed: killed"));
}

#[test]
fn a_twin_whose_stress_did_not_arrive_proves_nothing() {
    let mut run = Run::twin();
    run.hog_ends(None, "success");
    run.column("work:memory.peak", |_| Some(MIB));
    assert_eq!(run.judged().verdict, Verdict::Inconclusive);
}
