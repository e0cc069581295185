//! A balloon's command line → a balloon that is possible. Looks at the file systems of the paths it was given,
//! and touches nothing.

use crate::options::{BalloonOptions, HugePages, Memory, Pages, Text};
use crate::pages::{HUGE, PAGE, Source};
use crate::profile::{Profile, Shape};
use crate::status::CHILDREN;
use crate::trouble::Trouble;
use nix::sys::statfs::{FsType, TMPFS_MAGIC, statfs};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// linux/magic.h
const RAMFS_MAGIC: FsType = FsType(0x8584_58f6);

/// Everything a balloon has to know, checked.
#[derive(Debug, Clone)]
pub(crate) struct Order {
    pub(crate) profile: Profile,
    pub(crate) source: Source,
    /// Bytes, a multiple of `unit`.
    pub(crate) step: u64,
    /// The balloon's size is a multiple of this many bytes at all times.
    pub(crate) unit: u64,
    pub(crate) hold: Option<Duration>,
    pub(crate) pages: Pages,
    pub(crate) huge: HugePages,
    pub(crate) mlock: bool,
    pub(crate) processes: u32,
    /// `None` = never.
    pub(crate) retouch: Option<Duration>,
    /// Whether SIGTERM ends neither the balloon nor its processes.
    pub(crate) ignore_sigterm: bool,
    pub(crate) text: Text,
    /// What to become after the release; `None` also when that is done.
    pub(crate) text_copy: Option<PathBuf>,
}

impl Order {
    pub(crate) fn new(options: &BalloonOptions) -> Result<Self, Trouble> {
        // Checked as given first: rounding up must not turn a wrong total into another wrong one.
        let profile = |total| {
            Profile::new(options.profile, total, options.rate, options.low, options.period)
                .map_err(Trouble::from)
        };
        profile(options.total)?;
        let unit = if options.huge_pages == HugePages::Always { HUGE } else { PAGE };
        let profile = profile(options.total.next_multiple_of(unit))?;
        let order = Self {
            profile,
            source: source(options)?,
            step: step(options, &profile, unit)?,
            unit,
            hold: options.hold,
            pages: options.pages,
            huge: options.huge_pages,
            mlock: options.mlock,
            processes: options.processes,
            retouch: Some(options.retouch).filter(|pause| !pause.is_zero()),
            ignore_sigterm: options.ignore_sigterm,
            text: options.text,
            text_copy: text_copy(options)?,
        };
        order.check_processes()?;
        if order.mlock && options.profile == Shape::Sawtooth {
            // madvise(2): MADV_DONTNEED and MADV_REMOVE refuse locked pages.
            return Err(Trouble::Usage(
                "--mlock does not go with --profile sawtooth: locked memory is not given back".into(),
            ));
        }
        Ok(order)
    }

    fn check_processes(&self) -> Result<(), Trouble> {
        let processes = self.processes;
        if processes == 0 || processes as usize > CHILDREN {
            return Err(Trouble::Usage(format!("--processes is {processes}: it is 1 to {CHILDREN}")));
        }
        if self.profile.total() / self.unit < u64::from(processes) {
            return Err(Trouble::Usage(format!(
                "--total is too small to give each of {processes} processes {} bytes",
                self.unit
            )));
        }
        if processes > 1 && matches!(self.source, Source::File(_)) {
            return Err(Trouble::Usage("--kind file is for one process: start several balloons".into()));
        }
        Ok(())
    }

    /// The order for process `index` of those that share this one.
    pub(crate) fn share(&self, index: u32) -> Self {
        Self { profile: self.profile.share(index, self.processes, self.unit), ..self.clone() }
    }
}

fn step(options: &BalloonOptions, profile: &Profile, unit: u64) -> Result<u64, Trouble> {
    match options.step {
        None => Ok(default_step(options.huge_pages, profile, unit)),
        Some(0) => Err(Trouble::Usage("--step is 0: the balloon would never grow".into())),
        Some(step) if step % unit != 0 => {
            Err(Trouble::Usage(format!("--step is {step}, not a multiple of the {unit} bytes of a page")))
        }
        Some(step) => Ok(step),
    }
}

/// Large enough to be fast, small enough to report four times a second.
fn default_step(huge: HugePages, profile: &Profile, unit: u64) -> u64 {
    // Unless forbidden, a fault may bring in a huge page; steps of that size report what is held.
    let largest = if huge == HugePages::Never { HUGE / 2 } else { HUGE };
    if profile.is_unpaced() { largest } else { (profile.speed() / 4 / unit * unit).clamp(unit, largest) }
}

fn source(options: &BalloonOptions) -> Result<Source, Trouble> {
    match (options.kind, &options.file) {
        (Memory::File, None) => Err(Trouble::Usage("--kind file needs a --file".into())),
        (Memory::File, Some(path)) if path.symlink_metadata().is_ok() => Err(Trouble::Usage(format!(
            "--file {} exists: the balloon overwrites and unlinks its file, so it only takes a new one",
            path.display()
        ))),
        (Memory::File, Some(path)) => {
            let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty());
            on_disk(directory.unwrap_or(Path::new(".")))?;
            Ok(Source::File(path.clone()))
        }
        (Memory::Anon | Memory::Shmem, Some(_)) => {
            Err(Trouble::Usage("--file belongs to --kind file".into()))
        }
        (Memory::Anon, None) => Ok(Source::Anon),
        (Memory::Shmem, None) => Ok(Source::Shmem),
    }
}

fn text_copy(options: &BalloonOptions) -> Result<Option<PathBuf>, Trouble> {
    match (options.text, &options.text_copy) {
        (Text::Evictable, None) => Err(Trouble::Usage("--text evictable needs a --text-copy".into())),
        // Already running from it: by now its name may be gone.
        (Text::Evictable, Some(_)) if options.released => Ok(None),
        (Text::Evictable, Some(path)) => {
            on_disk(path)?;
            Ok(Some(path.clone()))
        }
        (Text::Pinned, Some(_)) => Err(Trouble::Usage("--text-copy belongs to --text evictable".into())),
        (Text::Pinned, None) => Ok(None),
    }
}

/// Pages of tmpfs and ramfs are not page cache of a disk: without swap, reclaim cannot drop them.
fn on_disk(path: &Path) -> Result<(), Trouble> {
    let kind = statfs(path).map_err(|errno| Trouble::system(format!("use {}", path.display()), errno))?;
    let fs = match kind.filesystem_type() {
        TMPFS_MAGIC => "tmpfs",
        RAMFS_MAGIC => "ramfs",
        _ => return Ok(()),
    };
    Err(Trouble::NotOnDisk { path: path.into(), fs })
}
