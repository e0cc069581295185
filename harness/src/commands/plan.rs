//! `bulkhead plan`: everything a run would do, without doing it.

use anyhow::Context;

use super::stdout::print;
use crate::cli::Plan;
use crate::exit_code::ExitCode;
use crate::host;
use crate::scenario::Scenario;

/// Stands in a printed plan where a run puts its own id.
const EXAMPLE_RUN: &str = "example";

pub(super) fn plan(arguments: &Plan) -> anyhow::Result<ExitCode> {
    let scenario = match Scenario::load(&arguments.file) {
        Ok(scenario) => scenario,
        Err(error) => return super::check::refuse(&error),
    };
    let scenario = match &arguments.twin {
        None => scenario,
        Some(twin) => match scenario.twin(twin) {
            Ok(changed) => changed,
            Err(error) => {
                eprintln!("error: {error}");
                return Ok(ExitCode::Usage);
            }
        },
    };
    let mut facts = host::probe(None);
    if let Some(memory) = arguments.memory {
        facts.memory_total = Some(memory.0);
    }
    let plan = crate::plan::plan(&scenario, &facts, EXAMPLE_RUN)
        .with_context(|| format!("{} cannot be planned", arguments.file.display()))?;
    print(&if arguments.json {
        format!("{}\n", serde_json::to_string_pretty(&plan)?)
    } else {
        crate::plan::print(&plan)
    })?;
    Ok(ExitCode::Passed)
}
