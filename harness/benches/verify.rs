//! How long a whole verification takes, warm: `./ci/verify` as a user calls it, and each case of its report.
//!
//! `cargo bench -p harness --bench verify` runs `hard-cap-kill` with its twins; `-- all` (or `BULKHEAD_BENCH=all`) runs
//! everything that `./ci/verify` runs, which takes minutes; other words go to `./ci/verify`. Built and cached
//! beforehand: what is measured begins with everything in place. Seconds by the clock depend on what else the machine
//! does; the processor seconds of everything started, QEMU included, hardly do.

mod load;

use std::error::Error;
use std::process::{Command, Stdio};
use std::time::Instant;

use load::Load;
use nix::sys::resource::{Usage, UsageWho, getrusage};
use nix::sys::time::TimeValLike;
use reports::report::{Report, Role};

fn main() -> Result<(), Box<dyn Error>> {
    // cargo adds `--bench`.
    let mut words: Vec<String> = std::env::args().skip(1).filter(|word| word != "--bench").collect();
    if let (true, Ok(word)) = (words.is_empty(), std::env::var("BULKHEAD_BENCH")) {
        words.push(word);
    }
    match words.as_slice() {
        [] => words.push("hard-cap-kill".into()),
        [word] if word == "all" => words.clear(),
        _ => {}
    }
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/..");
    let scratch = tempfile::tempdir()?;
    let json = scratch.path().join("report.json");
    // Builds what a change since the last call made necessary, and images that are not there.
    let warm = verify(
        root,
        &["hard-cap-kill".into(), "--twins".into(), "none".into()],
        &scratch.path().join("warm"),
    )?;
    println!("Warmed up (exit {warm}). Before: {}.\n", Load::now());
    words.push(format!("--report=json:{}", json.display()));
    let (start, before) = (Instant::now(), processor_seconds()?);
    let code = verify(root, &words, &scratch.path().join("runs"))?;
    let (clock, processor) = (start.elapsed().as_secs_f64(), processor_seconds()? - before);
    let report: Report = serde_json::from_slice(&std::fs::read(&json)?)?;
    print(&report);
    println!("| **whole** | exit {code} | **{clock:.1} s** |");
    println!("\nProcessors: {processor:.1} s. After: {}.", Load::now());
    Ok(())
}

/// The exit code.
fn verify(root: &str, words: &[String], store: &std::path::Path) -> Result<i32, Box<dyn Error>> {
    let mut command = Command::new("./ci/verify");
    command.current_dir(root).args(words).arg("--store").arg(store);
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
