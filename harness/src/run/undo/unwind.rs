//! The steps of a journal, carried out: last first, each by whoever can prove that it is theirs to undo.

use std::fs;
use std::io;
use std::path::Path;

use super::{Step, Undo};
use crate::run::containment::down::{Stopped, stop_if_empty, stop_unit};
use crate::systemd::Manager;
use crate::unit_name::run_of;

impl Undo {
    /// Undoes everything, last first, and removes the journal when nothing is left. Returns what is left. Slices that may
    /// be another run's by now are looked at below `cgroups` and stopped only by whoever holds the machine; `None`: they
    /// stay.
    pub fn unwind(self, systemd: &dyn Manager, cgroups: Option<&Path>) -> Vec<String> {
        let undo = |step: &Step| self.undo(step, systemd, cgroups).err();
        let left: Vec<String> = self.steps.iter().rev().filter_map(undo).collect();
        if left.is_empty()
            && let Err(error) = fs::remove_dir_all(&self.dir)
            && error.kind() != io::ErrorKind::NotFound
        {
            return vec![format!("{}: {error}", self.dir.display())];
        }
        left
    }

    fn undo(&self, step: &Step, systemd: &dyn Manager, cgroups: Option<&Path>) -> Result<(), String> {
        match step {
            Step::StopUnit(unit) => match stop_unit(unit, &|unit| self.origin.made(unit), systemd)? {
                // A name that is anybody's, such as `workspace-agents.slice`, is in nobody's way.
                Stopped::NotOurs(state) if run_of(unit) == Some(self.origin.run()) => {
                    Err(format!("{unit} ({state}) does not belong to this run: left alone"))
                }
                Stopped::NotOurs(_) | Stopped::Gone => Ok(()),
            },
            Step::StopIfEmpty(slice) => match cgroups {
                Some(cgroups) => stop_if_empty(slice, systemd, cgroups).map(drop),
                None => Err(format!("{slice} stays while another run is active")),
            },
            Step::RemoveTree(path) => match fs::remove_dir_all(path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    Err(format!("{}: {error}", path.display()))
                }
                _ => Ok(()),
            },
        }
    }
}
