//! What the run stage needs of systemd, whoever answers: the real one or one in memory.

use std::time::Duration;

use super::property::Value;
use super::unit::{Unit, UnitStatus};
use crate::property::Property;

/// What the run stage needs of systemd. All methods may be called from several threads at once.
pub trait Manager: Send + Sync {
    /// The number in systemd's version string: 252 for `252.39-1~deb12u1`.
    ///
    /// # Errors
    /// When systemd does not answer or its version does not begin with a number.
    fn version(&self) -> Result<u32, Error>;

    /// Starts a transient slice. It stays active, with its cgroup and its counters, until it is stopped: with nothing
    /// in it, after its last scope, over `daemon-reload` and `daemon-reexec`, and when whoever started it is gone
    /// (tried on 252 and 257). Nothing else ends it either: slices have no `RuntimeMaxUSec`. The slices that its name
    /// lies below (`a.slice` of `a-b.slice`) are started too, without limits, and stay in the same way.
    ///
    /// The name is taken while the slice is active or any unit still refers to it, a failed scope for example.
    ///
    /// # Errors
    /// When the name is in use, a property is refused, or the job does not end well in time.
    fn start_slice(&self, name: &str, properties: &[Property]) -> Result<(), Error>;

    /// Starts a scope below `slice` and moves the processes `pids` into it. They are there when this returns; check
    /// `/proc/PID/cgroup` all the same before anything is charged.
    ///
    /// # Errors
    /// As for [`Manager::start_slice`]; also when a process is gone.
    fn start_scope(
        &self,
        name: &str,
        slice: &str,
        pids: &[u32],
        properties: &[Property],
    ) -> Result<(), Error>;

    /// Starts a transient service of `Type=exec` below `slice`: PID 1 forks it, and this returns when it has executed
    /// `argv[0]`, an absolute path. `env` holds `NAME=value`.
    ///
    /// # Errors
    /// As for [`Manager::start_slice`]; also when the program cannot be executed.
    fn start_service(
        &self,
        name: &str,
        slice: &str,
        argv: &[String],
        env: &[String],
        properties: &[Property],
    ) -> Result<(), Error>;

    /// Starts a unit that exists, such as one from a file.
    ///
    /// # Errors
    /// When there is no such unit, or the job does not end well in time.
    fn start(&self, name: &str) -> Result<(), Error>;

    /// Stops a unit and waits for it. A unit that is not loaded is already stopped.
    ///
    /// # Errors
    /// When the job does not end well in time.
    fn stop(&self, name: &str) -> Result<(), Error>;

    /// Sends a signal to all processes of a unit.
    ///
    /// # Errors
    /// When the unit is not loaded, or has no processes that could be signalled.
    fn kill(&self, name: &str, signal: i32) -> Result<(), Error>;

    /// Forgets that a unit failed, so that its name is free again. A unit that is not loaded has nothing to forget.
    ///
    /// # Errors
    /// When systemd refuses.
    fn reset_failed(&self, name: &str) -> Result<(), Error>;

    /// Changes resource properties of a loaded unit until the next boot.
    ///
    /// # Errors
    /// When the unit is not loaded or a property is refused.
    fn set_properties(&self, name: &str, properties: &[Property]) -> Result<(), Error>;

    /// The loaded units whose names begin with `prefix`.
    ///
    /// # Errors
    /// When systemd does not answer.
    fn list(&self, prefix: &str) -> Result<Vec<UnitStatus>, Error>;

    /// What systemd knows of a unit. A unit that does not exist has the load state `not-found` and no other facts.
    ///
    /// # Errors
    /// When systemd does not answer or the name is not a unit's.
    fn unit(&self, name: &str) -> Result<Unit, Error>;

    /// One property of a unit, read back; `None` when the unit does not exist or this systemd does not know the
    /// property for this type of unit.
    ///
    /// # Errors
    /// When systemd does not answer.
    fn property(&self, unit: &str, property: &str) -> Result<Option<Value>, Error>;
}

/// Why systemd did not do what it was asked.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Error {
    /// The system bus cannot be reached.
    #[error(
        "cannot reach systemd on the system bus (is this machine booted with systemd, and is dbus running?)"
    )]
    Connect(#[source] zbus::Error),
    /// systemd answered with an error, or not at all.
    #[error("systemd refused to {action}")]
    Refused {
        /// What it was asked to do, with the unit's name.
        action: String,
        /// Its answer.
        source: zbus::Error,
    },
    /// The connection is gone, and there was no other to be had.
    #[error("lost the connection to systemd, so it could not be asked to {action} (is dbus running?)")]
    Lost {
        /// What it was to be asked.
        action: String,
        /// What ended the connection.
        source: zbus::Error,
    },
    /// The job ended, but not with `done`.
    #[error("systemd's job to {action} ended with `{result}`; see `journalctl -u {unit}`")]
    Job {
        /// What the job was to do.
        action: String,
        /// The unit.
        unit: String,
        /// `canceled`, `timeout`, `failed`, `dependency`, …
        result: String,
    },
    /// No end of the job was seen in time.
    #[error("systemd did not {action} within {waited:?}")]
    Deadline {
        /// What it was asked to do.
        action: String,
        /// How long it was given.
        waited: Duration,
    },
    /// An answer that this program does not understand.
    #[error("systemd's answer to {action} was {answer:?}")]
    Unexpected {
        /// What it was asked.
        action: String,
        /// What it answered.
        answer: String,
    },
}
