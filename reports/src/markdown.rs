//! Report → GitHub-flavoured Markdown to paste into an incident or a pull request.
//!
//! A summary table, then a fold for every row: open for what did not pass, closed for what did. Texts of the
//! report are escaped so that they stay text: no table cell, tag, mention or fence comes out of them.

mod escape;

use crate::kill::{Agreement, Kill};
use crate::outcome::Verdict;
use crate::report::{Case, Report};
use crate::rows::{Row, rows};
use crate::terminal::{count_line, machine_line};
use crate::{phrase, sparkline, units};
use escape::{code, fence, prose, tag_text};

/// Columns of a curve.
const CURVE: usize = 32;

/// Renders `report` as Markdown; ends with a newline.
pub fn render(report: &Report) -> String {
    let rows = rows(report);
    let mut out = format!("## bulkhead: exit {}, {}\n\n", report.exit_code, prose(&report.exit_meaning));
    out.push_str(&format!(
        "{}; started {}, took {}, bulkhead {}\n\n",
        count_line(report),
        units::instant(report.started),
        units::duration_ms(report.took_ms),
        prose(&report.tool_version)
    ));
    let machines = report.machines.iter().map(|machine| format!("- on {}\n", prose(&machine_line(machine))));
    let trouble = report.trouble.iter().map(|trouble| format!("- **trouble:** {}\n", prose(trouble)));
    let records = report.record_path.iter().map(|path| format!("- records: {}\n", code(path)));
    let facts: String = machines.chain(trouble).chain(records).collect();
    if !facts.is_empty() {
        out.push_str(&facts);
        out.push('\n');
    }
    if !rows.is_empty() {
        summary(&mut out, &rows);
    }
    for row in &rows {
        details(&mut out, row);
    }
    out.truncate(out.trim_end().len());
    out.push('\n');
    out
}

/// A table row of cells that are escaped already.
fn table_row(out: &mut String, cells: &[String]) {
    out.push_str(&format!("| {} |\n", cells.join(" | ")));
}

fn table_head(out: &mut String, names: &[&str]) {
    table_row(out, &names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>());
    table_row(out, &vec!["---".to_owned(); names.len()]);
}

fn summary(out: &mut String, rows: &[Row<'_>]) {
    table_head(out, &["", "scenario", "twin", "machine", "verdict", "evidence", "took"]);
    for row in rows {
        let (case, id) = (row.runs[0], row.id());
        let cells = [
            icon_of(row).to_owned(),
            code(&id.group().name()),
            case.twin().map(code).unwrap_or_default(),
            id.elsewhere().map(prose).unwrap_or_default(),
            row.word(),
            prose(&row.evidence()),
            units::duration_ms(row.took_ms()),
        ];
        table_row(out, &cells);
    }
    out.push('\n');
}

fn icon(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Pass => "✅",
        Verdict::Fail => "❌",
        Verdict::Inconclusive => "❔",
        Verdict::Skipped => "⏭️",
        Verdict::Aborted => "🛑",
    }
}

fn icon_of(row: &Row<'_>) -> &'static str {
    if row.flaky.is_some() { "🎲" } else { icon(row.telling().verdict) }
}

fn details(out: &mut String, row: &Row<'_>) {
    let case = row.telling();
    let open = if row.needs_block() { " open" } else { "" };
    let id = row.id();
    out.push_str(&format!(
        "<details{open}>\n<summary>{} <code>{}</code>{}: {}</summary>\n\n",
        icon_of(row),
        tag_text(&id.name()),
        tag_text(&id.place()),
        row.word()
    ));
    out.push_str(&format!("**{}** ({})\n\n", prose(&case.title), prose(&case.source)));
    notes(out, row, case);
    findings(out, case);
    for kill in &case.kills {
        write_kill(out, kill);
    }
    courses(out, case);
    if !case.console.is_empty() {
        out.push_str("Last lines of the guest's console:\n\n");
        out.push_str(&fence(&case.console.join("\n"), ""));
    }
    out.push_str("To reproduce:\n\n");
    out.push_str(&fence(&crate::text::line(&case.command), "sh"));
    out.push_str("</details>\n\n");
}

/// Reason, warnings, what is left, where the record is: a list, if there is any.
fn notes(out: &mut String, row: &Row<'_>, case: &Case) {
    let mut notes = Vec::new();
    if row.flaky.is_some() {
        notes.push(format!(
            "**flaky:** {} over {} runs; run {} is shown",
            row.tally(),
            row.runs.len(),
            case.run
        ));
    }
    notes.extend(case.reason.iter().map(|reason| format!("**reason:** {}", prose(reason))));
    notes.extend(case.warnings.iter().map(|warning| format!("**warning:** {}", prose(warning))));
    notes.extend(phrase::left(case).iter().map(|left| format!("**cleanup not proven:** {}", prose(left))));
    if !case.phases.is_empty() {
        notes.push(format!("phases: {}", prose(&phrase::phases(&case.phases))));
    }
    notes.extend(case.record_path.iter().map(|path| format!("record: {}", code(path))));
    for note in &notes {
        out.push_str(&format!("- {note}\n"));
    }
    if !notes.is_empty() {
        out.push('\n');
    }
}

fn findings(out: &mut String, case: &Case) {
    if case.findings.is_empty() {
        return;
    }
    table_head(out, &["", "expectation", "verdict", "expected", "observed"]);
    for finding in &case.findings {
        let icon = match (phrase::as_due(finding), finding.required_red) {
            (true, _) => icon(Verdict::Pass),
            (false, true) => icon(Verdict::Fail),
            (false, false) => icon(finding.verdict),
        };
        let cells = [
            icon.to_owned(),
            format!("{}: {}", code(&finding.id), prose(&finding.claim)),
            phrase::finding_state(finding),
            prose(&finding.expected),
            prose(&phrase::observed(finding)),
        ];
        table_row(out, &cells);
    }
    out.push('\n');
}

fn write_kill(out: &mut String, kill: &Kill) {
    out.push_str(&format!("**Ended:** {}\n\n", prose(&phrase::kill(kill))));
    if kill.witnesses.is_empty() {
        return;
    }
    table_head(out, &["", "witness", "says"]);
    for witness in &kill.witnesses {
        let icon = match witness.agrees {
            Agreement::Agrees => "✅",
            Agreement::Missing => "➖",
            Agreement::Contradicts => "❌",
        };
        table_row(out, &[icon.to_owned(), prose(&witness.name), prose(&phrase::witness(witness))]);
    }
    out.push('\n');
}

fn courses(out: &mut String, case: &Case) {
    for series in &case.series {
        let Some(height) = phrase::height(series) else { continue };
        let curve = sparkline::line(series, CURVE);
        out.push_str(&format!("{} `{curve}` {height}\n\n", code(&series.metric)));
    }
}

#[cfg(test)]
mod tests;
