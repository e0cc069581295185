//! The text of a pressure file (`/proc/pressure/*`, `*.pressure` of a cgroup) becomes numbers.
//!
//! Only `total` belongs in assertions: it is brought up to date on every read, while the averages move every two seconds
//! and decay over minutes, so that they carry over from one test to the next (kernel `Documentation/accounting/psi.rst`).

/// One pressure file. A line that the kernel does not print (`full` in `cpu` of old kernels, `some` in `irq`) is `None`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Pressure {
    /// At least one task was stalled.
    pub some: Option<Stall>,
    /// All tasks that were not idle were stalled.
    pub full: Option<Stall>,
}

/// One line of a pressure file.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Stall {
    /// Moving average over ten seconds, in hundredths of a percent of the time (0 to 10000).
    pub avg10_centipercent: u32,
    /// The same over sixty seconds.
    pub avg60_centipercent: u32,
    /// The same over three hundred seconds.
    pub avg300_centipercent: u32,
    /// Time stalled since boot (or since the cgroup was made), in microseconds.
    pub total_us: u64,
}

/// Reads the text of a pressure file. Lines and fields it does not know are passed over; it never fails and never
/// allocates: what is not there is `None`.
#[must_use]
pub fn parse(text: &[u8]) -> Pressure {
    let mut pressure = Pressure::default();
    for line in text.split(|byte| *byte == b'\n') {
        if let Some(rest) = line.strip_prefix(b"some ") {
            pressure.some = stall(rest);
        } else if let Some(rest) = line.strip_prefix(b"full ") {
            pressure.full = stall(rest);
        }
    }
    pressure
}

/// `total` of the line `some` or `full` alone, in microseconds.
pub(crate) fn total_us(text: &[u8], line: &str) -> Option<u64> {
    let Pressure { some, full } = parse(text);
    if line == "some" { some } else { full }.map(|stall| stall.total_us)
}

fn stall(fields: &[u8]) -> Option<Stall> {
    let mut stall = Stall::default();
    let mut has_total = false;
    for field in fields.split(|byte| *byte == b' ') {
        let Some(equals) = field.iter().position(|byte| *byte == b'=') else { continue };
        let (key, value) = (&field[..equals], &field[equals + 1..]);
        match key {
            b"avg10" => stall.avg10_centipercent = centi(value)?,
            b"avg60" => stall.avg60_centipercent = centi(value)?,
            b"avg300" => stall.avg300_centipercent = centi(value)?,
            b"total" => {
                stall.total_us = crate::kernfile::number(value)?;
                has_total = true;
            }
            _ => {}
        }
    }
    has_total.then_some(stall)
}

/// `12.34` becomes 1234: a decimal number with two places, in hundredths. Also the format of `/proc/loadavg`.
pub(crate) fn centi(text: &[u8]) -> Option<u32> {
    let dot = text.iter().position(|byte| *byte == b'.')?;
    let (whole, places) = (&text[..dot], &text[dot + 1..]);
    if places.len() != 2 {
        return None;
    }
    let value =
        crate::kernfile::number(whole)?.checked_mul(100)?.checked_add(crate::kernfile::number(places)?)?;
    u32::try_from(value).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn both_lines_are_read() {
        let text = b"some avg10=97.12 avg60=40.00 avg300=9.05 total=123456789\n\
                     full avg10=90.00 avg60=38.50 avg300=8.01 total=98765432\n";
        let pressure = parse(text);
        assert_eq!(
            pressure.some,
            Some(Stall {
                avg10_centipercent: 9712,
                avg60_centipercent: 4000,
                avg300_centipercent: 905,
                total_us: 123_456_789
            })
        );
        assert_eq!(pressure.full.map(|line| line.total_us), Some(98_765_432));
    }

    #[test]
    fn a_missing_line_is_unknown_and_not_zero() {
        let pressure = parse(b"full avg10=0.00 avg60=0.00 avg300=0.00 total=5\n");
        assert_eq!(pressure.some, None);
        assert_eq!(pressure.full.map(|line| line.total_us), Some(5));
    }

    #[test]
    fn a_line_without_a_total_is_unknown() {
        assert_eq!(parse(b"some avg10=0.00 avg60=0.00 avg300=0.00\n").some, None);
        assert_eq!(parse(b"some avg10=x avg60=0.00 avg300=0.00 total=5\n").some, None);
    }

    proptest! {
        #[test]
        fn any_text_is_read_without_a_panic(text in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = parse(&text);
        }

        #[test]
        fn what_the_kernel_prints_comes_back(avg in 0u32..=10_000, total in any::<u64>()) {
            let text = format!("some avg10={}.{:02} avg60=0.00 avg300=0.00 total={total}\n", avg / 100, avg % 100);
            let some = parse(text.as_bytes()).some.expect("a line");
            prop_assert_eq!((some.avg10_centipercent, some.total_us), (avg, total));
        }
    }
}
