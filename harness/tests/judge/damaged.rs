//! A damaged record is judged up to the damage; a foreign one, or one without its head, is refused with file, line and the fix.

use std::fs;
use std::path::Path;

use harness::error::chain;
use harness::record::{Record, Stamped};
use reports::outcome::Verdict;

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

/// What is known of the damage of a record, and what the judge makes of the rest.
fn damaged(dir: &Path) -> (Vec<String>, harness::judge::Judgement) {
    let record = Record::load(dir).expect("what is whole of it");
    (record.damage.clone(), harness::judge::judge(&record))
}

/// What ends with the damage is known; what would have followed is not taken for "did not happen".
#[test]
fn a_record_is_judged_up_to_its_first_bad_event() {
    let dir = saved();
    let text = fs::read_to_string(dir.path().join("events.jsonl")).expect("read");
    let lines: Vec<&str> = text.lines().collect();
    for bad in 0..lines.len() {
        let mut broken = lines.clone();
        broken[bad] = "{\"at_us\":1,\"event\":{\"kind\":\"party\"}}";
        write(dir.path(), "events.jsonl", &(broken.join("\n") + "\n"));
        let (damage, judgement) = damaged(dir.path());
        assert_eq!(damage.len(), 1, "{damage:?}");
        let start = format!("events.jsonl:{}: not a line of a record: unknown variant `party`", bad + 1);
        assert!(damage[0].starts_with(&start), "{damage:?}");
        let ended = lines[..bad].iter().any(|line| line.contains("\"kind\":\"ended\""));
        assert!(ended || judgement.verdict == Verdict::Inconclusive, "line {}: {judgement:#?}", bad + 1);
    }
}

#[test]
fn damage_is_a_warning_of_its_case() {
    let dir = saved();
    append(dir.path(), "samples.jsonl", "[3,5]\n");
    let record = Record::load(dir.path()).expect("what is whole of it");
    let words =
        "samples.jsonl:4: 1 values where the header names 2 columns; what was recorded from here on is lost";
    assert_eq!(record.damage, [words]);
    let case = harness::report::case(&record, &harness::judge::judge(&record), dir.path());
    assert!(case.warnings.iter().any(|warning| warning == words), "{:?}", case.warnings);
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
fn a_last_line_cut_short_by_a_killed_writer_is_left_out_and_told() {
    let dir = saved();
    let whole = Record::load(dir.path()).expect("loaded");
    assert!(whole.damage.is_empty(), "{:?}", whole.damage);
    append(dir.path(), "events.jsonl", "{\"at_us\":9,\"ev");
    append(dir.path(), "samples.jsonl", "[3,4");
    let cut = Record::load(dir.path()).expect("loaded");
    assert_eq!((&cut.events, &cut.samples), (&whole.events, &whole.samples));
    assert!(cut.damage.iter().all(|words| words.contains("cut short")), "{:?}", cut.damage);
    assert_eq!(cut.damage.len(), 2);
}
