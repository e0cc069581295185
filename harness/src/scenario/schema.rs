//! The JSON Schema of the scenario file, for editors.
//!
//! The keys come from the parser itself, which is run over an empty table; the value types describe their own notation.
//! A file that the schema accepts can still be refused: names, arithmetic and bounds by unit are beyond a schema.

use schemars::generate::SchemaSettings;
use serde_json::Value;

use super::Scenario;
use crate::reading::table_schema;

/// The JSON Schema (draft 2020-12) of a scenario file.
#[must_use]
pub fn schema() -> Value {
    let mut generator = SchemaSettings::draft2020_12().into_generator();
    let mut root = table_schema::<Scenario>(&mut generator);
    root.insert("$schema".to_owned(), "https://json-schema.org/draft/2020-12/schema".into());
    root.insert("title".to_owned(), "bulkhead scenario".into());
    root.insert("$defs".to_owned(), generator.take_definitions(true).into());
    root.to_value()
}
