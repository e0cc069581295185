//! The published result model of bulkhead, and one renderer per format.
//!
//! [`report::Report`] is everything a renderer may know; it is filled by the harness. Nothing here judges,
//! reads a machine or opens a record: a number that is not in the model is not in any report. Its words for what was found
//! ([`outcome`], [`finding`], [`number`], [`kill`]) are the judge's own, who knows nothing else of a report.

pub mod case_id;
pub mod finding;
pub mod json;
pub mod junit;
pub mod kill;
pub mod markdown;
pub mod number;
pub mod outcome;
mod phrase;
pub mod report;
mod rows;
pub mod sink;
pub mod sparkline;
pub mod target;
pub mod terminal;
pub mod text;
pub mod units;

#[cfg(test)]
mod samples;
