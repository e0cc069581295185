//! Reports and texts → the same without what differs from run to run, for snapshots.
//!
//! Replacements have one fixed width each, and a right-aligned column keeps its edge, so that a layout can be
//! compared. Sizes, verdicts and names stay: they are what a snapshot is for.

use crate::report::{Cleanup, Report};

/// Instant put in for every other.
const INSTANT: &str = "0000-00-00T00:00:00Z";
/// Span put in for every other.
const SPAN: &str = "<time>";
/// Path put in for every other.
const PATH: &str = "<path>";

/// `report` with times, pids, paths, console and the version of the tool taken out; curves and machines stay.
pub fn report(report: &Report) -> Report {
    let mut report = report.clone();
    report.tool_version = "0.0.0".into();
    (report.started, report.took_ms) = (0, 0);
    report.record_path = report.record_path.map(|_| PATH.into());
    report.trouble = report.trouble.iter().map(|said| text(said)).collect();
    for case in &mut report.cases {
        case.took_ms = 0;
        case.record_path = case.record_path.take().map(|_| PATH.into());
        case.headline = text(&case.headline);
        case.reason = case.reason.as_deref().map(text);
        case.warnings = case.warnings.iter().map(|said| text(said)).collect();
        case.console.clear();
        case.phases.iter_mut().for_each(|phase| (phase.start_ms, phase.end_ms) = (0, 0));
        for finding in &mut case.findings {
            finding.observed = text(&finding.observed);
            finding.explanation = finding.explanation.as_deref().map(text);
        }
        for kill in &mut case.kills {
            kill.pid = 0;
            kill.after_ms = kill.after_ms.map(|_| 0);
            kill.latency_us = kill.latency_us.map(|_| 0);
            kill.witnesses.iter_mut().for_each(|witness| witness.says = text(&witness.says));
        }
        if let Cleanup::NotProven { left } = &mut case.cleanup {
            left.iter_mut().for_each(|left| *left = text(left));
        }
    }
    report
}

/// `text` with instants, spans, pids and temporary paths replaced.
///
/// An instant is RFC 3339; a span is a number with `µs`, `ms`, `s`, `min` or `h`; a pid is a number behind
/// `pid`; a path begins in `/tmp`, `/var/tmp`, `/var/lib/bulkhead`, `/run/bulkhead`, `/home` or `/root`.
pub fn text(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    let mut before = None;
    while let Some(c) = rest.chars().next() {
        let at_word = !before.is_some_and(|c: char| c.is_alphanumeric() || c == '_' || c == '.' || c == '/');
        let found = at_word
            .then(|| instant(rest).or_else(|| span(rest)).or_else(|| pid(rest)).or_else(|| path(rest)));
        let taken = match found.flatten() {
            Some(found) => {
                put(&mut out, found);
                found.length
            }
            None => {
                out.push(c);
                c.len_utf8()
            }
        };
        before = rest[..taken].chars().next_back();
        rest = &rest[taken..];
    }
    out
}

/// Something to replace at the beginning of a text.
#[derive(Clone, Copy)]
struct Found {
    /// In bytes.
    length: usize,
    /// In characters, for alignment.
    width: usize,
    replacement: &'static str,
}

/// Writes the replacement; in a right-aligned column (two spaces before it) the column keeps its right edge.
fn put(out: &mut String, found: Found) {
    let spaces = out.len() - out.trim_end_matches(' ').len();
    if spaces >= 2 {
        let edge = out.len() + found.width;
        out.truncate(out.len() - spaces);
        let pad = edge.saturating_sub(out.len() + found.replacement.len()).max(1);
        out.extend(std::iter::repeat_n(' ', pad));
    }
    out.push_str(found.replacement);
}

fn instant(text: &str) -> Option<Found> {
    const SHAPE: &[u8] = b"0000-00-00T00:00:00Z";
    let bytes = text.as_bytes().get(..SHAPE.len())?;
    let same = |(byte, shape): (&u8, &u8)| if *shape == b'0' { byte.is_ascii_digit() } else { byte == shape };
    let length = SHAPE.len();
    bytes.iter().zip(SHAPE).all(same).then_some(Found { length, width: length, replacement: INSTANT })
}

fn digits(text: &str) -> usize {
    text.bytes().take_while(u8::is_ascii_digit).count()
}

/// One number with a unit of time; its length.
fn quantity(text: &str) -> Option<usize> {
    let whole = digits(text);
    let fraction = text[whole..].strip_prefix('.').map(digits).filter(|digits| *digits > 0);
    let number = whole + fraction.map_or(0, |digits| digits + 1);
    let gap = usize::from(text[number..].starts_with(' '));
    let after = &text[number + gap..];
    let unit = ["µs", "ms", "min", "s", "h"].into_iter().find(|unit| {
        let rest = after.strip_prefix(unit);
        rest.is_some_and(|rest| !rest.starts_with(|c: char| c.is_alphanumeric() || c == '_' || c == '/'))
    })?;
    (whole > 0).then_some(number + gap + unit.len())
}

fn span(text: &str) -> Option<Found> {
    let mut length = quantity(text)?;
    while let Some(more) = text[length..].strip_prefix(' ').and_then(quantity) {
        length += 1 + more;
    }
    Some(Found { length, width: text[..length].chars().count(), replacement: SPAN })
}

fn pid(text: &str) -> Option<Found> {
    let number = text.strip_prefix("pid")?;
    let gap = usize::from(number.starts_with([' ', '=']));
    let digits = digits(&number[gap..]);
    let length = 3 + gap + digits;
    let replacement = if number.starts_with('=') { "pid=<pid>" } else { "pid <pid>" };
    (gap == 1 && digits > 0).then_some(Found { length, width: length, replacement })
}

fn path(text: &str) -> Option<Found> {
    let roots = ["/tmp", "/var/tmp", "/var/lib/bulkhead", "/run/bulkhead", "/home", "/root"];
    let root = roots.into_iter().find(|root| {
        text.strip_prefix(root).is_some_and(|rest| !rest.starts_with(|c: char| c.is_alphanumeric()))
    })?;
    let ends =
        |c: char| c.is_whitespace() || matches!(c, '"' | '\'' | '`' | ',' | ';' | ')' | '<' | '>' | '│');
    let length = text.find(ends).unwrap_or(text.len()).max(root.len());
    let length = text[..length].trim_end_matches([':', '.']).len();
    Some(Found { length, width: text[..length].chars().count(), replacement: PATH })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;
    use crate::{samples, terminal};

    #[rstest]
    #[case::instant("began 2025-06-22T03:12:44Z.", "began 0000-00-00T00:00:00Z.")]
    #[case::spans("2.41 s, 31 ms, 412 µs", "<time>, <time>, <time>")]
    #[case::a_long_span("took 3 min 12 s", "took <time>")]
    #[case::systemd_spans("90s and 3min", "<time> and <time>")]
    #[case::pids("(pid 812) pid=7 pids 9", "(pid <pid>) pid=<pid> pids 9")]
    #[case::paths("in /tmp/x7/a.json: and /etc/fstab", "in <path>: and /etc/fstab")]
    #[case::a_root_of_another_name("/tmpfs /rooted", "/tmpfs /rooted")]
    #[case::sizes_and_counts_stay("512.0 MiB of 3 shares, 5 % v2.5", "512.0 MiB of 3 shares, 5 % v2.5")]
    #[case::names_stay("cgroup2 s3 x2s 5s_total 812 MiB/s", "cgroup2 s3 x2s 5s_total 812 MiB/s")]
    fn what_differs_is_replaced_and_the_rest_stays(#[case] given: &str, #[case] redacted: &str) {
        assert_eq!(text(given), redacted);
    }

    #[test]
    fn a_column_keeps_its_right_edge() {
        assert_eq!(text("a    8.41 s|"), "a    <time>|");
        assert_eq!(text("a     31 ms|"), "a    <time>|");
        assert_eq!(text("a  412.0 ms|"), "a    <time>|");
    }

    #[test]
    fn two_runs_that_differ_in_time_alone_are_the_same() {
        let first = samples::mixed();
        let mut second = first.clone();
        (second.started, second.took_ms) = (second.started + 77, second.took_ms + 5_000);
        for case in &mut second.cases {
            case.took_ms += 1_234;
            case.kills.iter_mut().for_each(|kill| kill.pid += 100);
            case.headline = case.headline.replace("2.41 s", "12.4 s").replace("31 ms", "9.7 ms");
        }
        assert_ne!(first, second);
        assert_eq!(report(&first), report(&second));
        let page = terminal::render(&report(&first), terminal::Options::default());
        assert!(page.contains("hard-cap-kill"));
        assert!(!page.contains("/var/lib"), "{page}");
    }

    proptest! {
        #[test]
        fn redacting_twice_changes_nothing_more(given in "[a-z0-9 .:/=µsmin()pid-]{0,40}") {
            let once = text(&given);
            prop_assert_eq!(text(&once), once);
        }
    }
}
