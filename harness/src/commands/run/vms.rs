//! Cases in throwaway VMs: one pristine clone for each, several side by side where cores allow.

use std::collections::VecDeque;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::thread;

use anyhow::Context;
use ci::{Event, Guest, Lab};
use reports::outcome::Verdict;
use reports::report::Case as Reported;

use super::{Outcome, judged};
use crate::cli::{GuestChoice, Run};
use crate::display::Display;
use crate::judge::starved;
use crate::record::Record;
use crate::run::progress::Progress;
use crate::target::Case;
use crate::target::vm::{Bundle, run_case};

/// The guests to run in, in order.
pub(super) fn guests(choice: GuestChoice) -> Vec<Guest> {
    match choice {
        GuestChoice::Bookworm => vec![Guest::Bookworm],
        GuestChoice::Trixie => vec![Guest::Trixie],
        GuestChoice::All => vec![Guest::Bookworm, Guest::Trixie],
    }
}

/// What one case came to, and its record.
type Done = (Reported, Record);

pub(super) fn run(
    arguments: &Run,
    cases: &[Case],
    store: &Path,
    display: &Display,
) -> anyhow::Result<Outcome> {
    let files: Vec<PathBuf> = cases.iter().map(|case| PathBuf::from(&case.scenario.path)).collect();
    let bundle = Bundle::pack(&files)?;
    let trouble = Mutex::new(Vec::new());
    let mut outcome = Outcome { cases: Vec::new(), records: Vec::new(), trouble: Vec::new() };
    for guest in guests(arguments.guest) {
        let lab = prepare(guest, display, &trouble)?;
        let machines = Machines { lab: &lab, bundle: &bundle, dir: store.join(guest.to_string()), display };
        let jobs = arguments.jobs.map_or_else(default_jobs, usize::from);
        for (case, mut done) in cases.iter().zip(machines.side_by_side(cases, jobs)?) {
            if let Some(waited) = starved_by_neighbours(&done, jobs) {
                let words = machines.set_aside(case, &done, waited)?;
                trouble.lock().unwrap_or_else(std::sync::PoisonError::into_inner).push(words);
                done = machines.run(case)?;
            }
            outcome.cases.push(done.0);
            outcome.records.push(done.1);
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

/// The machines of one guest, and where the records of what runs in them go.
struct Machines<'a> {
    lab: &'a Lab,
    bundle: &'a Bundle,
    dir: PathBuf,
    display: &'a Display,
}

impl Machines<'_> {
    /// Runs the cases on `jobs` threads; results come back in the order of the cases.
    fn side_by_side(&self, cases: &[Case], jobs: usize) -> anyhow::Result<Vec<Done>> {
        let mut order: Vec<(usize, &Case)> = cases.iter().enumerate().collect();
        // The longest first, so that none of them is left to run alone at the end.
        order.sort_by_key(|(_, case)| std::cmp::Reverse(case.length()));
        let queue = Mutex::new(VecDeque::from(order));
        let next = || queue.lock().unwrap_or_else(std::sync::PoisonError::into_inner).pop_front();
        let work = || {
            let mut done = Vec::new();
            while let Some((index, case)) = next() {
                done.push((index, self.run(case)?));
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
        all.sort_by_key(|(index, _)| *index);
        Ok(all.into_iter().map(|(_, done)| done).collect())
    }

    /// Runs one case in a clone of its own and judges its record.
    fn run(&self, case: &Case) -> anyhow::Result<Done> {
        let name = case.name();
        let place = self.dir.join(case.dir_name());
        self.display.doing(&name, "clones a machine");
        let mut on = |progress: &Progress| self.display.case(&name, progress);
        run_case(self.lab, self.bundle, case, &place, &mut on)?;
        let (reported, record) = judged(case, &place)?;
        self.display.judged(&name, &reported);
        Ok((reported, record))
    }

    /// Makes room for a second record of a case, and says why there will be one.
    fn set_aside(&self, case: &Case, (reported, _): &Done, waited: u64) -> anyhow::Result<String> {
        let kept = self.dir.join(format!("{}.beside-others", case.dir_name()));
        fs::rename(self.dir.join(case.dir_name()), &kept)
            .with_context(|| format!("cannot keep the first record as {}", kept.display()))?;
        let words = format!(
            "{} on {}: run again, alone; beside others its VM waited for processors for {waited} % of the run, and it \
             was {} ({})",
            case.name(),
            self.lab.guest(),
            reported.verdict,
            kept.display()
        );
        self.display.done(&case.name(), &words);
        Ok(words)
    }
}

/// A case that stayed open, and whose VM its neighbours had kept from the processors: how long, percent of the run.
fn starved_by_neighbours((reported, record): &Done, jobs: usize) -> Option<u64> {
    let open = matches!(reported.verdict, Verdict::Inconclusive | Verdict::Aborted);
    starved(record).filter(|_| open && jobs > 1)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use rstest::rstest;

    use super::*;
    use crate::record::{GuestFacts, Samples};
    use crate::scenario::Scenario;

    /// A case that never began, in a guest that waited this share of its time.
    fn done(verdict: Verdict, waited_percent: Option<u64>) -> Done {
        let text = include_str!("../../../../scenarios/hard-cap-kill.toml");
        let scenario = Scenario::parse("hard-cap-kill.toml", text).expect("a scenario");
        let guest = GuestFacts { name: "trixie".into(), accelerator: "tcg".into(), waited_percent };
        let head = Case { scenario: Arc::new(scenario), twin: None, run: 1 }.head(Some(guest));
        let record = Record { head, events: Vec::new(), samples: Samples::default(), damage: Vec::new() };
        let mut reported = crate::report::case(&record, &crate::judge::judge(&record), 1, Path::new("x"));
        reported.verdict = verdict;
        (reported, record)
    }

    #[rstest]
    #[case::open_and_starved(Verdict::Inconclusive, Some(50), 2, true)]
    #[case::stopped_and_starved(Verdict::Aborted, Some(96), 2, true)]
    #[case::open_by_itself(Verdict::Inconclusive, Some(49), 2, false)]
    #[case::open_and_nobody_knows(Verdict::Inconclusive, None, 2, false)]
    #[case::alone_already(Verdict::Inconclusive, Some(96), 1, false)]
    #[case::it_held_all_the_same(Verdict::Pass, Some(96), 2, false)]
    #[case::it_failed_all_the_same(Verdict::Fail, Some(96), 2, false)]
    fn what_neighbours_kept_open_is_run_again(
        #[case] verdict: Verdict,
        #[case] waited: Option<u64>,
        #[case] jobs: usize,
        #[case] again: bool,
    ) {
        assert_eq!(starved_by_neighbours(&done(verdict, waited), jobs), waited.filter(|_| again));
    }
}
