//! Metrics of the actors, from their status pages, and of the probes that outside services answer.

use balloon::status::Snapshot;

use super::Course::{Counter, Gauge, Peak, Statistic};
use super::SubjectKind::{Actor, Protect};
use super::Unit::{Bytes, Count, Duration};
use super::{Course, MetricInfo, SubjectKind, Unit};
use crate::metric::source::Derived::{self, Answers, Gaps};
use crate::metric::source::Source;

pub(in crate::metric) const METRICS: &[MetricInfo] = &[
    cell(
        "touched",
        Bytes,
        Gauge,
        |page| page.touched,
        "Bytes the actor holds, as it reports in its status page. The page outlives the process, so this is still \
         readable after a kill.",
    ),
    cell(
        "steps",
        Count,
        Counter,
        |page| page.steps,
        "Allocation steps the actor has completed: its progress.",
    ),
    judged(
        "gap.p99",
        Actor,
        Duration,
        Statistic,
        Gaps,
        "The 99th percentile of how late wake-ups came (of how long steps took, for a balloon) over the phase that \
         `during` names. From a histogram with logarithmic buckets, so it is the upper bound of a \
         bucket. On emulated machines compare it with the actor's own baseline, never with a fixed \
         time.",
    ),
    MetricInfo::new(
        "gap.max",
        Actor,
        Duration,
        Peak,
        Source::LongestGap(|page| page.gap_max_ns / 1000),
        "The latest wake-up (or the longest step) so far.",
    ),
    cell(
        "wakeups",
        Count,
        Counter,
        |page| page.wakeups,
        "Beats of a heartbeat, passes of a writer or reader.",
    ),
    cell("accepted", Count, Counter, |page| page.accepted, "Connections a tcp-server accepted and answered."),
    cell(
        "minor_faults",
        Count,
        Counter,
        |page| page.minor_faults,
        "Minor page faults of the actor: no disk access.",
    ),
    cell(
        "major_faults",
        Count,
        Counter,
        |page| page.major_faults,
        "Major page faults of the actor, which read from disk or swap; its own code counts.",
    ),
    cell(
        "step.max",
        Duration,
        Peak,
        |page| page.step_max_ns / 1000,
        "The longest single step of allocation so far.",
    ),
    judged(
        "answer.N",
        Protect,
        Duration,
        Gauge,
        Answers,
        "How long the Nth probe of `[protect] answer` (counted from 1) waited for its answer. A probe \
            that timed out counts with the time it waited, a refused one as longer than any other. The first answer \
            of a run is left out: it pays for cold caches.",
    ),
];

const fn cell(
    name: &'static str,
    unit: Unit,
    course: Course,
    read: fn(&Snapshot) -> u64,
    about: &'static str,
) -> MetricInfo {
    MetricInfo::new(name, Actor, unit, course, Source::Page(read), about)
}

const fn judged(
    name: &'static str,
    subject: SubjectKind,
    unit: Unit,
    course: Course,
    from: Derived,
    about: &'static str,
) -> MetricInfo {
    MetricInfo::new(name, subject, unit, course, Source::Judge(from), about)
}
