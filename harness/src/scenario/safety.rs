//! How dangerous a scenario is by its author's own word. It has no default: nobody hurts a machine by forgetting a key.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::reading::{Word, word};

/// The safety class of a scenario.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Safety {
    /// Stays inside its own cgroups even when the policy under test is broken; may run on a host that allows it.
    Contained,
    /// Puts the whole machine under pressure; disposable machines only.
    Pressure,
    /// May take the machine down; disposable machines only.
    Destructive,
}

impl Word for Safety {
    const EXPECTING: &'static str = "a safety class";
    const WORDS: &'static [(&'static str, Self)] =
        &[("contained", Self::Contained), ("pressure", Self::Pressure), ("destructive", Self::Destructive)];
}

impl fmt::Display for Safety {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(word(*self))
    }
}
