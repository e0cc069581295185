//! The truth table: records of real runs, each with one lie in it, and the verdicts that it may get.
//!
//! A lie is an edit after which the truth about the run is known. What it must never get is the verdict that the lie asks
//! for. Edits that change nothing about the truth must keep the verdict as it was.

mod daemons;
mod edit;
mod table;
mod throttle;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use edit::Tale;
use harness::judge::{Judgement, judge};
use harness::record::Record;
use reports::finding::Finding;
use reports::outcome::Verdict;

/// One row: a real record, what is done to it, and what may be said of it afterwards.
pub(crate) struct Lie {
    pub(crate) what: &'static str,
    pub(crate) record: &'static str,
    pub(crate) edit: fn(&mut Tale),
    pub(crate) may: &'static [Verdict],
}

/// Every row.
fn table() -> impl Iterator<Item = &'static Lie> {
    table::TABLE.iter().chain(daemons::TABLE).chain(throttle::TABLE)
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
    let directories = entries.filter(|entry| entry.path().is_dir());
    let mut names: Vec<String> =
        directories.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
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
    for lie in table() {
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
    assert!(wrong.is_empty(), "{} of {} rows are wrong:\n{}", wrong.len(), table().count(), wrong.join("\n"));
}

#[test]
fn the_table_is_long_enough_and_each_row_is_there_once() {
    let mut names: Vec<&str> = table().map(|lie| lie.what).collect();
    assert!(names.len() >= 60, "{}", names.len());
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), table().count());
}

/// Every shipped scenario and every twin of it has a record that a guest made.
#[test]
fn every_shipped_case_has_a_saved_record() {
    let names = names();
    let scenarios = Path::new(env!("CARGO_MANIFEST_DIR")).join("../scenarios");
    let found =
        harness::scenario::find::<String>(&scenarios, &[]).unwrap_or_else(|error| panic!("{error:?}"));
    assert!(!found.is_empty());
    for scenario in found {
        let twins = scenario.twins.iter().map(|twin| format!("{}.{}", scenario.id, twin.id));
        for case in std::iter::once(scenario.id.to_string()).chain(twins) {
            assert!(names.contains(&format!("{case}@trixie")), "{case} has no saved record");
        }
    }
}

/// What the run said that made the records is what the judge says of them now.
#[test]
fn the_judge_says_what_the_run_said() {
    let report = std::fs::read(records().join("report.json")).expect("the report of the run");
    let report: reports::report::Report = serde_json::from_slice(&report).expect("a report");
    assert!(report.cases.len() >= 30, "{}", report.cases.len());
    for case in report.cases.iter().filter(|case| case.guest.as_deref() == Some("trixie")) {
        let record = match &case.role {
            reports::report::Role::Base => case.scenario.clone(),
            reports::report::Role::Twin { id, .. } => format!("{}.{id}", case.scenario),
        };
        let judgement = judge(&load(&format!("{record}@trixie")));
        assert_eq!(judgement.verdict, case.verdict, "{record}");
        let now: Vec<_> = judgement.findings.iter().map(substance).collect();
        let then: Vec<_> = case.findings.iter().map(substance).collect();
        assert_eq!(now, then, "{record}");
        assert_eq!(judgement.kills, case.kills, "{record}");
    }
}

/// What a finding says whatever its wording: the claim's id, its verdict, and every figure in its sentences.
fn substance(finding: &Finding) -> (&str, Verdict, bool, Vec<&str>) {
    let sentences = [&finding.expected, &finding.observed].into_iter();
    let figures = sentences
        .flat_map(|sentence| sentence.split(|c: char| !c.is_ascii_digit() && c != '.'))
        .filter(|figure| figure.contains(|c: char| c.is_ascii_digit()));
    (&finding.id, finding.verdict, finding.required_red, figures.collect())
}

/// A margin never says other than the verdict: what passed is nowhere beyond its bound, and what failed by a number is.
#[test]
fn margins_agree_with_verdicts() {
    let mut compared = 0;
    for name in names() {
        for finding in judge(&load(&name)).findings {
            let margins: Vec<f64> = finding.numbers.iter().filter_map(|number| number.margin).collect();
            compared += margins.len();
            let missed = margins.iter().any(|margin| *margin < 0.0);
            // Other claims can fail without a number: an answer that was refused, a kill by somebody else.
            let by_a_number = finding.claim.contains("stays within bounds");
            match finding.verdict {
                Verdict::Pass => assert!(!missed, "{name}: {finding:#?}"),
                Verdict::Fail if by_a_number && !margins.is_empty() => {
                    assert!(missed, "{name}: {finding:#?}");
                }
                _ => {}
            }
        }
    }
    assert!(compared > 100, "only {compared} numbers were compared");
}

/// Without a lie every saved record is what it was when it was saved: a pass, as a scenario or as a twin.
#[test]
fn every_saved_record_is_a_pass_without_a_lie() {
    for name in names() {
        let judgement = judge(&load(&name));
        assert_eq!(judgement.verdict, Verdict::Pass, "{name}: {:?}{}", judgement.reason, words(&judgement));
    }
}

/// A way in that leaves the choice of the cgroup to somebody else loses no verdict: what counts is what was seen.
#[test]
fn where_an_actor_was_is_told_by_who_looked_and_not_by_the_plan() {
    for name in names() {
        let record = load(&name);
        let before = judge(&record);
        let mut tale = Tale { record };
        for actor in &mut tale.plan_mut().actors {
            actor.cgroup = "/".to_owned().try_into().expect("any cgroup");
        }
        let judgement = judge(&tale.record);
        assert_eq!(judgement.findings, before.findings, "{name}");
        assert_eq!(judgement.kills, before.kills, "{name}");
    }
}
