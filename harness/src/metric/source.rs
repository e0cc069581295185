//! Where a metric is read from, and how the number stands there: the text of a kernel file, or a status page → a number.

use std::fmt;

use balloon::status::Snapshot;

use crate::kernfile::{number, page_size, value};
use crate::psi;

/// Where a metric comes from.
#[derive(Debug, Clone, Copy)]
pub enum Source {
    /// A file of the cgroup's directory, or of the machine with its whole path, and the number in it.
    File(&'static str, Field),
    /// A cell of the actor's status page.
    Page(fn(&Snapshot) -> u64),
    /// The cell of the status page with the longest gap of the actor's whole life. The longest of a part of the run is what
    /// the judge makes of that and of [`Derived::Gaps`].
    LongestGap(fn(&Snapshot) -> u64),
    /// What the judge computes from the record: no column of the sample file.
    Judge(Derived),
}

/// What the judge computes a metric from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Derived {
    /// The histogram of gaps in the actor's status page, at both edges of the phase.
    Gaps,
    /// The answers of a probe.
    Answers,
}

/// How a number stands in a kernel file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Field {
    /// Alone.
    Number,
    /// After this key.
    Key(&'static str),
    /// After this key, in KiB; in bytes.
    Kib(&'static str),
    /// What is left of one size in KiB without another; in bytes.
    KibLess(&'static str, &'static str),
    /// Two counts of pages, of which the second may be unknown to the kernel; in bytes.
    Pages(&'static str, &'static str),
    /// `total` of this line of a pressure file, microseconds.
    Stall(&'static str),
    /// First, with two decimals; in hundredths.
    Decimal,
}

impl Field {
    /// The number; `None` when the text does not have it. Allocates nothing.
    #[must_use]
    pub fn value(self, text: &[u8]) -> Option<u64> {
        let bytes = |key| value(text, key).and_then(|kib| kib.checked_mul(1024));
        match self {
            Self::Number => number(text),
            Self::Key(key) => value(text, key),
            Self::Kib(key) => bytes(key),
            Self::KibLess(whole, part) => bytes(whole)?.checked_sub(bytes(part)?),
            Self::Pages(key, more) => {
                let pages = value(text, key)?.checked_add(value(text, more).unwrap_or(0))?;
                pages.checked_mul(page_size())
            }
            Self::Stall(line) => psi::total_us(text, line),
            Self::Decimal => text.split(|byte| *byte == b' ').next().and_then(psi::centi).map(u64::from),
        }
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(file, Field::Number | Field::Decimal) => f.write_str(file),
            Self::File(file, Field::Key(key) | Field::Kib(key)) => write!(f, "{file} ({key})"),
            Self::File(file, Field::KibLess(whole, part)) => write!(f, "{file} ({whole} - {part})"),
            Self::File(file, Field::Pages(key, more)) => {
                write!(f, "{file} ({key} + {more}, times the page size)")
            }
            Self::File(file, Field::Stall(line)) => write!(f, "{file} (total of {line})"),
            Self::Page(_) | Self::LongestGap(_) => f.write_str("status page"),
            Self::Judge(Derived::Gaps) => f.write_str("status page (histogram)"),
            Self::Judge(Derived::Answers) => f.write_str("probe"),
        }
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case(Field::Number, "7\n", Some(7))]
    #[case(Field::Number, "max\n", None)]
    #[case(Field::Key("oom"), "oom_kill 5\noom 4\n", Some(4))]
    #[case(Field::Kib("MemFree"), "MemTotal:  3 kB\nMemFree:   2 kB\n", Some(2048))]
    #[case(Field::KibLess("SwapTotal", "SwapFree"), "SwapTotal: 5 kB\nSwapFree: 3 kB\n", Some(2048))]
    #[case(Field::KibLess("SwapTotal", "SwapFree"), "SwapTotal: 5 kB\n", None)]
    #[case(Field::Pages("pswpout", "zswpout"), "pswpout 2\nzswpout 1\n", Some(3 * page_size()))]
    #[case::a_kernel_without_zswap(Field::Pages("pswpout", "zswpout"), "pswpout 2\n", Some(2 * page_size()))]
    #[case(Field::Pages("pswpout", "zswpout"), "zswpout 1\n", None)]
    #[case(Field::Stall("full"), "some avg10=0.00 total=9\nfull avg10=0.00 total=8\n", Some(8))]
    #[case(Field::Decimal, "1.05 0.50 0.10 1/200 1234\n", Some(105))]
    fn a_number_is_found_in_its_file(
        #[case] field: Field,
        #[case] text: &str,
        #[case] expected: Option<u64>,
    ) {
        assert_eq!(field.value(text.as_bytes()), expected);
    }
}
