//! Kills that no run can show: by a cap that is not there, of a victim that is out of its reach, in an order of one.

use super::Checker;
use super::memory::inside;
use super::mib;
use crate::killer;
use crate::notation::bytes::Bytes;
use crate::notation::id::Id;
use crate::notation::limit::Limit;
use crate::notation::percent::Percent;
use crate::reading::places::{Step, join};
use crate::reading::rule::rules;
use crate::scenario::actor::{Actor, OomScoreAdjust};
use crate::scenario::cgroup::Place;
use crate::scenario::expectation::{Kill, RUN};
use crate::scenario::rules::shared::CONTRADICTION;
use crate::scenario::safety::Safety;

rules! {
    Error ORDER_OF_ONE = "order-of-one",
        "`kill-order` claims who is killed before whom, so it lists at least two. Use `kill` for one victim.";
    Warning ORDER_OF_UNKILLABLE = "order-of-unkillable",
        "The kernel's OOM killer never chooses a process with oom_score_adj -1000; systemd-oomd kills by cgroup and \
        takes it all the same. It is fine where systemd-oomd is the killer that is meant.";
    Error UNKILLABLE_VICTIM = "unkillable-victim",
        "The kernel's OOM killer never chooses a process with oom_score_adj -1000, so it cannot be the victim of this \
        kill. Remove `OOMScoreAdjust`, or claim another victim or killer.";
    Error ONE_KILL_MANY_PROCESSES = "one-kill-many-processes",
        "The victim is an actor of several processes, and this killer takes one process at a time, the one with the \
        highest oom_score. Leave out `processes`, or claim what becomes of the cgroup: its memory.events.oom_kill, or \
        its memory.current.";
    Error TOLERANCE_TOO_WIDE = "tolerance-too-wide",
        "A `within-percent` above 100 takes any size from nothing to twice the limit, so the size at the kill is not \
        claimed at all. Lower it, or leave `at` out.";
    Warning TOLERANCE_TOO_NARROW = "tolerance-too-narrow",
        "The kernel charges memory in batches of 64 pages for each CPU (MEMCG_CHARGE_BATCH), so memory.current at the \
        kill differs from real use by up to that. A smaller `within-percent` fails by chance. Raise it, or raise the \
        limit. It is fine on a machine with fewer CPUs than assumed (2 when [requires] names none).";
    Error LIMIT_NOT_AROUND_VICTIM = "limit-not-around-victim",
        "When a cgroup's limit is hit, the kernel chooses the victim in that cgroup or below it, and this victim runs \
        elsewhere. Name a cgroup that holds it. The harness's own cap, `run`, is around all cgroups of the run that do \
        not hang in a slice of the machine; a destructive run has none.";
    Error CAP_NEVER_HIT = "cap-never-hit",
        "The kill is to come from a MemoryMax that is not set, or under which all balloons of the cgroup fit together, \
        so nothing ever hits it. Set it, lower it, or enlarge a balloon.";
}

/// `memory.current` leads real use by up to so many pages for each CPU (`MEMCG_CHARGE_BATCH`).
const CHARGE_BATCH_BYTES: u64 = 64 * 4096;

pub(super) fn check(checker: &mut Checker<'_>, kill: &Kill, path: &[Step<'_>]) {
    let scenario = checker.scenario;
    let Some(victim) = scenario.actor(&kill.victim) else {
        return;
    };
    if killer::is_kernel(kill.by) && victim.oom_score_adjust == OomScoreAdjust::NEVER {
        checker.report(
            UNKILLABLE_VICTIM,
            path,
            format!("the kernel's OOM killer never takes `{}`: OOMScoreAdjust is -1000", victim.id),
        );
    }
    if let Some(processes) = victim.balloon().map(|balloon| balloon.processes).filter(|count| *count > 1)
        && killer::takes_one(kill.by)
    {
        let message =
            format!("`{}` is {processes} processes, and this killer takes one at a time", victim.id);
        let help = format!("leave `processes` out of `{}`, or claim what becomes of its cgroup", victim.id);
        checker.report(ONE_KILL_MANY_PROCESSES, path, message).help.push(help);
    }
    if let Some(at) = kill.at.as_ref().filter(|at| at.within_percent > Percent(10_000)) {
        let path = join(path, &["at".into(), "within-percent".into()]);
        checker.report(TOLERANCE_TOO_WIDE, &path, format!("within {} of it is any size", at.within_percent));
    }
    if kill.limit.as_deref() == Some(RUN) {
        own_cap(checker, victim, &join(path, &["limit".into()]));
    } else if let Some(limit) = &kill.limit {
        let path = join(path, &["limit".into()]);
        if !checker.is_inside(victim, limit) {
            let message =
                format!("`{}` does not run in `{limit}` or below it: that limit cannot kill it", victim.id);
            checker.report(LIMIT_NOT_AROUND_VICTIM, &path, message);
        }
        fits_under_cap(checker, limit, &path);
    }
    let Some(at) = &kill.at else {
        return;
    };
    let size = scenario
        .base_limit(&at.of)
        .and_then(|limit| checker.limit(limit))
        .map(|limit| at.percent.of(limit.0));
    let cpus = scenario.requires.cpus.unwrap_or(2);
    let batch = CHARGE_BATCH_BYTES * u64::from(cpus);
    if let Some(size) = size.filter(|size| at.within_percent.of(*size) < batch) {
        let message = format!(
            "{} of {} is less than the {} by which charges are batched on {cpus} CPUs",
            at.within_percent,
            mib(Bytes(size)),
            mib(Bytes(batch))
        );
        let path = join(path, &["at".into(), "within-percent".into()]);
        checker.report(TOLERANCE_TOO_NARROW, &path, message).notes.push(
            "the kernel charges 64 pages at a time for each CPU: memory.current leads real use".to_owned(),
        );
    }
}

/// The harness's own cap is around the declared cgroups that hang in the run, and a destructive run has none.
fn own_cap(checker: &mut Checker<'_>, victim: &Actor, path: &[Step<'_>]) {
    let inside = match &victim.place {
        Place::Cgroup(id) => checker.chain(id).1.is_none(),
        Place::Slice(_) => false,
    };
    if checker.scenario.safety == Safety::Destructive {
        checker.report(
            LIMIT_NOT_AROUND_VICTIM,
            path,
            "a destructive run has no cap of the harness's own that could be hit",
        );
    } else if !inside {
        let message = format!("`{}` runs outside the cap that the harness puts around a run", victim.id);
        checker.report(LIMIT_NOT_AROUND_VICTIM, path, message);
    }
}

/// A cap that is not there, or under which everything fits, kills nobody.
fn fits_under_cap(checker: &mut Checker<'_>, id: &str, path: &[Step<'_>]) {
    let cap = match checker.scenario.limit(id, "MemoryMax") {
        None | Some(Limit::Infinity) => {
            checker.report(CAP_NEVER_HIT, path, format!("`{id}` has no MemoryMax that could be hit"));
            return;
        }
        Some(cap) => checker.limit(cap),
    };
    if let (Some(cap), Some(taken)) = (cap, inside(checker, id))
        && taken <= cap
    {
        let message =
            format!("the balloons in `{id}` take {} and fit under its cap of {}", mib(taken), mib(cap));
        checker.report(CAP_NEVER_HIT, path, message);
    }
}

/// An order needs two, and nobody dies twice.
pub(super) fn check_order(checker: &mut Checker<'_>, ids: &[Id], path: &[Step<'_>]) {
    if ids.len() < 2 {
        checker
            .report(ORDER_OF_ONE, path, "an order has at least two victims")
            .help
            .push("use `kill` for one".to_owned());
    }
    if let Some(twice) = ids.iter().enumerate().find(|(at, id)| ids[..*at].contains(id)).map(|(_, id)| id) {
        checker.report(CONTRADICTION, path, format!("`{twice}` cannot be killed twice"));
    }
    let never = ids.iter().find(|id| {
        let actor = checker.scenario.actor(id);
        actor.is_some_and(|actor| actor.oom_score_adjust == OomScoreAdjust::NEVER)
    });
    if let Some(never) = never {
        let message = format!("the kernel's OOM killer never takes `{never}`: OOMScoreAdjust is -1000");
        checker
            .report(ORDER_OF_UNKILLABLE, path, message)
            .help
            .push("systemd-oomd takes it all the same".to_owned());
    }
}
