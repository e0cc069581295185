//! The claim that systemd-oomd, by its own dump, is armed and watches this cgroup: else its silence proves nothing.

use reports::finding::Finding;
use reports::outcome::Verdict;

use super::finding::found;
use super::seen::hole;
use super::view::View;
use crate::killer::oomd::{DAEMON, Dump, parse};
use crate::metric::column::CPU_USAGE;
use crate::plan::claim::{BoundKind, OomdClaim, Phase, Trigger};
use crate::record::Event;
use crate::record::event::Mark;

/// It looks at its cgroups every second at least; without any use of the processor for so long it does not, µs.
const LONGEST_REST_US: u64 = 5_000_000;

pub(super) fn judge(view: &View<'_>, id: &str, claim: &OomdClaim) -> Finding {
    let trigger = match claim.trigger {
        Trigger::Pressure => "memory pressure",
        Trigger::Swap => "swap use",
    };
    let dumps: Vec<(u64, Dump)> = view.all(|event| match event {
        Event::OomdDump { text } => Some(parse(text)),
        _ => None,
    });
    let (mut verdict, mut observed) = observe(view, &dumps, claim, trigger);
    if let (Verdict::Pass, Some(why)) = (verdict, idle(view)) {
        (verdict, observed) = (Verdict::Inconclusive, format!("{observed}, but {why}"));
    }
    found(
        id,
        format!("systemd-oomd watches {} for {trigger}", claim.watches),
        verdict,
        format!("armed, and {} in its own list for {trigger}", claim.watches),
        observed,
    )
}

fn observe(view: &View<'_>, dumps: &[(u64, Dump)], claim: &OomdClaim, trigger: &str) -> (Verdict, String) {
    let Some((_, dump)) = dumps.last() else {
        return (Verdict::Inconclusive, "no dump of systemd-oomd in the record".into());
    };
    let list = |dump: &Dump| match claim.trigger {
        Trigger::Pressure => dump.pressure.clone(),
        Trigger::Swap => dump.swap.clone(),
    };
    if dumps.iter().any(|(_, dump)| dump.dry_run == Some(true)) {
        return (Verdict::Fail, "it runs dry: it would kill nobody".into());
    }
    if dumps.iter().any(|(_, dump)| dump.dry_run.is_none()) {
        return (Verdict::Inconclusive, "a dump of it does not say whether it is armed".into());
    }
    // Every dump: watched at the start and forgotten later is not watched.
    if !dumps.iter().all(|(_, dump)| list(dump).iter().any(|path| path == claim.path.as_str())) {
        let watched = list(dump);
        let names = if watched.is_empty() { "nothing".to_owned() } else { watched.join(", ") };
        return (Verdict::Fail, format!("armed, but watches {names} for {trigger}"));
    }
    let (climb, settle) = (view.mark(Mark::Climb), view.mark(Mark::Settle));
    let asked = |is: &dyn Fn(u64) -> bool| dumps.iter().any(|(at, _)| is(*at));
    // One that failed is not one that agrees.
    if !asked(&|at| climb.is_some_and(|climb| at <= climb)) {
        return (Verdict::Inconclusive, "it was not asked before the stress".into());
    }
    if !asked(&|at| settle.is_some_and(|settle| at >= settle)) {
        return (Verdict::Inconclusive, "it was not asked again after the stress".into());
    }
    (Verdict::Pass, format!("armed, watches it for {trigger}"))
}

/// Why oomd cannot be taken to have worked throughout the stress: another process by now, or one that did nothing.
fn idle(view: &View<'_>) -> Option<String> {
    if !view.reads_again() {
        return None;
    }
    if let Some(why) = view.not_throughout(DAEMON.unit) {
        return Some(why);
    }
    let metric = CPU_USAGE.of(DAEMON.unit);
    let usage = view.series(metric, Phase::Stress);
    let (from, to) = view.window(Phase::Stress)?;
    if let Some(why) = hole(view, metric, BoundKind::MaxDelta, Phase::Stress) {
        return Some(format!("whether it worked was not seen: {why}"));
    }
    let mut last = (from, None);
    for (at, used) in usage.into_iter().map(|(at, used)| (at.clamp(from, to), Some(used))) {
        if used != last.1 {
            last = (at, used);
        } else if at - last.0 > LONGEST_REST_US {
            return Some(format!("it did nothing for {:.1} s of the stress", (at - last.0) as f64 / 1e6));
        }
    }
    None
}
