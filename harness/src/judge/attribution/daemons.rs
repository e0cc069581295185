//! What a killer in user space says of an actor's end, and what it means when it says nothing.

use super::testimony::{Ended, Testimony};
use crate::cgroupfs::is_below;
use crate::judge::view::View;
use crate::killer::{Daemon, Says};
use crate::notation::signal::Signal;
use crate::record::event::ActorEnd;

pub(super) fn testify(view: &View<'_>, ended: &Ended<'_>, daemon: &Daemon) -> Testimony {
    let name = daemon.witness;
    let sent = sent(view, ended, daemon);
    let fitting = |(signal, _): &&(Signal, &str)| match ended.end {
        ActorEnd::Signalled(number) => number == signal.number(),
        ActorEnd::Unknown => true,
        ActorEnd::Exited(_) => false,
    };
    match (sent.iter().rfind(fitting), sent.last()) {
        (Some((_, line)), _) => Testimony::knows(name, *line, [daemon.killer]),
        // Who ignored SIGTERM was ended by whoever came later, and who did not die of SIGKILL was gone before.
        (None, Some((signal, line))) => Testimony {
            rules_out: Some(daemon.killer),
            ..Testimony::missing(name, format!("{line}: {signal} is not what ended it"))
        },
        (None, None) => silent(view, daemon),
    }
}

/// The signals that a daemon says it sent to an actor, each with its line.
fn sent<'a>(view: &View<'a>, ended: &Ended<'_>, daemon: &Daemon) -> Vec<(Signal, &'a str)> {
    let lived_in = view.cgroup(&ended.actor.id);
    let mut chosen = None;
    let mut sent = Vec::new();
    for heard in view.heard(daemon) {
        let signal = match heard.says {
            Says::RunsDry => None,
            Says::Signals { signal, pid, .. } => {
                chosen = Some((heard.unit, pid));
                (pid == ended.pid).then_some(signal)
            }
            Says::Escalates { signal } => (chosen == Some((heard.unit, ended.pid))).then_some(signal),
            Says::Killed { cgroup } => {
                lived_in.is_some_and(|lived_in| is_below(lived_in, cgroup)).then_some(Signal::Kill)
            }
        };
        sent.extend(signal.map(|signal| (signal, heard.line)));
    }
    sent
}

/// A daemon that does not run, or whose whole log names nobody here, did not do it. One that runs and could not be heard
/// has nothing to say.
fn silent(view: &View<'_>, daemon: &Daemon) -> Testimony {
    match view.unheard(daemon) {
        Some(why) => Testimony::missing(daemon.witness, why),
        None => Testimony { rules_out: Some(daemon.killer), ..Testimony::missing(daemon.witness, "") },
    }
}
