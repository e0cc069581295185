//! What must be undone is written down before it is done.
//!
//! The journal lies on tmpfs below [`STATE`], one file a run: a power cut takes it along with everything it speaks of,
//! and after a `kill -9` `bulkhead recover` finds it. Units are stopped, trees are removed; nothing else is ever changed.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::shelter::SLICE as SHELTER;
use crate::systemd::{Error, Manager};

/// Where a run keeps its journal and the status pages of its actors.
pub const STATE: &str = "/run/bulkhead";

/// One thing to undo.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Step {
    /// Kill what runs in a unit, stop it and forget that it failed.
    StopUnit(String),
    /// Remove a directory that the run made.
    RemoveTree(PathBuf),
}

/// The undo journal of one run. Its directory is locked for as long as somebody works on it: the kernel takes the lock
/// back from whoever dies, and a journal that is locked is that of a run that lives.
#[derive(Debug)]
pub struct Undo {
    dir: PathBuf,
    steps: Vec<Step>,
    _lock: File,
}

impl Undo {
    /// Makes the state directory of a run.
    ///
    /// # Errors
    /// When it exists already or cannot be made.
    pub fn begin(state: &Path, run: &str) -> io::Result<Self> {
        fs::create_dir_all(state)?;
        let dir = state.join(run);
        fs::create_dir(&dir)?;
        let lock = lock(&dir)?;
        Ok(Self { dir, steps: Vec::new(), _lock: lock })
    }

    /// Opens what a killed run left.
    ///
    /// # Errors
    /// [`io::ErrorKind::WouldBlock`] when the run lives. When the journal cannot be read; a last line cut short is a
    /// step that was never done.
    pub fn resume(dir: &Path) -> io::Result<Self> {
        let lock = lock(dir)?;
        let text = match fs::read_to_string(dir.join("undo.jsonl")) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
            read => read?,
        };
        let steps = text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
        Ok(Self { dir: dir.to_owned(), steps, _lock: lock })
    }

    /// The state directory of the run.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Writes a step down; only then may it be done.
    ///
    /// # Errors
    /// When it cannot be written: then it must not be done.
    pub fn before(&mut self, step: Step) -> io::Result<()> {
        let mut line = serde_json::to_vec(&step)?;
        line.push(b'\n');
        OpenOptions::new().create(true).append(true).open(self.dir.join("undo.jsonl"))?.write_all(&line)?;
        self.steps.push(step);
        Ok(())
    }

    /// Undoes everything, last first, and removes the journal when nothing is left. Returns what is left.
    pub fn unwind(self, systemd: &dyn Manager) -> Vec<String> {
        let left: Vec<String> =
            self.steps.iter().rev().filter_map(|step| undo(step, systemd).err()).collect();
        if left.is_empty()
            && let Err(error) = fs::remove_dir_all(&self.dir)
        {
            return vec![format!("{}: {error}", self.dir.display())];
        }
        left
    }
}

fn lock(dir: &Path) -> io::Result<File> {
    let file = File::open(dir)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(io::ErrorKind::WouldBlock.into()),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

fn undo(step: &Step, systemd: &dyn Manager) -> Result<(), String> {
    match step {
        Step::StopUnit(unit) => stop_unit(unit, systemd),
        Step::RemoveTree(path) => match fs::remove_dir_all(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(format!("{}: {error}", path.display()))
            }
            _ => Ok(()),
        },
    }
}

/// Whether this unit (or its cgroup) was made by a run: `bulkhead-rID…` and the shelters of harnesses. Other names that
/// begin with `bulkhead-` belong to whoever chose them, such as a service that runs `bulkhead recover` at boot.
#[must_use]
pub fn is_of_a_run(name: &str) -> bool {
    name == SHELTER || run_of(name).is_some()
}

/// The id of the run that made this unit (or its cgroup); the shelter that all runs share is of none.
#[must_use]
pub fn run_of(name: &str) -> Option<&str> {
    let rest = name.strip_prefix("bulkhead-")?;
    let id = rest.strip_prefix("harness-").unwrap_or(rest);
    let id = &id[..id.find(['-', '.']).unwrap_or(id.len())];
    // A run's id is `r` and at least eight digits in base 36.
    let is_id = id.len() > 8
        && id.starts_with('r')
        && id.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit());
    is_id.then_some(id)
}

/// Kills what runs in a unit, stops it, forgets its failure, and proves that it is gone.
///
/// # Errors
/// When systemd does not do it, or the unit is active afterwards.
pub fn stop_unit(name: &str, systemd: &dyn Manager) -> Result<(), String> {
    let say = |error: Error| format!("{name}: {}", super::recorder::chain(&error));
    let unit = systemd.unit(name).map_err(say)?;
    if !unit.exists() {
        return Ok(());
    }
    if !unit.is_down() {
        // SIGKILL first: a stop alone waits for SIGTERM to be heard by processes that hear nothing.
        systemd.kill(name, 9).ok();
        systemd.stop(name).map_err(say)?;
    }
    systemd.reset_failed(name).ok();
    let unit = systemd.unit(name).map_err(say)?;
    if unit.is_down() { Ok(()) } else { Err(format!("{name} is still active")) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::systemd::{Call, Fake};
    use rstest::rstest;

    /// A run with a slice, a scope in it and a directory, all of it there.
    fn started(state: &Path, systemd: &Fake) -> (Undo, PathBuf) {
        let mut undo = Undo::begin(state, "r1").expect("begun");
        let data = state.join("data");
        undo.before(Step::RemoveTree(data.clone())).expect("noted");
        fs::create_dir(&data).expect("made");
        undo.before(Step::StopUnit("a.slice".into())).expect("noted");
        systemd.start_slice("a.slice", &[]).expect("started");
        undo.before(Step::StopUnit("x.scope".into())).expect("noted");
        systemd.start_scope("x.scope", "a.slice", &[7], &[]).expect("started");
        (undo, data)
    }

    fn stopped(systemd: &Fake) -> Vec<String> {
        let stops = systemd.calls().into_iter().filter(|call| matches!(call, Call::Stop(_)));
        stops.map(|call| call.unit().to_owned()).collect()
    }

    #[test]
    fn a_run_is_undone_last_first_and_its_journal_goes_last() {
        let state = tempfile::tempdir().expect("a temporary directory");
        let systemd = Fake::new(257);
        let (undo, data) = started(state.path(), &systemd);
        assert_eq!(undo.unwind(&systemd), Vec::<String>::new());
        assert_eq!(stopped(&systemd), ["x.scope", "a.slice"]);
        assert!(!data.exists() && !state.path().join("r1").exists());
    }

    #[test]
    fn what_a_killed_run_left_is_undone_from_its_journal() {
        let state = tempfile::tempdir().expect("a temporary directory");
        let systemd = Fake::new(257);
        let (undo, data) = started(state.path(), &systemd);
        drop(undo);
        let again = Undo::resume(&state.path().join("r1")).expect("resumed");
        assert_eq!(again.unwind(&systemd), Vec::<String>::new());
        assert_eq!(stopped(&systemd), ["x.scope", "a.slice"]);
        assert!(!data.exists());
    }

    #[test]
    fn the_journal_of_a_run_that_lives_is_not_opened() {
        let state = tempfile::tempdir().expect("a temporary directory");
        let systemd = Fake::new(257);
        let (undo, data) = started(state.path(), &systemd);
        let error = Undo::resume(&state.path().join("r1")).expect_err("refused");
        assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
        assert!(data.exists() && stopped(&systemd).is_empty());
        assert_eq!(undo.unwind(&systemd), Vec::<String>::new());
    }

    #[test]
    fn a_step_whose_note_was_cut_short_was_never_done() {
        let state = tempfile::tempdir().expect("a temporary directory");
        let dir = state.path().join("r1");
        fs::create_dir(&dir).expect("made");
        fs::write(dir.join("undo.jsonl"), "{\"stop-unit\":\"x.scope\"}\n{\"stop-un").expect("written");
        let undo = Undo::resume(&dir).expect("resumed");
        assert_eq!(undo.steps, [Step::StopUnit("x.scope".into())]);
    }

    #[test]
    fn a_journal_that_was_never_written_undoes_nothing() {
        let state = tempfile::tempdir().expect("a temporary directory");
        let dir = state.path().join("r1");
        fs::create_dir(&dir).expect("made");
        assert_eq!(Undo::resume(&dir).expect("resumed").steps, []);
    }

    #[test]
    fn what_cannot_be_undone_is_named_and_stays_in_the_journal() {
        let state = tempfile::tempdir().expect("a temporary directory");
        let systemd = Fake::new(257);
        let (undo, _) = started(state.path(), &systemd);
        let fault = |unit: &str| Error::Job {
            action: format!("stop {unit}"),
            unit: unit.into(),
            result: "timeout".into(),
        };
        // The first failure is that of the signal before the stop, which is no failure of the stop.
        systemd.fail_next("x.scope", fault("x.scope"));
        systemd.fail_next("x.scope", fault("x.scope"));
        let left = undo.unwind(&systemd);
        assert_eq!(left.len(), 1, "{left:?}");
        assert!(
            left[0].starts_with("x.scope: systemd's job to stop x.scope ended with `timeout`"),
            "{left:?}"
        );
        // The rest is undone all the same, and a later attempt gets what is left.
        assert_eq!(stopped(&systemd), ["x.scope", "a.slice"]);
        let again = Undo::resume(&state.path().join("r1")).expect("the journal is still there");
        assert_eq!(again.unwind(&systemd), Vec::<String>::new());
    }

    #[test]
    fn two_runs_cannot_share_a_journal() {
        let state = tempfile::tempdir().expect("a temporary directory");
        Undo::begin(state.path(), "r1").expect("begun");
        let error = Undo::begin(state.path(), "r1").expect_err("refused");
        assert_eq!(error.kind(), io::ErrorKind::AlreadyExists);
    }

    #[rstest]
    #[case("bulkhead-r5n17otgu92.slice", true, Some("r5n17otgu92"))]
    #[case("bulkhead-r5n17otgu92-work-hog.scope", true, Some("r5n17otgu92"))]
    #[case("bulkhead-harness-r5n17otgu92.scope", true, Some("r5n17otgu92"))]
    #[case("bulkhead-harness.slice", true, None)]
    #[case("bulkhead.slice", false, None)]
    #[case("bulkhead-agent.service", false, None)]
    #[case("bulkhead-recover.service", false, None)]
    #[case("bulkhead-recover-at-boot.service", false, None)]
    #[case("bulkheads-r5n17otgu92.slice", false, None)]
    fn what_a_run_made_is_told_by_its_name(
        #[case] name: &str,
        #[case] ours: bool,
        #[case] run: Option<&str>,
    ) {
        assert_eq!((is_of_a_run(name), run_of(name)), (ours, run));
    }
}
