//! What was read of a policy's trees → what is wrong, each with its cause: the file and line that should have won.

use std::collections::BTreeSet;

use serde::Serialize;

use super::control::controls;
use super::row::{Difference, declared, effective, rows};
use super::{Reading, TreeRead, UnitRead};
use crate::policy::{Entrance, Policy, Root, Tree};
use crate::scenario::TreeRole;
use crate::unit_file::{Assigned, Directive, Fate, Unit, Value, value};

/// What kind of thing is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(into = "&'static str")]
pub enum Kind {
    /// A line of the policy's that systemd does not take.
    NotInForce,
    /// A cap that a later line takes back.
    CapTakenBack,
    /// A user whose only cap is that of all users together.
    SharedCap,
    /// No cap up to the root.
    NoCap,
    /// The way in leads past the tree.
    EntranceElsewhere,
    /// There is no way in.
    EntranceClosed,
    /// systemd has loaded something else than its files say.
    NotLoaded,
    /// The kernel holds something else than systemd has loaded.
    NotInKernel,
    /// A value is another one after `daemon-reload`.
    ChangedByReload,
    /// A unit had failed when the machine was up.
    UnitFailed,
    /// `systemd-analyze verify` complains about a file of the policy's.
    Complaint,
}

impl From<Kind> for &'static str {
    fn from(kind: Kind) -> Self {
        match kind {
            Kind::NotInForce => "not-in-force",
            Kind::CapTakenBack => "cap-taken-back",
            Kind::SharedCap => "shared-cap",
            Kind::NoCap => "no-cap",
            Kind::EntranceElsewhere => "entrance-elsewhere",
            Kind::EntranceClosed => "entrance-closed",
            Kind::NotLoaded => "not-loaded",
            Kind::NotInKernel => "not-in-kernel",
            Kind::ChangedByReload => "changed-by-reload",
            Kind::UnitFailed => "unit-failed",
            Kind::Complaint => "complaint",
        }
    }
}

/// Something that is wrong with a policy, as it was found in a guest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// What kind.
    pub kind: Kind,
    /// The tree that it was found on first; none for what is the machine's.
    pub tree: Option<String>,
    /// The directive that it is about, such as `MemoryMax`; none where it is about none.
    pub directive: Option<String>,
    /// What and why.
    pub message: String,
    /// The file and line, where one is to be changed.
    pub place: Option<String>,
}

/// Everything that is wrong; `root` is what was installed. What several trees share is found once.
#[must_use]
pub fn findings(policy: &Policy, root: &Root, reading: &Reading) -> Vec<Finding> {
    let files = reading.unit_files();
    let mut found: Vec<Finding> = Vec::new();
    for tree in &policy.trees {
        let Some(read) = reading.trees.get(&*tree.id) else { continue };
        let mut of_tree = Vec::new();
        for unit in &read.before {
            let Some(declared) = declared(&files, unit) else { continue };
            of_tree.extend(
                declared.assigned.iter().filter(|one| is_own(root, &one.place.path)).filter_map(not_in_force),
            );
            of_tree.extend(taken_back(root, &declared));
        }
        of_tree.extend(rows(reading, read).iter().filter_map(differs));
        of_tree.extend(changed(read));
        of_tree.extend(entrance(tree, read));
        // What is protected is to live beside the work, which alone may run away.
        if tree.role == TreeRole::Work && !of_tree.iter().any(tells_of_a_cap) {
            of_tree.extend(uncapped(tree, read).or_else(|| shared(tree, reading, read)));
        }
        for mut one in of_tree {
            one.tree = Some(tree.id.to_string());
            if !found.iter().any(|known| known.message == one.message) {
                found.push(one);
            }
        }
    }
    found.extend(reading.failed.iter().map(|(unit, result)| {
        finding(
            Kind::UnitFailed,
            format!("{unit} failed at boot ({result}); `journalctl -u {unit}` says why"),
            None,
        )
    }));
    let complaints = complaints(root, reading, &found);
    found.extend(complaints);
    found
}

fn finding(kind: Kind, message: String, place: Option<String>) -> Finding {
    Finding { kind, tree: None, directive: None, message, place }
}

impl Finding {
    fn about(self, directive: &str) -> Self {
        Self { directive: Some(directive.to_owned()), ..self }
    }
}

/// Whether it says where a cap is, or would be: that there is none then needs no finding of its own.
fn tells_of_a_cap(found: &Finding) -> bool {
    let cap =
        |directive: &str| controls().iter().any(|control| control.is_cap() && control.directive == directive);
    matches!(found.kind, Kind::EntranceElsewhere | Kind::EntranceClosed)
        || found.directive.as_deref().is_some_and(|directive| cap(directive) || directive == LEGACY_CAP)
}

/// What `MemoryMax=` was called on cgroup v1; systemd still reads it.
const LEGACY_CAP: &str = "MemoryLimit";

/// Whether a file is the policy's: of its root, or made by its `install` where administrators put theirs.
fn is_own(root: &Root, path: &str) -> bool {
    path.starts_with("/etc/") || root.entries.contains_key(path)
}

fn not_in_force(one: &Assigned) -> Option<Finding> {
    let why = match &one.fate {
        Fate::Refused(why) | Fate::Misplaced(why) => why.clone(),
        Fate::Unknown(near) => format!("systemd knows no such directive; did you mean {near}?"),
        Fate::InForce(_) | Fate::Overridden(_) | Fate::FilePassedOver(_) => return None,
    };
    let meant = match &one.fate {
        Fate::Unknown(near) => near,
        _ => one.key.as_str(),
    };
    let message = format!("{}={} is not in force: {why}", one.key, one.text);
    Some(finding(Kind::NotInForce, message, Some(one.place.to_string())).about(meant))
}

/// A cap of the policy's after which another line says that there is none.
fn taken_back(root: &Root, unit: &Unit) -> Vec<Finding> {
    let caps = controls().iter().filter(|control| control.is_cap());
    let found = caps.filter_map(|control| {
        let winner = unit.in_force(control.directive)?;
        if !matches!(winner.value(), Some(Value::Infinity | Value::Default)) {
            return None;
        }
        let lost = unit.assigned.iter().rev().find(|one| {
            one.key == control.directive
                && is_own(root, &one.place.path)
                && matches!(one.fate, Fate::Overridden(_))
                && is_finite(one)
        })?;
        let message = format!(
            "{}={} of {} is taken back by {}={} in {}",
            lost.key, lost.text, unit.name, winner.key, winner.text, winner.place
        );
        Some(finding(Kind::CapTakenBack, message, Some(lost.place.to_string())).about(control.directive))
    });
    found.collect()
}

fn is_finite(one: &Assigned) -> bool {
    let value = Directive::named(&one.key).and_then(|directive| value::parse(directive.kind, &one.text).ok());
    matches!(value, Some(Value::Bytes(_) | Value::Share(_)))
}

fn differs(row: &super::Row) -> Option<Finding> {
    let value = |value: &Option<String>| value.clone().unwrap_or_else(|| "nothing".to_owned());
    let (kind, message) = match row.difference? {
        Difference::Loaded => (
            Kind::NotLoaded,
            format!(
                "{}={} of {} is declared, and systemd has loaded {}",
                row.directive,
                row.declared,
                row.unit,
                value(&row.loaded)
            ),
        ),
        Difference::Kernel => (
            Kind::NotInKernel,
            format!(
                "{} of {} is {} to systemd, and the kernel holds {}",
                row.directive,
                row.unit,
                value(&row.loaded),
                value(&row.kernel)
            ),
        ),
    };
    Some(finding(kind, message, Some(row.place.clone())).about(row.directive))
}

/// What another reading of the same files makes different.
fn changed(read: &TreeRead) -> Vec<Finding> {
    let pairs = read.before.iter().filter_map(|before| {
        let after = read.after.iter().find(|after| after.name == before.name)?;
        Some((before, after))
    });
    let found = pairs.flat_map(|(before, after)| {
        controls().iter().filter_map(|control| {
            let told = |unit: &UnitRead| {
                let kernel =
                    control.file.and_then(|file| unit.kernel.get(file)).map(|text| text.trim().to_owned());
                (unit.loaded.get(control.property).cloned(), kernel)
            };
            let (was, is) = (told(before), told(after));
            if was == is {
                return None;
            }
            let show = |(loaded, kernel): (Option<String>, Option<String>)| {
                format!("{} (kernel: {})", loaded.unwrap_or_default(), kernel.unwrap_or_default())
            };
            let message = format!(
                "{} of {} is {} after the boot and {} after daemon-reload",
                control.directive,
                before.name,
                show(was),
                show(is)
            );
            let place = after.dropins.iter().find(|path| !before.dropins.contains(path));
            Some(finding(Kind::ChangedByReload, message, place.cloned()).about(control.directive))
        })
    });
    found.collect()
}

fn entrance(tree: &Tree, read: &TreeRead) -> Option<Finding> {
    let way = way_in(&tree.enter);
    match (&read.entered, &read.cgroup) {
        (Err(why), _) => Some(finding(Kind::EntranceClosed, format!("{way} is no way in: {why}"), None)),
        (Ok(landed), Some(cgroup)) if cgroup.contains(landed) => None,
        (Ok(landed), cgroup) => {
            let tree = cgroup.as_ref().map_or_else(|| tree.cgroup.to_string(), ToString::to_string);
            let message = format!("{way} leads into {landed}, which is not in {tree}");
            Some(finding(Kind::EntranceElsewhere, message, None))
        }
    }
}

/// The way in, as its users would call it.
#[must_use]
pub fn way_in(enter: &Entrance) -> String {
    match enter {
        Entrance::Ssh(user) => format!("a login of {user} over ssh"),
        Entrance::Instance(unit) | Entrance::Service(unit) => unit.to_string(),
        Entrance::Docker => "a container of docker".to_owned(),
        Entrance::Scope(slice) => format!("a scope in {slice}"),
    }
}

fn has_cap(units: &[UnitRead]) -> bool {
    let caps = controls().iter().filter(|control| control.is_cap());
    caps.filter_map(|cap| effective(units, cap)).any(|effective| effective.value.parse::<u64>().is_ok())
}

fn uncapped(tree: &Tree, read: &TreeRead) -> Option<Finding> {
    let message = || {
        format!("{} has no memory cap: neither MemoryMax nor MemoryHigh from it up to the root", tree.cgroup)
    };
    (!has_cap(&read.before)).then(|| finding(Kind::NoCap, message(), None))
}

/// A drop-in of `user.slice` where one of `user-.slice` was meant.
fn shared(tree: &Tree, reading: &Reading, read: &TreeRead) -> Option<Finding> {
    const ALL: &str = "user.slice";
    let Entrance::Ssh(_) = tree.enter else { return None };
    let below: Vec<UnitRead> = read.before.iter().filter(|unit| unit.name != ALL).cloned().collect();
    if has_cap(&below) {
        return None;
    }
    let rows = rows(reading, read);
    let cap = rows.iter().find(|row| {
        row.unit == ALL && controls().iter().any(|cap| cap.is_cap() && cap.directive == row.directive)
    })?;
    let message = format!(
        "{} has no cap of its own: {}={} is one for all users together, because it is set on {ALL}; a drop-in for each user \
         lies in user-.slice.d",
        tree.cgroup, cap.directive, cap.declared
    );
    Some(finding(Kind::SharedCap, message, Some(cap.place.clone())))
}

/// The lines of `systemd-analyze verify` about files of the policy's of which nothing else has been found.
fn complaints(root: &Root, reading: &Reading, found: &[Finding]) -> Vec<Finding> {
    let path = |place: &str| place.rsplit_once(':').map_or(place, |(path, _)| path).to_owned();
    let known: BTreeSet<String> = found.iter().filter_map(|one| one.place.as_deref()).map(path).collect();
    let lines: BTreeSet<&str> = reading.complaints.iter().map(String::as_str).collect();
    let own = |line: &str| {
        let (subject, _) = line.split_once(':').unwrap_or((line, ""));
        let fragment = format!("/etc/systemd/system/{subject}");
        (is_own(root, subject) || root.entries.contains_key(&fragment)) && !known.contains(subject)
    };
    let found = lines.into_iter().filter(|line| own(line)).map(|line| {
        let (place, message) = line.split_once(": ").unwrap_or(("", line));
        finding(Kind::Complaint, format!("systemd-analyze verify: {message}"), Some(place.to_owned()))
    });
    found.collect()
}

#[cfg(test)]
mod tests;
