//! A kind of expectation: its key in `[[expect]]`, how it is read, the names that it mentions, and what it means, for
//! `bulkhead explain`.

use super::Claim;
use crate::metric::Metric;
use crate::notation::id::Id;
use crate::reading::places::Step;
use crate::reading::{Table, Value};
use crate::scenario::size::LimitRef;

/// A kind of expectation. Each stands in the file of what it claims.
#[derive(Debug, Clone, Copy)]
pub struct Family {
    /// The key in `[[expect]]`, or the reserved id.
    pub name: &'static str,
    /// What the key holds, for editors.
    pub(super) purpose: &'static str,
    /// Asks the table of an expectation for the claim.
    pub(super) read: fn(&Self, &mut Table<'_, '_>) -> Option<Claim>,
    /// When it holds, when it fails and when it cannot be told.
    pub about: &'static str,
    /// One way to write it; empty for what every scenario has by itself.
    pub example: &'static str,
}

impl Family {
    const fn built_in(name: &'static str, about: &'static str) -> Self {
        Self { name, purpose: "", read: |_, _| None, about, example: "" }
    }

    /// The value of its own key.
    pub(super) fn ask<T: Value>(&self, table: &mut Table<'_, '_>) -> Option<T> {
        table.optional(self.name, self.purpose)
    }
}

/// A claim of a kind.
pub(super) trait Claimed {
    /// The names in it, each with its place in the table of the expectation; `key` is that of the kind.
    fn mentions<'c>(&'c self, key: &'c str) -> Mentions<'c>;
}

/// Names, each with its place in the table of the expectation.
pub(in crate::scenario) type Mentions<'c> = Vec<(Vec<Step<'c>>, Mention<'c>)>;

/// A name in a claim, and what must be called so.
pub(in crate::scenario) enum Mention<'c> {
    /// An actor of the scenario as written.
    Actor(&'c Id),
    /// An actor, be it one that only a twin has.
    AnyActor(&'c Id),
    /// A declared cgroup.
    Cgroup(&'c Id),
    /// A declared cgroup, or the run itself.
    Cap(&'c Id),
    /// A declared limit.
    Limit(&'c LimitRef),
    /// A metric of something declared.
    Metric(&'c Metric),
}

/// What every scenario has by itself.
pub(super) const BUILT_IN: [Family; 3] = [
    Family::built_in(
        "reached",
        "The stress arrived: the metric of [reached] met its bound in time. If it did not, the verdict is \
        inconclusive, whatever else holds: a run without stress proves nothing about containment. It cannot \
        stand in must-fail.",
    ),
    Family::built_in(
        "protected-unchanged",
        "Every unit of [protect] has the same InvocationID, MainPID and NRestarts before and after the run, \
        so it neither died nor restarted. Twins may name it in must-fail.",
    ),
    Family::built_in(
        "protected-answers",
        "Every probe of [protect] was answered within its time, throughout the stress and not only after it. \
        A unit that is active but does not answer is not well. Twins may name it in must-fail.",
    ),
];
