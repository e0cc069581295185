//! `[[expect]]`: one claim about the run, to be judged against the record.
//!
//! A table holds an id and exactly one claim. Judging is elsewhere; this file knows only what can be claimed.

use std::fmt;

use reports::outcome::Killer;
use schemars::{Schema, SchemaGenerator};
use serde::{Deserialize, Serialize};

use crate::notation::id::Id;
use crate::reading::rule::{EXACTLY_ONE, Rule};
use crate::reading::{FromTable, Node, Reader, Table, Value, Word, read_table, table_schema, word};

mod actors;
mod bound;
mod daemon;
mod family;
mod kill;
mod livelock;

pub use bound::{
    Bound, BoundKind, BoundValue, EarlierPhase, MetricClaim, Phase, Quantity, Reached, ShareOfPhase,
};
pub use daemon::{EarlyoomClaim, OomdClaim, Trigger};
pub use family::Family;
pub(super) use family::Mention;
use family::{Claimed, Mentions};
pub use kill::{Kill, KillAt};
pub use livelock::Livelock;

/// The rules of single claims.
pub(super) fn rules() -> impl Iterator<Item = &'static [&'static Rule]> {
    [bound::RULES].into_iter()
}

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

/// Makes [`Claim`] and the list of its families of one line each. In the order of the list they are read and explained.
macro_rules! claims {
    ($($(#[$doc:meta])+ $variant:ident($claim:ty) = $family:path,)+) => {
        /// What can be claimed.
        #[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
        #[serde(rename_all = "kebab-case")]
        pub enum Claim { $($(#[$doc])+ $variant($claim),)+ }

        impl Claim {
            /// The kind of expectation.
            #[must_use]
            pub const fn family(&self) -> &'static Family {
                match self { $(Self::$variant(_) => &$family,)+ }
            }

            /// The names in it, each with its place in the table of the expectation.
            pub(super) fn mentions(&self) -> Mentions<'_> {
                let key = self.family().name;
                match self { $(Self::$variant(claim) => claim.mentions(key),)+ }
            }
        }

        /// The kinds of which a table has exactly one.
        const CLAIMS: &[Family] = &[$($family),+];
    };
}

claims! {
    /// An actor died, by that killer.
    Kill(Kill) = kill::FAMILY,
    /// Of all processes on the machine, OOM killers took these actors at most; empty: nobody at all.
    OnlyVictims(Vec<Id>) = actors::ONLY_VICTIMS,
    /// These actors are the same processes at the end, and running.
    Survives(Vec<Id>) = actors::SURVIVES,
    /// A number stays within bounds.
    Metric(MetricClaim) = bound::FAMILY,
    /// A cgroup does not hang between its high and its max with nobody acting.
    NoLivelock(Livelock) = livelock::FAMILY,
    /// systemd-oomd, by its own dump, watches a cgroup, and means it.
    Oomd(OomdClaim) = daemon::OOMD,
    /// earlyoom, by its own lines, selects the right processes.
    Earlyoom(EarlyoomClaim) = daemon::EARLYOOM,
    /// These actors were killed, in this order; at least two.
    KillOrder(Vec<Id>) = actors::KILL_ORDER,
}

impl Claim {
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

/// Every kind of expectation, the built-in ones last.
pub fn families() -> impl Iterator<Item = &'static Family> {
    CLAIMS.iter().chain(&family::BUILT_IN)
}

/// Whether this is the id of an expectation that every scenario gets by itself: no `[[expect]]` may take it.
pub(crate) fn is_built_in(id: &str) -> bool {
    family::BUILT_IN.iter().any(|family| family.name == id)
}

impl FromTable for Expectation {
    const LABEL: &'static str = "expectation";

    fn from_table(table: &mut Table<'_, '_>) -> Option<Self> {
        let id = table.required("id", "the name that findings and twins use");
        let claims: Vec<_> = CLAIMS.iter().map(|family| (family.read)(family, table)).collect();
        exactly_one(table)?;
        let claim = claims.into_iter().flatten().next()?;
        Some(Self { id: id?, claim })
    }
}

/// Reports a table with no claim or with two.
fn exactly_one(table: &mut Table<'_, '_>) -> Option<()> {
    let names: Vec<_> = CLAIMS.iter().map(|family| family.name).collect();
    let spans: Vec<_> = names.iter().filter_map(|key| Some((*key, table.key_span(key)?))).collect();
    let label = table.label.clone();
    match &spans[..] {
        [_] => return Some(()),
        [] => {
            let help = format!("add one of: {}", names.join(", "));
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
        let one: Vec<_> =
            CLAIMS.iter().map(|claim| serde_json::json!({ "required": [claim.name] })).collect();
        schema.insert("oneOf".to_owned(), one.into());
        schema
    }
}

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
