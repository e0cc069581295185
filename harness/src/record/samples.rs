//! Samples: one column a metric, one row a tick.

use std::io::Write;

/// The samples of a run.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Samples {
    /// `SUBJECT:METRIC` of each column.
    pub columns: Vec<String>,
    /// Time of each row, `CLOCK_MONOTONIC` microseconds.
    pub at_us: Vec<u64>,
    /// Row by row, `columns.len()` values each; none = could not be read at that tick.
    pub values: Vec<Option<u64>>,
}

impl Samples {
    /// The index of a column.
    #[must_use]
    pub fn column(&self, metric: &str) -> Option<usize> {
        self.columns.iter().position(|column| column == metric)
    }

    /// The readable samples of a metric as (time in µs, value), in order.
    pub fn series(&self, metric: &str) -> impl Iterator<Item = (u64, u64)> + '_ {
        let column = self.column(metric);
        let width = self.columns.len();
        self.at_us.iter().enumerate().filter_map(move |(row, at)| {
            let value = self.values[row * width + column?]?;
            Some((*at, value))
        })
    }
}

/// Writes one row as a JSON array into `line`: time first. Allocates nothing when `line` has the capacity.
pub fn write_row(line: &mut Vec<u8>, at_us: u64, row: &[Option<u64>]) {
    line.clear();
    // Writing to a Vec cannot fail.
    let _ = write!(line, "[{at_us}");
    for value in row {
        let _ = match value {
            Some(value) => write!(line, ",{value}"),
            None => line.write_all(b",null"),
        };
    }
    line.extend_from_slice(b"]\n");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_is_a_json_array_with_the_time_first() {
        let mut line = Vec::with_capacity(64);
        write_row(&mut line, 7, &[Some(1), None, Some(u64::MAX)]);
        assert_eq!(line, b"[7,1,null,18446744073709551615]\n");
    }

    #[test]
    fn a_row_needs_no_allocation_in_a_large_enough_buffer() {
        let mut line = Vec::with_capacity(64);
        let before = line.as_ptr();
        write_row(&mut line, 1, &[Some(2)]);
        write_row(&mut line, 3, &[Some(4)]);
        assert_eq!(line.as_ptr(), before);
    }

    #[test]
    fn an_unknown_metric_has_no_series_and_a_gap_is_not_a_zero() {
        let samples = Samples {
            columns: vec!["a".into(), "b".into()],
            at_us: vec![1, 2],
            values: vec![Some(5), None, None, Some(6)],
        };
        assert_eq!(samples.series("c").count(), 0);
        assert_eq!(samples.series("a").collect::<Vec<_>>(), [(1, 5)]);
        assert_eq!(samples.series("b").collect::<Vec<_>>(), [(2, 6)]);
    }
}
