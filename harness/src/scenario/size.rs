//! A size as a scenario writes it: bytes, a share of the machine's memory, or a share of a declared limit.
//!
//! `{ percent = 120, of = "work.MemoryMax" }` always means the limit as the file declares it, before a twin changes it.

use std::fmt;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};
use toml::de::DeValue;

use crate::notation::Malformed;
use crate::notation::bytes::Bytes;
use crate::notation::id::Id;
use crate::notation::limit::Limit;
use crate::notation::percent::Percent;
use crate::notation::suggest::nearest;
use crate::property::{PropertyName, ValueKind};
use crate::reading::rule::MALFORMED_VALUE;
use crate::reading::{
    FromTable, Node, Reader, Scalar, Table, Value, read_scalar, read_table, table_schema, value,
};

/// A declared limit, written `CGROUP.Property`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct LimitRef {
    /// The declared cgroup.
    pub cgroup: Id,
    /// One of its memory properties.
    pub property: PropertyName,
}

impl FromStr for LimitRef {
    type Err = Malformed;

    fn from_str(text: &str) -> Result<Self, Malformed> {
        let sizes = || PropertyName::ALL.into_iter().filter(|name| is_size(*name));
        let Some((cgroup, property)) = text.split_once('.') else {
            return Err(Malformed::new(format!(
                "`{text}` is not a declared limit: expected CGROUP.Property, such as work.MemoryMax"
            )));
        };
        let Some(property) = sizes().find(|name| name.info().text == property) else {
            let near = nearest(property, sizes().map(|name| name.info().text));
            return Err(Malformed::new(format!("`{property}` is not a memory limit of systemd"))
                .suggest(near.map(|near| format!("{cgroup}.{near}"))));
        };
        Ok(Self { cgroup: cgroup.parse()?, property })
    }
}

fn is_size(name: PropertyName) -> bool {
    matches!(name.info().kind, ValueKind::Size | ValueKind::PositiveSize)
}

impl fmt::Display for LimitRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.cgroup, self.property)
    }
}

impl JsonSchema for LimitRef {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "LimitRef".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let names: Vec<_> = PropertyName::ALL
            .into_iter()
            .filter(|name| is_size(*name))
            .map(|name| name.info().text)
            .collect();
        json_schema!({
            "type": "string",
            "pattern": format!("^[a-z0-9][a-z0-9-]*\\.({})$", names.join("|")),
            "description": "a limit that the scenario declares: CGROUP.Property",
        })
    }
}

impl Scalar for LimitRef {
    const EXPECTING: &'static str = "a declared limit such as \"work.MemoryMax\"";
}

value!(scalar LimitRef);

/// A share of a declared limit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShareOf {
    /// How much of it.
    pub percent: Percent,
    /// The limit.
    pub of: LimitRef,
}

impl FromTable for ShareOf {
    const LABEL: &'static str = "a relative size";

    fn from_table(table: &mut Table<'_, '_>) -> Option<Self> {
        let percent = table.required("percent", "how much of the limit, such as 95");
        let of = table.required("of", "the limit as this file declares it, such as \"work.MemoryMax\"");
        Some(Self { percent: percent?, of: of? })
    }
}

impl fmt::Display for ShareOf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of {}", self.percent, self.of)
    }
}

/// A size that may depend on the machine or on a limit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SizeExpr {
    /// So many bytes.
    Bytes(Bytes),
    /// A share of the machine's physical memory.
    Machine(Percent),
    /// A share of a declared limit.
    Limit(ShareOf),
}

impl Value for SizeExpr {
    fn read(node: &Node<'_>, reader: &mut Reader) -> Option<Self> {
        if let DeValue::Table(_) = node.get_ref() {
            return read_table(node, reader).map(Self::Limit);
        }
        match read_scalar::<Limit>(node, reader)? {
            Limit::Bytes(bytes) => Some(Self::Bytes(bytes)),
            Limit::Percent(percent) => Some(Self::Machine(percent)),
            Limit::Infinity => {
                reader.report(
                    MALFORMED_VALUE,
                    node.span(),
                    "a size is finite: `infinity` is for limits only",
                );
                None
            }
        }
    }

    fn schema(generator: &mut SchemaGenerator) -> Schema {
        let share = table_schema::<ShareOf>(generator);
        json_schema!({
            "anyOf": [
                { "type": ["string", "integer"], "minimum": 0, "pattern": "^[0-9]+(\\.[0-9]+)?[BKMGTPE%]?$" },
                share,
            ]
        })
    }
}

impl fmt::Display for SizeExpr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bytes(bytes) => bytes.fmt(f),
            Self::Machine(percent) => write!(f, "{percent} of the machine's memory"),
            Self::Limit(share) => share.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("work.MemoryMax", true, None)]
    #[case("work.MemorySwapMax", true, None)]
    #[case("work.MemoryMx", false, Some("work.MemoryMax"))]
    #[case("work.CPUWeight", false, None)]
    #[case("work", false, None)]
    #[case("Work.MemoryMax", false, Some("work"))]
    fn a_limit_is_named_by_cgroup_and_property(
        #[case] text: &str,
        #[case] fine: bool,
        #[case] suggestion: Option<&str>,
    ) {
        let parsed = text.parse::<LimitRef>();
        assert_eq!(parsed.as_ref().map(ToString::to_string).ok().as_deref(), fine.then_some(text));
        assert_eq!(parsed.err().and_then(|refused| refused.suggestion).as_deref(), suggestion);
    }
}
