//! One invocation of bulkhead as published: what ran where, what was found, on which evidence.
//!
//! Plain data, versioned by [`SCHEMA`], and the only thing a renderer sees. Nothing in it is derived when it
//! is rendered: whoever fills it decides verdicts, headlines and the exit code. Texts are kept as observed,
//! hostile bytes and all; each renderer defends its own format.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::case_id::CaseId;
use crate::finding::Finding;
use crate::kill::Kill;
use crate::number::Unit;
use crate::outcome::{Cleanup, Verdict};

/// Version of the model: raised when a field changes its meaning or goes away, not when one is added.
pub const SCHEMA: u32 = 1;

/// Everything one invocation has to say.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Report {
    /// Version of this model, [`SCHEMA`].
    pub schema: u32,
    /// Version of the program that made the report, such as `0.1.0`.
    pub tool_version: String,
    /// When it began, in seconds since 1970-01-01T00:00:00Z.
    pub started: u64,
    /// How long all of it took, in milliseconds of wall clock.
    pub took_ms: u64,
    /// The machines that cases ran on: one for each guest, or the host itself.
    pub machines: Vec<Machine>,
    /// What ran, in the order in which it is shown: a scenario's base first, then its twins.
    pub cases: Vec<Case>,
    /// Cases that did not come to the same verdict each time (`--runs N`). See [`flaky`].
    #[serde(default)]
    pub flaky: Vec<Flaky>,
    /// Trouble that belongs to no case, one sentence each: a guest that booted only at the second attempt.
    #[serde(default)]
    pub trouble: Vec<String>,
    /// Directory that holds the records and reports of this invocation.
    #[serde(default)]
    pub record_path: Option<String>,
    /// The exit code of the program.
    pub exit_code: u8,
    /// What that code says, as one clause.
    #[serde(default)]
    pub exit_meaning: String,
}

/// Whether cases ran in a throwaway VM or on the machine itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum TargetKind {
    /// A throwaway VM: a pristine clone for every case.
    #[default]
    Vm,
    /// The machine that bulkhead was started on.
    Host,
}

/// A machine that cases ran on. What could not be read is absent.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Machine {
    /// Its name, as the `machine` of cases.
    #[serde(default)]
    pub name: String,
    /// Throwaway VM or the host itself.
    pub target: TargetKind,
    /// Name of the guest image, such as `trixie`; absent on a host.
    pub guest: Option<String>,
    /// Kernel release as `uname -r` prints it.
    pub kernel: Option<String>,
    /// systemd's version as its manager reports it, such as `257.8-1~deb13u2`.
    pub systemd: Option<String>,
    /// Number of CPUs online.
    pub cpus: Option<u32>,
    /// MemTotal, in bytes.
    pub memory_bytes: Option<u64>,
    /// SwapTotal, in bytes, before any case changed it; 0 when there is none.
    pub swap_bytes: Option<u64>,
    /// How the VM's CPU is run: `kvm` or `tcg`.
    pub accel: Option<String>,
}

/// One run of one scenario, or of one of its twins.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Case {
    /// The scenario's id: its file name without `.toml`.
    pub scenario: String,
    /// The scenario's claim, as its author wrote it.
    pub title: String,
    /// Where the claim comes from, as its author wrote it.
    pub source: String,
    /// The scenario as written, or one of its twins.
    pub role: Role,
    /// The machine it ran on: the guest's name, or `host`.
    #[serde(default)]
    pub machine: String,
    /// Name of the guest it ran in; absent on a host.
    pub guest: Option<String>,
    /// The policy under test; absent when the scenario brings its own limits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy: Option<String>,
    /// The tree of that policy that the stress was put into.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tree: Option<String>,
    /// Which of `--runs N` this is, from 1.
    pub run: u32,
    /// The verdict as shown. For a twin: pass = turned red where it must, fail = stayed green.
    pub verdict: Verdict,
    /// The verdict of the run itself, before a twin's is turned round.
    pub raw_verdict: Verdict,
    /// Why it is not a pass: the unmet requirement, what was not observed, which guard acted.
    pub reason: Option<String>,
    /// The evidence in one line.
    pub headline: String,
    /// Each claim, judged.
    pub findings: Vec<Finding>,
    /// Every process that ended while the stress was on, with who says so.
    pub kills: Vec<Kill>,
    /// What happened when, in order.
    pub phases: Vec<Phase>,
    /// A few downsampled courses, for sparklines.
    pub series: Vec<Series>,
    /// How long the case took with everything around it, in milliseconds.
    pub took_ms: u64,
    /// Where its record lies.
    pub record_path: Option<String>,
    /// A command line that runs exactly this again.
    pub command: String,
    /// What a reader should know before believing the verdict: lost kernel log records, late samples.
    pub warnings: Vec<String>,
    /// Last lines of the guest's console, when the guest panicked, hung or powered off.
    pub console: Vec<String>,
    /// Whether the machine was shown to be as before.
    pub cleanup: Cleanup,
}

/// What a case is to its scenario.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Role {
    /// The scenario as written.
    Base,
    /// The same scenario with one thing broken on purpose.
    Twin {
        /// The twin's id within its scenario.
        id: String,
        /// Ids of the findings that must be red.
        must_fail: Vec<String>,
    },
}

/// A stretch of the run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Phase {
    /// `setup`, `baseline`, `climb`, `hold`, `settle`, `cleanup`: those that the run came to.
    pub name: String,
    /// Its beginning, in milliseconds from the beginning of the run.
    pub start_ms: u64,
    /// Its end, in milliseconds from the beginning of the run.
    pub end_ms: u64,
}

/// A metric over time, thinned out.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Series {
    /// The metric's name, such as `work:memory.current`.
    pub metric: String,
    /// What its values are measured in.
    pub unit: Unit,
    /// The limit it is to be read against, in the same unit.
    pub cap: Option<f64>,
    /// The points, in order of time.
    pub points: Vec<Point>,
}

/// One point of a series.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Point {
    /// In milliseconds from the beginning of the run.
    pub at_ms: u64,
    /// The value in the unit of its series; absent when it could not be read.
    pub value: Option<f64>,
}

/// A scenario or twin that did not come to the same verdict in every run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Flaky {
    /// The scenario's id.
    pub scenario: String,
    /// The twin's id; absent for the scenario as written.
    pub twin: Option<String>,
    /// The machine it ran on.
    #[serde(default)]
    pub machine: String,
    /// The guest it ran in; absent on a host.
    pub guest: Option<String>,
    /// The policy under test; absent when the scenario brings its own limits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy: Option<String>,
    /// The tree of that policy that the stress was put into.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tree: Option<String>,
    /// The verdict of each run, in order.
    pub verdicts: Vec<Verdict>,
}

impl Case {
    /// The twin's id; `None` for the scenario as written.
    pub fn twin(&self) -> Option<&str> {
        match &self.role {
            Role::Base => None,
            Role::Twin { id, .. } => Some(id),
        }
    }

    /// Which case it is.
    pub fn id(&self) -> CaseId {
        CaseId {
            machine: self.machine.clone(),
            scenario: self.scenario.clone(),
            twin: self.twin().map(str::to_owned),
            policy: self.policy.clone(),
            tree: self.tree.clone(),
            run: self.run,
        }
    }
}

impl Flaky {
    /// Which case it is; its first run stands for all of them.
    pub fn id(&self) -> CaseId {
        CaseId {
            machine: self.machine.clone(),
            scenario: self.scenario.clone(),
            twin: self.twin.clone(),
            policy: self.policy.clone(),
            tree: self.tree.clone(),
            run: 1,
        }
    }
}

/// Finds what came to differing verdicts over several runs, for [`Report::flaky`]. Verdicts come in the order of `cases`.
pub fn flaky<'a>(cases: impl IntoIterator<Item = &'a Case>) -> Vec<Flaky> {
    let mut found: Vec<Flaky> = Vec::new();
    for case in cases {
        match found.iter_mut().find(|known| known.id().repeats(&case.id())) {
            Some(known) => known.verdicts.push(case.verdict),
            None => found.push(Flaky {
                scenario: case.scenario.clone(),
                twin: case.twin().map(str::to_owned),
                machine: case.machine.clone(),
                guest: case.guest.clone(),
                policy: case.policy.clone(),
                tree: case.tree.clone(),
                verdicts: vec![case.verdict],
            }),
        }
    }
    found.retain(|runs| runs.verdicts.iter().any(|verdict| *verdict != runs.verdicts[0]));
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples;

    #[test]
    fn flaky_is_disagreement_between_runs_and_nothing_else() {
        let found = flaky(&samples::mixed().cases);
        assert_eq!(found.len(), 1, "{found:?}");
        assert_eq!(found[0].id().name(), "oomd-swap-path");
        assert_eq!(found[0].verdicts.iter().filter(|verdict| **verdict == Verdict::Fail).count(), 1);

        let mut cases = samples::all_pass().cases;
        cases.extend(samples::all_pass().cases);
        assert_eq!(flaky(&cases), []);
        for case in &mut cases[4..] {
            case.machine = "bookworm".into();
            case.verdict = Verdict::Fail;
        }
        assert_eq!(flaky(&cases), [], "machines may differ");
    }
}
