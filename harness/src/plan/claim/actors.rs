//! Claims about what becomes of the actors of a list: the list is all there is to them.

use super::{Ground, Resolve};
use crate::notation::id::Id;
use crate::plan::PlanError;

impl Resolve for Vec<Id> {
    type Resolved = Self;

    fn resolve(&self, _: Ground<'_>) -> Result<Self, PlanError> {
        Ok(self.clone())
    }
}
