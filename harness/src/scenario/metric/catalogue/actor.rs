//! Metrics of the actors, from their status pages, and of the probes that outside services answer.

use super::Course::{Counter, Gauge, Peak, Statistic};
use super::SubjectKind::{Actor, Protect};
use super::Unit::{Bytes, Count, Duration};
use super::{MetricInfo, row};

pub(super) const METRICS: &[MetricInfo] = &[
    row(
        "touched",
        Actor,
        Bytes,
        Gauge,
        "status page",
        "Bytes the actor holds by its own account. The page outlives the process, so this is still readable after a kill.",
    ),
    row(
        "steps",
        Actor,
        Count,
        Counter,
        "status page",
        "Steps of allocation the actor finished: its progress.",
    ),
    row(
        "gap.p99",
        Actor,
        Duration,
        Statistic,
        "status page (histogram)",
        "How late 99 of 100 wake-ups (or steps, for a balloon) came at most, over the phase that `during` names. From a histogram with logarithmic buckets, so it is the upper bound of a bucket. On emulated machines compare it with the actor's own baseline, never with a fixed time.",
    ),
    row("gap.max", Actor, Duration, Peak, "status page", "The latest wake-up (or the longest step) so far."),
    row(
        "wakeups",
        Actor,
        Count,
        Counter,
        "status page",
        "Beats of a heartbeat, passes of a writer or reader.",
    ),
    row("accepted", Actor, Count, Counter, "status page", "Connections a tcp-server accepted and answered."),
    row(
        "minor_faults",
        Actor,
        Count,
        Counter,
        "status page",
        "Page faults of the actor that needed no disk.",
    ),
    row(
        "major_faults",
        Actor,
        Count,
        Counter,
        "status page",
        "Page faults of the actor that had to read from disk or swap, its own code included.",
    ),
    row("step.max", Actor, Duration, Peak, "status page", "The longest single step of allocation so far."),
    row(
        "answer.N",
        Protect,
        Duration,
        Gauge,
        "probe",
        "How long the Nth probe of `[protect] answer` (counted from 1) waited for its answer. A probe that gave up counts with the time that it waited, a refused one as longer than anything. The first answer of a run is left out: it pays for what nobody had asked for since the machine booted.",
    ),
];
