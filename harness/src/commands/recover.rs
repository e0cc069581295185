//! `bulkhead recover`: finds what a killed run left behind, takes it down, and proves that it is gone.

use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::Context;

use crate::exit_code::ExitCode;
use crate::run::shelter::PARENT;
use crate::run::undo::{STATE, Undo, stop_unit};
use crate::systemd::{Bus, Manager};

/// Everything that bulkhead makes carries this prefix.
const PREFIX: &str = "bulkhead-";

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
    let still: Vec<String> = systemd.list(PREFIX)?.into_iter().map(|unit| unit.name).collect();
    left.extend(still.into_iter().map(|unit| format!("{unit} is still loaded")));
    left.extend(crate::run::cleanup::populated_cgroups(Path::new(crate::cgroupfs::ROOT)));
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
    let mut units: Vec<String> = systemd.list(PREFIX)?.into_iter().map(|unit| unit.name).collect();
    units.sort_by_key(|name| (name.ends_with(".slice"), std::cmp::Reverse(name.len())));
    // Above all of them, and without the dash.
    units.push(PARENT.to_owned());
    Ok(units
        .iter()
        .filter_map(|unit| stop_unit(unit, systemd).err())
        .map(|error| error.to_string())
        .collect())
}
