//! Every rule that a scenario file is held to, whoever raises it.

pub(super) mod shared;

use super::killer::earlyoom;
use super::{check, expectation, references, twin};
use crate::metric;
use crate::reading::rule::{self, Rule};

/// All rules of scenario files, in no particular order. `bulkhead explain ID` prints the page of each.
pub fn rules() -> impl Iterator<Item = &'static Rule> {
    let own = [rule::RULES, shared::RULES, earlyoom::RULES, metric::RULES, twin::RULES];
    own.into_iter()
        .chain(expectation::rules())
        .chain(references::rules())
        .chain(check::rules())
        .flatten()
        .copied()
}
