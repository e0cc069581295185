//! Bounds on metrics, of each kind and in each part of a run.

use balloon::status::bucket;
use harness::record::event::Mark;
use reports::number::{Number, Unit};
use reports::outcome::Verdict::{self, Fail, Inconclusive, Pass};
use rstest::rstest;

use crate::built::{MIB, Run, finding, verdict_of};

fn claim(metric: &str, bounds: &str, during: &str) -> String {
    format!("\n[[expect]]\nid = \"bound\"\nmetric = \"{metric}\"\n{bounds}\nduring = \"{during}\"\n")
}

/// Memory of `work`: 0 in the baseline (1 to 3 s), 256 MiB/s in the climb (3 to 5 s), 512 MiB in the hold (5 to 6 s).
#[rstest]
#[case::a_maximum("max = \"512M\"", "run", Pass)]
#[case::a_maximum_too_low("max = \"511M\"", "run", Fail)]
#[case::a_maximum_elsewhere("max = \"0\"", "baseline", Pass)]
#[case::a_minimum("min = \"512M\"", "hold", Pass)]
#[case::a_minimum_too_high("min = \"513M\"", "hold", Fail)]
#[case::a_minimum_where_it_begins("min = \"1M\"", "climb", Fail)]
#[case::a_minimum_in_the_stress("min = \"0\"", "stress", Pass)]
#[case::a_growth("max-delta = \"512M\"", "climb", Pass)]
#[case::a_growth_too_large("max-delta = \"511M\"", "climb", Fail)]
#[case::no_growth("max-delta = \"0\"", "hold", Pass)]
#[case::a_growth_that_is_wanted("min-delta = \"512M\"", "stress", Pass)]
#[case::a_growth_that_did_not_come("min-delta = \"1M\"", "baseline", Fail)]
#[case::a_rate("max-rate = \"256M\"", "climb", Pass)]
#[case::a_rate_too_high("max-rate = \"255M\"", "climb", Fail)]
#[case::a_rate_that_is_wanted("min-rate = \"256M\"", "climb", Pass)]
#[case::a_rate_that_is_missing("min-rate = \"1M\"", "hold", Fail)]
#[case::two_bounds_at_once("max = \"512M\"\nmin = \"512M\"", "hold", Pass)]
#[case::one_of_two_bounds("max = \"512M\"\nmin = \"513M\"", "hold", Fail)]
#[case::a_share_of_a_limit("max = { percent = 100, of = \"work.MemoryMax\" }", "run", Pass)]
#[case::too_small_a_share_of_a_limit("max = { percent = 99, of = \"work.MemoryMax\" }", "run", Fail)]
fn a_metric_is_held_to_its_bound(#[case] bounds: &str, #[case] during: &str, #[case] verdict: Verdict) {
    let judgement = Run::claiming(&claim("work:memory.current", bounds, during)).judged();
    let found = finding(&judgement, "bound");
    assert_eq!(found.verdict, verdict, "{found:?}");
}

/// The numbers beside the words: bytes, and bytes a second.
#[rstest]
#[case::room("max = \"514M\"", "run", &[Number::at_most("work:memory.current", Unit::Bytes, mib(512), 514.0 * MIB as f64)], &[2])]
#[case::too_little("min = \"513M\"", "hold", &[Number::at_least("work:memory.current", Unit::Bytes, mib(512), 513.0 * MIB as f64)], &[-1])]
#[case::a_growth("max-delta = \"511M\"", "climb", &[Number::at_most("growth of work:memory.current", Unit::Bytes, mib(512), 511.0 * MIB as f64)], &[-1])]
#[case::a_rate("max-rate = \"260M\"", "climb", &[Number::at_most("rate of work:memory.current", Unit::BytesPerSecond, mib(256), 260.0 * MIB as f64)], &[4])]
#[case::a_share_of_another_part("max = { percent = 125, of-phase = \"climb\" }", "hold",
    &[Number::at_most("work:memory.current", Unit::Bytes, mib(512), 640.0 * MIB as f64)], &[128])]
#[case::two_bounds("max = \"513M\"\nmin = \"500M\"", "hold", &[
    Number::at_most("work:memory.current", Unit::Bytes, mib(512), 513.0 * MIB as f64),
    Number::at_least("work:memory.current", Unit::Bytes, mib(512), 500.0 * MIB as f64),
], &[1, 12])]
fn a_bound_is_told_in_numbers_with_its_margin(
    #[case] bounds: &str,
    #[case] during: &str,
    #[case] numbers: &[Number],
    #[case] margins_mib: &[i64],
) {
    let judgement = Run::claiming(&claim("work:memory.current", bounds, during)).judged();
    let found = finding(&judgement, "bound");
    assert_eq!(found.numbers, numbers);
    let margins: Vec<f64> = found.numbers.iter().filter_map(|number| number.margin).collect();
    let expected: Vec<f64> = margins_mib.iter().map(|margin| (margin * MIB as i64) as f64).collect();
    assert_eq!(margins, expected);
}

fn mib(mib: u64) -> Option<f64> {
    Some((mib * MIB) as f64)
}

#[rstest]
#[case::pressure_as_a_share_of_time("min-rate = \"90%\"", Pass)]
#[case::pressure_that_is_lower("min-rate = \"91%\"", Fail)]
fn the_rate_of_a_time_is_a_share(#[case] bounds: &str, #[case] verdict: Verdict) {
    let mut run = Run::claiming(&claim("work:memory.pressure.full", bounds, "hold"));
    // 900 ms of stall in the second from 5 s to 6 s.
    run.column("work:memory.pressure.full", |at| Some(at.saturating_sub(5_000_000) / 10 * 9));
    let judgement = run.judged();
    let found = finding(&judgement, "bound");
    assert_eq!((found.verdict, &*found.observed), (verdict, "90.0 % of the time"));
    let bound: f64 =
        bounds.trim_start_matches("min-rate = \"").trim_end_matches("%\"").parse().expect("a share");
    assert_eq!(found.expected, format!("at least {bound:.1} % of the time"));
    let number = Number::at_least("rate of work:memory.pressure.full", Unit::Percent, Some(90.0), bound);
    assert_eq!(found.numbers, [number]);
}

#[rstest]
#[case::no_such_column(None)]
#[case::a_column_of_nothing(Some(None))]
fn what_was_not_sampled_is_inconclusive(#[case] column: Option<Option<u64>>) {
    let mut run = Run::claiming(
        &claim("beside:memory.current", "max = \"1G\"", "run")
            .replace("beside", "work")
            .replace("current", "stat.file"),
    );
    if let Some(value) = column {
        run.column("work:memory.stat.file", |_| value);
    }
    assert_eq!(verdict_of(&run.judged(), "bound"), Inconclusive);
}

#[test]
fn a_part_that_the_run_never_entered_is_inconclusive() {
    let mut run = Run::claiming(&claim("work:memory.current", "max = \"1G\"", "hold"));
    run.drop(|event| matches!(event, harness::record::Event::Phase { phase: Mark::Hold }));
    let judgement = run.judged();
    let found = finding(&judgement, "bound");
    assert_eq!((found.verdict, &*found.observed), (Inconclusive, "not observed in the hold"));
}

#[test]
fn a_part_in_which_nothing_could_be_read_is_inconclusive() {
    let mut run = Run::claiming(&claim("work:memory.current", "max = \"1G\"", "hold"));
    run.column("work:memory.current", |at| (at < 5_000_000).then_some(MIB));
    assert_eq!(verdict_of(&run.judged(), "bound"), Inconclusive);
}

/// The hold has three samples.
#[rstest]
#[case::all_of_them(&[], Pass)]
#[case::two_of_three(&[5_500_000], Inconclusive)]
#[case::one_of_three(&[5_000_000, 5_500_000], Inconclusive)]
fn a_part_is_judged_only_where_most_of_it_was_read(#[case] lost: &[u64], #[case] verdict: Verdict) {
    for bounds in ["max = \"512M\"", "max-delta = \"0\"", "max-rate = \"1\""] {
        let mut run = Run::claiming(&claim("work:memory.current", bounds, "hold"));
        run.column("work:memory.current", |at| (!lost.contains(&at)).then_some(512 * MIB));
        let judgement = run.judged();
        let found = finding(&judgement, "bound");
        assert_eq!(found.verdict, verdict, "{bounds}: {found:?}");
    }
}

#[test]
fn how_much_of_a_part_was_read_is_said() {
    let mut run = Run::claiming(&claim("work:memory.current", "max = \"512M\"", "hold"));
    run.column("work:memory.current", |at| (at != 5_500_000).then_some(512 * MIB));
    let judgement = run.judged();
    assert_eq!(
        finding(&judgement, "bound").observed,
        "512.0 MiB as far as was seen; read in only 2 of 3 samples of the hold"
    );
}

/// What a counter gains between the last sample of a part and its end belongs to the part.
#[test]
fn a_growth_covers_its_part_to_the_end() {
    let mut run = Run::claiming(&claim("host:swap.out", "max-delta = \"0\"", "climb"));
    run.drop(|event| matches!(event, harness::record::Event::Phase { phase: Mark::Hold }));
    run.add(4_900_000, harness::record::Event::Phase { phase: Mark::Hold });
    run.column("host:swap.out", |at| Some(if at < 5_000_000 { 0 } else { 4096 }));
    assert_eq!(verdict_of(&run.judged(), "bound"), Fail);
}

/// The share of the same number in another part: 256 MiB/s in the climb, 64 MiB/s in the hold.
#[rstest]
#[case::above_a_quarter("min-rate = { percent = 25, of-phase = \"climb\" }", Pass)]
#[case::not_above_a_third("min-rate = { percent = 33, of-phase = \"climb\" }", Fail)]
#[case::below_a_third("max-rate = { percent = 33, of-phase = \"climb\" }", Pass)]
fn a_rate_is_compared_with_another_part(#[case] bounds: &str, #[case] verdict: Verdict) {
    let mut run = Run::claiming(&claim("hog:touched", bounds, "hold"));
    run.column("hog:touched", |at| {
        Some(crate::built::climb(at) + at.saturating_sub(5_000_000) * 64 * MIB / 1_000_000)
    });
    let judgement = run.judged();
    let found = finding(&judgement, "bound");
    assert_eq!(found.verdict, verdict, "{found:?}");
}

/// Beats that were 1 ms late in the baseline and 1.5 ms (or 4 ms) in the stress. A bucket is at most 1.28 × wide.
#[rstest]
#[case::within_twice(1_500_000, Pass)]
#[case::beyond_twice(4_000_000, Fail)]
fn a_gap_is_compared_with_the_actors_own_baseline(#[case] gap_ns: u64, #[case] verdict: Verdict) {
    let bounds = "max = { percent = 200, of-phase = \"baseline\" }";
    let mut run = Run::claiming(&claim("canary:gap.p99", bounds, "stress"));
    let mut gaps = vec![0; balloon::status::BUCKETS];
    run.status("canary", Mark::Baseline, gaps.clone());
    gaps[bucket(1_000_000)] += 100;
    run.status("canary", Mark::Climb, gaps.clone());
    gaps[bucket(gap_ns)] += 100;
    run.status("canary", Mark::Settle, gaps);
    let judgement = run.judged();
    let found = finding(&judgement, "bound");
    assert_eq!(found.verdict, verdict, "{found:?}");
}

#[test]
fn a_gap_without_a_baseline_is_inconclusive() {
    let bounds = "max = { percent = 200, of-phase = \"baseline\" }";
    let mut run = Run::claiming(&claim("canary:gap.p99", bounds, "stress"));
    run.status("canary", Mark::Settle, vec![1; balloon::status::BUCKETS]);
    assert_eq!(verdict_of(&run.judged(), "bound"), Inconclusive);
}

#[rstest]
#[case::the_slowest_counts("max = \"1s\"", Pass)]
#[case::slower_than_wanted("max = \"30ms\"", Fail)]
fn the_latency_of_answers_is_a_metric(#[case] bounds: &str, #[case] verdict: Verdict) {
    let judgement = Run::claiming(&claim("protect:answer.1", bounds, "stress")).judged();
    assert_eq!(verdict_of(&judgement, "bound"), verdict);
}

/// A cold service answers slowly once: 900 ms, then 31 ms, and 250 ms under stress.
#[rstest]
#[case::within_ten_times(1000, Pass)]
#[case::beyond_five_times(500, Fail)]
fn answers_are_compared_with_those_of_the_baseline_but_the_first(
    #[case] percent: u32,
    #[case] verdict: Verdict,
) {
    use harness::record::Event;
    use harness::record::event::AnswerResult;
    let bounds = format!("max = {{ percent = {percent}, of-phase = \"baseline\" }}");
    let mut run = Run::claiming(&claim("protect:answer.1", &bounds, "stress"));
    run.drop(|event| matches!(event, Event::Answer { .. }));
    for (at, took_us) in [
        (1_900_000, 900_000),
        (2_400_000, 31_000),
        (3_400_000, 31_000),
        (4_400_000, 31_000),
        (5_500_000, 250_000),
    ] {
        run.answer(at, AnswerResult::Answered { took_us });
    }
    let judgement = run.judged();
    let found = finding(&judgement, "bound");
    assert_eq!(found.verdict, verdict, "{found:?}");
}

#[test]
fn a_refused_answer_is_longer_than_any_bound() {
    use harness::record::event::AnswerResult;
    let mut run = Run::claiming(&claim("protect:answer.1", "max = \"1h\"", "stress"));
    run.answer(5_500_000, AnswerResult::Refused { error: "reset".into() });
    let judgement = run.judged();
    let found = finding(&judgement, "bound");
    assert_eq!((found.verdict, &*found.observed), (Fail, "refused"));
    assert_eq!(found.numbers, [Number::at_most("protect:answer.1", Unit::Microseconds, None, 3.6e9)]);
}

/// A bound in the words of its kind.
#[rstest]
#[case("work:memory.current", "max-rate = \"256M\"", "grows by at most 256.0 MiB/s")]
#[case("work:memory.current", "min-rate = \"256M\"", "grows by at least 256.0 MiB/s")]
#[case("work:memory.pressure.full", "max-rate = \"90%\"", "at most 90.0 % of the time")]
#[case("work:memory.current", "max-delta = \"1M\"", "grows by at most 1.0 MiB")]
fn a_bound_is_told_in_words(#[case] metric: &str, #[case] bounds: &str, #[case] words: &str) {
    let judgement = Run::claiming(&claim(metric, bounds, "climb")).judged();
    assert_eq!(finding(&judgement, "bound").expected, words);
}

#[rstest]
#[case::it_shrank(0, "-512.0 MiB")]
#[case::it_stayed(512, "0 B")]
fn what_shrank_grew_by_less_than_nothing(#[case] last_mib: u64, #[case] words: &str) {
    let mut run = Run::claiming(&claim("work:memory.current", "max-delta = \"1M\"", "climb"));
    run.column("work:memory.current", |at| Some(if at < 5_000_000 { 512 * MIB } else { last_mib * MIB }));
    assert_eq!(finding(&run.judged(), "bound").observed, words);
}

/// What a host took from its guest makes a latency longer, and nothing else.
#[rstest]
#[case::a_latency("protect:answer.1", "max = \"30ms\"", Inconclusive)]
#[case::a_latency_in_time("protect:answer.1", "max = \"1s\"", Pass)]
#[case::a_share_of_time("work:memory.pressure.full", "max-rate = \"80%\"", Fail)]
#[case::a_size("work:memory.current", "max = \"511M\"", Fail)]
#[case::a_growth("work:memory.current", "max-delta = \"511M\"", Fail)]
fn a_starved_guest_excuses_its_latencies(
    #[case] metric: &str,
    #[case] bounds: &str,
    #[case] verdict: Verdict,
) {
    let mut run = Run::claiming(&claim(metric, bounds, "stress"));
    run.in_a_guest_that_waited(50);
    run.column("work:memory.pressure.full", |at| Some(at / 10 * 9));
    let judgement = run.judged();
    let found = finding(&judgement, "bound");
    assert_eq!(found.verdict, verdict, "{found:?}");
}

/// The last reading is from 5.5 s, half a second before the end. A counter grew by 10 until then, a gauge by 10 MiB.
#[rstest]
#[case::a_counter_that_has_too_much("host:swap.out", "max-delta = \"9\"", Fail)]
#[case::a_counter_that_may_have_more("host:swap.out", "max-delta = \"10\"", Inconclusive)]
#[case::a_counter_that_has_enough("host:swap.out", "min-delta = \"10\"", Pass)]
#[case::a_counter_that_may_have_enough("host:swap.out", "min-delta = \"11\"", Inconclusive)]
#[case::a_gauge_that_may_fall("work:memory.current", "max-delta = \"9M\"", Inconclusive)]
#[case::a_gauge_that_may_rise("work:memory.current", "max-delta = \"10M\"", Inconclusive)]
#[case::a_gauge_that_has_grown("work:memory.current", "min-delta = \"10M\"", Inconclusive)]
#[case::a_peak_that_is_too_high("work:memory.peak", "max = \"9M\"", Fail)]
#[case::a_peak_that_may_be_higher("work:memory.peak", "max = \"10M\"", Inconclusive)]
fn what_was_not_seen_leaves_open_what_it_could_change(
    #[case] metric: &str,
    #[case] bounds: &str,
    #[case] verdict: Verdict,
) {
    let mut run = Run::claiming(&claim(metric, bounds, "stress"));
    let unit = if metric == "host:swap.out" { 1 } else { MIB };
    run.column(metric, |at| (at < 6_000_000).then_some(if at < 5_000_000 { 0 } else { 10 * unit }));
    let judgement = run.judged();
    let found = finding(&judgement, "bound");
    assert_eq!(found.verdict, verdict, "{found:?}");
}

/// The hold begins at 4.9 s: a sample at 5 s has what a peak rose to before it, and a gauge only what it is by then.
#[rstest]
#[case::a_peak("work:memory.peak", Fail)]
#[case::a_gauge("work:memory.current", Pass)]
fn the_first_reading_after_a_part_has_what_only_rises(#[case] metric: &str, #[case] verdict: Verdict) {
    let mut run = Run::claiming(&claim(metric, "max = \"0\"", "climb"));
    run.drop(|event| matches!(event, harness::record::Event::Phase { phase: Mark::Hold }));
    run.add(4_900_000, harness::record::Event::Phase { phase: Mark::Hold });
    run.column(metric, |at| Some(if at < 5_000_000 { 0 } else { MIB }));
    let judgement = run.judged();
    let found = finding(&judgement, "bound");
    assert_eq!(found.verdict, verdict, "{found:?}");
}

/// One reading tells no growth, not even one of nothing.
#[test]
fn a_growth_takes_two_readings() {
    let mut run = Run::claiming(&claim("host:swap.out", "max-delta = \"0\"", "stress"));
    run.column("host:swap.out", |at| (at == 5_000_000).then_some(7));
    let judgement = run.judged();
    let found = finding(&judgement, "bound");
    assert_eq!((found.verdict, found.numbers[0].value), (Inconclusive, None));
}

/// The climb has five samples: four of them are 80 %.
#[rstest]
#[case::four_of_five(&[4_000_000], Pass)]
#[case::three_of_five(&[3_500_000, 4_500_000], Inconclusive)]
fn four_of_five_samples_must_be_readable(#[case] lost: &[u64], #[case] verdict: Verdict) {
    let mut run = Run::claiming(&claim("work:memory.current", "max = \"1G\"", "climb"));
    run.column("work:memory.current", |at| (!lost.contains(&at)).then_some(MIB));
    assert_eq!(verdict_of(&run.judged(), "bound"), verdict);
}

/// Sampled every 100 ms but for the stress, from 3 to 7 s: 40 samples are due there. Once the sampler woke twice at once.
#[rstest]
#[case::a_quarter(10, Pass)]
#[case::less_than_a_quarter(9, Inconclusive)]
fn a_quarter_of_the_samples_that_are_due_must_have_been_taken(#[case] rows: u64, #[case] verdict: Verdict) {
    let mut run = Run::claiming(&claim("work:memory.current", "max = \"1G\"", "stress"));
    let before = (0..20).map(|row| 1_000_000 + row * 100_000).chain([2_999_998, 2_999_999]);
    let sparse = (0..rows).map(|row| 3_000_000 + row * 4_000_000 / (rows - 1));
    let after = (1..=20).map(|row| 7_000_000 + row * 100_000);
    let at_us: Vec<u64> = before.chain(sparse).chain(after).collect();
    run.sampled_until(7_000_000, &at_us, &[("work:memory.current", &|_| Some(MIB))]);
    let judgement = run.judged();
    let found = finding(&judgement, "bound");
    assert_eq!(found.verdict, verdict, "{found:?}");
}

/// The watchdog ends a run after a silence of 2 s.
#[rstest]
#[case::as_long_as_the_watchdog_waits(5_000_000, Pass)]
#[case::longer(5_000_001, Inconclusive)]
fn a_gauge_may_be_silent_for_two_seconds(#[case] next: u64, #[case] verdict: Verdict) {
    let mut run = Run::claiming(&claim("work:memory.current", "max = \"1G\"", "stress"));
    let at_us = [1_000_000, 2_000_000, 3_000_000, next, 6_000_000, 7_000_000];
    run.sampled_until(6_000_000, &at_us, &[("work:memory.current", &|_| Some(MIB))]);
    let judgement = run.judged();
    let found = finding(&judgement, "bound");
    assert_eq!(found.verdict, verdict, "{found:?}");
}

/// A counter is known where it was read at both ends; the sampler may begin a second after the baseline does.
#[rstest]
#[case::at_the_beginning("climb", 3_000_000, 9_000_000, Pass)]
#[case::after_the_beginning("climb", 3_500_000, 9_000_000, Inconclusive)]
#[case::soon_after_the_baseline_began("baseline", 2_000_000, 9_000_000, Pass)]
#[case::long_after_the_baseline_began("baseline", 2_500_000, 9_000_000, Inconclusive)]
#[case::to_the_end("stress", 1_000_000, 6_000_000, Pass)]
#[case::not_to_the_end("stress", 1_000_000, 5_500_000, Inconclusive)]
#[case::before_the_stress_and_after_it("run", 3_000_000, 6_000_000, Pass)]
#[case::not_before_the_stress("run", 3_500_000, 6_000_000, Inconclusive)]
#[case::not_after_the_stress("run", 1_000_000, 5_500_000, Inconclusive)]
fn a_counter_is_read_at_both_ends(
    #[case] during: &str,
    #[case] first: u64,
    #[case] last: u64,
    #[case] verdict: Verdict,
) {
    let mut run = Run::claiming(&claim("host:swap.out", "max-delta = \"0\"", during));
    run.column("host:swap.out", |at| (first..=last).contains(&at).then_some(7));
    let judgement = run.judged();
    let found = finding(&judgement, "bound");
    assert_eq!(found.verdict, verdict, "{found:?}");
}
