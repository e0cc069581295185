//! Properties must fit the unit they are set on, and actors must not turn a cap into a livelock.

use super::Checker;
use crate::notation::limit::Limit;
use crate::property::PropertyName;
use crate::reading::rule::rules;
use crate::scenario::actor::{Actor, OomScoreAdjust};
use crate::scenario::cgroup::Place;
use crate::scenario::safety::Safety;

rules! {
    Error PROPERTY_OF_ANOTHER_UNIT = "property-of-another-unit",
        "systemd has this property, but not for such a unit: OOMPolicy, for one, is for scopes and services, since a \
        slice has no processes of its own to stop. Give the cgroup `unit = \"scope\"` or `unit = \"service\"`, or \
        leave the property out.";
    Warning NEEDS_NEWER_SYSTEMD = "needs-newer-systemd",
        "The property came with a later systemd than [requires] asks for (252 when it asks for none). An older one \
        does not know it, and the containment under test is not there. Add `systemd` to [requires]: the scenario is \
        then skipped on older machines. It is fine to leave it out where all your machines are newer.";
    Warning HIGH_ABOVE_MAX = "high-above-max",
        "MemoryHigh throttles whoever allocates above it, MemoryMax kills. With MemoryHigh at MemoryMax or above, the \
        kill comes before any throttling, and MemoryHigh does nothing. Lower it or leave it out. It is fine where the \
        scenario shows exactly that.";
    Error UNKILLABLE_BALLOON = "unkillable-balloon",
        "A process with oom_score_adj -1000 is never chosen by the kernel's OOM killer. At a cap with nobody else to \
        take, the kernel finds no victim: the process loops in its allocation, memory.events counts up `oom` while \
        `oom_kill` stays 0, and the log is flooded. That may be shown in a twin, or by a destructive scenario without \
        a cap around the balloon.";
}

/// The oldest systemd that is supported; what needs a newer one must say so.
const OLDEST_SYSTEMD: u32 = 252;

pub(super) fn check(checker: &mut Checker<'_>) {
    let scenario = checker.scenario;
    let has = scenario.requires.systemd.unwrap_or(OLDEST_SYSTEMD);
    for cgroup in &scenario.cgroups {
        for property in &cgroup.properties {
            let name = property.name;
            let path = ["cgroup".into(), (&*cgroup.id).into(), name.info().text.into()];
            match name.since(cgroup.unit) {
                None => {
                    checker
                        .report(
                            PROPERTY_OF_ANOTHER_UNIT,
                            &path,
                            format!("systemd knows no {name} for a {}", cgroup.unit),
                        )
                        .help
                        .push(format!("give [cgroup.{}] unit = \"scope\" or unit = \"service\"", cgroup.id));
                }
                Some(since) if since > has => {
                    checker
                        .report(
                            NEEDS_NEWER_SYSTEMD,
                            &path,
                            format!(
                                "{name} on a {} needs systemd {since}, and this may run on {has}",
                                cgroup.unit
                            ),
                        )
                        .help
                        .push(format!("add `systemd = {since}` to [requires]"));
                }
                Some(_) => {}
            }
        }
        let resolved = |name| cgroup.limit(name).and_then(|limit| checker.limit(limit));
        if let (Some(high), Some(max)) =
            (resolved(PropertyName::MemoryHigh), resolved(PropertyName::MemoryMax))
            && high >= max
        {
            let path = ["cgroup".into(), (&*cgroup.id).into(), "MemoryHigh".into()];
            checker.report(
                HIGH_ABOVE_MAX,
                &path,
                format!("MemoryHigh never throttles in `{}`: MemoryMax is not above it", cgroup.id),
            );
        }
    }
    if checker.twin.is_none() {
        unkillable(checker);
    }
}

/// Only a twin may break the cap in this way. Where nothing may be capped, such a balloon presses on the machine.
fn unkillable(checker: &mut Checker<'_>) {
    for (index, actor) in checker.scenario.actors.iter().enumerate() {
        let never = actor.oom_score_adjust == OomScoreAdjust::NEVER && actor.balloon().is_some();
        if never && (checker.scenario.safety != Safety::Destructive || capped(checker, actor)) {
            let path = ["actor".into(), index.into(), "OOMScoreAdjust".into()];
            let problem = checker.report(
                UNKILLABLE_BALLOON,
                &path,
                format!("balloon `{}` can never be killed", actor.id),
            );
            problem.notes.push(
                "at its cap the kernel loops and floods its log: `oom` counts up, `oom_kill` stays 0"
                    .to_owned(),
            );
            problem
                .help
                .push("that belongs in a twin: set = { \"ACTOR.OOMScoreAdjust\" = -1000 }".to_owned());
        }
    }
}

/// Whether a declared cap is around the actor.
fn capped(checker: &Checker<'_>, actor: &Actor) -> bool {
    let Place::Cgroup(id) = &actor.place else {
        return false;
    };
    let mut caps = checker.chain(id).0.into_iter().filter_map(|id| checker.scenario.limit(id, "MemoryMax"));
    caps.any(|cap| cap != Limit::Infinity)
}
