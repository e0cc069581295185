//! What bulkhead promises, held against real guests: one program, so that all of it shares one lab.
//!
//! Each test interferes with a run in a pristine clone of its own. The programs under test are the released ones.

mod attribution;
mod ends;
mod guards;
mod guests;
mod harmless;
mod lost;
mod machine;
mod placing;
mod policy;
mod shell;
