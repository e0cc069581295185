//! An actor as written → how it is started, where it is placed, and what it may take.

use super::argv::Options;
use super::size::size;
use super::units::{Made, Units, below, named, stemmed};
use super::{Expected, Place, PlanError, PlannedActor};
use crate::notation::id::UnitName;
use crate::property::{Property, PropertyName, UnitKind};
use crate::scenario::actor::{Actor, MemoryKind, Role, Text};
use crate::scenario::cgroup;

impl Units<'_> {
    pub(super) fn actor(&self, actor: &Actor, total: Option<u64>) -> Result<PlannedActor, PlanError> {
        let low = actor.balloon().and_then(|balloon| balloon.low.as_ref());
        let low = low.map(|low| size(low, self.scenario, self.memory)).transpose()?;
        let (made, place) = self.place(actor)?;
        let mut properties = Vec::new();
        if place == Place::OwnScope {
            properties.extend(self.deadline());
            if let cgroup::Place::Slice(_) = actor.place {
                // Outside the run's slice nothing of the harness's own would hold it.
                properties.push(Property::bytes(PropertyName::MemoryMax, self.caps.alone(actor, total)));
            }
        }
        let file = match &actor.role {
            Role::Writer(writer) => Some(writer.bytes.0),
            Role::Reader(reader) => Some(reader.bytes.0),
            Role::Balloon(balloon) if balloon.memory == MemoryKind::File => {
                total.map(|total| total.saturating_add(balloon.grows_by(self.scenario.deadline)))
            }
            _ => None,
        };
        let options = Options::new(actor, self.scenario.deadline, total, low);
        Ok(PlannedActor {
            id: actor.id.clone(),
            kind: actor.kind(),
            place,
            unit: made.unit,
            slice: made.slice,
            cgroup: Expected::Exactly(made.cgroup),
            properties,
            argv: options.argv(),
            processes: actor.balloon().map_or(1, |balloon| balloon.processes),
            oom_score_adj: i32::from(actor.oom_score_adjust.0),
            release: actor.release,
            delay_us: actor.delay.0,
            every_us: options.every_us(),
            total,
            file,
            cold_text: actor.balloon().is_some_and(|balloon| balloon.text == Text::Evictable),
        })
    }

    fn place(&self, actor: &Actor) -> Result<(Made, Place), PlanError> {
        let own = |slice: &UnitName, stem: String| -> Result<(Made, Place), PlanError> {
            let unit = named(format!("{stem}-{}.scope", stemmed(&actor.id)))?;
            let cgroup = below(slice, &unit)?;
            let made = Made { unit, kind: UnitKind::Scope, slice: slice.clone(), cgroup, stem };
            Ok((made, Place::OwnScope))
        };
        match &actor.place {
            cgroup::Place::Slice(slice) => own(slice, self.stem()),
            cgroup::Place::Cgroup(name) if *name == "run" => own(&self.run_slice()?, self.stem()),
            cgroup::Place::Cgroup(name) => {
                let unknown =
                    || PlanError::NoCgroup { cgroup: name.to_string(), actor: actor.id.to_string() };
                let made = self.made.get(name).cloned().ok_or_else(unknown)?;
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
}
