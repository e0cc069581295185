//! Sizes as written → bytes. A share of a limit is one of the limit as the file declares it, whatever a twin changes.

use super::PlanError;
use crate::notation::bytes::Bytes;
use crate::scenario::Scenario;
use crate::scenario::size::{ShareOf, SizeExpr};

/// Bytes of a size.
pub(super) fn size(expr: &SizeExpr, scenario: &Scenario, memory: Bytes) -> Result<u64, PlanError> {
    let limit = || match expr {
        SizeExpr::Limit(share) => share.of.to_string(),
        SizeExpr::Bytes(_) | SizeExpr::Machine(_) => expr.to_string(),
    };
    let bytes = scenario.resolve(expr, memory).ok_or_else(|| PlanError::NoLimit { limit: limit() })?;
    Ok(bytes.0)
}

/// Bytes of a share of a declared limit.
pub(super) fn share(share: &ShareOf, scenario: &Scenario, memory: Bytes) -> Result<u64, PlanError> {
    size(&SizeExpr::Limit(share.clone()), scenario, memory)
}
