//! Claims that cannot fail, cannot hold, or hold for the wrong reason.

use super::{Checker, bounds, daemons, kills};
use crate::killer;
use crate::metric::{Course, Metric, Subject, SubjectKind};
use crate::notation::id::Id;
use crate::reading::places::{Step, join};
use crate::reading::rule::rules;
use crate::scenario::actor::{Actor, Kind};
use crate::scenario::expectation::{
    Bound, BoundKind, BoundValue, Claim, Expectation, Kill, MetricClaim, Phase,
};
use crate::scenario::requires::{KernelVersion, SwapNeed};
use crate::scenario::rules::shared::{CONTRADICTION, NOBODY_NAMED};

rules! {
    Warning EVERYBODY_ALLOWED = "everybody-allowed",
        "`only-victims` lists every actor, so none of them has to be spared, and only the death of a stranger could turn \
        the claim red. Leave out whom the kill must spare. It is fine where strangers are the point.";
    Warning VACUOUS_WITHOUT_SWAP = "vacuous-without-swap",
        "On a machine without swap this number stays 0, so an upper bound on it holds whatever happens. Add `swap` to \
        [requires]: the scenario is then skipped where there is none.";
    Error CANNOT_FAIL = "cannot-fail",
        "The number is never below 0, so a lower bound of 0 holds in every run. Ask for more than 0, or bound it from \
        above.";
    Error COUNTS_SINCE_BOOT = "counts-since-boot",
        "The kernel counts this since the machine booted, so its value says nothing about this run. Bound what was added \
        during the run with `max-delta` or `min-delta`, or what is added a second with `max-rate` or `min-rate`.";
    Error STATISTIC_WITHOUT_DELTA = "statistic-without-delta",
        "The metric is one number for a whole phase, such as a percentile. It has neither a change nor a rate: bound it \
        with `max` or `min`.";
    Warning PEAK_REMEMBERS = "peak-remembers",
        "The metric is the highest value since the cgroup or the actor began and never falls again. A `max` on it for a \
        later phase is also broken by what came before that phase. Leave `during` out, or take a metric that falls \
        again, such as memory.current. It is fine where the earlier phases are to stay below it too.";
    Error COMPARES_WITH_ITSELF = "compares-with-itself",
        "The bound is relative to the phase in which the metric is looked at, so it compares a number with itself. Add \
        `during = \"stress\"`, or name an earlier phase in `of-phase`.";
    Warning NEEDS_NEWER_KERNEL = "needs-newer-kernel",
        "The kernel shows this number only since a later version than [requires] asks for (6.1 when it asks for none). \
        On an older one the claim is inconclusive. Add `kernel` to [requires]: the scenario is then skipped there. It \
        is fine where all your machines are newer.";
    Error METRIC_STAYS_ZERO = "metric-stays-zero",
        "An actor of this kind makes no such progress: only a tcp-server accepts connections, only balloons, readers and \
        writers touch memory, and a spinner never sleeps and so never wakes up. Take another metric or another actor.";
}

/// The oldest kernel that is supported; what needs a newer one must say so.
const OLDEST_KERNEL: KernelVersion = KernelVersion { major: 6, minor: 1 };

pub(super) fn check(checker: &mut Checker<'_>) {
    let scenario = checker.scenario;
    available(checker, &scenario.reached.metric, &["reached".into(), "metric".into()]);
    for (index, expect) in scenario.expects.iter().enumerate() {
        check_claim(checker, &expect.claim, &scenario.expects, &["expect".into(), index.into()]);
    }
}

/// The claims of a twin alone. They stand beside claims of the scenario that must fail, so they are compared with
/// one another only.
pub(super) fn check_twin(checker: &mut Checker<'_>, index: usize) {
    let written = checker.written;
    let expects = &written.twins[index].expects;
    for (at, expect) in expects.iter().enumerate() {
        let path = ["twin".into(), index.into(), "expect".into(), at.into()];
        check_claim(checker, &expect.claim, expects, &path);
    }
}

fn check_claim(checker: &mut Checker<'_>, claim: &Claim, together: &[Expectation], path: &[Step<'_>]) {
    let key = join(path, &[claim.family().name.into()]);
    match claim {
        Claim::Kill(kill) => kills::check(checker, kill, &key),
        Claim::Metric(claim) => check_metric(checker, claim, path),
        Claim::OnlyVictims(ids) => {
            if let Some(victim) = oom_victims(together).find(|victim| !ids.contains(victim)) {
                let message =
                    format!("`{victim}` must be killed by an OOM killer and is not among the only victims");
                checker.report(CONTRADICTION, &key, message);
            }
            everybody(checker, ids, &key);
        }
        Claim::Survives(ids) => {
            if ids.is_empty() {
                checker.report(NOBODY_NAMED, &key, "nobody is named who must survive: this cannot fail");
            }
            if let Some(victim) = killed(together).find(|victim| ids.contains(victim)) {
                let message = format!("`{victim}` cannot survive: another expectation says that it dies");
                checker.report(CONTRADICTION, &key, message);
            }
        }
        Claim::Oomd(claim) => daemons::check_oomd(checker, claim, &key),
        Claim::Earlyoom(claim) => daemons::check_selection(checker, claim, &key),
        Claim::KillOrder(ids) => kills::check_order(checker, ids, &key),
        // Whatever it says may hold and may fail.
        _ => {}
    }
}

/// Then only a stranger can make it fail.
fn everybody(checker: &mut Checker<'_>, ids: &[Id], path: &[Step<'_>]) {
    let actors = &checker.scenario.actors;
    if actors.len() > 1 && actors.iter().all(|actor| ids.contains(&actor.id)) {
        let message = "every actor is an allowed victim: this says nothing about those that run here";
        checker
            .report(EVERYBODY_ALLOWED, path, message)
            .help
            .push("leave out whom the kill must spare".to_owned());
    }
}

fn kills(expects: &[Expectation]) -> impl Iterator<Item = &Kill> {
    expects.iter().filter_map(|expect| match &expect.claim {
        Claim::Kill(kill) => Some(kill),
        _ => None,
    })
}

fn killed(expects: &[Expectation]) -> impl Iterator<Item = &Id> {
    let ordered = expects.iter().filter_map(|expect| match &expect.claim {
        Claim::KillOrder(ids) => Some(ids),
        _ => None,
    });
    kills(expects).map(|kill| &kill.victim).chain(ordered.flatten())
}

fn oom_victims(expects: &[Expectation]) -> impl Iterator<Item = &Id> {
    kills(expects).filter(|kill| killer::is_oom(kill.by)).map(|kill| &kill.victim)
}

fn check_metric(checker: &mut Checker<'_>, claim: &MetricClaim, path: &[Step<'_>]) {
    let metric = &claim.metric;
    let name = join(path, &["metric".into()]);
    available(checker, metric, &name);
    fits_actor(checker, metric, &name);
    let swap = metric.info.name.contains("swap") && claim.bounds.iter().any(|bound| bound.kind.is_upper());
    if swap && !matches!(checker.scenario.requires.swap, Some(SwapNeed::AtLeast(_))) {
        checker
            .report(VACUOUS_WITHOUT_SWAP, &name, format!("`{metric}` is vacuous without swap: it stays 0"))
            .help
            .push("add `swap` to [requires], such as swap = \"256M\"".to_owned());
    }
    bounds::check(checker, claim, path);
    for bound in &claim.bounds {
        let key = bound.kind.to_string();
        check_bound(checker, claim, bound, &join(path, &[key.as_str().into()]));
    }
}

fn check_bound(checker: &mut Checker<'_>, claim: &MetricClaim, bound: &Bound, path: &[Step<'_>]) {
    let info = claim.metric.info;
    let nothing = match &bound.value {
        BoundValue::Exact(quantity) => quantity.raw() == 0,
        BoundValue::Limit(share) => share.percent.0 == 0,
        BoundValue::Phase(share) => share.percent.0 == 0,
    };
    // Only a gauge can fall, so only a gauge's change can be below 0.
    let may_fall = info.course == Course::Gauge && bound.kind != BoundKind::Min;
    if nothing && !bound.kind.is_upper() && !may_fall {
        checker.report(
            CANNOT_FAIL,
            path,
            format!("`{}` of 0 cannot fail: `{}` is never below it", bound.kind, claim.metric),
        );
    }
    let absolute = matches!(bound.kind, BoundKind::Max | BoundKind::Min);
    if absolute && info.course == Course::Counter && info.subject == SubjectKind::Host {
        checker
            .report(
                COUNTS_SINCE_BOOT,
                path,
                format!(
                    "`{}` counts since the machine booted: its value says nothing about this run",
                    claim.metric
                ),
            )
            .help
            .push(format!("use `{}-delta` or `{}-rate`", bound.kind, bound.kind));
    }
    if !absolute && info.course == Course::Statistic {
        let message =
            format!("`{}` is one number for a whole phase: only `max` and `min` bound it", claim.metric);
        checker.report(STATISTIC_WITHOUT_DELTA, path, message);
    }
    let begun_before = !matches!(claim.during, Phase::Run | Phase::Baseline);
    if info.course == Course::Peak && bound.kind == BoundKind::Max && begun_before {
        let message = format!(
            "`{}` is the highest since it began: what came before the {} counts",
            claim.metric, claim.during
        );
        checker
            .report(PEAK_REMEMBERS, path, message)
            .help
            .push("leave `during` out, or use a metric that falls again".to_owned());
    }
    if let BoundValue::Phase(share) = &bound.value
        && Phase::from(share.of_phase) == claim.during
    {
        checker
            .report(COMPARES_WITH_ITSELF, path, format!("this compares the {} with itself", claim.during))
            .help
            .push("add `during = \"stress\"`, or another phase than the one it is compared with".to_owned());
    }
}

/// A metric that the oldest supported kernel does not have makes the scenario inconclusive there.
fn available(checker: &mut Checker<'_>, metric: &Metric, path: &[Step<'_>]) {
    let has = checker.scenario.requires.kernel.unwrap_or(OLDEST_KERNEL).max(OLDEST_KERNEL);
    if let Some((major, minor)) = metric.info.since_kernel
        && (KernelVersion { major, minor }) > has
    {
        checker
            .report(
                NEEDS_NEWER_KERNEL,
                path,
                format!("`{}` needs kernel {major}.{minor}: before, this is inconclusive", metric.name()),
            )
            .help
            .push(format!("add kernel = \"{major}.{minor}\" to [requires], or use another metric"));
    }
}

/// An actor that has no such progress keeps it at 0.
fn fits_actor(checker: &mut Checker<'_>, metric: &Metric, path: &[Step<'_>]) {
    let Subject::Actor(id) = &metric.subject else {
        return;
    };
    let Some(kind) = checker.scenario.actor(id).map(Actor::kind) else {
        return;
    };
    let fits = match metric.info.name {
        "accepted" => kind == Kind::TcpServer,
        "touched" => matches!(kind, Kind::Balloon | Kind::Reader | Kind::Writer),
        // It never sleeps.
        "wakeups" => kind != Kind::Spinner,
        _ => true,
    };
    if !fits {
        checker.report(
            METRIC_STAYS_ZERO,
            path,
            format!("`{id}` is a {kind}: its `{}` stays 0", metric.name()),
        );
    }
}
