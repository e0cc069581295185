//! How late an actor woke: the gaps that it counted itself, and the one that was still open.
//!
//! A sleeper reports a gap when it wakes. Who does not wake reports nothing: his silence is read from the samples, in which
//! his counters stand still, and it counts with what it has lasted.

use balloon::status::Histogram;

use super::observation::{Observation, phase_name};
use super::view::View;
use crate::metric::column::{GAP_MAX, STEPS, WAKEUPS};
use crate::plan::PlannedActor;
use crate::plan::claim::Phase;
use crate::record::event::{ActorStatus, Mark};
use crate::scenario::actor::Kind;

/// Of a hundred beats that were due so many must have been counted.
const COUNTED_PERCENT: u64 = 50;
/// A quantile of fewer gaps is none.
const FEWEST: u64 = 10;
/// More open beats than these say no more.
const MOST_OPEN: u64 = 10_000;
/// A balloon at rest looks around so often, µs.
const BALLOON_RESTS_US: u64 = 100_000;

/// The longest gap of an actor in a phase, µs.
pub(super) fn longest(view: &View<'_>, id: &str, phase: Phase) -> Observation {
    let Some(gaps) = Gaps::of(view, id, phase) else { return Observation::unseen(phase) };
    let counted = gaps.counted_max_us(view);
    let silence = gaps.silences().map(|(_, us)| us).max();
    let value = counted.max(silence).map(|us| us as f64);
    Observation { value, open: gaps.open_words() }
}

/// The 99th percentile of an actor's gaps in a phase, µs, every beat that the last gap swallowed among them.
pub(super) fn p99(view: &View<'_>, id: &str, phase: Phase) -> Observation {
    let Some(gaps) = Gaps::of(view, id, phase) else { return Observation::unseen(phase) };
    let Some(mut histogram) = gaps.histogram(view) else { return Observation::unseen(phase) };
    let open_us = gaps.silences().filter(|(end, _)| *end >= gaps.to).map(|(_, us)| us).max().unwrap_or(0);
    let step = gaps.every_us.max(1);
    for swallowed in (0..open_us.div_ceil(step).min(MOST_OPEN)).map(|beat| open_us - beat * step) {
        histogram.record(swallowed.saturating_mul(1000));
    }
    let counted = histogram.count();
    let due = if gaps.beats { gaps.length_us() / step } else { 0 };
    let few = (counted * 100 < due * COUNTED_PERCENT || counted < FEWEST).then(|| {
        let due = if gaps.beats { format!(" of {due} beats due") } else { " gaps".to_owned() };
        format!("only {counted}{due} were counted in {}", phase_name(phase))
    });
    let value = histogram.p(0.99).map(|ns| ns as f64 / 1e3);
    Observation { value, open: few.or_else(|| gaps.open_words()) }
}

/// What the record has of an actor's gaps in a phase.
struct Gaps<'a> {
    actor: &'a PlannedActor,
    phase: Phase,
    from: u64,
    to: u64,
    /// When the actor ended, if it did.
    ended: Option<u64>,
    every_us: u64,
    /// Whether a gap is counted for each beat that is due.
    beats: bool,
    /// Time and activity (wake-ups and steps) of each sample since it first did anything.
    activity: Vec<(u64, u64)>,
}

impl<'a> Gaps<'a> {
    fn of(view: &View<'a>, id: &str, phase: Phase) -> Option<Self> {
        let actor = view.actor(id)?;
        let (from, to) = view.window(phase)?;
        let activity: Vec<(u64, u64)> = view
            .readings(WAKEUPS.of(id))
            .into_iter()
            .zip(view.readings(STEPS.of(id)))
            .map(|((at, wakeups), (_, steps))| (at, wakeups.saturating_add(steps)))
            .skip_while(|(_, activity)| *activity == 0)
            .collect();
        Some(Self {
            actor,
            phase,
            from,
            to,
            ended: view.end(id).map(|(at, _)| at),
            every_us: every_us(actor),
            beats: matches!(actor.kind, Kind::Heartbeat | Kind::Sleeper),
            activity,
        })
    }

    fn length_us(&self) -> u64 {
        self.to.saturating_sub(self.from)
    }

    /// For each stretch of the phase in which the actor did nothing: when that was last seen, and for how long it was
    /// overdue, µs. One that is open at the end of the phase goes on for as long as anybody looked.
    fn silences(&self) -> impl Iterator<Item = (u64, u64)> + '_ {
        let over = self.ended.unwrap_or(u64::MAX);
        self.activity.chunk_by(|(_, one), (_, next)| one == next).filter_map(move |stretch| {
            let (began, last) = (stretch.first()?.0, stretch.last()?.0.min(over));
            let overdue = last.checked_sub(began)?.saturating_sub(self.every_us);
            (last >= self.from && began <= self.to).then_some((last, overdue))
        })
    }

    /// The longest gap that the actor counted in the phase, µs. The page keeps the longest of its whole life: where that
    /// did not grow, the histogram bounds what the phase had.
    fn counted_max_us(&self, view: &View<'_>) -> Option<u64> {
        let series = view.readings(GAP_MAX.of(&self.actor.id));
        let (_, peak) = *series.iter().rfind(|(at, _)| *at <= self.to)?;
        let before = series.iter().rfind(|(at, _)| *at <= self.from).map_or(0, |(_, value)| *value);
        if peak > before || self.phase == Phase::Run {
            return Some(peak);
        }
        let bounded = self.histogram(view).map(|histogram| histogram.p(1.0).unwrap_or(0) / 1000);
        Some(bounded.map_or(peak, |top| top.min(peak)))
    }

    /// What the actor counted between the edges of the phase.
    fn histogram(&self, view: &View<'_>) -> Option<Histogram> {
        let (start, end) = edges(view, self.phase)?;
        let later = counts(view.status(&self.actor.id, end)?)?;
        match start {
            Some(mark) => Some(later.since(&counts(view.status(&self.actor.id, mark)?)?)),
            None => Some(later),
        }
    }

    /// Why more than was seen may have happened.
    fn open_words(&self) -> Option<String> {
        let (id, name) = (&self.actor.id, phase_name(self.phase));
        let Some((last, _)) = self.activity.last() else {
            return Some(format!("{id} was never seen to wake"));
        };
        if let Some(ended) = self.ended.filter(|at| *at < self.to && self.actor.total.is_none()) {
            return Some(format!(
                "{id} ended {:.2} s before the end of {name}",
                (self.to - ended) as f64 / 1e6
            ));
        }
        if *last < self.to {
            return Some(format!("{id} was not observed to the end of {name}"));
        }
        let inside = |(at, _): &&(u64, u64)| (self.from..=self.to).contains(at);
        let (first, final_one) =
            (self.activity.iter().rfind(|(at, _)| *at <= self.from), self.activity.iter().rfind(inside));
        let first = first.or_else(|| self.activity.iter().find(inside));
        let woke = first.zip(final_one).is_some_and(|((_, before), (_, after))| after > before);
        let due = self.length_us() / self.every_us.max(1);
        (!woke && self.beats && due >= FEWEST).then(|| format!("{id} did not wake once in {name}"))
    }
}

/// The marks between which a phase lies; no first mark = from the beginning.
fn edges(view: &View<'_>, phase: Phase) -> Option<(Option<Mark>, Mark)> {
    let hold = view.mark(Mark::Hold).is_some();
    Some(match phase {
        Phase::Run => (None, Mark::Settle),
        Phase::Baseline => (Some(Mark::Baseline), Mark::Climb),
        Phase::Climb => (Some(Mark::Climb), if hold { Mark::Hold } else { Mark::Settle }),
        Phase::Hold => (Some(Mark::Hold), Mark::Settle),
        Phase::Stress => (Some(Mark::Climb), Mark::Settle),
    })
}

fn counts(status: &ActorStatus) -> Option<Histogram> {
    Some(Histogram { counts: status.gaps.as_slice().try_into().ok()? })
}

/// The time between two pieces of an actor's work, µs. Records of minor 0 have it in the command line alone.
fn every_us(actor: &PlannedActor) -> u64 {
    if actor.total.is_some() {
        return BALLOON_RESTS_US;
    }
    let told = || {
        let millis = actor.argv.iter().find_map(|word| word.strip_prefix("--every="))?;
        millis.parse::<u64>().ok().map(|millis| millis.saturating_mul(1000))
    };
    if actor.every_us > 0 { actor.every_us } else { told().unwrap_or(20_000) }
}
