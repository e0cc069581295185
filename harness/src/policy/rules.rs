//! The rules that policy directories are held to, besides those of any file that people write.

use super::{check, root, scale};
use crate::reading::rule::Rule;

/// The rules of policies, in no particular order. `bulkhead explain ID` prints the page of each.
pub fn rules() -> impl Iterator<Item = &'static Rule> {
    [root::RULES, check::RULES, scale::RULES].into_iter().flatten().copied()
}
