//! `oomd = { … }` and `earlyoom = { … }`: what the user-space killers say of themselves.
//!
//! Their own words are evidence of intent, not of a kill: who died is claimed with `kill`.

use serde::{Deserialize, Serialize};

use super::Claim;
use super::family::{Claimed, Family, Mention, Mentions};
use crate::notation::id::Id;
use crate::notation::signal::Signal;
use crate::reading::places::join;
use crate::reading::{FromTable, Table, Word, value};
use crate::scenario::rules::shared::{IMPOSSIBLE_SIGNAL, NOBODY_NAMED};

pub(super) const OOMD: Family = Family {
    name: "oomd",
    purpose: "systemd-oomd watches this cgroup, by its own dump",
    read: |family, table| family.ask(table).map(Claim::Oomd),
    about: "systemd-oomd was armed for exactly this cgroup: its own dump (the one that oomctl shows) lists the \
        cgroup under the trigger, and does not say that it is a dry run. Without this, a machine on which \
        oomd did nothing proves nothing: by default it watches no slice of yours. That it acted is another \
        claim: `kill` with by = \"systemd-oomd\". A dump that could not be taken makes it inconclusive.",
    example: "oomd = { watches = \"work\", trigger = \"pressure\" }",
};

/// systemd-oomd watches exactly this cgroup for this trigger, and is not in dry-run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OomdClaim {
    /// The declared cgroup.
    pub watches: Id,
    /// On which of its two lists.
    pub trigger: Trigger,
}

impl FromTable for OomdClaim {
    const LABEL: &'static str = "oomd";

    fn from_table(table: &mut Table<'_, '_>) -> Option<Self> {
        let watches = table.required("watches", "the cgroup on its list");
        let trigger = table.required("trigger", "which list: pressure or swap");
        Some(Self { watches: watches?, trigger: trigger? })
    }
}

value!(table OomdClaim);

impl Claimed for OomdClaim {
    fn mentions<'c>(&'c self, key: &'c str) -> Mentions<'c> {
        vec![(vec![key.into(), "watches".into()], Mention::Cgroup(&self.watches))]
    }
}

/// What makes systemd-oomd act.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Trigger {
    /// The cgroup's own memory pressure (`ManagedOOMMemoryPressure=kill`).
    Pressure,
    /// The machine's swap is nearly used up (`ManagedOOMSwap=kill`).
    Swap,
}

impl Word for Trigger {
    const EXPECTING: &'static str = "a trigger of systemd-oomd";
    const WORDS: &'static [(&'static str, Self)] = &[("pressure", Self::Pressure), ("swap", Self::Swap)];
}

pub(super) const EARLYOOM: Family = Family {
    name: "earlyoom",
    purpose: "earlyoom selects these actors, by its own lines",
    read: |family, table| family.ask(table).map(Claim::Earlyoom),
    about: "earlyoom, by its own lines, selected at least one process, each selected one is among `selects`, and \
        none is among `never`. With `signals`, each line names one of them, and each of them was named. In a \
        dry run a selection is all there is; a live one has its `kill` with by = \"earlyoom\" to claim on \
        top. A process whose pid is no actor's is a wrong selection. Each selection must follow from a \
        threshold of [earlyoom] that was crossed, by its own lines. Lines that could not be read make it \
        inconclusive.",
    example: "earlyoom = { selects = [\"hog\"], never = [\"server\"], signals = [\"SIGTERM\"] }",
};

/// Each selection that earlyoom logs is one of `selects`, there is at least one, and none is in `never`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EarlyoomClaim {
    /// The actors it may select.
    pub selects: Vec<Id>,
    /// The actors it must not select.
    pub never: Vec<Id>,
    /// The signals that it names, each at least once; empty: any.
    pub signals: Vec<Signal>,
}

impl FromTable for EarlyoomClaim {
    const LABEL: &'static str = "earlyoom";

    fn from_table(table: &mut Table<'_, '_>) -> Option<Self> {
        let selects: Option<Vec<Id>> = table.required("selects", "the actors it may select");
        let never = table.optional("never", "the actors it must not select");
        let signals: Option<Vec<Signal>> =
            table.optional("signals", "the signals it names: SIGTERM, SIGKILL, or both");
        if selects.as_ref().is_some_and(Vec::is_empty) {
            let span = table.value_span("selects").unwrap_or(table.span.clone());
            let problem = table.reader.report(
                NOBODY_NAMED,
                span,
                "an earlyoom that selects nobody looks like one that does not run",
            );
            problem.help.push("name the actors that it may select: at least one must be".to_owned());
            return None;
        }
        let foreign = signals.iter().flatten().find(|signal| !matches!(signal, Signal::Term | Signal::Kill));
        if let Some(signal) = foreign {
            let span = table.value_span("signals").unwrap_or(table.span.clone());
            table.reader.report(
                IMPOSSIBLE_SIGNAL,
                span,
                format!("earlyoom never sends {signal}: expected SIGTERM or SIGKILL"),
            );
            return None;
        }
        Some(Self {
            selects: selects?,
            never: never.unwrap_or_default(),
            signals: signals.unwrap_or_default(),
        })
    }
}

value!(table EarlyoomClaim);

impl Claimed for EarlyoomClaim {
    fn mentions<'c>(&'c self, key: &'c str) -> Mentions<'c> {
        let lists = [("selects", &self.selects), ("never", &self.never)];
        let mentions = lists.into_iter().flat_map(|(list, ids)| ids.mentions(list));
        mentions.map(|(path, mention)| (join(&[key.into()], &path), mention)).collect()
    }
}
