//! `bulkhead recover`: finds what a killed run left behind, takes it down, and proves that it is gone.

use std::time::Duration;

use anyhow::Context;

use super::stdout::print;
use crate::exit_code::ExitCode;
use crate::run::Paths;
use crate::run::recover::{self, Recovered};
use crate::systemd::Bus;

/// How long systemd may take to answer, and what was stopped to be gone.
const PATIENCE: Duration = Duration::from_secs(10);

pub(super) fn recover() -> anyhow::Result<ExitCode> {
    let systemd = Bus::connect(PATIENCE)
        .context("cannot reach systemd; recover needs root on a machine that runs systemd")?;
    let paths = Paths::of_this_machine().context("cannot find the directory of this program")?;
    let Recovered { undone, left, living } =
        recover::recover(&systemd, &paths, PATIENCE).context("recover needs root")?;
    for run in &undone {
        eprintln!("undid run {run}");
    }
    for what in &left {
        print(&format!("left: {what}\n"))?;
    }
    for who in &living {
        print(&format!("{who} is still running and was left alone: interrupt it (SIGINT) or wait for it\n"))?;
    }
    Ok(match (left.is_empty(), living.is_empty()) {
        (false, _) => ExitCode::Dirty,
        (true, false) => ExitCode::Guarded,
        (true, true) => {
            print("nothing is left of bulkhead: no unit, no process, no undo journal\n")?;
            ExitCode::Passed
        }
    })
}
