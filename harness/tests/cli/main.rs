//! The `bulkhead` command as its users type it: exit codes, words on standard error, formats on standard output.
//!
//! Nothing here starts a VM or touches the machine.

mod bulkhead;
mod check;
mod judge;
mod plan;
mod policies;
mod run;
mod words;
