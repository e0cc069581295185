//! `bulkhead check`: scenario files and policy directories, judged without running anything.

use crate::cli::Check;
use crate::exit_code::ExitCode;
use crate::policy::{self, Directory};
use crate::reading::diagnostic::Diagnostic;
use crate::scenario::{LoadError, check as check_scenario, load_all};

pub(super) fn check(arguments: &Check) -> anyhow::Result<ExitCode> {
    let (mut policies, mut files) = (Vec::new(), Vec::new());
    for path in &arguments.files {
        match policy::is_policy(path) {
            Some(directory) => policies.push(directory.to_owned()),
            None => files.push(path),
        }
    }
    for path in files.iter().filter(|path| path.is_dir()) {
        match policy::policies_below(path) {
            Ok(below) => policies.extend(below),
            Err(error) => return Ok(unreadable(&error)),
        }
    }
    let scenarios = match load_all(&files) {
        Ok(scenarios) => scenarios,
        Err(error) => return refuse(&error),
    };
    let mut found: Vec<Diagnostic> = scenarios.iter().flat_map(check_scenario).collect();
    for path in &policies {
        match Directory::load(path) {
            Ok(directory) => found.extend(policy::check(&directory)),
            Err(policy::LoadError::Invalid(invalid)) => found.extend(invalid.diagnostics),
            Err(error) => return Ok(unreadable(&error)),
        }
    }
    show(&found);
    let errors = found.iter().filter(|diagnostic| diagnostic.is_error()).count();
    let warnings = found.len() - errors;
    let mut counted = Vec::new();
    if !scenarios.is_empty() || policies.is_empty() {
        counted.push(format!("{} scenario(s)", scenarios.len()));
    }
    if !policies.is_empty() {
        counted.push(format!("{} policy directories", policies.len()));
    }
    eprintln!("{} checked: {errors} error(s), {warnings} warning(s)", counted.join(" and "));
    Ok(if errors > 0 { ExitCode::Usage } else { ExitCode::Passed })
}

fn unreadable(error: &policy::LoadError) -> ExitCode {
    eprintln!("error: {}", crate::error::chain(error));
    ExitCode::Usage
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

/// Shows problems on standard error.
pub(super) fn show(diagnostics: &[Diagnostic]) {
    use std::io::IsTerminal;
    let color = std::io::stderr().is_terminal() && super::color_wanted();
    for diagnostic in diagnostics {
        eprintln!("{}\n", diagnostic.render(color));
    }
}
