//! The two programs as their users start them: command lines, exit codes, and what the status page says.

mod actor;
mod balloon;
mod bystander;
mod reads_back;
mod start;
mod usage;
