//! What the kernel logged of an end.

use reports::outcome::Killer;

use super::testimony::{Ended, Testimony, not_the_kernel};
use crate::judge::view::{KernelLog, View};
use crate::kmsg::oom::Constraint;

pub(super) fn testify(view: &View<'_>, ended: &Ended<'_>) -> Testimony {
    const NAME: &str = "kernel log";
    let pid = ended.pid;
    let Some(death) = &ended.death else {
        return match view.kernel_log() {
            KernelLog::Complete => {
                Testimony::knows(NAME, format!("complete, and no OOM kill of pid {pid}"), not_the_kernel())
            }
            KernelLog::Lost(records) => {
                Testimony::missing(NAME, format!("{records} records were lost before they could be read"))
            }
            KernelLog::Unavailable(reason) => Testimony::missing(NAME, reason),
        };
    };
    let killer = if death.memcg { Killer::Memcg } else { Killer::Global };
    // The pid is printed as the kernel has it: that of a thread or a child, sometimes.
    let says = match (death.constraint, death.limit) {
        (Some(constraint), limit) => {
            let whose = limit.map_or("global_oom".to_owned(), |path| format!("oom_memcg={path}"));
            format!("{}, {whose}, pid={}", constraint_word(constraint), death.pid)
        }
        (None, _) if death.memcg => format!("Memory cgroup out of memory: killed {}", death.pid),
        (None, _) => format!("Out of memory: killed {}", death.pid),
    };
    let together = match (death.group, death.group_victims.len()) {
        (Some(group), count) => format!(", one of {count} killed by memory.oom.group of {}", group.path),
        (None, _) => String::new(),
    };
    let mut said = Testimony::knows(NAME, says + &together, [killer]);
    said.limit = death.limit.map(str::to_owned);
    said
}

/// As the kernel prints it.
fn constraint_word(constraint: Constraint) -> &'static str {
    match constraint {
        Constraint::None => "CONSTRAINT_NONE",
        Constraint::Cpuset => "CONSTRAINT_CPUSET",
        Constraint::MemoryPolicy => "CONSTRAINT_MEMORY_POLICY",
        Constraint::Memcg => "CONSTRAINT_MEMCG",
    }
}
