//! One run on a machine at a time: who works on it holds a lock that the kernel takes back from whoever dies.

use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

/// The file in the state directory that says in words who holds the lock.
const NOTE: &str = "under-way";

/// The machine, taken: no other run begins and no recovery touches what runs share for as long as this lives.
#[derive(Debug)]
pub struct Machine {
    note: PathBuf,
    _lock: File,
}

/// Why a machine was not to be had.
#[derive(Debug, thiserror::Error)]
pub enum MachineError {
    /// Somebody else works on it.
    #[error("{holder} is already using this machine: wait for it to finish, or interrupt it with SIGINT")]
    Busy {
        /// `run r… (pid 7)`.
        holder: String,
    },
    /// The lock could not be taken.
    #[error("cannot lock {path}, the lock of this machine", path = path.display())]
    Lock {
        /// The directory that is locked.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
}

impl Machine {
    /// Takes the machine for `who`: `run r5n17otgu92`. The directory itself is locked, so that nothing is left behind
    /// that would have to be removed while somebody waits for it.
    ///
    /// # Errors
    /// [`MachineError::Busy`] at once when somebody holds it.
    pub fn take(state: &Path, who: &str) -> Result<Self, MachineError> {
        let failed = |source| MachineError::Lock { path: state.to_owned(), source };
        fs::create_dir_all(state).map_err(failed)?;
        let lock = File::open(state).map_err(failed)?;
        let note = state.join(NOTE);
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let holder = fs::read_to_string(&note).ok().filter(|text| !text.is_empty());
                return Err(MachineError::Busy {
                    holder: holder.unwrap_or_else(|| "another bulkhead".into()),
                });
            }
            Err(TryLockError::Error(source)) => return Err(failed(source)),
        }
        fs::write(&note, format!("{who} (pid {})", std::process::id())).map_err(failed)?;
        Ok(Self { note, _lock: lock })
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        // Before the lock goes. One that stays is overwritten by the next holder.
        let _ = fs::remove_file(&self.note);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_run_is_told_which_one_is_under_way() {
        let state = tempfile::tempdir().expect("a temporary directory");
        let first = Machine::take(state.path(), "run r5n17otgu92").expect("taken");
        let error = Machine::take(state.path(), "run r5n17otgu93").expect_err("refused");
        assert_eq!(
            error.to_string(),
            format!(
                "run r5n17otgu92 (pid {}) is already using this machine: wait for it to finish, or interrupt it with SIGINT",
                std::process::id()
            )
        );
        drop(first);
        drop(Machine::take(state.path(), "run r5n17otgu93").expect("free again"));
        assert_eq!(fs::read_dir(state.path()).expect("listed").count(), 0, "nothing is left of the lock");
    }

    #[test]
    fn the_note_of_one_that_was_killed_holds_nobody_up() {
        let state = tempfile::tempdir().expect("a temporary directory");
        fs::write(state.path().join(NOTE), "run r5n17otgu92 (pid 7)").expect("written");
        let held = Machine::take(state.path(), "run r5n17otgu93").expect("taken");
        let error = Machine::take(state.path(), "x").expect_err("refused").to_string();
        assert!(error.starts_with("run r5n17otgu93 "), "{error}");
        drop(held);
    }
}
