//! The evidence of a case in one line: who was killed where, what else is its story, and that the rest came to no harm.

use reports::kill::Kill;
use reports::outcome::{Killer, Verdict};
use reports::units;

use super::timeline::Timeline;
use crate::judge::{Judgement, PROTECTED_ANSWERS, PROTECTED_UNCHANGED};
use crate::metric::column::HOST_SWAP_OUT;
use crate::plan::Plan;
use crate::plan::claim::{Claim, Expectation};
use crate::record::Record;
use crate::record::event::AnswerResult;

/// The evidence in one line.
pub(super) fn headline(record: &Record, timeline: &Timeline<'_>, judgement: &Judgement) -> String {
    let (Some(plan), false) = (&record.head.plan, judgement.findings.is_empty()) else {
        return judgement.reason.clone().unwrap_or_default();
    };
    let mut parts: Vec<String> = judgement.kills.iter().map(kill_words).collect();
    if judgement.kills.iter().all(|kill| kill.killer == Killer::Exit) {
        parts = vec!["nobody was killed".into()];
    }
    parts.extend(beyond_kills(plan, judgement));
    let swapped = timeline.course(HOST_SWAP_OUT);
    if let (Some((_, first)), Some((_, last)), true) = (swapped.first(), swapped.last(), swapped.len() > 1) {
        let out = last.saturating_sub(*first);
        parts.push(format!("swap out {}", if out == 0 { "0".into() } else { units::bytes(out) }));
    }
    parts.extend(protected_words(plan, timeline, judgement));
    parts.join("; ")
}

/// What else is the story of a run: a livelock, and whom earlyoom chose.
fn beyond_kills(plan: &Plan, judgement: &Judgement) -> Vec<String> {
    let tell = |expectation: &Expectation| {
        let finding = judgement.finding(&expectation.id)?;
        match expectation.claim {
            Claim::NoLivelock(_) if finding.verdict == Verdict::Fail => Some(finding.observed.clone()),
            Claim::Earlyoom(_) => Some(format!("earlyoom: {}", finding.observed)),
            _ => None,
        }
    };
    plan.expectations.iter().filter_map(tell).collect()
}

fn kill_words(kill: &Kill) -> String {
    let who = kill.actor.as_deref().unwrap_or(&kill.comm);
    let mut words = match kill.killer {
        Killer::Exit => format!("{who} exited on its own"),
        _ => format!("{who} killed"),
    };
    if let Some(at) = kill.at_bytes {
        words += &format!(" at {}", units::bytes(at));
    }
    match (kill.killer, &kill.limit) {
        (Killer::Memcg, Some(limit)) => words += &format!(" by memcg limit {limit}"),
        (Killer::Exit, _) => {}
        (killer, _) => words += &format!(" by {killer}"),
    }
    if let Some(after) = kill.after_ms {
        words += &format!(", {:.2} s", after as f64 / 1e3);
    }
    words
}

fn protected_words(plan: &Plan, timeline: &Timeline<'_>, judgement: &Judgement) -> Option<String> {
    let verdict = |id: &str| judgement.finding(id).map(|finding| finding.verdict);
    let mut words = Vec::new();
    match verdict(PROTECTED_UNCHANGED) {
        Some(Verdict::Pass) => {
            words.push(format!("{} protected units unchanged", plan.protect.units.len()));
        }
        Some(Verdict::Fail) => words.push("protected units changed".into()),
        Some(_) => words.push("protected units not observed".into()),
        None => {}
    }
    if let Some(answers) = verdict(PROTECTED_ANSWERS) {
        let slowest = timeline
            .answers()
            .filter_map(|(_, probe, result)| match result {
                AnswerResult::Answered { took_us } => Some((*took_us, probe)),
                _ => None,
            })
            .max();
        words.push(match (answers, slowest) {
            (Verdict::Pass, Some((us, probe))) => {
                let name = plan.protect.answers.get(probe).map_or("it", |answer| answer.name());
                format!("{name} answered in {} ms", us / 1000)
            }
            (Verdict::Fail, _) => "a protected service did not answer in time".into(),
            (_, Some(_)) => "answers inconclusive".into(),
            (_, None) => "protected services not observed".into(),
        });
    }
    (!words.is_empty()).then(|| words.join(", "))
}

#[cfg(test)]
mod tests {
    use reports::finding::Finding;
    use reports::outcome::Cleanup;
    use rstest::rstest;

    use super::*;
    use crate::case::Case as Run;
    use crate::host::HostFacts;
    use crate::record::{Event, Head, Samples, Stamped};
    use crate::scenario::Scenario;

    fn kill(killer: Killer, limit: Option<&str>) -> Kill {
        Kill {
            actor: Some("hog".into()),
            pid: 7,
            comm: "balloon".into(),
            killer,
            limit: limit.map(str::to_owned),
            at_bytes: limit.map(|_| 512 << 20),
            after_ms: Some(2410),
            latency_us: None,
            victims: Vec::new(),
            witnesses: Vec::new(),
        }
    }

    #[rstest]
    #[case(kill(Killer::Memcg, Some("work")), "hog killed at 512.0 MiB by memcg limit work, 2.41 s")]
    #[case(kill(Killer::Memcg, None), "hog killed by memcg, 2.41 s")]
    #[case(kill(Killer::Global, None), "hog killed by global, 2.41 s")]
    #[case(kill(Killer::Exit, None), "hog exited on its own, 2.41 s")]
    fn an_end_is_one_clause(#[case] kill: Kill, #[case] words: &str) {
        assert_eq!(kill_words(&kill), words);
    }

    fn finding(id: &str, verdict: Verdict) -> Finding {
        Finding {
            id: id.into(),
            claim: String::new(),
            verdict,
            expected: String::new(),
            observed: String::new(),
            numbers: Vec::new(),
            required_red: false,
        }
    }

    fn said(record: &Record, judgement: &Judgement) -> String {
        headline(record, &Timeline::of(record), judgement)
    }

    /// `hard-cap-kill` with two samples of swap and one answer of sshd.
    fn record(swapped: u64) -> Record {
        let text = include_str!("../../../scenarios/hard-cap-kill.toml");
        let scenario = Scenario::parse("hard-cap-kill.toml", text).expect("a scenario");
        let facts = HostFacts { memory_total: Some(2 << 30), ..HostFacts::default() };
        let plan = crate::plan::plan(&scenario, &facts, "r1").expect("a plan");
        let mut head = Run { scenario: scenario.into(), twin: None, run: 1 }.head(None);
        head.plan = Some(plan);
        let result = AnswerResult::Answered { took_us: 31_400 };
        let answer = Event::Answer { probe: 0, target: String::new(), result, began_us: None };
        let samples = Samples {
            columns: vec!["host:swap.out".into()],
            at_us: vec![1, 2],
            values: vec![Some(4096), Some(4096 + swapped)],
        };
        Record { head, events: vec![Stamped { at_us: 5, event: answer }], samples, damage: Vec::new() }
    }

    #[rstest]
    #[case::all_well(
        0,
        Verdict::Pass,
        Verdict::Pass,
        "hog killed by global, 2.41 s; swap out 0; 4 protected units unchanged, sshd answered in 31 ms"
    )]
    #[case::all_red(
        1 << 20, Verdict::Fail, Verdict::Fail,
        "hog killed by global, 2.41 s; swap out 1.0 MiB; protected units changed, a protected service did not answer in time"
    )]
    #[case::not_seen(
        0,
        Verdict::Inconclusive,
        Verdict::Inconclusive,
        "hog killed by global, 2.41 s; swap out 0; protected units not observed, answers inconclusive"
    )]
    fn the_headline_is_the_evidence(
        #[case] swapped: u64,
        #[case] unchanged: Verdict,
        #[case] answers: Verdict,
        #[case] words: &str,
    ) {
        let record = record(swapped);
        let judgement = Judgement {
            verdict: Verdict::Pass,
            raw_verdict: Verdict::Pass,
            reason: None,
            findings: vec![finding(PROTECTED_UNCHANGED, unchanged), finding(PROTECTED_ANSWERS, answers)],
            kills: vec![kill(Killer::Global, None)],
            cleanup: Cleanup::Proven,
        };
        assert_eq!(said(&record, &judgement), words);
    }

    /// What nobody died of is told as well: processes that left by themselves are not the story.
    #[test]
    fn a_livelock_is_in_the_headline_and_who_left_by_himself_is_not() {
        let text = include_str!("../../../scenarios/throttle-band-livelock.toml");
        let scenario = Scenario::parse("throttle-band-livelock.toml", text).expect("a scenario");
        let facts = HostFacts { memory_total: Some(2 << 30), ..HostFacts::default() };
        let mut record = record(0);
        record.head.plan = Some(crate::plan::plan(&scenario, &facts, "r1").expect("a plan"));
        let livelock =
            |verdict| Finding { observed: "livelock: 98 %".into(), ..finding("no-livelock", verdict) };
        let words = |verdict| {
            let judgement = Judgement {
                verdict,
                raw_verdict: verdict,
                reason: None,
                findings: vec![livelock(verdict)],
                kills: vec![kill(Killer::Exit, None)],
                cleanup: Cleanup::Proven,
            };
            said(&record, &judgement)
        };
        assert_eq!(words(Verdict::Fail), "nobody was killed; livelock: 98 %; swap out 0");
        assert_eq!(words(Verdict::Pass), "nobody was killed; swap out 0");
    }

    #[test]
    fn a_case_that_claims_nothing_is_headed_by_its_reason() {
        let judgement = Judgement {
            verdict: Verdict::Skipped,
            raw_verdict: Verdict::Skipped,
            reason: Some("needs 256 MiB of swap, this machine has 0 MiB".into()),
            findings: Vec::new(),
            kills: Vec::new(),
            cleanup: Cleanup::NotNeeded,
        };
        let lost = Record { head: Head { plan: None, ..record(0).head }, ..record(0) };
        assert_eq!(said(&lost, &judgement), "needs 256 MiB of swap, this machine has 0 MiB");
    }
}
