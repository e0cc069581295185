//! Report ⇄ JSON, and the JSON Schema of the model.
//!
//! Fields come in the order of the model, so two reports can be compared line by line. Texts are kept byte for
//! byte; what a terminal would act on is written as `\u` escapes, which JSON parsers turn back.

use std::io::{self, Write};

use serde::Serialize;
use serde_json::ser::{CharEscape, Formatter, PrettyFormatter};
use thiserror::Error;

use crate::report::{Report, SCHEMA};
use crate::text;

/// Why a text is not a report.
#[derive(Debug, Error)]
pub enum ReadError {
    /// Not JSON, or not the shape of a report.
    #[error("not a bulkhead report")]
    Shape(#[source] serde_json::Error),
    /// Written by another version of the model.
    #[error("report has schema {found}, this bulkhead reads schema {SCHEMA}: use the bulkhead that wrote it")]
    Schema {
        /// The version in the report.
        found: u64,
    },
}

/// Renders `report` as indented JSON; ends with a newline.
pub fn render(report: &Report) -> String {
    pretty(report)
}

/// The JSON Schema of the model (draft 2020-12), indented; ends with a newline.
pub fn schema() -> String {
    pretty(&schemars::schema_for!(Report))
}

/// Reads what [`render`] wrote. Fields that this version does not know are ignored.
///
/// # Errors
///
/// Anything that is not a report, and a report of another [`SCHEMA`].
pub fn read(json: &str) -> Result<Report, ReadError> {
    let value: serde_json::Value = serde_json::from_str(json).map_err(ReadError::Shape)?;
    match value.get("schema").and_then(serde_json::Value::as_u64) {
        Some(found) if found != u64::from(SCHEMA) => Err(ReadError::Schema { found }),
        _ => serde_json::from_value(value).map_err(ReadError::Shape),
    }
}

fn pretty(value: &impl Serialize) -> String {
    let mut out = Vec::new();
    let mut serializer = serde_json::Serializer::with_formatter(&mut out, Harmless(PrettyFormatter::new()));
    value.serialize(&mut serializer).expect("plain data with string keys, written to memory");
    out.push(b'\n');
    String::from_utf8(out).expect("JSON is UTF-8")
}

/// Indents, and escapes more than JSON asks for: DEL, C1 controls (U+009B is CSI) and what acts unseen.
struct Harmless<'a>(PrettyFormatter<'a>);

impl Formatter for Harmless<'_> {
    fn write_string_fragment<W: ?Sized + Write>(&mut self, writer: &mut W, fragment: &str) -> io::Result<()> {
        let mut written = 0;
        for (at, c) in fragment.char_indices().filter(|(_, c)| c.is_control() || text::acts_unseen(*c)) {
            writer.write_all(&fragment.as_bytes()[written..at])?;
            for unit in c.encode_utf16(&mut [0; 2]) {
                write!(writer, "\\u{unit:04x}")?;
            }
            written = at + c.len_utf8();
        }
        writer.write_all(&fragment.as_bytes()[written..])
    }

    fn write_char_escape<W: ?Sized + Write>(&mut self, writer: &mut W, escape: CharEscape) -> io::Result<()> {
        self.0.write_char_escape(writer, escape)
    }

    fn begin_array<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.0.begin_array(writer)
    }

    fn end_array<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.0.end_array(writer)
    }

    fn begin_array_value<W: ?Sized + Write>(&mut self, writer: &mut W, first: bool) -> io::Result<()> {
        self.0.begin_array_value(writer, first)
    }

    fn end_array_value<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.0.end_array_value(writer)
    }

    fn begin_object<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.0.begin_object(writer)
    }

    fn end_object<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.0.end_object(writer)
    }

    fn begin_object_key<W: ?Sized + Write>(&mut self, writer: &mut W, first: bool) -> io::Result<()> {
        self.0.begin_object_key(writer, first)
    }

    fn begin_object_value<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.0.begin_object_value(writer)
    }

    fn end_object_value<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.0.end_object_value(writer)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;
    use crate::samples;

    #[rstest]
    #[case::all_pass(samples::all_pass())]
    #[case::mixed(samples::mixed())]
    #[case::empty(samples::empty())]
    fn a_report_reads_back(#[case] report: Report) {
        assert_eq!(read(&render(&report)).unwrap(), report);
    }

    #[test]
    fn the_schema_is_as_approved() {
        insta::assert_snapshot!("schema", schema());
    }

    #[test]
    fn hostile_text_reads_back_and_acts_on_no_terminal() {
        for text in samples::HOSTILE {
            let report = samples::hostile(text);
            let json = render(&report);
            assert!(!json.chars().any(|c| (c.is_control() && c != '\n') || text::acts_unseen(c)), "{json}");
            assert_eq!(read(&json).unwrap(), report);
        }
    }

    #[test]
    fn another_schema_is_refused_by_its_number() {
        let error = read(r#"{"schema": 2, "what": "ever"}"#).unwrap_err();
        insta::assert_snapshot!(error, @"report has schema 2, this bulkhead reads schema 1: use the bulkhead that wrote it");
        assert!(matches!(read("{}"), Err(ReadError::Shape(_))));
        assert!(matches!(read("<xml/>"), Err(ReadError::Shape(_))));
    }

    proptest! {
        #[test]
        fn any_text_reads_back(text in any::<String>()) {
            let report = samples::hostile(&text);
            prop_assert_eq!(read(&render(&report)).unwrap(), report);
        }
    }
}
