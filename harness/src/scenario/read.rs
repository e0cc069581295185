//! A TOML tree with byte positions → typed values, strictly.
//!
//! Every table is read by asking for its keys by name; what was not asked for is an unknown key. The same reading
//! code runs over an empty table to list its keys for the JSON Schema, so that parser and schema cannot part ways.
//! It does not stop at the first problem, and it does not resolve names across tables.

use std::ops::Range;

use schemars::{Schema, SchemaGenerator};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::diagnostic::{Diagnostic, Source};
use super::suggest::nearest;

/// A value with its place in the file.
pub(super) type Node<'t> = Spanned<DeValue<'t>>;

/// Why a text is not a value of some type, as a lower-case sentence, and the text that was probably meant.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Malformed {
    /// What is wrong, naming the text.
    pub message: String,
    /// A text that would be right.
    pub suggestion: Option<String>,
}

impl Malformed {
    pub(super) fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), suggestion: None }
    }

    pub(super) fn suggest(mut self, suggestion: Option<String>) -> Self {
        self.suggestion = suggestion;
        self
    }
}

/// Collects the problems of one file.
pub(super) struct Reader {
    pub(super) source: Source,
    pub(super) problems: Vec<Diagnostic>,
}

impl Reader {
    pub(super) fn error(&mut self, span: Range<usize>, message: impl Into<String>) -> &mut Diagnostic {
        let diagnostic = Diagnostic::error(&self.source, span, message);
        self.push(diagnostic)
    }

    pub(super) fn push(&mut self, diagnostic: Diagnostic) -> &mut Diagnostic {
        self.problems.push(diagnostic);
        self.problems.last_mut().expect("one was just pushed")
    }

    /// Reports that `node` is of the wrong TOML type.
    pub(super) fn wrong_type(&mut self, node: &Node<'_>, expecting: &str) {
        let found = describe_type(node.get_ref());
        self.error(node.span(), format!("expected {expecting}, found {found}"));
    }

    /// Unwraps `result`, or reports why the text at `span` is refused.
    pub(super) fn accept<T>(&mut self, result: Result<T, Malformed>, span: Range<usize>) -> Option<T> {
        match result {
            Ok(value) => Some(value),
            Err(malformed) => {
                let diagnostic = Diagnostic::error(&self.source, span, malformed.message)
                    .did_you_mean(malformed.suggestion, true);
                self.push(diagnostic);
                None
            }
        }
    }
}

fn describe_type(value: &DeValue<'_>) -> String {
    match value {
        DeValue::String(text) => format!("the text \"{text}\""),
        DeValue::Integer(number) => format!("the number {number}"),
        DeValue::Float(number) => format!("the number {number}"),
        DeValue::Boolean(value) => format!("{value}"),
        DeValue::Datetime(_) => "a date".to_owned(),
        DeValue::Array(_) => "a list".to_owned(),
        DeValue::Table(_) => "a table".to_owned(),
    }
}

/// Something that a key of a scenario file can hold.
pub(super) trait Value: Sized {
    /// The typed value, or `None` after reporting what is wrong.
    fn read(node: &Node<'_>, reader: &mut Reader) -> Option<Self>;
    /// The JSON Schema of what `read` accepts.
    fn schema(generator: &mut SchemaGenerator) -> Schema;
}

/// An enum written as one of a few words.
pub(super) trait Word: Copy + 'static {
    /// What the word chooses, for messages: "a safety class".
    const EXPECTING: &'static str;
    /// Each word with its value.
    const WORDS: &'static [(&'static str, Self)];
}

impl<T: Word> Value for T {
    fn read(node: &Node<'_>, reader: &mut Reader) -> Option<Self> {
        let Some(text) = node.get_ref().as_str() else {
            reader.wrong_type(node, &format!("{}: {}", T::EXPECTING, word_list(T::WORDS)));
            return None;
        };
        reader.accept(parse_word(text), node.span())
    }

    fn schema(_: &mut SchemaGenerator) -> Schema {
        let words: Vec<_> = T::WORDS.iter().map(|(word, _)| *word).collect();
        schemars::json_schema!({ "type": "string", "enum": words })
    }
}

/// The value of a word, or the list of words that would be right.
pub(super) fn parse_word<T: Word>(text: &str) -> Result<T, Malformed> {
    T::WORDS.iter().find(|(word, _)| *word == text).map(|(_, value)| *value).ok_or_else(|| {
        Malformed::new(format!("`{text}` is not {}: expected {}", T::EXPECTING, word_list(T::WORDS)))
            .suggest(nearest(text, T::WORDS.iter().map(|(word, _)| *word)))
    })
}

/// The word for a value.
pub(super) fn word<T: Word + PartialEq>(value: T) -> &'static str {
    T::WORDS.iter().find(|(_, known)| *known == value).map_or("", |(text, _)| text)
}

fn word_list<T>(words: &[(&str, T)]) -> String {
    let quoted: Vec<_> = words.iter().map(|(word, _)| format!("`{word}`")).collect();
    quoted.join(", ")
}

/// A value written as text (or as a bare number) with a notation of its own.
pub(super) trait Scalar: std::str::FromStr<Err = Malformed> + schemars::JsonSchema {
    /// What is expected, with an example, for messages.
    const EXPECTING: &'static str;

    /// The text that a TOML number stands for; `None` when the value cannot be written as a number.
    fn number(digits: &str) -> Option<String> {
        let _ = digits;
        None
    }
}

/// Reads a scalar; the body of its [`Value::read`].
pub(super) fn read_scalar<T: Scalar>(node: &Node<'_>, reader: &mut Reader) -> Option<T> {
    let text = match node.get_ref() {
        DeValue::String(text) => Some(text.to_string()),
        DeValue::Integer(number) => (number.radix() == 10).then(|| T::number(number.as_str())).flatten(),
        DeValue::Float(number) => T::number(number.as_str()),
        _ => None,
    };
    let Some(text) = text else {
        reader.wrong_type(node, T::EXPECTING);
        return None;
    };
    reader.accept(text.parse(), node.span())
}

impl Value for String {
    fn read(node: &Node<'_>, reader: &mut Reader) -> Option<Self> {
        match node.get_ref().as_str() {
            Some(text) if !text.trim().is_empty() => Some(text.to_owned()),
            Some(_) => {
                reader.error(node.span(), "this text may not be empty");
                None
            }
            None => {
                reader.wrong_type(node, "a text");
                None
            }
        }
    }

    fn schema(_: &mut SchemaGenerator) -> Schema {
        schemars::json_schema!({ "type": "string", "minLength": 1 })
    }
}

impl Value for bool {
    fn read(node: &Node<'_>, reader: &mut Reader) -> Option<Self> {
        let value = node.get_ref().as_bool();
        if value.is_none() {
            reader.wrong_type(node, "true or false");
        }
        value
    }

    fn schema(_: &mut SchemaGenerator) -> Schema {
        schemars::json_schema!({ "type": "boolean" })
    }
}

impl Value for u32 {
    fn read(node: &Node<'_>, reader: &mut Reader) -> Option<Self> {
        let value = node.get_ref().as_integer().and_then(|number| integer(number.as_str(), number.radix()));
        if value.is_none() {
            reader.wrong_type(node, "a whole number from 1 to 4294967295");
        }
        value
    }

    fn schema(_: &mut SchemaGenerator) -> Schema {
        schemars::json_schema!({ "type": "integer", "minimum": 1, "maximum": u32::MAX })
    }
}

fn integer(digits: &str, radix: u32) -> Option<u32> {
    u32::from_str_radix(digits, radix).ok().filter(|number| *number > 0)
}

impl<T: Value> Value for Vec<T> {
    fn read(node: &Node<'_>, reader: &mut Reader) -> Option<Self> {
        let Some(items) = node.get_ref().as_array() else {
            reader.wrong_type(node, "a list");
            return None;
        };
        let before = reader.problems.len();
        let items: Vec<T> = items.iter().filter_map(|item| T::read(item, reader)).collect();
        (reader.problems.len() == before).then_some(items)
    }

    fn schema(generator: &mut SchemaGenerator) -> Schema {
        let items = T::schema(generator);
        schemars::json_schema!({ "type": "array", "items": items })
    }
}

/// A key that a table knows, as the JSON Schema shows it.
pub(super) struct Key {
    pub(super) name: &'static str,
    pub(super) required: bool,
    about: &'static str,
    schema: Option<Schema>,
}

/// A table with a fixed set of keys.
pub(super) trait FromTable: Sized {
    /// How messages call such a table: "[[actor]]".
    const LABEL: &'static str;
    /// Asks `table` for every key it knows, then builds the value.
    fn from_table(table: &mut Table<'_, '_>) -> Option<Self>;
}

/// One table being read, or being asked which keys it knows.
pub(super) struct Table<'r, 't> {
    pub(super) reader: &'r mut Reader,
    pub(super) span: Range<usize>,
    pub(super) label: String,
    entries: &'t DeTable<'t>,
    keys: Vec<Key>,
    abandoned: bool,
    generator: Option<&'r mut SchemaGenerator>,
}

impl<'r, 't> Table<'r, 't> {
    pub(super) fn new(
        reader: &'r mut Reader,
        span: Range<usize>,
        label: &str,
        entries: &'t DeTable<'t>,
    ) -> Self {
        let id = entries.get("id").and_then(|id| id.get_ref().as_str());
        let label = id.map_or_else(|| label.to_owned(), |id| format!("{label} `{id}`"));
        Self { reader, span, label, entries, keys: Vec::new(), abandoned: false, generator: None }
    }

    /// The value of a key that must be there.
    pub(super) fn required<T: Value>(&mut self, name: &'static str, about: &'static str) -> Option<T> {
        let node = self.node(name, true, about, T::schema);
        if node.is_none() && self.generator.is_none() {
            let (span, label) = (self.span.clone(), self.label.clone());
            let problem = self.reader.error(span, format!("{label} has no `{name}`"));
            problem.help.push(format!("`{name}`: {about}"));
        }
        node.and_then(|node| T::read(node, self.reader))
    }

    /// The value of a key that may be left out.
    pub(super) fn optional<T: Value>(&mut self, name: &'static str, about: &'static str) -> Option<T> {
        self.node(name, false, about, T::schema).and_then(|node| T::read(node, self.reader))
    }

    /// The untyped value of a key, for keys whose type depends on another key.
    pub(super) fn node(
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
    pub(super) fn key_span(&self, name: &str) -> Option<Range<usize>> {
        self.entries.get_key_value(name).map(|(key, _)| key.span())
    }

    /// Where a key's value stands, if the table has it.
    pub(super) fn value_span(&self, name: &str) -> Option<Range<usize>> {
        self.entries.get(name).map(Spanned::span)
    }

    /// Whether this is a run over the empty table that lists the keys.
    pub(super) fn describes(&self) -> bool {
        self.generator.is_some()
    }

    /// Keeps quiet about unknown keys: the key that says which keys exist could not be read.
    pub(super) fn abandon(&mut self) {
        self.abandoned = true;
    }

    /// Reports every key that was never asked for.
    fn finish(self) {
        if self.abandoned {
            return;
        }
        let known: Vec<_> = self.keys.iter().map(|key| key.name).collect();
        for (key, _) in in_file_order(self.entries) {
            let name = key.get_ref().as_ref();
            if known.contains(&name) {
                continue;
            }
            let near = nearest(name, known.iter().copied());
            let found = near.is_some();
            let mut problem = Diagnostic::error(
                &self.reader.source,
                key.span(),
                format!("{} has no key `{name}`", self.label),
            )
            .label("unknown key")
            .did_you_mean(near, false);
            if !found {
                problem = problem.help(format!("known keys: {}", known.join(", ")));
            }
            self.reader.push(problem);
        }
    }
}

/// The entries of a table in the order in which they were written (the map itself sorts by name).
pub(super) fn in_file_order<'t>(
    entries: &'t DeTable<'t>,
) -> Vec<(&'t Spanned<std::borrow::Cow<'t, str>>, &'t Node<'t>)> {
    let mut entries: Vec<_> = entries.iter().collect();
    entries.sort_by_key(|(key, _)| key.span().start);
    entries
}

/// Reads a table with a fixed set of keys; the body of its [`Value::read`].
pub(super) fn read_table<T: FromTable>(node: &Node<'_>, reader: &mut Reader) -> Option<T> {
    let Some(entries) = node.get_ref().as_table() else {
        reader.wrong_type(node, &format!("a table ({})", T::LABEL));
        return None;
    };
    read_entries(T::LABEL, node.span(), entries, reader, T::from_table)
}

/// Reads the entries of a table with `read`, then reports the keys it did not ask for.
pub(super) fn read_entries<T>(
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
pub(super) fn describe<T>(
    generator: &mut SchemaGenerator,
    read: impl FnOnce(&mut Table<'_, '_>) -> Option<T>,
) -> Vec<Key> {
    let entries = DeTable::new();
    let mut reader = Reader { source: Source::new("", ""), problems: Vec::new() };
    let mut table = Table::new(&mut reader, 0..0, "", &entries);
    table.generator = Some(generator);
    read(&mut table);
    table.keys
}

/// The JSON Schema of a table with these keys and no others.
pub(super) fn object(keys: Vec<Key>) -> Schema {
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
pub(super) fn table_schema<T: FromTable>(generator: &mut SchemaGenerator) -> Schema {
    object(describe(generator, T::from_table))
}
