//! A record with its phases and actors looked up, shared by the judges.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use super::attribution::kernel_log::death_of;
use super::is_below;
use crate::earlyoom::{Selection, is_dry_run, selection};
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

/// An OOM killer in user space.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Daemon {
    /// systemd-oomd.
    SystemdOomd,
    /// earlyoom.
    Earlyoom,
}

impl Daemon {
    /// Its name in a record.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::SystemdOomd => "systemd-oomd",
            Self::Earlyoom => "earlyoom",
        }
    }
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
        let watched = self.plan.watched.iter().filter(|watched| is_below(cgroup, &watched.cgroup));
        let mut around: Vec<_> = watched.collect();
        around.sort_by_key(|watched| Reverse(watched.cgroup.len()));
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

    /// Whether the logs of the followed daemons were read to their end: only then does their silence say something.
    #[must_use]
    pub fn daemon_logs_read(&self) -> bool {
        self.find(|event| matches!(event, Event::DaemonLogRead { .. }).then_some(())).is_some()
    }

    /// What a daemon logged, in order, whichever of its units it was.
    #[must_use]
    pub fn daemon_lines(&self, wanted: Daemon) -> Vec<&'a str> {
        self.lines_by_unit(wanted).into_iter().map(|(_, line)| line).collect()
    }

    /// What a daemon logged, in order, with the unit that logged it, where that is known.
    #[must_use]
    pub fn lines_by_unit(&self, wanted: Daemon) -> Vec<(Option<&'a str>, &'a str)> {
        self.all(|event| match event {
            Event::DaemonLine { daemon, unit, line } if daemon == wanted.name() => {
                Some((unit.as_deref(), line.as_str()))
            }
            _ => None,
        })
        .into_iter()
        .map(|(_, line)| line)
        .collect()
    }

    /// What the earlyooms that kill logged, in order. A dry run chooses and kills nobody, and speaks for no other.
    #[must_use]
    pub fn armed_earlyoom_lines(&self) -> Vec<(Option<&'a str>, &'a str)> {
        let lines = self.lines_by_unit(Daemon::Earlyoom);
        let dry: Vec<Option<&str>> =
            lines.iter().filter(|(_, line)| is_dry_run(line)).map(|(unit, _)| *unit).collect();
        lines.into_iter().filter(|(unit, _)| !dry.contains(unit)).collect()
    }

    /// Whom earlyoom says it killed, with its line.
    #[must_use]
    pub fn earlyoom_kills(&self) -> Vec<(&'a str, Selection)> {
        let lines = self.armed_earlyoom_lines().into_iter();
        lines.filter_map(|(_, line)| Some((line, selection(line)?))).collect()
    }

    /// The units under which a daemon runs in this run, and whether it must still run when the stress is over.
    fn units_of(&self, daemon: Daemon) -> Vec<(&'a str, bool)> {
        let daemons = &self.plan.daemons;
        let own = daemons.earlyoom.as_ref().map(|own| (own.unit.as_str(), own.for_us.is_none()));
        match daemon {
            Daemon::SystemdOomd => daemons.oomd.then_some((crate::oomd::UNIT, true)).into_iter().collect(),
            Daemon::Earlyoom => daemons
                .machine_earlyoom
                .then_some((crate::earlyoom::UNIT, true))
                .into_iter()
                .chain(own)
                .collect(),
        }
    }

    /// Why the silence of a daemon says nothing; none when it does not run, or was heard to the end of the stress.
    #[must_use]
    pub fn unheard(&self, daemon: Daemon) -> Option<String> {
        let units = self.units_of(daemon);
        if units.is_empty() {
            let host = self.record.head.host.as_ref();
            let active = host.and_then(|host| match daemon {
                Daemon::SystemdOomd => host.systemd_oomd_active,
                Daemon::Earlyoom => host.earlyoom_active,
            });
            return active.is_none().then(|| format!("whether {} runs could not be learnt", daemon.name()));
        }
        if !self.daemon_logs_read() {
            return Some("its log could not be read".into());
        }
        let muted = self.find(|event| match event {
            Event::DaemonMuted { unit, why } if units.iter().any(|(of, _)| of == unit) => {
                Some(format!("{unit} could not be heard: {why}"))
            }
            _ => None,
        });
        muted.map(|(_, why)| why).or_else(|| {
            let lasting = units.iter().filter(|(_, lasts)| *lasts && self.reads_again());
            lasting.map(|(unit, _)| *unit).find_map(|unit| self.not_throughout(unit))
        })
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
                Some(format!("{unit} was started again in the stress"))
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

    /// The process id of an actor that was seen running at the end. What the kernel logged and an end that was seen
    /// outrank a look.
    #[must_use]
    pub fn alive(&self, actor: &str) -> Option<u32> {
        let (at, (pid, state)) = self.find(|event| match event {
            Event::ActorAlive { actor: id, pid, state } if id == actor => Some((*pid, *state)),
            _ => None,
        })?;
        let exited = matches!(state, Some('Z' | 'X' | 'x'));
        let ended = self.end(actor).is_some();
        let killed = self.actor(actor).is_some_and(|actor| death_of(self, actor, Some(at)).is_some());
        (!exited && !ended && !killed).then_some(pid)
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
