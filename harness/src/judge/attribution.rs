//! Who ended each actor: what each witness says, and what they say together.
//!
//! No witness alone is believed. The kernel log may be suppressed or lost; `oom_kill` counts global kills too;
//! SIGKILL may come from anybody. A killer is named when no witness contradicts, at least two speak for it, and one of
//! them knows the process: by its pid, or by a scope in which there is nobody else.

mod counters;
mod daemons;
mod kernel_log;
mod testimony;

use reports::kill::{Agreement, Kill, Witness};
use reports::outcome::Killer;

use super::conditions::SOME_WERE_KILLED;
use super::death::death_of;
use super::view::View;
use crate::killer::{self, is_kernel, is_oom_result};
use crate::metric::column::MEMORY_PEAK;
use crate::notation::signal::Signal;
use crate::plan::PlannedActor;
use crate::record::Event;
use crate::record::event::{ActorEnd, Mark, When};
use testimony::{Ended, Testimony, killers};

/// Attributes the end of every actor that ended before cleanup.
pub(super) fn attribute(view: &View<'_>) -> Vec<Kill> {
    let cleanup = view.mark(Mark::Cleanup).unwrap_or(u64::MAX);
    let actors = view.plan.actors.iter();
    let ended: Vec<Ended<'_>> = actors
        .filter_map(|actor| {
            let (at_us, end) = view.how_it_ended(actor).filter(|(at, _)| *at < cleanup)?;
            let pid = view.pid(&actor.id).unwrap_or(0);
            Some(Ended { actor, pid, at_us, end, death: death_of(view, actor, Some(at_us)) })
        })
        .collect();
    ended.iter().map(|one| attribute_one(view, one, &ended)).collect()
}

fn attribute_one(view: &View<'_>, ended: &Ended<'_>, all: &[Ended<'_>]) -> Kill {
    let mut testimonies = vec![
        kernel_log::testify(view, ended),
        counters::testify(view, ended, all),
        wait_status(ended),
        systemd(view, ended),
    ];
    testimonies.extend(killer::ALL.map(|daemon| daemons::testify(view, ended, daemon)));
    let (killer, limit) = agree(&testimonies);
    let limit_name = limit.as_ref().map(|path| view.plan.name_of(path).unwrap_or(path).to_owned());
    let at_bytes = limit_name.as_ref().and_then(|name| peak_after(view, name, ended.at_us));
    let death = ended.death.as_ref().filter(|_| is_kernel(killer));
    Kill {
        actor: Some(ended.actor.id.to_string()),
        pid: ended.pid,
        comm: comm(view, ended.actor),
        killer,
        limit: limit_name,
        at_bytes,
        after_ms: view.mark(Mark::Climb).map(|climb| ended.at_us.saturating_sub(climb) / 1000),
        latency_us: ended.death.as_ref().and_then(|death| death.latency_us),
        victims: death.map(|death| death.group_victims.clone()).unwrap_or_default(),
        witnesses: testimonies.into_iter().filter_map(|said| witness(said, killer)).collect(),
    }
}

/// The peak of the cgroup whose limit was hit. What was read before the end may not be the peak at the end.
fn peak_after(view: &View<'_>, limit: &str, ended_us: u64) -> Option<u64> {
    let (at, peak) = view.readings(MEMORY_PEAK.of(limit)).pop()?;
    (at >= ended_us).then_some(peak)
}

fn comm(view: &View<'_>, actor: &PlannedActor) -> String {
    view.find(|event| match event {
        Event::ActorPlaced { actor: id, comm, .. } if actor.id == id.as_str() => Some(comm.clone()),
        _ => None,
    })
    .map(|(_, comm)| comm)
    .unwrap_or_default()
}

/// The killer that every speaking witness allows, when at least two speak, one of them knows the process, and their
/// limits agree.
fn agree(testimonies: &[Testimony]) -> (Killer, Option<String>) {
    let speaking: Vec<&Testimony> = testimonies.iter().filter(|said| said.allows.is_some()).collect();
    let allowed =
        |said: &Testimony, killer: Killer| said.allows.as_ref().is_some_and(|all| all.contains(&killer));
    let mut limits: Vec<&String> = testimonies.iter().filter_map(|said| said.limit.as_ref()).collect();
    limits.sort_unstable();
    limits.dedup();
    if speaking.len() < 2 || limits.len() > 1 {
        return (Killer::Unknown, None);
    }
    let possible = killers(|killer| {
        speaking.iter().all(|said| allowed(said, killer))
            && testimonies.iter().all(|said| said.rules_out != Some(killer))
    });
    match possible.as_slice() {
        [one] if !speaking.iter().any(|said| said.knows && names(said, *one)) => (Killer::Unknown, None),
        [Killer::Memcg] => (Killer::Memcg, limits.first().map(|path| (*path).clone())),
        [one] => (*one, None),
        // No or several killers fit what was said.
        _ => (Killer::Unknown, None),
    }
}

/// Whether a witness that knows the process speaks for a killer, and does not merely leave it open. A wait status of
/// SIGKILL names nobody; that the kernel logged no kill of this pid is what speaks for everybody else.
fn names(said: &Testimony, killer: Killer) -> bool {
    let Some(allows) = &said.allows else { return false };
    if is_kernel(killer) { allows.iter().all(|one| is_oom_result(*one)) } else { allows.contains(&killer) }
}

fn witness(said: Testimony, killer: Killer) -> Option<Witness> {
    let agrees = match &said.allows {
        None if said.says.is_empty() => return None,
        None => Agreement::Missing,
        Some(allows) if allows.contains(&killer) => Agreement::Agrees,
        // Nobody was named because the witnesses disagree: each is shown as it spoke.
        Some(_) => Agreement::Contradicts,
    };
    Some(Witness { name: said.name.into(), says: said.says, agrees })
}

fn wait_status(ended: &Ended<'_>) -> Testimony {
    const NAME: &str = "wait status";
    match ended.end {
        ActorEnd::Exited(SOME_WERE_KILLED) if ended.actor.processes > 1 => {
            Testimony::missing(NAME, "exited because some of its processes were killed")
        }
        ActorEnd::Exited(code) => Testimony::knows(NAME, format!("exited with {code}"), [Killer::Exit]),
        ActorEnd::Signalled(number) => {
            let signal = Signal::of_number(number);
            let sends = |killer| signal.is_some_and(|signal| killer::signals(killer).contains(&signal));
            let says = match signal {
                Some(Signal::Kill) => "SIGKILL".to_owned(),
                _ => format!("signal {number}"),
            };
            Testimony::knows(NAME, says, killers(|killer| killer == Killer::Signal || sends(killer)))
        }
        ActorEnd::Unknown => Testimony::missing(NAME, "not known"),
    }
}

fn systemd(view: &View<'_>, ended: &Ended<'_>) -> Testimony {
    const NAME: &str = "systemd";
    let Some(Some(state)) = view.unit(&ended.actor.unit, When::After) else {
        return Testimony::missing(NAME, "the unit was gone when asked");
    };
    if !ended.actor.place.is_alone() {
        let result = state.result.as_deref().unwrap_or("none");
        return Testimony::missing(NAME, format!("Result={result}, of the whole unit, not of this process"));
    }
    match state.result.as_deref() {
        // Any kind of OOM kill: the manager reads the hierarchical `oom_kill`, and oomd's xattr.
        Some("oom-kill") => Testimony::knows(NAME, "Result=oom-kill", killers(is_oom_result)),
        // With OOMPolicy=continue, and for scopes that just emptied, any other result proves nothing.
        Some(result) => Testimony::missing(NAME, format!("Result={result}, which proves nothing")),
        None => Testimony::missing(NAME, "the unit has no Result"),
    }
}
