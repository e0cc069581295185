//! Records of the kernel log become events of the OOM killer, with continuations put back together.
//!
//! It reports what was printed and does not pair summaries with kills: the kernel prints at most ten summaries in five
//! seconds but every kill, so a kill without a summary is normal. Names of processes and of hand-made cgroups are chosen by
//! whoever runs there; fields are therefore found from the right, and no process name can change a pid, uid or cgroup.
//!
//! Source: kernel `mm/oom_kill.c` (`dump_oom_victim`, `__oom_kill_process`), the same text from 5.15 to 6.12.

mod line;

use serde::{Deserialize, Serialize};

use super::Record;
use crate::cgroupfs::CgroupPath;

/// An event and where it stands in the kernel log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OomRecord {
    /// Sequence number of the (first) record.
    pub seq: u64,
    /// Time of that record on the kernel log's clock, in microseconds.
    pub timestamp_us: u64,
    /// What it says.
    pub event: OomEvent,
}

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

/// Kernel records that may come between the parts of a split line. OOM reports are serialised by a lock, so only
/// unrelated messages of other processors come between.
const PATIENCE: u32 = 32;

/// Puts events together from records in order.
#[derive(Debug, Default)]
pub struct Parser {
    pending: Option<Pending>,
}

/// A line that may go on in a continuation record.
#[derive(Debug)]
struct Pending {
    seq: u64,
    timestamp_us: u64,
    text: Vec<u8>,
    /// Lengths of `text` before each continuation, for taking back what was another line's.
    lengths: Vec<usize>,
    others: u32,
}

impl Parser {
    /// Takes the next record and returns the events that it completes: none, one, or (after a line that had to wait for
    /// a possible continuation) two. Records that the kernel did not write are passed over.
    pub fn push(&mut self, record: &Record) -> Vec<OomRecord> {
        let mut events = Vec::new();
        if !record.is_from_kernel() {
            return events;
        }
        if record.continuation {
            // Also not taken when nothing waits: its beginning was no OOM line.
            if let Some(pending) = &mut self.pending {
                pending.lengths.push(pending.text.len());
                pending.text.extend_from_slice(&record.text);
            }
            return events;
        }
        if line::may_continue(&record.text) {
            events.extend(self.finish());
            self.pending = Some(Pending {
                seq: record.seq,
                timestamp_us: record.timestamp_us,
                text: record.text.clone(),
                lengths: Vec::new(),
                others: 0,
            });
        } else if let Some(event) = line::parse(&record.text) {
            events.extend(self.finish());
            events.push(OomRecord { seq: record.seq, timestamp_us: record.timestamp_us, event });
        } else if let Some(pending) = &mut self.pending {
            pending.others += 1;
            if pending.others > PATIENCE {
                events.extend(self.finish());
            }
        }
        events
    }

    /// Completes a line that waits for a continuation: at the end of the log, and where records were lost.
    pub fn finish(&mut self) -> Option<OomRecord> {
        let pending = self.pending.take()?;
        let Pending { seq, timestamp_us, text, mut lengths, .. } = pending;
        lengths.push(text.len());
        // The whole first: a beginning that looks complete may be a hostile cgroup name. Then without the last
        // continuations, which may have belonged to another processor's line.
        let event = lengths.iter().rev().find_map(|length| line::parse(&text[..*length]));
        let event = event
            .unwrap_or_else(|| OomEvent::Unreadable { text: String::from_utf8_lossy(&text).into_owned() });
        Some(OomRecord { seq, timestamp_us, event })
    }
}

/// All events in `records`.
pub fn events<'r>(records: impl IntoIterator<Item = &'r Record>) -> Vec<OomRecord> {
    let mut parser = Parser::default();
    let mut events: Vec<_> = records.into_iter().flat_map(|record| parser.push(record)).collect();
    events.extend(parser.finish());
    events
}

#[cfg(test)]
mod tests;
