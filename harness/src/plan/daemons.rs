//! The OOM killers in user space that are followed: those that run, that a claim speaks of, or that the scenario brings.

use reports::outcome::Killer;
use serde::{Deserialize, Serialize};

use super::units::{below, named};
use super::{Moment, PlanError, Watched};
use crate::cgroupfs::CgroupPath;
use crate::host::HostFacts;
use crate::killer::{self, Daemon};
use crate::notation::id::UnitName;
use crate::property::{Property, PropertyName, PropertyValue};
use crate::scenario::Scenario;

/// The slice of the daemons of a machine.
const SLICE: &str = "system.slice";

/// An OOM killer in user space that is followed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PlannedDaemon {
    /// Which one.
    pub killer: Killer,
    /// Its unit.
    pub unit: UnitName,
    /// How the run starts it; none for the machine's own.
    pub start: Option<Start>,
}

/// How the run starts a killer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Start {
    /// The slice of its unit.
    pub slice: UnitName,
    /// Its cgroup, from the root.
    pub cgroup: CgroupPath,
    /// Its deadline and cap.
    pub properties: Vec<Property>,
    /// Program and arguments.
    pub argv: Vec<String>,
    /// When it starts.
    pub release: Moment,
    /// When it is stopped again after its start, µs.
    pub for_us: Option<u64>,
}

/// All that are followed.
pub(super) fn followed(
    scenario: &Scenario,
    host: &HostFacts,
    run: &str,
) -> Result<Vec<PlannedDaemon>, PlanError> {
    let mut all = Vec::new();
    for daemon in killer::ALL {
        if runs(daemon, host) || speaks_of_the_machines(scenario, daemon) {
            let unit = named(daemon.unit.into())?;
            all.push(PlannedDaemon { killer: daemon.killer, unit, start: None });
        }
        all.extend(own(scenario, daemon, run)?);
    }
    Ok(all)
}

/// The cgroups of those that run and that a claim speaks of: they use the CPU for as long as they do their work.
pub(super) fn at_work(scenario: &Scenario, host: &HostFacts) -> Result<Vec<Watched>, PlanError> {
    let working = killer::ALL.into_iter();
    let working = working.filter(|daemon| runs(daemon, host) && speaks_of_the_machines(scenario, daemon));
    let watched = |daemon: &Daemon| {
        let unit = named(daemon.unit.into())?;
        let cgroup = below(&named(SLICE.into())?, &unit)?;
        Ok(Watched { subject: (&unit).into(), cgroup })
    };
    working.map(watched).collect()
}

fn runs(daemon: &Daemon, host: &HostFacts) -> bool {
    host.killers.get(&daemon.killer) == Some(&true)
}

/// Whether a claim speaks of the machine's own: where the scenario brings one, that one is meant.
fn speaks_of_the_machines(scenario: &Scenario, daemon: &Daemon) -> bool {
    scenario.own_killer(daemon.killer).is_none()
        && scenario.expects.iter().any(|expect| expect.claim.daemon() == Some(daemon.killer))
}

fn own(scenario: &Scenario, daemon: &Daemon, run: &str) -> Result<Option<PlannedDaemon>, PlanError> {
    let Some(own) = scenario.own_killer(daemon.killer) else { return Ok(None) };
    let unit = named(format!("bulkhead-{run}-{}.service", daemon.killer))?;
    let slice = named(SLICE.into())?;
    let start = Start {
        cgroup: below(&slice, &unit)?,
        slice,
        properties: vec![
            Property::span(PropertyName::RuntimeMaxSec, scenario.deadline),
            Property::bytes(PropertyName::MemoryMax, own.memory_max),
            // As distributions ship them: the killer must be able to act when memory is gone.
            Property { name: PropertyName::OOMScoreAdjust, value: PropertyValue::OomScore(-100) },
        ],
        argv: own.argv.clone(),
        release: own.release,
        for_us: own.duration.map(|span| span.0),
    };
    Ok(Some(PlannedDaemon { killer: daemon.killer, unit, start: Some(start) }))
}
