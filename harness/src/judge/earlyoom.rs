//! The claim about whom earlyoom chooses, and at which threshold, from its own log.

use reports::outcome::Verdict;
use reports::report::Finding;

use super::view::Daemon;
use super::{View, found};
use crate::earlyoom::{Crossed, Left, Selection, crossed, is_dry_run, is_escalation, left, selection};
use crate::plan::claim::{EarlyoomClaim, Threshold};

pub(super) fn judge(view: &View<'_>, id: &str, claim: &EarlyoomClaim) -> Finding {
    // The run's own, where it has one: the machine's does not speak for it.
    let own = view.plan.daemons.earlyoom.as_ref().map(|own| own.unit.as_str());
    let speaks = |unit: Option<&str>| own.is_none() || unit.is_none() || unit == own;
    let lines = view.lines_by_unit(Daemon::Earlyoom).into_iter();
    let lines: Vec<&str> = lines.filter(|(unit, _)| speaks(*unit)).map(|(_, line)| line).collect();
    let selections: Vec<Selection> = lines.iter().filter_map(|line| selection(line)).collect();
    let (verdict, observed) = observe(view, claim, &lines, &selections);
    let mut expected = format!("chooses {}", claim.selects.join(" or "));
    if !claim.never.is_empty() {
        expected += &format!(", never {}", claim.never.join(", "));
    }
    if !claim.signals.is_empty() {
        expected += &format!(", with {}", claim.signals.join(" and "));
    }
    found(id, "earlyoom chooses whom it should".into(), verdict, expected, observed)
}

fn observe(
    view: &View<'_>,
    claim: &EarlyoomClaim,
    lines: &[&str],
    selections: &[Selection],
) -> (Verdict, String) {
    if lines.is_empty() {
        return (Verdict::Inconclusive, "earlyoom logged nothing".into());
    }
    if let Some(why) = view.unheard(Daemon::Earlyoom).filter(|_| selections.is_empty()) {
        return (Verdict::Inconclusive, why);
    }
    if selections.is_empty() {
        return (Verdict::Fail, format!("chose nobody; its last words: {}", lines[lines.len() - 1]));
    }
    let pids =
        |actors: &[String]| -> Vec<u32> { actors.iter().filter_map(|actor| view.pid(actor)).collect() };
    let (allowed, forbidden) = (pids(&claim.selects), pids(&claim.never));
    let show = |choice: &Selection| format!("{} to {} (pid {})", choice.signal, choice.comm, choice.pid);
    let wrong: Vec<&Selection> = selections.iter().filter(|choice| !allowed.contains(&choice.pid)).collect();
    let worst = wrong.iter().find(|choice| forbidden.contains(&choice.pid)).or(wrong.first());
    if let Some(choice) = worst {
        return (
            Verdict::Fail,
            format!("{} of {} choices wrong: {}", wrong.len(), selections.len(), show(choice)),
        );
    }
    let escalated = lines.iter().any(|line| is_escalation(line));
    let seen = |signal: &String| {
        selections.iter().any(|choice| choice.signal == *signal) || (signal == "SIGKILL" && escalated)
    };
    if let Some(choice) =
        selections.iter().find(|choice| !claim.signals.is_empty() && !claim.signals.contains(&choice.signal))
    {
        return (Verdict::Fail, show(choice));
    }
    let missing: Vec<&str> =
        claim.signals.iter().filter(|signal| !seen(signal)).map(String::as_str).collect();
    if !missing.is_empty() {
        return (Verdict::Fail, format!("never sent {}", missing.join(", ")));
    }
    let first = match thresholds(claim, lines) {
        Ok(first) => first,
        Err(refused) => return refused,
    };
    let dry = if lines.iter().any(|line| is_dry_run(line)) { "dry run, " } else { "" };
    let words = format!("{dry}{} choices, first {}, {first}", selections.len(), show(&selections[0]));
    (Verdict::Pass, words)
}

/// Checks that every choice followed from a threshold that earlyoom was told, and says how the first one did.
fn thresholds(claim: &EarlyoomClaim, lines: &[&str]) -> Result<String, (Verdict, String)> {
    let mut seen: Option<Left> = None;
    let mut over: Option<Crossed> = None;
    let mut first = None;
    for line in lines {
        seen = left(line).or(seen);
        over = crossed(line).or(over);
        let Some(choice) = selection(line) else { continue };
        let (Some(seen), Some(over)) = (seen, over.take().filter(|over| over.signal == choice.signal)) else {
            let words = format!("no line says which threshold made it send {}", choice.signal);
            return Err((Verdict::Inconclusive, words));
        };
        let words = format!(
            "with {} % of memory and {} % of swap left (threshold {} % and {} %)",
            seen.memory, seen.swap, over.limit.memory, over.limit.swap
        );
        let told =
            claim.thresholds.map(|told| if choice.signal == "SIGKILL" { told.kill } else { told.term });
        let as_told = told.is_none_or(|told| over.limit == as_left(told));
        if !as_told || seen.memory > over.limit.memory || seen.swap > over.limit.swap {
            return Err((Verdict::Fail, format!("{} {words}", choice.signal)));
        }
        first.get_or_insert(words);
    }
    Ok(first.unwrap_or_default())
}

fn as_left(told: Threshold) -> Left {
    Left { memory: told.memory.into(), swap: told.swap.into() }
}
