//! What is written into a page: next to nothing, or bytes that no compressor shrinks. Random here means
//! incompressible, not secret.

use super::{PAGE, Pages};
use crate::clock;

const LANES: usize = 4;
const WORDS: usize = PAGE as usize / 8;

/// A source of page contents.
#[derive(Debug)]
pub(crate) enum Pattern {
    Zero,
    /// Four xorshift64 generators side by side: one alone would wait for its own result at every word.
    Random([u64; LANES]),
}

impl Pattern {
    pub(crate) fn new(pages: Pages) -> Self {
        match pages {
            Pages::Zero => Self::Zero,
            // Seeded by time and process, so that no two balloons hold pages that could be merged.
            Pages::Random => {
                let seed = clock::now_ns() ^ (u64::from(std::process::id()) << 32);
                Self::Random(std::array::from_fn(|lane| {
                    (seed + lane as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1
                }))
            }
        }
    }

    /// Writes the page at `page`.
    ///
    /// # Safety
    ///
    /// `page` is aligned to and valid for a page of writes.
    #[expect(unsafe_code, reason = "volatile stores, which no optimiser may remove")]
    #[inline]
    pub(crate) unsafe fn write(&mut self, page: *mut u8) {
        match self {
            // SAFETY: the first byte of the page.
            Self::Zero => unsafe { page.write_volatile(0) },
            Self::Random(lanes) => {
                let words = page.cast::<u64>();
                for first in (0..WORDS).step_by(LANES) {
                    for (lane, state) in lanes.iter_mut().enumerate() {
                        // SAFETY: WORDS is a multiple of LANES, so that the index stays below WORDS.
                        unsafe { words.add(first + lane).write_volatile(next(state)) }
                    }
                }
            }
        }
    }

    /// One byte in the manner of the pattern.
    pub(crate) fn byte(&mut self) -> u8 {
        match self {
            Self::Zero => 0,
            Self::Random(lanes) => next(&mut lanes[0]).to_le_bytes()[0],
        }
    }
}

/// xorshift64 (Marsaglia, "Xorshift RNGs", 2003).
#[inline]
fn next(state: &mut u64) -> u64 {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    *state
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filled(pattern: &mut Pattern) -> [u64; WORDS] {
        let mut page = [7; WORDS];
        #[expect(unsafe_code, reason = "the function under test")]
        // SAFETY: the array is a page long, and u64 is as aligned as the stores are.
        unsafe {
            pattern.write(page.as_mut_ptr().cast());
        }
        page
    }

    #[test]
    fn random_pages_fill_every_word_and_never_repeat_one() {
        let mut pattern = Pattern::new(Pages::Random);
        let mut words: Vec<u64> = filled(&mut pattern).into_iter().chain(filled(&mut pattern)).collect();
        words.sort_unstable();
        words.dedup();
        assert_eq!(words.len(), 2 * WORDS);
    }

    #[test]
    fn zero_pages_write_their_first_byte_only() {
        let page = filled(&mut Pattern::Zero);
        assert_eq!((page[0].to_le_bytes()[0], page[1]), (0, 7));
    }
}
