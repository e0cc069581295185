//! The published result model of bulkhead.
