//! The journal of a run: what units logged after a cursor taken before it. Read before and after the stress, never in it.

use std::io;
use std::process::Command;

/// A place in the journal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cursor(String);

/// One message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// `CLOCK_MONOTONIC` when the journal got it, µs.
    pub at_us: u64,
    /// The unit that logged it.
    pub unit: String,
    /// The message.
    pub message: String,
}

/// Why the journal could not be read.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// journalctl could not be run.
    #[error("journalctl could not be run")]
    Run(#[from] io::Error),
    /// It failed.
    #[error("journalctl failed: {0}")]
    Failed(String),
    /// It printed no cursor.
    #[error("journalctl printed no cursor: the journal is empty or not readable")]
    NoCursor,
}

fn journalctl(arguments: &[&str]) -> Result<String, Error> {
    let output = Command::new("journalctl").args(["--no-pager", "--quiet"]).args(arguments).output()?;
    if !output.status.success() {
        return Err(Error::Failed(String::from_utf8_lossy(&output.stderr).trim().to_owned()));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

impl Cursor {
    /// The end of the journal now.
    ///
    /// # Errors
    /// When the journal cannot be read.
    pub fn now() -> Result<Self, Error> {
        let text = journalctl(&["--lines=1", "--output=cat", "--show-cursor"])?;
        let line = text.lines().rev().find_map(|line| line.strip_prefix("-- cursor: "));
        line.map(|cursor| Self(cursor.to_owned())).ok_or(Error::NoCursor)
    }

    /// What these units logged since.
    ///
    /// # Errors
    /// When the journal cannot be read.
    pub fn since(&self, units: &[&str]) -> Result<Vec<Line>, Error> {
        let after = format!("--after-cursor={}", self.0);
        let units: Vec<String> = units.iter().map(|unit| format!("--unit={unit}")).collect();
        let mut arguments = vec!["--output=json", after.as_str()];
        arguments.extend(units.iter().map(String::as_str));
        Ok(journalctl(&arguments)?.lines().filter_map(line).collect())
    }
}

/// One line of `journalctl --output=json`. A message that is no UTF-8 comes as an array of bytes.
fn line(text: &str) -> Option<Line> {
    let value: serde_json::Value = serde_json::from_str(text).ok()?;
    let message = match &value["MESSAGE"] {
        serde_json::Value::String(message) => message.clone(),
        serde_json::Value::Array(bytes) => {
            let bytes: Vec<u8> = bytes.iter().filter_map(|byte| u8::try_from(byte.as_u64()?).ok()).collect();
            String::from_utf8_lossy(&bytes).into_owned()
        }
        _ => return None,
    };
    let unit = value["_SYSTEMD_UNIT"].as_str().or_else(|| value["UNIT"].as_str()).unwrap_or_default();
    Some(Line {
        at_us: value["__MONOTONIC_TIMESTAMP"].as_str()?.parse().ok()?,
        unit: unit.to_owned(),
        message,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_comes_with_its_unit_and_time() {
        let text =
            r#"{"MESSAGE":"Killed /a","_SYSTEMD_UNIT":"systemd-oomd.service","__MONOTONIC_TIMESTAMP":"42"}"#;
        let expected = Line { at_us: 42, unit: "systemd-oomd.service".into(), message: "Killed /a".into() };
        assert_eq!(line(text), Some(expected));
    }

    #[test]
    fn bytes_that_are_no_text_are_kept_as_far_as_they_go() {
        let text = r#"{"MESSAGE":[104,105,255],"_SYSTEMD_UNIT":"x.service","__MONOTONIC_TIMESTAMP":"1"}"#;
        assert_eq!(line(text).map(|line| line.message), Some("hi\u{fffd}".into()));
    }

    #[test]
    fn a_line_without_a_time_is_no_evidence() {
        assert_eq!(line(r#"{"MESSAGE":"x"}"#), None);
    }
}
