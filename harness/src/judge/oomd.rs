//! The claim that systemd-oomd, by its own dump, is armed and watches this cgroup: else its silence proves nothing.

use reports::outcome::Verdict;
use reports::report::Finding;

use super::{View, found};
use crate::oomd::{Dump, parse};
use crate::plan::claim::{OomdClaim, Trigger};
use crate::record::Event;

pub(super) fn judge(view: &View<'_>, id: &str, claim: &OomdClaim) -> Finding {
    let trigger = match claim.trigger {
        Trigger::Pressure => "memory pressure",
        Trigger::Swap => "swap use",
    };
    let dumps: Vec<Dump> = view
        .all(|event| match event {
            Event::OomdDump { text } => Some(parse(text)),
            _ => None,
        })
        .into_iter()
        .map(|(_, dump)| dump)
        .collect();
    let (verdict, observed) = observe(&dumps, claim, trigger);
    found(
        id,
        format!("systemd-oomd watches {} for {trigger}", claim.watches),
        verdict,
        format!("armed, and {} in its own list for {trigger}", claim.watches),
        observed,
    )
}

fn observe(dumps: &[Dump], claim: &OomdClaim, trigger: &str) -> (Verdict, String) {
    let Some(dump) = dumps.last() else {
        return (Verdict::Inconclusive, "no dump of systemd-oomd in the record".into());
    };
    let list = |dump: &Dump| match claim.trigger {
        Trigger::Pressure => dump.pressure.clone(),
        Trigger::Swap => dump.swap.clone(),
    };
    match dump.dry_run {
        None => return (Verdict::Inconclusive, "its dump does not say whether it is armed".into()),
        Some(true) => return (Verdict::Fail, "it runs dry: it would kill nobody".into()),
        Some(false) => {}
    }
    // Every dump: watched at the start and forgotten later is not watched.
    if dumps.iter().all(|dump| list(dump).contains(&claim.path)) {
        return (Verdict::Pass, format!("armed, watches it for {trigger}"));
    }
    let watched = list(dump);
    let names = if watched.is_empty() { "nothing".to_owned() } else { watched.join(", ") };
    (Verdict::Fail, format!("armed, but watches {names} for {trigger}"))
}
