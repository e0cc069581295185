//! Livelock, told from three signs together: between high and max, no progress, and nobody acts.
//!
//! PSI alone is not enough: a throttled but progressing cgroup shows it too. And a hog that stopped asking for
//! memory is not livelocked, however full its cgroup is.

use reports::outcome::Verdict;
use reports::report::Finding;

use super::metric::{inside, statistic};
use super::{View, found, size};
use crate::plan::claim::{BoundKind, LivelockClaim, MetricClaim, Phase, Unit};

/// Progress below this fraction of the climb's own is none.
const STALLED: f64 = 0.05;
/// Share of time in which every task of the cgroup is stalled.
const FULL: f64 = 0.80;

pub(super) fn judge(view: &View<'_>, id: &str, claim: &LivelockClaim) -> Finding {
    let sentence = format!("{} does not livelock", claim.cgroup);
    let expected = format!(
        "not all at once: between high and max, progress below {} %, PSI full above {} %, nobody killed",
        STALLED * 100.0,
        FULL * 100.0
    );
    let (verdict, observed) = observe(view, claim);
    found(id, sentence, verdict, expected, observed)
}

fn observe(view: &View<'_>, claim: &LivelockClaim) -> (Verdict, String) {
    let Some(high) = claim.high else {
        return (Verdict::Pass, format!("{} has no band between MemoryHigh and MemoryMax", claim.cgroup));
    };
    // Throttled with no limit above: nothing but the throttle will ever act.
    let max = claim.max.unwrap_or(u64::MAX);
    let cgroup = &claim.cgroup;
    let current = inside(view, &format!("{cgroup}:memory.current"), Phase::Hold);
    let in_band = current.iter().filter(|value| (high..max).contains(value)).count();
    let progress = rate(view, &format!("{}:touched", claim.hog), Unit::Bytes, Phase::Hold);
    let before = rate(view, &format!("{}:touched", claim.hog), Unit::Bytes, Phase::Climb);
    let full = rate(view, &format!("{cgroup}:memory.pressure.full"), Unit::Duration, Phase::Hold);
    let kills = view.delta(&format!("{cgroup}:memory.events.oom_kill"));
    let (Some(progress), Some(before), Some(full), Some(kills), false) =
        (progress, before, full, kills, current.is_empty())
    else {
        return (Verdict::Inconclusive, "a sign could not be observed after the stress arrived".into());
    };
    let share = progress / before.max(1.0);
    let share_inside = in_band as f64 / current.len() as f64;
    let words = format!(
        "{:.0} % of samples between {} and {}, progress {:.1} % of before, PSI full {:.0} %, oom_kill +{kills}",
        share_inside * 100.0,
        size(high as f64),
        claim.max.map_or("no limit".to_owned(), |max| size(max as f64)),
        share * 100.0,
        full * 100.0
    );
    let ended = view.end(&claim.hog).is_some();
    if share_inside >= 0.9 && share < STALLED && full >= FULL && kills == 0 && !ended {
        (Verdict::Fail, format!("livelock: {words}"))
    } else {
        (Verdict::Pass, words)
    }
}

fn rate(view: &View<'_>, metric: &str, unit: Unit, phase: Phase) -> Option<f64> {
    let claim = MetricClaim { metric: metric.into(), unit, during: phase, bounds: Vec::new() };
    statistic(view, &claim, BoundKind::MinRate, phase)
}
