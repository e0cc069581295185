//! A run directory, written as the run goes.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use super::{Head, MINOR, SCHEMA, Stamped};

pub(crate) const HEAD: &str = "record.json";
pub(crate) const EVENTS: &str = "events.jsonl";
pub(crate) const SAMPLES: &str = "samples.jsonl";
pub(crate) const KMSG: &str = "kmsg.log";

/// Why a record could not be written or read.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// A file or directory could not be used.
    #[error("cannot {action} {path}", path = path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// A line is not what this version writes.
    #[error("{path}:{line}: not a line of a record; the run directory is damaged or foreign", path = path.display())]
    Line {
        /// The file.
        path: PathBuf,
        /// Its line, from 1.
        line: usize,
        /// What the parser says.
        #[source]
        source: serde_json::Error,
    },
    /// A newer minor of the format holds what this version does not know.
    #[error("{path} is a record of version {SCHEMA}.{minor}, and this bulkhead knows {SCHEMA}.{MINOR}: judge it with the version that wrote it", path = path.display())]
    Newer {
        /// The file.
        path: PathBuf,
        /// The minor found.
        minor: u64,
        /// What is not known.
        #[source]
        source: serde_json::Error,
    },
    /// Another version wrote it.
    #[error("{path} has record version {found}, this bulkhead reads {SCHEMA}: judge it with the version that wrote it", path = path.display())]
    Version {
        /// The file.
        path: PathBuf,
        /// The version found.
        found: u64,
    },
}

fn io_error(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> StoreError {
    let path = path.to_owned();
    move |source| StoreError::Io { action, path, source }
}

/// A run directory that is being written.
#[derive(Debug)]
pub struct Store {
    dir: PathBuf,
    events: Mutex<File>,
}

impl Store {
    /// Makes the run directory; it must not exist yet, so that no earlier record is ever overwritten.
    ///
    /// # Errors
    /// When the directory exists or cannot be made.
    pub fn create(dir: &Path) -> Result<Self, StoreError> {
        if let Some(parent) = dir.parent() {
            fs::create_dir_all(parent).map_err(io_error("create the directory", parent))?;
        }
        fs::create_dir(dir).map_err(io_error("create the run directory", dir))?;
        let path = dir.join(EVENTS);
        let events = OpenOptions::new()
            .create_new(true)
            .append(true)
            .open(&path)
            .map_err(io_error("create", &path))?;
        Ok(Self { dir: dir.to_owned(), events: Mutex::new(events) })
    }

    /// Opens a run directory to which something is added after the run, such as the loss of the machine.
    ///
    /// # Errors
    /// When its event file cannot be opened.
    pub fn reopen(dir: &Path) -> Result<Self, StoreError> {
        let path = dir.join(EVENTS);
        let events =
            OpenOptions::new().create(true).append(true).open(&path).map_err(io_error("open", &path))?;
        Ok(Self { dir: dir.to_owned(), events: Mutex::new(events) })
    }

    /// The run directory.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Writes the head, replacing an earlier one in one step.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write_head(&self, head: &Head) -> Result<(), StoreError> {
        let path = self.dir.join(HEAD);
        let part = self.dir.join("record.json.part");
        let text = serde_json::to_vec_pretty(head).map_err(|source| StoreError::Line {
            path: path.clone(),
            line: 0,
            source,
        })?;
        fs::write(&part, text).map_err(io_error("write", &part))?;
        fs::rename(&part, &path).map_err(io_error("write", &path))
    }

    /// Appends an event. One write call a line, so a killed harness leaves whole lines.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn append(&self, stamped: &Stamped) -> Result<(), StoreError> {
        let path = self.dir.join(EVENTS);
        let mut line = serde_json::to_vec(stamped).map_err(|source| StoreError::Line {
            path: path.clone(),
            line: 0,
            source,
        })?;
        line.push(b'\n');
        let mut file = self.events.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        file.write_all(&line).map_err(io_error("write", &path))
    }

    /// Creates the sample file with its header line.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn samples(&self, columns: &[String]) -> Result<File, StoreError> {
        let path = self.dir.join(SAMPLES);
        let mut file = File::create(&path).map_err(io_error("create", &path))?;
        let mut header = serde_json::to_vec(columns).map_err(|source| StoreError::Line {
            path: path.clone(),
            line: 1,
            source,
        })?;
        header.push(b'\n');
        file.write_all(&header).map_err(io_error("write", &path))?;
        Ok(file)
    }

    /// Creates a file of the record for bytes that are written as they come.
    ///
    /// # Errors
    /// When it is there already or cannot be created.
    pub(crate) fn raw(&self, name: &str) -> Result<File, StoreError> {
        let path = self.dir.join(name);
        File::create_new(&path).map_err(io_error("create", &path))
    }

    /// Why such a file could not be written.
    pub(crate) fn unwritten(&self, name: &str, error: io::Error) -> StoreError {
        io_error("write", &self.dir.join(name))(error)
    }

    /// Creates the file for the kernel log as read.
    ///
    /// # Errors
    /// When it cannot be created.
    pub fn kernel_log(&self) -> Result<File, StoreError> {
        let path = self.dir.join(KMSG);
        File::create(&path).map_err(io_error("create", &path))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::Event;
    use crate::record::load::load_events;

    fn stamped(at_us: u64) -> Stamped {
        Stamped { at_us, event: Event::ActorReleased { actor: "hog".into() } }
    }

    #[test]
    fn an_earlier_record_is_never_overwritten() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let run = dir.path().join("deep/run");
        Store::create(&run).expect("made, with the directories above it");
        let error = Store::create(&run).expect_err("refused");
        assert!(matches!(error, StoreError::Io { action: "create the run directory", .. }), "{error:?}");
    }

    #[test]
    fn what_is_learnt_after_the_run_is_added_to_it() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let run = dir.path().join("run");
        Store::create(&run).expect("made").append(&stamped(1)).expect("written");
        Store::reopen(&run).expect("opened").append(&stamped(2)).expect("written");
        let mut damage = Vec::new();
        assert_eq!(load_events(&run.join(EVENTS), &mut damage), [stamped(1), stamped(2)]);
        assert!(damage.is_empty(), "{damage:?}");
    }
}
