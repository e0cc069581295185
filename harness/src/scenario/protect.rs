//! `[protect]`: what must neither die nor restart nor stop answering while the stress is on.

use std::fmt;
use std::net::SocketAddr;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

use crate::notation::Malformed;
use crate::notation::id::UnitName;
use crate::notation::span::Span;
use crate::reading::rule::EXACTLY_ONE;
use crate::reading::{FromTable, Node, Reader, Scalar, Table, Value, read_table, table_schema, value};

/// What is protected. Gives the expectations `protected-unchanged` (with units) and `protected-answers` (with probes).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Protect {
    /// Units whose InvocationID, MainPID and NRestarts must be the same before and after.
    pub units: Vec<UnitName>,
    /// Probes that must be answered all the time; `answer.N` counts them from 1.
    pub answer: Vec<Answer>,
}

impl FromTable for Protect {
    const LABEL: &'static str = "[protect]";

    fn from_table(table: &mut Table<'_, '_>) -> Option<Self> {
        let units = table.optional("units", "units that must be the same before and after");
        let answer = table.optional("answer", "probes that must be answered throughout the run");
        Some(Self { units: units.unwrap_or_default(), answer: answer.unwrap_or_default() })
    }
}

value!(table Protect);

/// One probe, repeated throughout the run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answer {
    /// What is asked.
    pub target: AnswerTarget,
    /// The answer must be there within this time.
    pub within: Span,
    /// Time from one probe to the next.
    pub every: Span,
}

/// What a probe asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AnswerTarget {
    /// Connect here and wait for the first bytes that the server sends by itself.
    TcpBanner(Address),
    /// A fresh login as root through the sshd here, without a terminal, up to the end of one command.
    SshLogin(Address),
}

impl AnswerTarget {
    /// Where it connects.
    #[must_use]
    pub const fn address(&self) -> Address {
        match self {
            Self::TcpBanner(address) | Self::SshLogin(address) => *address,
        }
    }
}

/// `tcp-banner 127.0.0.1:22`, as the file has it.
impl fmt::Display for AnswerTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TcpBanner(address) => write!(f, "tcp-banner {address}"),
            Self::SshLogin(address) => write!(f, "ssh-login {address}"),
        }
    }
}

/// The keys of which a probe has exactly one.
const TARGETS: [&str; 2] = ["tcp-banner", "ssh-login"];

impl FromTable for Answer {
    const LABEL: &'static str = "an answer";

    fn from_table(table: &mut Table<'_, '_>) -> Option<Self> {
        let banner = table.optional("tcp-banner", "connect here and wait for the server's first bytes");
        let login = table.optional("ssh-login", "a new login as root through the sshd here");
        let within = table.required("within", "the answer must come within this time");
        let every = table.optional("every", "time from one probe to the next, \"1s\" by default");
        one_target(table)?;
        let target = banner.map(AnswerTarget::TcpBanner).or(login.map(AnswerTarget::SshLogin));
        Some(Self { target: target?, within: within?, every: every.unwrap_or(Span::seconds(1)) })
    }
}

/// Reports a probe that asks nothing or two things.
fn one_target(table: &mut Table<'_, '_>) -> Option<()> {
    let given: Vec<_> = TARGETS.iter().filter_map(|key| table.key_span(key)).collect();
    match &given[..] {
        [_] => return Some(()),
        [] if table.describes() => return Some(()),
        [] => {
            let span = table.span.clone();
            let problem = table.reader.report(EXACTLY_ONE, span, "this probe asks nothing");
            problem.help.push(format!("add one of: {}", TARGETS.join(", ")));
        }
        [first, second, ..] => {
            let problem = table.reader.report(EXACTLY_ONE, second.clone(), "one probe asks one thing");
            problem.related.push((first.clone(), "the first one".to_owned()));
            problem.help.push("write one entry of `answer` for each".to_owned());
        }
    }
    None
}

impl Value for Answer {
    fn read(node: &Node<'_>, reader: &mut Reader) -> Option<Self> {
        read_table(node, reader)
    }

    fn schema(generator: &mut SchemaGenerator) -> Schema {
        let mut schema = table_schema::<Self>(generator);
        let one: Vec<_> = TARGETS.iter().map(|key| serde_json::json!({ "required": [key] })).collect();
        schema.insert("oneOf".to_owned(), one.into());
        schema
    }
}

/// A TCP address in numbers, `127.0.0.1:22` or `[::1]:22`. Names are refused: resolving one may stall under stress.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Address(pub SocketAddr);

impl FromStr for Address {
    type Err = Malformed;

    fn from_str(text: &str) -> Result<Self, Malformed> {
        let address: SocketAddr = text.parse().map_err(|_| {
            let suggestion = text.strip_prefix("localhost:").map(|port| format!("127.0.0.1:{port}"));
            Malformed::new(format!("`{text}` is not an address: expected numbers such as 127.0.0.1:22"))
                .suggest(suggestion)
        })?;
        if !address.ip().is_loopback() || address.port() == 0 {
            return Err(Malformed::new(format!(
                "`{text}` is refused: a scenario stays on its own machine, use 127.0.0.1 or [::1] and a port above 0"
            )));
        }
        Ok(Self(address))
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl JsonSchema for Address {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Address".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "pattern": "^(127\\.[0-9.]+|\\[::1\\]):[0-9]+$",
            "description": "a TCP address of this machine: 127.0.0.1:22",
        })
    }
}

impl Scalar for Address {
    const EXPECTING: &'static str = "an address such as \"127.0.0.1:22\"";
}

value!(scalar Address);

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("127.0.0.1:22", true, None)]
    #[case("[::1]:22", true, None)]
    #[case("localhost:22", false, Some("127.0.0.1:22"))]
    #[case("127.0.0.1", false, None)]
    #[case("127.0.0.1:0", false, None)]
    #[case("10.0.0.1:22", false, None)]
    #[case("0.0.0.0:22", false, None)]
    fn a_probe_stays_on_its_machine(
        #[case] text: &str,
        #[case] fine: bool,
        #[case] suggestion: Option<&str>,
    ) {
        let parsed = text.parse::<Address>();
        assert_eq!(parsed.as_ref().map(ToString::to_string).ok().as_deref(), fine.then_some(text));
        assert_eq!(parsed.err().and_then(|refused| refused.suggestion).as_deref(), suggestion);
    }
}
