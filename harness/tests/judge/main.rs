//! The judge over records: some built event by event, so that each branch can be reasoned out, some saved from guests.

mod answers;
mod attribution;
mod built;
mod conditions;
mod cut_off;
mod daemons;
mod damaged;
mod ends;
mod gaps;
mod kills;
mod livelock;
mod metrics;
mod protect;
mod saved;
mod victims;
