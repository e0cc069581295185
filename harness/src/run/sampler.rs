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

use balloon::status::{Page, Snapshot};

use super::clock::now_us;
use super::recorder::Recorder;
use crate::cgroupfs::{self, CgroupDir};
use crate::metric::column::{HOST_AVAILABLE, HOST_FULL, MEMORY_CURRENT};
use crate::metric::{self, Column, Course, Source, SubjectKind};
use crate::plan::claim::BoundKind;
use crate::plan::{Plan, PlannedReached, Watched};
use crate::procfs::{self, HostReader};
use crate::record::samples::write_row;

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
    /// A file of the host.
    #[error(transparent)]
    Host(#[from] procfs::Error),
}

/// What the sampler reads: opened once, before the stress.
#[derive(Debug)]
pub struct Watch {
    cgroups: Vec<Option<CgroupDir>>,
    host: HostReader,
    pages: Vec<Arc<Page>>,
    /// What is read of each status page.
    cells: Vec<fn(&Snapshot) -> u64>,
    columns: Vec<String>,
    row: Vec<Option<u64>>,
    /// Cells of a row for one cgroup, and for the host.
    widths: [usize; 2],
}

impl Watch {
    /// Opens everything that a plan watches below a cgroup root and a file-system root.
    ///
    /// # Errors
    /// When a watched cgroup or a file of the host does not exist. That of a daemon of the machine may be missing: then its
    /// columns are empty.
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
            cgroups.push(match CgroupDir::open(cgroup_root, &watch.cgroup) {
                Err(cgroupfs::Error::Gone { .. }) if watch.subject.is_service() => None,
                opened => Some(opened?),
            });
            columns.extend(named(&watch.subject, SubjectKind::Cgroup));
        }
        columns.extend(named("host", SubjectKind::Host));
        columns.extend(actors.iter().flat_map(|(id, _)| named(id, SubjectKind::Actor)));
        let row = vec![None; columns.len()];
        let pages = actors.iter().map(|(_, page)| Arc::clone(page)).collect();
        let cells = metric::columns(SubjectKind::Actor).filter_map(|info| match info.source {
            Source::Page(cell) | Source::LongestGap(cell) => Some(cell),
            Source::File(..) | Source::Judge(_) => None,
        });
        let widths = [SubjectKind::Cgroup, SubjectKind::Host].map(|kind| metric::columns(kind).count());
        Ok(Self { cgroups, host, pages, cells: cells.collect(), columns, row, widths })
    }

    /// The column names, in the order of a row.
    #[must_use]
    pub fn columns(&self) -> &[String] {
        &self.columns
    }

    /// Takes one row. Allocates nothing.
    pub fn tick(&mut self) -> &[Option<u64>] {
        let [of_cgroup, of_host] = self.widths;
        let mut rest = self.row.as_mut_slice();
        for cgroup in &mut self.cgroups {
            let (mine, after) = rest.split_at_mut(of_cgroup);
            // A cgroup that is gone reads as nothing: the row says so.
            if let Some(cgroup) = cgroup {
                let _ = cgroup.read(mine);
            }
            rest = after;
        }
        let (mine, mut rest) = rest.split_at_mut(of_host);
        self.host.read(mine);
        for page in &self.pages {
            let (mine, after) = rest.split_at_mut(self.cells.len());
            let status = page.snapshot();
            mine.iter_mut().zip(&self.cells).for_each(|(value, cell)| *value = Some(cell(&status)));
            rest = after;
        }
        &self.row
    }
}

/// The columns of a subject.
fn named(subject: &str, kind: SubjectKind) -> impl Iterator<Item = String> {
    metric::columns(kind).map(move |info| info.of(subject).to_string())
}

/// Where a column stands in a row.
fn position(columns: &[String], wanted: Column<'_>) -> Option<usize> {
    let wanted = wanted.to_string();
    columns.iter().position(|column| *column == wanted)
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

/// The positions in a row that the pulse needs, and what `reached` waits for.
struct Taps {
    available: Option<usize>,
    full: Option<usize>,
    current: Option<usize>,
    reached: Option<Threshold>,
}

/// The threshold of `reached`.
struct Threshold {
    index: usize,
    kind: BoundKind,
    value: f64,
    counter: bool,
    /// What a metric that only counts had counted when the climb began: the threshold counts from there.
    before: Option<u64>,
}

impl Threshold {
    fn find(reached: &PlannedReached, columns: &[String]) -> Option<Self> {
        let index = position(columns, reached.metric.column())?;
        let counter = reached.metric.info.course == Course::Counter;
        Some(Self { index, kind: reached.kind, value: reached.value, counter, before: None })
    }

    /// Looks at one row, before the climb or in it, and tells whether the stress has arrived.
    fn look(&mut self, row: &[Option<u64>], climbing: bool) -> bool {
        let Some(value) = row[self.index] else { return false };
        if !climbing {
            self.before = Some(value);
            return false;
        }
        let before = *self.before.get_or_insert(value);
        let value = if self.counter { value.saturating_sub(before) } else { value } as f64;
        if self.kind == BoundKind::Max { value <= self.value } else { value >= self.value }
    }
}

impl Taps {
    fn find(plan: &Plan, columns: &[String]) -> Self {
        let shown = plan.cgroups.first().map_or("run", |cgroup| cgroup.name.as_str());
        Self {
            available: position(columns, HOST_AVAILABLE),
            full: position(columns, HOST_FULL),
            current: position(columns, MEMORY_CURRENT.of(shown)),
            reached: Threshold::find(&plan.reached, columns),
        }
    }

    /// `climbing`: whether the stress had begun before the row was taken.
    fn publish(&mut self, row: &[Option<u64>], climbing: bool, pulse: &Pulse) {
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
        if self.reached.as_mut().is_some_and(|threshold| threshold.look(row, climbing)) {
            pulse.reached.store(true, Ordering::Release);
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
    let mut taps = Taps::find(plan, watch.columns());
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
            let climbing = pulse.stress.load(Ordering::Acquire);
            let row = watch.tick();
            taps.publish(row, climbing, &pulse);
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::claim::Unit;

    /// What `reached` sees of a metric: its values before the climb and in it, and whether it has arrived at each.
    fn seen(metric: &str, value: f64, before: &[u64], climb: &[u64]) -> Vec<bool> {
        let columns = [metric.to_owned()];
        let (unit, kind) = (Unit::Count, BoundKind::Min);
        let metric = metric.parse().expect("a metric");
        let reached = PlannedReached { metric, unit, kind, value, within_us: 1 };
        let mut threshold = Threshold::find(&reached, &columns).expect("a column");
        for value in before {
            assert!(!threshold.look(&[Some(*value)], false));
        }
        climb.iter().map(|value| threshold.look(&[Some(*value)], true)).collect()
    }

    #[test]
    fn what_a_counter_counted_before_the_climb_is_not_the_stress() {
        let metric = "work:memory.events.max";
        assert_eq!(seen(metric, 3.0, &[0, 5], &[5, 7, 8]), [false, false, true]);
        assert_eq!(seen(metric, 3.0, &[], &[9, 11, 12]), [false, false, true]);
    }

    #[test]
    fn a_gauge_and_a_peak_count_as_they_stand() {
        assert_eq!(seen("work:memory.current", 100.0, &[90], &[99, 100]), [false, true]);
        assert_eq!(seen("work:memory.peak", 100.0, &[100], &[100]), [true]);
    }

    #[test]
    fn a_row_without_the_metric_is_no_arrival() {
        let columns = ["work:memory.current".to_owned()];
        let (unit, kind) = (Unit::Bytes, BoundKind::Max);
        let metric = columns[0].parse().expect("a metric");
        let reached = PlannedReached { metric, unit, kind, value: 9.0, within_us: 1 };
        let mut threshold = Threshold::find(&reached, &columns).expect("a column");
        assert!(!threshold.look(&[None], true));
        assert!(threshold.look(&[Some(9)], true));
    }

    #[test]
    fn only_a_daemon_of_the_machine_may_have_no_cgroup() {
        let root = tempfile::tempdir().expect("a temporary directory");
        let watch = |subject: &str, cgroup: &str| {
            let watched = [Watched {
                subject: subject.parse().expect("a name"),
                cgroup: cgroup.parse().expect("a path"),
            }];
            Watch::open(root.path(), Path::new("/"), &watched, &[])
        };
        let mut daemon = watch("systemd-oomd.service", "/system.slice/systemd-oomd.service").expect("opened");
        let at = daemon.columns().iter().position(|name| name == "systemd-oomd.service:cpu.usage");
        assert_eq!(daemon.tick()[at.expect("a column")], None);
        assert!(watch("work", "/work.slice").is_err());
    }
}
