//! `[cgroup.NAME]`: a unit that the harness makes for the run, with the properties under test.
//!
//! What the unit is called and where it hangs on a machine is decided by the plan.

use std::fmt;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

use crate::notation::Malformed;
use crate::notation::id::{Id, UnitName};
use crate::notation::limit::Limit;
use crate::property::{Property, PropertyName, UnitKind};
use crate::reading::{FromTable, Scalar, Table, table_schema, value};

/// A declared cgroup.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cgroup {
    /// The name in `[cgroup.NAME]`.
    pub id: Id,
    /// What kind of unit it becomes.
    pub unit: UnitKind,
    /// Where it hangs.
    pub parent: Parent,
    /// Its resource properties, each at most once.
    pub properties: Vec<Property>,
}

impl Cgroup {
    /// The value of a size property, if the cgroup has it.
    #[must_use]
    pub fn limit(&self, name: PropertyName) -> Option<Limit> {
        self.properties.iter().find(|property| property.name == name).and_then(Property::limit)
    }

    /// Puts `property` in place of the one of the same name, or adds it.
    pub(super) fn set(&mut self, property: Property) {
        match self.properties.iter_mut().find(|known| known.name == property.name) {
            Some(known) => *known = property,
            None => self.properties.push(property),
        }
    }

    /// Reads everything but the name, which is the key of the table.
    pub(super) fn read_keys(id: Option<Id>, table: &mut Table<'_, '_>) -> Option<Self> {
        let unit = table.optional("unit", "the unit type, slice by default");
        let parent =
            table.optional("in", "where it hangs: `run` (default), a declared cgroup or a real slice");
        let mut properties = Vec::new();
        for name in PropertyName::ALL {
            let info = name.info();
            let node =
                table.node(info.text, false, info.about, |generator| Property::schema(name, generator));
            if let Some(property) = node.and_then(|node| Property::read(name, node, table.reader)) {
                properties.push(property);
            }
        }
        Some(Self { id: id?, unit: unit.unwrap_or_default(), parent: parent.unwrap_or_default(), properties })
    }
}

impl FromTable for Cgroup {
    const LABEL: &'static str = "[cgroup]";

    fn from_table(table: &mut Table<'_, '_>) -> Option<Self> {
        Self::read_keys(None, table)
    }
}

/// The JSON Schema of one `[cgroup.NAME]`.
pub(super) fn schema(generator: &mut SchemaGenerator) -> Schema {
    table_schema::<Cgroup>(generator)
}

/// Where a declared cgroup hangs.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Parent {
    /// Directly in the slice that the harness makes for the run, under the harness's own cap.
    #[default]
    Run,
    /// In another declared cgroup.
    Cgroup(Id),
    /// Below a slice of the machine, in a slice of the harness's own that caps it there.
    Slice(UnitName),
}

impl FromStr for Parent {
    type Err = Malformed;

    fn from_str(text: &str) -> Result<Self, Malformed> {
        match Place::from_str(text)? {
            Place::Cgroup(id) if id == "run" => Ok(Self::Run),
            Place::Cgroup(id) => Ok(Self::Cgroup(id)),
            Place::Slice(unit) => Ok(Self::Slice(unit)),
        }
    }
}

impl fmt::Display for Parent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Run => f.write_str("run"),
            Self::Cgroup(id) => id.fmt(f),
            Self::Slice(unit) => unit.fmt(f),
        }
    }
}

/// Where an actor runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Place {
    /// In a declared cgroup.
    Cgroup(Id),
    /// In a slice of the machine, such as `system.slice`.
    Slice(UnitName),
}

impl FromStr for Place {
    type Err = Malformed;

    fn from_str(text: &str) -> Result<Self, Malformed> {
        if text.ends_with(".slice") {
            return text.parse().map(Self::Slice);
        }
        if text.contains('.') {
            return Err(Malformed::new(format!(
                "`{text}` is neither a declared cgroup nor a slice: processes of the harness go into slices only"
            )));
        }
        text.parse().map(Self::Cgroup)
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cgroup(id) => id.fmt(f),
            Self::Slice(unit) => unit.fmt(f),
        }
    }
}

fn place_schema() -> Schema {
    json_schema!({
        "type": "string",
        "pattern": "^([a-z0-9][a-z0-9-]{0,31}|[A-Za-z0-9:_.\\\\@-]+\\.slice)$",
        "description": "a declared cgroup, or a slice of the machine such as system.slice",
    })
}

impl JsonSchema for Place {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Place".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        place_schema()
    }
}

impl JsonSchema for Parent {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Parent".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        place_schema()
    }
}

impl Scalar for Place {
    const EXPECTING: &'static str = "a declared cgroup or a slice such as \"system.slice\"";
}

impl Scalar for Parent {
    const EXPECTING: &'static str = "\"run\", a declared cgroup or a slice such as \"system.slice\"";
}

value!(scalar Place);

value!(scalar Parent);
