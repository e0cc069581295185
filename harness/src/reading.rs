//! A TOML tree with byte positions → typed values, strictly.
//!
//! It does not stop at the first problem, and it does not resolve names across tables.

use std::ops::Range;

use schemars::{Schema, SchemaGenerator};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::notation::Malformed;
use crate::notation::suggest::nearest;
use crate::reading::diagnostic::{Diagnostic, Invalid, Source};
use crate::reading::rule::{MALFORMED_VALUE, Rule, SYNTAX, UNKNOWN_WORD, WRONG_TYPE};

pub mod diagnostic;
pub(crate) mod places;
pub mod rule;
mod scalar;
mod table;

pub(crate) use scalar::{Scalar, read_scalar, scalar_schema};
pub(crate) use table::{
    FromTable, Table, describe, in_file_order, object, published_schema, read_entries, read_table,
    table_schema,
};

/// A value with its place in the file.
pub(crate) type Node<'t> = Spanned<DeValue<'t>>;

/// Reads `text` as the file `path`, which is named in messages and not opened: the value, unless something is wrong,
/// and what that is.
pub(crate) fn read_file<T: FromTable>(path: &str, text: &str) -> (Option<T>, Reader) {
    let (tree, syntax) = DeTable::parse_recoverable(text);
    let mut reader = Reader { source: Source::new(path, text, tree.get_ref()), problems: Vec::new() };
    for error in &syntax {
        let span = error.span().unwrap_or_default();
        reader.report(SYNTAX, span, error.message().trim_end()).label = "not valid TOML".to_owned();
    }
    if !syntax.is_empty() {
        return (None, reader);
    }
    let value = read_entries(T::LABEL, 0..0, tree.get_ref(), &mut reader, T::from_table);
    (value, reader)
}

/// Collects the problems of one file.
pub(crate) struct Reader {
    pub(crate) source: Source,
    pub(crate) problems: Vec<Diagnostic>,
}

impl Reader {
    /// The value that was read, or everything that is wrong, in file order.
    pub(crate) fn finish<T>(mut self, value: Option<T>) -> Result<T, Invalid> {
        match value {
            Some(value) if self.problems.is_empty() => Ok(value),
            _ => {
                self.problems.sort_by_key(|problem| problem.span.start);
                Err(Invalid { diagnostics: self.problems })
            }
        }
    }

    pub(crate) fn report(
        &mut self,
        rule: &'static Rule,
        span: Range<usize>,
        message: impl Into<String>,
    ) -> &mut Diagnostic {
        let diagnostic = Diagnostic::new(rule, &self.source, span, message);
        self.push(diagnostic)
    }

    pub(crate) fn push(&mut self, diagnostic: Diagnostic) -> &mut Diagnostic {
        self.problems.push(diagnostic);
        self.problems.last_mut().expect("one was just pushed")
    }

    /// Reports that `node` is of the wrong TOML type.
    pub(crate) fn wrong_type(&mut self, node: &Node<'_>, expecting: &str) {
        let found = describe_type(node.get_ref());
        self.report(WRONG_TYPE, node.span(), format!("expected {expecting}, found {found}"));
    }

    /// Unwraps `result`, or reports why the text at `span` is refused.
    pub(crate) fn accept<T>(
        &mut self,
        rule: &'static Rule,
        result: Result<T, Malformed>,
        span: Range<usize>,
    ) -> Option<T> {
        match result {
            Ok(value) => Some(value),
            Err(malformed) => {
                let diagnostic = Diagnostic::new(rule, &self.source, span, malformed.message)
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

/// Something that a key of a file can hold.
pub(crate) trait Value: Sized {
    /// The typed value, or `None` after reporting what is wrong.
    fn read(node: &Node<'_>, reader: &mut Reader) -> Option<Self>;
    /// The JSON Schema of what `read` accepts.
    fn schema(generator: &mut SchemaGenerator) -> Schema;
}

/// `Value` of a type that is a [`Scalar`], or of one that is read [`FromTable`] with no more to its schema than its keys.
macro_rules! value {
    (scalar $type:ty) => {
        $crate::reading::value!($type, read_scalar, scalar_schema);
    };
    (table $type:ty) => {
        $crate::reading::value!($type, read_table, table_schema);
    };
    ($type:ty, $read:ident, $schema:ident) => {
        impl $crate::reading::Value for $type {
            fn read(node: &$crate::reading::Node<'_>, reader: &mut $crate::reading::Reader) -> Option<Self> {
                $crate::reading::$read(node, reader)
            }

            fn schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
                $crate::reading::$schema::<Self>(generator)
            }
        }
    };
}
pub(crate) use value;

/// An enum written as one of a few words.
pub(crate) trait Word: Copy + 'static {
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
        reader.accept(UNKNOWN_WORD, parse_word(text), node.span())
    }

    fn schema(_: &mut SchemaGenerator) -> Schema {
        let words: Vec<_> = T::WORDS.iter().map(|(word, _)| *word).collect();
        schemars::json_schema!({ "type": "string", "enum": words })
    }
}

/// The value of a word, or the list of words that would be right.
pub(crate) fn parse_word<T: Word>(text: &str) -> Result<T, Malformed> {
    T::WORDS.iter().find(|(word, _)| *word == text).map(|(_, value)| *value).ok_or_else(|| {
        Malformed::new(format!("`{text}` is not {}: expected {}", T::EXPECTING, word_list(T::WORDS)))
            .suggest(nearest(text, T::WORDS.iter().map(|(word, _)| *word)))
    })
}

/// The word for a value.
pub(crate) fn word<T: Word + PartialEq>(value: T) -> &'static str {
    T::WORDS.iter().find(|(_, known)| *known == value).map_or("", |(text, _)| text)
}

fn word_list<T>(words: &[(&str, T)]) -> String {
    let quoted: Vec<_> = words.iter().map(|(word, _)| format!("`{word}`")).collect();
    quoted.join(", ")
}

impl Value for String {
    fn read(node: &Node<'_>, reader: &mut Reader) -> Option<Self> {
        match node.get_ref().as_str() {
            Some(text) if !text.trim().is_empty() => Some(text.to_owned()),
            Some(_) => {
                reader.report(MALFORMED_VALUE, node.span(), "this text may not be empty");
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
