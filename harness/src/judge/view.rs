//! A record with its phases and actors looked up, shared by the judges.

use crate::earlyoom::{Selection, is_dry_run, selection};
use crate::plan::claim::Phase;
use crate::plan::{Plan, PlannedActor};
use crate::record::event::{ActorEnd, ActorStatus, AnswerResult, Mark, UnitState, When};
use crate::record::{Event, Record};

/// A guest whose threads together waited for a processor for this share of the run has latencies that are the host's.
const STARVED_PERCENT: u64 = 50;

/// The share of time for which the guest waited for a processor of the machine that runs it, percent, when that is so
/// much that its latencies are no longer its own.
pub(crate) fn starved(record: &Record) -> Option<u64> {
    let waited = record.head.guest.as_ref()?.waited_percent?;
    (waited >= STARVED_PERCENT).then_some(waited)
}

/// A record as the judges look at it.
#[derive(Debug)]
pub struct View<'a> {
    /// The record.
    pub record: &'a Record,
    /// Its plan.
    pub plan: &'a Plan,
    marks: Vec<(Mark, u64)>,
}

impl<'a> View<'a> {
    /// Looks up the phase marks.
    #[must_use]
    pub fn new(record: &'a Record, plan: &'a Plan) -> Self {
        let marks = record
            .events
            .iter()
            .filter_map(|stamped| match stamped.event {
                Event::Phase { phase } => Some((phase, stamped.at_us)),
                _ => None,
            })
            .collect();
        Self { record, plan, marks }
    }

    /// When a part of the run began, µs.
    #[must_use]
    pub fn mark(&self, wanted: Mark) -> Option<u64> {
        self.marks.iter().find(|(mark, _)| *mark == wanted).map(|(_, at)| *at)
    }

    /// The phase marks in order.
    #[must_use]
    pub fn marks(&self) -> &[(Mark, u64)] {
        &self.marks
    }

    /// The edges of a phase, µs. A phase that the run never entered has none.
    #[must_use]
    pub fn window(&self, phase: Phase) -> Option<(u64, u64)> {
        let over = self.mark(Mark::Settle)?;
        match phase {
            Phase::Run => Some((*self.record.samples.at_us.first()?, *self.record.samples.at_us.last()?)),
            Phase::Baseline => Some((self.mark(Mark::Baseline)?, self.mark(Mark::Climb)?)),
            Phase::Climb => Some((self.mark(Mark::Climb)?, self.mark(Mark::Hold).unwrap_or(over))),
            Phase::Hold => Some((self.mark(Mark::Hold)?, over)),
            Phase::Stress => Some((self.mark(Mark::Climb)?, over)),
        }
    }

    /// Samples of a metric in a phase: from the last one at or before its beginning to the first one at or after its
    /// end, so that a difference over them covers the whole phase. A gauge is judged on those inside alone.
    #[must_use]
    pub fn series(&self, metric: &str, phase: Phase) -> Vec<(u64, u64)> {
        let Some((from, to)) = self.window(phase) else { return Vec::new() };
        let all: Vec<(u64, u64)> = self.record.samples.series(metric).collect();
        let first = all.iter().rposition(|(at, _)| *at <= from).unwrap_or(0);
        let end = all.iter().position(|(at, _)| *at >= to).map_or(all.len(), |last| last + 1);
        all.get(first..end).map(<[_]>::to_vec).unwrap_or_default()
    }

    /// Last minus first sample of a metric over the whole run; none when it was not read twice.
    #[must_use]
    pub fn delta(&self, metric: &str) -> Option<u64> {
        let mut series = self.record.samples.series(metric);
        let (_, first) = series.next()?;
        let (_, last) = series.last()?;
        Some(last.saturating_sub(first))
    }

    /// The last sample of a metric.
    #[must_use]
    pub fn last(&self, metric: &str) -> Option<u64> {
        self.record.samples.series(metric).last().map(|(_, value)| value)
    }

    /// The actor of the plan with this id.
    #[must_use]
    pub fn actor(&self, id: &str) -> Option<&'a PlannedActor> {
        self.plan.actors.iter().find(|actor| actor.id == id)
    }

    /// The process id of an actor, once it was placed.
    #[must_use]
    pub fn pid(&self, actor: &str) -> Option<u32> {
        self.find(|event| match event {
            Event::ActorPlaced { actor: id, pid, .. } if id == actor => Some(*pid),
            _ => None,
        })
        .map(|(_, pid)| pid)
    }

    /// When and how an actor ended.
    #[must_use]
    pub fn end(&self, actor: &str) -> Option<(u64, ActorEnd)> {
        self.find(|event| match event {
            Event::ActorEnded { actor: id, end } if id == actor => Some(*end),
            _ => None,
        })
    }

    /// The status page of an actor at an edge.
    #[must_use]
    pub fn status(&self, actor: &str, mark: Mark) -> Option<&'a ActorStatus> {
        self.record.events.iter().find_map(|stamped| match &stamped.event {
            Event::ActorStatus { actor: id, at, status } if id == actor && *at == mark => Some(status),
            _ => None,
        })
    }

    /// The state of a unit before or after; the outer `Option` tells whether it was asked.
    #[must_use]
    pub fn unit(&self, unit: &str, wanted: When) -> Option<Option<&'a UnitState>> {
        self.record.events.iter().find_map(|stamped| match &stamped.event {
            Event::Unit { unit: name, when, state } if name == unit && *when == wanted => {
                Some(state.as_ref())
            }
            _ => None,
        })
    }

    /// The first event that `pick` accepts.
    pub fn find<T>(&self, pick: impl Fn(&'a Event) -> Option<T>) -> Option<(u64, T)> {
        self.record.events.iter().find_map(|stamped| Some((stamped.at_us, pick(&stamped.event)?)))
    }

    /// Everything that `pick` accepts, in order.
    pub fn all<T>(&self, pick: impl Fn(&'a Event) -> Option<T>) -> Vec<(u64, T)> {
        self.record.events.iter().filter_map(|stamped| Some((stamped.at_us, pick(&stamped.event)?))).collect()
    }

    /// Whether the logs of the followed daemons were read to their end: only then does their silence say something.
    #[must_use]
    pub fn daemon_logs_read(&self) -> bool {
        self.find(|event| matches!(event, Event::DaemonLogRead { .. }).then_some(())).is_some()
    }

    /// What a daemon logged, in order.
    #[must_use]
    pub fn daemon_lines(&self, wanted: &str) -> Vec<&'a str> {
        self.all(|event| match event {
            Event::DaemonLine { daemon, line, .. } if daemon == wanted => Some(line.as_str()),
            _ => None,
        })
        .into_iter()
        .map(|(_, line)| line)
        .collect()
    }

    /// Whom earlyoom says it killed, with its line. A dry run chooses and kills nobody.
    #[must_use]
    pub fn earlyoom_kills(&self) -> Vec<(&'a str, Selection)> {
        let lines = self.daemon_lines("earlyoom");
        if lines.iter().any(|line| is_dry_run(line)) {
            return Vec::new();
        }
        lines.into_iter().filter_map(|line| Some((line, selection(line)?))).collect()
    }

    /// The process id of an actor that was seen running at the end.
    #[must_use]
    pub fn alive(&self, actor: &str) -> Option<u32> {
        self.find(|event| match event {
            Event::ActorAlive { actor: id, pid, .. } if id == actor => Some(*pid),
            _ => None,
        })
        .map(|(_, pid)| pid)
    }

    /// How the answers of a probe of `[protect]` went, and when, in order.
    #[must_use]
    pub fn answers(&self, index: usize) -> Vec<(u64, &'a AnswerResult)> {
        self.all(|event| match event {
            Event::Answer { probe, result, .. } if *probe == index => Some(result),
            _ => None,
        })
    }

    /// Why latencies of this run are no longer the guest's own: it waited too long for processors of the machine that
    /// runs it.
    #[must_use]
    pub fn starvation(&self) -> Option<String> {
        let waited = starved(self.record)?;
        Some(format!("but for {waited} % of the run the VM waited for processors of its host"))
    }

    /// How complete the kernel log of the run is.
    #[must_use]
    pub fn kernel_log(&self) -> KernelLog {
        let lost: u64 = self
            .all(|event| match event {
                Event::KernelLogLost { records } => Some(*records),
                _ => None,
            })
            .iter()
            .map(|(_, records)| records)
            .sum();
        let unavailable = self.find(|event| match event {
            Event::KernelLogUnavailable { reason } => Some(reason.clone()),
            _ => None,
        });
        let drained = self.find(|event| matches!(event, Event::KernelLogDrained { .. }).then_some(()));
        match (unavailable, drained) {
            (Some((_, reason)), _) => KernelLog::Unavailable(reason),
            (None, None) => KernelLog::Unavailable("it was not read to its end".into()),
            (None, Some(_)) if lost > 0 => KernelLog::Lost(lost),
            (None, Some(_)) => KernelLog::Complete,
        }
    }
}

/// How complete the kernel log of a run is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KernelLog {
    /// Every record from before the stress to after it was read.
    Complete,
    /// This many records were overwritten before they could be read.
    Lost(u64),
    /// It could not be read.
    Unavailable(String),
}
