//! What happened → the process exit code. The numbers are part of the published interface.

use reports::outcome::Verdict;

/// Code and meaning once: the documentation, the help, the manual page and the last line of a report say these words.
macro_rules! exit_codes {
    ($($name:ident = $code:literal, $meaning:literal;)*) => {
        /// Exit codes of `bulkhead`. They are stable: scripts and CI gates rely on them.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        #[repr(u8)]
        pub enum ExitCode {
            $(#[doc = $meaning] $name = $code,)*
        }

        impl ExitCode {
            /// Every code, in numerical order.
            pub const ALL: &[Self] = &[$(Self::$name),*];

            /// What it says, as one clause.
            #[must_use]
            pub fn meaning(self) -> &'static str {
                match self {
                    $(Self::$name => $meaning,)*
                }
            }
        }
    };
}

exit_codes! {
    Passed = 0, "every selected scenario passed, every twin that ran turned red where it must";
    Error = 1, "unexpected error";
    Usage = 2, "invalid command line, scenario or policy";
    NothingRan = 3, "nothing ran: no selection, or everything was skipped";
    Failed = 10, "an expectation failed, a twin stayed green, repeated runs did not agree, or a policy has findings";
    Inconclusive = 11, "nothing failed, something was inconclusive";
    Guarded = 12, "a guard refused or aborted";
    Dirty = 13, "cleanup not proven, the machine may be dirty";
    Interrupted = 130, "interrupted, cleaned up";
}

impl ExitCode {
    /// The code as the operating system takes it.
    #[must_use]
    pub fn code(self) -> u8 {
        self as u8
    }

    /// The code with this number.
    #[must_use]
    pub fn from_code(code: u8) -> Option<Self> {
        Self::ALL.iter().copied().find(|known| known.code() == code)
    }

    /// The code for a whole run from the verdicts of its cases.
    ///
    /// A dirty machine outranks everything, then an interruption, then the most severe verdict.
    #[must_use]
    pub fn of(verdicts: &[Verdict], dirty: bool, interrupted: bool) -> Self {
        if dirty {
            return Self::Dirty;
        } else if interrupted {
            return Self::Interrupted;
        }
        match Verdict::combine(verdicts.iter().copied()) {
            Some(Verdict::Fail) => Self::Failed,
            Some(Verdict::Aborted) => Self::Guarded,
            Some(Verdict::Inconclusive) => Self::Inconclusive,
            Some(Verdict::Pass) => Self::Passed,
            Some(Verdict::Skipped) | None => Self::NothingRan,
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
