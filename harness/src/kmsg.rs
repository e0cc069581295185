//! The kernel log: records of `/dev/kmsg` become items, and those of the OOM killer become events.
//!
//! Records are read by sequence number from a cursor taken before the run; what the ring overwrote before it was read is
//! reported as lost, never passed over. Only the kernel itself can write facility 0, so forged OOM lines are told apart.
//! Nothing here decides who killed whom: it reports what the kernel printed.
//!
//! Source: kernel `Documentation/ABI/testing/dev-kmsg`, `kernel/printk/printk.c`.

mod clock;
pub mod oom;
mod reader;
mod record;

use std::io;
use std::path::PathBuf;

pub use clock::Calibration;
pub use reader::{Device, Item, Kmsg, RawItem, Reader};
pub use record::{Record, records};

/// Where the kernel log is read and marked.
pub const PATH: &str = "/dev/kmsg";

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
