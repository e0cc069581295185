//! The actors of bulkhead.
