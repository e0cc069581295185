//! One line of `journalctl --output=json` → what it is to a run.

use serde_json::Value;

/// Under this name the run's own marks stand in the journal.
pub(super) const IDENTIFIER: &str = "bulkhead";

/// One message of a unit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// `CLOCK_MONOTONIC` when the journal got it, µs.
    pub at_us: u64,
    /// The unit that logged it.
    pub unit: String,
    /// The message.
    pub message: String,
}

/// An entry of the journal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Entry {
    /// The run's own words.
    Own(String),
    /// journald says that it dropped messages of a unit.
    Suppressed {
        /// The unit.
        unit: String,
        /// What it says.
        words: String,
    },
    /// A unit's words.
    Line(Line),
    /// Something else that journald says.
    Other,
}

/// Reads an entry; none when it cannot be understood.
pub(super) fn parse(text: &str) -> Option<Entry> {
    let value: Value = serde_json::from_str(text).ok()?;
    let message = message(&value["MESSAGE"])?;
    if value["_TRANSPORT"] == "driver" {
        // Rate limits: `Suppressed 12 messages from x.service`.
        let dropped = message.strip_prefix("Suppressed ").and_then(|rest| rest.split_once(" messages from "));
        return Some(match dropped {
            Some((_, unit)) => Entry::Suppressed { unit: unit.to_owned(), words: message },
            None => Entry::Other,
        });
    }
    if value["SYSLOG_IDENTIFIER"] == IDENTIFIER {
        return Some(Entry::Own(message));
    }
    let unit = value["_SYSTEMD_UNIT"].as_str().or_else(|| value["UNIT"].as_str()).unwrap_or_default();
    let at_us = value["__MONOTONIC_TIMESTAMP"].as_str()?.parse().ok()?;
    Some(Entry::Line(Line { at_us, unit: unit.to_owned(), message }))
}

/// A message that is no UTF-8 comes as an array of bytes.
fn message(value: &Value) -> Option<String> {
    match value {
        Value::String(message) => Some(message.clone()),
        Value::Array(bytes) => {
            let bytes = bytes.iter().map(|byte| u8::try_from(byte.as_u64()?).ok());
            let bytes: Vec<u8> = bytes.collect::<Option<_>>()?;
            Some(String::from_utf8_lossy(&bytes).into_owned())
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    fn line(text: &str) -> Option<Line> {
        if let Some(Entry::Line(line)) = parse(text) { Some(line) } else { None }
    }

    #[test]
    fn a_message_comes_with_its_unit_and_time() {
        let text =
            r#"{"MESSAGE":"Killed /a","_SYSTEMD_UNIT":"systemd-oomd.service","__MONOTONIC_TIMESTAMP":"42"}"#;
        let expected = Line { at_us: 42, unit: "systemd-oomd.service".into(), message: "Killed /a".into() };
        assert_eq!(line(text), Some(expected));
    }

    #[test]
    fn the_unit_that_logs_outranks_the_one_that_it_speaks_of() {
        let text =
            r#"{"MESSAGE":"x","_SYSTEMD_UNIT":"init.scope","UNIT":"a.service","__MONOTONIC_TIMESTAMP":"1"}"#;
        assert_eq!(line(text).map(|line| line.unit), Some("init.scope".into()));
    }

    #[test]
    fn bytes_that_are_no_text_are_kept_as_far_as_they_go() {
        let text = r#"{"MESSAGE":[104,105,255],"_SYSTEMD_UNIT":"x.service","__MONOTONIC_TIMESTAMP":"1"}"#;
        assert_eq!(line(text).map(|line| line.message), Some("hi\u{fffd}".into()));
    }

    #[test]
    fn what_journald_dropped_is_told_with_the_unit() {
        let text = r#"{"MESSAGE":"Suppressed 12 messages from x.service","_TRANSPORT":"driver"}"#;
        let words = "Suppressed 12 messages from x.service".to_owned();
        assert_eq!(parse(text), Some(Entry::Suppressed { unit: "x.service".into(), words }));
        assert_eq!(parse(r#"{"MESSAGE":"Time jumped","_TRANSPORT":"driver"}"#), Some(Entry::Other));
    }

    #[test]
    fn a_unit_that_imitates_journald_is_only_a_unit() {
        let text = r#"{"MESSAGE":"Suppressed 1 messages from y.service","_TRANSPORT":"stdout","_SYSTEMD_UNIT":"x.service","__MONOTONIC_TIMESTAMP":"1"}"#;
        assert_eq!(line(text).map(|line| line.unit), Some("x.service".into()));
    }

    #[rstest]
    #[case::without_a_time(r#"{"MESSAGE":"x"}"#)]
    #[case::left_out_for_its_length(r#"{"MESSAGE":null,"__MONOTONIC_TIMESTAMP":"1"}"#)]
    #[case::no_bytes(r#"{"MESSAGE":[104,256],"__MONOTONIC_TIMESTAMP":"1"}"#)]
    #[case::no_entry("Hint: you are not seeing everything")]
    fn what_is_no_evidence_is_not_taken_for_any(#[case] text: &str) {
        assert_eq!(parse(text), None);
    }
}
