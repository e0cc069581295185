//! `[tree.NAME]`: a part of the cgroup hierarchy that the policy promises to contain, and how load gets into it.

use std::fmt;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

use super::machine::UserName;
use crate::cgroupfs::CgroupPath;
use crate::notation::{Id, Malformed, UnitName};
use crate::reading::rule::{EXACTLY_ONE, MALFORMED_VALUE, WRONG_TYPE};
use crate::reading::{FromTable, Node, Reader, Scalar, Table, Value, read_table, table_schema, value};
use crate::scenario::TreeRole;
use crate::unit_name::slice_cgroup;

/// What the policy promises to contain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tree {
    /// The name in `[tree.NAME]`.
    pub id: Id,
    /// What it is for.
    pub role: TreeRole,
    /// The cgroup.
    pub cgroup: Place,
    /// How load enters it.
    pub enter: Entrance,
}

impl Tree {
    /// Reads everything but the name, which is the key of the table.
    pub(super) fn read_keys(id: Option<Id>, table: &mut Table<'_, '_>) -> Option<Self> {
        let role = table.required("role", "what it is for: work or protected");
        let cgroup = table.required("cgroup", "the unit whose cgroup it is, or an absolute cgroup path");
        let enter = table.required("enter", "how load enters it: { ssh = \"alice\" }");
        Some(Self { id: id?, role: role?, cgroup: cgroup?, enter: enter? })
    }
}

impl FromTable for Tree {
    const LABEL: &'static str = "[tree]";

    fn from_table(table: &mut Table<'_, '_>) -> Option<Self> {
        Self::read_keys(None, table)
    }
}

/// Which cgroup a tree is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Place {
    /// That of a unit: a slice, a service or a scope.
    Unit(UnitName),
    /// One that no unit's name tells.
    Path(CgroupPath),
}

impl Place {
    /// The unit, if it is named by one.
    #[must_use]
    pub fn unit(&self) -> Option<&UnitName> {
        match self {
            Self::Unit(unit) => Some(unit),
            Self::Path(_) => None,
        }
    }

    /// The cgroup as far as names alone tell it: of a slice and of a path. Where a service lies depends on its `Slice=`.
    #[must_use]
    pub fn cgroup(&self) -> Option<CgroupPath> {
        match self {
            Self::Unit(unit) => slice_cgroup(unit).ok(),
            Self::Path(path) => Some(path.clone()),
        }
    }
}

impl FromStr for Place {
    type Err = Malformed;

    fn from_str(text: &str) -> Result<Self, Malformed> {
        if text.starts_with('/') {
            return match text.parse::<CgroupPath>() {
                Ok(path) if path.is_root() => Err(Malformed::new(
                    "`/` is the root of the hierarchy, which has no limits: name a unit below",
                )),
                path => path.map(Self::Path).map_err(|refused| Malformed::new(refused.to_string())),
            };
        }
        let unit: UnitName = text.parse()?;
        if &*unit == "-.slice" {
            return Err(Malformed::new(
                "`-.slice` is the root of the hierarchy, which has no limits: name a unit below",
            ));
        }
        if unit.unit_type() == "slice"
            && let Err(refused) = slice_cgroup(&unit)
        {
            return Err(Malformed::new(refused.to_string()));
        }
        match unit.unit_type() {
            "slice" | "service" | "scope" => Ok(Self::Unit(unit)),
            other => Err(Malformed::new(format!(
                "a {other} does not contain what users start: a tree is a .slice, a .service or a .scope"
            ))),
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unit(unit) => unit.fmt(f),
            Self::Path(path) => path.fmt(f),
        }
    }
}

impl JsonSchema for Place {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "TreePlace".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "pattern": "^(/.+|[A-Za-z0-9:_.\\\\@-]+\\.(slice|service|scope))$",
            "description": "a unit whose cgroup it is (user-1001.slice), or an absolute cgroup path",
        })
    }
}

impl Scalar for Place {
    const EXPECTING: &'static str = "a unit such as \"user-1001.slice\", or a cgroup path";
}

value!(scalar Place);

/// How load gets into a tree, as its users would.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Entrance {
    /// A login of that user through sshd: a session scope below `user-UID.slice`.
    Ssh(UserName),
    /// An instance of a service template: `server@alice.service`.
    Instance(UnitName),
    /// A service.
    Service(UnitName),
    /// A container, wherever dockerd puts it.
    Docker,
    /// A transient scope in that slice.
    Scope(UnitName),
}

/// The keys of which `enter` has exactly one.
const ENTRANCES: [&str; 5] = ["ssh", "instance", "service", "docker", "scope"];

impl FromTable for Entrance {
    const LABEL: &'static str = "`enter`";

    fn from_table(table: &mut Table<'_, '_>) -> Option<Self> {
        let ssh = table.optional("ssh", "a login of that user through sshd");
        let instance = table.optional("instance", "an instance of a service template: server@alice.service");
        let service = table.optional("service", "a service");
        let docker: Option<bool> = table.optional("docker", "true: a container");
        let scope = table.optional("scope", "a transient scope in that slice");
        one_entrance(table)?;
        let units = [
            (&instance, "service", "instance"),
            (&service, "service", "service"),
            (&scope, "slice", "scope"),
        ];
        for (unit, unit_type, key) in units {
            of_type(unit.as_ref(), unit_type, key, table)?;
        }
        if docker == Some(false) {
            let span = table.value_span("docker").unwrap_or_default();
            let problem = table.reader.report(MALFORMED_VALUE, span, "`docker = false` is no way in");
            problem.help.push("write `docker = true`, or another entrance".to_owned());
            return None;
        }
        ssh.map(Self::Ssh)
            .or(instance.map(Self::Instance))
            .or(service.map(Self::Service))
            .or(docker.map(|_| Self::Docker))
            .or(scope.map(Self::Scope))
    }
}

/// Reports `enter` without a way in, or with two.
fn one_entrance(table: &mut Table<'_, '_>) -> Option<()> {
    let given: Vec<_> = ENTRANCES.iter().filter_map(|key| table.key_span(key)).collect();
    match &given[..] {
        [_] => return Some(()),
        [] if table.describes() => return Some(()),
        [] => {
            let span = table.span.clone();
            let problem = table.reader.report(EXACTLY_ONE, span, "`enter` names no way in");
            problem.help.push(format!("add one of: {}", ENTRANCES.join(", ")));
        }
        [first, second, ..] => {
            let problem = table.reader.report(EXACTLY_ONE, second.clone(), "a tree has one entrance");
            problem.related.push((first.clone(), "the first one".to_owned()));
            problem.help.push("write a [tree] for each way in".to_owned());
        }
    }
    None
}

/// Reports a unit of another type than the entrance takes.
fn of_type(unit: Option<&UnitName>, unit_type: &str, key: &str, table: &mut Table<'_, '_>) -> Option<()> {
    let Some(unit) = unit.filter(|unit| unit.unit_type() != unit_type) else {
        return Some(());
    };
    let span = table.value_span(key).unwrap_or_default();
    let message = format!("`{key}` takes a .{unit_type}, and `{unit}` is a {}", unit.unit_type());
    table.reader.report(WRONG_TYPE, span, message);
    None
}

impl Value for Entrance {
    fn read(node: &Node<'_>, reader: &mut Reader) -> Option<Self> {
        read_table(node, reader)
    }

    fn schema(generator: &mut SchemaGenerator) -> Schema {
        let mut schema = table_schema::<Self>(generator);
        let one: Vec<_> = ENTRANCES.iter().map(|key| serde_json::json!({ "required": [key] })).collect();
        schema.insert("oneOf".to_owned(), one.into());
        schema
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("user-1001.slice", Some("/user.slice/user-1001.slice"))]
    #[case("a\\x2db.slice", Some("/a\\x2db.slice"))]
    #[case("/a/b", Some("/a/b"))]
    #[case("server@alice.service", None)]
    #[case("session-1.scope", None)]
    fn names_tell_the_cgroup_of_slices_and_paths(#[case] text: &str, #[case] cgroup: Option<&str>) {
        let place: Place = text.parse().expect("a place");
        assert_eq!(place.to_string(), text);
        assert_eq!(place.cgroup().map(String::from).as_deref(), cgroup);
    }

    #[rstest]
    #[case("/", "the root of the hierarchy")]
    #[case("-.slice", "the root of the hierarchy")]
    #[case("/a/../b", "is not a cgroup path")]
    #[case("user-.slice", "is not a cgroup path")]
    #[case("ssh.socket", "a socket does not contain")]
    #[case("user", "expected a name with its type")]
    fn what_cannot_be_a_tree_is_refused(#[case] text: &str, #[case] why: &str) {
        let refused = text.parse::<Place>().expect_err("refused");
        assert!(refused.message.contains(why), "{refused}");
    }
}
