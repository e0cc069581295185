//! The JSON Schema of `policy.toml`, for editors, from the parser itself.

use serde_json::Value;

use super::Policy;
use crate::reading::published_schema;

/// The JSON Schema (draft 2020-12) of `policy.toml`.
#[must_use]
pub fn schema() -> Value {
    published_schema::<Policy>("bulkhead policy")
}
