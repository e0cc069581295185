//! Whether the run was the one that the scenario speaks of: the actors did their work, what the scenario requires and the
//! limits under test were the same after the stress, and the stress lasted for as long as the claims need.
//!
//! Each is a finding only when there is something to say. None of them fails: a run under other conditions says nothing.

use std::collections::BTreeMap;

use reports::finding::Finding;
use reports::number::{Number, Unit};
use reports::outcome::{Killer, Verdict};
use reports::units;

use super::finding::found;
use super::view::View;
use crate::cgroupfs::is_below;
use crate::plan::claim::Claim;
use crate::plan::{PlannedActor, PlannedUnit, SwapNeed};
use crate::record::Event;
use crate::record::event::{ActorEnd, Mark, When};

/// Exit code of an actor whose work several processes shared, some of which were killed.
pub(super) const SOME_WERE_KILLED: i32 = 6;
/// The id of the built-in finding that every actor did its work.
pub(super) const ACTORS: &str = "actors-at-work";
/// The id of the built-in finding that the machine and the limits stayed what they were.
pub(super) const UNCHANGED: &str = "conditions-unchanged";
/// The id of the built-in finding that the stress lasted.
pub(super) const HELD: &str = "held";

pub(super) fn judge(view: &View<'_>) -> Vec<Finding> {
    let failed: Vec<String> =
        view.plan.actors.iter().filter_map(|actor| failed_by_itself(view, actor)).collect();
    let mut changed = changed_machine(view);
    changed.extend(changed_limits(view));
    let open = |id: &str, claim: &str, expected: &str, observed: Vec<String>| {
        (!observed.is_empty())
            .then(|| found(id, claim.into(), Verdict::Inconclusive, expected.into(), observed.join("; ")))
    };
    [
        open(ACTORS, "every actor does its work", "no actor gives up or dies on its own", failed),
        open(
            UNCHANGED,
            "the machine and the limits under test stay what they were",
            "the same before and after the stress",
            changed,
        ),
        held(view),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// How an actor gave up or crashed without any killer, unless a claim says that it should.
fn failed_by_itself(view: &View<'_>, actor: &PlannedActor) -> Option<String> {
    let (_, end) = view.how_it_ended(actor)?;
    let claimed = view.plan.expectations.iter().any(|expectation| match &expectation.claim {
        Claim::Kill(claim) if claim.victim == actor.id => match end {
            ActorEnd::Exited(code) => claim.by == Killer::Exit && claim.code == Some(code),
            ActorEnd::Signalled(_) => claim.by == Killer::Signal,
            ActorEnd::Unknown => false,
        },
        _ => false,
    });
    let how = match end {
        ActorEnd::Exited(SOME_WERE_KILLED) if actor.processes > 1 => return None,
        // Somebody's kill, or a killer's, none of which sends another signal: whose it was is the attribution's business.
        ActorEnd::Exited(0)
        | ActorEnd::Unknown
        | ActorEnd::Signalled(libc::SIGKILL | libc::SIGTERM | libc::SIGINT | libc::SIGHUP) => return None,
        ActorEnd::Exited(code) => format!("exited with {code}"),
        ActorEnd::Signalled(signal) => format!("died of signal {signal}"),
    };
    let said = [Mark::Settle, Mark::Hold, Mark::Climb]
        .into_iter()
        .find_map(|mark| view.status(&actor.id, mark)?.error.clone())
        .map(|words| format!(": {words}"))
        .unwrap_or_default();
    (!claimed).then(|| format!("{} {how} on its own{said}", actor.id))
}

/// What the scenario requires of the machine and is no longer, or was not read again.
fn changed_machine(view: &View<'_>) -> Vec<String> {
    let mut words = Vec::new();
    let required = &view.plan.required;
    let before = view.record.head.host.as_ref();
    let again = view.find(|event| match event {
        Event::MachineRead { swap_total, memory_total } => Some((*swap_total, *memory_total)),
        _ => None,
    });
    if let Some(need) = required.swap {
        let then = before.and_then(|host| host.swap_total);
        match again.and_then(|(_, (swap, _))| swap) {
            Some(now) if Some(now) != then => words.push(format!(
                "swap was {} before the stress and {} after it, required is {}",
                bytes(then),
                bytes(Some(now)),
                match need {
                    SwapNeed::None => "none".to_owned(),
                    SwapNeed::AtLeast(least) => format!("at least {}", units::bytes(least.0)),
                }
            )),
            None if view.reads_again() => words.push("swap was not read again after the stress".into()),
            _ => {}
        }
    }
    if let (Some(then), Some((_, (_, Some(now))))) = (before.and_then(|host| host.memory_total), again)
        && then != now
    {
        words.push(format!(
            "MemTotal was {} before the stress and {} after it",
            units::bytes(then),
            units::bytes(now)
        ));
    }
    for unit in required.units.iter().filter(|_| view.reads_again()) {
        let active = |when| view.unit(unit, when).flatten().map(|state| state.active.as_str());
        match (active(When::Before), active(When::After)) {
            (Some("active"), Some("active")) => {}
            (then, now) => words.push(format!(
                "{unit} was {} before the stress and {} after it, required is active",
                then.unwrap_or("not seen"),
                now.unwrap_or("not seen")
            )),
        }
    }
    words
}

fn bytes(bytes: Option<u64>) -> String {
    bytes.map_or("unknown".to_owned(), units::bytes)
}

/// Limits that were one thing when the units were started and another after the stress, or were not read again although
/// their cgroup was there.
fn changed_limits(view: &View<'_>) -> Vec<String> {
    let mut readings: BTreeMap<&str, Vec<&BTreeMap<String, String>>> = BTreeMap::new();
    let settled = view.mark(Mark::Settle).unwrap_or(u64::MAX);
    let mut again = Vec::new();
    for (at, (cgroup, values)) in view.all(|event| match event {
        Event::LimitsRead { cgroup, values } => Some((cgroup.as_str(), values)),
        _ => None,
    }) {
        readings.entry(cgroup).or_default().push(values);
        if at >= settled {
            again.push(cgroup);
        }
    }
    let mut words = Vec::new();
    for (cgroup, values) in &readings {
        let Some((first, later)) = values.split_first() else { continue };
        let moved = first.iter().find_map(|(file, then)| {
            let now = later.iter().filter_map(|reading| reading.get(file)).find(|now| *now != then)?;
            Some(format!("{file} of {cgroup} was {then} before the stress and {now} after it"))
        });
        // By name, or by the path of what it went down with.
        let in_it = |unit: &PlannedUnit| *unit.name == **cgroup || is_below(cgroup, unit.cgroup.as_str());
        let gone = || view.plan.cgroups.iter().any(|unit| in_it(unit) && is_gone(view, &unit.unit));
        match moved {
            Some(moved) => words.push(moved),
            None if view.reads_again() && !again.contains(cgroup) && !first.is_empty() && !gone() => {
                words.push(format!("the limits of {cgroup} were not read again after the stress"));
            }
            None => {}
        }
    }
    words
}

/// Whether a unit went down with its processes, and its cgroup with it.
fn is_gone(view: &View<'_>, unit: &str) -> bool {
    match view.unit(unit, When::After) {
        Some(None) => true,
        Some(Some(state)) => state.active != "active",
        None => false,
    }
}

/// For how long the stress was held, where the scenario says how long it must be.
fn held(view: &View<'_>) -> Option<Finding> {
    let wanted = Some(view.plan.hold_us).filter(|us| *us > 0)?;
    let seconds = |us: u64| format!("{:.1} s", us as f64 / 1e6);
    let held = view.mark(Mark::Hold).zip(view.mark(Mark::Settle)).map(|(from, to)| to.saturating_sub(from));
    let (verdict, observed) = match held {
        Some(held) if held >= wanted => (Verdict::Pass, seconds(held)),
        Some(held) => (Verdict::Inconclusive, format!("only {}", seconds(held))),
        None => (Verdict::Inconclusive, "never".to_owned()),
    };
    let expected = format!("at least {}", seconds(wanted));
    let value = held.map(|us| us as f64);
    let number = Number::at_least("length of the hold", Unit::Microseconds, value, wanted as f64);
    let finding = found(HELD, "the stress is held".into(), verdict, expected, observed);
    Some(Finding { numbers: vec![number], ..finding })
}
