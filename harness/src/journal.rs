//! The journal of a run: what units logged between two marks of the run's own. Read before and after the stress, never in it.
//!
//! Silence is evidence only where every word would have come out. So the run writes a mark before and one after, lets
//! journald work off all that it was sent, and takes what it reads for whole only when both marks are in it.

mod entry;

use std::io;
use std::os::unix::net::UnixDatagram;
use std::path::PathBuf;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use crate::deadline;
pub use entry::Line;
use entry::{Entry, IDENTIFIER};

/// How long one question may take: on a machine that was stalled a moment ago.
const ANSWER_WITHIN: Duration = Duration::from_secs(20);
/// How long a mark may take to come out again once journald says that it has written everything.
const MARK_WITHIN: Duration = Duration::from_secs(5);
/// How long journald may take to accept a mark.
const SENT_WITHIN: Duration = Duration::from_secs(2);
/// How often a mark is looked for.
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// Why the journal could not be read.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// journalctl could not be run, or gave no answer.
    #[error(transparent)]
    Run(#[from] deadline::Error),
    /// It failed.
    #[error("journalctl failed: {0}")]
    Failed(String),
    /// It printed no cursor.
    #[error("journalctl printed no cursor: the journal is empty or not readable")]
    NoCursor,
    /// journald does not take messages.
    #[error("cannot write a marker to the journal ({path}): is systemd-journald running?")]
    Mark {
        /// Its socket.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// What was written did not come out.
    #[error(
        "a marker written to the journal did not show up within {} s: journald drops messages or stores none",
        MARK_WITHIN.as_secs()
    )]
    Incomplete,
}

/// The journal of a machine.
#[derive(Debug, Clone)]
pub struct Journal {
    /// The program that reads it.
    pub program: PathBuf,
    /// The socket that takes messages (`systemd.journal-fields(7)`, native protocol).
    pub socket: PathBuf,
}

/// Everything that the journal has for certain units between the marks.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Reading {
    /// What they logged.
    pub lines: Vec<Line>,
    /// Units of which journald says that it dropped messages, in its own words.
    pub suppressed: Vec<(String, String)>,
    /// Entries that could not be understood.
    pub unreadable: u64,
}

/// A stretch of the journal that has begun.
#[derive(Debug)]
pub struct Stretch {
    journal: Journal,
    cursor: String,
    run: String,
}

impl Journal {
    /// The journal of this machine.
    #[must_use]
    pub fn of_this_machine() -> Self {
        Self { program: "journalctl".into(), socket: "/run/systemd/journal/socket".into() }
    }

    /// Begins a stretch with a mark.
    ///
    /// # Errors
    /// When the journal cannot be read, or takes no mark.
    pub fn begin(&self, run: &str) -> Result<Stretch, Error> {
        let text = self.ask(&["--lines=1", "--output=cat", "--show-cursor"])?;
        let line = text.lines().rev().find_map(|line| line.strip_prefix("-- cursor: "));
        let cursor = line.ok_or(Error::NoCursor)?.to_owned();
        let stretch = Stretch { journal: self.clone(), cursor, run: run.to_owned() };
        stretch.mark(Edge::Begin)?;
        Ok(stretch)
    }

    fn ask(&self, arguments: &[&str]) -> Result<String, Error> {
        let mut command = Command::new(&self.program);
        command.args(["--no-pager", "--quiet"]).args(arguments);
        let output = deadline::output(&mut command, ANSWER_WITHIN)?;
        if !output.status.success() {
            return Err(Error::Failed(String::from_utf8_lossy(&output.stderr).trim().to_owned()));
        }
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }
}

/// The two ends of a stretch.
#[derive(Debug, Clone, Copy)]
enum Edge {
    Begin,
    End,
}

impl Stretch {
    /// Ends the stretch with a mark and reads what these units logged in it.
    ///
    /// # Errors
    /// When the journal cannot be read, or is not known to be whole.
    pub fn end(&self, units: &[&str]) -> Result<Reading, Error> {
        self.mark(Edge::End)?;
        // journald does this after all that it was sent before, by whatever way (systemd-journald.service(8), SIGRTMIN+1).
        self.journal.ask(&["--sync"])?;
        let began = Instant::now();
        loop {
            let text =
                self.journal.ask(&self.arguments(units).iter().map(String::as_str).collect::<Vec<_>>())?;
            if let Some(reading) = self.read(&text) {
                return Ok(reading);
            }
            if began.elapsed() >= MARK_WITHIN {
                return Err(Error::Incomplete);
            }
            thread::sleep(LOOK_EVERY);
        }
    }

    /// What the units logged, what journald says of itself, and the marks. Values of any length: without `--all`, long ones
    /// are left out.
    fn arguments(&self, units: &[&str]) -> Vec<String> {
        let mut arguments = vec![
            "--output=json".to_owned(),
            "--all".to_owned(),
            // Not `--after-cursor`: with matches, systemd 252 skips the first entry that fits, whether or not it is that one.
            format!("--cursor={}", self.cursor),
            format!("SYSLOG_IDENTIFIER={IDENTIFIER}"),
            "+".to_owned(),
            "_TRANSPORT=driver".to_owned(),
        ];
        for field in ["_SYSTEMD_UNIT", "UNIT"] {
            arguments.extend(units.iter().flat_map(|unit| ["+".to_owned(), format!("{field}={unit}")]));
        }
        arguments
    }

    /// What stands there; none unless both marks do.
    fn read(&self, text: &str) -> Option<Reading> {
        let mut reading = Reading::default();
        let (mut begun, mut ended) = (false, false);
        for line in text.lines() {
            match entry::parse(line) {
                Some(Entry::Own(words)) => {
                    begun |= words == self.words(Edge::Begin);
                    ended |= words == self.words(Edge::End);
                }
                // The entry at the cursor is older than the run.
                Some(Entry::Suppressed { unit, words }) if begun => reading.suppressed.push((unit, words)),
                Some(Entry::Line(line)) if begun => reading.lines.push(line),
                Some(Entry::Suppressed { .. } | Entry::Line(_) | Entry::Other) => {}
                None => reading.unreadable += 1,
            }
        }
        (begun && ended).then_some(reading)
    }

    fn mark(&self, edge: Edge) -> Result<(), Error> {
        let path = &self.journal.socket;
        let message = format!("MESSAGE={}\nPRIORITY=6\nSYSLOG_IDENTIFIER={IDENTIFIER}\n", self.words(edge));
        let sent = UnixDatagram::unbound().and_then(|socket| {
            socket.set_write_timeout(Some(SENT_WITHIN))?;
            socket.send_to(message.as_bytes(), path)
        });
        sent.map(drop).map_err(|source| Error::Mark { path: path.clone(), source })
    }

    fn words(&self, edge: Edge) -> String {
        let what = match edge {
            Edge::Begin => "begins",
            Edge::End => "has ended its stress",
        };
        format!("run {} {what}", self.run)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    /// A journald that keeps what it is sent, and a journalctl that prints `entries` and what `marks` makes of it.
    fn journal(dir: &Path, script: &str) -> (Journal, UnixDatagram) {
        let program = dir.join("journalctl");
        let head = "#!/bin/sh\ncase \"$*\" in *--show-cursor*) echo '-- cursor: s=1'; exit;; *--sync*) exit;; esac\n";
        // Written by a program of its own: were the file open for writing here while another test forks, its child would
        // hold it open, and it could not be executed (ETXTBSY).
        let written = Command::new("sh")
            .args(["-c", "printf %s \"$1\" > \"$0\" && chmod 755 \"$0\""])
            .arg(&program)
            .arg(format!("{head}{script}\n"))
            .status();
        assert!(written.expect("sh").success());
        let socket = dir.join("socket");
        let journald = UnixDatagram::bind(&socket).expect("bound");
        (Journal { program, socket }, journald)
    }

    fn entry(words: &str) -> String {
        format!(
            "echo '{{\"MESSAGE\":\"{words}\",\"SYSLOG_IDENTIFIER\":\"bulkhead\",\"__MONOTONIC_TIMESTAMP\":\"1\"}}'\n"
        )
    }

    const LINE: &str = "echo '{\"MESSAGE\":\"Killed /a\",\"_SYSTEMD_UNIT\":\"systemd-oomd.service\",\"__MONOTONIC_TIMESTAMP\":\"42\"}'\n";

    #[test]
    fn what_lies_between_both_marks_is_whole() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let script = format!("{}{LINE}{}", entry("run r1 begins"), entry("run r1 has ended its stress"));
        let (journal, journald) = journal(dir.path(), &script);
        let reading = journal.begin("r1").and_then(|stretch| stretch.end(&["systemd-oomd.service"]));
        let reading = reading.expect("whole");
        assert_eq!(reading.lines.len(), 1);
        assert_eq!((reading.lines[0].at_us, reading.unreadable), (42, 0));
        let mut buffer = [0; 256];
        for words in ["run r1 begins", "run r1 has ended its stress"] {
            let length = journald.recv(&mut buffer).expect("a mark");
            let expected = format!("MESSAGE={words}\nPRIORITY=6\nSYSLOG_IDENTIFIER=bulkhead\n");
            assert_eq!(String::from_utf8_lossy(&buffer[..length]), expected);
        }
    }

    /// The cursor stands at an entry that is older than the run, and it may be one of the unit's.
    #[test]
    fn what_was_logged_before_the_run_is_not_the_runs() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let script = format!("{LINE}{}{}", entry("run r1 begins"), entry("run r1 has ended its stress"));
        let (journal, _journald) = journal(dir.path(), &script);
        let reading = journal.begin("r1").and_then(|stretch| stretch.end(&["systemd-oomd.service"]));
        assert_eq!(reading.expect("whole").lines, []);
    }

    #[test]
    fn a_journal_that_keeps_only_one_mark_is_not_whole() {
        for kept in ["run r1 begins", "run r1 has ended its stress", "run r2 begins"] {
            let dir = tempfile::tempdir().expect("a temporary directory");
            let (journal, _journald) = journal(dir.path(), "");
            let stretch = journal.begin("r1").expect("begun");
            let kept = format!(
                r#"{{"MESSAGE":"{kept}","SYSLOG_IDENTIFIER":"bulkhead","__MONOTONIC_TIMESTAMP":"1"}}"#
            );
            assert_eq!(stretch.read(&kept), None);
        }
    }

    #[test]
    fn a_journald_that_listens_to_nobody_is_told_at_once() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let (journal, journald) = journal(dir.path(), "");
        drop(journald);
        let error = journal.begin("r1").expect_err("nobody listens");
        assert!(matches!(error, Error::Mark { .. }), "{error}");
    }

    #[test]
    fn what_cannot_be_understood_is_counted() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let script = format!(
            "{}{LINE}echo not json\necho '{{\"_SYSTEMD_UNIT\":\"systemd-oomd.service\"}}'\n{}",
            entry("run r1 begins"),
            entry("run r1 has ended its stress")
        );
        let (journal, _journald) = journal(dir.path(), &script);
        let reading = journal.begin("r1").and_then(|stretch| stretch.end(&["systemd-oomd.service"]));
        let reading = reading.expect("whole");
        assert_eq!((reading.lines.len(), reading.unreadable), (1, 2));
    }

    #[test]
    fn every_unit_is_asked_for_with_the_marks_and_journalds_own_words() {
        let stretch = Stretch { journal: Journal::of_this_machine(), cursor: "s=1".into(), run: "r1".into() };
        assert_eq!(
            stretch.arguments(&["a.service"])[2..],
            [
                "--cursor=s=1",
                "SYSLOG_IDENTIFIER=bulkhead",
                "+",
                "_TRANSPORT=driver",
                "+",
                "_SYSTEMD_UNIT=a.service",
                "+",
                "UNIT=a.service"
            ]
        );
    }
}
