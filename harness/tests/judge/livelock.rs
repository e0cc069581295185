//! Livelock: between high and max, no progress, everybody stalled, and nobody acts.

use harness::kmsg::oom::Scope;
use harness::plan::claim::Claim;
use harness::record::Event;
use harness::record::event::{ActorEnd, Mark};
use reports::outcome::Verdict;
use rstest::rstest;

use crate::built::{MIB, Run, climb, finding, verdict_of};

const CLAIM: &str = "\n[[expect]]\nid = \"moves\"\nno-livelock = { cgroup = \"work\", hog = \"hog\" }\n";

/// A hog in the band of 384 to 512 MiB for the whole hold: 200 MiB/s before, then `progress` MiB/s, with `stalled` of
/// each second lost to everybody in it.
fn in_the_band(progress: u64, stalled_percent: u64) -> Run {
    let mut run = Run::with_band(CLAIM);
    run.hog_ends(None, "success");
    let touched = move |at: u64| {
        let climbed = at.saturating_sub(3_000_000).min(2_000_000) * 200 * MIB / 1_000_000;
        Some(climbed + at.saturating_sub(5_000_000) * progress * MIB / 1_000_000)
    };
    run.column("hog:touched", touched);
    run.column("work:memory.current", touched);
    run.column("work:memory.peak", |_| Some(500 * MIB));
    run.column("work:memory.pressure.some", |at| Some(at.saturating_sub(5_000_000) / 100 * stalled_percent));
    run
}

#[test]
fn all_three_signs_together_are_a_livelock() {
    let judgement = in_the_band(1, 95).judged();
    let found = finding(&judgement, "moves");
    assert_eq!(found.verdict, Verdict::Fail);
    // 1 MiB/s after 200 MiB/s.
    assert_eq!(
        found.observed,
        "livelock: 1.0 s between 384.0 MiB and 512.0 MiB of work, progress 0.5 % of before, stalled 95 % of the time, \
         not killed"
    );
}

fn ended(mut run: Run, end: ActorEnd) -> Run {
    run.add(5_900_000, Event::ActorEnded { actor: "hog".into(), end });
    run
}

/// What hides a livelock from a hasty look: none of it is progress, and none of it is a killer that acts.
#[rstest]
#[case::a_kill_elsewhere({
    let mut run = in_the_band(1, 95);
    run.counts("work:memory.events.oom_kill", 1);
    run.logged_kill(Scope::Memcg, 300, "neighbour");
    run
})]
#[case::a_neighbour_that_computes({
    let mut run = in_the_band(1, 95);
    run.column("work:memory.pressure.full", |_| Some(0));
    run
})]
#[case::a_stress_that_arrived_long_before_the_band({
    let mut run = in_the_band(1, 95);
    run.drop(|event| matches!(event, Event::Phase { phase: Mark::Hold }));
    run.add(3_400_000, Event::Phase { phase: Mark::Hold });
    run
})]
#[case::a_band_of_the_slice_above({
    let mut run = in_the_band(1, 95);
    for expectation in &mut run.plan_mut().expectations {
        if let Claim::NoLivelock(claim) = &mut expectation.claim {
            (claim.high, claim.max) = (None, None);
        }
    }
    run.column("run:memory.current", |at| Some(climb(at).max(if at < 5_000_000 { 0 } else { 450 * MIB })));
    run.column("run:memory.pressure.some", |at| Some(at.saturating_sub(5_000_000) / 100 * 95));
    let values = [("memory.high", 400 * MIB), ("memory.max", 580 * MIB)];
    let values = values.map(|(file, bytes)| (file.to_owned(), bytes.to_string())).into();
    run.drop(|event| matches!(event, Event::LimitsRead { cgroup, .. } if cgroup == "run"));
    run.add(300, Event::LimitsRead { cgroup: "run".into(), values });
    run
})]
fn a_livelock_is_one_whatever_else_happens(#[case] run: Run) {
    let judgement = run.judged();
    let found = finding(&judgement, "moves");
    assert_eq!(found.verdict, Verdict::Fail, "{}", found.observed);
}

#[rstest]
#[case::it_makes_progress(in_the_band(20, 95))]
#[case::its_tasks_are_not_stalled(in_the_band(1, 70))]
#[case::it_is_at_its_limit({
    let mut run = in_the_band(1, 95);
    run.column("work:memory.current", |_| Some(512 * MIB));
    run
})]
#[case::somebody_acts(ended(in_the_band(1, 95), ActorEnd::Signalled(9)))]
#[case::the_hog_is_gone(ended(in_the_band(1, 95), ActorEnd::Exited(0)))]
#[case::it_holds_all_that_it_wants({
    let mut run = in_the_band(1, 95);
    run.plan_mut().actors[0].total = Some(400 * MIB);
    run
})]
fn without_one_of_the_signs_it_is_none(#[case] run: Run) {
    assert_eq!(verdict_of(&run.judged(), "moves"), Verdict::Pass);
}

#[test]
fn without_a_band_there_is_nothing_to_be_caught_in() {
    let judgement = Run::claiming(CLAIM).judged();
    let found = finding(&judgement, "moves");
    assert_eq!(found.verdict, Verdict::Pass);
    assert_eq!(found.observed, "work has no band between MemoryHigh and MemoryMax");
}

/// Throttled for ever with no limit above: the widest band there is.
#[test]
fn a_band_without_a_limit_above_it_catches_too() {
    let mut run = in_the_band(1, 95);
    for expectation in &mut run.plan_mut().expectations {
        if let Claim::NoLivelock(claim) = &mut expectation.claim {
            claim.max = None;
        }
    }
    assert_eq!(verdict_of(&run.judged(), "moves"), Verdict::Fail);
}

#[rstest]
#[case("work:memory.current")]
#[case("work:memory.pressure.some")]
#[case("hog:touched")]
fn a_sign_that_was_not_seen_leaves_it_open(#[case] column: &str) {
    let mut run = in_the_band(1, 95);
    run.column(column, |_| None);
    assert_eq!(verdict_of(&run.judged(), "moves"), Verdict::Inconclusive);
}
