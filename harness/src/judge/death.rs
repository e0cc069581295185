//! The deaths that the kernel logged, and whose they are: the summary, which names the limit, and the kill, which names the
//! process.
//!
//! A group kill (`memory.oom.group`) logs its limit once, with the victim that was chosen, and then every process of the
//! cgroup: the limit is that of all of them.

use super::view::View;
use crate::cgroupfs::CgroupPath;
use crate::cgroupfs::is_below;
use crate::kmsg::oom::{Constraint, OomEvent, Scope};
use crate::plan::PlannedActor;
use crate::record::Event;

/// How far the kernel's clock and the moment at which an end was noticed may be apart, µs.
const CLOCKS_APART_US: u64 = 2_000_000;

/// One process that the kernel says it killed.
#[derive(Debug, Clone)]
pub(super) struct Death<'a> {
    /// Its pid, as the kernel has it.
    pub(super) pid: u32,
    /// The thread of it that was logged as killed, where the leader had let go of its memory.
    thread: Option<u32>,
    /// Its name, as the kernel has it.
    pub(super) comm: &'a str,
    /// Its cgroup, when a summary names it.
    pub(super) cgroup: Option<&'a str>,
    /// The group kill that it was part of.
    pub(super) group: Option<Group<'a>>,
    /// Every process of that group kill: `comm (pid N)`; empty for a kill of one.
    pub(super) group_victims: Vec<String>,
    /// Kernel's timestamp of it → the record had it, µs.
    pub(super) latency_us: Option<u64>,
    /// When the kernel logged it, µs; when the record had it, where the clocks could not be compared.
    pub(super) at_us: u64,
    pub(super) constraint: Option<Constraint>,
    pub(super) limit: Option<&'a str>,
    /// Whether it was killed at a cgroup's limit.
    pub(super) memcg: bool,
}

/// All processes of a cgroup, killed together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Group<'a> {
    pub(super) path: &'a str,
    /// Sequence number of the kernel's announcement: the same cgroup can be killed twice.
    seq: u64,
}

/// The summary that the kills after it belong to.
#[derive(Clone, Copy)]
struct Summary<'a> {
    pid: u32,
    /// Whether its own kill was logged.
    killed: bool,
    pub(super) constraint: Constraint,
    pub(super) limit: Option<&'a str>,
    cgroup: &'a str,
}

/// Every process that the kernel says it killed, in its order; each once, although a group kill logs its first twice.
pub(super) fn deaths<'a>(view: &View<'a>) -> Vec<Death<'a>> {
    let mut deaths: Vec<Death<'a>> = Vec::new();
    let mut summary: Option<Summary<'a>> = None;
    let mut group: Option<Group<'a>> = None;
    for stamped in &view.record.events {
        let Event::KernelOom { seq, logged_us, oom } = &stamped.event else { continue };
        let times =
            (logged_us.unwrap_or(stamped.at_us), logged_us.map(|at| stamped.at_us.saturating_sub(at)));
        match oom {
            OomEvent::Invoked { .. } => (summary, group) = (None, None),
            OomEvent::Summary { constraint, oom_memcg, task_memcg, task, pid, .. } => {
                let said = Summary {
                    pid: *pid,
                    killed: false,
                    constraint: *constraint,
                    limit: oom_memcg.as_ref().map(CgroupPath::as_str),
                    cgroup: task_memcg.as_str(),
                };
                (summary, group) = (Some(said), None);
                deaths.push(Death::new(*pid, task, Some(said), said.limit.is_some(), times));
            }
            OomEvent::GroupKill { path } => group = Some(Group { path: path.as_str(), seq: *seq }),
            OomEvent::Killed { scope, pid, comm, .. } => {
                let first = summary.as_mut().filter(|said| !said.killed && group.is_none());
                let chosen = first.map(|said| std::mem::replace(&mut said.killed, true)).is_some();
                match deaths.iter_mut().rfind(|death| death.pid == *pid || death.thread == Some(*pid)) {
                    Some(known) => (known.comm, known.group) = (comm, known.group.or(group)),
                    // The kill that follows a summary is its victim's, under the name of a thread.
                    None if chosen => {
                        if let Some(death) = deaths.last_mut() {
                            death.thread = Some(*pid);
                        }
                    }
                    None => {
                        let of = summary.filter(|_| group.is_some());
                        let death = Death::new(*pid, comm, of, *scope == Scope::Memcg, times);
                        deaths.push(Death { group, ..death });
                    }
                }
            }
            _ => {}
        }
    }
    let names: Vec<_> =
        deaths.iter().map(|death| (death.group, format!("{} (pid {})", death.comm, death.pid))).collect();
    for death in deaths.iter_mut().filter(|death| death.group.is_some()) {
        let together = names.iter().filter(|(group, _)| *group == death.group);
        death.group_victims = together.map(|(_, name)| name.clone()).collect();
    }
    deaths
}

impl<'a> Death<'a> {
    fn new(
        pid: u32,
        comm: &'a str,
        summary: Option<Summary<'a>>,
        memcg: bool,
        (at_us, latency_us): (u64, Option<u64>),
    ) -> Self {
        Self {
            pid,
            thread: None,
            comm,
            // A summary names the cgroup of its own victim alone.
            cgroup: summary.filter(|said| said.pid == pid).map(|said| said.cgroup),
            group: None,
            group_victims: Vec::new(),
            latency_us,
            at_us,
            constraint: summary.map(|said| said.constraint),
            limit: summary.and_then(|said| said.limit),
            memcg,
        }
    }
}

/// What the kernel logged of an actor's death: by its pid, or by a scope in which there is nobody else. What it logged
/// long after the actor had ended is of another process with the same pid.
pub(super) fn death_of<'a>(
    view: &View<'a>,
    actor: &PlannedActor,
    ended_us: Option<u64>,
) -> Option<Death<'a>> {
    let latest = ended_us.map_or(u64::MAX, |at| at.saturating_add(CLOCKS_APART_US));
    let pid = view.pid(&actor.id);
    let cgroup = view.cgroup(&actor.id);
    let of_the_group = |death: &Death<'_>| {
        death.group.is_none_or(|group| cgroup.is_some_and(|cgroup| is_below(cgroup, group.path)))
    };
    let in_time: Vec<Death<'a>> = deaths(view).into_iter().filter(|death| death.at_us <= latest).collect();
    let is_pid = |death: &&Death<'_>| Some(death.pid) == pid || pid.is_some() && death.thread == pid;
    let by_pid = in_time.iter().filter(is_pid).find(|death| of_the_group(death));
    let own = cgroup.filter(|_| actor.place.is_alone());
    let by_scope = || in_time.iter().find(|death| death.cgroup.is_some() && death.cgroup == own);
    by_pid.or_else(by_scope).cloned()
}
