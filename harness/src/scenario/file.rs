//! The text of a scenario file → [`Scenario`]: the top level of the file.
//!
//! Names across tables are checked afterwards, and only when every table could be read: a broken actor would
//! otherwise drag every mention of it into the report.

use std::path::Path;

use schemars::{Schema, SchemaGenerator, json_schema};

use super::cgroup::{self, Cgroup};
use super::killer::{OwnTable, TABLES};
use super::twin::{self, Base, Twin};
use super::{BaseLimit, DEFAULT_BASELINE, DEFAULT_OBSERVE, LimitRef, SCHEMA, Scenario, references};
use crate::notation::Malformed;
use crate::notation::id::Id;
use crate::reading::diagnostic::{Invalid, Source};
use crate::reading::rule::{MALFORMED_VALUE, MISSING_KEY, RESERVED_NAME};
use crate::reading::{FromTable, Node, Reader, Table, Value, in_file_order, read_entries, read_file};

/// Reads the file, then checks the names in it.
pub(super) fn parse(path: &str, text: &str) -> Result<Scenario, Invalid> {
    let (read, mut reader) = read_file::<Scenario>(path, text);
    let id = Path::new(path).file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
    let id = id.parse().map_err(|refused: Malformed| file_name(&refused));
    let id = reader.accept(MALFORMED_VALUE, id, 0..0);
    let file = reader.source.clone();
    let scenario = read.zip(id).map(|(read, id)| Scenario { id, file, ..read });
    if let Some(scenario) = &scenario {
        reader.problems = references::check(scenario);
    }
    reader.finish(scenario)
}

fn file_name(refused: &Malformed) -> Malformed {
    Malformed::new(format!("the file's name is the scenario's id: {refused}"))
}

impl FromTable for Scenario {
    const LABEL: &'static str = "the scenario";

    fn from_table(table: &mut Table<'_, '_>) -> Option<Self> {
        let schema = table.schema_version(SCHEMA);
        let title = table.required("title", "the claim in one sentence");
        let source = table.required("source", "where the claim comes from: an incident, a document");
        let tags: Option<Vec<Id>> =
            table.optional("tags", "words to select by; `core` is the standard suite");
        let safety = table.required("safety", "how dangerous it is: contained, pressure or destructive");
        let deadline =
            table.required("deadline", "PID 1 ends every unit of the run after this time, such as \"90s\"");
        let observe = table.optional("observe", "how long the stress is watched at most, \"30s\" by default");
        let hold = table.optional(
            "hold",
            "the least time for which the stress is held for the claims to count, none by default",
        );
        let enough = table.optional(
            "enough",
            "the run ends when the stress has been held for so long, although balloons live; none by default",
        );
        let baseline = table.optional("baseline", "how long bystanders run alone before, \"1s\" by default");
        let requires = table.optional("requires", "what the machine must have; unmet: skipped");
        let cgroups = table.node("cgroup", false, "the cgroups to make, by name", cgroups_schema);
        let actors = table.node("actor", true, "the processes to start", <Vec<super::Actor>>::schema);
        let killers = TABLES.map(|own| (own, table.node(own.name(), false, own.about, |it| own.schema(it))));
        let protect = table.optional("protect", "what must neither die nor stop answering");
        let reached = table.required("reached", "how it is known that the stress arrived");
        let expects: Option<Vec<_>> = table.required("expect", "the claims");
        let twins = table.node("twin", false, "the ways to break it on purpose", twins_schema);
        if actors.is_none() {
            table.reader.report(MISSING_KEY, 0..0, "the scenario has no [[actor]]: nothing would happen");
        }
        let cgroups = cgroups.map_or(Some(Vec::new()), |node| read_cgroups(node, table.reader));
        let read = actors.and_then(|node| <Vec<super::Actor>>::read(node, table.reader));
        let killers = || killers.into_iter().filter_map(|(own, node)| Some((own, node?)));
        let own: Option<Vec<_>> = killers().map(|(own, node)| own.read(node, table.reader)).collect();
        let twins = match (&cgroups, &read, &own) {
            (Some(cgroups), Some(read), Some(_)) => {
                let killers = killers().filter_map(|(own, node)| Some((own, node.get_ref().as_table()?)));
                let base = Base { killers: killers.collect(), ..base(cgroups, read, actors) };
                read_twins(twins, &base, table.reader)
            }
            _ => None,
        };
        let cgroups = cgroups?;
        Some(Self {
            id: "unnamed".parse().ok()?,
            variant: None,
            file: Source::default(),
            schema: schema?,
            title: title?,
            source: source?,
            tags: tags.unwrap_or_default(),
            safety: safety?,
            deadline: deadline?,
            observe: observe.unwrap_or(DEFAULT_OBSERVE),
            hold: hold.unwrap_or_default(),
            enough,
            baseline: baseline.unwrap_or(DEFAULT_BASELINE),
            requires: requires.unwrap_or_default(),
            base_limits: base_limits(&cgroups),
            cgroups,
            actors: read?,
            killers: own?,
            protect: protect.unwrap_or_default(),
            reached: reached?,
            expects: expects?,
            twins: twins?,
        })
    }
}

fn base_limits(cgroups: &[Cgroup]) -> Vec<BaseLimit> {
    let limits = cgroups.iter().flat_map(|cgroup| {
        cgroup.properties.iter().filter_map(|property| {
            let name = LimitRef { cgroup: cgroup.id.clone(), property: property.name };
            property.limit().map(|limit| BaseLimit { name, limit })
        })
    });
    limits.collect()
}

fn read_cgroups(node: &Node<'_>, reader: &mut Reader) -> Option<Vec<Cgroup>> {
    let Some(entries) = node.get_ref().as_table() else {
        reader.wrong_type(node, "tables such as [cgroup.work]");
        return None;
    };
    let before = reader.problems.len();
    let mut cgroups = Vec::new();
    for (key, value) in in_file_order(entries) {
        let name = key.get_ref().as_ref();
        let id = if matches!(name, "host" | "protect" | "run") || OwnTable::named(name).is_some() {
            reader.report(
                RESERVED_NAME,
                key.span(),
                format!("`{name}` means something else in scenarios: choose another name"),
            );
            None
        } else {
            reader.accept(MALFORMED_VALUE, name.parse::<Id>(), key.span())
        };
        let Some(table) = value.get_ref().as_table() else {
            reader.wrong_type(value, &format!("a table: [cgroup.{name}]"));
            continue;
        };
        let label = format!("[cgroup.{name}]");
        cgroups
            .extend(read_entries(&label, value.span(), table, reader, |table| Cgroup::read_keys(id, table)));
    }
    (reader.problems.len() == before).then_some(cgroups)
}

/// What twins refer to. Actors are taken as tables, because a twin changes single keys of them.
fn base<'t>(cgroups: &[Cgroup], actors: &[super::Actor], nodes: Option<&'t Node<'t>>) -> Base<'t> {
    let tables = nodes.and_then(|node| node.get_ref().as_array()).into_iter().flatten();
    let tables = tables.filter_map(|node| node.get_ref().as_table());
    Base {
        cgroups: cgroups.iter().map(|cgroup| cgroup.id.clone()).collect(),
        actors: actors.iter().map(|actor| actor.id.clone()).zip(tables).collect(),
        killers: Vec::new(),
    }
}

fn read_twins(node: Option<&Node<'_>>, base: &Base<'_>, reader: &mut Reader) -> Option<Vec<Twin>> {
    let Some(node) = node else {
        return Some(Vec::new());
    };
    let Some(items) = node.get_ref().as_array() else {
        reader.wrong_type(node, "tables ([[twin]])");
        return None;
    };
    let before = reader.problems.len();
    let twins = items.iter().filter_map(|item| Twin::read(item, reader, base)).collect();
    (reader.problems.len() == before).then_some(twins)
}

fn cgroups_schema(generator: &mut SchemaGenerator) -> Schema {
    let cgroup = cgroup::schema(generator);
    let name = generator.subschema_for::<Id>();
    json_schema!({ "type": "object", "propertyNames": name, "additionalProperties": cgroup })
}

fn twins_schema(generator: &mut SchemaGenerator) -> Schema {
    let twin = twin::schema(generator);
    json_schema!({ "type": "array", "items": twin })
}
