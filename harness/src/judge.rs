//! A record → findings and a verdict. Pure: the same record gives the same findings on any machine, any year.
//!
//! It reads nothing but the record. "Could not be observed" is its own verdict: it never becomes pass or fail.

mod answers;
mod attribution;
mod cgroup;
mod conditions;
mod cut_off;
mod daemons;
mod death;
mod earlyoom;
mod finding;
mod gaps;
mod kill;
mod livelock;
mod metric;
mod observation;
mod oomd;
mod order;
mod protect;
mod reached;
mod seen;
mod survival;
mod victims;
mod view;

use reports::finding::Finding;
use reports::kill::Kill;
use reports::outcome::{Cleanup, Killer, Verdict};

use crate::plan::Plan;
use crate::plan::claim::{Claim, Expectation};
use crate::record::event::EndReason;
use crate::record::{Event, Record};
pub use finding::{PROTECTED_ANSWERS, PROTECTED_UNCHANGED, REACHED};
pub use view::View;
pub(crate) use view::starved;

/// What the judge has to say of one run.
#[derive(Debug, Clone, PartialEq)]
pub struct Judgement {
    /// The verdict of the case: for a twin, whether it turned red where it must.
    pub verdict: Verdict,
    /// The verdict of the run itself.
    pub raw_verdict: Verdict,
    /// Why it is not a pass.
    pub reason: Option<String>,
    /// Each claim, judged.
    pub findings: Vec<Finding>,
    /// Every process that ended under stress, attributed.
    pub kills: Vec<Kill>,
    /// Whether the machine was shown to be as before.
    pub cleanup: Cleanup,
}

impl Judgement {
    /// The finding with this id.
    #[must_use]
    pub fn finding(&self, id: &str) -> Option<&Finding> {
        self.findings.iter().find(|finding| finding.id == id)
    }
}

/// Judges a record.
#[must_use]
pub fn judge(record: &Record) -> Judgement {
    let cleanup = cleanup(record);
    if let Some((verdict, reason)) = end_reason(record).and_then(early_end) {
        return without_findings(verdict, reason, cleanup);
    }
    let (Some(plan), Some(_)) = (&record.head.plan, end_reason(record)) else {
        return without_findings(Verdict::Inconclusive, unfinished(record), cleanup);
    };
    let view = View::new(record, plan);
    let kills = attribution::attribute(&view);
    let mut findings = vec![reached::judge(&view)];
    findings.extend(conditions::judge(&view));
    findings.extend(plan.expectations.iter().map(|expectation| finding(&view, &kills, expectation)));
    findings.extend(protect::judge(&view));
    for finding in &mut findings {
        finding.required_red = record.head.must_fail.contains(&finding.id);
    }
    let (raw_verdict, raw_reason) = raw_verdict(&findings);
    let (verdict, reason) = if record.head.twin.is_some() {
        twin_verdict(plan, &kills, &findings, &record.head.must_fail, &record.head.must_hold)
    } else {
        (raw_verdict, raw_reason)
    };
    Judgement { verdict, raw_verdict, reason, findings, kills, cleanup }
}

fn finding(view: &View<'_>, kills: &[Kill], expectation: &Expectation) -> Finding {
    match &expectation.claim {
        Claim::Kill(claim) => kill::judge(view, kills, &expectation.id, claim),
        Claim::OnlyVictims(actors) => victims::judge(view, kills, &expectation.id, actors),
        Claim::Survives(actors) => survival::judge(view, &expectation.id, actors),
        Claim::Metric(claim) => metric::judge(view, &expectation.id, claim),
        Claim::NoLivelock(claim) => livelock::judge(view, &expectation.id, claim),
        Claim::Oomd(claim) => oomd::judge(view, &expectation.id, claim),
        Claim::Earlyoom(claim) => earlyoom::judge(view, &expectation.id, claim),
        Claim::KillOrder(actors) => order::judge(view, kills, &expectation.id, actors),
    }
}

fn without_findings(verdict: Verdict, reason: String, cleanup: Cleanup) -> Judgement {
    Judgement {
        verdict,
        raw_verdict: verdict,
        reason: Some(reason),
        findings: Vec::new(),
        kills: Vec::new(),
        cleanup,
    }
}

fn end_reason(record: &Record) -> Option<&EndReason> {
    record.events.iter().rev().find_map(|stamped| match &stamped.event {
        Event::Ended { reason } => Some(reason),
        _ => None,
    })
}

fn unfinished(record: &Record) -> String {
    if record.head.plan.is_none() {
        return "the run has no plan: it ended before a machine was ready".into();
    }
    "the record has no end: the harness was killed or is still running".into()
}

/// Ends after which no claim can be judged.
fn early_end(end: &EndReason) -> Option<(Verdict, String)> {
    match end {
        EndReason::BalloonsEnded | EndReason::ObserveElapsed => None,
        EndReason::Skipped { reason } => Some((Verdict::Skipped, reason.clone())),
        EndReason::Refused { reason } => Some((Verdict::Aborted, format!("refused: {reason}"))),
        EndReason::Aborted { reason } => Some((Verdict::Aborted, reason.clone())),
        EndReason::SetupFailed { reason } => {
            Some((Verdict::Inconclusive, format!("set-up failed: {reason}")))
        }
        EndReason::Interrupted { signal } => {
            Some((Verdict::Inconclusive, format!("interrupted by signal {signal}")))
        }
        EndReason::MachineLost { what, .. } => {
            Some((Verdict::Inconclusive, format!("the machine was lost: {what}")))
        }
    }
}

/// Findings without which the others say nothing: the stress must have arrived, every actor must have done its work, and
/// machine and limits must have stayed what they were.
const GATES: [&str; 3] = [REACHED, conditions::ACTORS, conditions::UNCHANGED];

/// Why nothing follows from a run; none when something does.
fn closed_gate(findings: &[Finding]) -> Option<String> {
    let gate = findings
        .iter()
        .filter(|finding| GATES.contains(&finding.id.as_str()))
        .find(|finding| finding.verdict != Verdict::Pass)?;
    Some(if gate.id == REACHED {
        format!("the stress was not reached: {}, expected {}", gate.observed, gate.expected)
    } else {
        format!("{}: {}", gate.id, gate.observed)
    })
}

/// Nothing follows behind a closed gate; then one failure fails, and one unobserved claim keeps it from passing.
fn raw_verdict(findings: &[Finding]) -> (Verdict, Option<String>) {
    if let Some(reason) = closed_gate(findings) {
        return (Verdict::Inconclusive, Some(reason));
    }
    let verdict =
        Verdict::combine(findings.iter().map(|finding| finding.verdict)).unwrap_or(Verdict::Inconclusive);
    let reason = findings
        .iter()
        .find(|finding| finding.verdict == verdict && verdict != Verdict::Pass)
        .map(|finding| format!("{}: {}", finding.id, finding.observed));
    (verdict, reason)
}

/// Actors of a twin that died of a signal which no claim speaks of: what they turned red is not the twin's doing.
fn strangers_doing(plan: &Plan, kills: &[Kill]) -> Option<String> {
    let claimed = |kill: &Kill| {
        plan.expectations.iter().any(|expectation| match &expectation.claim {
            Claim::Kill(claim) => kill.actor.as_deref() == Some(&claim.victim) && claim.by == Killer::Signal,
            _ => false,
        })
    };
    let kill = kills.iter().find(|kill| kill.killer == Killer::Signal && !claimed(kill))?;
    let who = kill.actor.as_deref().unwrap_or(&kill.comm);
    Some(format!("{who} was killed by an outside signal: the red is not the twin's doing"))
}

/// A twin passes when every finding it must turn red is red, for its own reason; green is a failure, unobserved is
/// neither.
fn twin_verdict(
    plan: &Plan,
    kills: &[Kill],
    findings: &[Finding],
    must_fail: &[String],
    must_hold: &[String],
) -> (Verdict, Option<String>) {
    if let Some(reason) = closed_gate(findings).or_else(|| strangers_doing(plan, kills)) {
        return (Verdict::Inconclusive, Some(reason));
    }
    let verdict_of = |id: &String| {
        findings
            .iter()
            .find(|finding| finding.id == *id)
            .map_or(Verdict::Inconclusive, |finding| finding.verdict)
    };
    let green: Vec<&str> =
        must_fail.iter().filter(|id| verdict_of(id) == Verdict::Pass).map(String::as_str).collect();
    if !green.is_empty() {
        return (Verdict::Fail, Some(format!("stayed green: {}", green.join(", "))));
    }
    let broken: Vec<&str> =
        must_hold.iter().filter(|id| verdict_of(id) == Verdict::Fail).map(String::as_str).collect();
    if !broken.is_empty() {
        return (
            Verdict::Fail,
            Some(format!("turned red, but not for the expected reason: {}", broken.join(", "))),
        );
    }
    let not_red = must_fail.iter().filter(|id| verdict_of(id) != Verdict::Fail);
    let not_held = must_hold.iter().filter(|id| verdict_of(id) != Verdict::Pass);
    let unseen: Vec<&str> = not_red.chain(not_held).map(String::as_str).collect();
    if !unseen.is_empty() || must_fail.is_empty() {
        return (Verdict::Inconclusive, Some(format!("could not be observed: {}", unseen.join(", "))));
    }
    (Verdict::Pass, None)
}

fn cleanup(record: &Record) -> Cleanup {
    let said = record.events.iter().rev().find_map(|stamped| match &stamped.event {
        Event::Cleanup { left } => Some(left),
        _ => None,
    });
    match (said, end_reason(record)) {
        (Some(left), _) if left.is_empty() => Cleanup::Proven,
        (Some(left), _) => Cleanup::NotProven { left: left.clone() },
        // A throwaway machine that is gone has taken everything with it.
        (
            None,
            Some(EndReason::MachineLost { .. } | EndReason::Skipped { .. } | EndReason::Refused { .. }),
        ) => Cleanup::NotNeeded,
        (None, _) if started_anything(record) => {
            Cleanup::NotProven { left: vec!["the record ends before any cleanup".into()] }
        }
        (None, _) => Cleanup::NotNeeded,
    }
}

fn started_anything(record: &Record) -> bool {
    record.events.iter().any(|stamped| matches!(stamped.event, Event::UnitStarted { .. }))
}
