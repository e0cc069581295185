//! A record with its phases and actors looked up, shared by the judges.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use crate::cgroupfs::is_below;
use crate::metric::Column;
use crate::plan::claim::Phase;
use crate::plan::{Parent, Plan, PlannedActor};
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

    /// Whether whoever wrote the record read everything again after the stress: only then does the lack of a reading say
    /// something.
    #[must_use]
    pub fn reads_again(&self) -> bool {
        self.record.head.minor >= 1
    }

    /// When a part of the run began, µs.
    #[must_use]
    pub fn mark(&self, wanted: Mark) -> Option<u64> {
        self.marks.iter().find(|(mark, _)| *mark == wanted).map(|(_, at)| *at)
    }

    /// The edges of a phase, µs. A phase that the run never entered has none.
    #[must_use]
    pub fn window(&self, phase: Phase) -> Option<(u64, u64)> {
        let over = self.mark(Mark::Settle)?;
        match phase {
            Phase::Run => {
                let (first, last) = (self.record.samples.at_us.first()?, self.record.samples.at_us.last()?);
                let began = self.mark(Mark::Baseline).unwrap_or(*first);
                // A run is observed to its end, whether or not anybody took samples.
                Some((began.min(*first), over.max(*last)))
            }
            Phase::Baseline => Some((self.mark(Mark::Baseline)?, self.mark(Mark::Climb)?)),
            Phase::Climb => Some((self.mark(Mark::Climb)?, self.mark(Mark::Hold).unwrap_or(over))),
            Phase::Hold => Some((self.mark(Mark::Hold)?, over)),
            Phase::Stress => Some((self.mark(Mark::Climb)?, over)),
        }
    }

    /// Every readable sample of a column: its time, µs, and its value.
    #[must_use]
    pub fn readings(&self, column: Column<'_>) -> Vec<(u64, u64)> {
        self.record.samples.series(&column.to_string()).collect()
    }

    /// Samples of a metric in a phase: from the last one at or before its beginning to the first one at or after its
    /// end, so that a difference over them covers the whole phase. A gauge is judged on those inside alone.
    #[must_use]
    pub fn series(&self, column: Column<'_>, phase: Phase) -> Vec<(u64, u64)> {
        let Some((from, to)) = self.window(phase) else { return Vec::new() };
        let all = self.readings(column);
        let first = all.iter().rposition(|(at, _)| *at <= from).unwrap_or(0);
        let end = all.iter().position(|(at, _)| *at >= to).map_or(all.len(), |last| last + 1);
        all.get(first..end).map(<[_]>::to_vec).unwrap_or_default()
    }

    /// Last minus first sample of a metric over the whole run; none when it was not read twice.
    #[must_use]
    pub fn delta(&self, column: Column<'_>) -> Option<u64> {
        match self.readings(column).as_slice() {
            [(_, first), .., (_, last)] => Some(last.saturating_sub(*first)),
            _ => None,
        }
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

    /// The cgroup in which an actor was seen; none when nobody looked, wherever the plan wanted it.
    #[must_use]
    pub fn cgroup(&self, actor: &str) -> Option<&'a str> {
        self.find(|event| match event {
            Event::ActorPlaced { actor: id, cgroup, .. } if id == actor => Some(cgroup.as_str()),
            _ => None,
        })
        .map(|(_, cgroup)| cgroup)
    }

    /// The sampled cgroups that hold the one in which an actor was seen, innermost first.
    #[must_use]
    pub fn sampled_around(&self, actor: &str) -> Vec<&'a str> {
        let Some(cgroup) = self.cgroup(actor) else { return Vec::new() };
        let watched = self.plan.watched.iter().filter(|watched| is_below(cgroup, watched.cgroup.as_str()));
        let mut around: Vec<_> = watched.collect();
        around.sort_by_key(|watched| Reverse(watched.cgroup.as_str().len()));
        around.into_iter().map(|watched| watched.subject.as_str()).collect()
    }

    /// When and how an actor ended.
    #[must_use]
    pub fn end(&self, actor: &str) -> Option<(u64, ActorEnd)> {
        self.find(|event| match event {
            Event::ActorEnded { actor: id, end } if id == actor => Some(*end),
            _ => None,
        })
    }

    /// How an actor ended, as its parent knows: the main process of a service is PID 1's child, and its manager knows.
    #[must_use]
    pub fn how_it_ended(&self, actor: &PlannedActor) -> Option<(u64, ActorEnd)> {
        let (at, end) = self.end(&actor.id)?;
        let state = self.unit(&actor.unit, When::After).flatten();
        let managers =
            state.filter(|_| actor.place.parent() == Parent::Manager).and_then(|state| state.main_end);
        Some((at, managers.unwrap_or(end)))
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

    /// Why a unit was not one and the same running process from before the stress to after it; none when it was.
    #[must_use]
    pub fn not_throughout(&self, unit: &str) -> Option<String> {
        match (self.unit(unit, When::Before).flatten(), self.unit(unit, When::After).flatten()) {
            (Some(before), Some(after)) if before.active != "active" || after.active != "active" => {
                Some(format!("{unit} was {} before the stress and {} after it", before.active, after.active))
            }
            (Some(before), Some(after))
                if before.invocation_id != after.invocation_id || before.main_pid != after.main_pid =>
            {
                Some(format!("{unit} was restarted during the stress"))
            }
            (Some(_), Some(_)) => None,
            _ => Some(format!("{unit} was not seen before and after the stress")),
        }
    }

    /// The limits of each cgroup, declared or by its path, as first read.
    #[must_use]
    pub fn limits(&self) -> BTreeMap<&'a str, &'a BTreeMap<String, String>> {
        let mut limits = BTreeMap::new();
        for (_, (cgroup, values)) in self.all(|event| match event {
            Event::LimitsRead { cgroup, values } => Some((cgroup.as_str(), values)),
            _ => None,
        }) {
            limits.entry(cgroup).or_insert(values);
        }
        limits
    }

    /// The state in which an actor was seen at the end, as `/proc/PID/stat` has it.
    #[must_use]
    pub fn state(&self, actor: &str) -> Option<char> {
        self.find(|event| match event {
            Event::ActorAlive { actor: id, state, .. } if id == actor => Some(*state),
            _ => None,
        })
        .and_then(|(_, state)| state)
    }

    /// How the answers of a probe of `[protect]` went, in order: when each ended, and when it began, where that is known.
    #[must_use]
    pub fn answers(&self, index: usize) -> Vec<(u64, Option<u64>, &'a AnswerResult)> {
        self.all(|event| match event {
            Event::Answer { probe, result, began_us, .. } if *probe == index => Some((*began_us, result)),
            _ => None,
        })
        .into_iter()
        .map(|(ended, (began, result))| (ended, began, result))
        .collect()
    }

    /// Why latencies of this run are no longer the guest's own: it waited too long for processors of the machine that
    /// runs it.
    #[must_use]
    pub fn starvation(&self) -> Option<String> {
        let waited = starved(self.record)?;
        Some(format!("but the VM waited for host CPUs for {waited} % of the run"))
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
