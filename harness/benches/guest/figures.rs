//! Measured values become medians and table cells. Nothing here measures.

/// Values of one kind, sorted.
#[derive(Debug)]
pub(crate) struct Figures(Vec<f64>);

impl FromIterator<f64> for Figures {
    fn from_iter<I: IntoIterator<Item = f64>>(values: I) -> Self {
        let mut sorted: Vec<f64> = values.into_iter().collect();
        sorted.sort_by(f64::total_cmp);
        Self(sorted)
    }
}

impl Figures {
    /// How many there are.
    pub(crate) fn count(&self) -> usize {
        self.0.len()
    }

    /// The value below which this share of all values lies; NaN when there are none.
    pub(crate) fn at(&self, share: f64) -> f64 {
        let last = self.0.len().saturating_sub(1) as f64;
        self.0.get((last * share).round() as usize).copied().unwrap_or(f64::NAN)
    }

    /// The middle one.
    pub(crate) fn median(&self) -> f64 {
        self.at(0.5)
    }

    /// The smallest.
    pub(crate) fn least(&self) -> f64 {
        self.at(0.0)
    }

    /// The largest.
    pub(crate) fn most(&self) -> f64 {
        self.at(1.0)
    }
}
