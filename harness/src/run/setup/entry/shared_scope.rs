//! Into a scope with others: systemd makes it around all of them at once, as a scope cannot be without a process.
//!
//! Pids and wait statuses are those of children. The scope is noted in the undo journal, and its `RuntimeMaxUSec` ends it.
//! What counters and systemd say of the scope is said of all who live there.

use super::process::Process;
use super::{Entry, spawn};
use crate::plan::PlannedActor;
use crate::run::actor::Actor;
use crate::run::containment::Inside;
use crate::run::setup::{SetupError, Site};

pub(super) struct SharedScope;

impl Entry for SharedScope {
    fn start(&self, actor: &PlannedActor, site: &mut Site<'_>) -> Result<Process, SetupError> {
        spawn(actor, site)
    }

    fn enter(&self, actor: &Actor<'_>, all: &[Actor<'_>], site: &mut Site<'_>) -> Result<(), SetupError> {
        let members: Vec<_> = all.iter().filter(|other| other.planned.unit == actor.planned.unit).collect();
        // The first brings the others along.
        if members.first().is_none_or(|first| first.planned.id != actor.planned.id) {
            return Ok(());
        }
        let pids: Vec<u32> = members.iter().map(|member| member.process.pid()).collect();
        let scope = site.unit_of(actor.planned)?;
        site.make(scope, Inside::Processes(&pids))
    }
}
