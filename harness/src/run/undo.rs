//! What must be undone is written down before it is done, and undone only by whoever did it.
//!
//! The journal lies on tmpfs below [`STATE`], one file a run: a power cut takes it along with everything it speaks of,
//! and after a `kill -9` `bulkhead recover` finds it. Units are stopped when they carry the run's own description, and
//! slices that systemd started on the way when nobody is in them; trees are removed; nothing else is ever changed.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::origin::Origin;
use super::recorder::chain;
use crate::systemd::{self, Manager, Property, Unit};
use crate::unit_name::{run_of, slice_cgroup, slices_above};

/// Where a run keeps its journal and the status pages of its actors.
pub const STATE: &str = "/run/bulkhead";
/// The journal in a run's directory.
const JOURNAL: &str = "undo.jsonl";

/// One thing to undo.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Step {
    /// Kill what runs in a unit of this run, stop it and forget that it failed.
    StopUnit(String),
    /// Stop a slice that was not active before, unless somebody has moved in.
    StopIfEmpty(String),
    /// Remove a directory that the run made.
    RemoveTree(PathBuf),
}

/// The first line of a journal.
#[derive(Debug, Serialize, Deserialize)]
struct Header {
    origin: Origin,
}

/// Why a unit may not be made.
#[derive(Debug, thiserror::Error)]
pub enum Refused {
    /// The name is somebody else's.
    #[error(
        "{unit} exists already ({state}) and is not this run's, so it was not touched: see `systemctl status {unit}`, \
         and stop it, reset it or remove its file if nobody needs it, or give the cgroup another name"
    )]
    Taken {
        /// The unit.
        unit: String,
        /// Its state, and its file.
        state: String,
    },
    /// Whether the name is free cannot be told.
    #[error("it could not be told whether {unit} is there already")]
    Unknown {
        /// The unit.
        unit: String,
        /// Why.
        #[source]
        source: systemd::Error,
    },
    /// What is not written down must not be done.
    #[error("the undo journal could not be written")]
    Journal(#[from] io::Error),
}

/// The undo journal of one run. Its directory is locked for as long as somebody works on it: the kernel takes the lock
/// back from whoever dies, and a journal that is locked is that of a run that lives.
#[derive(Debug)]
pub struct Undo {
    dir: PathBuf,
    origin: Origin,
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
        if dir.exists() {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        // Locked before anybody can find it: a recovery would take one that is not for a dead run's.
        let hidden = state.join(format!("{UNFINISHED}{run}"));
        fs::create_dir(&hidden)?;
        let lock = lock(&hidden)?;
        let origin = Origin::draw(run)?;
        append(&hidden, &Header { origin: origin.clone() })?;
        fs::rename(&hidden, &dir)?;
        Ok(Self { dir, origin, steps: Vec::new(), _lock: lock })
    }

    /// Opens what a killed run left.
    ///
    /// # Errors
    /// [`io::ErrorKind::WouldBlock`] when the run lives. When the journal cannot be read; a last line cut short is a
    /// step that was never done.
    pub fn resume(dir: &Path) -> io::Result<Self> {
        let lock = lock(dir)?;
        let text = match fs::read_to_string(dir.join(JOURNAL)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
            read => read?,
        };
        let header = text.lines().next().and_then(|line| serde_json::from_str::<Header>(line).ok());
        let origin = match header {
            Some(header) => header.origin,
            // A journal without one proves nothing: a token that was drawn just now fits no unit.
            None => Origin::draw(&dir.file_name().unwrap_or_default().to_string_lossy())?,
        };
        let steps = text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
        Ok(Self { dir: dir.to_owned(), origin, steps, _lock: lock })
    }

    /// The state directory of the run.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// By what the run's units are known.
    #[must_use]
    pub fn origin(&self) -> &Origin {
        &self.origin
    }

    /// The slices that were not active before the run, and must not be after it.
    #[must_use]
    pub fn implicit(&self) -> Vec<String> {
        let slice =
            |step: &Step| if let Step::StopIfEmpty(slice) = step { Some(slice.clone()) } else { None };
        self.steps.iter().filter_map(slice).collect()
    }

    /// Writes a step down; only then may it be done.
    ///
    /// # Errors
    /// When it cannot be written: then it must not be done.
    pub fn before(&mut self, step: Step) -> io::Result<()> {
        append(&self.dir, &step)?;
        self.steps.push(step);
        Ok(())
    }

    /// Makes sure that a unit's name is nobody's, writes down that it and the slices that come with it are to be
    /// stopped, and returns its properties with the proof of who made it. `slice` is where it will live; a slice lives
    /// where its name says.
    ///
    /// # Errors
    /// When the name is taken, or nothing can be known or written down: then it must not be started.
    pub fn before_unit(
        &mut self,
        unit: &str,
        slice: &str,
        properties: &[Property],
        systemd: &dyn Manager,
    ) -> Result<Vec<Property>, Refused> {
        let ask = |name: &str| {
            systemd.unit(name).map_err(|source| Refused::Unknown { unit: name.to_owned(), source })
        };
        let found = ask(unit)?;
        if found.is_taken() {
            return Err(Refused::Taken { unit: unit.to_owned(), state: state(&found) });
        }
        let mut above = slices_above(slice);
        if slice != unit && slice != "-.slice" {
            above.push(slice.to_owned());
        }
        for slice in above {
            let known = [Step::StopIfEmpty(slice.clone()), Step::StopUnit(slice.clone())];
            if !known.iter().any(|step| self.steps.contains(step)) && !ask(&slice)?.is_active() {
                self.before(Step::StopIfEmpty(slice))?;
            }
        }
        self.before(Step::StopUnit(unit.to_owned()))?;
        Ok(self.origin.signed(properties))
    }

    /// Undoes everything, last first, and removes the journal when nothing is left. Returns what is left. Slices that may
    /// be another run's by now are looked at below `cgroups` and stopped only by whoever holds the machine; `None`: they
    /// stay.
    pub fn unwind(self, systemd: &dyn Manager, cgroups: Option<&Path>) -> Vec<String> {
        let undo = |step: &Step| self.undo(step, systemd, cgroups).err();
        let left: Vec<String> = self.steps.iter().rev().filter_map(undo).collect();
        if left.is_empty()
            && let Err(error) = fs::remove_dir_all(&self.dir)
            && error.kind() != io::ErrorKind::NotFound
        {
            return vec![format!("{}: {error}", self.dir.display())];
        }
        left
    }

    fn undo(&self, step: &Step, systemd: &dyn Manager, cgroups: Option<&Path>) -> Result<(), String> {
        match step {
            Step::StopUnit(unit) => match stop_unit(unit, &|unit| self.origin.made(unit), systemd)? {
                // A name that is anybody's, such as `workspace-agents.slice`, is in nobody's way.
                Stopped::NotOurs(state) if run_of(unit) == Some(self.origin.run()) => {
                    Err(format!("{unit} ({state}) is not this run's: left alone"))
                }
                Stopped::NotOurs(_) | Stopped::Gone => Ok(()),
            },
            Step::StopIfEmpty(slice) => match cgroups {
                Some(cgroups) => stop_if_empty(slice, systemd, cgroups).map(drop),
                None => Err(format!("{slice} stays until no other run is under way")),
            },
            Step::RemoveTree(path) => match fs::remove_dir_all(path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    Err(format!("{}: {error}", path.display()))
                }
                _ => Ok(()),
            },
        }
    }
}

/// What the directory of a journal is called that nobody can find yet.
pub const UNFINISHED: &str = ".new-";

fn append(dir: &Path, line: &impl Serialize) -> io::Result<()> {
    let mut line = serde_json::to_vec(line)?;
    line.push(b'\n');
    OpenOptions::new().create(true).append(true).open(dir.join(JOURNAL))?.write_all(&line)
}

fn lock(dir: &Path) -> io::Result<File> {
    let file = File::open(dir)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(io::ErrorKind::WouldBlock.into()),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

/// A unit's state in words.
fn state(unit: &Unit) -> String {
    let active = unit.active_state.as_deref().unwrap_or(&unit.load_state);
    let file = unit.fragment_path.as_deref().map(|path| format!(", from {path}"));
    format!("{active}{}", file.unwrap_or_default())
}

/// What came of stopping a unit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stopped {
    /// It is gone, or never was.
    Gone,
    /// It is there, in this state, and somebody else made it.
    NotOurs(String),
}

/// Kills what runs in a unit, stops it, forgets its failure, and proves that it is gone; when it `is_ours`.
///
/// # Errors
/// When systemd does not do it, or the unit is active afterwards.
pub fn stop_unit(
    name: &str,
    is_ours: &dyn Fn(&Unit) -> bool,
    systemd: &dyn Manager,
) -> Result<Stopped, String> {
    let say = |error: systemd::Error| format!("{name}: {}", chain(&error));
    let unit = systemd.unit(name).map_err(say)?;
    if !unit.is_taken() {
        return Ok(Stopped::Gone);
    }
    if !is_ours(&unit) {
        return Ok(Stopped::NotOurs(state(&unit)));
    }
    if !unit.is_down() {
        // SIGKILL first: a stop alone waits for SIGTERM to be heard by processes that hear nothing.
        systemd.kill(name, 9).ok();
        systemd.stop(name).map_err(say)?;
    }
    systemd.reset_failed(name).ok();
    let unit = systemd.unit(name).map_err(say)?;
    if unit.is_down() { Ok(Stopped::Gone) } else { Err(format!("{name} is still active")) }
}

/// What came of stopping a slice that may be somebody's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Emptied {
    /// It does not run.
    Down,
    /// A cgroup or a process is in it.
    InUse,
}

/// Stops a slice that nobody is in. Nothing is killed.
///
/// # Errors
/// When systemd does not do it, or it cannot be told who is in it.
pub fn stop_if_empty(slice: &str, systemd: &dyn Manager, cgroups: &Path) -> Result<Emptied, String> {
    let say = |error: systemd::Error| format!("{slice}: {}", chain(&error));
    if systemd.unit(slice).map_err(say)?.is_down() {
        return Ok(Emptied::Down);
    }
    let path = slice_cgroup(slice).map_err(|error| error.to_string())?;
    let dir = cgroups.join(path.as_str().trim_start_matches('/'));
    if is_occupied(&dir, &|_| true).map_err(|error| format!("{}: {error}", dir.display()))? {
        return Ok(Emptied::InUse);
    }
    systemd.stop(slice).map_err(say)?;
    Ok(Emptied::Down)
}

/// Whether a process or a child cgroup whose name `counts` is in a cgroup.
///
/// # Errors
/// When it cannot be read; one that does not exist holds nothing.
pub fn is_occupied(dir: &Path, counts: &dyn Fn(&str) -> bool) -> io::Result<bool> {
    let entries = match fs::read_dir(dir) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        read => read?,
    };
    for entry in entries {
        let entry = entry?;
        if entry.file_type()?.is_dir() && counts(&entry.file_name().to_string_lossy()) {
            return Ok(true);
        }
    }
    match fs::read_to_string(dir.join("cgroup.procs")) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        read => Ok(!read?.trim().is_empty()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::systemd::{Call, Error, Fake};
    use rstest::rstest;

    const RUN: &str = "r5n17otgu92";
    const SLICE: &str = "bulkhead-r5n17otgu92.slice";
    const SCOPE: &str = "bulkhead-r5n17otgu92-hog.scope";

    /// A state directory and an empty cgroup tree.
    fn machine() -> (tempfile::TempDir, Fake) {
        (tempfile::tempdir().expect("a temporary directory"), Fake::new(257))
    }

    fn start_slice(undo: &mut Undo, name: &str, systemd: &Fake) {
        let signed = undo.before_unit(name, name, &[], systemd).expect("noted");
        systemd.start_slice(name, &signed).expect("started");
    }

    fn start_scope(undo: &mut Undo, name: &str, slice: &str, systemd: &Fake) {
        let signed = undo.before_unit(name, slice, &[], systemd).expect("noted");
        systemd.start_scope(name, slice, &[7], &signed).expect("started");
    }

    /// A run with a slice, a scope in it and a directory, all of it there.
    fn started(state: &Path, systemd: &Fake) -> (Undo, PathBuf) {
        let mut undo = Undo::begin(state, RUN).expect("begun");
        let data = state.join("data");
        undo.before(Step::RemoveTree(data.clone())).expect("noted");
        fs::create_dir(&data).expect("made");
        start_slice(&mut undo, SLICE, systemd);
        start_scope(&mut undo, SCOPE, SLICE, systemd);
        (undo, data)
    }

    /// The calls that end something, in order.
    fn ended(systemd: &Fake) -> Vec<String> {
        let ends = |call: &Call| matches!(call, Call::Stop(_) | Call::Kill(..) | Call::ResetFailed(_));
        systemd.calls().iter().filter(|call| ends(call)).map(|call| call.unit().to_owned()).collect()
    }

    fn stopped(systemd: &Fake) -> Vec<String> {
        let stops = systemd.calls().into_iter().filter(|call| matches!(call, Call::Stop(_)));
        stops.map(|call| call.unit().to_owned()).collect()
    }

    /// A unit that somebody else made.
    fn somebodys(name: &str) -> Unit {
        Unit {
            name: name.into(),
            load_state: "loaded".into(),
            active_state: Some("active".into()),
            description: Some("The work of years".into()),
            transient: true,
            ..Unit::default()
        }
    }

    #[test]
    fn a_run_is_undone_last_first_and_its_journal_goes_last() {
        let (state, systemd) = machine();
        let (undo, data) = started(state.path(), &systemd);
        assert_eq!(undo.unwind(&systemd, Some(state.path())), Vec::<String>::new());
        assert_eq!(stopped(&systemd), [SCOPE, SLICE, "bulkhead.slice"]);
        assert!(!data.exists() && !state.path().join(RUN).exists());
    }

    #[test]
    fn what_a_killed_run_left_is_undone_from_its_journal() {
        let (state, systemd) = machine();
        let (undo, data) = started(state.path(), &systemd);
        drop(undo);
        let again = Undo::resume(&state.path().join(RUN)).expect("resumed");
        assert_eq!(again.unwind(&systemd, Some(state.path())), Vec::<String>::new());
        assert_eq!(stopped(&systemd), [SCOPE, SLICE, "bulkhead.slice"]);
        assert!(!data.exists());
    }

    #[test]
    fn the_journal_of_a_run_that_lives_is_not_opened() {
        let (state, systemd) = machine();
        let (undo, data) = started(state.path(), &systemd);
        let error = Undo::resume(&state.path().join(RUN)).expect_err("refused");
        assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
        assert!(data.exists() && stopped(&systemd).is_empty());
        assert_eq!(undo.unwind(&systemd, Some(state.path())), Vec::<String>::new());
    }

    #[rstest]
    #[case::running(somebodys(SLICE), "active")]
    #[case::failed(Unit { active_state: Some("failed".into()), ..somebodys(SLICE) }, "failed")]
    #[case::installed(
        Unit {
            active_state: Some("inactive".into()),
            fragment_path: Some("/etc/systemd/system/x".into()),
            ..somebodys(SLICE)
        },
        "inactive, from /etc/systemd/system/x"
    )]
    fn a_unit_that_exists_is_refused_before_anything_is_written_down(
        #[case] there: Unit,
        #[case] words: &str,
    ) {
        let (state, systemd) = machine();
        systemd.put(there.clone());
        let mut undo = Undo::begin(state.path(), RUN).expect("begun");
        let error = undo.before_unit(SLICE, SLICE, &[], &systemd).expect_err("refused").to_string();
        assert!(
            error.starts_with(&format!("{SLICE} exists already ({words}) and is not this run's")),
            "{error}"
        );
        assert_eq!(undo.steps, []);
        assert_eq!(undo.unwind(&systemd, Some(state.path())), Vec::<String>::new());
        assert_eq!(systemd.calls(), []);
        assert_eq!(systemd.unit(SLICE).expect("known"), there);
    }

    #[test]
    fn a_unit_that_was_never_started_is_nobodys_to_stop() {
        // Killed between the note and the start.
        let (state, systemd) = machine();
        let mut undo = Undo::begin(state.path(), RUN).expect("begun");
        undo.before_unit(SCOPE, "system.slice", &[], &systemd).expect("noted");
        drop(undo);
        let again = Undo::resume(&state.path().join(RUN)).expect("resumed");
        assert_eq!(again.unwind(&systemd, Some(state.path())), Vec::<String>::new());
        assert_eq!(systemd.calls(), []);
    }

    #[rstest]
    #[case::one_that_carries_the_runs_id(SCOPE, 1)]
    #[case::one_that_does_not("workspace-agents.slice", 0)]
    fn a_name_that_became_somebody_elses_is_left_alone(#[case] name: &str, #[case] in_the_way: usize) {
        let (state, systemd) = machine();
        let mut undo = Undo::begin(state.path(), RUN).expect("begun");
        undo.before(Step::StopUnit(name.into())).expect("noted");
        drop(undo);
        systemd.put(somebodys(name));
        let again = Undo::resume(&state.path().join(RUN)).expect("resumed");
        let left = again.unwind(&systemd, Some(state.path()));
        assert_eq!(left.len(), in_the_way, "{left:?}");
        assert!(left.iter().all(|left| left.ends_with("is not this run's: left alone")), "{left:?}");
        assert_eq!(ended(&systemd), Vec::<String>::new());
        assert_eq!(systemd.unit(name).expect("known"), somebodys(name));
    }

    #[test]
    fn a_journal_without_an_origin_stops_no_unit() {
        let (state, systemd) = machine();
        let dir = state.path().join(RUN);
        fs::create_dir(&dir).expect("made");
        fs::write(dir.join(JOURNAL), format!("{{\"stop-unit\":\"{SCOPE}\"}}\n")).expect("written");
        systemd.start_scope(SCOPE, "system.slice", &[7], &[]).expect("started");
        let left = Undo::resume(&dir).expect("resumed").unwind(&systemd, Some(state.path()));
        assert_eq!(left, [format!("{SCOPE} (active) is not this run's: left alone")]);
        assert_eq!(ended(&systemd), Vec::<String>::new());
    }

    #[test]
    fn slices_that_came_along_are_stopped_and_those_that_were_there_are_not() {
        let (state, systemd) = machine();
        systemd.put(somebodys("work.slice"));
        let mut undo = Undo::begin(state.path(), RUN).expect("begun");
        start_scope(&mut undo, SCOPE, "work-space-deep.slice", &systemd);
        assert_eq!(undo.implicit(), ["work-space.slice", "work-space-deep.slice"]);
        assert_eq!(undo.unwind(&systemd, Some(state.path())), Vec::<String>::new());
        assert_eq!(stopped(&systemd), [SCOPE, "work-space-deep.slice", "work-space.slice"]);
        assert!(!systemd.calls().iter().any(|call| matches!(call, Call::Kill(name, _) if name != SCOPE)));
        assert_eq!(systemd.unit("work.slice").expect("known"), somebodys("work.slice"));
    }

    #[rstest]
    #[case::a_cgroup("work.slice/other.service", None)]
    #[case::a_process("work.slice", Some("4711\n"))]
    fn a_slice_that_somebody_has_moved_into_is_theirs(#[case] cgroup: &str, #[case] procs: Option<&str>) {
        let (state, systemd) = machine();
        let mut undo = Undo::begin(state.path(), RUN).expect("begun");
        start_scope(&mut undo, SCOPE, "work.slice", &systemd);
        let cgroups = state.path().join("cgroups");
        fs::create_dir_all(cgroups.join(cgroup)).expect("made");
        fs::write(cgroups.join("work.slice/cgroup.procs"), procs.unwrap_or_default()).expect("written");
        assert_eq!(undo.unwind(&systemd, Some(&cgroups)), Vec::<String>::new());
        assert_eq!(stopped(&systemd), [SCOPE]);
        assert!(systemd.unit("work.slice").expect("known").is_active());
    }

    #[test]
    fn a_step_whose_note_was_cut_short_was_never_done() {
        let (state, _) = machine();
        let dir = state.path().join("r1");
        fs::create_dir(&dir).expect("made");
        fs::write(dir.join(JOURNAL), "{\"stop-unit\":\"x.scope\"}\n{\"stop-un").expect("written");
        let undo = Undo::resume(&dir).expect("resumed");
        assert_eq!(undo.steps, [Step::StopUnit("x.scope".into())]);
    }

    #[test]
    fn a_journal_that_was_never_written_undoes_nothing() {
        let (state, _) = machine();
        let dir = state.path().join("r1");
        fs::create_dir(&dir).expect("made");
        assert_eq!(Undo::resume(&dir).expect("resumed").steps, []);
    }

    #[test]
    fn what_cannot_be_undone_is_named_and_stays_in_the_journal() {
        let (state, systemd) = machine();
        let (undo, _) = started(state.path(), &systemd);
        let fault = |unit: &str| Error::Job {
            action: format!("stop {unit}"),
            unit: unit.into(),
            result: "timeout".into(),
        };
        // The first failure is that of the signal before the stop, which is no failure of the stop.
        systemd.fail_next(SCOPE, fault(SCOPE));
        systemd.fail_next(SCOPE, fault(SCOPE));
        let left = undo.unwind(&systemd, Some(state.path()));
        assert_eq!(left.len(), 1, "{left:?}");
        let words = format!("{SCOPE}: systemd's job to stop {SCOPE} ended with `timeout`");
        assert!(left[0].starts_with(&words), "{left:?}");
        // The rest is undone all the same, and a later attempt gets what is left.
        assert_eq!(stopped(&systemd), [SCOPE, SLICE, "bulkhead.slice"]);
        let again = Undo::resume(&state.path().join(RUN)).expect("the journal is still there");
        assert_eq!(again.unwind(&systemd, Some(state.path())), Vec::<String>::new());
    }

    #[test]
    fn two_runs_cannot_share_a_journal() {
        let (state, _) = machine();
        Undo::begin(state.path(), "r1").expect("begun");
        let error = Undo::begin(state.path(), "r1").expect_err("refused");
        assert_eq!(error.kind(), io::ErrorKind::AlreadyExists);
    }
}
