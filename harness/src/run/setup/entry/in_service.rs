//! Into the cgroup of a service that runs: a child of the harness, moved there by its pid.
//!
//! A process in a service's cgroup is part of the service, whoever started it: it is undone with the service, and ended
//! by the service's `RuntimeMaxUSec`. The harness stays its parent, and so learns its wait status. What counters and
//! systemd say of the service is said of all who live there.

use std::fs;

use super::process::Process;
use super::{Entry, spawn};
use crate::plan::PlannedActor;
use crate::run::actor::Actor;
use crate::run::setup::{SetupError, Site, io_error};

pub(super) struct InService;

impl Entry for InService {
    fn start(&self, actor: &PlannedActor, site: &mut Site<'_>) -> Result<Process, SetupError> {
        spawn(actor, site)
    }

    fn enter(&self, actor: &Actor<'_>, _: &[Actor<'_>], site: &mut Site<'_>) -> Result<(), SetupError> {
        let procs = actor.planned.cgroup.path().below(&site.paths.cgroups).join("cgroup.procs");
        fs::write(&procs, actor.process.pid().to_string()).map_err(io_error(procs.display().to_string()))
    }
}
