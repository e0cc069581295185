//! `[[twin]]`: the same scenario with one thing broken on purpose, and the expectations that this must turn red.
//!
//! A change is checked when the file is read: a changed actor is read again with the new value in place, so that a
//! wrong value is reported at the twin and not when the twin runs.

use std::borrow::Cow;

use schemars::{Schema, SchemaGenerator, json_schema};
use toml::Spanned;
use toml::de::DeTable;

use super::actor::Actor;
use super::expectation::Expectation;
use super::killer::{OwnKiller, OwnTable};
use super::requires::Requires;
use crate::notation::id::Id;
use crate::notation::span::Span;
use crate::notation::suggest::nearest;
use crate::property::{Property, PropertyName};
use crate::reading::diagnostic::Diagnostic;
use crate::reading::rule::{UNKNOWN_KEY, UNKNOWN_NAME, rules};
use crate::reading::{FromTable, Node, Reader, Table, Value, in_file_order, read_entries};

rules! {
    Error EMPTY_MUST_FAIL = "empty-must-fail",
        "The twin names no expectation that must fail. A twin breaks one part of the containment on purpose, and the \
        claims that then turn red have shown that they can fail at all. Name those that the broken part must turn red.";
    Error TWIN_CHANGES_IDENTITY = "twin-changes-identity",
        "An actor's `id` says which claims speak of it and its `kind` which keys it has: with another one it is \
        another actor. Leave it out with `drop` and add the other with [[twin.actor]].";
}

/// A twin, with its changes resolved to what they put in place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Twin {
    /// The twin's name.
    pub id: Id,
    /// Properties to put in place.
    pub properties: Vec<PropertyChange>,
    /// Actors to put in place of those of the same id.
    pub changed: Vec<Actor>,
    /// Killers to put in place of those of the same name.
    pub killers: Vec<OwnKiller>,
    /// Another `observe`.
    pub observe: Option<Span>,
    /// Another `hold`.
    pub hold: Option<Span>,
    /// Another `enough`.
    pub enough: Option<Span>,
    /// Actors to leave out, and killers by their names.
    pub drop: Vec<Id>,
    /// Actors to add.
    pub added: Vec<Actor>,
    /// What the twin needs on top.
    pub requires: Requires,
    /// Expectations of the twin alone, which must hold in it.
    pub expects: Vec<Expectation>,
    /// Expectations of the scenario that must fail; never empty.
    pub must_fail: Vec<Id>,
}

/// A property that a twin puts in place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PropertyChange {
    /// The declared cgroup.
    pub cgroup: Id,
    /// Its property.
    pub property: Property,
}

/// The parts of the scenario that twins refer to, as they stand in the file.
#[derive(Default)]
pub(super) struct Base<'t> {
    pub(super) cgroups: Vec<Id>,
    pub(super) actors: Vec<(Id, &'t DeTable<'t>)>,
    pub(super) killers: Vec<(&'static OwnTable, &'t DeTable<'t>)>,
}

#[derive(Default)]
struct Changes {
    properties: Vec<PropertyChange>,
    changed: Vec<Actor>,
    killers: Vec<OwnKiller>,
    observe: Option<Span>,
    hold: Option<Span>,
    enough: Option<Span>,
}

/// The times of a scenario that a twin may change.
const TIMES: [&str; 3] = ["observe", "hold", "enough"];

impl Changes {
    /// Where the time of this name goes.
    fn time(&mut self, name: &str) -> Option<&mut Option<Span>> {
        match name {
            "observe" => Some(&mut self.observe),
            "hold" => Some(&mut self.hold),
            "enough" => Some(&mut self.enough),
            _ => None,
        }
    }
}

impl Twin {
    pub(super) fn read(node: &Node<'_>, reader: &mut Reader, base: &Base<'_>) -> Option<Self> {
        let Some(entries) = node.get_ref().as_table() else {
            reader.wrong_type(node, "a table ([[twin]])");
            return None;
        };
        read_entries("twin", node.span(), entries, reader, |table| Self::read_keys(table, base))
    }

    pub(super) fn read_keys(table: &mut Table<'_, '_>, base: &Base<'_>) -> Option<Self> {
        let id = table.required("id", "the twin's name");
        let set = table.node(
            "set",
            false,
            "what is changed: \"CGROUP.Property\", \"ACTOR.key\", \"earlyoom.key\", \"observe\", \"hold\" or \"enough\"",
            set_schema,
        );
        let changes = set.map_or_else(|| Some(Changes::default()), |set| read_set(set, table.reader, base));
        let drop = table.optional("drop", "actors to leave out; \"earlyoom\" for earlyoom");
        let added = table.optional("actor", "actors to add");
        let requires: Option<Requires> = table.optional("requires", "what the twin needs besides");
        let expects = table.optional("expect", "claims of the twin alone, which must hold in it");
        let must_fail: Option<Vec<Id>> =
            table.required("must-fail", "the expectations that this must turn red");
        if must_fail.as_ref().is_some_and(Vec::is_empty) {
            let span = table.value_span("must-fail").unwrap_or(table.span.clone());
            let label = table.label.clone();
            let problem = table.reader.report(
                EMPTY_MUST_FAIL,
                span,
                format!("{label} has to turn nothing red: it proves nothing"),
            );
            problem.help.push("name the expectations that the broken part must turn red".to_owned());
            return None;
        }
        let changes = changes?;
        Some(Self {
            id: id?,
            properties: changes.properties,
            changed: changes.changed,
            killers: changes.killers,
            observe: changes.observe,
            hold: changes.hold,
            enough: changes.enough,
            drop: drop.unwrap_or_default(),
            added: added.unwrap_or_default(),
            requires: requires.unwrap_or_default(),
            expects: expects.unwrap_or_default(),
            must_fail: must_fail?,
        })
    }
}

fn set_schema(generator: &mut SchemaGenerator) -> Schema {
    let span = Span::schema(generator);
    json_schema!({
        "type": "object",
        "patternProperties": { "^[a-z0-9][a-z0-9-]*\\.[A-Za-z-]+$": {}, "^(observe|hold|enough)$": span },
        "additionalProperties": false,
    })
}

/// Resolves every change of a `set` table.
fn read_set(node: &Node<'_>, reader: &mut Reader, base: &Base<'_>) -> Option<Changes> {
    let Some(entries) = node.get_ref().as_table() else {
        reader.wrong_type(node, "a table such as { \"work.MemoryMax\" = \"infinity\" }");
        return None;
    };
    let before = reader.problems.len();
    let mut changes = Changes::default();
    let mut actors: Vec<(Id, DeTable<'_>)> = Vec::new();
    let mut killers: Vec<(&OwnTable, DeTable<'_>)> = Vec::new();
    for (key, value) in in_file_order(entries) {
        let target = key.get_ref().as_ref();
        match target.split_once('.') {
            None => match changes.time(target) {
                Some(time) => *time = Span::read(value, reader),
                None => refuse_target(key, value, reader, base),
            },
            Some((name, property)) if base.cgroups.iter().any(|cgroup| *cgroup == *name) => {
                changes.properties.extend(read_property(name, property, key, value, reader));
            }
            Some((name, setting)) if OwnTable::named(name).is_some() => {
                match base.killers.iter().find(|(own, _)| own.name() == name) {
                    Some((own, entries)) => {
                        let index = killers.iter().position(|(known, _)| known.name() == name);
                        let index = index.unwrap_or_else(|| {
                            killers.push((own, (*entries).clone()));
                            killers.len() - 1
                        });
                        let key = Spanned::new(key.span(), Cow::Borrowed(setting));
                        killers[index].1.insert(key, value.clone());
                    }
                    None => {
                        let message =
                            format!("there is no [{name}] in this scenario whose `{setting}` could change");
                        reader.report(UNKNOWN_NAME, key.span(), message);
                    }
                }
            }
            Some((name, setting)) => match base.actors.iter().find(|(actor, _)| **actor == *name) {
                Some((actor, entries)) => {
                    let index = actors.iter().position(|(known, _)| known == actor).unwrap_or_else(|| {
                        actors.push((actor.clone(), (*entries).clone()));
                        actors.len() - 1
                    });
                    put(&mut actors[index].1, setting, key, value, reader);
                }
                None => refuse_target(key, value, reader, base),
            },
        }
    }
    for (_, entries) in &actors {
        let label = Actor::LABEL;
        changes.changed.extend(read_entries(label, node.span(), entries, reader, Actor::from_table));
    }
    for (own, entries) in &killers {
        changes.killers.extend(own.read_entries(node.span(), entries, reader));
    }
    (reader.problems.len() == before).then_some(changes)
}

fn read_property(
    cgroup: &str,
    property: &str,
    key: &Spanned<Cow<'_, str>>,
    value: &Node<'_>,
    reader: &mut Reader,
) -> Option<PropertyChange> {
    let Some(name) = PropertyName::from_text(property) else {
        let near = nearest(property, PropertyName::ALL.iter().map(|name| name.info().text));
        let near = near.map(|near| format!("{cgroup}.{near}"));
        let problem = Diagnostic::new(
            UNKNOWN_KEY,
            &reader.source,
            key.span(),
            format!("`{property}` is not a resource property that bulkhead knows"),
        );
        reader.push(problem.did_you_mean(near, true));
        return None;
    };
    let property = Property::read(name, value, reader)?;
    Some(PropertyChange { cgroup: cgroup.parse().ok()?, property })
}

/// Puts the new value into a copy of the actor's table; what it may be is checked when the copy is read.
fn put<'t>(
    entries: &mut DeTable<'t>,
    setting: &'t str,
    key: &Spanned<Cow<'t, str>>,
    value: &Node<'t>,
    reader: &mut Reader,
) {
    if matches!(setting, "id" | "kind") {
        reader
            .report(TWIN_CHANGES_IDENTITY, key.span(), format!("a twin cannot change an actor's `{setting}`"))
            .help
            .push("drop the actor and add another with [[twin.actor]]".to_owned());
        return;
    }
    entries.insert(Spanned::new(key.span(), Cow::Borrowed(setting)), value.clone());
}

fn refuse_target(key: &Spanned<Cow<'_, str>>, value: &Node<'_>, reader: &mut Reader, base: &Base<'_>) {
    let target = key.get_ref().as_ref();
    let (name, rest) = target.split_once('.').unwrap_or((target, ""));
    let killers = || base.killers.iter().map(|(own, _)| own.name());
    let ids = || base.cgroups.iter().chain(base.actors.iter().map(|(id, _)| id));
    let known = || ids().map(|id| &**id).chain(killers());
    let mut problem = Diagnostic::new(
        UNKNOWN_NAME,
        &reader.source,
        key.span(),
        format!(
            "`{target}` is neither CGROUP.Property nor ACTOR.key of this scenario, nor `observe`, `hold` or `enough`"
        ),
    );
    if value.get_ref().is_table() && known().any(|id| id == name) {
        problem = problem.help(format!("put the whole name in quotes: \"{name}.Property\""));
    } else if rest.is_empty() {
        problem = problem.did_you_mean(nearest(target, TIMES), false);
    } else {
        problem = problem.did_you_mean(nearest(name, known()).map(|near| format!("{near}.{rest}")), true);
    }
    reader.push(problem);
}

/// The JSON Schema of one `[[twin]]`.
pub(super) fn schema(generator: &mut SchemaGenerator) -> Schema {
    crate::reading::object(crate::reading::describe(generator, |table| {
        Twin::read_keys(table, &Base::default())
    }))
}
