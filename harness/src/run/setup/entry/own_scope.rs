//! Into a scope of its own: systemd makes it around a child of the harness.
//!
//! Pid and wait status are those of a child. The scope is noted in the undo journal, and its `RuntimeMaxUSec` ends it. All
//! witnesses speak, and those that know a cgroup alone know the actor: nobody else lives there.

use super::process::Process;
use super::{Entry, spawn};
use crate::plan::PlannedActor;
use crate::run::actor::Actor;
use crate::run::containment::{Group, Inside};
use crate::run::setup::{SetupError, Site};

pub(super) struct OwnScope;

impl Entry for OwnScope {
    fn start(&self, actor: &PlannedActor, site: &mut Site<'_>) -> Result<Process, SetupError> {
        spawn(actor, site)
    }

    fn enter(&self, actor: &Actor<'_>, _: &[Actor<'_>], site: &mut Site<'_>) -> Result<(), SetupError> {
        let PlannedActor { unit, slice, properties, .. } = actor.planned;
        let scope = Group { unit, slice, properties };
        Ok(site.containment.make(&scope, Inside::Processes(&[actor.process.pid()]), site.undo)?)
    }
}
