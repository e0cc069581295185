//! The claim that an actor was killed by exactly this killer, at this limit, at this size.

use reports::finding::Finding;
use reports::kill::Kill;
use reports::number::{Number, Unit};
use reports::outcome::{Killer, Verdict};

use super::cut_off::did_not_come;
use super::death::death_of;
use super::finding::{found, size};
use super::survival::alive;
use super::view::View;
use crate::metric::MetricInfo;
use crate::metric::column::{EVENTS_MAX, EVENTS_OOM, EVENTS_OOM_KILL, MEMORY_PEAK};
use crate::notation::signal::Signal;
use crate::plan::claim::{AtClaim, KillClaim, Phase};
use crate::record::event::ActorEnd;

pub(super) fn judge(view: &View<'_>, kills: &[Kill], id: &str, claim: &KillClaim) -> Finding {
    let expected = expected(claim);
    let sentence = match claim.by {
        Killer::Exit => format!("{} exits on its own", claim.victim),
        by => format!("{} is killed by {by}", claim.victim),
    };
    let kill = kills.iter().find(|kill| kill.actor.as_deref() == Some(&claim.victim));
    let (verdict, observed) = match kill {
        None => not_ended(view, claim),
        Some(kill) => ended(view, claim, kill),
    };
    let peak = kill.and_then(|kill| kill.at_bytes);
    let numbers = claim.at.map(|at| size_at_kill(claim, at, peak)).into_iter().collect();
    Finding { numbers, ..found(id, sentence, verdict, expected, observed) }
}

/// The peak at the kill beside the one that is claimed.
fn size_at_kill(claim: &KillClaim, at: AtClaim, peak: Option<u64>) -> Number {
    let what = format!("peak of {} at the kill", claim.limit.as_deref().unwrap_or("the limiting cgroup"));
    let bound = at.bytes as f64;
    Number::within(what, Unit::Bytes, peak.map(|bytes| bytes as f64), bound, at.within * bound)
}

fn expected(claim: &KillClaim) -> String {
    let mut words = match claim.by {
        Killer::Exit => format!("{} exits on its own with {}", claim.victim, claim.code.unwrap_or(0)),
        by => format!("{} killed by {by}", claim.victim),
    };
    if let Some(limit) = &claim.limit {
        words += &format!(" limit {limit}");
    }
    if let Some(at) = claim.at {
        words += &format!(" at {} ± {} %", size(at.bytes as f64), at.within * 100.0);
    }
    if let Some(signal) = claim.signal {
        words += &format!(" with signal {}", signal.number());
    }
    words
}

fn not_ended(view: &View<'_>, claim: &KillClaim) -> (Verdict, String) {
    let Some(actor) = view.actor(&claim.victim) else {
        return (Verdict::Inconclusive, format!("{} is not in the plan", claim.victim));
    };
    if let Some(death) = death_of(view, actor, None) {
        let words = format!("the kernel killed {} (pid {}), but its end was not seen", actor.id, death.pid);
        return (Verdict::Inconclusive, words);
    }
    if alive(view, &actor.id).is_none() {
        return (Verdict::Inconclusive, format!("{} was seen neither dead nor alive at the end", actor.id));
    }
    let mut words = format!("{} was still alive at the end", actor.id);
    if let Some(limit) = &claim.limit {
        let count = |what: &'static MetricInfo| view.delta(what.of(limit));
        if let [Some(max), Some(oom), Some(kills)] = [EVENTS_MAX, EVENTS_OOM, EVENTS_OOM_KILL].map(count) {
            words += &format!(" ({limit}: max +{max}, oom +{oom}, oom_kill +{kills})");
        }
    }
    did_not_come(words, cut_short(view, claim))
}

/// Why the kill may only not have come yet. At a limit that was reached it is late.
fn cut_short(view: &View<'_>, claim: &KillClaim) -> Option<String> {
    let reached = claim.limit.as_deref().and_then(|limit| {
        let mut units = view.plan.cgroups.iter().chain([&view.plan.slice]);
        let cap = units.find(|unit| *unit.name == *limit)?.cap()?;
        let (_, peak) = view.series(MEMORY_PEAK.of(limit), Phase::Stress).pop()?;
        Some(peak >= cap)
    });
    if reached == Some(true) { None } else { view.cut_off() }
}

fn ended(view: &View<'_>, claim: &KillClaim, kill: &Kill) -> (Verdict, String) {
    let mut observed = format!("{} ended by {}", claim.victim, kill.killer);
    if let Some(limit) = &kill.limit {
        observed += &format!(" limit {limit}");
    }
    if let Some(at) = kill.at_bytes {
        observed += &format!(" at {}", size(at as f64));
    }
    if kill.killer == Killer::Unknown {
        return (Verdict::Inconclusive, format!("{observed}: the witnesses do not agree on one killer"));
    }
    if let (Killer::Exit, Killer::Exit, Some((_, ActorEnd::Exited(code)))) =
        (claim.by, kill.killer, how_it_ended(view, claim))
        && code != claim.code.unwrap_or(0)
    {
        return (Verdict::Fail, format!("{observed} with code {code}"));
    }
    if kill.killer != claim.by
        || (claim.limit.is_some() && kill.limit.is_some() && kill.limit.as_deref() != claim.limit.as_deref())
    {
        return (Verdict::Fail, observed);
    }
    match (claim.signal.map(Signal::number), how_it_ended(view, claim)) {
        (Some(wanted), Some((_, ActorEnd::Signalled(signal)))) if signal != wanted => {
            return (Verdict::Fail, format!("{observed} with signal {signal}"));
        }
        (Some(wanted), Some((_, ActorEnd::Exited(code)))) => {
            return (Verdict::Fail, format!("{observed} with exit code {code}, not by signal {wanted}"));
        }
        (Some(_), Some((_, ActorEnd::Unknown)) | None) => {
            return (Verdict::Inconclusive, format!("{observed}: which signal ended it is not known"));
        }
        (Some(_), Some((_, ActorEnd::Signalled(_)))) | (None, _) => {}
    }
    if claim.limit.is_some() && kill.limit.is_none() {
        return (Verdict::Inconclusive, format!("{observed}: no witness says which limit was hit"));
    }
    match claim.at.map(|at| size_at_kill(claim, at, kill.at_bytes).margin) {
        Some(Some(margin)) if margin < 0.0 => (Verdict::Fail, observed),
        Some(None) => (Verdict::Inconclusive, format!("{observed}: its peak could not be read")),
        _ => (Verdict::Pass, observed),
    }
}

fn how_it_ended(view: &View<'_>, claim: &KillClaim) -> Option<(u64, ActorEnd)> {
    view.how_it_ended(view.actor(&claim.victim)?)
}
