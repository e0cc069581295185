//! A scenario and the facts of a machine → everything a run will do, resolved to numbers and names. Pure.
//!
//! Every unit, property, byte size, deadline and abort stands here before anything is touched; `bulkhead plan` prints
//! it. The judge reads its claims from here, so a record can be judged without the scenario file.

mod actors;
pub(crate) mod argv;
mod caps;
pub mod claim;
mod daemons;
mod error;
mod name;
mod place;
mod print;
mod resolve;
mod size;
mod units;

use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

use claim::{BoundKind, Expectation, Unit};
pub use daemons::{PlannedDaemon, Start};
pub use error::PlanError;
pub use name::CgroupName;
pub use place::{Expected, Parent, Place};
pub use print::print;
pub use resolve::plan;

use crate::cgroupfs::{CgroupPath, Limit, LimitFile};
use crate::metric::Metric;
use crate::notation::id::{Id, UnitName};
use crate::notation::limit;
use crate::property::{Property, PropertyName, PropertyValue, UnitKind};
use crate::scenario::actor::{Kind, Release};
pub use crate::scenario::killer::Moment;
pub use crate::scenario::requires::SwapNeed;
use crate::scenario::safety::Safety;

/// No build of a balloon is larger, bytes: what a cold copy of one takes on the disk.
const COLD_COPY: u64 = 32 << 20;

/// One run, resolved.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    /// Id of the run: part of the name of every unit it makes.
    pub run: String,
    /// Scenario id.
    pub scenario: Id,
    /// Twin id.
    pub twin: Option<Id>,
    /// How much harm the scenario may do.
    pub safety: Safety,
    /// PID 1 ends every unit after this time, µs.
    pub deadline_us: u64,
    /// How long bystanders run before the stress, µs.
    pub baseline_us: u64,
    /// How long the stress is watched at most, µs.
    pub observe_us: u64,
    /// How long the stress must be held at least for the claims to count, µs; 0 = the scenario does not say.
    #[serde(default)]
    pub hold_us: u64,
    /// When the stress has been held for so long the run ends, µs; none when it ends with its balloons or its time alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub enough_us: Option<u64>,
    /// What the machine must have, and must still have when the stress is over.
    #[serde(default)]
    pub required: PlannedRequires,
    /// Time between samples, µs.
    pub sample_every_us: u64,
    /// The slice around everything the run makes in its own tree.
    pub slice: PlannedUnit,
    /// The slices of the harness's own around what is declared in slices of the machine.
    #[serde(default)]
    pub outer: Vec<PlannedUnit>,
    /// The declared cgroups, parents before children.
    pub cgroups: Vec<PlannedUnit>,
    /// The actors, in the order of the file.
    pub actors: Vec<PlannedActor>,
    /// The cgroups that are sampled.
    pub watched: Vec<Watched>,
    /// What must stay alive and answer.
    pub protect: PlannedProtect,
    /// When the stress counts as arrived.
    pub reached: PlannedReached,
    /// The claims.
    pub expectations: Vec<Expectation>,
    /// The userspace OOM killers that are followed.
    pub daemons: Vec<PlannedDaemon>,
    /// When the run is stopped for the machine's sake.
    pub watchdog: Watchdog,
}

impl Plan {
    /// The most memory that everything the run starts can take, bytes; none when the harness does not cap it
    /// (destructive scenarios).
    #[must_use]
    pub fn most_memory(&self) -> Option<u64> {
        let inside = self.slice.cap()?;
        let outer = self.outer.iter().filter_map(PlannedUnit::cap);
        let max = |properties: &[Property]| {
            properties.iter().find_map(|property| match (property.name, &property.value) {
                (PropertyName::MemoryMax, PropertyValue::Size(limit::Limit::Bytes(bytes))) => Some(bytes.0),
                _ => None,
            })
        };
        let scopes = self.actors.iter().filter_map(|actor| max(&actor.properties));
        let started = self.daemons.iter().filter_map(|daemon| daemon.start.as_ref());
        let daemons = started.filter_map(|start| max(&start.properties));
        let logins = self.protect.answers.iter().filter(|answer| answer.question == Question::SshLogin);
        let logins = logins.map(|_| caps::LOGIN);
        Some(outer.chain(scopes).chain(daemons).chain(logins).fold(inside, u64::saturating_add))
    }

    /// The most that the run puts on the disk, bytes: files of writers, readers and balloons, and cold copies of programs.
    #[must_use]
    pub fn most_disk(&self) -> u64 {
        let of = |actor: &PlannedActor| {
            let copy = if actor.cold_text { COLD_COPY } else { 0 };
            actor.file.unwrap_or(0).saturating_add(copy)
        };
        self.actors.iter().map(of).fold(0, u64::saturating_add)
    }

    /// The limit that the progress display shows: of the first declared cgroup.
    #[must_use]
    pub fn shown_cap(&self) -> Option<u64> {
        self.cgroups.first().and_then(PlannedUnit::cap)
    }

    /// The name under which a cgroup path is sampled.
    #[must_use]
    pub fn name_of(&self, path: &str) -> Option<&str> {
        self.watched
            .iter()
            .find(|watched| watched.cgroup.as_str() == path)
            .map(|watched| watched.subject.as_str())
    }
}

/// What a machine must have throughout a run, as far as it can be read again after it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct PlannedRequires {
    /// Swap, on all devices.
    pub swap: Option<SwapNeed>,
    /// Units that must be active.
    pub units: Vec<UnitName>,
}

/// A unit that the run starts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PlannedUnit {
    /// What it is called.
    pub name: CgroupName,
    /// Unit name.
    pub unit: UnitName,
    /// What kind of unit.
    pub kind: UnitKind,
    /// The slice it lives in.
    pub slice: UnitName,
    /// Its cgroup, from the root.
    pub cgroup: CgroupPath,
    /// Its properties.
    pub properties: Vec<Property>,
    /// What the kernel must hold once the unit runs.
    pub limits: Vec<(LimitFile, Limit)>,
}

impl PlannedUnit {
    /// The bytes of a limit; none when there is no such limit.
    #[must_use]
    pub fn limit(&self, wanted: LimitFile) -> Option<u64> {
        self.limits.iter().find(|(file, _)| *file == wanted).and_then(|(_, limit)| limit.bytes())
    }

    /// `memory.max`, bytes.
    #[must_use]
    pub fn cap(&self) -> Option<u64> {
        self.limit(LimitFile::Max)
    }
}

/// An actor that the run starts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PlannedActor {
    /// Actor id.
    pub id: Id,
    /// What it does.
    pub kind: Kind,
    /// How it is started and placed.
    pub place: Place,
    /// The unit it lives in.
    pub unit: UnitName,
    /// The slice of that unit.
    pub slice: UnitName,
    /// The cgroup that it is expected in; the observed one stands in the record.
    pub cgroup: Expected,
    /// Properties of its own scope, when it has one.
    pub properties: Vec<Property>,
    /// Program (`balloon` or `bystander`) and arguments; `{status}` and `{data}` stand for the run's directories.
    pub argv: Vec<String>,
    /// How many processes share its work.
    pub processes: u32,
    /// Its `oom_score_adj`, set on purpose.
    pub oom_score_adj: i32,
    /// What it is released with.
    pub release: Release,
    /// Time between that moment and its release, µs.
    pub delay_us: u64,
    /// For a bystander: the time between two pieces of its work, µs; 0 = it works without pause, or is a balloon.
    #[serde(default)]
    pub every_us: u64,
    /// For a balloon: the most it will hold, bytes.
    pub total: Option<u64>,
    /// For a writer or reader: the size of its file, bytes.
    pub file: Option<u64>,
    /// Whether its own code comes from a cold private copy.
    pub cold_text: bool,
}

/// A cgroup that is sampled.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Watched {
    /// The name in metrics.
    pub subject: CgroupName,
    /// Its path from the cgroup root.
    pub cgroup: CgroupPath,
}

/// What must stay alive and answer.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct PlannedProtect {
    /// Units that must be the same before and after.
    pub units: Vec<UnitName>,
    /// What must answer throughout.
    pub answers: Vec<PlannedAnswer>,
}

/// Something that must answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlannedAnswer {
    /// As the scenario writes it.
    pub target: String,
    /// How it is asked.
    pub question: Question,
    /// Where to connect.
    pub address: SocketAddr,
    /// The longest allowed time from connect to banner, µs.
    pub within_us: u64,
    /// Time between probes, µs.
    pub every_us: u64,
}

/// How a protected service is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Question {
    /// Connect and wait for the first bytes.
    TcpBanner,
    /// Log in afresh over ssh as root and run `true`.
    SshLogin,
}

impl PlannedAnswer {
    /// What a reader calls it: the service behind a well-known port.
    #[must_use]
    pub fn name(&self) -> &str {
        if self.address.port() == 22 { "sshd" } else { &self.target }
    }
}

/// When the stress counts as arrived.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PlannedReached {
    /// A sampled metric.
    pub metric: Metric,
    /// Its unit.
    pub unit: Unit,
    /// `Min` or `Max`.
    pub kind: BoundKind,
    /// In the metric's unit.
    pub value: f64,
    /// Time from the release of the balloons, µs.
    pub within_us: u64,
}

/// When a run is stopped for the machine's sake.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Watchdog {
    /// Stop below this much MemAvailable, bytes; 0 = the scenario is destructive on a disposable machine.
    pub min_available: u64,
    /// Stop when the host's memory PSI full stays above this share (percent) for ten seconds…
    pub max_full_percent: u64,
    /// …while MemAvailable is below this, bytes: PSI alone is no sign of a short host, one throttled cgroup makes it.
    pub full_counts_below: u64,
    /// Stop when no sample was taken for this long, µs.
    pub max_silence_us: u64,
}
