//! Slice, scope or service: what a unit is decides which properties it takes.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::reading::Word;

/// The unit type behind a declared cgroup.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum UnitKind {
    /// A slice: only groups others; it outlives what runs in it.
    #[default]
    Slice,
    /// A scope: processes that the harness started and attached.
    Scope,
    /// A service: processes that PID 1 starts.
    Service,
}

impl Word for UnitKind {
    const EXPECTING: &'static str = "a unit type";
    const WORDS: &'static [(&'static str, Self)] =
        &[("slice", Self::Slice), ("scope", Self::Scope), ("service", Self::Service)];
}

impl fmt::Display for UnitKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Slice => "slice",
            Self::Scope => "scope",
            Self::Service => "service",
        })
    }
}
