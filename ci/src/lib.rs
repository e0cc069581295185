//! The throwaway systemd VM of bulkhead.
