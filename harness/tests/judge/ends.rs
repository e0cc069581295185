//! Runs that ended before their end, runs whose stress never arrived, and twins.

use harness::plan::claim::{self, Claim};
use harness::record::Event;
use harness::record::event::{ActorEnd, EndReason, Mark, When};
use reports::number::{Number, Unit};
use reports::outcome::{Cleanup, Killer, Verdict};
use rstest::rstest;

use crate::built::{KILLED, MIB, Run, finding, running, verdict_of};

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
#[case::refused(None, EndReason::Refused { reason: "no host.toml".into() }, Cleanup::NotNeeded)]
#[case::cut_short(
    None,
    EndReason::BalloonsEnded,
    Cleanup::NotProven { left: vec!["the record ends before any cleanup".into()] }
)]
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
fn where_nothing_was_started_nothing_is_to_be_cleaned_up() {
    let mut run = ended_by(EndReason::Aborted { reason: "no memory".into() });
    run.drop(|event| matches!(event, Event::Cleanup { .. } | Event::UnitStarted { .. }));
    assert_eq!(run.judged().cleanup, Cleanup::NotNeeded);
}

/// An open finding comes before the failed one, and does not hide it.
#[test]
fn the_reason_of_a_verdict_is_the_first_finding_that_has_it() {
    let claims =
        "\n[[expect]]\nid = \"open\"\nmetric = \"work:memory.stat.file\"\nmax = \"0\"\nduring = \"run\"\n";
    let run = Run::claiming(&format!("{claims}{KILLED}"));
    let open = run.judged();
    assert_eq!(open.verdict, Verdict::Inconclusive);
    assert!(open.reason.expect("a reason").starts_with("open: not observed"));
    let mut run = Run::claiming(&format!("{claims}{KILLED}"));
    run.hog_ends(None, "success");
    let failed = run.judged();
    assert_eq!(failed.verdict, Verdict::Fail);
    let reason = format!("killed: {}", finding(&failed, "killed").observed);
    assert_eq!(failed.reason, Some(reason));
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
    assert!(judgement.reason.expect("a reason").starts_with("the stress was not reached: 100.0 MiB at most"));
}

/// Released at 3 s, wanted within 10 s.
#[rstest]
#[case::at_the_last_moment(13_000_000, Verdict::Pass, "500.0 MiB after 10.00 s")]
#[case::too_late(15_000_000, Verdict::Fail, "500.0 MiB only after 12.00 s")]
fn stress_that_came_too_late_did_not_arrive(#[case] at: u64, #[case] verdict: Verdict, #[case] words: &str) {
    let mut run = Run::claiming(KILLED);
    let peak = |now: u64| Some(if now < at { 0 } else { 500 * MIB });
    run.sampled_until(20_000_000, &[2_500_000, 3_000_000, at, 20_000_000], &[("work:memory.peak", &peak)]);
    let judgement = run.judged();
    let found = finding(&judgement, "reached");
    assert_eq!((found.verdict, &*found.observed), (verdict, words));
    let took = (at - 3_000_000) as f64;
    let number =
        Number::at_most("time until work:memory.peak is reached", Unit::Microseconds, Some(took), 1e7);
    assert_eq!(found.numbers, [number]);
}

/// The climb begins with a sample: what is there by then did not come of the stress.
#[test]
fn stress_that_was_there_before_did_not_arrive() {
    let mut run = Run::claiming(KILLED);
    run.column("work:memory.peak", |at| Some(if at < 3_000_000 { 0 } else { 500 * MIB }));
    let judgement = run.judged();
    let found = finding(&judgement, "reached");
    assert_eq!(found.verdict, Verdict::Inconclusive);
    assert_eq!(found.observed, "500.0 MiB already before the balloons were released");
}

/// 1000 pages were swapped before the stress, 50 are in it.
#[rstest]
#[case::as_many_as_wanted(50.0, Verdict::Pass, "50 after 2.00 s")]
#[case::fewer_than_wanted(51.0, Verdict::Fail, "50 at most")]
fn what_a_counter_counted_before_the_stress_is_none_of_it(
    #[case] wanted: f64,
    #[case] verdict: Verdict,
    #[case] words: &str,
) {
    let mut run = Run::claiming(KILLED);
    let reached = &mut run.plan_mut().reached;
    (reached.metric, reached.unit, reached.value) =
        ("host:swap.out".parse().expect("a metric"), claim::Unit::Count, wanted);
    run.column("host:swap.out", |at| Some(if at < 5_000_000 { 1000 } else { 1050 }));
    let judgement = run.judged();
    let found = finding(&judgement, "reached");
    assert_eq!((found.verdict, &*found.observed), (verdict, words));
}

/// The memory of `work` falls from 900 to 600 MiB.
#[rstest]
#[case::far_enough(600, Verdict::Pass, "600.0 MiB after 2.00 s")]
#[case::not_far_enough(599, Verdict::Fail, "600.0 MiB at least")]
fn stress_may_have_to_push_something_down(
    #[case] wanted_mib: u64,
    #[case] verdict: Verdict,
    #[case] words: &str,
) {
    let mut run = Run::claiming(KILLED);
    let reached = &mut run.plan_mut().reached;
    (reached.metric, reached.kind) =
        ("work:memory.current".parse().expect("a metric"), claim::BoundKind::Max);
    reached.value = (wanted_mib * MIB) as f64;
    run.column("work:memory.current", |at| Some(if at < 5_000_000 { 900 * MIB } else { 600 * MIB }));
    let judgement = run.judged();
    let found = finding(&judgement, "reached");
    assert_eq!((found.verdict, &*found.observed), (verdict, words));
    let wanted = format!("work:memory.current at most {wanted_mib}.0 MiB within 10.0 s");
    assert_eq!(found.expected, wanted);
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

/// `protected-unchanged` must hold while `killed` turns red.
#[rstest]
#[case::it_holds(Some("running"), Verdict::Pass, None)]
#[case::it_is_red(
    Some("dead"),
    Verdict::Fail,
    Some("turned red, but not for the expected reason: protected-unchanged")
)]
#[case::it_was_not_seen(None, Verdict::Inconclusive, Some("could not be observed: protected-unchanged"))]
fn a_twin_turns_red_for_its_own_reason(
    #[case] ssh: Option<&str>,
    #[case] verdict: Verdict,
    #[case] reason: Option<&str>,
) {
    let mut run = Run::twin();
    run.hog_ends(None, "success");
    run.record.head.must_hold = vec!["protected-unchanged".into()];
    run.drop(|event| matches!(event, Event::Unit { unit, when: When::After, .. } if unit == "ssh.service"));
    if let Some(sub) = ssh {
        run.unit("ssh.service", When::After, Some(running(sub, "success")));
    }
    let judgement = run.judged();
    assert_eq!((judgement.verdict, judgement.reason.as_deref()), (verdict, reason));
}

#[test]
fn a_twin_that_must_turn_nothing_red_proves_nothing() {
    let mut run = Run::twin();
    run.hog_ends(None, "success");
    run.record.head.must_fail.clear();
    assert_eq!(run.judged().verdict, Verdict::Inconclusive);
}

/// By hand, that is: no word of the kernel, of a daemon, or of systemd explains the signal.
#[rstest]
#[case::the_hog(&["hog"], Killer::Memcg, Verdict::Inconclusive, "hog was killed by an outside signal")]
#[case::as_is_claimed(&["hog"], Killer::Signal, Verdict::Fail, "stayed green: killed")]
#[case::another_besides(&["hog", "canary"], Killer::Signal, Verdict::Inconclusive, "canary was killed by an outside signal")]
fn a_twin_is_not_red_by_the_hand_of_somebody_else(
    #[case] ended: &[&str],
    #[case] claimed: Killer,
    #[case] verdict: Verdict,
    #[case] words: &str,
) {
    let mut run = Run::twin();
    for expectation in &mut run.plan_mut().expectations {
        if let Claim::Kill(claim) = &mut expectation.claim {
            (claim.by, claim.limit, claim.at) = (claimed, None, None);
        }
    }
    run.hog_ends(Some(ActorEnd::Signalled(9)), "signal");
    if ended.contains(&"canary") {
        run.drop(|event| matches!(event, Event::ActorAlive { .. }));
        run.add(5_500_000, Event::ActorEnded { actor: "canary".into(), end: ActorEnd::Signalled(9) });
    }
    let judgement = run.judged();
    assert_eq!(judgement.verdict, verdict, "{judgement:#?}");
    assert!(judgement.reason.as_deref().is_some_and(|reason| reason.starts_with(words)), "{judgement:#?}");
}
