//! The rows. The time line of a record is that of its own marks.

use harness::kmsg::oom::{OomEvent, Scope};
use harness::record::Event;
use harness::record::event::{ActorEnd, AnswerResult, EndReason, Mark, When};
use reports::outcome::Killer;
use reports::outcome::Verdict::{self, Aborted, Fail, Inconclusive, Pass};

use crate::Lie;
use crate::edit::Tale;

/// The hog dies at its cap; a canary and a neighbour beat, sshd answers.
const KILLED: &str = "hard-cap-kill.trixie";
/// Its twin that may swap: it leaves by itself.
const SWAPS: &str = "hard-cap-kill.swap-allowed.bookworm";
/// Its twin that cannot be killed.
const UNKILLABLE: &str = "hard-cap-kill.unkillable.trixie";

pub(crate) const NOT_PASS: &[Verdict] = &[Fail, Inconclusive];
pub(crate) const OPEN: &[Verdict] = &[Inconclusive];
pub(crate) const RED: &[Verdict] = &[Fail];
pub(crate) const GREEN: &[Verdict] = &[Pass];

pub(crate) const fn lie(
    what: &'static str,
    record: &'static str,
    may: &'static [Verdict],
    edit: fn(&mut Tale),
) -> Lie {
    Lie { what, record, edit, may }
}

fn turned_away() -> AnswerResult {
    AnswerResult::Penalised { banner: "Not allowed at this time".into() }
}

pub(crate) const TABLE: &[Lie] = &[
    // Observed to the end of what is claimed.
    lie("a canary that never wakes under stress", KILLED, NOT_PASS, |tale| {
        tale.freeze("canary", tale.mark(Mark::Climb));
    }),
    lie("a canary that stops beating in the middle of the stress", KILLED, NOT_PASS, |tale| {
        tale.freeze("canary", tale.mark(Mark::Climb) + 1_000_000);
    }),
    lie("a canary whose counters nobody read under stress", KILLED, OPEN, |tale| {
        let climb = tale.mark(Mark::Climb);
        tale.column("canary:wakeups", |at, value| value.filter(|_| at < climb));
    }),
    lie("no row between the climb and the end", KILLED, OPEN, |tale| {
        let (climb, settle) = (tale.mark(Mark::Climb), tale.mark(Mark::Settle));
        tale.rows(|at| at <= climb || at >= settle);
    }),
    lie("rows that end before the stress does", KILLED, OPEN, |tale| {
        let settle = tale.mark(Mark::Settle);
        tale.rows(|at| at < settle);
    }),
    lie("rows that begin after the stress did", KILLED, OPEN, |tale| {
        let climb = tale.mark(Mark::Climb);
        tale.rows(|at| at > climb + 200_000);
    }),
    lie("swap that nobody read under stress", KILLED, OPEN, |tale| {
        let climb = tale.mark(Mark::Climb);
        tale.column("work:memory.swap.current", |at, value| value.filter(|_| at < climb));
    }),
    lie("pages swapped out that nobody counted to the end", KILLED, OPEN, |tale| {
        let hold = tale.mark(Mark::Hold);
        tale.column("host:swap.out", |at, value| value.filter(|_| at < hold));
    }),
    lie("pages swapped out in the very end", KILLED, RED, |tale| {
        let settle = tale.mark(Mark::Settle);
        tale.counts("host:swap.out", settle, 4096);
    }),
    lie("a peak that was read before the kill only", KILLED, OPEN, |tale| {
        let death = tale.death("hog");
        tale.column("work:memory.peak", |at, value| value.filter(|_| at < death));
    }),
    lie("ssh that answers before the stress only", KILLED, OPEN, |tale| {
        let climb = tale.mark(Mark::Climb);
        tale.answers(|at| at > climb, None);
    }),
    lie("ssh that turns everybody away under stress", KILLED, OPEN, |tale| {
        let climb = tale.mark(Mark::Climb);
        tale.answers(|at| at > climb, Some(&turned_away()));
    }),
    lie("ssh that answers once under stress and turns all others away", KILLED, OPEN, |tale| {
        let climb = tale.mark(Mark::Climb);
        tale.answers(|at| at > climb + 1_000_000, Some(&turned_away()));
    }),
    lie("ssh that turns everybody away throughout", KILLED, OPEN, |tale| {
        tale.answers(|_| true, Some(&turned_away()));
    }),
    lie("ssh that nobody asks for most of the stress", KILLED, OPEN, |tale| {
        let (climb, settle) = (tale.mark(Mark::Climb), tale.mark(Mark::Settle));
        tale.answers(|at| at > climb + 700_000 && at < settle - 200_000, None);
    }),
    lie("ssh that answers what was asked under stress long after it", KILLED, RED, |tale| {
        let settle = tale.mark(Mark::Settle);
        tale.answers(|at| at > settle - 500_000, None);
        let result = AnswerResult::Answered { took_us: 4_400_000 };
        let answer =
            Event::Answer { probe: 0, target: "tcp-banner 127.0.0.1:22".into(), result, began_us: None };
        tale.add(settle + 1_000_000, answer);
    }),
    lie("ssh that refuses once under stress", KILLED, RED, |tale| {
        let (climb, hold) = (tale.mark(Mark::Climb), tale.mark(Mark::Hold));
        let refused = AnswerResult::Refused { error: "reset".into() };
        tale.answers(|at| at > climb + 1_000_000 && at < hold, Some(&refused));
    }),
    lie("ssh that was late already before the stress", KILLED, OPEN, |tale| {
        let climb = tale.mark(Mark::Climb);
        tale.answers(|at| at < climb, Some(&AnswerResult::Late { waited_us: 2_000_000 }));
        tale.answers(|at| at > climb, Some(&AnswerResult::Late { waited_us: 2_000_000 }));
    }),
    lie("a kill counter of the machine that nobody read to the end", KILLED, OPEN, |tale| {
        let settle = tale.mark(Mark::Settle);
        tale.column("host:oom_kill", |at, value| value.filter(|_| at < settle));
    }),
    lie("a record without an end", KILLED, OPEN, |tale| {
        tale.drop(|stamped| matches!(stamped.event, Event::Ended { .. }));
    }),
    lie("a run that the watchdog ended", KILLED, &[Aborted], |tale| {
        tale.change(|_, event| match event {
            Event::Ended { reason } => {
                *reason = EndReason::Aborted { reason: "MemAvailable fell".into() };
                true
            }
            _ => false,
        });
    }),
    // The stress is the stress.
    lie("a peak that the baseline had reached already", KILLED, OPEN, |tale| {
        tale.column("work:memory.peak", |_, value| value.map(|bytes| bytes.max(500 << 20)));
    }),
    lie("a stress that never arrives", KILLED, OPEN, |tale| {
        tale.column("work:memory.peak", |_, value| value.map(|bytes| bytes.min(100 << 20)));
    }),
    lie("a stress that arrives too late", KILLED, OPEN, |tale| {
        tale.plan_mut().reached.within_us = 100_000;
    }),
    lie("a hog that gives up by itself", KILLED, NOT_PASS, |tale| {
        tale.silence_the_kernel();
        tale.ends("hog", tale.death("hog"), ActorEnd::Exited(3));
    }),
    lie("a hog that dies of SIGBUS", KILLED, NOT_PASS, |tale| {
        tale.silence_the_kernel();
        tale.ends("hog", tale.death("hog"), ActorEnd::Signalled(7));
    }),
    lie("a neighbour that gives up by itself", KILLED, NOT_PASS, |tale| {
        tale.ends("neighbour", tale.mark(Mark::Hold), ActorEnd::Exited(1));
    }),
    lie("a stress that is not held for as long as it must be", KILLED, OPEN, |tale| {
        tale.plan_mut().hold_us = 10_000_000;
    }),
    lie("swap that was switched off in between", KILLED, OPEN, |tale| {
        tale.record.head.minor = 1;
        tale.record.events.retain(|stamped| !matches!(stamped.event, Event::MachineRead { .. }));
        let total = tale.record.head.host.as_ref().and_then(|host| host.memory_total);
        tale.plan_mut().required.swap =
            Some(harness::plan::SwapNeed::AtLeast("256M".parse().expect("bytes")));
        let read = Event::MachineRead { swap_total: Some(0), memory_total: total };
        tale.add(tale.mark(Mark::Settle) + 1, read);
    }),
    lie("a cap that was another after the stress", KILLED, OPEN, |tale| {
        let values = [("memory.max".to_owned(), "max".to_owned())].into();
        tale.add(tale.mark(Mark::Settle) + 1, Event::LimitsRead { cgroup: "work".into(), values });
    }),
    lie("a cap that was another while the stress was on", KILLED, OPEN, |tale| {
        let values = [("memory.swap.max".to_owned(), "max".to_owned())].into();
        tale.add(tale.mark(Mark::Hold) + 1, Event::LimitsRead { cgroup: "work".into(), values });
    }),
    // An end that nobody explains leaves the claim open.
    lie("a neighbour that ended nobody knows how", KILLED, NOT_PASS, |tale| {
        tale.ends("neighbour", tale.mark(Mark::Hold), ActorEnd::Unknown);
    }),
    lie("a neighbour that was killed by hand", KILLED, NOT_PASS, |tale| {
        tale.ends("neighbour", tale.mark(Mark::Hold), ActorEnd::Signalled(9));
    }),
    lie("a neighbour of whom nobody saw the end", KILLED, NOT_PASS, |tale| tale.vanishes("neighbour")),
    lie("a stranger killed in the hog's slice", KILLED, RED, |tale| {
        let work = tale.path("work");
        tale.kernel_kills(
            tale.mark(Mark::Hold),
            Some(&work),
            &format!("{work}/other.scope"),
            4242,
            "builder",
        );
    }),
    lie("a stranger killed in the middle of the hog's own report", KILLED, RED, |tale| {
        tale.kernel_logs_kill(tale.death("hog") + 10, Scope::Memcg, 4242, "builder");
    }),
    lie("a stranger killed by the machine", KILLED, RED, |tale| {
        tale.kernel_kills(tale.mark(Mark::Hold), None, "/system.slice/cron.service", 4242, "cron");
    }),
    lie("a stranger with the hog's name", KILLED, RED, |tale| {
        tale.kernel_kills(tale.mark(Mark::Hold), None, "/system.slice/cron.service", 4242, "balloon");
    }),
    lie("the neighbour killed by the log, and seen alive before", KILLED, NOT_PASS, |tale| {
        let (beside, pid) = (tale.path("beside"), tale.pid("neighbour"));
        let cgroup = tale.cgroup("neighbour");
        tale.kernel_kills(tale.mark(Mark::Cleanup) - 10, Some(&beside), &cgroup, pid, "bystander");
    }),
    lie("a group kill that takes the neighbour along", KILLED, RED, |tale| {
        let (at, work) = (tale.death("hog") - 10, tale.path("work"));
        tale.kernel_says(at, OomEvent::GroupKill { path: work.parse().expect("a path") });
        tale.kernel_logs_kill(at + 1, Scope::Memcg, tale.pid("hog"), "balloon");
        tale.kernel_logs_kill(at + 2, Scope::Memcg, tale.pid("neighbour"), "bystander");
    }),
    lie("a kill of the machine that nobody logged", KILLED, NOT_PASS, |tale| {
        tale.counts("host:oom_kill", tale.mark(Mark::Hold), 5);
    }),
    lie("a counter that rose once and two that died", KILLED, NOT_PASS, |tale| {
        tale.silence_the_kernel();
        tale.add(tale.mark(Mark::Climb), Event::KernelLogLost { records: 90 });
        let cgroup = tale.cgroup("hog");
        tale.was_seen_in("neighbour", &cgroup);
        tale.ends("neighbour", tale.death("hog"), ActorEnd::Signalled(9));
    }),
    // Alive means running.
    lie("a canary that is a zombie", KILLED, RED, |tale| state_at_the_end(tale, 'Z')),
    lie("a canary that was stopped", KILLED, RED, |tale| state_at_the_end(tale, 'T')),
    lie("a canary that is another process by now", KILLED, NOT_PASS, |tale| {
        tale.change(|_, event| match event {
            Event::ActorAlive { actor, pid, .. } if actor == "canary" => {
                *pid += 1;
                true
            }
            _ => false,
        });
    }),
    // Killers by a witness that knows the process.
    lie("a hog killed by hand at its cap", KILLED, RED, |tale| {
        tale.was_killed_by_hand("hog");
    }),
    lie("a hog killed by hand while the limit takes a stranger", KILLED, RED, |tale| {
        let work = tale.path("work");
        let at = tale.death("hog") - 100;
        tale.silence_the_kernel();
        tale.kernel_kills(at, Some(&work), &format!("{work}/other.scope"), 4242, "builder");
    }),
    lie("a kill that no witness gives to this process", KILLED, OPEN, |tale| {
        tale.silence_the_kernel();
        tale.add(tale.mark(Mark::Climb), Event::KernelLogLost { records: 90 });
        let unit = tale.unit_of("hog");
        tale.unit_after(&unit, |state| state.result = Some("success".into()));
    }),
    lie("a kernel log that could not be read, and a scope that knows", KILLED, GREEN, |tale| {
        tale.silence_the_kernel();
        tale.drop(|stamped| matches!(stamped.event, Event::KernelLogDrained { .. }));
        tale.add(1, Event::KernelLogUnavailable { reason: "Operation not permitted".into() });
    }),
    lie("a kill by the machine, not by the cap", KILLED, NOT_PASS, |tale| {
        let (at, cgroup, pid) = (tale.death("hog") - 100, tale.cgroup("hog"), tale.pid("hog"));
        tale.silence_the_kernel();
        tale.kernel_kills(at, None, &cgroup, pid, "balloon");
    }),
    lie("a kill at another limit than the claimed one", KILLED, NOT_PASS, |tale| {
        let (at, cgroup, pid, run) =
            (tale.death("hog") - 100, tale.cgroup("hog"), tale.pid("hog"), tale.path("run"));
        tale.silence_the_kernel();
        tale.kernel_kills(at, Some(&run), &cgroup, pid, "balloon");
    }),
    lie("a kill of the same pid long after the hog had ended", KILLED, NOT_PASS, |tale| {
        let (at, cgroup, pid, work) =
            (tale.death("hog"), tale.cgroup("hog"), tale.pid("hog"), tale.path("work"));
        tale.silence_the_kernel();
        tale.kernel_kills(at + 60_000_000, Some(&work), &cgroup, pid, "balloon");
    }),
    lie("a hog that ended by another signal than SIGKILL", KILLED, NOT_PASS, |tale| {
        tale.ends("hog", tale.death("hog"), ActorEnd::Signalled(15));
    }),
    lie("time that is up while the hog still climbs to its cap", KILLED, OPEN, |tale| {
        tale.outlives_the_run("hog");
        tale.column("work:memory.peak", |_, peak| peak.map(|peak| peak.min(500 << 20)));
    }),
    lie("time that is up while the hog climbs on, its cap behind it", KILLED, RED, |tale| {
        tale.outlives_the_run("hog");
    }),
    lie("a hog that stands still below its cap when the time is up", KILLED, RED, |tale| {
        tale.outlives_the_run("hog");
        tale.column("work:memory.peak", |_, peak| peak.map(|peak| peak.min(500 << 20)));
        let calm = tale.mark(Mark::Settle) - 1_500_000;
        let held = tale.value_at("hog:touched", calm);
        tale.column("hog:touched", |_, touched| touched.map(|touched| touched.min(held)));
    }),
    lie("a hog that was seen neither dead nor alive", KILLED, NOT_PASS, |tale| tale.vanishes("hog")),
    lie("a hog that died below its cap", KILLED, RED, |tale| {
        tale.column("work:memory.peak", |_, value| value.map(|bytes| bytes.min(495 << 20)));
    }),
    // A daemon's silence.
    lie("an earlyoom that was not heard", KILLED, OPEN, |tale| {
        tale.follows(Killer::Earlyoom);
        tale.drop(|stamped| matches!(stamped.event, Event::DaemonLogRead { .. }));
    }),
    lie("an oomd that does not log what it does", KILLED, OPEN, |tale| {
        tale.follows(Killer::SystemdOomd);
        heard(tale, "systemd-oomd.service");
        let muted = Event::DaemonMuted { unit: "systemd-oomd.service".into(), why: "LogLevelMax=err".into() };
        tale.add(tale.mark(Mark::Settle) + 1, muted);
    }),
    lie("an oomd that stopped in the middle of the run", KILLED, OPEN, |tale| {
        tale.record.head.minor = 1;
        tale.plan_mut().required = harness::plan::PlannedRequires::default();
        tale.follows(Killer::SystemdOomd);
        heard(tale, "systemd-oomd.service");
        tale.unit_after("systemd-oomd.service", |state| state.active = "inactive".into());
    }),
    lie("a dry-running earlyoom beside one that kills a stranger", KILLED, RED, |tale| {
        tale.follows(Killer::Earlyoom);
        heard(tale, "earlyoom.service");
        let at = tale.mark(Mark::Hold);
        let say = |unit: &str, line: &str| Event::DaemonLine {
            daemon: "earlyoom".into(),
            unit: Some(unit.into()),
            line: line.into(),
        };
        tale.add(at, say("bulkhead-x-earlyoom.service", "dryrun mode enabled, will not kill anything"));
        let line = "sending SIGTERM to process 4242 uid 0 \"builder\": badness 883, VmRSS 51 MiB";
        tale.add(at, say("earlyoom.service", line));
    }),
    lie("an oomd that killed a service", KILLED, RED, |tale| {
        tale.follows(Killer::SystemdOomd);
        heard(tale, "systemd-oomd.service");
        let line = "Killed /system.slice/cron.service due to memory pressure for / being 97% > 10% for > 5s";
        let line = Event::DaemonLine {
            daemon: "systemd-oomd".into(),
            unit: Some("systemd-oomd.service".into()),
            line: line.into(),
        };
        tale.add(tale.mark(Mark::Hold), line);
    }),
    lie("a SIGTERM of earlyoom that the hog ignored before its cap took it", KILLED, GREEN, |tale| {
        tale.follows(Killer::Earlyoom);
        heard(tale, "earlyoom.service");
        let line = format!(
            "sending SIGTERM to process {} uid 0 \"balloon\": badness 883, VmRSS 51 MiB",
            tale.pid("hog")
        );
        let line =
            Event::DaemonLine { daemon: "earlyoom".into(), unit: Some("earlyoom.service".into()), line };
        tale.add(tale.mark(Mark::Climb) + 500_000, line);
    }),
    // What is protected.
    lie("a protected unit that was started again", KILLED, RED, |tale| {
        tale.unit_after("ssh.service", |state| state.invocation_id = Some("0".repeat(32)));
    }),
    lie("a protected unit that is another process", KILLED, RED, |tale| {
        tale.unit_after("dbus.service", |state| state.main_pid = Some(1));
    }),
    lie("a protected unit that nobody asked again", KILLED, OPEN, |tale| {
        tale.drop(|stamped| {
            matches!(&stamped.event, Event::Unit { unit, when: When::After, .. } if unit == "ssh.service")
        });
    }),
    lie("protected units of which nothing identifies them", KILLED, OPEN, |tale| {
        tale.change(|_, event| match event {
            Event::Unit { unit, state: Some(state), .. } if unit == "ssh.service" => {
                (state.invocation_id, state.main_pid, state.n_restarts) = (None, None, None);
                true
            }
            _ => false,
        });
    }),
    // Twins are red for their own reason.
    lie("a twin in which nothing is swapped", SWAPS, NOT_PASS, |tale| {
        tale.column("host:swap.out", |_, value| value.map(|_| 7));
    }),
    lie("a twin in which swap was read by nobody", SWAPS, NOT_PASS, |tale| {
        tale.column("work:memory.swap.current", |_, _| None);
    }),
    lie("a twin whose stress never arrived", SWAPS, OPEN, |tale| {
        tale.column("work:memory.peak", |_, value| value.map(|bytes| bytes.min(100 << 20)));
    }),
    lie("a twin whose hog somebody killed by hand", UNKILLABLE, OPEN, |tale| {
        tale.ends("hog", tale.mark(Mark::Hold) + 1_000_000, ActorEnd::Signalled(9));
    }),
    lie("a twin whose hog gave up", UNKILLABLE, OPEN, |tale| {
        tale.ends("hog", tale.mark(Mark::Hold) + 1_000_000, ActorEnd::Exited(3));
    }),
    lie("a twin whose hog was killed at its cap after all", UNKILLABLE, NOT_PASS, |tale| {
        let at = tale.mark(Mark::Settle) - 100_000;
        let (work, cgroup, pid) = (tale.path("work"), tale.cgroup("hog"), tale.pid("hog"));
        tale.record.events.retain(|stamped| !matches!(stamped.event, Event::KernelOom { .. }));
        tale.kernel_kills(at, Some(&work), &cgroup, pid, "balloon");
        tale.ends("hog", at + 10, ActorEnd::Signalled(9));
        for subject in ["work", "run"] {
            tale.counts(&format!("{subject}:memory.events.oom_kill"), at, 1);
        }
        tale.counts("host:oom_kill", at, 1);
        let unit = tale.unit_of("hog");
        tale.unit_after(&unit, |state| state.result = Some("oom-kill".into()));
    }),
    // What changes nothing about the truth.
    lie("sshd that turns one probe away", KILLED, GREEN, |tale| {
        let climb = tale.mark(Mark::Climb);
        let mut first = true;
        tale.change(|at, event| match event {
            Event::Answer { result, .. } if at > climb + 1_000_000 && first => {
                *result = turned_away();
                first = false;
                true
            }
            _ => false,
        });
    }),
    lie("a kill that the log prints twice", KILLED, GREEN, |tale| {
        tale.kernel_logs_kill(tale.death("hog") + 10, Scope::Memcg, tale.pid("hog"), "balloon");
    }),
    lie("a kill that the log gives to a thread of the hog", KILLED, GREEN, |tale| {
        let hog = tale.pid("hog");
        tale.change(|_, event| match event {
            Event::KernelOom { oom: OomEvent::Killed { pid, .. }, .. } if *pid == hog => {
                *pid += 10_000;
                true
            }
            _ => false,
        });
    }),
    lie("a row that could not be read", KILLED, GREEN, |tale| {
        let hold = tale.mark(Mark::Hold);
        let before =
            tale.record.samples.series("work:memory.swap.current").filter(|(at, _)| *at < hold).last();
        let (at_row, _) = before.expect("a row before the hold");
        tale.column("work:memory.swap.current", |at, value| value.filter(|_| at != at_row));
    }),
    lie("a group kill of the hog's own processes", KILLED, GREEN, |tale| {
        let (at, cgroup, pid) = (tale.death("hog") - 10, tale.cgroup("hog"), tale.pid("hog"));
        tale.kernel_says(at, OomEvent::GroupKill { path: cgroup.parse().expect("a path") });
        tale.kernel_logs_kill(at + 1, Scope::Memcg, pid, "balloon");
    }),
];

fn state_at_the_end(tale: &mut Tale, now: char) {
    tale.change(|_, event| match event {
        Event::ActorAlive { actor, state, .. } if actor == "canary" => {
            *state = Some(now);
            true
        }
        _ => false,
    });
}

/// A daemon that ran before and after, and whose log was read to its end.
fn heard(tale: &mut Tale, name: &str) {
    let mut states = tale.record.events.iter();
    let state = states.find_map(|stamped| match &stamped.event {
        Event::Unit { unit, state, .. } if unit == "ssh.service" => state.clone(),
        _ => None,
    });
    for (when, at) in [(When::Before, 1), (When::After, tale.mark(Mark::Settle) + 1)] {
        tale.add(at, Event::Unit { unit: name.into(), when, state: state.clone() });
    }
    tale.add(tale.mark(Mark::Settle) + 2, Event::DaemonLogRead { lines: 0 });
}
