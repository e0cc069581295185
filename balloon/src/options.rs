//! The command lines, as clap reads them and as whoever starts an actor writes them. Only what a single word can prove is
//! checked here; what has to fit together is checked in `order`. Bystanders have theirs with their kind.

use crate::profile::Shape;
use crate::quantity::{bytes, milliseconds, seconds};
use crate::words::{self, Words};
use clap::builder::TypedValueParser as _;
use std::ffi::{CString, OsStr, OsString};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::PathBuf;
use std::time::Duration;

/// What every actor understands.
#[derive(Debug, Clone, PartialEq, Eq, clap::Args)]
pub struct StartOptions {
    /// The status page: a file of 4096 bytes, on tmpfs. With --wait it must exist; without, it is created if
    /// missing.
    #[arg(long, value_name = "PATH")]
    pub status: PathBuf,
    /// Do nothing until the release word in the status page is set. Until then no memory is allocated. The actor
    /// ends when its parent does (exit code 4), or when it is not released in time (exit code 5).
    #[arg(long, requires = "oom_score_adj")]
    pub wait: bool,
    /// The process that must be the parent while the actor waits. Default: the parent when the wait begins, so that a
    /// parent that died before goes unnoticed.
    #[arg(long, value_name = "PID", requires = "wait", value_parser = clap::value_parser!(i32).range(1..))]
    pub parent: Option<i32>,
    /// How many seconds to wait for the release.
    #[arg(long, value_name = "SECONDS", default_value = "30", value_parser = seconds)]
    pub wait_timeout: Duration,
    /// The name the kernel shows for this process, at most 15 bytes, used verbatim.
    #[arg(long, value_name = "NAME", value_parser = clap::builder::OsStringValueParser::new().try_map(comm))]
    pub comm: Option<CString>,
    /// Write this to /proc/self/oom_score_adj first of all, and refuse to run if it does not read back. An inherited
    /// -1000 would make every limit unenforceable, so it is 0 unless given, and has to be given with --wait.
    #[arg(long, value_name = "N", allow_negative_numbers = true, value_parser = clap::value_parser!(i16).range(-1000..=1000))]
    pub oom_score_adj: Option<i16>,
}

impl StartOptions {
    pub(crate) fn words(&self, words: &mut Words) {
        words.option("--status", self.status.as_os_str());
        words.flag("--wait", self.wait);
        words.maybe("--parent", self.parent);
        words.option("--wait-timeout", words::seconds(self.wait_timeout));
        words.maybe("--oom-score-adj", self.oom_score_adj);
        words.maybe("--comm", self.comm.as_ref().map(|comm| OsStr::from_bytes(comm.as_bytes())));
    }
}

fn comm(name: OsString) -> Result<CString, String> {
    let bytes = name.into_vec();
    match bytes.len() {
        0 => Err("a process name has at least one byte".into()),
        // TASK_COMM_LEN is 16 with the final NUL; prctl(2) would cut the rest off without a word.
        1..=15 => CString::new(bytes).map_err(|_| "a process name has no NUL".into()),
        long => Err(format!("a process name has at most 15 bytes, this has {long}")),
    }
}

/// What the memory of a balloon is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Memory {
    /// Private anonymous memory.
    Anon,
    /// Shared memory without a name (memfd_create): charged as shmem, not freed by reclaim without swap.
    Shmem,
    /// Page cache of a file on a disk, dirtied through a mapping: the kernel can write it back and drop it.
    File,
}

/// What is written into each page.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Pages {
    /// One zero byte a page. Such pages compress to nothing, and kernels from 6.12 on "swap" them out without I/O.
    Zero,
    /// The whole page, with bytes that do not compress.
    Random,
}

/// Transparent huge pages for the balloon's memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum HugePages {
    /// Ask for them (MADV_HUGEPAGE), with memory aligned to 2 MiB.
    Always,
    /// Forbid them, for the memory (MADV_NOHUGEPAGE) and the process (PR_SET_THP_DISABLE).
    Never,
    /// Take what the machine is set to.
    Inherit,
}

/// Whether the program's own code can be reclaimed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Text {
    /// Locked in memory from the start: the balloon's cgroup has no file pages of its own to scan.
    Pinned,
    /// After the release, become --text-copy: its page cache is charged to the cgroup the balloon is in by then.
    Evictable,
}

/// Takes memory in a way that cannot be optimised away, and reports how it went.
///
/// The balloon climbs to --total bytes along --profile, holds them, and reports every step in the status page, which
/// stays readable when it is killed. It checks against the kernel's own count that the memory really is there.
///
/// Sizes are bytes, or whole numbers with K, M, G or T (powers of 1024). Exit codes: 0 done, 2 impossible command
/// line, 3 failed (the status page has the reason), 4 the parent ended during the wait, 5 not released in time,
/// 6 some of several processes were killed.
#[derive(Debug, Clone, PartialEq, Eq, clap::Parser)]
#[command(name = "balloon", version, max_term_width = 100)]
pub struct BalloonOptions {
    /// What every actor understands.
    #[command(flatten)]
    pub start: StartOptions,
    /// How much to hold, rounded up to whole pages.
    #[arg(long, value_name = "BYTES", value_parser = bytes)]
    pub total: u64,
    /// What the memory is made of.
    #[arg(long, value_enum, default_value = "anon")]
    pub kind: Memory,
    /// With --kind file: a file to create on a disk. It is unlinked at once, so that nothing remains of it.
    #[arg(long, value_name = "PATH")]
    pub file: Option<PathBuf>,
    /// How much to touch between two reports: a multiple of 4096 (of 2M with --huge-pages always). Without it 2M, or 1M with
    /// --huge-pages never, and less where a --rate would make that more than a quarter of a second's worth.
    #[arg(long, value_name = "BYTES", value_parser = bytes)]
    pub step: Option<u64>,
    /// How fast to climb, in bytes per second; 0 means as fast as possible.
    #[arg(long, value_name = "BYTES", default_value = "0", value_parser = bytes)]
    pub rate: u64,
    /// Size over time.
    #[arg(long, value_enum, default_value = "ramp")]
    pub profile: Shape,
    /// How many seconds to go on after the total was first held. Default: for ever.
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    pub hold: Option<Duration>,
    /// With --profile sawtooth: where each tooth starts.
    #[arg(long, value_name = "BYTES", value_parser = bytes)]
    pub low: Option<u64>,
    /// With --profile sawtooth: how long a tooth is.
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    pub period: Option<Duration>,
    /// What to write into each page.
    #[arg(long, value_enum, default_value = "zero")]
    pub pages: Pages,
    /// Transparent huge pages for the balloon's memory.
    #[arg(long, value_enum, default_value = "inherit")]
    pub huge_pages: HugePages,
    /// Whether the program's own code can be reclaimed.
    #[arg(long, value_enum, default_value = "pinned")]
    pub text: Text,
    /// With --text evictable: a private copy of this program, on a disk.
    #[arg(long, value_name = "PATH")]
    pub text_copy: Option<PathBuf>,
    /// Lock the memory as it is touched, so that it can never be swapped out.
    #[arg(long)]
    pub mlock: bool,
    /// How many processes share the total, at most 64. With more than one, they are children of this process, forked
    /// after the release.
    #[arg(long, value_name = "N", default_value = "1")]
    pub processes: u32,
    /// Once the total is held, touch all of it again every so many milliseconds; 0 means never.
    #[arg(long, value_name = "MS", default_value = "0", value_parser = milliseconds)]
    pub retouch: Duration,
    /// Do not end at SIGTERM, from the release on: only SIGKILL, or another signal, ends such a balloon.
    #[arg(long)]
    pub ignore_sigterm: bool,
    /// Set by the program itself when it becomes its own --text-copy.
    #[arg(long, hide = true)]
    pub released: bool,
}

impl BalloonOptions {
    /// The command line that reads back as these options, without the program's name.
    #[must_use]
    pub fn to_args(&self) -> Vec<OsString> {
        let mut words = Words::default();
        self.start.words(&mut words);
        words.option("--total", self.total);
        words.choice("--kind", &self.kind);
        words.maybe("--file", self.file.as_ref().map(|file| file.as_os_str()));
        words.choice("--profile", &self.profile);
        words.unless(0, "--rate", self.rate);
        words.maybe("--step", self.step);
        words.maybe("--low", self.low);
        words.maybe("--hold", self.hold.map(words::seconds));
        words.maybe("--period", self.period.map(words::seconds));
        words.choice("--pages", &self.pages);
        words.choice("--huge-pages", &self.huge_pages);
        words.choice("--text", &self.text);
        words.maybe("--text-copy", self.text_copy.as_ref().map(|copy| copy.as_os_str()));
        words.flag("--mlock", self.mlock);
        words.unless(1, "--processes", self.processes);
        words.unless(0, "--retouch", words::millis(self.retouch));
        words.flag("--ignore-sigterm", self.ignore_sigterm);
        words.flag("--released", self.released);
        words.into_vec()
    }
}
