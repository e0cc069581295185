//! What a case can come to, who can have ended a process, and what may be left of it.
//!
//! The words are the published ones (kebab-case in every format). How single verdicts add up to one is
//! written down here and nowhere else; deciding a verdict is the harness's work.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What one finding, one case or a set of cases came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// Held, on evidence. For a twin: turned red where it must.
    Pass,
    /// Did not hold, on evidence. For a twin: stayed green.
    Fail,
    /// Could not be observed, or the stress never arrived: neither pass nor fail.
    Inconclusive,
    /// Did not run because a requirement is not met.
    Skipped,
    /// A guard refused it or stopped it.
    Aborted,
}

impl Verdict {
    /// Every verdict, in the order in which reports list and count them.
    pub const ALL: [Self; 5] = [Self::Pass, Self::Fail, Self::Inconclusive, Self::Skipped, Self::Aborted];

    /// Rank when verdicts are combined: the highest wins.
    ///
    /// `skipped < pass < inconclusive < aborted < fail`. Skipped says nothing about what did run; a proven
    /// failure outranks everything that only kept us from knowing.
    pub fn severity(self) -> u8 {
        match self {
            Self::Skipped => 0,
            Self::Pass => 1,
            Self::Inconclusive => 2,
            Self::Aborted => 3,
            Self::Fail => 4,
        }
    }

    /// The more severe of two verdicts.
    #[must_use]
    pub fn worse(self, other: Self) -> Self {
        if other.severity() > self.severity() { other } else { self }
    }

    /// The most severe of many verdicts; `None` for none at all, because nothing observed is not a pass.
    pub fn combine(verdicts: impl IntoIterator<Item = Self>) -> Option<Self> {
        verdicts.into_iter().reduce(Self::worse)
    }

    /// The published word.
    pub fn word(self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::Fail => "fail",
            Self::Inconclusive => "inconclusive",
            Self::Skipped => "skipped",
            Self::Aborted => "aborted",
        }
    }

    /// What it says of a case, in a sentence or two.
    pub fn meaning(self) -> &'static str {
        match self {
            Self::Pass => "Every claim held, on evidence. For a twin: everything it must turn red is red.",
            Self::Fail => {
                "A claim did not hold, on evidence. For a twin: something that must turn red stayed green."
            }
            Self::Inconclusive => {
                "It could not be observed, the stress was not reached, or the machine was lost. Neither pass nor fail."
            }
            Self::Skipped => "A requirement of the scenario is not met on this machine; the reason is shown.",
            Self::Aborted => {
                "A guard refused to start the run or stopped it; the reason is shown with the numbers."
            }
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.word())
    }
}

/// Who or what ended a process, once independent witnesses agree.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Killer {
    /// The kernel, because a memory cgroup was at its limit (`CONSTRAINT_MEMCG`).
    Memcg,
    /// The kernel, because the whole machine was out of memory (`CONSTRAINT_NONE`).
    Global,
    /// systemd-oomd, by swap use or by pressure.
    SystemdOomd,
    /// The earlyoom daemon.
    Earlyoom,
    /// A signal that none of the above sent.
    Signal,
    /// Nobody: the process exited on its own.
    Exit,
    /// The witnesses do not suffice to say.
    Unknown,
}

impl Killer {
    /// Every killer; the last one is none.
    pub const ALL: [Self; 7] = [
        Self::Memcg,
        Self::Global,
        Self::SystemdOomd,
        Self::Earlyoom,
        Self::Signal,
        Self::Exit,
        Self::Unknown,
    ];

    /// The published word.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Memcg => "memcg",
            Self::Global => "global",
            Self::SystemdOomd => "systemd-oomd",
            Self::Earlyoom => "earlyoom",
            Self::Signal => "signal",
            Self::Exit => "exit",
            Self::Unknown => "unknown",
        }
    }
}

impl fmt::Display for Killer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.word())
    }
}

/// Whether the machine was shown to be as before.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "state", rename_all = "kebab-case")]
pub enum Cleanup {
    /// Nothing was changed, so there was nothing to clean: a skipped or refused case.
    NotNeeded,
    /// Units gone, cgroup empty, swap and available memory back.
    Proven,
    /// Something is left, or could not be looked at.
    NotProven {
        /// What is left, one thing each.
        left: Vec<String>,
    },
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[test]
    fn severity_orders_all_verdicts_without_a_tie() {
        let mut ordered = Verdict::ALL;
        ordered.sort_by_key(|v| v.severity());
        assert_eq!(ordered.map(Verdict::word), ["skipped", "pass", "inconclusive", "aborted", "fail"]);
        assert!(ordered.windows(2).all(|pair| pair[0].severity() < pair[1].severity()));
    }

    #[rstest]
    #[case::nothing_observed_is_no_verdict(&[], None)]
    #[case::all_skipped_stays_skipped(&[Verdict::Skipped, Verdict::Skipped], Some(Verdict::Skipped))]
    #[case::skipped_does_not_spoil_a_pass(&[Verdict::Pass, Verdict::Skipped], Some(Verdict::Pass))]
    #[case::not_seen_is_never_a_pass(&[Verdict::Pass, Verdict::Inconclusive], Some(Verdict::Inconclusive))]
    #[case::a_guard_outranks_not_seen(&[Verdict::Aborted, Verdict::Inconclusive], Some(Verdict::Aborted))]
    #[case::a_proven_failure_outranks_all(
        &[Verdict::Aborted, Verdict::Fail, Verdict::Inconclusive],
        Some(Verdict::Fail)
    )]
    fn verdicts_combine_to_the_most_severe(#[case] verdicts: &[Verdict], #[case] expected: Option<Verdict>) {
        assert_eq!(Verdict::combine(verdicts.iter().copied()), expected);
        assert_eq!(Verdict::combine(verdicts.iter().rev().copied()), expected);
    }

    #[test]
    fn the_published_words_are_what_serde_writes() {
        for verdict in Verdict::ALL {
            assert_eq!(serde_json::to_value(verdict).unwrap(), verdict.word());
        }
        for killer in Killer::ALL {
            assert_eq!(serde_json::to_value(killer).unwrap(), killer.word());
        }
    }
}
