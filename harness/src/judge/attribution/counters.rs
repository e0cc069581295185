//! What `memory.events` of the cgroups around an actor counted. Counters know no names: each rise accounts for one death.

use reports::outcome::Killer;

use super::testimony::{Ended, Testimony, not_the_kernel};
use crate::cgroupfs::is_below;
use crate::judge::cgroup::cgroup_path;
use crate::judge::death::deaths;
use crate::judge::view::{KernelLog, View};
use crate::metric::column::{EVENTS_OOM, EVENTS_OOM_KILL, LOCAL_OOM};
use crate::plan::PlannedActor;
use crate::record::event::ActorEnd;

const NAME: &str = "memory.events";

pub(super) fn testify(view: &View<'_>, ended: &Ended<'_>, all: &[Ended<'_>]) -> Testimony {
    let actor = ended.actor;
    let around = view.sampled_around(&actor.id);
    if around.is_empty() {
        return Testimony::missing(NAME, "no watched cgroup holds this actor");
    }
    // A service that went down with its process took its counters along: what was read before the kill does not count it.
    let gone = around.iter().take_while(|name| !outlived(view, name, ended.at_us)).count();
    let Some((own, _)) = around[gone..].split_first() else {
        let gone = around.join(", ");
        return Testimony::missing(NAME, format!("{gone}: not read after the end"));
    };
    let Some(kills) = view.delta(EVENTS_OOM_KILL.of(own)) else {
        return Testimony::missing(NAME, format!("{own}: could not be read"));
    };
    if kills == 0 {
        return Testimony::allows(NAME, format!("{own}: oom_kill +0"), not_the_kernel());
    }
    // Where the log accounts for every kill with other processes, it was not this one.
    if view.kernel_log() == KernelLog::Complete && logged_of_others(view, ended) >= kills {
        let says = format!("{own}: oom_kill +{kills}, all of other processes by the kernel log");
        return Testimony::allows(NAME, says, not_the_kernel());
    }
    let rivals = rivals(view, ended, own, all);
    if rivals > kills {
        let says =
            format!("{own}: oom_kill +{kills}, but {rivals} of its processes died and it does not say which");
        return Testimony::missing(NAME, says);
    }
    of_limits(view, actor, &around[gone..], kills)
}

/// Which limits were hit where kills were counted. `oom` is charged to the cgroup whose limit was hit, `oom_kill` to the
/// victim's; `memory.events` has that of everything below as well.
fn of_limits(view: &View<'_>, actor: &PlannedActor, chain: &[&str], kills: u64) -> Testimony {
    let own = chain[0];
    let mut hit = Vec::new();
    for name in chain {
        match view.delta(LOCAL_OOM.of(name)) {
            Some(0) => {}
            Some(count) => hit.push((*name, count)),
            None => {
                return Testimony::missing(NAME, format!("{name}: memory.events.local could not be read"));
            }
        }
    }
    let Some(below) = oom_below(view, own) else {
        return Testimony::missing(NAME, format!("{own}: oom could not be read"));
    };
    match (hit.as_slice(), below) {
        // A limit above all that is sampled, which counts where nobody looks.
        ([], 0) if limited_above(view, actor) => Testimony::allows(
            NAME,
            format!(
                "{own}: oom_kill +{kills}, oom +0 in every sampled cgroup, and one above them has a limit"
            ),
            [Killer::Global, Killer::Memcg],
        ),
        ([], 0) => Testimony::allows(
            NAME,
            format!("{own}: oom_kill +{kills}, but oom +0 up to the root"),
            [Killer::Global],
        ),
        ([], below) => Testimony::allows(
            NAME,
            format!("{own}: oom_kill +{kills}; oom +{below} at a limit below it"),
            [Killer::Memcg],
        ),
        ([(name, count)], 0) => {
            let says = format!("{own}: oom_kill +{kills}; limit {name}: oom +{count}");
            let mut said = Testimony::allows(NAME, says, [Killer::Memcg]);
            said.limit = cgroup_path(view.plan, name).map(str::to_owned);
            said
        }
        (several, below) => {
            let mut names: Vec<String> =
                several.iter().map(|(name, count)| format!("{name} oom +{count}")).collect();
            if below > 0 {
                names.push(format!("below {own} oom +{below}"));
            }
            // Which of them took this actor cannot be told from counters alone.
            Testimony::allows(
                NAME,
                format!("{own}: oom_kill +{kills}; {}", names.join(", ")),
                [Killer::Memcg],
            )
        }
    }
}

/// Processes that the kernel logged as killed and that are not this actor's; none when it logged the actor's, too.
fn logged_of_others(view: &View<'_>, ended: &Ended<'_>) -> u64 {
    if ended.death.is_some() { 0 } else { deaths(view).len() as u64 }
}

/// How many actors that were not seen outside a cgroup died in a way that an OOM kill could be, and that the kernel log gives to nobody else.
fn rivals(view: &View<'_>, ended: &Ended<'_>, own: &str, all: &[Ended<'_>]) -> u64 {
    let Some(path) = cgroup_path(view.plan, own) else { return 0 };
    if ended.death.is_some() {
        return 0;
    }
    let could_be = |other: &&Ended<'_>| {
        matches!(other.end, ActorEnd::Signalled(libc::SIGKILL) | ActorEnd::Unknown)
            && view.cgroup(&other.actor.id).is_none_or(|cgroup| is_below(cgroup, path))
    };
    all.iter().filter(could_be).count() as u64
}

/// Whether the counters of a watched cgroup were read at or after a moment.
fn outlived(view: &View<'_>, name: &str, at_us: u64) -> bool {
    let last = view.readings(EVENTS_OOM_KILL.of(name)).pop();
    last.is_some_and(|(at, _)| at >= at_us)
}

/// How often a limit below a watched cgroup was hit, its own not counted.
fn oom_below(view: &View<'_>, name: &str) -> Option<u64> {
    let all = view.delta(EVENTS_OOM.of(name))?;
    Some(all.saturating_sub(view.delta(LOCAL_OOM.of(name))?))
}

/// Whether a cgroup above the actor that is not sampled has a limit of its own.
fn limited_above(view: &View<'_>, actor: &PlannedActor) -> bool {
    let sampled = |path: &str| view.plan.watched.iter().any(|watched| watched.cgroup.as_str() == path);
    let finite = |limit: Option<&String>| limit.is_some_and(|limit| limit != "max");
    let Some(cgroup) = view.cgroup(&actor.id) else { return false };
    view.limits()
        .into_iter()
        .any(|(path, values)| is_below(cgroup, path) && !sampled(path) && finite(values.get("memory.max")))
}
