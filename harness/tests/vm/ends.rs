//! Every way a run can end leaves the machine as it was, or says that it does not.

use std::time::{Duration, Instant};

use ci::Exit;
use harness::exit_code::ExitCode;
use harness::record::event::{EndReason, Mark};
use nix::sys::signal::Signal;
use reports::outcome::Verdict;
use rstest::rstest;

use crate::machine::{Machine, RECORD, RUNNING, Run};

/// The deadline of `outlives-the-harness`, the two seconds that PID 1 waits between SIGTERM and SIGKILL, and one for an
/// emulated machine.
const ALL_GONE: Duration = Duration::from_secs(6 + 2 + 1);

/// What `bulkhead recover` says of a clean machine.
const NOTHING: &str = "nothing is left of bulkhead: no unit, no process, no undo journal";

/// Kills the harness with SIGKILL at the first moment of a part of the run.
fn kill_at(machine: &Machine, mark: Mark) {
    let run = machine.start("outlives-the-harness");
    if mark == Mark::Setup {
        machine.wait_until("ls -d /sys/fs/cgroup/bulkhead.slice/bulkhead-r*.slice >/dev/null 2>&1");
    } else {
        run.reaches(mark);
    }
    run.signal(Signal::SIGKILL);
    assert_eq!(run.wait().0, Exit::Signal(9));
}

/// Recovers, and holds what it says against what is there.
fn recover(machine: &Machine) {
    let (code, words) = machine.bulkhead(&["recover"]);
    assert_eq!(code, ExitCode::Passed, "{words}");
    assert!(words.contains(NOTHING), "{words}");
    assert_eq!(machine.left(), "", "{words}");
    let (code, words) = machine.bulkhead(&["recover"]);
    assert_eq!((code, words.trim_end()), (ExitCode::Passed, NOTHING));
}

#[rstest]
fn a_harness_killed_in_any_phase_leaves_nothing_running_after_the_deadline(
    #[values(Mark::Setup, Mark::Baseline, Mark::Climb, Mark::Hold, Mark::Settle)] mark: Mark,
) {
    let machine = Machine::new("killed");
    kill_at(&machine, mark);
    let killed = Instant::now();
    if matches!(mark, Mark::Baseline | Mark::Climb | Mark::Hold) {
        let running = machine.running();
        assert!(running.contains("/exe"), "nothing ran in {mark:?}");
    }
    machine.wait_until(&format!("test -z \"$({RUNNING})\""));
    let took = killed.elapsed();
    assert!(took < ALL_GONE, "the last process ended {took:?} after the harness");
    recover(&machine);
}

#[rstest]
fn recovery_does_not_have_to_wait_for_the_deadline(
    #[values(Mark::Setup, Mark::Baseline, Mark::Climb, Mark::Hold, Mark::Settle, Mark::Cleanup)] mark: Mark,
) {
    let machine = Machine::new("recovered");
    kill_at(&machine, mark);
    recover(&machine);
    assert_eq!(machine.running(), "");
}

#[test]
fn recovery_leaves_a_run_alone_that_is_under_way() {
    let machine = Machine::new("under-way");
    let run = machine.start("climbs-slowly");
    run.reaches(Mark::Hold);
    let (code, words) = machine.bulkhead(&["recover"]);
    assert_eq!(code, ExitCode::Guarded, "{words}");
    assert!(words.contains("is still running and was left alone") && !words.contains("left:"), "{words}");
    let (code, judged) = run.end();
    assert_eq!(
        (code, judged.judgement.verdict),
        (ExitCode::Passed, Verdict::Pass),
        "{:#?}",
        judged.judgement
    );
    judged.assert_clean();
    recover(&machine);
}

fn stopped_in_mid_stress(run: Run<'_>, machine: &Machine, signal: Signal) {
    run.reaches(Mark::Climb);
    run.signal(signal);
    let (code, judged) = run.end();
    assert_eq!(judged.ended(), &EndReason::Interrupted { signal: signal as i32 });
    assert_eq!(code, ExitCode::Interrupted);
    assert_eq!(judged.judgement.verdict, Verdict::Inconclusive);
    judged.assert_clean();
    assert_eq!(machine.left(), "");
}

#[rstest]
fn an_interrupted_run_cleans_up_and_says_so(
    #[values(Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP)] signal: Signal,
) {
    let machine = Machine::new("interrupted");
    stopped_in_mid_stress(machine.start("outlives-the-harness"), &machine, signal);
}

#[test]
fn a_signal_before_anything_was_started_is_not_lost() {
    let machine = Machine::new("early-signal");
    let run = machine.start("outlives-the-harness");
    machine.wait_until(&format!("test -e {RECORD}/events.jsonl"));
    run.signal(Signal::SIGINT);
    let (code, judged) = run.end();
    assert_eq!(code, ExitCode::Interrupted);
    judged.assert_clean();
    assert_eq!(machine.left(), "");
}

#[test]
fn a_run_that_ends_by_itself_leaves_nothing() {
    let machine = Machine::new("ends");
    let (code, judged) = machine.start("named-like-a-log").end();
    assert_eq!(code, ExitCode::Passed);
    judged.assert_clean();
    assert_eq!(machine.left(), "");
    assert_eq!(machine.sh("systemctl --failed --no-legend"), "");
}

#[test]
fn a_harness_that_was_stopped_for_longer_than_its_watchdog_allows_aborts() {
    let machine = Machine::alone("watchdog");
    let run = machine.start("climbs-slowly");
    run.reaches(Mark::Climb);
    machine.sh(&format!(
        "kill -STOP {pid}
         rows=$(cat {RECORD}/samples.jsonl | wc -l); sleep 2.5; test $rows = $(cat {RECORD}/samples.jsonl | wc -l)
         kill -CONT {pid}",
        pid = run.pid()
    ));
    let (code, judged) = run.end();
    let EndReason::Aborted { reason } = judged.ended() else { panic!("{:?}", judged.ended()) };
    assert!(reason.starts_with("no sample was taken for 2."), "{reason}");
    assert_eq!((code, judged.judgement.verdict), (ExitCode::Guarded, Verdict::Aborted));
    judged.assert_clean();
    assert_eq!(machine.left(), "");
}

#[test]
fn a_machine_that_runs_short_of_memory_aborts_the_run() {
    let machine = Machine::alone("floor");
    let eater = "/opt/bulkhead/balloon --text pinned --hold 60";
    // Two thirds of the machine are in use before, which the guard admits; the rest follows in seconds.
    machine.sh(&format!(
        "{eater} --status /run/eater --total 1300000000 >/dev/null 2>&1 & echo $! >/run/eater.pid"
    ));
    machine.wait_until("test $(awk '/^MemAvailable:/ { print $2 }' /proc/meminfo) -lt 600000");
    let run = machine.start("climbs-slowly");
    run.reaches(Mark::Hold);
    // Somebody else on the machine takes all but 60 MiB of what is there; the floor is a twentieth of 2 GiB.
    machine.sh(&format!(
        "bytes=$(awk '/^MemAvailable:/ {{ print ($2 - 61440) * 1024 }}' /proc/meminfo)
         {eater} --status /run/eater2 --total $bytes --rate 100000000 >/dev/null 2>&1 &
         eater=$!
         until grep -qs '\"kind\":\"ended\"' {RECORD}/events.jsonl; do kill -0 $eater || exit 1; sleep 0.02; done
         kill $eater"
    ));
    let (code, judged) = run.end();
    let EndReason::Aborted { reason } = judged.ended() else { panic!("{:?}", judged.ended()) };
    assert!(reason.starts_with("MemAvailable fell to ") && reason.contains(", the floor is "), "{reason}");
    assert_eq!((code, judged.judgement.verdict), (ExitCode::Guarded, Verdict::Aborted));
    judged.assert_clean();
    machine.sh("pid=$(cat /run/eater.pid); kill $pid; while kill -0 $pid 2>/dev/null; do sleep 0.02; done");
    assert_eq!(machine.left(), "");
}
