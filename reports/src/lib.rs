//! The published result model of bulkhead, and one renderer per format.
//!
//! [`report::Report`] is everything a renderer may know; it is filled by the harness. Nothing here judges,
//! reads a machine or opens a record: a number that is not in the model is not in any report.

pub mod outcome;
pub mod report;
