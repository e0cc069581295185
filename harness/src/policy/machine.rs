//! `[machine]`, `[[user]]`, `[backstop]` and `[units]`: what the policy is written for, and what the guest is made to have.

use std::fmt;
use std::ops::Deref;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

use crate::notation::{Bytes, Malformed, UnitName};
use crate::reading::{FromTable, Scalar, Table, Word, value};

/// The machine that the policy is written for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Machine {
    /// Its memory.
    pub memory: Bytes,
    /// Its swap; 0 for none.
    pub swap: Bytes,
    /// Its processors.
    pub cpus: u32,
}

impl FromTable for Machine {
    const LABEL: &'static str = "[machine]";

    fn from_table(table: &mut Table<'_, '_>) -> Option<Self> {
        let memory = table.required("memory", "the machine's memory: \"24G\"");
        let swap = table.required("swap", "its swap: \"8G\", or 0 for none");
        let cpus = table.required("cpus", "its processors: 8");
        Some(Self { memory: memory?, swap: swap?, cpus: cpus? })
    }
}

value!(table Machine);

/// A name that `useradd` takes: a-z, 0-9, `_` and `-`, beginning with a letter or `_`, at most 32 bytes.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct UserName(String);

impl Deref for UserName {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for UserName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for UserName {
    type Err = Malformed;

    fn from_str(text: &str) -> Result<Self, Malformed> {
        let first = |c: char| c.is_ascii_lowercase() || c == '_';
        let rest = |c: char| first(c) || c.is_ascii_digit() || c == '-';
        if text.starts_with(first) && text.chars().all(rest) && text.len() <= 32 {
            return Ok(Self(text.to_owned()));
        }
        let folded = text.to_ascii_lowercase();
        let suggestion = (folded != text && folded.parse::<Self>().is_ok()).then_some(folded);
        Err(Malformed::new(format!(
            "`{text}` is not a user's name: use a-z, 0-9, _ and -, beginning with a letter, at most 32"
        ))
        .suggest(suggestion))
    }
}

impl JsonSchema for UserName {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "UserName".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "pattern": "^[a-z_][a-z0-9_-]{0,31}$",
            "description": "a user's name as useradd takes it",
        })
    }
}

impl Scalar for UserName {
    const EXPECTING: &'static str = "a user's name";
}

value!(scalar UserName);

/// Somebody who logs in; made in the guest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct User {
    /// The name.
    pub name: UserName,
    /// The number, on which `user-UID.slice` depends.
    pub uid: u32,
}

impl FromTable for User {
    const LABEL: &'static str = "[[user]]";

    fn from_table(table: &mut Table<'_, '_>) -> Option<Self> {
        let name = table.required("name", "the user's name");
        let uid = table.required("uid", "the user's number, from 1000 to 60000");
        Some(Self { name: name?, uid: uid? })
    }
}

value!(table User);

/// What acts on the whole machine when the caps do not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Backstop {
    /// Nothing but the kernel.
    #[default]
    None,
    /// earlyoom, with the arguments that `root/` gives it.
    Earlyoom,
    /// systemd-oomd, with the settings and opt-ins of `root/`.
    SystemdOomd,
}

impl Word for Backstop {
    const EXPECTING: &'static str = "a backstop";
    const WORDS: &'static [(&'static str, Self)] =
        &[("earlyoom", Self::Earlyoom), ("systemd-oomd", Self::SystemdOomd), ("none", Self::None)];
}

/// The table `[backstop]`.
pub(super) struct BackstopTable(pub(super) Backstop);

impl FromTable for BackstopTable {
    const LABEL: &'static str = "[backstop]";

    fn from_table(table: &mut Table<'_, '_>) -> Option<Self> {
        let killer = table.required("killer", "earlyoom, systemd-oomd or none; its settings are in root/");
        killer.map(Self)
    }
}

value!(table BackstopTable);

/// Units that need something done before the boot.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Units {
    /// To enable.
    pub enable: Vec<UnitName>,
    /// That the guest does not have: a service that sleeps takes the place of each.
    pub stub: Vec<UnitName>,
}

impl FromTable for Units {
    const LABEL: &'static str = "[units]";

    fn from_table(table: &mut Table<'_, '_>) -> Option<Self> {
        let enable = table.optional("enable", "units to enable before the boot");
        let stub = table.optional(
            "stub",
            "services that the guest does not have: one that sleeps takes the place of each",
        );
        Some(Self { enable: enable.unwrap_or_default(), stub: stub.unwrap_or_default() })
    }
}

value!(table Units);

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("alice", true, None)]
    #[case("_ci-1", true, None)]
    #[case("a2345678901234567890123456789012", true, None)]
    #[case("a23456789012345678901234567890123", false, None)]
    #[case("Alice", false, Some("alice"))]
    #[case("1alice", false, None)]
    #[case("-r", false, None)]
    #[case("a b", false, None)]
    #[case("a:0", false, None)]
    #[case("", false, None)]
    fn a_users_name_is_one_that_useradd_takes(
        #[case] text: &str,
        #[case] fine: bool,
        #[case] suggestion: Option<&str>,
    ) {
        let parsed = text.parse::<UserName>();
        assert_eq!(parsed.is_ok(), fine, "{parsed:?}");
        assert_eq!(parsed.err().and_then(|refused| refused.suggestion).as_deref(), suggestion);
    }
}
