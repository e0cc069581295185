//! A scenario whose twin cannot turn red, or that has none, proves nothing.

use super::{Checker, rest};
use crate::notation::limit::Limit;
use crate::scenario::cgroup::Cgroup;
use crate::scenario::expectation::Claim;
use crate::scenario::property::{Property, PropertyName};
use crate::scenario::{Scenario, Twin};

/// The scenario's side: it has twins, and each of its claims is one that some twin breaks.
pub(super) fn check(checker: &mut Checker<'_>) {
    let scenario = checker.scenario;
    if scenario.twins.is_empty() {
        let message = "no [[twin]] breaks this on purpose: nothing shows that it can fail";
        if scenario.tags.iter().any(|tag| *tag == *"core") {
            checker.error(&["tags".into()], message).help.push("a core scenario needs a twin".to_owned());
        } else {
            checker.warn(&["title".into()], message);
        }
        return;
    }
    let red = |id: &str| scenario.twins.iter().any(|twin| twin.must_fail.iter().any(|red| *red == *id));
    let never: Vec<usize> =
        (0..scenario.expects.len()).filter(|index| !red(&scenario.expects[*index].id)).collect();
    if let Some(first) = never.first() {
        let ids: Vec<&str> = never.iter().map(|index| &*scenario.expects[*index].id).collect();
        let message = format!("no twin must turn this red: {}", ids.join(", "));
        let problem = checker.warn(&["expect".into(), (*first).into(), "id".into()], message);
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
        && twin.earlyoom.is_none()
        && twin.drop.is_empty()
        && twin.added.is_empty();
    if nothing {
        let help =
            "it needs `set`, `drop` or [[twin.actor]]; `requires`, `observe` and `hold` alone break nothing";
        checker.error(&path, "it breaks nothing").help.push(help.to_owned());
    } else if same_in_effect(written, checker.scenario) {
        let problem = checker.error(&path, "it changes nothing: what it sets is so already");
        problem.help.push("set a value that the scenario does not have".to_owned());
    }
    let before = rest::rests_on(&Checker::new(written, written, None)).len();
    if before > 0 && rest::rests_on(checker).is_empty() {
        let problem = checker.error(&path, "it drops what [reached] watches");
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
        checker.warn(path, message).help.push(
            "add a [[twin.expect]]: who is killed by whom, or which number moves; else any accident will do"
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
    cgroups && actors && one.earlyoom == other.earlyoom
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
