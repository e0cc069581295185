//! A plan → a record. The only stage that touches the machine; it decides and judges nothing.
//!
//! A failed read is data in the record, not an error. Everything it starts stands in the undo journal first, carries a
//! deadline that PID 1 enforces, and is taken down on every way out.

mod actor;
mod actors;
pub mod cleanup;
pub mod clock;
pub mod containment;
pub mod daemons;
pub mod kernel_log;
pub mod machine;
pub mod origin;
pub mod prober;
pub mod progress;
pub mod readings;
pub mod recorder;
pub mod recover;
pub mod sampler;
mod session;
mod setup;
pub mod shelter;
pub mod signals;
pub mod text;
pub mod undo;
pub mod watchdog;
mod watchers;

#[cfg(test)]
mod tests;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::Arc;

use crate::error::chain;
use actors::Actors;
use containment::Systemd;
use daemons::Daemons;
use nix::sys::signal::{SigHandler, SigSet, Signal, signal};
use progress::Outside;
use recorder::Recorder;
use session::Session;
use setup::{SetupError, Site};
use signals::{Asked, Listener};
use undo::Undo;
use watchers::Watchers;

use crate::journal::Journal;
use crate::plan::Plan;
use crate::record::Event;
use crate::record::event::{EndReason, Mark, When};
use crate::record::store::{Store, StoreError};
use crate::systemd::Manager;

/// Where things are on the machine. Tests point them elsewhere.
#[derive(Debug, Clone)]
pub struct Paths {
    /// The cgroup v2 mount.
    pub cgroups: PathBuf,
    /// The root of /proc and /sys.
    pub root: PathBuf,
    /// Where undo journals and status pages lie (tmpfs).
    pub state: PathBuf,
    /// Where files of writers and readers and cold copies of programs lie (a disk).
    pub data: PathBuf,
    /// The directory of the `balloon` and `bystander` programs.
    pub programs: PathBuf,
    /// The kernel log device.
    pub kmsg: PathBuf,
}

impl Paths {
    /// The real machine, with the actors beside this program.
    ///
    /// # Errors
    /// When cannot find the path of this program.
    pub fn of_this_machine() -> std::io::Result<Self> {
        let program = std::env::current_exe()?;
        Ok(Self {
            cgroups: "/sys/fs/cgroup".into(),
            root: "/".into(),
            state: undo::STATE.into(),
            data: crate::host::DATA.into(),
            programs: program.parent().map(PathBuf::from).unwrap_or_default(),
            kmsg: "/dev/kmsg".into(),
        })
    }
}

/// What a run has come to, apart from its record.
#[derive(Debug)]
pub struct Outcome {
    /// Why it ended.
    pub end: EndReason,
    /// What its cleanup could not prove to be gone; empty = proven clean.
    pub left: Vec<String>,
    /// Why the record could not be written to its end.
    pub store: Option<StoreError>,
}

/// Runs a plan. What it came to is in the record, and here for when that cannot be written: the machine is cleaned up
/// even then.
pub fn execute(
    plan: &Plan,
    paths: &Paths,
    systemd: &dyn Manager,
    store: Store,
    outside: &mut dyn Outside,
) -> Outcome {
    let recorder = Arc::new(Recorder::new(store));
    recorder.record(Event::Phase { phase: Mark::Setup });
    // Heard until everything is undone: from the second signal on nothing else is waited for.
    let listener = match block_signals().and_then(|_| Listener::start()) {
        Ok(listener) => listener,
        Err(error) => {
            let reason = format!("cannot listen for signals: {error}");
            recorder.record(Event::Ended { reason: EndReason::SetupFailed { reason: reason.clone() } });
            return finish(&recorder, EndReason::SetupFailed { reason }, Vec::new());
        }
    };
    let before = cleanup::Before::read(paths);
    let home = shelter::home();
    let mut undo = match Undo::begin(&paths.state, &plan.run) {
        Ok(undo) => undo,
        Err(error) => {
            let reason = format!("{}: {error}", paths.state.display());
            recorder.record(Event::Ended { reason: EndReason::SetupFailed { reason: reason.clone() } });
            return finish(&recorder, EndReason::SetupFailed { reason }, Vec::new());
        }
    };
    let asked = listener.asked();
    // A bug in the run must not leave the machine to it: the undo below happens on every way out.
    let stressed =
        catch_unwind(AssertUnwindSafe(|| stress(plan, paths, systemd, &recorder, &mut undo, asked, outside)));
    let end = stressed.unwrap_or_else(|_| EndReason::Aborted { reason: "the harness panicked".into() });
    recorder.record(Event::Ended { reason: end.clone() });
    recorder.record(Event::Phase { phase: Mark::Cleanup });
    let origin = undo.origin().clone();
    let mut left = cleanup::run(paths, systemd, undo, &before, &|| asked.to_hurry());
    left.extend(shelter::leave(systemd, &origin, &paths.cgroups, home.as_deref()));
    recorder.record(Event::Cleanup { left: left.clone() });
    finish(&recorder, end, left)
}

fn finish(recorder: &Recorder, end: EndReason, left: Vec<String>) -> Outcome {
    Outcome { end, left, store: recorder.take_error() }
}

/// Everything between the journal and the cleanup.
fn stress(
    plan: &Plan,
    paths: &Paths,
    systemd: &dyn Manager,
    recorder: &Arc<Recorder>,
    undo: &mut Undo,
    asked: &Asked,
    outside: &mut dyn Outside,
) -> EndReason {
    for missing in shelter::take(systemd, undo.origin(), &paths.root) {
        recorder.record(Event::Trouble { step: "shelter".into(), error: missing });
    }
    let daemons = Daemons::begin(plan, &Journal::of_this_machine(), recorder);
    let watchers = Watchers::start(plan, paths, recorder);
    let containment = &Systemd(systemd);
    let declared = &plan.cgroups;
    let site = Site { declared, paths, systemd, containment, recorder, undo, asked };
    let actors = match Actors::set_up(plan, site) {
        Ok(actors) => actors,
        Err(SetupError::Interrupted { signal }) => return EndReason::Interrupted { signal },
        Err(error) => return EndReason::SetupFailed { reason: chain(&error) },
    };
    readings::inherited_limits(plan, paths, recorder);
    readings::units(plan, systemd, recorder, When::Before);
    Session { plan, paths, systemd, undo, recorder, daemons, actors, watchers, asked, outside }.run()
}

/// Keeps signals for the run to read, and SIGCHLD at its default: where it is ignored, as a starter may have it, children
/// leave no status. To be called before the process has a second thread, such as a bus connection's: a thread that does
/// not block SIGINT takes it, and the process dies without a cleanup. Actors clear the mask that they inherit.
///
/// # Errors
/// When the mask cannot be set.
#[expect(unsafe_code, reason = "signal is unsafe for handlers that are functions")]
pub fn block_signals() -> nix::Result<SigSet> {
    // SAFETY: SIG_DFL runs no code of this program.
    unsafe { signal(Signal::SIGCHLD, SigHandler::SigDfl) }?;
    let set: SigSet = signals::ASKING.into_iter().chain([Signal::SIGCHLD]).collect();
    set.thread_block()?;
    Ok(set)
}
