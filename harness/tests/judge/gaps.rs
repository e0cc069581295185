//! How late an actor woke: what it counted, the silence that it could not count, and what leaves both open.

use balloon::status::{BUCKETS, bound, bucket};
use harness::record::Event;
use harness::record::event::{ActorEnd, Mark};
use harness::scenario::actor::Kind;
use reports::outcome::Verdict::{self, Inconclusive, Pass};
use rstest::rstest;

use crate::built::{Run, finding};

fn claim(metric: &str, during: &str) -> String {
    format!("\n[[expect]]\nid = \"bound\"\nmetric = \"{metric}\"\nmax = \"10s\"\nduring = \"{during}\"\n")
}

/// Verdict, value (µs) and words.
fn judged(run: Run) -> (Verdict, Option<f64>, String) {
    let judgement = run.judged();
    let found = finding(&judgement, "bound");
    (found.verdict, found.numbers[0].value, found.observed.clone())
}

/// The canary beats every 20 ms, but not while `asleep` says so.
fn sleeps(run: &mut Run, asleep: impl Fn(u64) -> bool) {
    let mut awake = Vec::new();
    let mut beats = 0;
    for at in Run::ticks() {
        if !asleep(at) {
            beats = at / 20_000;
        }
        awake.push((at, beats));
    }
    let beats = |at: u64| awake.iter().find(|(tick, _)| *tick == at).map(|(_, beats)| *beats);
    run.column("canary:wakeups", beats);
    run.column("canary:steps", beats);
}

/// Nothing but silence tells: the canary has counted no gap of its own. Seen at 4 s, and next at 5 s, it was overdue for
/// all of that but one beat; the hold begins at 5 s, settling at 6 s.
#[rstest]
#[case::none("stress", |_| false, Some(0.0))]
#[case::in_the_middle("stress", |at| (4_500_000..=5_000_000).contains(&at), Some(980_000.0))]
#[case::up_to_the_beginning("hold", |at| (4_500_000..=5_000_000).contains(&at), Some(980_000.0))]
#[case::before_it("hold", |at| (3_500_000..=4_500_000).contains(&at), Some(0.0))]
#[case::beyond_the_end("hold", |at| at > 5_500_000, Some(980_000.0))]
#[case::after_it("climb", |at| at > 5_500_000, Some(0.0))]
fn a_silence_counts_with_what_it_has_lasted(
    #[case] during: &str,
    #[case] asleep: fn(u64) -> bool,
    #[case] value: Option<f64>,
) {
    let mut run = Run::claiming(&claim("canary:gap.max", during));
    run.column("canary:gap.max", |_| Some(0));
    sleeps(&mut run, asleep);
    assert_eq!(judged(run).1, value);
}

/// Before its first beat it was not late.
#[test]
fn an_actor_that_has_not_begun_is_not_silent() {
    let mut run = Run::claiming(&claim("canary:gap.max", "climb"));
    run.column("canary:gap.max", |_| Some(0));
    for counter in ["wakeups", "steps"] {
        run.column(&format!("canary:{counter}"), |at| Some(at.saturating_sub(3_400_000) / 20_000));
    }
    let (verdict, value, words) = judged(run);
    assert_eq!((verdict, value), (Pass, Some(0.0)), "{words}");
}

/// From its last reading at 4 s to the next change at 5 s, less what it may rest.
#[rstest]
#[case::as_planned(30_000, None, 970_000.0)]
#[case::told_in_the_command_line_alone(0, Some("--every=50"), 950_000.0)]
#[case::planned_and_told(30_000, Some("--every=50"), 970_000.0)]
#[case::told_nowhere(0, None, 980_000.0)]
fn a_beat_is_as_long_as_the_actor_was_told(
    #[case] planned_us: u64,
    #[case] told: Option<&str>,
    #[case] value: f64,
) {
    let mut run = Run::claiming(&claim("canary:gap.max", "stress"));
    run.column("canary:gap.max", |_| Some(0));
    let canary = &mut run.plan_mut().actors[1];
    canary.every_us = planned_us;
    canary.argv.retain(|word| !word.starts_with("--every"));
    canary.argv.extend(told.map(str::to_owned));
    sleeps(&mut run, |at| (4_500_000..=5_000_000).contains(&at));
    assert_eq!(judged(run).1, Some(value));
}

/// A balloon takes its last step at 5 s, dies at 5.4 s, and looks around ten times a second; that it is gone is what it
/// was made for.
#[test]
fn a_balloon_is_silent_until_it_dies() {
    let mut run = Run::claiming(&claim("hog:gap.max", "stress"));
    run.column("hog:gap.max", |_| Some(0));
    let (verdict, value, words) = judged(run);
    assert_eq!((verdict, value), (Pass, Some(300_000.0)), "{words}");
}

/// The page keeps the longest of a life: 40 ms before the stress say nothing of the hold, whose own histogram has 1 ms;
/// a peak that grew in the hold is its own, and one that grew after it is not.
#[rstest]
#[case::of_its_own("hold", |at| if at < 5_500_000 { 1_500 } else { 40_000 }, 40_000.0)]
#[case::of_another_part("hold", |_| 40_000, bound(bucket(1_000_000)) as f64 / 1e3)]
#[case::below_what_its_bucket_bounds("hold", |_| 1_000, 1_000.0)]
#[case::after_it("hold", |at| if at < 6_500_000 { 40_000 } else { 90_000 }, bound(bucket(1_000_000)) as f64 / 1e3)]
#[case::of_the_whole_life("run", |_| 40_000, 40_000.0)]
#[case::of_the_whole_life_to_its_end("run", |at| if at < 6_500_000 { 40_000 } else { 90_000 }, 90_000.0)]
fn the_longest_gap_of_a_part_is_its_own(
    #[case] during: &str,
    #[case] peak: fn(u64) -> u64,
    #[case] value: f64,
) {
    let mut run = Run::claiming(&claim("canary:gap.max", during));
    run.column("canary:gap.max", |at| Some(peak(at)));
    let mut gaps = vec![0; BUCKETS];
    run.status("canary", Mark::Hold, gaps.clone());
    gaps[bucket(1_000_000)] = 50;
    run.status("canary", Mark::Settle, gaps);
    let seen = judged(run).1.expect("a value");
    assert!((seen - value).abs() < 1.0, "{seen} µs, not {value} µs");
}

#[test]
fn without_a_histogram_a_part_has_what_the_whole_life_had() {
    let mut run = Run::claiming(&claim("canary:gap.max", "hold"));
    run.column("canary:gap.max", |_| Some(40_000));
    assert_eq!(judged(run).1, Some(40_000.0));
}

/// So many beats of 1 ms were counted between the edges of the stress, which lasts for 150 beats of 20 ms.
fn counted(during: &str, beats: u64) -> Run {
    let mut run = Run::claiming(&claim("canary:gap.p99", during));
    let mut gaps = vec![0; BUCKETS];
    for mark in [Mark::Baseline, Mark::Climb] {
        run.status("canary", mark, gaps.clone());
    }
    gaps[bucket(1_000_000)] = beats;
    run.status("canary", Mark::Settle, gaps);
    run
}

#[rstest]
#[case::half_of_them(Kind::Heartbeat, 75, Pass, "")]
#[case::fewer(Kind::Heartbeat, 74, Inconclusive, "only 74 of 150 beats due were counted in the stress")]
#[case::none(Kind::Heartbeat, 0, Inconclusive, "only 0 of 150 beats due were counted in the stress")]
#[case::ten_where_none_is_due(Kind::TcpServer, 10, Pass, "")]
#[case::nine_where_none_is_due(Kind::TcpServer, 9, Inconclusive, "only 9 gaps were counted in the stress")]
fn a_quantile_needs_half_of_the_beats_that_are_due_and_ten(
    #[case] kind: Kind,
    #[case] beats: u64,
    #[case] verdict: Verdict,
    #[case] words: &str,
) {
    let mut run = counted("stress", beats);
    run.plan_mut().actors[1].kind = kind;
    let (seen, _, said) = judged(run);
    assert_eq!(seen, verdict, "{said}");
    assert!(verdict == Pass || said.contains(words), "{said}");
}

/// Frozen from 4.5 s on: at 6.5 s it is overdue for 1.98 s, in which 99 beats of 20 ms are swallowed, the last of them 20 ms
/// late and the first 1980 ms. With n beats of 1 ms the 99th percentile is that of rank ⌈0.99 (n + 99)⌉.
#[rstest]
#[case::one_hundredth(9802, 1_000)]
#[case::more_than_one_hundredth(9799, 20_000)]
#[case::half_way(4900, 1_000_000)]
#[case::almost_the_longest(75, 1_960_000)]
fn every_beat_that_a_silence_swallows_is_in_the_quantile(#[case] beats: u64, #[case] gap_us: u64) {
    let mut run = counted("stress", beats);
    sleeps(&mut run, |at| at > 4_500_000);
    let (verdict, value, words) = judged(run);
    // A quantile is as fine as the buckets are.
    let bucket_us = bound(bucket(gap_us * 1_000)) as f64 / 1e3;
    assert_eq!((verdict, value), (Pass, Some(bucket_us)), "{words}");
}

/// Whoever woke again has counted that gap itself.
#[test]
fn a_silence_that_ended_is_not_counted_twice() {
    let mut run = counted("stress", 150);
    sleeps(&mut run, |at| (3_500_000..=5_000_000).contains(&at));
    assert_eq!(judged(run).1, Some(bound(bucket(1_000_000)) as f64 / 1e3));
}

/// 1 ms in the baseline, 2 ms in the climb, 4 ms in the hold, 200 of each.
#[rstest]
#[case("baseline", true, 1)]
#[case("climb", true, 2)]
#[case("climb", false, 4)]
#[case("hold", true, 4)]
#[case("stress", true, 4)]
#[case("run", true, 4)]
fn a_quantile_is_of_what_was_counted_in_its_part(#[case] during: &str, #[case] held: bool, #[case] ms: u64) {
    let mut run = Run::claiming(&claim("canary:gap.p99", during));
    let mut gaps = vec![0; BUCKETS];
    run.status("canary", Mark::Baseline, gaps.clone());
    for (mark, ms) in [(Mark::Climb, 1), (Mark::Hold, 2), (Mark::Settle, 4)] {
        gaps[bucket(ms * 1_000_000)] += 200;
        run.status("canary", mark, gaps.clone());
    }
    if !held {
        run.drop(|event| matches!(event, Event::Phase { phase: Mark::Hold }));
    }
    let (verdict, value, words) = judged(run);
    assert_eq!((verdict, value), (Pass, Some(bound(bucket(ms * 1_000_000)) as f64 / 1e3)), "{words}");
}

/// The hold lasts from 5 s to 6 s.
#[rstest]
#[case::it_ended_in_it(|run: &mut Run| dies(run, 5_500_000), Some("canary ended 0.50 s before the end of the hold"))]
#[case::it_ended_with_it(|run: &mut Run| dies(run, 6_000_000), None)]
#[case::it_was_seen_to_the_end(|run: &mut Run| unread_after(run, 6_000_000), None)]
#[case::it_was_not_seen_to_the_end(|run: &mut Run| unread_after(run, 5_500_000), Some("canary was not observed to the end of the hold"))]
#[case::it_was_never_seen_to_wake(|run: &mut Run| sleeps(run, |_| true), Some("canary was never seen to wake"))]
#[case::it_did_not_wake(|run: &mut Run| sleeps(run, |at| at > 5_000_000), Some("canary did not wake once in the hold"))]
#[case::it_did_not_wake_to_its_end(
    |run: &mut Run| sleeps(run, |at| at > 5_000_000 && at < 6_500_000), Some("canary did not wake once in the hold")
)]
#[case::it_woke_once(|run: &mut Run| sleeps(run, |at| at > 5_500_000), None)]
#[case::it_has_no_beat(|run: &mut Run| {
    run.plan_mut().actors[1].kind = Kind::TcpServer;
    sleeps(run, |at| at > 5_000_000);
}, None)]
#[case::ten_beats_were_due(|run: &mut Run| { holds_from(run, 5_800_000); sleeps(run, |at| at > 5_500_000); }, Some("canary did not wake once in the hold"))]
#[case::nine_beats_were_due(|run: &mut Run| { holds_from(run, 5_800_001); sleeps(run, |at| at > 5_500_000); }, None)]
fn a_longest_gap_is_open_where_more_may_have_been(#[case] change: fn(&mut Run), #[case] words: Option<&str>) {
    let mut run = Run::claiming(&claim("canary:gap.max", "hold"));
    change(&mut run);
    let (verdict, _, said) = judged(run);
    assert_eq!(verdict, if words.is_some() { Inconclusive } else { Pass }, "{said}");
    assert!(said.contains(words.unwrap_or_default()), "{said}");
}

fn dies(run: &mut Run, at_us: u64) {
    run.drop(|event| matches!(event, Event::ActorAlive { .. }));
    run.add(at_us, Event::ActorEnded { actor: "canary".into(), end: ActorEnd::Signalled(9) });
}

fn unread_after(run: &mut Run, last: u64) {
    for counter in ["wakeups", "steps"] {
        run.column(&format!("canary:{counter}"), |at| (at <= last).then_some(at / 20_000));
    }
}

fn holds_from(run: &mut Run, at_us: u64) {
    run.drop(|event| matches!(event, Event::Phase { phase: Mark::Hold }));
    run.add(at_us, Event::Phase { phase: Mark::Hold });
}
