//! What systemd-oomd and earlyoom say of an actor's end, and what it means when they say nothing.

use reports::outcome::Killer;

use super::{Ended, Testimony};
use crate::earlyoom::is_escalation;
use crate::judge::view::Daemon;
use crate::judge::{View, is_below};
use crate::record::event::ActorEnd;

pub(super) fn oomd(view: &View<'_>, ended: &Ended<'_>) -> Testimony {
    const NAME: &str = "oomd";
    let cgroup = view.cgroup(&ended.actor.id);
    let of_it = |line: &&str| cgroup.is_some_and(|cgroup| kills(line, cgroup));
    let line = view.daemon_lines(Daemon::SystemdOomd).into_iter().find(of_it);
    match (line, ended.end) {
        (Some(line), ActorEnd::Signalled(libc::SIGKILL) | ActorEnd::Unknown) => {
            Testimony::knows(NAME, line, &[Killer::SystemdOomd])
        }
        // It sends SIGKILL to everybody in the cgroup: who died in another way was gone before.
        (Some(line), _) => Testimony::missing(NAME, format!("{line}; it did not die of SIGKILL")),
        (None, _) => silent(view, NAME, Daemon::SystemdOomd, Killer::SystemdOomd),
    }
}

/// Whether oomd's line names this cgroup or one above it: it kills recursively.
fn kills(line: &str, cgroup: &str) -> bool {
    crate::oomd::killed(line).is_some_and(|path| is_below(cgroup, path))
}

pub(super) fn earlyoom(view: &View<'_>, ended: &Ended<'_>) -> Testimony {
    const NAME: &str = "earlyoom";
    let mut last = None;
    let mut sent = Vec::new();
    for (unit, line) in view.armed_earlyoom_lines() {
        if let Some(choice) = crate::earlyoom::selection(line) {
            last = Some((unit, choice.pid));
            if choice.pid == ended.pid {
                sent.push((choice.signal, line));
            }
        } else if is_escalation(line) && last == Some((unit, ended.pid)) {
            sent.push(("SIGKILL".into(), line));
        }
    }
    let fitting = |(signal, _): &&(String, &str)| match ended.end {
        ActorEnd::Signalled(libc::SIGTERM) => signal == "SIGTERM",
        ActorEnd::Signalled(libc::SIGKILL) => signal == "SIGKILL",
        ActorEnd::Unknown => true,
        ActorEnd::Signalled(_) | ActorEnd::Exited(_) => false,
    };
    match (sent.iter().rfind(fitting), sent.last()) {
        (Some((_, line)), _) => Testimony::knows(NAME, *line, &[Killer::Earlyoom]),
        // An ignored SIGTERM ends nobody: whoever came later did.
        (None, Some((signal, _))) => Testimony {
            rules_out: Some(Killer::Earlyoom),
            ..Testimony::missing(NAME, format!("sent {signal}, which is not what ended it"))
        },
        (None, None) => silent(view, NAME, Daemon::Earlyoom, Killer::Earlyoom),
    }
}

/// A daemon that does not run, or whose whole log names nobody here, did not do it. One that runs and could not be heard
/// has nothing to say.
fn silent(view: &View<'_>, name: &'static str, daemon: Daemon, killer: Killer) -> Testimony {
    match view.unheard(daemon) {
        Some(why) => Testimony::missing(name, why),
        None => Testimony { rules_out: Some(killer), ..Testimony::missing(name, "") },
    }
}
