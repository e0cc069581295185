//! Stamps events and puts them on disk as they happen. The first write error is kept, and ends the record and the run.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use super::clock::now_us;
use crate::error::chain;
use crate::record::store::{Store, StoreError};
use crate::record::{Event, Stamped};

/// Where every part of the run puts what it saw.
#[derive(Debug)]
pub struct Recorder {
    store: Store,
    failed: AtomicBool,
    error: Mutex<Option<StoreError>>,
}

impl Recorder {
    /// Records into a run directory.
    #[must_use]
    pub fn new(store: Store) -> Self {
        Self { store, failed: AtomicBool::new(false), error: Mutex::new(None) }
    }

    /// Records an event that happens now.
    pub fn record(&self, event: Event) {
        self.record_at(now_us(), event);
    }

    /// Records an event that happened at this time, µs.
    pub fn record_at(&self, at_us: u64, event: Event) {
        // A record with a hole would be taken for whole: after an error it has no more lines, and no end.
        if self.failed() {
            return;
        }
        if let Err(error) = self.store.append(&Stamped { at_us, event }) {
            self.fail(error);
        }
    }

    fn fail(&self, error: StoreError) {
        self.failed.store(true, Ordering::Relaxed);
        self.error.lock().unwrap_or_else(std::sync::PoisonError::into_inner).get_or_insert(error);
    }

    /// Records that a step failed: data for the verdict, not an error of the run.
    pub fn trouble(&self, step: &str, error: &dyn std::error::Error) {
        self.record(Event::Trouble { step: step.into(), error: chain(error) });
    }

    /// Whether the record can no longer be written: the run must end.
    #[must_use]
    pub fn failed(&self) -> bool {
        self.failed.load(Ordering::Relaxed)
    }

    /// The run directory.
    #[must_use]
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// The first write error, if any.
    #[must_use]
    pub fn take_error(&self) -> Option<StoreError> {
        self.error.lock().unwrap_or_else(std::sync::PoisonError::into_inner).take()
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::record::event::Mark;

    /// A hole in a record would not be seen; a record without its end is.
    #[test]
    fn after_an_error_nothing_more_is_recorded() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let store = Store::create(&dir.path().join("run")).expect("made");
        let recorder = Recorder::new(store);
        recorder.record(Event::Phase { phase: Mark::Setup });
        let before = fs::read(dir.path().join("run/events.jsonl")).expect("events");
        let full = StoreError::Io {
            action: "write",
            path: dir.path().to_owned(),
            source: std::io::ErrorKind::StorageFull.into(),
        };
        recorder.fail(full);
        recorder.record(Event::Phase { phase: Mark::Cleanup });
        assert_eq!(fs::read(dir.path().join("run/events.jsonl")).expect("events"), before);
        assert!(recorder.take_error().is_some());
    }
}
