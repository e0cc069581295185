//! How a process ended: who did it, at which limit, and who says so.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::outcome::Killer;

/// A process that ended, attributed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Kill {
    /// Id of the actor; absent when the victim is none of the scenario's.
    pub actor: Option<String>,
    /// Process id in the machine it ran on.
    pub pid: u32,
    /// Its name as the kernel had it: at most 15 bytes, chosen by the process itself, not to be trusted.
    pub comm: String,
    /// Who ended it.
    pub killer: Killer,
    /// The cgroup whose limit was hit; only for [`Killer::Memcg`].
    pub limit: Option<String>,
    /// Memory charged where the limit was hit, in bytes.
    pub at_bytes: Option<u64>,
    /// From the release of the stress to the end of the process, in milliseconds.
    pub after_ms: Option<u64>,
    /// From the kernel's timestamp of the kill to the recorded event, in microseconds.
    pub latency_us: Option<u64>,
    /// Everybody whom the same group kill (`memory.oom.group`) took, as the kernel names them: `comm (pid N)`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub victims: Vec<String>,
    /// Who was asked, and what each said.
    pub witnesses: Vec<Witness>,
}

/// One source that was asked who ended a process.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Witness {
    /// The source: `kernel log`, `memory.events`, `wait status`, `systemd`, `oomd`, `earlyoom`.
    pub name: String,
    /// What it said, as close to its own words as fits a line.
    pub says: String,
    /// How that fits the attribution.
    pub agrees: Agreement,
}

/// How a witness fits the attribution.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Agreement {
    /// Says the same.
    Agrees,
    /// Has nothing to say: lost, gone or never there.
    Missing,
    /// Says something else.
    Contradicts,
}
