//! One claim about a run and what came of it, in words and in numbers.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::number::Number;
use crate::outcome::Verdict;

/// One claim, judged against the record.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Finding {
    /// The expectation's id within its scenario.
    pub id: String,
    /// The claim as a sentence.
    pub claim: String,
    /// What came of it.
    pub verdict: Verdict,
    /// What had to be seen, with units.
    pub expected: String,
    /// What was seen, with units.
    pub observed: String,
    /// The numbers that were compared: what was measured, beside its bound. Empty where the claim is none about numbers.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub numbers: Vec<Number>,
    /// Whether this twin must turn it red. Always false outside twins.
    pub required_red: bool,
}

impl Finding {
    /// The number that is nearest to its bound or farthest beyond it, measured by the bound.
    pub(crate) fn tightest(&self) -> Option<(&Number, f64)> {
        let shares = self.numbers.iter().filter_map(|number| Some((number, number.share()?)));
        shares.min_by(|(_, one), (_, other)| one.total_cmp(other))
    }
}
