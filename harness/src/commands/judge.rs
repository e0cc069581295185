//! `bulkhead judge`: the findings again, from the records alone.

use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::Context;

use super::run::publish;
use crate::cli::Judge;
use crate::exit_code::ExitCode;
use crate::record::Record;

pub(super) fn judge(arguments: &Judge) -> anyhow::Result<ExitCode> {
    let began = Instant::now();
    let mut cases = Vec::new();
    let mut records = Vec::new();
    for run in &arguments.runs {
        for dir in run_directories(run)? {
            let record = Record::load(&dir).with_context(|| format!("cannot judge {}", dir.display()))?;
            let judgement = crate::judge::judge(&record);
            cases.push(crate::report::case(&record, &judgement, run_number(&dir), &dir));
            records.push(record);
        }
    }
    let report = crate::report::report(cases, &records, Vec::new(), began.elapsed(), None, false);
    publish(&report, &arguments.reports)?;
    crate::report::exit_code(&report)
}

/// The number of a repeated run, from its directory name: `scenario.3`.
fn run_number(dir: &Path) -> u32 {
    let name = dir.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    name.rsplit_once('.').and_then(|(_, number)| number.parse().ok()).unwrap_or(1)
}

/// A run directory itself, or every run directory below it.
fn run_directories(dir: &Path) -> anyhow::Result<Vec<PathBuf>> {
    if dir.join("record.json").exists() {
        return Ok(vec![dir.to_owned()]);
    }
    let mut found = Vec::new();
    let entries = std::fs::read_dir(dir).with_context(|| format!("cannot read {}", dir.display()))?;
    for entry in entries {
        let path = entry?.path();
        if path.is_dir() {
            found.extend(run_directories(&path)?);
        }
    }
    found.sort();
    Ok(found)
}
