//! How an actor gets into its cgroup: one file for each way in.
//!
//! A way in says at its head how the actor is started, how its cgroup, its pid and its end are learnt, what undoes it, what
//! ends it when the harness is dead, and which witnesses it leaves. A new one is a new file, a line in [`of`], and a
//! [`Place`] with what the judge may ask of it.

mod in_service;
mod own_scope;
pub(in crate::run) mod process;
mod service_main;
mod shared_scope;
#[cfg(test)]
mod tests;

use std::fs::File;
use std::process::{Command, Stdio};

use super::{SetupError, Site, io_error};
use crate::plan::{Place, PlannedActor};
use crate::run::actor::Actor;
use process::Process;

/// A way into a cgroup.
pub(super) trait Entry: Sync {
    /// Starts the process of an actor, which waits for its release: outside its cgroup, or in there already.
    ///
    /// # Errors
    /// When it does not start. What was started until then is undone with its unit, or ends with the error.
    fn start(&self, actor: &PlannedActor, site: &mut Site<'_>) -> Result<Process, SetupError>;

    /// Brings the process into its cgroup, when those of all actors have been started.
    ///
    /// # Errors
    /// When it does not get in.
    fn enter(&self, actor: &Actor<'_>, all: &[Actor<'_>], site: &mut Site<'_>) -> Result<(), SetupError>;
}

/// The way in of a place.
pub(super) fn of(place: Place) -> &'static dyn Entry {
    match place {
        Place::OwnScope => &own_scope::OwnScope,
        Place::SharedScope => &shared_scope::SharedScope,
        Place::ServiceMain => &service_main::ServiceMain,
        Place::InService => &in_service::InService,
    }
}

/// Starts an actor as a child of the harness, in the harness's own cgroup.
fn spawn(actor: &PlannedActor, site: &Site<'_>) -> Result<Process, SetupError> {
    let program = site.program(actor);
    let log = site.undo.dir().join(format!("{}.log", actor.id));
    let log = File::create(&log).map_err(io_error(log.display().to_string()))?;
    let child = Command::new(&program)
        // Should this process be killed now, the actor must see it although it has not begun to wait.
        .arg(format!("--parent={}", std::process::id()))
        .args(site.arguments(actor))
        .env_clear()
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(log)
        .spawn()
        .map_err(io_error(format!("{} could not be started", program.display())))?;
    let pid = child.id();
    Process::of_a_child(child).map_err(not_held(pid, actor))
}

fn not_held(pid: u32, actor: &PlannedActor) -> impl FnOnce(std::io::Error) -> SetupError {
    io_error(format!("cannot get a pidfd of process {pid} of {}", actor.id))
}
