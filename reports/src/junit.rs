//! Report → JUnit XML for CI systems: a suite for each scenario and machine, a case for each finding and each twin.
//!
//! `fail` is a failure; `inconclusive` and `aborted` are errors, because nothing is known; `skipped` is skipped.
//! A twin is one case: it passes when it turned red. XML 1.0 forbids control characters even as references, so
//! they are taken out by writing them as visible escapes.

use std::time::Duration;

use chrono::DateTime;
use quick_junit::{NonSuccessKind, Property, Report as Document, TestCase, TestCaseStatus, TestSuite};

use crate::finding::Finding;
use crate::outcome::Verdict;
use crate::report::{Case, Report};
use crate::{phrase, text, units};

/// Renders `report` as JUnit XML; ends with a newline.
pub fn render(report: &Report) -> String {
    let mut document = Document::new("bulkhead");
    document.set_time(Duration::from_millis(report.took_ms));
    let started = i64::try_from(report.started).ok().and_then(|seconds| DateTime::from_timestamp(seconds, 0));
    if let Some(started) = started {
        document.set_timestamp(started);
    }
    let mut groups: Vec<(String, Vec<&Case>)> = Vec::new();
    for case in &report.cases {
        let name = suite_name(case);
        match groups.iter_mut().find(|(known, _)| *known == name) {
            Some((_, cases)) => cases.push(case),
            None => groups.push((name, vec![case])),
        }
    }
    for (name, cases) in &groups {
        document.add_test_suite(suite(report, name, cases));
    }
    let mut xml = document.to_string().expect("clean text and plain numbers, written to memory");
    if !xml.ends_with('\n') {
        xml.push('\n');
    }
    xml
}

fn suite_name(case: &Case) -> String {
    let id = case.id().group();
    text::line(&format!("{}{}", id.name(), id.place()))
}

fn suite(report: &Report, name: &str, cases: &[&Case]) -> TestSuite {
    let mut suite = TestSuite::new(name);
    suite.set_time(Duration::from_millis(cases.iter().map(|case| case.took_ms).sum()));
    suite.add_property(Property::new("title", text::line(&cases[0].title)));
    suite.add_property(Property::new("source", text::line(&cases[0].source)));
    let repeated = cases.iter().any(|case| case.run > 1);
    for case in cases {
        let suffix = if repeated { format!(" run {}", case.run) } else { String::new() };
        for mut test in tests_of(case) {
            test.name = format!("{}{suffix}", test.name.as_str()).into();
            test.set_classname(name);
            suite.add_test_case(test);
        }
    }
    for flaky in report.flaky.iter().filter(|flaky| cases.iter().any(|case| flaky.id().repeats(&case.id()))) {
        let what = flaky.twin.as_deref().map_or_else(String::new, |twin| format!("twin {twin}: "));
        let verdicts: Vec<&str> = flaky.verdicts.iter().map(|verdict| verdict.word()).collect();
        let message = format!("flaky: {}", verdicts.join(", "));
        let mut test = TestCase::new(
            text::line(&format!("{what}the same verdict every run")),
            status(Verdict::Fail, &message, ""),
        );
        test.set_classname(name);
        suite.add_test_case(test);
    }
    suite
}

/// The test cases of one run of a scenario or of a twin.
fn tests_of(case: &Case) -> Vec<TestCase> {
    let mut tests = match case.twin() {
        Some(twin) => vec![whole(case, &format!("twin {twin}"))],
        None => case.findings.iter().map(|finding| of_finding(case, finding)).collect(),
    };
    // A verdict that no finding carries (a guard, a guest that died, an unmet requirement) has its own case.
    let carried =
        case.twin().is_some() || case.findings.iter().any(|finding| counted(case, finding) == case.verdict);
    if !carried {
        tests.push(whole(case, "verdict"));
    }
    if let Some(left) = phrase::left(case) {
        let name = case.twin().map_or_else(|| "cleanup".to_owned(), |twin| format!("twin {twin}: cleanup"));
        let message = format!("cleanup not proven: {left}");
        tests.push(TestCase::new(text::line(&name), status(Verdict::Aborted, &message, "")));
    }
    if let Some(first) = tests.first_mut() {
        first.set_time(Duration::from_millis(case.took_ms));
        first.set_system_out(account(case));
    }
    tests
}

/// A case for the run as a whole.
fn whole(case: &Case, name: &str) -> TestCase {
    let said = case.reason.as_deref().unwrap_or(&case.headline);
    let findings: Vec<String> = case
        .findings
        .iter()
        .map(|finding| format!("{}: {}", finding.id, phrase::finding_state(finding)))
        .collect();
    TestCase::new(text::line(name), status(case.verdict, said, &findings.join("\n")))
}

fn of_finding(case: &Case, finding: &Finding) -> TestCase {
    let verdict = counted(case, finding);
    let message = match verdict {
        Verdict::Skipped => case.reason.as_deref().unwrap_or(&finding.observed).to_owned(),
        _ => format!("expected {}; observed {}", finding.expected, phrase::observed(finding)),
    };
    TestCase::new(text::line(&finding.id), status(verdict, &message, &finding.claim))
}

/// What a finding counts as: a red one in a case that proves nothing (the stress never arrived, a guard acted)
/// is no failure either, or CI would say other than the exit code.
fn counted(case: &Case, finding: &Finding) -> Verdict {
    match (case.verdict, finding.verdict) {
        (undecided @ (Verdict::Inconclusive | Verdict::Aborted), Verdict::Fail) => undecided,
        (_, verdict) => verdict,
    }
}

fn status(verdict: Verdict, message: &str, description: &str) -> TestCaseStatus {
    let mut status = match verdict {
        Verdict::Pass => return TestCaseStatus::success(),
        Verdict::Fail => TestCaseStatus::non_success(NonSuccessKind::Failure),
        Verdict::Inconclusive | Verdict::Aborted => TestCaseStatus::non_success(NonSuccessKind::Error),
        Verdict::Skipped => TestCaseStatus::skipped(),
    };
    status.set_message(text::line(message)).set_type(verdict.word());
    let description: Vec<String> = text::lines(description).filter(|line| !line.is_empty()).collect();
    if !description.is_empty() {
        status.set_description(description.join("\n"));
    }
    status
}

/// What a reader of the CI page needs beyond the message: evidence, kills, record, command, console.
fn account(case: &Case) -> String {
    let mut lines = Vec::new();
    let mut add = |label: &str, said: &str| {
        if !said.is_empty() {
            lines.push(format!("{label}: {}", text::line(said)));
        }
    };
    add("evidence", &case.headline);
    add("reason", case.reason.as_deref().unwrap_or_default());
    for kill in &case.kills {
        add("ended", &phrase::kill(kill));
        for witness in &kill.witnesses {
            add("  witness", &format!("{}: {}", witness.name, phrase::witness(witness)));
        }
    }
    case.warnings.iter().for_each(|warning| add("warning", warning));
    add("took", &units::duration_ms(case.took_ms));
    add("record", case.record_path.as_deref().unwrap_or_default());
    add("again", &case.command);
    case.console.iter().flat_map(|console| text::lines(console)).for_each(|line| add("console", &line));
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;
    use crate::samples;

    #[rstest]
    #[case::all_pass(samples::all_pass(), "all_pass")]
    #[case::mixed(samples::mixed(), "mixed")]
    #[case::empty(samples::empty(), "empty")]
    fn the_document_is_as_approved(#[case] report: Report, #[case] name: &str) {
        insta::assert_snapshot!(name, render(&report));
    }

    fn parsed(report: &Report) -> Document {
        let xml = render(report);
        let forbidden = |c: char| (c.is_control() && c != '\n') || matches!(c, '\u{fffe}' | '\u{ffff}');
        assert!(!xml.contains(forbidden), "{xml}");
        Document::deserialize_from_str(&xml).unwrap_or_else(|error| panic!("{error}\n{xml}"))
    }

    #[test]
    fn verdicts_arrive_as_junit_means_them() {
        let document = parsed(&samples::mixed());
        let counts = |name: &str| {
            let suite = document.test_suites.iter().find(|suite| suite.name.as_str() == name).unwrap();
            (suite.tests, suite.failures, suite.errors, suite.skipped)
        };
        // three findings, one of them red; a twin that stayed green; a twin that turned red
        assert_eq!(counts("hard-cap-kill on trixie"), (5, 2, 0, 0));
        assert_eq!(counts("soft-cap-throttle on bookworm"), (1, 0, 1, 0));
        assert_eq!(counts("oom-score-order on trixie"), (1, 0, 0, 1));
        // aborted, and what is left on the machine
        assert_eq!(counts("uncontained-swap-thrash on trixie"), (2, 0, 2, 0));
        // five runs of three findings, one red, and the mark of the flake
        assert_eq!(counts("oomd-swap-path on trixie"), (16, 2, 0, 0));
    }

    #[test]
    fn a_red_finding_of_an_inconclusive_case_is_no_failure() {
        let mut report = samples::mixed();
        report.cases.truncate(1);
        report.cases[0].verdict = Verdict::Inconclusive;
        let document = parsed(&report);
        assert_eq!((document.tests, document.failures, document.errors), (3, 0, 1));
    }

    #[test]
    fn a_green_report_has_neither_failures_nor_errors() {
        let document = parsed(&samples::all_pass());
        assert_eq!((document.tests, document.failures, document.errors), (6, 0, 0));
    }

    #[test]
    fn hostile_text_stays_text() {
        for text in samples::HOSTILE {
            let document = parsed(&samples::hostile(text));
            assert_eq!(document.test_suites.len(), 1, "{text:?}");
            let test = &document.test_suites[0].test_cases[0];
            assert_eq!(test.name.as_str(), text::line(text), "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn any_text_makes_xml_that_reads_back(text in any::<String>()) {
            prop_assert_eq!(parsed(&samples::hostile(&text)).test_suites.len(), 1);
        }
    }
}
