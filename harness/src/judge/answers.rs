//! The answers of a probe of `[protect]`, as stretches of time: from the question to its answer, or to giving up.

use super::observation::{Observation, phase_name};
use super::view::View;
use crate::plan::claim::{BoundKind, Phase};
use crate::record::event::AnswerResult;

/// What a prober may be late with its next question, µs.
const LATE_US: u64 = 1_000_000;

/// One question.
#[derive(Debug, Clone, Copy)]
pub(super) struct Probe<'a> {
    /// When it was asked, µs.
    pub(super) began: u64,
    /// When that ended, µs.
    pub(super) ended: u64,
    /// How.
    pub(super) result: &'a AnswerResult,
}

impl Probe<'_> {
    fn touches(&self, (from, to): (u64, u64)) -> bool {
        self.began <= to && self.ended >= from
    }

    /// Whether it says anything about who was asked.
    pub(super) fn is_heard(&self) -> bool {
        !matches!(self.result, AnswerResult::Penalised { .. })
    }
}

/// Every question of a probe, in order.
pub(super) fn probes<'a>(view: &View<'a>, index: usize) -> Vec<Probe<'a>> {
    view.answers(index)
        .into_iter()
        .map(|(ended, began, result)| {
            let lasted = match result {
                AnswerResult::Answered { took_us } => *took_us,
                AnswerResult::Late { waited_us } => *waited_us,
                AnswerResult::Refused { .. } | AnswerResult::Penalised { .. } => 0,
            };
            Probe { began: began.unwrap_or(ended.saturating_sub(lasted)), ended, result }
        })
        .collect()
}

/// Those that were under way in a phase, be it that they began before it or ended after it.
pub(super) fn during<'p, 'a>(view: &View<'_>, all: &'p [Probe<'a>], phase: Phase) -> Vec<&'p Probe<'a>> {
    let Some(window) = view.window(phase) else { return Vec::new() };
    all.iter().filter(|probe| probe.touches(window)).collect()
}

/// Why the answers of a phase are not all that could have been had; none when somebody asked throughout and was heard.
pub(super) fn hole(view: &View<'_>, index: usize, all: &[Probe<'_>], phase: Phase) -> Option<String> {
    let name = phase_name(phase);
    let Some((from, to)) = view.window(phase) else { return Some(format!("not observed in {name}")) };
    let asked = during(view, all, phase);
    let heard = asked.iter().filter(|probe| probe.is_heard()).count();
    if heard == 0 {
        let turned_away = asked.len();
        return Some(format!("never answered in {name} ({turned_away} probes were turned away)"));
    }
    if heard * 2 < asked.len() {
        return Some(format!("{} of {} probes of {name} were turned away", asked.len() - heard, asked.len()));
    }
    let every = view.plan.protect.answers.get(index).map_or(0, |answer| answer.every_us);
    // The last probe before the phase bounds its first pause.
    let mut quiet_since =
        all.iter().map(|probe| probe.ended).filter(|ended| *ended <= from).max().unwrap_or(from);
    let mut longest = 0;
    for probe in &asked {
        longest = longest.max(probe.began.saturating_sub(quiet_since));
        quiet_since = quiet_since.max(probe.ended);
    }
    longest = longest.max(to.saturating_sub(quiet_since));
    (longest > every.saturating_add(LATE_US))
        .then(|| format!("not probed for {:.1} s of {name}", longest as f64 / 1e6))
}

/// The largest (for an upper bound) or smallest latency of a probe, counted from 1, in a phase, µs. The first answer of all is left out:
/// it pays for what nobody had asked for since the machine booted.
pub(super) fn latency(view: &View<'_>, number: usize, kind: BoundKind, phase: Phase) -> Observation {
    let Some(index) = number.checked_sub(1) else { return Observation::unseen(phase) };
    let all = probes(view, index);
    let open = hole(view, index, &all, phase);
    let heard: Vec<Probe<'_>> = all.iter().filter(|probe| probe.is_heard()).skip(1).copied().collect();
    let took = during(view, &heard, phase).into_iter().filter_map(|probe| match probe.result {
        AnswerResult::Answered { took_us } => Some(*took_us),
        AnswerResult::Late { waited_us } => Some(*waited_us),
        AnswerResult::Refused { .. } => Some(u64::MAX),
        AnswerResult::Penalised { .. } => None,
    });
    let value = match kind {
        BoundKind::Max => took.max(),
        BoundKind::Min => took.min(),
        BoundKind::MaxDelta | BoundKind::MinDelta | BoundKind::MaxRate | BoundKind::MinRate => None,
    };
    Observation { value: value.map(|us| us as f64), open }
}
