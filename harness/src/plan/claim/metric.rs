//! A metric and its bounds in numbers, those of `[reached]` among them.

use serde::{Deserialize, Serialize};

use super::{BoundKind, Ground, Phase, Resolve, Unit};
use crate::metric::Metric;
use crate::plan::size::share;
use crate::plan::{PlanError, PlannedReached};
use crate::scenario::expectation as written;

/// A metric and its bounds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MetricClaim {
    /// A column of the samples, or a value that the judge derives.
    pub metric: Metric,
    /// The unit of its values.
    pub unit: Unit,
    /// The part of the run the bounds speak of.
    pub during: Phase,
    /// At least one bound.
    pub bounds: Vec<Bound>,
}

/// One bound on a metric.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Bound {
    /// How the samples become one number, and which side is allowed.
    pub kind: BoundKind,
    /// The number it is compared with.
    pub value: BoundValue,
}

/// A bound's number.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum BoundValue {
    /// In the metric's unit; for a rate, units per second; for the rate of a time, seconds per second.
    Absolute(f64),
    /// A fraction of the same statistic in another phase (2.0 = twice).
    OfPhase {
        /// 1.0 = the same.
        fraction: f64,
        /// Where the reference is measured.
        phase: Phase,
    },
}

impl Resolve for written::MetricClaim {
    type Resolved = MetricClaim;

    fn resolve(&self, ground: Ground<'_>) -> Result<MetricClaim, PlanError> {
        let bound =
            |bound: &written::Bound| Ok(Bound { kind: bound.kind, value: bound.value.resolve(ground)? });
        Ok(MetricClaim {
            metric: self.metric.clone(),
            unit: self.metric.info.unit,
            during: self.during,
            bounds: self.bounds.iter().map(bound).collect::<Result<_, PlanError>>()?,
        })
    }
}

impl Resolve for written::BoundValue {
    type Resolved = BoundValue;

    #[expect(clippy::cast_precision_loss, reason = "bounds are compared with tolerances, not for equality")]
    fn resolve(&self, ground: Ground<'_>) -> Result<BoundValue, PlanError> {
        Ok(match self {
            // A share of time: seconds a second.
            Self::Exact(written::Quantity::Share(share)) => BoundValue::Absolute(share.fraction()),
            Self::Exact(quantity) => BoundValue::Absolute(quantity.raw() as f64),
            Self::Limit(of) => BoundValue::Absolute(share(of, ground.scenario, ground.memory)? as f64),
            Self::Phase(share) => {
                BoundValue::OfPhase { fraction: share.percent.fraction(), phase: share.of_phase.into() }
            }
        })
    }
}

/// Resolves `[reached]`.
pub(in crate::plan) fn reached(ground: Ground<'_>) -> Result<PlannedReached, PlanError> {
    let reached = &ground.scenario.reached;
    let value = match reached.bound.value.resolve(ground)? {
        BoundValue::Absolute(value) => value,
        BoundValue::OfPhase { .. } => {
            return Err(PlanError::Metric {
                metric: reached.metric.to_string(),
                why: "the stress cannot be relative to a part of the run".into(),
            });
        }
    };
    Ok(PlannedReached {
        metric: reached.metric.clone(),
        unit: reached.metric.info.unit,
        kind: reached.bound.kind,
        value,
        within_us: reached.within.0,
    })
}
