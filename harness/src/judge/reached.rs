//! Whether the stress arrived at all.

use reports::outcome::Verdict;
use reports::report::Finding;

use super::metric::{self, show};
use super::{REACHED, View, found};
use crate::plan::claim::{BoundKind, Phase};
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
    let (verdict, observed) = observe(view);
    found(REACHED, "the stress arrives".into(), verdict, wanted, observed)
}

fn observe(view: &View<'_>) -> (Verdict, String) {
    let reached = &view.plan.reached;
    let Some(climb) = view.mark(Mark::Climb) else {
        return (Verdict::Inconclusive, "the balloons were never released".into());
    };
    let series = view.series(&reached.metric, Phase::Stress);
    // The record's last sample is taken after the witnesses settled, so a kill between two ticks is not missed.
    let late = view.record.samples.series(&reached.metric).last();
    let hit = series
        .iter()
        .chain(late.iter())
        .find(|(at, value)| *at >= climb && metric::allowed(reached.kind, *value as f64, reached.value));
    match hit {
        Some((at, value)) if at - climb <= reached.within_us => {
            let after = (at - climb) as f64 / 1e6;
            (Verdict::Pass, format!("{} after {after:.2} s", show(reached.unit, *value as f64)))
        }
        Some((at, value)) => {
            let after = (at - climb) as f64 / 1e6;
            (Verdict::Fail, format!("{} only after {after:.2} s", show(reached.unit, *value as f64)))
        }
        None => {
            let values = series.iter().map(|(_, value)| *value);
            let (best, word) = match reached.kind {
                BoundKind::Max => (values.min(), "at least"),
                _ => (values.max(), "at most"),
            };
            match best {
                Some(best) => (Verdict::Fail, format!("{} {word}", show(reached.unit, best as f64))),
                None => (Verdict::Inconclusive, "never read".into()),
            }
        }
    }
}
