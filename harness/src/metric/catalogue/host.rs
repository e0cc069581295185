//! Metrics of the whole machine. They count everybody: attribute them only on a machine that is otherwise quiet.

use super::Course::{Counter, Gauge};
use super::Unit::{Bytes, Count, Duration, Hundredths};
use super::{Course, MetricInfo, SubjectKind, Unit};
use crate::metric::source::Field::{self, Decimal, Key, Kib, KibLess, Pages, Stall};
use crate::metric::source::Source;

pub(in crate::metric) const METRICS: &[MetricInfo] = &[
    row(
        "memory.available",
        Bytes,
        Gauge,
        "/proc/meminfo",
        Kib("MemAvailable"),
        "The kernel's estimate of the memory available without swapping, recomputed at each read.",
    ),
    row(
        "memory.free",
        Bytes,
        Gauge,
        "/proc/meminfo",
        Kib("MemFree"),
        "Unused memory; page cache counts as used. Low values are normal.",
    ),
    row(
        "memory.total",
        Bytes,
        Gauge,
        "/proc/meminfo",
        Kib("MemTotal"),
        "Memory of the machine, less what the kernel reserved at boot.",
    ),
    row(
        "swap.used",
        Bytes,
        Gauge,
        "/proc/meminfo",
        KibLess("SwapTotal", "SwapFree"),
        "Swap in use on the whole machine. It moves in clusters and freed slots come back late, so \
         allow a tolerance. 0 on a machine without swap, which proves nothing.",
    ),
    row(
        "swap.out",
        Bytes,
        Counter,
        "/proc/vmstat",
        Pages("pswpout", "zswpout"),
        "Memory written to swap since boot, whichever process it belonged to. Stores into zswap never reach \
         pswpout and are added; writes to zram are in pswpout. Attribute it only on a machine that is \
         otherwise quiet.",
    ),
    row(
        "swap.in",
        Bytes,
        Counter,
        "/proc/vmstat",
        Pages("pswpin", "zswpin"),
        "Memory read back from swap since boot.",
    ),
    row(
        "oom_kill",
        Count,
        Counter,
        "/proc/vmstat",
        Key("oom_kill"),
        "Processes killed by any OOM killer of the kernel since boot, inside a cgroup or \
         machine-wide.",
    ),
    row(
        "pgmajfault",
        Count,
        Counter,
        "/proc/vmstat",
        Key("pgmajfault"),
        "Page faults of the whole machine that had to read from disk or swap.",
    ),
    row(
        "pressure.memory.some",
        Duration,
        Counter,
        "/proc/pressure/memory",
        Stall("some"),
        "Time in which some task of the machine waited for memory. As a rate it is a share of wall \
         time.",
    ),
    row(
        "pressure.memory.full",
        Duration,
        Counter,
        "/proc/pressure/memory",
        Stall("full"),
        "Time in which all non-idle tasks of the machine waited for memory. High is NOT proof that \
         the machine is short of memory: one throttled cgroup on an idle machine drives it to 90 %. \
         Compare memory.available.",
    ),
    row(
        "pressure.io.some",
        Duration,
        Counter,
        "/proc/pressure/io",
        Stall("some"),
        "Time in which some task waited for a block device.",
    ),
    row(
        "pressure.io.full",
        Duration,
        Counter,
        "/proc/pressure/io",
        Stall("full"),
        "Time in which all non-idle tasks waited for a block device.",
    ),
    row(
        "pressure.cpu.some",
        Duration,
        Counter,
        "/proc/pressure/cpu",
        Stall("some"),
        "Time in which some runnable task waited for a CPU. There is no `full` for the whole machine.",
    ),
    row(
        "procs.blocked",
        Count,
        Gauge,
        "/proc/stat",
        Key("procs_blocked"),
        "Tasks that are waiting for a disk right now (D state). A pile-up is the sign of swap \
         thrashing. Tasks asleep above MemoryHigh are in D state too, but are not counted here, as \
         they do not wait for a disk.",
    ),
    row(
        "load.1",
        Hundredths,
        Gauge,
        "/proc/loadavg",
        Decimal,
        "Load average over a minute. Tasks in D state count. It lags by design; prefer procs.blocked.",
    ),
];

const fn row(
    name: &'static str,
    unit: Unit,
    course: Course,
    file: &'static str,
    field: Field,
    about: &'static str,
) -> MetricInfo {
    MetricInfo::new(name, SubjectKind::Host, unit, course, Source::File(file, field), about)
}
