//! `[earlyoom]`: an earlyoom that the run starts with these settings, and ends.
//!
//! Settings are percents, as earlyoom's `-m` and `-s` take them. What a given version says on its output is not looked
//! at here.

use std::ops::RangeInclusive;

use reports::outcome::Killer;
use schemars::{Schema, SchemaGenerator, json_schema};

use super::{OwnKiller, OwnTable, Settings};
use crate::notation::span::Span;
use crate::reading::rule::{MALFORMED_VALUE, rules};
use crate::reading::{Node, Reader, Table, Value};
use crate::scenario::rules::shared::ZERO_TIME;

rules! {
    Error REVERSED_THRESHOLDS = "reversed-thresholds",
        "earlyoom sends SIGTERM when at most `term` percent are left and SIGKILL when at most `kill` percent are: the \
        second threshold is the lower one, or no process is ever asked to leave first. Lower `kill` or raise `term`.";
}

/// `[earlyoom]`.
pub(super) const TABLE: OwnTable =
    OwnTable { killer: Killer::Earlyoom, about: "the earlyoom to run", keys: read_keys };

/// What it may use, bytes: it locks all it maps.
const MEMORY_MAX: u64 = 64 << 20;

/// The settings of an earlyoom.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Earlyoom {
    /// SIGTERM when at most this percentage of memory is available; 1 to 99. earlyoom 1.8 and later leave out of the
    /// whole what no process can have, older ones take `MemTotal`.
    pub term_memory: u8,
    /// SIGKILL at this percentage, at most `term_memory`; 0 to 99.
    pub kill_memory: u8,
    /// And when at most this percentage of swap is free; 1 to 100. A machine without swap has 0 % free.
    pub term_swap: u8,
    /// The same for SIGKILL, at most `term_swap`; 0 to 100.
    pub kill_swap: u8,
    /// Processes to take first: a POSIX extended regular expression on `/proc/PID/comm`, handed over as one word.
    pub prefer: Option<String>,
    /// Processes to take last; as `prefer`.
    pub avoid: Option<String>,
}

impl Earlyoom {
    /// Its command line. Reports every hour only: a periodic line is no evidence.
    fn argv(&self, dry_run: bool) -> Vec<String> {
        let mut argv = vec!["/usr/bin/earlyoom".to_owned(), "-r".into(), "3600".into()];
        argv.extend(dry_run.then(|| "--dryrun".to_owned()));
        let pairs = [
            ("-m", Some(format!("{},{}", self.term_memory, self.kill_memory))),
            ("-s", Some(format!("{},{}", self.term_swap, self.kill_swap))),
            ("--prefer", self.prefer.clone()),
            ("--avoid", self.avoid.clone()),
        ];
        for (option, value) in pairs {
            argv.extend(value.into_iter().flat_map(|value| [option.to_owned(), value]));
        }
        argv
    }
}

fn read_keys(table: &mut Table<'_, '_>) -> Option<OwnKiller> {
    // earlyoom refuses -m 100, and two zeroes: it would never act.
    let term_memory = percent(table, "term-memory", "SIGTERM at so many percent of memory or less", 1..=99);
    let kill_memory = percent(table, "kill-memory", "SIGKILL at so many percent of memory or less", 0..=99);
    let term_swap = percent(
        table,
        "term-swap",
        "and at so many percent of swap or less; 100: swap does not matter",
        1..=100,
    );
    let kill_swap = percent(table, "kill-swap", "the same for SIGKILL", 0..=100);
    let prefer: Option<Pattern> = table.optional("prefer", "process names to take first");
    let avoid: Option<Pattern> = table.optional("avoid", "process names to take last");
    let dry_run = table.required("dry-run", "whether it only says what it would do");
    let release = table.optional("release", "when it is started, `baseline` by default");
    let duration: Option<Span> = table.optional("for", "how long it runs; to the end when absent");
    if duration.is_some_and(|span| span.0 == 0) {
        let span = table.value_span("for").unwrap_or(table.span.clone());
        table.reader.report(ZERO_TIME, span, "an earlyoom that runs for no time does nothing");
        return None;
    }
    ordered(table, ("term-memory", term_memory), ("kill-memory", kill_memory))?;
    ordered(table, ("term-swap", term_swap), ("kill-swap", kill_swap))?;
    let settings = Earlyoom {
        term_memory: term_memory?,
        kill_memory: kill_memory?,
        term_swap: term_swap?,
        kill_swap: kill_swap?,
        prefer: prefer.and_then(|pattern| pattern.0),
        avoid: avoid.and_then(|pattern| pattern.0),
    };
    let dry_run = dry_run?;
    Some(OwnKiller {
        killer: TABLE.killer,
        argv: settings.argv(dry_run),
        memory_max: MEMORY_MAX,
        dry_run,
        release: release.unwrap_or_default(),
        duration,
        settings: Settings::Earlyoom(settings),
    })
}

/// Where the kill value is above the term value, earlyoom warns and raises the other: the file would not say what runs.
fn ordered(
    table: &mut Table<'_, '_>,
    (term_key, term): (&str, Option<u8>),
    (kill_key, kill): (&str, Option<u8>),
) -> Option<()> {
    if let (Some(term), Some(kill)) = (term, kill)
        && kill > term
    {
        let span = table.value_span(kill_key).unwrap_or(table.span.clone());
        table
            .reader
            .report(
                REVERSED_THRESHOLDS,
                span,
                format!("`{kill_key}` of {kill} is above `{term_key}` of {term}"),
            )
            .help
            .push("SIGTERM comes first: less is left when SIGKILL follows".to_owned());
        return None;
    }
    Some(())
}

/// A required whole number of percents.
fn percent(
    table: &mut Table<'_, '_>,
    name: &'static str,
    about: &'static str,
    range: RangeInclusive<u8>,
) -> Option<u8> {
    let schema = json_schema!({ "type": "integer", "minimum": range.start(), "maximum": range.end() });
    let node = table.required_node(name, about, |_| schema)?;
    let number = node.get_ref().as_integer();
    let Some(number) = number else {
        table.reader.wrong_type(node, "a whole number of percents");
        return None;
    };
    let value =
        u8::from_str_radix(number.as_str(), number.radix()).ok().filter(|value| range.contains(value));
    if value.is_none() {
        let message = format!("`{name}` of {number}: expected {} to {}", range.start(), range.end());
        table.reader.report(MALFORMED_VALUE, node.span(), message);
    }
    value
}

/// A regular expression as written. An empty one is none at all, so that a twin can take it away.
struct Pattern(Option<String>);

impl Value for Pattern {
    fn read(node: &Node<'_>, reader: &mut Reader) -> Option<Self> {
        let Some(text) = node.get_ref().as_str() else {
            reader.wrong_type(node, "a regular expression on process names");
            return None;
        };
        if text.contains(['\0', '\n']) {
            reader.report(
                MALFORMED_VALUE,
                node.span(),
                "a regular expression for earlyoom contains neither NUL nor newline",
            );
            return None;
        }
        Some(Self(Some(text.to_owned()).filter(|text| !text.is_empty())))
    }

    fn schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string" })
    }
}
