//! From the kernel's timestamp of a kill to the event in the record: real kills at a cgroup's limit, seen by the
//! follower and the recorder of the product.

use std::fs;
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

pub(crate) fn run() -> Result {
    let mut cgroups = Delegated::enter()?;
    println!("{}\n", Load::now());
    println!("| kernel's timestamp → recorded event | kills | median | p90 | max | clock known to |");
    println!("|---|---:|---:|---:|---:|---:|");
    print("nothing else to do", kills(&mut cgroups, "idle", false)?);
    print("every processor busy", kills(&mut cgroups, "busy", true)?);
    Ok(())
}

/// Burns a processor until it is killed.
pub(crate) fn spin() -> ! {
    loop {
        std::hint::spin_loop();
    }
}

fn print(how: &str, (delays, clock): (Figures, Calibration)) {
    println!(
        "| {how} | {} | {:.2} ms | {:.2} ms | {:.2} ms | ± {:.2} ms |",
        delays.count(),
        delays.median() / 1e3,
        delays.at(0.9) / 1e3,
        delays.most() / 1e3,
        clock.uncertainty_us as f64 / 1e3,
    );
}

/// Microseconds from log to record of each kill.
fn kills(cgroups: &mut Delegated, name: &str, busy: bool) -> Result<(Figures, Calibration)> {
    let capped = cgroups.make(name)?;
    fs::write(below(&capped).join("memory.max"), LIMIT.to_string())?;
    let dir = tempfile::tempdir_in("/run")?;
    let recorder = Arc::new(Recorder::new(Store::create(&dir.path().join("record"))?));
    let mut reader = Reader::open(Path::new(kmsg::PATH))?;
    let clock = reader.calibrate()?;
    let stop = Arc::new(AtomicBool::new(false));
    let raw = recorder.store().kernel_log()?;
    let follower = kernel_log::start(reader, Some(clock), raw, Arc::clone(&recorder), Arc::clone(&stop));
    let spinners = if busy { Spinners::start()? } else { Spinners(Vec::new()) };
    for _ in 0..KILLS {
        kill(&capped, dir.path())?;
        thread::sleep(PAUSE);
    }
    drop(spinners);
    stop.store(true, Ordering::Release);
    follower.join().map_err(|_| "the follower panicked")?;
    let delays: Figures = recorded(&dir.path().join("record/events.jsonl"))?.into_iter().collect();
    if delays.count() != KILLS {
        return Err(format!("{} of {KILLS} kills are in the record", delays.count()).into());
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
        .args(["--wait", "--total", &(2 * LIMIT).to_string()])
        .spawn()?;
    fs::write(below(capped).join("cgroup.procs"), balloon.id().to_string())?;
    page.release();
    let end = balloon.wait()?;
    if end.success() { Err(format!("the balloon was not killed: {end}").into()) } else { Ok(()) }
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
