//! Whether the time of the run was up while the stress still grew: what had not happened by then may have been about to.

use reports::outcome::Verdict;
use reports::units;

use super::end_reason;
use super::view::View;
use crate::metric::column::TOUCHED;
use crate::plan::claim::Phase;
use crate::record::event::EndReason;

/// How far back from the end it is asked whether a balloon still grew, µs.
const LAST_US: u64 = 1_000_000;

/// What did not happen is a failure, but open for whoever knows why it may only not have come yet.
pub(super) fn did_not_come(words: String, not_yet: Option<String>) -> (Verdict, String) {
    match not_yet {
        Some(why) => (Verdict::Inconclusive, format!("{words}; {why}")),
        None => (Verdict::Fail, words),
    }
}

impl View<'_> {
    /// Which balloon still grew when the time was up, at half its mean pace at least: slower is that of one at a limit,
    /// which gets pages as fast as others go. None when the stress had grown as far as it could.
    #[must_use]
    pub fn cut_off(&self) -> Option<String> {
        if !matches!(end_reason(self.record), Some(EndReason::ObserveElapsed)) {
            return None;
        }
        self.plan.actors.iter().find_map(|actor| {
            let total = actor.total?;
            let (began, ended) = self.window(Phase::Stress)?;
            let touched = self.series(TOUCHED.of(&actor.id), Phase::Stress);
            let at = |time: u64| touched.iter().rfind(|(at, _)| *at <= time).map(|(_, bytes)| *bytes);
            let (first, last) = (at(began)?, at(ended)?);
            let grown = last.saturating_sub(first);
            let lately = last.saturating_sub(at(ended.saturating_sub(LAST_US)).unwrap_or(first));
            let mean = grown as f64 / ended.saturating_sub(began).max(1) as f64;
            let grows = lately > 0 && lately as f64 * 2.0 >= mean * LAST_US as f64;
            grows.then(|| {
                let (last, total) = (units::bytes(last), units::bytes(total));
                format!("time was up while {} was still growing: {last} of {total}", actor.id)
            })
        })
    }
}
