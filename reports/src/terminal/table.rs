//! The summary: for each scenario its mark, name, course of memory, verdict and time; under it the evidence.

use super::page::{Ink, Page, row_mark};
use crate::rows::{Place, Row, is_dirty};
use crate::sparkline::{self, Cell};
use crate::{text, units};

/// Columns of the small curve.
const CURVE: usize = 12;
/// Columns of names at least, where there is room: twins of one scenario or another then look alike.
const NAME: usize = 36;
/// Columns by which a twin stands to the right of its scenario.
const UNDER: usize = 2;

pub(super) fn write(page: &mut Page, rows: &[Row<'_>], several_machines: bool) {
    let names: Vec<String> = rows.iter().map(|row| name(row, several_machines)).collect();
    let words: Vec<String> = rows.iter().map(word).collect();
    let times: Vec<String> = rows.iter().map(|row| units::duration_ms(row.took_ms())).collect();
    let word_width = widest(&words);
    let time_width = widest(&times);
    // mark, space, name, gap, curve, gap, verdict, gap, time
    let fixed = 2 + 2 + CURVE + 2 + word_width + 2 + time_width;
    let longest =
        rows.iter().zip(&names).map(|(row, name)| indent(row) + text::width(name)).max().unwrap_or(0);
    let name_width = page.width().saturating_sub(fixed).min(longest.max(NAME));
    for (at, row) in rows.iter().enumerate() {
        if at > 0 && row.place == Place::Margin {
            page.blank();
        }
        let indent = indent(row);
        let ink = Ink::of_row(row);
        let mark = page.paint(ink, row_mark(row));
        let name_ink = if indent == 0 { Ink::Strong } else { Ink::Normal };
        let name = page.paint(name_ink, &text::fit(&names[at], name_width - indent));
        let curve = curve(page, row, CURVE);
        let word = page.paint(ink, &text::fit(&words[at], word_width));
        let gap = time_width - text::width(&times[at]);
        let time = page.paint(Ink::Faint, &times[at]);
        page.line(&format!("{:indent$}{mark} {name}  {curve}  {word}  {:gap$}{time}", "", ""));
        page.paragraph(indent + 2, &row.evidence(), Ink::Normal);
    }
}

fn widest(texts: &[String]) -> usize {
    texts.iter().map(|text| text::width(text)).max().unwrap_or(0)
}

fn indent(row: &Row<'_>) -> usize {
    match row.place {
        Place::Margin => 0,
        Place::UnderScenario => UNDER,
    }
}

fn name(row: &Row<'_>, several_machines: bool) -> String {
    let id = row.id();
    text::line(&match (row.place, &id.twin) {
        (Place::UnderScenario, Some(twin)) => format!("twin {twin}"),
        _ if several_machines => format!("{}{}", id.name(), id.place()),
        _ => id.name(),
    })
}

fn word(row: &Row<'_>) -> String {
    let dirty = if row.runs.iter().any(|case| is_dirty(case)) { ", dirty" } else { "" };
    format!("{}{dirty}", row.word())
}

/// The first series of the row's telling run, filled to `columns`; what stands at the cap is yellow.
fn curve(page: &Page, row: &Row<'_>, columns: usize) -> String {
    let cells =
        row.telling().series.first().map(|series| sparkline::cells(series, columns)).unwrap_or_default();
    let missing = columns - cells.len();
    format!("{}{:missing$}", paint_cells(page, &cells), "")
}

/// Cells with their colours, equal neighbours in one stretch.
pub(super) fn paint_cells(page: &Page, cells: &[Cell]) -> String {
    let at_cap = |cell: &Cell| matches!(cell, Cell::AtCap(_));
    cells
        .chunk_by(|a, b| at_cap(a) == at_cap(b))
        .map(|stretch| {
            let ink = if at_cap(&stretch[0]) { Ink::Doubtful } else { Ink::Curve };
            page.paint(ink, &stretch.iter().map(|cell| cell.glyph()).collect::<String>())
        })
        .collect()
}
