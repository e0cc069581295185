//! The time of a run is up while its hog still grows: what had not happened by then is not known to be missing.

use harness::kmsg::oom::Scope;
use harness::record::Event;
use harness::record::event::{ActorEnd, EndReason, Mark};
use reports::outcome::Verdict::{self, Fail, Inconclusive, Pass};
use rstest::rstest;

use crate::built::{CANARY, KILLED, MIB, Run, finding, verdict_of};
use crate::daemons::{CHOOSES, ORDER, own_earlyoom};

/// A counter that has to move, and does not.
const COUNTS: &str = "\n[[expect]]\nid = \"counts\"\nmetric = \"work:memory.events.oom\"\nmin-delta = 1\n";

/// The hog lives when the time is up; it holds what `touched` says. The stress lasts from 3 to 6 s.
fn alive_at_the_end(claims: &str, touched: impl Fn(u64) -> u64) -> Run {
    let mut run = Run::claiming(claims);
    run.hog_ends(None, "success");
    run.drop(|event| matches!(event, Event::Ended { .. }));
    run.add(7_000_000, Event::Ended { reason: EndReason::ObserveElapsed });
    for column in ["hog:touched", "work:memory.peak", "work:memory.current"] {
        run.column(column, |at| Some(touched(at)));
    }
    run
}

/// MiB a second from the beginning of the stress to `knee`, µs, and from there on.
fn grows(at: u64, first: u64, knee: u64, then: u64) -> u64 {
    let before = at.min(knee).saturating_sub(3_000_000);
    (before * first + at.saturating_sub(knee) * then) * MIB / 1_000_000
}

/// Half the mean pace is the edge: 300 MiB in 3 s are 100 a second, so that 50 in the last second still count.
#[rstest]
#[case::as_fast_as_ever(100, 6_000_000, 0, Inconclusive)]
#[case::at_half_the_pace(125, 5_000_000, 50, Inconclusive)]
#[case::slower(125, 5_000_000, 49, Fail)]
#[case::no_more(150, 5_000_000, 0, Fail)]
#[case::never(0, 6_000_000, 0, Fail)]
#[case::up_to_its_limit(171, 6_000_000, 0, Fail)]
fn a_kill_may_still_come_while_the_hog_grows_below_its_limit(
    #[case] first: u64,
    #[case] knee: u64,
    #[case] then: u64,
    #[case] verdict: Verdict,
) {
    let judgement = alive_at_the_end(KILLED, |at| grows(at, first, knee, then)).judged();
    assert_eq!(verdict_of(&judgement, "killed"), verdict, "{}", finding(&judgement, "killed").observed);
}

#[rstest]
#[case::in_the_stress("stress", Inconclusive)]
#[case::in_the_whole_run("run", Inconclusive)]
#[case::in_the_hold("hold", Inconclusive)]
#[case::in_a_climb_that_was_over("climb", Fail)]
#[case::in_the_baseline("baseline", Fail)]
fn a_counter_may_still_move_in_what_lasts_to_the_end(#[case] during: &str, #[case] verdict: Verdict) {
    let claims = format!("{COUNTS}during = \"{during}\"\n");
    assert_eq!(
        verdict_of(&alive_at_the_end(&claims, |at| grows(at, 100, at, 0)).judged(), "counts"),
        verdict
    );
}

#[test]
fn without_a_hold_the_climb_lasts_to_the_end() {
    let mut run = alive_at_the_end(&format!("{COUNTS}during = \"climb\"\n"), |at| grows(at, 100, at, 0));
    run.drop(|event| matches!(event, Event::Phase { phase: Mark::Hold }));
    assert_eq!(verdict_of(&run.judged(), "counts"), Inconclusive);
}

/// A bound that was kept is kept; one that was broken, or is no growth, does not wait for more.
#[rstest]
#[case::a_growth_that_came("work:memory.peak", "min-delta = \"1M\"", Pass)]
#[case::a_growth_that_was_too_large("work:memory.peak", "max-delta = \"1M\"", Fail)]
#[case::a_rate("work:memory.events.oom", "min-rate = 1", Fail)]
fn what_more_time_cannot_mend_is_judged(#[case] metric: &str, #[case] bound: &str, #[case] verdict: Verdict) {
    let claims =
        format!("\n[[expect]]\nid = \"counts\"\nmetric = \"{metric}\"\nduring = \"stress\"\n{bound}\n");
    assert_eq!(
        verdict_of(&alive_at_the_end(&claims, |at| grows(at, 100, at, 0)).judged(), "counts"),
        verdict
    );
}

/// Whoever was killed out of order stays so.
#[rstest]
#[case::nobody_yet(None, Inconclusive)]
#[case::the_last_first(Some(5_500_000), Fail)]
fn an_order_may_still_come(#[case] canary_dies_at: Option<u64>, #[case] verdict: Verdict) {
    let mut run = alive_at_the_end(ORDER, |at| grows(at, 100, at, 0));
    if let Some(at) = canary_dies_at {
        run.drop(|event| matches!(event, Event::ActorAlive { actor, .. } if actor == "canary"));
        run.add(at, Event::ActorEnded { actor: "canary".into(), end: ActorEnd::Signalled(9) });
        run.logged_kill_at(at - 50_000, Scope::Global, CANARY, "bystander");
        run.counts("system.slice:memory.events.oom_kill", 1);
    }
    let judgement = run.judged();
    assert_eq!(verdict_of(&judgement, "order"), verdict, "{}", finding(&judgement, "order").observed);
}

/// It logged what it sees, and has sent nothing.
#[test]
fn a_choice_of_earlyoom_may_still_come() {
    let mut run = alive_at_the_end(CHOOSES, |at| grows(at, 100, at, 0));
    let unit = own_earlyoom(&run);
    run.heard(&unit, 1);
    run.earlyoom_says(5_350_000, &["mem avail: 300 of 2000 MiB (15.00%)".to_owned()]);
    let judgement = run.judged();
    assert_eq!(verdict_of(&judgement, "chooses"), Inconclusive);
    let saw = &finding(&judgement, "chooses").observed;
    assert!(saw.ends_with("time was up while hog was still growing: 300.0 MiB of 600.0 MiB"), "{saw}");
}

/// A hog that exited on its own, or a run that its balloons ended, was seen to the end.
#[test]
fn a_run_that_its_balloons_ended_was_not_cut_off() {
    let mut run = alive_at_the_end(COUNTS, |at| grows(at, 100, at, 0));
    run.drop(|event| matches!(event, Event::Ended { .. }));
    run.add(7_000_000, Event::Ended { reason: EndReason::BalloonsEnded });
    assert_eq!(verdict_of(&run.judged(), "counts"), Fail);
}
