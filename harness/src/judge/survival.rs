//! The claim that actors are the same running processes at the end.

use reports::outcome::Verdict;
use reports::report::Finding;

use super::{View, found};

pub(super) fn judge(view: &View<'_>, id: &str, actors: &[String]) -> Finding {
    let mut dead = Vec::new();
    let mut unseen = Vec::new();
    for actor in actors {
        match (view.alive(actor), view.pid(actor), view.end(actor)) {
            (Some(now), Some(then), _) if now == then => {}
            (_, _, Some((_, end))) => dead.push(format!("{actor} ({end:?})")),
            _ => unseen.push(actor.clone()),
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
