//! Resolves a scenario on a machine: names, cgroup paths, bytes, deadlines. Pure.

use std::collections::BTreeMap;

use super::caps::Caps;
use super::claim::{self, Ground};
use super::daemons;
use super::size::size;
use super::units::{Units, slice_path};
use super::{
    Plan, PlanError, PlannedActor, PlannedAnswer, PlannedProtect, PlannedRequires, PlannedUnit, Question,
    Watchdog, Watched,
};
use crate::host::HostFacts;
use crate::notation::bytes::Bytes;
use crate::scenario::Scenario;
use crate::scenario::actor::Actor;
use crate::scenario::protect::AnswerTarget;
use crate::scenario::safety::Safety;

/// Time between samples, µs: 20 Hz.
const SAMPLE_EVERY_US: u64 = 50_000;

/// Resolves a scenario (as written, or with a twin's changes) on a machine.
///
/// # Errors
/// When a size does not resolve here, or this systemd does not know a property.
pub fn plan(scenario: &Scenario, host: &HostFacts, run: &str) -> Result<Plan, PlanError> {
    let memory = Bytes(host.memory_total.ok_or(PlanError::NoMemory)?);
    let total =
        |actor: &Actor| actor.balloon().map(|balloon| size(&balloon.size, scenario, memory)).transpose();
    let totals = scenario.actors.iter().map(total).collect::<Result<Vec<_>, _>>()?;
    let caps = Caps { scenario, memory, totals: &totals };
    let mut units =
        Units { scenario, memory, run, systemd: host.systemd_version, caps, made: BTreeMap::new() };
    let cgroups = units.declared()?;
    let actors = scenario.actors.iter().zip(&totals);
    let actors = actors.map(|(actor, total)| units.actor(actor, *total)).collect::<Result<Vec<_>, _>>()?;
    let slice = units.slice()?;
    let outer = units.outer()?;
    let ground = Ground { scenario, memory, cgroups: &cgroups };
    let (reached, expectations) = (claim::reached(ground)?, claim::expectations(ground)?);
    let mut watched = watched(&slice, &outer, &cgroups, &actors);
    watched.extend(daemons::at_work(scenario, host)?);
    Ok(Plan {
        run: run.to_owned(),
        scenario: scenario.id.clone(),
        twin: scenario.variant.clone(),
        safety: scenario.safety,
        deadline_us: scenario.deadline.0,
        baseline_us: scenario.baseline.0,
        observe_us: scenario.observe.0,
        hold_us: scenario.hold.0,
        enough_us: scenario.enough.map(|enough| enough.0),
        required: PlannedRequires { swap: scenario.requires.swap, units: scenario.requires.units.clone() },
        sample_every_us: SAMPLE_EVERY_US,
        slice,
        outer,
        reached,
        expectations,
        cgroups,
        actors,
        watched,
        protect: protect(scenario),
        daemons: daemons::followed(scenario, host, run)?,
        watchdog: watchdog(scenario.safety, memory),
    })
}

/// The sampled cgroups: the harness's own slices, the declared ones, and the slices of the machine that actors live in.
fn watched(
    slice: &PlannedUnit,
    outer: &[PlannedUnit],
    cgroups: &[PlannedUnit],
    actors: &[PlannedActor],
) -> Vec<Watched> {
    let watch = |unit: &PlannedUnit| Watched { subject: unit.name.clone(), cgroup: unit.cgroup.clone() };
    let mut watched: Vec<Watched> = cgroups.iter().map(watch).collect();
    watched.push(watch(slice));
    watched.extend(outer.iter().map(watch));
    for actor in actors {
        let held = watched.iter().any(|watched| watched.cgroup.contains(actor.cgroup.path()));
        if let (false, Ok(cgroup)) = (held, slice_path(&actor.slice)) {
            watched.push(Watched { subject: (&actor.slice).into(), cgroup });
        }
    }
    watched
}

fn protect(scenario: &Scenario) -> PlannedProtect {
    PlannedProtect {
        units: scenario.protect.units.clone(),
        answers: scenario
            .protect
            .answer
            .iter()
            .map(|answer| PlannedAnswer {
                target: answer.target.to_string(),
                question: match &answer.target {
                    AnswerTarget::TcpBanner(_) => Question::TcpBanner,
                    AnswerTarget::SshLogin(_) => Question::SshLogin,
                },
                address: match &answer.target {
                    AnswerTarget::TcpBanner(address) | AnswerTarget::SshLogin(address) => address.0,
                },
                within_us: answer.within.0,
                every_us: answer.every.0,
            })
            .collect(),
    }
}

/// Floors and ceilings by what the scenario may do. A destructive one runs on a disposable machine only: there is
/// nothing to save, and stopping it would hide what it shows.
fn watchdog(safety: Safety, memory: Bytes) -> Watchdog {
    let percent = |share: u64| memory.0 / 100 * share;
    match safety {
        Safety::Contained | Safety::Pressure => Watchdog {
            min_available: percent(5),
            max_full_percent: 80,
            full_counts_below: percent(20),
            max_silence_us: 2_000_000,
        },
        Safety::Destructive => Watchdog {
            min_available: 0,
            max_full_percent: 100,
            full_counts_below: 0,
            max_silence_us: 120_000_000,
        },
    }
}
