//! How long a whole verification takes, warm: `./ci/verify` as a user calls it, one machine at a time against two side by side,
//! in turn, and each case of the last report.
//!
//! `cargo bench -p harness --bench verify` runs `hard-cap-kill` with its twins three times each way; `-- all` (or
//! `BULKHEAD_BENCH=all`) runs everything that `./ci/verify` runs, once each way, which takes minutes; other words go to
//! `./ci/verify`. Built and cached beforehand: what is measured begins with everything in place. Seconds by the clock depend on
//! what else the machine does; the processor seconds of everything started, QEMU included, hardly do.

mod load;

use std::error::Error;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

use load::Load;
use nix::sys::resource::{Usage, UsageWho, getrusage};
use nix::sys::time::TimeValLike;
use reports::report::{Report, Role};

/// How many VMs in parallel are compared with one.
const JOBS: [usize; 2] = [1, 2];

fn main() -> Result<(), Box<dyn Error>> {
    // cargo adds `--bench`.
    let mut words: Vec<String> = std::env::args().skip(1).filter(|word| word != "--bench").collect();
    if let (true, Ok(word)) = (words.is_empty(), std::env::var("BULKHEAD_BENCH")) {
        words.push(word);
    }
    let mut rounds = 1;
    match words.as_slice() {
        [] => {
            words.push("hard-cap-kill".into());
            rounds = 3;
        }
        [word] if word == "all" => words.clear(),
        _ => {}
    }
    let scratch = tempfile::tempdir()?;
    // Builds what a change since the last call made necessary, and images that are not there.
    let warm =
        verify(&["hard-cap-kill".into(), "--twins".into(), "none".into()], &scratch.path().join("warm"))?;
    println!("Warmed up (exit {warm}). Before: {}.\n", Load::now());
    println!("| VMs in parallel | exit | cases run again | wall | processors |");
    println!("|---:|---:|---:|---:|---:|");
    let json = scratch.path().join("report.json");
    let mut walls = JOBS.map(|_| Vec::new());
    for round in 0..rounds {
        for (jobs, walls) in JOBS.iter().zip(&mut walls) {
            let mut words = words.clone();
            words.extend([format!("--jobs={jobs}"), format!("--report=json:{}", json.display())]);
            walls.push(measure(&words, *jobs, &scratch.path().join(format!("{round}-{jobs}")))?);
        }
    }
    let [one, beside] = walls.map(median);
    println!("\nMedians: {one:.1} s against {beside:.1} s, {:.2} times as fast.\n", one / beside);
    print(&serde_json::from_slice(&std::fs::read(&json)?)?);
    println!("\nAfter: {}.", Load::now());
    Ok(())
}

/// Prints a row and returns the seconds by the clock.
fn measure(words: &[String], jobs: usize, store: &Path) -> Result<f64, Box<dyn Error>> {
    let (start, before) = (Instant::now(), processor_seconds()?);
    let code = verify(words, store)?;
    let (clock, processor) = (start.elapsed().as_secs_f64(), processor_seconds()? - before);
    println!("| {jobs} | {code} | {} | {clock:.1} s | {processor:.1} s |", set_aside(store)?);
    Ok(clock)
}

/// Records in a store that do not count, because their case was run again.
fn set_aside(dir: &Path) -> std::io::Result<usize> {
    let mut found = 0;
    for entry in std::fs::read_dir(dir)? {
        let path = entry?.path();
        if path.to_string_lossy().ends_with("@beside-others") {
            found += 1;
        } else if path.is_dir() {
            found += set_aside(&path)?;
        }
    }
    Ok(found)
}

fn median(mut seconds: Vec<f64>) -> f64 {
    seconds.sort_by(f64::total_cmp);
    seconds[seconds.len() / 2]
}

/// The exit code.
fn verify(words: &[String], store: &Path) -> Result<i32, Box<dyn Error>> {
    let mut command = Command::new("./ci/verify");
    command.current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/..")).args(words).arg("--store").arg(store);
    let status = command.stdin(Stdio::null()).stdout(Stdio::null()).status()?;
    status.code().ok_or_else(|| format!("./ci/verify: {status}").into())
}

fn print(report: &Report) {
    println!("| case | verdict | run inside the guest |");
    println!("|---|---|---:|");
    for case in &report.cases {
        let name = match &case.role {
            Role::Base => case.scenario.clone(),
            Role::Twin { id, .. } => format!("{}/{id}", case.scenario),
        };
        println!("| {name} | {} | {:.1} s |", case.verdict, case.took_ms as f64 / 1e3);
    }
}

/// User and system time of everything that was started from here and has ended.
fn processor_seconds() -> nix::Result<f64> {
    let usage: Usage = getrusage(UsageWho::RUSAGE_CHILDREN)?;
    Ok((usage.user_time() + usage.system_time()).num_microseconds() as f64 / 1e6)
}
