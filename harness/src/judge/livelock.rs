//! Livelock, told from three signs together: between high and max, no progress, and nobody acts.
//!
//! PSI alone is not enough: a throttled but progressing cgroup shows it too. And a hog that stopped asking for
//! memory is not livelocked, however full its cgroup is. The longest stretch that shows all signs counts, wherever in the
//! stress it lies, but one that lasts to its end is a livelock sooner; the `MemoryHigh` of any cgroup around the hog throttles
//! it.

use reports::finding::Finding;
use reports::number::{Number, Unit};
use reports::outcome::Verdict;

use super::cgroup::cgroup_path;
use super::finding::{found, size};
use super::seen::hole;
use super::view::View;
use crate::cgroupfs::is_below;
use crate::metric::column::{MEMORY_CURRENT, PRESSURE_SOME, TOUCHED};
use crate::plan::claim::{BoundKind, LivelockClaim, Phase};

/// Progress below this fraction of what it was before the band is none.
const STALLED: f64 = 0.05;
/// Share of time in which tasks of the cgroup are stalled. `some`, not `full`: a neighbour that computes keeps `full` down.
const WAITING: f64 = 0.80;
/// A stretch that ends before the stress does is a livelock from this length on, µs.
const LONG_US: u64 = 5_000_000;
/// One that lasts to the end of the stress, from this one on, µs.
const OPEN_US: u64 = 1_000_000;

pub(super) fn judge(view: &View<'_>, id: &str, claim: &LivelockClaim) -> Finding {
    let sentence = format!("{} does not livelock", claim.cgroup);
    let expected = format!(
        "not all at once: between high and max, progress below {} %, stalled for more than {} % of the time, nobody killed",
        STALLED * 100.0,
        WAITING * 100.0
    );
    let (verdict, observed, numbers) = observe(view, claim);
    Finding { numbers, ..found(id, sentence, verdict, expected, observed) }
}

/// A cgroup around the hog that throttles it.
struct Band<'a> {
    name: &'a str,
    high: u64,
    /// Throttled with no limit above, nothing but the throttle will ever act.
    max: Option<u64>,
}

/// One sample of the stress.
#[derive(Clone, Copy)]
struct Point {
    at: u64,
    in_band: bool,
    touched: u64,
    stalled_us: u64,
}

/// A part of the stress in the band.
struct Stretch {
    from: u64,
    to: u64,
    progress: f64,
    waiting: f64,
    /// From which length on it is a livelock, µs.
    allowed: u64,
}

impl Stretch {
    fn us(&self) -> u64 {
        self.to - self.from
    }

    fn is_livelock(&self) -> bool {
        self.us() >= self.allowed
    }
}

fn observe(view: &View<'_>, claim: &LivelockClaim) -> (Verdict, String, Vec<Number>) {
    let bands = match bands(view, claim) {
        Ok(bands) if bands.is_empty() => {
            let words = format!("{} has no band between MemoryHigh and MemoryMax", claim.cgroup);
            return (Verdict::Pass, words, Vec::new());
        }
        Ok(bands) => bands,
        Err(unseen) => return (Verdict::Inconclusive, unseen, Vec::new()),
    };
    let mut open = None;
    let mut words = Vec::new();
    let mut numbers = Vec::new();
    for band in &bands {
        match worst(view, claim, band) {
            Ok(Some(stretch)) => {
                let said = say(band, &stretch);
                if stretch.is_livelock() {
                    return (Verdict::Fail, format!("livelock: {said}"), signs(band, &stretch));
                }
                words.push(said);
                numbers.push(length(band, stretch.us(), stretch.allowed));
            }
            Ok(None) => {
                words.push(format!("never stalled between {}", edges(band)));
                numbers.push(length(band, 0, LONG_US));
            }
            Err(unseen) => open = Some(unseen),
        }
    }
    match open {
        Some(unseen) => (Verdict::Inconclusive, unseen, numbers),
        None => (Verdict::Pass, words.join("; "), numbers),
    }
}

/// How long nothing moved, beside how long that would be a livelock.
fn length(band: &Band<'_>, us: u64, allowed: u64) -> Number {
    let what = format!("longest stretch without progress above the high of {}", band.name);
    Number::at_most(what, Unit::Microseconds, Some(us as f64), allowed as f64)
}

/// All signs of a livelock, each beside its threshold. None of them alone is one.
fn signs(band: &Band<'_>, stretch: &Stretch) -> Vec<Number> {
    let (progress, waiting) = (stretch.progress * 100.0, stretch.waiting * 100.0);
    vec![
        length(band, stretch.us(), stretch.allowed),
        Number::at_least("progress in it, of that before", Unit::Percent, Some(progress), STALLED * 100.0),
        Number::at_most("time stalled in it", Unit::Percent, Some(waiting), WAITING * 100.0),
    ]
}

fn edges(band: &Band<'_>) -> String {
    let max = band.max.map_or("no limit".to_owned(), |max| size(max as f64));
    format!("{} and {max} of {}", size(band.high as f64), band.name)
}

fn say(band: &Band<'_>, stretch: &Stretch) -> String {
    format!(
        "{:.1} s between {}, progress {:.1} % of before, stalled {:.0} % of the time, not killed",
        stretch.us() as f64 / 1e6,
        edges(band),
        stretch.progress * 100.0,
        stretch.waiting * 100.0
    )
}

/// Every cgroup around the hog with a `MemoryHigh`: its own by the claim, and those above it.
fn bands<'a>(view: &View<'a>, claim: &'a LivelockClaim) -> Result<Vec<Band<'a>>, String> {
    let mut bands: Vec<Band<'a>> = Vec::new();
    bands.extend(claim.high.map(|high| Band { name: &claim.cgroup, high, max: claim.max }));
    if cgroup_path(view.plan, &claim.cgroup).is_none() {
        return Err(format!("{} was not sampled", claim.cgroup));
    }
    let Some(hog) = view.cgroup(&claim.hog) else {
        return Err(format!("the cgroup of {} was never seen", claim.hog));
    };
    for (read, values) in view.limits() {
        let limit = |file: &str| values.get(file).and_then(|value| value.parse::<u64>().ok());
        // Limits are read by the path of a cgroup, and by its name where the plan declares it.
        let (name, path) = match cgroup_path(view.plan, read) {
            Some(path) => (Some(read), path),
            None => (view.plan.name_of(read), read),
        };
        let Some(high) = limit("memory.high").filter(|_| is_below(hog, path)) else { continue };
        match name {
            Some(name) if claim.cgroup == *name || bands.iter().any(|band| band.name == name) => {}
            Some(name) => bands.push(Band { name, high, max: limit("memory.max") }),
            None => return Err(format!("{path} throttles at {}, and was not sampled", size(high as f64))),
        }
    }
    Ok(bands)
}

/// The part of the stress in which the hog was in the band, made no progress, had tasks stalled around it, and still
/// wanted more: the longest one, but a livelock before any that is none.
fn worst(view: &View<'_>, claim: &LivelockClaim, band: &Band<'_>) -> Result<Option<Stretch>, String> {
    let points = points(view, claim, band);
    let total = view.actor(&claim.hog).and_then(|actor| actor.total).unwrap_or(u64::MAX);
    let before = progress_before(&points);
    // What lasts to here lasts to the end of the stress: nobody acted for as long as anybody looked.
    let over = view.window(Phase::Stress).map_or(u64::MAX, |(_, to)| to).saturating_sub(view.pace_us());
    let mut worst: Option<Stretch> = None;
    for (index, first) in points.iter().enumerate().filter(|(_, point)| point.in_band) {
        for last in points[index + 1..].iter().take_while(|point| point.in_band && point.touched < total) {
            let us = last.at - first.at;
            let rate = last.touched.saturating_sub(first.touched) as f64 / us.max(1) as f64;
            let waiting = last.stalled_us.saturating_sub(first.stalled_us) as f64 / us.max(1) as f64;
            let Some(progress) = before.map(|before| rate / before) else { continue };
            let allowed = if last.at >= over { OPEN_US } else { LONG_US };
            let stretch = Stretch { from: first.at, to: last.at, progress, waiting, allowed };
            let weight = |stretch: &Stretch| (stretch.is_livelock(), stretch.us());
            let worse = worst.as_ref().is_none_or(|worst| weight(&stretch) > weight(worst));
            if worse && progress < STALLED && waiting > WAITING {
                worst = Some(stretch);
            }
        }
    }
    let unseen = || {
        // A stall total has to be known at the ends only, the others throughout.
        [
            (MEMORY_CURRENT.of(band.name), BoundKind::Max),
            (PRESSURE_SOME.of(band.name), BoundKind::MaxRate),
            (TOUCHED.of(&claim.hog), BoundKind::Max),
        ]
        .into_iter()
        .find_map(|(column, kind)| {
            hole(view, column, kind, Phase::Stress).map(|why| format!("{column}: {why}"))
        })
    };
    match (worst, unseen()) {
        (None, Some(why)) => Err(why),
        (None, None) if before.is_none() && points.iter().any(|point| point.in_band) => {
            Err("it was in the band from the beginning: there is no progress to compare with".into())
        }
        (worst, _) => Ok(worst),
    }
}

/// Bytes a µs that the hog took between its release and the band; none when it took nothing.
fn progress_before(points: &[Point]) -> Option<f64> {
    let first = points.first()?;
    let entry = points.iter().find(|point| point.in_band).or(points.last())?;
    let taken = entry.touched.checked_sub(first.touched).filter(|taken| *taken > 0)?;
    Some(taken as f64 / (entry.at - first.at).max(1) as f64)
}

/// The samples of the stress while the hog lived, where all that is needed was read.
fn points(view: &View<'_>, claim: &LivelockClaim, band: &Band<'_>) -> Vec<Point> {
    let died = view.end(&claim.hog).map_or(u64::MAX, |(at, _)| at);
    let current = view.series(MEMORY_CURRENT.of(band.name), Phase::Stress);
    let touched = view.series(TOUCHED.of(&claim.hog), Phase::Stress);
    let stalled = view.series(PRESSURE_SOME.of(band.name), Phase::Stress);
    let at = |series: &[(u64, u64)], when: u64| {
        series.binary_search_by_key(&when, |(at, _)| *at).ok().map(|index| series[index].1)
    };
    current
        .iter()
        .filter(|(when, _)| *when < died)
        .filter_map(|(when, usage)| {
            Some(Point {
                at: *when,
                in_band: *usage >= band.high && band.max.is_none_or(|max| *usage < max),
                touched: at(&touched, *when)?,
                stalled_us: at(&stalled, *when)?,
            })
        })
        .collect()
}
