//! `kill = { … }`: who died, by whom, and at which size.

use std::str::FromStr;

use reports::outcome::Killer;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

use super::Claim;
use super::family::{Claimed, Family, Mention, Mentions};
use crate::killer::signals;
use crate::notation::Malformed;
use crate::notation::id::Id;
use crate::notation::percent::Percent;
use crate::notation::signal::Signal;
use crate::reading::rule::{MISPLACED_KEY, MISSING_KEY};
use crate::reading::{FromTable, Scalar, Table, Word, value};
use crate::scenario::rules::shared::IMPOSSIBLE_SIGNAL;
use crate::scenario::size::LimitRef;

pub(super) const FAMILY: Family = Family {
    name: "kill",
    purpose: "an actor dies, by that killer",
    read: |family, table| family.ask(table).map(Claim::Kill),
    about: "The victim died, and the named killer did it. A SIGKILL alone proves nothing: the kill is attributed \
        from witnesses that must agree: the kernel's log record, memory.events of a slice that outlives the \
        victim, the wait status of the process, and what systemd, systemd-oomd or earlyoom recorded. The \
        right victim killed by the wrong killer is `fail`. A lost log record leaves the other witnesses; the \
        finding names the missing one. For `memcg`, `limit` names the cgroup whose limit was hit: `oom` in \
        its memory.events.local rises, while `oom_kill` rises for the victim's own cgroup, and would also \
        rise in a machine-wide OOM. `at` bounds the size at the kill; charges come in batches of 64 pages \
        for each CPU, so a very small `within-percent` fails by chance. `limit = \"run\"` is the cap that \
        the harness puts around a run, which holds a balloon whose own cap is broken. By `exit` the victim \
        left by itself: with code 0, or with the `code` that is named.",
    example: "kill = { victim = \"hog\", by = \"memcg\", limit = \"work\", at = { percent = 100, of = \"work.MemoryMax\", within-percent = 2 } }",
};

/// A death that must happen, and its cause.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kill {
    /// The actor that dies.
    pub victim: Id,
    /// Who kills it.
    pub by: Killer,
    /// For `memcg`: the cgroup whose limit was hit.
    pub limit: Option<Id>,
    /// How large the cgroup is at that moment.
    pub at: Option<KillAt>,
    /// With which signal.
    pub signal: Option<Signal>,
    /// For `exit`: with which code; 0 when absent.
    pub code: Option<u8>,
}

impl FromTable for Kill {
    const LABEL: &'static str = "kill";

    fn from_table(table: &mut Table<'_, '_>) -> Option<Self> {
        let victim = table.required("victim", "the actor that dies");
        let by: Option<Killer> = table.required("by", "who kills it");
        let limit = table.optional("limit", "for memcg: the cgroup whose limit is hit");
        let at = table.optional("at", "how large the cgroup is at that moment");
        let signal = table.optional("signal", "with which signal");
        let code =
            table.optional("code", "for exit: with which code, 0 by default").map(|ExitCode(code)| code);
        match (by, table.key_span("limit")) {
            (Some(Killer::Memcg), None) => {
                let span = table.span.clone();
                table
                    .reader
                    .report(MISSING_KEY, span, "a kill by `memcg` must say whose limit it was")
                    .help
                    .push(
                        "add `limit = \"CGROUP\"`: a process also dies by the limit of an ancestor"
                            .to_owned(),
                    );
                return None;
            }
            (Some(by), Some(span)) if by != Killer::Memcg => {
                table.reader.report(
                    MISPLACED_KEY,
                    span,
                    format!("`limit` is only for kills by `memcg`, not by `{by}`"),
                );
                return None;
            }
            _ => {}
        }
        ends_so(table, by?, signal)?;
        Some(Self { victim: victim?, by: by?, limit, at, signal, code })
    }
}

/// Only who leaves by itself has an exit code, and each killer has its own signals.
fn ends_so(table: &mut Table<'_, '_>, by: Killer, signal: Option<Signal>) -> Option<()> {
    if by != Killer::Exit
        && let Some(span) = table.key_span("code")
    {
        let message = format!("`code` is only for `exit`: a process killed by `{by}` has no exit code");
        table.reader.report(MISPLACED_KEY, span, message);
        return None;
    }
    let Some(signal) = signal.filter(|signal| !signals(by).contains(signal)) else {
        return Some(());
    };
    let span = table.value_span("signal").unwrap_or(table.span.clone());
    let sent: Vec<_> = signals(by).iter().map(ToString::to_string).collect();
    let problem =
        table.reader.report(IMPOSSIBLE_SIGNAL, span, format!("`{by}` never ends a process with {signal}"));
    problem.help.push(match &sent[..] {
        [] => "a process that exits by itself is ended by no signal: leave `signal` out, or claim a `code`"
            .to_owned(),
        sent => format!("it sends {}", sent.join(" or ")),
    });
    None
}

value!(table Kill);

impl Claimed for Kill {
    fn mentions<'c>(&'c self, key: &'c str) -> Mentions<'c> {
        let limit = self.limit.iter().map(|limit| (vec![key.into(), "limit".into()], Mention::Cap(limit)));
        let at = self.at.iter();
        let at = at.map(|at| (vec![key.into(), "at".into(), "of".into()], Mention::Limit(&at.of)));
        let victim = (vec![key.into(), "victim".into()], Mention::Actor(&self.victim));
        [victim].into_iter().chain(limit).chain(at).collect()
    }
}

/// A size with a tolerance: `{ percent = 100, of = "work.MemoryMax", within-percent = 2 }`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KillAt {
    /// The share of the limit at which the kill comes.
    pub percent: Percent,
    /// The limit, as the file declares it.
    pub of: LimitRef,
    /// How far from that size the kill may be, as a share of it.
    pub within_percent: Percent,
}

impl FromTable for KillAt {
    const LABEL: &'static str = "at";

    fn from_table(table: &mut Table<'_, '_>) -> Option<Self> {
        let percent = table.required("percent", "the share of the limit at which the kill comes");
        let of = table.required("of", "the limit as this file declares it");
        let within = table.required("within-percent", "how far from that size the kill may be");
        Some(Self { percent: percent?, of: of?, within_percent: within? })
    }
}

value!(table KillAt);

impl Word for Killer {
    const EXPECTING: &'static str = "a killer";
    /// All but [`Killer::Unknown`], which nobody can claim.
    const WORDS: &'static [(&'static str, Self)] = &{
        let mut words = [("", Self::Unknown); Self::ALL.len() - 1];
        let mut at = 0;
        while at < words.len() {
            words[at] = (Self::ALL[at].word(), Self::ALL[at]);
            at += 1;
        }
        words
    };
}

/// The code of a process that exits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct ExitCode(u8);

impl FromStr for ExitCode {
    type Err = Malformed;

    fn from_str(text: &str) -> Result<Self, Malformed> {
        let refused = || Malformed::new(format!("`{text}` is not an exit code: expected 0 to 255"));
        text.parse().map(Self).map_err(|_| refused())
    }
}

impl JsonSchema for ExitCode {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "ExitCode".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "integer", "minimum": 0, "maximum": 255, "description": "an exit code: 0 to 255" })
    }
}

impl Scalar for ExitCode {
    const EXPECTING: &'static str = "an exit code, 0 to 255";

    fn number(digits: &str) -> Option<String> {
        Some(digits.to_owned())
    }
}

value!(scalar ExitCode);
