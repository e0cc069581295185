//! The claim that a metric stays within bounds in a part of the run.

use balloon::status::Histogram;
use reports::outcome::Verdict;
use reports::report::Finding;
use reports::units;

use super::{View, found, size};
use crate::plan::claim::{Bound, BoundKind, BoundValue, MetricClaim, Phase, Unit};
use crate::record::event::{ActorStatus, AnswerResult, Mark};

pub(super) fn judge(view: &View<'_>, id: &str, claim: &MetricClaim) -> Finding {
    let mut verdict = Verdict::Pass;
    let mut expected = Vec::new();
    let mut observed = Vec::new();
    for bound in &claim.bounds {
        let judged = judge_bound(view, claim, bound);
        verdict = verdict.worse(judged.0);
        expected.push(judged.1);
        // Two bounds on one number: once is enough.
        if !observed.contains(&judged.2) {
            observed.push(judged.2);
        }
    }
    let sentence = format!("{} stays within bounds ({})", claim.metric, phase_name(claim.during));
    found(id, sentence, verdict, expected.join("; "), observed.join("; "))
}

fn judge_bound(view: &View<'_>, claim: &MetricClaim, bound: &Bound) -> (Verdict, String, String) {
    let rate = matches!(bound.kind, BoundKind::MinRate | BoundKind::MaxRate);
    let word = bound_word(bound.kind, claim.unit);
    let (limit, expected) = match bound.value {
        BoundValue::Absolute(value) => (Some(value), format!("{word} {}", shown(claim.unit, value, rate))),
        BoundValue::OfPhase { fraction, phase } => {
            let reference = statistic(view, claim, bound.kind, phase);
            let of = reference.map_or("not observed".to_owned(), |value| shown(claim.unit, value, rate));
            let words = format!("{word} {} % of {} ({of})", fraction * 100.0, phase_name(phase));
            (reference.map(|value| value * fraction), words)
        }
    };
    match (statistic(view, claim, bound.kind, claim.during), limit) {
        (Some(value), Some(limit)) => {
            let held = allowed(bound.kind, value, limit);
            let latency = claim.unit == Unit::Duration && !rate && bound.kind == BoundKind::Max;
            let observed = shown(claim.unit, value, rate);
            match view.starvation().filter(|_| !held && latency) {
                // A latency that the host of the VM made says nothing about the guest.
                Some(why) => (Verdict::Inconclusive, expected, format!("{observed}, {why}")),
                None if held => (Verdict::Pass, expected, observed),
                None => (Verdict::Fail, expected, observed),
            }
        }
        _ => (Verdict::Inconclusive, expected, unobserved(view, claim)),
    }
}

/// How much of a phase could be seen.
fn unobserved(view: &View<'_>, claim: &MetricClaim) -> String {
    let phase = phase_name(claim.during);
    match (inside(view, &claim.metric, claim.during).len(), rows(view, claim.during)) {
        (read @ 1.., rows) if read < rows => format!("read in only {read} of {rows} samples of {phase}"),
        _ => format!("not observed in {phase}"),
    }
}

/// How many samples were taken in a phase, whatever they hold.
fn rows(view: &View<'_>, phase: Phase) -> usize {
    let Some((from, to)) = view.window(phase) else { return 0 };
    view.record.samples.at_us.iter().filter(|at| (from..=to).contains(*at)).count()
}

/// Of a hundred samples of a phase so many must be readable: what happens in the others is not known.
const READABLE_PERCENT: usize = 80;

/// Whether a value is on the allowed side.
pub(super) fn allowed(kind: BoundKind, value: f64, limit: f64) -> bool {
    match kind {
        BoundKind::Max | BoundKind::MaxDelta | BoundKind::MaxRate => value <= limit,
        BoundKind::Min | BoundKind::MinDelta | BoundKind::MinRate => value >= limit,
    }
}

/// One number from the samples of a phase; none when they do not carry it.
pub(super) fn statistic(view: &View<'_>, claim: &MetricClaim, kind: BoundKind, phase: Phase) -> Option<f64> {
    if let Some(actor) = claim.metric.strip_suffix(":gap.p99") {
        return gap_p99_us(view, actor, phase);
    }
    if let Some(probe) = claim.metric.strip_prefix("protect:answer.") {
        return answer_us(view, probe.parse::<usize>().ok()?.checked_sub(1)?, kind, phase);
    }
    let inside = inside(view, &claim.metric, phase);
    if inside.len() * 100 < rows(view, phase) * READABLE_PERCENT {
        return None;
    }
    let series = view.series(&claim.metric, phase);
    match kind {
        BoundKind::Max | BoundKind::Min => {
            let inside = inside.into_iter();
            let worst = if kind == BoundKind::Max { inside.max() } else { inside.min() };
            worst.map(|value| value as f64)
        }
        BoundKind::MaxDelta | BoundKind::MinDelta => {
            let (&(_, first), &(_, last)) = (series.first()?, series.last()?);
            (series.len() > 1).then_some(last as f64 - first as f64)
        }
        BoundKind::MaxRate | BoundKind::MinRate => {
            let ((start, first), (end, last)) = (*series.first()?, *series.last()?);
            let seconds = end.checked_sub(start).filter(|us| *us > 0)? as f64 / 1e6;
            let scale = if claim.unit == Unit::Duration { 1e6 } else { 1.0 };
            Some((last as f64 - first as f64) / scale / seconds)
        }
    }
}

/// The samples of a gauge inside a phase; those around it belong to the phases around it.
pub(super) fn inside(view: &View<'_>, metric: &str, phase: Phase) -> Vec<u64> {
    let Some((from, to)) = view.window(phase) else { return Vec::new() };
    let series = view.series(metric, phase);
    series.into_iter().filter(|(at, _)| (from..=to).contains(at)).map(|(_, value)| value).collect()
}

/// The 99th percentile of an actor's wake-up gaps in a phase, from its histogram at the two edges.
fn gap_p99_us(view: &View<'_>, actor: &str, phase: Phase) -> Option<f64> {
    let (start, end) = edges(view, phase)?;
    let later = view.status(actor, end)?;
    let gaps = match start {
        Some(mark) => histogram(later)?.since(&histogram(view.status(actor, mark)?)?),
        None => histogram(later)?,
    };
    gaps.p(0.99).map(|ns| ns as f64 / 1e3)
}

fn histogram(status: &ActorStatus) -> Option<Histogram> {
    Some(Histogram { counts: status.gaps.as_slice().try_into().ok()? })
}

/// The marks between which a phase lies; no first mark = from the beginning.
fn edges(view: &View<'_>, phase: Phase) -> Option<(Option<Mark>, Mark)> {
    view.window(phase)?;
    let hold = view.mark(Mark::Hold).is_some();
    Some(match phase {
        Phase::Run => (None, Mark::Settle),
        Phase::Baseline => (Some(Mark::Baseline), Mark::Climb),
        Phase::Climb => (Some(Mark::Climb), if hold { Mark::Hold } else { Mark::Settle }),
        Phase::Hold => (Some(Mark::Hold), Mark::Settle),
        Phase::Stress => (Some(Mark::Climb), Mark::Settle),
    })
}

/// The largest (for an upper bound) or smallest latency of an answer probe in a phase. The first answer of all is left
/// out: it pays for what nobody had asked for since the machine booted.
fn answer_us(view: &View<'_>, probe: usize, kind: BoundKind, phase: Phase) -> Option<f64> {
    let (from, to) = view.window(phase)?;
    let took = view
        .answers(probe)
        .into_iter()
        .filter_map(|(at, result)| match result {
            AnswerResult::Answered { took_us } => Some((at, *took_us)),
            AnswerResult::Late { waited_us } => Some((at, *waited_us)),
            AnswerResult::Refused { .. } => Some((at, u64::MAX)),
            AnswerResult::Penalised { .. } => None,
        })
        .skip(1)
        .filter(|(at, _)| (from..=to).contains(at))
        .map(|(_, took)| took);
    match kind {
        BoundKind::Max => took.max().map(|us| us as f64),
        BoundKind::Min => took.min().map(|us| us as f64),
        BoundKind::MaxDelta | BoundKind::MinDelta | BoundKind::MaxRate | BoundKind::MinRate => None,
    }
}

fn bound_word(kind: BoundKind, unit: Unit) -> &'static str {
    match kind {
        // The rate of a time is a share of time.
        BoundKind::MaxRate if unit == Unit::Duration => "at most",
        BoundKind::MinRate if unit == Unit::Duration => "at least",
        BoundKind::Max => "at most",
        BoundKind::Min => "at least",
        BoundKind::MaxDelta | BoundKind::MaxRate => "grows by at most",
        BoundKind::MinDelta | BoundKind::MinRate => "grows by at least",
    }
}

/// A phase as a reader calls it.
pub(super) fn phase_name(phase: Phase) -> &'static str {
    match phase {
        Phase::Run => "the whole run",
        Phase::Baseline => "the baseline",
        Phase::Climb => "the climb",
        Phase::Hold => "the hold",
        Phase::Stress => "the stress",
    }
}

fn shown(unit: Unit, value: f64, rate: bool) -> String {
    match (unit, rate) {
        (Unit::Duration, true) => format!("{:.1} % of the time", value * 100.0),
        (_, true) => format!("{}/s", show(unit, value)),
        (_, false) => show(unit, value),
    }
}

/// A value with its unit.
pub(super) fn show(unit: Unit, value: f64) -> String {
    match unit {
        Unit::Bytes => size(value),
        Unit::Count => format!("{value}"),
        Unit::Hundredths => format!("{:.2}", value / 100.0),
        // An answer that was refused is longer than any.
        Unit::Duration if value >= u64::MAX as f64 => "refused".to_owned(),
        Unit::Duration => units::duration_us(value as u64),
    }
}
