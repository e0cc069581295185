//! Follows the kernel log of a run: OOM records become events at once, everything read is kept in `kmsg.log`.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use super::recorder::Recorder;
use crate::error::chain;
use crate::kmsg::oom::{OomEvent, OomRecord, Parser};
use crate::kmsg::{Calibration, Error, RawItem, Reader, Record};
use crate::record::Event;

/// Raw lines that are written at once: a whole report of an OOM kill.
const RAW_BUFFER: usize = 64 << 10;
/// Kept of the raw log; OOM records are events and are never cut.
const RAW_LIMIT: usize = 4 << 20;
/// How long one wait for the next record lasts: the stop flag is looked at in between.
const NAP: Duration = Duration::from_millis(50);

/// Starts following. After `stop` is set, everything logged so far is still read.
pub fn start(
    mut reader: Reader,
    calibration: Option<Calibration>,
    raw: File,
    recorder: Arc<Recorder>,
    stop: Arc<AtomicBool>,
) -> JoinHandle<()> {
    thread::spawn(move || {
        let mut follow = Follow {
            parser: Parser::default(),
            calibration,
            raw: BufWriter::with_capacity(RAW_BUFFER, raw),
            kept: 0,
            no_killable: 0,
            read: 0,
            recorder,
        };
        loop {
            let last = stop.load(Ordering::Acquire);
            if let Err(error) = follow.drain(&mut reader) {
                follow.recorder.record(Event::KernelLogUnavailable { reason: chain(&error) });
                return;
            }
            if last {
                follow.finish();
                return;
            }
            if let Err(error) = reader.poll(NAP) {
                follow.recorder.record(Event::KernelLogUnavailable { reason: chain(&error) });
                return;
            }
        }
    })
}

struct Follow {
    parser: Parser,
    calibration: Option<Calibration>,
    raw: BufWriter<File>,
    kept: usize,
    no_killable: u64,
    read: u64,
    recorder: Arc<Recorder>,
}

impl Follow {
    fn drain(&mut self, reader: &mut Reader) -> Result<(), Error> {
        while let Some(item) = reader.next_raw()? {
            match item {
                RawItem::Lost { records } => self.recorder.record(Event::KernelLogLost { records }),
                RawItem::Record(raw) => {
                    self.read += 1;
                    let record = Record::parse(raw).ok_or_else(|| Error::malformed(raw))?;
                    for oom in self.parser.push(&record) {
                        self.event(oom);
                    }
                    // As the kernel hands it out, escaped: copying is all that a record of no interest costs.
                    if self.kept < RAW_LIMIT {
                        self.kept += raw.len();
                        let _ = self.raw.write_all(raw);
                    }
                }
            }
        }
        // Only now: the kill comes after some ninety records of its report, and a write for each would be its delay.
        let _ = self.raw.flush();
        Ok(())
    }

    fn event(&mut self, oom: OomRecord) {
        if oom.event == OomEvent::NoKillable {
            self.no_killable += 1;
            if self.no_killable > 1 {
                return;
            }
            self.recorder.record(Event::NoKillable { count: 1 });
            return;
        }
        let logged_us = self.calibration.map(|calibration| calibration.monotonic_us(oom.timestamp_us));
        self.recorder.record(Event::KernelOom { seq: oom.seq, logged_us, oom: oom.event });
    }

    fn finish(mut self) {
        if let Some(oom) = self.parser.finish() {
            self.event(oom);
        }
        if self.no_killable > 1 {
            self.recorder.record(Event::NoKillable { count: self.no_killable });
        }
        self.recorder.record(Event::KernelLogDrained { records: self.read });
    }
}
