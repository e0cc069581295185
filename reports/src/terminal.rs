//! Report → what a person at a terminal reads: a table of verdicts with their evidence, a block for everything
//! that did not pass, and what the exit code says.
//!
//! Everything fits the given width except paths and commands, which stay in one piece to be copied. Colour
//! repeats what marks and words already say. Does not ask the terminal anything: width and colour are given.

mod block;
mod page;
mod table;

use crate::case_id::HOST;
use crate::report::{Machine, Report, TargetKind};
use crate::rows::{is_dirty, rows, tally};
use crate::units;
use page::{Ink, Page};

/// Whether the terminal is to be coloured. Whoever decides obeys `NO_COLOR`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Color {
    /// No escape sequences at all.
    #[default]
    Plain,
    /// ANSI colours of the sixteen-colour palette.
    Ansi,
}

/// What is known of the terminal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// Its width in columns; used as at least [`Options::NARROWEST`] and at most [`Options::WIDEST`].
    pub width: usize,
    /// Whether to colour.
    pub color: Color,
}

impl Options {
    /// Below this the layout does not shrink any further.
    pub const NARROWEST: usize = 60;
    /// Above this lines get no longer: they would be hard to follow.
    pub const WIDEST: usize = 140;
}

impl Default for Options {
    /// Eighty columns, plain: what a pipe or a log gets.
    fn default() -> Self {
        Self { width: 80, color: Color::Plain }
    }
}

/// Renders `report` for a terminal as `options` describe it; ends with a newline.
pub fn render(report: &Report, options: Options) -> String {
    let mut page = Page::new(options);
    let rows = rows(report);
    head(&mut page, report);
    if !rows.is_empty() {
        page.blank();
        table::write(&mut page, &rows, report.machines.len() > 1);
    }
    for row in rows.iter().filter(|row| row.needs_block()) {
        page.blank();
        block::write(&mut page, row);
    }
    page.blank();
    foot(&mut page, report);
    page.finish()
}

fn head(page: &mut Page, report: &Report) {
    let title = format!("{} · {}", report.tool_version, units::instant(report.started));
    page.beside(0, "bulkhead", Ink::Strong, &title, Ink::Normal);
    for machine in &report.machines {
        page.labelled(0, "on", Ink::Faint, &machine_line(machine), Ink::Faint);
    }
}

/// A machine in one line, what is known of it.
pub(crate) fn machine_line(machine: &Machine) -> String {
    let name = match machine.target {
        TargetKind::Vm => {
            format!("vm {}", machine.guest.as_deref().unwrap_or_default()).trim_end().to_owned()
        }
        TargetKind::Host if machine.name == HOST => "this host".to_owned(),
        TargetKind::Host => format!("host {}", machine.name),
    };
    let swap = machine.swap_bytes.map(|swap| match swap {
        0 => "no swap".to_owned(),
        swap => format!("{} swap", units::bytes(swap)),
    });
    let known = [
        Some(name),
        machine.kernel.as_ref().map(|kernel| format!("Linux {kernel}")),
        machine.systemd.as_ref().map(|systemd| format!("systemd {systemd}")),
        machine.cpus.map(|cpus| format!("{cpus} {}", if cpus == 1 { "cpu" } else { "cpus" })),
        machine.memory_bytes.map(|memory| format!("{} memory", units::bytes(memory))),
        swap,
        machine.accel.clone(),
    ];
    known.into_iter().flatten().collect::<Vec<_>>().join(" · ")
}

/// Every case counted in one line: `12 cases: 9 pass, 1 fail; 1 flaky`.
pub(crate) fn count_line(report: &Report) -> String {
    if report.cases.is_empty() {
        return "no case ran".to_owned();
    }
    let of = if report.cases.len() == 1 { "case" } else { "cases" };
    let mut line =
        format!("{} {of}: {}", report.cases.len(), tally(&report.cases.iter().collect::<Vec<_>>()));
    if !report.flaky.is_empty() {
        line.push_str(&format!("; {} flaky", report.flaky.len()));
    }
    let dirty = report.cases.iter().filter(|case| is_dirty(case)).count();
    if dirty > 0 {
        line.push_str(&format!("; {dirty} not cleaned up"));
    }
    line
}

fn foot(page: &mut Page, report: &Report) {
    for trouble in &report.trouble {
        page.labelled(0, "trouble", Ink::Doubtful, trouble, Ink::Normal);
    }
    page.labelled(
        0,
        "ran",
        Ink::Faint,
        &format!("{}; took {}", count_line(report), units::duration_ms(report.took_ms)),
        Ink::Normal,
    );
    if let Some(path) = &report.record_path {
        page.whole(0, "records", path);
    }
    let ink = match report.exit_code {
        0 => Ink::Good,
        3 | 11 | 12 => Ink::Doubtful,
        _ => Ink::Bad,
    };
    page.labelled(0, &format!("exit {}", report.exit_code), ink, &report.exit_meaning, ink);
}

#[cfg(test)]
mod tests;
