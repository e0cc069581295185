//! The pipeline of bulkhead as a library: scenario → plan → run → record → judge → report.

pub mod cgroupfs;
pub mod cli;
pub mod commands;
pub mod deadline;
pub mod display;
pub mod earlyoom;
pub mod exit_code;
pub mod guard;
pub mod host;
pub mod journal;
pub mod judge;
pub mod kernfile;
pub mod kmsg;
pub mod oomd;
pub mod plan;
pub mod process;
pub mod procfs;
pub mod psi;
pub mod record;
pub mod report;
pub mod requirement;
pub mod run;
pub mod scenario;
pub mod systemd;
pub mod target;
