//! What a person needs about one case that did not pass: what was claimed and seen, who says so, how to see it
//! again.

use super::page::{Ink, Page, agreement, mark, row_mark};
use super::table::paint_cells;
use crate::finding::Finding;
use crate::kill::Kill;
use crate::outcome::Verdict;
use crate::report::{Case, Series};
use crate::rows::Row;
use crate::{phrase, sparkline, text, units};

/// Columns of a block's curves.
const CURVE: usize = 32;
/// Lines of console that are shown; the record has all of them.
const CONSOLE: usize = 12;

pub(super) fn write(page: &mut Page, row: &Row<'_>) {
    let case = row.telling();
    heading(page, row, case);
    page.paragraph(2, &case.title, Ink::Strong);
    page.paragraph(2, &case.source, Ink::Faint);
    if row.flaky.is_some() {
        let marks: String = row.runs.iter().map(|case| mark(case.verdict)).collect();
        let runs = format!("{} over {} runs: {marks}", row.tally(), row.runs.len());
        page.labelled(2, "flaky", Ink::Doubtful, &runs, Ink::Normal);
    }
    if let Some(reason) = &case.reason {
        page.labelled(2, "reason", Ink::of(case.verdict), reason, Ink::Normal);
    }
    findings(page, case);
    for kill in &case.kills {
        page.blank();
        write_kill(page, kill);
    }
    courses(page, case);
    around(page, case);
}

fn heading(page: &mut Page, row: &Row<'_>, case: &Case) {
    let run = if row.runs.len() > 1 { format!(", run {}", case.run) } else { String::new() };
    let id = row.id();
    let name = text::line(&format!("{}{}{run}", id.name(), id.place()));
    let heading = text::cut(&format!("── {} {} {name} ", row_mark(row), row.word()), page.width());
    let rule = "─".repeat(page.width() - text::width(&heading));
    let painted = page.paint(Ink::of_row(row), &format!("{heading}{rule}"));
    page.line(&painted);
}

/// Findings that need a look in full, the others in one line.
fn findings(page: &mut Page, case: &Case) {
    let (as_due, odd): (Vec<&Finding>, Vec<&Finding>) =
        case.findings.iter().partition(|finding| phrase::as_due(finding));
    for finding in odd {
        page.blank();
        let ink = if finding.required_red { Ink::Bad } else { Ink::of(finding.verdict) };
        let mark = if finding.required_red { "✗" } else { mark(finding.verdict) };
        let id = text::line(&finding.id);
        let state = phrase::finding_state(finding);
        page.beside(2, mark, ink, &format!("{id}: {state}"), ink);
        page.paragraph(4, &finding.claim, Ink::Normal);
        page.labelled(4, "expected", Ink::Faint, &finding.expected, Ink::Normal);
        page.labelled(4, "observed", Ink::Faint, &finding.observed, Ink::Strong);
        if let Some((label, margin)) = phrase::margin(finding) {
            page.labelled(4, label, Ink::Faint, &margin, Ink::Normal);
        }
    }
    let ids = |verdict| {
        let ids =
            as_due.iter().filter(|finding| finding.verdict == verdict).map(|finding| finding.id.as_str());
        ids.collect::<Vec<_>>().join(", ")
    };
    let (held, red) = (ids(Verdict::Pass), ids(Verdict::Fail));
    if !held.is_empty() || !red.is_empty() {
        page.blank();
    }
    if !red.is_empty() {
        page.beside(2, "✓", Ink::Good, &format!("red as required: {red}"), Ink::Normal);
    }
    if !held.is_empty() {
        page.beside(2, "✓", Ink::Good, &format!("held: {held}"), Ink::Normal);
    }
}

fn write_kill(page: &mut Page, kill: &Kill) {
    page.paragraph(2, &phrase::kill(kill), Ink::Strong);
    let names = kill.witnesses.iter().map(|witness| text::width(&text::line(&witness.name)));
    let column = names.max().unwrap_or(0).min(24);
    for witness in &kill.witnesses {
        let (mark, ink) = agreement(witness.agrees);
        let name = text::fit(&text::line(&witness.name), column);
        page.beside(4, &format!("{mark} {name} "), ink, &phrase::witness(witness), Ink::Normal);
    }
}

fn courses(page: &mut Page, case: &Case) {
    let shown: Vec<(&Series, String)> =
        case.series.iter().filter_map(|series| Some((series, phrase::height(series)?))).collect();
    if shown.is_empty() && case.phases.is_empty() {
        return;
    }
    page.blank();
    for (series, height) in shown {
        course(page, series, &height);
    }
    if !case.phases.is_empty() {
        page.labelled(2, "phases", Ink::Faint, &phrase::phases(&case.phases), Ink::Faint);
    }
}

/// A curve over its axis of time; beside them what it shows and how high it went.
fn course(page: &mut Page, series: &Series, height: &str) {
    let cells = sparkline::cells(series, CURVE);
    let beside = page.width() - cells.len() - 4;
    let metric = text::cut(&text::line(&series.metric), beside);
    page.line(&format!("  {}  {metric}", paint_cells(page, &cells)));
    let height = text::cut(height, beside);
    let ends = series.points.first().zip(series.points.last());
    let (from, to) = ends.map_or((0, 0), |(first, last)| (first.at_ms, last.at_ms));
    let (from, to) = (units::duration_ms(from), units::duration_ms(to));
    let between = cells.len().saturating_sub(text::width(&from));
    let axis = page.paint(Ink::Faint, &text::fit(&format!("{from}{to:>between$}"), cells.len()));
    page.line(&format!("  {axis}  {height}"));
}

/// Warnings, what is left on the machine, the console, the record and the way to see it again.
fn around(page: &mut Page, case: &Case) {
    page.blank();
    for warning in &case.warnings {
        page.labelled(2, "warning", Ink::Doubtful, warning, Ink::Normal);
    }
    if let Some(left) = phrase::left(case) {
        page.labelled(2, "dirty", Ink::Bad, &left, Ink::Bad);
    }
    if !case.console.is_empty() {
        let lines: Vec<String> = case.console.iter().flat_map(|line| text::lines(line)).collect();
        let skipped = lines.len().saturating_sub(CONSOLE);
        page.labelled(2, "console", Ink::Faint, "last lines of the guest", Ink::Faint);
        for line in &lines[skipped..] {
            let line = text::cut(line, page.width() - 4);
            let bar = page.paint(Ink::Faint, "│");
            page.line(&format!("  {bar} {line}"));
        }
    }
    if let Some(path) = &case.record_path {
        page.whole(2, "record", path);
    }
    page.whole(2, "again", &case.command);
}
