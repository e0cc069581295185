//! Why the kernel log could not be read or marked.

use std::io;
use std::path::PathBuf;

/// Why the kernel log could not be read or marked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Reading needs CAP_SYSLOG where `kernel.dmesg_restrict` is 1, as it is on Debian and Ubuntu.
    #[error("cannot open {path} (reading the kernel log needs root where kernel.dmesg_restrict is 1)")]
    Open {
        /// The device.
        path: PathBuf,
        /// What the kernel said.
        source: io::Error,
    },
    /// A system call on the open device failed.
    #[error("cannot {action} the kernel log")]
    Io {
        /// What was tried: read, wait for, mark.
        action: &'static str,
        /// What the kernel said.
        source: io::Error,
    },
    /// A record without the header that every kernel since 3.5 prints.
    #[error("the kernel log holds {0:?}, which has no `priority,sequence,timestamp,flags;` header")]
    Malformed(String),
    /// The marker was written and did not come back.
    #[error("a marker written to the kernel log did not come back within {0:?}")]
    MarkerLost(std::time::Duration),
}

impl Error {
    pub(crate) fn malformed(raw: &[u8]) -> Self {
        Self::Malformed(String::from_utf8_lossy(raw).into_owned())
    }
}
