//! What the half of a run outside tells the half inside another machine, a line each: the job, and later its leave to begin.

use std::io::{self, BufRead, Read};
use std::sync::Arc;

use reports::case_id::CaseId;
use serde::{Deserialize, Serialize};

use super::Case;
use crate::reading::diagnostic::Invalid;
use crate::record::GuestFacts;
use crate::scenario::Scenario;

/// Its version: both halves are the same program, or say so.
const SCHEMA: u32 = 1;
/// Longest line: of a scenario's text, as JSON.
const LONGEST: u64 = 4 << 20;
/// The line that gives leave to begin.
pub const LEAVE: &str = "begin\n";

/// One case to be run on the machine that reads this.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Job {
    schema: u32,
    /// Which case it is.
    case: CaseId,
    /// The scenario file as written.
    scenario: String,
    /// What is known outside of the guest that this is for, when it is for one.
    guest: Option<GuestFacts>,
}

/// Why there is no job to do.
#[derive(Debug, thiserror::Error)]
pub enum JobError {
    /// Standard input is not readable.
    #[error("cannot read the job from standard input")]
    Read(#[from] io::Error),
    /// It is no job of this version.
    #[error("no job on standard input; `bulkhead run` writes one")]
    Line(#[from] serde_json::Error),
    /// Another bulkhead wrote it.
    #[error(
        "the job has version {0}, this bulkhead takes version {SCHEMA}: use the same bulkhead on both sides"
    )]
    Version(u32),
    /// The scenario is not one.
    #[error(transparent)]
    Scenario(#[from] Invalid),
}

impl Job {
    /// The job to run a case in a guest, or on another host.
    #[must_use]
    pub fn of(case: &Case, guest: Option<GuestFacts>) -> Self {
        let id = case.id(guest.as_ref().map(|guest| guest.name.as_str()));
        Self { schema: SCHEMA, case: id, scenario: case.scenario.file.text.to_string(), guest }
    }

    /// The line that carries it.
    #[must_use]
    pub fn line(&self) -> String {
        // It holds nothing that JSON does not; were it so, an empty line is no job, and is said to be none.
        serde_json::to_string(self).unwrap_or_default() + "\n"
    }

    /// Reads a job.
    ///
    /// # Errors
    /// When there is none, or none of this version.
    pub fn read(from: &mut impl BufRead) -> Result<Self, JobError> {
        let mut line = Vec::new();
        from.take(LONGEST).read_until(b'\n', &mut line)?;
        let job: Self = serde_json::from_slice(&line)?;
        if job.schema == SCHEMA { Ok(job) } else { Err(JobError::Version(job.schema)) }
    }

    /// The case, and the guest it is for.
    ///
    /// # Errors
    /// When its scenario is not one.
    pub fn case(self) -> Result<(Case, Option<GuestFacts>), JobError> {
        let path = format!("{}.toml", self.case.scenario);
        let scenario = Arc::new(Scenario::parse(&path, &self.scenario)?);
        Ok((Case { scenario, twin: self.case.twin, run: self.case.run }, self.guest))
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    const TEXT: &str = include_str!("../../../scenarios/hard-cap-kill.toml");

    fn job() -> Job {
        let scenario = Arc::new(Scenario::parse("hard-cap-kill.toml", TEXT).expect("a scenario"));
        let guest = GuestFacts { name: "trixie".into(), accelerator: "tcg".into(), waited_percent: None };
        Job::of(&Case { scenario, twin: Some("unkillable".into()), run: 3 }, Some(guest))
    }

    #[test]
    fn a_job_is_one_line_and_inside_it_is_the_same_case() {
        let line = job().line();
        assert_eq!(line.find('\n'), Some(line.len() - 1));
        let mut from = io::Cursor::new(line + LEAVE);
        let (case, guest) = Job::read(&mut from).expect("a job").case().expect("a case");
        assert_eq!(case.id(guest.as_ref().map(|guest| guest.name.as_str())), job().case);
        assert_eq!(*case.scenario.file.text, *TEXT);
        let mut rest = String::new();
        from.read_to_string(&mut rest).expect("readable");
        assert_eq!(rest, LEAVE, "nothing after the job is taken");
    }

    #[rstest]
    #[case::nothing("", "no job on standard input")]
    #[case::noise("hello\n", "no job on standard input")]
    #[case::another_version(&job().line().replace("\"schema\":1", "\"schema\":2"), "version 2")]
    fn what_is_no_job_is_named(#[case] line: &str, #[case] words: &str) {
        let error = Job::read(&mut line.as_bytes()).expect_err("no job");
        assert!(error.to_string().contains(words), "{error}");
    }
}
