//! `bulkhead schema`: the JSON Schema of a published format.

use super::stdout::print;
use crate::cli::{Format, Schema};
use crate::exit_code::ExitCode;

pub(super) fn schema(arguments: &Schema) -> anyhow::Result<ExitCode> {
    print(&match arguments.format {
        Format::Scenario => format!("{:#}\n", crate::scenario::schema()),
        Format::Policy => format!("{:#}\n", crate::policy::schema()),
        Format::Report => format!("{}\n", reports::json::schema()),
    })?;
    Ok(ExitCode::Passed)
}
