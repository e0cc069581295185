//! `bulkhead run`: selection → cases → records → findings → reports.

mod select;
mod vms;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context, bail};
use reports::report::{Case as Reported, Report};

use crate::cli::{Run, Target};
use crate::display::Display;
use crate::exit_code::ExitCode;
use crate::record::Record;
use crate::target::host::HostError;
use crate::target::{self, Case};

/// What running all cases left behind.
pub(super) struct Outcome {
    /// One for each case, in the order of the selection.
    pub(super) cases: Vec<Reported>,
    /// The records behind them.
    pub(super) records: Vec<Record>,
    /// Trouble that belongs to no case.
    pub(super) trouble: Vec<String>,
}

pub(super) fn run(arguments: &Run) -> anyhow::Result<ExitCode> {
    if arguments.on == Target::Host {
        crate::run::block_signals().context("signals could not be blocked")?;
    }
    match select_and_run(arguments) {
        // The machine cannot, or its owner has not allowed it: that is a guard's answer, not a surprise.
        Err(error) if matches!(error.downcast_ref(), Some(HostError::Unfit(_) | HostError::Policy(_))) => {
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
    if let Some(record) = &arguments.record {
        return one(&cases, record, arguments.progress_json);
    }
    let began = Instant::now();
    let store = new_store(&arguments.store)?;
    let machines = match arguments.on {
        Target::Vm => vms::guests(arguments.guest).len(),
        Target::Host => 1,
    };
    let display = Display::of(cases.len() * machines);
    let outcome = match arguments.on {
        Target::Vm => vms::run(arguments, &cases, &store, &display)?,
        Target::Host => on_this_machine(&cases, &store, &display)?,
    };
    let interrupted = interrupted(&outcome.records);
    let report = crate::report::report(
        outcome.cases,
        &outcome.records,
        outcome.trouble,
        began.elapsed(),
        Some(&store),
        interrupted,
    );
    keep(&report, &store)?;
    publish(&report, &arguments.reports)?;
    eprintln!("report: {}", store.join("report.md").display());
    crate::report::exit_code(&report)
}

fn interrupted(records: &[Record]) -> bool {
    use crate::record::Event;
    use crate::record::event::EndReason;
    records
        .iter()
        .flat_map(|record| &record.events)
        .any(|stamped| matches!(stamped.event, Event::Ended { reason: EndReason::Interrupted { .. } }))
}

/// One case with its record at a given place: how the program runs inside a throwaway VM.
fn one(cases: &[Case], record: &Path, progress_json: bool) -> anyhow::Result<ExitCode> {
    let [case] = cases else {
        bail!("--record takes exactly one case: name one scenario, and --twins none or one twin");
    };
    let mut last = Instant::now();
    target::host::run_case(case, record, &mut |progress| {
        if progress_json && last.elapsed().as_millis() >= 200 {
            last = Instant::now();
            if let Ok(line) = serde_json::to_string(progress) {
                println!("{line}");
            }
        }
    })?;
    let record_read = Record::load(record)?;
    let judgement = crate::judge::judge(&record_read);
    let reported = crate::report::case(&record_read, &judgement, case.run, record);
    let report = crate::report::report(
        vec![reported],
        std::slice::from_ref(&record_read),
        Vec::new(),
        std::time::Duration::ZERO,
        None,
        interrupted(std::slice::from_ref(&record_read)),
    );
    crate::report::exit_code(&report)
}

fn on_this_machine(cases: &[Case], store: &Path, display: &Display) -> anyhow::Result<Outcome> {
    let mut outcome = Outcome { cases: Vec::new(), records: Vec::new(), trouble: Vec::new() };
    for case in cases {
        let dir = store.join(case.dir_name());
        display.doing(&case.name(), "starts");
        let end = target::host::run_case(case, &dir, &mut |progress| display.case(&case.name(), progress))?;
        let (reported, record) = judged(case, &dir)?;
        display.judged(&case.name(), &reported);
        outcome.cases.push(reported);
        outcome.records.push(record);
        if matches!(end, crate::record::event::EndReason::Interrupted { .. }) {
            break;
        }
    }
    Ok(outcome)
}

/// Reads a record back and judges it: the same way as `bulkhead judge`.
fn judged(case: &Case, dir: &Path) -> anyhow::Result<(Reported, Record)> {
    let record = Record::load(dir).with_context(|| format!("cannot judge {}", case.name()))?;
    let judgement = crate::judge::judge(&record);
    Ok((crate::report::case(&record, &judgement, case.run, dir), record))
}

/// A new directory for this invocation, named by the time.
fn new_store(parent: &Path) -> anyhow::Result<PathBuf> {
    fs::create_dir_all(parent).with_context(|| format!("cannot make {}", parent.display()))?;
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH)?.as_secs();
    let stamp = reports::units::instant(now).replace([':', '-'], "");
    for number in 0..1000 {
        let name = if number == 0 { stamp.clone() } else { format!("{stamp}-{number}") };
        let dir = parent.join(name);
        match fs::create_dir(&dir) {
            Ok(()) => return Ok(dir),
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error).with_context(|| format!("cannot make {}", dir.display())),
        }
    }
    bail!("{} is full of runs of this very second", parent.display())
}

/// Every run keeps its report beside its records.
fn keep(report: &Report, store: &Path) -> anyhow::Result<()> {
    for (kind, name) in [("markdown", "report.md"), ("json", "report.json")] {
        let target: reports::target::Target = format!("{kind}:{}", store.join(name).display()).parse()?;
        reports::target::write(report, &target, &mut std::io::sink(), super::look())?;
    }
    Ok(())
}

/// The reports that were asked for; the terminal one when nothing else goes to standard output.
pub(super) fn publish(report: &Report, targets: &[reports::target::Target]) -> anyhow::Result<()> {
    let mut stdout = std::io::stdout();
    if targets.iter().all(|target| target.path.is_some()) {
        let target: reports::target::Target = "terminal".parse()?;
        reports::target::write(report, &target, &mut stdout, super::look())?;
    }
    for target in targets {
        reports::target::write(report, target, &mut stdout, super::look())?;
    }
    Ok(())
}
