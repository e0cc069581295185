//! `bulkhead schema`: the JSON Schema of a published format.

use crate::cli::{Format, Schema};
use crate::exit_code::ExitCode;

pub(super) fn schema(arguments: &Schema) -> anyhow::Result<ExitCode> {
    match arguments.format {
        Format::Scenario => println!("{:#}", crate::scenario::schema()),
        Format::Policy => println!("{:#}", crate::policy::schema()),
        Format::Report => println!("{}", reports::json::schema()),
    }
    Ok(ExitCode::Passed)
}
