//! What must be undone is written down before it is done, and undone only by whoever did it.
//!
//! The journal lies on tmpfs below [`STATE`], one file a run: a power cut takes it along with everything it speaks of,
//! and after a `kill -9` `bulkhead recover` finds it. Units are stopped when they carry the run's own description, and
//! slices that systemd started on the way when nobody is in them; trees are removed; nothing else is ever changed.

mod unwind;

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::origin::Origin;

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

    /// Whether a step is written down already.
    #[must_use]
    pub fn knows(&self, step: &Step) -> bool {
        self.steps.contains(step)
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

#[cfg(test)]
mod tests;
