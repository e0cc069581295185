//! `bulkhead check`: scenario files, judged without running anything.

use crate::cli::Check;
use crate::exit_code::ExitCode;
use crate::reading::diagnostic::Diagnostic;
use crate::scenario::{LoadError, check as check_scenario, load_all};

pub(super) fn check(arguments: &Check) -> anyhow::Result<ExitCode> {
    let scenarios = match load_all(&arguments.files) {
        Ok(scenarios) => scenarios,
        Err(error) => return refuse(&error),
    };
    let found: Vec<Diagnostic> = scenarios.iter().flat_map(check_scenario).collect();
    show(&found);
    let errors = found.iter().filter(|diagnostic| diagnostic.is_error()).count();
    let warnings = found.len() - errors;
    eprintln!("{} scenario(s) checked: {errors} error(s), {warnings} warning(s)", scenarios.len());
    Ok(if errors > 0 { ExitCode::Usage } else { ExitCode::Passed })
}

/// Says what is wrong with files that could not be loaded.
pub(super) fn refuse(error: &LoadError) -> anyhow::Result<ExitCode> {
    if error.diagnostics().is_empty() {
        eprintln!("error: {}", crate::error::chain(error));
    } else {
        show(error.diagnostics());
    }
    Ok(ExitCode::Usage)
}

fn show(diagnostics: &[Diagnostic]) {
    use std::io::IsTerminal;
    let color = std::io::stderr().is_terminal() && super::color_wanted();
    for diagnostic in diagnostics {
        eprintln!("{}\n", diagnostic.render(color));
    }
}
