//! A unit's name and a machine's files → every assignment to its resource controls: which are in force, and why the others are not.

use std::ops::Range;

use super::directive::{Directive, section};
use super::files::{Files, Manager};
use super::fragment::{self, Fragment, PassedOver};
use super::syntax::{self, Assignment, Ignored};
use super::value::{self, Kind, Value};
use crate::notation::UnitName;
use crate::notation::suggest::nearest;
use crate::unit_name::slices_above;

/// A line of a file.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// The file's path on the machine.
    pub path: String,
    /// From 1.
    pub line: usize,
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}", self.path, self.line)
    }
}

/// What becomes of an assignment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fate {
    /// It holds.
    InForce(Value),
    /// A later one holds instead, or an empty one after it took it back.
    Overridden(Place),
    /// systemd ignores it, because of its value.
    Refused(String),
    /// systemd ignores it, because of the section it stands in, or because this type of unit has no such directive.
    Misplaced(String),
    /// systemd knows no such directive; this one is near.
    Unknown(&'static str),
    /// The file is not read: this one has its name and comes first.
    FilePassedOver(String),
}

/// As a reason.
impl std::fmt::Display for Fate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::InForce(value) => write!(f, "{value} holds"),
            Self::Overridden(by) => write!(f, "{by} comes later"),
            Self::Refused(why) => write!(f, "systemd refuses it: {why}"),
            Self::Misplaced(why) => f.write_str(why),
            Self::Unknown(near) => write!(f, "systemd knows no such directive; {near} is near"),
            Self::FilePassedOver(by) => write!(f, "{by} has the name of its file and comes first"),
        }
    }
}

/// An assignment to a resource control.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Assigned {
    /// Where.
    pub place: Place,
    /// The key as written.
    pub key: String,
    /// The value as written.
    pub text: String,
    /// The bytes of the value in the file.
    pub span: Range<usize>,
    /// What becomes of it.
    pub fate: Fate,
}

impl Assigned {
    /// The value, if it holds.
    #[must_use]
    pub fn value(&self) -> Option<&Value> {
        match &self.fate {
            Fate::InForce(value) => Some(value),
            _ => None,
        }
    }
}

/// A unit as its files make it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unit {
    /// Its name; of an alias, that of the unit behind it.
    pub name: UnitName,
    /// Its other names: aliases, whose drop-ins apply as well.
    pub aliases: Vec<UnitName>,
    /// Who reads it.
    pub manager: Manager,
    /// The unit file.
    pub fragment: Fragment,
    /// The drop-ins that are read, in the order in which they are applied.
    pub dropins: Vec<String>,
    /// The drop-ins that are not, because another one of their name comes first.
    pub passed_over: Vec<PassedOver>,
    /// Files that are read, and of which nothing is known: links that lead out of the files given.
    pub unknown: Vec<String>,
    /// The assignments, in the order in which systemd reads them; those of passed over files at the end.
    pub assigned: Vec<Assigned>,
    /// The lines that systemd passes over.
    pub ignored: Vec<(Place, syntax::Reason)>,
    /// Whether systemd refuses to load the unit: its file breaks off. A drop-in that does costs only its own rest.
    pub broken: bool,
}

/// Reads a unit.
#[must_use]
pub fn load(files: &Files, manager: Manager, name: &UnitName) -> Unit {
    let named = fragment::find(files, manager, name);
    let (dropins, passed_over) = fragment::dropins(files, manager, &named.names);
    let mut names = named.names.into_iter();
    let mut unit = Unit {
        name: names.next().unwrap_or_else(|| name.clone()),
        aliases: names.collect(),
        manager,
        fragment: named.fragment,
        dropins,
        passed_over,
        unknown: Vec::new(),
        assigned: Vec::new(),
        ignored: Vec::new(),
        broken: false,
    };
    if let Fragment::Found(path) = unit.fragment.clone() {
        let ends = unit.read(files, &path, None);
        unit.broken = ends;
    }
    for path in unit.dropins.clone() {
        unit.read(files, &path, None);
    }
    unit.settle();
    for PassedOver { path, by } in unit.passed_over.clone() {
        unit.read(files, &path, Some(&by));
    }
    unit
}

/// A unit and every slice around it, innermost first, without the root. Only the unit where its `Slice=` is not told by the
/// files.
#[must_use]
pub fn with_slices(files: &Files, manager: Manager, name: &UnitName) -> Vec<Unit> {
    let unit = load(files, manager, name);
    let around = match unit.slice() {
        Some(Ok(slice)) => Some(slice),
        Some(Err(_)) => None,
        None => Some(unit.name.clone()),
    };
    let mut names: Vec<UnitName> = around
        .iter()
        .flat_map(|slice| slices_above(slice).into_iter().chain([slice.to_string()]))
        .filter_map(|slice| slice.parse().ok())
        .filter(|slice: &UnitName| *slice != unit.name && &**slice != "-.slice")
        .collect();
    names.reverse();
    std::iter::once(unit).chain(names.iter().map(|slice| load(files, manager, slice))).collect()
}

/// Directives that look like a misspelt resource control and are none.
const NEIGHBOURS: [&str; 9] = [
    "MemoryDenyWriteExecute",
    "MemoryKSM",
    "CPUAffinity",
    "CPUSchedulingPolicy",
    "CPUSchedulingPriority",
    "IOSchedulingClass",
    "IOSchedulingPriority",
    "IPAccounting",
    "RestartMode",
];

impl Unit {
    /// The assignment to that directive that holds. For one that adds up, the last.
    #[must_use]
    pub fn in_force(&self, directive: &str) -> Option<&Assigned> {
        self.assigned.iter().rev().find(|one| one.key == directive && one.value().is_some())
    }

    /// The value of that directive, if an assignment to it holds.
    #[must_use]
    pub fn value(&self, directive: &str) -> Option<&Value> {
        self.in_force(directive)?.value()
    }

    /// The assignment behind a limit or weight, and its value: that of `directive`, or what systemd before version 258 makes of
    /// the legacy one on cgroup v2. It does so only while no directive of the new kind is set.
    #[must_use]
    pub fn effective(&self, directive: &str) -> Option<(&Assigned, Value)> {
        if let Some(own) = self.in_force(directive) {
            return own.value().map(|value| (own, value.clone()));
        }
        // `cgroup_context_has_unified_memory_config()` and its like.
        let (legacy, unified): (&str, &[&str]) = match directive {
            "MemoryMax" => {
                ("MemoryLimit", &["MemoryMin", "MemoryLow", "MemoryHigh", "MemorySwapMax", "MemoryZSwapMax"])
            }
            "CPUWeight" => ("CPUShares", &["StartupCPUWeight"]),
            "IOWeight" => (
                "BlockIOWeight",
                &[
                    "IOAccounting",
                    "StartupIOWeight",
                    "IODeviceWeight",
                    "IOReadBandwidthMax",
                    "IOWriteBandwidthMax",
                ],
            ),
            _ => return None,
        };
        let set = |name: &&str| {
            self.value(name).is_some_and(|value| !matches!(value, Value::Default | Value::Infinity))
        };
        if unified.iter().any(set) {
            return None;
        }
        let old = self.in_force(legacy)?;
        let value = match (directive, old.value()?) {
            ("CPUWeight", Value::Number(shares)) => Value::Number((shares * 100 / 1024).clamp(1, 10_000)),
            ("IOWeight", Value::Number(weight)) => Value::Number((weight * 100 / 500).clamp(1, 10_000)),
            (_, value) => value.clone(),
        };
        Some((old, value))
    }

    /// Takes in a file, and says whether it breaks off.
    fn read(&mut self, files: &Files, path: &str, passed_over_for: Option<&str>) -> bool {
        let Some(bytes) = files.read(path) else {
            // A link to /dev/null is an empty file.
            if files.resolve(path).as_deref() != Some("/dev/null") {
                self.unknown.push(path.to_owned());
            }
            return false;
        };
        let text = syntax::parse(bytes);
        for one in text.assignments {
            let fate = match passed_over_for {
                Some(by) if Directive::named(&one.key).is_some() => Some(Fate::FilePassedOver(by.to_owned())),
                Some(_) => None,
                None => self.fate(&one),
            };
            let Some(fate) = fate else { continue };
            let Assignment { key, value, line, span, .. } = one;
            let place = Place { path: path.to_owned(), line };
            self.assigned.push(Assigned { place, key, text: value, span, fate });
        }
        let place = |line| Place { path: path.to_owned(), line };
        if passed_over_for.is_none() {
            self.ignored.extend(text.ignored.iter().map(|one| (place(one.line), one.why)));
        }
        text.ignored.last().is_some_and(|Ignored { why, .. }| why.ends_the_file())
    }

    /// What an assignment is by itself; none for one to no resource control.
    fn fate(&self, one: &Assignment) -> Option<Fate> {
        let unit_type = self.name.unit_type();
        let own = section(unit_type);
        let Some(directive) = Directive::named(&one.key) else {
            let like_one = own == Some(&*one.section) && !one.key.starts_with("X-");
            let near = like_one.then(|| near_directive(&one.key)).flatten();
            return near.map(Fate::Unknown);
        };
        if own != Some(&*one.section) {
            let takes = own.map_or_else(
                || format!("a {unit_type} has no cgroup"),
                |own| format!("a {unit_type} has its resource controls in [{own}]"),
            );
            return Some(Fate::Misplaced(format!("it stands in [{}]: {takes}", one.section)));
        }
        if !directive.is_for(unit_type) {
            return Some(Fate::Misplaced(format!("a {unit_type} has no {}=", directive.name)));
        }
        if directive.kind == Kind::Weight && one.value == "idle" && one.key.ends_with("CPUWeight") {
            return Some(Fate::InForce(Value::Text(one.value.clone())));
        }
        Some(value::parse(directive.kind, &one.value).map_or_else(Fate::Refused, Fate::InForce))
    }

    /// Of the assignments that systemd takes, the last one to a directive holds; to one that adds up, all since the last empty
    /// one.
    fn settle(&mut self) {
        for index in 0..self.assigned.len() {
            let one = &self.assigned[index];
            let adds = Directive::named(&one.key).is_some_and(|directive| directive.adds);
            let ends = |later: &&Assigned| {
                later.key == one.key
                    && later.value().is_some()
                    && (!adds || later.value() == Some(&Value::Default))
            };
            if one.value().is_some()
                && let Some(by) = self.assigned[index + 1..].iter().rev().find(ends)
            {
                self.assigned[index].fate = Fate::Overridden(by.place.clone());
            }
        }
    }
}

fn near_directive(key: &str) -> Option<&'static str> {
    if NEIGHBOURS.contains(&key) {
        return None;
    }
    let near = nearest(key, super::DIRECTIVES.iter().map(|directive| directive.name))?;
    Directive::named(&near).map(|directive| directive.name)
}

#[cfg(test)]
mod tests;
