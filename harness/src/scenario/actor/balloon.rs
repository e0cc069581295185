//! The balloon's settings: how much memory of what kind, how fast, and who pays for its own code.

use serde::{Deserialize, Serialize};

use super::Settings;
use crate::notation::bytes::Bytes;
use crate::notation::span::Span;
use crate::reading::{FromTable, Table, Word};
use crate::scenario::size::SizeExpr;

/// A process that takes memory.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Balloon {
    /// How much it takes in all.
    pub size: SizeExpr,
    /// What kind of memory.
    pub memory: MemoryKind,
    /// How the size moves over time.
    pub profile: Profile,
    /// Bytes a second; as fast as possible when absent.
    pub rate: Option<Bytes>,
    /// Bytes a step; the balloon's own choice when absent.
    pub step: Option<Bytes>,
    /// How long it stays at the top; for ever when absent.
    pub hold: Option<Span>,
    /// The floor of a sawtooth.
    pub low: Option<SizeExpr>,
    /// The period of a sawtooth.
    pub period: Option<Span>,
    /// What it writes into its pages.
    pub pages: Pages,
    /// Whether it uses transparent huge pages.
    pub huge_pages: HugePages,
    /// Whether its own code can be reclaimed.
    pub text: Text,
    /// Whether it locks its memory.
    pub mlock: bool,
    /// Processes that share the total.
    pub processes: u32,
    /// After the top is reached, touch all pages again this often; never when absent.
    pub retouch: Option<Span>,
    /// Whether SIGTERM does not end it.
    pub ignore_sigterm: bool,
}

impl Balloon {
    /// What it takes on top of its size in so much time, bytes: all there is when nothing bounds its growth.
    #[must_use]
    pub fn grows_by(&self, time: Span) -> u64 {
        match (self.profile, self.rate) {
            (Profile::Grow, Some(rate)) => rate.0.saturating_mul(time.0.div_ceil(1_000_000)),
            (Profile::Grow, None) => u64::MAX,
            (Profile::Ramp | Profile::Plateau | Profile::Sawtooth, _) => 0,
        }
    }
}

impl FromTable for Balloon {
    const LABEL: &'static str = "balloon";

    fn from_table(table: &mut Table<'_, '_>) -> Option<Self> {
        let size = table.required("size", "how much memory it takes in all");
        let text =
            table.required("text", "whether its own code pages can be reclaimed: it decides what oomd does");
        let memory = table.optional("memory", "anonymous memory (default), shared memory or page cache");
        let profile = table.optional("profile", "how the size moves over time, ramp by default");
        let rate = table.optional("rate", "bytes a second; as fast as possible when absent");
        let step = table.optional("step", "bytes a step");
        let hold = table.optional("hold", "how long it stays at the top; for ever when absent");
        let low = table.optional("low", "the floor of a sawtooth");
        let period = table.optional("period", "the period of a sawtooth");
        let pages =
            table.optional("pages", "page content: zero (default) or random, which does not compress");
        let huge_pages =
            table.optional("huge-pages", "transparent huge pages: inherit (default), always, never");
        let mlock = table.optional("mlock", "lock the memory");
        let processes = table.optional("processes", "processes that share the total, 1 by default");
        let retouch = table.optional("retouch", "at the top, touch all pages again this often");
        let ignore_sigterm = table.optional("ignore-sigterm", "SIGTERM does not end it, false by default");
        Some(Self {
            size: size?,
            memory: memory.unwrap_or(MemoryKind::Anon),
            profile: profile.unwrap_or(Profile::Ramp),
            rate,
            step,
            hold,
            low,
            period,
            pages: pages.unwrap_or(Pages::Zero),
            huge_pages: huge_pages.unwrap_or(HugePages::Inherit),
            text: text?,
            mlock: mlock.unwrap_or(false),
            processes: processes.unwrap_or(1),
            retouch,
            ignore_sigterm: ignore_sigterm.unwrap_or(false),
        })
    }
}

impl Settings for Balloon {
    fn pause(&self) -> Option<(&'static str, Span)> {
        self.period.map(|period| ("period", period))
    }
}

/// What kind of memory a balloon takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum MemoryKind {
    /// Private anonymous memory: freed by killing the process.
    Anon,
    /// Shared memory (memfd): charged to the writer.
    Shmem,
    /// Page cache of a file: can be reclaimed.
    File,
}

impl Word for MemoryKind {
    const EXPECTING: &'static str = "a kind of memory";
    const WORDS: &'static [(&'static str, Self)] =
        &[("anon", Self::Anon), ("shmem", Self::Shmem), ("file", Self::File)];
}

/// How a balloon's size moves over time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Profile {
    /// Grows to its size, then holds.
    Ramp,
    /// Takes everything in one step, then holds.
    Plateau,
    /// Up and down between `low` and its size.
    Sawtooth,
    /// Grows to its size, then goes on charging at `rate` for ever.
    Grow,
}

impl Word for Profile {
    const EXPECTING: &'static str = "a profile";
    const WORDS: &'static [(&'static str, Self)] = &[
        ("ramp", Self::Ramp),
        ("plateau", Self::Plateau),
        ("sawtooth", Self::Sawtooth),
        ("grow", Self::Grow),
    ];
}

/// What a balloon writes into its pages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Pages {
    /// Nearly empty pages: they compress to nothing in zram and zswap.
    Zero,
    /// Incompressible pages.
    Random,
}

impl Word for Pages {
    const EXPECTING: &'static str = "a page content";
    const WORDS: &'static [(&'static str, Self)] = &[("zero", Self::Zero), ("random", Self::Random)];
}

/// Transparent huge pages of a balloon. With them a hog crosses a MemoryHigh band many times faster.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum HugePages {
    /// Asked for.
    Always,
    /// Refused.
    Never,
    /// As the machine is set; distributions differ.
    Inherit,
}

impl Word for HugePages {
    const EXPECTING: &'static str = "a huge page setting";
    const WORDS: &'static [(&'static str, Self)] =
        &[("always", Self::Always), ("never", Self::Never), ("inherit", Self::Inherit)];
}

/// Whether a balloon's own code pages can be reclaimed from its cgroup. There is no default: with evictable text
/// a hog without swap thrashes on its own code and systemd-oomd acts; with pinned text it does not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Text {
    /// Locked, or paid for by another cgroup.
    Pinned,
    /// A private copy, charged to the balloon's own cgroup.
    Evictable,
}

impl Word for Text {
    const EXPECTING: &'static str = "a text mode";
    const WORDS: &'static [(&'static str, Self)] =
        &[("pinned", Self::Pinned), ("evictable", Self::Evictable)];
}
