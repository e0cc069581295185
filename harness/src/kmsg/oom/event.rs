//! What the kernel's OOM killer printed, as data.

use serde::{Deserialize, Serialize};

use crate::cgroupfs::CgroupPath;

/// What the kernel's OOM killer printed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OomEvent {
    /// `COMM invoked oom-killer`: the task whose allocation could not be met; not the victim.
    Invoked {
        /// Its name.
        comm: String,
        /// Size of the allocation: 2^order pages; −1 for a kill asked for by SysRq.
        order: i32,
        /// Its own `oom_score_adj`.
        oom_score_adj: i32,
    },
    /// `oom-kill:constraint=…`: why and whom. Rate-limited: its absence proves nothing.
    Summary {
        /// What the allocation was constrained by.
        constraint: Constraint,
        /// The cgroup whose limit was hit; `None` for a machine-wide OOM.
        oom_memcg: Option<CgroupPath>,
        /// Whether it was a machine-wide OOM (`global_oom`).
        global: bool,
        /// The victim's cgroup.
        task_memcg: CgroupPath,
        /// The victim's name.
        task: String,
        /// The victim's thread id in the initial pid namespace.
        pid: u32,
        /// The victim's user in the initial user namespace.
        uid: u32,
    },
    /// `Killed process …`: printed for every kill, the chosen victim of a group kill twice.
    Killed {
        /// What kind of OOM.
        scope: Scope,
        /// The killed process; a thread of it if the leader had already let go of its memory.
        pid: u32,
        /// Its name.
        comm: String,
        /// Size of its address space, in KiB.
        total_vm_kb: u64,
        /// Anonymous resident memory, in KiB.
        anon_kb: u64,
        /// File-backed resident memory, in KiB.
        file_kb: u64,
        /// Shared resident memory (tmpfs, memfd), in KiB.
        shmem_kb: u64,
        /// Its user.
        uid: u32,
        /// Its `oom_score_adj`.
        oom_score_adj: i32,
    },
    /// The chosen victim was on its way out and was left alone.
    AlreadyExiting {
        /// The victim.
        pid: u32,
        /// Its name.
        comm: String,
    },
    /// Every process of this cgroup is about to be killed (`memory.oom.group`).
    GroupKill {
        /// The cgroup.
        path: CgroupPath,
    },
    /// Nobody may be killed; a memcg OOM then repeats for ever.
    NoKillable,
    /// The reaper freed the memory of a victim that was slow to exit.
    Reaped {
        /// The victim.
        pid: u32,
        /// Its name.
        comm: String,
    },
    /// So many summaries were withheld by the rate limit before this record.
    Suppressed {
        /// How many.
        count: u64,
    },
    /// A line that begins like one of the OOM killer's and does not continue like one: an unknown format, or cut off.
    Unreadable {
        /// The line.
        text: String,
    },
}

/// What an allocation was constrained by (`enum oom_constraint`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Constraint {
    /// Nothing: the machine is out of memory.
    None,
    /// The nodes of a cpuset.
    Cpuset,
    /// A NUMA memory policy.
    MemoryPolicy,
    /// The limit of a memory cgroup.
    Memcg,
}

/// What kind of OOM a kill belongs to, from the words before `Killed process`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Scope {
    /// A cgroup reached its limit.
    Memcg,
    /// The machine is out of memory.
    Global,
    /// The same, with `vm.oom_kill_allocating_task`.
    AllocatingTask,
}
