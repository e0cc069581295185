//! The claim that no OOM killer of any kind took anybody else.

use std::collections::BTreeSet;

use reports::outcome::{Killer, Verdict};
use reports::report::{Finding, Kill};

use super::view::KernelLog;
use super::{View, found, is_below};
use crate::kmsg::oom::OomEvent;
use crate::record::Event;

pub(super) fn judge(view: &View<'_>, kills: &[Kill], id: &str, allowed: &[String]) -> Finding {
    let expected = if allowed.is_empty() {
        "no OOM kill of any process".to_owned()
    } else {
        format!("no OOM kill but of {}", allowed.join(", "))
    };
    let (verdict, observed) = observe(view, kills, allowed);
    found(id, "no other process is killed for memory".into(), verdict, expected, observed)
}

fn observe(view: &View<'_>, kills: &[Kill], allowed: &[String]) -> (Verdict, String) {
    let strangers = strangers(view, allowed);
    if !strangers.is_empty() {
        return (Verdict::Fail, format!("also killed: {}", strangers.join(", ")));
    }
    let by_oom = |kill: &&Kill| {
        matches!(kill.killer, Killer::Memcg | Killer::Global | Killer::SystemdOomd | Killer::Earlyoom)
    };
    let others: Vec<String> = kills
        .iter()
        .filter(by_oom)
        .filter_map(|kill| kill.actor.clone())
        .filter(|actor| !allowed.contains(actor))
        .collect();
    if !others.is_empty() {
        return (Verdict::Fail, format!("also killed: {}", others.join(", ")));
    }
    if unheard_daemon(view) {
        return (Verdict::Inconclusive, "an OOM daemon runs here whose log could not be read".into());
    }
    let Some(counted) = view.delta("host:oom_kill") else {
        return (Verdict::Inconclusive, "/proc/vmstat oom_kill could not be read".into());
    };
    let explained = explained_kills(view, kills, allowed);
    if counted > explained {
        let words = format!("the kernel counts {counted} OOM kills, {explained} of them explained");
        return (Verdict::Inconclusive, words);
    }
    let words = match counted {
        0 => "no OOM kill on the whole machine".to_owned(),
        1 => "one OOM kill on the whole machine, and it was expected".to_owned(),
        _ => format!("{counted} OOM kills on the whole machine, all of them expected"),
    };
    let gaps = match view.kernel_log() {
        KernelLog::Complete => "",
        KernelLog::Lost(_) | KernelLog::Unavailable(_) => {
            " (by the counter alone: the kernel log is not complete)"
        }
    };
    (Verdict::Pass, words + gaps)
}

/// Processes outside the allowed actors that the kernel log or a daemon says were killed.
fn strangers(view: &View<'_>, allowed: &[String]) -> Vec<String> {
    let ours =
        |pid: u32, cgroup: Option<&str>| {
            view.plan.actors.iter().filter(|actor| allowed.contains(&actor.id)).any(|actor| {
                view.pid(&actor.id) == Some(pid) || cgroup.is_some_and(|path| path == actor.cgroup)
            })
        };
    let memcg_of = |pid: u32| {
        view.find(|event| match event {
            Event::KernelOom { oom: OomEvent::Summary { pid: of, task_memcg, .. }, .. } if *of == pid => {
                Some(task_memcg.as_str())
            }
            _ => None,
        })
        .map(|(_, path)| path)
    };
    let killed = view.all(|event| match event {
        Event::KernelOom { oom: OomEvent::Killed { pid, comm, .. }, .. } => Some((*pid, comm.clone())),
        Event::KernelOom { oom: OomEvent::Summary { pid, task, .. }, .. } => Some((*pid, task.clone())),
        _ => None,
    });
    let mut names: Vec<String> = killed
        .into_iter()
        .filter(|(_, (pid, _))| !ours(*pid, memcg_of(*pid)))
        .map(|(_, (pid, comm))| format!("{comm} (pid {pid})"))
        .collect();
    names.extend(by_daemons(view, ours, allowed));
    let mut seen = BTreeSet::new();
    names.retain(|name| seen.insert(name.clone()));
    names
}

/// Whom systemd-oomd and earlyoom say they killed besides the allowed actors.
fn by_daemons(view: &View<'_>, ours: impl Fn(u32, Option<&str>) -> bool, allowed: &[String]) -> Vec<String> {
    let by_oomd = view
        .daemon_lines("systemd-oomd")
        .into_iter()
        .filter_map(crate::oomd::killed)
        .filter(|path| !only_allowed_in(view, path, allowed))
        .map(|path| format!("{} by systemd-oomd", who_lives_in(view, path)));
    let by_earlyoom = view
        .earlyoom_kills()
        .into_iter()
        .filter(|(_, choice)| !ours(choice.pid, None))
        .map(|(_, choice)| format!("{} (pid {}) by earlyoom", choice.comm, choice.pid));
    by_oomd.chain(by_earlyoom).collect()
}

/// The actors in a cgroup and below it; its path when there are none.
fn who_lives_in(view: &View<'_>, path: &str) -> String {
    let actors = view.plan.actors.iter().filter(|actor| is_below(&actor.cgroup, path));
    let names: Vec<&str> = actors.map(|actor| actor.id.as_str()).collect();
    if names.is_empty() { path.to_owned() } else { names.join(", ") }
}

/// Whether a killed cgroup held actors and none but allowed ones. oomd kills recursively: everything below counts.
fn only_allowed_in(view: &View<'_>, path: &str, allowed: &[String]) -> bool {
    let mut held = view.plan.actors.iter().filter(|actor| is_below(&actor.cgroup, path)).peekable();
    held.peek().is_some() && held.all(|actor| allowed.contains(&actor.id))
}

/// Whether an OOM killer runs in user space whose words were not read to their end.
fn unheard_daemon(view: &View<'_>) -> bool {
    let daemons = &view.plan.daemons;
    let runs = daemons.oomd || daemons.any_earlyoom();
    runs && !view.daemon_logs_read()
}

/// OOM kills by the kernel that the allowed actors account for. A group kill counts its first victim twice.
fn explained_kills(view: &View<'_>, kills: &[Kill], allowed: &[String]) -> u64 {
    let logged = view
        .all(|event| matches!(event, Event::KernelOom { oom: OomEvent::Killed { .. }, .. }).then_some(()))
        .len();
    let attributed = kills
        .iter()
        .filter(|kill| matches!(kill.killer, Killer::Memcg | Killer::Global))
        .filter(|kill| kill.actor.as_ref().is_some_and(|actor| allowed.contains(actor)))
        .count();
    logged.max(attributed) as u64
}
