//! Everything that ends an actor early, and the exit code that says which it was. The words go to stderr and,
//! once there is one, into the status page.

use crate::profile::ProfileError;
use crate::status::PageError;
use std::error::Error;
use std::fmt::Write as _;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

/// Why an actor ended before its work was done.
#[derive(Debug, thiserror::Error)]
pub enum Trouble {
    /// The command line asks for something that cannot be. Exit code 2, before the first page.
    #[error("{0}")]
    Usage(String),
    /// The same, found in the profile. Exit code 2.
    #[error(transparent)]
    Profile(#[from] ProfileError),
    /// No usable status page. Exit code 3.
    #[error(transparent)]
    Page(#[from] PageError),
    /// The kernel refused something. Exit code 3.
    #[error("cannot {what}")]
    System {
        /// What was tried, in the words of a sentence.
        what: String,
        /// Why not.
        source: io::Error,
    },
    /// The value that was written is not the value that is read. Exit code 3.
    #[error("oom_score_adj was set to {wanted} and reads {found}: run the actor with CAP_SYS_RESOURCE")]
    OomScoreAdj {
        /// As asked for.
        wanted: i16,
        /// As read back.
        found: String,
    },
    /// Touched memory is not there. Exit code 3.
    #[error(
        "touched {touched} bytes, but only {resident} are resident and {swapped} swapped: nothing was stressed"
    )]
    NotResident {
        /// By own account.
        touched: u64,
        /// By the kernel's account.
        resident: u64,
        /// `VmSwap`.
        swapped: u64,
    },
    /// Not on a disk, so that its pages could never be evicted. Exit code 2.
    #[error("{} lies on {fs}, whose pages are not page cache that can be dropped: choose a path on a disk", path.display())]
    NotOnDisk {
        /// The file or its directory.
        path: PathBuf,
        /// The file system.
        fs: &'static str,
    },
    /// The parent went away during the wait. Exit code 4.
    #[error("the parent process {parent} ended before it released this actor")]
    Orphaned {
        /// The parent at the start.
        parent: i32,
    },
    /// No release in time. Exit code 5.
    #[error("not released within {} s (--wait-timeout)", waited.as_secs_f64())]
    NotReleased {
        /// How long it waited.
        waited: Duration,
    },
    /// Of several processes, some were ended by a signal. Exit code 6.
    #[error("{killed} of {all} processes were killed")]
    ProcessesKilled {
        /// How many.
        killed: u32,
        /// Of how many.
        all: u32,
    },
    /// Of several processes, some gave up; the status page has the words of one. Exit code 3.
    #[error("{failed} of {all} processes failed")]
    ProcessesFailed {
        /// How many.
        failed: u32,
        /// Of how many.
        all: u32,
    },
}

impl Trouble {
    pub(crate) fn system(what: impl Into<String>, source: impl Into<io::Error>) -> Self {
        Self::System { what: what.into(), source: source.into() }
    }

    /// 2 usage, 3 failed, 4 orphaned, 5 never released, 6 processes killed.
    #[must_use]
    pub const fn exit_code(&self) -> u8 {
        match self {
            Self::Usage(_) | Self::Profile(_) | Self::NotOnDisk { .. } => 2,
            Self::Page(_)
            | Self::System { .. }
            | Self::OomScoreAdj { .. }
            | Self::NotResident { .. }
            | Self::ProcessesFailed { .. } => 3,
            Self::Orphaned { .. } => 4,
            Self::NotReleased { .. } => 5,
            Self::ProcessesKilled { .. } => 6,
        }
    }

    /// The error and its sources in one line.
    #[must_use]
    pub fn line(&self) -> String {
        let mut line = self.to_string();
        let mut source = self.source();
        while let Some(error) = source {
            let _ = write!(line, ": {error}");
            source = error.source();
        }
        line
    }

    pub(crate) fn errno(&self) -> i32 {
        let mut source = self.source();
        while let Some(error) = source {
            if let Some(errno) = error.downcast_ref::<io::Error>().and_then(io::Error::raw_os_error) {
                return errno;
            }
            source = error.source();
        }
        0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_names_the_cause_once_and_the_number_is_kept() {
        let trouble = Trouble::system("map 4096 bytes", io::Error::from_raw_os_error(libc::ENOMEM));
        assert_eq!(trouble.line(), "cannot map 4096 bytes: Cannot allocate memory (os error 12)");
        assert_eq!((trouble.errno(), trouble.exit_code()), (libc::ENOMEM, 3));
    }
}
