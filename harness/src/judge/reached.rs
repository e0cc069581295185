//! Whether the stress arrived at all.

use reports::finding::Finding;
use reports::number::{Number, Unit};
use reports::outcome::Verdict;

use super::finding::{REACHED, found};
use super::metric::{self, compared, show};
use super::view::View;
use crate::metric::Course;
use crate::plan::claim::BoundKind;
use crate::record::event::Mark;

pub(super) fn judge(view: &View<'_>) -> Finding {
    let reached = &view.plan.reached;
    let wanted = format!(
        "{} {} {} within {:.1} s",
        reached.metric,
        match reached.kind {
            BoundKind::Max => "at most",
            _ => "at least",
        },
        show(reached.unit, reached.value),
        reached.within_us as f64 / 1e6
    );
    let (verdict, observed, number) = observe(view);
    let finding = found(REACHED, "the stress is reached".into(), verdict, wanted, observed);
    Finding { numbers: number.into_iter().collect(), ..finding }
}

/// With the number that decided: the time that it took, or how near it came.
fn observe(view: &View<'_>) -> (Verdict, String, Option<Number>) {
    let reached = &view.plan.reached;
    let open = |why: String| (Verdict::Inconclusive, why, None);
    let Some(climb) = view.mark(Mark::Climb) else {
        return open("the balloons were never released".into());
    };
    let all = view.readings(reached.metric.column());
    let before = all.iter().rfind(|(at, _)| *at <= climb).map(|(_, value)| *value);
    let counts = reached.metric.info.course == Course::Counter;
    let Some(rest) = before else {
        return open("not read before the balloons were released".into());
    };
    // What a counter has counted before the stress is none of the stress's.
    let of_the_stress = |value: u64| if counts { value.saturating_sub(rest) } else { value };
    let there = |value: u64| metric::allowed(reached.kind, of_the_stress(value) as f64, reached.value);
    if there(rest) {
        return open(format!(
            "{} already before the balloons were released",
            show(reached.unit, rest as f64)
        ));
    }
    // The record's last sample is taken after the witnesses settled, so a kill between two ticks is not missed.
    let stress = || all.iter().filter(|(at, _)| *at >= climb).copied();
    match stress().find(|(_, value)| there(*value)) {
        Some((at, value)) => {
            let value = show(reached.unit, of_the_stress(value) as f64);
            let (took_us, within_us) = ((at - climb) as f64, reached.within_us as f64);
            let what = format!("time until {} is reached", reached.metric);
            let number = Some(Number::at_most(what, Unit::Microseconds, Some(took_us), within_us));
            let after = took_us / 1e6;
            if at - climb <= reached.within_us {
                (Verdict::Pass, format!("{value} after {after:.2} s"), number)
            } else {
                (Verdict::Fail, format!("{value} only after {after:.2} s"), number)
            }
        }
        None => {
            let values = stress().map(|(_, value)| of_the_stress(value));
            let (best, word) = match reached.kind {
                BoundKind::Max => (values.min(), "at least"),
                _ => (values.max(), "at most"),
            };
            let Some(best) = best else { return open("never read".into()) };
            let words = format!("{} {word}", show(reached.unit, best as f64));
            let number = compared(
                reached.metric.to_string(),
                reached.unit,
                reached.kind,
                Some(best as f64),
                reached.value,
            );
            (Verdict::Fail, words, Some(number))
        }
    }
}
