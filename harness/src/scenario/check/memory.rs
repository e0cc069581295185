//! The sizes: what the machine must bear when every cap is broken, and whether the stress can arrive at all.

use super::Checker;
use super::mib;
use super::rest::REACHED_AT_REST;
use crate::metric::Subject;
use crate::notation::bytes::Bytes;
use crate::notation::limit::Limit;
use crate::notation::percent::Percent;
use crate::reading::rule::{MISPLACED_KEY, MISSING_KEY, rules};
use crate::scenario::actor::{Actor, MemoryKind, Profile};
use crate::scenario::cgroup::Place;
use crate::scenario::expectation::{BoundKind, BoundValue};
use crate::scenario::safety::Safety;
use crate::scenario::size::SizeExpr;

rules! {
    Error UNSTATED_MEMORY = "unstated-memory",
        "A machine must survive a contained scenario even when the cap under test is broken. Whether it does depends \
        on how much memory it has. Add `memory` to [requires]; the scenario is then skipped on smaller machines.";
    Error MACHINE_AT_RISK = "machine-at-risk",
        "With every cap removed, the balloons would take more than 90 % of the memory that [requires] promises. A \
        broken cap could then drive the machine into global reclaim and a machine-wide OOM kill, rather than turn the \
        claim red. Make the balloons smaller, require more memory, or say safety = \"pressure\" or \"destructive\", which \
        run on disposable machines only.";
    Error CONTAINED_OUTSIDE_THE_RUN = "contained-outside-the-run",
        "A balloon of a contained scenario stays in the run's own slice, around which the harness puts a MemoryMax of \
        its own. A slice of the machine has other inhabitants, and when its limit is hit the kernel chooses among all \
        processes below it. Put the balloon into a [cgroup.NAME] without `in`, or say safety = \"pressure\".";
    Error ENDLESS_GROWTH = "endless-growth",
        "The balloon grows for ever, as fast as it can, so nothing bounds what it takes when its cap is broken. Give it \
        a `rate`: then `observe` does.";
    Error SHARE_OF_INFINITY = "share-of-infinity",
        "This is a share of a limit that the file declares as `infinity`, and a share of no limit is no number. \
        Relative sizes follow the limits as the file declares them, in its twins too. Write the size in bytes, or \
        declare the limit.";
    Error ZERO_SIZE = "zero-size",
        "A balloon of no bytes takes nothing, so it puts nothing under stress. Give it a size.";
    Error NEVER_REACHED = "never-reached",
        "[reached] asks for more than the balloons take together, or more than the cap lets them have: the kernel holds \
        memory.current at memory.max by reclaim and kills. Every run would be inconclusive. Ask for less, or enlarge \
        the balloon.";
}

/// Admission refuses what would take more of the machine's memory than this.
const ADMITTED: Percent = Percent(9_000);

pub(super) fn check(checker: &mut Checker<'_>) {
    check_total(checker);
    sizes(checker);
    reach(checker);
}

/// Without any cap, all balloons together must leave the machine alive.
pub(super) fn check_total(checker: &mut Checker<'_>) {
    let scenario = checker.scenario;
    if scenario.safety != Safety::Contained || !scenario.actors.iter().any(|actor| actor.balloon().is_some())
    {
        return;
    }
    for actor in scenario.actors.iter().filter(|actor| actor.balloon().is_some()) {
        outside(checker, actor);
    }
    let Some(machine) = checker.machine() else {
        checker
            .report(
                UNSTATED_MEMORY,
                &["safety".into()],
                "a contained scenario with balloons must say how much memory the machine has",
            )
            .help
            .push(
                "add `memory` to [requires]: without it nobody can show that a broken cap is survived"
                    .to_owned(),
            );
        return;
    };
    let mut total: u64 = 0;
    for actor in &scenario.actors {
        match worst(checker, actor, machine) {
            Some(bytes) => total = total.saturating_add(bytes.0),
            None => return,
        }
    }
    let admitted = ADMITTED.of_bytes(machine);
    if total > admitted.0 {
        let message = format!(
            "with every cap removed the balloons take {}, more than {ADMITTED} ({}) of the {machine} that [requires] promises",
            mib(Bytes(total)),
            mib(admitted)
        );
        let path = match first_balloon(checker) {
            Some(index) => vec!["actor".into(), index.into(), "size".into()],
            None => vec!["safety".into()],
        };
        checker
            .report(MACHINE_AT_RISK, &path, message)
            .help
            .push("make the balloons smaller, require more memory, or say safety = \"pressure\"".to_owned());
    }
}

fn first_balloon(checker: &Checker<'_>) -> Option<usize> {
    checker.written.actors.iter().position(|actor| actor.balloon().is_some())
}

/// A contained balloon sits in the run's own tree: a slice of the machine has limits and inhabitants of its own.
fn outside(checker: &mut Checker<'_>, actor: &Actor) {
    let slice = match &actor.place {
        Place::Slice(slice) => Some(slice.to_string()),
        Place::Cgroup(id) => checker.chain(id).1.map(ToOwned::to_owned),
    };
    if let Some(slice) = slice {
        let index = checker.actor_index(actor);
        let message =
            format!("balloon `{}` ends up in {slice}, whose own limits may take others than it", actor.id);
        checker
            .report(CONTAINED_OUTSIDE_THE_RUN, &["actor".into(), index.into(), "in".into()], message)
            .help
            .push(
                "a contained balloon runs in a [cgroup.NAME] without `in`; or say safety = \"pressure\""
                    .to_owned(),
            );
    }
}

/// The most an actor can take when nothing stops it; `None` after reporting that there is no such number.
fn worst(checker: &mut Checker<'_>, actor: &Actor, machine: Bytes) -> Option<Bytes> {
    let Some(balloon) = actor.balloon() else {
        return Some(Bytes(0));
    };
    if balloon.memory == MemoryKind::File {
        // Page cache is given back before anything has to die.
        return Some(Bytes(0));
    }
    let index = checker.actor_index(actor);
    let Some(size) = checker.scenario.resolve(&balloon.size, machine) else {
        return no_limit(checker, index, &balloon.size);
    };
    if balloon.profile == Profile::Grow && balloon.rate.is_none() {
        checker
            .report(
                ENDLESS_GROWTH,
                &["actor".into(), index.into(), "profile".into()],
                format!("balloon `{}` grows for ever, as fast as it can", actor.id),
            )
            .help
            .push("give it a `rate`: then `observe` bounds what it takes".to_owned());
        return None;
    }
    Some(Bytes(size.0.saturating_add(balloon.grows_by(checker.scenario.observe))))
}

fn no_limit(checker: &mut Checker<'_>, index: usize, size: &SizeExpr) -> Option<Bytes> {
    let message = format!("{size} is not a size: this file declares that limit as infinity");
    checker.report(SHARE_OF_INFINITY, &["actor".into(), index.into(), "size".into()], message);
    None
}

/// What the balloons in and below a cgroup take together; `None` when a size is not known without a machine.
pub(super) fn inside(checker: &Checker<'_>, cgroup: &str) -> Option<Bytes> {
    let mut total: u64 = 0;
    for actor in checker.scenario.actors.iter().filter(|actor| checker.is_inside(actor, cgroup)) {
        let size = match actor.balloon() {
            None => 0,
            Some(balloon) if balloon.profile == Profile::Grow => u64::MAX,
            Some(balloon) => checker.size(&balloon.size)?.0,
        };
        total = total.saturating_add(size);
    }
    Some(Bytes(total))
}

fn sizes(checker: &mut Checker<'_>) {
    for (index, actor) in checker.scenario.actors.iter().enumerate() {
        let Some(balloon) = actor.balloon() else {
            continue;
        };
        let sawtooth = balloon.profile == Profile::Sawtooth;
        let path = ["actor".into(), index.into()];
        if sawtooth && (balloon.low.is_none() || balloon.period.is_none()) {
            checker.report(
                MISSING_KEY,
                &path,
                format!("balloon `{}` is a sawtooth: it needs `low` and `period`", actor.id),
            );
        }
        if !sawtooth && (balloon.low.is_some() || balloon.period.is_some()) {
            let message = format!("balloon `{}` is not a sawtooth: `low` and `period` do nothing", actor.id);
            checker.report(MISPLACED_KEY, &path, message);
        }
        if balloon.size == SizeExpr::Bytes(Bytes(0)) {
            checker.report(
                ZERO_SIZE,
                &["actor".into(), index.into(), "size".into()],
                "a balloon of no bytes takes nothing",
            );
        }
    }
}

/// `[reached]` must be possible: inside the limit, and not more than the balloons have.
pub(super) fn reach(checker: &mut Checker<'_>) {
    let scenario = checker.scenario;
    let reached = &scenario.reached;
    let path = ["reached".into(), "min".into()];
    if reached.bound.kind != BoundKind::Min {
        return;
    }
    let wanted = match &reached.bound.value {
        BoundValue::Exact(quantity) => Bytes(quantity.raw()),
        BoundValue::Limit(share) if scenario.base_limit(&share.of) == Some(Limit::Infinity) => {
            checker.report(
                SHARE_OF_INFINITY,
                &path,
                "a share of no limit is never reached: this file declares that limit as infinity",
            );
            return;
        }
        BoundValue::Limit(share) => match checker.size(&SizeExpr::Limit(share.clone())) {
            Some(wanted) => wanted,
            None => return,
        },
        BoundValue::Phase(_) => return,
    };
    if wanted == Bytes(0) {
        checker.report(REACHED_AT_REST, &path, "a minimum of 0 is reached before anything happens");
    }
    match (&reached.metric.subject, reached.metric.info.name) {
        (Subject::Cgroup(id), "memory.current" | "memory.peak" | "memory.stat.anon") => {
            if let Some(taken) = inside(checker, id).filter(|taken| *taken < wanted) {
                let message = format!(
                    "the balloons in `{id}` take {} at most: {} is never reached",
                    mib(taken),
                    mib(wanted)
                );
                checker.report(NEVER_REACHED, &path, message);
            }
            let cap = scenario.limit(id, "MemoryMax").and_then(|limit| checker.limit(limit));
            if let Some(cap) = cap.filter(|cap| *cap < wanted) {
                let message = format!("`{id}` is capped at {}: {} is never reached", mib(cap), mib(wanted));
                checker.report(NEVER_REACHED, &path, message);
            }
        }
        (Subject::Actor(id), "touched") => {
            let size = scenario.actor(id).and_then(|actor| checker.size(&actor.balloon()?.size));
            if let Some(size) = size.filter(|size| *size < wanted) {
                let message = format!("`{id}` takes {} at most: {} is never reached", mib(size), mib(wanted));
                checker.report(NEVER_REACHED, &path, message);
            }
        }
        _ => {}
    }
}
