//! earlyoom: its log → whom it chose, with which signal, and at which threshold.
//!
//! The process name is chosen by the process: it stands in quotes and may hold anything, so it is read up to the last
//! quote before the score. Formats: 1.7 `badness N, VmRSS N MiB`, 1.8 `oom_score N, VmRSS N MiB, cmdline "…"`, 1.9 with
//! `oom_score_adj` in between.

use reports::outcome::Killer;

use super::{Daemon, Says, Victims, Voice};
use crate::notation::signal::Signal;
use crate::reading::parse_word;

/// earlyoom.
pub const DAEMON: Daemon = Daemon {
    killer: Killer::Earlyoom,
    witness: "earlyoom",
    unit: "earlyoom.service",
    voice: Voice::Streams,
    victims: Victims::Process,
    signals: &[Signal::Term, Signal::Kill],
    says,
};

/// Its lines about whom it chose, that this one lives on and gets SIGKILL, and that it kills nobody.
fn says(line: &str) -> Option<Says<'_>> {
    if line.starts_with("escalating to SIGKILL") {
        Some(Says::Escalates { signal: Signal::Kill })
    } else if line.starts_with("dryrun mode enabled") {
        Some(Says::RunsDry)
    } else {
        selection(line)
    }
}

/// `sending SIG… to process PID uid N "NAME": …`.
fn selection(line: &str) -> Option<Says<'_>> {
    let (signal, rest) = line.strip_prefix("sending ")?.split_once(" to process ")?;
    let (pid, rest) = rest.split_once(" uid ")?;
    let (_, rest) = rest.split_once(" \"")?;
    // From the left: in 1.8 a command line with its own quotes follows. A name cannot hold this mark and a number.
    let (comm, score) = ["\": badness ", "\": oom_score "].iter().find_map(|mark| rest.split_once(mark))?;
    let _: i64 = score.split_once(", ")?.0.parse().ok()?;
    Some(Says::Signals { signal: parse_word(signal).ok()?, pid: pid.parse().ok()?, comm })
}

/// How much was left when earlyoom looked, percent of what it takes for the whole.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Left {
    /// Memory.
    pub memory: f64,
    /// Swap; 0 on a machine that has none.
    pub swap: f64,
}

/// Reads a `mem avail: … (66.51%), swap free: … ( 0.00%)` line.
#[must_use]
pub fn left(line: &str) -> Option<Left> {
    let (memory, swap) = line.strip_prefix("mem avail:")?.split_once("swap free:")?;
    let percent = |text: &str| text.split_once('(')?.1.split_once("%)")?.0.trim().parse().ok();
    Some(Left { memory: percent(memory)?, swap: percent(swap)? })
}

/// The threshold that earlyoom says was crossed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Crossed {
    /// SIGTERM or SIGKILL: which of its two thresholds.
    pub signal: Signal,
    /// Both percentages of that threshold.
    pub limit: Left,
}

/// Reads a `low memory! at or below SIGTERM limits: mem 99.00%, swap 100.00%` line.
#[must_use]
pub fn crossed(line: &str) -> Option<Crossed> {
    let (signal, rest) = line.strip_prefix("low memory! at or below ")?.split_once(" limits: mem ")?;
    let (memory, swap) = rest.split_once("%, swap ")?;
    let limit =
        Left { memory: memory.trim().parse().ok()?, swap: swap.strip_suffix('%')?.trim().parse().ok()? };
    Some(Crossed { signal: parse_word(signal).ok()?, limit })
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case::v1_7(
        "sending SIGTERM to process 393 uid 0 \"hog\": badness 883, VmRSS 51 MiB",
        Signal::Term,
        393,
        "hog"
    )]
    #[case::v1_8(
        "sending SIGKILL to process 517 uid 0 \"hog\": oom_score 884, VmRSS 51 MiB, cmdline \"/usr/local/bin/hog 50 0 100\"",
        Signal::Kill,
        517,
        "hog"
    )]
    #[case::v1_9(
        "sending SIGTERM to process 9 uid 1000 \"a b\": oom_score -3, oom_score_adj -300, VmRSS 7 MiB, cmdline \"x\"",
        Signal::Term,
        9,
        "a b"
    )]
    #[case::a_name_that_imitates_a_line(
        "sending SIGTERM to process 9 uid 0 \"a\" uid 1 \"b\": badness 1, VmRSS 2 MiB",
        Signal::Term,
        9,
        "a\" uid 1 \"b"
    )]
    fn each_version_names_signal_and_process(
        #[case] line: &str,
        #[case] signal: Signal,
        #[case] pid: u32,
        #[case] comm: &str,
    ) {
        assert_eq!(says(line), Some(Says::Signals { signal, pid, comm }));
    }

    #[rstest]
    #[case("mem avail:  1810 of  1943 MiB (93.15%), swap free:    0 of    0 MiB ( 0.00%)")]
    #[case("low memory! at or below SIGTERM limits: mem 99.00%, swap 100.00%")]
    #[case("sending SIGTERM when mem <= 10.00% and swap <= 10.00%,")]
    #[case("sending SIGTERM to process 9 uid 0 \"a\": badness of many, VmRSS 2 MiB")]
    #[case("process 9 exited after 0.3 seconds")]
    fn other_lines_choose_nobody(#[case] line: &str) {
        assert_eq!(says(line), None);
    }

    #[rstest]
    #[case("mem avail:  1316 of  1979 MiB (66.51%), swap free:    0 of    0 MiB ( 0.00%)", Some((66.51, 0.0)))]
    #[case("mem avail:   365 of  1831 MiB (19.95%), swap free:  255 of  255 MiB (100.00%)", Some((19.95, 100.0)))]
    #[case("mem avail:   365 of  1831 MiB (19.95%)", None)]
    #[case("mem total: 1974 MiB, user mem total: 1830 MiB, swap total:    0 MiB", None)]
    fn what_was_left_is_read(#[case] line: &str, #[case] expected: Option<(f64, f64)>) {
        assert_eq!(left(line), expected.map(|(memory, swap)| Left { memory, swap }));
    }

    #[rstest]
    #[case("low memory! at or below SIGTERM limits: mem 99.00%, swap 100.00%", Some((Signal::Term, 99.0, 100.0)))]
    #[case("low memory! at or below SIGKILL limits: mem  1.00%, swap  5.50%", Some((Signal::Kill, 1.0, 5.5)))]
    #[case("low memory! at or below SIGTERM limits: mem 99.00%", None)]
    #[case("sending SIGTERM when mem <= 99.00% and swap <= 100.00%,", None)]
    fn the_crossed_threshold_is_read(#[case] line: &str, #[case] expected: Option<(Signal, f64, f64)>) {
        let expected =
            expected.map(|(signal, memory, swap)| Crossed { signal, limit: Left { memory, swap } });
        assert_eq!(crossed(line), expected);
    }
}
