//! Cases in throwaway VMs: one pristine clone for each, several side by side where cores allow.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::thread;

use anyhow::Context;
use ci::{Event, Guest, Lab};
use reports::report::Case as Reported;

use super::{Outcome, judged};
use crate::cli::{GuestChoice, Run};
use crate::display::Display;
use crate::record::Record;
use crate::target::Case;
use crate::target::vm::{Bundle, run_case};

pub(super) fn run(
    arguments: &Run,
    cases: &[Case],
    store: &Path,
    display: &Display,
) -> anyhow::Result<Outcome> {
    let guests = match arguments.guest {
        GuestChoice::Bookworm => vec![Guest::Bookworm],
        GuestChoice::Trixie => vec![Guest::Trixie],
        GuestChoice::All => vec![Guest::Bookworm, Guest::Trixie],
    };
    let files: Vec<PathBuf> = cases.iter().map(|case| PathBuf::from(&case.scenario.path)).collect();
    let bundle = Bundle::pack(&files)?;
    let trouble = Mutex::new(Vec::new());
    let mut outcome = Outcome { cases: Vec::new(), records: Vec::new(), trouble: Vec::new() };
    for guest in guests {
        let lab = prepare(guest, display, &trouble)?;
        let dir = store.join(guest.to_string());
        let jobs = arguments.jobs.map_or_else(default_jobs, usize::from);
        let done = side_by_side(&lab, &bundle, cases, &dir, jobs, display)?;
        for (reported, record) in done {
            outcome.cases.push(reported);
            outcome.records.push(record);
        }
    }
    outcome.trouble = trouble.into_inner().unwrap_or_default();
    Ok(outcome)
}

/// A clone mostly waits; one for each core keeps latencies honest.
fn default_jobs() -> usize {
    thread::available_parallelism().map_or(1, usize::from)
}

fn prepare(guest: Guest, display: &Display, trouble: &Mutex<Vec<String>>) -> anyhow::Result<Lab> {
    let name = guest.to_string();
    let lab = Lab::prepare(guest, &|event| match event {
        Event::Waiting { entry } => {
            display.doing(&name, &format!("waits for another run that builds {entry}"));
        }
        Event::ImageBuild { step, line, .. } => display.doing(&name, &format!("image: {step} {line}")),
        Event::ImageReady { cached: false, took, .. } => {
            display.done(&name, &format!("image built in {:.1} s", took.as_secs_f64()));
        }
        Event::BootStart { .. } => display.doing(&name, "boots"),
        Event::Boot { line } => display.doing(&name, &format!("boots: {line}")),
        Event::BootEnd { took } => {
            display.doing(&name, &format!("answers after {:.1} s, settles", took.as_secs_f64()));
        }
        Event::BootRetry { why } => {
            let words = format!("{name}: trouble of the VM, not of a scenario; boot tried again: {why}");
            display.done(&name, &words);
            trouble.lock().unwrap_or_else(std::sync::PoisonError::into_inner).push(words);
        }
        Event::TemplateReady { cached: false, took, .. } => {
            display.done(&name, &format!("machine ready to clone after {:.1} s", took.as_secs_f64()));
        }
        Event::Probe { .. }
        | Event::Settled { .. }
        | Event::ImageReady { .. }
        | Event::TemplateReady { .. } => {}
    });
    lab.with_context(|| format!("the {guest} machine could not be made ready"))
}

/// Runs the cases on `jobs` threads; results come back in the order of the cases.
fn side_by_side(
    lab: &Lab,
    bundle: &Bundle,
    cases: &[Case],
    dir: &Path,
    jobs: usize,
    display: &Display,
) -> anyhow::Result<Vec<(Reported, Record)>> {
    let mut order: Vec<(usize, &Case)> = cases.iter().enumerate().collect();
    // The longest first, so that none of them is left to run alone at the end.
    order.sort_by_key(|(_, case)| std::cmp::Reverse(case.observed()));
    let queue = Mutex::new(VecDeque::from(order));
    let next = || queue.lock().unwrap_or_else(std::sync::PoisonError::into_inner).pop_front();
    let work = || {
        let mut done = Vec::new();
        while let Some((index, case)) = next() {
            let name = case.name();
            let place = dir.join(case.dir_name());
            display.doing(&name, "clones a machine");
            run_case(lab, bundle, case, &place, &mut |progress| display.case(&name, progress))?;
            let (reported, record) = judged(case, &place)?;
            display.judged(&name, reported.verdict, &reported.headline);
            done.push((index, reported, record));
        }
        anyhow::Ok(done)
    };
    let mut all = thread::scope(|scope| {
        let workers: Vec<_> = (0..jobs.min(cases.len())).map(|_| scope.spawn(work)).collect();
        let mut all = Vec::new();
        for worker in workers {
            let done = worker.join().unwrap_or_else(|_| Err(anyhow::anyhow!("a worker panicked")))?;
            all.extend(done);
        }
        anyhow::Ok(all)
    })?;
    all.sort_by_key(|(index, _, _)| *index);
    Ok(all.into_iter().map(|(_, reported, record)| (reported, record)).collect())
}
