//! The published result model of bulkhead, and one renderer per format.
//!
//! [`report::Report`] is everything a renderer may know; it is filled by the harness. Nothing here judges,
//! reads a machine or opens a record: a number that is not in the model is not in any report.

pub mod json;
pub mod junit;
pub mod markdown;
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
