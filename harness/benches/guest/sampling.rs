//! What one row of samples costs, by the number of cgroups that are watched: the product's sampler beside the obvious
//! way, which opens, reads and takes apart each file each time.
//!
//! Both ways read the same files of the host and of the cgroups and write the same kind of row to a file in memory. The
//! cgroups have all controllers that matter and no processes.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use harness::cgroupfs;
use harness::metric::{SubjectKind, columns};
use harness::plan::Watched;
use harness::record::samples::write_row;
use harness::run::clock::now_us;
use harness::run::sampler::Watch;

use crate::Result;
use crate::figures::Figures;
use crate::inside::{Delegated, below};
use crate::load::Load;

const SIZES: [usize; 5] = [0, 1, 10, 100, 1000];
/// For each size: rounds of one row of each kind, until the time is over.
const TIME: Duration = Duration::from_secs(12);
const MAX_ROUNDS: usize = 300;
const MIN_ROUNDS: usize = 11;

/// The files behind the columns.
const FILES: [&str; 10] = [
    "memory.current",
    "memory.peak",
    "memory.events",
    "memory.events.local",
    "memory.stat",
    "memory.pressure",
    "memory.swap.current",
    "memory.swap.peak",
    "memory.swap.events",
    "cpu.stat",
];
const HOST_FILES: [&str; 7] =
    ["meminfo", "vmstat", "stat", "loadavg", "pressure/memory", "pressure/io", "pressure/cpu"];

pub(crate) fn run() -> Result {
    let mut cgroups = Delegated::enter()?;
    let mut paths = Vec::new();
    println!("{}\n", Load::now());
    println!(
        "| cgroups | rounds | row, median | fastest | a cgroup | opened each time: row, median | fastest | a cgroup |"
    );
    println!("|---:|---:|---:|---:|---:|---:|---:|---:|");
    let mut none = None;
    for size in SIZES {
        while paths.len() < size {
            paths.push(cgroups.make(&format!("c{:04}", paths.len()))?);
        }
        let watched: Vec<Watched> = paths
            .iter()
            .map(|path| Watched { subject: path.name().parse().expect("a name"), cgroup: path.clone() })
            .collect();
        let files: Vec<PathBuf> = paths.iter().map(below).collect();
        let (ours, naive) = measure(&watched, &files)?;
        let (base, naive_base) = *none.get_or_insert((ours.median(), naive.median()));
        let each = |median: f64, base: f64| match size {
            0 => "".to_owned(),
            size => format!("{:.0} µs", (median - base) / size as f64),
        };
        println!(
            "| {size} | {} | {} | {} | {} | {} | {} | {} |",
            ours.count(),
            ms(ours.median()),
            ms(ours.least()),
            each(ours.median(), base),
            ms(naive.median()),
            ms(naive.least()),
            each(naive.median(), naive_base),
        );
    }
    println!(
        "\n\"A cgroup\" is what the median grows by for each, over the row of the host alone (0 cgroups)."
    );
    Ok(())
}

fn ms(us: f64) -> String {
    format!("{:.2} ms", us / 1000.0)
}

/// Microseconds of each row, both ways in turn, so that a machine that slows down slows both.
fn measure(watched: &[Watched], files: &[PathBuf]) -> Result<(Figures, Figures)> {
    let mut watch = Watch::open(Path::new(cgroupfs::ROOT), Path::new("/"), watched, &[])?;
    let out = tempfile::tempdir_in("/run")?;
    let (mut ours, mut naive) = (Vec::new(), Vec::new());
    let mut line = Vec::with_capacity((watch.columns().len() + 1) * 21 + 2);
    let mut file = File::create(out.path().join("ours"))?;
    let mut naive_file = File::create(out.path().join("naive"))?;
    let start = Instant::now();
    while ours.len() < MIN_ROUNDS || (ours.len() < MAX_ROUNDS && start.elapsed() < TIME) {
        let row = Instant::now();
        write_row(&mut line, now_us(), watch.tick());
        file.write_all(&line)?;
        ours.push(micros(row));
        let row = Instant::now();
        let cells = naive_row(files);
        naive_file.write_all(serde_json::to_string(&cells)?.as_bytes())?;
        naive.push(micros(row));
        if cells.len() < watched.len() * columns(SubjectKind::Cgroup).count() {
            return Err(format!("{} values of {} cgroups", cells.len(), watched.len()).into());
        }
    }
    // The first row finds everything cold.
    Ok((ours.into_iter().skip(1).collect(), naive.into_iter().skip(1).collect()))
}

fn micros(since: Instant) -> f64 {
    since.elapsed().as_secs_f64() * 1e6
}

/// Every number after a key or alone on its line; nothing that is wanted is even looked for.
fn naive_row(cgroups: &[PathBuf]) -> Vec<u64> {
    let host = HOST_FILES.iter().map(|file| Path::new("/proc").join(file));
    let below = cgroups.iter().flat_map(|cgroup| FILES.iter().map(move |file| cgroup.join(file)));
    let mut row = Vec::new();
    for path in host.chain(below) {
        // A file that this kernel does not have.
        let Ok(text) = fs::read_to_string(path) else { continue };
        for line in text.lines() {
            let words: Vec<&str> = line.split_whitespace().collect();
            // The last word of a pressure line is `total=…`.
            let value = words.iter().rev().find_map(|word| word.trim_start_matches("total=").parse().ok());
            row.extend::<Option<u64>>(value);
        }
    }
    row
}
