//! The kernel log: records of `/dev/kmsg` become items, and those of the OOM killer become events.
//!
//! Records are read by sequence number from a cursor taken before the run; what the ring overwrote before it was read is
//! reported as lost, never passed over. Only the kernel itself can write facility 0, so forged OOM lines are told apart.
//! Nothing here decides who killed whom: it reports what the kernel printed.
//!
//! Source: kernel `Documentation/ABI/testing/dev-kmsg`, `kernel/printk/printk.c`.

mod clock;
mod error;
pub mod oom;
mod reader;
mod record;

pub use clock::Calibration;
pub use error::Error;
pub use reader::{Device, Item, Kmsg, RawItem, Reader};
pub use record::{Record, records};

/// Where the kernel log is read and marked.
pub const PATH: &str = "/dev/kmsg";
