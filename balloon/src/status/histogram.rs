//! Nanoseconds → one of 64 buckets, three to the octave: fine enough to tell 1.3 × a baseline, coarse enough
//! to fit in the status page for ever. Counts only; it keeps no sum and so offers no mean.

/// Number of buckets.
pub const BUCKETS: usize = 64;

/// Everything below 2^15 ns (32.8 µs) is one bucket: no scheduler promises better.
const FLOOR_LOG2: u32 = 15;

/// The bucket that a duration in nanoseconds falls into. The last one is open: 53.7 s and more.
#[must_use]
pub const fn bucket(ns: u64) -> usize {
    if ns < 1 << FLOOR_LOG2 {
        return 0;
    }
    let octave = ns.ilog2();
    let base = 1_u64 << octave;
    let third = if ns >= base / 16 * 25 {
        2
    } else if ns >= base / 4 * 5 {
        1
    } else {
        0
    };
    let index = 1 + (octave - FLOOR_LOG2) as usize * 3 + third;
    if index < BUCKETS { index } else { BUCKETS - 1 }
}

/// The first duration in nanoseconds that is too long for bucket `index`; `u64::MAX` for the last bucket and
/// beyond. Neighbours are 1.25 to 1.28 apart.
#[must_use]
pub const fn bound(index: usize) -> u64 {
    if index >= BUCKETS - 1 {
        return u64::MAX;
    }
    let base = 1_u64 << (FLOOR_LOG2 as usize + index / 3);
    match index % 3 {
        0 => base,
        1 => base / 4 * 5,
        _ => base / 16 * 25,
    }
}

/// How often each length of gap or step occurred.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Histogram {
    /// Occurrences by [`bucket`].
    pub counts: [u64; BUCKETS],
}

impl Histogram {
    /// Counts one duration.
    pub const fn record(&mut self, ns: u64) {
        self.counts[bucket(ns)] += 1;
    }

    /// All occurrences.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// The `quantile` (0.0 to 1.0) in nanoseconds: the upper bound of the bucket that holds it, so it errs to the
    /// long side by less than 1.28 ×. `None` when nothing was counted. `u64::MAX` means "in the open last bucket".
    #[must_use]
    pub fn p(&self, quantile: f64) -> Option<u64> {
        let count = self.count();
        if count == 0 {
            return None;
        }
        let rank = ((count as f64 * quantile).ceil() as u64).clamp(1, count);
        let mut seen = 0;
        let index = self.counts.iter().position(|&here| {
            seen += here;
            seen >= rank
        });
        index.map(bound)
    }

    /// What was counted since `earlier`, an older snapshot of the same actor. A count that shrank (another
    /// actor's page) counts as none.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Self {
        let mut counts = self.counts;
        for (count, before) in counts.iter_mut().zip(earlier.counts) {
            *count = count.saturating_sub(before);
        }
        Self { counts }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EMPTY: Histogram = Histogram { counts: [0; BUCKETS] };
    use proptest::prelude::*;
    use rstest::rstest;

    #[rstest]
    #[case(0, 0)]
    #[case(32_767, 0)]
    #[case(32_768, 1)]
    #[case(40_959, 1)]
    #[case(40_960, 2)]
    #[case(51_200, 3)]
    #[case(65_536, 4)]
    #[case(53_687_091_200, 63)]
    #[case(u64::MAX, 63)]
    fn a_duration_falls_into_its_bucket(#[case] ns: u64, #[case] expected: usize) {
        assert_eq!(bucket(ns), expected);
    }

    #[test]
    fn bounds_rise_by_at_most_1_28() {
        for index in 1..BUCKETS - 1 {
            let (below, above) = (bound(index - 1), bound(index));
            assert!(above > below && above * 100 <= below * 128, "{index}: {below} {above}");
        }
    }

    #[test]
    fn nothing_counted_has_no_quantile() {
        assert_eq!(EMPTY.p(0.99), None);
    }

    #[test]
    fn one_late_beat_in_a_hundred_is_past_the_p99() {
        let mut gaps = EMPTY;
        (0..99).for_each(|_| gaps.record(1_000_000));
        gaps.record(2_000_000_000);
        assert_eq!(gaps.p(0.99), Some(bound(bucket(1_000_000))));
        assert_eq!(gaps.p(1.0), Some(bound(bucket(2_000_000_000))));
    }

    #[test]
    fn since_forgets_what_came_before() {
        let mut early = EMPTY;
        early.record(5_000_000);
        let mut late = early;
        late.record(70_000_000);
        let between = late.since(&early);
        assert_eq!((between.count(), between.counts[bucket(70_000_000)]), (1, 1));
    }

    proptest! {
        #[test]
        fn every_duration_lies_under_its_bound_and_not_under_the_one_before(ns in any::<u64>()) {
            let index = bucket(ns);
            prop_assert!(ns < bound(index) || index == BUCKETS - 1);
            prop_assert!(index == 0 || ns >= bound(index - 1));
        }

        #[test]
        fn a_longer_duration_never_falls_into_a_lower_bucket(a in any::<u64>(), b in any::<u64>()) {
            prop_assert!(bucket(a.min(b)) <= bucket(a.max(b)));
        }
    }
}
