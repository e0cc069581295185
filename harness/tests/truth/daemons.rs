//! Lies about the OOM killers in user space, and about who sent which signal.

use harness::record::Event;
use harness::record::event::{ActorEnd, Mark};

use crate::Lie;
use crate::edit::Tale;
use crate::table::{GREEN, NOT_PASS, OPEN, RED, lie};

/// Armed, far above its limit, and it never acts: there is nothing to scan.
const INERT: &str = "oomd-inert-without-swap@trixie";
/// Its twin with swap, in which oomd takes the hog.
const FIRES: &str = "oomd-inert-without-swap.with-swap@trixie";
/// earlyoom takes one hog with SIGTERM, the other with SIGKILL.
const LIVE: &str = "earlyoom-live@trixie";
/// earlyoom chooses in a dry run.
const DRY: &str = "earlyoom-dry-run@trixie";
/// Three services die in their order under a machine-wide OOM.
const ORDER: &str = "oom-score-order@trixie";
/// A child dies at the cap of its service, and the service lives.
const CONTINUE: &str = "oom-policy-continue@trixie";

const OOMD: &str = "systemd-oomd.service";

fn dumps(tale: &mut Tale, keep: impl Fn(u64) -> bool) {
    tale.drop(|stamped| matches!(stamped.event, Event::OomdDump { .. }) && !keep(stamped.at_us));
}

fn oomd_kills(tale: &mut Tale, path: &str) {
    let line = format!("Killed {path} due to memory pressure for {path} being 97.1% > 10.0% for > 5s");
    let event = Event::DaemonLine { daemon: "systemd-oomd".into(), unit: Some(OOMD.into()), line };
    tale.add(tale.mark(Mark::Hold) + 1, event);
}

pub(crate) const TABLE: &[Lie] = &[
    // A daemon that is claimed to be armed.
    lie("an oomd that was not asked again after the stress", INERT, OPEN, |tale| {
        let settle = tale.mark(Mark::Settle);
        dumps(tale, |at| at < settle);
    }),
    lie("an oomd that was not asked before the stress", INERT, OPEN, |tale| {
        let settle = tale.mark(Mark::Settle);
        dumps(tale, |at| at >= settle);
    }),
    lie("an oomd that runs dry", INERT, RED, |tale| {
        tale.change(|_, event| match event {
            Event::OomdDump { text } => {
                *text = text.replace("Dry Run: no", "Dry Run: yes");
                true
            }
            _ => false,
        });
    }),
    lie("an oomd that forgot the cgroup", INERT, RED, |tale| {
        let (work, settle) = (tale.path("work"), tale.mark(Mark::Settle));
        tale.change(|at, event| match event {
            Event::OomdDump { text } if at >= settle => {
                *text = text.replace(&work, "/another.slice");
                true
            }
            _ => false,
        });
    }),
    lie("an oomd that was stopped and did nothing in the stress", INERT, OPEN, |tale| {
        let hold = tale.mark(Mark::Hold);
        let used =
            tale.record.samples.series("systemd-oomd.service:cpu.usage").filter(|(at, _)| *at <= hold).last();
        let used = used.map(|(_, value)| value);
        tale.column("systemd-oomd.service:cpu.usage", |at, value| if at > hold { used } else { value });
    }),
    lie("an oomd whose work nobody watched", INERT, OPEN, |tale| {
        tale.column("systemd-oomd.service:cpu.usage", |_, _| None);
    }),
    lie("an oomd that was started again in the stress", INERT, NOT_PASS, |tale| {
        tale.unit_after(OOMD, |state| state.main_pid = Some(9_999));
    }),
    lie("an oomd that is muted", INERT, OPEN, |tale| {
        let muted = Event::DaemonMuted { unit: OOMD.into(), why: "LogLevelMax=3".into() };
        tale.add(tale.mark(Mark::Settle) + 1, muted);
    }),
    lie("an oomd whose log was not read to its end", INERT, OPEN, |tale| {
        tale.drop(|stamped| matches!(stamped.event, Event::DaemonLogRead { .. }));
    }),
    lie("an oomd that killed a stranger while the hog lived", INERT, RED, |tale| {
        oomd_kills(tale, "/system.slice/cron.service");
    }),
    lie("a hold that is shorter than the minute it must be", INERT, OPEN, |tale| {
        tale.plan_mut().hold_us = 200_000_000;
    }),
    lie("a hog that could not map more after three seconds", INERT, NOT_PASS, |tale| {
        tale.ends("hog", tale.mark(Mark::Hold) + 3_000_000, ActorEnd::Exited(3));
    }),
    lie("a soft cap that was another after the stress", INERT, OPEN, |tale| {
        let values = [("memory.high".to_owned(), "max".to_owned())].into();
        tale.add(tale.mark(Mark::Settle) + 1, Event::LimitsRead { cgroup: "work".into(), values });
    }),
    lie("limits that were not read again after the stress", INERT, OPEN, |tale| {
        let settle = tale.mark(Mark::Settle);
        tale.drop(|stamped| {
            stamped.at_us >= settle
                && matches!(&stamped.event, Event::LimitsRead { cgroup, .. } if cgroup == "work")
        });
    }),
    lie("a required unit that was down after the stress", INERT, NOT_PASS, |tale| {
        tale.unit_after(OOMD, |state| state.active = "failed".into());
    }),
    // A kill by oomd.
    lie("a twin whose hog somebody else killed, not oomd", FIRES, NOT_PASS, |tale| {
        tale.drop(|stamped| matches!(stamped.event, Event::DaemonLine { .. }));
        let unit = tale.unit_of("hog");
        tale.unit_after(&unit, |state| state.result = Some("signal".into()));
    }),
    lie("a twin whose hog died of SIGTERM, which oomd never sends", FIRES, NOT_PASS, |tale| {
        tale.ends("hog", tale.death("hog"), ActorEnd::Signalled(15));
    }),
    lie("a twin whose hog the kernel took, with oomd's line for another cgroup", FIRES, NOT_PASS, |tale| {
        tale.change(|_, event| match event {
            Event::DaemonLine { line, .. } if line.starts_with("Killed /") => {
                *line = line.replacen("Killed /", "Killed /another.slice/", 1);
                true
            }
            _ => false,
        });
        let (at, work, cgroup) = (tale.death("hog") - 10, tale.path("work"), tale.cgroup("hog"));
        tale.kernel_kills(at, Some(&work), &cgroup, tale.pid("hog"), "balloon");
    }),
    // earlyoom.
    lie("a hog that got SIGTERM and died of SIGKILL from nobody", LIVE, NOT_PASS, |tale| {
        tale.ends("listens", tale.death("listens"), ActorEnd::Signalled(9));
    }),
    lie("a hog that earlyoom never chose", LIVE, NOT_PASS, |tale| {
        let pid = format!("to process {} ", tale.pid("listens"));
        tale.drop(|stamped| matches!(&stamped.event, Event::DaemonLine { line, .. } if line.contains(&pid)));
    }),
    lie("an earlyoom that only would have killed", LIVE, NOT_PASS, |tale| {
        let own = tale.plan().daemons.iter().find(|daemon| daemon.start.is_some());
        let unit = own.map(|own| own.unit.to_string());
        let line = "dryrun mode enabled, will not kill anything".to_owned();
        tale.add(tale.mark(Mark::Baseline), Event::DaemonLine { daemon: "earlyoom".into(), unit, line });
    }),
    lie("a dry run of somebody else beside the one that kills", LIVE, GREEN, |tale| {
        let unit = Some("earlyoom-other.service".to_owned());
        let line = "dryrun mode enabled, will not kill anything".to_owned();
        tale.add(tale.mark(Mark::Baseline), Event::DaemonLine { daemon: "earlyoom".into(), unit, line });
    }),
    lie("an avoided daemon that died all the same", LIVE, NOT_PASS, |tale| {
        tale.ends("ledger", tale.mark(Mark::Settle) - 1_000_000, ActorEnd::Signalled(9));
    }),
    lie("a kernel that killed beside earlyoom", LIVE, RED, |tale| {
        tale.counts("host:oom_kill", tale.mark(Mark::Settle) - 1_000_000, 1);
    }),
    lie("a dry run that chose the avoided daemon once", DRY, RED, |tale| {
        let (hog, daemon) = (tale.pid("hog"), tale.pid("daemon"));
        let mut first = true;
        tale.change(|_, event| match event {
            Event::DaemonLine { line, .. } if line.contains(" to process ") && first => {
                *line = line.replace(&format!("process {hog} "), &format!("process {daemon} "));
                first = false;
                true
            }
            _ => false,
        });
    }),
    lie("a dry run that said nothing", DRY, NOT_PASS, |tale| {
        tale.drop(|stamped| matches!(stamped.event, Event::DaemonLine { .. }));
    }),
    // Kills in an order, and beside a server.
    lie("a service that somebody killed by hand in its turn", ORDER, NOT_PASS, |tale| {
        let pid = tale.pid("mid");
        use harness::kmsg::oom::OomEvent;
        tale.drop(|stamped| match &stamped.event {
            Event::KernelOom {
                oom: OomEvent::Summary { pid: of, .. } | OomEvent::Killed { pid: of, .. },
                ..
            } => *of == pid,
            _ => false,
        });
        let unit = tale.unit_of("mid");
        tale.unit_after(&unit, |state| state.result = Some("signal".into()));
    }),
    lie("a ledger that died before the cheap one", ORDER, NOT_PASS, |tale| {
        use harness::kmsg::oom::OomEvent;
        let (pid, climb) = (tale.pid("ledger"), tale.mark(Mark::Climb));
        tale.change(|_, event| match event {
            Event::KernelOom { logged_us, oom, .. } => match oom {
                OomEvent::Summary { pid: of, .. } | OomEvent::Killed { pid: of, .. } if *of == pid => {
                    *logged_us = Some(climb);
                    true
                }
                _ => false,
            },
            _ => false,
        });
    }),
    lie("a critical one that is dead and looks alive", ORDER, NOT_PASS, |tale| {
        let (at, cgroup, pid) = (tale.mark(Mark::Cleanup) - 1, tale.cgroup("critical"), tale.pid("critical"));
        tale.kernel_kills(at, None, &cgroup, pid, "bystander");
    }),
    lie("a server that died with its child", CONTINUE, NOT_PASS, |tale| {
        tale.ends("server", tale.mark(Mark::Settle), ActorEnd::Unknown);
    }),
    lie("a child that the log gives to nobody, in a service of two", CONTINUE, NOT_PASS, |tale| {
        tale.silence_the_kernel();
        tale.add(tale.mark(Mark::Climb), Event::KernelLogLost { records: 90 });
        let cgroup = tale.cgroup("hog");
        tale.was_seen_in("server", &cgroup);
        tale.ends("server", tale.death("hog"), ActorEnd::Signalled(9));
    }),
];
