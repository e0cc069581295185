//! The truth table: records of real runs, each with one lie in it, and the verdicts that it may get.
//!
//! A lie is an edit after which the truth about the run is known. What it must never get is the verdict that the lie asks
//! for. Edits that change nothing about the truth must keep the verdict as it was.

mod edit;
mod table;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use edit::Tale;
use harness::judge::{Judgement, judge};
use harness::record::Record;
use reports::outcome::Verdict;

/// One row: a real record, what is done to it, and what may be said of it afterwards.
pub(crate) struct Lie {
    pub(crate) what: &'static str,
    pub(crate) record: &'static str,
    pub(crate) edit: fn(&mut Tale),
    pub(crate) may: &'static [Verdict],
}

/// The saved records, packed ones unpacked once.
fn records() -> &'static Path {
    static UNPACKED: OnceLock<tempfile::TempDir> = OnceLock::new();
    let unpacked = UNPACKED.get_or_init(|| {
        let saved = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/records");
        let all = tempfile::tempdir().expect("a temporary directory");
        for entry in std::fs::read_dir(&saved).expect("the saved records").flatten() {
            let (path, name) = (entry.path(), entry.file_name());
            if path.is_dir() {
                std::os::unix::fs::symlink(&path, all.path().join(name)).expect("a link");
            } else if path.extension().is_some_and(|extension| extension == "gz") {
                let tar = Command::new("tar").arg("-xzf").arg(&path).arg("-C").arg(all.path()).status();
                assert!(tar.expect("tar").success(), "{}", path.display());
            }
        }
        all
    });
    unpacked.path()
}

/// Every saved record, by name.
fn names() -> Vec<String> {
    let entries = std::fs::read_dir(records()).expect("the saved records").flatten();
    let mut names: Vec<String> =
        entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

fn load(name: &str) -> Record {
    let path: PathBuf = records().join(name);
    Record::load(&path).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// What stands out in a judgement, for whoever reads why a row is wrong.
fn words(judgement: &Judgement) -> String {
    let findings = judgement.findings.iter().filter(|finding| finding.verdict != Verdict::Pass);
    let findings =
        findings.map(|finding| format!("\n    {}: {} ({})", finding.id, finding.observed, finding.verdict));
    let kills = judgement.kills.iter().map(|kill| format!("\n    {:?} ended by {}", kill.actor, kill.killer));
    findings.chain(kills).collect()
}

#[test]
fn no_lie_gets_the_verdict_that_it_asks_for() {
    let mut wrong = Vec::new();
    for lie in table::TABLE {
        let mut tale = Tale { record: load(lie.record) };
        (lie.edit)(&mut tale);
        let judgement = judge(&tale.record);
        if !lie.may.contains(&judgement.verdict) {
            let may: Vec<String> = lie.may.iter().map(ToString::to_string).collect();
            wrong.push(format!(
                "{} ({}): {}, may be {}{}",
                lie.what,
                lie.record,
                judgement.verdict,
                may.join(" or "),
                words(&judgement)
            ));
        }
    }
    assert!(
        wrong.is_empty(),
        "{} of {} rows are wrong:\n{}",
        wrong.len(),
        table::TABLE.len(),
        wrong.join("\n")
    );
}

#[test]
fn the_table_is_long_enough_and_each_row_is_there_once() {
    assert!(table::TABLE.len() >= 60, "{}", table::TABLE.len());
    let mut names: Vec<&str> = table::TABLE.iter().map(|lie| lie.what).collect();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), table::TABLE.len());
}

/// Without a lie every saved record is what it was when it was saved: a pass, as a scenario or as a twin.
#[test]
fn every_saved_record_is_a_pass_without_a_lie() {
    for name in names() {
        let judgement = judge(&load(&name));
        assert_eq!(judgement.verdict, Verdict::Pass, "{name}: {:?}{}", judgement.reason, words(&judgement));
    }
}
