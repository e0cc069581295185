//! The run must fit into its deadline, and the stress into the time it is watched.

use super::Checker;
use crate::notation::Span;
use crate::reading::places::{Step, join};
use crate::reading::rule::rules;
use crate::scenario::rules::shared::ZERO_TIME;

rules! {
    Error DEADLINE_TOO_SHORT = "deadline-too-short",
        "PID 1 ends the units of the run when `deadline` has passed, whatever became of the harness. It must be longer \
        than `baseline` and `observe` together, or it cuts off a run that is still watched. Raise it, or lower \
        `observe`.";
    Warning TIGHT_DEADLINE = "tight-deadline",
        "Besides `baseline` and `observe`, `deadline` leaves less than 10 s for starting units, verifying their cgroups \
        and proving the cleanup, all of which is slower in an emulated guest. A run that is cut off is inconclusive. \
        Raise `deadline`. It is fine on machines that you know to be fast.";
    Error OUTLASTS_OBSERVE = "outlasts-observe",
        "The stress is watched for `observe` at most, counted from the release of the balloons. What takes longer is \
        never seen: the `within` of [reached] and `hold` after it, the `delay` of an actor, the `within` of a probe. \
        Raise `observe`, or lower the other time.";
}

/// Time for starting units, verifying cgroups and proving the cleanup, which the deadline must leave.
const SLACK: Span = Span::seconds(10);

pub(super) fn check(checker: &mut Checker<'_>) {
    let scenario = checker.scenario;
    let watched = scenario.baseline.plus(scenario.observe);
    if watched >= scenario.deadline {
        checker
            .report(
                DEADLINE_TOO_SHORT,
                &["deadline".into()],
                format!("the deadline of {} ends a run that is watched for {watched}", scenario.deadline),
            )
            .help
            .push(format!(
                "baseline ({}) and observe ({}) must fit into it with {SLACK} to spare",
                scenario.baseline, scenario.observe
            ));
    } else if watched.plus(SLACK) > scenario.deadline {
        checker
            .report(
                TIGHT_DEADLINE,
                &["deadline".into()],
                "the deadline leaves less than 10s for starting and cleaning up",
            )
            .help
            .push(format!("make it at least {}", watched.plus(SLACK)));
    }
    // A twin may be watched for less; then the shorter of the two counts for `reached`.
    if checker.twin.is_none() && scenario.reached.within > scenario.observe {
        let (within, observe) = (scenario.reached.within, scenario.observe);
        checker
            .report(
                OUTLASTS_OBSERVE,
                &["reached".into(), "within".into()],
                format!("nobody watches for {within}: observe is {observe}"),
            )
            .help
            .push("raise `observe` or lower `within`".to_owned());
    }
    hold(checker);
    zeroes(checker);
    for actor in &scenario.actors {
        if actor.delay >= scenario.observe {
            let index = checker.actor_index(actor);
            let message =
                format!("`{}` is released after {}, when nobody watches any more", actor.id, actor.delay);
            checker.report(OUTLASTS_OBSERVE, &["actor".into(), index.into(), "delay".into()], message);
        }
    }
    for (index, answer) in scenario.protect.answer.iter().enumerate() {
        if answer.within > scenario.observe {
            let message =
                format!("a probe that may take {} cannot fail within {}", answer.within, scenario.observe);
            checker.report(
                OUTLASTS_OBSERVE,
                &["protect".into(), "answer".into(), index.into(), "within".into()],
                message,
            );
        }
    }
}

/// The stress may be reached at the last moment, and must still be held for long enough.
fn hold(checker: &mut Checker<'_>) {
    let scenario = checker.scenario;
    let (hold, within, observe) = (scenario.hold, scenario.reached.within, scenario.observe);
    if hold.0 > 0 && within.plus(hold) > observe {
        let message = format!("the stress cannot be held for {hold}: it is watched for {observe}");
        let problem = checker.report(OUTLASTS_OBSERVE, &["hold".into()], message);
        problem.help.push(format!("`within` of [reached] ({within}) and `hold` must fit into `observe`"));
    }
    if let Some(enough) = scenario.enough.filter(|enough| *enough < hold) {
        let message = format!("the stress is never held for {hold}: {enough} of it are enough");
        let problem = checker.report(OUTLASTS_OBSERVE, &["enough".into()], message);
        problem.help.push("raise `enough` or lower `hold`".to_owned());
    }
}

/// A time in which nothing can happen, or a pause of no length.
fn zeroes(checker: &mut Checker<'_>) {
    let scenario = checker.scenario;
    let none = Some(Span(0));
    if scenario.enough == none {
        checker
            .report(ZERO_TIME, &["enough".into()], "`enough` of 0s leaves no time")
            .help
            .push("such as \"3s\"".to_owned());
    }
    let refuse = |checker: &mut Checker<'_>, path: &[Step<'_>], key: &str| {
        let path = join(path, &[key.into()]);
        checker
            .report(ZERO_TIME, &path, format!("`{key}` of 0s leaves no time"))
            .help
            .push("such as \"500ms\"".to_owned());
    };
    if scenario.reached.within == Span(0) {
        refuse(checker, &["reached".into()], "within");
    }
    for (index, answer) in scenario.protect.answer.iter().enumerate() {
        let path = ["protect".into(), "answer".into(), index.into()];
        for (key, span) in [("within", answer.within), ("every", answer.every)] {
            if span == Span(0) {
                refuse(checker, &path, key);
            }
        }
    }
    for actor in &scenario.actors {
        if let Some((key, Span(0))) = actor.role.settings().pause() {
            let index = checker.actor_index(actor);
            refuse(checker, &["actor".into(), index.into()], key);
        }
    }
}
