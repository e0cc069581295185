//! The text of `policy.toml` → [`Policy`]: the top level of the file.

use schemars::{Schema, SchemaGenerator, json_schema};

use super::machine::BackstopTable;
use super::tree::Tree;
use super::{Policy, SCHEMA};
use crate::notation::id::Id;
use crate::reading::diagnostic::{Invalid, Source};
use crate::reading::rule::MALFORMED_VALUE;
use crate::reading::{FromTable, Node, Reader, Table, in_file_order, read_entries, read_file, table_schema};

/// Reads the file; what its parts say of one another is checked afterwards.
pub(super) fn parse(path: &str, text: &str) -> Result<Policy, Invalid> {
    let (policy, reader) = read_file::<Policy>(path, text);
    let file = reader.source.clone();
    reader.finish(policy.map(|policy| Policy { file, ..policy }))
}

impl FromTable for Policy {
    const LABEL: &'static str = "the policy";

    fn from_table(table: &mut Table<'_, '_>) -> Option<Self> {
        let schema = table.schema_version(SCHEMA);
        let title = table.required("title", "the policy in one sentence");
        let source = table.required("source", "where it comes from: a machine and a date, a repository");
        let install: Option<Vec<String>> = table.optional(
            "install",
            "a command that runs once in the guest after root/ is copied: [\"./setup.sh\"]",
        );
        let machine = table.required("machine", "the machine it is written for");
        let users: Option<Vec<_>> = table.optional("user", "who logs in");
        let trees = table.node("tree", false, "what it promises to contain, by name", trees_schema);
        let protect = table.optional("protect", "what must neither die nor stop answering");
        let backstop: Option<BackstopTable> =
            table.optional("backstop", "what acts on the whole machine when the caps do not");
        let units = table.optional("units", "units that need something done before the boot");
        let known: Option<Vec<_>> = table.optional("known", "cases that are known to fail, and how");
        let trees = trees.map_or(Some(Vec::new()), |node| read_trees(node, table.reader));
        Some(Self {
            file: Source::default(),
            schema: schema?,
            title: title?,
            source: source?,
            machine: machine?,
            users: users.unwrap_or_default(),
            trees: trees?,
            protect: protect.unwrap_or_default(),
            backstop: backstop.map(|table| table.0).unwrap_or_default(),
            units: units.unwrap_or_default(),
            install: install.unwrap_or_default(),
            known: known.unwrap_or_default(),
        })
    }
}

fn read_trees(node: &Node<'_>, reader: &mut Reader) -> Option<Vec<Tree>> {
    let Some(entries) = node.get_ref().as_table() else {
        reader.wrong_type(node, "tables such as [tree.ssh]");
        return None;
    };
    let before = reader.problems.len();
    let mut trees = Vec::new();
    for (key, value) in in_file_order(entries) {
        let name = key.get_ref().as_ref();
        let id = reader.accept(MALFORMED_VALUE, name.parse::<Id>(), key.span());
        let Some(table) = value.get_ref().as_table() else {
            reader.wrong_type(value, &format!("a table: [tree.{name}]"));
            continue;
        };
        let label = format!("[tree.{name}]");
        trees.extend(read_entries(&label, value.span(), table, reader, |table| Tree::read_keys(id, table)));
    }
    (reader.problems.len() == before).then_some(trees)
}

fn trees_schema(generator: &mut SchemaGenerator) -> Schema {
    let tree = table_schema::<Tree>(generator);
    let name = generator.subschema_for::<Id>();
    json_schema!({ "type": "object", "propertyNames": name, "additionalProperties": tree })
}
