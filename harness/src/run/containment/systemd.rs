//! Groups as units of systemd: slices, scopes around processes, services around a program.

use super::down::state;
use super::{Containment, Error, Group, Inside};
use crate::run::undo::{Step, Undo};
use crate::systemd::{self, Manager};
use crate::unit_name::slices_above;
use std::io;

/// Why a unit may not be made.
#[derive(Debug, thiserror::Error)]
pub enum Refused {
    /// The name is somebody else's.
    #[error(
        "{unit} already exists ({state}) and does not belong to this run, so it was left alone: see `systemctl status \
         {unit}`, and stop it, reset it or remove its file if it is not needed, or rename the cgroup"
    )]
    Taken {
        /// The unit.
        unit: String,
        /// Its state, and its file.
        state: String,
    },
    /// Whether the name is free cannot be told.
    #[error("cannot tell whether {unit} already exists")]
    Unknown {
        /// The unit.
        unit: String,
        /// Why.
        #[source]
        source: systemd::Error,
    },
    /// What is not written down must not be done.
    #[error("cannot write the undo journal")]
    Journal(#[from] io::Error),
}

/// systemd, which makes a group of each unit and keeps its limits.
#[derive(Clone, Copy)]
pub struct Systemd<'a>(pub &'a dyn Manager);

impl Containment for Systemd<'_> {
    fn make(&self, group: &Group<'_>, inside: Inside<'_>, undo: &mut Undo) -> Result<(), Error> {
        let Group { unit, slice, properties } = *group;
        self.note(unit, if matches!(inside, Inside::Nobody) { unit } else { slice }, undo)?;
        let properties = undo.origin().signed(properties);
        let made = match inside {
            Inside::Nobody => self.0.start_slice(unit, &properties),
            Inside::Processes(pids) => self.0.start_scope(unit, slice, pids, &properties),
            Inside::Program(argv) => self.0.start_service(unit, slice, argv, &[], &properties),
        };
        made.map_err(|source| Error::NotMade { group: unit.to_owned(), source })
    }
}

impl Systemd<'_> {
    /// Makes sure that a unit's name is nobody's, and writes down that it and the slices that come with it are to be
    /// stopped. `slice` is where it will live; a slice lives where its name says.
    fn note(&self, unit: &str, slice: &str, undo: &mut Undo) -> Result<(), Refused> {
        let ask = |name: &str| {
            self.0.unit(name).map_err(|source| Refused::Unknown { unit: name.to_owned(), source })
        };
        let found = ask(unit)?;
        if found.is_taken() {
            return Err(Refused::Taken { unit: unit.to_owned(), state: state(&found) });
        }
        let mut above = slices_above(slice);
        if slice != unit && slice != "-.slice" {
            above.push(slice.to_owned());
        }
        for slice in above {
            let known = [Step::StopIfEmpty(slice.clone()), Step::StopUnit(slice.clone())];
            if !known.iter().any(|step| undo.knows(step)) && !ask(&slice)?.is_active() {
                undo.before(Step::StopIfEmpty(slice))?;
            }
        }
        undo.before(Step::StopUnit(unit.to_owned()))?;
        Ok(())
    }
}
