//! A scenario that reads well → what is still wrong with it: the arithmetic, assuming that the policy under test is broken.
//!
//! Every rule is judged for the scenario and again for each twin, because a twin takes away what kept the numbers
//! small. Nothing is asked of a machine: where memory counts, `[requires] memory` stands for it.

use std::fmt;

use super::cgroup::{Parent, Place};
use super::{Actor, Scenario, SizeExpr};
use crate::notation::Limit;
use crate::notation::bytes::Bytes;
use crate::reading::diagnostic::Diagnostic;
use crate::reading::places::Step;
use crate::reading::rule::Rule;

mod bounds;
mod claims;
mod daemons;
mod kills;
mod memory;
mod rest;
mod time;
mod twins;
mod units;

/// What is wrong with a scenario beyond its text, in file order. Errors mean that it must not run or cannot prove
/// anything; warnings, that it proves less than it seems to.
#[must_use]
pub fn check(scenario: &Scenario) -> Vec<Diagnostic> {
    let mut found = Vec::new();
    let mut base = Checker::new(scenario, scenario, None);
    time::check(&mut base);
    memory::check(&mut base);
    rest::check(&mut base);
    units::check(&mut base);
    daemons::check(&mut base);
    claims::check(&mut base);
    twins::check(&mut base);
    found.append(&mut base.problems);
    let known: Vec<String> = found.iter().map(|problem| problem.message.clone()).collect();
    for (index, twin) in scenario.twins.iter().enumerate() {
        let Ok(changed) = scenario.twin(&twin.id) else {
            continue;
        };
        let mut checker = Checker::new(scenario, &changed, Some(index));
        time::check(&mut checker);
        memory::check_total(&mut checker);
        memory::reach(&mut checker);
        units::check(&mut checker);
        daemons::check(&mut checker);
        claims::check_twin(&mut checker, index);
        twins::check_twin(&mut checker, index);
        let prefix = prefix(&twin.id);
        // What is wrong with the scenario already is wrong with each twin: once is enough.
        checker
            .problems
            .retain(|problem| !known.iter().any(|first| problem.message == format!("{prefix}{first}")));
        found.append(&mut checker.problems);
    }
    found.sort_by_key(|problem| problem.span.start);
    found
}

/// The rules of the checks.
pub(super) fn rules() -> impl Iterator<Item = &'static [&'static Rule]> {
    let (time, memory, rest, units) = (time::RULES, memory::RULES, rest::RULES, units::RULES);
    let (claims, kills, bounds) = (claims::RULES, kills::RULES, bounds::RULES);
    [time, memory, rest, units, daemons::RULES, claims, kills, bounds, twins::RULES].into_iter()
}

/// How a message about a twin begins.
fn prefix(twin: &str) -> String {
    format!("in twin `{twin}`: ")
}

/// One scenario or twin under check.
struct Checker<'s> {
    /// As written: gives places in the file.
    written: &'s Scenario,
    /// As it runs: a twin's changes applied.
    scenario: &'s Scenario,
    /// The twin's place in the file.
    twin: Option<usize>,
    problems: Vec<Diagnostic>,
}

impl<'s> Checker<'s> {
    fn new(written: &'s Scenario, scenario: &'s Scenario, twin: Option<usize>) -> Self {
        Self { written, scenario, twin, problems: Vec::new() }
    }

    /// A breach of `rule` at `path`; in a twin, at the twin unless `path` is in it, and saying so.
    fn report(
        &mut self,
        rule: &'static Rule,
        path: &[Step<'_>],
        message: impl fmt::Display,
    ) -> &mut Diagnostic {
        let file = &self.written.file;
        let (span, message) = match (self.twin, &self.scenario.variant) {
            (Some(index), Some(name)) => {
                // What only the twin has, has a place of its own in it.
                let own = matches!(path, [Step::Key("twin"), ..]);
                let id: &[Step<'_>] = &["twin".into(), index.into(), "id".into()];
                let span = file.at(if own { path } else { id });
                (span, format!("{}{message}", prefix(name)))
            }
            _ => (file.at(path), message.to_string()),
        };
        self.problems.push(Diagnostic::new(rule, file, span, message));
        self.problems.last_mut().expect("one was just pushed")
    }

    /// The machine's memory as far as the file promises it.
    fn machine(&self) -> Option<Bytes> {
        self.scenario.requires.memory
    }

    /// A limit in bytes; `None` without a limit, and for a share of a machine whose memory the file does not promise.
    fn limit(&self, limit: Limit) -> Option<Bytes> {
        match limit {
            Limit::Percent(_) => limit.resolve(self.machine()?),
            Limit::Bytes(_) | Limit::Infinity => limit.resolve(Bytes(0)),
        }
    }

    /// A size in bytes; `None` where [`Checker::limit`] gives none.
    fn size(&self, size: &SizeExpr) -> Option<Bytes> {
        match size {
            SizeExpr::Bytes(bytes) => Some(*bytes),
            SizeExpr::Machine(share) => self.machine().map(|machine| share.of_bytes(machine)),
            SizeExpr::Limit(share) => {
                let limit = self.limit(self.scenario.base_limit(&share.of)?)?;
                Some(share.percent.of_bytes(limit))
            }
        }
    }

    /// The declared cgroups from `id` up to the root, and the real slice at their end if they leave the run's own.
    fn chain(&self, id: &str) -> (Vec<&'s str>, Option<&'s str>) {
        let mut chain = Vec::new();
        let mut at = id;
        while let Some(cgroup) = self.scenario.cgroup(at) {
            chain.push(&*cgroup.id);
            match &cgroup.parent {
                Parent::Run => return (chain, None),
                Parent::Slice(slice) => return (chain, Some(slice)),
                Parent::Cgroup(parent) => at = parent,
            }
        }
        (chain, None)
    }

    /// Whether `actor` runs in the cgroup `id` or below it.
    fn is_inside(&self, actor: &Actor, id: &str) -> bool {
        match &actor.place {
            Place::Cgroup(place) => self.chain(place).0.contains(&id),
            Place::Slice(_) => false,
        }
    }

    /// Where an actor of the file stands; an actor that a twin adds has no such place.
    fn actor_index(&self, actor: &Actor) -> usize {
        self.written.actors.iter().position(|other| other.id == actor.id).unwrap_or(0)
    }
}

#[cfg(test)]
mod tests;

/// A size for messages: MiB, rounded to one decimal.
fn mib(bytes: Bytes) -> String {
    let tenths = (u128::from(bytes.0) * 10 + (1 << 19)) >> 20;
    if bytes == Bytes(u64::MAX) {
        "any amount".to_owned()
    } else {
        format!("{}.{} MiB", tenths / 10, tenths % 10)
    }
}
