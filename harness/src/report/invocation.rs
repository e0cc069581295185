//! Run directories → the report of one invocation: the same for the `run` that made them and for `judge`.

use std::fs;
use std::io::{self, Read};
use std::path::Path;
use std::time::Duration;

use reports::outcome::Verdict;
use reports::report::{Case, Machine, Report, TargetKind};

use super::judged::Judged;
use crate::exit_code::ExitCode;
use crate::record::store::EVENTS;
use crate::record::{Head, load};

/// Beside the runs of a store: the trouble that belongs to none of them.
pub const TROUBLE: &str = "trouble.json";
/// Read of it at most.
const TROUBLE_BYTES: u64 = 1 << 20;
/// What is in every run directory, however early its run was lost.
const OF_A_RECORD: [&str; 2] = ["record.json", EVENTS];

/// Every run below a directory, or the directory itself when it is one, in the order of machines, runs and scenarios; and
/// in words those that do not count because they were run again. Named itself, such a one is judged like any other.
///
/// # Errors
/// When a directory cannot be read.
pub fn judged_below(dir: &Path) -> io::Result<(Vec<Judged>, Vec<String>)> {
    if is_run(dir) {
        return Ok((vec![Judged::read(dir)], Vec::new()));
    }
    let mut found = Vec::new();
    below(dir, &mut found)?;
    let mut trouble = kept_trouble(dir);
    let (mut counted, aside): (Vec<_>, Vec<_>) = found.into_iter().partition(|run| run.set_aside.is_none());
    counted.sort_by_cached_key(|run| {
        let id = run.head.as_ref().map(Head::id);
        (id.as_ref().map(|id| (id.machine.clone(), id.run)), id, run.case.record_path.clone())
    });
    let mut aside: Vec<String> = aside.iter().map(Judged::aside_words).collect();
    aside.sort();
    trouble.extend(aside);
    Ok((counted, trouble))
}

/// What the run that made this store kept of its trouble; none when there was none, or in a record of another making.
fn kept_trouble(store: &Path) -> Vec<String> {
    let mut text = Vec::new();
    let read =
        load::regular(&store.join(TROUBLE)).and_then(|file| file.take(TROUBLE_BYTES).read_to_end(&mut text));
    read.ok().and_then(|_| serde_json::from_slice(&text).ok()).unwrap_or_default()
}

fn is_run(dir: &Path) -> bool {
    OF_A_RECORD.iter().any(|name| dir.join(name).symlink_metadata().is_ok())
}

fn below(dir: &Path, found: &mut Vec<Judged>) -> io::Result<()> {
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        // A link may lead back up.
        if !entry.file_type()?.is_dir() {
            continue;
        }
        let path = entry.path();
        if is_run(&path) {
            found.push(Judged::read(&path));
        } else {
            below(&path, found)?;
        }
    }
    Ok(())
}

/// The report of one invocation.
#[must_use]
pub fn report(runs: Vec<Judged>, trouble: Vec<String>, took: Duration, store: Option<&Path>) -> Report {
    let interrupted = runs.iter().any(|run| run.interrupted);
    let dirty = runs.iter().any(Judged::is_dirty);
    let heads: Vec<&Head> = runs.iter().filter_map(|run| run.head.as_ref()).collect();
    let started = heads.iter().map(|head| head.started).min().unwrap_or(0);
    let machines = machines(&heads);
    // One that was run again is no second opinion.
    let flaky =
        reports::report::flaky(runs.iter().filter(|run| run.set_aside.is_none()).map(|run| &run.case));
    let cases: Vec<Case> = runs.into_iter().map(|run| run.case).collect();
    let mut verdicts: Vec<Verdict> = cases.iter().map(|case| case.verdict).collect();
    // Not the same verdict every time is a failure of its own.
    verdicts.extend(flaky.iter().map(|_| Verdict::Fail));
    let code = ExitCode::of(&verdicts, dirty, interrupted);
    Report {
        schema: reports::report::SCHEMA,
        tool_version: env!("CARGO_PKG_VERSION").into(),
        started,
        took_ms: u64::try_from(took.as_millis()).unwrap_or(u64::MAX),
        machines,
        cases,
        flaky,
        trouble,
        record_path: store.map(|store| store.display().to_string()),
        exit_code: code.code(),
        exit_meaning: code.meaning().into(),
    }
}

/// The code that a report ends with.
///
/// # Errors
/// When the report holds a code that this program does not know.
pub fn exit_code(report: &Report) -> anyhow::Result<ExitCode> {
    ExitCode::from_code(report.exit_code)
        .ok_or_else(|| anyhow::anyhow!("unknown exit code {}", report.exit_code))
}

fn machines(heads: &[&Head]) -> Vec<Machine> {
    let mut machines: Vec<Machine> = Vec::new();
    for head in heads {
        let guest = head.guest.as_ref();
        let name = head.id().machine;
        let Some(host) = head.host.as_ref().filter(|_| machines.iter().all(|known| known.name != name))
        else {
            continue;
        };
        machines.push(Machine {
            name,
            target: if guest.is_some() { TargetKind::Vm } else { TargetKind::Host },
            guest: guest.map(|guest| guest.name.clone()),
            kernel: host.kernel_release.clone(),
            systemd: host.systemd_version.map(|version| version.to_string()),
            cpus: host.cpus,
            memory_bytes: host.memory_total,
            swap_bytes: host.swap_total,
            accel: guest.map(|guest| guest.accelerator.clone()),
        });
    }
    machines
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use reports::case_id::CaseId;
    use tempfile::TempDir;

    use super::*;
    use crate::case::append;
    use crate::record::event::EndReason;
    use crate::record::store::Store;
    use crate::record::{Event, Record};

    const SAVED: &str = "tests/fixtures/records/hard-cap-kill.trixie";

    /// A store as a run leaves it, made of copies of a saved record.
    struct Copies(TempDir);

    impl Copies {
        fn new() -> Self {
            Self(tempfile::tempdir().expect("a temporary directory"))
        }

        fn dir(&self, name: &str) -> PathBuf {
            self.0.path().join("trixie").join(name)
        }

        /// Adds the saved record as that run, judged as `run` does it.
        fn add(&self, run: u32) -> Judged {
            let from = Path::new(env!("CARGO_MANIFEST_DIR")).join(SAVED);
            let mut head = Record::load(&from).expect("a saved record").head;
            let id = CaseId { run, ..head.id() };
            let place = self.dir(&id.dir_name());
            fs::create_dir_all(&place).expect("made");
            for name in ["events.jsonl", "samples.jsonl"] {
                fs::copy(from.join(name), place.join(name)).expect("copied");
            }
            head.case = Some(id);
            Store::reopen(&place).expect("opened").write_head(&head).expect("written");
            Judged::read_or(&place, head, "")
        }

        /// Cuts the events of a run, so that it stays open.
        fn cut(&self, name: &str) {
            let path = self.dir(name).join(EVENTS);
            let text = fs::read_to_string(&path).expect("events");
            let kept: Vec<&str> = text.lines().take(20).collect();
            fs::write(path, kept.join("\n") + "\n").expect("written");
        }

        fn judged_again(&self) -> Report {
            let (runs, trouble) = judged_below(self.0.path()).expect("a store");
            report(runs, trouble, Duration::ZERO, Some(self.0.path()))
        }
    }

    #[test]
    fn a_store_is_judged_as_the_run_that_made_it_was() {
        let store = Copies::new();
        store.add(1);
        store.cut("hard-cap-kill");
        fs::rename(store.dir("hard-cap-kill"), store.dir("hard-cap-kill@beside-others")).expect("renamed");
        append(&store.dir("hard-cap-kill@beside-others"), Event::SetAside { why: "run again, alone".into() })
            .expect("appended");
        let aside = Judged::read(&store.dir("hard-cap-kill@beside-others")).aside_words();
        fs::write(store.0.path().join(TROUBLE), "[\"trixie: boot tried again\"]").expect("written");
        let runs = vec![store.add(1), store.add(2), store.add(10)];
        let words = vec!["trixie: boot tried again".to_owned(), aside.clone()];
        let said = report(runs, words, Duration::ZERO, Some(store.0.path()));
        assert_eq!(store.judged_again(), said);
        assert_eq!((said.exit_code, said.cases.len(), said.flaky.len()), (0, 3, 0));
        assert!(aside.starts_with("hard-cap-kill on trixie: run again, alone ("), "{aside}");
    }

    #[test]
    fn repeats_that_disagree_are_flaky_in_the_order_of_their_runs() {
        let store = Copies::new();
        for run in [1, 2, 10] {
            store.add(run);
        }
        store.cut("hard-cap-kill@10");
        let said = store.judged_again();
        assert_eq!(said.flaky[0].verdicts, [Verdict::Pass, Verdict::Pass, Verdict::Inconclusive]);
        assert_eq!(said.exit_code, ExitCode::Failed.code());
    }

    #[test]
    fn a_record_that_does_not_count_is_judged_when_it_is_named() {
        let store = Copies::new();
        store.add(1);
        append(&store.dir("hard-cap-kill"), Event::SetAside { why: "run again".into() }).expect("appended");
        let (runs, trouble) = judged_below(&store.dir("hard-cap-kill")).expect("a run");
        assert_eq!((runs[0].case.verdict, trouble.len()), (Verdict::Pass, 0));
        assert_eq!(store.judged_again().exit_code, ExitCode::NothingRan.code());
    }

    /// Two hosts are two machines, and a case on each of them is no repetition.
    #[test]
    fn a_second_host_does_not_vanish_from_the_report() {
        let store = Copies::new();
        let runs = ["host", "web"].map(|machine| {
            let mut judged = store.add(1);
            let mut head = judged.head.take().expect("a head");
            head.guest = None;
            head.case = Some(CaseId { machine: machine.into(), ..head.id() });
            let record = Record { head, ..Record::load(&store.dir("hard-cap-kill")).expect("a record") };
            Judged::of(&record, &store.dir("hard-cap-kill"))
        });
        let said = report(runs.into(), Vec::new(), Duration::ZERO, None);
        let names: Vec<&str> = said.machines.iter().map(|machine| machine.name.as_str()).collect();
        assert_eq!(names, ["host", "web"]);
        assert!(!said.cases[0].id().repeats(&said.cases[1].id()));
        let page = reports::terminal::render(&said, reports::terminal::Options::default());
        assert!(page.contains("this host") && page.contains("host web"), "{page}");
        assert!(page.contains("hard-cap-kill on web"), "{page}");
    }

    #[test]
    fn an_interrupted_run_is_still_interrupted_when_it_is_judged_again() {
        let store = Copies::new();
        store.add(1);
        let reason = EndReason::Interrupted { signal: 2 };
        append(&store.dir("hard-cap-kill"), Event::Ended { reason }).expect("appended");
        assert_eq!(store.judged_again().exit_code, ExitCode::Interrupted.code());
    }

    #[test]
    fn what_cleanup_left_counts_where_the_record_could_not_hold_it() {
        let store = Copies::new();
        let mut judged = store.add(1);
        judged.case.guest = None;
        let left = vec!["bulkhead-r1.slice is still there".to_owned()];
        judged.cleaned(&left);
        assert_eq!(judged.dirt(), left);
        let said = report(vec![judged], Vec::new(), Duration::ZERO, None);
        assert_eq!(said.exit_code, ExitCode::Dirty.code());
    }
}
