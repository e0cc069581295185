//! The pipeline of bulkhead as a library.

pub mod cgroupfs;
pub mod host;
pub mod kernfile;
pub mod kmsg;
pub mod procfs;
pub mod psi;
pub mod scenario;
pub mod systemd;
