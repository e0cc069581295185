//! The controls that are read back: what one is called in a unit file, over D-Bus, and in a cgroup, and one notation for all three.

use crate::notation::Bytes;
use crate::unit_file::Value;

/// No limit, or not set.
pub(super) const INFINITY: &str = "infinity";

const PAGE: u64 = 4096;

/// A control.
#[derive(Debug, PartialEq, Eq)]
pub struct Control {
    /// In a unit file.
    pub directive: &'static str,
    /// Over D-Bus.
    pub property: &'static str,
    /// In the cgroup; none where it is systemd's alone.
    pub file: Option<&'static str>,
    kind: Kind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// Bytes of a limit.
    Limit,
    /// Protected bytes: unset means none.
    Protection,
    Tasks,
    /// Unset, the kernel's own weight holds.
    Weight,
    /// Microseconds of CPU time a second.
    Quota,
    Word,
}

const fn control(directive: &'static str, file: &'static str, kind: Kind) -> Control {
    Control { directive, property: directive, file: Some(file), kind }
}

const CONTROLS: &[Control] = &[
    control("MemoryMax", "memory.max", Kind::Limit),
    control("MemoryHigh", "memory.high", Kind::Limit),
    control("MemorySwapMax", "memory.swap.max", Kind::Limit),
    control("MemoryZSwapMax", "memory.zswap.max", Kind::Limit),
    control("MemoryMin", "memory.min", Kind::Protection),
    control("MemoryLow", "memory.low", Kind::Protection),
    control("TasksMax", "pids.max", Kind::Tasks),
    control("CPUWeight", "cpu.weight", Kind::Weight),
    Control { property: "CPUQuotaPerSecUSec", ..control("CPUQuota", "cpu.max", Kind::Quota) },
    control("IOWeight", "io.weight", Kind::Weight),
    Control { file: None, ..control("OOMPolicy", "", Kind::Word) },
    Control { file: None, ..control("ManagedOOMSwap", "", Kind::Word) },
    Control { file: None, ..control("ManagedOOMMemoryPressure", "", Kind::Word) },
    Control { file: None, ..control("ManagedOOMPreference", "", Kind::Word) },
];

/// All of them, caps first.
#[must_use]
pub fn controls() -> &'static [Control] {
    CONTROLS
}

impl Control {
    /// Whether the lowest on the way to the root is what counts.
    #[must_use]
    pub fn narrows(&self) -> bool {
        matches!(self.kind, Kind::Limit | Kind::Tasks)
    }

    /// Whether it caps memory: over it, something is throttled or killed.
    #[must_use]
    pub fn is_cap(&self) -> bool {
        matches!(self.directive, "MemoryMax" | "MemoryHigh")
    }

    /// What systemd should have loaded; none where the files alone do not tell it, as for a share of the tasks.
    #[must_use]
    pub fn expected(&self, value: &Value, memory: u64) -> Option<String> {
        match (self.kind, value) {
            (Kind::Protection, Value::Default) => Some("0".to_owned()),
            (Kind::Limit | Kind::Weight | Kind::Quota, Value::Default) | (_, Value::Infinity) => {
                Some(INFINITY.to_owned())
            }
            (Kind::Limit | Kind::Protection, value) => {
                value.bytes(Bytes(memory)).map(|bytes| bytes.0.to_string())
            }
            (Kind::Tasks | Kind::Weight, Value::Number(number)) => Some(number.to_string()),
            (Kind::Quota, Value::Share(share)) => Some((u64::from(share.0) * 100).to_string()),
            (Kind::Word, Value::Text(word)) => Some(word.clone()),
            _ => None,
        }
    }

    /// Whether what was expected of a value is what was loaded. systemd computes shares in another order: they may be a page off.
    #[must_use]
    pub fn is_as_expected(&self, value: &Value, expected: &str, loaded: &str) -> bool {
        match (value, expected.parse::<u64>(), loaded.parse::<u64>()) {
            (Value::Share(_), Ok(expected), Ok(loaded)) => expected.abs_diff(loaded) <= PAGE,
            _ => expected == loaded,
        }
    }

    /// The text of the cgroup's file in the notation of what is loaded; none where it says nothing.
    #[must_use]
    pub fn of_kernel(&self, text: &str) -> Option<String> {
        let mut words = text.split_ascii_whitespace();
        let (first, second) = (words.next()?, words.next());
        match (self.kind, first) {
            (_, "max") => Some(INFINITY.to_owned()),
            (Kind::Quota, quota) => {
                let (quota, period) = (quota.parse::<u64>().ok()?, second?.parse::<u64>().ok()?);
                Some((quota * 1_000_000).checked_div(period)?.to_string())
            }
            (Kind::Weight, "default") => second.map(str::to_owned),
            (_, number) => Some(number.to_owned()),
        }
    }

    /// Whether the kernel holds what is loaded. It rounds sizes down to pages; what is not set it fills in.
    #[must_use]
    pub fn is_in_force(&self, loaded: &str, kernel: &str) -> bool {
        match (self.kind, loaded.parse::<u64>()) {
            (Kind::Limit | Kind::Protection, Ok(bytes)) => kernel == (bytes / PAGE * PAGE).to_string(),
            (Kind::Weight, Err(_)) => true,
            _ => kernel == loaded,
        }
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;
    use crate::unit_file::{Directive, value};

    fn named(directive: &str) -> &'static Control {
        CONTROLS.iter().find(|control| control.directive == directive).expect("a control")
    }

    /// The numbers of `org.freedesktop.systemd1(5)` for a machine of 2 GiB.
    #[rstest]
    #[case("MemoryMax", "512M", Some("536870912"))]
    #[case("MemoryMax", "25%", Some("536870912"))]
    #[case("MemoryMax", "infinity", Some("infinity"))]
    #[case("MemoryMax", "", Some("infinity"))]
    #[case("MemoryLow", "", Some("0"))]
    #[case("MemorySwapMax", "0", Some("0"))]
    #[case("TasksMax", "500", Some("500"))]
    #[case("TasksMax", "33%", None)]
    #[case("CPUQuota", "150%", Some("1500000"))]
    #[case("CPUWeight", "50", Some("50"))]
    #[case("OOMPolicy", "continue", Some("continue"))]
    fn a_declared_value_is_what_systemd_should_load(
        #[case] directive: &str,
        #[case] text: &str,
        #[case] expected: Option<&str>,
    ) {
        let kind = Directive::named(directive).expect("a directive").kind;
        let value = value::parse(kind, text).expect("a value");
        assert_eq!(named(directive).expected(&value, 2 << 30).as_deref(), expected);
    }

    #[rstest]
    #[case("MemoryMax", "infinity", "max\n", true)]
    #[case("MemoryMax", "1000000", "999424\n", true)]
    #[case("MemoryMax", "1000000", "1000000\n", false)]
    #[case("MemoryMax", "419430400", "max\n", false)]
    #[case("CPUQuota", "1500000", "150000 100000\n", true)]
    #[case("CPUQuota", "infinity", "max 100000\n", true)]
    #[case("CPUWeight", "50", "100\n", false)]
    #[case("CPUWeight", "infinity", "100\n", true)]
    #[case("IOWeight", "200", "default 200\n", true)]
    #[case("TasksMax", "500", "500\n", true)]
    fn what_the_kernel_holds_is_compared_in_one_notation(
        #[case] directive: &str,
        #[case] loaded: &str,
        #[case] file: &str,
        #[case] same: bool,
    ) {
        let control = named(directive);
        assert_eq!(control.is_in_force(loaded, &control.of_kernel(file).expect("a value")), same);
    }
}
