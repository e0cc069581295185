//! `bulkhead judge`: the findings again, from the records alone.

use std::time::Instant;

use anyhow::Context;

use super::run::{places, publish};
use crate::cli::Judge;
use crate::exit_code::ExitCode;
use crate::report::{exit_code, judged_below, report};

pub(super) fn judge(arguments: &Judge) -> anyhow::Result<ExitCode> {
    let sinks = match places(&arguments.reports) {
        Ok(sinks) => sinks,
        Err(code) => return Ok(code),
    };
    let began = Instant::now();
    let (mut runs, mut trouble) = (Vec::new(), Vec::new());
    for dir in &arguments.runs {
        let (judged, aside) = judged_below(dir).with_context(|| format!("cannot read {}", dir.display()))?;
        runs.extend(judged);
        trouble.extend(aside);
    }
    let report = report(runs, trouble, began.elapsed(), None);
    publish(&report, sinks)?;
    exit_code(&report)
}
