//! The units that a run makes for itself and for what a scenario declares: their names, where they hang, what they get.

use std::collections::BTreeMap;

use super::caps::Caps;
use super::{CgroupName, PlanError, PlannedUnit};
use crate::cgroupfs::CgroupPath;
use crate::notation::bytes::Bytes;
use crate::notation::id::{Id, UnitName};
use crate::notation::span::Span;
use crate::property::{Property, PropertyName, UnitKind};
use crate::scenario::Scenario;
use crate::scenario::cgroup::{Cgroup, Parent};
use crate::scenario::safety::Safety;
use crate::unit_name::{PARENT, outer_slice, slice_cgroup};

/// How long PID 1 waits between SIGTERM and SIGKILL once a deadline has passed.
const STOP_WITHIN: Span = Span::seconds(2);

/// A unit, and where it hangs.
#[derive(Debug, Clone)]
pub(super) struct Made {
    pub(super) unit: UnitName,
    pub(super) kind: UnitKind,
    pub(super) slice: UnitName,
    pub(super) cgroup: CgroupPath,
    /// What the names of scopes in it begin with.
    pub(super) stem: String,
}

/// The units of a run as they are named one after the other.
pub(super) struct Units<'a> {
    pub(super) scenario: &'a Scenario,
    pub(super) memory: Bytes,
    pub(super) run: &'a str,
    pub(super) systemd: Option<u32>,
    pub(super) caps: Caps<'a>,
    /// The declared cgroups that are named by now.
    pub(super) made: BTreeMap<Id, Made>,
}

impl Units<'_> {
    /// The declared cgroups, parents before children.
    pub(super) fn declared(&mut self) -> Result<Vec<PlannedUnit>, PlanError> {
        let mut left: Vec<&Cgroup> = self.scenario.cgroups.iter().collect();
        let mut planned = Vec::new();
        while !left.is_empty() {
            let before = left.len();
            let mut later = Vec::new();
            for cgroup in left {
                match self.parent_slice(&cgroup.parent)? {
                    Some(slice) => planned.push(self.cgroup(cgroup, slice)?),
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
    fn parent_slice(&self, parent: &Parent) -> Result<Option<UnitName>, PlanError> {
        match parent {
            Parent::Run => self.run_slice().map(Some),
            Parent::Slice(slice) => named(outer_slice(slice, self.run)).map(Some),
            Parent::Cgroup(id) => Ok(self.made.get(id).map(|made| made.unit.clone())),
        }
    }

    pub(super) fn run_slice(&self) -> Result<UnitName, PlanError> {
        named(format!("{}.slice", self.stem()))
    }

    /// What the names of units begin with that hang in no slice of the run's.
    pub(super) fn stem(&self) -> String {
        format!("bulkhead-{}", self.run)
    }

    fn cgroup(&mut self, cgroup: &Cgroup, slice: UnitName) -> Result<PlannedUnit, PlanError> {
        let name = stemmed(&cgroup.id);
        let above = match &cgroup.parent {
            Parent::Cgroup(id) => self.made.get(id).map(|made| made.stem.clone()),
            Parent::Run | Parent::Slice(_) => None,
        };
        let stem = format!("{}-{name}", above.unwrap_or_else(|| self.stem()));
        let unit = named(match cgroup.unit {
            UnitKind::Slice => format!("{}-{name}.slice", slice.trim_end_matches(".slice")),
            kind @ (UnitKind::Scope | UnitKind::Service) => format!("{}-{name}.{kind}", self.stem()),
        })?;
        let (path, deadline) = match cgroup.unit {
            UnitKind::Slice => (slice_path(&unit)?, None),
            UnitKind::Scope | UnitKind::Service => (below(&slice, &unit)?, Some(self.deadline())),
        };
        let made =
            Made { unit: unit.clone(), kind: cgroup.unit, slice: slice.clone(), cgroup: path.clone(), stem };
        self.made.insert(cgroup.id.clone(), made);
        cgroup.properties.iter().try_for_each(|property| self.is_known(property))?;
        let mut limits: Vec<_> =
            cgroup.properties.iter().filter_map(|property| property.held(self.memory)).collect();
        limits.sort_unstable_by_key(|(file, _)| *file);
        Ok(PlannedUnit {
            name: (&cgroup.id).into(),
            unit,
            kind: cgroup.unit,
            slice,
            cgroup: path,
            properties: cgroup.properties.iter().cloned().chain(deadline.into_iter().flatten()).collect(),
            limits,
        })
    }

    /// Whether this systemd has a property.
    fn is_known(&self, property: &Property) -> Result<(), PlanError> {
        let since = property.name.info().since;
        match self.systemd {
            Some(version) if version < since => {
                Err(PlanError::TooOld { property: property.name.to_string(), since, version })
            }
            _ => Ok(()),
        }
    }

    /// PID 1 ends the unit by itself, also when the harness is dead.
    pub(super) fn deadline(&self) -> [Property; 2] {
        [
            Property::span(PropertyName::RuntimeMaxSec, self.scenario.deadline),
            Property::span(PropertyName::TimeoutStopSec, STOP_WITHIN),
        ]
    }

    /// The slice around the run.
    pub(super) fn slice(&self) -> Result<PlannedUnit, PlanError> {
        self.capped(CgroupName::run(), self.run_slice()?, named(PARENT.into())?, &Parent::Run)
    }

    /// The slices that the harness puts between slices of the machine and what is declared in them, one for each.
    pub(super) fn outer(&self) -> Result<Vec<PlannedUnit>, PlanError> {
        let mut outer: Vec<PlannedUnit> = Vec::new();
        for cgroup in &self.scenario.cgroups {
            let Parent::Slice(slice) = &cgroup.parent else { continue };
            let unit = named(outer_slice(slice, self.run))?;
            if outer.iter().all(|known| known.unit != unit) {
                outer.push(self.capped(CgroupName::in_slice(slice), unit, slice.clone(), &cgroup.parent)?);
            }
        }
        Ok(outer)
    }

    /// A slice with a cap of the harness's own around everything in it; without one in a destructive scenario.
    fn capped(
        &self,
        name: CgroupName,
        unit: UnitName,
        slice: UnitName,
        parent: &Parent,
    ) -> Result<PlannedUnit, PlanError> {
        let cap = (self.scenario.safety != Safety::Destructive).then(|| self.caps.around(parent));
        let cap = cap.map(|cap| Property::bytes(PropertyName::MemoryMax, cap));
        Ok(PlannedUnit {
            name,
            cgroup: slice_path(&unit)?,
            unit,
            kind: UnitKind::Slice,
            slice,
            limits: cap.iter().filter_map(|cap| cap.held(self.memory)).collect(),
            properties: cap.into_iter().collect(),
        })
    }
}

/// An id as a part of a unit's name: a dash in a slice's name would make it the child of another slice.
pub(super) fn stemmed(id: &Id) -> String {
    id.replace('-', "_")
}

/// A name as systemd takes it.
pub(super) fn named(unit: String) -> Result<UnitName, PlanError> {
    unit.parse().map_err(|source| PlanError::NoName { unit, source })
}

/// The cgroup of a slice.
pub(super) fn slice_path(unit: &UnitName) -> Result<CgroupPath, PlanError> {
    slice_cgroup(unit).map_err(|source| PlanError::NoSlice { unit: unit.to_string(), source })
}

/// The cgroup of a unit in a slice.
pub(super) fn below(slice: &UnitName, unit: &UnitName) -> Result<CgroupPath, PlanError> {
    slice_path(slice)?.join(unit).map_err(|source| PlanError::NoSlice { unit: unit.to_string(), source })
}
