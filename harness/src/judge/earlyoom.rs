//! The claim about whom earlyoom chooses, and at which threshold, from its own log.

use reports::finding::Finding;
use reports::number::{Number, Unit};
use reports::outcome::Verdict;

use super::cut_off::did_not_come;
use super::finding::found;
use super::view::View;
use crate::killer::Says;
use crate::killer::earlyoom::{Crossed, DAEMON, Left, crossed, left};
use crate::notation::id::Id;
use crate::notation::signal::Signal;
use crate::plan::claim::{EarlyoomClaim, Threshold};

/// A process that it chose.
struct Choice<'a> {
    signal: Signal,
    pid: u32,
    comm: &'a str,
}

fn choice(line: &str) -> Option<Choice<'_>> {
    match (DAEMON.says)(line) {
        Some(Says::Signals { signal, pid, comm }) => Some(Choice { signal, pid, comm }),
        _ => None,
    }
}

pub(super) fn judge(view: &View<'_>, id: &str, claim: &EarlyoomClaim) -> Finding {
    // The run's own, where it has one: the machine's does not speak for it.
    let mut planned = view.plan.daemons.iter();
    let own = planned.find(|planned| planned.killer == DAEMON.killer && planned.start.is_some());
    let own = own.map(|own| own.unit.as_str());
    let speaks = |unit: Option<&str>| own.is_none() || unit.is_none() || unit == own;
    let lines = view.lines_of(&DAEMON).into_iter();
    let lines: Vec<&str> = lines.filter(|(unit, _)| speaks(*unit)).map(|(_, line)| line).collect();
    let choices: Vec<Choice<'_>> = lines.iter().filter_map(|line| choice(line)).collect();
    let (verdict, observed) = observe(view, claim, &lines, &choices);
    let mut expected = format!("chooses {}", claim.selects.join(" or "));
    if !claim.never.is_empty() {
        expected += &format!(", never {}", claim.never.join(", "));
    }
    if !claim.signals.is_empty() {
        expected += &format!(", with {}", names(&claim.signals, " and "));
    }
    let finding = found(id, "earlyoom chooses the right victims".into(), verdict, expected, observed);
    Finding { numbers: left_at_the_threshold(&lines), ..finding }
}

/// What was left when earlyoom first acted, beside the limits that it was told.
fn left_at_the_threshold(lines: &[&str]) -> Vec<Number> {
    let mut seen: Option<Left> = None;
    for line in lines {
        seen = left(line).or(seen);
        if let (Some(seen), Some(over)) = (seen, crossed(line)) {
            let percent = |what: &str, left, limit| Number::at_most(what, Unit::Percent, Some(left), limit);
            return vec![
                percent("memory left at the first threshold", seen.memory, over.limit.memory),
                percent("swap left at the first threshold", seen.swap, over.limit.swap),
            ];
        }
    }
    Vec::new()
}

fn observe(
    view: &View<'_>,
    claim: &EarlyoomClaim,
    lines: &[&str],
    choices: &[Choice<'_>],
) -> (Verdict, String) {
    if lines.is_empty() {
        return (Verdict::Inconclusive, "earlyoom logged nothing".into());
    }
    if let Some(why) = view.unheard(&DAEMON).filter(|_| choices.is_empty()) {
        return (Verdict::Inconclusive, why);
    }
    if choices.is_empty() {
        let words = format!("chose nobody; its last line: {}", lines[lines.len() - 1]);
        return did_not_come(words, view.cut_off());
    }
    let pids = |actors: &[Id]| -> Vec<u32> { actors.iter().filter_map(|actor| view.pid(actor)).collect() };
    let (allowed, forbidden) = (pids(&claim.selects), pids(&claim.never));
    let show = |choice: &Choice<'_>| format!("{} to {} (pid {})", choice.signal, choice.comm, choice.pid);
    let wrong: Vec<&Choice<'_>> = choices.iter().filter(|choice| !allowed.contains(&choice.pid)).collect();
    let worst = wrong.iter().find(|choice| forbidden.contains(&choice.pid)).or(wrong.first());
    if let Some(choice) = worst {
        return (
            Verdict::Fail,
            format!("{} of {} choices wrong: {}", wrong.len(), choices.len(), show(choice)),
        );
    }
    let says = |what: fn(Says<'_>) -> bool| lines.iter().filter_map(|line| (DAEMON.says)(line)).any(what);
    let escalated = says(|says| matches!(says, Says::Escalates { .. }));
    let seen = |signal: Signal| {
        choices.iter().any(|choice| choice.signal == signal) || (signal == Signal::Kill && escalated)
    };
    if let Some(choice) =
        choices.iter().find(|choice| !claim.signals.is_empty() && !claim.signals.contains(&choice.signal))
    {
        return (Verdict::Fail, show(choice));
    }
    let missing: Vec<Signal> = claim.signals.iter().copied().filter(|signal| !seen(*signal)).collect();
    if !missing.is_empty() {
        return did_not_come(format!("never sent {}", names(&missing, ", ")), view.cut_off());
    }
    let first = match thresholds(claim, lines) {
        Ok(first) => first,
        Err(refused) => return refused,
    };
    let dry = if says(|says| says == Says::RunsDry) { "dry run, " } else { "" };
    let words = format!("{dry}{} choices, first {}, {first}", choices.len(), show(&choices[0]));
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
        let Some(choice) = choice(line) else { continue };
        let (Some(seen), Some(over)) = (seen, over.take().filter(|over| over.signal == choice.signal)) else {
            let words = format!("no line says which threshold made it send {}", choice.signal);
            return Err((Verdict::Inconclusive, words));
        };
        let words = format!(
            "with {} % of memory and {} % of swap left (threshold {} % and {} %)",
            seen.memory, seen.swap, over.limit.memory, over.limit.swap
        );
        let told =
            claim.thresholds.map(|told| if choice.signal == Signal::Kill { told.kill } else { told.term });
        let as_told = told.is_none_or(|told| over.limit == as_left(told));
        if !as_told || seen.memory > over.limit.memory || seen.swap > over.limit.swap {
            return Err((Verdict::Fail, format!("{} {words}", choice.signal)));
        }
        first.get_or_insert(words);
    }
    Ok(first.unwrap_or_default())
}

fn names(signals: &[Signal], between: &str) -> String {
    signals.iter().map(ToString::to_string).collect::<Vec<_>>().join(between)
}

fn as_left(told: Threshold) -> Left {
    Left { memory: told.memory.into(), swap: told.swap.into() }
}
