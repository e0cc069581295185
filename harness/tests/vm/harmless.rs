//! What a run did not make is as it was, whatever the run is called, however it ends, and whoever else runs.

use ci::Exit;
use harness::exit_code::ExitCode;
use harness::record::event::Mark;
use nix::sys::signal::Signal;
use reports::outcome::{Killer, Verdict};

use crate::machine::Machine;

const SCENARIO: &str = "below-a-slice-of-the-machine";

/// Somebody's work, in a slice of the very name that the scenario's `[cgroup.agents]` in `workspace.slice` suggests.
const WORK: &str = "
    printf '[Service]\\nSlice=workspace-agents.slice\\nExecStart=/bin/sleep 600\\n' >/etc/systemd/system/precious.service
    systemctl daemon-reload
    systemctl start precious.service";
const HOW_IT_IS: &str =
    "systemctl show -p MainPID,InvocationID,ActiveState precious.service workspace-agents.slice
    kill -0 $(systemctl show -P MainPID precious.service) && echo alive";

#[test]
fn somebodys_work_in_the_same_slice_outlives_a_run() {
    let machine = Machine::new("harmless");
    machine.sh(WORK);
    let before = machine.sh(HOW_IT_IS);
    let run = machine.start(SCENARIO);
    run.reaches(Mark::Climb);
    // 5 % above the scenario's 128 MiB: the harness's own cap holds there, too.
    let cap = machine.sh("cat /sys/fs/cgroup/workspace.slice/workspace-bulkhead_r*.slice/memory.max");
    assert_eq!(cap.parse::<u64>().ok(), Some(((128 << 20) / 100 * 105) & !0xfff));
    let (code, judged) = run.end();
    assert_eq!(code, ExitCode::Passed, "{:#?}", judged.judgement);
    judged.assert_clean();
    assert_eq!(machine.left(), "");
    assert_eq!(machine.sh(HOW_IT_IS), before);
}

#[test]
fn somebodys_work_in_the_same_slice_outlives_a_recovery() {
    let machine = Machine::new("harmless-recovery");
    machine.sh(WORK);
    let before = machine.sh(HOW_IT_IS);
    let run = machine.start(SCENARIO);
    run.reaches(Mark::Climb);
    run.signal(Signal::SIGKILL);
    assert_eq!(run.wait().0, Exit::Signal(9));
    let (code, words) = machine.bulkhead(&["recover"]);
    assert_eq!(code, ExitCode::Passed, "{words}");
    assert_eq!(machine.left(), "", "{words}");
    assert_eq!(machine.sh(HOW_IT_IS), before);
}

#[test]
fn a_slice_that_came_along_with_a_run_is_down_again() {
    let machine = Machine::new("implicit");
    let state = "systemctl show -P ActiveState workspace.slice; ls -d /sys/fs/cgroup/workspace.slice || true";
    let before = machine.sh(state);
    assert!(before.starts_with("inactive"), "{before}");
    let run = machine.start(SCENARIO);
    run.reaches(Mark::Climb);
    assert!(machine.sh(state).starts_with("active"));
    let (_, judged) = run.end();
    judged.assert_clean();
    assert_eq!(machine.sh(state), before);
}

#[test]
fn a_second_run_is_refused_and_a_recovery_leaves_the_first_alone() {
    let machine = Machine::new("second");
    let run = machine.start("climbs-slowly");
    run.reaches(Mark::Climb);
    let file = "/opt/bulkhead/scenarios/dies-at-its-cap.toml";
    let (code, words) =
        machine.bulkhead(&["run", "--on", "host", "--store", "/run/second", "--twins", "none", file]);
    assert_eq!(code, ExitCode::Guarded, "{words}");
    let told = format!("(pid {}) is already using this machine", run.pid());
    let ended = machine.sh("grep refused /run/second/*/*/events.jsonl");
    assert!(ended.contains(&told), "{ended}");
    let (code, words) = machine.bulkhead(&["recover"]);
    assert_eq!(code, ExitCode::Guarded, "{words}");
    assert!(words.contains("is still running and was left alone"), "{words}");
    let (code, judged) = run.end();
    assert_eq!(code, ExitCode::Passed, "{:#?}", judged.judgement);
    judged.assert_clean();
    assert_eq!(machine.left(), "");
}

/// The run loses its connection to PID 1 in mid-stress, and the bus with it: both are found again, and what became of whom is
/// asked all the same.
#[test]
fn a_bus_that_dies_in_mid_stress_is_found_again() {
    let machine = Machine::alone("no-bus");
    let run = machine.start("climbs-slowly");
    run.reaches(Mark::Hold);
    machine.sh("systemctl kill -s KILL dbus.service");
    let (code, judged) = run.end();
    judged.assert_clean();
    assert_eq!(machine.left(), "");
    assert_eq!(judged.kill("hog").killer, Killer::Memcg);
    // It was protected, and it is another process: that alone is what the run finds.
    assert_eq!(code, ExitCode::Failed, "{:#?}", judged.judgement);
    let unchanged = judged.finding("protected-unchanged");
    assert_eq!(unchanged.verdict, Verdict::Fail, "{unchanged:#?}");
    assert!(unchanged.observed.starts_with("dbus.service: "), "{}", unchanged.observed);
}
