//! `bulkhead recover`: finds what a killed run left behind, takes it down, and proves that it is gone.

use std::fs;
use std::io::ErrorKind;
use std::path::Path;
use std::time::Duration;

use anyhow::Context;

use crate::exit_code::ExitCode;
use crate::run::cleanup::populated_cgroups;
use crate::run::shelter::{PARENT, stop_if_empty};
use crate::run::undo::{STATE, Undo, is_of_a_run, run_of, stop_unit};
use crate::systemd::{Bus, Manager};

pub(super) fn recover() -> anyhow::Result<ExitCode> {
    let systemd = Bus::connect(Duration::from_secs(10))
        .context("systemd cannot be reached; recover needs root on a machine that runs systemd")?;
    let mut left = Vec::new();
    let mut living = Vec::new();
    for dir in journals(Path::new(STATE))? {
        let run = dir.file_name().unwrap_or_default().to_string_lossy().into_owned();
        match Undo::resume(&dir) {
            Ok(undo) => {
                eprintln!("undoing run {run}");
                left.extend(undo.unwind(&systemd));
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => living.push(run),
            Err(error) => {
                return Err(error).with_context(|| format!("cannot read the journal of {}", dir.display()));
            }
        }
    }
    left.extend(stop_strays(&systemd, &living)?);
    left.extend(
        units_of_the_dead(&systemd, &living)?.into_iter().map(|unit| format!("{unit} is still loaded")),
    );
    let cgroups = Path::new(crate::cgroupfs::ROOT);
    left.extend(populated_cgroups(cgroups, &|name| is_of_the_dead(name, &living)));
    if living.is_empty() {
        left.extend(stop_if_empty(PARENT, &systemd, cgroups).err());
    }
    for what in &left {
        println!("left: {what}");
    }
    for run in &living {
        println!("run {run} is under way and was not touched: end it with SIGINT, or wait for it");
    }
    Ok(match (left.is_empty(), living.is_empty()) {
        (false, _) => ExitCode::Dirty,
        (true, false) => ExitCode::Guarded,
        (true, true) => {
            println!("nothing of bulkhead is left: no unit, no process, no journal");
            ExitCode::Passed
        }
    })
}

/// Whether a unit or cgroup was made by a run that is over. The shelter is shared: it is as long as one run lives.
fn is_of_the_dead(name: &str, living: &[String]) -> bool {
    match run_of(name) {
        Some(run) => !living.iter().any(|other| other == run),
        None => living.is_empty() && is_of_a_run(name),
    }
}

/// The state directories of runs that did not end by themselves.
fn journals(state: &Path) -> anyhow::Result<Vec<std::path::PathBuf>> {
    let entries = match fs::read_dir(state) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
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
fn stop_strays(systemd: &dyn Manager, living: &[String]) -> anyhow::Result<Vec<String>> {
    let mut units = units_of_the_dead(systemd, living)?;
    units.sort_by_key(|name| (name.ends_with(".slice"), std::cmp::Reverse(name.len())));
    Ok(units.iter().filter_map(|unit| stop_unit(unit, systemd).err()).collect())
}

fn units_of_the_dead(systemd: &dyn Manager, living: &[String]) -> anyhow::Result<Vec<String>> {
    let units = systemd.list("bulkhead-")?.into_iter().map(|unit| unit.name);
    Ok(units.filter(|name| is_of_the_dead(name, living)).collect())
}
