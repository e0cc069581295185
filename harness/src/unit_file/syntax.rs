//! The text of a unit file → its assignments in order, each with its line and the bytes of its value.
//!
//! As `config_parse()` of systemd's `conf-parser.c`: comments only at the beginning of a line, also between continued ones;
//! a backslash at the end of a line continues it; text behind a value belongs to the value.

use std::ops::Range;

/// `KEY=VALUE` in a section.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Assignment {
    /// The section it stands in, without brackets.
    pub section: String,
    /// The key.
    pub key: String,
    /// The value without the blanks around it; continued lines are joined by a blank.
    pub value: String,
    /// The line on which it begins, from 1.
    pub line: usize,
    /// The bytes of the file that are the value; empty, and behind the `=`, for an empty one.
    pub span: Range<usize>,
}

/// A line that systemd passes over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ignored {
    /// Its number, from 1.
    pub line: usize,
    /// Why.
    pub why: Reason,
}

/// Why systemd passes over a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Reason {
    /// It is not UTF-8. The rest of the file is not read either.
    #[error("the line is not UTF-8: systemd reads neither it nor the rest of the file")]
    NotUtf8,
    /// A section header that does not end, or with characters that none has. The rest of the file is not read either.
    #[error("this is no section header: systemd reads neither it nor the rest of the file")]
    BadSection,
    /// An assignment before any section.
    #[error("the assignment stands before any section, so that systemd ignores it")]
    OutsideSection,
    /// No `=`.
    #[error("the line has no `=`, so that systemd ignores it")]
    NoEquals,
    /// Nothing before the `=`.
    #[error("nothing stands before the `=`, so that systemd ignores the line")]
    NoKey,
}

impl Reason {
    /// Whether systemd stops reading the file there.
    #[must_use]
    pub const fn ends_the_file(self) -> bool {
        matches!(self, Self::NotUtf8 | Self::BadSection)
    }
}

/// What a unit file says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Text {
    /// The assignments, in file order.
    pub assignments: Vec<Assignment>,
    /// The lines that systemd passes over, in file order.
    pub ignored: Vec<Ignored>,
}

const BOM: &[u8] = b"\xef\xbb\xbf";

/// The characters that systemd strips: its `WHITESPACE`.
const BLANKS: [char; 4] = [' ', '\t', '\n', '\r'];

/// Reads a unit file.
#[must_use]
pub fn parse(bytes: &[u8]) -> Text {
    let mut parser = Parser::default();
    let mut at = if bytes.starts_with(BOM) { BOM.len() } else { 0 };
    let mut number = 0;
    while at < bytes.len() && !parser.ended {
        number += 1;
        let end = line_end(bytes, at);
        parser.physical(&bytes[at..end], at, number);
        at = after_line(bytes, end);
    }
    parser.finish();
    parser.text
}

const fn is_end(byte: u8) -> bool {
    matches!(byte, b'\n' | b'\r' | 0)
}

fn line_end(bytes: &[u8], from: usize) -> usize {
    bytes[from..].iter().position(|byte| is_end(*byte)).map_or(bytes.len(), |at| from + at)
}

/// Behind the end of a line: `\r\n` and `\n\r` are one, each of `\n`, `\r` and NUL alone is one.
fn after_line(bytes: &[u8], end: usize) -> usize {
    let mut at = end;
    while at < bytes.len() && is_end(bytes[at]) && !bytes[end..at].contains(&bytes[at]) {
        at += 1;
    }
    at
}

#[derive(Default)]
struct Parser {
    text: Text,
    section: Option<String>,
    /// A line that goes on: what there is of it, where each byte stands in the file, and its number.
    open: Option<Logical>,
    ended: bool,
}

struct Logical {
    bytes: Vec<u8>,
    places: Vec<usize>,
    line: usize,
}

impl Parser {
    fn physical(&mut self, line: &[u8], at: usize, number: usize) {
        let first = line.iter().find(|byte| !BLANKS.contains(&char::from(**byte)));
        if matches!(first, Some(b'#' | b';')) {
            return;
        }
        let mut logical =
            self.open.take().unwrap_or(Logical { bytes: Vec::new(), places: Vec::new(), line: number });
        logical.bytes.extend_from_slice(line);
        logical.places.extend(at..at + line.len());
        // An escaped backslash at the end does not continue the line.
        let escaped = logical.bytes.iter().rev().take_while(|byte| **byte == b'\\').count() % 2 == 1;
        match logical.bytes.last_mut().filter(|_| escaped) {
            Some(last) => {
                *last = b' ';
                self.open = Some(logical);
            }
            None => self.logical(&logical),
        }
    }

    fn finish(&mut self) {
        if let Some(logical) = self.open.take().filter(|_| !self.ended) {
            self.logical(&logical);
        }
    }

    fn ignore(&mut self, line: usize, why: Reason) {
        self.ended |= why.ends_the_file();
        self.text.ignored.push(Ignored { line, why });
    }

    fn logical(&mut self, logical: &Logical) {
        let Ok(whole) = std::str::from_utf8(&logical.bytes) else {
            return self.ignore(logical.line, Reason::NotUtf8);
        };
        let text = whole.trim_matches(BLANKS);
        if text.is_empty() {
            return;
        }
        if let Some(header) = text.strip_prefix('[') {
            let safe = |c: char| !c.is_ascii_control() && !matches!(c, '"' | '\'' | '\\');
            match header.strip_suffix(']').filter(|name| name.chars().all(safe)) {
                Some(name) => self.section = Some(name.to_owned()),
                None => self.ignore(logical.line, Reason::BadSection),
            }
            return;
        }
        let Some(section) = self.section.clone() else {
            return self.ignore(logical.line, Reason::OutsideSection);
        };
        match whole.split_once('=') {
            None => self.ignore(logical.line, Reason::NoEquals),
            Some((key, _)) if key.trim_matches(BLANKS).is_empty() => self.ignore(logical.line, Reason::NoKey),
            Some((key, value)) => {
                let trimmed = value.trim_matches(BLANKS);
                let start = key.len() + 1 + (value.len() - value.trim_start_matches(BLANKS).len());
                let place = |index: usize| logical.places.get(index).copied();
                let span = if trimmed.is_empty() {
                    let behind = place(key.len()).map_or(0, |equals| equals + 1);
                    behind..behind
                } else {
                    let (first, last) = (place(start), place(start + trimmed.len() - 1));
                    first.unwrap_or(0)..last.map_or(0, |last| last + 1)
                };
                let key = key.trim_matches(BLANKS).to_owned();
                let value = trimmed.to_owned();
                self.text.assignments.push(Assignment { section, key, value, line: logical.line, span });
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;

    fn read(text: &str) -> Vec<(String, String, usize)> {
        let parsed = parse(text.as_bytes());
        assert_eq!(parsed.ignored, []);
        let row = |one: &Assignment| (format!("{}.{}", one.section, one.key), one.value.clone(), one.line);
        parsed.assignments.iter().map(row).collect()
    }

    #[rstest]
    #[case::padding("[Slice]\n  MemoryMax \t=  4G  \n", "4G", 2)]
    #[case::windows("[Slice]\r\nMemoryMax=4G\r\n", "4G", 2)]
    #[case::an_old_mac("[Slice]\rMemoryMax=4G\r", "4G", 2)]
    #[case::no_newline("[Slice]\nMemoryMax=4G", "4G", 2)]
    #[case::a_byte_order_mark("\u{feff}[Slice]\nMemoryMax=4G\n", "4G", 2)]
    #[case::comments("# a\n; b\n[Slice]\n  # c=d\nMemoryMax=4G\n", "4G", 5)]
    #[case::what_looks_like_a_comment("[Slice]\nMemoryMax=4G # ours\n", "4G # ours", 2)]
    #[case::empty("[Slice]\nMemoryMax=\n", "", 2)]
    #[case::equals_in_a_value("[Slice]\nMemoryMax=a=b\n", "a=b", 2)]
    #[case::continued("[Slice]\nMemoryMax=4\\\nG\n", "4 G", 2)]
    #[case::continued_over_a_comment("[Slice]\nMemoryMax=4 \\\n# why\nG\n", "4  G", 2)]
    #[case::continued_by_nothing("[Slice]\nMemoryMax=4G\\\n\n", "4G", 2)]
    #[case::continued_at_the_end("[Slice]\nMemoryMax=4G\\", "4G", 2)]
    #[case::an_escaped_backslash("[Slice]\nMemoryMax=4\\\\\n", "4\\\\", 2)]
    fn an_assignment_is_read(#[case] text: &str, #[case] value: &str, #[case] line: usize) {
        assert_eq!(read(text), [("Slice.MemoryMax".to_owned(), value.to_owned(), line)]);
    }

    #[test]
    fn a_section_may_come_again_and_a_key_twice() {
        let text = "[Slice]\nA=1\n[Install]\nB=2\n[Slice]\nA=3\n";
        let keys: Vec<_> = read(text).into_iter().map(|(key, value, _)| key + "=" + &value).collect();
        assert_eq!(keys, ["Slice.A=1", "Install.B=2", "Slice.A=3"]);
    }

    /// Told by `systemd-analyze verify` of systemd 252: a bad header ends the reading, the others cost their line.
    #[rstest]
    #[case("A=1\n[Slice]\nB=2\n", 1, Reason::OutsideSection, 1)]
    #[case("[Slice]\nMemoryMax 4G\nB=2\n", 2, Reason::NoEquals, 1)]
    #[case("[Slice]\n=4G\nB=2\n", 2, Reason::NoKey, 1)]
    #[case("[Slice\nB=2\n", 1, Reason::BadSection, 0)]
    #[case("[Slice]\n[Sl'ce]\nB=2\n", 2, Reason::BadSection, 0)]
    fn a_line_that_systemd_ignores_is_told(
        #[case] text: &str,
        #[case] line: usize,
        #[case] why: Reason,
        #[case] read: usize,
    ) {
        let parsed = parse(text.as_bytes());
        assert_eq!(parsed.ignored, [Ignored { line, why }]);
        assert_eq!(parsed.assignments.len(), read);
    }

    #[test]
    fn a_line_that_is_not_utf8_ends_the_file() {
        let parsed = parse(b"[Slice]\nA=1\nB=\xff\nC=2\n");
        assert_eq!(parsed.ignored, [Ignored { line: 3, why: Reason::NotUtf8 }]);
        assert_eq!(parsed.assignments.len(), 1);
    }

    #[rstest]
    #[case("[S]\nA = 4G \n", "4G")]
    #[case("[S]\nA=4 \\\n  G\n", "4 \\\n  G")]
    #[case("[S]\nA=\n", "")]
    fn the_bytes_of_a_value_are_known(#[case] text: &str, #[case] bytes: &str) {
        let parsed = parse(text.as_bytes());
        assert_eq!(&text[parsed.assignments[0].span.clone()], bytes);
    }

    proptest! {
        #[test]
        fn no_bytes_make_the_parser_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = parse(&bytes);
        }

        #[test]
        fn each_span_lies_in_the_file(text in "(\\[S\\]\n)?([A-Z =\\\\\r\n#;]{0,12}\n){0,8}") {
            for one in parse(text.as_bytes()).assignments {
                prop_assert!(text.get(one.span.clone()).is_some_and(|bytes| one.value.is_empty() == bytes.is_empty()));
            }
        }
    }
}
