//! The pipeline of bulkhead as a library.
