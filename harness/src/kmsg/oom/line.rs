//! The grammar of one line of the OOM killer.

use super::event::{Constraint, OomEvent, Scope};
use crate::cgroupfs::CgroupPath;
use crate::kernfile::number;

const SUMMARY: &[u8] = b"oom-kill:constraint=";
const GROUP: (&[u8], &[u8]) = (b"Tasks in /", b" are going to be killed due to memory.oom.group set");
const KILLERS: [(&[u8], Scope); 3] = [
    (b"Memory cgroup out of memory: ", Scope::Memcg),
    (b"Out of memory: ", Scope::Global),
    (b"Out of memory (oom_kill_allocating_task): ", Scope::AllocatingTask),
];
/// `TASK_COMM_LEN` without its terminator.
const COMM_MAX: usize = 15;

/// Whether a line may be printed in parts (`pr_cont`), so that its end may stand in a continuation record.
pub(super) fn may_continue(text: &[u8]) -> bool {
    text.starts_with(SUMMARY) || text.starts_with(GROUP.0)
}

/// Reads one whole line. `None`: it is not the OOM killer's, or not whole.
pub(super) fn parse(text: &[u8]) -> Option<OomEvent> {
    if let Some(rest) = text.strip_prefix(SUMMARY) {
        return summary(rest);
    }
    for (prefix, scope) in KILLERS {
        if let Some(rest) = text.strip_prefix(prefix) {
            return killed(rest, scope);
        }
    }
    if let Some(path) = text.strip_prefix(b"Tasks in ").and_then(|rest| rest.strip_suffix(GROUP.1)) {
        return Some(OomEvent::GroupKill { path: cgroup(path)? });
    }
    if text.starts_with(b"Out of memory and no killable processes...") {
        return Some(OomEvent::NoKillable);
    }
    if let Some(rest) = text.strip_prefix(b"oom_kill_process: ") {
        return Some(OomEvent::Suppressed { count: number(rest.strip_suffix(b" callbacks suppressed")?)? });
    }
    if let Some(rest) = text.strip_prefix(b"oom_reaper: reaped process ") {
        let (pid, comm, _) = named(rest, b"), now anon-rss:")?;
        return Some(OomEvent::Reaped { pid, comm });
    }
    invoked(text)
}

/// `CONSTRAINT_X,nodemask=…,cpuset=…,mems_allowed=…,LIMIT,task_memcg=PATH,task=COMM,pid=N,uid=N`
fn summary(rest: &[u8]) -> Option<OomEvent> {
    let (rest, uid) = field_from_right(rest, b",uid=")?;
    let (rest, pid) = field_from_right(rest, b",pid=")?;
    let (constraint, rest) = rest.split_at(find(rest, b",nodemask=")?);
    let constraint = match constraint {
        b"CONSTRAINT_NONE" => Constraint::None,
        b"CONSTRAINT_CPUSET" => Constraint::Cpuset,
        b"CONSTRAINT_MEMORY_POLICY" => Constraint::MemoryPolicy,
        b"CONSTRAINT_MEMCG" => Constraint::Memcg,
        _ => return None,
    };
    // The cpuset's name stands before the limit and is chosen by whoever made it, but no name holds a slash, so the
    // first of these two is the kernel's.
    let memcg = find(rest, b",oom_memcg=/");
    let global = find(rest, b",global_oom,task_memcg=/");
    let (oom_memcg, task_memcg, task) = match (memcg, global) {
        (Some(at), other) if other.is_none_or(|other| at < other) => {
            let (limit, task_memcg, task) = limit_and_victim(&rest[at + ",oom_memcg=".len()..])?;
            (Some(limit), task_memcg, task)
        }
        (_, Some(at)) => {
            let (path, task) = victim(&rest[at + ",global_oom,task_memcg=".len()..])?;
            (None, path, task)
        }
        (_, None) => return None,
    };
    Some(OomEvent::Summary {
        constraint,
        global: oom_memcg.is_none(),
        oom_memcg,
        task_memcg,
        task,
        pid: u32::try_from(pid).ok()?,
        uid: u32::try_from(uid).ok()?,
    })
}

/// `LIMIT,task_memcg=PATH,task=COMM`. A hand-made cgroup may be called `a,task_memcg=`: of the ways to split, the first
/// in which the victim lies below the limit, as it always does.
fn limit_and_victim(rest: &[u8]) -> Option<(CgroupPath, CgroupPath, String)> {
    const KEY: &[u8] = b",task_memcg=";
    positions(rest, b",task_memcg=/").find_map(|at| {
        let limit = cgroup(&rest[..at])?;
        let (path, task) = victim(&rest[at + KEY.len()..])?;
        limit.contains(&path).then_some((limit, path, task))
    })
}

/// `PATH,task=COMM`: the first way to split that leaves a name of possible length, so that a name which holds
/// `,task=` itself stays whole.
fn victim(rest: &[u8]) -> Option<(CgroupPath, String)> {
    const KEY: &[u8] = b",task=";
    let at = positions(rest, KEY).find(|at| rest.len() - at - KEY.len() <= COMM_MAX)?;
    Some((cgroup(&rest[..at])?, lossy(&rest[at + KEY.len()..])))
}

/// `Killed process PID (COMM) total-vm:NkB, …` or `OOM victim PID (COMM) is already exiting. …`
fn killed(rest: &[u8], scope: Scope) -> Option<OomEvent> {
    if let Some(rest) = rest.strip_prefix(b"OOM victim ") {
        let (pid, comm, _) = named(rest, b") is already exiting. Skip killing the task")?;
        return Some(OomEvent::AlreadyExiting { pid, comm });
    }
    let (pid, comm, sizes) = named(rest.strip_prefix(b"Killed process ")?, b") total-vm:")?;
    // The sizes hold no text that anybody chooses.
    let sizes = str::from_utf8(sizes).ok()?;
    let (total_vm_kb, sizes) = until(sizes, "kB, anon-rss:")?;
    let (anon_kb, sizes) = until(sizes, "kB, file-rss:")?;
    let (file_kb, sizes) = until(sizes, "kB, shmem-rss:")?;
    let (shmem_kb, sizes) = until(sizes, "kB, UID:")?;
    let (uid, sizes) = until(sizes, " pgtables:")?;
    let (_, oom_score_adj) = sizes.split_once("kB oom_score_adj:")?;
    Some(OomEvent::Killed {
        scope,
        pid,
        comm,
        total_vm_kb,
        anon_kb,
        file_kb,
        shmem_kb,
        uid: u32::try_from(uid).ok()?,
        oom_score_adj: oom_score_adj.parse().ok()?,
    })
}

/// `COMM invoked oom-killer: gfp_mask=…, order=N, oom_score_adj=N`
fn invoked(text: &[u8]) -> Option<OomEvent> {
    const KEY: &[u8] = b" invoked oom-killer: gfp_mask=";
    let at = positions(text, KEY).last().filter(|at| *at <= COMM_MAX)?;
    let fields = str::from_utf8(&text[at + KEY.len()..]).ok()?;
    let (fields, oom_score_adj) = fields.rsplit_once(", oom_score_adj=")?;
    let (_, order) = fields.rsplit_once(", order=")?;
    Some(OomEvent::Invoked {
        comm: lossy(&text[..at]),
        order: order.parse().ok()?,
        oom_score_adj: oom_score_adj.parse().ok()?,
    })
}

/// `PID (COMM` up to the last `end`, and what follows it.
fn named<'t>(text: &'t [u8], end: &[u8]) -> Option<(u32, String, &'t [u8])> {
    let open = find(text, b" (")?;
    let close = positions(text, end).last()?;
    let pid = u32::try_from(number(&text[..open])?).ok()?;
    let comm = text.get(open + 2..close)?;
    Some((pid, lossy(comm), &text[close + end.len()..]))
}

/// Splits at the last `key`, behind which only digits may stand.
fn field_from_right<'t>(text: &'t [u8], key: &[u8]) -> Option<(&'t [u8], u64)> {
    let at = positions(text, key).last()?;
    let digits = &text[at + key.len()..];
    digits.iter().all(u8::is_ascii_digit).then(|| number(digits)).flatten().map(|value| (&text[..at], value))
}

fn until<'t>(text: &'t str, end: &str) -> Option<(u64, &'t str)> {
    let (digits, rest) = text.split_once(end)?;
    Some((digits.parse().ok()?, rest))
}

fn find(text: &[u8], wanted: &[u8]) -> Option<usize> {
    positions(text, wanted).next()
}

fn positions(text: &[u8], wanted: &[u8]) -> impl Iterator<Item = usize> {
    text.windows(wanted.len()).enumerate().filter(move |(_, window)| *window == wanted).map(|(at, _)| at)
}

fn cgroup(path: &[u8]) -> Option<CgroupPath> {
    lossy(path).parse().ok()
}

fn lossy(text: &[u8]) -> String {
    String::from_utf8_lossy(text).into_owned()
}
