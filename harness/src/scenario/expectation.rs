//! `[[expect]]`: one claim about the run, to be judged against the record.
//!
//! A table holds an id and exactly one claim. Judging is elsewhere; this file knows only what can be claimed.

use std::fmt;

use reports::outcome::Killer;
use schemars::{Schema, SchemaGenerator};
use serde::{Deserialize, Serialize};

use crate::notation::id::Id;
use crate::reading::rule::{EXACTLY_ONE, Rule};
use crate::reading::{FromTable, Node, Reader, Table, Value, Word, read_table, table_schema, value, word};

mod bound;
mod daemon;
mod family;
mod kill;

pub use bound::{Bound, BoundKind, BoundValue, MetricClaim, Phase, Quantity, Reached};
pub use daemon::{EarlyoomClaim, OomdClaim, Trigger};
pub use family::{Family, families};
pub use kill::{Kill, KillAt};

/// The rules of single claims.
pub(super) fn rules() -> impl Iterator<Item = &'static [&'static Rule]> {
    [bound::RULES].into_iter()
}

/// Expectations that every scenario gets by itself; no `[[expect]]` may take these ids.
pub const RESERVED: [&str; 3] = ["reached", "protected-unchanged", "protected-answers"];

/// In `limit`: the cap that the harness puts around a run.
pub const RUN: &str = "run";

/// A claim with its name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Expectation {
    /// The name that findings and twins use.
    pub id: Id,
    /// What is claimed.
    pub claim: Claim,
}

/// What can be claimed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Claim {
    /// An actor died, by that killer.
    Kill(Kill),
    /// Of all processes on the machine, OOM killers took these actors at most; empty: nobody at all.
    OnlyVictims(Vec<Id>),
    /// These actors are the same processes at the end, and running.
    Survives(Vec<Id>),
    /// A number stays within bounds.
    Metric(MetricClaim),
    /// A cgroup does not hang between its high and its max with nobody acting.
    NoLivelock(Livelock),
    /// systemd-oomd, by its own dump, watches a cgroup, and means it.
    Oomd(OomdClaim),
    /// earlyoom, by its own lines, selects the right processes.
    Earlyoom(EarlyoomClaim),
    /// These actors were killed, in this order; at least two.
    KillOrder(Vec<Id>),
}

impl Claim {
    /// The key of the claim in `[[expect]]`, which is also its name in `bulkhead explain`.
    #[must_use]
    pub const fn family(&self) -> &'static str {
        match self {
            Self::Kill(_) => "kill",
            Self::OnlyVictims(_) => "only-victims",
            Self::Survives(_) => "survives",
            Self::Metric(_) => "metric",
            Self::NoLivelock(_) => "no-livelock",
            Self::Oomd(_) => "oomd",
            Self::Earlyoom(_) => "earlyoom",
            Self::KillOrder(_) => "kill-order",
        }
    }

    /// The OOM killer in user space whose own words the claim is about.
    #[must_use]
    pub const fn daemon(&self) -> Option<Killer> {
        match self {
            Self::Oomd(_) => Some(Killer::SystemdOomd),
            Self::Earlyoom(_) => Some(Killer::Earlyoom),
            _ => None,
        }
    }
}

/// The keys of which a table has exactly one.
const CLAIMS: [&str; 8] =
    ["kill", "only-victims", "survives", "metric", "no-livelock", "oomd", "earlyoom", "kill-order"];

impl FromTable for Expectation {
    const LABEL: &'static str = "expectation";

    fn from_table(table: &mut Table<'_, '_>) -> Option<Self> {
        let id = table.required("id", "the name that findings and twins use");
        let kill = table.optional("kill", "an actor dies, by that killer").map(Claim::Kill);
        let only = table
            .optional("only-victims", "OOM killers take nobody but these actors")
            .map(Claim::OnlyVictims);
        let survives =
            table.optional("survives", "these actors are the same processes at the end").map(Claim::Survives);
        let metric = MetricClaim::read_keys(table).map(Claim::Metric);
        let livelock = table
            .optional("no-livelock", "a cgroup does not hang between high and max")
            .map(Claim::NoLivelock);
        let oomd =
            table.optional("oomd", "systemd-oomd watches this cgroup, by its own dump").map(Claim::Oomd);
        let earlyoom = table
            .optional("earlyoom", "earlyoom selects these actors, by its own lines")
            .map(Claim::Earlyoom);
        let order =
            table.optional("kill-order", "these actors are killed, in this order").map(Claim::KillOrder);
        exactly_one(table)?;
        let claim = kill.or(only).or(survives).or(metric).or(livelock).or(oomd).or(earlyoom).or(order)?;
        Some(Self { id: id?, claim })
    }
}

/// Reports a table with no claim or with two.
fn exactly_one(table: &mut Table<'_, '_>) -> Option<()> {
    let spans: Vec<_> = CLAIMS.iter().filter_map(|key| Some((*key, table.key_span(key)?))).collect();
    let label = table.label.clone();
    match &spans[..] {
        [_] => return Some(()),
        [] => {
            let help = format!("add one of: {}", CLAIMS.join(", "));
            let span = table.span.clone();
            table.reader.report(EXACTLY_ONE, span, format!("{label} claims nothing")).help.push(help);
        }
        [(first, before), (second, span), ..] => {
            let problem = table.reader.report(
                EXACTLY_ONE,
                span.clone(),
                format!("{label} claims `{first}` and `{second}`: an expectation makes one claim"),
            );
            problem.related.push((before.clone(), "the first claim".to_owned()));
            problem.help.push("write one [[expect]] for each claim".to_owned());
        }
    }
    None
}

impl Value for Expectation {
    fn read(node: &Node<'_>, reader: &mut Reader) -> Option<Self> {
        read_table(node, reader)
    }

    fn schema(generator: &mut SchemaGenerator) -> Schema {
        let mut schema = table_schema::<Self>(generator);
        let one: Vec<_> = CLAIMS.iter().map(|claim| serde_json::json!({ "required": [claim] })).collect();
        schema.insert("oneOf".to_owned(), one.into());
        schema
    }
}

/// A livelock: usage between high and max, progress of the hog below 5 % of its own before, `oom_kill` flat and
/// pressure full at least 80 %, all at once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Livelock {
    /// The cgroup that hangs.
    pub cgroup: Id,
    /// The actor whose progress is measured.
    pub hog: Id,
}

impl FromTable for Livelock {
    const LABEL: &'static str = "no-livelock";

    fn from_table(table: &mut Table<'_, '_>) -> Option<Self> {
        let cgroup = table.required("cgroup", "the cgroup that must not hang");
        let hog = table.required("hog", "the actor whose progress is measured");
        Some(Self { cgroup: cgroup?, hog: hog? })
    }
}

value!(table Livelock);

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(word(*self))
    }
}

impl Word for Phase {
    const EXPECTING: &'static str = "a phase of the run";
    const WORDS: &'static [(&'static str, Self)] = &[
        ("run", Self::Run),
        ("baseline", Self::Baseline),
        ("climb", Self::Climb),
        ("hold", Self::Hold),
        ("stress", Self::Stress),
    ];
}
