//! The claim that an actor was killed by exactly this killer, at this limit, at this size.

use reports::outcome::{Killer, Verdict};
use reports::report::{Finding, Kill};

use super::attribution::kernel_log::death_of;
use super::{View, found, size};
use crate::plan::claim::KillClaim;
use crate::record::event::ActorEnd;

pub(super) fn judge(view: &View<'_>, kills: &[Kill], id: &str, claim: &KillClaim) -> Finding {
    let expected = expected(claim);
    let sentence = match claim.by {
        Killer::Exit => format!("{} leaves by itself", claim.victim),
        by => format!("{} is ended by {by}", claim.victim),
    };
    let (verdict, observed) = match kills.iter().find(|kill| kill.actor.as_ref() == Some(&claim.victim)) {
        None => not_ended(view, claim),
        Some(kill) => ended(view, claim, kill),
    };
    found(id, sentence, verdict, expected, observed)
}

fn expected(claim: &KillClaim) -> String {
    let mut words = match claim.by {
        Killer::Exit => format!("{} exits by itself with {}", claim.victim, claim.code.unwrap_or(0)),
        by => format!("{} killed by {by}", claim.victim),
    };
    if let Some(limit) = &claim.limit {
        words += &format!(" limit {limit}");
    }
    if let Some(at) = claim.at {
        words += &format!(" at {} ± {} %", size(at.bytes as f64), at.within * 100.0);
    }
    if let Some(signal) = claim.signal {
        words += &format!(" with signal {signal}");
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
    if view.alive(&actor.id).is_none() {
        return (Verdict::Inconclusive, format!("{} was seen neither dead nor alive at the end", actor.id));
    }
    let mut words = format!("{} was still alive at the end", actor.id);
    if let Some(limit) = &claim.limit {
        let count = |what: &str| view.delta(&format!("{limit}:memory.events.{what}"));
        if let (Some(max), Some(oom), Some(kills)) = (count("max"), count("oom"), count("oom_kill")) {
            words += &format!(" ({limit}: max +{max}, oom +{oom}, oom_kill +{kills})");
        }
    }
    (Verdict::Fail, words)
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
    if kill.killer != claim.by || (claim.limit.is_some() && kill.limit.is_some() && kill.limit != claim.limit)
    {
        return (Verdict::Fail, observed);
    }
    match (claim.signal, how_it_ended(view, claim)) {
        (Some(wanted), Some((_, ActorEnd::Signalled(signal)))) if signal != wanted => {
            return (Verdict::Fail, format!("{observed} with signal {signal}"));
        }
        (Some(wanted), Some((_, ActorEnd::Exited(code)))) => {
            return (Verdict::Fail, format!("{observed} with exit code {code}, not by signal {wanted}"));
        }
        (Some(_), Some((_, ActorEnd::Unknown)) | None) => {
            return (Verdict::Inconclusive, format!("{observed}: which signal ended it could not be learnt"));
        }
        (Some(_), Some((_, ActorEnd::Signalled(_)))) | (None, _) => {}
    }
    if claim.limit.is_some() && kill.limit.is_none() {
        return (Verdict::Inconclusive, format!("{observed}: no witness says which limit was hit"));
    }
    match (claim.at, kill.at_bytes) {
        (Some(at), Some(bytes)) if (bytes as f64 - at.bytes as f64).abs() > at.within * at.bytes as f64 => {
            (Verdict::Fail, observed)
        }
        (Some(_), None) => (Verdict::Inconclusive, format!("{observed}: its peak could not be read")),
        _ => (Verdict::Pass, observed),
    }
}

fn how_it_ended(view: &View<'_>, claim: &KillClaim) -> Option<(u64, ActorEnd)> {
    view.how_it_ended(view.actor(&claim.victim)?)
}
