//! When the answers of a probe are not all that could have been had: turned away too often, or not asked for too long.

use harness::record::Event;
use harness::record::event::AnswerResult;
use reports::outcome::Verdict::{self, Inconclusive, Pass};
use rstest::rstest;

use crate::built::{Run, finding};

/// The stress lasts from 3 s to 6 s.
fn judged(every_us: u64, probes: &[(u64, u64, AnswerResult)]) -> (Verdict, String) {
    let mut run = Run::claiming(
        "\n[[expect]]\nid = \"bound\"\nmetric = \"protect:answer.1\"\nmax = \"500ms\"\nduring = \"stress\"\n",
    );
    run.drop(|event| matches!(event, Event::Answer { .. }));
    run.plan_mut().protect.answers[0].every_us = every_us;
    for (began, ended, result) in probes {
        let target = "tcp-banner 127.0.0.1:22".into();
        let (result, began_us) = (result.clone(), Some(*began));
        run.add(*ended, Event::Answer { probe: 0, target, result, began_us });
    }
    let judgement = run.judged();
    let found = finding(&judgement, "bound");
    (found.verdict, found.observed.clone())
}

fn answered(began: u64, ended: u64) -> (u64, u64, AnswerResult) {
    (began, ended, AnswerResult::Answered { took_us: ended - began })
}

fn turned_away(began: u64, ended: u64) -> (u64, u64, AnswerResult) {
    (began, ended, AnswerResult::Penalised { banner: "Not allowed at this time".into() })
}

/// Who is heard as often as turned away is heard.
#[rstest]
#[case::every_second(&[true, false], Pass)]
#[case::every_third(&[true, false, false], Inconclusive)]
#[case::two_of_four(&[true, true, false, false], Pass)]
#[case::two_of_five(&[true, true, false, false, false], Inconclusive)]
#[case::never(&[false], Inconclusive)]
#[case::nobody_asked(&[], Inconclusive)]
fn at_least_half_of_the_probes_must_be_heard(#[case] heard: &[bool], #[case] verdict: Verdict) {
    let mut probes = vec![answered(1_000_000, 1_030_000)];
    for (at, heard) in (3_100_000..).step_by(500_000).zip(heard) {
        probes.push(if *heard { answered(at, at + 30_000) } else { turned_away(at, at + 30_000) });
    }
    let (seen, words) = judged(60_000_000, &probes);
    assert_eq!(seen, verdict, "{words}");
}

/// A probe every half second may be a second late.
#[rstest]
#[case::in_between(&[(2_900_000, 3_000_000), (4_500_000, 4_600_000), (5_900_000, 6_000_000)], Pass)]
#[case::too_late_in_between(&[(2_900_000, 3_000_000), (4_500_001, 4_600_000), (5_900_000, 6_000_000)], Inconclusive)]
#[case::at_the_beginning(&[(2_400_000, 2_500_000), (4_000_000, 4_100_000), (5_400_000, 5_500_000)], Pass)]
#[case::too_late_at_the_beginning(&[(2_400_000, 2_500_000), (4_000_001, 4_100_000), (5_400_000, 5_500_000)], Inconclusive)]
#[case::at_the_end(&[(2_900_000, 3_000_000), (4_400_000, 4_500_000), (6_100_000, 6_200_000)], Pass)]
#[case::too_early_at_the_end(&[(2_900_000, 3_000_000), (4_400_000, 4_499_999), (6_100_000, 6_200_000)], Inconclusive)]
fn somebody_must_ask_throughout(#[case] probes: &[(u64, u64)], #[case] verdict: Verdict) {
    let mut all = vec![answered(1_000_000, 1_030_000)];
    all.extend(probes.iter().map(|(began, ended)| answered(*began, *ended)));
    let (seen, words) = judged(500_000, &all);
    assert_eq!(seen, verdict, "{words}");
}

/// Being turned away costs nobody a cold start.
#[test]
fn the_first_answer_is_left_out_and_not_the_first_probe() {
    let probes = [
        turned_away(2_000_000, 2_010_000),
        answered(2_900_000, 3_800_000),
        answered(4_000_000, 4_030_000),
        answered(5_000_000, 5_030_000),
    ];
    let (verdict, words) = judged(500_000, &probes);
    assert_eq!((verdict, &*words), (Pass, "30 ms"));
}
