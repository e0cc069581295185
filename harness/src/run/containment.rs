//! Groups of processes with limits: made, and read back from the kernel.
//!
//! How a group is made and what is then to be undone is one implementation each; that the kernel holds the limits is asked
//! of the kernel, whoever made the group. It is taken down by the undo journal, also when nobody knows the plan any more.

pub mod down;
pub mod systemd;

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::Path;

pub use systemd::{Refused, Systemd};

use super::undo::Undo;
use crate::plan::PlannedUnit;
use crate::property::Property;
use crate::systemd as manager;

/// What makes groups.
pub trait Containment {
    /// Makes a group, with whoever is in it from the first moment. What is to be undone is in the journal before.
    ///
    /// # Errors
    /// When the group is somebody else's, nothing can be written down, or it cannot be made.
    fn make(&self, group: &Group<'_>, inside: Inside<'_>, undo: &mut Undo) -> Result<(), Error>;
}

/// A group to be made.
#[derive(Debug, Clone, Copy)]
pub struct Group<'a> {
    /// The name of its unit.
    pub unit: &'a str,
    /// The slice that it lives in.
    pub slice: &'a str,
    /// Its limits and its deadline, as systemd takes them.
    pub properties: &'a [Property],
}

impl<'a> From<&'a PlannedUnit> for Group<'a> {
    fn from(unit: &'a PlannedUnit) -> Self {
        Self { unit: &unit.unit, slice: &unit.slice, properties: &unit.properties }
    }
}

/// Who is in a group when it is made.
#[derive(Debug, Clone, Copy)]
pub enum Inside<'a> {
    /// Nobody: it holds other groups.
    Nobody,
    /// Processes that run already.
    Processes(&'a [u32]),
    /// A program that is started there: an absolute path and arguments.
    Program(&'a [String]),
}

/// Why a group is not there as planned.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It may not be made here.
    #[error(transparent)]
    Refused(#[from] Refused),
    /// systemd did not make it.
    #[error("{group} did not start")]
    NotMade {
        /// Its name.
        group: String,
        /// What systemd says.
        #[source]
        source: manager::Error,
    },
    /// A limit could not be read back.
    #[error("{path}")]
    Unread {
        /// The file.
        path: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The kernel holds something else.
    #[error("{group}: {file} is {found}, expected {planned}")]
    NotHeld {
        /// The group.
        group: String,
        /// The file of the limit.
        file: String,
        /// What it holds.
        found: String,
        /// What it must hold.
        planned: String,
    },
}

/// The limits of a group as the kernel holds them, by file, when they are those of the plan.
///
/// # Errors
/// When one cannot be read or is another.
pub fn verified(unit: &PlannedUnit, cgroups: &Path) -> Result<BTreeMap<String, String>, Error> {
    let dir = unit.cgroup.below(cgroups);
    let mut values = BTreeMap::new();
    for (file, planned) in &unit.limits {
        let (file, planned) = (file.name(), planned.to_string());
        let path = dir.join(file);
        let unread = |source| Error::Unread { path: path.display().to_string(), source };
        let found = fs::read_to_string(&path).map_err(unread)?.trim().to_owned();
        if found != planned {
            let (group, file) = (unit.unit.to_string(), file.to_owned());
            return Err(Error::NotHeld { group, file, found, planned });
        }
        values.insert(file.to_owned(), found);
    }
    Ok(values)
}
