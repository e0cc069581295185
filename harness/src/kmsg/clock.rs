//! How far the clock of the kernel log is from CLOCK_MONOTONIC.
//!
//! Records carry `local_clock()`, which is not disciplined by NTP and drifts from CLOCK_MONOTONIC; a marker written
//! between two readings of the one and read back with the other gives the offset, and its uncertainty.

use std::time::Duration;

use super::error::Error;
use super::reader::{Device, Reader};

/// Markers written for one calibration; the best counts. Below the ten in five seconds that an unprivileged writer has.
const TRIES: u32 = 3;
/// Writing to the kernel log is synchronous: what has not come back by then was dropped.
const PATIENCE: Duration = Duration::from_secs(1);

/// The offset between the two clocks at the moment it was measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Calibration {
    /// Kernel log time minus CLOCK_MONOTONIC, in microseconds.
    pub offset_us: i64,
    /// The true offset lies within so many microseconds of it.
    pub uncertainty_us: u64,
}

impl Calibration {
    /// A time of the kernel log as CLOCK_MONOTONIC, in microseconds; zero for what lies before its start.
    #[must_use]
    pub fn monotonic_us(&self, timestamp_us: u64) -> u64 {
        timestamp_us.saturating_add_signed(-self.offset_us)
    }

    fn between(before_us: u64, logged_us: u64, after_us: u64) -> Self {
        let middle = before_us.midpoint(after_us);
        Self {
            offset_us: logged_us.cast_signed().saturating_sub(middle.cast_signed()),
            // One more for the microseconds cut off by both clocks.
            uncertainty_us: after_us.saturating_sub(before_us).div_ceil(2) + 1,
        }
    }
}

impl<D: Device> Reader<D> {
    /// Measures the offset by writing markers and reading them back. Records read on the way are handed out later.
    ///
    /// # Errors
    /// When the log cannot be written or read, or no marker came back within a second.
    pub fn calibrate(&mut self) -> Result<Calibration, Error> {
        self.calibrate_within(PATIENCE)
    }

    fn calibrate_within(&mut self, patience: Duration) -> Result<Calibration, Error> {
        let mut best: Option<Calibration> = None;
        for attempt in 0..TRIES {
            let before_us = monotonic_us();
            let text = format!("clock {} {before_us} {attempt}", std::process::id());
            self.mark(&text)?;
            let after_us = monotonic_us();
            let marker = format!("bulkhead: {text}");
            let found = self.find(|record| record.text == marker.as_bytes(), patience)?;
            let Some(record) = found else { continue };
            let this = Calibration::between(before_us, record.timestamp_us, after_us);
            if best.is_none_or(|best| this.uncertainty_us < best.uncertainty_us) {
                best = Some(this);
            }
        }
        best.ok_or(Error::MarkerLost(patience))
    }
}

/// CLOCK_MONOTONIC in microseconds.
fn monotonic_us() -> u64 {
    balloon::clock::now_ns() / 1000
}

#[cfg(test)]
mod tests {
    use super::super::reader::script::{Script, raw};
    use super::*;

    #[test]
    fn the_offset_is_taken_at_the_middle_of_the_write() {
        let clock = Calibration::between(1_000, 5_020, 1_040);
        assert_eq!(clock, Calibration { offset_us: 4_000, uncertainty_us: 21 });
        assert_eq!(clock.monotonic_us(5_020), 1_020);
        assert_eq!(clock.monotonic_us(3), 0);
    }

    #[test]
    fn a_log_clock_behind_the_monotonic_one_has_a_negative_offset() {
        let clock = Calibration::between(9_000, 1_000, 9_000);
        assert_eq!(clock, Calibration { offset_us: -8_000, uncertainty_us: 1 });
        assert_eq!(clock.monotonic_us(1_500), 9_500);
    }

    #[test]
    fn the_marker_is_recognised_by_its_text() {
        let mut reader = Reader::over(Script { next_seq: 1, ..Script::default() }).expect("a reader");
        reader.device.reads.push_back(raw(0, "bulkhead: clock of somebody else"));
        let clock = reader.calibrate().expect("calibrated");
        let record = reader.next_item().expect("readable");
        assert!(record.is_some(), "records read on the way are kept");
        assert_eq!(reader.device.written.len(), TRIES as usize);
        // The script stamps its markers 1,000,000 µs.
        assert!(clock.monotonic_us(1_000_000) > 0);
    }

    #[test]
    fn a_marker_that_does_not_come_back_is_an_error() {
        let mut reader = Reader::over(Script { deaf: true, ..Script::default() }).expect("a reader");
        assert!(matches!(reader.calibrate_within(Duration::ZERO), Err(Error::MarkerLost(_))));
    }
}
