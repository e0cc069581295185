//! How much of a part of a run the samples cover: what happened where nobody looked is not known.
//!
//! A gauge must have been read throughout; a counter needs a reading at or before the beginning and one at or after the
//! end, because it keeps what it counted in between.

use super::observation::phase_name;
use super::view::View;
use crate::metric::{Column, Course};
use crate::plan::claim::{BoundKind, Phase};
use crate::record::event::Mark;

/// The longest time between two samples of one part, µs: the watchdog ends a run after the same silence.
const LONGEST_HOLE_US: u64 = 2_000_000;
/// Of a hundred samples of a part so many must be readable.
const READABLE_PERCENT: usize = 80;
/// Of a hundred samples that are due in a part, at the pace of the whole run, so many must have been taken.
const TAKEN_PERCENT: u64 = 25;

/// What is missing of a metric in a phase for a statistic of it to be known; none when it was seen as it must be.
pub(super) fn hole(view: &View<'_>, column: Column<'_>, kind: BoundKind, phase: Phase) -> Option<String> {
    let edges = || hole_in_counter(view, column, phase);
    match (column.info.course, kind) {
        // What only rises is at its highest at the end.
        (Course::Peak | Course::Counter, BoundKind::Max) => hole_at_the_end(view, column, phase),
        (_, BoundKind::Max | BoundKind::Min) => hole_in_gauge(view, column, phase),
        (Course::Peak | Course::Counter, _) => edges(),
        (Course::Gauge | Course::Statistic, _) => hole_in_gauge(view, column, phase).or_else(edges),
    }
}

/// What is missing of a gauge in a phase; none when it was read throughout.
fn hole_in_gauge(view: &View<'_>, column: Column<'_>, phase: Phase) -> Option<String> {
    let Some((from, to)) = view.window(phase) else {
        return Some(format!("not observed in {}", phase_name(phase)));
    };
    let name = phase_name(phase);
    let rows = view.record.samples.at_us.iter().filter(|at| (from..=to).contains(*at)).count();
    let series = view.series(column, phase);
    let read = series.iter().filter(|(at, _)| (from..=to).contains(at)).count();
    if read == 0 {
        return Some(format!("not observed in {name}"));
    }
    if read * 100 < rows * READABLE_PERCENT {
        return Some(format!("read in only {read} of {rows} samples of {name}"));
    }
    let due = to.saturating_sub(from) / view.pace_us().max(1);
    if (rows as u64) * 100 < due * TAKEN_PERCENT {
        return Some(format!("only {rows} of about {due} samples of {name} were taken"));
    }
    let inside = series.iter().map(|(at, _)| *at).filter(|at| (from..=to).contains(at));
    let times: Vec<u64> = std::iter::once(from).chain(inside).chain([to]).collect();
    let longest = times.windows(2).map(|pair| pair[1].saturating_sub(pair[0])).max().unwrap_or(0);
    (longest > LONGEST_HOLE_US).then(|| format!("not observed for {:.1} s of {name}", longest as f64 / 1e6))
}

/// What is missing of the end of a phase.
fn hole_at_the_end(view: &View<'_>, column: Column<'_>, phase: Phase) -> Option<String> {
    let name = phase_name(phase);
    let Some((_, to)) = view.counted_window(phase) else { return Some(format!("not observed in {name}")) };
    let Some((last, _)) = view.readings(column).last().copied() else {
        return Some(format!("not observed in {name}"));
    };
    (last < to).then(|| format!("not read in the last {:.2} s of {name}", (to - last) as f64 / 1e6))
}

/// What is missing of a counter in a phase; none when it was read at both ends.
fn hole_in_counter(view: &View<'_>, column: Column<'_>, phase: Phase) -> Option<String> {
    let name = phase_name(phase);
    let Some((from, _)) = view.counted_window(phase) else {
        return Some(format!("not observed in {name}"));
    };
    let Some((first, _)) = view.readings(column).first().copied() else {
        return Some(format!("not observed in {name}"));
    };
    // The sampler starts with the baseline: its first row may come a moment later.
    let late = if phase == Phase::Baseline { LONGEST_HOLE_US / 2 } else { 0 };
    if first > from + late {
        return Some(format!("not read before {name}"));
    }
    hole_at_the_end(view, column, phase)
}

impl View<'_> {
    /// The pace of the samples of the whole run, µs: the median time from one to the next.
    pub(super) fn pace_us(&self) -> u64 {
        let at = &self.record.samples.at_us;
        let mut steps: Vec<u64> = at.windows(2).map(|pair| pair[1].saturating_sub(pair[0])).collect();
        steps.sort_unstable();
        steps.get(steps.len() / 2).copied().unwrap_or(self.plan.sample_every_us)
    }

    /// The edges at which a counter must have been read for its growth in a phase to be known. The whole run counts from
    /// before the stress to after it.
    fn counted_window(&self, phase: Phase) -> Option<(u64, u64)> {
        match phase {
            Phase::Run => Some((self.mark(Mark::Climb)?, self.mark(Mark::Settle)?)),
            Phase::Baseline | Phase::Climb | Phase::Hold | Phase::Stress => self.window(phase),
        }
    }

    /// How much a counter grew over the whole run; none unless it was read before the stress and after it.
    #[must_use]
    pub fn grown(&self, column: Column<'_>) -> Option<u64> {
        if hole_in_counter(self, column, Phase::Run).is_some() {
            return None;
        }
        self.delta(column)
    }
}
