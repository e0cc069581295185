//! Who ended each actor: what each witness says, and what they say together.
//!
//! No witness alone is believed. The kernel log may be suppressed or lost; `oom_kill` counts global kills too;
//! SIGKILL may come from anybody. A killer is named when no witness contradicts and at least two speak for it.

use reports::outcome::Killer;
use reports::report::{Agreement, Kill, Witness};

use super::View;
use super::view::KernelLog;
use crate::kmsg::oom::{Constraint, OomEvent, Scope};
use crate::plan::{Place, PlannedActor};
use crate::record::Event;
use crate::record::event::{ActorEnd, Mark, When};

/// What one witness says.
struct Testimony {
    name: &'static str,
    says: String,
    /// The killers it is compatible with; none = it has nothing to say.
    allows: Option<Vec<Killer>>,
    /// The cgroup path whose limit was hit, if it names one.
    limit: Option<String>,
    /// A killer that it rules out by having nothing to say.
    rules_out: Option<Killer>,
}

impl Testimony {
    fn missing(name: &'static str, says: impl Into<String>) -> Self {
        Self { name, says: says.into(), allows: None, limit: None, rules_out: None }
    }

    fn allows(name: &'static str, says: impl Into<String>, allows: &[Killer]) -> Self {
        Self { name, says: says.into(), allows: Some(allows.to_vec()), limit: None, rules_out: None }
    }
}

/// Attributes the end of every actor that ended before cleanup.
pub(super) fn attribute(view: &View<'_>) -> Vec<Kill> {
    let cleanup = view.mark(Mark::Cleanup).unwrap_or(u64::MAX);
    view.plan
        .actors
        .iter()
        .filter_map(|actor| {
            let (at, end) = view.end(&actor.id).filter(|(at, _)| *at < cleanup)?;
            Some(attribute_one(view, actor, at, end))
        })
        .collect()
}

fn attribute_one(view: &View<'_>, actor: &PlannedActor, ended_us: u64, end: ActorEnd) -> Kill {
    let pid = view.pid(&actor.id).unwrap_or(0);
    let testimonies = [
        kernel_log(view, actor, pid),
        memory_events(view, actor, pid, ended_us),
        wait_status(own_or_managers(view, actor, end)),
        systemd(view, actor),
        oomd(view, actor),
        earlyoom(view, pid),
    ];
    let (killer, limit) = agree(&testimonies);
    let limit_name = limit.as_ref().map(|path| view.plan.name_of(path).unwrap_or(path).to_owned());
    let at_bytes = limit_name
        .as_ref()
        .and_then(|name| view.last(&format!("{name}:memory.peak")).or_else(|| peak_of_current(view, name)));
    Kill {
        actor: Some(actor.id.clone()),
        pid,
        comm: comm(view, actor),
        killer,
        limit: limit_name,
        at_bytes,
        after_ms: view.mark(Mark::Climb).map(|climb| ended_us.saturating_sub(climb) / 1000),
        latency_us: latency(view, pid),
        witnesses: testimonies.into_iter().filter_map(|said| witness(said, killer)).collect(),
    }
}

fn peak_of_current(view: &View<'_>, name: &str) -> Option<u64> {
    view.record.samples.series(&format!("{name}:memory.current")).map(|(_, value)| value).max()
}

fn comm(view: &View<'_>, actor: &PlannedActor) -> String {
    view.find(|event| match event {
        Event::ActorPlaced { actor: id, comm, .. } if *id == actor.id => Some(comm.clone()),
        _ => None,
    })
    .map(|(_, comm)| comm)
    .unwrap_or_default()
}

/// The killer that every speaking witness allows, when at least two speak and their limits agree.
fn agree(testimonies: &[Testimony]) -> (Killer, Option<String>) {
    const CANDIDATES: [Killer; 6] =
        [Killer::Exit, Killer::SystemdOomd, Killer::Earlyoom, Killer::Memcg, Killer::Global, Killer::Signal];
    let speaking: Vec<&[Killer]> = testimonies.iter().filter_map(|said| said.allows.as_deref()).collect();
    let mut limits: Vec<&String> = testimonies.iter().filter_map(|said| said.limit.as_ref()).collect();
    limits.dedup();
    if speaking.len() < 2 || limits.len() > 1 {
        return (Killer::Unknown, None);
    }
    let possible: Vec<Killer> = CANDIDATES
        .into_iter()
        .filter(|killer| speaking.iter().all(|allows| allows.contains(killer)))
        .filter(|killer| testimonies.iter().all(|said| said.rules_out != Some(*killer)))
        .collect();
    match possible.as_slice() {
        [Killer::Memcg] => (Killer::Memcg, limits.first().map(|path| (*path).clone())),
        [one] => (*one, None),
        // No or several killers fit what was said.
        _ => (Killer::Unknown, None),
    }
}

fn witness(said: Testimony, killer: Killer) -> Option<Witness> {
    let agrees = match &said.allows {
        None if said.says.is_empty() => return None,
        None => Agreement::Missing,
        Some(allows) if allows.contains(&killer) => Agreement::Agrees,
        // Nobody was named because the witnesses disagree: each is shown as it spoke.
        Some(_) => Agreement::Contradicts,
    };
    Some(Witness { name: said.name.into(), says: said.says, agrees })
}

/// Userspace killers that leave the kernel's own OOM killer out of it.
const NOT_THE_KERNEL: [Killer; 4] = [Killer::Signal, Killer::SystemdOomd, Killer::Earlyoom, Killer::Exit];

/// Whether an actor is one process in a scope of its own. A kill there is its kill, also where the kernel names a thread
/// because the leader had already let go of its memory.
fn alone(actor: &PlannedActor) -> bool {
    actor.place == Place::OwnScope && !actor.argv.iter().any(|word| word.starts_with("--processes"))
}

fn kernel_log(view: &View<'_>, actor: &PlannedActor, pid: u32) -> Testimony {
    const NAME: &str = "kernel log";
    let summary = view.find(|event| match event {
        Event::KernelOom {
            oom: OomEvent::Summary { constraint, oom_memcg, task_memcg, pid: of, .. },
            ..
        } if task_memcg.as_str() == actor.cgroup && (*of == pid || alone(actor)) => {
            Some((*constraint, oom_memcg.clone()))
        }
        _ => None,
    });
    if let Some((_, (constraint, oom_memcg))) = summary {
        let killer = if oom_memcg.is_some() { Killer::Memcg } else { Killer::Global };
        let limit = oom_memcg.map(|path| path.as_str().to_owned());
        let whose = limit.as_deref().map_or("global_oom".to_owned(), |path| format!("oom_memcg={path}"));
        let mut said = Testimony::allows(
            NAME,
            format!("{}, {whose}, pid={pid}", constraint_word(constraint)),
            &[killer],
        );
        said.limit = limit;
        return said;
    }
    let killed = view.find(|event| match event {
        Event::KernelOom { oom: OomEvent::Killed { scope, pid: of, .. }, .. } if *of == pid => {
            Some(*scope == Scope::Memcg)
        }
        _ => None,
    });
    match (killed, view.kernel_log()) {
        (Some((_, true)), _) => {
            Testimony::allows(NAME, format!("Memory cgroup out of memory: killed {pid}"), &[Killer::Memcg])
        }
        (Some((_, false)), _) => {
            Testimony::allows(NAME, format!("Out of memory: killed {pid}"), &[Killer::Global])
        }
        (None, KernelLog::Complete) => {
            Testimony::allows(NAME, format!("complete, and no OOM kill of pid {pid}"), &NOT_THE_KERNEL)
        }
        (None, KernelLog::Lost(records)) => {
            Testimony::missing(NAME, format!("{records} records were lost before they could be read"))
        }
        (None, KernelLog::Unavailable(reason)) => Testimony::missing(NAME, reason),
    }
}

/// Kills in the kernel log that are not of this process; none when it has one of it, too.
fn logged_kills_of_others(view: &View<'_>, pid: u32) -> u64 {
    let killed: Vec<u32> = view
        .all(|event| match event {
            Event::KernelOom { oom: OomEvent::Killed { pid, .. }, .. } => Some(*pid),
            _ => None,
        })
        .into_iter()
        .map(|(_, pid)| pid)
        .collect();
    if killed.contains(&pid) { 0 } else { killed.len() as u64 }
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

fn memory_events(view: &View<'_>, actor: &PlannedActor, pid: u32, ended_us: u64) -> Testimony {
    const NAME: &str = "memory.events";
    if actor.watched_chain.is_empty() {
        return Testimony::missing(NAME, "no watched cgroup holds this actor");
    }
    // A service that went down with its process took its counters along: what was read before the kill does not count it.
    let chain: Vec<&String> =
        actor.watched_chain.iter().skip_while(|name| !outlived(view, name, ended_us)).collect();
    let Some(own) = chain.first().copied() else {
        let gone = actor.watched_chain.join(", ");
        return Testimony::missing(NAME, format!("{gone}: not read after the end"));
    };
    let Some(kills) = view.delta(&format!("{own}:memory.events.oom_kill")) else {
        return Testimony::missing(NAME, format!("{own}: could not be read"));
    };
    if kills == 0 {
        return Testimony::allows(NAME, format!("{own}: oom_kill +0"), &NOT_THE_KERNEL);
    }
    // The counter knows no names: where the log accounts for every kill with other processes, it was not this one.
    if view.kernel_log() == KernelLog::Complete && logged_kills_of_others(view, pid) >= kills {
        let says = format!("{own}: oom_kill +{kills}, all of other processes by the kernel log");
        return Testimony::allows(NAME, says, &NOT_THE_KERNEL);
    }
    // `oom` is charged to the cgroup whose limit was hit, `oom_kill` to the victim's.
    let mut hit = Vec::new();
    for name in &chain {
        match view.delta(&format!("{name}:memory.events.local.oom")) {
            Some(0) => {}
            Some(count) => hit.push((*name, count)),
            None => {
                return Testimony::missing(NAME, format!("{name}: memory.events.local could not be read"));
            }
        }
    }
    // With its cgroup gone, a limit there is counted only above: `memory.events` has those of all below.
    let below = if chain.len() == actor.watched_chain.len() { Some(0) } else { oom_below(view, own) };
    match (hit.as_slice(), below) {
        (_, None) => Testimony::missing(NAME, format!("{own}: oom could not be read")),
        // Its own scope has a cap that nobody samples: `oom` may have been counted there.
        ([], Some(0)) if capped_by_itself(actor) => Testimony::allows(
            NAME,
            format!("{own}: oom_kill +{kills}, oom +0 from there up to the root"),
            &[Killer::Global, Killer::Memcg],
        ),
        ([], Some(0)) => Testimony::allows(
            NAME,
            format!("{own}: oom_kill +{kills}, but oom +0 up to the root"),
            &[Killer::Global],
        ),
        ([], Some(count)) => Testimony::allows(
            NAME,
            format!("{own}: oom_kill +{kills}; oom +{count} in a cgroup below it that is gone"),
            &[Killer::Memcg],
        ),
        ([(name, count)], Some(0)) => {
            let says = format!("{own}: oom_kill +{kills}; limit {name}: oom +{count}");
            let mut said = Testimony::allows(NAME, says, &[Killer::Memcg]);
            said.limit = super::cgroup_path(view.plan, name).map(str::to_owned);
            said
        }
        (several, Some(_)) => {
            let names: Vec<String> =
                several.iter().map(|(name, count)| format!("{name} oom +{count}")).collect();
            // Which of them took this actor cannot be told from counters alone.
            Testimony::allows(
                NAME,
                format!("{own}: oom_kill +{kills}; {}", names.join(", ")),
                &[Killer::Memcg],
            )
        }
    }
}

/// Whether the counters of a watched cgroup were read at or after a moment.
fn outlived(view: &View<'_>, name: &str, at_us: u64) -> bool {
    let last = view.record.samples.series(&format!("{name}:memory.events.oom_kill")).last();
    last.is_some_and(|(at, _)| at >= at_us)
}

/// How often a limit below a watched cgroup was hit, its own not counted.
fn oom_below(view: &View<'_>, name: &str) -> Option<u64> {
    let all = view.delta(&format!("{name}:memory.events.oom"))?;
    Some(all.saturating_sub(view.delta(&format!("{name}:memory.events.local.oom"))?))
}

fn capped_by_itself(actor: &PlannedActor) -> bool {
    actor.properties.iter().any(|property| property.name == "MemoryMax")
}

/// The main process of a service is PID 1's child: its wait status is learnt from the manager.
fn own_or_managers(view: &View<'_>, actor: &PlannedActor, end: ActorEnd) -> ActorEnd {
    match view.unit(&actor.unit, When::After) {
        Some(Some(state)) if actor.place == Place::ServiceMain => state.main_end.unwrap_or(end),
        _ => end,
    }
}

fn wait_status(end: ActorEnd) -> Testimony {
    const NAME: &str = "wait status";
    const SIGKILL: i32 = 9;
    match end {
        ActorEnd::Exited(code) => Testimony::allows(NAME, format!("exited with {code}"), &[Killer::Exit]),
        ActorEnd::Signalled(SIGKILL) => Testimony::allows(
            NAME,
            "SIGKILL",
            &[Killer::Memcg, Killer::Global, Killer::SystemdOomd, Killer::Earlyoom, Killer::Signal],
        ),
        // The kernel's OOM killer and oomd send nothing but SIGKILL.
        ActorEnd::Signalled(signal) => {
            Testimony::allows(NAME, format!("signal {signal}"), &[Killer::Earlyoom, Killer::Signal])
        }
        ActorEnd::Unknown => Testimony::missing(NAME, "could not be learnt"),
    }
}

fn systemd(view: &View<'_>, actor: &PlannedActor) -> Testimony {
    const NAME: &str = "systemd";
    let Some(Some(state)) = view.unit(&actor.unit, When::After) else {
        return Testimony::missing(NAME, "the unit was gone when asked");
    };
    if actor.place != Place::OwnScope {
        let result = state.result.as_deref().unwrap_or("none");
        return Testimony::missing(NAME, format!("Result={result}, of the whole unit, not of this process"));
    }
    match state.result.as_deref() {
        // Any kind of OOM kill: the manager reads the hierarchical `oom_kill`, and oomd's xattr.
        Some("oom-kill") => {
            Testimony::allows(NAME, "Result=oom-kill", &[Killer::Memcg, Killer::Global, Killer::SystemdOomd])
        }
        // With OOMPolicy=continue, and for scopes that just emptied, any other result proves nothing.
        Some(result) => Testimony::missing(NAME, format!("Result={result}, which proves nothing")),
        None => Testimony::missing(NAME, "the unit has no Result"),
    }
}

fn oomd(view: &View<'_>, actor: &PlannedActor) -> Testimony {
    const NAME: &str = "oomd";
    let line = view.daemon_lines("systemd-oomd").into_iter().find(|line| kills(line, &actor.cgroup));
    match line {
        Some(line) => Testimony::allows(NAME, line, &[Killer::SystemdOomd]),
        None => silent(view, NAME, view.plan.daemons.oomd, Killer::SystemdOomd),
    }
}

/// Whether oomd's line names this cgroup or one above it.
fn kills(line: &str, cgroup: &str) -> bool {
    crate::oomd::killed(line).is_some_and(|path| super::is_below(cgroup, path))
}

fn earlyoom(view: &View<'_>, pid: u32) -> Testimony {
    const NAME: &str = "earlyoom";
    match view.earlyoom_kills().into_iter().find(|(_, choice)| choice.pid == pid) {
        Some((line, _)) => Testimony::allows(NAME, line, &[Killer::Earlyoom]),
        None => silent(view, NAME, view.plan.daemons.any_earlyoom(), Killer::Earlyoom),
    }
}

/// A daemon that does not run, or whose whole log names nobody here, did not do it. One that runs and whose log could
/// not be read has nothing to say.
fn silent(view: &View<'_>, name: &'static str, runs: bool, daemon: Killer) -> Testimony {
    if runs && !view.daemon_logs_read() {
        return Testimony::missing(name, "its log could not be read");
    }
    let mut said = Testimony::missing(name, "");
    said.rules_out = Some(daemon);
    said
}

/// From the kernel's own timestamp of the kill to the moment the record had it.
fn latency(view: &View<'_>, pid: u32) -> Option<u64> {
    view.find(|event| match event {
        Event::KernelOom { logged_us: Some(logged), oom, .. } => match oom {
            OomEvent::Killed { pid: of, .. } | OomEvent::Summary { pid: of, .. } if *of == pid => {
                Some(*logged)
            }
            _ => None,
        },
        _ => None,
    })
    .map(|(received, logged)| received.saturating_sub(logged))
}
