//! The claim that no OOM killer of any kind took anybody else.

use std::collections::BTreeSet;

use reports::finding::Finding;
use reports::kill::Kill;
use reports::number::{Number, Unit};
use reports::outcome::{Killer, Verdict};

use super::death::{death_of, deaths};
use super::finding::found;
use super::survival::alive;
use super::view::{KernelLog, View};
use crate::cgroupfs::is_below;
use crate::killer::{self, Says};
use crate::kmsg::oom::OomEvent;
use crate::metric::column::HOST_OOM_KILL;
use crate::notation::id::Id;
use crate::plan::claim::Claim;
use crate::record::Event;

pub(super) fn judge(view: &View<'_>, kills: &[Kill], id: &str, allowed: &[Id]) -> Finding {
    let expected = if allowed.is_empty() {
        "no OOM kill of any process".to_owned()
    } else {
        format!("no OOM kill but of {}", allowed.join(", "))
    };
    let others = others(view, kills, allowed);
    let (verdict, observed) = if others.is_empty() {
        nobody_else(view, kills, allowed)
    } else {
        (Verdict::Fail, format!("also killed: {}", others.join(", ")))
    };
    // Where somebody may have been killed unseen, nobody knows how many.
    let count = (verdict != Verdict::Inconclusive).then_some(others.len() as f64);
    let number = Number::at_most("processes killed besides those allowed", Unit::Count, count, 0.0);
    let sentence = "no other process is killed for memory".into();
    Finding { numbers: vec![number], ..found(id, sentence, verdict, expected, observed) }
}

/// Who was killed besides the allowed actors: by the kernel log and the daemons, else by all witnesses together.
fn others(view: &View<'_>, kills: &[Kill], allowed: &[Id]) -> Vec<String> {
    let strangers = strangers(view, allowed);
    if !strangers.is_empty() {
        return strangers;
    }
    let not_allowed =
        |kill: &&Kill| kill.actor.as_ref().is_some_and(|actor| allowed.iter().all(|id| *id != **actor));
    kills
        .iter()
        .filter(|kill| killer::is_oom(kill.killer))
        .filter(not_allowed)
        .filter_map(|kill| kill.actor.clone())
        .collect()
}

/// Whether nobody can have been killed besides the allowed actors, of whom no witness names one.
fn nobody_else(view: &View<'_>, kills: &[Kill], allowed: &[Id]) -> (Verdict, String) {
    if let Some(words) = unexplained(view, kills, allowed) {
        return (Verdict::Inconclusive, words);
    }
    if let Some(why) = killer::ALL.into_iter().find_map(|daemon| view.unheard(daemon)) {
        return (Verdict::Inconclusive, format!("an OOM daemon may have killed unnoticed: {why}"));
    }
    let Some(counted) = view.grown(HOST_OOM_KILL) else {
        let words = "/proc/vmstat oom_kill was not read from before the stress to after it";
        return (Verdict::Inconclusive, words.into());
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

/// Actors besides the allowed ones whose end nobody explains, or of whom neither an end nor life at the end was seen.
fn unexplained(view: &View<'_>, kills: &[Kill], allowed: &[Id]) -> Option<String> {
    let claimed = |actor: &str| {
        view.plan.expectations.iter().any(|expectation| {
            matches!(&expectation.claim, Claim::Kill(claim) if claim.victim == actor && claim.by == Killer::Signal)
        })
    };
    let mut words = Vec::new();
    for actor in view.plan.actors.iter().filter(|actor| !allowed.contains(&actor.id)) {
        let kill = kills.iter().find(|kill| kill.actor.as_deref() == Some(&actor.id));
        match kill.map(|kill| kill.killer) {
            Some(Killer::Unknown) => words.push(format!("{} was ended by an unknown killer", actor.id)),
            Some(Killer::Signal) if !claimed(&actor.id) => {
                words.push(format!("{} was ended by an unexplained signal", actor.id));
            }
            None if alive(view, &actor.id).is_none() => {
                words.push(format!("{} was seen neither dead nor alive at the end", actor.id));
            }
            _ => {}
        }
    }
    (!words.is_empty()).then(|| words.join("; "))
}

/// Processes outside the allowed actors that the kernel log or a daemon says were killed. Victims go by pid; a cgroup
/// stands for a process only where there is nobody else in it.
fn strangers(view: &View<'_>, allowed: &[Id]) -> Vec<String> {
    let ours = |pid: u32, cgroup: Option<&str>| {
        view.plan.actors.iter().filter(|actor| allowed.contains(&actor.id)).any(|actor| {
            view.pid(&actor.id) == Some(pid)
                || actor.place.is_alone() && cgroup.is_some() && cgroup == view.cgroup(&actor.id)
        })
    };
    let of_allowed: Vec<u32> = allowed
        .iter()
        .filter_map(|id| death_of(view, view.actor(id)?, None))
        .map(|death| death.pid)
        .collect();
    let mut names: Vec<String> = deaths(view)
        .into_iter()
        .filter(|death| !of_allowed.contains(&death.pid) && !ours(death.pid, death.cgroup))
        .map(|death| format!("{} (pid {})", death.comm, death.pid))
        .collect();
    names.extend(by_daemons(view, ours, allowed));
    let mut seen = BTreeSet::new();
    names.retain(|name| seen.insert(name.clone()));
    names
}

/// Whom the killers in user space say they killed besides the allowed actors.
fn by_daemons(view: &View<'_>, ours: impl Fn(u32, Option<&str>) -> bool, allowed: &[Id]) -> Vec<String> {
    let victim = |says: Says<'_>| match says {
        Says::Signals { pid, comm, .. } if !ours(pid, None) => Some(format!("{comm} (pid {pid})")),
        Says::Killed { cgroup } if !only_allowed_in(view, cgroup, allowed) => {
            Some(who_lives_in(view, cgroup))
        }
        _ => None,
    };
    let mut victims = Vec::new();
    for daemon in killer::ALL {
        let named = view.heard(daemon).into_iter().filter_map(|heard| victim(heard.says));
        victims.extend(named.map(|name| format!("{name} by {}", daemon.killer)));
    }
    victims
}

/// The actors in a cgroup and below it; its path when there are none.
fn who_lives_in(view: &View<'_>, path: &str) -> String {
    let lives_in = |cgroup: &str| is_below(cgroup, path);
    let actors = view.plan.actors.iter().filter(|actor| view.cgroup(&actor.id).is_some_and(lives_in));
    let names: Vec<&str> = actors.map(|actor| actor.id.as_str()).collect();
    if names.is_empty() { path.to_owned() } else { names.join(", ") }
}

/// Whether a killed cgroup held actors and none but allowed ones. oomd kills recursively: everything below counts.
fn only_allowed_in(view: &View<'_>, path: &str, allowed: &[Id]) -> bool {
    let actors = view.plan.actors.iter();
    let mut held =
        actors.filter(|actor| view.cgroup(&actor.id).is_some_and(|cgroup| is_below(cgroup, path))).peekable();
    held.peek().is_some() && held.all(|actor| allowed.contains(&actor.id))
}

/// OOM kills by the kernel that the allowed actors account for. A group kill counts its first victim twice.
fn explained_kills(view: &View<'_>, kills: &[Kill], allowed: &[Id]) -> u64 {
    let logged = view
        .all(|event| matches!(event, Event::KernelOom { oom: OomEvent::Killed { .. }, .. }).then_some(()))
        .len();
    let attributed = kills
        .iter()
        .filter(|kill| killer::is_kernel(kill.killer))
        .filter(|kill| kill.actor.as_ref().is_some_and(|actor| allowed.iter().any(|id| *id == **actor)))
        .count();
    logged.max(attributed) as u64
}
