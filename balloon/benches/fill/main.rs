//! How fast the balloon fills memory: next to the kernel's own limit for the same region, and next to stress-ng.
//!
//! `cargo bench -p balloon --bench fill [-- SIZE_IN_MIB]`, or `BALLOON_BENCH_MIB=…`; default 1024. Each round runs
//! every contender once, in turn, so that a machine that slows down slows all of them; the table has the medians.
//!
//! The bench is static like the balloon: copied to another machine, it runs there with `BALLOON=/path/to/balloon`.
//!
//! All are measured from their first touch to their last, without start and end of a process: the limit and the
//! balloon by their own clocks; stress-ng, which has none for this, by the growth of its resident set between 2 % and
//! 98 % of the size, taken for the whole. It is given `--vm-madvise normal`, because by default it picks advice at
//! random, huge pages among it.

mod resident_set;

use balloon::status::Page;
use memmap2::{Advice, MmapOptions};
use std::process::Command;
use std::time::Instant;

const ROUNDS: usize = 5;
const MIB: u64 = 1 << 20;

/// Seconds to fill so many bytes, or why there is no figure.
type Fill = fn(u64) -> Result<f64, String>;

const CONTENDERS: [(&str, Fill); 4] = [
    ("MADV_POPULATE_WRITE (the limit)", populate),
    ("balloon", |bytes| balloon(bytes, &[])),
    ("balloon --pages random", |bytes| balloon(bytes, &["--pages", "random"])),
    ("stress-ng --vm 1 --vm-method zero-one", stress_ng),
];

fn main() {
    // cargo bench adds --bench.
    let argument = std::env::args().skip(1).find(|word| !word.starts_with("--"));
    let word = argument.or_else(|| std::env::var("BALLOON_BENCH_MIB").ok()).unwrap_or_else(|| "1024".into());
    let Some(bytes) = word.parse::<u64>().ok().filter(|mib| *mib > 0).and_then(|mib| mib.checked_mul(MIB))
    else {
        eprintln!("the size is a number of MiB, not {word:?}");
        std::process::exit(2);
    };
    let mut seconds = vec![Vec::new(); CONTENDERS.len()];
    let mut missing = vec![None; CONTENDERS.len()];
    for _ in 0..ROUNDS {
        for (index, (_, fill)) in CONTENDERS.iter().enumerate() {
            match fill(bytes) {
                Ok(took) => seconds[index].push(took),
                Err(reason) => missing[index] = Some(reason),
            }
        }
    }
    print(bytes, &seconds, &missing);
}

fn print(bytes: u64, seconds: &[Vec<f64>], missing: &[Option<String>]) {
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    println!("Load averages {}.\n", load.trim_end());
    let limit = median(&seconds[0]);
    println!(
        "| filling {} MiB, median of {ROUNDS} rounds | ms | best ms | GiB/s | of the limit |",
        bytes / MIB
    );
    println!("|---|---:|---:|---:|---:|");
    for ((name, _), took) in CONTENDERS.iter().zip(seconds) {
        let best = took.iter().copied().fold(f64::INFINITY, f64::min);
        let Some(took) = median(took) else { continue };
        let speed = bytes as f64 / took / (1024 * MIB) as f64;
        let ratio = limit.map_or(f64::NAN, |limit| limit / took);
        println!("| `{name}` | {:.1} | {:.1} | {speed:.2} | {ratio:.2} |", took * 1e3, best * 1e3);
    }
    for ((name, _), reason) in CONTENDERS.iter().zip(missing) {
        if let Some(reason) = reason {
            println!("\n`{name}`: {reason}");
        }
    }
}

fn median(seconds: &[f64]) -> Option<f64> {
    let mut sorted = seconds.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied()
}

/// The whole region in one call: as fast as this kernel hands out zeroed pages of 4 KiB.
fn populate(bytes: u64) -> Result<f64, String> {
    let length = usize::try_from(bytes).map_err(|error| error.to_string())?;
    let map =
        MmapOptions::new().len(length).no_reserve_swap().map_anon().map_err(|error| error.to_string())?;
    let start = Instant::now();
    map.advise(Advice::PopulateWrite).map_err(|error| format!("needs Linux 5.14: {error}"))?;
    Ok(start.elapsed().as_secs_f64())
}

/// From the release to the total, by the status page.
fn balloon(bytes: u64, args: &[&str]) -> Result<f64, String> {
    let dir = tempfile::tempdir_in("/dev/shm").map_err(|error| error.to_string())?;
    let status = dir.path().join("status");
    let page = Page::create(&status).map_err(|error| error.to_string())?;
    let program = std::env::var_os("BALLOON").unwrap_or_else(|| env!("CARGO_BIN_EXE_balloon").into());
    let output = Command::new(program)
        .arg("--status")
        .arg(&status)
        .args(["--hold", "0", "--total", &bytes.to_string()])
        .args(args)
        .output()
        .map_err(|error| error.to_string())?;
    let snapshot = page.snapshot();
    if !output.status.success() || snapshot.reached_ns == 0 {
        return Err(format!("ended with {}: {}", output.status, snapshot.text()));
    }
    Ok((snapshot.reached_ns - snapshot.started_ns) as f64 / 1e9)
}

fn stress_ng(bytes: u64) -> Result<f64, String> {
    let mut command = Command::new("stress-ng");
    command.args([
        "--quiet",
        "--vm",
        "1",
        "--vm-method",
        "zero-one",
        "--vm-madvise",
        "normal",
        "--vm-ops",
        "1",
    ]);
    resident_set::seconds_to_fill(command.args(["--vm-bytes", &bytes.to_string()]), bytes)
        .map_err(|error| format!("{error} (install it with `apt-get install stress-ng`)"))
}
