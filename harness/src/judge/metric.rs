//! The claim that a metric stays within bounds in a part of the run.

use reports::finding::Finding;
use reports::number::{Number, Unit as Published};
use reports::outcome::Verdict;
use reports::units;

use super::cut_off::did_not_come;
use super::finding::{found, size};
use super::observation::{Observation, phase_name};
use super::view::View;
use super::{answers, gaps, seen};
use crate::metric::{Column, Course, Derived, Metric, Source};
use crate::plan::claim::{Bound, BoundKind, BoundValue, MetricClaim, Phase, Unit};
use crate::record::event::Mark;

pub(super) fn judge(view: &View<'_>, id: &str, claim: &MetricClaim) -> Finding {
    let judged: Vec<Judged> = claim.bounds.iter().map(|bound| judge_bound(view, claim, bound)).collect();
    let verdict = judged.iter().fold(Verdict::Pass, |worst, one| worst.worse(one.verdict));
    let expected: Vec<&str> = judged.iter().map(|one| one.expected.as_str()).collect();
    let mut observed: Vec<&str> = judged.iter().map(|one| one.observed.as_str()).collect();
    // Two bounds on one number: once is enough.
    observed.dedup();
    let sentence = format!("{} stays within bounds ({})", claim.metric, phase_name(claim.during));
    let finding = found(id, sentence, verdict, expected.join("; "), observed.join("; "));
    Finding { numbers: judged.into_iter().filter_map(|one| one.number).collect(), ..finding }
}

/// One bound, judged.
struct Judged {
    verdict: Verdict,
    expected: String,
    observed: String,
    /// None where there is no bound to compare with.
    number: Option<Number>,
}

fn judge_bound(view: &View<'_>, claim: &MetricClaim, bound: &Bound) -> Judged {
    let rate = is_rate(bound.kind);
    let word = bound_word(bound.kind, claim.unit);
    let (limit, expected) = match bound.value {
        BoundValue::Absolute(value) => (Some(value), format!("{word} {}", shown(claim.unit, value, rate))),
        BoundValue::OfPhase { fraction, phase } => {
            // A reference that was not seen whole is none.
            let reference = statistic(view, claim, bound.kind, phase);
            let reference = reference.value.filter(|_| reference.open.is_none());
            let of = reference.map_or("not observed".to_owned(), |value| shown(claim.unit, value, rate));
            let words = format!("{word} {} % of {} ({of})", fraction * 100.0, phase_name(phase));
            (reference.map(|value| value * fraction), words)
        }
    };
    let seen = statistic(view, claim, bound.kind, claim.during);
    let number = limit.map(|limit| number(claim, bound.kind, seen.value, limit));
    let (Some(value), Some(limit)) = (seen.value, limit) else {
        let unseen = seen.open.unwrap_or_else(|| format!("not observed in {}", phase_name(claim.during)));
        return Judged { verdict: Verdict::Inconclusive, expected, observed: unseen, number };
    };
    let held = allowed(bound.kind, value, limit);
    let observed = shown(claim.unit, value, rate);
    let latency = claim.unit == Unit::Duration && !rate && bound.kind == BoundKind::Max;
    let (verdict, observed) = match (view.starvation().filter(|_| !held && latency), seen.open) {
        // A latency that the host of the VM made says nothing about the guest.
        (Some(why), _) => (Verdict::Inconclusive, format!("{observed}, {why}")),
        (None, Some(why)) if !is_settled(&claim.metric, bound.kind, held) => {
            (Verdict::Inconclusive, format!("{observed} as far as was seen; {why}"))
        }
        (None, _) if held => (Verdict::Pass, observed),
        (None, _) => did_not_come(observed, not_yet(view, claim, bound.kind)),
    };
    Judged { verdict, expected, observed, number }
}

/// What was compared, in the units of reports.
fn number(claim: &MetricClaim, kind: BoundKind, value: Option<f64>, limit: f64) -> Number {
    let what = match kind {
        BoundKind::Max | BoundKind::Min => claim.metric.to_string(),
        BoundKind::MaxDelta | BoundKind::MinDelta => format!("growth of {}", claim.metric),
        BoundKind::MaxRate | BoundKind::MinRate => format!("rate of {}", claim.metric),
    };
    compared(what, claim.unit, kind, value, limit)
}

/// A value of a metric beside its bound, in the units of reports.
pub(super) fn compared(what: String, unit: Unit, kind: BoundKind, value: Option<f64>, limit: f64) -> Number {
    // An answer that was refused took no time at all.
    let value = value.filter(|value| unit != Unit::Duration || *value < u64::MAX as f64);
    let (unit, scale) = match (unit, is_rate(kind)) {
        (Unit::Bytes, false) => (Published::Bytes, 1.0),
        (Unit::Bytes, true) => (Published::BytesPerSecond, 1.0),
        (Unit::Count, false) => (Published::Count, 1.0),
        (Unit::Count, true) => (Published::CountPerSecond, 1.0),
        (Unit::Hundredths, false) => (Published::Count, 0.01),
        (Unit::Hundredths, true) => (Published::CountPerSecond, 0.01),
        (Unit::Duration, false) => (Published::Microseconds, 1.0),
        (Unit::Duration, true) => (Published::Percent, 100.0),
    };
    let (value, limit) = (value.map(|value| value * scale), limit * scale);
    match kind {
        BoundKind::Max | BoundKind::MaxDelta | BoundKind::MaxRate => {
            Number::at_most(what, unit, value, limit)
        }
        BoundKind::Min | BoundKind::MinDelta | BoundKind::MinRate => {
            Number::at_least(what, unit, value, limit)
        }
    }
}

/// Whether what was not seen could not change the outcome: a maximum can only be higher than what was seen of it, a
/// minimum only lower, and a counter only have counted more.
fn is_settled(metric: &Metric, kind: BoundKind, held: bool) -> bool {
    match kind {
        BoundKind::Max | BoundKind::Min => !held,
        BoundKind::MaxDelta | BoundKind::MaxRate => only_rises(metric) && !held,
        BoundKind::MinDelta | BoundKind::MinRate => only_rises(metric) && held,
    }
}

/// Why a growth that was too small may only not have come yet.
fn not_yet(view: &View<'_>, claim: &MetricClaim, kind: BoundKind) -> Option<String> {
    let to_the_end = match claim.during {
        Phase::Run | Phase::Hold | Phase::Stress => true,
        Phase::Climb => view.mark(Mark::Hold).is_none(),
        Phase::Baseline => false,
    };
    if to_the_end && kind == BoundKind::MinDelta { view.cut_off() } else { None }
}

/// Whether a metric never falls.
fn only_rises(metric: &Metric) -> bool {
    matches!(metric.info.course, Course::Counter | Course::Peak)
}

fn is_rate(kind: BoundKind) -> bool {
    matches!(kind, BoundKind::MinRate | BoundKind::MaxRate)
}

/// Whether a value is on the allowed side.
pub(super) fn allowed(kind: BoundKind, value: f64, limit: f64) -> bool {
    match kind {
        BoundKind::Max | BoundKind::MaxDelta | BoundKind::MaxRate => value <= limit,
        BoundKind::Min | BoundKind::MinDelta | BoundKind::MinRate => value >= limit,
    }
}

/// One number from a phase, as far as it was seen.
fn statistic(view: &View<'_>, claim: &MetricClaim, kind: BoundKind, phase: Phase) -> Observation {
    let metric = &claim.metric;
    match (metric.info.source, kind) {
        (Source::Judge(Derived::Gaps), _) => gaps::p99(view, metric.subject.as_str(), phase),
        (Source::LongestGap(_), BoundKind::Max) => gaps::longest(view, metric.subject.as_str(), phase),
        (Source::Judge(Derived::Answers), _) => answers::latency(view, metric.probe, kind, phase),
        (Source::File(..) | Source::Page(_) | Source::LongestGap(_), _) => sampled(view, claim, kind, phase),
    }
}

/// One number from the samples of a phase.
fn sampled(view: &View<'_>, claim: &MetricClaim, kind: BoundKind, phase: Phase) -> Observation {
    let column = claim.metric.column();
    let open = seen::hole(view, column, kind, phase);
    let value = match kind {
        // The first reading after the end has what rose up to it.
        BoundKind::Max if only_rises(&claim.metric) => {
            view.series(column, phase).into_iter().map(|(_, value)| value as f64).reduce(f64::max)
        }
        BoundKind::Max => inside(view, column, phase).into_iter().max().map(|value| value as f64),
        BoundKind::Min => inside(view, column, phase).into_iter().min().map(|value| value as f64),
        BoundKind::MaxDelta | BoundKind::MinDelta => growth(view, column, phase).map(|(grown, _)| grown),
        BoundKind::MaxRate | BoundKind::MinRate => rate(view, claim, phase, open.is_some()),
    };
    Observation { value, open }
}

/// How much a metric grew over a phase, and between which two samples, µs.
fn growth(view: &View<'_>, column: Column<'_>, phase: Phase) -> Option<(f64, u64)> {
    let series = view.series(column, phase);
    let ((start, first), (end, last)) = (*series.first()?, *series.last()?);
    (series.len() > 1).then_some((last as f64 - first as f64, end.saturating_sub(start)))
}

/// Growth a second. Of a phase that was seen in part alone, what is known to have grown in the whole of it.
fn rate(view: &View<'_>, claim: &MetricClaim, phase: Phase, in_part: bool) -> Option<f64> {
    let (grown, between) = growth(view, claim.metric.column(), phase)?;
    let whole = view.window(phase).map_or(0, |(from, to)| to.saturating_sub(from));
    let us = if in_part { between.max(whole) } else { between };
    let scale = if claim.unit == Unit::Duration { 1e6 } else { 1.0 };
    (us > 0).then(|| grown / scale / (us as f64 / 1e6))
}

/// The samples of a gauge inside a phase; those around it belong to the phases around it.
fn inside(view: &View<'_>, column: Column<'_>, phase: Phase) -> Vec<u64> {
    let Some((from, to)) = view.window(phase) else { return Vec::new() };
    let series = view.series(column, phase);
    series.into_iter().filter(|(at, _)| (from..=to).contains(at)).map(|(_, value)| value).collect()
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
