//! `check`, `list` and `schema`: files, judged and shown without running anything.

use std::fs;
use std::process::{Command, Stdio};

use predicates::prelude::PredicateBooleanExt;
use predicates::str::{contains, is_empty};

use crate::bulkhead::{bulkhead, printed, root, scenarios};

#[test]
fn every_shipped_scenario_passes_the_check() {
    let mut count = 0;
    for entry in fs::read_dir(root().join("scenarios")).expect("the scenarios") {
        let path = entry.expect("an entry").path();
        if path.extension().is_some_and(|extension| extension == "toml") {
            bulkhead(&["check", &path.display().to_string()])
                .assert()
                .code(0)
                .stdout(is_empty())
                .stderr(contains("1 scenario(s) checked: 0 error(s)"));
            count += 1;
        }
    }
    assert!(count > 0, "no scenario is shipped");
}

#[test]
fn a_directory_is_checked_with_the_policies_below_it() {
    let counted = |place: &str, words: &str| {
        let asserted = bulkhead(&["check", place]).assert().code(0).stdout(is_empty());
        asserted.stderr(contains(format!("{words} checked: 0 error(s)")));
    };
    counted("scenarios", "11 scenario(s) and 7 policy directories");
    counted("scenarios/policies", "7 policy directories");
    counted("scenarios/policies/devvm", "4 policy directories");
}

#[test]
fn a_wrong_file_is_shown_with_line_caret_and_nearest_name() {
    let dir = scenarios(&["hard-cap-kill"]);
    let path = dir.path().join("hard-cap-kill.toml");
    let text = fs::read_to_string(&path).expect("read").replace("title ", "titel ");
    fs::write(&path, text).expect("written");
    bulkhead(&["check", &path.display().to_string()]).assert().code(2).stdout(is_empty()).stderr(
        contains("hard-cap-kill.toml:4").and(contains("^^^^^")).and(contains("did you mean `title`")),
    );
}

#[test]
fn two_files_of_one_name_are_a_usage_error() {
    let (one, other) = (scenarios(&["hard-cap-kill"]), scenarios(&["hard-cap-kill"]));
    let paths = [&one, &other].map(|dir| dir.path().display().to_string());
    bulkhead(&["check", &paths[0], &paths[1]])
        .assert()
        .code(2)
        .stdout(is_empty())
        .stderr(contains("two scenarios are called `hard-cap-kill`: ").and(contains(paths[1].clone())));
}

#[test]
fn a_file_that_is_not_there_is_a_usage_error() {
    bulkhead(&["check", "/nowhere/x.toml"])
        .assert()
        .code(2)
        .stderr(contains("cannot read /nowhere/x.toml").and(contains("No such file")));
}

#[test]
fn the_list_names_scenarios_twins_and_what_they_must_turn_red() {
    let dir = scenarios(&["hard-cap-kill"]);
    let place = dir.path().display().to_string();
    insta::assert_snapshot!(printed(&["list", "--scenarios", &place]), @r"
    hard-cap-kill              A runaway dies at its own ceiling, and nothing else notices
                               contained, tags: core
                               twin cap-removed: must turn red: killed-by-its-own-cap
                               twin swap-allowed: must turn red: swap-flat, host-swap-flat
                               twin unkillable: must turn red: killed-by-its-own-cap
    ");
    let rows: serde_json::Value =
        serde_json::from_str(&printed(&["list", "--json", "--scenarios", &place])).expect("JSON");
    assert_eq!(rows[0]["id"], "hard-cap-kill");
    assert_eq!(rows[0]["twins"], serde_json::json!(["cap-removed", "swap-allowed", "unkillable"]));
}

#[test]
fn a_list_of_no_directory_is_a_usage_error() {
    bulkhead(&["list", "--scenarios", "/nowhere"]).assert().code(2).stderr(contains("cannot read /nowhere"));
}

#[test]
fn every_schema_is_json_and_names_itself() {
    for (format, key) in [("scenario", "reached"), ("policy", "tree"), ("report", "exit_code")] {
        let schema: serde_json::Value = serde_json::from_str(&printed(&["schema", format])).expect("JSON");
        assert!(schema["properties"].get(key).is_some(), "{format} has no {key}");
    }
    bulkhead(&["schema", "receipt"])
        .assert()
        .code(2)
        .stderr(contains("possible values: scenario, policy, report"));
}

#[test]
fn a_policy_directory_is_checked_beside_scenarios() {
    let scenarios = scenarios(&["hard-cap-kill"]);
    let scenario = scenarios.path().join("hard-cap-kill.toml").display().to_string();
    let policy = root().join("harness/tests/fixtures/policies/every-key");
    for named in [policy.clone(), policy.join("policy.toml")] {
        bulkhead(&["check", &scenario, &named.display().to_string()])
            .assert()
            .code(0)
            .stdout(is_empty())
            .stderr(contains("1 scenario(s) and 1 policy directories checked: 0 error(s)"));
    }
    let broken = tempfile::tempdir().expect("a temporary directory");
    fs::write(broken.path().join("policy.toml"), "schema = 1\ntitel = \"x\"\n").expect("written");
    bulkhead(&["check", &broken.path().display().to_string()])
        .assert()
        .code(2)
        .stderr(contains("policy.toml:2").and(contains("did you mean `title`?")));
}

/// Standard error on a terminal: the only place where colour is ever used by `check`.
fn check_on_a_terminal(no_color: Option<&str>) -> Vec<u8> {
    use std::io::Read;
    let dir = tempfile::tempdir().expect("a temporary directory");
    fs::write(dir.path().join("x.toml"), "schema = \"x\"\n").expect("written");
    let pty = nix::pty::openpty(None, None).expect("a pseudo terminal");
    let mut command = Command::new(env!("CARGO_BIN_EXE_bulkhead"));
    command.arg("check").arg(dir.path().join("x.toml")).stdout(Stdio::null()).stderr(pty.slave);
    command.env_remove("NO_COLOR").env("TERM", "xterm");
    if let Some(value) = no_color {
        command.env("NO_COLOR", value);
    }
    let mut child = command.spawn().expect("started");
    // The command holds the last open end of the terminal but one: without it the read below would never end.
    drop(command);
    let mut shown = Vec::new();
    // A terminal whose other end is closed reads as an I/O error, after everything that was written.
    let _ = fs::File::from(pty.master).read_to_end(&mut shown);
    assert_eq!(child.wait().expect("ended").code(), Some(2));
    shown
}

#[test]
fn no_color_is_obeyed_on_a_terminal() {
    let escape = |shown: &[u8]| shown.contains(&0x1b);
    assert!(escape(&check_on_a_terminal(None)), "colour where nothing forbids it");
    assert!(escape(&check_on_a_terminal(Some(""))), "an empty NO_COLOR forbids nothing");
    assert!(!escape(&check_on_a_terminal(Some("1"))));
}
