//! A little memory, allocated, touched and freed at once, so that whoever does it charges the cgroup it lives in
//! and is held up when that is throttled. Never kept: a bystander does not grow.

use super::work::usage;
use crate::options::{HugePages, Pages};
use crate::pages::{PAGE, Region, Source};
use crate::trouble::Trouble;

/// What a bystander touches when it is not told.
pub(super) const DEFAULT: u64 = 64 << 10;
/// More is a balloon.
const LARGEST: u64 = 1 << 30;

/// Refuses more than a little.
pub(super) fn check(touch: u64) -> Result<(), Trouble> {
    if touch > LARGEST {
        return usage("--touch is more than 1G: use a balloon for that much");
    }
    Ok(())
}

/// Touches `bytes` of fresh memory, rounded up to pages. 0 touches nothing.
pub(super) fn touch(bytes: u64) -> Result<(), Trouble> {
    if bytes == 0 {
        return Ok(());
    }
    let length = bytes.next_multiple_of(PAGE);
    let mut region = Region::new(&Source::Anon, HugePages::Inherit, false, Pages::Zero, length)?;
    region.touch(0, length, || {});
    Ok(())
}
