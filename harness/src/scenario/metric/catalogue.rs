//! Every metric there is, with its unit, its source and its traps.
//!
//! A metric is added here and nowhere else: the parser, the schema, `bulkhead explain` and the sample columns all
//! read this table.

use std::fmt;

/// What kind of thing a metric belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SubjectKind {
    /// A declared cgroup; the source is a file of its directory.
    Cgroup,
    /// The whole machine.
    Host,
    /// An actor; the source is its status page.
    Actor,
    /// The probes of `[protect]`.
    Protect,
}

impl fmt::Display for SubjectKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Cgroup => "a cgroup",
            Self::Host => "the host",
            Self::Actor => "an actor",
            Self::Protect => "the protected probes",
        })
    }
}

/// What the number counts. All numbers are whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// Bytes.
    Bytes,
    /// Things.
    Count,
    /// Microseconds.
    Duration,
    /// Hundredths: a load of 1.25 is 125.
    Hundredths,
}

impl fmt::Display for Unit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Bytes => "bytes",
            Self::Count => "count",
            Self::Duration => "duration",
            Self::Hundredths => "number with two decimals",
        })
    }
}

/// How the number moves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Course {
    /// Up and down.
    Gauge,
    /// Only up: a running total. A cgroup's begins at 0 when it is made, the host's at boot.
    Counter,
    /// Only up: the highest so far.
    Peak,
    /// Computed over a whole phase, and no column of the sample file.
    Statistic,
}

impl fmt::Display for Course {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Gauge => "gauge",
            Self::Counter => "cumulative counter",
            Self::Peak => "highest so far",
            Self::Statistic => "statistic over a phase",
        })
    }
}

/// What is known about a metric.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MetricInfo {
    /// The name after the colon.
    pub name: &'static str,
    /// What it belongs to.
    pub subject: SubjectKind,
    /// What the number counts.
    pub unit: Unit,
    /// How the number moves.
    pub course: Course,
    /// The file (and field) it is read from.
    pub source: &'static str,
    /// The first kernel that has it; `None` for all that are supported.
    pub since_kernel: Option<(u16, u16)>,
    /// What it means and how it misleads.
    pub about: &'static str,
}

/// Every metric, grouped by subject.
#[must_use]
pub fn catalogue() -> &'static [MetricInfo] {
    CATALOGUE
}

const fn row(
    name: &'static str,
    subject: SubjectKind,
    unit: Unit,
    course: Course,
    source: &'static str,
    about: &'static str,
) -> MetricInfo {
    MetricInfo { name, subject, unit, course, source, since_kernel: None, about }
}

const fn from_kernel(major: u16, minor: u16, info: MetricInfo) -> MetricInfo {
    MetricInfo { since_kernel: Some((major, minor)), ..info }
}

use Course::{Counter, Gauge, Peak, Statistic};
use SubjectKind::{Actor, Cgroup, Host, Protect};
use Unit::{Bytes, Count, Duration, Hundredths};

const CATALOGUE: &[MetricInfo] = &[
    row(
        "memory.current",
        Cgroup,
        Bytes,
        Gauge,
        "memory.current",
        "Memory charged to the cgroup and its children now: anonymous memory, page cache, kernel stacks, page tables, slab and sockets, not only resident pages of processes. It leads real use by up to 64 pages for each CPU, because charges are taken in batches. Pages stay charged to the cgroup that first touched them, whatever their process does later.",
    ),
    from_kernel(
        5,
        19,
        row(
            "memory.peak",
            Cgroup,
            Bytes,
            Peak,
            "memory.peak",
            "The highest memory.current since the cgroup was made. It cannot be missed between two samples, but the file vanishes with the cgroup, so the last sample counts. Missing before kernel 5.19.",
        ),
    ),
    row(
        "memory.events.low",
        Cgroup,
        Count,
        Counter,
        "memory.events",
        "Times the cgroup was reclaimed although it was below its MemoryLow: the protection was overcommitted. Counts this cgroup and everything below it.",
    ),
    row(
        "memory.events.high",
        Cgroup,
        Count,
        Counter,
        "memory.events",
        "Reclaim passes above MemoryHigh, here or in an ancestor. It is not a count of throttled sleeps: one throttle of unreclaimable memory adds about 17 (one pass and 16 retries). Counts this cgroup and everything below it.",
    ),
    row(
        "memory.events.max",
        Cgroup,
        Count,
        Counter,
        "memory.events",
        "Times a charge ran into MemoryMax and had to reclaim. About 18 for each OOM, and it also grows without any OOM (a refused huge page falls back to small pages) and for a moment after the kill. Counts this cgroup and everything below it.",
    ),
    row(
        "memory.events.oom",
        Cgroup,
        Count,
        Counter,
        "memory.events",
        "Times the limit was hit and reclaim failed. It is charged to the cgroup whose limit was hit, not to the victim, and may exceed the kills: concurrent allocators, victims already exiting, or nobody who may be killed. Counts this cgroup and everything below it.",
    ),
    row(
        "memory.events.oom_kill",
        Cgroup,
        Count,
        Counter,
        "memory.events",
        "Processes of the cgroup killed by any OOM killer. It is charged to the victim's cgroup and does NOT prove that the cgroup's own limit did it: a machine-wide OOM counts here too, with `oom` flat. A group kill counts its first victim twice. Counts this cgroup and everything below it.",
    ),
    from_kernel(
        5,
        17,
        row(
            "memory.events.oom_group_kill",
            Cgroup,
            Count,
            Counter,
            "memory.events",
            "Times the whole cgroup was killed as one (OOMPolicy=kill). Missing before kernel 5.17. Counts this cgroup and everything below it.",
        ),
    ),
    row(
        "memory.events.local.low",
        Cgroup,
        Count,
        Counter,
        "memory.events.local",
        "Times the cgroup was reclaimed although it was below its MemoryLow: the protection was overcommitted. Counts this cgroup alone, not its children.",
    ),
    row(
        "memory.events.local.high",
        Cgroup,
        Count,
        Counter,
        "memory.events.local",
        "Reclaim passes above MemoryHigh, here or in an ancestor. It is not a count of throttled sleeps: one throttle of unreclaimable memory adds about 17 (one pass and 16 retries). Counts this cgroup alone, not its children.",
    ),
    row(
        "memory.events.local.max",
        Cgroup,
        Count,
        Counter,
        "memory.events.local",
        "Times a charge ran into MemoryMax and had to reclaim. About 18 for each OOM, and it also grows without any OOM (a refused huge page falls back to small pages) and for a moment after the kill. Counts this cgroup alone, not its children.",
    ),
    row(
        "memory.events.local.oom",
        Cgroup,
        Count,
        Counter,
        "memory.events.local",
        "Times the limit was hit and reclaim failed. It is charged to the cgroup whose limit was hit, not to the victim, and may exceed the kills: concurrent allocators, victims already exiting, or nobody who may be killed. Counts this cgroup's own limit only: above 0 here, the limit that was hit is this one.",
    ),
    row(
        "memory.events.local.oom_kill",
        Cgroup,
        Count,
        Counter,
        "memory.events.local",
        "Processes of the cgroup killed by any OOM killer. It is charged to the victim's cgroup and does NOT prove that the cgroup's own limit did it: a machine-wide OOM counts here too, with `oom` flat. A group kill counts its first victim twice. Counts this cgroup alone, not its children.",
    ),
    from_kernel(
        5,
        17,
        row(
            "memory.events.local.oom_group_kill",
            Cgroup,
            Count,
            Counter,
            "memory.events.local",
            "Times the whole cgroup was killed as one (OOMPolicy=kill). Missing before kernel 5.17. Counts this cgroup alone, not its children.",
        ),
    ),
    row(
        "memory.stat.anon",
        Cgroup,
        Bytes,
        Gauge,
        "memory.stat",
        "Anonymous memory. Without swap none of it can be reclaimed. Counts the whole subtree.",
    ),
    row(
        "memory.stat.file",
        Cgroup,
        Bytes,
        Gauge,
        "memory.stat",
        "Page cache, shared memory and tmpfs included. Executables and libraries belong to whoever touched them first: with a warm cache the hog pays nothing for its own text, with a cold one it does, and that flips what systemd-oomd does. Counts the whole subtree.",
    ),
    row(
        "memory.stat.shmem",
        Cgroup,
        Bytes,
        Gauge,
        "memory.stat",
        "Shared memory and tmpfs. Charged to the writer and not freed by killing it. Counts the whole subtree.",
    ),
    from_kernel(
        5,
        18,
        row(
            "memory.stat.kernel",
            Cgroup,
            Bytes,
            Gauge,
            "memory.stat",
            "Kernel memory: stacks, page tables, slab, percpu. Missing before kernel 5.18. Counts the whole subtree.",
        ),
    ),
    row(
        "memory.stat.pgscan",
        Cgroup,
        Count,
        Counter,
        "memory.stat",
        "Pages looked at by reclaim. systemd-oomd only acts on pressure while this grows. The two LRU implementations count differently (isolated or scanned pages), so compare with zero, not with a number. Counts the whole subtree.",
    ),
    row(
        "memory.stat.pgsteal",
        Cgroup,
        Count,
        Counter,
        "memory.stat",
        "Pages that reclaim got back. Counts the whole subtree.",
    ),
    row(
        "memory.stat.pgfault",
        Cgroup,
        Count,
        Counter,
        "memory.stat",
        "Page faults, minor and major. Counts the whole subtree.",
    ),
    row(
        "memory.stat.pgmajfault",
        Cgroup,
        Count,
        Counter,
        "memory.stat",
        "Page faults that had to read from disk or swap. Counts the whole subtree.",
    ),
    row(
        "memory.stat.workingset_refault_anon",
        Cgroup,
        Count,
        Counter,
        "memory.stat",
        "Anonymous pages that came back from swap soon after being evicted. Counts the whole subtree.",
    ),
    row(
        "memory.stat.workingset_refault_file",
        Cgroup,
        Count,
        Counter,
        "memory.stat",
        "File pages that had to be read again soon after being evicted: the sign of thrashing. Counts the whole subtree.",
    ),
    row(
        "memory.pressure.some",
        Cgroup,
        Duration,
        Counter,
        "memory.pressure",
        "Time in which at least one task of the cgroup waited for memory (`total` of the `some` line). Memory stall is direct reclaim, the sleep above MemoryHigh, swap-in, refaults and compaction. As a rate it is a share of wall time: max-rate = \"10%\". The total is exact at every read; the kernel's averages are not used.",
    ),
    row(
        "memory.pressure.full",
        Cgroup,
        Duration,
        Counter,
        "memory.pressure",
        "Time in which all non-idle tasks of the cgroup waited for memory at once (`total` of the `full` line). One runnable task in the group hides it. As a rate it is a share of wall time: min-rate = \"80%\".",
    ),
    row(
        "memory.swap.current",
        Cgroup,
        Bytes,
        Gauge,
        "memory.swap.current",
        "Swap charged to the cgroup now. Lowering MemorySwapMax pulls nothing back. Missing on kernels without swap support; always 0 on a machine without swap, which proves nothing.",
    ),
    from_kernel(
        6,
        5,
        row(
            "memory.swap.peak",
            Cgroup,
            Bytes,
            Peak,
            "memory.swap.peak",
            "The highest memory.swap.current since the cgroup was made. Missing before kernel 6.5 (Debian 12 has 6.1): sample memory.swap.current there.",
        ),
    ),
    row(
        "memory.swap.events.high",
        Cgroup,
        Count,
        Counter,
        "memory.swap.events",
        "Times swap use passed memory.swap.high. With MemorySwapMax=0 the kernel does not even try, so all three stay 0: this is no count of swap prevented.",
    ),
    row(
        "memory.swap.events.max",
        Cgroup,
        Count,
        Counter,
        "memory.swap.events",
        "Times the cgroup wanted more swap than MemorySwapMax allows. With MemorySwapMax=0 the kernel does not even try, so all three stay 0: this is no count of swap prevented.",
    ),
    row(
        "memory.swap.events.fail",
        Cgroup,
        Count,
        Counter,
        "memory.swap.events",
        "Times swapping out failed, because of the limit or because the machine had no room. With MemorySwapMax=0 the kernel does not even try, so all three stay 0: this is no count of swap prevented.",
    ),
    row(
        "cpu.usage",
        Cgroup,
        Duration,
        Counter,
        "cpu.stat (usage_usec)",
        "CPU time used by the cgroup. Present without the cpu controller. As a rate, 100% is one CPU.",
    ),
    row(
        "memory.available",
        Host,
        Bytes,
        Gauge,
        "/proc/meminfo (MemAvailable)",
        "Memory the kernel thinks could be had without swapping: an estimate, recomputed at each read.",
    ),
    row(
        "memory.free",
        Host,
        Bytes,
        Gauge,
        "/proc/meminfo (MemFree)",
        "Memory nobody uses, page cache not counted. Low values are normal.",
    ),
    row(
        "memory.total",
        Host,
        Bytes,
        Gauge,
        "/proc/meminfo (MemTotal)",
        "Memory of the machine without what the kernel reserved at boot.",
    ),
    row(
        "swap.used",
        Host,
        Bytes,
        Gauge,
        "/proc/meminfo (SwapTotal - SwapFree)",
        "Swap in use on the whole machine. It moves in clusters and freed slots come back late, so allow a tolerance. 0 on a machine without swap, which proves nothing.",
    ),
    row(
        "swap.out",
        Host,
        Bytes,
        Counter,
        "/proc/vmstat (pswpout + zswpout, times the page size)",
        "Memory written to swap since boot, whoever it belonged to. Stores into zswap never reach pswpout and are added; writes to zram are in pswpout. Attribute it only on a machine that is otherwise quiet.",
    ),
    row(
        "swap.in",
        Host,
        Bytes,
        Counter,
        "/proc/vmstat (pswpin + zswpin, times the page size)",
        "Memory read back from swap since boot.",
    ),
    row(
        "oom_kill",
        Host,
        Count,
        Counter,
        "/proc/vmstat (oom_kill)",
        "Processes killed by any OOM killer of the kernel since boot, inside a cgroup or machine-wide.",
    ),
    row(
        "pgmajfault",
        Host,
        Count,
        Counter,
        "/proc/vmstat (pgmajfault)",
        "Page faults of the whole machine that had to read from disk or swap.",
    ),
    row(
        "pressure.memory.some",
        Host,
        Duration,
        Counter,
        "/proc/pressure/memory",
        "Time in which some task of the machine waited for memory. As a rate it is a share of wall time.",
    ),
    row(
        "pressure.memory.full",
        Host,
        Duration,
        Counter,
        "/proc/pressure/memory",
        "Time in which all non-idle tasks of the machine waited for memory. High is NOT proof that the machine is short of memory: one throttled cgroup on an idle machine drives it to 90 %. Compare memory.available.",
    ),
    row(
        "pressure.io.some",
        Host,
        Duration,
        Counter,
        "/proc/pressure/io",
        "Time in which some task waited for a block device.",
    ),
    row(
        "pressure.io.full",
        Host,
        Duration,
        Counter,
        "/proc/pressure/io",
        "Time in which all non-idle tasks waited for a block device.",
    ),
    row(
        "pressure.cpu.some",
        Host,
        Duration,
        Counter,
        "/proc/pressure/cpu",
        "Time in which some runnable task waited for a CPU. There is no `full` for the whole machine.",
    ),
    row(
        "procs.blocked",
        Host,
        Count,
        Gauge,
        "/proc/stat (procs_blocked)",
        "Tasks that wait for a disk at this moment (D state). A pile-up is the sign of swap thrashing. Tasks asleep above MemoryHigh are in D state too, but are not counted here, as they do not wait for a disk.",
    ),
    row(
        "load.1",
        Host,
        Hundredths,
        Gauge,
        "/proc/loadavg",
        "Load average over a minute. Tasks in D state count. It lags by design; prefer procs.blocked.",
    ),
    row(
        "touched",
        Actor,
        Bytes,
        Gauge,
        "status page",
        "Bytes the actor holds by its own account. The page outlives the process, so this is still readable after a kill.",
    ),
    row(
        "steps",
        Actor,
        Count,
        Counter,
        "status page",
        "Steps of allocation the actor finished: its progress.",
    ),
    row(
        "gap.p99",
        Actor,
        Duration,
        Statistic,
        "status page (histogram)",
        "How late 99 of 100 wake-ups (or steps, for a balloon) came at most, over the phase that `during` names. From a histogram with logarithmic buckets, so it is the upper bound of a bucket. On emulated machines compare it with the actor's own baseline, never with a fixed time.",
    ),
    row("gap.max", Actor, Duration, Peak, "status page", "The latest wake-up (or the longest step) so far."),
    row(
        "wakeups",
        Actor,
        Count,
        Counter,
        "status page",
        "Beats of a heartbeat, passes of a writer or reader.",
    ),
    row("accepted", Actor, Count, Counter, "status page", "Connections a tcp-server accepted and answered."),
    row(
        "minor_faults",
        Actor,
        Count,
        Counter,
        "status page",
        "Page faults of the actor that needed no disk.",
    ),
    row(
        "major_faults",
        Actor,
        Count,
        Counter,
        "status page",
        "Page faults of the actor that had to read from disk or swap, its own code included.",
    ),
    row("step.max", Actor, Duration, Peak, "status page", "The longest single step of allocation so far."),
    row(
        "answer.N",
        Protect,
        Duration,
        Gauge,
        "probe",
        "How long the Nth probe of `[protect] answer` (counted from 1) waited for its answer. A probe that got none within its time is recorded as not answered, not as a long answer.",
    ),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_metric_is_there_once_and_explained() {
        for (index, info) in catalogue().iter().enumerate() {
            let same = |other: &MetricInfo| other.name == info.name && other.subject == info.subject;
            assert!(!catalogue()[..index].iter().any(same), "{} is there twice", info.name);
            assert!(info.about.ends_with('.') && info.about.len() > 20, "{} is not explained", info.name);
        }
    }

    /// The parser tells cgroups from actors by the metric's name alone.
    #[test]
    fn no_metric_belongs_to_cgroups_and_to_actors() {
        let names = |kind| catalogue().iter().filter(move |info| info.subject == kind).map(|info| info.name);
        assert!(!names(Cgroup).any(|name| names(Actor).any(|other| other == name)));
    }
}
