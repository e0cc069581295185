//! The cgroup v2 tree: a cgroup's files become numbers.
//!
//! Readers are rooted at any directory, so tests use a temporary tree. A file or key that this kernel does not have is
//! `None`; a cgroup that was removed is told apart as gone; `max` is [`Limit::Max`], never a number. Nothing here creates
//! cgroups or writes limits: systemd owns the files, and values written behind its back are silently reset.
//!
//! Source: kernel `Documentation/admin-guide/cgroup-v2.rst`.

mod dir;
mod kill;
mod limits;
mod membership;
mod path;

use std::io;
use std::path::PathBuf;

pub use dir::{CgroupDir, Presence};
pub use kill::KillSwitch;
pub use limits::{Limit, LimitFile};
pub use membership::cgroup_of;
pub use path::{CgroupPath, InvalidCgroupPath, is_below};

/// Where systemd mounts the cgroup v2 tree.
pub const ROOT: &str = "/sys/fs/cgroup";

/// Why a cgroup could not be read or acted upon.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The cgroup does not exist, or was removed while it was held open.
    #[error("cgroup {path} is gone")]
    Gone {
        /// The directory of the cgroup.
        path: PathBuf,
    },
    /// The kernel refused.
    #[error("cannot {action} {path}")]
    Io {
        /// What was tried: open, read, write, wait for.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// What the kernel said.
        source: io::Error,
    },
    /// The file holds something this reader does not understand.
    #[error("{path} holds {text:?}, expected a {expected}")]
    Unexpected {
        /// The file.
        path: PathBuf,
        /// What it holds.
        text: String,
        /// What should be there.
        expected: &'static str,
    },
}
