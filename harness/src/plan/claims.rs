//! Expectations as written → claims in numbers.

use reports::outcome::Killer;

use super::claim::{
    AtClaim, Bound, BoundValue, Claim, EarlyoomClaim, Expectation, KillClaim, LivelockClaim, MetricClaim,
    OomdClaim, Threshold, Thresholds,
};
use super::size::share;
use super::{PlanError, PlannedReached, PlannedUnit};
use crate::cgroupfs::LimitFile;
use crate::notation::bytes::Bytes;
use crate::scenario::Scenario;
use crate::scenario::expectation as written;
use crate::scenario::killer::Settings;
use crate::scenario::size::ShareOf;

/// Resolves every `[[expect]]`.
pub(super) fn expectations(
    scenario: &Scenario,
    memory: Bytes,
    cgroups: &[PlannedUnit],
) -> Result<Vec<Expectation>, PlanError> {
    scenario
        .expects
        .iter()
        .map(|expect| {
            let claim = claim(&expect.claim, scenario, memory, cgroups)?;
            Ok(Expectation { id: expect.id.clone(), claim })
        })
        .collect()
}

/// Resolves `[reached]`.
pub(super) fn reached(
    reached: &written::Reached,
    scenario: &Scenario,
    memory: Bytes,
) -> Result<PlannedReached, PlanError> {
    Ok(PlannedReached {
        metric: reached.metric.clone(),
        unit: reached.metric.info.unit,
        kind: reached.bound.kind,
        value: match bound_value(&reached.bound.value, scenario, memory)? {
            BoundValue::Absolute(value) => value,
            BoundValue::OfPhase { .. } => {
                return Err(PlanError::Metric {
                    metric: reached.metric.to_string(),
                    why: "the stress cannot be relative to a part of the run".into(),
                });
            }
        },
        within_us: reached.within.0,
    })
}

fn claim(
    claim: &written::Claim,
    scenario: &Scenario,
    memory: Bytes,
    cgroups: &[PlannedUnit],
) -> Result<Claim, PlanError> {
    Ok(match claim {
        written::Claim::Kill(kill) => Claim::Kill(kill_claim(kill, scenario, memory)?),
        written::Claim::OnlyVictims(actors) => Claim::OnlyVictims(actors.clone()),
        written::Claim::Survives(actors) => Claim::Survives(actors.clone()),
        written::Claim::Metric(metric) => Claim::Metric(MetricClaim {
            metric: metric.metric.clone(),
            unit: metric.metric.info.unit,
            during: metric.during,
            bounds: metric
                .bounds
                .iter()
                .map(|bound| {
                    Ok(Bound { kind: bound.kind, value: bound_value(&bound.value, scenario, memory)? })
                })
                .collect::<Result<_, PlanError>>()?,
        }),
        written::Claim::Oomd(oomd) => {
            let unit = cgroups.iter().find(|unit| oomd.watches == *unit.name.as_str());
            Claim::Oomd(OomdClaim {
                watches: oomd.watches.clone(),
                path: unit.map(|unit| unit.cgroup.to_string()).unwrap_or_default(),
                trigger: oomd.trigger,
            })
        }
        written::Claim::Earlyoom(earlyoom) => Claim::Earlyoom(EarlyoomClaim {
            selects: earlyoom.selects.clone(),
            never: earlyoom.never.clone(),
            signals: earlyoom.signals.clone(),
            thresholds: scenario.own_killer(Killer::Earlyoom).map(|own| {
                let Settings::Earlyoom(told) = &own.settings;
                Thresholds {
                    term: Threshold { memory: told.term_memory, swap: told.term_swap },
                    kill: Threshold { memory: told.kill_memory, swap: told.kill_swap },
                }
            }),
        }),
        written::Claim::KillOrder(actors) => Claim::KillOrder(actors.clone()),
        written::Claim::NoLivelock(livelock) => {
            let unit = cgroups.iter().find(|unit| livelock.cgroup == unit.name.as_str());
            let limit = |file| unit.and_then(|unit| unit.limit(file));
            Claim::NoLivelock(LivelockClaim {
                cgroup: livelock.cgroup.clone(),
                high: limit(LimitFile::High),
                max: limit(LimitFile::Max),
                hog: livelock.hog.clone(),
            })
        }
    })
}

fn kill_claim(kill: &written::Kill, scenario: &Scenario, memory: Bytes) -> Result<KillClaim, PlanError> {
    let at = match &kill.at {
        None => None,
        Some(at) => Some(AtClaim {
            bytes: share(&ShareOf { percent: at.percent, of: at.of.clone() }, scenario, memory)?,
            within: at.within_percent.fraction(),
        }),
    };
    Ok(KillClaim {
        victim: kill.victim.clone(),
        by: kill.by,
        limit: kill.limit.clone(),
        at,
        signal: kill.signal.as_ref().map(|signal| signal.number()),
        code: kill.code.map(i32::from),
    })
}

#[expect(clippy::cast_precision_loss, reason = "bounds are compared with tolerances, not for equality")]
fn bound_value(
    value: &written::BoundValue,
    scenario: &Scenario,
    memory: Bytes,
) -> Result<BoundValue, PlanError> {
    Ok(match value {
        // A share of time: seconds a second.
        written::BoundValue::Exact(written::Quantity::Share(share)) => BoundValue::Absolute(share.fraction()),
        written::BoundValue::Exact(quantity) => BoundValue::Absolute(quantity.raw() as f64),
        written::BoundValue::Limit(of) => BoundValue::Absolute(share(of, scenario, memory)? as f64),
        written::BoundValue::Phase(share) => {
            BoundValue::OfPhase { fraction: share.percent.fraction(), phase: share.of_phase }
        }
    })
}
