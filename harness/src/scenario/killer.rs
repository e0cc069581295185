//! The OOM killers that a scenario brings itself: each has a table of its own, such as `[earlyoom]`.

pub mod earlyoom;

use std::ops::Range;

use reports::outcome::Killer;
use schemars::{Schema, SchemaGenerator};
use serde::{Deserialize, Serialize};
use toml::de::DeTable;

use crate::notation::span::Span;
use crate::reading::{Node, Reader, Table, Word, describe, object, read_entries};
use earlyoom::Earlyoom;

/// The tables that there are. Twins change or drop one by the name of its killer, so that nothing else may bear it.
pub(super) const TABLES: [&OwnTable; 1] = [&earlyoom::TABLE];

/// A killer that the run starts with these settings, and ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnKiller {
    /// Which one.
    pub killer: Killer,
    /// Its command line.
    pub argv: Vec<String>,
    /// What it may use, bytes.
    pub memory_max: u64,
    /// Whether it only says what it would do.
    pub dry_run: bool,
    /// When it is started.
    pub release: Moment,
    /// How long it runs; to the end of the run when absent.
    pub duration: Option<Span>,
    /// What only this killer has.
    pub settings: Settings,
}

/// What only one killer has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Settings {
    /// Of earlyoom.
    Earlyoom(Earlyoom),
}

/// When a killer is started.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Moment {
    /// When the baseline begins.
    #[default]
    Baseline,
    /// When the balloons are released.
    Stress,
    /// When `[reached]` holds.
    Hold,
}

impl Word for Moment {
    const EXPECTING: &'static str = "a moment of the run";
    const WORDS: &'static [(&'static str, Self)] =
        &[("baseline", Self::Baseline), ("stress", Self::Stress), ("hold", Self::Hold)];
}

/// A table of a killer's settings.
pub(super) struct OwnTable {
    /// Whose.
    pub(super) killer: Killer,
    /// What it is for.
    pub(super) about: &'static str,
    /// Reads its keys.
    pub(super) keys: fn(&mut Table<'_, '_>) -> Option<OwnKiller>,
}

impl OwnTable {
    /// The table of that name.
    pub(super) fn named(name: &str) -> Option<&'static Self> {
        TABLES.into_iter().find(|table| table.name() == name)
    }

    /// Its name in a scenario.
    pub(super) const fn name(&self) -> &'static str {
        self.killer.word()
    }

    /// Reads the table as a scenario has it.
    pub(super) fn read(&self, node: &Node<'_>, reader: &mut Reader) -> Option<OwnKiller> {
        let Some(entries) = node.get_ref().as_table() else {
            reader.wrong_type(node, &format!("a table ([{}])", self.name()));
            return None;
        };
        self.read_entries(node.span(), entries, reader)
    }

    /// Reads the table with these entries.
    pub(super) fn read_entries(
        &self,
        span: Range<usize>,
        entries: &DeTable<'_>,
        reader: &mut Reader,
    ) -> Option<OwnKiller> {
        read_entries(&format!("[{}]", self.name()), span, entries, reader, self.keys)
    }

    /// The JSON Schema of the table.
    pub(super) fn schema(&self, generator: &mut SchemaGenerator) -> Schema {
        object(describe(generator, self.keys))
    }
}
