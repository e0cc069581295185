//! A metric of the catalogue and whose it is → a column of the sample file; and the metrics that the code itself names.

use std::fmt;

use super::catalogue::{MetricInfo, actor, cgroup, host};

/// A column of the sample file. `Display` is its name.
#[derive(Debug, Clone, Copy)]
pub struct Column<'a> {
    /// A cgroup, `host` or an actor, as it is called in the samples.
    pub subject: &'a str,
    /// What is known about its numbers.
    pub info: &'static MetricInfo,
}

impl fmt::Display for Column<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.subject, self.info.name)
    }
}

impl MetricInfo {
    /// The column of a subject.
    #[must_use]
    pub const fn of<'a>(&'static self, subject: &'a str) -> Column<'a> {
        Column { subject, info: self }
    }
}

impl Column<'static> {
    const fn host(name: &str) -> Self {
        row(host::METRICS, name).of("host")
    }
}

/// A row of the catalogue by its name: what is not there does not compile.
const fn row(table: &'static [MetricInfo], name: &str) -> &'static MetricInfo {
    let mut at = 0;
    while at < table.len() {
        if same(table[at].name.as_bytes(), name.as_bytes()) {
            return &table[at];
        }
        at += 1;
    }
    panic!("the catalogue has no such metric")
}

const fn same(one: &[u8], other: &[u8]) -> bool {
    let mut at = 0;
    while at < one.len() && at < other.len() && one[at] == other[at] {
        at += 1;
    }
    at == one.len() && at == other.len()
}

macro_rules! named {
    ($($metric:ident = $table:ident $name:literal,)+) => {
        $(#[doc = concat!("`", $name, "` of a subject.")] pub const $metric: &MetricInfo = row($table::METRICS, $name);)+
    };
}

named! {
    MEMORY_CURRENT = cgroup "memory.current",
    MEMORY_PEAK = cgroup "memory.peak",
    EVENTS_MAX = cgroup "memory.events.max",
    EVENTS_OOM = cgroup "memory.events.oom",
    EVENTS_OOM_KILL = cgroup "memory.events.oom_kill",
    LOCAL_OOM = cgroup "memory.events.local.oom",
    PRESSURE_SOME = cgroup "memory.pressure.some",
    CPU_USAGE = cgroup "cpu.usage",
    TOUCHED = actor "touched",
    STEPS = actor "steps",
    WAKEUPS = actor "wakeups",
    GAP_MAX = actor "gap.max",
}

/// Memory that the machine could still give.
pub const HOST_AVAILABLE: Column<'static> = Column::host("memory.available");
/// Time in which every task of the machine waited for memory.
pub const HOST_FULL: Column<'static> = Column::host("pressure.memory.full");
/// OOM kills on the whole machine.
pub const HOST_OOM_KILL: Column<'static> = Column::host("oom_kill");
/// Swap in use on the whole machine.
pub const HOST_SWAP_USED: Column<'static> = Column::host("swap.used");
/// What the whole machine has swapped out.
pub const HOST_SWAP_OUT: Column<'static> = Column::host("swap.out");
