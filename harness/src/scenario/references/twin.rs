//! The names that a twin mentions: those of the scenario, and what it adds itself.

use super::Names;
use crate::reading::places::{Step, join};
use crate::reading::rule::{DUPLICATE_NAME, rules};
use crate::scenario::Twin;

rules! {
    Error MISPLACED_MUST_FAIL = "misplaced-must-fail",
        "`must-fail` names claims of the scenario that turn red when the twin breaks something. `reached` is not one \
        of them, because a stress that does not arrive makes the twin inconclusive, which proves nothing; nor is a \
        claim of the twin itself, which must hold in it.";
}

impl<'s> Names<'s> {
    pub(super) fn twin(&mut self, twin: &'s Twin, index: usize) {
        let path: [Step<'_>; 2] = ["twin".into(), index.into()];
        let actors = self.actors.clone();
        let killers = self.scenario.killers.iter().map(|own| own.killer.word());
        let droppable: Vec<_> = actors.iter().copied().chain(killers).collect();
        for (at, id) in twin.drop.iter().enumerate() {
            self.known("actor", id, &droppable, &join(&path, &["drop".into(), at.into()]));
        }
        for (at, actor) in twin.added.iter().enumerate() {
            let path = join(&path, &["actor".into(), at.into()]);
            self.actor(actor, &path);
            self.reserved_actor(&actor.id, &join(&path, &["id".into()]));
            let taken = actors.contains(&&*actor.id) && !twin.drop.contains(&actor.id);
            let again = twin.added[..at].iter().any(|other| other.id == actor.id);
            if taken || again || self.cgroups.contains(&&*actor.id) {
                self.report(
                    DUPLICATE_NAME,
                    &join(&path, &["id".into()]),
                    format!("the name `{}` is taken", actor.id),
                );
            }
        }
        for actor in &twin.changed {
            self.actor(actor, &join(&path, &["set".into()]));
        }
        self.twin_expectations(twin, index);
        let ids = self.scenario.expectation_ids();
        let known: Vec<_> = ids.iter().map(String::as_str).filter(|id| *id != "reached").collect();
        for (at, id) in twin.must_fail.iter().enumerate() {
            let path = join(&path, &["must-fail".into(), at.into()]);
            if *id == *"reached" {
                let problem =
                    self.report(MISPLACED_MUST_FAIL, &path, "`reached` cannot be in must-fail".to_owned());
                problem
                    .help
                    .push("a stress that does not arrive is inconclusive and proves nothing".to_owned());
            } else if twin.expects.iter().any(|expect| expect.id == *id) && !known.contains(&&**id) {
                let problem = self.report(
                    MISPLACED_MUST_FAIL,
                    &path,
                    format!("`{id}` must hold in this twin: it cannot be in must-fail"),
                );
                problem.help.push("must-fail names expectations of the scenario, not of the twin".to_owned());
            } else {
                self.known("expectation", id, &known, &path);
            }
        }
    }

    /// They may speak of what runs in the twin, and their names must not hide one of the scenario's.
    fn twin_expectations(&mut self, twin: &'s Twin, index: usize) {
        let base = std::mem::take(&mut self.actors);
        let added = std::mem::take(&mut self.added);
        let kept = base.iter().copied().filter(|actor| !twin.drop.iter().any(|id| *id == **actor));
        self.actors = kept.chain(twin.added.iter().map(|actor| &*actor.id)).collect();
        for (at, expect) in twin.expects.iter().enumerate() {
            let path: [Step<'_>; 4] = ["twin".into(), index.into(), "expect".into(), at.into()];
            self.expectation(expect, &path);
            let of_scenario = self.scenario.expects.iter().any(|other| other.id == expect.id);
            if of_scenario {
                self.report(
                    DUPLICATE_NAME,
                    &join(&path, &["id".into()]),
                    format!("the scenario has an expectation `{}`: choose another name", expect.id),
                );
            }
            if twin.expects[..at].iter().any(|other| other.id == expect.id) {
                self.report(
                    DUPLICATE_NAME,
                    &join(&path, &["id".into()]),
                    format!("two expectations of twin `{}` are called `{}`", twin.id, expect.id),
                );
            }
        }
        (self.actors, self.added) = (base, added);
    }
}
