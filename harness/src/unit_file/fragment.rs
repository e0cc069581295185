//! A unit's name → the files that systemd reads for it: the unit file, and the drop-ins in the order in which they are applied.
//!
//! As `unit_file_find_fragment()` and `unit_file_find_dropin_paths()`: what is more specific wins only between files of one name.

use std::collections::BTreeMap;

use super::files::{Files, Manager, Node, is_dropin};
use crate::notation::UnitName;

/// The unit file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fragment {
    /// At that path; of the template, for an instance without a file of its own.
    Found(String),
    /// Masked by that file or link: the unit is never started.
    Masked(String),
    /// There is none among the files. Slices and scopes need none; a service without one is not there.
    Missing,
}

impl Fragment {
    /// Where it lies.
    #[must_use]
    pub fn path(&self) -> Option<&str> {
        match self {
            Self::Found(path) | Self::Masked(path) => Some(path),
            Self::Missing => None,
        }
    }
}

/// What a name stands for.
pub(super) struct Named {
    /// The name itself first, which an alias is replaced by, then every other name of the unit.
    pub(super) names: Vec<UnitName>,
    pub(super) fragment: Fragment,
}

/// What lies under a name in the directories of units.
enum Entry {
    Fragment(Fragment),
    Alias(UnitName),
}

/// Aliases of aliases beyond this are a circle.
const MAX_ALIASES: usize = 8;

pub(super) fn find(files: &Files, manager: Manager, name: &UnitName) -> Named {
    let mut id = name.clone();
    let mut fragment = Fragment::Missing;
    for _ in 0..MAX_ALIASES {
        match entry(files, manager, &id) {
            Entry::Alias(target) => id = target,
            Entry::Fragment(found) => {
                fragment = found;
                break;
            }
        }
    }
    let mut others: Vec<UnitName> = manager
        .directories()
        .iter()
        .flat_map(|directory| files.names(directory))
        .filter_map(|other| other.parse::<UnitName>().ok())
        .filter_map(|other| alias_of(files, manager, &other, &id))
        .collect();
    others.extend(Some(name.clone()).filter(|name| *name != id));
    others.sort();
    others.dedup();
    Named { names: [vec![id], others].concat(), fragment }
}

/// `other`, or its instance, if it is another name of `id`.
fn alias_of(files: &Files, manager: Manager, other: &UnitName, id: &UnitName) -> Option<UnitName> {
    let other = match id.instance() {
        Some(instance) if other.is_template() => with_instance(other, instance)?,
        _ => other.clone(),
    };
    matches!(entry(files, manager, &other), Entry::Alias(target) if target == *id && other != *id)
        .then_some(other)
}

fn with_instance(template: &UnitName, instance: &str) -> Option<UnitName> {
    format!("{}{instance}.{}", template.stem(), template.unit_type()).parse().ok()
}

/// The first entry of that name, or else of its template.
fn entry(files: &Files, manager: Manager, name: &UnitName) -> Entry {
    let directories = manager.directories().iter();
    if let Some(found) = directories.clone().find_map(|directory| entry_in(files, directory, name)) {
        return found;
    }
    let template = name.template();
    let of_template =
        |template: &UnitName| directories.clone().find_map(|directory| entry_in(files, directory, template));
    match (template.as_ref().and_then(of_template), name.instance()) {
        (Some(Entry::Alias(target)), Some(instance)) if target.is_template() => {
            with_instance(&target, instance).map_or(Entry::Fragment(Fragment::Missing), Entry::Alias)
        }
        (Some(found), _) => found,
        (None, _) => Entry::Fragment(Fragment::Missing),
    }
}

fn entry_in(files: &Files, directory: &str, name: &UnitName) -> Option<Entry> {
    let path = format!("{directory}/{name}");
    let node = files.get(&path)?;
    if let Node::Link(target) = node {
        let base: Option<UnitName> = target.rsplit('/').next().and_then(|base| base.parse().ok());
        match base {
            Some(base) if base != *name && base.unit_type() == name.unit_type() => {
                return Some(Entry::Alias(base));
            }
            _ => {}
        }
    }
    let masked = match node {
        Node::File(bytes) => bytes.is_empty(),
        Node::Link(_) => {
            files.resolve(&path).as_deref() == Some("/dev/null")
                || files.read(&path).is_some_and(<[u8]>::is_empty)
        }
    };
    Some(Entry::Fragment(if masked { Fragment::Masked(path) } else { Fragment::Found(path) }))
}

/// A drop-in that another one of its name keeps from being read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PassedOver {
    /// Its path.
    pub path: String,
    /// The one that is read instead.
    pub by: String,
}

/// The drop-ins of a unit of these names: those that are read, in order, and those that are not.
pub(super) fn dropins(files: &Files, manager: Manager, names: &[UnitName]) -> (Vec<String>, Vec<PassedOver>) {
    let mut read: BTreeMap<String, String> = BTreeMap::new();
    let mut passed_over: Vec<PassedOver> = Vec::new();
    for directory in dropin_directories(manager, names) {
        let Some(real) = files.resolve(&directory) else { continue };
        for name in files.names(&real).filter(|name| is_dropin(name)) {
            let path = format!("{real}/{name}");
            // A directory is none.
            if files.get(&path).is_none() {
                continue;
            }
            match read.get(name) {
                Some(by) if *by == path => {}
                Some(by) => passed_over.push(PassedOver { path, by: by.clone() }),
                None => drop(read.insert(name.to_owned(), path)),
            }
        }
    }
    (read.into_values().collect(), passed_over)
}

/// Where drop-ins of a unit of these names are looked for, the directory that wins first: each name in every directory, and
/// last those for all units of the type.
pub(super) fn dropin_directories(manager: Manager, names: &[UnitName]) -> Vec<String> {
    let mut found = Vec::new();
    for name in names {
        for directory in manager.directories() {
            found.extend(dropin_names(name).into_iter().map(|name| format!("{directory}/{name}.d")));
        }
    }
    let unit_type = names.first().map(UnitName::unit_type).unwrap_or_default();
    found.extend(manager.directories().iter().map(|directory| format!("{directory}/{unit_type}.d")));
    found
}

/// `a-b@x.service` → `a-b@x.service`, `a-b@.service`, `a-@x.service`, `a-@.service`.
fn dropin_names(name: &UnitName) -> Vec<String> {
    let unit_type = name.unit_type();
    let (mut prefix, instance) = match name.stem().split_once('@') {
        Some((prefix, instance)) => (prefix, Some(instance)),
        None => (name.stem(), None),
    };
    let mut found = Vec::new();
    loop {
        match instance {
            None => found.push(format!("{prefix}.{unit_type}")),
            Some("") => found.push(format!("{prefix}@.{unit_type}")),
            Some(instance) => {
                found.push(format!("{prefix}@{instance}.{unit_type}"));
                found.push(format!("{prefix}@.{unit_type}"));
            }
        }
        let cut = prefix.strip_suffix('-').unwrap_or(prefix);
        match cut.rfind('-').filter(|at| *at > 0) {
            Some(at) => prefix = &prefix[..=at],
            None => return found,
        }
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    /// The order in which systemd 252 prefers one of two files of the same name.
    #[rstest]
    #[case("user-1000.slice", &["user-1000.slice", "user-.slice"])]
    #[case("a-b-c.slice", &["a-b-c.slice", "a-b-.slice", "a-.slice"])]
    #[case("a-b-c@x.service", &["a-b-c@x.service", "a-b-c@.service", "a-b-@x.service", "a-b-@.service", "a-@x.service", "a-@.service"])]
    #[case("user.slice", &["user.slice"])]
    #[case("-.slice", &["-.slice"])]
    #[case("server\\x2d1.slice", &["server\\x2d1.slice"])]
    fn drop_ins_go_by_the_name_and_its_beginnings(#[case] name: &str, #[case] expected: &[&str]) {
        assert_eq!(dropin_names(&name.parse().expect("a unit")), expected);
    }
}
