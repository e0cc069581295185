//! Watching a program from outside while it fills memory: its largest process's resident set over time.

use std::io;
use std::process::{Command, Stdio};
use std::time::Instant;

/// Runs the command to its end; seconds in which its resident set would have grown by `bytes`, from the time it took
/// between 2 % and 98 % of them.
pub(crate) fn seconds_to_fill(command: &mut Command, bytes: u64) -> io::Result<f64> {
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
    let (mut first, mut last) = (None, None);
    let mut largest = None;
    while child.try_wait()?.is_none() {
        let pid = *largest.get_or_insert_with(|| child.id());
        let resident = resident(pid);
        if resident < bytes / 50 {
            largest = family(child.id()).into_iter().max_by_key(|&pid| self::resident(pid));
        } else if first.is_none() {
            first = Some((Instant::now(), resident));
        } else if last.is_none() && resident >= bytes / 50 * 49 {
            last = Some((Instant::now(), resident));
        }
        std::thread::yield_now();
    }
    match (first, last) {
        (Some((start, low)), Some((end, high))) if high > low => {
            Ok((end - start).as_secs_f64() * bytes as f64 / (high - low) as f64)
        }
        _ => Err(io::Error::other("it was not seen to fill its memory")),
    }
}

fn resident(pid: u32) -> u64 {
    let statm = std::fs::read_to_string(format!("/proc/{pid}/statm")).unwrap_or_default();
    statm.split(' ').nth(1).and_then(|pages| pages.parse::<u64>().ok()).unwrap_or(0) * 4096
}

/// A process and all below it.
fn family(pid: u32) -> Vec<u32> {
    let mut all = vec![pid];
    let mut next = 0;
    while let Some(pid) = all.get(next) {
        let children =
            std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
        all.extend(children.split_whitespace().filter_map(|word| word.parse::<u32>().ok()));
        next += 1;
    }
    all
}
