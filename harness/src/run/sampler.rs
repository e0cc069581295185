//! The sampler: at a fixed rate, everything that is watched becomes one row on disk. It allocates nothing per tick.
//!
//! It also tells the run loop three things through [`Pulse`]: that it lives, that the stress has arrived, and how much
//! memory the machine has left.

use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use balloon::status::Page;

use super::clock::now_us;
use super::recorder::Recorder;
use crate::cgroupfs::{self, CgroupDir, CgroupPath};
use crate::plan::claim::BoundKind;
use crate::plan::{Plan, PlannedReached, Watched};
use crate::procfs::{self, HostReader};
use crate::record::samples::write_row;

/// Columns of an actor's status page.
pub const ACTOR_COLUMNS: &[&str] =
    &["touched", "steps", "gap.max", "wakeups", "accepted", "minor_faults", "major_faults", "step.max"];

/// What the sampler tells the rest of the run, without locks.
#[derive(Debug, Default)]
pub struct Pulse {
    /// When the last row was taken, µs.
    pub last_tick_us: AtomicU64,
    /// The longest time between two rows so far, µs: after a stop of the whole process the sampler may be back before
    /// anybody has seen that it was away.
    pub longest_silence_us: AtomicU64,
    /// Whether the metric of `reached` has crossed its threshold since the stress began.
    pub reached: AtomicBool,
    /// Set by the run loop when the balloons are released: from here on `reached` is looked at.
    pub stress: AtomicBool,
    /// MemAvailable, bytes; `u64::MAX` until it is read.
    pub available: AtomicU64,
    /// Total time in which every non-idle task of the host was stalled on memory, µs.
    pub host_full_us: AtomicU64,
    /// memory.current of the first declared cgroup, bytes: for the progress display.
    pub current: AtomicU64,
    /// Set to end the sampler after one last row.
    pub stop: AtomicBool,
}

/// Why something that is to be sampled cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum WatchError {
    /// A watched cgroup.
    #[error(transparent)]
    Cgroup(#[from] cgroupfs::Error),
    /// A path that is none.
    #[error(transparent)]
    Path(#[from] cgroupfs::InvalidCgroupPath),
    /// A file of the host.
    #[error(transparent)]
    Host(#[from] procfs::Error),
}

/// What the sampler reads: opened once, before the stress.
#[derive(Debug)]
pub struct Watch {
    cgroups: Vec<CgroupDir>,
    host: HostReader,
    pages: Vec<Arc<Page>>,
    columns: Vec<String>,
    row: Vec<Option<u64>>,
}

impl Watch {
    /// Opens everything that a plan watches below a cgroup root and a file-system root.
    ///
    /// # Errors
    /// When a watched cgroup or a file of the host does not exist.
    pub fn open(
        cgroup_root: &Path,
        root: &Path,
        watched: &[Watched],
        actors: &[(String, Arc<Page>)],
    ) -> Result<Self, WatchError> {
        let host = HostReader::open(root)?;
        let mut columns = Vec::new();
        let mut cgroups = Vec::new();
        for watch in watched {
            let path: CgroupPath = watch.cgroup.parse()?;
            cgroups.push(CgroupDir::open(cgroup_root, &path)?);
            columns.extend(cgroupfs::COLUMNS.iter().map(|metric| format!("{}:{metric}", watch.subject)));
        }
        columns.extend(procfs::COLUMNS.iter().map(|metric| format!("host:{metric}")));
        for (id, _) in actors {
            columns.extend(ACTOR_COLUMNS.iter().map(|metric| format!("{id}:{metric}")));
        }
        let row = vec![None; columns.len()];
        let pages = actors.iter().map(|(_, page)| Arc::clone(page)).collect();
        Ok(Self { cgroups, host, pages, columns, row })
    }

    /// The column names, in the order of a row.
    #[must_use]
    pub fn columns(&self) -> &[String] {
        &self.columns
    }

    /// Takes one row. Allocates nothing.
    pub fn tick(&mut self) -> &[Option<u64>] {
        let mut rest = self.row.as_mut_slice();
        for cgroup in &mut self.cgroups {
            let (mine, after) = rest.split_at_mut(cgroupfs::COLUMNS.len());
            // A cgroup that is gone reads as nothing: the row says so.
            let _ = cgroup.read(mine);
            rest = after;
        }
        let (mine, after) = rest.split_at_mut(procfs::COLUMNS.len());
        self.host.read(mine);
        rest = after;
        for page in &self.pages {
            let (mine, after) = rest.split_at_mut(ACTOR_COLUMNS.len());
            let status = page.snapshot();
            mine.copy_from_slice(&[
                Some(status.touched),
                Some(status.steps),
                Some(status.gap_max_ns / 1000),
                Some(status.wakeups),
                Some(status.accepted),
                Some(status.minor_faults),
                Some(status.major_faults),
                Some(status.step_max_ns / 1000),
            ]);
            rest = after;
        }
        &self.row
    }
}

/// What the sampler did, for the record.
#[derive(Debug, Clone, Copy, Default)]
pub struct Summary {
    /// Rows taken.
    pub ticks: u64,
    /// The largest lateness of a row, µs.
    pub max_late_us: u64,
    /// Mean time to take and write a row, µs.
    pub mean_tick_us: u64,
}

/// The positions in a row that the pulse needs, and the threshold of `reached`.
struct Taps {
    available: Option<usize>,
    full: Option<usize>,
    current: Option<usize>,
    reached: Option<(usize, BoundKind, f64)>,
}

impl Taps {
    fn find(plan: &Plan, columns: &[String]) -> Self {
        let position = |metric: &str| columns.iter().position(|column| column == metric);
        let shown = plan.cgroups.first().map_or("run", |cgroup| cgroup.name.as_str());
        let threshold =
            |reached: &PlannedReached| Some((position(&reached.metric)?, reached.kind, reached.value));
        Self {
            available: position("host:memory.available"),
            full: position("host:pressure.memory.full"),
            current: position(&format!("{shown}:memory.current")),
            reached: threshold(&plan.reached),
        }
    }

    fn publish(&self, row: &[Option<u64>], pulse: &Pulse) {
        let read = |position: Option<usize>| position.and_then(|index| row[index]);
        if let Some(value) = read(self.available) {
            pulse.available.store(value, Ordering::Relaxed);
        }
        if let Some(value) = read(self.full) {
            pulse.host_full_us.store(value, Ordering::Relaxed);
        }
        if let Some(value) = read(self.current) {
            pulse.current.store(value, Ordering::Relaxed);
        }
        if let Some((index, kind, threshold)) = self.reached
            && let Some(value) = row[index]
            && pulse.stress.load(Ordering::Acquire)
        {
            let value = value as f64;
            let arrived = if kind == BoundKind::Max { value <= threshold } else { value >= threshold };
            if arrived {
                pulse.reached.store(true, Ordering::Release);
            }
        }
    }
}

/// Starts sampling. The thread ends after one last row once `pulse.stop` is set, or when the record cannot be written.
pub fn start(
    mut watch: Watch,
    mut file: File,
    plan: &Plan,
    pulse: Arc<Pulse>,
    recorder: Arc<Recorder>,
) -> JoinHandle<Summary> {
    let taps = Taps::find(plan, watch.columns());
    let period = plan.sample_every_us;
    // 21 bytes hold any u64 and its comma.
    let mut line = Vec::with_capacity((watch.columns().len() + 1) * 21 + 2);
    pulse.available.store(u64::MAX, Ordering::Relaxed);
    // A first row that never comes is silence, too.
    pulse.last_tick_us.store(now_us(), Ordering::Release);
    thread::spawn(move || {
        let mut summary = Summary::default();
        let mut busy_us = 0;
        let mut due = now_us();
        loop {
            let last = pulse.stop.load(Ordering::Acquire);
            let at = now_us();
            summary.max_late_us = summary.max_late_us.max(at.saturating_sub(due));
            let row = watch.tick();
            taps.publish(row, &pulse);
            write_row(&mut line, at, row);
            let written = file.write_all(&line);
            let done = now_us();
            let before = pulse.last_tick_us.load(Ordering::Relaxed);
            pulse.longest_silence_us.fetch_max(done - before, Ordering::Relaxed);
            pulse.last_tick_us.store(done, Ordering::Release);
            busy_us += done - at;
            summary.ticks += 1;
            summary.mean_tick_us = busy_us / summary.ticks;
            if let Err(error) = written {
                recorder.trouble("write samples", &error);
                return summary;
            }
            if last {
                return summary;
            }
            due = (due + period).max(done);
            sleep_until(due, &pulse.stop);
        }
    })
}

/// Sleeps until `due`, in slices short enough that a stop is heard at once.
fn sleep_until(due: u64, stop: &AtomicBool) {
    loop {
        let left = due.saturating_sub(now_us());
        if left == 0 || stop.load(Ordering::Acquire) {
            return;
        }
        thread::sleep(Duration::from_micros(left.min(50_000)));
    }
}
