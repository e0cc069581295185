//! A policy directory → a guest with it installed, as every command that takes a policy has it.

pub(super) mod show;

use std::io::Write;
use std::path::Path;

use anyhow::Context;
use ci::{Installation, Lab};

use super::check;
use super::lab;
use crate::cli::OneGuest;
use crate::display::Display;
use crate::install::{PATIENCE, package};
use crate::notation::Bytes;
use crate::policy::scale::{Scale, Scaled, scale};
use crate::policy::{self, Directory, LoadError};
use crate::reading::diagnostic::Diagnostic;

/// A policy that has been read, and scaled for a guest.
pub(super) struct Ready {
    pub(super) directory: Directory,
    pub(super) scale: Scale,
    pub(super) scaled: Scaled,
    /// The guest's memory, if it is not what every guest has.
    memory: Option<Bytes>,
}

/// Reads the policy at `path` for a guest of that memory. None when it cannot be run: why has been shown.
///
/// # Errors
/// When it cannot be read.
pub(super) fn read(path: &Path, memory: Option<Bytes>) -> anyhow::Result<Option<Ready>> {
    let directory = match Directory::load(policy::is_policy(path).unwrap_or(path)) {
        Ok(directory) => directory,
        Err(LoadError::Invalid(invalid)) => {
            check::show(&invalid.diagnostics);
            return Ok(None);
        }
        Err(error) => return Err(error.into()),
    };
    let wrong: Vec<Diagnostic> = policy::check(&directory).into_iter().filter(Diagnostic::is_error).collect();
    let guest = memory.unwrap_or(Bytes(ci::MEMORY_BYTES));
    let by = Scale::new(directory.policy.machine.memory, guest);
    match scale(&directory, by) {
        Ok(scaled) if wrong.is_empty() => Ok(Some(Ready { directory, scale: by, scaled, memory })),
        Ok(_) => {
            check::show(&wrong);
            Ok(None)
        }
        Err(invalid) => {
            check::show(&wrong);
            check::show(&invalid.diagnostics);
            Ok(None)
        }
    }
}

impl Ready {
    /// A guest that was booted with it.
    ///
    /// # Errors
    /// When a command of the installation fails, which has its last words, or the guest does not boot.
    pub(super) fn install(&self, guest: OneGuest, display: &Display) -> anyhow::Result<Lab> {
        let package = package(&self.directory, &self.scaled.root)
            .with_context(|| format!("{} cannot be packed", self.directory.path.display()))?;
        let mut tar = tempfile::NamedTempFile::new().context("a temporary file")?;
        tar.write_all(&package.tar).and_then(|()| tar.flush()).context("a temporary file")?;
        let installation = Installation {
            name: package.name,
            files: tar.path().to_owned(),
            commands: package.commands,
            patience: PATIENCE,
            memory: self.memory.map(|memory| memory.0),
        };
        let lab = lab::prepare(guest.into(), display, &|_| {})?;
        let installed = lab::install(&lab, &installation, display)?;
        if !self.scale.is_one() {
            let machine = self.directory.policy.machine.memory;
            let words = format!("a scale model of a machine of {machine}: absolute sizes are {}", self.scale);
            display.done(&lab.guest().to_string(), &words);
        }
        Ok(installed)
    }
}
