//! `[[actor]]`: a process that the harness places in a cgroup.
//!
//! The keys depend on `kind`. Turning an actor into a command line is the plan's work.

use std::fmt;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

use super::cgroup::Place;
use crate::notation::Malformed;
use crate::notation::id::Id;
use crate::notation::span::Span;
use crate::reading::{
    FromTable, Node, Reader, Scalar, Table, Value, Word, describe, object, read_table, value, word,
};

mod balloon;
mod bystander;

pub use balloon::{Balloon, HugePages, MemoryKind, Pages, Profile, Text};
pub use bystander::{Forker, Heartbeat, Reader as FileReader, Sleeper, Spinner, TcpServer, Writer};

/// One actor.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Actor {
    /// The name that expectations and metrics use.
    pub id: Id,
    /// The cgroup it runs in.
    pub place: Place,
    /// What `/proc/PID/comm` shows; the program's own name when absent.
    pub comm: Option<Comm>,
    /// Set on purpose for every actor, never inherited.
    pub oom_score_adjust: OomScoreAdjust,
    /// When it is let go.
    pub release: Release,
    /// How long after that point.
    pub delay: Span,
    /// What it does.
    pub role: Role,
}

/// The settings of a kind of actor.
pub(crate) trait Settings {
    /// The time between two pieces of its work, with its key, where there is one.
    fn pause(&self) -> Option<(&'static str, Span)> {
        None
    }

    /// What it takes beside its program; of a balloon, nothing: what that takes is what is planned.
    fn takes(&self) -> Takes {
        Takes::default()
    }
}

/// What an actor takes beside its program.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Takes {
    /// Memory and page cache.
    pub(crate) bytes: u64,
    /// Processes of its own.
    pub(crate) processes: u32,
    /// Threads of its own.
    pub(crate) threads: u32,
}

/// Makes [`Role`] and [`Kind`] of one line a kind: its settings, and its word.
macro_rules! kinds {
    ($($(#[$doc:meta])+ $kind:ident($settings:ty) = $word:literal,)+) => {
        /// What an actor does, with the settings of its kind.
        #[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
        #[serde(rename_all = "kebab-case")]
        pub enum Role { $($(#[$doc])+ $kind($settings),)+ }

        /// The word in `kind`.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
        #[serde(rename_all = "kebab-case")]
        pub enum Kind { $($(#[$doc])+ $kind,)+ }

        impl Word for Kind {
            const EXPECTING: &'static str = "a kind of actor";
            const WORDS: &'static [(&'static str, Self)] = &[$(($word, Self::$kind),)+];
        }

        impl Role {
            const fn kind(&self) -> Kind {
                match self { $(Self::$kind(_) => Kind::$kind,)+ }
            }

            /// Asks for the keys of a kind.
            fn read_as(kind: Kind, table: &mut Table<'_, '_>) -> Option<Self> {
                match kind { $(Kind::$kind => <$settings>::from_table(table).map(Self::$kind),)+ }
            }

            /// What they are, whatever the kind.
            pub(crate) fn settings(&self) -> &dyn Settings {
                match self { $(Self::$kind(settings) => settings,)+ }
            }
        }
    };
}

kinds! {
    /// Takes memory.
    Balloon(Balloon) = "balloon",
    /// Wakes up at a steady beat and records how late it was.
    Heartbeat(Heartbeat) = "heartbeat",
    /// Accepts connections and answers.
    TcpServer(TcpServer) = "tcp-server",
    /// Keeps CPUs busy.
    Spinner(Spinner) = "spinner",
    /// Writes and syncs a file.
    Writer(Writer) = "writer",
    /// Reads a file again and again through the page cache.
    Reader(FileReader) = "reader",
    /// Makes children.
    Forker(Forker) = "forker",
    /// Touches nothing after its start: the control.
    Sleeper(Sleeper) = "sleeper",
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(word(*self))
    }
}

/// When an actor is let go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Release {
    /// When the baseline begins: bystanders.
    Baseline,
    /// When the stress begins: balloons.
    Stress,
}

impl Word for Release {
    const EXPECTING: &'static str = "a moment of the run";
    const WORDS: &'static [(&'static str, Self)] = &[("baseline", Self::Baseline), ("stress", Self::Stress)];
}

impl Actor {
    /// What kind of actor it is.
    #[must_use]
    pub const fn kind(&self) -> Kind {
        self.role.kind()
    }

    /// The balloon's settings, if it is one.
    #[must_use]
    pub const fn balloon(&self) -> Option<&Balloon> {
        match &self.role {
            Role::Balloon(balloon) => Some(balloon),
            _ => None,
        }
    }

    /// Asks for the keys that every actor has and for those of `kind`.
    fn read_as(kind: Kind, table: &mut Table<'_, '_>) -> Option<Self> {
        let id = table.required("id", "the name that expectations and metrics use");
        let place = table.required("in", "a declared cgroup, or a slice of the machine");
        let comm = table.optional("comm", "the process name, at most 15 bytes");
        let adjust = table.optional("OOMScoreAdjust", "the process's oom_score_adj, 0 by default");
        let release =
            table.optional("release", "when it is released: balloons at `stress`, others at `baseline`");
        let delay = table.optional("delay", "how long after that point");
        let role = Role::read_as(kind, table);
        let usual = if kind == Kind::Balloon { Release::Stress } else { Release::Baseline };
        Some(Self {
            id: id?,
            place: place?,
            comm,
            oom_score_adjust: adjust.unwrap_or_default(),
            release: release.unwrap_or(usual),
            delay: delay.unwrap_or_default(),
            role: role?,
        })
    }
}

impl FromTable for Actor {
    const LABEL: &'static str = "actor";

    fn from_table(table: &mut Table<'_, '_>) -> Option<Self> {
        let Some(kind) = table.required("kind", "what the actor does") else {
            table.abandon();
            return None;
        };
        Self::read_as(kind, table)
    }
}

impl Value for Actor {
    fn read(node: &Node<'_>, reader: &mut Reader) -> Option<Self> {
        read_table(node, reader)
    }

    /// One form for each kind, told apart by the word in `kind`.
    fn schema(generator: &mut SchemaGenerator) -> Schema {
        let forms: Vec<Schema> = Kind::WORDS
            .iter()
            .map(|(name, kind)| {
                let keys = describe(generator, |table| {
                    let only = json_schema!({ "type": "string", "enum": [name] });
                    table.node("kind", true, "what the actor does", |_| only);
                    Self::read_as(*kind, table)
                });
                object(keys)
            })
            .collect();
        json_schema!({ "oneOf": forms })
    }
}

/// A process name: at most 15 bytes, which is all the kernel keeps.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Comm(String);

impl Comm {
    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Comm {
    type Err = Malformed;

    fn from_str(text: &str) -> Result<Self, Malformed> {
        if text.len() > 15 {
            let mut end = 15;
            while !text.is_char_boundary(end) {
                end -= 1;
            }
            return Err(Malformed::new(format!(
                "`{text}` has {} bytes: the kernel keeps 15 of a process name",
                text.len()
            ))
            .suggest(Some(text[..end].to_owned())));
        }
        if text.is_empty() || text.chars().any(|c| c.is_control() || c == '/') {
            return Err(Malformed::new(format!("`{}` is not a process name", text.escape_default())));
        }
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Display for Comm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl JsonSchema for Comm {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Comm".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "minLength": 1, "maxLength": 15, "description": "a process name, at most 15 bytes" })
    }
}

impl Scalar for Comm {
    const EXPECTING: &'static str = "a process name of at most 15 bytes";
}

value!(scalar Comm);

/// `oom_score_adj`, from −1000 (never killed) to 1000.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct OomScoreAdjust(pub i16);

impl OomScoreAdjust {
    /// No OOM killer of the kernel takes such a process: in a capped cgroup that turns the cap into a livelock.
    pub const NEVER: Self = Self(-1000);
}

impl FromStr for OomScoreAdjust {
    type Err = Malformed;

    fn from_str(text: &str) -> Result<Self, Malformed> {
        let value = text.trim().parse().ok().filter(|value| (-1000..=1000).contains(value));
        value.map(Self).ok_or_else(|| {
            Malformed::new(format!("`{text}` is not an oom_score_adj: expected -1000 to 1000"))
        })
    }
}

impl fmt::Display for OomScoreAdjust {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl JsonSchema for OomScoreAdjust {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "OomScoreAdjust".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": ["integer", "string"],
            "minimum": -1000,
            "maximum": 1000,
            "pattern": "^[+-]?[0-9]{1,4}$",
            "description": "oom_score_adj: -1000 (never killed) to 1000",
        })
    }
}

impl Scalar for OomScoreAdjust {
    const EXPECTING: &'static str = "a number from -1000 to 1000";

    fn number(digits: &str) -> Option<String> {
        Some(digits.to_owned())
    }
}

value!(scalar OomScoreAdjust);

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("hog", true, None)]
    #[case("x,pid=1,uid=0", true, None)]
    #[case("fifteen-bytes-1", true, None)]
    #[case("sixteen-bytes-12", false, Some("sixteen-bytes-1"))]
    #[case("ääääääää", false, Some("äääääää"))]
    #[case("", false, None)]
    #[case("a/b", false, None)]
    #[case("a\nb", false, None)]
    fn a_process_name_has_fifteen_bytes(
        #[case] text: &str,
        #[case] fine: bool,
        #[case] suggestion: Option<&str>,
    ) {
        let parsed = text.parse::<Comm>();
        assert_eq!(parsed.is_ok(), fine);
        assert_eq!(parsed.err().and_then(|refused| refused.suggestion).as_deref(), suggestion);
    }

    proptest! {
        #[test]
        fn an_oom_score_adj_reads_back(value in -1000_i16..=1000) {
            prop_assert_eq!(value.to_string().parse(), Ok(OomScoreAdjust(value)));
        }

        #[test]
        fn no_text_makes_the_parsers_panic(text in "\\PC{0,20}") {
            let _ = text.parse::<Comm>();
            let _ = text.parse::<OomScoreAdjust>();
            let _ = text.parse::<Place>();
        }
    }

    #[rstest]
    #[case("1001")]
    #[case("-1001")]
    #[case("0.5")]
    #[case("none")]
    fn an_oom_score_adj_outside_the_kernels_range_is_refused(#[case] text: &str) {
        assert!(text.parse::<OomScoreAdjust>().is_err());
    }
}
