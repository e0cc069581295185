//! What a tree of a policy is for, and so which scenarios are run on it.

use serde::{Deserialize, Serialize};

use crate::reading::Word;

/// What a tree is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TreeRole {
    /// It holds what may run away.
    Work,
    /// It holds what must live on when work runs away.
    Protected,
}

impl Word for TreeRole {
    const EXPECTING: &'static str = "a role";
    const WORDS: &'static [(&'static str, Self)] = &[("work", Self::Work), ("protected", Self::Protected)];
}
