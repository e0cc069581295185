//! A record and its judgement → the published case. The only converter; renderers compute nothing.

mod invocation;

use std::path::Path;

use reports::number::Unit;
use reports::outcome::{Killer, Verdict};
use reports::report::{Case, Phase, Point, Role, Series};
use reports::units;

use crate::judge::{Judgement, PROTECTED_ANSWERS, PROTECTED_UNCHANGED, View, starved};
use crate::plan::Plan;
use crate::plan::claim::{Claim, Expectation};
use crate::record::event::{AnswerResult, EndReason};
use crate::record::{Event, Record};
pub use invocation::{Judged, TROUBLE, exit_code, judged_below, report};

/// Points kept of a course: enough for a sparkline.
const POINTS: usize = 120;

/// Converts one run.
#[must_use]
pub fn case(record: &Record, judgement: &Judgement, dir: &Path) -> Case {
    let head = &record.head;
    let id = head.id();
    let role = match &id.twin {
        None => Role::Base,
        Some(id) => Role::Twin { id: id.clone(), must_fail: head.must_fail.clone() },
    };
    let first = record.events.first().map_or(0, |stamped| stamped.at_us);
    let last = record.events.last().map_or(0, |stamped| stamped.at_us);
    let view = head.plan.as_ref().map(|plan| View::new(record, plan));
    Case {
        scenario: id.scenario.clone(),
        title: head.title.clone(),
        source: head.source.clone(),
        role,
        machine: id.machine.clone(),
        guest: head.guest.as_ref().map(|guest| guest.name.clone()),
        policy: id.policy.clone(),
        tree: id.tree.clone(),
        run: id.run,
        verdict: judgement.verdict,
        raw_verdict: judgement.raw_verdict,
        reason: judgement.reason.clone(),
        headline: headline(view.as_ref(), judgement),
        findings: judgement.findings.clone(),
        kills: judgement.kills.clone(),
        phases: view.as_ref().map(|view| phases(view, first, last)).unwrap_or_default(),
        series: view.as_ref().map(|view| courses(view, first)).unwrap_or_default(),
        took_ms: last.saturating_sub(first) / 1000,
        record_path: Some(dir.display().to_string()),
        command: id.command(),
        warnings: warnings(record),
        console: console(record),
        cleanup: judgement.cleanup.clone(),
    }
}

/// The evidence in one line.
fn headline(view: Option<&View<'_>>, judgement: &Judgement) -> String {
    let (Some(view), false) = (view, judgement.findings.is_empty()) else {
        return judgement.reason.clone().unwrap_or_default();
    };
    let mut parts: Vec<String> = judgement.kills.iter().map(kill_words).collect();
    if judgement.kills.iter().all(|kill| kill.killer == Killer::Exit) {
        parts = vec!["nobody was killed".into()];
    }
    parts.extend(beyond_kills(view, judgement));
    if let Some(out) = view.delta("host:swap.out") {
        parts.push(format!("swap out {}", if out == 0 { "0".into() } else { units::bytes(out) }));
    }
    parts.extend(protected_words(view, judgement));
    parts.join("; ")
}

/// What else is the story of a run: a livelock, and whom earlyoom chose.
fn beyond_kills(view: &View<'_>, judgement: &Judgement) -> Vec<String> {
    let tell = |expectation: &Expectation| {
        let finding = judgement.finding(&expectation.id)?;
        match expectation.claim {
            Claim::NoLivelock(_) if finding.verdict == Verdict::Fail => Some(finding.observed.clone()),
            Claim::Earlyoom(_) => Some(format!("earlyoom: {}", finding.observed)),
            _ => None,
        }
    };
    view.plan.expectations.iter().filter_map(tell).collect()
}

fn kill_words(kill: &reports::kill::Kill) -> String {
    let who = kill.actor.as_deref().unwrap_or(&kill.comm);
    let mut words = match kill.killer {
        Killer::Exit => format!("{who} exited by itself"),
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

fn protected_words(view: &View<'_>, judgement: &Judgement) -> Option<String> {
    let verdict = |id: &str| judgement.finding(id).map(|finding| finding.verdict);
    let mut words = Vec::new();
    match verdict(PROTECTED_UNCHANGED) {
        Some(Verdict::Pass) => {
            words.push(format!("{} protected units unchanged", view.plan.protect.units.len()));
        }
        Some(Verdict::Fail) => words.push("protected units changed".into()),
        Some(_) => words.push("protected units not observed".into()),
        None => {}
    }
    if let Some(answers) = verdict(PROTECTED_ANSWERS) {
        let slowest = view
            .all(|event| match event {
                Event::Answer { probe, result: AnswerResult::Answered { took_us }, .. } => {
                    Some((*took_us, *probe))
                }
                _ => None,
            })
            .into_iter()
            .map(|(_, answer)| answer)
            .max();
        words.push(match (answers, slowest) {
            (Verdict::Pass, Some((us, probe))) => {
                let name = view.plan.protect.answers.get(probe).map_or("it", |answer| answer.name());
                format!("{name} answered in {} ms", us / 1000)
            }
            (Verdict::Fail, _) => "something protected did not answer in time".into(),
            (_, Some(_)) => "answers inconclusive".into(),
            (_, None) => "what is protected was not heard".into(),
        });
    }
    (!words.is_empty()).then(|| words.join(", "))
}

fn phases(view: &View<'_>, first: u64, last: u64) -> Vec<Phase> {
    let marks = view.marks();
    marks
        .iter()
        .enumerate()
        .map(|(index, (mark, at))| Phase {
            name: format!("{mark:?}").to_lowercase(),
            start_ms: at.saturating_sub(first) / 1000,
            end_ms: marks.get(index + 1).map_or(last, |(_, next)| *next).saturating_sub(first) / 1000,
        })
        .collect()
}

/// The courses worth a sparkline: memory of each declared cgroup against its cap, swap of the host.
fn courses(view: &View<'_>, first: u64) -> Vec<Series> {
    let mut courses: Vec<Series> = view
        .plan
        .cgroups
        .iter()
        .map(|cgroup| {
            let metric = format!("{}:memory.current", cgroup.name);
            let cap = Plan::cap_of(cgroup).map(|bytes| bytes as f64);
            course(view, metric, Unit::Bytes, cap, first)
        })
        .collect();
    courses.push(course(view, "host:swap.used".into(), Unit::Bytes, None, first));
    courses.retain(|course| !course.points.is_empty());
    courses
}

fn course(view: &View<'_>, metric: String, unit: Unit, cap: Option<f64>, first: u64) -> Series {
    let all: Vec<(u64, u64)> = view.record.samples.series(&metric).collect();
    let step = all.len().div_ceil(POINTS).max(1);
    // The largest of each group: a peak must not vanish between kept points.
    let points = all
        .chunks(step)
        .filter_map(|group| group.iter().max_by_key(|(_, value)| *value))
        .map(|(at, value)| Point { at_ms: at.saturating_sub(first) / 1000, value: Some(*value as f64) })
        .collect();
    Series { metric, unit, cap, points }
}

fn warnings(record: &Record) -> Vec<String> {
    let starved = starved(record).map(|waited| {
        format!("for {waited} % of the run the VM waited for processors of its host; give it a quieter one or fewer --jobs")
    });
    let seen = record.events.iter().filter_map(|stamped| match &stamped.event {
        Event::KernelLogLost { records } => Some(format!("{records} records of the kernel log were lost")),
        Event::KernelLogUnavailable { reason } => Some(format!("the kernel log could not be read: {reason}")),
        Event::Trouble { step, error } => Some(format!("{step}: {error}")),
        Event::SelfUse { max_late_us, .. } if *max_late_us > 500_000 => {
            Some(format!("the sampler was up to {:.2} s late", *max_late_us as f64 / 1e6))
        }
        _ => None,
    });
    starved.into_iter().chain(record.damage.iter().cloned()).chain(seen).collect()
}

fn console(record: &Record) -> Vec<String> {
    record
        .events
        .iter()
        .find_map(|stamped| match &stamped.event {
            Event::Ended { reason: EndReason::MachineLost { console, .. } } => {
                Some(console.lines().map(str::to_owned).collect())
            }
            _ => None,
        })
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use reports::finding::Finding;
    use reports::kill::Kill;
    use reports::outcome::Cleanup;
    use rstest::rstest;

    use super::*;
    use crate::case::Case as Run;
    use crate::host::HostFacts;
    use crate::record::{Samples, Stamped};
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
    #[case(kill(Killer::Exit, None), "hog exited by itself, 2.41 s")]
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

    /// `hard-cap-kill` with two samples of swap and one answer of sshd.
    fn record(swapped: u64) -> Record {
        let text = include_str!("../../scenarios/hard-cap-kill.toml");
        let scenario = Scenario::parse("hard-cap-kill.toml", text).expect("a scenario");
        let facts = HostFacts { memory_total: Some(2 << 30), ..HostFacts::default() };
        let plan = crate::plan::plan(&scenario, None, &facts, "r1").expect("a plan");
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
        "hog killed by global, 2.41 s; swap out 1.0 MiB; protected units changed, something protected did not answer in time"
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
        let view = View::new(&record, record.head.plan.as_ref().expect("a plan"));
        let judgement = Judgement {
            verdict: Verdict::Pass,
            raw_verdict: Verdict::Pass,
            reason: None,
            findings: vec![finding(PROTECTED_UNCHANGED, unchanged), finding(PROTECTED_ANSWERS, answers)],
            kills: vec![kill(Killer::Global, None)],
            cleanup: Cleanup::Proven,
        };
        assert_eq!(headline(Some(&view), &judgement), words);
    }

    /// What nobody died of is told as well: processes that left by themselves are not the story.
    #[test]
    fn a_livelock_is_in_the_headline_and_who_left_by_himself_is_not() {
        let text = include_str!("../../scenarios/throttle-band-livelock.toml");
        let scenario = Scenario::parse("throttle-band-livelock.toml", text).expect("a scenario");
        let facts = HostFacts { memory_total: Some(2 << 30), ..HostFacts::default() };
        let mut record = record(0);
        record.head.plan = Some(crate::plan::plan(&scenario, None, &facts, "r1").expect("a plan"));
        let view = View::new(&record, record.head.plan.as_ref().expect("a plan"));
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
            headline(Some(&view), &judgement)
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
        assert_eq!(headline(None, &judgement), "needs 256 MiB of swap, this machine has 0 MiB");
    }
}
