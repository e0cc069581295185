//! Bounds that no run of this length and no machine of this size can meet, or can miss.

use super::Checker;
use super::mib;
use crate::metric::{Course, Metric, Subject, Unit};
use crate::notation::bytes::Bytes;
use crate::notation::span::Span;
use crate::reading::places::{Step, join};
use crate::reading::rule::rules;
use crate::scenario::actor::Role;
use crate::scenario::expectation::{Bound, BoundKind, BoundValue, MetricClaim, Phase};
use crate::scenario::requires::SwapNeed;
use crate::scenario::rules::shared::CONTRADICTION;
use crate::scenario::size::SizeExpr;

rules! {
    Error GAUGE_DELTA = "gauge-delta",
        "The metric goes up and down, and `max-delta` and `max-rate` compare the end of a phase with its beginning: what \
        went up and came back passes. Bound every sample with `max`, or take a metric that only counts up, such as \
        `host:swap.out` for swap.";
    Warning BOUND_OUT_OF_REACH = "bound-out-of-reach",
        "The metric cannot reach this in a run of this length, or on a machine of the size that [requires] \
        promises: an upper bound there cannot fail, and a lower one cannot hold. Lower it. It is fine where machines \
        larger than promised are meant.";
}

pub(super) fn check(checker: &mut Checker<'_>, claim: &MetricClaim, path: &[Step<'_>]) {
    contradiction(checker, claim, path);
    for bound in &claim.bounds {
        let key = bound.kind.to_string();
        let path = join(path, &[key.as_str().into()]);
        let Some(value) = number(checker, &bound.value) else { continue };
        flat_gauge(checker, claim, bound.kind, value, &path);
        beyond_the_run(checker, claim, bound.kind, value, &path);
        beyond_the_machine(checker, claim, bound.kind, value, &path);
    }
}

/// The number in the metric's unit; `None` for a share of another phase, and of a machine that is not known.
pub(super) fn number(checker: &Checker<'_>, value: &BoundValue) -> Option<u64> {
    match value {
        BoundValue::Exact(quantity) => Some(quantity.raw()),
        BoundValue::Limit(share) => checker.size(&SizeExpr::Limit(share.clone())).map(|bytes| bytes.0),
        BoundValue::Phase(_) => None,
    }
}

/// Nothing is at once above the one and below the other.
fn contradiction(checker: &mut Checker<'_>, claim: &MetricClaim, path: &[Step<'_>]) {
    const PAIRS: [(BoundKind, BoundKind); 3] = [
        (BoundKind::Min, BoundKind::Max),
        (BoundKind::MinDelta, BoundKind::MaxDelta),
        (BoundKind::MinRate, BoundKind::MaxRate),
    ];
    let of = |kind| claim.bounds.iter().find(|bound: &&Bound| bound.kind == kind);
    for (lower, upper) in PAIRS {
        let (Some(low), Some(high)) = (of(lower), of(upper)) else { continue };
        let crossed = match (&low.value, &high.value) {
            (BoundValue::Phase(low), BoundValue::Phase(high)) => {
                low.of_phase == high.of_phase && low.percent > high.percent
            }
            (low, high) => {
                number(checker, low).zip(number(checker, high)).is_some_and(|(low, high)| low > high)
            }
        };
        if crossed {
            let key = lower.to_string();
            let message = format!("`{lower}` is above `{upper}`: nothing is both");
            checker.report(CONTRADICTION, &join(path, &[key.as_str().into()]), message);
        }
    }
}

/// What goes up and comes back has changed by nothing.
fn flat_gauge(
    checker: &mut Checker<'_>,
    claim: &MetricClaim,
    kind: BoundKind,
    value: u64,
    path: &[Step<'_>],
) {
    let tiny = match claim.metric.info.unit {
        Unit::Bytes => 1 << 20,
        Unit::Duration => 1_000,
        Unit::Count | Unit::Hundredths => 1,
    };
    let between_ends = matches!(kind, BoundKind::MaxDelta | BoundKind::MaxRate);
    if claim.metric.info.course != Course::Gauge || !between_ends || value >= tiny {
        return;
    }
    let message = format!("`{}` goes up and down: what went up and came back passes `{kind}`", claim.metric);
    let help = match claim.metric.info.name {
        "swap.used" | "memory.swap.current" => "use `max`, or the counter `host:swap.out`",
        _ => "use `max`, or a metric that only counts up",
    };
    checker.report(GAUGE_DELTA, path, message).help.push(help.to_owned());
}

/// A time longer than the run, or more beats than fit into it.
fn beyond_the_run(
    checker: &mut Checker<'_>,
    claim: &MetricClaim,
    kind: BoundKind,
    value: u64,
    path: &[Step<'_>],
) {
    let scenario = checker.scenario;
    let length = match claim.during {
        Phase::Run => scenario.baseline.plus(scenario.observe),
        Phase::Baseline => scenario.baseline,
        Phase::Climb | Phase::Hold | Phase::Stress => scenario.observe,
    };
    let Some((per_run, per_second, what)) = most(checker, &claim.metric, length) else { return };
    let most = if kind.is_rate() { per_second } else { per_run };
    if kind.is_upper() && value >= most {
        let message = format!("`{}` cannot exceed this: {what}", claim.metric);
        checker
            .report(BOUND_OUT_OF_REACH, path, message)
            .help
            .push(format!("a `{kind}` that can fail is lower"));
    } else if !kind.is_upper() && value > most {
        let message = format!("`{}` cannot reach this: {what}", claim.metric);
        checker
            .report(BOUND_OUT_OF_REACH, path, message)
            .help
            .push(format!("a `{kind}` that can hold is lower"));
    }
}

/// The most that a metric can come to in a phase, and in a second of it, with the reason.
fn most(checker: &Checker<'_>, metric: &Metric, length: Span) -> Option<(u64, u64, String)> {
    if metric.info.unit == Unit::Duration && metric.info.name != "cpu.usage" {
        return Some((length.0, 1_000_000, format!("that part of the run lasts {length} at most")));
    }
    let Subject::Actor(id) = &metric.subject else { return None };
    let every = match &checker.scenario.actor(id)?.role {
        Role::Heartbeat(heartbeat) if metric.info.name == "wakeups" => heartbeat.every,
        _ => return None,
    };
    let beats = |time: u64| time.checked_div(every.0).map(|beats| beats + 1);
    Some((beats(length.0)?, beats(1_000_000)?, format!("`{id}` beats every {every}, for {length} at most")))
}

/// More bytes than `[requires]` promises.
fn beyond_the_machine(
    checker: &mut Checker<'_>,
    claim: &MetricClaim,
    kind: BoundKind,
    value: u64,
    path: &[Step<'_>],
) {
    let info = claim.metric.info;
    let level = info.unit == Unit::Bytes && matches!(info.course, Course::Gauge | Course::Peak);
    if !level || kind.is_rate() {
        return;
    }
    let requires = &checker.scenario.requires;
    let swap = match requires.swap {
        Some(SwapNeed::AtLeast(swap)) => swap,
        Some(SwapNeed::None) | None => Bytes(0),
    };
    let (there, what) = match (info.name.contains("swap"), requires.memory) {
        (true, _) if swap.0 > 0 => (swap, "swap"),
        (false, Some(memory)) if info.name == "touched" => {
            (Bytes(memory.0.saturating_add(swap.0)), "memory and swap")
        }
        (false, Some(memory)) => (memory, "memory"),
        _ => return,
    };
    let word = match kind.is_upper() {
        true if value >= there.0 => "exceed",
        false if value > there.0 => "reach",
        _ => return,
    };
    let message = format!(
        "`{}` cannot {word} this on a machine with the {} of {what} that [requires] promises",
        claim.metric,
        mib(there)
    );
    checker.report(BOUND_OUT_OF_REACH, path, message);
}
