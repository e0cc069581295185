//! A tree as it was read → a row for each control that its files declare, and what is effective on it.

use serde::Serialize;

use super::control::{Control, INFINITY, controls};
use super::{Reading, TreeRead, UnitRead};
use crate::unit_file::{Files, Manager, Place, Unit, Value, load};

/// A control of a unit, all the way from its file to the kernel.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Row {
    /// The unit.
    pub unit: String,
    /// The directive.
    pub directive: &'static str,
    /// The value as written.
    pub declared: String,
    /// The file and line that won.
    pub place: String,
    /// What systemd says; none for a directive that this systemd does not have.
    pub loaded: Option<String>,
    /// For a limit: the lowest on the way to the root, and whose it is.
    pub effective: Option<Effective>,
    /// What the cgroup's file says, in systemd's notation.
    pub kernel: Option<String>,
    /// Why it is not as declared, first difference first.
    pub difference: Option<Difference>,
}

/// The lowest of the limits on the way to the root.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Effective {
    /// In bytes or tasks; `infinity` for none.
    pub value: String,
    /// The unit whose it is.
    pub of: String,
}

/// Between which two of the stations a value changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Difference {
    /// systemd has loaded something else than its files say.
    Loaded,
    /// The kernel holds something else than systemd has loaded.
    Kernel,
}

/// Every control that a file declares, of a tree's unit and of those around it.
#[must_use]
pub fn rows(reading: &Reading, tree: &TreeRead) -> Vec<Row> {
    let files = reading.unit_files();
    let mut rows = Vec::new();
    for (at, read) in tree.before.iter().enumerate() {
        let Some(unit) = declared(&files, read) else { continue };
        for control in controls() {
            let Some((assigned, value)) = unit.effective(control.directive) else { continue };
            let legacy = assigned.key != control.directive;
            rows.push(row(control, read, &assigned.place, &assigned.text, legacy, &value, reading.memory));
            if let Some(row) = rows.last_mut().filter(|_| control.narrows()) {
                row.effective = effective(&tree.before[at..], control);
            }
        }
    }
    rows
}

/// A unit as the files of the guest make it.
pub(super) fn declared(files: &Files, read: &UnitRead) -> Option<Unit> {
    Some(load(files, Manager::System, &read.name.parse().ok()?))
}

fn row(
    control: &Control,
    read: &UnitRead,
    place: &Place,
    text: &str,
    legacy: bool,
    value: &Value,
    memory: u64,
) -> Row {
    let loaded = read.loaded.get(control.property).cloned();
    let kernel = control.file.and_then(|file| read.kernel.get(file)).and_then(|text| control.of_kernel(text));
    let expected = control.expected(value, memory);
    // What a legacy directive says reaches the kernel past the property of the new one.
    let in_systemd = if legacy { expected.clone() } else { loaded.clone() };
    let as_expected = match (&expected, &in_systemd) {
        (Some(expected), Some(loaded)) => control.is_as_expected(value, expected, loaded),
        (expected, loaded) => loaded.is_some() || expected.is_none(),
    };
    let in_force = match (&in_systemd, &kernel) {
        (Some(loaded), Some(kernel)) => control.is_in_force(loaded, kernel),
        // Without a cgroup there is nothing to hold; without `io`, a weight is held nowhere, by a scheduler or by nobody.
        (loaded, None) => {
            read.kernel.is_empty()
                || control.file.is_none_or(|file| file == "io.weight")
                || loaded.as_deref() == Some(INFINITY)
        }
        (None, Some(_)) => true,
    };
    let difference = match (as_expected, in_force) {
        (false, _) => Some(Difference::Loaded),
        (true, false) => Some(Difference::Kernel),
        (true, true) => None,
    };
    Row {
        unit: read.name.clone(),
        directive: control.directive,
        declared: text.to_owned(),
        place: place.to_string(),
        loaded,
        effective: None,
        kernel,
        difference,
    }
}

/// The lowest value that the kernel holds, on these units from the innermost on; none where it holds none at all.
#[must_use]
pub fn effective(units: &[UnitRead], control: &Control) -> Option<Effective> {
    let held = units.iter().filter_map(|unit| {
        let value = control.of_kernel(unit.kernel.get(control.file?)?)?;
        Some((value.parse().unwrap_or(u64::MAX), Effective { value, of: unit.name.clone() }))
    });
    held.min_by_key(|(number, _)| *number).map(|(_, effective)| effective)
}
