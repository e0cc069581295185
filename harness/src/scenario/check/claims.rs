//! Claims that cannot fail, cannot hold, or hold for the wrong reason.

use super::memory::{inside, mib};
use super::{Checker, bounds, daemons};
use crate::notation::bytes::Bytes;
use crate::notation::id::Id;
use crate::notation::limit::Limit;
use crate::notation::percent::Percent;
use crate::reading::locate::{Step, join};
use crate::scenario::actor::{Actor, Kind, OomScoreAdjust};
use crate::scenario::cgroup::Place;
use crate::scenario::expectation::{
    Bound, BoundKind, BoundValue, Claim, Expectation, Kill, Killer, MetricClaim, Phase, RUN,
};
use crate::scenario::metric::{Course, Metric, Subject, SubjectKind};
use crate::scenario::requires::{KernelVersion, SwapNeed};
use crate::scenario::safety::Safety;

/// The oldest kernel that is supported; what needs a newer one must say so.
const OLDEST_KERNEL: KernelVersion = KernelVersion { major: 6, minor: 1 };

/// `memory.current` leads real use by up to so many pages for each CPU (`MEMCG_CHARGE_BATCH`).
const CHARGE_BATCH_BYTES: u64 = 64 * 4096;

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
    let key = join(path, &[claim.family().into()]);
    match claim {
        Claim::Kill(kill) => check_kill(checker, kill, &key),
        Claim::Metric(claim) => check_metric(checker, claim, path),
        Claim::OnlyVictims(ids) => {
            if let Some(victim) = oom_victims(together).find(|victim| !ids.contains(victim)) {
                let message =
                    format!("`{victim}` must be killed by an OOM killer and is not among the only victims");
                checker.error(&key, message);
            }
            everybody(checker, ids, &key);
        }
        Claim::Survives(ids) => {
            if ids.is_empty() {
                checker.error(&key, "nobody is named who must survive: this cannot fail");
            }
            if let Some(victim) = killed(together).find(|victim| ids.contains(victim)) {
                let message = format!("`{victim}` cannot survive: another expectation says that it dies");
                checker.error(&key, message);
            }
        }
        Claim::NoLivelock(_) => {}
        Claim::Oomd(claim) => daemons::check_oomd(checker, claim, &key),
        Claim::Earlyoom(claim) => daemons::check_selection(checker, claim, &key),
        Claim::KillOrder(ids) => check_order(checker, ids, &key),
    }
}

/// Then only a stranger can make it fail.
fn everybody(checker: &mut Checker<'_>, ids: &[Id], path: &[Step<'_>]) {
    let actors = &checker.scenario.actors;
    if actors.len() > 1 && actors.iter().all(|actor| ids.contains(&actor.id)) {
        let message = "every actor is an allowed victim: about those that run here this says nothing";
        checker.warn(path, message).help.push("leave out whom the kill must spare".to_owned());
    }
}

/// An order needs two, and nobody dies twice.
fn check_order(checker: &mut Checker<'_>, ids: &[Id], path: &[Step<'_>]) {
    if ids.len() < 2 {
        checker.error(path, "an order has at least two victims").help.push("use `kill` for one".to_owned());
    }
    if let Some(twice) = ids.iter().enumerate().find(|(at, id)| ids[..*at].contains(id)).map(|(_, id)| id) {
        checker.error(path, format!("`{twice}` cannot be killed twice"));
    }
    let never = ids.iter().find(|id| {
        let actor = checker.scenario.actor(id);
        actor.is_some_and(|actor| actor.oom_score_adjust == OomScoreAdjust::NEVER)
    });
    if let Some(never) = never {
        let message = format!("the kernel's OOM killer never takes `{never}`: OOMScoreAdjust is -1000");
        checker.warn(path, message).help.push("systemd-oomd takes it all the same".to_owned());
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
    kills(expects).filter(|kill| !matches!(kill.by, Killer::Signal | Killer::Exit)).map(|kill| &kill.victim)
}

fn check_kill(checker: &mut Checker<'_>, kill: &Kill, path: &[Step<'_>]) {
    let scenario = checker.scenario;
    let Some(victim) = scenario.actor(&kill.victim) else {
        return;
    };
    let by_oom = matches!(kill.by, Killer::Memcg | Killer::Global);
    if by_oom && victim.oom_score_adjust == OomScoreAdjust::NEVER {
        checker.error(
            path,
            format!("the kernel's OOM killer never takes `{}`: OOMScoreAdjust is -1000", victim.id),
        );
    }
    if let Some(processes) = victim.balloon().map(|balloon| balloon.processes).filter(|count| *count > 1)
        && matches!(kill.by, Killer::Memcg | Killer::Global | Killer::Earlyoom)
    {
        let message =
            format!("`{}` is {processes} processes, and this killer takes one at a time", victim.id);
        let help = format!("leave `processes` out of `{}`, or claim what becomes of its cgroup", victim.id);
        checker.error(path, message).help.push(help);
    }
    if let Some(at) = kill.at.as_ref().filter(|at| at.within_percent > Percent(10_000)) {
        let path = join(path, &["at".into(), "within-percent".into()]);
        checker.error(&path, format!("within {} of it is any size", at.within_percent));
    }
    if kill.limit.as_deref() == Some(RUN) {
        own_cap(checker, victim, &join(path, &["limit".into()]));
    } else if let Some(limit) = &kill.limit {
        let path = join(path, &["limit".into()]);
        if !checker.is_inside(victim, limit) {
            let message =
                format!("`{}` does not run in `{limit}` or below it: that limit cannot kill it", victim.id);
            checker.error(&path, message);
        }
        fits_under_cap(checker, limit, &path);
    }
    let Some(at) = &kill.at else {
        return;
    };
    let size = scenario
        .base_limit(&at.of)
        .and_then(|limit| checker.limit(limit))
        .map(|limit| at.percent.of(limit.0));
    let cpus = scenario.requires.cpus.unwrap_or(2);
    let batch = CHARGE_BATCH_BYTES * u64::from(cpus);
    if let Some(size) = size.filter(|size| at.within_percent.of(*size) < batch) {
        let message = format!(
            "{} of {} is less than the {} by which charges are batched on {cpus} CPUs",
            at.within_percent,
            mib(Bytes(size)),
            mib(Bytes(batch))
        );
        let path = join(path, &["at".into(), "within-percent".into()]);
        checker.warn(&path, message).notes.push(
            "the kernel charges 64 pages at a time for each CPU: memory.current leads real use".to_owned(),
        );
    }
}

/// The harness's own cap is around the declared cgroups that hang in the run, and a destructive run has none.
fn own_cap(checker: &mut Checker<'_>, victim: &Actor, path: &[Step<'_>]) {
    let inside = match &victim.place {
        Place::Cgroup(id) => checker.chain(id).1.is_none(),
        Place::Slice(_) => false,
    };
    if checker.scenario.safety == Safety::Destructive {
        checker.error(path, "a destructive run has no cap of the harness's own that could be hit");
    } else if !inside {
        let message = format!("`{}` runs outside the cap that the harness puts around a run", victim.id);
        checker.error(path, message);
    }
}

/// A cap that is not there, or under which everything fits, kills nobody.
fn fits_under_cap(checker: &mut Checker<'_>, id: &str, path: &[Step<'_>]) {
    let cap = match checker.scenario.limit(id, "MemoryMax") {
        None | Some(Limit::Infinity) => {
            checker.error(path, format!("`{id}` has no MemoryMax that could be hit"));
            return;
        }
        Some(cap) => checker.limit(cap),
    };
    if let (Some(cap), Some(taken)) = (cap, inside(checker, id))
        && taken <= cap
    {
        let message =
            format!("the balloons in `{id}` take {} and fit under its cap of {}", mib(taken), mib(cap));
        checker.error(path, message);
    }
}

fn check_metric(checker: &mut Checker<'_>, claim: &MetricClaim, path: &[Step<'_>]) {
    let metric = &claim.metric;
    let name = join(path, &["metric".into()]);
    available(checker, metric, &name);
    fits_actor(checker, metric, &name);
    let swap = metric.info.name.contains("swap") && claim.bounds.iter().any(|bound| bound.kind.is_upper());
    if swap && !matches!(checker.scenario.requires.swap, Some(SwapNeed::AtLeast(_))) {
        checker
            .warn(&name, format!("`{metric}` is vacuous without swap: it stays 0"))
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
        checker
            .error(path, format!("`{}` of 0 cannot fail: `{}` is never below it", bound.kind, claim.metric));
    }
    let absolute = matches!(bound.kind, BoundKind::Max | BoundKind::Min);
    if absolute && info.course == Course::Counter && info.subject == SubjectKind::Host {
        checker
            .error(
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
        checker.error(path, message);
    }
    let begun_before = !matches!(claim.during, Phase::Run | Phase::Baseline);
    if info.course == Course::Peak && bound.kind == BoundKind::Max && begun_before {
        let message = format!(
            "`{}` is the highest since it began: what came before the {} counts",
            claim.metric, claim.during
        );
        checker
            .warn(path, message)
            .help
            .push("leave `during` out, or use a metric that falls again".to_owned());
    }
    if let BoundValue::Phase(share) = &bound.value
        && share.of_phase == claim.during
    {
        checker
            .error(path, format!("this compares the {} with itself", claim.during))
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
            .warn(
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
        checker.error(path, format!("`{id}` is a {kind}: its `{}` stays 0", metric.name()));
    }
}
