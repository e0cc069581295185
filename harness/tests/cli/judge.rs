//! `judge`: the findings again, from saved records alone.

use std::fs;
use std::path::Path;

use predicates::str::{contains, is_empty};
use reports::outcome::Verdict;

use crate::bulkhead::{bulkhead, printed};

const RECORDS: &str = "harness/tests/fixtures/records";

#[test]
fn saved_records_are_judged_again_and_reported_in_every_format() {
    let all = printed(&["judge", RECORDS]);
    assert!(all.contains("hard-cap-kill"), "{all}");
    let report: serde_json::Value =
        serde_json::from_str(&printed(&["judge", RECORDS, "--report", "json"])).expect("JSON");
    assert_eq!(report["exit_code"], 0);
    assert_eq!(report["cases"].as_array().map(Vec::len), Some(3));
    assert!(printed(&["judge", RECORDS, "--report", "junit"]).starts_with("<?xml"));
    assert!(printed(&["judge", RECORDS, "--report", "markdown"]).starts_with("## bulkhead"));
}

#[test]
fn a_report_in_a_file_leaves_standard_output_to_the_terminal_report() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let path = dir.path().join("report.json");
    let shown = printed(&["judge", RECORDS, "--report", &format!("json:{}", path.display())]);
    assert!(!shown.starts_with('{'), "{shown}");
    let report: serde_json::Value = serde_json::from_slice(&fs::read(path).expect("written")).expect("JSON");
    assert_eq!(report["exit_code"], 0);
}

/// What cannot be written is known before anything is judged or run; what is full only afterwards.
#[test]
fn a_report_that_cannot_be_written_is_an_error() {
    for command in [&["judge", RECORDS][..], &["run", "--on", "host"], &["run"]] {
        let store = tempfile::tempdir().expect("a temporary directory");
        let mut command = bulkhead(command);
        if !format!("{command:?}").contains("judge") {
            command.arg("--store").arg(store.path());
        }
        command
            .args(["--report", "json:/nowhere/report.json"])
            .assert()
            .code(2)
            .stdout(is_empty())
            .stderr(contains("/nowhere is not a directory"));
        assert_eq!(fs::read_dir(store.path()).expect("readable").count(), 0, "nothing was begun");
    }
    bulkhead(&["judge", RECORDS, "--report", "json:/dev/full"])
        .assert()
        .code(1)
        .stderr(contains("cannot write report /dev/full"));
}

#[test]
fn what_is_no_record_is_an_error_that_names_it() {
    bulkhead(&["judge", "/nowhere"]).assert().code(1).stderr(contains("cannot read /nowhere"));
    let empty = tempfile::tempdir().expect("a temporary directory");
    bulkhead(&["judge", &empty.path().display().to_string()]).assert().code(3);
    bulkhead(&["judge"]).assert().code(2).stderr(contains("<RUN>"));
}

/// One record that cannot be read, whatever is in its place, is one open case beside all the others.
#[test]
fn an_unreadable_record_is_one_case_and_takes_no_other_along() {
    let store = tempfile::tempdir().expect("a temporary directory");
    copy(Path::new("../").join(RECORDS).as_path(), store.path());
    let heads: [(&str, &[u8], &str); 4] = [
        ("foreign", b"{\"schema\": 99}", "record.json has record version 99, this bulkhead reads 1"),
        ("cut", b"{\"schema\": 1, \"tool_ver", "record.json:1: not a line of a record"),
        ("bytes", b"\xff\xfe\0", "record.json:1: not a line of a record"),
        ("headless", b"", "cannot read"),
    ];
    for (name, head, _) in heads {
        let dir = store.path().join(name);
        fs::create_dir(&dir).expect("made");
        fs::write(dir.join("events.jsonl"), "").expect("written");
        if !head.is_empty() {
            fs::write(dir.join("record.json"), head).expect("written");
        }
    }
    let path = store.path().display().to_string();
    let shown = bulkhead(&["judge", &path, "--report", "json"]).assert().code(11);
    let report: reports::report::Report =
        serde_json::from_slice(&shown.get_output().stdout).expect("a report");
    assert_eq!(report.cases.len(), 3 + heads.len());
    assert_eq!(report.cases.iter().filter(|case| case.verdict == Verdict::Pass).count(), 3);
    for (name, _, words) in heads {
        let case = report.cases.iter().find(|case| case.scenario == name).expect(name);
        assert_eq!(case.verdict, Verdict::Inconclusive);
        let reason = case.reason.as_deref().unwrap_or_default();
        assert!(reason.contains(words), "{name}: {reason}");
    }
}

/// Copies a directory of records.
fn copy(from: &Path, into: &Path) {
    for entry in fs::read_dir(from).expect("records").flatten() {
        let place = into.join(entry.file_name());
        if entry.path().is_dir() {
            fs::create_dir(&place).expect("made");
            copy(&entry.path(), &place);
        } else {
            fs::copy(entry.path(), place).expect("copied");
        }
    }
}
