//! How long it takes until a guest does what it is told: booted from cold, and cloned from a template.
//!
//! `cargo bench -p ci [-- N]` prints medians of N runs (5) as a Markdown table. Seconds by the clock depend on what else
//! the machine does; the processor seconds that QEMU used hardly do.

use std::error::Error;
use std::fs;
use std::time::Instant;

use ci::{CloneOptions, Command, Exit, Guest, Lab, LabError, Vm};

fn main() -> Result<(), Box<dyn Error>> {
    // cargo adds `--bench`.
    let runs = std::env::args().skip(1).find_map(|argument| argument.parse().ok()).unwrap_or(5);
    println!("Before: {}.\n", load());
    println!(
        "| guest | QEMU start → first command | median of {runs} | fastest | slowest | processor, median |"
    );
    println!("|---|---|---:|---:|---:|---:|");
    for guest in Guest::all() {
        let lab = Lab::prepare(*guest, &|_| {})?;
        let ways: [(&str, Start<'_>); 2] = [
            ("cold boot", &|| lab.boot_cold()),
            ("template clone", &|| lab.spawn(&CloneOptions::new("bench"))),
        ];
        for (way, start) in ways {
            let measured = (0..runs).map(|_| measure(start)).collect::<Result<Vec<_>, _>>()?;
            let (clock, processor): (Vec<_>, Vec<_>) = measured.into_iter().unzip();
            let ([median, fastest, slowest], [busy, ..]) = (spread(clock), spread(processor));
            println!("| {guest} | {way} | {median:.2} s | {fastest:.2} s | {slowest:.2} s | {busy:.2} s |");
        }
    }
    println!("\nAfter: {}.", load());
    Ok(())
}

/// How busy this machine is, in the words of proc_loadavg(5).
fn load() -> String {
    let averages = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    format!("load averages {}", averages.trim_end())
}

/// One way to start a machine.
type Start<'a> = &'a dyn Fn() -> Result<Vm, LabError>;

/// Seconds by the clock, and by QEMU's processors.
fn measure(start: impl Fn() -> Result<Vm, LabError>) -> Result<(f64, f64), Box<dyn Error>> {
    let begin = Instant::now();
    let vm = start()?;
    match vm.output(&Command::new("true"))? {
        (Exit::Code(0), _) => Ok((begin.elapsed().as_secs_f64(), processor_seconds(vm.qemu_pid())?)),
        (exit, output) => Err(format!("`true` ended with {exit}: {output}").into()),
    }
}

/// utime and stime of `/proc/PID/stat` (proc_pid_stat(5)), in ticks of which there are a hundred a second on Linux.
fn processor_seconds(pid: u32) -> Result<f64, Box<dyn Error>> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    // The name in brackets may contain anything; the fields after it start with the third.
    let (_, fields) = stat.rsplit_once(')').ok_or("no name in /proc/PID/stat")?;
    let ticks =
        fields.split_ascii_whitespace().skip(11).take(2).map(str::parse::<u32>).sum::<Result<u32, _>>()?;
    Ok(f64::from(ticks) / 100.0)
}

/// Median, least and greatest.
fn spread(mut values: Vec<f64>) -> [f64; 3] {
    values.sort_by(f64::total_cmp);
    [values.get(values.len() / 2), values.first(), values.last()]
        .map(|value| value.copied().unwrap_or(f64::NAN))
}
