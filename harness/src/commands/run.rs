//! `bulkhead run`: selection → cases → records → findings → reports.

mod room;
mod select;
mod turns;
mod vms;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context, bail};
use reports::report::Report;
use reports::sink::{self, Sink};

use crate::case::host::HostError;
use crate::case::{self, Case};
use crate::cli::{Run, Target};
use crate::display::Display;
use crate::error::chain;
use crate::exit_code::ExitCode;
use crate::record::event::EndReason;
use crate::report::{Judged, TROUBLE, exit_code, report};
use crate::run::progress::Progress;
use room::NoRoom;

/// What running all cases left behind.
#[derive(Default)]
pub(super) struct Outcome {
    /// One for each case, in the order of the selection.
    pub(super) runs: Vec<Judged>,
    /// Trouble that belongs to no case.
    pub(super) trouble: Vec<String>,
    /// Runs that do not count, because their case was run again.
    pub(super) aside: Vec<String>,
}

pub(super) fn run(arguments: &Run) -> anyhow::Result<ExitCode> {
    if arguments.on == Target::Host {
        crate::run::block_signals().context("cannot block signals")?;
    }
    match select_and_run(arguments) {
        // The machine cannot, its owner has not allowed it, or it has no memory left: a guard's answer, not a surprise.
        Err(error)
            if error.is::<NoRoom>()
                || matches!(error.downcast_ref(), Some(HostError::Unfit(_) | HostError::Allowance(_))) =>
        {
            eprintln!("refused: {error:#}");
            Ok(ExitCode::Guarded)
        }
        ended => ended,
    }
}

fn select_and_run(arguments: &Run) -> anyhow::Result<ExitCode> {
    let cases = match select::cases(arguments) {
        Ok(cases) => cases,
        Err(select::Refused::Scenarios(error)) => return super::check::refuse(&error),
        Err(select::Refused::Selection(words)) => {
            eprintln!("error: {words}");
            return Ok(ExitCode::Usage);
        }
    };
    if cases.is_empty() {
        eprintln!("nothing selected: see `bulkhead list`");
        return Ok(ExitCode::NothingRan);
    }
    fs::create_dir_all(&arguments.store)
        .with_context(|| format!("cannot create {}", arguments.store.display()))?;
    let sinks = match places(&arguments.reports) {
        Ok(sinks) => sinks,
        Err(code) => return Ok(code),
    };
    let began = Instant::now();
    let store = new_store(&arguments.store)?;
    let machines = match arguments.on {
        Target::Vm => vms::guests(arguments.guest).len(),
        Target::Host => 1,
    };
    let display = Display::of(cases.len() * machines);
    let mut outcome = match arguments.on {
        Target::Vm => vms::run(arguments, &cases, &store, &display)?,
        Target::Host => on_this_machine(&cases, &store, &display)?,
    };
    keep_trouble(&outcome.trouble, &store);
    outcome.aside.sort();
    outcome.trouble.append(&mut outcome.aside);
    let report = report(outcome.runs, outcome.trouble, began.elapsed(), Some(&store));
    let code = exit_code(&report)?;
    let kept = keep(&report, &store);
    // Who asked for a report gets it, even where the store is full.
    let delivered = publish(&report, sinks).and(kept);
    match delivered {
        Ok(()) => eprintln!("report: {}", store.join("report.md").display()),
        Err(error) if code == ExitCode::Dirty => eprintln!("error: {error:#}"),
        Err(error) => return Err(error),
    }
    Ok(code)
}

fn on_this_machine(cases: &[Case], store: &Path, display: &Display) -> anyhow::Result<Outcome> {
    let mut outcome = Outcome::default();
    for case in cases {
        let id = case.id(None);
        let dir = store.join(id.dir_name());
        display.doing(&id.name(), "starts");
        let ran = case::host::run_case(case, None, &dir, &mut |progress: &Progress| {
            display.case(&id.name(), progress);
        });
        if let (Err(error), true) = (&ran, outcome.runs.is_empty())
            && error.is_of_the_machine()
        {
            // No case can be run here: that is no finding about any of them.
            return Err(ran.map(drop).unwrap_err().into());
        }
        let judged = ended(case, &dir, ran);
        display.judged(&id.name(), &judged.case);
        let interrupted = judged.interrupted;
        outcome.runs.push(judged);
        if interrupted {
            break;
        }
    }
    Ok(outcome)
}

/// Reads back and judges what a case on this machine left, in the same way as `bulkhead judge`. What it left of itself on
/// the machine is told at once: nothing that happens later may hide it.
fn ended(case: &Case, dir: &Path, ran: Result<crate::run::Outcome, HostError>) -> Judged {
    let judged = match ran {
        Err(error) => {
            let why = chain(&error);
            let mut judged = Judged::read_or(dir, case.head(None), &why);
            judged.trouble(why);
            judged
        }
        Ok(outcome) => {
            let why = outcome.store.as_ref().map(|error| chain(error));
            let mut judged = Judged::read_or(dir, case.head(None), why.as_deref().unwrap_or_default());
            judged.interrupted |= matches!(outcome.end, EndReason::Interrupted { .. });
            judged.cleaned(&outcome.left);
            why.into_iter().for_each(|why| judged.trouble(why));
            judged
        }
    };
    if !judged.dirt().is_empty() {
        eprintln!(
            "cleanup of {} is not proven, this machine may be dirty; run `bulkhead recover` to check again:",
            judged.case.id().name()
        );
        judged.dirt().iter().for_each(|left| eprintln!("  {left}"));
    }
    judged
}

/// A new directory for this invocation, named by the time.
fn new_store(parent: &Path) -> anyhow::Result<PathBuf> {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH)?.as_secs();
    let stamp = reports::units::instant(now).replace([':', '-'], "");
    for number in 0..1000 {
        let name = if number == 0 { stamp.clone() } else { format!("{stamp}-{number}") };
        let dir = parent.join(name);
        match fs::create_dir(&dir) {
            Ok(()) => return Ok(dir),
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error).with_context(|| format!("cannot create {}", dir.display())),
        }
    }
    bail!("{} already has 1000 runs from this second", parent.display())
}

/// Trouble that belongs to no case, for `bulkhead judge`: the records do not know it.
fn keep_trouble(trouble: &[String], store: &Path) {
    if let (false, Ok(text)) = (trouble.is_empty(), serde_json::to_string_pretty(trouble)) {
        // A store that takes no more is told by the report that does not fit either.
        let _ = fs::write(store.join(TROUBLE), text);
    }
}

/// Every run keeps its report beside its records.
fn keep(report: &Report, store: &Path) -> anyhow::Result<()> {
    for (kind, name) in [("markdown", "report.md"), ("json", "report.json")] {
        let target: reports::target::Target = format!("{kind}:{}", store.join(name).display()).parse()?;
        sink::write(report, &target, &mut std::io::sink(), super::look())?;
    }
    Ok(())
}

/// The places of the reports that are asked for, before anything runs. Says why where there is none.
pub(super) fn places(targets: &[reports::target::Target]) -> Result<Vec<Sink>, ExitCode> {
    let opened = sink::open(targets).map_err(|error| {
        eprintln!("error: {}", chain(&error));
        ExitCode::Usage
    });
    let mut sinks = opened?;
    if !sinks.iter().any(Sink::is_stdout) {
        sinks.insert(0, Sink::terminal());
    }
    Ok(sinks)
}

/// The reports that were asked for; the terminal one when nothing else goes to standard output. One that cannot be written
/// keeps no other from being written.
pub(super) fn publish(report: &Report, sinks: Vec<Sink>) -> anyhow::Result<()> {
    let mut stdout = std::io::stdout();
    let mut ended = Ok(());
    for mut sink in sinks {
        ended = ended.and(sink.write(report, &mut stdout, super::look()));
    }
    Ok(ended?)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use reports::outcome::Verdict;
    use rstest::rstest;

    use super::*;
    use crate::record::store::Store;
    use crate::run::Outcome as Ran;
    use crate::scenario::Scenario;

    fn case() -> Case {
        let text = include_str!("../../../scenarios/hard-cap-kill.toml");
        let scenario = Scenario::parse("hard-cap-kill.toml", text).expect("a scenario");
        Case { scenario: Arc::new(scenario), twin: None, run: 1 }
    }

    /// What a store says that cannot be written any more.
    fn full() -> crate::record::store::StoreError {
        let taken = tempfile::tempdir().expect("a temporary directory");
        Store::create(taken.path()).expect_err("it is there already")
    }

    /// What is left on the machine decides, also where no record could be written of it.
    #[rstest]
    #[case::clean(&[], ExitCode::Inconclusive)]
    #[case::dirty(&["bulkhead-r1.slice is still there"], ExitCode::Dirty)]
    fn a_run_whose_record_is_lost_is_open_and_its_dirt_is_told(
        #[case] left: &[&str],
        #[case] code: ExitCode,
    ) {
        let store = tempfile::tempdir().expect("a temporary directory");
        let left: Vec<String> = left.iter().map(ToString::to_string).collect();
        let ran = Ran { end: EndReason::ObserveElapsed, left: left.clone(), store: Some(full()) };
        let judged = ended(&case(), &store.path().join("gone"), Ok(ran));
        assert_eq!(judged.case.verdict, Verdict::Inconclusive);
        assert!(
            judged.case.reason.as_deref().is_some_and(|why| why.starts_with("cannot create")),
            "{judged:?}"
        );
        assert_eq!(judged.dirt(), left);
        let said = report(vec![judged], Vec::new(), Duration::ZERO, None);
        assert_eq!(exit_code(&said).expect("a code"), code);
    }

    /// The disk filled up in the middle: what is there is no whole record, and the run says why.
    #[test]
    fn a_record_that_was_cut_is_judged_with_why_beside_it() {
        let store = tempfile::tempdir().expect("a temporary directory");
        let dir = store.path().join("cut");
        Store::create(&dir).expect("made").write_head(&case().head(None)).expect("written");
        let ran = Ran { end: EndReason::BalloonsEnded, left: Vec::new(), store: Some(full()) };
        let judged = ended(&case(), &dir, Ok(ran));
        assert_eq!(judged.case.verdict, Verdict::Inconclusive);
        assert!(judged.case.warnings[0].starts_with("cannot create"), "{:?}", judged.case.warnings);
    }
}
