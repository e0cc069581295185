//! Cases → the rows of a summary: a scenario, its twins under it, repeated runs folded into one row.
//!
//! Groups and orders only; verdicts, headlines and the flaky mark are taken as they are.

use crate::case_id::CaseId;
use crate::outcome::{Cleanup, Verdict};
use crate::report::{Case, Flaky, Report};

/// Where a row stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// At the margin, under its full name.
    Margin,
    /// A twin under its scenario.
    UnderScenario,
}

/// All runs of one scenario or twin on one machine.
#[derive(Debug)]
pub(crate) struct Row<'a> {
    /// The runs, at least one.
    pub(crate) runs: Vec<&'a Case>,
    pub(crate) place: Place,
    pub(crate) flaky: Option<&'a Flaky>,
}

impl<'a> Row<'a> {
    /// Which case it is.
    pub(crate) fn id(&self) -> CaseId {
        self.runs[0].id()
    }

    /// The run that says most: the first of those with the most severe verdict.
    pub(crate) fn telling(&self) -> &'a Case {
        let worst = Verdict::combine(self.runs.iter().map(|case| case.verdict));
        self.runs.iter().find(|case| Some(case.verdict) == worst).unwrap_or(&self.runs[0])
    }

    /// `pass`, `fail`, …, or `flaky`; with the number of runs where there are several.
    pub(crate) fn word(&self) -> String {
        let word = if self.flaky.is_some() { "flaky" } else { self.telling().verdict.word() };
        match self.runs.len() {
            1 => word.to_owned(),
            runs => format!("{word} ×{runs}"),
        }
    }

    /// The row's evidence in one line, not yet made harmless.
    pub(crate) fn evidence(&self) -> String {
        let case = self.telling();
        let said = if case.headline.is_empty() {
            case.reason.as_deref().unwrap_or_default()
        } else {
            &case.headline
        };
        if self.flaky.is_some() {
            return format!("{}: {said}", self.tally());
        }
        let of_twin = match (case.twin(), case.verdict) {
            (Some(_), Verdict::Pass) => "red as required",
            (Some(_), Verdict::Fail) => "stayed green",
            _ => return said.to_owned(),
        };
        if said.is_empty() { of_twin.to_owned() } else { format!("{of_twin}: {said}") }
    }

    /// Every run's verdict counted, `17 pass, 3 fail`.
    pub(crate) fn tally(&self) -> String {
        tally(&self.runs)
    }

    /// Whether a reader must be told more than the row does.
    pub(crate) fn needs_block(&self) -> bool {
        self.flaky.is_some() || self.runs.iter().any(|case| case.verdict != Verdict::Pass || is_dirty(case))
    }

    /// Wall clock of all runs, in milliseconds.
    pub(crate) fn took_ms(&self) -> u64 {
        self.runs.iter().map(|case| case.took_ms).sum()
    }
}

/// Whether something of the case may still be on the machine.
pub(crate) fn is_dirty(case: &Case) -> bool {
    matches!(case.cleanup, Cleanup::NotProven { .. })
}

/// Verdicts counted in the order of [`Verdict::ALL`], those that occur: `5 pass, 1 fail`.
pub(crate) fn tally(cases: &[&Case]) -> String {
    let count = |verdict| (verdict, cases.iter().filter(|case| case.verdict == verdict).count());
    let counts = Verdict::ALL.map(count);
    let words = counts.iter().filter(|(_, n)| *n > 0).map(|(verdict, n)| format!("{n} {verdict}"));
    words.collect::<Vec<_>>().join(", ")
}

/// The rows of `report`: scenarios in the order in which they first appear, each followed by its twins.
pub(crate) fn rows(report: &Report) -> Vec<Row<'_>> {
    let mut rows: Vec<Row<'_>> = Vec::new();
    for case in &report.cases {
        let id = case.id();
        let same_group = |row: &Row<'_>| row.id().group() == id.group();
        if let Some(row) = rows.iter_mut().find(|row| row.id().repeats(&id)) {
            row.runs.push(case);
            continue;
        }
        let at = match case.twin() {
            None => rows.iter().position(same_group),
            Some(_) => rows.iter().rposition(same_group).map(|last| last + 1),
        };
        let flaky = report.flaky.iter().find(|flaky| flaky.id().repeats(&id));
        rows.insert(at.unwrap_or(rows.len()), Row { runs: vec![case], place: Place::Margin, flaky });
    }
    for at in 1..rows.len() {
        let (above, here) = (rows[at - 1].id(), rows[at].id());
        let goes_on = above.group() == here.group();
        let under = above.twin.is_none() || rows[at - 1].place == Place::UnderScenario;
        if here.twin.is_some() && goes_on && under {
            rows[at].place = Place::UnderScenario;
        }
    }
    rows
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::{Role, flaky};
    use crate::samples;

    fn case(scenario: &str, twin: Option<&str>, machine: &str, run: u32) -> Case {
        let role = twin.map_or(Role::Base, |id| Role::Twin { id: id.into(), must_fail: Vec::new() });
        let case = samples::all_pass().cases.swap_remove(0);
        Case { scenario: scenario.into(), role, machine: machine.into(), run, ..case }
    }

    fn listed(cases: Vec<Case>) -> Vec<String> {
        let report = Report { flaky: flaky(&cases), cases, ..samples::empty() };
        let line = |row: &Row<'_>| {
            let indent = if row.place == Place::UnderScenario { "  " } else { "" };
            format!("{indent}{} {} {}", row.id().name(), row.id().machine, row.word())
        };
        rows(&report).iter().map(line).collect()
    }

    #[test]
    fn what_finished_in_any_order_is_shown_in_one() {
        let cases = vec![
            case("a", Some("t"), "trixie", 1),
            case("b", None, "trixie", 1),
            case("a", None, "bookworm", 1),
            case("a", None, "trixie", 1),
            case("a", Some("u"), "trixie", 1),
        ];
        let shown =
            ["a trixie pass", "  a/t trixie pass", "  a/u trixie pass", "b trixie pass", "a bookworm pass"];
        assert_eq!(listed(cases), shown);
    }

    #[test]
    fn a_twin_without_its_scenario_stands_at_the_margin() {
        let cases = vec![case("b", None, "trixie", 1), case("a", Some("t"), "trixie", 1)];
        assert_eq!(listed(cases), ["b trixie pass", "a/t trixie pass"]);
    }

    /// Neither a second host nor a second policy is a repetition.
    #[test]
    fn no_case_vanishes_behind_another() {
        let mut cases =
            vec![case("a", None, "host", 1), case("a", None, "web", 1), case("a", None, "web", 1)];
        cases[2].policy = Some("p".into());
        assert_eq!(listed(cases), ["a host pass", "a web pass", "a on p web pass"]);
    }

    #[test]
    fn runs_fold_into_one_row_and_only_disagreement_is_flaky() {
        let mut cases: Vec<Case> = (1..=3).map(|run| case("a", None, "trixie", run)).collect();
        cases.extend((1..=3).map(|run| case("a", Some("t"), "trixie", run)));
        assert_eq!(listed(cases.clone()), ["a trixie pass ×3", "  a/t trixie pass ×3"]);
        cases[4].verdict = Verdict::Inconclusive;
        assert_eq!(listed(cases), ["a trixie pass ×3", "  a/t trixie flaky ×3"]);
    }

    #[test]
    fn a_passing_case_that_left_something_needs_a_block() {
        let mut report = samples::all_pass();
        assert!(rows(&report).iter().all(|row| !row.needs_block()));
        report.cases[1].cleanup = Cleanup::NotProven { left: Vec::new() };
        assert_eq!(rows(&report).iter().filter(|row| row.needs_block()).count(), 1);
    }
}
