//! The claim that systemd-oomd, by its own dump, is armed and watches this cgroup: else its silence proves nothing.

use reports::finding::Finding;
use reports::number::{Number, Unit};
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
    let mut numbers = Vec::new();
    if verdict == Verdict::Pass && view.reads_again() {
        let rest = longest_rest(view);
        numbers.extend(rest.as_ref().ok().map(|us| {
            let what = "longest time without any use of the processor";
            Number::at_most(what, Unit::Microseconds, Some(*us as f64), LONGEST_REST_US as f64)
        }));
        let idle = |us: u64| format!("it did nothing for {:.1} s of the stress", us as f64 / 1e6);
        let why = rest.map_or_else(Some, |us| (us > LONGEST_REST_US).then(|| idle(us)));
        if let Some(why) = why {
            (verdict, observed) = (Verdict::Inconclusive, format!("{observed}, but {why}"));
        }
    }
    let finding = found(
        id,
        format!("systemd-oomd watches {} for {trigger}", claim.watches),
        verdict,
        format!("armed, and {} in its own list for {trigger}", claim.watches),
        observed,
    );
    Finding { numbers, ..finding }
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
        return (Verdict::Fail, "it is in dry-run mode and would kill nobody".into());
    }
    if dumps.iter().any(|(_, dump)| dump.dry_run.is_none()) {
        return (Verdict::Inconclusive, "its dump does not say whether it is armed".into());
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
        return (Verdict::Inconclusive, "it was not queried before the stress".into());
    }
    if !asked(&|at| settle.is_some_and(|settle| at >= settle)) {
        return (Verdict::Inconclusive, "it was not queried again after the stress".into());
    }
    (Verdict::Pass, format!("armed, watches it for {trigger}"))
}

/// The longest time in the stress for which oomd used no processor at all, µs; else why it cannot be taken to have worked:
/// it is another process by now, or nobody watched it.
fn longest_rest(view: &View<'_>) -> Result<u64, String> {
    if let Some(why) = view.not_throughout(DAEMON.unit) {
        return Err(why);
    }
    let metric = CPU_USAGE.of(DAEMON.unit);
    if let Some(why) = hole(view, metric, BoundKind::MaxDelta, Phase::Stress) {
        return Err(format!("whether it was working is not known: {why}"));
    }
    let (from, to) = view.window(Phase::Stress).unwrap_or_default();
    let (mut worked, mut used, mut longest) = (from, None, 0);
    for (at, now) in view.series(metric, Phase::Stress) {
        let at = at.clamp(from, to);
        if used == Some(now) {
            longest = longest.max(at - worked);
        } else {
            (worked, used) = (at, Some(now));
        }
    }
    Ok(longest)
}
