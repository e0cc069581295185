//! What must be undone is written down before it is done.
//!
//! The journal lies on tmpfs below [`STATE`], one file a run: a power cut takes it along with everything it speaks of,
//! and after a `kill -9` `bulkhead recover` finds it. Units are stopped, trees are removed; nothing else is ever changed.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::systemd::{Error, Manager};

/// Where a run keeps its journal and the status pages of its actors.
pub const STATE: &str = "/run/bulkhead";

/// One thing to undo.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Step {
    /// Kill what runs in a unit, stop it and forget that it failed.
    StopUnit(String),
    /// Remove a directory that the run made.
    RemoveTree(PathBuf),
}

/// The undo journal of one run.
#[derive(Debug)]
pub struct Undo {
    dir: PathBuf,
    steps: Vec<Step>,
}

impl Undo {
    /// Makes the state directory of a run.
    ///
    /// # Errors
    /// When it exists already or cannot be made.
    pub fn begin(state: &Path, run: &str) -> io::Result<Self> {
        fs::create_dir_all(state)?;
        let dir = state.join(run);
        fs::create_dir(&dir)?;
        Ok(Self { dir, steps: Vec::new() })
    }

    /// Opens what a killed run left.
    ///
    /// # Errors
    /// When the journal cannot be read. A last line cut short is a step that was never done.
    pub fn resume(dir: &Path) -> io::Result<Self> {
        let text = match fs::read_to_string(dir.join("undo.jsonl")) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
            read => read?,
        };
        let steps = text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
        Ok(Self { dir: dir.to_owned(), steps })
    }

    /// The state directory of the run.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Writes a step down; only then may it be done.
    ///
    /// # Errors
    /// When it cannot be written: then it must not be done.
    pub fn before(&mut self, step: Step) -> io::Result<()> {
        let mut line = serde_json::to_vec(&step)?;
        line.push(b'\n');
        OpenOptions::new().create(true).append(true).open(self.dir.join("undo.jsonl"))?.write_all(&line)?;
        self.steps.push(step);
        Ok(())
    }

    /// Undoes everything, last first, and removes the journal when nothing is left. Returns what is left.
    pub fn unwind(self, systemd: &dyn Manager) -> Vec<String> {
        let left: Vec<String> =
            self.steps.iter().rev().filter_map(|step| undo(step, systemd).err()).collect();
        if left.is_empty()
            && let Err(error) = fs::remove_dir_all(&self.dir)
        {
            return vec![format!("{}: {error}", self.dir.display())];
        }
        left
    }
}

fn undo(step: &Step, systemd: &dyn Manager) -> Result<(), String> {
    match step {
        Step::StopUnit(unit) => stop_unit(unit, systemd),
        Step::RemoveTree(path) => match fs::remove_dir_all(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(format!("{}: {error}", path.display()))
            }
            _ => Ok(()),
        },
    }
}

/// Kills what runs in a unit, stops it, forgets its failure, and proves that it is gone.
///
/// # Errors
/// When systemd does not do it, or the unit is active afterwards.
pub fn stop_unit(name: &str, systemd: &dyn Manager) -> Result<(), String> {
    let say = |error: Error| format!("{name}: {}", super::recorder::chain(&error));
    let unit = systemd.unit(name).map_err(say)?;
    if !unit.exists() {
        return Ok(());
    }
    if unit.is_active() {
        // SIGKILL first: a stop alone waits for SIGTERM to be heard by processes that hear nothing.
        systemd.kill(name, 9).ok();
        systemd.stop(name).map_err(say)?;
    }
    systemd.reset_failed(name).ok();
    let unit = systemd.unit(name).map_err(say)?;
    if unit.is_active() { Err(format!("{name} is still active")) } else { Ok(()) }
}
