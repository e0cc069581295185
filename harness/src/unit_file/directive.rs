//! Every resource control that a unit file can set: its section, its values, its first version, and what took a legacy one's place.
//!
//! From `load-fragment-gperf.gperf.in` of systemd 247 to 258. Other directives are none of the harness's business.

use super::value::Kind;

/// A resource control.
#[derive(Debug, PartialEq, Eq)]
pub struct Directive {
    /// Its name.
    pub name: &'static str,
    /// What it takes.
    pub kind: Kind,
    /// The unit types that take it.
    pub units: Takers,
    /// The first systemd version with it.
    pub since: u32,
    /// Whether each assignment adds to those before, until an empty one.
    pub adds: bool,
    /// For a control of cgroup v1: what stands in its place. systemd translates it while none of the new ones is set, and
    /// from version 258 on ignores it.
    pub replaced_by: Option<&'static str>,
}

/// Which unit types take a directive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Takers {
    /// All that have a cgroup.
    Cgroups,
    /// Those that start processes: all of these but slices and scopes.
    Execs,
    /// All of these but slices.
    NotSlices,
    /// Services, and scopes from version 253 on (252.5 with a backport).
    ServicesAndScopes,
}

/// The unit types with a cgroup, and their sections.
const SECTIONS: [(&str, &str); 6] = [
    ("slice", "Slice"),
    ("service", "Service"),
    ("scope", "Scope"),
    ("socket", "Socket"),
    ("mount", "Mount"),
    ("swap", "Swap"),
];

/// The section in which a unit of that type has its resource controls; none where it has no cgroup.
#[must_use]
pub fn section(unit_type: &str) -> Option<&'static str> {
    SECTIONS.iter().find(|(of, _)| *of == unit_type).map(|(_, section)| *section)
}

/// Whether a section is one for resource controls, of whatever type of unit.
#[must_use]
pub fn is_section(name: &str) -> bool {
    SECTIONS.iter().any(|(_, section)| *section == name)
}

impl Directive {
    /// The directive of that exact name: systemd's keys are case-sensitive.
    #[must_use]
    pub fn named(name: &str) -> Option<&'static Self> {
        DIRECTIVES.iter().find(|directive| directive.name == name)
    }

    /// Whether a unit of that type takes it.
    #[must_use]
    pub fn is_for(&self, unit_type: &str) -> bool {
        section(unit_type).is_some()
            && match self.units {
                Takers::Cgroups => true,
                Takers::Execs => !matches!(unit_type, "slice" | "scope"),
                Takers::NotSlices => unit_type != "slice",
                Takers::ServicesAndScopes => matches!(unit_type, "service" | "scope"),
            }
    }

    /// Whether its value is a size of memory, absolute or as a share.
    #[must_use]
    pub const fn is_memory(&self) -> bool {
        matches!(self.kind, Kind::Limit | Kind::LimitOrZero | Kind::Protection)
    }
}

const fn cgroup(name: &'static str, kind: Kind, since: u32) -> Directive {
    Directive { name, kind, units: Takers::Cgroups, since, adds: false, replaced_by: None }
}

const fn legacy(name: &'static str, kind: Kind, replaced_by: &'static str) -> Directive {
    Directive { replaced_by: Some(replaced_by), ..cgroup(name, kind, 208) }
}

const fn list(name: &'static str, since: u32) -> Directive {
    Directive { adds: true, ..cgroup(name, Kind::Text, since) }
}

const ACTION: Kind = Kind::Words(&["auto", "kill"], true);
const PREFERENCE: Kind = Kind::Words(&["none", "avoid", "omit"], false);
const OOM_POLICY: Kind = Kind::Words(&["continue", "stop", "kill"], false);
const KILL_MODE: Kind = Kind::Words(&["control-group", "mixed", "process", "none"], false);

/// All of them.
pub const DIRECTIVES: &[Directive] = &[
    cgroup("MemoryMin", Kind::Protection, 240),
    cgroup("DefaultMemoryMin", Kind::Protection, 243),
    cgroup("MemoryLow", Kind::Protection, 231),
    cgroup("DefaultMemoryLow", Kind::Protection, 242),
    cgroup("StartupMemoryLow", Kind::Protection, 254),
    cgroup("DefaultStartupMemoryLow", Kind::Protection, 254),
    cgroup("MemoryHigh", Kind::Limit, 231),
    cgroup("StartupMemoryHigh", Kind::Limit, 254),
    cgroup("MemoryMax", Kind::Limit, 231),
    cgroup("StartupMemoryMax", Kind::Limit, 254),
    cgroup("MemorySwapMax", Kind::LimitOrZero, 232),
    cgroup("StartupMemorySwapMax", Kind::LimitOrZero, 254),
    cgroup("MemoryZSwapMax", Kind::LimitOrZero, 253),
    cgroup("StartupMemoryZSwapMax", Kind::LimitOrZero, 254),
    cgroup("MemoryZSwapWriteback", Kind::Flag, 256),
    cgroup("MemoryAccounting", Kind::Flag, 208),
    cgroup("MemoryPressureWatch", Kind::Words(&["auto", "on", "off", "skip"], true), 254),
    cgroup("MemoryPressureThresholdSec", Kind::Text, 254),
    legacy("MemoryLimit", Kind::Limit, "MemoryMax"),
    cgroup("ManagedOOMSwap", ACTION, 247),
    cgroup("ManagedOOMMemoryPressure", ACTION, 247),
    cgroup("ManagedOOMMemoryPressureLimit", Kind::Share, 247),
    cgroup("ManagedOOMMemoryPressureDurationSec", Kind::Text, 257),
    cgroup("ManagedOOMPreference", PREFERENCE, 248),
    Directive { units: Takers::ServicesAndScopes, ..cgroup("OOMPolicy", OOM_POLICY, 243) },
    Directive { units: Takers::Execs, ..cgroup("OOMScoreAdjust", Kind::Score, 187) },
    Directive { units: Takers::NotSlices, ..cgroup("KillMode", KILL_MODE, 187) },
    Directive { units: Takers::NotSlices, adds: true, ..cgroup("Delegate", Kind::Text, 218) },
    Directive { units: Takers::NotSlices, ..cgroup("Slice", Kind::Text, 208) },
    list("DisableControllers", 240),
    cgroup("TasksMax", Kind::Tasks, 227),
    cgroup("TasksAccounting", Kind::Flag, 227),
    cgroup("CPUWeight", Kind::Weight, 232),
    cgroup("StartupCPUWeight", Kind::Weight, 232),
    cgroup("CPUQuota", Kind::Quota, 213),
    cgroup("CPUQuotaPeriodSec", Kind::Text, 242),
    cgroup("CPUAccounting", Kind::Flag, 208),
    list("AllowedCPUs", 244),
    list("StartupAllowedCPUs", 252),
    list("AllowedMemoryNodes", 244),
    list("StartupAllowedMemoryNodes", 252),
    legacy("CPUShares", Kind::Number(2, 262_144), "CPUWeight"),
    legacy("StartupCPUShares", Kind::Number(2, 262_144), "StartupCPUWeight"),
    cgroup("IOWeight", Kind::Weight, 230),
    cgroup("StartupIOWeight", Kind::Weight, 230),
    cgroup("IOAccounting", Kind::Flag, 230),
    list("IODeviceWeight", 230),
    list("IOReadBandwidthMax", 230),
    list("IOWriteBandwidthMax", 230),
    list("IOReadIOPSMax", 230),
    list("IOWriteIOPSMax", 230),
    list("IODeviceLatencyTargetSec", 240),
    legacy("BlockIOAccounting", Kind::Flag, "IOAccounting"),
    legacy("BlockIOWeight", Kind::Number(10, 1000), "IOWeight"),
    legacy("StartupBlockIOWeight", Kind::Number(10, 1000), "StartupIOWeight"),
    Directive { adds: true, ..legacy("BlockIODeviceWeight", Kind::Text, "IODeviceWeight") },
    Directive { adds: true, ..legacy("BlockIOReadBandwidth", Kind::Text, "IOReadBandwidthMax") },
    Directive { adds: true, ..legacy("BlockIOWriteBandwidth", Kind::Text, "IOWriteBandwidthMax") },
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use rstest::rstest;

    use super::*;

    #[test]
    fn each_directive_stands_once_and_what_replaces_one_is_there() {
        let names: BTreeSet<_> = DIRECTIVES.iter().map(|directive| directive.name).collect();
        assert_eq!(names.len(), DIRECTIVES.len());
        let replaced = DIRECTIVES.iter().filter_map(|directive| directive.replaced_by);
        assert_eq!(replaced.filter(|by| !names.contains(by)).collect::<Vec<_>>(), Vec::<&str>::new());
    }

    /// What a scenario may set is a resource control here, of the same version.
    #[test]
    fn the_properties_of_scenarios_are_directives() {
        for property in crate::property::PropertyName::ALL {
            let info = property.info();
            let directive = Directive::named(info.text).unwrap_or_else(|| panic!("{} is missing", info.text));
            assert_eq!(directive.since, info.since, "{}", info.text);
        }
    }

    /// "Unknown key" and "not supported for this unit type" of `systemd-analyze verify`.
    #[rstest]
    #[case("OOMPolicy", "slice", false)]
    #[case("OOMPolicy", "scope", true)]
    #[case("OOMScoreAdjust", "slice", false)]
    #[case("OOMScoreAdjust", "scope", false)]
    #[case("OOMScoreAdjust", "service", true)]
    #[case("Delegate", "slice", false)]
    #[case("Slice", "slice", false)]
    #[case("Slice", "service", true)]
    #[case("MemoryMax", "slice", true)]
    #[case("MemoryMax", "timer", false)]
    fn not_every_unit_takes_everything(#[case] name: &str, #[case] unit_type: &str, #[case] takes: bool) {
        assert_eq!(Directive::named(name).map(|directive| directive.is_for(unit_type)), Some(takes));
    }
}
