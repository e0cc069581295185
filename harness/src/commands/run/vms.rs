//! Cases in throwaway VMs: one pristine clone for each, several side by side where cores allow.

use std::collections::VecDeque;
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::thread;

use anyhow::Context;
use ci::{Guest, Lab};
use reports::case_id::CaseId;
use reports::outcome::Verdict;

use super::Outcome;
use super::room::Room;
use super::turns::Turns;
use crate::case::receive::News;
use crate::case::vm::{Bundle, head, run_case};
use crate::case::{Case, append, write_end};
use crate::cli::{GuestChoice, Run};
use crate::commands::lab;
use crate::display::Display;
use crate::error::chain;
use crate::record::event::{EndReason, Mark};
use crate::record::store::StoreError;
use crate::record::{Event as Recorded, GuestFacts};
use crate::report::Judged;

/// The guests to run in, in order.
pub(super) fn guests(choice: GuestChoice) -> Vec<Guest> {
    match choice {
        GuestChoice::Bookworm => vec![Guest::Bookworm],
        GuestChoice::Trixie => vec![Guest::Trixie],
        GuestChoice::All => vec![Guest::Bookworm, Guest::Trixie],
    }
}

/// Where trouble that belongs to no case is noted, from whichever thread.
type Trouble = Mutex<Vec<String>>;

fn note(trouble: &Trouble, words: String) {
    trouble.lock().unwrap_or_else(std::sync::PoisonError::into_inner).push(words);
}

pub(super) fn run(
    arguments: &Run,
    cases: &[Case],
    store: &Path,
    display: &Display,
) -> anyhow::Result<Outcome> {
    let bundle = Bundle::pack()?;
    let trouble = Trouble::default();
    let mut outcome = Outcome::default();
    let room = Room::of_this_machine();
    // Before anything is built or booted.
    drop(room.take()?);
    let wanted = arguments.jobs.map_or_else(processors, usize::from);
    let (jobs, short) = room.jobs(wanted.min(cases.len()));
    if let Some(words) = short {
        display.done("memory", &words);
        note(&trouble, words);
    }
    let mut unready = None;
    let guests = guests(arguments.guest);
    let mut ready = 0;
    for guest in guests {
        let dir = store.join(guest.to_string());
        match lab::prepare(guest, display, &|words| note(&trouble, words)) {
            Ok(lab) => {
                ready += 1;
                let turns = Turns::of(processors(), usize::try_from(lab.processors())?);
                let machines = Machines { lab: &lab, bundle: &bundle, dir, display, room: &room, turns };
                machines.run_all(cases, jobs, &mut outcome);
            }
            // The other guest's cases are worth having.
            Err(error) => {
                let why = format!("{error:#}");
                outcome.runs.extend(cases.iter().map(|case| no_machine(case, guest, &dir, &why)));
                unready.get_or_insert(error);
            }
        }
    }
    if let (0, Some(error)) = (ready, unready) {
        return Err(error);
    }
    outcome.trouble = trouble.into_inner().unwrap_or_default();
    Ok(outcome)
}

/// A case whose guest could not be made ready, with a record that says so.
fn no_machine(case: &Case, guest: Guest, dir: &Path, why: &str) -> Judged {
    let name = guest.to_string();
    let place = dir.join(case.id(Some(&name)).dir_name());
    let head = case.head(Some(GuestFacts { name, accelerator: String::new(), waited_percent: None }));
    let what = format!("the VM failed, not the scenario: {why}");
    let written =
        write_end(&place, &head, EndReason::MachineLost { what: what.clone(), console: String::new() });
    let mut judged = Judged::read_or(&place, head, &what);
    if let Err(error) = written {
        judged.trouble(chain(&error));
    }
    judged
}

/// Of this machine; without `--jobs` as many clones run side by side.
fn processors() -> usize {
    thread::available_parallelism().map_or(1, usize::from)
}

/// The machines of one guest, and where the records of what runs in them go.
struct Machines<'a> {
    lab: &'a Lab,
    bundle: &'a Bundle,
    dir: PathBuf,
    display: &'a Display,
    room: &'a Room,
    turns: Turns,
}

impl Machines<'_> {
    /// Runs every case; those that their neighbours kept open once more, alone.
    fn run_all(&self, cases: &[Case], jobs: usize, outcome: &mut Outcome) {
        for (case, mut done) in cases.iter().zip(self.side_by_side(cases, jobs)) {
            if let Some(waited) = starved_by_neighbours(&done, jobs) {
                match self.set_aside(case, &mut done, waited) {
                    Ok(words) => {
                        outcome.aside.push(words);
                        done = self.run(case);
                    }
                    // What there is counts.
                    Err(error) => done.trouble(format!("could not be rerun alone: {error:#}")),
                }
            }
            outcome.runs.push(done);
        }
    }

    /// Runs the cases on `jobs` threads; results come back in the order of the cases.
    fn side_by_side(&self, cases: &[Case], jobs: usize) -> Vec<Judged> {
        let mut order: Vec<(usize, &Case)> = cases.iter().enumerate().collect();
        // The longest first, so that none of them is left to run alone at the end.
        order.sort_by_key(|(_, case)| std::cmp::Reverse(case.length()));
        let queue = Mutex::new(VecDeque::from(order));
        let next = || queue.lock().unwrap_or_else(std::sync::PoisonError::into_inner).pop_front();
        let done = Mutex::new(Vec::new());
        let work = || {
            while let Some((index, case)) = next() {
                let judged = self.run(case);
                done.lock().unwrap_or_else(std::sync::PoisonError::into_inner).push((index, judged));
            }
        };
        thread::scope(|scope| {
            for _ in 0..jobs.min(cases.len()) {
                scope.spawn(work);
            }
        });
        let mut done = done.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
        done.sort_by_key(|(index, _)| *index);
        done.into_iter().map(|(_, done)| done).collect()
    }

    fn id(&self, case: &Case) -> CaseId {
        case.id(Some(&self.lab.guest().to_string()))
    }

    /// Runs one case in a clone of its own and judges its record. Whatever goes wrong is this case's trouble alone.
    fn run(&self, case: &Case) -> Judged {
        let id = self.id(case);
        let place = self.dir.join(id.dir_name());
        self.display.doing(&id.name(), "cloning the VM");
        let run = || self.in_a_clone(case, &place, &id).map_err(|error| chain(&error));
        let ran = catch_unwind(AssertUnwindSafe(run)).unwrap_or_else(|_| Err("the harness panicked".into()));
        let why = ran.err().unwrap_or_default();
        let mut judged = Judged::read_or(&place, head(self.lab, case), &why);
        if !why.is_empty() {
            judged.trouble(why);
        }
        self.display.judged(&id.name(), &judged.case);
        judged
    }

    fn in_a_clone(&self, case: &Case, place: &Path, id: &CaseId) -> Result<(), StoreError> {
        let mut turn = None;
        let mut on = |news: News<'_>| match news {
            News::Progress(progress) => self.display.case(&id.name(), progress),
            News::Ready => {
                self.display.doing(&id.name(), "set up, waiting for CPUs");
                turn.get_or_insert_with(|| self.turns.take());
            }
            News::Phase(mark) if mark > Mark::Climb => turn = None,
            News::Phase(_) => {}
        };
        match self.room.take() {
            Ok(_taken) => run_case(self.lab, self.bundle, case, place, &mut on),
            Err(no_room) => {
                let reason = EndReason::Refused { reason: no_room.to_string() };
                write_end(place, &head(self.lab, case), reason)
            }
        }
    }

    /// Makes room for a second record of a case, notes in the first that it does not count, and says why.
    fn set_aside(&self, case: &Case, done: &mut Judged, waited: u64) -> anyhow::Result<String> {
        let id = self.id(case);
        let (first, kept) =
            (self.dir.join(id.dir_name()), self.dir.join(format!("{}@beside-others", id.dir_name())));
        let why = format!(
            "rerun alone: in parallel with others its VM waited for host CPUs for {waited} % of the run, and it was {}",
            done.case.verdict
        );
        fs::rename(&first, &kept)
            .with_context(|| format!("cannot keep the first record as {}", kept.display()))?;
        if let Err(error) = append(&kept, Recorded::SetAside { why: why.clone() }) {
            // Not marked, it would count.
            let _ = fs::rename(&kept, &first);
            return Err(error.into());
        }
        done.lay_aside(why, &kept);
        let words = done.aside_words();
        self.display.done(&id.name(), &words);
        Ok(words)
    }
}

/// A case that stayed open, and whose VM its neighbours had kept from the processors: how long, percent of the run.
fn starved_by_neighbours(done: &Judged, jobs: usize) -> Option<u64> {
    let open = matches!(done.case.verdict, Verdict::Inconclusive | Verdict::Aborted);
    done.starved.filter(|_| open && jobs > 1)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use rstest::rstest;

    use super::*;
    use crate::scenario::Scenario;

    /// A case that never began, in a guest that waited this share of its time.
    fn done(verdict: Verdict, waited_percent: Option<u64>) -> Judged {
        let text = include_str!("../../../../scenarios/hard-cap-kill.toml");
        let scenario = Scenario::parse("hard-cap-kill.toml", text).expect("a scenario");
        let guest = GuestFacts { name: "trixie".into(), accelerator: "tcg".into(), waited_percent };
        let head = Case { scenario: Arc::new(scenario), twin: None, run: 1 }.head(Some(guest));
        let dir = tempfile::tempdir().expect("a temporary directory");
        write_end(dir.path(), &head, EndReason::ObserveElapsed).expect("written");
        let mut judged = Judged::read(dir.path());
        judged.case.verdict = verdict;
        judged
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
