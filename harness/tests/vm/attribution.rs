//! The verdict comes from evidence: witnesses lost, kills by hand, names and log lines that lie.

use harness::exit_code::ExitCode;
use harness::record::Event;
use harness::record::event::{EndReason, Mark};
use reports::kill::Agreement;
use reports::outcome::{Killer, Verdict};
use rstest::rstest;

use crate::machine::{Machine, RECORD, actor_pid};

/// A shell line that sets `$work` to the cgroup of the run's `work` slice once it is there.
const FIND_WORK: &str =
    "until work=$(ls -d /sys/fs/cgroup/bulkhead.slice/bulkhead-r*.slice/bulkhead-r*-work.slice 2>/dev/null)
     do sleep 0.02; done";

#[test]
fn with_the_kernel_log_lost_the_kill_is_attributed_by_the_others_and_the_loss_is_named() {
    let machine = Machine::alone("kernel-log-lost");
    // Records of 900 bytes, at a level that no console shows; one write makes one record. By default the kernel takes
    // ten of them from a writer in five seconds, and an emulated serial console takes longer than the watchdog waits.
    machine.sh("sysctl -qw kernel.printk_devkmsg=on; dmesg -n 1
         pad=$(printf %0896d 0); for i in $(seq 250); do printf '<15>%s' $pad; done >/run/pad");
    let run = machine.start("dies-at-its-cap");
    // While the harness is stopped the hog dies and the ring of 128 KiB is overrun; the harness is back before its
    // watchdog misses it.
    let script = format!(
        "{FIND_WORK}
         until read bytes <$work/memory.current && [ $bytes -gt 126000000 ]; do :; done
         kill -STOP {pid}
         read from idle </proc/uptime
         until grep -q '^oom_kill [1-9]' $work/memory.events; do :; done
         dd if=/run/pad of=/dev/kmsg bs=900 status=none
         kill -CONT {pid}
         read to idle </proc/uptime; echo $from $to",
        pid = run.pid(),
    );
    let stopped = machine.sh(&script);
    let (code, judged) = run.end();
    assert_eq!(judged.ended(), &EndReason::BalloonsEnded, "the harness was stopped from and to: {stopped}");

    let lost: Vec<u64> = judged
        .record
        .events
        .iter()
        .filter_map(|stamped| match stamped.event {
            Event::KernelLogLost { records } => Some(records),
            _ => None,
        })
        .collect();
    assert!(!lost.is_empty(), "nothing was lost; stopped from and to: {stopped}");
    assert!(!judged.record.events.iter().any(|stamped| matches!(stamped.event, Event::KernelOom { .. })));

    let kill = judged.kill("hog");
    assert_eq!((kill.killer, kill.limit.as_deref()), (Killer::Memcg, Some("work")), "{kill:#?}");
    let says = |name: &str| kill.witnesses.iter().find(|witness| witness.name == name).expect("a witness");
    assert_eq!(says("kernel log").agrees, Agreement::Missing);
    assert!(says("kernel log").says.contains("lost"), "{}", says("kernel log").says);
    assert_eq!(says("memory.events").agrees, Agreement::Agrees);
    assert_eq!(says("wait status").agrees, Agreement::Agrees);
    assert_eq!(
        (code, judged.judgement.verdict),
        (ExitCode::Passed, Verdict::Pass),
        "{:#?}",
        judged.judgement
    );
    assert!(
        judged.warnings.iter().any(|words| words.contains("kernel log records were lost")),
        "{:?}",
        judged.warnings
    );
}

#[rstest]
#[case::killed("KILL")]
#[case::terminated("TERM")]
fn a_hog_killed_by_hand_fails_however_it_looks(#[case] signal: &str) {
    let machine = Machine::new("by-hand");
    let run = machine.start("climbs-slowly");
    run.reaches(Mark::Hold);
    machine.sh(&format!("kill -{signal} {}", run.actor("hog")));
    let (code, judged) = run.end();
    assert_eq!(judged.kill("hog").killer, Killer::Signal, "{:#?}", judged.kill("hog"));
    assert_eq!(judged.finding("reached").verdict, Verdict::Pass);
    assert_eq!(judged.finding("killed-by-its-own-cap").verdict, Verdict::Fail);
    assert_eq!((code, judged.judgement.verdict), (ExitCode::Failed, Verdict::Fail));
    judged.assert_clean();
}

#[test]
fn a_hog_that_never_reached_its_cap_proves_nothing() {
    let machine = Machine::new("never-arrives");
    let (code, judged) = machine.start("never-arrives").end();
    assert_eq!(judged.ended(), &EndReason::ObserveElapsed);
    assert_eq!(judged.finding("reached").verdict, Verdict::Fail);
    assert_eq!((code, judged.judgement.verdict), (ExitCode::Inconclusive, Verdict::Inconclusive));
    let reason = judged.judgement.reason.as_deref().unwrap_or_default();
    assert!(reason.contains("was not reached") && reason.contains("MiB"), "{reason}");
}

#[test]
fn a_name_that_imitates_fields_of_the_kernel_log_fools_nobody() {
    let machine = Machine::new("hostile-name");
    let (code, judged) = machine.start("named-like-a-log").end();
    let kill = judged.kill("hog");
    assert_eq!(kill.comm, "x,pid=1,uid=0");
    assert_eq!((kill.killer, kill.limit.as_deref()), (Killer::Memcg, Some("work")), "{kill:#?}");
    let log = kill.witnesses.iter().find(|witness| witness.name == "kernel log").expect("a witness");
    assert_eq!(log.agrees, Agreement::Agrees);
    assert!(log.says.ends_with(&format!("pid={}", kill.pid)), "{}", log.says);
    assert_eq!(judged.finding("no-other-victim").verdict, Verdict::Pass);
    assert_eq!((code, judged.judgement.verdict), (ExitCode::Passed, Verdict::Pass));
}

#[test]
fn a_kernel_log_forged_from_user_space_does_not_turn_a_kill_by_hand_into_one_by_the_cap() {
    let machine = Machine::new("forged");
    let run = machine.start("climbs-slowly");
    run.reaches(Mark::Hold);
    // Word for word what the kernel prints, at its priorities.
    machine.sh(&format!(
        "pid=$({pid}); path=$(cut -d: -f3 /proc/$pid/cgroup); limit=${{path%/*}}
         echo \"<6>oom-kill:constraint=CONSTRAINT_MEMCG,nodemask=(null),cpuset=/,mems_allowed=0,oom_memcg=$limit,\
task_memcg=$path,task=balloon,pid=$pid,uid=0\" >/dev/kmsg
         echo \"<3>Memory cgroup out of memory: Killed process $pid (balloon) total-vm:140000kB, anon-rss:131072kB, \
file-rss:0kB, shmem-rss:0kB, UID:0 pgtables:300kB oom_score_adj:0\" >/dev/kmsg
         kill -KILL $pid",
        pid = actor_pid("hog"),
    ));
    let logged = machine.sh("dmesg | grep -c 'Killed process'");
    let (code, judged) = run.end();
    assert_eq!(logged, "1", "the forged line is in the kernel log of {RECORD}");
    assert!(!judged.record.events.iter().any(|stamped| matches!(stamped.event, Event::KernelOom { .. })));
    assert_eq!(judged.kill("hog").killer, Killer::Signal, "{:#?}", judged.kill("hog"));
    assert_eq!((code, judged.judgement.verdict), (ExitCode::Failed, Verdict::Fail));
}
