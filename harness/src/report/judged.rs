//! One run directory → a case of the report, and what an invocation needs to know of it besides. One that cannot be read is
//! a case, too.

use std::path::Path;

use reports::case_id::HOST;
use reports::outcome::{Cleanup, Verdict};
use reports::report::{Case, Role};

use crate::error::chain;
use crate::judge::{Judgement, judge, starved};
use crate::record::event::EndReason;
use crate::record::{Event, Head, Record, Samples};

/// One run directory, judged. One that cannot be read is a case, too.
#[derive(Debug)]
pub struct Judged {
    /// As published.
    pub case: Case,
    /// The head of its record; none when it cannot be read.
    pub head: Option<Head>,
    /// Whether the operator interrupted it.
    pub interrupted: bool,
    /// For how much of the run its guest waited for processors, percent, when that was too much.
    pub starved: Option<u64>,
    /// Why the record does not count: the case was run again.
    pub set_aside: Option<String>,
}

impl Judged {
    /// Reads a run directory and judges it. Without a readable head the case is open, and named after its directory.
    #[must_use]
    pub fn read(dir: &Path) -> Self {
        match Record::load(dir) {
            Ok(record) => Self::of(&record, dir),
            Err(error) => Self::unreadable(dir, chain(&error)),
        }
    }

    /// Reads the run directory of a case that has just been run. Where it cannot be read, the case is lost for this reason.
    #[must_use]
    pub fn read_or(dir: &Path, head: Head, why: &str) -> Self {
        match Record::load(dir) {
            Ok(record) => Self::of(&record, dir),
            Err(error) if why.is_empty() => Self::lost(head, dir, chain(&error)),
            Err(_) => Self::lost(head, dir, why.to_owned()),
        }
    }

    /// A case of which there is no record to read: what its record would have begun with, and why there is none.
    #[must_use]
    pub fn lost(head: Head, dir: &Path, why: String) -> Self {
        let record = Record { head, events: Vec::new(), samples: Samples::default(), damage: Vec::new() };
        let judgement = open(why, Cleanup::NotNeeded);
        let case = super::case(&record, &judgement, dir);
        Self { case, head: Some(record.head), interrupted: false, starved: None, set_aside: None }
    }

    /// Adds what went wrong around the run and is not in its record.
    pub fn trouble(&mut self, why: String) {
        if self.case.reason.as_deref() != Some(why.as_str()) {
            self.case.warnings.push(why);
        }
    }

    /// Takes the word of a run that has just ended for what its cleanup left: its record may have been cut before that.
    pub fn cleaned(&mut self, left: &[String]) {
        let cleanup = &mut self.case.cleanup;
        *cleanup = match (&*cleanup, left) {
            (Cleanup::NotNeeded, []) => Cleanup::NotNeeded,
            (_, []) => Cleanup::Proven,
            (_, left) => Cleanup::NotProven { left: left.to_vec() },
        };
    }

    /// What cleanup could not prove to be gone from this very machine. A throwaway machine takes everything with it.
    #[must_use]
    pub fn dirt(&self) -> &[String] {
        match &self.case.cleanup {
            Cleanup::NotProven { left } if self.case.guest.is_none() => left,
            _ => &[],
        }
    }

    pub(super) fn is_dirty(&self) -> bool {
        matches!(self.case.cleanup, Cleanup::NotProven { .. }) && self.case.guest.is_none()
    }

    /// Notes that the record does not count, and where it lies by now.
    pub fn lay_aside(&mut self, why: String, kept: &Path) {
        self.set_aside = Some(why);
        self.case.record_path = Some(kept.display().to_string());
    }

    /// Where a run lies that does not count, and why.
    #[must_use]
    pub fn aside_words(&self) -> String {
        let case = &self.case;
        let id = case.id();
        let machine = id.elsewhere().unwrap_or("this machine");
        let why = self.set_aside.as_deref().unwrap_or_default();
        let path = case.record_path.as_deref().unwrap_or_default();
        format!("{} on {machine}: {why} ({path})", id.name())
    }

    pub(super) fn of(record: &Record, dir: &Path) -> Self {
        let interrupted =
            |event: &Event| matches!(event, Event::Ended { reason: EndReason::Interrupted { .. } });
        let set_aside = record.events.iter().find_map(|stamped| match &stamped.event {
            Event::SetAside { why } => Some(why.clone()),
            _ => None,
        });
        Self {
            case: super::case(record, &judge(record), dir),
            head: Some(record.head.clone()),
            interrupted: record.events.iter().any(|stamped| interrupted(&stamped.event)),
            starved: starved(record),
            set_aside,
        }
    }

    fn unreadable(dir: &Path, why: String) -> Self {
        let name = dir.file_name().unwrap_or(dir.as_os_str()).to_string_lossy().into_owned();
        let case = Case {
            scenario: name,
            title: "unreadable record".into(),
            source: String::new(),
            role: Role::Base,
            machine: HOST.into(),
            guest: None,
            policy: None,
            tree: None,
            run: 1,
            verdict: Verdict::Inconclusive,
            raw_verdict: Verdict::Inconclusive,
            headline: why.clone(),
            reason: Some(why),
            findings: Vec::new(),
            kills: Vec::new(),
            phases: Vec::new(),
            series: Vec::new(),
            took_ms: 0,
            record_path: Some(dir.display().to_string()),
            command: format!("bulkhead judge {}", dir.display()),
            warnings: Vec::new(),
            console: Vec::new(),
            cleanup: Cleanup::NotNeeded,
        };
        Self { case, head: None, interrupted: false, starved: None, set_aside: None }
    }
}

/// The judgement of a case of which nothing is known but why.
fn open(why: String, cleanup: Cleanup) -> Judgement {
    Judgement {
        verdict: Verdict::Inconclusive,
        raw_verdict: Verdict::Inconclusive,
        reason: Some(why),
        findings: Vec::new(),
        kills: Vec::new(),
        cleanup,
    }
}
