//! The events of a run: what happened, when, without judgement.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::kmsg::oom::OomEvent;
use crate::plan::claim::Phase;

/// An event and its time.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Stamped {
    /// `CLOCK_MONOTONIC`, microseconds.
    pub at_us: u64,
    /// What happened.
    pub event: Event,
}

/// Something that happened in a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Event {
    /// A part of the run began; it ends where the next begins.
    Phase {
        /// Which part.
        phase: Mark,
    },
    /// A unit of the run was started.
    UnitStarted {
        /// Unit name.
        unit: String,
        /// Its cgroup, as systemd reports it.
        cgroup: String,
    },
    /// Limits of a declared cgroup, read back from the kernel: when its unit was started, and again when the stress is
    /// over. One that is gone by then is not read again.
    LimitsRead {
        /// The declared name, or `run` for the harness's own slice.
        cgroup: String,
        /// File name → value as read (`max` or a number).
        values: BTreeMap<String, String>,
    },
    /// An actor was started and verified in its cgroup.
    ActorPlaced {
        /// Actor id.
        actor: String,
        /// Process id.
        pid: u32,
        /// From `/proc/PID/cgroup`.
        cgroup: String,
        /// From `/proc/PID/oom_score_adj`.
        oom_score_adj: i32,
        /// From `/proc/PID/comm`.
        comm: String,
    },
    /// An actor was let go.
    ActorReleased {
        /// Actor id.
        actor: String,
    },
    /// An actor ended.
    ActorEnded {
        /// Actor id.
        actor: String,
        /// How.
        end: ActorEnd,
    },
    /// The state of an actor's status page at a phase edge.
    ActorStatus {
        /// Actor id.
        actor: String,
        /// The edge at which it was read.
        at: Mark,
        /// The page.
        status: ActorStatus,
    },
    /// An actor was still the same process when the run ended: its pidfd says that it has not exited.
    ActorAlive {
        /// Actor id.
        actor: String,
        /// Process id.
        pid: u32,
        /// Its state in `/proc/PID/stat` (`S`, `R`, `D`, `T` when stopped, …); none when it was not read.
        state: Option<char>,
    },
    /// The kernel logged something about an OOM kill.
    KernelOom {
        /// Sequence number in the kernel log.
        seq: u64,
        /// The kernel's own timestamp brought to `CLOCK_MONOTONIC`, microseconds; none without calibration.
        logged_us: Option<u64>,
        /// What it says.
        oom: OomEvent,
    },
    /// The kernel found nobody that it may kill. It repeats this without any rate limit: the first is recorded at
    /// once, the number at the end.
    NoKillable {
        /// How often so far.
        count: u64,
    },
    /// Records of the kernel log were overwritten before they could be read.
    KernelLogLost {
        /// How many, from the gap in sequence numbers.
        records: u64,
    },
    /// The kernel log could not be read at all.
    KernelLogUnavailable {
        /// Why.
        reason: String,
    },
    /// The kernel log reader reached the end of the log after the stress ended.
    KernelLogDrained {
        /// Records read in the run.
        records: u64,
    },
    /// The state of a unit (protected, or of the run).
    Unit {
        /// Unit name.
        unit: String,
        /// Before or after the stress.
        when: When,
        /// As the manager reports it; none when the unit does not exist.
        state: Option<UnitState>,
    },
    /// One answer probe.
    Answer {
        /// Index in `protect.answer`.
        probe: usize,
        /// What was asked.
        target: String,
        /// How it went. The event is recorded when the probe has ended.
        result: AnswerResult,
        /// When the probe began, microseconds.
        began_us: Option<u64>,
    },
    /// A line of a userspace OOM killer.
    DaemonLine {
        /// `systemd-oomd` or `earlyoom`.
        daemon: String,
        /// The unit that logged it.
        unit: Option<String>,
        /// The line, as logged.
        line: String,
    },
    /// The logs of the followed daemons were read to their end: up to a mark of the harness's own that went through the
    /// journal after the stress.
    DaemonLogRead {
        /// How many lines they hold.
        lines: u64,
    },
    /// A followed daemon does not log what it does: its silence says nothing.
    DaemonMuted {
        /// Its unit.
        unit: String,
        /// What keeps its words out of the journal.
        why: String,
    },
    /// What the scenario requires of the machine, read again when the stress was over.
    MachineRead {
        /// Bytes of swap, on all devices.
        swap_total: Option<u64>,
        /// `MemTotal`, bytes.
        memory_total: Option<u64>,
    },
    /// A dump of `oomctl`.
    OomdDump {
        /// The text.
        text: String,
    },
    /// Something went wrong that the verdict must know.
    Trouble {
        /// Which step.
        step: String,
        /// What.
        error: String,
    },
    /// The run ended.
    Ended {
        /// Why.
        reason: EndReason,
    },
    /// What was undone, and whether that is proven.
    Cleanup {
        /// What is left; empty = proven clean.
        left: Vec<String>,
    },
    /// The case was run again in another directory, and that record counts.
    SetAside {
        /// Why.
        why: String,
    },
    /// The harness's own footprint.
    SelfUse {
        /// Peak resident memory, bytes.
        peak_rss: u64,
        /// Ticks sampled.
        ticks: u64,
        /// The largest lateness of a tick, microseconds.
        max_late_us: u64,
        /// Mean time of one tick, microseconds.
        mean_tick_us: u64,
    },
}

/// Edges between the parts of a run, in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mark {
    /// Units and actors are being made.
    Setup,
    /// Bystanders were released.
    Baseline,
    /// Balloons were released.
    Climb,
    /// The stress arrived.
    Hold,
    /// The stress is over; witnesses settle.
    Settle,
    /// Everything is being undone.
    Cleanup,
}

impl Mark {
    /// The phase that begins here, if claims can speak of it.
    #[must_use]
    pub fn phase(self) -> Option<Phase> {
        match self {
            Self::Baseline => Some(Phase::Baseline),
            Self::Climb => Some(Phase::Climb),
            Self::Hold => Some(Phase::Hold),
            Self::Setup | Self::Settle | Self::Cleanup => None,
        }
    }
}

/// How a process ended, from `waitid`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ActorEnd {
    /// It returned.
    Exited(i32),
    /// A signal ended it.
    Signalled(i32),
    /// It is gone, and its status could not be learnt.
    Unknown,
}

/// What the status page of an actor said.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ActorStatus {
    /// Bytes it holds by its own account.
    pub touched: u64,
    /// Steps taken.
    pub steps: u64,
    /// Longest step, nanoseconds.
    pub step_max_ns: u64,
    /// Longest gap between wake-ups, nanoseconds.
    pub gap_max_ns: u64,
    /// Histogram of gaps (bucket bounds as in `balloon::status`).
    pub gaps: Vec<u64>,
    /// Connections served.
    pub accepted: u64,
    /// Wake-ups.
    pub wakeups: u64,
    /// Why it failed, when it did.
    pub error: Option<String>,
}

/// Before or after the stress.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum When {
    /// Before any actor was released.
    Before,
    /// After the stress, before cleanup.
    After,
}

/// What identifies a running unit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnitState {
    /// `ActiveState`.
    pub active: String,
    /// `SubState`.
    pub sub: String,
    /// `Result`, for units that have one.
    pub result: Option<String>,
    /// `InvocationID`, hex.
    pub invocation_id: Option<String>,
    /// `MainPID`, for services.
    pub main_pid: Option<u32>,
    /// `NRestarts`, for services.
    pub n_restarts: Option<u32>,
    /// How the main process of a service ended, from `ExecMainCode` and `ExecMainStatus`.
    pub main_end: Option<ActorEnd>,
}

/// How an answer probe went.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AnswerResult {
    /// The banner came.
    Answered {
        /// From connect to the first bytes, microseconds.
        took_us: u64,
    },
    /// Nothing came in time.
    Late {
        /// How long it was waited for, microseconds.
        waited_us: u64,
    },
    /// The connection was refused or broken.
    Refused {
        /// Why.
        error: String,
    },
    /// The server penalises the prober, so nothing can be said about its health.
    Penalised {
        /// Its words.
        banner: String,
    },
}

/// Why a run ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "why", rename_all = "kebab-case")]
pub enum EndReason {
    /// Every balloon has ended.
    BalloonsEnded,
    /// The scenario's `observe` time is over.
    ObserveElapsed,
    /// A requirement is not met; nothing was started.
    Skipped {
        /// Which, with numbers.
        reason: String,
    },
    /// A guard refused to start.
    Refused {
        /// Which, with numbers.
        reason: String,
    },
    /// A guard stopped it.
    Aborted {
        /// Which, with numbers.
        reason: String,
    },
    /// The setup did not come up as planned.
    SetupFailed {
        /// What.
        reason: String,
    },
    /// The operator interrupted it.
    Interrupted {
        /// Signal number.
        signal: i32,
    },
    /// The machine was lost under the run.
    MachineLost {
        /// Panic, hang, power-off, …
        what: String,
        /// The last lines of its console.
        console: String,
    },
}
