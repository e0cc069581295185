//! As the main process of a service: PID 1 forks it into its cgroup.
//!
//! Its pid is the service's `MainPID`. Its wait status goes to PID 1: here only its end is seen, and systemd's
//! `ExecMainCode` tells the rest. The service is noted in the undo journal, and its `RuntimeMaxUSec` ends it.

use super::process::Process;
use super::{Entry, not_held};
use crate::plan::PlannedActor;
use crate::run::actor::Actor;
use crate::run::containment::Inside;
use crate::run::setup::{SetupError, Site};

pub(super) struct ServiceMain;

impl Entry for ServiceMain {
    fn start(&self, actor: &PlannedActor, site: &mut Site<'_>) -> Result<Process, SetupError> {
        let service = site.unit_of(actor)?;
        let mut argv = vec![site.program(actor).display().to_string()];
        argv.extend(site.arguments(actor));
        site.containment.make(&service.into(), Inside::Program(&argv), site.undo)?;
        let unknown = |source| SetupError::Unit { unit: service.unit.to_string(), source };
        let state = site.systemd.unit(&service.unit).map_err(unknown)?;
        let pid = state.main_pid.filter(|pid| *pid != 0).ok_or_else(|| {
            SetupError::NotAsPlanned(format!(
                "{} has no main process: {:?}",
                service.unit, state.active_state
            ))
        })?;
        let process = Process::of_another(pid).map_err(not_held(pid, actor))?;
        site.verify_limits(service)?;
        Ok(process)
    }

    fn enter(&self, _: &Actor<'_>, _: &[Actor<'_>], _: &mut Site<'_>) -> Result<(), SetupError> {
        // It was started in there.
        Ok(())
    }
}
