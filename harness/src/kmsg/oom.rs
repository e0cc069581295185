//! Records of the kernel log become events of the OOM killer, with continuations put back together.
//!
//! It reports what was printed and does not pair summaries with kills: the kernel prints at most ten summaries in five
//! seconds but every kill, so a kill without a summary is normal. Names of processes and of hand-made cgroups are chosen by
//! whoever runs there; fields are therefore found from the right, and no process name can change a pid, uid or cgroup.
//!
//! Source: kernel `mm/oom_kill.c` (`dump_oom_victim`, `__oom_kill_process`), the same text from 5.15 to 6.12.

mod event;
mod line;

use serde::{Deserialize, Serialize};

use super::record::Record;

pub use event::{Constraint, OomEvent, Scope};

/// An event and where it stands in the kernel log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OomRecord {
    /// Sequence number of the (first) record.
    pub seq: u64,
    /// Time of that record on the kernel log's clock, in microseconds.
    pub timestamp_us: u64,
    /// What it says.
    pub event: OomEvent,
}

/// Kernel records that may come between the parts of a split line. OOM reports are serialised by a lock, so only
/// unrelated messages of other processors come between.
const PATIENCE: u32 = 32;

/// Puts events together from records in order.
#[derive(Debug, Default)]
pub struct Parser {
    pending: Option<Pending>,
}

/// A line that may go on in a continuation record.
#[derive(Debug)]
struct Pending {
    seq: u64,
    timestamp_us: u64,
    text: Vec<u8>,
    /// Lengths of `text` before each continuation, for taking back what was another line's.
    lengths: Vec<usize>,
    others: u32,
}

impl Parser {
    /// Takes the next record and returns the events that it completes: none, one, or (after a line that had to wait for
    /// a possible continuation) two. Records that the kernel did not write are passed over.
    pub fn push(&mut self, record: &Record) -> Vec<OomRecord> {
        let mut events = Vec::new();
        if !record.is_from_kernel() {
            return events;
        }
        if record.continuation {
            // Also not taken when nothing waits: its beginning was no OOM line.
            if let Some(pending) = &mut self.pending {
                pending.lengths.push(pending.text.len());
                pending.text.extend_from_slice(&record.text);
            }
            return events;
        }
        if line::may_continue(&record.text) {
            events.extend(self.finish());
            self.pending = Some(Pending {
                seq: record.seq,
                timestamp_us: record.timestamp_us,
                text: record.text.clone(),
                lengths: Vec::new(),
                others: 0,
            });
        } else if let Some(event) = line::parse(&record.text) {
            events.extend(self.finish());
            events.push(OomRecord { seq: record.seq, timestamp_us: record.timestamp_us, event });
        } else if let Some(pending) = &mut self.pending {
            pending.others += 1;
            if pending.others > PATIENCE {
                events.extend(self.finish());
            }
        }
        events
    }

    /// Completes a line that waits for a continuation: at the end of the log, and where records were lost.
    pub fn finish(&mut self) -> Option<OomRecord> {
        let pending = self.pending.take()?;
        let Pending { seq, timestamp_us, text, mut lengths, .. } = pending;
        lengths.push(text.len());
        // The whole first: a beginning that looks complete may be a hostile cgroup name. Then without the last
        // continuations, which may have belonged to another processor's line.
        let event = lengths.iter().rev().find_map(|length| line::parse(&text[..*length]));
        let event = event
            .unwrap_or_else(|| OomEvent::Unreadable { text: String::from_utf8_lossy(&text).into_owned() });
        Some(OomRecord { seq, timestamp_us, event })
    }
}

/// All events in `records`.
pub fn events<'r>(records: impl IntoIterator<Item = &'r Record>) -> Vec<OomRecord> {
    let mut parser = Parser::default();
    let mut events: Vec<_> = records.into_iter().flat_map(|record| parser.push(record)).collect();
    events.extend(parser.finish());
    events
}

#[cfg(test)]
mod tests;
