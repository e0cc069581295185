//! `bulkhead recover`: finds what a killed run left behind, takes it down, and proves that it is gone.

use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::Context;

use crate::exit_code::ExitCode;
use crate::run::cleanup::populated_cgroups;
use crate::run::shelter::{PARENT, stop_if_empty};
use crate::run::undo::{STATE, Undo, is_of_a_run, stop_unit};
use crate::systemd::{Bus, Manager};

pub(super) fn recover() -> anyhow::Result<ExitCode> {
    let systemd = Bus::connect(Duration::from_secs(10))
        .context("systemd cannot be reached; recover needs root on a machine that runs systemd")?;
    let mut left = Vec::new();
    for dir in journals(Path::new(STATE))? {
        let run = dir.file_name().unwrap_or_default().to_string_lossy().into_owned();
        eprintln!("undoing run {run}");
        let undo =
            Undo::resume(&dir).with_context(|| format!("cannot read the journal of {}", dir.display()))?;
        left.extend(undo.unwind(&systemd));
    }
    left.extend(stop_strays(&systemd)?);
    left.extend(units_of_runs(&systemd)?.into_iter().map(|unit| format!("{unit} is still loaded")));
    let cgroups = Path::new(crate::cgroupfs::ROOT);
    left.extend(populated_cgroups(cgroups));
    left.extend(stop_if_empty(PARENT, &systemd, cgroups).err());
    if left.is_empty() {
        println!("nothing of bulkhead is left: no unit, no process, no journal");
        return Ok(ExitCode::Passed);
    }
    for what in &left {
        println!("left: {what}");
    }
    Ok(ExitCode::Dirty)
}

/// The state directories of runs that did not end by themselves.
fn journals(state: &Path) -> anyhow::Result<Vec<std::path::PathBuf>> {
    let entries = match fs::read_dir(state) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        read => read.with_context(|| format!("cannot read {}", state.display()))?,
    };
    let mut dirs = Vec::new();
    for entry in entries {
        let path = entry?.path();
        if path.is_dir() {
            dirs.push(path);
        }
    }
    Ok(dirs)
}

/// Units that no journal speaks of: scopes first, slices from the innermost out.
fn stop_strays(systemd: &dyn Manager) -> anyhow::Result<Vec<String>> {
    let mut units = units_of_runs(systemd)?;
    units.sort_by_key(|name| (name.ends_with(".slice"), std::cmp::Reverse(name.len())));
    Ok(units.iter().filter_map(|unit| stop_unit(unit, systemd).err()).collect())
}

fn units_of_runs(systemd: &dyn Manager) -> anyhow::Result<Vec<String>> {
    let units = systemd.list("bulkhead-")?.into_iter().map(|unit| unit.name);
    Ok(units.filter(|name| is_of_a_run(name)).collect())
}
