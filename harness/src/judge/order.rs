//! The claim that actors were killed in this order.

use reports::outcome::{Killer, Verdict};
use reports::report::{Finding, Kill};

use super::{View, found};

pub(super) fn judge(view: &View<'_>, kills: &[Kill], id: &str, order: &[String]) -> Finding {
    let killed = |actor: &String| {
        let kill = kills.iter().find(|kill| kill.actor.as_ref() == Some(actor))?;
        (!matches!(kill.killer, Killer::Exit)).then(|| view.end(actor).map(|(at, _)| at)).flatten()
    };
    let times: Vec<Option<u64>> = order.iter().map(killed).collect();
    let mut seen: Vec<(&String, u64)> =
        order.iter().zip(&times).filter_map(|(actor, at)| Some((actor, (*at)?))).collect();
    seen.sort_by_key(|(_, at)| *at);
    let names: Vec<&str> = seen.iter().map(|(actor, _)| actor.as_str()).collect();
    let observed = if names.is_empty() { "nobody was killed".into() } else { names.join(", then ") };
    let verdict = if names == order.iter().map(String::as_str).collect::<Vec<_>>() {
        Verdict::Pass
    } else {
        Verdict::Fail
    };
    found(id, "the cheap ones die first".into(), verdict, order.join(", then "), observed)
}
