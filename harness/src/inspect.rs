//! In a guest with a policy: every tree is entered as its users would, and read back → a [`Reading`].
//!
//! It decides nothing: what cannot be entered is said with its last words. It runs where nothing has to be cleaned up, in a clone
//! that is thrown away.

mod enter;
mod files;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use crate::cgroupfs::{CgroupPath, ROOT};
use crate::deadline;
use crate::kernfile;
use crate::notation::UnitName;
use crate::policy::{Place, Tree};
use crate::readback::{Reading, Task, TreeRead, UnitRead, controls};
use crate::systemd::{self, Bus, Manager, Value};

/// For one call to systemd, one login, one start of docker.
const PATIENCE: Duration = Duration::from_secs(90);

/// Why nothing could be read.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// systemd does not answer.
    #[error(transparent)]
    Systemd(#[from] systemd::Error),
    /// A program did not answer.
    #[error(transparent)]
    Program(#[from] deadline::Error),
}

/// Enters every tree of the task, reads all of them, has systemd read its files again, and reads them once more.
///
/// # Errors
/// When systemd does not answer.
pub fn inspect(task: &Task) -> Result<Reading, Error> {
    let bus = Bus::connect(PATIENCE)?;
    let failed = failed(&bus)?;
    let entered: Vec<_> = task.trees.iter().map(|tree| enter::enter(&bus, tree)).collect();
    let mut trees = BTreeMap::new();
    for (tree, entered) in task.trees.iter().zip(&entered) {
        let cgroup = cgroup(&bus, tree)?;
        let before = units(&bus, cgroup.as_ref())?;
        let entered = entered.as_ref().map(|inside| inside.cgroup.clone()).map_err(Clone::clone);
        trees.insert(tree.id.to_string(), TreeRead { cgroup, entered, before, after: Vec::new() });
    }
    deadline::output(Command::new("systemctl").arg("daemon-reload"), PATIENCE)?;
    for read in trees.values_mut() {
        read.after = units(&bus, read.cgroup.as_ref())?;
    }
    let meminfo = fs::read("/proc/meminfo").unwrap_or_default();
    Ok(Reading {
        systemd: bus.version()?,
        memory: kernfile::value(&meminfo, "MemTotal").unwrap_or_default() << 10,
        files: files::unit_files(),
        failed,
        complaints: complaints(&task.verify)?,
        trees,
    })
}

fn failed(bus: &Bus) -> Result<BTreeMap<String, String>, Error> {
    let failed = bus.list("")?.into_iter().filter(|unit| unit.active == "failed");
    let result = |name: String| {
        let result = bus.unit(&name)?.result.unwrap_or_else(|| "failed".to_owned());
        Ok((name, result))
    };
    failed.map(|unit| result(unit.name)).collect()
}

/// The cgroup of a tree: where a service lies is for systemd to say.
fn cgroup(bus: &Bus, tree: &Tree) -> Result<Option<CgroupPath>, Error> {
    match (&tree.cgroup, tree.cgroup.cgroup()) {
        (_, Some(path)) => Ok(Some(path)),
        (Place::Unit(unit), None) => Ok(bus.unit(unit)?.control_group),
        (Place::Path(_), None) => Ok(None),
    }
}

/// The units of PID 1 from a cgroup to the root. What lies below `user@UID.service` is another manager's.
fn units(bus: &Bus, cgroup: Option<&CgroupPath>) -> Result<Vec<UnitRead>, Error> {
    let way: Vec<CgroupPath> = cgroup.into_iter().flat_map(CgroupPath::ancestors).collect();
    let user = way.iter().rposition(|path| path.name().starts_with("user@"));
    let ours = way.iter().skip(user.unwrap_or(0));
    ours.filter(|path| path.name().parse::<UnitName>().is_ok()).map(|path| unit(bus, path)).collect()
}

fn unit(bus: &Bus, cgroup: &CgroupPath) -> Result<UnitRead, Error> {
    let name = cgroup.name();
    let directory = cgroup.below(Path::new(ROOT));
    let mut read = UnitRead {
        name: name.to_owned(),
        fragment: bus.unit(name)?.fragment_path,
        needs_reload: bus.property(name, "NeedDaemonReload")? == Some(Value::Bool(true)),
        ..UnitRead::default()
    };
    if let Some(Value::Strings(paths)) = bus.property(name, "DropInPaths")? {
        read.dropins = paths;
    }
    for control in controls() {
        let loaded = bus.property(name, control.property)?.and_then(|value| text(&value));
        read.loaded.extend(loaded.map(|text| (control.property.to_owned(), text)));
        let held = control.file.and_then(|file| Some((file, fs::read_to_string(directory.join(file)).ok()?)));
        read.kernel.extend(held.map(|(file, text)| (file.to_owned(), text.trim_end().to_owned())));
    }
    Ok(read)
}

fn text(value: &Value) -> Option<String> {
    match value {
        Value::U64(u64::MAX) => Some("infinity".to_owned()),
        Value::U64(number) => Some(number.to_string()),
        Value::Str(word) => Some(word.clone()),
        _ => None,
    }
}

fn complaints(units: &[String]) -> Result<Vec<String>, Error> {
    if units.is_empty() {
        return Ok(Vec::new());
    }
    let mut verify = Command::new("systemd-analyze");
    verify.args(["verify", "--man=no", "--recursive-errors=no"]).args(units);
    let said = deadline::output(&mut verify, PATIENCE)?;
    let lines = String::from_utf8_lossy(&said.stderr).into_owned();
    Ok(lines.lines().map(str::to_owned).collect())
}
