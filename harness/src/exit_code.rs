//! What happened → the process exit code. The numbers are part of the published interface.

use reports::outcome::Verdict;

/// Exit codes of `bulkhead`. They are stable: scripts and CI gates rely on them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum ExitCode {
    /// Every selected scenario passed, and every twin that ran turned red where it must.
    Passed = 0,
    /// An unexpected error: the message says which.
    Error = 1,
    /// The command line, a scenario or a policy is not valid.
    Usage = 2,
    /// Nothing ran: the selection was empty, or everything was skipped.
    NothingRan = 3,
    /// An expectation failed, a twin stayed green, or a check found an error.
    Failed = 10,
    /// Nothing failed, but something could not be observed.
    Inconclusive = 11,
    /// A guard refused to start or stopped a run.
    Guarded = 12,
    /// Cleanup could not be proven: the machine may be dirty. Outranks every other code.
    Dirty = 13,
    /// Interrupted by a signal, and cleaned up.
    Interrupted = 130,
}

impl ExitCode {
    /// The code as the operating system takes it.
    #[must_use]
    pub fn code(self) -> u8 {
        self as u8
    }

    /// Every code, in numerical order.
    pub const ALL: [Self; 9] = [
        Self::Passed,
        Self::Error,
        Self::Usage,
        Self::NothingRan,
        Self::Failed,
        Self::Inconclusive,
        Self::Guarded,
        Self::Dirty,
        Self::Interrupted,
    ];

    /// The code with this number.
    #[must_use]
    pub fn from_code(code: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|known| known.code() == code)
    }

    /// The code for a whole run from the verdicts of its cases.
    ///
    /// Severity: dirty, then interrupted, then failed, guarded, inconclusive, nothing ran, passed.
    #[must_use]
    pub fn of(verdicts: &[Verdict], dirty: bool, interrupted: bool) -> Self {
        let any = |wanted: Verdict| verdicts.contains(&wanted);
        if dirty {
            Self::Dirty
        } else if interrupted {
            Self::Interrupted
        } else if any(Verdict::Fail) {
            Self::Failed
        } else if any(Verdict::Aborted) {
            Self::Guarded
        } else if any(Verdict::Inconclusive) {
            Self::Inconclusive
        } else if any(Verdict::Pass) {
            Self::Passed
        } else {
            Self::NothingRan
        }
    }
}

impl From<ExitCode> for std::process::ExitCode {
    fn from(code: ExitCode) -> Self {
        Self::from(code.code())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Verdict::{Aborted, Fail, Inconclusive, Pass, Skipped};
    use rstest::rstest;

    #[rstest]
    #[case::nothing_selected(&[], ExitCode::NothingRan)]
    #[case::all_skipped(&[Skipped, Skipped], ExitCode::NothingRan)]
    #[case::a_skip_does_not_hide_a_pass(&[Skipped, Pass], ExitCode::Passed)]
    #[case::one_failure_is_enough(&[Pass, Fail, Inconclusive], ExitCode::Failed)]
    #[case::failure_outranks_a_guard(&[Aborted, Fail], ExitCode::Failed)]
    #[case::a_guard_outranks_inconclusive(&[Aborted, Inconclusive], ExitCode::Guarded)]
    #[case::inconclusive_is_never_green(&[Pass, Inconclusive], ExitCode::Inconclusive)]
    fn the_worst_case_decides(#[case] verdicts: &[Verdict], #[case] expected: ExitCode) {
        assert_eq!(ExitCode::of(verdicts, false, false), expected);
    }

    #[test]
    fn a_dirty_machine_outranks_everything() {
        assert_eq!(ExitCode::of(&[Pass], true, true), ExitCode::Dirty);
        assert_eq!(ExitCode::of(&[Fail], true, false), ExitCode::Dirty);
        assert_eq!(ExitCode::of(&[Fail], false, true), ExitCode::Interrupted);
    }
}
