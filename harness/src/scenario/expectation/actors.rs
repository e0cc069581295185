//! `only-victims = […]`, `survives = […]` and `kill-order = […]`: what becomes of the actors of a list.

use super::Claim;
use super::family::{Claimed, Family, Mention, Mentions};
use crate::notation::id::Id;

pub(super) const ONLY_VICTIMS: Family = Family {
    name: "only-victims",
    purpose: "OOM killers take nobody but these actors",
    read: |family, table| family.ask(table).map(Claim::OnlyVictims),
    about: "No OOM killer took any process on the whole machine but these actors. With an empty list nobody may \
        be killed at all. The machine's oom_kill counter must agree with the victims that are known; a kill \
        without a known victim is `fail`, a record of another process as victim too.",
    example: "only-victims = [\"hog\"]",
};

pub(super) const SURVIVES: Family = Family {
    name: "survives",
    purpose: "these actors are the same processes at the end",
    read: |family, table| family.ask(table).map(Claim::Survives),
    about: "Each of these actors is the same process at the end as at the start, and still running. A restart \
        does not count as survival. An actor that lives but makes no progress survives; add a metric for its \
        progress.",
    example: "survives = [\"server\"]",
};

pub(super) const KILL_ORDER: Family = Family {
    name: "kill-order",
    purpose: "these actors are killed, in this order",
    read: |family, table| family.ask(table).map(Claim::KillOrder),
    about: "Each of these actors was killed, whoever did it, and in this order. A killed actor that is not \
        listed does not matter; one that lives or exited on its own is `fail`. Kills whose order the \
        witnesses cannot tell make it inconclusive.",
    example: "kill-order = [\"cheap\", \"dear\"]",
};

impl Claimed for Vec<Id> {
    fn mentions<'c>(&'c self, key: &'c str) -> Mentions<'c> {
        let mention = |(index, id): (usize, _)| (vec![key.into(), index.into()], Mention::AnyActor(id));
        self.iter().enumerate().map(mention).collect()
    }
}
