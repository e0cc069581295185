//! Metrics of a cgroup: files of its directory. They vanish with it, so the last sample counts.

use super::Course::{Counter, Gauge, Peak};
use super::Unit::{Bytes, Count, Duration};
use super::{Course, MetricInfo, SubjectKind, Unit};
use crate::metric::source::Field::{self, Key, Number, Stall};
use crate::metric::source::Source;

pub(in crate::metric) const METRICS: &[MetricInfo] = &[
    row(
        "memory.current",
        Bytes,
        Gauge,
        "memory.current",
        Number,
        "Memory charged to the cgroup and its children now: anonymous memory, page cache, kernel \
         stacks, page tables, slab and sockets, not only resident pages of processes. It leads real \
         use by up to 64 pages for each CPU, because charges are taken in batches. Pages stay charged \
         to the cgroup that first touched them, whatever their process does later.",
    ),
    row(
        "memory.peak",
        Bytes,
        Peak,
        "memory.peak",
        Number,
        "The highest memory.current since the cgroup was made. It cannot be missed between two \
         samples, but the file vanishes with the cgroup, so the last sample counts. Missing before \
         kernel 5.19.",
    )
    .since(5, 19),
    row(
        "memory.events.low",
        Count,
        Counter,
        "memory.events",
        Key("low"),
        "Times the cgroup was reclaimed although it was below its MemoryLow: the protection was \
         overcommitted. Counts this cgroup and everything below it.",
    ),
    row(
        "memory.events.high",
        Count,
        Counter,
        "memory.events",
        Key("high"),
        "Reclaim passes above MemoryHigh, here or in an ancestor. It is not a count of throttled \
         sleeps: one throttle of unreclaimable memory adds about 17 (one pass and 16 retries). Counts \
         this cgroup and everything below it.",
    ),
    row(
        "memory.events.max",
        Count,
        Counter,
        "memory.events",
        Key("max"),
        "Times a charge ran into MemoryMax and had to reclaim. About 18 for each OOM, and it also \
         grows without any OOM (a refused huge page falls back to small pages) and for a moment after \
         the kill. Counts this cgroup and everything below it.",
    ),
    row(
        "memory.events.oom",
        Count,
        Counter,
        "memory.events",
        Key("oom"),
        "Times the limit was hit and reclaim failed. It is charged to the cgroup whose limit was hit, \
         not to the victim, and may exceed the kills: concurrent allocators, victims already exiting, \
         or no process that may be killed. Counts this cgroup and everything below it.",
    ),
    row(
        "memory.events.oom_kill",
        Count,
        Counter,
        "memory.events",
        Key("oom_kill"),
        "Processes of the cgroup killed by any OOM killer. It is charged to the victim's cgroup and \
         does NOT prove that the cgroup's own limit did it: a machine-wide OOM counts here too, with \
         `oom` flat. A group kill counts its first victim twice. Counts this cgroup and everything \
         below it.",
    ),
    row(
        "memory.events.oom_group_kill",
        Count,
        Counter,
        "memory.events",
        Key("oom_group_kill"),
        "Times the whole cgroup was killed as one (OOMPolicy=kill). Missing before kernel 5.17. \
         Counts this cgroup and everything below it.",
    )
    .since(5, 17),
    row(
        "memory.events.local.low",
        Count,
        Counter,
        "memory.events.local",
        Key("low"),
        "Times the cgroup was reclaimed although it was below its MemoryLow: the protection was \
         overcommitted. Counts this cgroup alone, not its children.",
    ),
    row(
        "memory.events.local.high",
        Count,
        Counter,
        "memory.events.local",
        Key("high"),
        "Reclaim passes above MemoryHigh, here or in an ancestor. It is not a count of throttled \
         sleeps: one throttle of unreclaimable memory adds about 17 (one pass and 16 retries). Counts \
         this cgroup alone, not its children.",
    ),
    row(
        "memory.events.local.max",
        Count,
        Counter,
        "memory.events.local",
        Key("max"),
        "Times a charge ran into MemoryMax and had to reclaim. About 18 for each OOM, and it also \
         grows without any OOM (a refused huge page falls back to small pages) and for a moment after \
         the kill. Counts this cgroup alone, not its children.",
    ),
    row(
        "memory.events.local.oom",
        Count,
        Counter,
        "memory.events.local",
        Key("oom"),
        "Times the limit was hit and reclaim failed. It is charged to the cgroup whose limit was hit, \
         not to the victim, and may exceed the kills: concurrent allocators, victims already exiting, \
         or no process that may be killed. Counts this cgroup's own limit only: above 0 here, the limit \
         that was hit is this one.",
    ),
    row(
        "memory.events.local.oom_kill",
        Count,
        Counter,
        "memory.events.local",
        Key("oom_kill"),
        "Processes of the cgroup killed by any OOM killer. It is charged to the victim's cgroup and \
         does NOT prove that the cgroup's own limit did it: a machine-wide OOM counts here too, with \
         `oom` flat. A group kill counts its first victim twice. Counts this cgroup alone, not its \
         children.",
    ),
    row(
        "memory.events.local.oom_group_kill",
        Count,
        Counter,
        "memory.events.local",
        Key("oom_group_kill"),
        "Times the whole cgroup was killed as one (OOMPolicy=kill). Missing before kernel 5.17. \
         Counts this cgroup alone, not its children.",
    )
    .since(5, 17),
    row(
        "memory.stat.anon",
        Bytes,
        Gauge,
        "memory.stat",
        Key("anon"),
        "Anonymous memory. Without swap none of it can be reclaimed. Counts the whole subtree.",
    ),
    row(
        "memory.stat.file",
        Bytes,
        Gauge,
        "memory.stat",
        Key("file"),
        "Page cache, shared memory and tmpfs included. Executables and libraries belong to whoever \
         touched them first: with a warm cache the hog pays nothing for its own text, with a cold one \
         it does, and that flips what systemd-oomd does. Counts the whole subtree.",
    ),
    row(
        "memory.stat.shmem",
        Bytes,
        Gauge,
        "memory.stat",
        Key("shmem"),
        "Shared memory and tmpfs. Charged to the writer and not freed by killing it. Counts the whole \
         subtree.",
    ),
    row(
        "memory.stat.kernel",
        Bytes,
        Gauge,
        "memory.stat",
        Key("kernel"),
        "Kernel memory: stacks, page tables, slab, percpu. Missing before kernel 5.18. Counts the \
         whole subtree.",
    )
    .since(5, 18),
    row(
        "memory.stat.pgscan",
        Count,
        Counter,
        "memory.stat",
        Key("pgscan"),
        "Pages scanned by reclaim. systemd-oomd only acts on pressure while this grows. The two LRU \
         implementations count differently (isolated or scanned pages), so compare with zero, not \
         with a number. Counts the whole subtree.",
    ),
    row(
        "memory.stat.pgsteal",
        Count,
        Counter,
        "memory.stat",
        Key("pgsteal"),
        "Pages freed by reclaim. Counts the whole subtree.",
    ),
    row(
        "memory.stat.pgfault",
        Count,
        Counter,
        "memory.stat",
        Key("pgfault"),
        "Page faults, minor and major. Counts the whole subtree.",
    ),
    row(
        "memory.stat.pgmajfault",
        Count,
        Counter,
        "memory.stat",
        Key("pgmajfault"),
        "Page faults that had to read from disk or swap (major faults). Counts the whole subtree.",
    ),
    row(
        "memory.stat.workingset_refault_anon",
        Count,
        Counter,
        "memory.stat",
        Key("workingset_refault_anon"),
        "Anonymous pages refaulted: swapped in again soon after they were evicted. Counts the whole subtree.",
    ),
    row(
        "memory.stat.workingset_refault_file",
        Count,
        Counter,
        "memory.stat",
        Key("workingset_refault_file"),
        "File pages refaulted: read again soon after they were evicted, the sign of thrashing. Counts \
         the whole subtree.",
    ),
    row(
        "memory.pressure.some",
        Duration,
        Counter,
        "memory.pressure",
        Stall("some"),
        "Time in which at least one task of the cgroup waited for memory (`total` of the `some` \
         line). Memory stall is direct reclaim, the sleep above MemoryHigh, swap-in, refaults and \
         compaction. As a rate it is a share of wall time: max-rate = \"10%\". The total is exact at \
         every read; the kernel's averages are not used.",
    ),
    row(
        "memory.pressure.full",
        Duration,
        Counter,
        "memory.pressure",
        Stall("full"),
        "Time in which all non-idle tasks of the cgroup waited for memory at once (`total` of the \
         `full` line). One runnable task in the group hides it. As a rate it is a share of wall time: \
         min-rate = \"80%\".",
    ),
    row(
        "memory.swap.current",
        Bytes,
        Gauge,
        "memory.swap.current",
        Number,
        "Swap charged to the cgroup now. Lowering MemorySwapMax swaps nothing back in. Missing on \
         kernels without swap support; always 0 on a machine without swap, which proves nothing.",
    ),
    row(
        "memory.swap.peak",
        Bytes,
        Peak,
        "memory.swap.peak",
        Number,
        "The highest memory.swap.current since the cgroup was made. Missing before kernel 6.5 (Debian \
         12 has 6.1): sample memory.swap.current there.",
    )
    .since(6, 5),
    row(
        "memory.swap.events.high",
        Count,
        Counter,
        "memory.swap.events",
        Key("high"),
        "Times swap use passed memory.swap.high. With MemorySwapMax=0 the kernel does not even try, \
         so all three stay 0: this does not count swap prevented.",
    ),
    row(
        "memory.swap.events.max",
        Count,
        Counter,
        "memory.swap.events",
        Key("max"),
        "Times the cgroup wanted more swap than MemorySwapMax allows. With MemorySwapMax=0 the kernel \
         does not even try, so all three stay 0: this does not count swap prevented.",
    ),
    row(
        "memory.swap.events.fail",
        Count,
        Counter,
        "memory.swap.events",
        Key("fail"),
        "Times swapping out failed, because of the limit or because the machine had no room. With \
         MemorySwapMax=0 the kernel does not even try, so all three stay 0: this does not count swap prevented.",
    ),
    row(
        "cpu.usage",
        Duration,
        Counter,
        "cpu.stat",
        Key("usage_usec"),
        "CPU time used by the cgroup. Present without the cpu controller. As a rate, 100% is one CPU.",
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
    MetricInfo::new(name, SubjectKind::Cgroup, unit, course, Source::File(file, field), about)
}
