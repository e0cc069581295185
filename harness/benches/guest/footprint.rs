//! What the harness takes while it works: `hard-cap-kill` as in every verification, each run in a clone of its own, and
//! what its record says about the harness itself.

use std::path::Path;

use ci::{Command, Lab};
use harness::kmsg::oom::OomEvent;
use harness::record::{Event, Record};

use crate::figures::Figures;
use crate::kit::{INSIDE, Kit};
use crate::{PATIENCE, Result};

const RUNS: usize = 3;
const STORE: &str = "/run/store";
/// The guest's swap device: the scenario wants swap.
const SWAP: &str = "/dev/vdc";

pub(crate) fn run(lab: &Lab, kit: &Kit) -> Result {
    println!("| `hard-cap-kill` | peak RSS | cgroups | rows | mean row | latest row | kill → event |");
    println!("|---|---:|---:|---:|---:|---:|---:|");
    let mut peaks = Vec::new();
    for number in 1..=RUNS {
        let record = one(lab, kit)?;
        let (peak, line) = figures(&record).ok_or("the record says nothing of the harness itself")?;
        println!("| run {number} {line}");
        peaks.push(peak);
    }
    println!("\nLargest peak RSS: {:.1} MiB.", peaks.into_iter().collect::<Figures>().most());
    Ok(())
}

fn one(lab: &Lab, kit: &Kit) -> Result<Record> {
    let vm = crate::spawn(lab, kit)?;
    vm.output(&Command::new("swapon").arg(SWAP))?;
    let program = Command::new(format!("{INSIDE}/bulkhead")).args(["run", "--on", "host", "--store", STORE]);
    let scenario = format!("{INSIDE}/hard-cap-kill.toml");
    let (exit, words) = vm.output(&program.args(["--twins", "none", &scenario]).timeout(PATIENCE))?;
    if !exit.success() {
        return Err(format!("inside the guest: {exit}: {words}").into());
    }
    let scratch = tempfile::tempdir()?;
    let into = scratch.path().join("record");
    let (_, events) = vm.output(&Command::sh(format!("ls {STORE}/*/*/events.jsonl")))?;
    vm.fetch(Path::new(events.trim()).parent().ok_or("no record")?, &into)?;
    Ok(Record::load(&into)?)
}

/// MiB at the peak, and the cells of the table.
fn figures(record: &Record) -> Option<(f64, String)> {
    let delay = record.events.iter().find_map(|stamped| match &stamped.event {
        Event::KernelOom { logged_us: Some(logged), oom: OomEvent::Killed { .. }, .. } => {
            Some((stamped.at_us as f64 - *logged as f64) / 1e3)
        }
        _ => None,
    })?;
    let cgroups = record.head.plan.as_ref()?.watched.len();
    record.events.iter().find_map(|stamped| match stamped.event {
        Event::SelfUse { peak_rss, ticks, max_late_us, mean_tick_us } => {
            let peak = peak_rss as f64 / f64::from(1 << 20);
            let (mean, late) = (mean_tick_us as f64 / 1e3, max_late_us as f64 / 1e3);
            let line = format!(
                "| {peak:.1} MiB | {cgroups} | {ticks} | {mean:.2} ms | {late:.1} ms late | {delay:.2} ms |"
            );
            Some((peak, line))
        }
        _ => None,
    })
}
