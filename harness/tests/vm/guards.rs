//! What is refused before anything is started, and in what words.

use harness::exit_code::ExitCode;
use harness::record::Event;
use reports::outcome::Verdict;
use rstest::rstest;

use crate::machine::{Judged, Machine, STORE};

const ALLOWANCE: &str = "/etc/bulkhead/host.toml";
/// Three quarters of the guest's memory, taken before the run.
const NEARLY_FULL: &str = "mount -o remount,size=90% /dev/shm; fallocate -l 1500M /dev/shm/taken; echo";

/// Runs a scenario after a change to the machine: exit code and words.
fn run_after(machine: &Machine, change: &str, scenario: &str) -> (ExitCode, String) {
    machine.sh(change);
    let file = format!("/opt/bulkhead/scenarios/{scenario}.toml");
    machine.bulkhead(&["run", "--on", "host", "--store", STORE, "--twins", "none", &file])
}

fn assert_nothing_started(machine: &Machine, judged: Option<&Judged>) {
    if let Some(judged) = judged {
        let started = |event: &Event| matches!(event, Event::UnitStarted { .. } | Event::ActorPlaced { .. });
        assert!(!judged.record.events.iter().any(|stamped| started(&stamped.event)));
    }
    assert_eq!(machine.left(), "");
}

#[rstest]
#[case::missing("rm /etc/bulkhead/host.toml", &["does not exist", "as root, write", "schema = 1"])]
#[case::writable_by_a_group("chmod 664 /etc/bulkhead/host.toml", &["mode 664", "chmod 644"])]
#[case::of_somebody_else("chown nobody /etc/bulkhead/host.toml", &["uid 65534", "chown root"])]
#[case::with_a_typo("echo disposible=true >>/etc/bulkhead/host.toml", &["disposible", "disposable"])]
fn a_machine_whose_owner_has_not_allowed_it_is_left_alone(#[case] change: &str, #[case] wanted: &[&str]) {
    let machine = Machine::new("allowance");
    let (code, words) = run_after(&machine, change, "dies-at-its-cap");
    assert_eq!(code, ExitCode::Guarded, "{words}");
    for part in wanted.iter().chain([&ALLOWANCE]) {
        assert!(words.contains(part), "{part} is not in: {words}");
    }
    assert_nothing_started(&machine, None);
}

#[rstest]
#[case::max_memory("echo 'max-memory = \"100M\"'", &["allows 100 MiB"])]
#[case::max_deadline("echo 'max-deadline = \"30s\"'", &["is 60 s", "allows 30 s"])]
#[case::max_used("echo 'max-used = \"10%\"'", &["are in use", "at most 10 %"])]
#[case::nine_tenths(NEARLY_FULL, &["are in use", "at most 90 %"])]
#[case::panic_on_oom("sysctl -qw vm.panic_on_oom=1", &["vm.panic_on_oom is 1"])]
fn what_could_hurt_is_refused_with_the_numbers(#[case] change: &str, #[case] wanted: &[&str]) {
    let machine = Machine::new("refused");
    let (code, words) = run_after(&machine, &format!("{change} >>{ALLOWANCE}"), "dies-at-its-cap");
    let judged = machine.judged();
    assert_eq!((code, judged.judgement.verdict), (ExitCode::Guarded, Verdict::Aborted), "{words}");
    let reason = judged.judgement.reason.as_deref().unwrap_or_default();
    let plan = judged.record.head.plan.as_ref().expect("a plan");
    let takes =
        format!("can use up to {} MiB", plan.most_memory().expect("a cap of the harness's own") >> 20);
    for part in wanted {
        assert!(reason.contains(part), "{part} is not in: {reason}");
    }
    assert!(!reason.contains("MiB") || reason.contains(&takes), "{takes} is not in: {reason}");
    assert_nothing_started(&machine, Some(&judged));
}

#[test]
fn a_scenario_that_presses_the_machine_is_skipped_where_the_machine_may_not_be_lost() {
    let machine = Machine::new("skipped");
    let (code, words) = run_after(&machine, &format!("echo 'schema = 1' >{ALLOWANCE}"), "pressure");
    let judged = machine.judged();
    assert_eq!((code, judged.judgement.verdict), (ExitCode::NothingRan, Verdict::Skipped), "{words}");
    let reason = judged.judgement.reason.as_deref().unwrap_or_default();
    assert!(
        reason.contains("pressure") && reason.contains("disposable") && reason.contains(ALLOWANCE),
        "{reason}"
    );
    assert_nothing_started(&machine, Some(&judged));
}

#[test]
fn a_machine_that_may_not_be_lost_still_runs_what_is_contained() {
    let machine = Machine::new("allowed");
    let (code, words) = run_after(&machine, &format!("echo 'schema = 1' >{ALLOWANCE}"), "named-like-a-log");
    assert_eq!(code, ExitCode::Passed, "{words}");
}
