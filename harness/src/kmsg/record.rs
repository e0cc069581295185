//! One record of `/dev/kmsg`: header and escaped text become fields and bytes.

/// A record of the kernel log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Who wrote it: 0 the kernel, anything else user space, which cannot claim 0.
    pub facility: u32,
    /// Syslog level, 0 (emergency) to 7 (debug).
    pub level: u8,
    /// Sequence number since boot; consecutive unless records were lost.
    pub seq: u64,
    /// `local_clock()` in microseconds: near CLOCK_MONOTONIC, but not it; see [`super::Calibration`].
    pub timestamp_us: u64,
    /// Whether it continues an earlier kernel record that was too long for one.
    pub continuation: bool,
    /// The text, unescaped once. Bytes, because process and cgroup names need not be UTF-8.
    pub text: Vec<u8>,
}

impl Record {
    /// Reads one record as `read(2)` returns it: `priority,sequence,timestamp,flags[,…];text`, a line feed, and lines of
    /// properties that are passed over. `None` without such a header.
    #[must_use]
    pub fn parse(raw: &[u8]) -> Option<Self> {
        let (header, body) = raw.split_at(raw.iter().position(|byte| *byte == b';')?);
        let mut fields = header.split(|byte| *byte == b',').map(|field| str::from_utf8(field).ok());
        let priority: u32 = fields.next()??.parse().ok()?;
        let seq = fields.next()??.parse().ok()?;
        let timestamp_us = fields.next()??.parse().ok()?;
        let continuation = fields.next()?? == "c";
        let text = body[1..].split(|byte| *byte == b'\n').next().unwrap_or_default();
        Some(Self {
            facility: priority >> 3,
            level: (priority & 7) as u8,
            seq,
            timestamp_us,
            continuation,
            text: unescape(text),
        })
    }

    /// Whether the kernel itself wrote it.
    #[must_use]
    pub fn is_from_kernel(&self) -> bool {
        self.facility == 0
    }
}

/// The sequence number of a raw record.
pub(super) fn sequence(raw: &[u8]) -> Option<u64> {
    crate::kernfile::number(raw.split(|byte| *byte == b',').nth(1)?)
}

/// Reads records from saved text, one a line, in the format of [`Record::parse`]. Lines without a header (properties,
/// comments) are passed over.
pub fn records(text: &[u8]) -> impl Iterator<Item = Record> {
    text.split(|byte| *byte == b'\n').filter_map(Record::parse)
}

/// Undoes `\xNN`, once: the kernel escapes each byte below space, from 0x7f on, and the backslash, so a cgroup called
/// `a\x2db` on disk is printed `a\x5cx2db` (`msg_add_ext_text`).
fn unescape(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((first, after)) = rest.split_first() {
        match rest {
            [b'\\', b'x', high, low, after @ ..] if hex(*high).is_some() && hex(*low).is_some() => {
                out.push(hex(*high).unwrap_or(0) << 4 | hex(*low).unwrap_or(0));
                rest = after;
            }
            _ => {
                out.push(*first);
                rest = after;
            }
        }
    }
    out
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok())
}

/// What `msg_add_ext_text` of the kernel does to the text of a record.
#[cfg(test)]
pub(super) fn escape(text: &[u8]) -> String {
    text.iter().fold(String::new(), |mut out, byte| {
        match byte {
            b' '..=b'[' | b']'..=b'~' => out.push(char::from(*byte)),
            _ => out.push_str(&format!("\\x{byte:02x}")),
        }
        out
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn header_and_text_are_read_and_properties_are_passed_over() {
        let raw = b"3,1042,5000001,-,caller=T17;Killed process 42 (a)\n SUBSYSTEM=x\n DEVICE=y\n";
        let expected = Record {
            facility: 0,
            level: 3,
            seq: 1042,
            timestamp_us: 5_000_001,
            continuation: false,
            text: b"Killed process 42 (a)".to_vec(),
        };
        assert_eq!(Record::parse(raw), Some(expected));
        assert_eq!(sequence(raw), Some(1042));
    }

    #[test]
    fn what_user_space_writes_is_not_from_the_kernel() {
        let record = Record::parse(b"11,7,5,-;harness marker\n").expect("a record");
        assert!(!record.is_from_kernel());
        assert_eq!((record.facility, record.level), (1, 3));
    }

    #[test]
    fn escapes_are_undone_exactly_once() {
        let record = Record::parse(br"6,1,2,c;a\x5cx2db\x0ac;d\xg0\x4").expect("a record");
        assert_eq!(record.text, b"a\\x2db\nc;d\\xg0\\x4");
        assert!(record.continuation);
    }

    #[test]
    fn lines_that_are_no_records_are_passed_over() {
        let text = b"# captured on Linux 6.12\n6,1,2,-;one\n KEY=value\n\n6,2,3,-;two\n";
        let texts: Vec<_> = records(text).map(|record| record.text).collect();
        assert_eq!(texts, [b"one".to_vec(), b"two".to_vec()]);
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_a_panic(raw in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = Record::parse(&raw);
            let _ = sequence(&raw);
        }

        #[test]
        fn whatever_the_kernel_escapes_comes_back(text in proptest::collection::vec(any::<u8>(), 0..100)) {
            let raw = format!("6,1,2,-;{}\n", escape(&text));
            prop_assert_eq!(Record::parse(raw.as_bytes()).expect("a record").text, text);
        }
    }
}
