//! Values written as one text (or a bare number): the notations, as files hold them and as the JSON Schema shows them.

use std::borrow::Cow;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use toml::de::DeValue;

use super::{Node, Reader, Word, value};
use crate::notation::id::UNIT_TYPES;
use crate::notation::signal::Signal;
use crate::notation::{Bytes, Id, Limit, Malformed, Percent, Span, UnitName};
use crate::reading::rule::{MALFORMED_VALUE, Rule};

/// A value written as text (or as a bare number) with a notation of its own.
pub(crate) trait Scalar: FromStr<Err = Malformed> + JsonSchema {
    /// What is expected, with an example, for messages.
    const EXPECTING: &'static str;
    /// What a text breaks that is not in the notation.
    const RULE: &'static Rule = MALFORMED_VALUE;

    /// The text that a TOML number stands for; `None` when the value cannot be written as a number.
    fn number(digits: &str) -> Option<String> {
        let _ = digits;
        None
    }
}

/// Reads a scalar; the body of its [`Value::read`].
pub(crate) fn read_scalar<T: Scalar>(node: &Node<'_>, reader: &mut Reader) -> Option<T> {
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
    reader.accept(T::RULE, text.parse(), node.span())
}

/// The schema of a scalar; the body of its [`Value::schema`].
pub(crate) fn scalar_schema<T: Scalar>(generator: &mut SchemaGenerator) -> Schema {
    generator.subschema_for::<T>()
}

impl Word for Signal {
    const EXPECTING: &'static str = "a signal";
    const WORDS: &'static [(&'static str, Self)] = Self::NAMES;
}

impl JsonSchema for Bytes {
    fn schema_name() -> Cow<'static, str> {
        "Bytes".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": ["string", "integer"],
            "pattern": "^[0-9]+(\\.[0-9]+)?[BKMGTPE]?$",
            "minimum": 0,
            "description": "a size in systemd's notation, base 1024: 512M, 1.5G, 4096",
        })
    }
}

impl Scalar for Bytes {
    const EXPECTING: &'static str = "a size such as \"512M\"";

    fn number(digits: &str) -> Option<String> {
        digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.to_owned())
    }
}

value!(scalar Bytes);

impl JsonSchema for Id {
    fn schema_name() -> Cow<'static, str> {
        "Id".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "pattern": "^[a-z0-9][a-z0-9-]{0,31}$",
            "description": "a name that is safe in unit and file names",
        })
    }
}

impl Scalar for Id {
    const EXPECTING: &'static str = "a name of a-z, 0-9 and -";
}

value!(scalar Id);

impl JsonSchema for UnitName {
    fn schema_name() -> Cow<'static, str> {
        "UnitName".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let types = UNIT_TYPES.join("|");
        json_schema!({
            "type": "string",
            "pattern": format!("^[A-Za-z0-9:_.\\\\@-]+\\.({types})$"),
            "description": "a systemd unit with its type: ssh.service",
        })
    }
}

impl Scalar for UnitName {
    const EXPECTING: &'static str = "a unit such as \"ssh.service\"";
}

value!(scalar UnitName);

impl JsonSchema for Limit {
    fn schema_name() -> Cow<'static, str> {
        "Limit".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": ["string", "integer"],
            "pattern": "^(infinity|[0-9]+(\\.[0-9]+)?[BKMGTPE%]?)$",
            "minimum": 0,
            "description": "a limit in systemd's notation: 512M, 50% (of the machine's memory), infinity",
        })
    }
}

impl Scalar for Limit {
    const EXPECTING: &'static str = "a limit such as \"512M\", \"50%\" or \"infinity\"";

    fn number(digits: &str) -> Option<String> {
        Bytes::number(digits)
    }
}

value!(scalar Limit);

impl JsonSchema for Percent {
    fn schema_name() -> Cow<'static, str> {
        "Percent".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": ["string", "number"],
            "pattern": "^[0-9]+(\\.[0-9]{1,2})?%?$",
            "minimum": 0,
            "description": "a percentage: \"95%\", \"0.5%\" or the number 95",
        })
    }
}

impl Scalar for Percent {
    const EXPECTING: &'static str = "a percentage such as 95 or \"0.5%\"";

    fn number(digits: &str) -> Option<String> {
        digits.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.').then(|| digits.to_owned())
    }
}

value!(scalar Percent);

impl JsonSchema for Span {
    fn schema_name() -> Cow<'static, str> {
        "Span".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": ["string", "number"],
            "pattern": "^([0-9]+(\\.[0-9]+)? *[a-zµ]* *)+$",
            "minimum": 0,
            "description": "a time span in systemd's notation: 90s, 1min 30s, 500ms; a bare number is seconds",
        })
    }
}

impl Scalar for Span {
    const EXPECTING: &'static str = "a time span such as \"90s\" or \"500ms\"";

    fn number(digits: &str) -> Option<String> {
        digits.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.').then(|| digits.to_owned())
    }
}

value!(scalar Span);
