//! `bulkhead inspect`: the half of `policy show` inside a guest: a task on standard input → a reading on standard output.

use std::io::stdin;

use anyhow::Context;

use super::stdout::print;
use crate::exit_code::ExitCode;
use crate::inspect;
use crate::readback::Task;

pub(super) fn inspect() -> anyhow::Result<ExitCode> {
    let mut line = String::new();
    stdin().read_line(&mut line).context("cannot read the task from standard input")?;
    let task: Task = serde_json::from_str(&line)
        .context("no task on standard input; `bulkhead policy show` writes one")?;
    let reading = inspect::inspect(&task)?;
    print(&serde_json::to_string(&reading)?)?;
    Ok(ExitCode::Passed)
}
