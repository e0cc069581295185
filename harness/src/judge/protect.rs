//! The claims that come with `[protect]`: the same units before and after, and answers throughout.

use reports::finding::Finding;
use reports::number::{Number, Unit};
use reports::outcome::Verdict;

use super::answers::{Probe, hole, probes};
use super::finding::{PROTECTED_ANSWERS, PROTECTED_UNCHANGED, found};
use super::view::View;
use crate::plan::claim::Phase;
use crate::record::event::{AnswerResult, Mark, UnitState, When};

pub(super) fn judge(view: &View<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    if !view.plan.protect.units.is_empty() {
        findings.push(unchanged(view));
    }
    if !view.plan.protect.answers.is_empty() {
        findings.push(answers(view));
    }
    findings
}

fn unchanged(view: &View<'_>) -> Finding {
    let units = &view.plan.protect.units;
    let mut changed = Vec::new();
    let mut unseen = Vec::new();
    for unit in units {
        match (view.unit(unit, When::Before), view.unit(unit, When::After)) {
            // What was not up before can have come to no harm: nothing was protected.
            (Some(Some(before)), _) if before.active != "active" => unseen.push(unit.as_str()),
            // Nothing that identifies it was read: the same nothing twice is no proof.
            (Some(Some(before)), Some(Some(after)))
                if before.invocation_id.is_none() && after.invocation_id.is_none() =>
            {
                unseen.push(unit.as_str());
            }
            (Some(Some(before)), Some(Some(after))) => {
                changed.extend(difference(before, after).map(|what| format!("{unit}: {what}")));
            }
            (Some(Some(_)), Some(None)) => changed.push(format!("{unit}: gone")),
            _ => unseen.push(unit.as_str()),
        }
    }
    let (verdict, observed) = if !changed.is_empty() {
        (Verdict::Fail, changed.join("; "))
    } else if !unseen.is_empty() {
        (Verdict::Inconclusive, format!("not seen active before and queried after: {}", unseen.join(", ")))
    } else {
        (Verdict::Pass, format!("{} units unchanged", units.len()))
    };
    found(
        PROTECTED_UNCHANGED,
        "protected units are the same processes as before".into(),
        verdict,
        format!("same InvocationID, MainPID and NRestarts: {}", units.join(", ")),
        observed,
    )
}

fn difference(before: &UnitState, after: &UnitState) -> Option<String> {
    let pairs = [
        ("ActiveState", Some(before.active.clone()), Some(after.active.clone())),
        ("InvocationID", before.invocation_id.clone(), after.invocation_id.clone()),
        ("MainPID", before.main_pid.map(|pid| pid.to_string()), after.main_pid.map(|pid| pid.to_string())),
        ("NRestarts", before.n_restarts.map(|n| n.to_string()), after.n_restarts.map(|n| n.to_string())),
    ];
    pairs.into_iter().find(|(_, then, now)| then != now).map(|(name, then, now)| {
        let word = |value: Option<String>| value.unwrap_or_else(|| "none".into());
        format!("{name} {} is now {}", word(then), word(now))
    })
}

fn answers(view: &View<'_>) -> Finding {
    let mut verdict = Verdict::Pass;
    let mut observed = Vec::new();
    let mut expected = Vec::new();
    let mut numbers = Vec::new();
    for (index, answer) in view.plan.protect.answers.iter().enumerate() {
        expected.push(format!("{} within {:.1} s", answer.target, answer.within_us as f64 / 1e6));
        let all = but_a_cold_start(view, probes(view, index), answer.within_us);
        let (mut one, mut words, slowest) = judge_probe(&all, answer.within_us);
        let what = format!("slowest answer of {}", answer.target);
        let value = slowest.map(|us| us as f64);
        numbers.push(Number::at_most(what, Unit::Microseconds, value, answer.within_us as f64));
        if one == Verdict::Fail && unsteady(view, &all, answer.within_us) {
            one = Verdict::Inconclusive;
            words += "; and it was not steady before the stress, either";
        }
        let late = all.iter().all(|probe| !matches!(probe.result, AnswerResult::Refused { .. }));
        if let (Verdict::Fail, true, Some(why)) = (one, late, view.starvation()) {
            one = Verdict::Inconclusive;
            words += &format!("; {why}");
        }
        // What was answered before the stress or after it says nothing of it.
        if let (Verdict::Pass, Some(why)) = (one, hole(view, index, &all, Phase::Stress)) {
            one = Verdict::Inconclusive;
            words += &format!("; {why}");
        }
        verdict = verdict.worse(one);
        observed.push(format!("{} {words}", answer.target));
    }
    let claim = "protected services keep answering".into();
    let finding = found(PROTECTED_ANSWERS, claim, verdict, expected.join("; "), observed.join("; "));
    Finding { numbers, ..finding }
}

/// Without the first question of all, where that was asked before the stress and was slow: it pays for what nobody had asked
/// for since the machine booted.
fn but_a_cold_start<'a>(view: &View<'_>, mut all: Vec<Probe<'a>>, within_us: u64) -> Vec<Probe<'a>> {
    let slow = |probe: &Probe<'_>| match probe.result {
        AnswerResult::Answered { took_us } => *took_us > within_us,
        AnswerResult::Late { .. } => true,
        AnswerResult::Refused { .. } | AnswerResult::Penalised { .. } => false,
    };
    let before = |probe: &Probe<'_>| view.mark(Mark::Climb).is_some_and(|climb| probe.began < climb);
    if all.len() > 1 && slow(&all[0]) && before(&all[0]) {
        all.remove(0);
    }
    all
}

/// Whether a probe was missed already in the baseline: then a miss under stress says nothing about the stress.
fn unsteady(view: &View<'_>, all: &[Probe<'_>], within_us: u64) -> bool {
    let Some(climb) = view.mark(Mark::Climb) else { return false };
    all.iter()
        .filter(|probe| probe.began < climb)
        .any(|probe| judge_probe(&[*probe], within_us).0 == Verdict::Fail)
}

/// What came of one probe: verdict, words, and the longest that an answer took, µs, where that is a time.
type Heard = (Verdict, String, Option<u64>);

fn judge_probe(probes: &[Probe<'_>], within_us: u64) -> Heard {
    let mut worst = 0;
    let mut answered = 0;
    let mut penalised = 0;
    for probe in probes {
        match probe.result {
            AnswerResult::Answered { took_us } if *took_us <= within_us => {
                worst = worst.max(*took_us);
                answered += 1;
            }
            AnswerResult::Answered { took_us } => {
                return (Verdict::Fail, format!("took {:.2} s", *took_us as f64 / 1e6), Some(*took_us));
            }
            AnswerResult::Late { waited_us } => {
                let words = format!("gave no answer in {:.2} s", *waited_us as f64 / 1e6);
                // Nobody waits for longer than is allowed: how long it would have taken is not known.
                return (Verdict::Fail, words, Some(*waited_us).filter(|us| *us > within_us));
            }
            AnswerResult::Refused { error } => return (Verdict::Fail, format!("refused: {error}"), None),
            AnswerResult::Penalised { .. } => penalised += 1,
        }
    }
    if answered == 0 {
        let words = format!("never answered ({penalised} probes were turned away)");
        return (Verdict::Inconclusive, words, None);
    }
    let mut words = format!("answered {answered} times, slowest {:.0} ms", worst as f64 / 1e3);
    if penalised > 0 {
        words += &format!(" ({penalised} probes were turned away as too frequent)");
    }
    (Verdict::Pass, words, Some(worst))
}
