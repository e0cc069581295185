//! Time since the release → bytes that a balloon means to hold. Pure arithmetic. A balloon that was held up
//! finds its target ahead of it and climbs without pause until it has caught up.

use std::time::Duration;

/// The outline of a balloon over time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Shape {
    /// Climbs to the total at --rate, and stays.
    Ramp,
    /// Is at the total at once, and stays.
    Plateau,
    /// Climbs to the total, stays a while, drops to --low at the end of each --period, and climbs again.
    Sawtooth,
    /// Climbs at --rate and never stops, not even at the total.
    Grow,
}

/// Most bytes a balloon can ask for: the 128 TiB of a process on x86-64 (Documentation/arch/x86/x86_64/mm.rst), less
/// 1 TiB in which program, stack and libraries lie.
pub const LARGEST: u64 = 127 << 40;

const NANOS: u128 = 1_000_000_000;

/// An impossible profile.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[expect(missing_docs, reason = "the messages say it")]
pub enum ProfileError {
    #[error("--total is 0: a balloon holds at least one byte")]
    NoTotal,
    #[error("--total is {0} bytes, more than the {LARGEST} bytes of address space that a process has")]
    TotalTooLarge(u64),
    #[error(
        "--rate has no effect with --profile plateau, which is reached at once: use --profile ramp, or --rate 0"
    )]
    RateOnPlateau,
    #[error("--profile grow needs a --rate above 0: it grows for ever")]
    GrowWithoutRate,
    #[error("--low and --period belong to --profile sawtooth")]
    NotASawtooth,
    #[error("--profile sawtooth needs a --period above 0")]
    NoPeriod,
    #[error("--low is {low} bytes, not below the --total of {total} bytes")]
    LowNotBelowTotal { low: u64, total: u64 },
    #[error("at --rate {rate} a --period of {} s is too short to climb {total} bytes", period.as_secs_f64())]
    PeriodTooShort { rate: u64, period: Duration, total: u64 },
}

/// A possible profile.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Profile {
    shape: Shape,
    total: u64,
    /// Bytes per second; 0 = as fast as possible.
    rate: u64,
    low: u64,
    period: Duration,
}

impl Profile {
    /// Checks that the parts go together. `rate` is in bytes per second, 0 meaning as fast as possible; a sawtooth
    /// at rate 0 climbs for three quarters of its period.
    ///
    /// # Errors
    ///
    /// [`ProfileError`], in the words of the command line.
    pub fn new(
        shape: Shape,
        total: u64,
        rate: u64,
        low: Option<u64>,
        period: Option<Duration>,
    ) -> Result<Self, ProfileError> {
        if total == 0 {
            return Err(ProfileError::NoTotal);
        }
        if total > LARGEST {
            return Err(ProfileError::TotalTooLarge(total));
        }
        let profile = Self { shape, total, rate, low: low.unwrap_or(0), period: period.unwrap_or_default() };
        match shape {
            Shape::Sawtooth => profile.check_teeth()?,
            _ if low.is_some() || period.is_some() => return Err(ProfileError::NotASawtooth),
            Shape::Plateau if rate > 0 => return Err(ProfileError::RateOnPlateau),
            Shape::Grow if rate == 0 => return Err(ProfileError::GrowWithoutRate),
            Shape::Ramp | Shape::Plateau | Shape::Grow => {}
        }
        Ok(profile)
    }

    fn check_teeth(&self) -> Result<(), ProfileError> {
        let Self { total, rate, low, period, .. } = *self;
        if period.is_zero() {
            return Err(ProfileError::NoPeriod);
        }
        if low >= total {
            return Err(ProfileError::LowNotBelowTotal { low, total });
        }
        if rate > 0 && u128::from(rate) * period.as_nanos() < u128::from(total) * NANOS {
            return Err(ProfileError::PeriodTooShort { rate, period, total });
        }
        Ok(())
    }

    /// Bytes at the top; a growing balloon passes it.
    #[must_use]
    pub const fn total(&self) -> u64 {
        self.total
    }

    /// Whether the target can exceed [`Profile::total`].
    #[must_use]
    pub const fn is_endless(&self) -> bool {
        matches!(self.shape, Shape::Grow)
    }

    /// Whether the balloon fills as fast as the kernel gives.
    #[must_use]
    pub const fn is_unpaced(&self) -> bool {
        self.rate == 0 && !matches!(self.shape, Shape::Sawtooth)
    }

    /// Bytes to hold after `elapsed`.
    #[must_use]
    pub fn target(&self, elapsed: Duration) -> u64 {
        match self.shape {
            Shape::Plateau => self.total,
            Shape::Ramp if self.rate == 0 => self.total,
            Shape::Ramp => climbed(self.rate, elapsed.as_nanos()).min(self.total),
            Shape::Grow => climbed(self.rate, elapsed.as_nanos()).min(LARGEST),
            Shape::Sawtooth => {
                let tooth = elapsed.as_nanos() / self.period.as_nanos();
                let into = elapsed.as_nanos() % self.period.as_nanos();
                let base = if tooth == 0 { 0 } else { self.low };
                climbed(self.speed(), into).saturating_add(base).min(self.total)
            }
        }
    }

    /// Bytes per second while climbing; 0 = as fast as possible.
    #[must_use]
    pub fn speed(&self) -> u64 {
        if self.rate > 0 || self.is_unpaced() {
            return self.rate;
        }
        let climb = self.period.as_nanos() * 3 / 4;
        let speed = (u128::from(self.total) * NANOS).div_ceil(climb.max(1));
        u64::try_from(speed).unwrap_or(u64::MAX)
    }

    /// How long one may look away without missing a drop by much.
    #[must_use]
    pub fn patience(&self) -> Duration {
        match self.shape {
            Shape::Sawtooth => self.period / 32,
            Shape::Ramp | Shape::Plateau | Shape::Grow => Duration::MAX,
        }
    }

    /// The part of process `index` of `processes`: equal multiples of `unit` bytes, the last one takes the rest.
    #[must_use]
    pub fn share(&self, index: u32, processes: u32, unit: u64) -> Self {
        let part = |whole: u64, unit: u64| {
            let each = whole / unit / u64::from(processes) * unit;
            if index + 1 == processes { whole - each * u64::from(processes - 1) } else { each }
        };
        let rate = if self.rate == 0 { 0 } else { part(self.rate, 1).max(1) };
        Self { total: part(self.total, unit), rate, low: part(self.low, unit), ..*self }
    }
}

fn climbed(rate: u64, nanos: u128) -> u64 {
    u64::try_from(u128::from(rate).saturating_mul(nanos) / NANOS).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rstest::rstest;

    const MIB: u64 = 1 << 20;

    fn sawtooth(low: u64, rate: u64) -> Result<Profile, ProfileError> {
        Profile::new(Shape::Sawtooth, 100 * MIB, rate, Some(low), Some(Duration::from_secs(4)))
    }

    #[rstest]
    #[case(Shape::Ramp, 0, 0, 100)]
    #[case(Shape::Plateau, 0, 0, 100)]
    #[case(Shape::Ramp, 10, 0, 0)]
    #[case(Shape::Ramp, 10, 2500, 25)]
    #[case(Shape::Ramp, 10, 60_000, 100)]
    #[case(Shape::Grow, 10, 60_000, 600)]
    fn the_target_follows_the_shape(
        #[case] shape: Shape,
        #[case] rate: u64,
        #[case] millis: u64,
        #[case] mib: u64,
    ) {
        let profile = Profile::new(shape, 100 * MIB, rate * MIB, None, None).unwrap();
        assert_eq!(profile.target(Duration::from_millis(millis)), mib * MIB);
    }

    #[rstest]
    #[case(0, 0)]
    #[case(1500, 50)]
    #[case(3000, 100)]
    #[case(3999, 100)]
    #[case(4000, 20)]
    #[case(5500, 70)]
    #[case(7999, 100)]
    #[case(8000, 20)]
    fn a_sawtooth_climbs_stays_and_drops_to_its_floor(#[case] millis: u64, #[case] mib: u64) {
        assert_eq!(sawtooth(20 * MIB, 0).unwrap().target(Duration::from_millis(millis)) / MIB, mib);
    }

    #[rstest]
    #[case(Profile::new(Shape::Ramp, 0, 0, None, None), ProfileError::NoTotal)]
    #[case(Profile::new(Shape::Ramp, LARGEST + 1, 0, None, None), ProfileError::TotalTooLarge(LARGEST + 1))]
    #[case(Profile::new(Shape::Plateau, 1, 1, None, None), ProfileError::RateOnPlateau)]
    #[case(Profile::new(Shape::Grow, 1, 0, None, None), ProfileError::GrowWithoutRate)]
    #[case(Profile::new(Shape::Ramp, 2, 1, Some(1), None), ProfileError::NotASawtooth)]
    #[case(Profile::new(Shape::Sawtooth, 2, 0, Some(1), None), ProfileError::NoPeriod)]
    #[case(sawtooth(100 * MIB, 0), ProfileError::LowNotBelowTotal { low: 100 * MIB, total: 100 * MIB })]
    #[case(sawtooth(0, 24 * MIB), ProfileError::PeriodTooShort { rate: 24 * MIB, period: Duration::from_secs(4), total: 100 * MIB })]
    fn an_impossible_profile_is_refused(
        #[case] made: Result<Profile, ProfileError>,
        #[case] expected: ProfileError,
    ) {
        assert_eq!(made, Err(expected));
    }

    proptest! {
        #[test]
        fn shares_add_up_to_the_whole_in_whole_units(pages in 64..LARGEST / 4096, processes in 1_u32..=64) {
            let total = pages * 4096;
            let whole = Profile::new(Shape::Ramp, total, 0, None, None).unwrap();
            let shares: Vec<u64> = (0..processes).map(|index| whole.share(index, processes, 4096).total()).collect();
            prop_assert_eq!(shares.iter().sum::<u64>(), total);
            prop_assert!(shares.iter().all(|share| *share > 0 && share % 4096 == 0));
        }

        #[test]
        fn a_ramp_never_sinks_and_never_passes_its_total(total in 1..LARGEST, rate: u64, early: u64, later: u64) {
            let ramp = Profile::new(Shape::Ramp, total, rate, None, None).unwrap();
            let (early, later) = (Duration::from_nanos(early.min(later)), Duration::from_nanos(early.max(later)));
            prop_assert!(ramp.target(early) <= ramp.target(later) && ramp.target(later) <= total);
        }

        #[test]
        fn a_sawtooth_stays_between_its_floor_and_its_total_and_touches_the_total(
            total in 2..LARGEST, low: u64, period in 1_u64..1 << 50, tooth in 1_u32..1000, into: u64,
        ) {
            let (low, period) = (low % total, Duration::from_nanos(period));
            let teeth = Profile::new(Shape::Sawtooth, total, 0, Some(low), Some(period)).unwrap();
            let start = period * tooth;
            let target = teeth.target(start + Duration::from_nanos(into % clock_nanos(period)));
            prop_assert!((low..=total).contains(&target));
            if period >= Duration::from_nanos(4) {
                prop_assert_eq!(teeth.target(start + period - Duration::from_nanos(1)), total);
            }
        }
    }

    fn clock_nanos(period: Duration) -> u64 {
        crate::clock::ns(period)
    }
}
