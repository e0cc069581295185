//! Resolves a scenario on a machine: names, cgroup paths, bytes, deadlines. Pure.

use std::collections::BTreeMap;

use super::argv::Options;
use super::caps::{Caps, page_rounded};
use super::claims;
use super::daemons;
use super::{
    Expected, Place, Plan, PlanError, PlannedActor, PlannedAnswer, PlannedProtect, PlannedRequires,
    PlannedUnit, Question, Release, UnitKind, Watchdog, Watched,
};
use crate::host::HostFacts;
use crate::notation::bytes::Bytes;
use crate::notation::limit::Limit;
use crate::notation::percent::Percent;
use crate::notation::span::Span;
use crate::scenario::Scenario;
use crate::scenario::actor::{self, Actor, Role};
use crate::scenario::cgroup::{self, Cgroup, Parent};
use crate::scenario::property::{self, DbusValue, PropertyName};
use crate::scenario::protect::AnswerTarget;
use crate::scenario::safety::Safety;
use crate::scenario::size::{LimitRef, SizeExpr};
use crate::systemd::{Property, PropertyValue};
use crate::unit_name::{PARENT, outer_slice, slice_cgroup};

/// Time between samples, µs: 20 Hz.
const SAMPLE_EVERY_US: u64 = 50_000;
/// How long PID 1 waits between SIGTERM and SIGKILL once a deadline has passed.
const STOP_WITHIN_US: u64 = 2_000_000;

/// Resolves a scenario (as written, or with a twin's changes) on a machine.
///
/// # Errors
/// When a size does not resolve here, or this systemd does not know a property.
pub fn plan(scenario: &Scenario, twin: Option<&str>, host: &HostFacts, run: &str) -> Result<Plan, PlanError> {
    let memory = Bytes(host.memory_total.ok_or(PlanError::NoMemory)?);
    let total =
        |actor: &Actor| actor.balloon().map(|balloon| size(&balloon.size, scenario, memory)).transpose();
    let totals = scenario.actors.iter().map(total).collect::<Result<Vec<_>, _>>()?;
    let caps = Caps { scenario, memory, totals: &totals };
    let mut resolver =
        Resolver { scenario, memory, run, systemd: host.systemd_version, caps, cgroups: BTreeMap::new() };
    let cgroups = resolver.cgroups()?;
    let actors = scenario.actors.iter().zip(&totals);
    let actors = actors.map(|(actor, total)| resolver.actor(actor, *total)).collect::<Result<Vec<_>, _>>()?;
    let slice = resolver.slice();
    let outer = resolver.outer()?;
    let mut watched = resolver.watched(&slice, &outer, &cgroups, &actors);
    watched.extend(daemons::at_work(scenario, host)?);
    Ok(Plan {
        run: run.to_owned(),
        scenario: scenario.id.to_string(),
        twin: twin.map(str::to_owned),
        safety: scenario.safety,
        deadline_us: scenario.deadline.0,
        baseline_us: scenario.baseline.0,
        observe_us: scenario.observe.0,
        hold_us: scenario.hold.0,
        required: PlannedRequires {
            swap: scenario.requires.swap,
            units: scenario.requires.units.iter().map(ToString::to_string).collect(),
        },
        sample_every_us: SAMPLE_EVERY_US,
        slice,
        outer,
        reached: claims::reached(&scenario.reached, scenario, memory)?,
        expectations: claims::expectations(scenario, memory, &cgroups)?,
        cgroups,
        actors,
        watched,
        protect: protect(scenario),
        daemons: daemons::followed(scenario, host, run)?,
        watchdog: watchdog(scenario.safety, memory),
    })
}

fn protect(scenario: &Scenario) -> PlannedProtect {
    PlannedProtect {
        units: scenario.protect.units.iter().map(ToString::to_string).collect(),
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

/// Bytes of a size: shares of a limit resolve against the scenario as written.
pub(super) fn size(expr: &SizeExpr, scenario: &Scenario, memory: Bytes) -> Result<u64, PlanError> {
    match expr {
        SizeExpr::Bytes(bytes) => Ok(bytes.0),
        SizeExpr::Machine(percent) => Ok(percent.of(memory.0)),
        SizeExpr::Limit(share) => percent_of_limit(share.percent, &share.of, scenario, memory),
    }
}

/// Bytes of a share of a declared limit, as the file declares it.
pub(super) fn percent_of_limit(
    percent: Percent,
    of: &LimitRef,
    scenario: &Scenario,
    memory: Bytes,
) -> Result<u64, PlanError> {
    let limit = scenario.base_limit(of).and_then(|limit| limit.resolve(memory));
    limit.map(|bytes| percent.of(bytes.0)).ok_or_else(|| PlanError::NoLimit { limit: of.to_string() })
}

/// A unit, and where it hangs.
#[derive(Clone)]
struct Made {
    unit: String,
    kind: UnitKind,
    slice: String,
    cgroup: String,
    /// What the names of scopes in it begin with.
    stem: String,
}

struct Resolver<'a> {
    scenario: &'a Scenario,
    memory: Bytes,
    run: &'a str,
    systemd: Option<u32>,
    caps: Caps<'a>,
    cgroups: BTreeMap<String, Made>,
}

impl Resolver<'_> {
    /// The declared cgroups, parents before children.
    fn cgroups(&mut self) -> Result<Vec<PlannedUnit>, PlanError> {
        let mut left: Vec<&Cgroup> = self.scenario.cgroups.iter().collect();
        let mut planned = Vec::new();
        while !left.is_empty() {
            let before = left.len();
            let mut later = Vec::new();
            for cgroup in left {
                match self.parent_slice(&cgroup.parent) {
                    Some(slice) => planned.push(self.cgroup(cgroup, &slice)?),
                    None => later.push(cgroup),
                }
            }
            if later.len() == before {
                return Err(PlanError::Loop { cgroup: later[0].id.to_string() });
            }
            left = later;
        }
        Ok(planned)
    }

    /// The slice that a declared cgroup hangs in; none while its parent is not made yet. A slice of the machine is never
    /// the parent itself: a name made of it alone could be anybody's, and nothing would cap what is in it.
    fn parent_slice(&self, parent: &Parent) -> Option<String> {
        match parent {
            Parent::Run => Some(self.run_slice()),
            Parent::Slice(unit) => Some(outer_slice(unit.as_ref(), self.run)),
            Parent::Cgroup(id) => self.cgroups.get(&**id).map(|made| made.unit.clone()),
        }
    }

    fn run_slice(&self) -> String {
        format!("{}.slice", self.stem())
    }

    /// What the names of units begin with that hang in no slice of the run's.
    fn stem(&self) -> String {
        format!("bulkhead-{}", self.run)
    }

    fn cgroup(&mut self, cgroup: &Cgroup, slice: &str) -> Result<PlannedUnit, PlanError> {
        // A dash in a slice's name would make it the child of another slice.
        let name = cgroup.id.replace('-', "_");
        let above = match &cgroup.parent {
            Parent::Cgroup(id) => self.cgroups.get(&**id).map(|made| made.stem.clone()),
            Parent::Run | Parent::Slice(_) => None,
        };
        let stem = format!("{}-{name}", above.unwrap_or_else(|| self.stem()));
        let (unit, kind) = match cgroup.unit {
            property::UnitKind::Slice => {
                (format!("{}-{name}.slice", slice.trim_end_matches(".slice")), UnitKind::Slice)
            }
            property::UnitKind::Scope => (format!("{}-{name}.scope", self.stem()), UnitKind::Scope),
            property::UnitKind::Service => (format!("{}-{name}.service", self.stem()), UnitKind::Service),
        };
        let path = if kind == UnitKind::Slice { cgroup_of_slice(&unit)? } else { below(slice, &unit)? };
        let made = Made { unit: unit.clone(), kind, slice: slice.to_owned(), cgroup: path.clone(), stem };
        self.cgroups.insert(cgroup.id.to_string(), made);
        let mut properties = cgroup
            .properties
            .iter()
            .map(|property| self.property(property))
            .collect::<Result<Vec<_>, _>>()?;
        if kind != UnitKind::Slice {
            properties.extend(self.deadline());
        }
        Ok(PlannedUnit {
            name: cgroup.id.to_string(),
            unit,
            kind,
            slice: slice.to_owned(),
            cgroup: path,
            properties,
            limits: limits(&cgroup.properties, self.memory),
        })
    }

    fn property(&self, property: &property::Property) -> Result<Property, PlanError> {
        let since = property.name.info().since;
        if let Some(version) = self.systemd
            && version < since
        {
            return Err(PlanError::TooOld { property: property.name.to_string(), since, version });
        }
        let (name, value) = property.dbus();
        let value = match value {
            DbusValue::U64(value) => PropertyValue::U64(value),
            DbusValue::U32(value) => PropertyValue::U32(value),
            DbusValue::Text(value) => PropertyValue::Str(value.to_owned()),
        };
        Ok(Property { name, value })
    }

    /// PID 1 ends the unit by itself, also when the harness is dead.
    fn deadline(&self) -> [Property; 2] {
        [
            Property::new("RuntimeMaxUSec", self.scenario.deadline.0),
            Property::new("TimeoutStopUSec", STOP_WITHIN_US),
        ]
    }

    fn actor(&self, actor: &Actor, total: Option<u64>) -> Result<PlannedActor, PlanError> {
        let low = match actor.balloon().and_then(|balloon| balloon.low.as_ref()) {
            Some(low) => Some(size(low, self.scenario, self.memory)?),
            None => None,
        };
        let made = self.place(actor)?;
        let invalid = |source| PlanError::NoSlice { unit: made.0.unit.clone(), source };
        let cgroup = made.0.cgroup.parse().map_err(invalid)?;
        let mut properties = Vec::new();
        if made.1 == Place::OwnScope {
            properties.extend(self.deadline());
            if let cgroup::Place::Slice(_) = actor.place {
                // Outside the run's slice nothing of the harness's own would hold it.
                properties.push(Property::new("MemoryMax", self.caps.alone(actor, total)));
            }
        }
        let file = match &actor.role {
            Role::Writer(writer) => Some(writer.bytes.0),
            Role::Reader(reader) => Some(reader.bytes.0),
            Role::Balloon(balloon) if balloon.memory == actor::MemoryKind::File => {
                total.map(|total| total.saturating_add(grown(balloon, self.scenario.deadline)))
            }
            _ => None,
        };
        let options = Options::new(actor, self.scenario.deadline, total, low);
        Ok(PlannedActor {
            id: actor.id.to_string(),
            kind: actor.kind().to_string(),
            place: made.1,
            unit: made.0.unit,
            slice: made.0.slice,
            cgroup: Expected::Exactly(cgroup),
            properties,
            argv: options.argv(),
            oom_score_adj: i32::from(actor.oom_score_adjust.0),
            release: match actor.release {
                actor::Release::Baseline => Release::Baseline,
                actor::Release::Stress => Release::Stress,
            },
            delay_us: actor.delay.0,
            every_us: options.every_us(),
            total,
            file,
            cold_text: actor.balloon().is_some_and(|balloon| balloon.text == actor::Text::Evictable),
        })
    }

    fn place(&self, actor: &Actor) -> Result<(Made, Place), PlanError> {
        let id = actor.id.replace('-', "_");
        let own = |slice: &str, stem: String| -> Result<(Made, Place), PlanError> {
            let unit = format!("{stem}-{id}.scope");
            let cgroup = below(slice, &unit)?;
            Ok((Made { unit, kind: UnitKind::Scope, slice: slice.to_owned(), cgroup, stem }, Place::OwnScope))
        };
        match &actor.place {
            cgroup::Place::Slice(slice) => own(slice.as_ref(), self.stem()),
            cgroup::Place::Cgroup(name) if *name == "run" => own(&self.run_slice(), self.stem()),
            cgroup::Place::Cgroup(name) => {
                let unknown =
                    || PlanError::NoCgroup { cgroup: name.to_string(), actor: actor.id.to_string() };
                let made = self.cgroups.get(&**name).cloned().ok_or_else(unknown)?;
                match made.kind {
                    UnitKind::Slice => own(&made.unit, made.stem),
                    UnitKind::Scope => Ok((made, Place::SharedScope)),
                    UnitKind::Service => {
                        let mut members =
                            self.scenario.actors.iter().filter(|other| other.place == actor.place);
                        let main = members.next().is_some_and(|first| first.id == actor.id);
                        Ok((made, if main { Place::ServiceMain } else { Place::InService }))
                    }
                }
            }
        }
    }

    /// The slice around the run.
    fn slice(&self) -> PlannedUnit {
        let unit = self.run_slice();
        let cgroup = format!("/{PARENT}/{unit}");
        self.capped("run".into(), unit, cgroup, PARENT, &Parent::Run)
    }

    /// The slices that the harness puts between slices of the machine and what is declared in them, one for each.
    fn outer(&self) -> Result<Vec<PlannedUnit>, PlanError> {
        let mut outer: Vec<PlannedUnit> = Vec::new();
        for cgroup in &self.scenario.cgroups {
            let Parent::Slice(slice) = &cgroup.parent else { continue };
            let unit = outer_slice(slice.as_ref(), self.run);
            if outer.iter().all(|known| known.unit != unit) {
                let path = cgroup_of_slice(&unit)?;
                let name = format!("run@{slice}");
                outer.push(self.capped(name, unit, path, slice.as_ref(), &cgroup.parent));
            }
        }
        Ok(outer)
    }

    /// A slice with a cap of the harness's own around everything in it; without one in a destructive scenario.
    fn capped(
        &self,
        name: String,
        unit: String,
        cgroup: String,
        slice: &str,
        parent: &Parent,
    ) -> PlannedUnit {
        let cap = (self.scenario.safety != Safety::Destructive).then(|| self.caps.around(parent));
        PlannedUnit {
            name,
            unit,
            kind: UnitKind::Slice,
            slice: slice.to_owned(),
            cgroup,
            properties: cap.map(|cap| Property::new("MemoryMax", cap)).into_iter().collect(),
            limits: cap.map(|cap| ("memory.max".to_owned(), cap.to_string())).into_iter().collect(),
        }
    }

    /// The sampled cgroups: the harness's own slices, the declared ones, and the slices of the machine that actors live in.
    fn watched(
        &self,
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
            let held = watched.iter().any(|watched| is_below(actor.cgroup.path().as_str(), &watched.cgroup));
            if let (false, Ok(cgroup)) = (held, cgroup_of_slice(&actor.slice)) {
                watched.push(Watched { subject: actor.slice.clone(), cgroup });
            }
        }
        watched
    }
}

/// What a balloon takes on top of its size until PID 1 ends it, bytes.
fn grown(balloon: &actor::Balloon, deadline: Span) -> u64 {
    match (balloon.profile, balloon.rate) {
        (actor::Profile::Grow, Some(rate)) => rate.0.saturating_mul(deadline.0.div_ceil(1_000_000)),
        (actor::Profile::Grow, None) => u64::MAX,
        (actor::Profile::Ramp | actor::Profile::Plateau | actor::Profile::Sawtooth, _) => 0,
    }
}

fn is_below(path: &str, root: &str) -> bool {
    path == root || path.strip_prefix(root).is_some_and(|rest| rest.starts_with('/'))
}

fn cgroup_of_slice(unit: &str) -> Result<String, PlanError> {
    let path = slice_cgroup(unit).map_err(|source| PlanError::NoSlice { unit: unit.to_owned(), source })?;
    Ok(path.as_str().to_owned())
}

pub(super) fn below(slice: &str, unit: &str) -> Result<String, PlanError> {
    Ok(format!("{}/{unit}", cgroup_of_slice(slice)?.trim_end_matches('/')))
}

/// Kernel files and what they must hold once the unit runs.
fn limits(properties: &[property::Property], memory: Bytes) -> Vec<(String, String)> {
    let files = [
        (PropertyName::MemoryMin, "memory.min"),
        (PropertyName::MemoryLow, "memory.low"),
        (PropertyName::MemoryHigh, "memory.high"),
        (PropertyName::MemoryMax, "memory.max"),
        (PropertyName::MemorySwapMax, "memory.swap.max"),
    ];
    files
        .into_iter()
        .filter_map(|(name, file)| {
            let limit = properties.iter().find(|property| property.name == name)?.limit()?;
            let text = match limit {
                Limit::Infinity => "max".to_owned(),
                other => page_rounded(other.resolve(memory)?.0).to_string(),
            };
            Some((file.to_owned(), text))
        })
        .collect()
}
