//! Reading a table with a fixed set of keys.
//!
//! A table is read by asking for its keys by name; what was not asked for is an unknown key. The same reading code runs
//! over an empty table to list its keys for the JSON Schema, so that parser and schema cannot part ways.

use std::ops::Range;

use schemars::generate::SchemaSettings;
use schemars::{Schema, SchemaGenerator};
use toml::Spanned;
use toml::de::DeTable;

use super::{Node, Reader, Value};
use crate::notation::suggest::nearest;
use crate::reading::diagnostic::{Diagnostic, Source};
use crate::reading::rule::{MISSING_KEY, UNKNOWN_KEY, UNKNOWN_SCHEMA};

/// A key that a table knows, as the JSON Schema shows it.
pub(crate) struct Key {
    name: &'static str,
    required: bool,
    about: &'static str,
    schema: Option<Schema>,
}

/// A table with a fixed set of keys.
pub(crate) trait FromTable: Sized {
    /// How messages call such a table: "[[actor]]".
    const LABEL: &'static str;
    /// Asks `table` for every key it knows, then builds the value.
    fn from_table(table: &mut Table<'_, '_>) -> Option<Self>;
}

/// One table being read, or being asked which keys it knows.
pub(crate) struct Table<'r, 't> {
    pub(crate) reader: &'r mut Reader,
    pub(crate) span: Range<usize>,
    pub(crate) label: String,
    entries: &'t DeTable<'t>,
    keys: Vec<Key>,
    missing: Vec<(&'static str, &'static str)>,
    abandoned: bool,
    generator: Option<&'r mut SchemaGenerator>,
}

impl<'r, 't> Table<'r, 't> {
    pub(crate) fn new(
        reader: &'r mut Reader,
        span: Range<usize>,
        label: &str,
        entries: &'t DeTable<'t>,
    ) -> Self {
        let id = entries.get("id").and_then(|id| id.get_ref().as_str());
        let label = id.map_or_else(|| label.to_owned(), |id| format!("{label} `{id}`"));
        Self {
            reader,
            span,
            label,
            entries,
            keys: Vec::new(),
            missing: Vec::new(),
            abandoned: false,
            generator: None,
        }
    }

    /// The value of a key that must be there.
    pub(crate) fn required<T: Value>(&mut self, name: &'static str, about: &'static str) -> Option<T> {
        self.required_node(name, about, T::schema).and_then(|node| T::read(node, self.reader))
    }

    /// The version of the file format, which must be `known`.
    pub(crate) fn schema_version(&mut self, known: u32) -> Option<u32> {
        let version: u32 = self.required("schema", "the version of the file format: 1")?;
        if version != known {
            let span = self.value_span("schema").unwrap_or_default();
            let problem = self.reader.report(UNKNOWN_SCHEMA, span, format!("schema {version} is not known"));
            problem.help.push(format!("this program reads schema = {known}"));
            return None;
        }
        Some(version)
    }

    /// The untyped value of a key that must be there.
    pub(crate) fn required_node(
        &mut self,
        name: &'static str,
        about: &'static str,
        schema: impl FnOnce(&mut SchemaGenerator) -> Schema,
    ) -> Option<&'t Node<'t>> {
        let node = self.node(name, true, about, schema);
        if node.is_none() && self.generator.is_none() {
            self.missing.push((name, about));
        }
        node
    }

    /// The value of a key that may be left out.
    pub(crate) fn optional<T: Value>(&mut self, name: &'static str, about: &'static str) -> Option<T> {
        self.node(name, false, about, T::schema).and_then(|node| T::read(node, self.reader))
    }

    /// The untyped value of a key, for keys whose type depends on another key.
    pub(crate) fn node(
        &mut self,
        name: &'static str,
        required: bool,
        about: &'static str,
        schema: impl FnOnce(&mut SchemaGenerator) -> Schema,
    ) -> Option<&'t Node<'t>> {
        let schema = self.generator.as_deref_mut().map(schema);
        self.keys.push(Key { name, required, about, schema });
        self.entries.get(name)
    }

    /// Where a key stands, if the table has it.
    pub(crate) fn key_span(&self, name: &str) -> Option<Range<usize>> {
        self.entries.get_key_value(name).map(|(key, _)| key.span())
    }

    /// Where a key's value stands, if the table has it.
    pub(crate) fn value_span(&self, name: &str) -> Option<Range<usize>> {
        self.entries.get(name).map(Spanned::span)
    }

    /// Whether this is a run over the empty table that lists the keys.
    pub(crate) fn describes(&self) -> bool {
        self.generator.is_some()
    }

    /// Keeps quiet about unknown keys: the key that says which keys exist could not be read.
    pub(crate) fn abandon(&mut self) {
        self.abandoned = true;
    }

    /// Reports every key that was never asked for and every key that is missing. A misspelt key is not reported as
    /// missing on top.
    fn finish(mut self) {
        if !self.abandoned {
            self.unknown_keys();
        }
        for (name, about) in &self.missing {
            let problem =
                self.reader.report(MISSING_KEY, self.span.clone(), format!("{} has no `{name}`", self.label));
            problem.help.push(format!("`{name}`: {about}"));
        }
    }

    fn unknown_keys(&mut self) {
        let known: Vec<_> = self.keys.iter().map(|key| key.name).collect();
        for (key, _) in in_file_order(self.entries) {
            let name = key.get_ref().as_ref();
            if known.contains(&name) {
                continue;
            }
            let near = nearest(name, known.iter().copied());
            self.missing.retain(|(missing, _)| near.as_deref() != Some(missing));
            let message = format!("{} has no key `{name}`", self.label);
            let problem =
                Diagnostic::new(UNKNOWN_KEY, &self.reader.source, key.span(), message).label("unknown key");
            let problem = match near {
                Some(near) => self.suggest(problem, name, &near),
                None => problem.help(format!("known keys: {}", known.join(", "))),
            };
            self.reader.push(problem);
        }
    }

    /// Suggests `near` for `name`, which a twin writes as the end of a longer key: `"hog.size"`.
    fn suggest(&self, problem: Diagnostic, name: &str, near: &str) -> Diagnostic {
        let written = self.reader.source.text.get(problem.span.clone()).unwrap_or_default();
        let bare = written.trim_matches(['"', '\'']);
        let prefix = bare.strip_suffix(name).unwrap_or_default();
        problem.did_you_mean(Some(format!("{prefix}{near}")), bare != written)
    }
}

/// The entries of a table in the order in which they were written (the map itself sorts by name).
pub(crate) fn in_file_order<'t>(
    entries: &'t DeTable<'t>,
) -> Vec<(&'t Spanned<std::borrow::Cow<'t, str>>, &'t Node<'t>)> {
    let mut entries: Vec<_> = entries.iter().collect();
    entries.sort_by_key(|(key, _)| key.span().start);
    entries
}

/// Reads a table with a fixed set of keys; the body of its [`Value::read`].
pub(crate) fn read_table<T: FromTable>(node: &Node<'_>, reader: &mut Reader) -> Option<T> {
    let Some(entries) = node.get_ref().as_table() else {
        reader.wrong_type(node, &format!("a table ({})", T::LABEL));
        return None;
    };
    read_entries(T::LABEL, node.span(), entries, reader, T::from_table)
}

/// Reads the entries of a table with `read`, then reports the keys it did not ask for.
pub(crate) fn read_entries<T>(
    label: &str,
    span: Range<usize>,
    entries: &DeTable<'_>,
    reader: &mut Reader,
    read: impl FnOnce(&mut Table<'_, '_>) -> Option<T>,
) -> Option<T> {
    let before = reader.problems.len();
    let mut table = Table::new(reader, span, label, entries);
    let value = read(&mut table);
    table.finish();
    value.filter(|_| reader.problems.len() == before)
}

/// The keys that `read` asks a table for.
pub(crate) fn describe<T>(
    generator: &mut SchemaGenerator,
    read: impl FnOnce(&mut Table<'_, '_>) -> Option<T>,
) -> Vec<Key> {
    let entries = DeTable::new();
    let mut reader = Reader { source: Source::default(), problems: Vec::new() };
    let mut table = Table::new(&mut reader, 0..0, "", &entries);
    table.generator = Some(generator);
    read(&mut table);
    table.keys
}

/// The JSON Schema of a table with these keys and no others.
pub(crate) fn object(keys: Vec<Key>) -> Schema {
    let mut properties = serde_json::Map::new();
    let mut required = Vec::new();
    for key in keys {
        let mut schema = key.schema.unwrap_or_default();
        if schema.get("$ref").is_none() {
            schema.insert("description".to_owned(), key.about.into());
        }
        if key.required {
            required.push(key.name);
        }
        properties.insert(key.name.to_owned(), schema.into());
    }
    schemars::json_schema!({
        "type": "object",
        "properties": properties,
        "required": required,
        "additionalProperties": false,
    })
}

/// The JSON Schema of a table type; the body of its [`Value::schema`].
pub(crate) fn table_schema<T: FromTable>(generator: &mut SchemaGenerator) -> Schema {
    object(describe(generator, T::from_table))
}

/// The JSON Schema (draft 2020-12) of a whole file. Its keys come from the parser, which is run over an empty table; the value
/// types describe their own notation.
pub(crate) fn published_schema<T: FromTable>(title: &str) -> serde_json::Value {
    let mut generator = SchemaSettings::draft2020_12().into_generator();
    let mut root = table_schema::<T>(&mut generator);
    root.insert("$schema".to_owned(), "https://json-schema.org/draft/2020-12/schema".into());
    root.insert("title".to_owned(), title.into());
    root.insert("$defs".to_owned(), generator.take_definitions(true).into());
    root.to_value()
}
