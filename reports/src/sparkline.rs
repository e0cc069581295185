//! A series → one line of blocks, each as high as its value stands against the cap.
//!
//! Thins out by the highest value of each stretch, so a short peak at the limit is never lost; what could not be
//! read is a gap, not a zero.

use crate::report::Series;

const LEVELS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

/// One column of a sparkline.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cell {
    /// Nothing was read in this stretch.
    Gap,
    /// Below 98 % of the cap.
    Below(char),
    /// At the cap or above it.
    AtCap(char),
}

impl Cell {
    /// The character to show.
    pub fn glyph(self) -> char {
        match self {
            Self::Gap => ' ',
            Self::Below(glyph) | Self::AtCap(glyph) => glyph,
        }
    }
}

/// `series` in at most `columns` cells, equal stretches of time; empty for a series without values.
pub fn cells(series: &Series, columns: usize) -> Vec<Cell> {
    let (Some(first), Some(last)) = (series.points.first(), series.points.last()) else {
        return Vec::new();
    };
    let columns = columns.min(series.points.len());
    let span = (last.at_ms.saturating_sub(first.at_ms)).max(1) as f64;
    let mut highest: Vec<Option<f64>> = vec![None; columns];
    for point in &series.points {
        let share = point.at_ms.saturating_sub(first.at_ms) as f64 / span;
        let column = ((share * columns as f64) as usize).min(columns - 1);
        if let Some(value) = point.value.filter(|value| value.is_finite()) {
            let cell = &mut highest[column];
            *cell = Some(cell.map_or(value, |so_far| so_far.max(value)));
        }
    }
    let Some(peak) = highest.iter().flatten().copied().reduce(f64::max) else {
        return Vec::new();
    };
    let cap = series.cap.filter(|cap| cap.is_finite() && *cap > 0.0);
    let top = cap.map_or(peak, |cap| cap.max(peak)).max(f64::MIN_POSITIVE);
    highest.into_iter().map(|value| value.map_or(Cell::Gap, |value| cell(value, top, cap))).collect()
}

fn cell(value: f64, top: f64, cap: Option<f64>) -> Cell {
    let level = (value / top * LEVELS.len() as f64).round() as usize;
    let glyph = LEVELS[level.clamp(1, LEVELS.len()) - 1];
    match cap {
        Some(cap) if value >= 0.98 * cap => Cell::AtCap(glyph),
        _ => Cell::Below(glyph),
    }
}

/// The glyphs of [`cells`] as text.
pub fn line(series: &Series, columns: usize) -> String {
    cells(series, columns).into_iter().map(Cell::glyph).collect()
}

/// The highest value read, in the unit of the series.
pub fn peak(series: &Series) -> Option<f64> {
    series.points.iter().filter_map(|point| point.value).filter(|value| value.is_finite()).reduce(f64::max)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::number::Unit;
    use crate::report::Point;

    fn series(cap: Option<f64>, values: &[Option<f64>]) -> Series {
        let points =
            values.iter().zip(0..).map(|(value, i)| Point { at_ms: i * 50, value: *value }).collect();
        Series { metric: "work:memory.current".into(), unit: Unit::Bytes, cap, points }
    }

    #[test]
    fn heights_are_read_against_the_cap() {
        let half = series(Some(8.0), &[Some(0.0), Some(2.0), Some(4.0)]);
        assert_eq!(line(&half, 10), "▁▂▄");
        let full = series(None, &[Some(0.0), Some(2.0), Some(4.0)]);
        assert_eq!(line(&full, 10), "▁▄█");
    }

    #[test]
    fn a_gap_is_not_a_zero() {
        assert_eq!(line(&series(Some(2.0), &[Some(2.0), None, Some(2.0)]), 3), "█ █");
        assert_eq!(line(&series(Some(2.0), &[None, None]), 3), "");
        assert_eq!(line(&series(Some(2.0), &[]), 3), "");
    }

    #[test]
    fn a_short_peak_survives_thinning_and_is_marked() {
        let mut values = vec![Some(1.0); 100];
        values[33] = Some(100.0);
        let cells = cells(&series(Some(100.0), &values), 10);
        assert_eq!(cells.len(), 10);
        assert_eq!(cells[3], Cell::AtCap('█'));
        assert_eq!(cells.iter().filter(|cell| matches!(cell, Cell::AtCap(_))).count(), 1);
    }

    #[test]
    fn numbers_that_are_none_are_gaps() {
        assert_eq!(
            line(&series(Some(f64::NAN), &[Some(f64::INFINITY), Some(1.0), Some(f64::NAN)]), 3),
            " █ "
        );
    }
}
