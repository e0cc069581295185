//! A number that a verdict rests on: what was measured, its bound, and the margin between them.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// One comparison of a finding. All of it is in one unit.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Number {
    /// What was measured, such as `work:memory.peak`: tells the numbers of a finding apart.
    pub what: String,
    /// What value, bound, tolerance and margin are measured in.
    pub unit: Unit,
    /// What was seen; absent when it was not, or when it is no number: an answer that was refused.
    pub value: Option<f64>,
    /// What it is compared with.
    pub bound: f64,
    /// On which side of the bound the value has to be.
    pub direction: Direction,
    /// How far from the bound the value may be; only for `within`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tolerance: Option<f64>,
    /// How far on the allowed side the value is; below zero, how far beyond it. Absent without a value.
    pub margin: Option<f64>,
}

/// On which side of its bound a value has to be. The bound itself is allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Direction {
    /// Not below it.
    AtLeast,
    /// Not above it.
    AtMost,
    /// No farther from it than the tolerance.
    Within,
}

/// What a number is measured in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Unit {
    /// Bytes.
    Bytes,
    /// A number of events or things.
    Count,
    /// Microseconds.
    Microseconds,
    /// Parts of a hundred.
    Percent,
    /// Bytes in a second.
    BytesPerSecond,
    /// Events or things in a second.
    CountPerSecond,
}

impl Number {
    /// A number that must not be below its bound.
    pub fn at_least(what: impl Into<String>, unit: Unit, value: Option<f64>, bound: f64) -> Self {
        Self::new(what.into(), unit, value, bound, Direction::AtLeast)
    }

    /// A number that must not be above its bound.
    pub fn at_most(what: impl Into<String>, unit: Unit, value: Option<f64>, bound: f64) -> Self {
        Self::new(what.into(), unit, value, bound, Direction::AtMost)
    }

    /// A number that must not be farther from its bound than `tolerance`.
    pub fn within(
        what: impl Into<String>,
        unit: Unit,
        value: Option<f64>,
        bound: f64,
        tolerance: f64,
    ) -> Self {
        let number = Self::new(what.into(), unit, value, bound, Direction::Within);
        let margin = number.value.map(|value| tolerance - (value - bound).abs());
        Self { tolerance: Some(tolerance), margin, ..number }
    }

    fn new(what: String, unit: Unit, value: Option<f64>, bound: f64, direction: Direction) -> Self {
        // JSON has no infinity.
        let value = value.filter(|value| value.is_finite());
        let margin =
            value.map(|value| if direction == Direction::AtMost { bound - value } else { value - bound });
        Self { what, unit, value, bound, direction, tolerance: None, margin }
    }

    /// The margin as a share of the bound; none where that is zero.
    pub(crate) fn share(&self) -> Option<f64> {
        self.margin.filter(|_| self.bound != 0.0).map(|margin| margin / self.bound.abs())
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::room_above(Number::at_most("a", Unit::Count, Some(3.0), 4.0), Some(1.0), Some(0.25))]
    #[case::at_the_bound(Number::at_most("a", Unit::Count, Some(4.0), 4.0), Some(0.0), Some(0.0))]
    #[case::too_much(Number::at_most("a", Unit::Count, Some(6.0), 4.0), Some(-2.0), Some(-0.5))]
    #[case::enough(Number::at_least("a", Unit::Count, Some(6.0), 4.0), Some(2.0), Some(0.5))]
    #[case::too_little(Number::at_least("a", Unit::Count, Some(3.0), 4.0), Some(-1.0), Some(-0.25))]
    #[case::near_enough_from_below(
        Number::within("a", Unit::Count, Some(99.0), 100.0, 2.0),
        Some(1.0),
        Some(0.01)
    )]
    #[case::near_enough_from_above(
        Number::within("a", Unit::Count, Some(102.0), 100.0, 2.0),
        Some(0.0),
        Some(0.0)
    )]
    #[case::too_far(Number::within("a", Unit::Count, Some(90.0), 100.0, 2.0), Some(-8.0), Some(-0.08))]
    #[case::no_share_of_nothing(Number::at_most("a", Unit::Count, Some(7.0), 0.0), Some(-7.0), None)]
    #[case::not_seen(Number::at_least("a", Unit::Count, None, 4.0), None, None)]
    #[case::no_number(Number::at_most("a", Unit::Count, Some(f64::INFINITY), 4.0), None, None)]
    fn the_margin_is_the_way_to_the_bound(
        #[case] number: Number,
        #[case] margin: Option<f64>,
        #[case] share: Option<f64>,
    ) {
        assert_eq!((number.margin, number.share()), (margin, share));
    }
}
