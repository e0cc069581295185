//! The JSON Schema of the scenario file, for editors.
//!
//! A file that the schema accepts can still be refused: names, arithmetic and bounds by unit are beyond a schema.

use serde_json::Value;

use super::Scenario;
use crate::reading::published_schema;

/// The JSON Schema (draft 2020-12) of a scenario file.
#[must_use]
pub fn schema() -> Value {
    published_schema::<Scenario>("bulkhead scenario")
}
