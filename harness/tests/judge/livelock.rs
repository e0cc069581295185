//! Livelock: between high and max, no progress, everybody stalled, and nobody acts.

use harness::kmsg::oom::Scope;
use harness::plan::claim::Claim;
use harness::record::Event;
use harness::record::event::{ActorEnd, Mark};
use reports::number::{Number, Unit};
use reports::outcome::Verdict::{self, Fail, Inconclusive, Pass};
use rstest::rstest;

use crate::built::{Column, MIB, RUN_SLICE, Run, climb, finding, verdict_of};

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
    assert_eq!(found.verdict, Fail);
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
    assert_eq!(found.verdict, Fail, "{}", found.observed);
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
    assert_eq!(verdict_of(&run.judged(), "moves"), Pass);
}

#[test]
fn without_a_band_there_is_nothing_to_be_caught_in() {
    let judgement = Run::claiming(CLAIM).judged();
    let found = finding(&judgement, "moves");
    assert_eq!(found.verdict, Pass);
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
    assert_eq!(verdict_of(&run.judged(), "moves"), Fail);
}

#[rstest]
#[case("work:memory.current")]
#[case("work:memory.pressure.some")]
#[case("hog:touched")]
fn a_sign_that_was_not_seen_leaves_it_open(#[case] column: &str) {
    let mut run = in_the_band(1, 95);
    run.column(column, |_| None);
    assert_eq!(verdict_of(&run.judged(), "moves"), Inconclusive);
}

/// The hog takes 200 MiB/s until it gets into the band for the first time, and crawls from then on.
fn in_bands(bands: &[(f64, f64)]) -> Run {
    let mut run = Run::with_band(CLAIM);
    run.hog_ends(None, "success");
    run.plan_mut().actors[0].total = None;
    let us = |seconds: f64| (seconds * 1e6) as u64;
    let first = us(bands[0].0);
    let usage = |at: u64| {
        let caught = bands.iter().any(|(from, to)| (us(*from)..=us(*to)).contains(&at));
        Some(if caught { 450 * MIB } else { 100 * MIB })
    };
    let touched = |at: u64| {
        let free = at.min(first).saturating_sub(3_000_000) * 200;
        Some((free + at.saturating_sub(first)) * MIB / 1_000_000)
    };
    let ticks: Vec<u64> = (2..=41).map(|half| half * 500_000).collect();
    let columns: [Column<'_>; 3] = [
        ("work:memory.current", &usage),
        ("work:memory.pressure.some", &|at| Some(at / 100 * 95)),
        ("hog:touched", &touched),
    ];
    run.sampled_until(20_000_000, &ticks, &columns);
    run
}

/// The stress lasts from 3 to 20 s, with a sample every half second.
#[rstest]
#[case::never_in_the_band(&[(21.0, 22.0)], Pass, Some((0.0, 5.0)))]
#[case::shorter_than_a_livelock(&[(5.0, 9.5)], Pass, Some((4.5, 5.0)))]
#[case::as_long_as_one(&[(5.0, 10.0)], Fail, Some((5.0, 5.0)))]
#[case::two_that_are_not_one(&[(5.0, 8.0), (9.0, 12.0)], Pass, Some((3.0, 5.0)))]
#[case::short_to_the_end(&[(19.0, 19.5)], Pass, Some((0.5, 1.0)))]
#[case::long_to_the_end(&[(18.5, 19.5)], Fail, Some((1.0, 1.0)))]
#[case::as_long_but_not_to_the_end(&[(18.0, 19.0)], Pass, Some((1.0, 5.0)))]
#[case::to_the_end_after_one_as_long(&[(10.0, 12.0), (18.0, 20.0)], Fail, Some((2.0, 1.0)))]
#[case::to_the_end_after_a_longer_one(&[(10.0, 14.0), (18.0, 20.0)], Fail, Some((2.0, 1.0)))]
fn how_long_a_stretch_may_be_depends_on_whether_it_ends(
    #[case] bands: &[(f64, f64)],
    #[case] verdict: Verdict,
    #[case] seconds: Option<(f64, f64)>,
) {
    let judgement = in_bands(bands).judged();
    let found = finding(&judgement, "moves");
    assert_eq!(found.verdict, verdict, "{}", found.observed);
    let what = "longest stretch without progress above the high of work";
    let length = seconds
        .map(|(saw, allowed)| Number::at_most(what, Unit::Microseconds, Some(saw * 1e6), allowed * 1e6));
    assert_eq!(found.numbers.first(), length.as_ref());
}

/// 1 MiB/s after 200 MiB/s, 95 % of the time lost.
#[test]
fn all_signs_are_told_in_numbers() {
    let judgement = in_the_band(1, 95).judged();
    let signs: Vec<(Unit, f64, f64)> = finding(&judgement, "moves")
        .numbers
        .iter()
        .map(|number| (number.unit, (number.value.expect("a value") * 1e3).round() / 1e3, number.bound))
        .collect();
    let expected = [(Unit::Microseconds, 1e6, 1e6), (Unit::Percent, 0.5, 5.0), (Unit::Percent, 95.0, 80.0)];
    assert_eq!(signs, expected);
}

/// What is said to be too much is more than the threshold, and what is said to be too little is less.
#[rstest]
#[case::progress_at_its_threshold(in_the_band(10, 95), Pass)]
#[case::progress_below_it(in_the_band(9, 95), Fail)]
#[case::stalled_for_its_threshold(in_the_band(1, 80), Pass)]
#[case::stalled_for_more(in_the_band(1, 81), Fail)]
#[case::at_the_lower_edge({
    let mut run = in_the_band(1, 95);
    run.column("work:memory.current", |at| Some(if at < 5_000_000 { 0 } else { 384 * MIB }));
    run
}, Fail)]
#[case::just_below_the_lower_edge({
    let mut run = in_the_band(1, 95);
    run.column("work:memory.current", |at| Some(if at < 5_000_000 { 0 } else { 384 * MIB - 1 }));
    run
}, Pass)]
#[case::it_holds_exactly_what_it_wants({
    let mut run = in_the_band(0, 95);
    run.plan_mut().actors[0].total = Some(400 * MIB);
    run
}, Pass)]
#[case::it_is_dead_at_the_last_look({
    let mut run = in_the_band(1, 95);
    run.add(6_000_000, Event::ActorEnded { actor: "hog".into(), end: ActorEnd::Signalled(9) });
    run
}, Pass)]
#[case::there_is_nothing_to_compare_with({
    let mut run = in_the_band(1, 95);
    run.column("work:memory.current", |_| Some(400 * MIB));
    run
}, Inconclusive)]
#[case::it_took_nothing_and_was_never_there({
    let mut run = in_the_band(1, 95);
    run.column("work:memory.current", |_| Some(0));
    run.column("hog:touched", |_| Some(0));
    run
}, Pass)]
fn each_sign_has_its_edge(#[case] run: Run, #[case] verdict: Verdict) {
    let judgement = run.judged();
    let found = finding(&judgement, "moves");
    assert_eq!(found.verdict, verdict, "{}", found.observed);
}

/// The hog is not throttled by its own cgroup: what throttles is what was read of those around it, by path or by name.
#[rstest]
#[case::of_the_slice_above(&[RUN_SLICE], Fail)]
#[case::of_the_slice_above_twice(&[RUN_SLICE, "run"], Fail)]
#[case::of_what_nobody_sampled(&["/bulkhead.slice"], Inconclusive)]
#[case::of_another_that_nobody_sampled(&["/user.slice"], Pass)]
#[case::of_another_that_was_sampled(&["/system.slice"], Pass)]
#[case::of_nothing(&[], Pass)]
fn whatever_is_around_the_hog_may_throttle_it(#[case] read: &[&str], #[case] verdict: Verdict) {
    for caught in [true, false] {
        let mut run = in_the_band(1, 95);
        for expectation in &mut run.plan_mut().expectations {
            if let Claim::NoLivelock(claim) = &mut expectation.claim {
                (claim.high, claim.max) = (None, None);
            }
        }
        run.drop(|event| matches!(event, Event::LimitsRead { .. }));
        for subject in ["run", "system.slice"] {
            let usage = move |at| Some(if caught && at >= 5_000_000 { 450 * MIB } else { 0 });
            run.column(&format!("{subject}:memory.current"), usage);
            let stalled = |at: u64| Some(at.saturating_sub(5_000_000) / 100 * 95);
            run.column(&format!("{subject}:memory.pressure.some"), stalled);
        }
        for cgroup in read {
            let values = [("memory.high".to_owned(), (400 * MIB).to_string())].into();
            run.add(300, Event::LimitsRead { cgroup: (*cgroup).into(), values });
        }
        let judgement = run.judged();
        let found = finding(&judgement, "moves");
        // What nobody sampled stays open, in whatever state it was.
        let verdict = if caught || verdict == Inconclusive { verdict } else { Pass };
        assert_eq!(found.verdict, verdict, "{}", found.observed);
        assert!(found.observed.matches("of run").count() <= 1, "{}", found.observed);
    }
}
