//! The claim that actors were killed in this order.
//!
//! The kernel's own times decide where it logged the kills: two deaths within one beat of the run loop are recorded in the
//! order in which they are looked for. Which killer it was is another claim's business, but it must be known.

use reports::finding::Finding;
use reports::kill::Kill;
use reports::number::{Number, Unit};
use reports::outcome::{Killer, Verdict};

use super::death::death_of;
use super::finding::found;
use super::survival::alive;
use super::view::View;
use crate::notation::id::Id;

/// What became of an actor.
enum Fate {
    /// Killed at this time, µs.
    Killed(u64),
    /// Seen alive at the end, or gone by itself.
    Spared,
    /// Seen neither dead nor alive, or ended by nobody knows whom.
    Unseen,
}

pub(super) fn judge(view: &View<'_>, kills: &[Kill], id: &str, order: &[Id]) -> Finding {
    let mut killed = Vec::new();
    let mut unseen = Vec::new();
    for actor in order {
        match fate(view, kills, actor) {
            Fate::Killed(at) => killed.push((at, actor.as_str())),
            Fate::Unseen => unseen.push(actor.as_str()),
            Fate::Spared => {}
        }
    }
    killed.sort_by_key(|(at, _)| *at);
    let names: Vec<&str> = killed.iter().map(|(_, actor)| *actor).collect();
    let so_far = order.iter().map(Id::as_str).zip(&names).all(|(due, killed)| due == *killed);
    let mut observed = if names.is_empty() { "nobody was killed".into() } else { names.join(", then ") };
    let verdict = if !unseen.is_empty() {
        observed += &format!("; unexplained or not seen: {}", unseen.join(", "));
        Verdict::Inconclusive
    } else if names.iter().copied().eq(order.iter().map(Id::as_str)) {
        Verdict::Pass
    } else if let Some(why) = view.cut_off().filter(|_| so_far) {
        // The next may have been about to die.
        observed += &format!("; {why}");
        Verdict::Inconclusive
    } else {
        Verdict::Fail
    };
    let finding = found(id, "they are killed in this order".into(), verdict, order.join(", then "), observed);
    Finding { numbers: intervals(&killed, order), ..finding }
}

/// From each kill to the one that has to follow it, where both were seen.
fn intervals(killed: &[(u64, &str)], order: &[Id]) -> Vec<Number> {
    let at = |actor: &str| killed.iter().find(|(_, id)| *id == actor).map(|(at, _)| *at as f64);
    let between = |pair: &[Id]| {
        let us = at(&pair[1])? - at(&pair[0])?;
        let what = format!("from the end of {} to that of {}", pair[0], pair[1]);
        Some(Number::at_least(what, Unit::Microseconds, Some(us), 0.0))
    };
    order.windows(2).filter_map(between).collect()
}

fn fate(view: &View<'_>, kills: &[Kill], id: &str) -> Fate {
    match (kills.iter().find(|kill| kill.actor.as_deref() == Some(id)), view.end(id)) {
        (Some(kill), _) if kill.killer == Killer::Exit => Fate::Spared,
        // What nobody explains may have come from anybody.
        (Some(kill), _) if matches!(kill.killer, Killer::Unknown | Killer::Signal) => Fate::Unseen,
        (Some(_), Some((reaped, _))) => {
            let death = view.actor(id).and_then(|actor| death_of(view, actor, Some(reaped)));
            Fate::Killed(death.map_or(reaped, |death| death.at_us))
        }
        _ if alive(view, id).is_some() => Fate::Spared,
        _ => Fate::Unseen,
    }
}
