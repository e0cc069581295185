//! From the kernel's timestamp of a kill to the event in the record: real kills at a cgroup's limit, seen by the
//! follower and the recorder of the product.
//!
//! The kernel writes "Killed process" to the guest's serial console before it wakes a reader of the log, and an emulated
//! serial line is slow: how much of the delay that is shows a round with the console silenced.

use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Child, Command};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use balloon::status::Page;
use harness::cgroupfs::CgroupPath;
use harness::kmsg::oom::OomEvent;
use harness::kmsg::{self, Calibration, Reader};
use harness::record::store::Store;
use harness::record::{Event, Stamped};
use harness::run::kernel_log;
use harness::run::recorder::Recorder;

use crate::Result;
use crate::figures::Figures;
use crate::inside::{Delegated, below};
use crate::kit::INSIDE;
use crate::load::Load;

const KILLS: usize = 30;
/// The kernel prints ten dumps of an OOM in five seconds and no more.
const PAUSE: Duration = Duration::from_millis(650);
const MIB: u64 = 1 << 20;
const LIMIT: u64 = 24 * MIB;

/// What else goes on during a kill.
struct Round {
    name: &'static str,
    /// A spinner on every processor.
    busy: bool,
    /// Console level, default level, least and boot-time level (proc_sys_kernel(5)).
    console: &'static str,
}

/// As the guest boots with `quiet`: errors and worse.
const ERRORS: &str = "4 4 1 7";
/// Emergencies alone.
const SILENCED: &str = "1 4 1 7";

const ROUNDS: [Round; 3] = [
    Round { name: "nothing else to do", busy: false, console: ERRORS },
    Round { name: "nothing else to do, console silenced", busy: false, console: SILENCED },
    Round { name: "every processor busy", busy: true, console: ERRORS },
];

pub(crate) fn run() -> Result {
    let mut cgroups = Delegated::enter()?;
    println!("{}\n", Load::now());
    println!("| kernel's timestamp → recorded event | kills | median | p90 | max |");
    println!("|---|---:|---:|---:|---:|");
    let (delays, clock) = kills(&mut cgroups)?;
    for (index, round) in ROUNDS.iter().enumerate() {
        let delays: Figures = delays.iter().copied().skip(index).step_by(ROUNDS.len()).collect();
        println!(
            "| {} | {} | {:.2} ms | {:.2} ms | {:.2} ms |",
            round.name,
            delays.count(),
            delays.median() / 1e3,
            delays.at(0.9) / 1e3,
            delays.most() / 1e3,
        );
    }
    println!("\nThe two clocks are known to each other to ± {:.2} ms.", clock.uncertainty_us as f64 / 1e3);
    Ok(())
}

/// Burns a processor until it is killed.
pub(crate) fn spin() -> ! {
    loop {
        std::hint::spin_loop();
    }
}

/// Microseconds from log to record of each kill, the rounds in turn.
fn kills(cgroups: &mut Delegated) -> Result<(Vec<f64>, Calibration)> {
    let capped = cgroups.make("capped")?;
    fs::write(below(&capped).join("memory.max"), LIMIT.to_string())?;
    let dir = tempfile::tempdir_in("/run")?;
    let recorder = Arc::new(Recorder::new(Store::create(&dir.path().join("record"))?));
    let mut reader = Reader::open(Path::new(kmsg::PATH))?;
    let clock = reader.calibrate()?;
    let stop = Arc::new(AtomicBool::new(false));
    let raw = recorder.store().kernel_log()?;
    let follower = kernel_log::start(reader, Some(clock), raw, Arc::clone(&recorder), Arc::clone(&stop));
    for _ in 0..KILLS {
        for round in &ROUNDS {
            fs::write("/proc/sys/kernel/printk", round.console)?;
            let spinners = if round.busy { Spinners::start()? } else { Spinners(Vec::new()) };
            kill(&capped, dir.path())?;
            thread::sleep(PAUSE);
            drop(spinners);
        }
    }
    stop.store(true, Ordering::Release);
    follower.join().map_err(|_| "the follower panicked")?;
    let delays = recorded(&dir.path().join("record/events.jsonl"))?;
    if delays.len() != KILLS * ROUNDS.len() {
        return Err(format!("{} of {KILLS} × {} kills are in the record", delays.len(), ROUNDS.len()).into());
    }
    Ok((delays, clock))
}

/// A balloon of twice the limit.
fn kill(capped: &CgroupPath, dir: &Path) -> Result {
    let status = dir.join("status");
    // The page of the balloon before it.
    let _ = fs::remove_file(&status);
    let page = Page::create(&status)?;
    let mut balloon = Command::new(format!("{INSIDE}/balloon"))
        .arg("--status")
        .arg(&status)
        .args(["--wait", "--oom-score-adj", "0", "--total", &(2 * LIMIT).to_string()])
        .spawn()?;
    fs::write(below(capped).join("cgroup.procs"), balloon.id().to_string())?;
    page.release();
    let end = balloon.wait()?;
    if end.signal() == Some(9) { Ok(()) } else { Err(format!("the balloon was not killed: {end}").into()) }
}

fn recorded(events: &Path) -> Result<Vec<f64>> {
    let mut delays = Vec::new();
    for line in fs::read_to_string(events)?.lines() {
        let Stamped { at_us, event } = serde_json::from_str(line)?;
        if let Event::KernelOom { logged_us: Some(logged_us), oom: OomEvent::Killed { .. }, .. } = event {
            delays.push(at_us as f64 - logged_us as f64);
        }
    }
    Ok(delays)
}

/// One for each processor, ended when dropped.
struct Spinners(Vec<Child>);

impl Spinners {
    fn start() -> Result<Self> {
        let count = thread::available_parallelism()?.get();
        let program = std::env::current_exe()?;
        let mut spinners = Self(Vec::new());
        for _ in 0..count {
            spinners.0.push(Command::new(&program).args(["inside", "spin"]).spawn()?);
        }
        Ok(spinners)
    }
}

impl Drop for Spinners {
    fn drop(&mut self) {
        for spinner in &mut self.0 {
            // It runs until it is killed.
            let _ = spinner.kill().and_then(|()| spinner.wait());
        }
    }
}
