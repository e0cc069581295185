//! A scenario whose twin cannot turn red, or that has none, proves nothing.

use super::{Checker, rest};
use crate::notation::limit::Limit;
use crate::property::{Property, PropertyName};
use crate::reading::rule::rules;
use crate::scenario::cgroup::Cgroup;
use crate::scenario::expectation::Claim;
use crate::scenario::{Scenario, Twin};

rules! {
    Error CORE_WITHOUT_TWIN = "core-without-twin",
        "The scenario is tagged `core` and has no twin. What the standard suite claims must have been seen to fail: a \
        twin breaks one part of the containment on purpose, and the claim must turn red. Add a [[twin]] or drop the \
        tag.";
    Warning NO_TWIN = "no-twin",
        "The scenario has no twin, so nothing shows that its claims can fail at all; a claim that holds with the limit \
        removed proves nothing about the limit. Add a [[twin]] that breaks one thing. It is fine while a scenario is \
        being written.";
    Warning NEVER_RED = "never-red",
        "No twin must turn these expectations red, so they were never seen to fail. Name them in the `must-fail` of a \
        twin that breaks what they rest on. It is fine for preconditions and controls, which are not worth a machine \
        of their own.";
    Error TWIN_CHANGES_NOTHING = "twin-changes-nothing",
        "The twin sets up the same machine as the scenario, so its run must end in the same way. Let it `set` a value \
        that the scenario does not have, `drop` an actor, or add one with [[twin.actor]]; `requires`, `observe` and \
        `hold` alone break nothing.";
    Error TWIN_DROPS_STRESS = "twin-drops-stress",
        "The twin leaves out the actors whose stress [reached] watches. The stress does not arrive then, and the twin is \
        inconclusive, which proves nothing. Break the containment, not the stress.";
    Warning TWIN_WITHOUT_CLAIM = "twin-without-claim",
        "The twin must turn a claim red about who dies and who lives, and does not say what happens instead. Any \
        accident turns such a claim red: another killer, a crash, a machine without memory. Add a [[twin.expect]]: \
        who is killed by whom, or which number moves.";
}

/// The scenario's side: it has twins, and each of its claims is one that some twin breaks.
pub(super) fn check(checker: &mut Checker<'_>) {
    let scenario = checker.scenario;
    if scenario.twins.is_empty() {
        let message = "no [[twin]] breaks this on purpose: nothing shows that it can fail";
        if scenario.tags.iter().any(|tag| *tag == *"core") {
            checker
                .report(CORE_WITHOUT_TWIN, &["tags".into()], message)
                .help
                .push("a core scenario needs a twin".to_owned());
        } else {
            checker.report(NO_TWIN, &["title".into()], message);
        }
        return;
    }
    let red = |id: &str| scenario.twins.iter().any(|twin| twin.must_fail.iter().any(|red| *red == *id));
    let never: Vec<usize> =
        (0..scenario.expects.len()).filter(|index| !red(&scenario.expects[*index].id)).collect();
    if let Some(first) = never.first() {
        let ids: Vec<&str> = never.iter().map(|index| &*scenario.expects[*index].id).collect();
        let message = format!("no twin has to turn this red: {}", ids.join(", "));
        let problem = checker.report(NEVER_RED, &["expect".into(), (*first).into(), "id".into()], message);
        problem.notes.push("what was never seen to fail may be a claim that cannot fail".to_owned());
    }
}

/// A twin's side: it breaks something, but not the stress, and says what happens instead.
pub(super) fn check_twin(checker: &mut Checker<'_>, index: usize) {
    let written = checker.written;
    let twin = &written.twins[index];
    let path = ["twin".into(), index.into(), "id".into()];
    let nothing = twin.properties.is_empty()
        && twin.changed.is_empty()
        && twin.killers.is_empty()
        && twin.drop.is_empty()
        && twin.added.is_empty();
    if nothing {
        let help =
            "it needs `set`, `drop` or [[twin.actor]]; `requires`, `observe` and `hold` alone break nothing";
        checker.report(TWIN_CHANGES_NOTHING, &path, "it breaks nothing").help.push(help.to_owned());
    } else if same_in_effect(written, checker.scenario) {
        let problem =
            checker.report(TWIN_CHANGES_NOTHING, &path, "it changes nothing: what it sets is so already");
        problem.help.push("set a value that the scenario does not have".to_owned());
    }
    let before = rest::rests_on(&Checker::new(written, written, None)).len();
    if before > 0 && rest::rests_on(checker).is_empty() {
        let problem = checker.report(TWIN_DROPS_STRESS, &path, "it drops what [reached] watches");
        problem.help.push("a stress that does not arrive is inconclusive and proves nothing".to_owned());
    }
    says_what_happens(checker, twin, &path);
}

/// Whoever was to die or live did not: that alone does not tell why.
fn says_what_happens(checker: &mut Checker<'_>, twin: &Twin, path: &[super::Step<'_>]) {
    let about_ends = checker.written.expects.iter().find(|expect| {
        let ends = matches!(
            expect.claim,
            Claim::Kill(_) | Claim::OnlyVictims(_) | Claim::Survives(_) | Claim::KillOrder(_)
        );
        ends && twin.must_fail.contains(&expect.id)
    });
    if let (Some(red), true) = (about_ends, twin.expects.is_empty()) {
        let message = format!("it must turn `{}` red, and does not say what happens instead", red.id);
        checker.report(TWIN_WITHOUT_CLAIM, path, message).help.push(
            "add a [[twin.expect]]: who is killed by whom, or which number moves; otherwise any accident turns it red"
                .to_owned(),
        );
    }
}

/// Whether the same machine is set up in the same way.
fn same_in_effect(one: &Scenario, other: &Scenario) -> bool {
    let cgroups = one.cgroups.len() == other.cgroups.len()
        && one
            .cgroups
            .iter()
            .all(|cgroup| other.cgroup(&cgroup.id).is_some_and(|twin| same_properties(cgroup, twin)));
    let actors = one.actors.len() == other.actors.len()
        && one.actors.iter().all(|actor| other.actor(&actor.id) == Some(actor));
    cgroups && actors && one.killers == other.killers
}

fn same_properties(one: &Cgroup, other: &Cgroup) -> bool {
    let (one, other) = (effective(one), effective(other));
    one.len() == other.len() && one.iter().all(|property| other.contains(property))
}

/// The properties without those that say what is so by default.
fn effective(cgroup: &Cgroup) -> Vec<&Property> {
    let says_nothing = |property: &&Property| {
        let upper = matches!(
            property.name,
            PropertyName::MemoryHigh
                | PropertyName::MemoryMax
                | PropertyName::MemorySwapMax
                | PropertyName::MemoryZSwapMax
        );
        upper && property.limit() == Some(Limit::Infinity)
    };
    cgroup.properties.iter().filter(|property| !says_nothing(property)).collect()
}
