//! Parts of the model → the clauses that the terminal and Markdown both print.
//!
//! Only puts fields into words; each renderer still makes the result harmless in its own way.

use crate::finding::Finding;
use crate::kill::{Agreement, Kill, Witness};
use crate::outcome::{Cleanup, Killer, Verdict};
use crate::report::{Case, Phase, Series};
use crate::{sparkline, units};

/// Whether a finding came out as it should: held, or red where the twin must turn it red.
pub(crate) fn as_due(finding: &Finding) -> bool {
    let due = if finding.required_red { Verdict::Fail } else { Verdict::Pass };
    finding.verdict == due
}

/// The finding's verdict, seen from what was due.
pub(crate) fn finding_state(finding: &Finding) -> String {
    match (finding.required_red, finding.verdict) {
        (false, verdict) => verdict.word().to_owned(),
        (true, Verdict::Fail) => "red as required".to_owned(),
        (true, Verdict::Pass) => "stayed green, must be red".to_owned(),
        (true, other) => format!("{other}, must be red"),
    }
}

/// How near a finding was to the other verdict, with what that is to be called; none where no number decided.
pub(crate) fn margin(finding: &Finding) -> Option<(&'static str, String)> {
    let (number, share) = finding.tightest()?;
    let label = match finding.verdict {
        Verdict::Pass if share >= 0.0 => "margin",
        Verdict::Fail if share < 0.0 => "missed by",
        // Not decided, or not by a number: the wrong killer at the right size.
        _ => return None,
    };
    let way = units::value(number.unit, number.margin?.abs());
    let percent = share.abs() * 100.0;
    let percent = if percent < 10.0 { format!("{percent:.1}") } else { format!("{percent:.0}") };
    let what = if finding.numbers.len() > 1 { format!(" ({})", number.what) } else { String::new() };
    Some((label, format!("{way}, {percent} %{what}")))
}

/// What was observed, and how near that was to the other verdict.
pub(crate) fn observed(finding: &Finding) -> String {
    match margin(finding) {
        Some((label, margin)) => format!("{}; {label} {margin}", finding.observed),
        None => finding.observed.clone(),
    }
}

/// Who ended which process, where and when.
pub(crate) fn kill(kill: &Kill) -> String {
    let who = match &kill.actor {
        Some(actor) => format!("{actor} (pid {}, {})", kill.pid, kill.comm),
        None => format!("{} (pid {}, no actor of this scenario)", kill.comm, kill.pid),
    };
    let end = match kill.killer {
        Killer::Exit => "exited on its own".to_owned(),
        Killer::Unknown => "ended by an unknown killer".to_owned(),
        Killer::Signal => "killed by an outside signal".to_owned(),
        Killer::Global => "killed by the kernel's machine-wide OOM (global)".to_owned(),
        Killer::Memcg => match &kill.limit {
            Some(limit) => format!("killed by memcg limit {limit}"),
            None => "killed by a memcg limit".to_owned(),
        },
        killer => format!("killed by {killer}"),
    };
    let at = kill.at_bytes.map(|bytes| format!(" at {}", units::bytes(bytes))).unwrap_or_default();
    let after =
        kill.after_ms.map(|ms| format!(", {} after release", units::duration_ms(ms))).unwrap_or_default();
    let seen = kill.latency_us.map(|us| format!(", recorded {} later", units::duration_us(us)));
    format!("{who} {end}{at}{after}{}", seen.unwrap_or_default())
}

/// What a witness said, and whether that is a problem.
pub(crate) fn witness(witness: &Witness) -> String {
    match witness.agrees {
        Agreement::Agrees => witness.says.clone(),
        Agreement::Missing => format!("missing: {}", witness.says),
        Agreement::Contradicts => format!("contradicts: {}", witness.says),
    }
}

/// What may still be on the machine; none where cleanup was proven or nothing was to be cleaned.
pub(crate) fn left(case: &Case) -> Option<String> {
    match &case.cleanup {
        Cleanup::NotNeeded | Cleanup::Proven => None,
        Cleanup::NotProven { left } if left.is_empty() => Some("it could not be checked".to_owned()),
        Cleanup::NotProven { left } => Some(left.join("; ")),
    }
}

/// How high a course went, and what it is to be read against; none where nothing was read.
pub(crate) fn height(series: &Series) -> Option<String> {
    let peak = units::value(series.unit, sparkline::peak(series)?);
    let cap = series.cap.map(|cap| format!(", cap {}", units::value(series.unit, cap)));
    Some(format!("peak {peak}{}", cap.unwrap_or_default()))
}

/// The phases with their lengths.
pub(crate) fn phases(phases: &[Phase]) -> String {
    let each = phases.iter().map(|phase| {
        format!("{} {}", phase.name, units::duration_ms(phase.end_ms.saturating_sub(phase.start_ms)))
    });
    each.collect::<Vec<_>>().join(", ")
}
