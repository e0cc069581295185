//! The claim that actors were killed in this order.
//!
//! The kernel's own times decide where it logged the kills: two deaths within one beat of the run loop are recorded in the
//! order in which they are looked for. Who killed them is another claim's business.

use reports::outcome::{Killer, Verdict};
use reports::report::{Finding, Kill};

use super::{View, found};
use crate::kmsg::oom::OomEvent;
use crate::record::Event;

/// What became of an actor.
enum Fate {
    /// Killed at this time, µs.
    Killed(u64),
    /// Seen alive at the end, or gone by itself.
    Spared,
    /// Seen neither dead nor alive.
    Unseen,
}

pub(super) fn judge(view: &View<'_>, kills: &[Kill], id: &str, order: &[String]) -> Finding {
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
    let mut observed = if names.is_empty() { "nobody was killed".into() } else { names.join(", then ") };
    let verdict = if !unseen.is_empty() {
        observed += &format!("; seen neither dead nor alive: {}", unseen.join(", "));
        Verdict::Inconclusive
    } else if names.iter().eq(order.iter()) {
        Verdict::Pass
    } else {
        Verdict::Fail
    };
    found(id, "the cheap ones die first".into(), verdict, order.join(", then "), observed)
}

fn fate(view: &View<'_>, kills: &[Kill], actor: &str) -> Fate {
    match (kills.iter().find(|kill| kill.actor.as_deref() == Some(actor)), view.end(actor)) {
        (Some(kill), _) if kill.killer == Killer::Exit => Fate::Spared,
        (Some(kill), Some((reaped, _))) => Fate::Killed(logged(view, kill.pid).unwrap_or(reaped)),
        _ if view.alive(actor).is_some() => Fate::Spared,
        _ => Fate::Unseen,
    }
}

/// When the kernel logged the kill of a process, µs.
fn logged(view: &View<'_>, wanted: u32) -> Option<u64> {
    view.find(|event| match event {
        Event::KernelOom { logged_us, oom: OomEvent::Killed { pid, .. }, .. } if *pid == wanted => *logged_us,
        _ => None,
    })
    .map(|(_, at)| at)
}
