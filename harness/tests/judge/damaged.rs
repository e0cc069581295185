//! Damaged and foreign records are refused with file, line and the fix; a last line cut short is not damage.

use std::fs;
use std::path::Path;

use harness::record::{Record, Stamped};
use harness::run::recorder::chain;

use crate::built::{KILLED, Run};

/// A good record on disk.
fn saved() -> tempfile::TempDir {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let record = Run::claiming(KILLED).record;
    write(dir.path(), "record.json", &serde_json::to_string(&record.head).expect("json"));
    let line = |stamped: &Stamped| serde_json::to_string(stamped).expect("json") + "\n";
    write(dir.path(), "events.jsonl", &record.events.iter().map(line).collect::<String>());
    write(dir.path(), "samples.jsonl", "[\"a\",\"b\"]\n[1,2,3]\n[2,null,4]\n");
    dir
}

fn write(dir: &Path, name: &str, text: &str) {
    fs::write(dir.join(name), text).expect("written");
}

fn append(dir: &Path, name: &str, text: &str) {
    let old = fs::read_to_string(dir.join(name)).expect("read");
    write(dir, name, &(old + text));
}

fn error(dir: &Path) -> String {
    let error = Record::load(dir).expect_err("refused");
    chain(&error).replace(&dir.display().to_string(), "RUN")
}

#[test]
fn a_record_comes_back_as_it_was_written() {
    let dir = saved();
    let mut record = Record::load(dir.path()).expect("loaded");
    assert_eq!(record.samples.columns, ["a", "b"]);
    assert_eq!(record.samples.values, [Some(2), Some(3), None, Some(4)]);
    record.samples = harness::record::Samples::default();
    let mut built = Run::claiming(KILLED).record;
    built.samples = harness::record::Samples::default();
    built.head.started = record.head.started;
    assert_eq!(record, built);
}

#[test]
fn a_bad_event_is_named_with_its_line() {
    let dir = saved();
    let lines = fs::read_to_string(dir.path().join("events.jsonl")).expect("read").lines().count();
    append(dir.path(), "events.jsonl", "{\"at_us\":1,\"event\":{\"kind\":\"party\"}}\n");
    let error = error(dir.path());
    let start = format!("RUN/events.jsonl:{}: not a line of a record", lines + 1);
    assert!(error.starts_with(&start), "{error}");
    assert!(error.contains("unknown variant `party`"), "{error}");
}

#[test]
fn a_row_of_another_width_is_named_with_its_line() {
    let dir = saved();
    append(dir.path(), "samples.jsonl", "[3,5]\n");
    assert_eq!(error(dir.path()), "RUN/samples.jsonl:4: 1 values where the header names 2 columns");
}

#[test]
fn a_row_without_a_time_is_refused() {
    let dir = saved();
    append(dir.path(), "samples.jsonl", "[null,5,6]\n");
    assert!(error(dir.path()).starts_with("RUN/samples.jsonl:4: "));
}

#[test]
fn a_record_of_another_version_is_refused_by_name() {
    let dir = saved();
    write(dir.path(), "record.json", "{\"schema\": 99}");
    assert_eq!(
        error(dir.path()),
        "RUN/record.json has record version 99, this bulkhead reads 1: judge it with the version that wrote it"
    );
}

#[test]
fn a_head_that_is_no_json_is_named_with_its_line() {
    let dir = saved();
    write(dir.path(), "record.json", "{\n\"schema\": 1,\n!");
    assert!(
        error(dir.path()).starts_with("RUN/record.json:3: not a line of a record"),
        "{}",
        error(dir.path())
    );
}

#[test]
fn a_missing_head_is_named() {
    let dir = saved();
    fs::remove_file(dir.path().join("record.json")).expect("removed");
    assert!(error(dir.path()).starts_with("cannot read RUN/record.json: No such file"));
}

#[test]
fn a_last_line_cut_short_by_a_killed_writer_is_left_out() {
    let dir = saved();
    let whole = Record::load(dir.path()).expect("loaded");
    append(dir.path(), "events.jsonl", "{\"at_us\":9,\"ev");
    append(dir.path(), "samples.jsonl", "[3,4");
    assert_eq!(Record::load(dir.path()).expect("loaded"), whole);
}
