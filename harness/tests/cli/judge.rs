//! `judge`: the findings again, from saved records alone.

use std::fs;

use predicates::prelude::PredicateBooleanExt;
use predicates::str::contains;

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

#[test]
fn a_report_that_cannot_be_written_is_an_error() {
    bulkhead(&["judge", RECORDS, "--report", "json:/nowhere/report.json"])
        .assert()
        .code(1)
        .stderr(contains("/nowhere"));
}

#[test]
fn what_is_no_record_is_an_error_that_names_it() {
    bulkhead(&["judge", "/nowhere"]).assert().code(1).stderr(contains("cannot read /nowhere"));
    let empty = tempfile::tempdir().expect("a temporary directory");
    bulkhead(&["judge", &empty.path().display().to_string()]).assert().code(3);
    fs::write(empty.path().join("record.json"), "{\"schema\": 99}").expect("written");
    bulkhead(&["judge", &empty.path().display().to_string()])
        .assert()
        .code(1)
        .stderr(contains("record.json has record version 99").and(contains("cannot judge")));
    bulkhead(&["judge"]).assert().code(2).stderr(contains("<RUN>"));
}
