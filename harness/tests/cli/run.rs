//! `run`: what is refused before any machine is touched.

use std::os::unix::fs::PermissionsExt;

use predicates::prelude::PredicateBooleanExt;
use predicates::str::{contains, is_empty, starts_with};
use rstest::rstest;

use crate::bulkhead::{bulkhead, scenarios};

#[rstest]
#[case::a_misspelt_scenario(&["hard-cap-kil"], "did you mean `hard-cap-kill`?")]
#[case::a_scenario_like_no_other(&["zzz"], "there is no scenario `zzz`")]
#[case::an_unknown_twin(
    &["hard-cap-kill", "--twins", "swap-alowed"],
    "hard-cap-kill has no twin `swap-alowed`; it has cap-removed, swap-allowed, unkillable"
)]
#[case::a_tag_beside_a_selection(&["hard-cap-kill", "--tag", "core"], "cannot be used with")]
#[case::no_runs(&["--runs", "0"], "0 is not in 1..=1000")]
#[case::no_jobs(&["--jobs", "0"], "0 is not in 1..=64")]
#[case::another_guest(&["--guest", "sid"], "possible values: bookworm, trixie, all")]
#[case::another_place(&["--on", "mars"], "possible values: vm, host")]
#[case::an_unknown_report(&["--report", "pdf"], "unknown report kind \"pdf\": use one of terminal, markdown, json, junit")]
#[case::a_report_without_a_path(&["--report", "json:"], "--report")]
fn a_wrong_command_line_ends_with_two(#[case] arguments: &[&str], #[case] words: &str) {
    let dir = scenarios(&["hard-cap-kill"]);
    bulkhead(&["run", "--scenarios", &dir.path().display().to_string()])
        .args(arguments)
        .assert()
        .code(2)
        .stdout(is_empty())
        .stderr(contains(words));
}

/// Nobody waits for an hour to learn that a claim could not have failed.
#[test]
fn what_check_calls_an_error_does_not_run() {
    let dir = scenarios(&["hard-cap-kill"]);
    let file = dir.path().join("hard-cap-kill.toml");
    let text = std::fs::read_to_string(&file).expect("the scenario");
    std::fs::write(&file, text.replace("observe  = \"20s\"", "observe  = \"10s\"")).expect("written");
    for place in ["vm", "host"] {
        bulkhead(&["run", "--on", place, "--scenarios", &dir.path().display().to_string()])
            .assert()
            .code(2)
            .stdout(is_empty())
            .stderr(contains("nobody watches for 20s").and(contains("hard-cap-kill.toml:")));
    }
}

#[test]
fn nothing_selected_ends_with_three() {
    let dir = scenarios(&["hard-cap-kill"]);
    let place = dir.path().display().to_string();
    bulkhead(&["run", "--tag", "no-such-tag", "--scenarios", &place])
        .assert()
        .code(3)
        .stdout(is_empty())
        .stderr(contains("nothing selected"));
    let empty = tempfile::tempdir().expect("a temporary directory");
    bulkhead(&["run", "--scenarios", &empty.path().display().to_string()]).assert().code(3);
}

/// Without the tools that make a machine there is none: an error, and never a verdict.
#[test]
fn without_the_means_for_a_vm_it_is_an_error() {
    let dir = scenarios(&["hard-cap-kill"]);
    let store = tempfile::tempdir().expect("a temporary directory");
    bulkhead(&["run", "--scenarios", &dir.path().display().to_string(), "--store"])
        .arg(store.path())
        .env("PATH", dir.path())
        .assert()
        .code(1)
        .stdout(is_empty())
        .stderr(starts_with("error: ").and(contains("pass").not()));
}

/// The program where everybody may start it.
fn for_everybody() -> (tempfile::TempDir, std::path::PathBuf) {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let program = dir.path().join("bulkhead");
    // By another process: what this one holds open to write, a fork of another test keeps busy.
    let mut copy = std::process::Command::new("cp");
    assert!(copy.arg(env!("CARGO_BIN_EXE_bulkhead")).arg(&program).status().expect("copied").success());
    for path in [dir.path(), &program] {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).expect("chmod");
    }
    (dir, program)
}

/// Refused at once and for its own reason, never a run that ends half-way with an error number.
#[test]
fn who_is_not_root_is_refused_before_anything_is_done_to_the_machine() {
    use std::os::unix::process::CommandExt;
    let scenarios = scenarios(&["hard-cap-kill"]);
    let (dir, program) = for_everybody();
    std::fs::set_permissions(scenarios.path(), std::fs::Permissions::from_mode(0o755)).expect("chmod");
    let store = dir.path().join("runs");
    std::fs::create_dir(&store).expect("made");
    std::fs::set_permissions(&store, std::fs::Permissions::from_mode(0o777)).expect("chmod");
    let mut command = std::process::Command::new(&program);
    command.args(["run", "--on", "host", "--twins", "none", "--scenarios"]).arg(scenarios.path());
    command.arg("--store").arg(&store).current_dir("/");
    if nix::unistd::geteuid().is_root() {
        command.uid(65534).gid(65534);
    }
    assert_cmd::Command::from_std(command)
        .assert()
        .code(12)
        .stdout(is_empty())
        .stderr(contains("refused: a run needs root: start it with sudo"));
}

#[test]
fn an_unknown_subcommand_ends_with_two() {
    bulkhead(&["jugde"]).assert().code(2).stdout(is_empty()).stderr(contains("judge"));
    bulkhead(&[]).assert().code(2).stderr(contains("Usage: bulkhead <COMMAND>"));
}
