//! Reads `/dev/kmsg` from a cursor on, and says what the ring lost.

use std::collections::VecDeque;
use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::error::Error;
use super::record::{Record, sequence};

/// Holds any record: the kernel's own buffer is 8192 bytes up to Linux 6.1 and 2048 later. A record that does not fit
/// is skipped by the kernel (`EINVAL`).
const BUFFER: usize = 8192;

/// The longest text that every kernel takes in one write to `/dev/kmsg` (976 bytes on Linux 6.1, with room to spare).
const MARK_MAX: usize = 900;

/// What a [`Reader`] reads from: the kernel log, or a script in tests.
pub trait Device: Send {
    /// One record, as `read(2)` on `/dev/kmsg`: `EAGAIN` when there is none, `EPIPE` when records were overwritten.
    ///
    /// # Errors
    /// The errno of the read.
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize, Errno>;

    /// Waits until there may be a record; `false` after `timeout`.
    ///
    /// # Errors
    /// The errno of the wait.
    fn wait(&self, timeout: Duration) -> Result<bool, Errno>;

    /// Writes one record.
    ///
    /// # Errors
    /// The errno of the write.
    fn write(&mut self, line: &[u8]) -> Result<(), Errno>;
}

/// The kernel log device.
#[derive(Debug)]
pub struct Kmsg {
    reader: File,
    path: PathBuf,
    /// Opened with the first mark, and kept: the rate limit on writers counts per open file.
    writer: Option<File>,
}

/// Something read from the kernel log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Item {
    /// The next record.
    Record(Record),
    /// So many records were overwritten before they were read.
    Lost {
        /// How many, from the gap in the sequence numbers.
        records: u64,
    },
}

/// As [`Item`], without allocation: the record as the kernel handed it out.
#[derive(Debug, PartialEq, Eq)]
pub enum RawItem<'r> {
    /// The raw bytes, for [`Record::parse`] or for saving: ASCII, ending with a line feed.
    Record(&'r [u8]),
    /// As [`Item::Lost`].
    Lost {
        /// How many.
        records: u64,
    },
}

/// A place in the kernel log, moving forward.
#[derive(Debug)]
pub struct Reader<D = Kmsg> {
    pub(super) device: D,
    buffer: Box<[u8; BUFFER]>,
    cursor: u64,
    /// Length of a record that waits in `buffer` because a gap before it is reported first.
    held: Option<usize>,
    /// Read while looking for a marker, to be handed out first.
    ahead: VecDeque<Ahead>,
}

#[derive(Debug)]
enum Ahead {
    Record(Vec<u8>),
    Lost(u64),
}

enum Step {
    Record(usize),
    Lost(u64),
}

impl Reader {
    /// Opens the kernel log `path` (normally [`super::PATH`]) and moves behind its last record, reading what is there
    /// once, so that the cursor is a known sequence number and every later loss can be counted.
    ///
    /// # Errors
    /// When the device cannot be opened (needs CAP_SYSLOG where `kernel.dmesg_restrict` is 1) or read.
    pub fn open(path: &Path) -> Result<Self, Error> {
        let reader = OpenOptions::new()
            .read(true)
            .custom_flags(libc::O_NONBLOCK)
            .open(path)
            .map_err(|source| Error::Open { path: path.to_owned(), source })?;
        Self::over(Kmsg { reader, path: path.to_owned(), writer: None })
    }
}

impl<D: Device> Reader<D> {
    /// A reader at the end of `device`.
    ///
    /// # Errors
    /// When `device` cannot be read.
    pub fn over(device: D) -> Result<Self, Error> {
        let buffer = Box::new([0; BUFFER]);
        let mut reader = Self { device, buffer, cursor: 0, held: None, ahead: VecDeque::new() };
        while reader.step()?.is_some() {}
        reader.held = None;
        Ok(reader)
    }

    /// The sequence number of the next record.
    #[must_use]
    pub fn cursor(&self) -> u64 {
        self.cursor
    }

    /// Waits until there is something to read; `false` after `timeout`.
    ///
    /// # Errors
    /// When the device cannot be waited for.
    pub fn poll(&self, timeout: Duration) -> Result<bool, Error> {
        if self.held.is_some() || !self.ahead.is_empty() {
            return Ok(true);
        }
        self.device.wait(timeout).map_err(|errno| Error::Io { action: "wait for", source: errno.into() })
    }

    /// The next item, without waiting; `None` at the end. Allocates nothing.
    ///
    /// # Errors
    /// When the device cannot be read, or a record has no header.
    pub fn next_raw(&mut self) -> Result<Option<RawItem<'_>>, Error> {
        match self.ahead.pop_front() {
            Some(Ahead::Lost(records)) => return Ok(Some(RawItem::Lost { records })),
            Some(Ahead::Record(raw)) => {
                // Only ever filled from `buffer`, so it fits; a held record is pushed before this can happen.
                self.buffer[..raw.len()].copy_from_slice(&raw);
                return Ok(Some(RawItem::Record(&self.buffer[..raw.len()])));
            }
            None => {}
        }
        Ok(self.step()?.map(|step| match step {
            Step::Record(length) => RawItem::Record(&self.buffer[..length]),
            Step::Lost(records) => RawItem::Lost { records },
        }))
    }

    /// The next item, without waiting; `None` at the end.
    ///
    /// # Errors
    /// When the device cannot be read, or a record has no header.
    pub fn next_item(&mut self) -> Result<Option<Item>, Error> {
        match self.next_raw()? {
            None => Ok(None),
            Some(RawItem::Lost { records }) => Ok(Some(Item::Lost { records })),
            Some(RawItem::Record(raw)) => Record::parse(raw)
                .map(|record| Some(Item::Record(record)))
                .ok_or_else(|| Error::malformed(raw)),
        }
    }

    /// Writes a marker record of facility `user`, level info, so that what happened can be placed between markers by
    /// sequence number. It comes back as `bulkhead: TEXT`. Line feeds become spaces; what is longer than a record is cut.
    ///
    /// # Errors
    /// When the kernel refuses the write.
    pub fn mark(&mut self, text: &str) -> Result<(), Error> {
        let mut line = format!("<14>bulkhead: {}", text.replace('\n', " "));
        while line.len() > MARK_MAX {
            line.pop();
        }
        line.push('\n');
        self.device
            .write(line.as_bytes())
            .map_err(|errno| Error::Io { action: "write a marker to", source: errno.into() })
    }

    /// Reads on until `wanted` matches a record, which is returned; everything read on the way, that record included,
    /// stays to be handed out. `None` when it did not come within `timeout`.
    pub(super) fn find(
        &mut self,
        wanted: impl Fn(&Record) -> bool,
        timeout: Duration,
    ) -> Result<Option<Record>, Error> {
        let deadline = std::time::Instant::now() + timeout;
        loop {
            while let Some(step) = self.step()? {
                let length = match step {
                    Step::Lost(records) => {
                        self.ahead.push_back(Ahead::Lost(records));
                        continue;
                    }
                    Step::Record(length) => length,
                };
                let raw = self.buffer[..length].to_vec();
                let record = Record::parse(&raw).filter(&wanted);
                self.ahead.push_back(Ahead::Record(raw));
                if record.is_some() {
                    return Ok(record);
                }
            }
            let left = deadline.saturating_duration_since(std::time::Instant::now());
            if left.is_zero() {
                return Ok(None);
            }
            self.device.wait(left).map_err(|errno| Error::Io { action: "wait for", source: errno.into() })?;
        }
    }

    fn step(&mut self) -> Result<Option<Step>, Error> {
        if let Some(length) = self.held.take() {
            return Ok(Some(Step::Record(length)));
        }
        loop {
            let length = match self.device.read(&mut self.buffer[..]) {
                Ok(length) => length,
                Err(Errno::EAGAIN) => return Ok(None),
                // Overrun (EPIPE) and a record longer than the buffer (EINVAL) both leave a gap in the sequence, which
                // the next record shows.
                Err(Errno::EPIPE | Errno::EINVAL | Errno::EINTR) => continue,
                Err(errno) => return Err(Error::Io { action: "read", source: errno.into() }),
            };
            let raw = &self.buffer[..length];
            let seq = sequence(raw).ok_or_else(|| Error::malformed(raw))?;
            let lost = seq.saturating_sub(self.cursor);
            self.cursor = seq + 1;
            if lost > 0 {
                self.held = Some(length);
                return Ok(Some(Step::Lost(lost)));
            }
            return Ok(Some(Step::Record(length)));
        }
    }
}

impl AsFd for Reader {
    /// For `poll(2)` together with other descriptors: `POLLIN`.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.device.reader.as_fd()
    }
}

impl Device for Kmsg {
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize, Errno> {
        match self.reader.read(buffer) {
            // End of file: not the device but a plain file, which has nothing to follow.
            Ok(0) => Err(Errno::EAGAIN),
            Ok(length) => Ok(length),
            Err(error) => Err(Errno::from_raw(error.raw_os_error().unwrap_or(libc::EIO))),
        }
    }

    fn wait(&self, timeout: Duration) -> Result<bool, Errno> {
        // Rounded up: a timeout of 0 would turn a wait for less than a millisecond into a busy loop.
        let timeout = PollTimeout::try_from(timeout.as_micros().div_ceil(1000)).unwrap_or(PollTimeout::MAX);
        match poll(&mut [PollFd::new(self.reader.as_fd(), PollFlags::POLLIN)], timeout) {
            Ok(ready) => Ok(ready > 0),
            Err(Errno::EINTR) => Ok(false),
            Err(errno) => Err(errno),
        }
    }

    fn write(&mut self, line: &[u8]) -> Result<(), Errno> {
        let errno = |error: std::io::Error| Errno::from_raw(error.raw_os_error().unwrap_or(libc::EIO));
        let writer = match &mut self.writer {
            Some(writer) => writer,
            none => none.insert(OpenOptions::new().write(true).open(&self.path).map_err(errno)?),
        };
        // One write is one record.
        writer.write(line).map(drop).map_err(errno)
    }
}

#[cfg(test)]
pub(super) mod script {
    //! A device that plays a script.

    use super::*;

    /// What reads return, in order; `EAGAIN` at the end. Writes are echoed as records unless `deaf`.
    #[derive(Debug, Default)]
    pub(in crate::kmsg) struct Script {
        pub(in crate::kmsg) reads: VecDeque<Result<Vec<u8>, Errno>>,
        pub(in crate::kmsg) written: Vec<String>,
        pub(in crate::kmsg) next_seq: u64,
        pub(in crate::kmsg) deaf: bool,
    }

    impl Device for Script {
        fn read(&mut self, buffer: &mut [u8]) -> Result<usize, Errno> {
            let raw = self.reads.pop_front().unwrap_or(Err(Errno::EAGAIN))?;
            buffer[..raw.len()].copy_from_slice(&raw);
            Ok(raw.len())
        }

        fn wait(&self, _timeout: Duration) -> Result<bool, Errno> {
            Ok(!self.reads.is_empty())
        }

        fn write(&mut self, line: &[u8]) -> Result<(), Errno> {
            let line = String::from_utf8_lossy(line).into_owned();
            if !self.deaf {
                let text = line.trim_start_matches("<14>");
                self.reads.push_back(Ok(format!("14,{},1000000,-;{text}", self.next_seq).into_bytes()));
                self.next_seq += 1;
            }
            self.written.push(line);
            Ok(())
        }
    }

    /// A raw kernel record.
    pub(in crate::kmsg) fn raw(seq: u64, text: &str) -> Result<Vec<u8>, Errno> {
        Ok(format!("6,{seq},{},-;{text}\n", seq * 10).into_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::script::{Script, raw};
    use super::*;

    fn texts(reader: &mut Reader<Script>) -> Vec<String> {
        let mut out = Vec::new();
        while let Some(item) = reader.next_item().expect("readable") {
            out.push(match item {
                Item::Record(record) => format!("{} {}", record.seq, String::from_utf8_lossy(&record.text)),
                Item::Lost { records } => format!("lost {records}"),
            });
        }
        out
    }

    fn reader_after(old: &[u64]) -> Reader<Script> {
        let reads = old.iter().map(|seq| raw(*seq, "old")).collect();
        Reader::over(Script { reads, ..Script::default() }).expect("a reader")
    }

    #[test]
    fn what_was_logged_before_opening_is_not_handed_out_and_sets_the_cursor() {
        let mut reader = reader_after(&[100, 101]);
        assert_eq!(reader.cursor(), 102);
        reader.device.reads.push_back(raw(102, "new"));
        assert_eq!(texts(&mut reader), ["102 new"]);
        assert_eq!(reader.cursor(), 103);
    }

    #[test]
    fn overwritten_records_are_counted_and_reported_before_the_next_record() {
        let mut reader = reader_after(&[1]);
        reader.device.reads.extend([Err(Errno::EPIPE), raw(50, "after"), raw(51, "next")]);
        assert_eq!(texts(&mut reader), ["lost 48", "50 after", "51 next"]);
    }

    #[test]
    fn a_record_too_long_to_read_is_counted_as_lost() {
        let mut reader = reader_after(&[1]);
        reader.device.reads.extend([Err(Errno::EINVAL), raw(3, "after")]);
        assert_eq!(texts(&mut reader), ["lost 1", "3 after"]);
    }

    #[test]
    fn records_read_while_looking_for_a_marker_are_still_handed_out() {
        let mut reader = reader_after(&[1]);
        reader.device.reads.extend([raw(2, "between"), raw(5, "after a gap"), raw(6, "wanted")]);
        let found = reader.find(|record| record.text == b"wanted", Duration::ZERO).expect("readable");
        assert_eq!(found.map(|record| record.seq), Some(6));
        assert!(reader.poll(Duration::ZERO).expect("poll"));
        assert_eq!(texts(&mut reader), ["2 between", "lost 2", "5 after a gap", "6 wanted"]);
    }

    #[test]
    fn a_marker_is_one_line_and_fits_a_record() {
        let mut reader = reader_after(&[1]);
        reader.mark(&format!("a\nb{}", "é".repeat(1000))).expect("marked");
        let line = &reader.device.written[0];
        assert!(line.starts_with("<14>bulkhead: a b"), "{line}");
        assert!(line.len() <= MARK_MAX + 1 && line.matches('\n').count() == 1, "{}", line.len());
    }

    #[test]
    fn an_unknown_failure_of_the_device_is_an_error_and_not_the_end() {
        let mut reader = reader_after(&[1]);
        reader.device.reads.push_back(Err(Errno::EIO));
        assert!(matches!(reader.next_item(), Err(Error::Io { action: "read", .. })));
        reader.device.reads.push_back(Ok(b"no header".to_vec()));
        assert!(matches!(reader.next_item(), Err(Error::Malformed(_))));
    }
}
