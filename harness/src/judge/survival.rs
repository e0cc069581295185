//! The claim that actors are the same running processes at the end.

use reports::finding::Finding;
use reports::outcome::Verdict;

use super::death::death_of;
use super::finding::found;
use super::view::View;
use crate::notation::id::Id;
use crate::record::Event;

pub(super) fn judge(view: &View<'_>, id: &str, actors: &[Id]) -> Finding {
    let mut dead = Vec::new();
    let mut unseen = Vec::new();
    for actor in actors {
        match fate(view, actor) {
            Fate::Running => {}
            Fate::Not(words) => dead.push(words),
            Fate::Unseen => unseen.push(actor.clone()),
        }
    }
    let (verdict, observed) = if !dead.is_empty() {
        (Verdict::Fail, format!("ended: {}", dead.join(", ")))
    } else if !unseen.is_empty() {
        (Verdict::Inconclusive, format!("not observed at the end: {}", unseen.join(", ")))
    } else {
        (Verdict::Pass, format!("{} alive with the same process ids", actors.join(", ")))
    };
    let names = actors.join(", ");
    found(id, format!("{names} outlive the stress"), verdict, format!("{names} alive at the end"), observed)
}

enum Fate {
    Running,
    /// In words.
    Not(String),
    Unseen,
}

fn fate(view: &View<'_>, id: &str) -> Fate {
    if let Some((_, end)) = view.end(id) {
        return Fate::Not(format!("{id} ({end:?})"));
    }
    // The kernel kills before anybody can see it: its log outranks a look that was taken before.
    if let Some(death) = view.actor(id).and_then(|actor| death_of(view, actor, None)) {
        return Fate::Not(format!("{id} (killed by the kernel, pid {})", death.pid));
    }
    match (alive(view, id), view.state(id)) {
        (Some(_), Some('T' | 't')) => Fate::Not(format!("{id} (stopped, not running)")),
        (Some(now), _) if view.pid(id) == Some(now) => Fate::Running,
        (None, Some('Z' | 'X' | 'x')) => Fate::Not(format!("{id} (a zombie)")),
        _ => Fate::Unseen,
    }
}

/// The process id of an actor that was seen running at the end. What the kernel logged and an end that was seen
/// outrank a look.
pub(super) fn alive(view: &View<'_>, actor: &str) -> Option<u32> {
    let (at, (pid, state)) = view.find(|event| match event {
        Event::ActorAlive { actor: id, pid, state } if id == actor => Some((*pid, *state)),
        _ => None,
    })?;
    let exited = matches!(state, Some('Z' | 'X' | 'x'));
    let ended = view.end(actor).is_some();
    let killed = view.actor(actor).is_some_and(|actor| death_of(view, actor, Some(at)).is_some());
    (!exited && !ended && !killed).then_some(pid)
}
