//! `[reached]` must tell the stress from rest: a condition that holds before anything happens shows nothing.

use super::{Checker, bounds};
use crate::metric::{Metric, Subject};
use crate::reading::places::Step;
use crate::reading::rule::rules;
use crate::scenario::actor::Actor;
use crate::scenario::expectation::{BoundKind, BoundValue};

rules! {
    Error REACHED_AT_REST = "reached-at-rest",
        "The condition of [reached] already holds before the balloons are released, so it does not show that the \
        stress arrived. Under stress most numbers rise and need a `min` above what the waiting actors are charged with \
        (about 1 MiB each, for page tables and kernel stacks); what is left of the machine falls and needs a `max`.";
    Error PHASE_NOT_OVER = "phase-not-over",
        "A bound relative to a phase compares with a statistic of that phase, which is known only when the phase is \
        over. A claim may compare with the `baseline` or the `climb`; [reached] is watched while the run goes on, and \
        takes a fixed number or a share of a limit.";
}

/// An actor that waits for its release is charged with about so much, with its page tables and kernel stack.
const WAITING: u64 = 1 << 20;

pub(super) fn check(checker: &mut Checker<'_>) {
    let reached = &checker.scenario.reached;
    let key = reached.bound.kind.to_string();
    let path: [Step<'_>; 2] = ["reached".into(), key.as_str().into()];
    if let BoundValue::Phase(_) = reached.bound.value {
        checker.report(
            PHASE_NOT_OVER,
            &path,
            "[reached] is watched while it happens: it cannot wait for a phase's statistic",
        );
        return;
    }
    let falls = falls_under_stress(&reached.metric);
    let value = bounds::number(checker, &reached.bound.value);
    let help = match reached.bound.kind {
        BoundKind::Max if !falls => "use `min`: under stress it rises",
        BoundKind::Min if falls => "use `max`: under stress it falls",
        BoundKind::Max if at_least_the_machine(checker, value) => {
            "ask for less than the memory that [requires] promises"
        }
        BoundKind::Min if value.is_some_and(|value| value > 0 && value <= waiting(checker)) => {
            "ask for more than the actors take while they wait for their release"
        }
        _ => return,
    };
    let message = format!("`{}` meets this bound before anything happens", checker.scenario.reached.metric);
    checker.report(REACHED_AT_REST, &path, message).help.push(help.to_owned());
}

/// Of all that is counted only what is left of the machine becomes less.
fn falls_under_stress(metric: &Metric) -> bool {
    metric.subject == Subject::Host
        && matches!(metric.info.name, "memory.available" | "memory.free" | "memory.total")
}

fn at_least_the_machine(checker: &Checker<'_>, value: Option<u64>) -> bool {
    value.zip(checker.machine()).is_some_and(|(value, machine)| value >= machine.0)
}

/// What is charged to the cgroup of `[reached]` while everybody in it waits.
fn waiting(checker: &Checker<'_>) -> u64 {
    let metric = &checker.scenario.reached.metric;
    match (&metric.subject, metric.info.name) {
        (Subject::Cgroup(id), "memory.current" | "memory.peak") => {
            let inside = checker.scenario.actors.iter().filter(|actor| checker.is_inside(actor, id));
            WAITING.saturating_mul(inside.count() as u64)
        }
        _ => 0,
    }
}

/// The actors whose stress `[reached]` watches: the one that it names, the balloons of the cgroup, or all balloons.
pub(super) fn rests_on<'s>(checker: &Checker<'s>) -> Vec<&'s Actor> {
    let scenario = checker.scenario;
    let counts = |actor: &&Actor| match &scenario.reached.metric.subject {
        Subject::Actor(id) => actor.id == *id,
        Subject::Cgroup(id) => actor.balloon().is_some() && checker.is_inside(actor, id),
        Subject::Host | Subject::Protect => actor.balloon().is_some(),
    };
    scenario.actors.iter().filter(counts).collect()
}
